//! `config:get`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::change::stored;
use super::export::single_quoted;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, Scope};
use crate::model::{ConfigKey, Permission, Problem};

/// Print the value of a config var; exit with 1 and print nothing if it is not set
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The app, or --global for what every app has
    #[arg(allow_hyphen_values = true, value_name = "APP|--global")]
    pub app: Scope,
    /// The config var
    pub key: ConfigKey,
    /// Quote the value for a shell
    #[arg(long)]
    #[serde(default)]
    pub quoted: bool,
}

/// A config var and its value.
#[derive(Debug, Serialize)]
pub struct Value {
    key: ConfigKey,
    value: Option<String>,
}

impl Command for Get {
    type Output = Value;

    fn permission(&self) -> Permission {
        self.app.to_read()
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Value, Problem> {
        let vars = stored(&self.app, platform, authorized).await?;
        let value = vars.get(&self.key).map(|value| {
            if self.quoted {
                single_quoted(value.reveal())
            } else {
                value.reveal().to_owned()
            }
        });
        Ok(Value {
            key: self.key,
            value,
        })
    }
}

impl Output for Value {
    fn print(&self, page: &mut Page) {
        if let Some(value) = &self.value {
            page.line(value);
        }
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.value.is_none())
    }
}
