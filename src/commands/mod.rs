//! Owns every user intention, one file each: arguments, permission, call, answer.
//! Must not know which door the words came through.

pub mod apps;
mod authorize;
pub mod backup;
pub mod builder;
pub mod buildpacks;
pub mod builds;
pub mod certs;
pub mod checks;
mod command;
pub mod config;
mod dialog;
pub mod docker_options;
pub mod doctor;
pub mod domains;
mod door;
mod each;
pub mod git;
pub mod help;
mod html_page;
pub mod http_auth;
mod list;
pub mod logs;
pub mod maintenance;
mod options;
mod page;
pub mod ports;
mod problems;
mod program;
mod progress;
pub mod proxy;
pub mod ps;
pub mod redirects;
pub mod releases;
pub mod repo;
pub mod report;
pub mod rollback;
pub mod routes;
pub mod run;
mod scope;
mod session;
pub mod ssh_keys;
pub mod storage;
mod suggest;
mod table;
pub mod url;
pub mod urls;
pub mod version;
mod words;

pub use authorize::Authorized;
pub use command::{Command, Output};
pub use dialog::{CutShort, Dialog, Input};
pub use door::{answer, problem_json, run_command, run_words, takes_terminal};
pub use list::AnyCommand;
pub use options::{Format, Options};
pub use page::Page;
pub use program::{NEXT, own_program, place_of, program_of};
pub use scope::Scope;
pub use session::{Cut, Session};
pub use suggest::nearest;
pub use words::{Line, Parsed, parse, refused, take_flags, words};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mini_proxy::ProxyHandle;
use tokio::sync::watch;

use crate::access_log::AccessLogs;
use crate::backup::Backups;
use crate::deploy::Deploys;
use crate::engine::ContainerEngine;
use crate::events::Journal;
use crate::git::Repositories;
use crate::model::{DomainName, Kind, Problem, Timestamp};
use crate::reconcile::Reconciler;
use crate::store::Store;

/// What commands work with. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    /// The database.
    pub store: Store,
    /// The journal.
    pub journal: Journal,
    /// Docker.
    pub engine: Arc<dyn ContainerEngine>,
    /// The repositories.
    pub repositories: Repositories,
    /// The pipeline.
    pub deploys: Deploys,
    /// The reconciler.
    pub reconciler: Reconciler,
    /// The proxy, for what it has counted.
    pub proxy: ProxyHandle,
    /// The backups it makes.
    pub backups: Backups,
    /// The access logs.
    pub access_logs: AccessLogs,
    /// Facts about this server.
    pub facts: Arc<ServerFacts>,
    /// Set when the server is about to end: a command without an end of its own ends with [`interrupted`].
    pub leaving: watch::Receiver<bool>,
}

impl Platform {
    /// Resolves when the server is about to end; never while it is not.
    pub async fn leaves(&self) {
        let mut leaving = self.leaving.clone();
        if leaving.wait_for(|is_leaving| *is_leaving).await.is_err() {
            // Nobody can say so any more.
            std::future::pending().await
        }
    }

    /// Resolves when the server is about to end and somebody who takes nothing has been waited for long enough.
    pub async fn gives_up(&self) {
        if !stays_set(&mut self.leaving.clone(), UNREAD).await {
            // Nobody can say so any more.
            std::future::pending().await
        }
    }
}

/// Resolves when something has been set for so long without a break: a takeover may be called off. False when nobody is left who
/// could set it.
pub async fn stays_set(is_set: &mut watch::Receiver<bool>, limit: Duration) -> bool {
    loop {
        if is_set.wait_for(|is_set| *is_set).await.is_err() {
            return false;
        }
        let is_over = is_set.wait_for(|is_set| !*is_set);
        match tokio::time::timeout(limit, is_over).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return false,
            Err(_) => return true,
        }
    }
}

/// How much is given at once to somebody who may be slow, bytes.
pub const PIECE_BYTES: usize = 32 << 10;
/// The exit status of a command whose output was cut, as of one that was interrupted (128 and SIGINT).
pub const INTERRUPTED: u8 = 128 + 2;

/// How long a server that is about to end waits for somebody who takes no more of what a command has left to say, such as a
/// pager that shows its first page. Whoever is only slow takes a piece ([`PIECE_BYTES`]) in this time.
pub const UNREAD: Duration = Duration::from_secs(5);

/// What a command says that would go on for ever, but for the end of the server.
pub fn interrupted() -> Problem {
    Problem::new(
        Kind::Unavailable,
        "The server is being restarted",
        "this would go on until you leave, so the server does not wait for it",
        "run the same command again in a moment",
    )
}

/// Who issues certificates to this server.
#[derive(Debug, Clone)]
pub struct CertificateAuthority {
    /// The URL of its directory.
    pub directory: String,
    /// Whether wildcards can be had, which needs a DNS hook.
    pub has_wildcards: bool,
}

/// Facts about the running server that reports show.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The file with the settings, if there is one.
    pub settings_file: Option<PathBuf>,
    /// Where SSH listens.
    pub ssh: Vec<SocketAddr>,
    /// Where the proxy listens for HTTP.
    pub http: Vec<SocketAddr>,
    /// Where only the figures for monitoring are served.
    pub metrics: Vec<SocketAddr>,
    /// Where the proxy listens for HTTPS.
    pub https: Vec<SocketAddr>,
    /// Base domains, the first is shown first.
    pub base_domains: Vec<DomainName>,
    /// Who issues certificates, when they are ordered automatically.
    pub certificate_authority: Option<CertificateAuthority>,
    /// Whether a deploy to a name that no app has creates the app.
    pub creates_apps: bool,
    /// When the server started.
    pub started_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that is only slow was cut by a server that went on: its successor had failed meanwhile.
    #[tokio::test(start_paused = true)]
    async fn what_is_taken_back_has_not_stayed_set() {
        let (set, mut is_set) = watch::channel(true);
        let limit = Duration::from_secs(5);
        let begun = tokio::time::Instant::now();
        let (stayed, ()) = tokio::join!(stays_set(&mut is_set, limit), async {
            tokio::time::sleep(limit / 2).await;
            set.send_replace(false);
            tokio::time::sleep(limit * 2).await;
            set.send_replace(true);
        });
        assert!(stayed);
        assert_eq!(begun.elapsed(), limit / 2 + limit * 2 + limit);
        set.send_replace(false);
        drop(set);
        assert!(!stays_set(&mut is_set, limit).await);
    }
}
