//! `config:keys`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::change::in_force;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, Scope};
use crate::model::{ConfigKey, Permission, Problem};

/// List the names of the config vars
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The app, or --global for what every app has
    #[arg(allow_hyphen_values = true, value_name = "APP|--global")]
    pub app: Scope,
    /// With what every app has
    #[arg(long)]
    #[serde(default)]
    pub merged: bool,
}

/// Names of config vars.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Names(Vec<ConfigKey>);

impl Command for Keys {
    type Output = Names;

    fn permission(&self) -> Permission {
        self.app.to_read()
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Names, Problem> {
        let vars = in_force(&self.app, self.merged, platform, authorized).await?;
        Ok(Names(vars.into_keys().collect()))
    }
}

impl Output for Names {
    fn print(&self, page: &mut Page) {
        for key in &self.0 {
            page.line(key);
        }
    }
}
