//! `config:show`

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, ConfigKey, Permission, Problem};

/// List the config vars; their values are stars unless --show is given
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// The app
    pub app: AppName,
    /// Print the values
    #[arg(long)]
    #[serde(default)]
    pub show: bool,
}

/// The config vars of an app.
#[derive(Debug, Serialize)]
pub struct Vars {
    #[serde(skip)]
    app: AppName,
    #[serde(flatten)]
    vars: BTreeMap<ConfigKey, String>,
}

impl Command for Show {
    type Output = Vars;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Vars, Problem> {
        let vars = platform.store.config(authorized.app()?.id).await?;
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
        page.section(format!("{} env vars", self.app));
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
