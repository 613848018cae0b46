//! Commits of repositories elsewhere, fetched by git itself.
//!
//! git is given no program, no path and no protocol but those here: the environment is closed, what is fetched is named behind
//! `--`, and redirects to another protocol are not followed. The token is in the environment of git alone, which only its user
//! and root can read: in no argument, no file, no address and no configuration. git asks for it when the host does, by a helper
//! that is in force for that scheme, host and port; where a redirect leads, it is not told. Over ssh, git runs OpenSSH with our
//! settings alone: no file of a user, the host keys that were allowed, and our agent in place of a key.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::deploy_key::{Agent, DeployKey};
use super::intake::Intake;
use super::repositories::blocking;
use super::{GitError, Repositories, child, host_keys};
use crate::model::{
    AppName, BranchName, CommitId, GitCredential, GitTransport, GitUrl, HostKey, Secret,
};

/// Settings of a fetch. What is checked is what is checked of a push.
const SETTINGS: [&str; 11] = [
    "protocol.allow=never",
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
/// Which protocols a fetch may use, by what it begins with.
const OVER_HTTP: [&str; 2] = ["protocol.https.allow=always", "protocol.http.allow=always"];
const OVER_SSH: [&str; 1] = ["protocol.ssh.allow=always"];
/// How git runs ssh, beside the host (ssh_config(5)). Names are those of files in the intake, where git works.
const SSH: &str = "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=known_hosts -o GlobalKnownHostsFile=none \
    -o UpdateHostKeys=no -o IdentityFile=none -o PreferredAuthentications=publickey -o ForwardAgent=no -o ConnectTimeout=15 \
    -o ServerAliveInterval=15 -o ServerAliveCountMax=4 -o LogLevel=ERROR";
const KNOWN_HOSTS: &str = "known_hosts";
const AGENT: &str = "agent";
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
    /// How it is let in.
    pub access: RemoteAccess,
}

/// How the host of a repository lets us in.
#[derive(Debug, Clone)]
pub enum RemoteAccess {
    /// As everybody.
    Open,
    /// By a token, when it asks.
    Token(GitCredential),
    /// By our deploy key, once it has shown one of its own.
    Ssh {
        /// Ours ([`super::DeployKey::to_secret`]).
        key: Secret,
        /// Its own.
        host: Vec<HostKey>,
    },
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
        let over: &[&str] = match source.url.transport() {
            GitTransport::Http | GitTransport::Https => &OVER_HTTP,
            GitTransport::Ssh => &OVER_SSH,
        };
        for setting in over {
            command.arg("-c").arg(setting);
        }
        command.current_dir(path).args([
            "--git-dir=.",
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
        let _agent = match &source.access {
            RemoteAccess::Open => None,
            RemoteAccess::Token(credential) => {
                tell(&mut command, &source.url, credential);
                None
            }
            RemoteAccess::Ssh { key, host } => {
                let known = host_keys::known_hosts(source.url.host(), host);
                tokio::fs::write(path.join(KNOWN_HOSTS), known).await?;
                command.env("GIT_SSH_COMMAND", SSH);
                command.env("SSH_AUTH_SOCK", AGENT);
                Some(Agent::listen(path, AGENT, DeployKey::from_secret(key)?)?)
            }
        };
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
    let first = match source.url.transport() {
        // ssh has its say first; what git says after that is the same whatever it was.
        GitTransport::Ssh => lines
            .clone()
            .find(|line| !line.starts_with('@') && !line.starts_with("fatal: ")),
        GitTransport::Http | GitTransport::Https => None,
    };
    let first = first
        .or_else(|| lines.clone().find_map(|line| line.strip_prefix("fatal: ")))
        .or_else(|| lines.next())
        .unwrap_or("git gave no reason");
    let mut why: String = first
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect();
    if let RemoteAccess::Token(credential) = &source.access {
        why = why.replace(credential.token.reveal(), "********");
    }
    let host = source.url.host();
    let has = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    let next = match source.url.transport() {
        GitTransport::Ssh if has(&["HOST IDENTIFICATION HAS CHANGED", "Host key verification"]) => {
            why = "it shows another key than it is known by".to_owned();
            format!("find out why; if it is right, have its new keys taken: `git:allow-host {host}`")
        }
        GitTransport::Ssh if has(&["Permission denied"]) => {
            "give the repository the key that `git:public-key` prints, as a deploy key that may read".to_owned()
        }
        GitTransport::Http | GitTransport::Https
            if has(&["could not read Username", "Authentication failed", "403"]) =>
        {
            format!("if it is private, give the server a token for it, or a new one: `git:auth {host} USER TOKEN`")
        }
        _ => "check the address and the branch, and that the server reaches it".to_owned(),
    };
    GitError::unusable(format!("{} could not be fetched: {why}", source.url), next)
}
