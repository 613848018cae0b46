//! `builds:info`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{chosen, duration, moment, shown_status, told_status};
use crate::commands::report::{self, Reports};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, Permission, Problem};

/// Report on one build
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// The app
    pub app: AppName,
    /// Its id from `builds:list`; `current` or nothing is the one that goes on, else the last
    #[serde(default)]
    pub id: Option<String>,
}

impl Command for Info {
    type Output = Reports;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Reports, Problem> {
        let app = authorized.app()?;
        let deploy = chosen(platform, app, self.id.as_deref()).await?;
        let mut report = report::Report::new(&app.name);
        report.fact("id", &deploy.id);
        let status = shown_status(&deploy, &platform.deploys.waiting());
        report.fact("status", told_status(status, &deploy));
        report.fact("step", deploy.step);
        report.fact("trigger", deploy.trigger);
        report.fact("actor", &deploy.actor);
        report.fact(
            "commit",
            deploy.commit.as_ref().map_or("", |commit| commit.as_str()),
        );
        report.fact(
            "release",
            deploy.release.map(|v| v.to_string()).unwrap_or_default(),
        );
        report.fact("started-at", moment(deploy.started_at));
        report.fact(
            "finished-at",
            deploy.finished_at.map(moment).unwrap_or_default(),
        );
        report.fact("duration", duration(&deploy));
        report.fact("failure", deploy.failure.unwrap_or_default());
        Reports::one("build", report, None, dialog.options())
    }
}
