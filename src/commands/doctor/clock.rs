//! The clock of the machine.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use super::{Finding, Status};
use crate::model::Timestamp;

/// How long systemd may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A file may seem this much newer than now: file systems keep coarser times than the clock.
const GRAIN: Duration = Duration::from_secs(10);

/// Whether the clock can be right: not before the last change of the database, and kept by time synchronisation.
pub(super) async fn clock(data_dir: &Path) -> Finding {
    let changed = ["mini.db", "mini.db-wal"].map(|name| changed_at(&data_dir.join(name)));
    let last = changed.into_iter().flatten().max();
    judged(SystemTime::now(), last, synchronised().await)
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

/// What systemd says, where it runs (timedatectl(1)); nothing where it does not.
async fn synchronised() -> Option<bool> {
    let mut child = tokio::process::Command::new("timedatectl");
    child
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let said = tokio::time::timeout(PATIENCE, child.output()).await.ok()?;
    match said.ok()?.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

fn judged(now: SystemTime, last: Option<SystemTime>, is_synchronised: Option<bool>) -> Finding {
    const CHECK: &str = "clock";
    const REMEDY: &str = "let it be kept right: `timedatectl set-ntp true`, with systemd-timesyncd or chrony installed; certificates depend on it";
    let shown =
        Timestamp::try_from(now).map_or_else(|_| "no time".to_owned(), |now| format!("{now:.0}"));
    if let Some(last) = last
        && last.duration_since(now).is_ok_and(|ahead| ahead > GRAIN)
    {
        let found = format!("{shown}, which is before the last change of the database");
        return Finding::new(CHECK, Status::Failed, found, REMEDY);
    }
    match is_synchronised {
        Some(true) => Finding::ok(CHECK, format!("{shown}, synchronised")),
        Some(false) => Finding::new(
            CHECK,
            Status::Warning,
            format!("{shown}, not synchronised with any other"),
            REMEDY,
        ),
        None => Finding::ok(
            CHECK,
            format!("{shown}; no systemd here to say whether it is synchronised"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(last: Option<i64>, is_synchronised: Option<bool>, expected: Status) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let last = last.map(|seconds| match u64::try_from(seconds) {
            Ok(ahead) => now + Duration::from_secs(ahead),
            Err(_) => now - Duration::from_secs(seconds.unsigned_abs()),
        });
        let finding = judged(now, last, is_synchronised);
        assert_eq!(finding.status, expected, "{last:?} {is_synchronised:?}");
    }

    #[test]
    fn a_clock_before_what_has_happened_is_wrong() {
        check(Some(-60), Some(true), Status::Ok);
        check(Some(5), Some(true), Status::Ok);
        check(Some(3600), Some(true), Status::Failed);
        check(Some(3600), None, Status::Failed);
    }

    #[test]
    fn the_time_is_shown_in_whole_seconds() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_000_123_456_789);
        let found = judged(now, None, Some(true)).found;
        assert_eq!(found, "1970-01-01T00:16:40Z, synchronised");
    }

    #[test]
    fn a_clock_that_nobody_keeps_is_warned_about() {
        check(None, Some(false), Status::Warning);
        check(None, None, Status::Ok);
        check(None, Some(true), Status::Ok);
    }
}
