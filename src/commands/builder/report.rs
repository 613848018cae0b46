//! `builder:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, BuildSecretId, BuilderSetting, ConfigKey, Problem};

/// Report how an app is built, or all apps
///
/// Each setting three times, as Dokku has it: that of the app, that of all apps (--global), and what is in force; what is
/// empty there is left to detection, see `buildpacks:detect`.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --builder-build-dir, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl OfEachApp for Report {
    const TOPIC: &'static str = "builder";

    fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }

    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let builder = platform.store.builder(app.id).await?;
        let mut report = report::Report::new(&app.name);
        for setting in BuilderSetting::ALL {
            // Dokku keeps the path with the builder it belongs to.
            let group = match setting {
                BuilderSetting::DockerfilePath => "builder-dockerfile",
                BuilderSetting::Selected
                | BuilderSetting::BuildDir
                | BuilderSetting::Target
                | BuilderSetting::BuildTimeout
                | BuilderSetting::BuildMemoryLimit => Self::TOPIC,
            };
            let of_app = builder.settings.get(&setting).cloned();
            report.fact(&format!("{group}-{setting}"), of_app.unwrap_or_default());
            if setting.has_default() {
                let of_all = builder.defaults.get(&setting).cloned();
                report.fact(
                    &format!("{group}-global-{setting}"),
                    of_all.unwrap_or_default(),
                );
            }
            let computed = match builder.get(setting) {
                Some(value) => value.to_owned(),
                None => by_default(platform, setting),
            };
            report.fact(&format!("{group}-computed-{setting}"), computed);
        }
        let names: Vec<&str> = builder.arguments.keys().map(ConfigKey::as_str).collect();
        report.fact("builder-arguments", names.join(" "));
        let ids: Vec<&str> = builder.secrets.keys().map(BuildSecretId::as_str).collect();
        report.fact("builder-secrets", ids.join(" "));
        Ok(report)
    }
}

/// What is in force where nothing was set.
fn by_default(platform: &Platform, setting: BuilderSetting) -> String {
    let limits = platform.deploys.build_limits();
    match setting {
        BuilderSetting::DockerfilePath => "Dockerfile".to_owned(),
        BuilderSetting::Selected | BuilderSetting::BuildDir | BuilderSetting::Target => {
            String::new()
        }
        BuilderSetting::BuildTimeout => {
            let seconds = format!("{}s", limits.timeout.as_secs());
            setting.normalized(&seconds).unwrap_or(seconds)
        }
        BuilderSetting::BuildMemoryLimit => match limits.memory_bytes {
            Some(bytes) => setting
                .normalized(&bytes.to_string())
                .unwrap_or_else(|_| bytes.to_string()),
            None => String::new(),
        },
    }
}
