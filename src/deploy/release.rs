//! Built -> Released: the release command, then a candidate is recorded; and what becomes of a candidate that fails.

use std::sync::Arc;

use super::pipeline::{Built, Healthy, Released};
use super::run::Run;
use super::tasks::{self, Failure, Task};
use super::{Deployer, namesakes, problem};
use crate::engine::ImageFacts;
use crate::model::{
    App, ConfigVars, DEFAULT_PORT, Kind, Problem, ProcessSetting, Release, ReleaseStatus,
    Timestamp, require_startable,
};

/// Whether the release command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Run,
    Skip,
}

pub(super) async fn release(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    built: Built,
    command: Command,
) -> Result<Released, Problem> {
    let app = run.app.name.clone();
    let what = format!("{app} was not deployed: its image is missing");
    let (facts, config, mappings, settings) = tokio::join!(
        deployer.engine.image(built.image.as_str()),
        deployer.store.merged_config(run.app.id),
        deployer.store.ports(run.app.id),
        deployer.store.process_settings(run.app.id),
    );
    let facts = facts
        .map_err(|error| problem::engine(what.clone(), &error))?
        .ok_or_else(|| {
            Problem::new(
                Kind::NotFound,
                what,
                format!("the image {} was removed from Docker", built.image),
                format!("build it again with `ps:rebuild {app}`"),
            )
        })?;
    let config = config?;
    let standard = &deployer.reconciler.rules().standard;
    let mapped = standard.container_port(&mappings?);
    let release = Release {
        app: run.app.id,
        // Deploys of an app are one at a time, so this is the number it is recorded with.
        version: deployer.store.next_version(run.app.id).await?,
        status: ReleaseStatus::Candidate,
        image: built.image,
        commit: built.commit,
        processes: built.runnable.processes,
        release_command: built.runnable.release_command,
        postdeploy_command: built.runnable.postdeploy_command,
        start_command: settings?
            .get(ProcessSetting::StartCommand)
            .map(str::to_owned),
        formation: built.runnable.formation,
        port: port(&facts, &config, mapped),
        checks: built.runnable.checks,
        config,
        trigger: run.trigger,
        description: built.description,
        actor: run.actor.clone(),
        created_at: Timestamp::now(),
        drain_until: None,
    };
    let mut types = release.processes.keys();
    if types.any(|process_type| release.command(process_type).is_none()) && !facts.has_command {
        return Err(Problem::new(
            Kind::AppFailed,
            format!("{app} was not deployed: nothing says what to run"),
            "its image has no command of its own, and there is no Procfile",
            "add a CMD to the Dockerfile or a Procfile with a line like `web: ./server`, and push again",
        ));
    }
    // Those of all apps, and what app.json sets, come together here alone.
    require_startable(&release.config).map_err(|error| {
        Problem::new(
            Kind::AppFailed,
            format!("{app} was not deployed: {error}"),
            error.why(),
            "put large values into a file of the app, or into its storage (`help storage:mount`), and unset them",
        )
    })?;
    // Before anything is run that a deploy would run once more.
    namesakes::gone(deployer, run, release.version).await?;
    if command == Command::Run
        && let Some(line) = &release.release_command
    {
        tasks::run(deployer, run, &release, Task::Release, line).await?;
    }
    if let Some(line) = &built.runnable.setup_command {
        set_up(deployer, run, &release, line).await?;
    }
    let release = deployer.store.add_candidate(&run.id, release).await?;
    let app_now = deployer.store.app(&app).await?;
    let is_stopped = app_now.is_some_and(|app| app.is_stopped);
    let is_started = !is_stopped || release.starts_app();
    Ok(Released {
        release,
        is_started,
    })
}

/// Runs what is run at the first deploy of an app only.
async fn set_up(
    deployer: &Deployer,
    run: &Run,
    release: &Release,
    line: &str,
) -> Result<(), Problem> {
    let app = &run.app.name;
    // A deploy that has waited knows the app as it was before.
    if deployer.app(app).await?.current.is_some() {
        return Ok(());
    }
    // Noted before: one that fails in the middle may have done half of it, and is not run again by itself.
    if !deployer.store.begin_set_up(run.app.id).await? {
        run.warn(format!(
            "The postdeploy command of the first deploy was begun before and is not run again; \
             where it did not end well, `run {app} COMMAND` does what is missing"
        ))
        .await;
        return Ok(());
    }
    let ran = tasks::run(deployer, run, release, Task::SetUp, line).await;
    if let Err(Failure::NotBegun(_)) = &ran {
        deployer.store.take_back_set_up(run.app.id).await?;
    }
    Ok(ran?)
}

/// The port `web` is told to listen on: the config var `PORT`, else the one that a mapping of the server's own ports leads
/// to (`http:80:3000`), else the image's single exposed port, else 5000.
fn port(facts: &ImageFacts, config: &ConfigVars, mapped: Option<u16>) -> u16 {
    let configured = config
        .iter()
        .find(|(key, _)| key.as_str() == "PORT")
        .and_then(|(_, value)| value.reveal().trim().parse().ok())
        .filter(|port| *port > 0);
    let exposed = match facts.exposed_ports.as_slice() {
        [port] => Some(*port),
        _ => None,
    };
    configured.or(mapped).or(exposed).unwrap_or(DEFAULT_PORT)
}

/// Healthy, with a push: the release is promised, and this waits until the branch has moved. When whoever pushed is gone,
/// the branch is moved here, for the deploy belongs to the server.
pub(super) async fn promise(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    healthy: &Healthy,
) -> Result<(), Problem> {
    let Some((movement, commit)) = run.branch.as_ref().zip(run.commit.as_ref()) else {
        return Ok(());
    };
    let app = &run.app.name;
    let release = &healthy.release;
    let adopted = deployer
        .store
        .prepare(&run.id, release.app, release.version, &movement.branch)
        .await?;
    if adopted != movement.branch {
        return Err(super::push::wrong_branch(app, &movement.branch, &adopted));
    }
    run.set_prepared().await;
    let mut holders = run.holders.subscribe();
    let waited = holders
        .wait_for(|holders| holders.is_committed || holders.pushes.is_empty())
        .await
        .map(|holders| holders.is_committed);
    if waited.unwrap_or(false) {
        return Ok(());
    }
    let tip = deployer.repositories.tip(app, &movement.branch).await;
    if tip.map_err(|error| problem::git(app, &error))?.as_ref() == Some(commit) {
        return Ok(());
    }
    deployer
        .repositories
        .move_branch(app, &movement.branch, movement.from.as_ref(), commit)
        .await
        .map_err(|error| problem::git(app, &error))
}

/// No release of the app is on its way any more: what was marks itself failed, so that the reconciler removes what was
/// started. Called with the turn held, so that it cannot meet another deploy's release.
pub(super) async fn abandon(deployer: &Deployer, app: &App) {
    if let Err(error) = deployer.store.fail_unfinished(app.id).await {
        tracing::error!(app = %app.name, %error, "cannot mark a failed release");
    }
    deployer.reconciler.wake();
}
