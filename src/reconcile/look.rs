//! The loop: look at everything, plan, begin what is to be done, look again.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use mini_proxy::{Listeners, ProxyHandle};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::addresses::Addresses;
use super::apply::{Actions, Seen};
use super::certificates::Shown;
use super::history::History;
use super::outage::{EngineProblem, Outage};
use super::plan::{Action, Observed, Plan, Rules, is_restart_asked, jiff_duration, plan};
use super::ports::Ports;
use super::readiness::Readiness;
use super::routes::Routing;
use super::settled::{ending, is_of_wish, starting, wanted_keys};
use super::{Awaited, Reconciler, Stuck, View, lock};
use crate::engine::{ContainerEngine, Process, ProcessId, ProcessState};
use crate::model::{App, AppId, AppName, Automatic, CertificateId, CertificateOrigin, Timestamp};
use crate::store::{Desired, Part, Store, StoreError};

/// How often it looks when nothing happens: the net under a lost event.
const IDLE: Duration = Duration::from_secs(30);
/// How soon it looks again when the engine or the store did not answer.
const RETRY: Duration = Duration::from_secs(2);
/// How long the doors stay shut after a start while web processes that run already are found to listen.
const OPEN_WITHIN: Duration = Duration::from_secs(2);
/// The pause between two looks while the doors are shut.
const SHUT_PAUSE: Duration = Duration::from_millis(10);
/// How long the engine may take with a process that has not ended in its time, when the server stops.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

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
    /// Sockets that the server before has passed, of ports of apps.
    pub passed_ports: Vec<Listeners>,
    /// The port of HTTP in URLs shown to users, if there is one.
    pub http_port: Option<u16>,
}

/// The running loop; its owner stops it.
pub struct ReconcileTask {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl ReconcileTask {
    /// Stops looking and waits for the actions under way, as long as the server gives processes to end: an app may give them
    /// far longer, and the engine ends these by itself. App processes keep running.
    pub async fn stop(self) {
        self.stop.cancel();
        // A panic of the loop was logged by its task; there is nothing left to stop then.
        let _ = self.task.await;
    }
}

impl Reconciler {
    /// Starts the loop.
    pub fn start(mut parts: Parts) -> (Reconciler, ReconcileTask) {
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
            forgiven: Arc::default(),
            awaited: Arc::default(),
        };
        let stop = CancellationToken::new();
        let ports = Ports::new(std::mem::take(&mut parts.passed_ports));
        let looker = Looker {
            readiness: Arc::new(Readiness::new(wake.clone())),
            parts,
            wake,
            asked,
            view,
            history: History::default(),
            addresses: Addresses::new(Arc::clone(&reconciler.rules)),
            routing: Routing::default(),
            shown: Shown::default(),
            ordered_by: OrderedBy::default(),
            remembered: Part::default(),
            ports,
            names_changed: reconciler.names_changed(),
            forgiven: Arc::clone(&reconciler.forgiven),
            awaited: Arc::clone(&reconciler.awaited),
            actions: Actions::default(),
            outage: Outage::default(),
            shut_until: Some(Instant::now() + OPEN_WITHIN),
        };
        let task = tokio::spawn(looker.run(stop.clone()));
        (reconciler, ReconcileTask { task, stop })
    }
}

/// What decides which certificates are ordered, besides the names.
#[derive(Default)]
struct OrderedBy {
    certificates: Part<Vec<(Option<AppId>, CertificateId, CertificateOrigin)>>,
    automatic: Part<Automatic>,
}

struct Looker {
    parts: Parts,
    readiness: Arc<Readiness>,
    wake: Arc<Notify>,
    asked: Arc<watch::Sender<u64>>,
    view: watch::Sender<Arc<View>>,
    history: History,
    addresses: Addresses,
    routing: Routing,
    shown: Shown,
    ordered_by: OrderedBy,
    /// The apps whose figures the proxy keeps.
    remembered: Part<Vec<App>>,
    ports: Ports,
    names_changed: Arc<Notify>,
    /// Apps whose refusals and ends are to be forgotten.
    forgiven: Arc<Mutex<Vec<AppName>>>,
    awaited: Arc<Mutex<Vec<Awaited>>>,
    actions: Actions,
    outage: Outage,
    /// While set, visitors wait: what runs already is being found.
    shut_until: Option<Instant>,
}

impl Looker {
    async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.parts.engine.changes();
        let mut drained = self.parts.proxy.drained();
        let mut used_before = self.parts.used_before.clone();
        let mut desired = self.parts.store.desired_changes();
        loop {
            let pause = match AssertUnwindSafe(self.look()).catch_unwind().await {
                Ok(pause) => pause,
                Err(_) => {
                    tracing::error!("a look at the processes panicked; the next one begins anew");
                    self.begin_anew();
                    RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.wake.notified() => {}
                Ok(()) = desired.changed() => {}
                _ = changes.next() => {}
                _ = drained.changed() => {}
                Ok(()) = used_before.changed() => {}
                () = self.actions.finish_one(&mut self.history) => {}
                () = tokio::time::sleep(pause) => {}
            }
            self.actions.finish_ended(&mut self.history);
        }
        let limit = self.parts.rules.stop_grace + KILLED_WITHIN;
        self.actions.finish_all(limit).await;
    }

    /// Forgets what was kept from look to look of routes and certificates: a panic may have left it half done. The next look
    /// computes all of it again.
    fn begin_anew(&mut self) {
        self.addresses = Addresses::new(Arc::new(self.parts.rules.clone()));
        self.routing = Routing::default();
        self.shown = Shown::default();
        self.ordered_by = OrderedBy::default();
        self.remembered = Part::default();
    }

    /// Looks once; returns after what time to look again when nothing happens.
    async fn look(&mut self) -> Duration {
        let answers = *self.asked.borrow();
        // Processes first: whatever is seen there had its row before, unless it is gone on purpose.
        let asked_at = tokio::time::Instant::now();
        let processes = match self.parts.engine.observe().await {
            Ok(processes) => processes,
            Err(error) => {
                tracing::warn!(%error, "cannot look at the processes; what runs is left as it is");
                let again = self.look_blind().await;
                let problem = self.outage.note(asked_at, error.to_string());
                self.publish_problem(answers, problem);
                return again;
            }
        };
        self.outage.end();
        let desired = match self.read().await {
            Ok(desired) => desired,
            Err(error) => {
                tracing::error!(%error, "cannot read what is desired");
                let problem = EngineProblem {
                    why: error.to_string(),
                    is_lasting: true,
                };
                self.publish_problem(answers, problem);
                return RETRY;
            }
        };
        // Before the routes: whoever is let in, or sent to HTTPS, finds it there.
        self.certify().await;
        let (rules, proxy) = (&self.parts.rules, &self.parts.proxy);
        self.ports.close_unwanted(&desired, rules, proxy).await;
        let now = Timestamp::now();
        let observed = self.observe(processes, &desired, now);
        let rules = &self.parts.rules;
        let table = self.routing.follow(&self.addresses, &observed, rules, now);
        let mut plan = plan(&desired, &observed, table, rules, now);
        if let Some(shut_until) = self.shut_until {
            if starting(&desired, &observed, now).is_empty() || shut_until <= Instant::now() {
                self.open(&mut plan);
            } else {
                plan.actions
                    .retain(|action| !matches!(action, Action::SetRoutes(_)));
                plan.look_again_at = now.saturating_add(jiff_duration(SHUT_PAUSE)).ok();
            }
        }
        let mut unsettled: BTreeSet<AppName> = self.actions.apps().cloned().collect();
        let seen = Seen {
            parts: &self.parts,
            readiness: &self.readiness,
            wake: &self.wake,
            observed: &observed,
            desired: &desired,
        };
        self.actions
            .keep_failures(&observed.processes, &wanted_keys(&desired));
        let awaited = std::mem::take(&mut *lock(&self.awaited));
        let awaited = |process: &&Process| {
            let mut awaited = awaited.iter();
            awaited.any(|awaited| {
                awaited.app == process.app
                    && (awaited.with_left_over || is_of_wish(&desired, process))
            })
        };
        self.actions
            .forgive(observed.processes.iter().filter(awaited));
        let mut stuck = BTreeMap::new();
        for action in plan.actions {
            let starts = action.starts().cloned();
            let change = action.change().map(|(id, change)| (id.clone(), change));
            // A start that is not under way was not heard, and is tried again.
            if let Some(app) = self.actions.begin(action, &seen).or(starts) {
                unsettled.insert(app);
            } else if let Some((id, change)) = change
                && let Some(vain) = self.actions.in_vain(&id, change)
                && let Some(process) = observed.processes.iter().find(|process| process.id == id)
            {
                let is_left_over = !is_of_wish(&desired, process);
                if vain.count > 1 {
                    let found = Stuck {
                        change,
                        why: vain.why.clone(),
                        is_left_over,
                    };
                    stuck.insert(id, found);
                } else if !is_left_over {
                    // Once is no trouble yet: the next try most likely goes well.
                    unsettled.insert(process.app.clone());
                }
            }
        }
        // After their routes, so that nobody is told that there are none.
        let (rules, proxy) = (&self.parts.rules, &self.parts.proxy);
        self.ports.open_wanted(&desired, rules, proxy).await;
        unsettled.extend(starting(&desired, &observed, now));
        unsettled.extend(ending(&desired, &observed));
        self.publish(answers, observed, unsettled, stuck);
        let again = plan.look_again_at.map_or(IDLE, |at| {
            Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
        });
        let next_try = self.actions.until_next_try().unwrap_or(IDLE);
        again.min(next_try).min(IDLE)
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

    /// What is desired now; has told everyone here whose names have changed, and the engine that orders certificates when
    /// others may be wanted.
    async fn read(&mut self) -> Result<Arc<Desired>, StoreError> {
        let desired = self.parts.store.desired().await?;
        let changed = self.addresses.follow(&desired);
        self.routing.note(&changed);
        self.shown.note(&changed);
        let was = &self.ordered_by;
        let is_same = was.certificates.is_same(&desired.certificates)
            && was.automatic.is_same(&desired.automatic);
        if !changed.is_empty() || !is_same {
            self.ordered_by = OrderedBy {
                certificates: desired.certificates.clone(),
                automatic: desired.automatic.clone(),
            };
            self.names_changed.notify_one();
        }
        if !self.remembered.is_same(&desired.apps) {
            // Also of one that has no name for a while.
            let names = desired.apps.iter().map(|app| app.name.to_string());
            self.parts.proxy.remember(names);
            self.remembered = desired.apps.clone();
        }
        Ok(desired)
    }

    /// Has the certificates shown that should be.
    async fn certify(&mut self) {
        match self.shown.follow(&self.parts.store, &self.addresses).await {
            Ok(Some(certificates)) => self.parts.proxy.set_certificates(certificates),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "cannot read the certificates; those that are shown stay");
            }
        }
    }

    /// The engine does not answer. Certificates do not need it, and after a while visitors are let in all the same, to be
    /// told that nothing runs. Returns when to look again.
    async fn look_blind(&mut self) -> Duration {
        let Ok(desired) = self.read().await else {
            return RETRY;
        };
        self.certify().await;
        let (rules, proxy) = (&self.parts.rules, &self.parts.proxy);
        self.ports.close_unwanted(&desired, rules, proxy).await;
        self.ports.open_wanted(&desired, rules, proxy).await;
        let Some(shut_until) = self.shut_until else {
            return RETRY;
        };
        let left = shut_until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let nothing = Observed::default();
            let (rules, now) = (&self.parts.rules, Timestamp::now());
            let table = self.routing.follow(&self.addresses, &nothing, rules, now);
            self.parts.proxy.set_table(table.clone());
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
        let is_asked = |process: &Process| {
            let mut apps = desired.apps.iter();
            let app = apps.find(|app| app.name == process.app);
            app.is_some_and(|app| is_restart_asked(desired, app.id, process, now))
        };
        let forgiven = std::mem::take(&mut *lock(&self.forgiven));
        self.history.forgive(&processes, &forgiven);
        self.history.note(&processes, &routed, is_asked, now);
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
        self.history
            .keep_refusals(|key| wanted.contains(key) && !forgiven.contains(&key.app));
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

    fn publish(
        &self,
        answers: u64,
        observed: Observed,
        unsettled: BTreeSet<AppName>,
        stuck: BTreeMap<ProcessId, Stuck>,
    ) {
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
            stuck,
            engine_problem: None,
            closed_ports: self.ports.closed(),
        }));
    }

    fn publish_problem(&self, answers: u64, problem: EngineProblem) {
        self.view.send_modify(|view| {
            let mut changed = View::clone(view);
            changed.answers = answers;
            changed.engine_problem = Some(problem);
            changed.closed_ports = self.ports.closed();
            *view = Arc::new(changed);
        });
    }
}
