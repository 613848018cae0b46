//! `builds:*`: the deploys of an app, under the name Dokku gives them.

mod cancel;
mod info;
mod list;
mod output;
mod prune;
mod report;

pub use cancel::Cancel;
pub use info::Info;
pub use list::List;
pub use output::Output;
pub use prune::Prune;
pub use report::Report;

use std::collections::BTreeSet;

use super::Platform;
use crate::model::{App, Deploy, DeployId, DeployStatus, Kind, Problem, Timestamp};

/// `2026-08-21T10:00:00Z`
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `4s`, `2m05s`; empty while it goes on.
fn duration(deploy: &Deploy) -> String {
    let Some(end) = deploy.finished_at else {
        return String::new();
    };
    let seconds = end
        .as_second()
        .saturating_sub(deploy.started_at.as_second());
    match seconds {
        ..60 => format!("{seconds}s"),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// The status of a deploy; one that goes on may only be waiting for its turn.
fn shown_status(deploy: &Deploy, waiting: &BTreeSet<DeployId>) -> &'static str {
    match deploy.status {
        DeployStatus::Running if waiting.contains(&deploy.id) => "waiting",
        status => status.as_str(),
    }
}

/// The deploy that was asked for: an id, or `current` for the one that goes on, else the last.
async fn chosen(platform: &Platform, app: &App, id: Option<&str>) -> Result<Deploy, Problem> {
    let id = match id {
        None | Some("current") => platform.deploys.running(&app.name),
        Some(id) => Some(id.parse::<DeployId>()?),
    };
    let deploy = match &id {
        Some(id) => platform.store.deploy(id).await?,
        None => platform.store.deploys(app.id, 1).await?.into_iter().next(),
    };
    // An id of another app is as unknown as one that never was.
    deploy
        .filter(|deploy| deploy.app == app.id)
        .ok_or_else(|| match id {
            Some(id) => Problem::new(
                Kind::NotFound,
                format!("{} has no build {id}", app.name),
                "",
                format!("See `builds:list {}`", app.name),
            ),
            None => Problem::new(
                Kind::NotFound,
                format!("{} has no builds yet", app.name),
                "",
                "Push to it with `git push mini main`",
            ),
        })
}
