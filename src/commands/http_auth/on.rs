//! `http-auth:on`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// Let an app ask its visitors for a password (HTTP basic authentication)
///
/// The app does not see the password; it gets the name of the user in the header X-Forwarded-User.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// The app
    pub app: AppName,
}

/// The app that asks.
#[derive(Debug, Serialize)]
pub struct Asking {
    app: AppName,
    users: usize,
}

impl Command for On {
    type Output = Asking;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Asking, Problem> {
        let app = authorized.app()?;
        let has_changed = platform.store.set_http_auth(app.id, true).await?;
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(if has_changed {
                format!("Enabling HTTP auth for {}", app.name)
            } else {
                format!("Skipping: HTTP auth is already enabled for {}", app.name)
            })
            .await;
        let auth = platform.store.http_auth(app.id).await?;
        Ok(Asking {
            app: app.name.clone(),
            users: auth.users.len(),
        })
    }
}

impl Output for Asking {
    fn print(&self, page: &mut Page) {
        if self.users == 0 {
            page.warning(format!(
                "There are no users yet, so nobody may pass: add one with `http-auth:add-user {} USER`",
                self.app
            ));
        }
    }
}
