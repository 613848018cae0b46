//! `domains:disable`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::command::Done;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, Permission, Problem};

/// Let no visitor reach an app
///
/// Its processes run on, and it keeps its domains for `domains:enable`. Routes of other apps that lead to it stay.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disable {
    /// The app
    pub app: AppName,
}

impl Command for Disable {
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
        platform.store.set_public(app.id, false).await?;
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(format!("Disabled domains of {}", app.name))
            .await;
        Ok(Done::new())
    }
}
