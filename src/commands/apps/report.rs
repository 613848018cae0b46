//! `apps:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, Problem};

/// Report on an app, or on all of them
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --app-created-at, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl OfEachApp for Report {
    const TOPIC: &'static str = "app";

    fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }

    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let mut report = report::Report::new(&app.name);
        report.fact("app-created-at", app.created_at.as_second());
        report.fact(
            "app-deploy-branch",
            app.deploy_branch
                .as_ref()
                .map_or("", |branch| branch.as_str()),
        );
        report.fact(
            "app-deploy-source",
            if app.current.is_some() {
                "git-push"
            } else {
                ""
            },
        );
        report.fact("app-dir", platform.repositories.path(&app.name).display());
        report.fact(
            "app-locked",
            platform.store.app_lock(app.id).await?.is_some(),
        );
        report.fact(
            "app-release",
            app.current.map(|v| v.to_string()).unwrap_or_default(),
        );
        report.fact("app-stopped", app.is_stopped);
        Ok(report)
    }
}
