//! `config:unset`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::change::{Change, Deployed, stored};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, Scope};
use crate::model::{ConfigKey, ConfigVars, Permission, Problem};

/// Unset config vars, and deploy the app without them
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unset {
    /// The app, or --global for what every app has
    #[arg(allow_hyphen_values = true, value_name = "APP|--global")]
    pub app: Scope,
    /// What to unset
    #[arg(required = true, value_name = "KEY")]
    pub keys: Vec<ConfigKey>,
    /// Only store it; the next deploy goes without them
    #[arg(long)]
    #[serde(default)]
    pub no_restart: bool,
}

/// What was unset.
#[derive(Debug, Serialize)]
pub struct Removed {
    pub(super) unset: Vec<ConfigKey>,
    #[serde(flatten)]
    pub(super) deployed: Deployed,
}

impl Command for Unset {
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
        let mut unset = Vec::new();
        for key in self.keys {
            if present.contains_key(&key) && !unset.contains(&key) {
                dialog.header(format!("Unsetting {key}")).await;
                unset.push(key);
            } else {
                dialog
                    .header(format!("Skipping {key}, it is not set in the environment"))
                    .await;
            }
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

impl Output for Removed {
    fn print(&self, _page: &mut Page) {}
}
