//! `config:import`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::change::{Change, stored};
use super::envfile;
use super::set::{Stored, set};
use crate::commands::{Authorized, Command, Dialog, Platform, Scope};
use crate::model::{ConfigKey, Kind, Permission, Problem};

/// Longest input, bytes: all variables of a process have to fit into 2 MiB (execve(2)).
const INPUT_LIMIT: usize = 1 << 20;

/// Set all config vars of a file, and deploy the app with them: ssh mini config:import blog < .env
///
/// Reads `KEY=value` lines, with `export`, quotes and comments or without, or a JSON object, from standard input; also what
/// `config:export --format envfile`, `json` and `json-list` write. Quotes may go over several lines. Either all of it is set or
/// nothing.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The app, or --global for what every app has
    #[arg(allow_hyphen_values = true, value_name = "APP|--global")]
    pub app: Scope,
    /// Unset what the file does not have
    #[arg(long)]
    #[serde(default)]
    pub replace: bool,
    /// Only store them; the next deploy uses them
    #[arg(long)]
    #[serde(default)]
    pub no_restart: bool,
}

impl Command for Import {
    type Output = Stored;

    fn permission(&self) -> Permission {
        self.app.to_change()
    }

    fn needs_stream(&self) -> Option<&'static str> {
        Some("it reads the config vars from standard input")
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Stored, Problem> {
        let input = dialog.read_all(INPUT_LIMIT).await?;
        let refused = |why: String| {
            Problem::new(
                Kind::Invalid,
                "No config var was set",
                why,
                format!(
                    "Send lines like KEY=value, or a JSON object: ssh mini config:import {} < .env",
                    self.app
                ),
            )
        };
        let text =
            String::from_utf8(input).map_err(|_| refused("the input is not UTF-8".to_owned()))?;
        let vars = envfile::read(&text).map_err(refused)?;
        if vars.is_empty() {
            return Err(refused("the input has none".to_owned()));
        }
        let mut unset: Vec<ConfigKey> = Vec::new();
        if self.replace {
            let present = stored(&self.app, platform, authorized).await?;
            unset.extend(present.into_keys().filter(|key| !vars.contains_key(key)));
        }
        let change = Change {
            scope: self.app,
            set: vars,
            unset,
            no_restart: self.no_restart,
        };
        change.check(platform, authorized).await?;
        for key in &change.unset {
            dialog.header(format!("Unsetting {key}")).await;
        }
        set(change, false, platform, authorized, dialog).await
    }
}
