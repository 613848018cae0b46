//! Archives from real data directories with real git, there and back.

use std::io::Write;
use std::process::Command;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::envelope::Sealed;
use super::*;
use crate::engine::{BROUGHT, MemoryEngine};
use crate::git::{Repositories, TreeLimits};
use crate::model::{
    AppName, CommitId, ImageId, Problem, Release, ReleaseStatus, ReleaseVersion, Secret, Timestamp,
    Trigger,
};
use crate::store::{Store, StoreError};

fn passphrase() -> Secret {
    Secret::new("correct horse battery")
}

/// What an archive is written to in tests.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct House {
    folder: TempDir,
    source: Source,
    engine: MemoryEngine,
    storage: Option<Vec<AppName>>,
}

fn app() -> AppName {
    "blog".parse().unwrap()
}

fn git(arguments: &[&str]) -> String {
    let output = Command::new("git")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b")])
        .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@b")])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits to the bare repository without a work tree.
fn commit(repository: &str, message: &str) -> CommitId {
    let tree = git(&["-C", repository, "write-tree"]);
    let parent = Command::new("git")
        .args([
            "-C",
            repository,
            "rev-parse",
            "--verify",
            "-q",
            "refs/heads/main",
        ])
        .output()
        .unwrap();
    let parent = String::from_utf8(parent.stdout).unwrap();
    let mut words = vec!["-C", repository, "commit-tree", &tree, "-m", message];
    if !parent.trim().is_empty() {
        words.extend(["-p", parent.trim()]);
    }
    let made = git(&words);
    git(&["-C", repository, "update-ref", "refs/heads/main", &made]);
    made.parse().unwrap()
}

impl House {
    async fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let store = Store::open(&data_dir).unwrap();
        let repositories = Repositories::open(&data_dir, TreeLimits::default()).unwrap();
        let engine = MemoryEngine::new();
        let source = Source {
            data_dir,
            store,
            repositories,
            settings_file: Some(folder.path().join("mini.toml")),
            engine: Arc::new(engine.clone()),
        };
        std::fs::write(folder.path().join("mini.toml"), "log-format = \"json\"\n").unwrap();
        let house = House {
            folder,
            source,
            engine,
            storage: None,
        };
        let made = house
            .source
            .store
            .create_app(&app(), Timestamp::now())
            .await
            .unwrap();
        let values = [("TOKEN".parse().unwrap(), Secret::new("hunter2"))];
        house
            .source
            .store
            .set_config(made.id, values.into_iter().collect(), Vec::new())
            .await
            .unwrap();
        house.source.repositories.create(&app()).await.unwrap();
        let commit = commit(&house.repository(), "one");
        house.release(Some(commit)).await;
        house
    }

    fn repository(&self) -> String {
        self.source.repositories.path(&app()).display().to_string()
    }

    async fn release(&self, commit: Option<CommitId>) {
        let store = &self.source.store;
        let found = store.app(&app()).await.unwrap().unwrap();
        let image: ImageId = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let release = Release {
            app: found.id,
            version: ReleaseVersion(1),
            status: ReleaseStatus::Candidate,
            image,
            commit,
            processes: Default::default(),
            release_command: None,
            port: 5000,
            checks: Default::default(),
            config: Default::default(),
            trigger: Trigger::Push,
            description: "Deploy".to_owned(),
            actor: "me".to_owned(),
            created_at: Timestamp::now(),
            drain_until: None,
        };
        let added = store.add_release(release).await.unwrap();
        store
            .promote(found.id, added.version, Timestamp::now(), true)
            .await
            .unwrap();
    }

    async fn archive(&self) -> Vec<u8> {
        self.try_archive().await.unwrap()
    }

    async fn try_archive(&self) -> Result<Vec<u8>, BackupError> {
        let sink = Sink::default();
        let made = create(
            &self.source,
            passphrase(),
            self.storage.clone(),
            sink.clone(),
        )
        .await;
        let left = std::fs::read_dir(self.source.data_dir.join("backup")).unwrap();
        assert_eq!(left.count(), 0);
        made?;
        Ok(std::mem::take(&mut *sink.0.lock().unwrap()))
    }

    /// Has the app keep something: what Docker says of the folder each time it is read.
    async fn keep(&mut self, name: &str, tars: Vec<Vec<u8>>) {
        let mount = format!("{name}:/kept/{name}").parse().unwrap();
        let store = &self.source.store;
        let found = store.app(&app()).await.unwrap().unwrap();
        store.set_storage_mount(found.id, mount).await.unwrap();
        if !tars.is_empty() {
            self.engine.set_storage(&name.parse().unwrap(), tars);
        }
    }

    async fn verify(&self, archive: Vec<u8>) -> Result<Inside, BackupError> {
        let inside = verify(
            std::io::Cursor::new(archive),
            passphrase(),
            self.folder.path(),
        )
        .await;
        let left = std::fs::read_dir(self.folder.path()).unwrap();
        let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.starts_with('.')).count(), 0);
        inside
    }
}

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

/// A folder as Docker sends it, with one file of this content.
fn folder_of(content: &[u8]) -> Vec<u8> {
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
