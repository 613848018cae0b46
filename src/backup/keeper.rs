//! Backups by a schedule: made, read again, and the oldest removed. One at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use super::archive::host;
use super::archives::{ArchiveWriter, Archives, NewArchive};
use super::retention::{Names, superfluous};
use super::{BackupError, Made, S3Access, Source, create, verify};
use crate::model::{
    AppName, BackupPlace, BackupRecord, BackupSchedule, BackupStatus, Secret, Timestamp,
};
use crate::store::StoreError;

/// How often it looks whether a backup is due; a schedule that is set is seen at once.
const IDLE: Duration = Duration::from_secs(60);

/// The backups of a server. Cheap to clone.
#[derive(Clone)]
pub struct Backups {
    source: Source,
    access: S3Access,
    /// Held while one of the schedule is made.
    turn: Arc<Mutex<()>>,
    changed: watch::Sender<()>,
}

impl Backups {
    /// Backups of this; `access` leads to buckets.
    pub fn new(source: Source, access: S3Access) -> Backups {
        Backups {
            source,
            access,
            turn: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// What is backed up.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// A place for archives.
    ///
    /// # Errors
    /// `Bucket` where the settings do not lead there.
    pub fn archives(&self, place: &BackupPlace) -> Result<Archives, BackupError> {
        Archives::at(place, &self.access)
    }

    /// Writes one archive to where it is to be, for whoever asks for it; the schedule never removes it.
    ///
    /// # Errors
    /// Why it could not be made; then nothing of it is left.
    pub async fn make_at(
        &self,
        archive: NewArchive,
        passphrase: Secret,
        storage: Option<Vec<AppName>>,
    ) -> Result<(Made, u64), BackupError> {
        let made = |out: ArchiveWriter| create(&self.source, passphrase, storage, out);
        archive.fill(made).await
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
        let now = Timestamp::now();
        let due = schedule.due(&store.backups().await?, now);
        match Duration::try_from(due.duration_since(now)) {
            Ok(left) if !left.is_zero() => Ok(left.min(IDLE)),
            Ok(_) | Err(_) => match self.make(&schedule).await {
                Ok(record) => {
                    tracing::info!(name = record.name, "backed up and verified");
                    Ok(Duration::ZERO)
                }
                Err(error) => {
                    tracing::error!(why = error.to_line(), "a backup failed");
                    // On a full disk that is not on record either, and due again at once.
                    Ok(IDLE)
                }
            },
        }
    }

    /// Makes one, reads it again, and removes what the schedule has no more use for. How it went is on record.
    ///
    /// # Errors
    /// Why it failed; then what was there before is all still there.
    pub async fn make(&self, schedule: &BackupSchedule) -> Result<BackupRecord, BackupError> {
        let _turn = self.turn.lock().await;
        let started_at = Timestamp::now();
        let names = Names::of(&host(), &self.source.store.instance());
        let mut record = BackupRecord {
            name: names.at(started_at),
            place: schedule.place.clone(),
            started_at,
            finished_at: None,
            status: BackupStatus::Running,
            bytes: None,
            failure: None,
        };
        let store = &self.source.store;
        store.add_backup(&record).await?;
        let made = self.make_and_verify(schedule, &names, &record).await;
        let result = match &made {
            Ok(bytes) => Ok(*bytes),
            Err(error) => Err(error.to_line()),
        };
        let finished_at = Timestamp::now();
        store
            .finish_backup(&record.name, result, finished_at)
            .await?;
        let bytes = made?;
        self.remove_superfluous(schedule, &names, &record.name)
            .await;
        record.status = BackupStatus::Verified;
        record.finished_at = Some(finished_at);
        record.bytes = Some(bytes);
        Ok(record)
    }

    async fn make_and_verify(
        &self,
        schedule: &BackupSchedule,
        names: &Names,
        record: &BackupRecord,
    ) -> Result<u64, BackupError> {
        let archives = self.archives(&schedule.place)?;
        let ours = names.clone();
        let cleared = archives.clear_unfinished(names.beginning(), move |name| ours.has(name));
        if let Err(error) = cleared.await {
            tracing::warn!(
                why = error.to_line(),
                "what a crash has left of backups could not be removed"
            );
        }
        let archive = archives.begin(&record.name).await?;
        let (passphrase, storage) = (schedule.passphrase.clone(), schedule.storage.clone());
        let (_, bytes) = self.make_at(archive, passphrase, storage).await?;
        // Beside the copies that were made of databases, so that a crash leaves nothing for long.
        let scratch = self.source.data_dir.join("backup");
        let read = archives.read(&record.name).await?;
        verify(read, schedule.passphrase.clone(), &scratch).await?;
        Ok(bytes)
    }

    /// A failure here fails no backup: the next one tries again.
    async fn remove_superfluous(&self, schedule: &BackupSchedule, names: &Names, made: &str) {
        if let Err(error) = self.try_remove(schedule, names, made).await {
            tracing::warn!(why = error.to_line(), "old backups could not be removed");
        }
    }

    async fn try_remove(
        &self,
        schedule: &BackupSchedule,
        names: &Names,
        made: &str,
    ) -> Result<(), BackupError> {
        let store = &self.source.store;
        let archives = self.archives(&schedule.place)?;
        let listed = archives.list(names.beginning()).await?;
        let records = store.backups().await?;
        let listed = listed.iter().map(|kept| kept.name.as_str());
        // Names tell moments. Those behind the one just made are of a clock that was wrong, and would take the places of all others.
        let listed = listed.filter(|name| *name <= made);
        let records: Vec<BackupRecord> = records
            .into_iter()
            .filter(|record| record.name.as_str() <= made)
            .collect();
        for name in superfluous(schedule, names, listed, &records) {
            archives.remove(&name).await?;
            store.forget_backup(&name).await?;
        }
        Ok(())
    }
}
