//! Healthy -> Routed, and what is put away afterwards: requests go to the new release, and old things are put away.

use std::sync::Arc;

use super::pipeline::Healthy;
use super::run::Run;
use super::tasks::{self, Task};
use super::{Deployer, problem};
use crate::engine::ProcessState;
use crate::events::EventBody;
use crate::model::{App, Problem, ProcessType, Release, Step, Timestamp, Trigger};

/// Makes the release current and resolves when requests go to it.
pub(super) async fn route(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    healthy: Healthy,
) -> Result<(), Problem> {
    let version = healthy.release.version;
    let drain_until = deployer.reconciler.rules().drain_until(Timestamp::now());
    deployer
        .store
        .promote_by(
            &run.id,
            (run.app.id, version),
            drain_until,
            healthy.release.starts_app(),
        )
        .await?;
    run.emit(EventBody::StepStarted { step: Step::Route }).await;
    let app = &run.app.name;
    let web = ProcessType::web();
    // It may have been stopped or scaled down while this deploy went on.
    let is_routed = !deployer.app(app).await?.is_stopped
        && healthy.release.processes.contains_key(&web)
        && deployer.store.scale(run.app.id).await?.quantity(&web) > 0;
    if is_routed {
        // A process that dies in this moment must not hold up the answer: gone or routed, both are an end. Whoever is ready
        // is routed by the same look, unless no visitor reaches the app (`domains:disable`): then it is in no route ever.
        let seen = deployer
            .reconciler
            .wait_for(|view| {
                let mut mine = view.processes.iter().filter(|process| {
                    process.app == *app
                        && process.release == version
                        && process.process_type == web
                        && process.state == ProcessState::Running
                });
                let is_settled = mine.clone().next().is_none()
                    || mine.any(|process| view.ready.contains(&process.id));
                view.lasting_problem().is_some() || view.engine_problem.is_none() && is_settled
            })
            .await;
        drop(seen);
    } else {
        deployer.reconciler.wake();
    }
    postdeploy(deployer, run, &healthy.release).await;
    announce(deployer, run, version, is_routed).await
}

/// Runs what is to be run once a release serves. Where it fails the release serves all the same: that is said, and no deploy
/// fails by it. Nothing calls the release off any more, but the command alone can be: it may hang, and keeps its turn.
async fn postdeploy(deployer: &Deployer, run: &Run, release: &Release) {
    let Some(line) = postdeploy_of(release, run.trigger) else {
        return;
    };
    let ran = tokio::select! {
        biased;
        () = run.cancel.cancelled() => {
            run.warn(format!(
                "The postdeploy command of {} was canceled; {} serves all the same",
                run.app.name, release.version
            ))
            .await;
            return;
        }
        ran = tasks::run(deployer, run, release, Task::Postdeploy, line) => ran,
    };
    if let Err(failure) = ran {
        let problem = Problem::from(failure);
        run.warn(format!(
            "{}: {}; {} serves all the same",
            problem.what, problem.why, release.version
        ))
        .await;
    }
}

/// What is run once a release serves that came about this way. A restart and a rollback bring nothing new that it would be about.
pub(super) fn postdeploy_of(release: &Release, trigger: Trigger) -> Option<&str> {
    match trigger {
        Trigger::Push | Trigger::Rebuild | Trigger::Config => release.postdeploy_command.as_deref(),
        Trigger::Restart | Trigger::Rollback => None,
    }
}

async fn announce(
    deployer: &Deployer,
    run: &Run,
    version: crate::model::ReleaseVersion,
    is_routed: bool,
) -> Result<(), Problem> {
    if !is_routed {
        run.section(format!(
            "Application deployed: {version}, no web process runs"
        ))
        .await;
        return Ok(());
    }
    let exposure = deployer.store.exposure(run.app.id).await?;
    let urls = deployer.reconciler.urls(&run.app.name, &exposure);
    if urls.is_empty() {
        let text = format!("Application deployed: {version}, without an address to visit");
        run.section(text).await;
        return Ok(());
    }
    run.section("Application deployed:").await;
    for url in urls {
        run.line(url).await;
    }
    Ok(())
}

/// Forgets old releases and removes the images nobody refers to any more. Called while the deploy still has its turn, so
/// that the image of the next one is not among them. Nothing here can undo the deploy: what goes wrong is a warning in
/// the server's log, and the next deploy tries again.
pub(super) async fn put_away(deployer: &Deployer, app: &App) {
    let put_away = async {
        let keep = deployer
            .store
            .prune_releases(app.id, deployer.settings.keep_releases)
            .await?;
        let what = format!("old images of {} were not removed", app.name);
        let pruned = deployer.engine.prune_images(&app.name, &keep).await;
        pruned.map_err(|error| problem::engine(what, &error))
    };
    let done: Result<usize, Problem> = put_away.await;
    if let Err(problem) = done {
        tracing::warn!(app = %app.name, %problem, "old releases were not put away");
    }
}
