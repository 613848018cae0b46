//! `ps:start`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::command::Done;
use crate::commands::problems::not_deployed;
use crate::commands::{Authorized, Command, Dialog, Platform, progress};
use crate::model::{AppName, Permission, Problem};

/// Start the processes of a stopped app
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The app
    pub app: AppName,
}

impl Command for Start {
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
        if app.current.is_none() {
            return Err(not_deployed(&app.name));
        }
        dialog.header(format!("Starting {}", app.name)).await;
        platform.store.set_stopped(app.id, false).await?;
        progress::settle(platform, &app.name, dialog).await?;
        Ok(Done::new())
    }
}
