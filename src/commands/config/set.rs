//! `config:set`

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::assignment::Assignment;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, ConfigKey, ConfigVars, Permission, Problem, ReleaseVersion};

/// Set config vars, and deploy the app with them
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The app
    pub app: AppName,
    /// What to set; quote values with spaces
    #[arg(required = true, value_name = "KEY=VALUE")]
    pub vars: Vec<Assignment>,
    /// Only store them; the next deploy uses them
    #[arg(long)]
    #[serde(default)]
    pub no_restart: bool,
    /// Print the values instead of stars
    #[arg(long)]
    #[serde(default)]
    pub show: bool,
}

/// What was set.
#[derive(Debug, Serialize)]
pub struct Stored {
    /// Values are masked unless they were asked for.
    set: BTreeMap<ConfigKey, String>,
    /// The release that runs with them; none when they are only stored.
    release: Option<ReleaseVersion>,
}

impl Command for Set {
    type Output = Stored;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Stored, Problem> {
        let app = authorized.app()?;
        let vars: ConfigVars = self
            .vars
            .into_iter()
            .map(|assignment| (assignment.key, assignment.value))
            .collect();
        let set: BTreeMap<ConfigKey, String> = vars
            .iter()
            .map(|(key, value)| {
                let shown = if self.show {
                    value.reveal()
                } else {
                    super::MASK
                };
                (key.clone(), shown.to_owned())
            })
            .collect();
        dialog.header("Setting config vars").await;
        for line in super::show::aligned(&set) {
            dialog.detail(line).await;
        }
        super::say_when_builds_follow(app, dialog, set.keys()).await;
        let keys: Vec<&str> = set.keys().map(ConfigKey::as_str).collect();
        let description = format!("Set {}", keys.join(", "));
        platform.store.set_config(app.id, vars, Vec::new()).await?;
        let release = if self.no_restart {
            None
        } else {
            super::deploy(platform, app, dialog, description).await?
        };
        Ok(Stored { set, release })
    }
}

impl Output for Stored {
    fn print(&self, _page: &mut Page) {}
}
