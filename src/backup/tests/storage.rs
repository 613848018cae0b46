//! What apps keep in the storage, there and back.

use super::house::{House, app, passphrase};
use crate::backup::{BackupError, restore};
use crate::engine::BROUGHT;
use crate::model::Problem;

/// A folder as Docker sends it, with one file of this content.
pub(super) fn folder_of(content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_path("storage/file").unwrap();
    header.set_size(content.len() as u64);
    header.set_mode(0o640);
    header.set_uid(4711);
    header.set_cksum();
    tar.append(&header, content).unwrap();
    tar.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_apps_keep_is_in_a_backup_by_choice_and_laid_where_the_server_finds_it() {
    let mut house = House::new().await;
    // More than a piece, and nothing that repeats from piece to piece.
    let long: Vec<u8> = (0..9_000_000_u32)
        .flat_map(|n| n.to_le_bytes())
        .take(9 << 20)
        .collect();
    let (data, cut) = (folder_of(&long), folder_of(&long)[..5 << 20].to_vec());
    // Read while a file becomes shorter, and then at rest; one that is not there; one without files.
    house.keep("data", vec![cut, data.clone()]).await;
    house.keep("gone", Vec::new()).await;
    house.keep("empty", vec![vec![0; 1024]]).await;
    let inside = house.verify(house.archive().await).await.unwrap();
    assert_eq!((inside.head.format, inside.storage.len()), (1, 0));

    house.storage = Some(vec!["other".parse().unwrap()]);
    let inside = house.verify(house.archive().await).await.unwrap();
    assert_eq!((inside.head.format, inside.storage.len()), (1, 0));

    house.storage = Some(Vec::new());
    let archive = house.archive().await;
    let inside = house.verify(archive.clone()).await.unwrap();
    let told: Vec<_> = inside
        .storage
        .iter()
        .map(|folder| (folder.name.as_str(), folder.files, folder.bytes))
        .collect();
    assert_eq!(told, [("data", 1, 9 << 20), ("empty", 0, 0)]);
    assert_eq!(inside.head.format, 2);

    let to = house.folder.path().join("restored");
    let archive = std::io::Cursor::new(archive);
    restore(archive, passphrase(), &to, false).await.unwrap();
    assert!(std::fs::read(to.join(BROUGHT).join("data.tar")).unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_never_holds_still_fails_the_backup_and_says_which() {
    let mut house = House::new().await;
    let cut = folder_of(b"hello")[..1024].to_vec();
    house.keep("data", vec![cut]).await;
    house.storage = Some(vec![app()]);
    let error = house.try_archive().await.unwrap_err();
    assert!(
        matches!(&error, BackupError::Storage { name, .. } if name == "data"),
        "{error:?}"
    );
    let device = {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Block);
        header.set_path("storage/sda").unwrap();
        header.set_size(0);
        header.set_cksum();
        tar.append(&header, std::io::empty()).unwrap();
        tar.into_inner().unwrap()
    };
    house.keep("data", vec![device]).await;
    let error = Problem::from(house.try_archive().await.unwrap_err());
    assert!(error.why.contains("`storage/sda`"), "{error:?}");
    house.engine.go_down();
    let error = house.try_archive().await.unwrap_err();
    assert!(matches!(error, BackupError::Engine(_)), "{error:?}");
}
