//! `domains:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::GlobalDomains;
use crate::commands::report::{self, Asked, Reports};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{App, AppName, DomainName, Permission, Problem};

const TOPIC: &str = "domains";

/// Report the host names of an app, of all apps, or of the server
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --domains-app-vhosts, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
    /// Report the domains of the server instead
    #[arg(long, conflicts_with_all = ["app", "flag"])]
    #[serde(default)]
    pub global: bool,
}

/// What was asked for.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Apps.
    Apps(Reports),
    /// The server.
    Global {
        /// Whether there is any.
        #[serde(rename = "domains-global-enabled")]
        is_enabled: String,
        /// All of them.
        #[serde(rename = "domains-global-vhosts")]
        names: String,
    },
}

impl Command for Report {
    type Output = Answer;

    fn permission(&self) -> Permission {
        Permission::to_read(self.app.as_ref())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Answer, Problem> {
        if self.global {
            let global = GlobalDomains::now(platform).await?;
            let names = joined(global.all());
            return Ok(Answer::Global {
                is_enabled: (!names.is_empty()).to_string(),
                names,
            });
        }
        let asked = Asked::by(self.app.as_ref(), platform, authorized, dialog).await?;
        let of = |app| async move { of(platform, &app).await };
        let reports = Reports::about(TOPIC, asked, self.flag.as_deref(), of).await?;
        Ok(Answer::Apps(reports))
    }
}

async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
    let exposure = platform.store.exposure(app.id).await?;
    let global = GlobalDomains::now(platform).await?;
    let mut report = report::Report::new(&app.name);
    report.fact("domains-app-enabled", exposure.is_public);
    report.fact("domains-app-vhosts", joined(exposure.own.iter()));
    let global = joined(global.all());
    report.fact(
        "domains-global-enabled",
        exposure.has_global && !global.is_empty(),
    );
    report.fact("domains-global-vhosts", global);
    let all = platform.reconciler.host_names(&app.name, &exposure);
    report.fact("domains-computed-vhosts", joined(all.iter()));
    Ok(report)
}

fn joined<'a>(names: impl Iterator<Item = &'a DomainName>) -> String {
    let names: Vec<&str> = names.map(DomainName::as_str).collect();
    names.join(" ")
}

impl Output for Answer {
    fn print(&self, page: &mut Page) {
        match self {
            Answer::Apps(reports) => reports.print(page),
            Answer::Global { is_enabled, names } => {
                page.section("Global domains information");
                page.detail(format!("Domains global enabled:        {is_enabled}"));
                page.detail(format!("Domains global vhosts:         {names}").trim_end());
            }
        }
    }
}
