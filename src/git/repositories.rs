//! The folder with all bare repositories, one per app.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::claims::{Claim, Claims};
use super::intake::Intake;
use super::tree::CommitTree;
use super::{GitError, child, hooks, leftovers};
use crate::model::{AppName, BranchName, CommitId};

/// The folder with all repositories. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repositories {
    root: PathBuf,
    hooks: PathBuf,
    limits: TreeLimits,
    claims: Claims,
}

/// Limits of what may be built.
#[derive(Debug, Clone, Copy)]
pub struct TreeLimits {
    /// Sum of all file sizes, bytes; also the size of the pack that one push may bring.
    pub total_bytes: u64,
    /// Number of entries.
    pub entries: usize,
}

impl Default for TreeLimits {
    /// DECISIONS.md, "Numbers": 1 GiB and 100,000 entries.
    fn default() -> Self {
        Self {
            total_bytes: 1 << 30,
            entries: 100_000,
        }
    }
}

/// The oldest git that has `proc-receive`.
pub const OLDEST_GIT: (u32, u32) = (2, 29);

impl Repositories {
    /// `<data_dir>/repos`; made if missing. Installs the hook scripts into `<data_dir>/hooks` (one directory for all), and
    /// removes what a crash left half made or half removed: only the server that has the data directory may call it.
    pub fn open(data_dir: &Path, limits: TreeLimits) -> Result<Repositories, GitError> {
        // Children run in other directories, and hooks run with a changed one.
        let data_dir = std::path::absolute(data_dir)?;
        let root = data_dir.join("repos");
        fs::create_dir_all(&root)?;
        leftovers::remove_all(&root)?;
        let hooks = hooks::install(&data_dir)?;
        Ok(Self {
            root,
            hooks,
            limits,
            claims: Claims::default(),
        })
    }

    /// `git --version`, for `doctor` and the check at start (2.29 at least, for proc-receive).
    pub async fn version() -> Result<String, GitError> {
        let said = child::output(None, ["--version"]).await?;
        let version = said
            .trim()
            .strip_prefix("git version ")
            .unwrap_or(&said)
            .trim();
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
        let found = (
            numbers.next().flatten().unwrap_or(0),
            numbers.next().flatten().unwrap_or(0),
        );
        if found < OLDEST_GIT {
            let (major, minor) = OLDEST_GIT;
            return Err(GitError::Missing(format!(
                "git {version} is too old: {major}.{minor} or later is needed"
            )));
        }
        Ok(version.to_owned())
    }

    /// What may be built.
    pub(super) fn limits(&self) -> TreeLimits {
        self.limits
    }

    /// Where the repository of an app is, whether or not it exists.
    pub fn path(&self, app: &AppName) -> PathBuf {
        self.root.join(format!("{app}.git"))
    }

    /// The apps that have a repository.
    pub async fn apps(&self) -> Result<BTreeSet<AppName>, GitError> {
        let mut apps = BTreeSet::new();
        let mut entries = tokio::fs::read_dir(&self.root).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".git"));
            apps.extend(name.and_then(|name| name.parse().ok()));
        }
        Ok(apps)
    }

    /// Claims the name of an app, so that nobody else makes or replaces its repository meanwhile; `None` while somebody else does.
    /// Whoever makes one that others may come to find claims its name first, and only then looks whether there is such an app.
    pub fn try_claim(&self, app: &AppName) -> Option<Claim> {
        self.claims.try_claim(app)
    }

    /// The same once whoever has claimed it is done.
    pub async fn claim(&self, app: &AppName) -> Claim {
        self.claims.claim(app).await
    }

    /// Makes the bare repository if it is missing. If cancelled, at most a folder whose name begins with a dot is left.
    pub async fn create(&self, app: &AppName) -> Result<(), GitError> {
        let path = self.path(app);
        if tokio::fs::try_exists(path.join("HEAD")).await? {
            return Ok(());
        }
        // Made beside and renamed, so that a repository is there whole or not at all.
        let beside = self.beside(app, "new")?;
        let made = child::output(
            None,
            [
                "init".as_ref(),
                "--bare".as_ref(),
                "--quiet".as_ref(),
                "--template=".as_ref(),
                "--initial-branch=main".as_ref(),
                beside.as_os_str(),
            ],
        )
        .await;
        let result = match made {
            Ok(_) => tokio::fs::rename(&beside, &path).await,
            Err(error) => {
                let _ = tokio::fs::remove_dir_all(&beside).await;
                return Err(error);
            }
        };
        if let Err(error) = result {
            let _ = tokio::fs::remove_dir_all(&beside).await;
            // Two first pushes at once: the other one was faster.
            if !tokio::fs::try_exists(path.join("HEAD")).await? {
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Whether an app's name has a repository with a branch or a tag in it.
    pub async fn is_filled(&self, app: &AppName) -> Result<bool, GitError> {
        let path = self.path(app);
        if !tokio::fs::try_exists(path.join("HEAD")).await? {
            return Ok(false);
        }
        let words = ["for-each-ref", "--count=1", "--format=%(refname)"];
        Ok(!child::output(Some(&path), words).await?.is_empty())
    }

    /// Gives the repository of an app that is renamed its new name. Fine when there is none.
    pub async fn rename(&self, from: &AppName, to: &AppName) -> Result<(), GitError> {
        match tokio::fs::rename(self.path(from), self.path(to)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Takes the repository of an app away, for good where nothing follows: no app of the name finds it, also after a loss of
    /// power, and what is left of it goes with the next start of the server. `None` when there is none.
    pub async fn set_aside(&self, app: &AppName) -> Result<Option<SetAside>, GitError> {
        let (path, beside) = (self.path(app), self.beside(app, "old")?);
        match tokio::fs::rename(&path, &beside).await {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let aside = SetAside { path, beside };
        let synced = match tokio::fs::File::open(&self.root).await {
            Ok(root) => root.sync_all().await,
            Err(error) => Err(error),
        };
        if let Err(error) = synced {
            aside.put_back().await?;
            return Err(error.into());
        }
        Ok(Some(aside))
    }

    /// The commit a branch is at.
    pub async fn tip(
        &self,
        app: &AppName,
        branch: &BranchName,
    ) -> Result<Option<CommitId>, GitError> {
        let path = self.path(app);
        let name = format!("refs/heads/{branch}");
        blocking(move || {
            let repository = open(&path)?;
            let found = repository
                .try_find_reference(name.as_str())
                .map_err(GitError::reading)?;
            let Some(mut reference) = found else {
                return Ok(None);
            };
            let id = reference.peel_to_id().map_err(GitError::reading)?;
            commit_id(&id).map(Some)
        })
        .await
    }

    /// Moves a branch from `from` (none: must not exist) to `to`; `Moved` if it is elsewhere.
    pub async fn move_branch(
        &self,
        app: &AppName,
        branch: &BranchName,
        from: Option<&CommitId>,
        to: &CommitId,
    ) -> Result<(), GitError> {
        let reference = format!("refs/heads/{branch}");
        let nothing = "0".repeat(to.as_str().len());
        let old = from.map_or(nothing.as_str(), CommitId::as_str);
        let moved = child::output(
            Some(&self.path(app)),
            ["update-ref", reference.as_str(), to.as_str(), old],
        )
        .await;
        match moved {
            Ok(_) => Ok(()),
            Err(error) => {
                let tip = self.tip(app, branch).await?;
                if tip.as_ref() == from {
                    Err(error)
                } else {
                    Err(GitError::Moved)
                }
            }
        }
    }

    /// The child for a fetch.
    pub fn upload_pack(&self, app: &AppName, protocol: Option<&str>) -> tokio::process::Command {
        let mut command = child::git();
        command
            .args(["-c", "transfer.hideRefs=refs/mini", "upload-pack"])
            .arg(self.path(app));
        piped(&mut command, protocol);
        command
    }

    /// The child for a push; `environment` reaches the hooks.
    pub fn receive_pack(
        &self,
        app: &AppName,
        protocol: Option<&str>,
        environment: &BTreeMap<String, String>,
    ) -> tokio::process::Command {
        let mut command = child::git();
        child::receiving(&mut command, &self.hooks, self.limits.total_bytes);
        command
            .arg("receive-pack")
            .arg(self.path(app))
            .envs(environment);
        piped(&mut command, protocol);
        command
    }

    /// The tree of a commit, checked against the limits, for detection. Blocking work is done off the async threads.
    pub async fn tree(&self, app: &AppName, commit: &CommitId) -> Result<CommitTree, GitError> {
        let path = self.path(app);
        let commit = commit.clone();
        let limits = self.limits;
        blocking(move || CommitTree::read_from(&path, &commit, limits)).await
    }

    /// First line of the commit's message, for release descriptions.
    pub async fn subject(&self, app: &AppName, commit: &CommitId) -> Result<String, GitError> {
        let path = self.path(app);
        let commit = commit.clone();
        blocking(move || {
            let repository = open(&path)?;
            let found = find_commit(&repository, &commit)?;
            let message = found.message_raw_sloppy().to_vec();
            let text = String::from_utf8_lossy(&message);
            let line = text.trim_start().lines().next().unwrap_or_default();
            Ok(line.chars().filter(|c| !c.is_control()).collect())
        })
        .await
    }

    /// Packs what pushes have left as single objects, where it has become much (1000 objects, or 50 packs, git's default).
    /// Objects that no branch reaches stay for two weeks (`gc.pruneExpire`), so that pushes and builds that go on meanwhile
    /// lose nothing. Takes milliseconds when there is nothing to do, minutes for a large repository; if cancelled, git is
    /// ended and the repository is as it was.
    pub async fn tidy(&self, app: &AppName) -> Result<(), GitError> {
        let settings = ["-c", "gc.auto=1000", "-c", "gc.autoDetach=false"];
        let words = ["gc", "--auto", "--quiet"];
        let path = self.path(app);
        child::output(Some(&path), settings.into_iter().chain(words))
            .await
            .map(drop)
    }

    /// Begins to collect objects for the repository of an app. Blocks.
    pub(super) fn intake(&self, app: &AppName) -> Result<Intake, GitError> {
        Intake::open(self.beside(app, "intake")?, self.path(app))
    }

    /// A path beside the repository of `app`, on the same file system, that nothing else uses.
    pub(super) fn beside(&self, app: &AppName, what: &str) -> Result<PathBuf, GitError> {
        let number = getrandom::u64().map_err(|error| GitError::Failed(error.to_string()))?;
        Ok(self.root.join(format!(".{app}.{what}.{number:016x}")))
    }
}

/// A repository that was taken away from its app.
#[derive(Debug)]
#[must_use = "what is left of it stays on the disk until the next start"]
pub struct SetAside {
    path: PathBuf,
    beside: PathBuf,
}

impl SetAside {
    /// Gives it back to its app.
    pub async fn put_back(self) -> Result<(), GitError> {
        Ok(tokio::fs::rename(&self.beside, &self.path).await?)
    }

    /// Removes what is left of it.
    pub async fn remove(self) -> Result<(), GitError> {
        Ok(tokio::fs::remove_dir_all(&self.beside).await?)
    }
}

fn piped(command: &mut tokio::process::Command, protocol: Option<&str>) {
    if let Some(protocol) = protocol {
        command.env("GIT_PROTOCOL", protocol);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
}

pub(super) async fn blocking<T, F>(work: F) -> Result<T, GitError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, GitError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(GitError::Failed(
            "reading the repository ended early".to_owned(),
        )),
    }
}

/// Opens a repository, believing nothing outside it.
pub(super) fn open(path: &Path) -> Result<gix::Repository, GitError> {
    if !path.is_dir() {
        return Err(GitError::NotFound("the repository".to_owned()));
    }
    gix::open::Options::isolated()
        .with(gix::sec::Trust::Full)
        .open_path_as_is(true)
        .open(path)
        .map(Into::into)
        .map_err(GitError::reading)
}

pub(super) fn find_commit<'r>(
    repository: &'r gix::Repository,
    commit: &CommitId,
) -> Result<gix::Commit<'r>, GitError> {
    let id = gix::ObjectId::from_hex(commit.as_str().as_bytes()).map_err(GitError::reading)?;
    let object = repository
        .try_find_object(id)
        .map_err(GitError::reading)?
        .ok_or_else(|| GitError::NotFound(format!("commit {}", commit.short())))?;
    object
        .peel_to_kind(gix::object::Kind::Commit)
        .map_err(GitError::reading)?
        .try_into_commit()
        .map_err(GitError::reading)
}

fn commit_id(id: &gix::hash::oid) -> Result<CommitId, GitError> {
    id.to_hex()
        .to_string()
        .parse()
        .map_err(|_| GitError::Failed("git gave an id we do not understand".to_owned()))
}

#[cfg(test)]
mod tests;
