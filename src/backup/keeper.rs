//! Backups by a schedule: made, read again, and the oldest removed. One at a time.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use super::create::run;
use super::{BackupError, NewFile, Source, create, verify};
use crate::model::{BackupRecord, BackupSchedule, BackupStatus, Timestamp};
use crate::store::StoreError;

/// How often it looks whether a backup is due; a schedule that is set is seen at once.
const IDLE: Duration = Duration::from_secs(60);

/// The backups of a server. Cheap to clone.
#[derive(Clone)]
pub struct Backups {
    source: Source,
    /// Held while one of the schedule is made.
    turn: Arc<Mutex<()>>,
    changed: watch::Sender<()>,
}

impl Backups {
    /// Backups of this.
    pub fn new(source: Source) -> Backups {
        Backups {
            source,
            turn: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// What is backed up.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Sets the schedule, or has no more backups made.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn set_schedule(&self, schedule: Option<BackupSchedule>) -> Result<(), StoreError> {
        self.source.store.set_backup_schedule(schedule).await?;
        self.changed.send_replace(());
        Ok(())
    }

    /// Makes backups when they are due, until it is dropped; begins none while `leaving` is set.
    pub async fn keep(&self, mut leaving: watch::Receiver<bool>) {
        let store = &self.source.store;
        if let Err(error) = store.fail_running_backups(Timestamp::now()).await {
            tracing::error!(%error, "the record of backups could not be settled");
        }
        let mut changed = self.changed.subscribe();
        loop {
            // Its end is the end of the server.
            if leaving.wait_for(|is_leaving| !is_leaving).await.is_err() {
                return;
            }
            let wait = match self.look().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "the schedule of backups could not be read");
                    IDLE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = changed.changed() => {}
            }
        }
    }

    /// Makes a backup if one is due; how long there is nothing to do otherwise.
    async fn look(&self) -> Result<Duration, StoreError> {
        let store = &self.source.store;
        let Some(schedule) = store.backup_schedule().await? else {
            return Ok(IDLE);
        };
        let due = schedule.due(&store.backups().await?);
        match Duration::try_from(due.duration_since(Timestamp::now())) {
            Ok(left) if !left.is_zero() => Ok(left.min(IDLE)),
            Ok(_) | Err(_) => {
                match self.make(&schedule).await {
                    Ok(record) => tracing::info!(name = record.name, "backed up and verified"),
                    Err(error) => tracing::error!(why = error.to_line(), "a backup failed"),
                }
                Ok(Duration::ZERO)
            }
        }
    }

    /// Makes one, reads it again, and removes what the schedule has no more use for. How it went is on record.
    ///
    /// # Errors
    /// Why it failed; then what was there before is all still there.
    pub async fn make(&self, schedule: &BackupSchedule) -> Result<BackupRecord, BackupError> {
        let _turn = self.turn.lock().await;
        let started_at = Timestamp::now();
        let mut record = BackupRecord {
            name: format!("mini-{}.age", started_at.strftime("%Y%m%dT%H%M%S%3fZ")),
            folder: schedule.folder.clone(),
            started_at,
            finished_at: None,
            status: BackupStatus::Running,
            bytes: None,
            failure: None,
        };
        let store = &self.source.store;
        store.add_backup(&record).await?;
        let made = self.make_and_verify(schedule, &record).await;
        let result = match &made {
            Ok(bytes) => Ok(*bytes),
            Err(error) => Err(error.to_line()),
        };
        let finished_at = Timestamp::now();
        store
            .finish_backup(&record.name, result, finished_at)
            .await?;
        let bytes = made?;
        self.remove_superfluous(schedule).await;
        record.status = BackupStatus::Verified;
        record.finished_at = Some(finished_at);
        record.bytes = Some(bytes);
        Ok(record)
    }

    async fn make_and_verify(
        &self,
        schedule: &BackupSchedule,
        record: &BackupRecord,
    ) -> Result<u64, BackupError> {
        let place = record.folder.join(&record.name);
        let begun = place.clone();
        let file = run(move || NewFile::begin(&begun)).await?;
        let (file, _) = create(&self.source, schedule.passphrase.clone(), file).await?;
        run(move || file.finish()).await?;
        // Beside the copies that were made of databases, so that a crash leaves nothing for long.
        let scratch = self.source.data_dir.join("backup");
        let (bytes, read) = run({
            let place = place.clone();
            move || {
                let file = File::open(&place).map_err(BackupError::Read)?;
                let bytes = file.metadata().map_err(BackupError::Read)?.len();
                Ok((bytes, io::BufReader::new(file)))
            }
        })
        .await?;
        verify(read, schedule.passphrase.clone(), &scratch).await?;
        Ok(bytes)
    }

    async fn remove_superfluous(&self, schedule: &BackupSchedule) {
        let store = &self.source.store;
        let records = match store.backups().await {
            Ok(records) => records,
            Err(error) => {
                tracing::error!(%error, "old backups could not be looked up");
                return;
            }
        };
        for record in schedule.superfluous(&records) {
            let removed = match tokio::fs::remove_file(record.folder.join(&record.name)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
            let forgotten = match removed {
                Ok(()) => store.forget_backup(&record.name).await,
                Err(error) => {
                    tracing::warn!(name = record.name, %error, "an old backup could not be removed");
                    continue;
                }
            };
            if let Err(error) = forgotten {
                tracing::error!(%error, "a removed backup could not be forgotten");
            }
        }
    }
}

/// Makes the folder of a schedule where it is missing, and sees that files can be written there. Blocks.
///
/// # Errors
/// `Write`.
pub fn prepare_folder(folder: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(folder)
        .map_err(BackupError::Write)?;
    // Given up at once, it leaves nothing.
    NewFile::begin(&folder.join("mini-probe.age")).map(drop)
}
