//! `git:auth-status`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{GitHost, HostKey, Permission, Problem};

/// Say what the server has for a host of private repositories: git:auth-status github.com
///
/// A token (`git:auth`) is for addresses with https, keys of the host (`git:allow-host`) for those with ssh. Ends with 1 where
/// there is neither.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthStatus {
    /// The host, such as github.com
    pub host: GitHost,
}

/// What there is for a host.
#[derive(Debug, Serialize)]
pub struct Status {
    host: GitHost,
    /// Whose token it is told, if there is one.
    user: Option<String>,
    /// By which keys it is known over ssh.
    keys: Vec<HostKey>,
}

impl Command for AuthStatus {
    type Output = Status;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Status, Problem> {
        let credential = platform.store.git_credential(&self.host).await?;
        Ok(Status {
            user: credential.map(|credential| credential.user),
            keys: platform.store.git_host_keys(&self.host).await?,
            host: self.host,
        })
    }
}

impl Output for Status {
    fn print(&self, page: &mut Page) {
        let host = &self.host;
        page.header(match &self.user {
            Some(user) => format!("{host} is told the token of {user} when it asks"),
            None => format!("There is no token for {host}"),
        });
        page.header(match self.keys.is_empty() {
            false => {
                format!("{host} may be fetched from over ssh, while it shows one of these keys")
            }
            true => format!("{host} may not be fetched from over ssh"),
        });
        for key in &self.keys {
            page.detail(key.to_string());
        }
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.user.is_none() && self.keys.is_empty())
    }
}
