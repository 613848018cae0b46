//! `git:allow-host`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::git::{GitError, scan_host_keys};
use crate::model::{GitHost, HostKey, Kind, Permission, Problem};

/// Let the server fetch over ssh from a host, by the keys it shows now: git:allow-host github.com
///
/// The server asks the host for its keys and keeps them; from then on `git:sync` fetches there only while it shows one of them.
/// Compare the fingerprints with those that the host publishes: whoever is on the way could show others. Called again, it takes
/// the keys that are shown then in place of those it has.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowHost {
    /// The host, such as github.com or git.example.com:2222
    pub host: GitHost,
    /// Forget its keys
    #[arg(long)]
    #[serde(default)]
    pub remove: bool,
}

/// By which keys a host is known now.
#[derive(Debug, Serialize)]
pub struct Allowed {
    host: GitHost,
    keys: Vec<HostKey>,
    #[serde(skip)]
    was_known: bool,
}

impl Command for AllowHost {
    type Output = Allowed;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Allowed, Problem> {
        let Self { host, remove } = self;
        if remove {
            let was_known = platform.store.remove_git_host(&host).await?;
            return Ok(Allowed {
                host,
                keys: Vec::new(),
                was_known,
            });
        }
        let keys = tokio::select! {
            keys = scan_host_keys(&host) => keys.map_err(unseen)?,
            () = dialog.gone() => return Err(Problem::new(
                Kind::Canceled,
                "You left before the host had answered",
                "",
                "Run the command again",
            )),
        };
        let store = &platform.store;
        store.set_git_host_keys(&host, keys.clone()).await?;
        Ok(Allowed {
            host,
            keys,
            was_known: true,
        })
    }
}

fn unseen(error: GitError) -> Problem {
    match error {
        GitError::Missing(why) => Problem::new(
            Kind::Unavailable,
            "The host was not asked",
            why,
            "Install it on the server (`apt-get install openssh-client`), and run the command again",
        ),
        error => error.into(),
    }
}

impl Output for Allowed {
    fn print(&self, page: &mut Page) {
        let host = &self.host;
        page.header(match (self.keys.is_empty(), self.was_known) {
            (false, _) => {
                format!("{host} is known by these keys; compare them with what it publishes")
            }
            (true, true) => format!("Forgot the keys of {host}"),
            (true, false) => format!("{host} was not known"),
        });
        for key in &self.keys {
            page.detail(key.to_string());
        }
    }
}
