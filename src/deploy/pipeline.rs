//! The road of a deploy, step by step: each arrow consumes one struct and returns the next, so that no step can be
//! skipped or run twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use mini_buildpacks::Detection;

use super::run::{Run, canceled};
use super::{Deployer, build, check, detect, release, route};
use crate::git::CommitTree;
use crate::model::{Check, CommitId, ImageId, Problem, ProcessCommand, ProcessType, Release, Step};

/// A commit that was pushed.
pub(super) struct Received {
    pub(super) commit: CommitId,
}

/// What the commit is and what it can run.
pub(super) struct Detected {
    pub(super) commit: CommitId,
    pub(super) tree: CommitTree,
    pub(super) detection: Detection,
    pub(super) runnable: Runnable,
}

/// What an image can run, and how it is checked.
#[derive(Debug, Clone)]
pub(super) struct Runnable {
    pub(super) processes: BTreeMap<ProcessType, ProcessCommand>,
    pub(super) release_command: Option<String>,
    pub(super) checks: BTreeMap<ProcessType, Vec<Check>>,
}

/// An image, built.
pub(super) struct Built {
    pub(super) commit: Option<CommitId>,
    pub(super) image: ImageId,
    pub(super) runnable: Runnable,
    pub(super) description: String,
}

/// A release whose release command has succeeded; recorded as a candidate, so that the reconciler starts it.
pub(super) struct Released {
    pub(super) release: Release,
    /// Whether its processes are to be started and checked; not so for a stopped app.
    pub(super) is_started: bool,
}

/// A release whose processes have passed their checks.
pub(super) struct Healthy {
    pub(super) release: Release,
    pub(super) is_started: bool,
}

/// Where on the road a deploy begins.
pub(super) enum Entry {
    /// A push, or `ps:rebuild`.
    Received(Received),
    /// `config:set`: the present image with the present config.
    Built(Box<Built>),
    /// `rollback`, `ps:restart`: no release command either.
    Release(Box<Built>),
}

/// Goes the whole road. Until `Routed`, failure and cancellation remove what this deploy started; the old release never
/// stopped serving.
pub(super) async fn drive(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    entry: Entry,
) -> Result<(), Problem> {
    let prepared = tokio::select! {
        prepared = prepare(deployer, run, entry) => prepared,
        () = run.cancel.cancelled() => Err(canceled(&run.app)),
    };
    let healthy = match prepared {
        Ok(healthy) => healthy,
        Err(problem) => {
            release::abandon(deployer, run).await;
            return Err(problem);
        }
    };
    route::route(deployer, run, healthy).await
}

async fn prepare(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    entry: Entry,
) -> Result<Healthy, Problem> {
    let released = match entry {
        Entry::Received(received) => {
            deployer.step(run, Step::Detect).await?;
            let detected = detect::detect(deployer, run, received).await?;
            deployer.step(run, Step::Build).await?;
            let built = build::build(deployer, run, detected).await?;
            deployer.step(run, Step::Release).await?;
            release::release(deployer, run, built, release::Command::Run).await?
        }
        Entry::Built(built) => {
            deployer.step(run, Step::Release).await?;
            release::release(deployer, run, *built, release::Command::Run).await?
        }
        Entry::Release(built) => {
            deployer.step(run, Step::Release).await?;
            release::release(deployer, run, *built, release::Command::Skip).await?
        }
    };
    deployer.step(run, Step::Check).await?;
    let healthy = check::check(deployer, run, released).await?;
    if run.branch.is_some() {
        release::promise(deployer, run, &healthy).await?;
    }
    Ok(healthy)
}
