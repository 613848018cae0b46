//! `http-auth:remove-user`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem, UserName};

/// Let a user pass no more where an app asks for a password
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveUser {
    /// The app
    pub app: AppName,
    /// The name of the user
    pub user: UserName,
}

/// The user who may not pass.
#[derive(Debug, Serialize)]
pub struct Removed {
    app: AppName,
    user: UserName,
    was_there: bool,
}

impl Command for RemoveUser {
    type Output = Removed;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Removed, Problem> {
        let app = authorized.app()?;
        let was_there = platform
            .store
            .remove_http_auth_user(app.id, &self.user)
            .await?;
        platform.reconciler.wait_for(|_| true).await;
        Ok(Removed {
            app: app.name.clone(),
            user: self.user,
            was_there,
        })
    }
}

impl Output for Removed {
    fn print(&self, page: &mut Page) {
        let (app, user) = (&self.app, &self.user);
        page.header(if self.was_there {
            format!("Removed {user} from HTTP auth of {app}")
        } else {
            format!("Skipping: {user} is no user of {app}")
        });
    }
}
