//! Archives that others have made, or that are no archives.

use std::io::Write;

use super::house::{House, passphrase};
use super::storage::folder_of;
use crate::backup::envelope::Sealed;
use crate::backup::{BackupError, manifest};

/// An archive of these files, sealed as ours are.
fn forged(files: &[(&str, &[u8], tar::EntryType)]) -> Vec<u8> {
    let sealed = Sealed::begin(Vec::new(), &passphrase()).unwrap();
    let mut tar = tar::Builder::new(zstd::Encoder::new(sealed, 1).unwrap());
    for (path, content, kind) in files {
        let mut header = tar::Header::new_ustar();
        // As a hostile one writes it, unchecked.
        let name = &mut header.as_old_mut().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(content.len() as u64);
        header.set_entry_type(*kind);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner()
        .unwrap()
        .finish()
        .unwrap()
        .finish()
        .unwrap()
}

fn head_of(format: u32) -> Vec<u8> {
    format!(
        r#"{{"format":{format},"mini":"9.0.0","schema":1,"created_at":"2026-01-01T00:00:00Z","host":"h"}}"#
    )
    .into_bytes()
}

#[tokio::test]
async fn archives_that_cannot_be_used_each_say_why() {
    let house = House::new().await;
    let regular = tar::EntryType::Regular;
    let head = head_of(1);
    let begun = ("mini-backup.json", head.as_slice(), regular);
    let check = async |archive: Vec<u8>, is_expected: fn(&BackupError) -> bool| {
        let error = house.verify(archive).await.unwrap_err();
        assert!(is_expected(&error), "{error:?}");
    };
    let is_hostile = |error: &BackupError| matches!(error, BackupError::Hostile(_));
    let newer = head_of(manifest::FORMAT + 1);
    check(
        forged(&[("mini-backup.json", &newer, regular)]),
        |error| matches!(error, BackupError::Newer { version } if version == "9.0.0"),
    )
    .await;
    for path in [
        "../evil",
        "/etc/cron.d/evil",
        "keys/../../evil",
        "repositories/blog/hooks/pre-receive",
    ] {
        check(forged(&[begun, (path, b"x", regular)]), is_hostile).await;
    }
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Directory,
        tar::EntryType::GNUSparse,
    ] {
        check(forged(&[begun, ("mini.db", b"", kind)]), is_hostile).await;
    }
    check(
        forged(&[
            begun,
            ("mini.db", b"x", regular),
            ("mini.db", b"x", regular),
        ]),
        is_hostile,
    )
    .await;
    let refs = b"0000 refs/heads/../../x\n";
    let bad_refs = [
        begun,
        (
            "repositories/blog/head",
            b"ref: refs/heads/main".as_slice(),
            regular,
        ),
        ("repositories/blog/refs", refs, regular),
    ];
    check(forged(&bad_refs), is_hostile).await;
    check(forged(&[("mini.db", b"x", regular)]), |e| {
        matches!(e, BackupError::NotABackup(_))
    })
    .await;
    check(forged(&[begun, ("mini.db", b"x", regular)]), |e| {
        matches!(e, BackupError::Unsound(_))
    })
    .await;

    let whole = house.archive().await;
    check(whole[..whole.len() / 2].to_vec(), |e| {
        matches!(e, BackupError::Truncated | BackupError::Damaged)
    })
    .await;
    check(whole[..whole.len() - 1].to_vec(), |e| {
        matches!(e, BackupError::Truncated)
    })
    .await;
    assert!(house.verify(whole).await.is_ok());
}

#[tokio::test]
async fn a_bomb_is_refused_before_it_is_unpacked() {
    let house = House::new().await;
    let sealed = Sealed::begin(Vec::new(), &passphrase()).unwrap();
    let mut encoder = zstd::Encoder::new(sealed, 1).unwrap();
    let head = head_of(1);
    let mut header = tar::Header::new_ustar();
    header.set_path("mini-backup.json").unwrap();
    header.set_size(head.len() as u64);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    let mut padded = head.clone();
    padded.resize(head.len().next_multiple_of(512), 0);
    encoder.write_all(&padded).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path("mini.db").unwrap();
    header.set_size(1 << 50);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    encoder.write_all(&vec![0; 1 << 20]).unwrap();
    let archive = encoder.finish().unwrap().finish().unwrap();
    let error = house.verify(archive).await.unwrap_err();
    assert!(matches!(error, BackupError::TooLarge), "{error:?}");
}

#[tokio::test]
async fn folders_of_others_are_refused_before_docker_sees_them() {
    let house = House::new().await;
    let regular = tar::EntryType::Regular;
    let head = head_of(2);
    let begun = ("mini-backup.json", head.as_slice(), regular);
    let manifest = br#"{"files":{},"without_repository":[]}"#.as_slice();
    let end = ("manifest.json", manifest, regular);
    let escape = {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..14].copy_from_slice(b"storage/../x/y");
        header.set_size(1);
        header.set_cksum();
        tar.append(&header, b"x".as_slice()).unwrap();
        tar.into_inner().unwrap()
    };
    let (whole, first, second) = (
        folder_of(b"x"),
        "storage/data/0/0000000",
        "storage/data/1/0000000",
    );
    let check = async |entries: &[(&str, &[u8], tar::EntryType)], is_hostile: bool| {
        let error = house.verify(forged(entries)).await.unwrap_err();
        match is_hostile {
            true => assert!(matches!(error, BackupError::Hostile(_)), "{error:?}"),
            false => assert!(matches!(error, BackupError::Unsound(_)), "{error:?}"),
        }
    };
    check(&[begun, (first, &escape, regular), end], true).await;
    check(&[begun, (first, &whole[..700], regular), end], false).await;
    // A later try that is cut off counts, however good the one before was.
    let later = (second, &whole[..700], regular);
    check(&[begun, (first, &whole, regular), later, end], false).await;
    let early = (first, whole.as_slice(), regular);
    check(&[begun, (second, &whole, regular), early, end], true).await;
    let other = ("storage/other/0/0000000", whole.as_slice(), regular);
    check(&[begun, early, other, later, end], true).await;
    // In order, but the list at the end does not name it.
    check(&[begun, early, end], false).await;
}
