//! `http-auth:off`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// Let an app ask its visitors for a password no more; its users are kept
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Off {
    /// The app
    pub app: AppName,
}

/// The app that does not ask.
#[derive(Debug, Serialize)]
pub struct Silent {
    app: AppName,
    was_on: bool,
}

impl Command for Off {
    type Output = Silent;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Silent, Problem> {
        let app = authorized.app()?;
        let was_on = platform.store.set_http_auth(app.id, false).await?;
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(if was_on {
                format!("Disabling HTTP auth for {}", app.name)
            } else {
                format!("Skipping: HTTP auth is not enabled for {}", app.name)
            })
            .await;
        Ok(Silent {
            app: app.name.clone(),
            was_on,
        })
    }
}

impl Output for Silent {
    fn print(&self, _page: &mut Page) {}
}
