//! `builder:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, BuilderSetting, ConfigKey, Problem};

/// Report how an app is built, or all apps
///
/// What is set is also in force; what is empty is left to detection, see `buildpacks:detect`.
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

    /// Each setting twice, as Dokku has it: what was set for the app, and what is in force.
    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let builder = platform.store.builder(app.id).await?;
        let mut report = report::Report::new(&app.name);
        for setting in BuilderSetting::ALL {
            // Dokku keeps the path with the builder it belongs to.
            let group = match setting {
                BuilderSetting::DockerfilePath => "builder-dockerfile",
                BuilderSetting::Selected | BuilderSetting::BuildDir | BuilderSetting::Target => {
                    Self::TOPIC
                }
            };
            let value = builder.get(setting).unwrap_or_default();
            let by_default = match setting {
                BuilderSetting::DockerfilePath => "Dockerfile",
                BuilderSetting::Selected | BuilderSetting::BuildDir | BuilderSetting::Target => "",
            };
            let computed = if value.is_empty() { by_default } else { value };
            report.fact(&format!("{group}-{setting}"), value);
            report.fact(&format!("{group}-computed-{setting}"), computed);
        }
        let names: Vec<&str> = builder.arguments.keys().map(ConfigKey::as_str).collect();
        report.fact("builder-arguments", names.join(" "));
        Ok(report)
    }
}
