//! Making an archive while the server works: one moment of the database with the references of all repositories, then what
//! they reach.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::BackupError;
use super::archive::{self, Archive};
use super::manifest::{FORMAT, Head, Manifest};
use super::storage::{self, FolderInside};
use crate::engine::ContainerEngine;
use crate::git::{References, Repositories};
use crate::model::{AppId, AppName, Secret, StorageName, Timestamp};
use crate::store::{self, CopiedApp, Store};

/// Where copies of databases lie meanwhile, in the data directory.
const WORK: &str = "backup";
/// How often the moment is taken again when a push was committed in the middle of it.
const TRIES: usize = 8;

/// What is backed up. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Its database.
    pub store: Store,
    /// Its repositories.
    pub repositories: Repositories,
    /// The file with the settings, where there is one.
    pub settings_file: Option<PathBuf>,
    /// What reads the folders of the storage, which belong to whom containers run as.
    pub engine: Arc<dyn ContainerEngine>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What the archive says of itself.
    pub head: Head,
    /// What is in it.
    pub manifest: Manifest,
    /// The apps in it.
    pub apps: Vec<AppName>,
    /// The folders of the storage in it.
    pub storage: Vec<FolderInside>,
}

/// The references of each app's repository, as of one moment. An app without one has none.
type AllReferences = BTreeMap<AppId, References>;

/// Writes an archive to `out` and returns that with what is in it. Holds a few MiB, and for as long as it takes a copy of
/// the databases in the data directory. If cancelled, the writing ends by itself when `out` takes no more. With `storage` it has
/// what these apps keep in the storage, or all apps where none is named; that is read one file after the other, after the moment
/// of everything else.
///
/// # Errors
/// `Write` where `out` takes no more, `Store`, `Git`, `File`, `Randomness`; `Engine` and `Storage` for folders.
pub async fn create<W: Write + Send + 'static>(
    source: &Source,
    passphrase: Secret,
    storage: Option<Vec<AppName>>,
    out: W,
) -> Result<(W, Made), BackupError> {
    let work = Work::begin(&source.data_dir)?;
    let mut moment = moment(source, &work).await?;
    let folders = folders(source, storage).await?;
    if !folders.is_empty() {
        moment.head.format = FORMAT;
    }
    let events = work.path.join("events.db");
    let from = source.data_dir.join("events.db");
    if from.exists() {
        let to = events.clone();
        run(move || Ok(store::copy_database(&from, &to)?)).await?;
    }
    let source = source.clone();
    let mut without = Vec::new();
    let mut wanted = Vec::new();
    for app in moment.apps.clone() {
        let references = match moment.references.get(&app.name) {
            Some(references) => references.clone(),
            None => {
                without.push(app.name);
                continue;
            }
        };
        let commits = app.releases.iter().filter_map(|(_, commit)| commit.clone());
        let commits: BTreeSet<_> = commits.collect();
        if !source.repositories.path(&app.name).join("HEAD").exists() {
            return Err(BackupError::Moved(app.name.to_string()));
        }
        // A commit that a forced push has left may be gone by now; what runs is on the branch.
        let present = source
            .repositories
            .present(&app.name, commits.into_iter().collect())
            .await
            .map_err(|error| git(&app.name, error))?;
        let mut tips: BTreeSet<String> = references.at.values().cloned().collect();
        tips.extend(present.iter().map(|commit| commit.as_str().to_owned()));
        wanted.push(Wanted {
            name: app.name,
            references,
            tips: tips.into_iter().collect(),
        });
    }
    run(move || {
        let mut archive = Archive::begin(out, &passphrase, &moment.head)?;
        archive.add_file("mini.db", &work.path.join("mini.db"))?;
        if events.exists() {
            archive.add_file("events.db", &events)?;
        }
        for key in ["keys/config.key", "keys/ssh_host_ed25519"] {
            let path = source.data_dir.join(key);
            // The host key is made by the first start of SSH.
            if path.exists() {
                archive.add_file(key, &path)?;
            }
        }
        if let Some(settings) = source.settings_file.filter(|path| path.exists()) {
            archive.add_file("settings/mini.toml", &settings)?;
        }
        for wanted in wanted {
            add_repository(&mut archive, &source.repositories, &wanted)?;
        }
        let mut storage = Vec::new();
        for name in &folders {
            match storage::add(&mut archive, source.engine.as_ref(), name)? {
                Some(folder) => storage.push(folder),
                None => tracing::warn!(%name, "a folder of the storage is not there, and not in the backup"),
            }
        }
        let (out, manifest) = archive.finish(without)?;
        drop(work);
        let made = Made {
            head: moment.head,
            manifest,
            apps: moment.apps.into_iter().map(|app| app.name).collect(),
            storage,
        };
        Ok((out, made))
    })
    .await
}

/// The folders that these apps see; those of all apps where none is named.
async fn folders(
    source: &Source,
    apps: Option<Vec<AppName>>,
) -> Result<BTreeSet<StorageName>, BackupError> {
    let Some(wanted) = apps else {
        return Ok(BTreeSet::new());
    };
    let apps = source.store.apps().await?;
    for name in &wanted {
        if !apps.iter().any(|app| app.name == *name) {
            tracing::warn!(app = %name, "the storage of an app that is gone is not in the backup");
        }
    }
    let is_wanted = |id: AppId| {
        let mut apps = apps.iter().filter(|app| app.id == id);
        wanted.is_empty() || apps.any(|app| wanted.contains(&app.name))
    };
    let mounts = source.store.all_storage_mounts().await?;
    let mounts = mounts.into_iter().filter(|mount| is_wanted(mount.app));
    Ok(mounts.map(|mount| mount.mount.name).collect())
}

/// A repository to be copied.
struct Wanted {
    name: AppName,
    references: References,
    tips: Vec<String>,
}

fn add_repository<W: Write>(
    archive: &mut Archive<W>,
    repositories: &Repositories,
    wanted: &Wanted,
) -> Result<(), BackupError> {
    let failed = |error| git(&wanted.name, error);
    let folder = format!("repositories/{}", wanted.name);
    archive.add(&format!("{folder}/head"), wanted.references.head.as_bytes())?;
    let text = wanted.references.to_text();
    archive.add(&format!("{folder}/refs"), text.as_bytes())?;
    if wanted.tips.is_empty() {
        return Ok(());
    }
    let mut pack = repositories
        .pack(&wanted.name, &wanted.tips)
        .map_err(failed)?;
    archive.add_pieces(&format!("{folder}/pack"), &mut pack)?;
    if let Some(shallow) = pack.finish().map_err(failed)? {
        archive.add(&format!("{folder}/shallow"), shallow.as_bytes())?;
    }
    Ok(())
}

/// One moment of everything.
struct Moment {
    head: Head,
    apps: Vec<CopiedApp>,
    references: BTreeMap<AppName, References>,
}

/// Copies the database between two looks at the references: where no reference moved, all is of one moment, as a loss of
/// power would leave it. Where pushes come so fast that one always does, the look before counts: a release whose branch
/// has not moved yet is no harm, for pushing it again moves it.
async fn moment(source: &Source, work: &Work) -> Result<Moment, BackupError> {
    let path = work.path.join("mini.db");
    let mut before = references(source).await?;
    let mut tries = 1;
    let (created_at, references) = loop {
        let created_at = Timestamp::now();
        source.store.copy_to(path.clone()).await?;
        let after = references(source).await?;
        if after == before || tries == TRIES {
            break (created_at, before);
        }
        before = after;
        tries += 1;
        let removed = tokio::fs::remove_file(&path).await;
        removed.map_err(|error| BackupError::file("backup/mini.db", error))?;
    };
    let (schema, apps) = run(move || {
        let schema = store::check_database(&path)?;
        Ok((schema, store::apps_of_copy(&path)?))
    })
    .await?;
    let by_name = apps
        .iter()
        .filter_map(|app| Some((app.name.clone(), references.get(&app.id)?.clone())))
        .collect();
    Ok(Moment {
        head: archive::head(schema, created_at),
        apps,
        references: by_name,
    })
}

async fn references(source: &Source) -> Result<AllReferences, BackupError> {
    let mut all = AllReferences::new();
    for app in source.store.apps().await? {
        let found = source.repositories.references(&app.name).await;
        if let Some(references) = found.map_err(|error| git(&app.name, error))? {
            all.insert(app.id, references);
        }
    }
    Ok(all)
}

fn git(app: &AppName, source: crate::git::GitError) -> BackupError {
    BackupError::Git {
        app: app.to_string(),
        source,
    }
}

/// Off the async threads.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(BackupError::Canceled))
}

/// The folder of one backup, gone with it. What a crash left of others goes with the next.
struct Work {
    path: PathBuf,
}

impl Work {
    fn begin(data_dir: &Path) -> Result<Work, BackupError> {
        let failed = |error| BackupError::file("the folder `backup` of the data directory", error);
        let root = data_dir.join(WORK);
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&root)
            .map_err(failed)?;
        let number = getrandom::u64().map_err(|_| BackupError::Randomness)?;
        let path = root.join(format!("{number:016x}"));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(failed)?;
        Ok(Work { path })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, "the working folder of a backup could not be removed");
        }
    }
}

/// Removes the working folders that a crash has left. For a server that begins: no backup goes on then.
///
/// # Errors
/// `File`.
pub fn remove_leftovers(data_dir: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(data_dir.join(WORK)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(BackupError::file(
            "the folder `backup` of the data directory",
            error,
        )),
        _ => Ok(()),
    }
}
