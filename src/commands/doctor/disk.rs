//! Room on the disks.

use std::path::Path;

use rustix::fs::{StatVfs, statvfs};

use super::{Finding, Status};
use crate::deploy::DiskFloor;

/// Below this share of free inodes something is wrong, percent.
const FREE_INODES_PERCENT: u64 = 5;
/// Where Docker keeps images unless it was told otherwise.
const DOCKER_ROOT: &str = "/var/lib/docker";

/// Space and inodes of the data directory and of Docker's folder.
pub(super) fn all(data_dir: &Path, floor: DiskFloor) -> Vec<Finding> {
    let docker = Path::new(DOCKER_ROOT);
    let mut findings = vec![of("disk of the data directory", data_dir, floor)];
    if docker.exists() {
        findings.push(of("disk of Docker", docker, floor));
    }
    findings
}

fn of(check: &str, path: &Path, floor: DiskFloor) -> Finding {
    match statvfs(path) {
        Ok(facts) => judged(check, &facts, floor),
        Err(error) => Finding::new(
            check,
            Status::Failed,
            format!("could not be looked at: {error}"),
            "check that the folder is there and may be read",
        ),
    }
}

/// `floor` is what a build needs.
fn judged(check: &str, facts: &StatVfs, floor: DiskFloor) -> Finding {
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
    let (bytes, percent) = (floor.bytes, u64::from(floor.percent));
    if free < bytes || share < percent || inodes < FREE_INODES_PERCENT {
        let remedy = "builds are refused; free some space: `builds:prune`, or `docker system df` to see what is used";
        Finding::new(check, Status::Failed, found, remedy)
    } else if free < bytes.saturating_mul(2)
        || share < 2 * percent
        || inodes < 2 * FREE_INODES_PERCENT
    {
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
            judged(
                "disk",
                &facts,
                DiskFloor {
                    bytes: 1 << 30,
                    percent: 5
                }
            )
            .status,
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
