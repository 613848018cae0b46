//! Images that are gone are built again from the commits of their releases: all of them after a restore on another machine,
//! some where somebody has cleaned up Docker. The release stays what it is, with its number and its config, which decides about this
//! build as it did about the first one; only the secrets of the build are those of today.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::pipeline::{self, Entry, Received};
use super::run::Run;
use super::{Deployer, Deploys, problem};
use crate::model::{
    App, AppName, CommitId, DeployId, Kind, Problem, Release, ReleaseVersion, Timestamp, Trigger,
};

/// Who asked for it, in records.
const ACTOR: &str = "mini";
/// The wait after a first failure; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// How often it looks when nothing happens.
const IDLE: Duration = Duration::from_secs(60);

/// How it stands with an app that cannot run because its image is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Restoration {
    /// Others are first.
    Waiting {
        /// The release.
        release: ReleaseVersion,
    },
    /// Its image is being built.
    Building {
        /// The release.
        release: ReleaseVersion,
        /// The deploy that does it.
        build: DeployId,
    },
    /// That has failed.
    Failed {
        /// The release.
        release: ReleaseVersion,
        /// Why.
        why: String,
        /// When it is tried again.
        retry_at: Timestamp,
    },
    /// There is no source to build it from.
    Impossible {
        /// The release.
        release: ReleaseVersion,
    },
}

/// All apps whose image is gone.
#[derive(Default)]
pub(super) struct Restorations(Mutex<BTreeMap<AppName, Restoration>>);

impl Restorations {
    fn set(&self, app: &AppName, restoration: Restoration) {
        self.lock().insert(app.clone(), restoration);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<AppName, Restoration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deploys {
    /// The apps that cannot run because their image is gone, and what is done about it.
    pub fn restorations(&self) -> BTreeMap<AppName, Restoration> {
        self.deployer.restorations.lock().clone()
    }

    /// Looks after images that are gone, one app at a time, until it is dropped; begins nothing while `leaving` is set.
    pub async fn keep_images(&self, mut leaving: watch::Receiver<bool>) {
        let deployer = &self.deployer;
        let mut view = deployer.reconciler.view();
        let mut failures: BTreeMap<AppName, u32> = BTreeMap::new();
        loop {
            // Its end is the end of the server.
            if leaving.wait_for(|is_leaving| !is_leaving).await.is_err() {
                return;
            }
            let refused = {
                let view = view.borrow_and_update();
                view.refusals
                    .keys()
                    .map(|key| (key.app.clone(), key.release))
                    .collect::<BTreeMap<_, _>>()
            };
            let missing = deployer.missing(refused).await;
            failures.retain(|name, _| missing.iter().any(|(app, _)| app.name == *name));
            deployer
                .restorations
                .lock()
                .retain(|name, _| missing.iter().any(|(app, _)| app.name == *name));
            let now = Timestamp::now();
            let due = missing
                .into_iter()
                .filter_map(|(app, release)| deployer.is_due(&app, release, now))
                .next();
            if let Some((app, release, commit)) = due {
                let name = app.name.clone();
                let version = release.version;
                if let Err(problem) = restore_one(deployer, app, version, commit).await {
                    let count = failures.entry(name.clone()).or_default();
                    let wait = FIRST_WAIT.saturating_mul(1 << (*count).min(10));
                    *count += 1;
                    let wait = jiff::SignedDuration::try_from(wait.min(LONGEST_WAIT));
                    let retry_at = now.saturating_add(wait.unwrap_or_default()).unwrap_or(now);
                    tracing::warn!(app = %name, %problem, %retry_at, "an image that is gone could not be built again");
                    let failed = Restoration::Failed {
                        release: version,
                        why: problem.to_string(),
                        retry_at,
                    };
                    deployer.restorations.set(&name, failed);
                }
                continue;
            }
            tokio::select! {
                changed = view.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep(deployer.until_next(now)) => {}
            }
        }
    }
}

impl Deployer {
    /// Of the apps whose start was refused, those whose current image is gone.
    async fn missing(&self, refused: BTreeMap<AppName, ReleaseVersion>) -> Vec<(App, Release)> {
        let mut missing = Vec::new();
        for (name, version) in refused {
            let Ok(Some(app)) = self.store.app(&name).await else {
                continue;
            };
            if app.current != Some(version) {
                continue;
            }
            let Ok(Some(release)) = self.store.release(app.id, version).await else {
                continue;
            };
            // Where Docker does not answer, nothing is known to be missing.
            if let Ok(None) = self.engine.image(release.image.as_str()).await {
                missing.push((app, release));
            }
        }
        missing
    }

    /// The app, if it can be built again now; says what holds it up otherwise.
    fn is_due(
        &self,
        app: &App,
        release: Release,
        now: Timestamp,
    ) -> Option<(App, Release, CommitId)> {
        let Some(commit) = release.commit.clone() else {
            let impossible = Restoration::Impossible {
                release: release.version,
            };
            self.restorations.set(&app.name, impossible);
            return None;
        };
        let mut all = self.restorations.lock();
        match all.get(&app.name) {
            Some(Restoration::Failed { retry_at, .. }) if *retry_at > now => None,
            _ => {
                let waiting = Restoration::Waiting {
                    release: release.version,
                };
                all.insert(app.name.clone(), waiting);
                // A deploy that goes on brings an image of its own.
                self.queue
                    .of(&app.name)
                    .is_empty()
                    .then(|| (app.clone(), release, commit))
            }
        }
    }

    /// How long nothing is to be done but by a change.
    fn until_next(&self, now: Timestamp) -> Duration {
        let all = self.restorations.lock();
        all.values()
            .filter_map(|restoration| match restoration {
                Restoration::Failed { retry_at, .. } => {
                    Duration::try_from(retry_at.duration_since(now)).ok()
                }
                Restoration::Waiting { .. } => Some(Duration::from_secs(2)),
                Restoration::Building { .. } | Restoration::Impossible { .. } => None,
            })
            .fold(IDLE, Duration::min)
    }
}

async fn restore_one(
    deployer: &Arc<Deployer>,
    app: App,
    version: ReleaseVersion,
    commit: CommitId,
) -> Result<(), Problem> {
    let name = app.name.clone();
    let run = deployer.new_run_of(app, Trigger::Rebuild, ACTOR, Some((commit, None)));
    let building = Restoration::Building {
        release: version,
        build: run.id.clone(),
    };
    deployer.restorations.set(&name, building);
    deployer.begin(&run, Entry::Restore(version), true).await?;
    run.attach_until_ended().outcome.await
}

/// Builds the image of a release again and lets the reconciler start it.
pub(super) async fn restore(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    version: ReleaseVersion,
) -> Result<(), Problem> {
    let app = &run.app.name;
    let release = deployer.store.release(run.app.id, version).await?;
    let is_current = deployer.app(app).await?.current == Some(version);
    let Some(release) = release.filter(|_| is_current) else {
        run.line(format!("{version} is no longer the release of {app}"))
            .await;
        return Ok(());
    };
    let commit = run.commit.clone().ok_or_else(|| no_source(app, version))?;
    run.header(format!(
        "Restoring {version} of {app}: its image is gone from Docker and is built again"
    ))
    .await;
    let built = pipeline::from_source(deployer, run, Received { commit }, version).await?;
    deployer
        .store
        .replace_image(run.app.id, release.image, built.image)
        .await?;
    deployer.reconciler.try_again(app);
    if let Err(why) = deployer.reconciler.settled(app).await {
        return Err(Problem::new(
            Kind::AppFailed,
            format!("{app} was built again, but does not run"),
            why,
            format!("see `ps:report {app}` and `logs {app}`"),
        ));
    }
    run.section(format!("{version} of {app} is restored")).await;
    Ok(())
}

/// What is deployed without a build, with an image that is there: built again where it is gone and its commit is known.
pub(super) async fn with_image(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    built: pipeline::Built,
    next: ReleaseVersion,
) -> Result<pipeline::Built, Problem> {
    let app = &run.app.name;
    let found = deployer.engine.image(built.image.as_str()).await;
    let what = format!("{app} was not deployed: Docker could not be asked for its image");
    let found = found.map_err(|error| problem::engine(what, &error))?;
    match (found, built.commit.clone()) {
        (None, Some(commit)) => {
            run.header(format!(
                "The image of {} is gone from Docker and is built again",
                commit.short()
            ))
            .await;
            let again = pipeline::from_source(deployer, run, Received { commit }, next).await?;
            Ok(pipeline::Built {
                description: built.description,
                ..again
            })
        }
        (Some(_), _) | (None, None) => Ok(built),
    }
}

fn no_source(app: &AppName, version: ReleaseVersion) -> Problem {
    Problem::new(
        Kind::Invalid,
        format!("{app} cannot be built again"),
        format!("its release {version} was not made from a commit"),
        "push its source with git",
    )
}
