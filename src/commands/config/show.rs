//! `config:show`

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::change::in_force;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, Scope};
use crate::model::{ConfigKey, Permission, Problem};

/// List the config vars; their values are stars unless --show is given
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// The app, or --global for what every app has
    #[arg(allow_hyphen_values = true, value_name = "APP|--global")]
    pub app: Scope,
    /// With what every app has
    #[arg(long)]
    #[serde(default)]
    pub merged: bool,
    /// Print the values
    #[arg(long)]
    #[serde(default)]
    pub show: bool,
}

/// The config vars of an app, or of all.
#[derive(Debug, Serialize)]
pub struct Vars {
    #[serde(skip)]
    app: Scope,
    #[serde(flatten)]
    vars: BTreeMap<ConfigKey, String>,
}

impl Command for Show {
    type Output = Vars;

    fn permission(&self) -> Permission {
        self.app.to_read()
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Vars, Problem> {
        let vars = in_force(&self.app, self.merged, platform, authorized).await?;
        let shown = |value: &crate::model::Secret| {
            let text = if self.show {
                value.reveal()
            } else {
                super::MASK
            };
            text.to_owned()
        };
        Ok(Vars {
            vars: vars
                .iter()
                .map(|(key, value)| (key.clone(), shown(value)))
                .collect(),
            app: self.app,
        })
    }
}

impl Output for Vars {
    fn print(&self, page: &mut Page) {
        match &self.app {
            Scope::Global => page.section("global env vars"),
            Scope::App(app) => page.section(format!("{app} env vars")),
        }
        for line in aligned(&self.vars) {
            page.line(line);
        }
    }
}

/// `KEY:  value`, all values in one column.
pub(super) fn aligned(vars: &BTreeMap<ConfigKey, String>) -> Vec<String> {
    let width = vars
        .keys()
        .map(|key| key.as_str().len() + 3)
        .max()
        .unwrap_or(0);
    vars.iter()
        .map(|(key, value)| format!("{:<width$}{value}", format!("{key}:")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_one_column() {
        let vars = BTreeMap::from([
            ("A".parse().unwrap(), "1".to_owned()),
            ("LONGER".parse().unwrap(), "********".to_owned()),
        ]);
        assert_eq!(aligned(&vars), ["A:       1", "LONGER:  ********"]);
    }
}
