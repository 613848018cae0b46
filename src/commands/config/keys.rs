//! `config:keys`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, ConfigKey, Permission, Problem};

/// List the names of the config vars
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The app
    pub app: AppName,
}

/// Names of config vars.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Names(Vec<ConfigKey>);

impl Command for Keys {
    type Output = Names;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Names, Problem> {
        let vars = platform.store.config(authorized.app()?.id).await?;
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
