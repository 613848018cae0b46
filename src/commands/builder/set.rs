//! `builder:set`

use clap::Args;
use mini_buildpacks::buildpack_names;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, Scope, nearest};
use crate::model::{BuilderSetting, Kind, Permission, Problem};

/// Builders of Dokku that are not here, and what is instead.
const OTHER_BUILDERS: &[&str] = &[
    "herokuish",
    "pack",
    "nixpacks",
    "railpack",
    "null",
    "lambda",
];

/// Set how an app is built, or leave a setting to detection again
///
/// In force from the next build on: push, or `ps:rebuild`. With --global in place of the app it is for every app that has
/// no value of its own.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(after_long_help = settings())]
pub struct Set {
    /// The app, or --global
    #[arg(allow_hyphen_values = true, value_name = "APP|--global")]
    pub app: Scope,
    /// The setting
    #[arg(value_name = "NAME")]
    pub setting: String,
    /// Its value; without one it is left to detection again
    #[serde(default)]
    pub value: Option<String>,
}

/// What was set.
#[derive(Debug, Serialize)]
pub struct Changed {
    app: Scope,
    setting: &'static str,
    /// None where it is left to detection.
    value: Option<String>,
    /// Whether there is something to build again.
    is_deployed: bool,
}

impl Command for Set {
    type Output = Changed;

    fn permission(&self) -> Permission {
        self.app.to_change()
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Changed, Problem> {
        let setting: BuilderSetting = self.setting.parse().map_err(|_| unknown(&self.setting))?;
        // Dokku unsets a property that is given an empty value, too.
        let value = self.value.filter(|value| !value.trim().is_empty());
        let value = match value {
            Some(value) => Some(checked(setting, value.trim())?),
            None => None,
        };
        let store = &platform.store;
        let is_deployed = match &self.app {
            Scope::App(_) => {
                let app = authorized.app()?;
                store
                    .set_builder_setting(app.id, setting, value.clone())
                    .await?;
                app.current.is_some()
            }
            Scope::Global if setting.has_default() => {
                store.set_builder_default(setting, value.clone()).await?;
                false
            }
            Scope::Global => {
                return Err(Problem::new(
                    Kind::Invalid,
                    format!("{setting} was not set"),
                    "it names a stage of one Dockerfile, so there is no value for all apps",
                    format!("Set it for one app: builder:set APP {setting} STAGE"),
                ));
            }
        };
        Ok(Changed {
            app: self.app,
            setting: setting.as_str(),
            value,
            is_deployed,
        })
    }
}

/// A value in the form it is stored in. Whether the repository has what it names is seen when it is built.
fn checked(setting: BuilderSetting, value: &str) -> Result<String, Problem> {
    let refused = |why: String, next: &str| {
        Problem::new(
            Kind::Invalid,
            format!("{setting} was not set"),
            why,
            next.to_owned(),
        )
    };
    match setting {
        BuilderSetting::Selected => {
            let names = buildpack_names().map_err(|error| refused(error.why(), &error.next()))?;
            if names.contains(&value) {
                return Ok(value.to_owned());
            }
            let shown = value.escape_debug();
            let why = if OTHER_BUILDERS.contains(&value) {
                format!(
                    "mini has no builder `{shown}`: it writes a Dockerfile for each language itself"
                )
            } else {
                match nearest(value, names.iter().copied()) {
                    Some(name) => {
                        format!("there is no buildpack `{shown}`; did you mean `{name}`?")
                    }
                    None => format!("there is no buildpack `{shown}`"),
                }
            };
            Err(refused(why, &format!("Choose one of {}", names.join(", "))))
        }
        BuilderSetting::BuildDir | BuilderSetting::DockerfilePath => {
            let parts: Vec<&str> = value
                .split('/')
                .filter(|part| !matches!(*part, "" | "."))
                .collect();
            if parts.contains(&"..") || value.contains(char::is_control) {
                let why = format!("`{}` leads out of the repository", value.escape_debug());
                return Err(refused(why, "Give a path inside it, such as apps/web"));
            }
            if parts.is_empty() {
                let why = "it is the root of the repository".to_owned();
                return Err(refused(why, "Leave the value out to have the root"));
            }
            Ok(parts.join("/"))
        }
        BuilderSetting::Target => {
            let is_name = value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            if !is_name {
                let why = format!("`{}` is not the name of a stage", value.escape_debug());
                let next =
                    "Give the name behind AS in the Dockerfile: letters, digits, `.`, `_` and `-`";
                return Err(refused(why, next));
            }
            Ok(value.to_owned())
        }
        BuilderSetting::BuildTimeout | BuilderSetting::BuildMemoryLimit => setting
            .normalized(value)
            .map_err(|why| refused(why, "Leave the value out to have what the server has")),
    }
}

fn unknown(name: &str) -> Problem {
    let known = BuilderSetting::ALL.into_iter().map(BuilderSetting::as_str);
    let why = match nearest(name, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => String::new(),
    };
    Problem::new(
        Kind::Invalid,
        format!("`{}` is not a setting of the builder", name.escape_debug()),
        why,
        "See `help builder:set` for the settings there are",
    )
}

/// The catalogue, for the help page.
fn settings() -> String {
    let each =
        BuilderSetting::ALL.map(|setting| format!("\n  {setting}\n          {}", setting.help()));
    format!("Settings:{}", each.concat())
}

impl Output for Changed {
    fn print(&self, page: &mut Page) {
        match &self.value {
            Some(value) => page.section(format!("Setting {} to {value}", self.setting)),
            None => page.section(format!("Unsetting {}", self.setting)),
        }
        if self.is_deployed {
            page.detail(format!(
                "From the next build on: push, or `ps:rebuild {}`",
                self.app
            ));
        }
    }
}
