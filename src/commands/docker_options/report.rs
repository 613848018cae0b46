//! `docker-options:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{options_of, options_of_containers};
use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, ContainerPhase, Problem};

/// Report the options of the builds and the containers of an app, or of all apps
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
        let options = options_of(platform, app).await?;
        let mut report = report::Report::new(&app.name);
        report.fact("docker-options-build", options.join(" "));
        for phase in ContainerPhase::ALL {
            let options = options_of_containers(platform, app, phase).await?;
            report.fact(&format!("docker-options-{phase}"), options.join(" "));
        }
        Ok(report)
    }
}
