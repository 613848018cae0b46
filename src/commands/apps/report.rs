//! `apps:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::report::{self, Asked, Reports};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{App, AppName, Permission, Problem};

const TOPIC: &str = "app";

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
        let of = |app| async move { Ok(of(platform, &app)) };
        Reports::about(TOPIC, asked, self.flag.as_deref(), of).await
    }
}

fn of(platform: &Platform, app: &App) -> report::Report {
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
        "app-release",
        app.current.map(|v| v.to_string()).unwrap_or_default(),
    );
    report.fact("app-stopped", app.is_stopped);
    report
}
