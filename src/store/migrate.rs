//! Brings a database file forward, one numbered SQL file and one transaction at a time. The only way back is the copy that is
//! made before ([`super::copies`]).

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{StoreError, copies};

/// Where a database says which mini brought it to its schema.
const MIGRATED_BY: &str = "migrated_by";

/// The schema of `mini.db`. The schema version, `PRAGMA user_version`, is how many of these were applied.
pub(super) const STATE: &[&str] = &[
    include_str!("migrations/001_initial.sql"),
    include_str!("migrations/002_proxy.sql"),
    include_str!("migrations/003_certificates.sql"),
    include_str!("migrations/004_routing.sql"),
    include_str!("migrations/005_orders.sql"),
    include_str!("migrations/006_policy.sql"),
    include_str!("migrations/007_pauses.sql"),
    include_str!("migrations/008_ports.sql"),
    include_str!("migrations/009_automatic_certificates.sql"),
    include_str!("migrations/010_builder.sql"),
    include_str!("migrations/011_builds.sql"),
    include_str!("migrations/012_backups.sql"),
    include_str!("migrations/013_storage.sql"),
    include_str!("migrations/014_git_credentials.sql"),
    include_str!("migrations/015_config_and_locks.sql"),
    include_str!("migrations/016_failure_reasons.sql"),
    include_str!("migrations/017_app_creation.sql"),
    include_str!("migrations/018_deploy_tasks.sql"),
    include_str!("migrations/019_process_settings.sql"),
    include_str!("migrations/020_git_over_ssh.sql"),
];

/// The schema of `events.db`, numbered in the same way.
pub(super) const EVENTS: &[&str] = &[
    include_str!("event_migrations/001_initial.sql"),
    include_str!("event_migrations/002_meta.sql"),
];

/// The migrations of `mini.db` that this program knows.
pub(super) fn state() -> &'static [&'static str] {
    #[cfg(debug_assertions)]
    return super::next_schema::KNOWN.0;
    #[cfg(not(debug_assertions))]
    STATE
}

/// Those of `events.db`.
pub(super) fn events() -> &'static [&'static str] {
    #[cfg(debug_assertions)]
    return super::next_schema::KNOWN.1;
    #[cfg(not(debug_assertions))]
    EVENTS
}

/// The schema version of a database; 0 for one without any table of ours.
///
/// # Errors
/// `Newer` if `migrations` does not reach that far; a database error.
pub(super) fn version(connection: &Connection, migrations: &[&str]) -> Result<usize, StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    usize::try_from(found)
        .ok()
        .filter(|found| *found <= migrations.len())
        .ok_or_else(|| StoreError::Newer {
            found,
            known: i64::try_from(migrations.len()).unwrap_or(i64::MAX),
            by: migrated_by(connection),
        })
}

/// The version of the mini that brought a database to its schema. `None` where it does not say so, which is no error: it is asked
/// of databases that are newer than we are.
fn migrated_by(connection: &Connection) -> Option<String> {
    let by = connection.query_row(
        "SELECT value FROM meta WHERE name = ?1",
        [MIGRATED_BY],
        |row| row.get::<_, Vec<u8>>(0),
    );
    String::from_utf8(by.ok()?).ok()
}

/// Brings the database `connection`, which is the file `path`, forward after it was copied. One that is new or has the newest
/// schema is not copied.
///
/// # Errors
/// As [`migrate`] and [`copies::keep`]; without a copy nothing is changed.
pub(super) fn bring_forward(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&'static str],
) -> Result<(), StoreError> {
    let found = version(connection, migrations)?;
    if found > 0 && found < migrations.len() {
        copies::keep(path, found)?;
    }
    migrate(connection, migrations)
}

/// Applies the migrations that are missing, each in a transaction of its own: after a crash in between, the next call
/// goes on where this one was.
///
/// # Errors
/// `Newer` as [`version`]; a database error, which leaves the version of the last migration that succeeded.
pub(super) fn migrate(
    connection: &mut Connection,
    migrations: &[&'static str],
) -> Result<(), StoreError> {
    let done = version(connection, migrations)?;
    for (number, sql) in (1_i64..).zip(migrations).skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", number)?;
        let has_meta = transaction
            .query_row(
                "SELECT 1 FROM sqlite_schema WHERE name = 'meta'",
                [],
                |_| Ok(()),
            )
            .optional()?
            .is_some();
        if has_meta {
            transaction.execute(
                "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                rusqlite::params![MIGRATED_BY, crate::VERSION.as_bytes()],
            )?;
        }
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(connection: &Connection) -> Vec<String> {
        connection
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    fn check_prefixes(migrations: &[&'static str]) {
        let mut whole = Connection::open_in_memory().unwrap();
        migrate(&mut whole, migrations).unwrap();
        for applied in 0..=migrations.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            migrate(&mut connection, &migrations[..applied]).unwrap();
            assert_eq!(version(&connection, migrations).unwrap(), applied);
            migrate(&mut connection, migrations).unwrap();
            assert_eq!(version(&connection, migrations).unwrap(), migrations.len());
            assert_eq!(schema(&connection), schema(&whole), "from {applied}");
        }
    }

    #[test]
    fn every_prefix_migrates() {
        check_prefixes(STATE);
        check_prefixes(EVENTS);
    }

    #[test]
    fn a_newer_or_senseless_version_is_refused() {
        for found in [2, 99, -1] {
            let mut connection = Connection::open_in_memory().unwrap();
            connection
                .pragma_update(None, "user_version", found)
                .unwrap();
            let error = migrate(&mut connection, &["CREATE TABLE t (a)"]).unwrap_err();
            assert!(
                matches!(error, StoreError::Newer { found: f, known: 1, by: None } if f == found),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_migration_that_fails_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps: &[&'static str] = &[
            "CREATE TABLE t (a)",
            "CREATE TABLE u (a); CREATE TABLE t (b)",
        ];
        assert!(migrate(&mut connection, steps).is_err());
        assert_eq!(version(&connection, steps).unwrap(), 1);
        assert_eq!(schema(&connection), ["CREATE TABLE t (a)"]);
    }
}
