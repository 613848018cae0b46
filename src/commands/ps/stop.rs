//! `ps:stop`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::command::Done;
use crate::commands::{Authorized, Command, Dialog, Platform, progress};
use crate::model::{AppName, Permission, Problem};

/// Stop all processes of an app; visitors get a page that says so
///
/// It stays stopped, also after a restart of the server, until `ps:start` or the next deploy.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The app
    pub app: AppName,
}

impl Command for Stop {
    type Output = Done;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Done, Problem> {
        let app = authorized.app()?;
        dialog.header(format!("Stopping {}", app.name)).await;
        platform.store.set_stopped(app.id, true).await?;
        progress::stopped(platform, &app.name, dialog).await?;
        Ok(Done::new())
    }
}
