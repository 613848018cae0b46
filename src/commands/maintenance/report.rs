//! `maintenance:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, Network, PageName, Problem};

/// Report whether an app is closed for its visitors, or all apps
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --maintenance-enabled, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl OfEachApp for Report {
    const TOPIC: &'static str = "maintenance";

    fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }

    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let maintenance = platform.store.maintenance(app.id).await?;
        let pages = platform.store.proxy_pages(app.id).await?;
        let mut report = report::Report::new(&app.name);
        report.fact("maintenance-enabled", maintenance.is_some());
        let text = |fact: Option<String>| fact.unwrap_or_default();
        let closed = maintenance.as_ref();
        report.fact(
            "maintenance-since",
            text(closed.map(|closed| closed.since.to_string())),
        );
        report.fact(
            "maintenance-retry-after-seconds",
            text(closed.map(|closed| closed.retry_after.as_secs().to_string())),
        );
        let allow = closed.map(|closed| {
            let allow: Vec<String> = closed.allow.iter().map(Network::to_string).collect();
            allow.join(",")
        });
        report.fact("maintenance-allow", text(allow));
        report.fact(
            "maintenance-custom-page",
            pages.contains_key(&PageName::Maintenance),
        );
        Ok(report)
    }
}
