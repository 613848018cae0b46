//! `buildpacks:*`: what mini makes of a repository, of a folder on the caller's own machine or of an app on the server.

mod detect;
mod detected;
mod dockerfile;
mod local;

pub use detect::Detect;
pub use dockerfile::Dockerfile;
pub use local::{Local, LocalAnswer, local};

use mini_buildpacks::{DetectError, Detection};

use super::Platform;
use super::problems::not_deployed;
use crate::model::{App, Kind, Problem};

pub(super) fn problem(error: &DetectError) -> Problem {
    Problem::new(Kind::AppFailed, error.what(), error.why(), error.next())
}

/// What the deployed commit of an app is, with its settings of today.
pub(super) async fn of_app(
    platform: &Platform,
    app: &App,
) -> Result<Result<Detection, DetectError>, Problem> {
    let release = match app.current {
        Some(version) => platform.store.release(app.id, version).await?,
        None => None,
    };
    let Some(commit) = release.and_then(|release| release.commit) else {
        return Err(not_deployed(&app.name));
    };
    platform.deploys.detection(app, &commit).await
}
