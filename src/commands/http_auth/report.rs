//! `http-auth:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::report::{self, Reports};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{App, AppName, Permission, Problem, UserName};

const TOPIC: &str = "http-auth";

/// Report whether an app asks its visitors for a password, or all apps
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --http-auth-users, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl Command for Report {
    type Output = Reports;

    fn permission(&self) -> Permission {
        self.app
            .clone()
            .map_or(Permission::Anyone, Permission::ReadApp)
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Reports, Problem> {
        if self.app.is_none() {
            let mut reports = Vec::new();
            for app in authorized.visible_apps(platform).await? {
                reports.push(of(platform, &app).await?);
            }
            return Ok(Reports::All(TOPIC, reports));
        }
        let report = of(platform, authorized.app()?).await?;
        Reports::one(TOPIC, report, self.flag.as_deref(), dialog.options())
    }
}

async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
    let auth = platform.store.http_auth(app.id).await?;
    let users: Vec<&str> = auth.users.keys().map(UserName::as_str).collect();
    let mut report = report::Report::new(&app.name);
    report.fact("http-auth-enabled", auth.is_on);
    report.fact("http-auth-users", users.join(" "));
    Ok(report)
}
