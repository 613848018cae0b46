//! The road of a deploy, step by step: each arrow consumes one struct and returns the next, so that no step can be
//! skipped or run twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use mini_buildpacks::Detection;

use super::run::{Run, canceled, lost};
use super::{BuildLimits, Deployer, build, check, detect, redeploy, release, restore, route};
use crate::events::EventBody;
use crate::git::CommitTree;
use crate::model::{
    AppName, BuildCache, Check, CommitId, ImageId, Problem, ProcessCommand, ProcessType, Release,
    ReleaseVersion, Scale, Secret, Step,
};

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
    pub(super) terms: BuildTerms,
}

/// What was decided about the build outside of the repository.
pub(super) struct BuildTerms {
    pub(super) cache: BuildCache,
    pub(super) limits: BuildLimits,
    /// By the id they are mounted with.
    pub(super) secrets: BTreeMap<String, Secret>,
}

/// What an image can run, and how it is checked.
#[derive(Debug, Clone)]
pub(super) struct Runnable {
    pub(super) processes: BTreeMap<ProcessType, ProcessCommand>,
    pub(super) release_command: Option<String>,
    /// Run once the release serves.
    pub(super) postdeploy_command: Option<String>,
    /// Run at the first deploy of the app only, before its processes start.
    pub(super) setup_command: Option<String>,
    /// How many processes run of each type, where the repository says so.
    pub(super) formation: Option<Scale>,
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
}

/// Where on the road a deploy begins. What is deployed is looked up when its turn has come, so that a deploy that waited
/// never brings back what the one before it has replaced.
pub(super) enum Entry {
    /// A push.
    Received(Received),
    /// `ps:rebuild`: the commit of the present release.
    Rebuild,
    /// `config:set`: the present image with the present config.
    Reconfigure(String),
    /// `ps:restart`: the same without the release command.
    Restart(String),
    /// `rollback`: an old release, or the newest with another image than the present one.
    Rollback(Option<ReleaseVersion>),
    /// `apps:clone`: what the app runs that this one is a copy of.
    Clone(AppName),
    /// The image of the current release is gone: only that is made.
    Restore(ReleaseVersion),
}

/// Goes the whole road. Until `Routed`, failure and cancellation remove what this deploy started; the old release never
/// stopped serving.
pub(super) async fn drive(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    entry: Entry,
) -> Result<(), Problem> {
    if let Entry::Restore(version) = entry {
        return tokio::select! {
            restored = restore::restore(deployer, run, version) => restored,
            () = run.cancel.cancelled() => Err(canceled(&run.app)),
        };
    }
    let healthy = tokio::select! {
        healthy = prepare(deployer, run, entry) => healthy,
        () = run.cancel.cancelled() => Err(canceled(&run.app)),
    };
    // Once git has been told that the release is prepared it is promised, and nothing cancels it any more.
    let promised = match healthy {
        Ok(healthy) => release::promise(deployer, run, &healthy)
            .await
            .map(|()| healthy),
        Err(problem) => Err(problem),
    };
    match promised {
        Ok(healthy) => route::route(deployer, run, healthy).await,
        Err(problem) => {
            release::abandon(deployer, &run.app).await;
            Err(problem)
        }
    }
}

async fn prepare(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    entry: Entry,
) -> Result<Healthy, Problem> {
    // Deploys of an app are one at a time, so this is the number that the release is recorded with.
    let next = deployer.store.next_version(run.app.id).await?;
    let (built, command) = match entry {
        Entry::Received(received) => (
            from_source(deployer, run, received, next).await?,
            release::Command::Run,
        ),
        Entry::Rebuild => {
            let received = redeploy::deployed_source(deployer, &run.app).await?;
            (
                from_source(deployer, run, received, next).await?,
                release::Command::Run,
            )
        }
        Entry::Reconfigure(description) => {
            let built = redeploy::deployed(deployer, &run.app, description).await?;
            (
                restore::with_image(deployer, run, built, next).await?,
                release::Command::Run,
            )
        }
        Entry::Clone(of) => {
            let built = redeploy::deployed_of(deployer, &of).await?;
            (
                restore::with_image(deployer, run, built, next).await?,
                release::Command::Run,
            )
        }
        Entry::Restart(description) => {
            let built = redeploy::deployed(deployer, &run.app, description).await?;
            (
                restore::with_image(deployer, run, built, next).await?,
                release::Command::Skip,
            )
        }
        Entry::Rollback(version) => {
            let built = redeploy::earlier(deployer, &run.app, version).await?;
            (
                restore::with_image(deployer, run, built, next).await?,
                release::Command::Skip,
            )
        }
        // It makes no release; `drive` has sent it another way.
        Entry::Restore(_) => return Err(lost()),
    };
    deployer.step(run, Step::Release).await?;
    let released = release::release(deployer, run, built, command).await?;
    // The row says so since the release was recorded.
    run.emit(EventBody::StepStarted { step: Step::Check }).await;
    check::check(deployer, run, released).await
}

/// Builds a commit for `release`: the next one, or one that is there already and has lost its image.
pub(super) async fn from_source(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    received: Received,
    release: ReleaseVersion,
) -> Result<Built, Problem> {
    deployer.step(run, Step::Detect).await?;
    let detected = detect::detect(deployer, run, received, release).await?;
    deployer.step(run, Step::Build).await?;
    build::build(deployer, run, detected, release).await
}
