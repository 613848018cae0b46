use super::{HookError, Record, Removals};
use crate::acme::DnsHook;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A folder with a hook that is this shell script; `$LOG` is a file beside it.
struct Script {
    folder: tempfile::TempDir,
}

impl Script {
    fn new(body: &str) -> Script {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("#!/bin/sh\nLOG=$(dirname \"$0\")/log\n{body}\n");
        let path = folder.path().join("hook");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Script { folder }
    }

    fn hook(&self) -> DnsHook {
        DnsHook::new(self.folder.path().join("hook"))
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn the_record_is_set_and_removed_with_the_same_words() {
    let script = Script::new("echo \"$1 $2 $3 $#\" >> \"$LOG\"");
    let hook = script.hook();
    let removals = Arc::default();
    let record = Record::set(&hook, &removals, "apps.test", "abc".to_owned());
    record.await.unwrap().remove().await;
    assert_eq!(
        read(&script.log()),
        "present _acme-challenge.apps.test abc 3\ncleanup _acme-challenge.apps.test abc 3\n"
    );
}

#[tokio::test]
async fn a_record_that_is_dropped_is_removed_too() {
    let script = Script::new("echo \"$1\" >> \"$LOG\"");
    let (hook, removals) = (script.hook(), Arc::<Removals>::default());
    let record = Record::set(&hook, &removals, "apps.test", "abc".to_owned());
    drop(record.await.unwrap());
    removals.finish().await;
    assert_eq!(read(&script.log()), "present\ncleanup\n");
}

#[tokio::test]
async fn what_a_failing_program_says_is_passed_on() {
    let script = Script::new("echo 'no such zone' >&2; exit 3");
    let hook = script.hook();
    let removals = Arc::default();
    let record = Record::set(&hook, &removals, "apps.test", "abc".to_owned());
    assert_eq!(
        record.await.unwrap_err().to_string(),
        "the DNS hook failed (exit status: 3): no such zone"
    );
    let missing = DnsHook::new("/nowhere/hook");
    let record = Record::set(&missing, &removals, "apps.test", "abc".to_owned());
    assert_eq!(
        record.await.unwrap_err().to_string(),
        "the DNS hook /nowhere/hook cannot be started"
    );
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_its_children() {
    let script = Script::new(
        "echo \"$1\" >> \"$LOG\"; [ $1 = cleanup ] && exit; echo waiting >&2; sleep 600 & echo $! >> \"$LOG\"; wait",
    );
    let mut hook = script.hook();
    hook.time_limit = Duration::from_millis(500);
    let removals = Arc::default();
    let error = loop {
        let record = Record::set(&hook, &removals, "apps.test", "abc".to_owned());
        let error = record.await.unwrap_err();
        // On a busy machine the limit may have come before the script began.
        if read(&script.log()).lines().count() >= 2 {
            break error;
        }
    };
    assert!(matches!(error, HookError::TooSlow { .. }), "{error}");
    let log = read(&script.log());
    let child = log
        .lines()
        .find(|line| line.parse::<u32>().is_ok())
        .unwrap();
    let process = PathBuf::from("/proc").join(child).join("stat");
    // Gone, or dead and not yet reaped by whoever has adopted it.
    while !read(&process).is_empty() && !read(&process).contains(") Z ") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
