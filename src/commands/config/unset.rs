//! `config:unset`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, ConfigKey, ConfigVars, Permission, Problem, ReleaseVersion};

/// Unset config vars, and deploy the app without them
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unset {
    /// The app
    pub app: AppName,
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
    unset: Vec<ConfigKey>,
    /// The release that runs without them; none when it is only stored.
    release: Option<ReleaseVersion>,
}

impl Command for Unset {
    type Output = Removed;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Removed, Problem> {
        let app = authorized.app()?;
        let present = platform.store.config(app.id).await?;
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
        if unset.is_empty() {
            return Ok(Removed {
                unset,
                release: None,
            });
        }
        platform
            .store
            .set_config(app.id, ConfigVars::new(), unset.clone())
            .await?;
        super::say_when_builds_follow(app, dialog, unset.iter()).await;
        let names: Vec<&str> = unset.iter().map(ConfigKey::as_str).collect();
        let release = if self.no_restart {
            None
        } else {
            super::deploy(platform, app, dialog, format!("Unset {}", names.join(", "))).await?
        };
        Ok(Removed { unset, release })
    }
}

impl Output for Removed {
    fn print(&self, _page: &mut Page) {}
}
