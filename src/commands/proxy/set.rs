//! `proxy:set`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, nearest};
use crate::model::{AppName, Kind, Permission, Problem, ProxyOptions, ProxySetting};

/// Set how the proxy treats the requests of an app, or take a setting back to its default
///
/// In force at once, for requests that come from then on; nothing is restarted.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(after_long_help = settings())]
pub struct Set {
    /// The app
    pub app: AppName,
    /// The setting
    #[arg(value_name = "NAME")]
    pub setting: String,
    /// Its value; without one it has its default again
    #[serde(default)]
    pub value: Option<String>,
}

/// What was set.
#[derive(Debug, Serialize)]
pub struct Changed {
    app: AppName,
    setting: &'static str,
    /// The value in force.
    value: String,
    is_default: bool,
}

impl Command for Set {
    type Output = Changed;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Changed, Problem> {
        let app = authorized.app()?;
        let setting = ProxySetting::named(&self.setting).ok_or_else(|| unknown(&self.setting))?;
        // Dokku unsets a property that is given an empty value, too.
        let value = self.value.filter(|value| !value.is_empty());
        let value = match value {
            Some(value) => Some(normalized(setting, &value)?),
            None => None,
        };
        platform
            .store
            .set_proxy_setting(app.id, setting, value.clone())
            .await?;
        // Whoever is told that it is set may count on it.
        platform.reconciler.wait_for(|_| true).await;
        Ok(Changed {
            app: app.name.clone(),
            setting: setting.name,
            is_default: value.is_none(),
            value: value.unwrap_or_else(|| setting.shown(&ProxyOptions::default())),
        })
    }
}

fn normalized(setting: &ProxySetting, value: &str) -> Result<String, Problem> {
    setting.normalized(value).map_err(|why| {
        Problem::new(
            Kind::Invalid,
            format!("{} was not set", setting.name),
            why,
            "Leave the value out to have the default again, see `help proxy:set`",
        )
    })
}

fn unknown(name: &str) -> Problem {
    let known = ProxyOptions::SETTINGS.iter();
    let known = known
        .flat_map(|setting| std::iter::once(setting.name).chain(setting.aliases.iter().copied()));
    let why = match nearest(name, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => String::new(),
    };
    Problem::new(
        Kind::Invalid,
        format!("`{}` is not a setting of the proxy", name.escape_debug()),
        why,
        "See `help proxy:set` for the settings there are",
    )
}

/// The catalogue, for the help page.
fn settings() -> String {
    let defaults = ProxyOptions::default();
    let mut text = String::from("Settings:");
    for setting in ProxyOptions::SETTINGS {
        text.push_str(&format!(
            "\n  {}\n          {}\n          Takes {}; default {}\n",
            setting.name,
            setting.help,
            setting.form(),
            Some(setting.shown(&defaults))
                .filter(|shown| !shown.is_empty())
                .unwrap_or_else(|| "none".to_owned()),
        ));
    }
    text
}

impl Output for Changed {
    fn print(&self, page: &mut Page) {
        if self.is_default {
            page.section(format!("Unsetting {}", self.setting));
        } else {
            page.section(format!("Setting {} to {}", self.setting, self.value));
        }
    }
}
