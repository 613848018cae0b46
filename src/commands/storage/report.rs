//! `storage:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::path;
use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, Problem, StorageMount};

/// Report what the containers of an app, or of all apps, keep
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --storage-mounts, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl OfEachApp for Report {
    const TOPIC: &'static str = "storage";

    fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }

    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let mounts = platform.store.storage_mounts(app.id).await?;
        let mut report = report::Report::new(&app.name);
        let shown: Vec<String> = mounts.iter().map(StorageMount::to_string).collect();
        report.fact("storage-mounts", shown.join(" "));
        let folders = mounts.iter().map(|mount| path(platform, &mount.name));
        let folders: Vec<String> = folders.map(|path| path.display().to_string()).collect();
        report.fact("storage-folders", folders.join(" "));
        Ok(report)
    }
}
