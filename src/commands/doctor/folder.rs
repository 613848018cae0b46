//! The data directory.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::process::geteuid;

use super::{Finding, Status};

const CHECK: &str = "data directory";

/// Whether the data directory is ours, closed to others, and writable.
pub(super) fn data_dir(path: &Path) -> Finding {
    let shown = path.display();
    let facts = match std::fs::metadata(path) {
        Ok(facts) => facts,
        Err(error) => return unseen(path, &error),
    };
    let remedy = || format!("give it to the user of mini: `chown -R mini: {shown}`");
    if access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let found = format!("{shown} cannot be written");
        return Finding::new(CHECK, Status::Failed, found, remedy());
    }
    if facts.uid() != geteuid().as_raw() {
        let found = format!("{shown} belongs to another user");
        return Finding::new(CHECK, Status::Warning, found, remedy());
    }
    closed(path, &facts)
}

/// The same where no server runs: as which user it would, the caller does not know.
pub(super) fn of_any_user(path: &Path) -> Finding {
    match std::fs::metadata(path) {
        Ok(facts) => closed(path, &facts),
        Err(error) if error.kind() == ErrorKind::NotFound => Finding::ok(
            CHECK,
            format!("{} is not there yet; the server makes it", path.display()),
        ),
        Err(error) => unseen(path, &error),
    }
}

fn unseen(path: &Path, error: &std::io::Error) -> Finding {
    Finding::new(
        CHECK,
        Status::Failed,
        format!("{} could not be looked at: {error}", path.display()),
        "start mini with a --data-dir it may use",
    )
}

fn closed(path: &Path, facts: &Metadata) -> Finding {
    let shown = path.display();
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
