//! Backups by a schedule.

use super::house::{House, passphrase};
use crate::backup::{Backups, S3Access};
use crate::model::{BackupPlace, BackupRecord, BackupSchedule, BackupStatus, Timestamp};

/// The clock was years ahead for a while, and a backup was made then: with one to keep, each new one was removed at once.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_the_future_does_not_take_the_place_of_the_one_just_made() {
    let house = House::new().await;
    let folder = house.folder.path().join("archives");
    std::fs::create_dir(&folder).unwrap();
    let schedule = BackupSchedule {
        place: BackupPlace::Folder(folder.clone()),
        every_seconds: 3600,
        at_minute: None,
        keep: 1,
        storage: None,
        passphrase: passphrase(),
        since: Timestamp::now(),
    };
    let backups = Backups::new(house.source.clone(), S3Access::default());
    let first = backups.make(&schedule).await.unwrap();
    let (head, _) = first.name.rsplit_once('-').unwrap();
    let ahead = BackupRecord {
        name: format!("{head}-99990101T000000000Z.age"),
        started_at: "9999-01-01T00:00:00Z".parse().unwrap(),
        status: BackupStatus::Running,
        ..first.clone()
    };
    std::fs::rename(folder.join(&first.name), folder.join(&ahead.name)).unwrap();
    let store = &house.source.store;
    store.forget_backup(&first.name).await.unwrap();
    store.add_backup(&ahead).await.unwrap();
    let ended = store.finish_backup(&ahead.name, Ok(1), ahead.started_at);
    ended.await.unwrap();

    let second = backups.make(&schedule).await.unwrap();
    let third = backups.make(&schedule).await.unwrap();
    let is_there = |record: &BackupRecord| folder.join(&record.name).exists();
    assert!(is_there(&third) && is_there(&ahead) && !is_there(&second));
}
