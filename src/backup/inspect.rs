//! Whether what was unpacked is whole: every key opens, every row reads, every commit that a release needs is there.

use std::path::Path;

use serde::Serialize;

use super::BackupError;
use super::create::run;
use super::manifest::Head;
use super::storage::FolderInside;
use super::unpack::Unpacked;
use crate::git;
use crate::model::{AppName, CommitId, ReleaseVersion};
use crate::store::{self, Store};

/// An app in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppInside {
    /// Its name.
    pub app: AppName,
    /// The release that served.
    pub release: Option<ReleaseVersion>,
    /// The commit that one was made from.
    pub commit: Option<CommitId>,
    /// Whether the source is there to build the release again.
    pub is_restorable: bool,
    /// How many config vars it has.
    pub config_vars: usize,
}

/// What is in a backup that was read whole and found in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inside {
    /// What it says of itself.
    #[serde(flatten)]
    pub head: Head,
    /// The apps.
    pub apps: Vec<AppInside>,
    /// How many SSH keys may log in.
    pub ssh_keys: usize,
    /// How many certificates there are.
    pub certificates: usize,
    /// The folders of the storage.
    pub storage: Vec<FolderInside>,
    /// Whether the settings of the server are with it.
    pub has_settings: bool,
    /// How many files.
    pub files: usize,
    /// Their length in all, bytes.
    pub bytes: u64,
}

/// Looks at a folder that was unpacked, which becomes a data directory of this mini: its database is brought forward.
///
/// # Errors
/// `Store` where the database or its key is not sound, `Git` or `Unsound` where a repository lacks something.
pub(super) async fn inspect(folder: &Path, unpacked: Unpacked) -> Result<Inside, BackupError> {
    let Unpacked {
        head,
        manifest,
        storage,
    } = unpacked;
    let database = folder.join("mini.db");
    let copied = run(move || {
        store::check_database(&database)?;
        Ok(store::apps_of_copy(&database)?)
    })
    .await?;
    for app in &copied {
        let path = folder.join("repos").join(format!("{}.git", app.name));
        let current = app
            .releases
            .iter()
            .find(|(version, _)| Some(*version) == app.current);
        let needed = current.and_then(|(_, commit)| commit.clone());
        if !path.exists() {
            if needed.is_some() && !manifest.without_repository.contains(&app.name) {
                return Err(BackupError::Unsound(format!(
                    "the repository of {} is missing",
                    app.name
                )));
            }
            continue;
        }
        let name = app.name.to_string();
        run(move || {
            let needed: Vec<CommitId> = needed.into_iter().collect();
            git::check_repository(&path, &needed)
                .map_err(|source| BackupError::Git { app: name, source })
        })
        .await?;
    }
    let opened = folder.to_owned();
    let store = run(move || Ok(Store::open(&opened)?)).await?;
    store.forget_running_backups().await?;
    let counted = count(&store).await;
    store.close().await?;
    let (config_vars, ssh_keys, certificates) = counted?;
    let apps = copied
        .into_iter()
        .zip(config_vars)
        .map(|(app, config_vars)| {
            let current = app
                .releases
                .into_iter()
                .find(|(version, _)| Some(*version) == app.current);
            let commit = current.and_then(|(_, commit)| commit);
            let has_repository = !manifest.without_repository.contains(&app.name);
            AppInside {
                release: app.current,
                is_restorable: commit.is_some() && has_repository,
                commit,
                config_vars,
                app: app.name,
            }
        })
        .collect();
    Ok(Inside {
        head,
        apps,
        ssh_keys,
        certificates,
        storage,
        has_settings: manifest.files.contains_key("settings/mini.toml"),
        files: manifest.files.len(),
        bytes: manifest.files.values().map(|file| file.bytes).sum(),
    })
}

/// Opens everything that is sealed, so that a wrong key is found now.
async fn count(store: &Store) -> Result<(Vec<usize>, usize, usize), BackupError> {
    let desired = store.desired().await?;
    let mut apps = store.apps().await?;
    // As the copy was read: by their ids.
    apps.sort_by_key(|app| app.id);
    let mut config_vars = Vec::new();
    store.global_config().await?;
    for app in apps {
        config_vars.push(store.config(app.id).await?.len());
    }
    Ok((
        config_vars,
        store.ssh_keys().await?.len(),
        desired.certificates.len(),
    ))
}
