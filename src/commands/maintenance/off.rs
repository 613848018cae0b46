//! `maintenance:off`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// Open an app for its visitors again
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Off {
    /// The app
    pub app: AppName,
}

/// The app that is open.
#[derive(Debug, Serialize)]
pub struct Opened {
    app: AppName,
    was_closed: bool,
}

impl Command for Off {
    type Output = Opened;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Opened, Problem> {
        let app = authorized.app()?;
        let was_closed = platform.store.set_maintenance(app.id, None).await?;
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(if was_closed {
                format!("Disabling maintenance mode for {}", app.name)
            } else {
                format!("Skipping: {} is not in maintenance mode", app.name)
            })
            .await;
        Ok(Opened {
            app: app.name.clone(),
            was_closed,
        })
    }
}

impl Output for Opened {
    fn print(&self, _page: &mut Page) {}
}
