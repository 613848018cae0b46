//! `http-auth:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::report::{self, Asked, Reports};
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
    let auth = platform.store.http_auth(app.id).await?;
    let users: Vec<&str> = auth.users.keys().map(UserName::as_str).collect();
    let mut report = report::Report::new(&app.name);
    report.fact("http-auth-enabled", auth.is_on);
    report.fact("http-auth-users", users.join(" "));
    Ok(report)
}
