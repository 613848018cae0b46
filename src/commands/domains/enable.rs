//! `domains:enable`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::command::Done;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, Permission, Problem};

/// Let visitors reach an app again
///
/// It answers at the domains it had when they were disabled.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enable {
    /// The app
    pub app: AppName,
}

impl Command for Enable {
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
        platform.store.set_public(app.id, true).await?;
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(format!("Enabled domains of {}", app.name))
            .await;
        Ok(Done::new())
    }
}
