//! `git` as a child process: a closed environment, all settings on the command line, a process group of its own.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;

use super::GitError;

/// Where a program is sought when our own `PATH` is empty.
const FALLBACK_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Settings of every child. Repositories may belong to another user after a restore, hence `safe.directory`; git's own
/// clean-up would run in the middle of pushes, hence the two about gc. A file beyond the threshold is passed on piece by piece,
/// and not read into memory whole: at git's own, 512 MiB, a push or an archive with a file of 300 MB took 298 MB, and takes 5.
const COMMON: [&str; 4] = [
    "safe.directory=*",
    "gc.auto=0",
    "receive.autogc=false",
    "core.bigFileThreshold=8m",
];

/// Settings of receive-pack. The fsck list leaves out what old, harmless histories are full of; what matters for reading
/// a tree (names such as `..` or `.git`) stays refused.
const RECEIVE: [&str; 13] = [
    "receive.procReceiveRefs=refs/heads",
    "receive.advertisePushOptions=true",
    "receive.shallowUpdate=true",
    "receive.denyDeleteCurrent=ignore",
    "transfer.hideRefs=refs/mini",
    "receive.fsckObjects=true",
    "receive.fsck.zeroPaddedFilemode=ignore",
    "receive.fsck.badTimezone=ignore",
    "receive.fsck.badFilemode=ignore",
    "receive.fsck.missingSpaceBeforeDate=ignore",
    "receive.fsck.missingEmail=ignore",
    "receive.fsck.missingNameBeforeEmail=ignore",
    "receive.fsck.missingSpaceBeforeEmail=ignore",
];

/// The variables a git child is given; everything else of ours is kept from it.
fn environment() -> [(&'static str, OsString); 5] {
    let path = std::env::var_os("PATH")
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| FALLBACK_PATH.into());
    [
        ("PATH", path),
        ("GIT_CONFIG_NOSYSTEM", "1".into()),
        ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
        ("HOME", "/nonexistent".into()),
        ("LC_ALL", "C.UTF-8".into()),
    ]
}

/// A child that runs another program of git's kind, with nothing to read.
pub(super) fn program(name: &str) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(name);
    command
        .env_clear()
        .envs(environment())
        .process_group(0)
        .stdin(Stdio::null());
    command
}

/// A `git` child without a subcommand yet.
pub(super) fn git() -> tokio::process::Command {
    let mut command = program("git");
    for setting in COMMON {
        command.arg("-c").arg(setting);
    }
    command
}

/// The same for blocking threads.
pub(super) fn blocking_git() -> std::process::Command {
    let mut command = std::process::Command::new("git");
    command
        .env_clear()
        .envs(environment())
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    for setting in COMMON {
        command.arg("-c").arg(setting);
    }
    command
}

/// Adds what receive-pack needs; a push may bring a pack of `limit_bytes`.
pub(super) fn receiving(command: &mut tokio::process::Command, hooks: &Path, limit_bytes: u64) {
    let mut hooks_setting = OsString::from("core.hooksPath=");
    hooks_setting.push(hooks);
    command.arg("-c").arg(hooks_setting);
    for setting in RECEIVE {
        command.arg("-c").arg(setting);
    }
    command
        .arg("-c")
        .arg(format!("receive.maxInputSize={limit_bytes}"));
}

/// Runs a git command to its end and returns what it printed; its standard error becomes the error.
pub(super) async fn output<I, S>(repository: Option<&Path>, words: I) -> Result<String, GitError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = git();
    if let Some(path) = repository {
        command.arg("--git-dir").arg(path);
    }
    let output = command
        .args(words)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => GitError::Missing("git is not installed".to_owned()),
            _ => GitError::Io(error),
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(GitError::Failed(said.trim().to_owned()))
}
