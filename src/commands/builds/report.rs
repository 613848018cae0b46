//! `builds:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::engine::BuildMemory;
use crate::model::{App, AppName, Problem};

/// Report the builds of an app and what its images take, or of all apps
///
/// Images share layers, so together they take less. `builds:prune --dry-run` tells of the build cache.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --builds-images, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl OfEachApp for Report {
    const TOPIC: &'static str = "builds";

    fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }

    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let images = platform.engine.images(Some(&app.name)).await?;
        let referred = platform.store.release_images().await?;
        let kept = images.iter().filter(|image| referred.contains(&image.id));
        let bytes: u64 = images.iter().map(|image| image.size_bytes).sum();
        let mut report = report::Report::new(&app.name);
        let running = platform.deploys.running(&app.name);
        report.fact(
            "builds-running",
            running.map(|id| id.to_string()).unwrap_or_default(),
        );
        report.fact("builds-images", images.len());
        report.fact("builds-images-of-releases", kept.count());
        report.fact("builds-image-bytes", bytes);
        let limit = platform.store.builder(app.id).await?.memory_limit_bytes();
        let limit = limit.or(platform.deploys.build_limits().memory_bytes);
        let held = match (limit, platform.engine.build_memory().await) {
            (None, _) => "no limit is set".to_owned(),
            (Some(_), BuildMemory::Watched { .. }) => "held".to_owned(),
            (Some(_), BuildMemory::Unwatched { why, remedy }) => {
                format!("does not hold: {why}; {remedy}")
            }
        };
        report.fact("builds-memory-limit", held);
        Ok(report)
    }
}
