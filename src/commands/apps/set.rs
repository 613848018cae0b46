//! `apps:set`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, Scope};
use crate::model::{Kind, Permission, Problem};

/// The one setting there is.
const DISABLE_AUTOCREATION: &str = "disable-autocreation";

/// Say whether a push to a name that no app has creates one: apps:set --global disable-autocreation true
///
/// In force at once, for pushes and for git:from-archive --create. Without a value it is as the server's setting `create-apps`
/// says; where that is off, it stays off.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// --global; there is no such setting for one app
    #[arg(allow_hyphen_values = true, value_name = "--global")]
    pub app: Scope,
    /// The setting: disable-autocreation
    #[arg(value_name = "NAME")]
    pub setting: String,
    /// true or false; without one it is as the server has it
    #[serde(default)]
    pub value: Option<String>,
}

/// What was set.
#[derive(Debug, Serialize)]
pub struct Changed {
    setting: &'static str,
    /// None where it was unset.
    value: Option<bool>,
    /// Whether a push creates apps now.
    creates_apps: bool,
    /// Whether the settings of the server refuse it in any case.
    #[serde(skip)]
    is_off_by_settings: bool,
}

impl Command for Set {
    type Output = Changed;

    fn permission(&self) -> Permission {
        self.app.to_change()
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Changed, Problem> {
        let refused = |what: String, why: &str, next: &str| {
            Err(Problem::new(
                Kind::Invalid,
                what,
                why.to_owned(),
                next.to_owned(),
            ))
        };
        let example = "Set it for all: apps:set --global disable-autocreation true";
        if self.setting != DISABLE_AUTOCREATION {
            let what = format!("`{}` is not a setting of apps", self.setting.escape_debug());
            return refused(what, "the one there is: disable-autocreation", example);
        }
        if let Scope::App(app) = &self.app {
            let what = format!("{DISABLE_AUTOCREATION} was not set for {app}");
            let why = "it is about names that no app has yet, so it is for all of them";
            return refused(what, why, example);
        }
        // Dokku unsets a property that is given an empty value, too.
        let value = match self.value.as_deref().map(str::trim) {
            None | Some("") => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(other) => {
                let what = format!(
                    "{DISABLE_AUTOCREATION} was not set to `{}`",
                    other.escape_debug()
                );
                return refused(what, "it is true or false", example);
            }
        };
        platform.store.set_autocreation_disabled(value).await?;
        let is_off_by_settings = !platform.facts.creates_apps;
        Ok(Changed {
            setting: DISABLE_AUTOCREATION,
            value,
            creates_apps: !is_off_by_settings && value != Some(true),
            is_off_by_settings,
        })
    }
}

impl Output for Changed {
    fn print(&self, page: &mut Page) {
        match self.value {
            Some(value) => page.section(format!("Setting {} to {value}", self.setting)),
            None => page.section(format!("Unsetting {}", self.setting)),
        }
        page.detail(match (self.creates_apps, self.is_off_by_settings) {
            (true, _) => "A push to a name that no app has creates the app",
            (false, false) => "A push to a name that no app has is refused: apps:create makes it",
            (false, true) => {
                "A push to a name that no app has is refused in any case: the server's setting `create-apps` is off"
            }
        });
    }
}
