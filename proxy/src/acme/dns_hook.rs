//! DNS-01 by a program that sets the record (RFC 8555 section 8.4).

use super::settings::DnsHook;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// How much is kept of what the program says on stderr.
const MAX_STDERR_BYTES: usize = 2048;

/// Why the program did not set or remove a record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    #[error("the DNS hook {program} cannot be started")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("the DNS hook did not end within {} s and was killed{said}", .limit.as_secs())]
    TooSlow { limit: Duration, said: Said },
    #[error("the DNS hook failed ({status}){said}")]
    Failed { status: ExitStatus, said: Said },
}

/// What the program said, if anything, to be put behind a sentence.
#[derive(Debug)]
pub(crate) struct Said(String);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_str() {
            "" => Ok(()),
            said => write!(f, ": {said}"),
        }
    }
}

/// Removals that go on in the background.
#[derive(Debug, Default)]
pub(crate) struct Removals(Mutex<Vec<JoinHandle<()>>>);

impl Removals {
    /// Waits until those begun so far have ended.
    pub(crate) async fn finish(&self) {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            let _ = task.await;
        }
    }

    fn begin(&self, removal: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.retain(|task| !task.is_finished());
            tasks.push(runtime.spawn(removal));
        }
    }
}

/// A record that was set.
///
/// To be ended with [`Record::remove`]; one that is dropped is removed in the background.
#[derive(Debug)]
#[must_use]
pub(crate) struct Record {
    hook: DnsHook,
    removals: Arc<Removals>,
    name: String,
    value: String,
    is_set: bool,
}

impl Record {
    /// Sets the TXT record that proves `domain`, and waits until the program says it can be seen.
    pub(crate) async fn set(
        hook: &DnsHook,
        removals: &Arc<Removals>,
        domain: &str,
        value: String,
    ) -> Result<Record, HookError> {
        // Made first: a program that was cut short may have set the record all the same.
        let record = Record {
            hook: hook.clone(),
            removals: Arc::clone(removals),
            name: format!("_acme-challenge.{domain}"),
            value,
            is_set: true,
        };
        record.call("present").await?;
        Ok(record)
    }

    /// Removes it. A failure only leaves a record that proves nothing to anybody, so it is logged.
    pub(crate) async fn remove(mut self) {
        self.is_set = false;
        self.clean().await;
    }

    async fn clean(&self) {
        if let Err(error) = self.call("cleanup").await {
            tracing::warn!(record = %self.name, %error, "a DNS record was not removed");
        }
    }

    async fn call(&self, verb: &str) -> Result<(), HookError> {
        let DnsHook {
            program,
            time_limit,
        } = &self.hook;
        let child = command(program, verb, &self.name, &self.value)
            .spawn()
            .map_err(|source| HookError::Start {
                program: program.display().to_string(),
                source,
            })?;
        let mut running = Running(child);
        let mut said = Vec::new();
        let stderr = running.0.stderr.take();
        let ended = tokio::time::timeout(*time_limit, async {
            if let Some(stderr) = stderr {
                read_stderr(stderr, &mut said).await;
            }
            running.0.wait().await
        });
        let ended = ended.await;
        let said = Said(text(&said));
        match ended {
            Err(_) => Err(HookError::TooSlow {
                limit: *time_limit,
                said,
            }),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(HookError::Failed { status, said }),
            Ok(Err(source)) => Err(HookError::Start {
                program: program.display().to_string(),
                source,
            }),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_set {
            return;
        }
        self.is_set = false;
        let record = Record {
            hook: self.hook.clone(),
            removals: Arc::clone(&self.removals),
            name: self.name.clone(),
            value: self.value.clone(),
            is_set: false,
        };
        self.removals.begin(async move { record.clean().await });
    }
}

/// A program with all it has started, which are killed together when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Without an id it has ended, and its number may be another's by now.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

fn command(program: &Path, verb: &str, name: &str, value: &str) -> Command {
    let mut command = Command::new(program);
    command.args([verb, name, value]);
    command.env_clear();
    for kept in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command.stdin(Stdio::null());
    command.stdout(Stdio::null());
    command.stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    command
}

/// Reads to the end, so that the program never waits for us, and keeps the last part.
async fn read_stderr(mut stderr: impl AsyncRead + Unpin, said: &mut Vec<u8>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        said.extend(buffer.iter().take(count));
        let excess = said.len().saturating_sub(MAX_STDERR_BYTES);
        said.drain(..excess);
    }
}

/// One line of printable text.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut line = lines.join(" ").trim().to_owned();
    line.retain(|c| !c.is_control());
    line
}

#[cfg(test)]
mod tests {
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
}
