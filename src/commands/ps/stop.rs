//! `ps:stop`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::at_once::Parallel;
use super::which::Which;
use crate::commands::command::Done;
use crate::commands::each::Act;
use crate::commands::{Authorized, Command, Dialog, Platform, progress};
use crate::model::{App, Permission, Problem};

/// Stop all processes of an app; visitors get a page that says so
///
/// It stays stopped, also after a restart of the server, until `ps:start` or the next deploy.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The app, or --all for every app that is deployed
    #[arg(allow_hyphen_values = true, value_name = "APP|--all")]
    pub app: Which,
    /// With --all, how many apps at once; -1 for as many as the server has processors
    #[arg(
        long,
        value_name = "COUNT",
        allow_hyphen_values = true,
        default_value_t
    )]
    #[serde(default)]
    pub parallel: Parallel,
}

impl Command for Stop {
    type Output = Done;

    fn permission(&self) -> Permission {
        self.app.to_change()
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Done, Problem> {
        self.app
            .each(&self, self.parallel, platform, authorized, dialog)
            .await?;
        Ok(Done::new())
    }
}

impl Act for Stop {
    type Done = ();

    async fn act(
        &self,
        platform: &Platform,
        app: &App,
        dialog: &mut Dialog,
    ) -> Result<(), Problem> {
        dialog.header(format!("Stopping {}", app.name)).await;
        platform.store.set_stopped(app.id, true).await?;
        progress::stopped(platform, &app.name, dialog).await?;
        Ok(())
    }
}
