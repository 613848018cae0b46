//! `proxy:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, Kind, PageName, Problem, ProxyOptions, Timestamp};

/// Report how the proxy treats the requests of an app, or of all apps
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --proxy-computed-max-body-size, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl OfEachApp for Report {
    const TOPIC: &'static str = "proxy";

    fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }

    /// Each setting twice, as Dokku has it: what was set for the app, and what is in force.
    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let own = platform.store.proxy_settings(app.id).await?;
        let mut computed = ProxyOptions::default();
        for (name, value) in &own {
            computed
                .set(name, value)
                .map_err(|why| Problem::new(Kind::Internal, "A setting does not read", why, ""))?;
        }
        let mut report = report::Report::new(&app.name);
        let pages = platform.store.proxy_pages(app.id).await?;
        let statuses: Vec<String> = pages
            .into_keys()
            .filter(|name| *name != PageName::Maintenance)
            .map(|name| name.to_string())
            .collect();
        report.fact("proxy-error-pages", statuses.join(" "));
        for setting in ProxyOptions::SETTINGS {
            let name = setting.name;
            report.fact(
                &format!("proxy-{name}"),
                own.get(name).map_or("", String::as_str),
            );
            report.fact(&format!("proxy-computed-{name}"), setting.shown(&computed));
        }
        let until = platform.store.paused_until(app.id).await?;
        let until = until.filter(|until| Timestamp::now() < *until);
        report.fact(
            "proxy-paused-until",
            until.map_or(String::new(), |until| until.to_string()),
        );
        report.fact("proxy-waiting", platform.reconciler.waiting(&app.name));
        Ok(report)
    }
}
