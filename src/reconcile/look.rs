//! The loop: look at everything, plan, begin what is to be done, look again.
//!
//! Each action runs as a task of its own, at most one per process, so that a slow stop holds up nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use mini_proxy::ProxyHandle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::certificates::Shelf;
use super::history::History;
use super::plan::{
    Action, Observed, Plan, ProcessKey, Rules, jiff_duration, plan, wanted_quantities,
};
use super::readiness::{Readiness, listening_address};
use super::routes::route_table;
use super::{Reconciler, View};
use crate::engine::{ContainerEngine, EngineError, Process, ProcessId, ProcessState};
use crate::model::{
    AppId, AppName, AppRedirect, CertificateId, Domain, DomainName, ReleaseStatus, Timestamp,
};
use crate::store::{Desired, Store};

/// How often it looks when nothing happens: the net under a lost event.
const IDLE: Duration = Duration::from_secs(30);
/// How soon it looks again when the engine or the store did not answer.
const RETRY: Duration = Duration::from_secs(2);
/// How many processes are started at once; more only makes each slower (two cores: measured with 20 apps).
const STARTS_AT_ONCE: usize = 4;
/// How long the doors stay shut after a start while web processes that run already are found to listen.
const OPEN_WITHIN: Duration = Duration::from_secs(2);
/// The pause between two looks while the doors are shut.
const SHUT_PAUSE: Duration = Duration::from_millis(10);
/// A web process that does not listen yet counts as starting for this long.
const STARTING: Duration = Duration::from_secs(30);

/// What the reconciler works with.
pub struct Parts {
    /// Desired state.
    pub store: Store,
    /// Actual state.
    pub engine: Arc<dyn ContainerEngine>,
    /// The routes in force.
    pub proxy: ProxyHandle,
    /// Processes that the proxy of an earlier mini, which is about to end, may still send requests to: they count as
    /// having one in flight.
    pub used_before: watch::Receiver<BTreeSet<String>>,
    /// The rules to plan by.
    pub rules: Rules,
    /// The port of HTTP in URLs shown to users, if there is one.
    pub http_port: Option<u16>,
}

/// The running loop; its owner stops it.
pub struct ReconcileTask {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl ReconcileTask {
    /// Stops looking and waits for the actions under way; app processes keep running.
    pub async fn stop(self) {
        self.stop.cancel();
        // A panic of the loop was logged by its task; there is nothing left to stop then.
        let _ = self.task.await;
    }
}

impl Reconciler {
    /// Starts the loop.
    pub fn start(parts: Parts) -> (Reconciler, ReconcileTask) {
        let wake = Arc::new(Notify::new());
        let asked = Arc::new(watch::Sender::new(0));
        let (view, seen) = watch::channel(Arc::new(View::default()));
        let reconciler = Reconciler {
            wake: wake.clone(),
            asked: asked.clone(),
            view: seen,
            rules: Arc::new(parts.rules.clone()),
            proxy: parts.proxy.clone(),
            http_port: parts.http_port,
            names_changed: Arc::default(),
        };
        let stop = CancellationToken::new();
        let looker = Looker {
            readiness: Arc::new(Readiness::new(wake.clone())),
            parts,
            wake,
            asked,
            view,
            history: History::default(),
            shelf: Shelf::default(),
            names: Names::default(),
            names_changed: reconciler.names_changed(),
            busy: HashMap::new(),
            actions: JoinSet::new(),
            starts: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
            shut_until: Some(Instant::now() + OPEN_WITHIN),
        };
        let task = tokio::spawn(looker.run(stop.clone()));
        (reconciler, ReconcileTask { task, stop })
    }
}

/// What an action works on; one action at a time for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Target {
    Key(ProcessKey),
    Id(ProcessId),
    Release(AppId, crate::model::ReleaseVersion),
}

type Finished = (Target, Result<(), EngineError>);

struct Looker {
    parts: Parts,
    readiness: Arc<Readiness>,
    wake: Arc<Notify>,
    asked: Arc<watch::Sender<u64>>,
    view: watch::Sender<Arc<View>>,
    history: History,
    shelf: Shelf,
    names: Names,
    names_changed: Arc<Notify>,
    busy: HashMap<Target, AppName>,
    actions: JoinSet<Finished>,
    starts: Arc<Semaphore>,
    /// While set, visitors wait: what runs already is being found.
    shut_until: Option<Instant>,
}

impl Looker {
    async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.parts.engine.changes();
        let mut drained = self.parts.proxy.drained();
        let mut used_before = self.parts.used_before.clone();
        loop {
            let pause = self.look().await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.wake.notified() => {}
                _ = changes.next() => {}
                _ = drained.changed() => {}
                Ok(()) = used_before.changed() => {}
                Some(finished) = self.actions.join_next() => self.finish(finished),
                () = tokio::time::sleep(pause) => {}
            }
            while let Some(finished) = self.actions.try_join_next() {
                self.finish(finished);
            }
        }
        while self.actions.join_next().await.is_some() {}
    }

    /// Looks once; returns after what time to look again when nothing happens.
    async fn look(&mut self) -> Duration {
        let answers = *self.asked.borrow();
        // Processes first: whatever is seen there had its row before, unless it is gone on purpose.
        let processes = match self.parts.engine.observe().await {
            Ok(processes) => processes,
            Err(error) => {
                tracing::warn!(%error, "cannot look at the processes; what runs is left as it is");
                let again = self.look_blind().await;
                self.publish_problem(answers, error.to_string());
                return again;
            }
        };
        let desired = match self.parts.store.desired().await {
            Ok(desired) => desired,
            Err(error) => {
                tracing::error!(%error, "cannot read what is desired");
                self.publish_problem(answers, error.to_string());
                return RETRY;
            }
        };
        // Before the routes: whoever is let in, or sent to HTTPS, finds it there.
        self.certify(&desired).await;
        let now = Timestamp::now();
        let observed = self.observe(processes, &desired, now);
        let mut plan = plan(&desired, &observed, &self.parts.rules, now);
        if let Some(shut_until) = self.shut_until {
            if starting(&desired, &observed, now).is_empty() || shut_until <= Instant::now() {
                self.open(&mut plan);
            } else {
                plan.actions
                    .retain(|action| !matches!(action, Action::SetRoutes(_)));
                plan.look_again_at = now.saturating_add(jiff_duration(SHUT_PAUSE)).ok();
            }
        }
        let mut unsettled: BTreeSet<AppName> = self.busy.values().cloned().collect();
        for action in plan.actions {
            if let Some(app) = self.begin(action, &observed, &desired) {
                unsettled.insert(app);
            }
        }
        unsettled.extend(starting(&desired, &observed, now));
        unsettled.extend(ending(&desired, &observed));
        self.publish(answers, observed, unsettled);
        match plan.look_again_at {
            Some(at) => {
                let wait = at.duration_since(now);
                Duration::try_from(wait).unwrap_or(Duration::ZERO).min(IDLE)
            }
            None => IDLE,
        }
    }

    /// Lets visitors in, with the routes planned.
    fn open(&mut self, plan: &mut Plan) {
        self.shut_until = None;
        let is_routes = |action: &Action| matches!(action, Action::SetRoutes(_));
        if !plan.actions.iter().any(is_routes) {
            plan.actions
                .insert(0, Action::SetRoutes((*self.parts.proxy.table()).clone()));
        }
    }

    /// Has the certificates shown that should be, and says when others may be wanted.
    async fn certify(&mut self, desired: &Desired) {
        let names = Names::of(desired);
        if names != self.names {
            self.names = names;
            self.names_changed.notify_one();
        }
        if let Err(error) = self.shelf.follow(&self.parts.store, desired).await {
            tracing::error!(%error, "cannot read the certificates; those that are shown stay");
            return;
        }
        let certificates = self.shelf.certificates(desired, &self.parts.rules);
        if certificates != *self.parts.proxy.certificates() {
            self.parts.proxy.set_certificates(certificates);
        }
    }

    /// The engine does not answer. Certificates do not need it, and after a while visitors are let in all the same, to be
    /// told that nothing runs. Returns when to look again.
    async fn look_blind(&mut self) -> Duration {
        let Ok(desired) = self.parts.store.desired().await else {
            return RETRY;
        };
        self.certify(&desired).await;
        let Some(shut_until) = self.shut_until else {
            return RETRY;
        };
        let left = shut_until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let table = route_table(
                &desired,
                &Observed::default(),
                &self.parts.rules,
                Timestamp::now(),
            );
            self.parts.proxy.set_table(table);
            self.shut_until = None;
        }
        RETRY.min(left.max(SHUT_PAUSE))
    }

    fn observe(&mut self, processes: Vec<Process>, desired: &Desired, now: Timestamp) -> Observed {
        let routes = self.parts.proxy.table();
        let routed: BTreeSet<ProcessId> = routes
            .upstream_ids()
            .into_iter()
            .map(|id| ProcessId(id.to_owned()))
            .collect();
        self.history.note(&processes, &routed, now);
        let running: BTreeSet<&ProcessId> = processes
            .iter()
            .filter(|process| process.state == ProcessState::Running)
            .map(|process| &process.id)
            .collect();
        self.readiness.keep_only(|id| running.contains(id));
        for process in &processes {
            self.readiness.probe_requested(desired, process);
        }
        let used_before = self.parts.used_before.borrow();
        let wanted = wanted_keys(desired);
        self.history.keep_refusals(|key| wanted.contains(key));
        Observed {
            ready: running
                .iter()
                .filter(|id| self.readiness.is_ready(id))
                .map(|id| (*id).clone())
                .collect(),
            in_flight: running
                .iter()
                .filter(|id| !routed.contains(id))
                .map(|id| {
                    let before = usize::from(used_before.contains(&id.0));
                    ((*id).clone(), self.parts.proxy.in_flight(&id.0) + before)
                })
                .collect(),
            routes,
            unrouted_since: self.history.unrouted_since(),
            crashes: self.history.crashes(),
            refusals: self.history.refusals(),
            processes,
        }
    }

    /// Begins an action unless its target has one under way; returns the app it concerns.
    fn begin(
        &mut self,
        action: Action,
        observed: &Observed,
        desired: &Arc<Desired>,
    ) -> Option<AppName> {
        let app_of = |id: &ProcessId| {
            observed
                .processes
                .iter()
                .find(|process| process.id == *id)
                .map(|process| process.app.clone())
        };
        let engine = self.parts.engine.clone();
        let grace = self.parts.rules.stop_grace;
        match action {
            Action::SetRoutes(table) => {
                self.parts.proxy.set_table(table);
                // What left the table may be ended now.
                self.wake.notify_one();
                None
            }
            Action::Start { group, index } => {
                let app = group.app.clone();
                let key = ProcessKey {
                    app: app.clone(),
                    release: group.release,
                    process_type: group.process_type.clone(),
                    index,
                };
                let starts = self.starts.clone();
                let (readiness, desired) = (self.readiness.clone(), desired.clone());
                let target = Target::Key(key);
                self.spawn(target, app.clone(), async move {
                    let _permit = starts.acquire().await;
                    let process = engine.start(&group, index).await?;
                    // Now, and not after the next look, which has to ask the engine for everything.
                    readiness.probe_requested(&desired, &process);
                    Ok(())
                });
                Some(app)
            }
            Action::Restart(id) => {
                let app = app_of(&id)?;
                self.spawn(Target::Id(id.clone()), app.clone(), async move {
                    engine.restart(&id).await
                });
                Some(app)
            }
            Action::Stop(id) => {
                let app = app_of(&id)?;
                self.spawn(Target::Id(id.clone()), app.clone(), async move {
                    engine.stop(&id, grace).await
                });
                Some(app)
            }
            Action::Remove(id) => {
                let app = app_of(&id)?;
                self.spawn(Target::Id(id.clone()), app.clone(), async move {
                    engine.remove(&id).await
                });
                Some(app)
            }
            Action::Retire(app, version) => {
                let store = self.parts.store.clone();
                let mut apps = desired.apps.iter();
                let name = apps.find(|candidate| candidate.id == app)?.name.clone();
                self.spawn(Target::Release(app, version), name, async move {
                    let status = crate::model::ReleaseStatus::Retired;
                    if let Err(error) = store.set_release_status(app, version, status).await {
                        tracing::error!(%error, "cannot record a retired release");
                    }
                    Ok(())
                });
                None
            }
        }
    }

    fn spawn(
        &mut self,
        target: Target,
        app: AppName,
        work: impl Future<Output = Result<(), EngineError>> + Send + 'static,
    ) {
        if self.busy.contains_key(&target) {
            return;
        }
        self.busy.insert(target.clone(), app);
        self.actions.spawn(async move { (target, work.await) });
    }

    fn finish(&mut self, finished: Result<Finished, tokio::task::JoinError>) {
        match finished {
            Ok((target, result)) => {
                let app = self.busy.remove(&target);
                match (&target, result) {
                    (Target::Key(key), Ok(())) => self.history.accept(key),
                    (Target::Key(key), Err(error)) => {
                        tracing::warn!(?key, %error, "a process could not be started");
                        self.history
                            .refuse(key.clone(), error.to_string(), Timestamp::now());
                    }
                    (Target::Id(_) | Target::Release(..), Ok(())) => {}
                    (Target::Id(_) | Target::Release(..), Err(error)) => {
                        tracing::warn!(?target, ?app, %error, "a process could not be changed");
                    }
                }
            }
            Err(panic) => {
                tracing::error!(%panic, "an action of the reconciler panicked");
                // Its target is not known; forgetting all marks lets the next look begin it again. The engine's
                // operations are safe to repeat.
                self.busy.clear();
            }
        }
    }

    fn publish(&self, answers: u64, observed: Observed, unsettled: BTreeSet<AppName>) {
        let routes = self.parts.proxy.table();
        let routed = routes
            .upstream_ids()
            .into_iter()
            .map(|id| ProcessId(id.to_owned()))
            .collect();
        self.view.send_replace(Arc::new(View {
            answers,
            processes: observed.processes,
            ready: observed.ready,
            routed,
            refusals: observed.refusals,
            crashes: observed.crashes,
            unsettled,
            engine_problem: None,
        }));
    }

    fn publish_problem(&self, answers: u64, problem: String) {
        self.view.send_modify(|view| {
            let mut changed = View::clone(view);
            changed.answers = answers;
            changed.engine_problem = Some(problem);
            *view = Arc::new(changed);
        });
    }
}

/// What decides which certificates are wanted.
#[derive(Default, PartialEq, Eq)]
struct Names {
    apps: Vec<(AppId, AppName)>,
    domains: Vec<Domain>,
    global_domains: Vec<DomainName>,
    exposures: BTreeMap<AppId, (bool, bool)>,
    redirects: Vec<AppRedirect>,
    certificates: Vec<CertificateId>,
}

impl Names {
    fn of(desired: &Desired) -> Names {
        let apps = desired.apps.iter();
        let certificates = desired.certificates.iter();
        Names {
            apps: apps.map(|app| (app.id, app.name.clone())).collect(),
            domains: desired.domains.clone(),
            global_domains: desired.global_domains.clone(),
            exposures: desired.exposures.clone(),
            redirects: desired.redirects.clone(),
            certificates: certificates.map(|(_, id, _)| *id).collect(),
        }
    }
}

/// Apps with running processes that are to end, be it after their routes have gone or their last request is answered.
/// Those of a release that drains take their time: what was asked for does not depend on them.
fn ending(desired: &Desired, observed: &Observed) -> Vec<AppName> {
    let wanted = wanted_keys(desired);
    let drains = |process: &Process| {
        desired.releases.iter().any(|release| {
            release.status == ReleaseStatus::Draining
                && release.version == process.release
                && desired
                    .apps
                    .iter()
                    .any(|app| app.id == release.app && app.name == process.app)
        })
    };
    let processes = observed.processes.iter();
    processes
        .filter(|process| {
            process.state == ProcessState::Running
                && !wanted.contains(&ProcessKey::of(process))
                && !drains(process)
        })
        .map(|process| process.app.clone())
        .collect()
}

fn wanted_keys(desired: &Desired) -> BTreeSet<ProcessKey> {
    let mut keys = BTreeSet::new();
    for release in &desired.releases {
        let Some(app) = desired.apps.iter().find(|app| app.id == release.app) else {
            continue;
        };
        for (process_type, quantity) in wanted_quantities(desired, app, release) {
            keys.extend((1..=quantity).map(|index| ProcessKey {
                app: app.name.clone(),
                release: release.version,
                process_type: process_type.clone(),
                index,
            }));
        }
    }
    keys
}

/// Apps with a wanted process for requests that was started a short while ago and does not listen yet.
fn starting(desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<AppName> {
    let wanted = wanted_keys(desired);
    observed
        .processes
        .iter()
        .filter(|process| {
            process.state == ProcessState::Running
                && listening_address(desired, process).is_some()
                && !observed.ready.contains(&process.id)
                && wanted.contains(&ProcessKey::of(process))
                && process
                    .started_at
                    .is_some_and(|at| now.duration_since(at) < jiff_duration(STARTING))
        })
        .map(|process| process.app.clone())
        .collect()
}
