//! The schedule of backups, sealed as one value for the passphrase in it, and a record of each that was made.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};
use zeroize::Zeroizing;

use super::seal::Place;
use super::{Store, StoreError, row};
use crate::model::{BackupRecord, BackupSchedule, BackupStatus, Timestamp};

const PLACE: Place<'static> = Place {
    table: "backup_schedule",
    app: 0,
    key: "schedule",
};

impl Store {
    /// The schedule, if there is one.
    ///
    /// # Errors
    /// `Damaged` if it does not decrypt.
    pub async fn backup_schedule(&self) -> Result<Option<BackupSchedule>, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| {
            let sealed: Option<Vec<u8>> = tx
                .prepare_cached("SELECT schedule FROM backup_schedule")?
                .query_row([], |found| found.get(0))
                .optional()?;
            let damaged = || StoreError::damaged_row("the schedule of backups does not decrypt");
            sealed
                .map(|sealed| {
                    let plain = seal.open(PLACE, &sealed).ok_or_else(damaged)?;
                    serde_json::from_slice(&plain).map_err(|_| damaged())
                })
                .transpose()
        })
        .await
    }

    /// Sets the schedule, or with `None` has no more backups made.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn set_backup_schedule(
        &self,
        schedule: Option<BackupSchedule>,
    ) -> Result<(), StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.write(move |tx| {
            match schedule {
                Some(schedule) => {
                    let plain = Zeroizing::new(row::to_json(&schedule)?);
                    let sealed = seal.close(PLACE, plain.as_bytes())?;
                    tx.execute(
                        "INSERT OR REPLACE INTO backup_schedule (id, schedule) VALUES (1, ?1)",
                        [sealed],
                    )?
                }
                None => tx.execute("DELETE FROM backup_schedule", [])?,
            };
            Ok(())
        })
        .await
    }

    /// The backups that are remembered, newest first.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn backups(&self) -> Result<Vec<BackupRecord>, StoreError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT * FROM backups ORDER BY started_at DESC, name DESC")?
                .query_and_then([], read)?
                .collect()
        })
        .await
    }

    /// Remembers a backup that begins.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn add_backup(&self, record: &BackupRecord) -> Result<(), StoreError> {
        let record = record.clone();
        self.write(move |tx| {
            tx.execute(
                "INSERT OR REPLACE INTO backups (name, folder, started_at, status) VALUES (?1, ?2, ?3, ?4)",
                params![
                    record.name,
                    record.place.to_string().into_bytes(),
                    row::micros(record.started_at),
                    record.status.as_str(),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Says how a backup ended: its length, or why it failed.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn finish_backup(
        &self,
        name: &str,
        result: Result<u64, String>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |tx| {
            let (status, bytes, failure) = match result {
                Ok(bytes) => (BackupStatus::Verified, Some(bytes), None),
                Err(why) => (BackupStatus::Failed, None, Some(why)),
            };
            let bytes = bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
            tx.execute(
                "UPDATE backups SET status = ?2, bytes = ?3, failure = ?4, finished_at = ?5 WHERE name = ?1",
                params![name, status.as_str(), bytes, failure, row::micros(at)],
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets a backup whose file is gone.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn forget_backup(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |tx| {
            tx.execute("DELETE FROM backups WHERE name = ?1", [name])?;
            Ok(())
        })
        .await
    }

    /// Forgets what was being made. In a copy of the database that is the very archive which holds the copy, or one made at
    /// the same time, of which the copy cannot know how it ended.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn forget_running_backups(&self) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute("DELETE FROM backups WHERE status = 'running'", [])?;
            Ok(())
        })
        .await
    }

    /// What was being made when the server ended has failed.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn fail_running_backups(&self, at: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.execute(
                "UPDATE backups SET status = 'failed', failure = 'the server ended in the middle of it', finished_at = ?1 \
                 WHERE status = 'running'",
                [row::micros(at)],
            )?;
            Ok(())
        })
        .await
    }
}

fn read(found: &Row<'_>) -> Result<BackupRecord, StoreError> {
    let place = String::from_utf8_lossy(&found.get::<_, Vec<u8>>("folder")?).into_owned();
    Ok(BackupRecord {
        name: found.get("name")?,
        place: place
            .parse()
            .map_err(|_| StoreError::damaged_row("the place of a backup does not read"))?,
        started_at: row::moment(found.get("started_at")?)?,
        finished_at: found
            .get::<_, Option<i64>>("finished_at")?
            .map(row::moment)
            .transpose()?,
        status: row::text(found, "status")?,
        bytes: found
            .get::<_, Option<i64>>("bytes")?
            .map(|bytes| u64::try_from(bytes).unwrap_or_default()),
        failure: found.get("failure")?,
    })
}
