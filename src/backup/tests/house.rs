//! A data directory with a real database and a repository of real git.

use std::io::Write;
use std::process::Command;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::backup::{BackupError, Inside, Source, create, verify};
use crate::engine::MemoryEngine;
use crate::git::{Repositories, TreeLimits};
use crate::model::{
    AppName, CommitId, ImageId, Release, ReleaseStatus, ReleaseVersion, Secret, Timestamp, Trigger,
};
use crate::store::Store;

pub(super) fn passphrase() -> Secret {
    Secret::new("correct horse battery")
}

/// What an archive is written to in tests.
#[derive(Clone, Default)]
pub(super) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) struct House {
    pub(super) folder: TempDir,
    pub(super) source: Source,
    pub(super) engine: MemoryEngine,
    pub(super) storage: Option<Vec<AppName>>,
}

pub(super) fn app() -> AppName {
    "blog".parse().unwrap()
}

pub(super) fn git(arguments: &[&str]) -> String {
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
pub(super) fn commit(repository: &str, message: &str) -> CommitId {
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
    pub(super) async fn new() -> House {
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

    pub(super) fn repository(&self) -> String {
        self.source.repositories.path(&app()).display().to_string()
    }

    pub(super) async fn release(&self, commit: Option<CommitId>) {
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
            postdeploy_command: None,
            formation: None,
            start_command: None,
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

    pub(super) async fn archive(&self) -> Vec<u8> {
        self.try_archive().await.unwrap()
    }

    pub(super) async fn try_archive(&self) -> Result<Vec<u8>, BackupError> {
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
    pub(super) async fn keep(&mut self, name: &str, tars: Vec<Vec<u8>>) {
        let mount = format!("{name}:/kept/{name}").parse().unwrap();
        let store = &self.source.store;
        let found = store.app(&app()).await.unwrap().unwrap();
        store.set_storage_mount(found.id, mount).await.unwrap();
        if !tars.is_empty() {
            self.engine.set_storage(&name.parse().unwrap(), tars);
        }
    }

    pub(super) async fn verify(&self, archive: Vec<u8>) -> Result<Inside, BackupError> {
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
