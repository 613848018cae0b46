//! `docker-options:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, Problem};

/// Report the options of the builds of an app, or of all apps
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --docker-options-build, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl OfEachApp for Report {
    const TOPIC: &'static str = "docker options";

    fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }

    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let builder = platform.store.builder(app.id).await?;
        let arguments = builder.arguments.iter();
        let arguments = arguments.map(|(name, value)| format!("--build-arg {name}={value}"));
        let secrets = builder.secrets.iter();
        let secrets = secrets.map(|(id, env)| format!("--secret id={id},env={env}"));
        let options: Vec<String> = arguments.chain(secrets).collect();
        let mut report = report::Report::new(&app.name);
        report.fact("docker-options-build", options.join(" "));
        Ok(report)
    }
}
