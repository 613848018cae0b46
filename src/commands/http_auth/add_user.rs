//! `http-auth:add-user`

use clap::Args;
use mini_proxy::PasswordHash;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Kind, Permission, Problem, Secret, UserName};

/// Let a user pass where an app asks for a password, or give one a new password
///
/// At a terminal (`ssh -t`) the password is asked for twice and not shown. Elsewhere it is the first line of standard input:
/// mini http-auth:add-user APP USER < FILE. It is not taken from the command line, where other users of a computer could
/// read it.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddUser {
    /// The app
    pub app: AppName,
    /// The name of the user
    pub user: UserName,
    /// The password, where standard input is not at hand (HTTP)
    #[arg(skip)]
    #[serde(default)]
    pub password: Option<Secret>,
}

/// The user who may pass.
#[derive(Debug, Serialize)]
pub struct Added {
    app: AppName,
    user: UserName,
    /// Whether there was one of this name, whose password this replaced.
    is_new: bool,
    is_on: bool,
}

impl Command for AddUser {
    type Output = Added;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Added, Problem> {
        let app = authorized.app()?;
        let password = match self.password {
            Some(password) => Some(password),
            None => {
                let what = format!("Password of {} for {}", self.user, app.name);
                dialog.ask_secret(&what).await?
            }
        };
        let password = password
            .filter(|password| !password.reveal().is_empty())
            .ok_or_else(|| {
                Problem::new(
                    Kind::Invalid,
                    format!("{} was not added", self.user),
                    "there was no password",
                    "Type it when asked, which needs a terminal (`ssh -t`), or give it on standard input",
                )
            })?;
        let hash = hashed(password).await?;
        let before = platform.store.http_auth(app.id).await?;
        platform
            .store
            .add_http_auth_user(app.id, &self.user, hash)
            .await?;
        platform.reconciler.wait_for(|_| true).await;
        Ok(Added {
            app: app.name.clone(),
            is_new: !before.users.contains_key(&self.user),
            user: self.user,
            is_on: before.is_on,
        })
    }
}

/// Hashes a password, which takes long on purpose: off the async threads.
async fn hashed(password: Secret) -> Result<Secret, Problem> {
    let hash = tokio::task::spawn_blocking(move || PasswordHash::of(password.reveal())).await;
    match hash {
        Ok(Ok(hash)) => Ok(Secret::new(hash.as_str())),
        Ok(Err(_)) | Err(_) => Err(Problem::new(
            Kind::Internal,
            "The password could not be hashed",
            "the system gave no memory or no randomness for it",
            "Try again",
        )),
    }
}

impl Output for Added {
    fn print(&self, page: &mut Page) {
        page.header(if self.is_new {
            format!("Added {} to HTTP auth of {}", self.user, self.app)
        } else {
            format!("Changed the password of {} for {}", self.user, self.app)
        });
        if !self.is_on {
            page.warning(format!(
                "{app} does not ask for passwords yet: turn it on with `http-auth:on {app}`",
                app = self.app
            ));
        }
    }
}
