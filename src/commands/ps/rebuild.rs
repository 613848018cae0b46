//! `ps:rebuild`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::command::Done;
use crate::commands::problems::not_deployed;
use crate::commands::{Authorized, Command, Dialog, Platform, progress};
use crate::model::{AppName, Permission, Problem};

/// Build the deployed commit again and deploy it
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebuild {
    /// The app
    pub app: AppName,
}

impl Command for Rebuild {
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
        let attached = platform.deploys.rebuild(&app.name, dialog.caller()).await?;
        progress::follow(dialog, attached).await?;
        Ok(Done::new())
    }
}
