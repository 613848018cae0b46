//! `domains:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::report::{self, Reports};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{App, AppName, DomainName, Permission, Problem};

const TOPIC: &str = "domains";

/// Report the host names of an app, or of all apps
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --domains-app-vhosts, to see its value only
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
    let own = platform.store.domains(app.id).await?;
    let mut report = report::Report::new(&app.name);
    report.fact("domains-app-enabled", !own.is_empty());
    report.fact("domains-app-vhosts", joined(&own));
    let global = &platform.facts.base_domains;
    report.fact("domains-global-enabled", !global.is_empty());
    report.fact("domains-global-vhosts", joined(global));
    let all = platform.reconciler.host_names(&app.name, &own);
    report.fact("domains-computed-vhosts", joined(&all));
    Ok(report)
}

fn joined(names: &[DomainName]) -> String {
    let names: Vec<&str> = names.iter().map(DomainName::as_str).collect();
    names.join(" ")
}
