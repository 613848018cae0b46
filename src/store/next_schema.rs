//! The mini after this one, in debug builds only: a copy of the program with [`MARK`] at its end knows one more migration. So tests
//! can upgrade between two schemas whichever is the newest.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::LazyLock;

use super::migrate::{EVENTS, STATE};

const MARK: &[u8] = b"mini: one more migration\n";
/// It takes its time with many rows, so that a kill can fall into it.
const STATE_AFTER: &str =
    "CREATE TABLE of_the_next (id TEXT NOT NULL PRIMARY KEY, failure TEXT) STRICT;
    INSERT INTO of_the_next SELECT id, failure FROM deploys;";
const EVENTS_AFTER: &str = "CREATE TABLE of_the_next (id INTEGER PRIMARY KEY) STRICT;";

type Migrations = &'static [&'static str];

/// What this program knows: `mini.db`, `events.db`.
pub(super) static KNOWN: LazyLock<(Migrations, Migrations)> = LazyLock::new(|| {
    let with = |known: Migrations, after: &'static str| -> Migrations {
        let mut all = known.to_vec();
        all.push(after);
        all.leak()
    };
    match is_marked() {
        Ok(true) => (with(STATE, STATE_AFTER), with(EVENTS, EVENTS_AFTER)),
        Ok(false) | Err(_) => (STATE, EVENTS),
    }
});

fn is_marked() -> io::Result<bool> {
    let mut program = File::open("/proc/self/exe")?;
    program.seek(SeekFrom::End(-i64::try_from(MARK.len()).unwrap_or(0)))?;
    let mut end = Vec::new();
    program.read_to_end(&mut end)?;
    Ok(end == MARK)
}
