//! Commits of repositories elsewhere, fetched by git itself.
//!
//! git is given no program, no path and no protocol but those here: the environment is closed, what is fetched is named behind
//! `--`, and redirects to another protocol are not followed. The token is in the environment of git alone, which only its user
//! and root can read: in no argument, no file, no address and no configuration. git asks for it when the host does, by a helper
//! that is in force for that scheme, host and port; where a redirect leads, it is not told.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::intake::Intake;
use super::repositories::blocking;
use super::{GitError, Repositories, child};
use crate::model::{AppName, BranchName, CommitId, GitCredential, GitUrl};

/// Settings of a fetch. What is checked is what is checked of a push.
const SETTINGS: [&str; 13] = [
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.http.allow=always",
    // Less than 1 KB/s for a minute is a host that hangs.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "fetch.fsckObjects=true",
    "fetch.fsck.zeroPaddedFilemode=ignore",
    "fetch.fsck.badTimezone=ignore",
    "fetch.fsck.badFilemode=ignore",
    "fetch.fsck.missingSpaceBeforeDate=ignore",
    "fetch.fsck.missingEmail=ignore",
    "fetch.fsck.missingNameBeforeEmail=ignore",
    "fetch.fsck.missingSpaceBeforeEmail=ignore",
];
/// What git runs for a password: it prints what is in its environment.
const HELPER: &str = r#"!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$MINI_GIT_USER" "$MINI_GIT_TOKEN"; }; f"#;
/// What is fetched needs a name until it is known by its id. It stays in the intake.
const REFERENCE: &str = "refs/mini/fetched";
/// Bytes of what git says on standard error that are kept.
const SAID_BYTES: u64 = 64 << 10;

/// What is fetched.
#[derive(Debug, Clone)]
pub struct RemoteSource {
    /// The repository.
    pub url: GitUrl,
    /// A branch, a tag or a commit; else what the repository shows first.
    pub reference: Option<BranchName>,
    /// What its host is told when it asks.
    pub credential: Option<GitCredential>,
}

impl Repositories {
    /// Fetches a commit into the repository of an app, which must exist. No branch moves. If dropped, git is ended, and of what it
    /// has brought so far nothing stays.
    ///
    /// # Errors
    /// `Unusable` with what git said where the repository or the commit cannot be had.
    pub async fn fetch(&self, app: &AppName, source: RemoteSource) -> Result<CommitId, GitError> {
        let (repositories, app) = (self.clone(), app.clone());
        let intake = blocking(move || repositories.intake(&app)).await?;
        let intake = Fetching(Some(intake));
        let path = intake.path();
        let wanted = source.reference.as_ref().map_or("HEAD", BranchName::as_str);
        let mut command = child::git();
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        command.arg("--git-dir").arg(path).args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--",
            source.url.as_str(),
            &format!("+{wanted}:{REFERENCE}"),
        ]);
        command.env("GIT_TERMINAL_PROMPT", "0");
        if let Some(credential) = &source.credential {
            tell(&mut command, &source.url, credential);
        }
        let (is_fetched, said) = run(&mut command).await?;
        if !is_fetched {
            return Err(refused(&source, &said));
        }
        let words = ["rev-parse", "--verify", &format!("{REFERENCE}^{{commit}}")];
        let found = child::output(Some(path), words).await.map_err(|_| {
            GitError::unusable(
                format!("`{wanted}` of {} is not a commit", source.url),
                "name a branch, a tag or a commit",
            )
        })?;
        // The commit stays for two weeks by itself (gc.pruneExpire), and for good once a branch is there.
        intake.keep().await?;
        let id = found.trim().parse();
        id.map_err(|_| GitError::Failed("git gave an id we do not understand".to_owned()))
    }
}

/// The intake of a fetch, which is removed by a thread that may wait.
struct Fetching(Option<Intake>);

impl Fetching {
    fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), Intake::path)
    }

    async fn keep(mut self) -> Result<(), GitError> {
        match self.0.take() {
            Some(intake) => blocking(move || intake.keep()).await,
            None => Ok(()),
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        if let Some(intake) = self.0.take() {
            tokio::task::spawn_blocking(move || drop(intake));
        }
    }
}

/// Lets git answer the host of `url`, and no other.
fn tell(command: &mut Command, url: &GitUrl, credential: &GitCredential) {
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env(
            "GIT_CONFIG_KEY_0",
            format!("credential.{}.helper", url.origin()),
        )
        .env("GIT_CONFIG_VALUE_0", HELPER)
        .env("MINI_GIT_USER", &credential.user)
        .env("MINI_GIT_TOKEN", credential.token.reveal());
}

/// Runs git to its end: whether it succeeded, and what it said.
async fn run(command: &mut Command) -> Result<(bool, String), GitError> {
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => GitError::Missing("git is not installed".to_owned()),
        _ => GitError::Io(error),
    })?;
    let group = Group(
        child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw),
    );
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let mut kept = stderr.take(SAID_BYTES);
        kept.read_to_end(&mut said).await?;
        // The rest is read so that nobody waits, and let go.
        tokio::io::copy(&mut kept.into_inner(), &mut tokio::io::sink()).await?;
    }
    let status = child.wait().await?;
    group.let_go();
    Ok((
        status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// git with the programs it has started. Dropped, they are ended: what they have half written goes with its repository.
struct Group(Option<Pid>);

impl Group {
    fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What git said, without the token whoever may have repeated it.
fn refused(source: &RemoteSource, said: &str) -> GitError {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines
        .clone()
        .find_map(|line| line.strip_prefix("fatal: "))
        .or_else(|| lines.next())
        .unwrap_or("git gave no reason");
    let mut why: String = first
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect();
    if let Some(credential) = &source.credential {
        why = why.replace(credential.token.reveal(), "********");
    }
    let asks = ["could not read Username", "Authentication failed", "403"];
    let next = if asks.iter().any(|part| why.contains(part)) {
        format!(
            "if it is private, give the server a token for it, or a new one: `git:auth {} USER TOKEN`",
            source.url.host()
        )
    } else {
        "check the address and the branch, and that the server reaches it".to_owned()
    };
    GitError::unusable(format!("{} could not be fetched: {why}", source.url), next)
}
