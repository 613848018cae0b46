//! Archives from real data directories with real git, there and back.

mod hostile;
mod house;
mod keeper;
mod storage;

use super::*;
use crate::engine::MemoryEngine;
use crate::git::{Repositories, TreeLimits};
use crate::model::{AppName, ReleaseVersion, Timestamp};
use crate::store::{Store, StoreError};

use house::{House, app, commit, git, passphrase};

#[tokio::test]
async fn what_was_backed_up_is_there_again_with_its_secrets_and_commits() {
    let house = House::new().await;
    // A release whose commit no branch reaches any more is needed all the same.
    let lost = commit(&house.repository(), "two");
    house.release(Some(lost.clone())).await;
    git(&[
        "-C",
        &house.repository(),
        "update-ref",
        "refs/heads/main",
        "refs/heads/main~1",
    ]);
    let archive = house.archive().await;
    assert!(archive.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    let text = String::from_utf8_lossy(&archive);
    assert!(!text.contains("hunter2") && !text.contains("blog"));

    let inside = house.verify(archive.clone()).await.unwrap();
    assert_eq!(inside.apps.len(), 1);
    assert_eq!(inside.apps[0].commit, Some(lost.clone()));
    assert!(inside.apps[0].is_restorable && inside.has_settings);
    assert_eq!(inside.apps[0].config_vars, 1);

    let data_dir = house.folder.path().join("elsewhere");
    let archive = std::io::Cursor::new(archive);
    let restored = restore(archive, passphrase(), &data_dir, false)
        .await
        .unwrap();
    assert_eq!((restored.inside, restored.kept), (inside, None));
    let settings = std::fs::read_to_string(restored.settings.unwrap()).unwrap();
    assert_eq!(settings, "log-format = \"json\"\n");
    let store = Store::open(&data_dir).unwrap();
    assert_eq!(store.instance(), house.source.store.instance());
    let found = store.app(&app()).await.unwrap().unwrap();
    assert_eq!(found.current, Some(ReleaseVersion(2)));
    let config = store.config(found.id).await.unwrap();
    assert_eq!(config.values().next().unwrap().reveal(), "hunter2");
    let repositories = Repositories::open(&data_dir, TreeLimits::default()).unwrap();
    let was = house.source.repositories.references(&app()).await.unwrap();
    assert!(was.is_some());
    assert_eq!(repositories.references(&app()).await.unwrap(), was);
    assert_eq!(repositories.subject(&app(), &lost).await.unwrap(), "two");
}

#[tokio::test]
async fn a_shallow_history_is_restored_as_it_was() {
    let house = House::new().await;
    let repository = house.repository();
    let two = commit(&repository, "two");
    house.release(Some(two.clone())).await;
    // As a push from a shallow clone leaves it: the parent is not there.
    std::fs::write(format!("{repository}/shallow"), format!("{two}\n")).unwrap();
    git(&[
        "-C",
        &repository,
        "-c",
        "gc.pruneExpire=now",
        "gc",
        "--quiet",
        "--prune=now",
    ]);
    let inside = house.verify(house.archive().await).await.unwrap();
    assert_eq!(inside.apps[0].commit, Some(two));
}

#[tokio::test]
async fn an_app_that_was_never_pushed_is_no_obstacle() {
    let house = House::new().await;
    let name: AppName = "new".parse().unwrap();
    house
        .source
        .store
        .create_app(&name, Timestamp::now())
        .await
        .unwrap();
    house.source.repositories.create(&name).await.unwrap();
    let bare: AppName = "bare".parse().unwrap();
    house
        .source
        .store
        .create_app(&bare, Timestamp::now())
        .await
        .unwrap();
    let inside = house.verify(house.archive().await).await.unwrap();
    let names: Vec<&str> = inside.apps.iter().map(|app| app.app.as_str()).collect();
    assert_eq!(names, ["blog", "new", "bare"]);
}

#[tokio::test]
async fn backups_while_commits_go_on_are_each_of_one_moment() {
    let house = House::new().await;
    let source = house.source.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let repository = house.repository();
    let committing = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let house = House {
            folder: tempfile::tempdir().unwrap(),
            source,
            engine: MemoryEngine::new(),
            storage: None,
        };
        let mut count = 0;
        while stopped.try_recv().is_err() {
            let made = commit(&repository, "more");
            runtime.block_on(house.release(Some(made)));
            git(&[
                "-C",
                &repository,
                "-c",
                "gc.auto=20",
                "-c",
                "gc.autoDetach=false",
                "gc",
                "--auto",
                "--quiet",
            ]);
            count += 1;
        }
        count
    });
    for _ in 0..4 {
        let inside = house.verify(house.archive().await).await.unwrap();
        assert!(inside.apps[0].is_restorable);
    }
    stop.send(()).unwrap();
    assert!(committing.await.unwrap() > 0);
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_kept_when_forced() {
    let house = House::new().await;
    let archive = house.archive().await;
    let data_dir = house.source.data_dir.clone();
    let again = |is_forced| {
        let archive = std::io::Cursor::new(archive.clone());
        restore(archive, passphrase(), &data_dir, is_forced)
    };
    let error = again(true).await.unwrap_err();
    assert!(
        matches!(error, BackupError::Store(StoreError::InUse { .. })),
        "{error:?}"
    );
    house.source.store.close().await.unwrap();
    let error = again(false).await.unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty(_)), "{error:?}");
    let kept = again(true).await.unwrap().kept.unwrap();
    assert!(kept.join("mini.db").exists() && kept.join("repos/blog.git").exists());
    Store::open(&data_dir).unwrap();
}
