//! `config:set`

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::assignment::Assignment;
use super::change::{Change, Deployed};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, Scope};
use crate::model::{ConfigKey, ConfigVars, Permission, Problem, Secret};

/// Set config vars, and deploy the app with them
///
/// With --global in place of the app every app has them that has no value of its own, and all apps are deployed. Many at once,
/// or a value with line feeds, are better sent to `config:import`.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The app, or --global
    #[arg(allow_hyphen_values = true, value_name = "APP|--global")]
    pub app: Scope,
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
    #[serde(flatten)]
    deployed: Deployed,
}

impl Command for Set {
    type Output = Stored;

    fn permission(&self) -> Permission {
        self.app.to_change()
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Stored, Problem> {
        let vars: ConfigVars = self
            .vars
            .into_iter()
            .map(|assignment| (assignment.key, assignment.value))
            .collect();
        let change = Change {
            scope: self.app,
            set: vars,
            unset: Vec::new(),
            no_restart: self.no_restart,
        };
        change.check(platform, authorized).await?;
        set(change, self.show, platform, authorized, dialog).await
    }
}

/// Says what is set, and does it. What no process could be given was refused before.
pub(super) async fn set(
    change: Change,
    is_shown: bool,
    platform: &Platform,
    authorized: &Authorized,
    dialog: &mut Dialog,
) -> Result<Stored, Problem> {
    let shown = |value: &Secret| {
        let text = if is_shown {
            value.reveal()
        } else {
            super::MASK
        };
        text.to_owned()
    };
    let set: BTreeMap<ConfigKey, String> = change
        .set
        .iter()
        .map(|(key, value)| (key.clone(), shown(value)))
        .collect();
    dialog.header("Setting config vars").await;
    for line in super::show::aligned(&set) {
        dialog.detail(line).await;
    }
    let deployed = change.carry_out(platform, authorized, dialog).await?;
    Ok(Stored { set, deployed })
}

impl Output for Stored {
    fn print(&self, _page: &mut Page) {}
}
