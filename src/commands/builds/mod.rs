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
use crate::model::{App, Deploy, DeployId, DeployStatus, Kind, Problem, Step, Timestamp};

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

/// The status of a deploy as that of a build: one that goes on is running while its image is made, so that no more are running than
/// may be at once. Before that it waits, if only to be looked at, and after that its processes are starting.
fn shown_status(deploy: &Deploy, waiting: &BTreeSet<DeployId>) -> &'static str {
    match (deploy.status, deploy.step) {
        (DeployStatus::Running, Step::Received | Step::Detect) => "waiting",
        (DeployStatus::Running, Step::Build) if waiting.contains(&deploy.id) => "waiting",
        (
            DeployStatus::Running,
            Step::Release | Step::Check | Step::Prepared | Step::Route | Step::Live,
        ) => "starting",
        (status, _) => status.as_str(),
    }
}

/// The status with the reason, where a word says it: `failed: timeout`.
fn told_status(status: &str, deploy: &Deploy) -> String {
    match deploy.reason {
        Some(reason) => format!("{status}: {reason}"),
        None => status.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AppId, FailureReason, Trigger};

    #[test]
    fn only_what_is_being_built_is_running() {
        let started_at: Timestamp = "2026-08-21T10:00:00Z".parse().unwrap();
        let deploy = |step, status| Deploy {
            id: DeployId::new(started_at, 1),
            app: AppId(1),
            trigger: Trigger::Push,
            commit: None,
            actor: "me".to_owned(),
            step,
            status,
            release: None,
            started_at,
            finished_at: None,
            failure: None,
            reason: None,
        };
        let nobody = BTreeSet::new();
        let in_line = BTreeSet::from([DeployId::new(started_at, 1)]);
        let check = |step, waiting: &BTreeSet<DeployId>, shown| {
            let deploy = deploy(step, DeployStatus::Running);
            assert_eq!(shown_status(&deploy, waiting), shown, "{step:?}");
        };
        check(Step::Received, &nobody, "waiting");
        check(Step::Detect, &nobody, "waiting");
        check(Step::Build, &in_line, "waiting");
        check(Step::Build, &nobody, "running");
        check(Step::Release, &nobody, "starting");
        check(Step::Check, &nobody, "starting");
        check(Step::Route, &nobody, "starting");
        let failed = deploy(Step::Build, DeployStatus::Failed);
        assert_eq!(shown_status(&failed, &nobody), "failed");
        assert_eq!(told_status("failed", &failed), "failed");
        let slow = Deploy {
            reason: Some(FailureReason::Timeout),
            ..failed
        };
        assert_eq!(told_status("failed", &slow), "failed: timeout");
    }
}
