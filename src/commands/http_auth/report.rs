//! `http-auth:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, Problem, UserName};

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

impl OfEachApp for Report {
    const TOPIC: &'static str = "http-auth";

    fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }

    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let auth = platform.store.http_auth(app.id).await?;
        let users: Vec<&str> = auth.users.keys().map(UserName::as_str).collect();
        let mut report = report::Report::new(&app.name);
        report.fact("http-auth-enabled", auth.is_on);
        report.fact("http-auth-users", users.join(" "));
        Ok(report)
    }
}
