//! The data directory.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::process::geteuid;

use super::{Finding, Status};

/// Whether the data directory is ours, closed to others, and writable.
pub(super) fn data_dir(path: &Path) -> Finding {
    const CHECK: &str = "data directory";
    let shown = path.display();
    let facts = match std::fs::metadata(path) {
        Ok(facts) => facts,
        Err(error) => {
            return Finding::new(
                CHECK,
                Status::Failed,
                format!("{shown} could not be looked at: {error}"),
                "start mini with a --data-dir it may use",
            );
        }
    };
    if access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Finding::new(
            CHECK,
            Status::Failed,
            format!("{shown} cannot be written"),
            format!("give it to the user of mini: `chown -R mini: {shown}`"),
        );
    }
    if facts.uid() != geteuid().as_raw() {
        return Finding::new(
            CHECK,
            Status::Warning,
            format!("{shown} belongs to another user"),
            format!("give it to the user of mini: `chown -R mini: {shown}`"),
        );
    }
    if facts.mode() & 0o077 != 0 {
        return Finding::new(
            CHECK,
            Status::Warning,
            format!(
                "{shown} is open to other users (mode {:o})",
                facts.mode() & 0o777
            ),
            format!("close it: `chmod 700 {shown}`"),
        );
    }
    Finding::ok(CHECK, shown.to_string())
}
