//! `ps:set`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, nearest};
use crate::model::{AppName, Kind, Permission, Problem, ProcessSetting};

/// Set how the processes of an app are started and stopped, or leave a setting to what it is without it
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(after_long_help = settings())]
pub struct Set {
    /// The app
    pub app: AppName,
    /// The setting
    #[arg(value_name = "NAME")]
    pub setting: String,
    /// Its value; without one it is as if it had never been set
    #[serde(default)]
    pub value: Option<String>,
}

/// What was set.
#[derive(Debug, Serialize)]
pub struct Changed {
    app: AppName,
    setting: &'static str,
    value: Option<String>,
    /// What puts it into effect, where something runs that goes by another one.
    #[serde(skip)]
    next: Option<String>,
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
        let setting: ProcessSetting = self.setting.parse().map_err(|_| unknown(&self.setting))?;
        // Dokku unsets a property that is given an empty value, too.
        let value = self.value.filter(|value| !value.trim().is_empty());
        let value = match value {
            Some(value) => Some(setting.normalized(value.trim()).map_err(|why| {
                Problem::new(
                    Kind::Invalid,
                    format!("{setting} was not set"),
                    why,
                    format!(
                        "See `help ps:set`; without a value it is unset: ps:set {} {setting}",
                        app.name
                    ),
                )
            })?),
            None => None,
        };
        platform
            .store
            .set_process_setting(app.id, setting, value.clone())
            .await?;
        let next = match setting {
            ProcessSetting::StartCommand if app.current.is_some() => Some(format!(
                "From the next deploy on: push, or `ps:restart {}`",
                app.name
            )),
            ProcessSetting::StartCommand | ProcessSetting::StopTimeoutSeconds => None,
        };
        Ok(Changed {
            app: app.name.clone(),
            setting: setting.as_str(),
            value,
            next,
        })
    }
}

fn unknown(name: &str) -> Problem {
    let known = ProcessSetting::ALL.into_iter().map(ProcessSetting::as_str);
    let (why, next) = match (name, nearest(name, known)) {
        ("restart-policy", _) => (
            "a process that ends is started again, so often as the server's setting `restart-limit` says".to_owned(),
            "See `mini server --help`",
        ),
        ("procfile-path", _) => (
            "the Procfile is that in the directory of the app".to_owned(),
            "Name the directory with `builder:set APP build-dir PATH`",
        ),
        (_, Some(name)) => (format!("did you mean `{name}`?"), "See `help ps:set` for the settings there are"),
        (_, None) => (String::new(), "See `help ps:set` for the settings there are"),
    };
    Problem::new(
        Kind::Invalid,
        format!("`{}` is not a setting of processes", name.escape_debug()),
        why,
        next,
    )
}

/// The catalogue, for the help page.
fn settings() -> String {
    let each =
        ProcessSetting::ALL.map(|setting| format!("\n  {setting}\n          {}", setting.help()));
    format!("Settings:{}", each.concat())
}

impl Output for Changed {
    fn print(&self, page: &mut Page) {
        match &self.value {
            Some(value) => page.section(format!("Setting {} to {value}", self.setting)),
            None => page.section(format!("Unsetting {}", self.setting)),
        }
        if let Some(next) = &self.next {
            page.detail(next);
        }
    }
}
