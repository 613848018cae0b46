//! `ps:start`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::at_once::Parallel;
use super::which::Which;
use crate::commands::command::Done;
use crate::commands::each::Act;
use crate::commands::problems::not_deployed;
use crate::commands::{Authorized, Command, Dialog, Platform, progress};
use crate::model::{App, Permission, Problem};

/// Start the processes of a stopped app
///
/// Of one that is not stopped, processes that have ended are started again at once, also those that were given up.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
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

impl Command for Start {
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

impl Act for Start {
    type Done = ();

    async fn act(
        &self,
        platform: &Platform,
        app: &App,
        dialog: &mut Dialog,
    ) -> Result<(), Problem> {
        if app.current.is_none() {
            return Err(not_deployed(&app.name));
        }
        dialog.header(format!("Starting {}", app.name)).await;
        platform.store.set_stopped(app.id, false).await?;
        platform.reconciler.try_again(&app.name);
        progress::settle(platform, &app.name, dialog).await?;
        Ok(())
    }
}
