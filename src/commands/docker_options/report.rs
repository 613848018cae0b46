//! `docker-options:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::report::{self, Asked, Reports};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{App, AppName, Permission, Problem};

const TOPIC: &str = "docker options";

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

impl Command for Report {
    type Output = Reports;

    fn permission(&self) -> Permission {
        Permission::to_read(self.app.as_ref())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Reports, Problem> {
        let asked = Asked::by(self.app.as_ref(), platform, authorized, dialog).await?;
        let of = |app| async move { of(platform, &app).await };
        Reports::about(TOPIC, asked, self.flag.as_deref(), of).await
    }
}

async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
    let builder = platform.store.builder(app.id).await?;
    let options: Vec<String> = builder
        .arguments
        .iter()
        .map(|(name, value)| format!("--build-arg {name}={value}"))
        .collect();
    let mut report = report::Report::new(&app.name);
    report.fact("docker-options-build", options.join(" "));
    Ok(report)
}
