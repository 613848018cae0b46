//! `git:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, Problem};

/// Report on the source of an app, or of all of them: its branch, and the commit that runs
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --git-sha, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl OfEachApp for Report {
    const TOPIC: &'static str = "git";

    fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }

    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let mut report = report::Report::new(&app.name);
        let branch = app.deploy_branch.as_ref().map(|branch| branch.as_str());
        report.fact("git-deploy-branch", branch.unwrap_or_default());
        // The first of these that is pushed.
        report.fact("git-global-deploy-branch", "main or master");
        report.fact("git-keep-git-dir", false);
        report.fact("git-rev-env-var", "GIT_REV");
        let release = match app.current {
            Some(version) => platform.store.release(app.id, version).await?,
            None => None,
        };
        let commit = release.as_ref().and_then(|release| release.commit.as_ref());
        report.fact("git-sha", commit.map_or("", |commit| commit.as_str()));
        let updated_at = release.map(|release| release.created_at.as_second().to_string());
        report.fact("git-last-updated-at", updated_at.unwrap_or_default());
        Ok(report)
    }
}
