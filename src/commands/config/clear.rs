//! `config:clear`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::change::{Change, stored};
use super::unset::Removed;
use crate::commands::{Authorized, Command, Dialog, Platform, Scope};
use crate::model::{ConfigKey, ConfigVars, Permission, Problem};

/// Unset all config vars, and deploy the app without them
///
/// `config:export APP --format envfile > FILE` keeps them; `config:import APP < FILE` brings them back.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clear {
    /// The app, or --global for what every app has
    #[arg(allow_hyphen_values = true, value_name = "APP|--global")]
    pub app: Scope,
    /// Only store it; the next deploy goes without them
    #[arg(long)]
    #[serde(default)]
    pub no_restart: bool,
}

impl Command for Clear {
    type Output = Removed;

    fn permission(&self) -> Permission {
        self.app.to_change()
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Removed, Problem> {
        let present = stored(&self.app, platform, authorized).await?;
        let unset: Vec<ConfigKey> = present.into_keys().collect();
        for key in &unset {
            dialog.header(format!("Unsetting {key}")).await;
        }
        let change = Change {
            scope: self.app,
            set: ConfigVars::new(),
            unset: unset.clone(),
            no_restart: self.no_restart,
        };
        let deployed = change.carry_out(platform, authorized, dialog).await?;
        Ok(Removed { unset, deployed })
    }
}
