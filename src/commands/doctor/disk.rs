//! Room on the disks.

use std::path::Path;

use rustix::fs::{StatVfs, statvfs};

use super::{Finding, Status};

/// Builds are refused under this much free space (DECISIONS.md, Numbers).
const FREE_BYTES: u64 = 1 << 30;
/// And under this share of it, percent.
const FREE_PERCENT: u64 = 5;
/// Where Docker keeps images unless it was told otherwise.
const DOCKER_ROOT: &str = "/var/lib/docker";

/// Space and inodes of the data directory and of Docker's folder.
pub(super) fn all(data_dir: &Path) -> Vec<Finding> {
    let docker = Path::new(DOCKER_ROOT);
    let mut findings = vec![of("disk of the data directory", data_dir)];
    if docker.exists() {
        findings.push(of("disk of Docker", docker));
    }
    findings
}

fn of(check: &str, path: &Path) -> Finding {
    match statvfs(path) {
        Ok(facts) => judged(check, &facts),
        Err(error) => Finding::new(
            check,
            Status::Failed,
            format!("could not be looked at: {error}"),
            "check that the folder is there and may be read",
        ),
    }
}

fn judged(check: &str, facts: &StatVfs) -> Finding {
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    let share = percent(facts.f_bavail, facts.f_blocks);
    // Some file systems have no fixed number of inodes and say 0.
    let inodes = if facts.f_files == 0 {
        100
    } else {
        percent(facts.f_favail, facts.f_files)
    };
    let gib = free / (1 << 30);
    let found = format!("{gib} GiB free ({share} %), {inodes} % of inodes free");
    if free < FREE_BYTES || share < FREE_PERCENT || inodes < FREE_PERCENT {
        let remedy = "builds are refused; free some space, for example with `docker system prune`";
        Finding::new(check, Status::Failed, found, remedy)
    } else if free < 2 * FREE_BYTES || share < 2 * FREE_PERCENT || inodes < 2 * FREE_PERCENT {
        Finding::new(
            check,
            Status::Warning,
            found,
            "builds are refused soon; free some space",
        )
    } else {
        Finding::ok(check, found)
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(free_mib: u64, total_mib: u64, inodes: (u64, u64), expected: Status) {
        let mut facts = statvfs("/").unwrap();
        facts.f_frsize = 1 << 20;
        facts.f_bavail = free_mib;
        facts.f_blocks = total_mib;
        facts.f_favail = inodes.0;
        facts.f_files = inodes.1;
        assert_eq!(
            judged("disk", &facts).status,
            expected,
            "{free_mib} of {total_mib}"
        );
    }

    #[test]
    fn a_disk_is_judged_by_bytes_share_and_inodes() {
        check(50_000, 100_000, (50, 100), Status::Ok);
        check(50_000, 100_000, (0, 0), Status::Ok);
        check(900, 10_000, (50, 100), Status::Failed);
        check(4_000, 100_000, (50, 100), Status::Failed);
        check(8_000, 100_000, (50, 100), Status::Warning);
        check(50_000, 100_000, (1, 100), Status::Failed);
    }
}
