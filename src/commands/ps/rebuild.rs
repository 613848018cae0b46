//! `ps:rebuild`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::at_once::Parallel;
use super::which::Which;
use crate::commands::command::Done;
use crate::commands::each::Act;
use crate::commands::problems::not_deployed;
use crate::commands::{Authorized, Command, Dialog, Platform, progress};
use crate::model::{App, Permission, Problem};

/// Build the deployed commit again and deploy it
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebuild {
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

impl Command for Rebuild {
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

impl Act for Rebuild {
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
        let attached = platform.deploys.rebuild(&app.name, dialog.caller()).await?;
        progress::follow(dialog, attached).await?;
        Ok(())
    }
}
