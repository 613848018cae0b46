//! Owns the pipeline from a received push to retired old processes, and who waits for whom.
//! Must not know which door a request came through, nor start or stop an app process: it writes rows and waits.

mod app_env;
mod build;
mod check;
mod checks;
mod clearing;
mod detect;
mod formation;
mod given;
mod http_check;
mod mask;
mod namesakes;
mod pipeline;
mod predeploy;
mod problem;
mod prune;
mod push;
mod queue;
mod recover;
mod redeploy;
mod release;
mod restore;
mod route;
mod run;
mod scripts;
mod slots;
mod source;
mod tasks;

pub use given::{BranchTip, GivenArchive, GivenImage};
pub use prune::Pruned;
pub use queue::LockOut;
pub use restore::Restoration;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use mini_buildpacks::VersionTable;

use self::clearing::Clearing;
use self::pipeline::Entry;
use self::queue::{Place, Queue, Turn};
use self::run::{Move, Run};
use self::slots::Slots;
use crate::engine::{ContainerEngine, Limits};
use crate::events::{Event, EventBody, Journal};
use crate::git::Repositories;
use crate::model::{
    App, AppName, Caller, CheckPolicy, CommitId, Deploy, DeployFailure, DeployId, DeployStatus,
    Problem, Step, Timestamp, Trigger,
};
use crate::reconcile::Reconciler;
use crate::store::Store;

/// How long deploys may take to end when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// One ref of a push, as git hands it to a hook. An all-zero id stands for "no such ref".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// Full name: `refs/heads/main`.
    pub reference: String,
    /// Where it is.
    pub old: CommitId,
    /// Where it is to go.
    pub new: CommitId,
}

/// One run of `git receive-pack`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Random, made by the door; hooks present it.
    pub id: String,
    /// The app pushed to.
    pub app: AppName,
    /// Who pushes.
    pub caller: Caller,
    /// Push options (`git push -o no-wait`).
    pub options: Vec<String>,
}

/// A hold on a deploy that goes on by itself. Dropping it leaves the deploy running.
pub struct Attached {
    /// The deploy.
    pub deploy: DeployId,
    /// Its events so far and as they come, ending where this wait ends (prepared, or the end of the deploy).
    pub events: BoxStream<'static, Event>,
    /// How what was waited for ended.
    pub outcome: BoxFuture<'static, Result<(), Problem>>,
    /// Set when the outcome is reached, where another push of the same commit has moved the branch: git would fail to
    /// move it once more.
    pub is_moved: Arc<AtomicBool>,
}

/// Free space below which nothing is built: the larger of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskFloor {
    /// Bytes.
    pub bytes: u64,
    /// Per cent of the disk.
    pub percent: u8,
}

/// How far a build may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildLimits {
    /// How long it may take; a release command has as long.
    pub timeout: Duration,
    /// Memory of a step, bytes; none for no limit.
    pub memory_bytes: Option<u64>,
}

/// The numbers deploys go by; DECISIONS of the project name the defaults.
#[derive(Debug, Clone)]
pub struct DeploySettings {
    /// The data directory, whose disk is watched.
    pub data_dir: PathBuf,
    /// Limits of a build whose app has none of its own.
    pub build_limits: BuildLimits,
    /// How many builds go on at once.
    pub builds_at_once: usize,
    /// How many images with their releases are kept per app.
    pub keep_releases: usize,
    /// Free space needed for a build.
    pub disk_floor: DiskFloor,
    /// What the cache of builds may take, bytes; none for no budget.
    pub build_cache_budget_bytes: Option<u64>,
    /// Checks of processes that declare none.
    pub checks: CheckPolicy,
    /// Limits of one-off processes.
    pub limits: Limits,
    /// Other names for base images, for hosts that do not reach a public registry.
    pub image_mirrors: BTreeMap<String, String>,
    /// Versions there are images for, where the operator has a table of their own.
    pub versions: Option<Arc<VersionTable>>,
}

/// What deploys work with.
pub struct DeployParts {
    /// The database.
    pub store: Store,
    /// The journal.
    pub journal: Journal,
    /// Docker.
    pub engine: Arc<dyn ContainerEngine>,
    /// The repositories.
    pub repositories: Repositories,
    /// The reconciler.
    pub reconciler: Reconciler,
    /// The numbers.
    pub settings: DeploySettings,
}

/// All deploys of this server. Cheap to clone.
#[derive(Clone)]
pub struct Deploys {
    deployer: Arc<Deployer>,
}

/// The parts with what is going on.
struct Deployer {
    store: Store,
    journal: Journal,
    engine: Arc<dyn ContainerEngine>,
    repositories: Repositories,
    reconciler: Reconciler,
    settings: DeploySettings,
    queue: Arc<Queue>,
    clearing: Clearing,
    restorations: restore::Restorations,
    slots: Slots,
    salt: AtomicU16,
}

impl Deploys {
    /// Deploys that work with `parts`. Call [`Deploys::recover`] before any other method.
    pub fn new(parts: DeployParts) -> Self {
        let DeployParts {
            store,
            journal,
            engine,
            repositories,
            reconciler,
            settings,
        } = parts;
        let slots = Slots::new(settings.builds_at_once);
        let deployer = Deployer {
            store,
            journal,
            engine,
            repositories,
            reconciler,
            settings,
            queue: Arc::default(),
            clearing: Clearing::default(),
            restorations: restore::Restorations::default(),
            slots,
            salt: AtomicU16::new(0),
        };
        Self {
            deployer: Arc::new(deployer),
        }
    }

    /// Settles what was going on when the server ended last: a promised release is finished, all else is marked.
    pub async fn recover(&self) -> Result<(), Problem> {
        recover::recover(&self.deployer).await
    }

    /// Stops the deploy of an app that is going on, and the one that waits. Returns what was cancelled.
    pub async fn cancel(&self, app: &AppName) -> Result<Vec<DeployId>, Problem> {
        let runs = self.deployer.queue.of(app);
        for run in &runs {
            run.cancel.cancel();
        }
        Ok(runs.iter().map(|run| run.id.clone()).collect())
    }

    /// Free space needed for a build.
    pub fn disk_floor(&self) -> DiskFloor {
        self.deployer.settings.disk_floor
    }

    /// Limits of a build whose app has none of its own.
    pub fn build_limits(&self) -> BuildLimits {
        self.deployer.settings.build_limits
    }

    /// The deploys that wait, for another of their app or for a place to build in.
    pub fn waiting(&self) -> BTreeSet<DeployId> {
        let behind = self.deployer.queue.all_waiting();
        behind
            .into_iter()
            .chain(self.deployer.slots.waiting())
            .collect()
    }

    /// The deploy of an app that is going on, if any.
    pub fn running(&self, app: &AppName) -> Option<DeployId> {
        self.deployer
            .queue
            .of(app)
            .first()
            .map(|run| run.id.clone())
    }

    /// Takes an app out of deploys while it is renamed or destroyed: cancels what goes on, and keeps new ones out until
    /// the returned guard is dropped.
    pub async fn lock_out(&self, app: &AppName) -> Result<LockOut, Problem> {
        // In this order: one that came in between would be waited for to its end.
        let lock_out = self.deployer.queue.lock_out(app);
        self.cancel(app).await?;
        lock_out.alone().await;
        Ok(lock_out)
    }

    /// The apps for which a deploy is going on or waits.
    pub fn apps_under_way(&self) -> Vec<AppName> {
        let runs = self.deployer.queue.all();
        let apps: BTreeSet<AppName> = runs.iter().map(|run| run.app.name.clone()).collect();
        apps.into_iter().collect()
    }

    /// Resolves when no deploy is going on and none waits.
    pub async fn idle(&self) {
        self.deployer.queue.empty().await;
    }

    /// Cancels all deploys and waits until they are over; called when the server stops.
    pub async fn stop(&self) {
        let runs = self.deployer.queue.all();
        for run in &runs {
            run.cancel.cancel();
        }
        let ended = async {
            for run in runs {
                // How it ended is in its record.
                let _ = run.attach_until_ended().outcome.await;
            }
        };
        if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
            tracing::warn!("a deploy did not end in time; it is settled at the next start");
        }
    }
}

impl Deployer {
    async fn app(&self, name: &AppName) -> Result<App, Problem> {
        let app = self.store.app(name).await?;
        app.ok_or_else(|| Problem::no_such_app(name))
    }

    /// That nobody has locked the app (`apps:lock`): what is there may be configured, restarted and rolled back all the same.
    async fn refuse_locked(&self, app: &App) -> Result<(), Problem> {
        match self.store.app_lock(app.id).await? {
            None => Ok(()),
            Some(lock) => Err(problem::locked(&app.name, &lock)),
        }
    }

    fn new_run(
        &self,
        app: App,
        trigger: Trigger,
        caller: &Caller,
        source: Option<(CommitId, Option<Move>)>,
    ) -> Arc<Run> {
        self.new_run_of(app, trigger, caller.actor(), source)
    }

    /// The same for what nobody has asked for.
    fn new_run_of(
        &self,
        app: App,
        trigger: Trigger,
        actor: &str,
        source: Option<(CommitId, Option<Move>)>,
    ) -> Arc<Run> {
        let salt = self.salt.fetch_add(1, Ordering::Relaxed);
        let id = DeployId::new(Timestamp::now(), salt);
        let actor = actor.to_owned();
        Arc::new(Run::new(
            id,
            app,
            trigger,
            actor,
            source,
            self.journal.clone(),
        ))
    }

    /// Records a deploy, gives it its place in the line, and lets it go on by itself.
    async fn begin(
        self: &Arc<Self>,
        run: &Arc<Run>,
        entry: Entry,
        is_patient: bool,
    ) -> Result<(), Problem> {
        if matches!(entry, Entry::Received(_) | Entry::Rebuild) {
            self.refuse_locked(&run.app).await?;
        }
        let place = self.queue.enter(run, is_patient)?;
        // A task of its own: whoever asked may leave in the middle, and would leave a record of a deploy that never ends.
        let begun = tokio::spawn(self.clone().record(run.clone(), place, entry));
        begun.await.unwrap_or_else(|_| Err(run::lost()))
    }

    async fn record(
        self: Arc<Self>,
        run: Arc<Run>,
        place: Place,
        entry: Entry,
    ) -> Result<(), Problem> {
        let record = Deploy {
            id: run.id.clone(),
            app: run.app.id,
            trigger: run.trigger,
            commit: run.commit.clone(),
            actor: run.actor.clone(),
            step: Step::Received,
            status: DeployStatus::Running,
            release: None,
            started_at: Timestamp::now(),
            finished_at: None,
            failure: None,
            reason: None,
        };
        let added = self.store.add_deploy(&record).await;
        let forgotten = match added.map_err(Problem::from) {
            Ok(forgotten) => forgotten,
            Err(problem) => {
                // A push of the same commit may have joined it by now.
                run.give_up(problem.clone());
                return Err(problem);
            }
        };
        for forgotten in forgotten {
            self.journal
                .forget(&crate::events::Subject::Deploy(forgotten))
                .await;
        }
        // From here on a reader waits for the events to come instead of finding none.
        self.journal.begin(&run.subject());
        tokio::spawn(self.carry(run, place, entry));
        Ok(())
    }

    /// One deploy from its place in the line to its record.
    async fn carry(self: Arc<Self>, run: Arc<Run>, place: Place, entry: Entry) {
        let is_waiting = matches!(place, Place::Behind { .. });
        let turn = match self.turn(&run, place).await {
            Ok(turn) => turn,
            Err(problem) => {
                let status = run::status_of(
                    &Err(problem.clone()),
                    is_waiting && !run.cancel.is_cancelled(),
                );
                self.end(&run, Err(problem), status).await;
                return;
            }
        };
        // A task of its own, so that a panic is a failed deploy and not a line that never moves again.
        let (deployer, driven) = (self.clone(), run.clone());
        let result = tokio::spawn(async move {
            push::require_unmoved(&deployer, &driven).await?;
            pipeline::drive(&deployer, &driven, entry).await
        });
        let result = match result.await {
            Ok(result) => result,
            Err(panic) => {
                tracing::error!(deploy = %run.id, %panic, "a deploy panicked");
                // Its candidate would run beside what serves until the next deploy.
                release::abandon(&self, &run.app).await;
                Err(run::lost())
            }
        };
        let status = run::status_of(&result, false);
        let is_live = result.is_ok();
        self.end(&run, result, status).await;
        if is_live {
            // A release that was promised and could not be routed gives way to this one.
            release::abandon(&self, &run.app).await;
        }
        route::put_away(&self, &run.app).await;
        drop(turn);
        if matches!(run.trigger, Trigger::Push | Trigger::Rebuild) {
            prune::shrink_cache(&self).await;
        }
    }

    async fn turn(&self, run: &Run, place: Place) -> Result<Turn, Problem> {
        let (ahead, call) = match place {
            Place::First(turn) => return Ok(turn),
            Place::Behind { ahead, call } => (ahead, call),
        };
        // One that has ended only clears away what it has replaced.
        if !ahead.is_ended() {
            let commit = ahead.commit.as_ref();
            let commit = commit.map_or_else(String::new, |commit| format!(" {}", commit.short()));
            run.header(format!(
                "Waiting for build {}{commit} of {}, which is going on",
                ahead.id, ahead.actor
            ))
            .await;
        }
        tokio::select! {
            turn = call.turn() => turn,
            () = run.cancel.cancelled() => Err(run::canceled(&run.app)),
        }
    }

    /// Writes the step that begins now, before its work does.
    async fn step(&self, run: &Run, step: Step) -> Result<(), Problem> {
        self.store.set_deploy_step(&run.id, step).await?;
        run.emit(EventBody::StepStarted { step }).await;
        Ok(())
    }

    async fn end(&self, run: &Run, result: Result<(), Problem>, status: DeployStatus) {
        let failure = result.as_ref().err().map(DeployFailure::from);
        let at = Timestamp::now();
        if let Err(error) = self.store.finish_deploy(&run.id, status, failure, at).await {
            tracing::error!(deploy = %run.id, %error, "cannot record how a deploy ended");
        }
        tracing::info!(app = %run.app.name, deploy = %run.id, %status, "a deploy ended");
        run.set_ended(result).await;
    }
}
