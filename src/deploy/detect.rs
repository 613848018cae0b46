//! Received -> Detected: what the commit is, what it can run, how it is checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use mini_buildpacks::Options;

use super::Deployer;
use super::checks::declared_checks;
use super::pipeline::{Detected, Received, Runnable};
use super::run::Run;
use crate::model::{Kind, Problem, ProcessType};

pub(super) async fn detect(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    received: Received,
) -> Result<Detected, Problem> {
    let app = &run.app.name;
    let commit = received.commit;
    let tree = deployer
        .repositories
        .tree(app, &commit)
        .await
        .map_err(|error| super::problem::git(app, &error))?;
    for warning in tree.warnings() {
        run.warn(warning.clone()).await;
    }
    let options = Options {
        image_mirrors: deployer.settings.image_mirrors.clone(),
        cache_id_prefix: Some(app.to_string()),
        ..Options::default()
    };
    let searched = tree.clone();
    let found = tokio::task::spawn_blocking(move || {
        let detection = mini_buildpacks::detect(&searched, &options);
        let checks = declared_checks(&searched);
        (detection, checks)
    });
    let (detection, checks) = found.await.map_err(|_| super::run::lost())?;
    let detection = detection.map_err(|error| {
        Problem::new(
            Kind::AppFailed,
            format!("{app} was not deployed: {}", error.what()),
            error.why(),
            error.next(),
        )
    })?;
    let declared = checks?;
    for warning in detection.warnings.iter().chain(&declared.warnings) {
        run.warn(warning.clone()).await;
    }

    let mut processes = BTreeMap::new();
    for (name, command) in &detection.processes {
        let process_type: ProcessType = name.parse()?;
        processes.insert(process_type, command.clone());
    }
    require_web(deployer, run, &processes, commit.short()).await?;
    let runnable = Runnable {
        processes,
        release_command: detection.release_command.clone(),
        checks: declared.checks,
    };
    Ok(Detected {
        commit,
        tree,
        detection,
        runnable,
    })
}

/// An app needs a `web` process unless its owner has said that it runs none.
async fn require_web(
    deployer: &Deployer,
    run: &Run,
    processes: &BTreeMap<ProcessType, Option<String>>,
    commit: &str,
) -> Result<(), Problem> {
    let web = ProcessType::web();
    if processes.contains_key(&web) {
        return Ok(());
    }
    let scale = deployer.store.scale(run.app.id).await?;
    if scale.quantity(&web) == 0 {
        return Ok(());
    }
    let app = &run.app.name;
    let names: Vec<String> = processes.keys().map(|name| format!("`{name}`")).collect();
    let defined = if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    };
    Err(Problem::new(
        Kind::AppFailed,
        format!("{app} was not deployed: no process type `web`"),
        format!("the Procfile at {commit} defines only {defined}"),
        format!(
            "add a line like `web: npm start`, commit, and push again; \
             if it is meant to have none, say so with `ps:scale {app} web=0`"
        ),
    ))
}
