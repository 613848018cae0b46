//! `git:auth`

use std::convert::Infallible;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{GitCredential, GitHost, Kind, Permission, Problem, Secret};

/// The longest token that is taken, bytes; those of hosts have some hundreds.
const LIMIT: usize = 4096;

/// Give the server a token for private repositories of a host, or take it back: git:auth github.com USER TOKEN
///
/// It is kept encrypted and told to that host alone, over https, when `git:sync` fetches there and the host asks. Without TOKEN
/// it is asked for, or read from standard input: git:auth github.com USER < FILE. Without USER the host is forgotten.
///
/// Tokens that may read one repository are best: a fine-grained one of GitHub, a deploy token of GitLab or Gitea.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The host, such as github.com
    pub host: GitHost,
    /// The user that the token is of
    #[serde(default)]
    pub user: Option<String>,
    /// The token; given here, other users of your computer may read it while the command runs
    #[arg(value_parser = secret)]
    #[serde(default)]
    pub token: Option<Secret>,
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// What is known of a host now.
#[derive(Debug, Serialize)]
pub struct Known {
    host: GitHost,
    /// None where it was forgotten.
    user: Option<String>,
    #[serde(skip)]
    was_known: bool,
}

impl Command for Auth {
    type Output = Known;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Known, Problem> {
        let Some(user) = self.user else {
            let was_known = platform.store.remove_git_credential(&self.host).await?;
            return Ok(Known {
                host: self.host,
                user: None,
                was_known,
            });
        };
        let token = match self.token {
            Some(token) => Some(token),
            None => {
                dialog
                    .ask_secret(&format!("Token of {user} for {}", self.host))
                    .await?
            }
        };
        let is_line = |text: &str| {
            !text.is_empty() && text.len() <= LIMIT && !text.chars().any(char::is_control)
        };
        let token = token.filter(|token| is_line(token.reveal()));
        let (Some(token), true) = (token, is_line(&user)) else {
            return Err(Problem::new(
                Kind::Invalid,
                format!("Nothing was changed for {}", self.host),
                "user and token are one line each, and not empty",
                "Type the token when asked, which needs a terminal (`ssh -t`), or give it on standard input",
            ));
        };
        let credential = GitCredential {
            user: user.clone(),
            token,
        };
        platform
            .store
            .set_git_credential(&self.host, credential)
            .await?;
        Ok(Known {
            host: self.host,
            user: Some(user),
            was_known: true,
        })
    }
}

impl Output for Known {
    fn print(&self, page: &mut Page) {
        page.header(match (&self.user, self.was_known) {
            (Some(user), _) => format!("{} is told the token of {user} when it asks", self.host),
            (None, true) => format!("Forgot the token for {}", self.host),
            (None, false) => format!("There was no token for {}", self.host),
        });
    }
}
