//! Owns desired against actual: a pure `plan`, and the `apply` that carries it out, the only place that starts or stops
//! app processes or changes routes and the certificates shown.
//! Must not know why the desired state is what it is.

mod addresses;
mod apply;
mod certificates;
mod group;
mod history;
pub mod holder;
mod look;
mod orders;
mod outage;
mod plan;
mod policy;
mod port_routes;
mod ports;
mod readiness;
mod routes;
mod services;
mod settled;
#[cfg(test)]
mod tests;

pub use certificates::preference;
pub use group::environment;
pub use look::{Parts, ReconcileTask};
pub use orders::Orders;
pub use outage::EngineProblem;
pub use plan::{
    Action, Crash, Observed, Plan, ProcessKey, Refusal, Rules, plan, wanted_quantities,
};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mini_proxy::{Certificate, PlainHttp, ProxyHandle};
use tokio::sync::{Notify, watch};

use crate::engine::{Process, ProcessId, ProcessState};
use crate::model::{App, AppName, DomainName, Exposure, PortMapping};
use crate::store::Desired;

/// A way to the running reconciler. Cheap to clone.
#[derive(Clone)]
pub struct Reconciler {
    wake: Arc<Notify>,
    asked: Arc<watch::Sender<u64>>,
    view: watch::Receiver<Arc<View>>,
    rules: Arc<Rules>,
    proxy: ProxyHandle,
    http_port: Option<u16>,
    names_changed: Arc<Notify>,
    forgiven: Arc<Mutex<Vec<AppName>>>,
    awaited: Arc<Mutex<Vec<Awaited>>>,
}

/// An app that somebody has begun to wait for.
struct Awaited {
    app: AppName,
    /// Whether also for what is left of releases that are over.
    with_left_over: bool,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the reconciler saw when it looked last.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The newest request to look that this view answers.
    pub answers: u64,
    /// All app processes.
    pub processes: Vec<Process>,
    /// Web processes that accept connections.
    pub ready: std::collections::BTreeSet<ProcessId>,
    /// Ids of the processes that get requests now.
    pub routed: std::collections::BTreeSet<ProcessId>,
    /// Starts the engine refused.
    pub refusals: BTreeMap<ProcessKey, Refusal>,
    /// Processes that ended by themselves.
    pub crashes: BTreeMap<ProcessId, Crash>,
    /// Apps for which something is still to be done or under way.
    pub unsettled: std::collections::BTreeSet<AppName>,
    /// Processes that the engine would not change as they should be, twice in a row; it is tried again.
    pub stuck: BTreeMap<ProcessId, Stuck>,
    /// Why the engine could not be asked, when it could not: all else is as it was before.
    pub engine_problem: Option<EngineProblem>,
    /// Why ports of apps are not open that should be, by port; a clause such as "nginx (process 812) listens there
    /// already".
    pub closed_ports: Arc<BTreeMap<u16, String>>,
}

/// What the engine would not do with a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// What should have happened to it: "stopped", "removed" or "started again".
    pub change: &'static str,
    /// What the engine said.
    pub why: String,
    /// Whether it is of a release that has been replaced or has failed: what was asked for since does not depend on it.
    pub is_left_over: bool,
}

impl View {
    /// Why nothing can be done, as the engine has not answered for longer than a restart of it takes.
    pub fn lasting_problem(&self) -> Option<&str> {
        let problem = self.engine_problem.as_ref()?;
        problem.is_lasting.then_some(problem.why.as_str())
    }

    /// Why an app is not as it should be and will not be soon, as a clause; also what is left of releases that are over, if
    /// `with_left_over`.
    fn obstacle(&self, app: &AppName, with_left_over: bool) -> Option<String> {
        if self.engine_problem.is_some() && self.lasting_problem().is_none() {
            // What it refused before it fell silent it may do now.
            return None;
        }
        let refusal = || {
            let mut refusals = self.refusals.iter();
            let (_, refusal) = refusals.find(|(key, _)| key.app == *app)?;
            Some(refusal.why.clone())
        };
        let stuck = || {
            let mut own = self.processes.iter().filter(|process| process.app == *app);
            own.find_map(|process| {
                let stuck = self.stuck.get(&process.id)?;
                (with_left_over || !stuck.is_left_over).then(|| {
                    format!(
                        "{}.{} of {} (container {}) could not be {}: {}",
                        process.process_type,
                        process.index,
                        process.release,
                        process.id.short(),
                        stuck.change,
                        stuck.why
                    )
                })
            })
        };
        refusal()
            .or_else(stuck)
            .or_else(|| self.lasting_problem().map(str::to_owned))
    }
}

/// What the reconciler knows of a process beyond what the engine shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The process.
    pub id: ProcessId,
    /// How often it was started again since it last ran well.
    pub restarts: u32,
    /// Whether it is no longer started again.
    pub is_given_up: bool,
    /// What the engine would not do with it.
    pub stuck: Option<Stuck>,
}

impl Reconciler {
    /// Asks it to look again; returns at once. What is written to the store wakes it by itself.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Has it forget that the engine refused to start processes of an app, and how often processes of it have ended: they are
    /// started again at once.
    pub fn try_again(&self, app: &AppName) {
        lock(&self.forgiven).push(app.clone());
        self.wake();
    }

    /// What it saw last, and as it changes.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Resolves with a view that satisfies `condition` and was taken after this call; wakes the reconciler first.
    pub async fn wait_for(&self, condition: impl Fn(&View) -> bool) -> Option<Arc<View>> {
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        self.wake();
        let mut view = self.view.clone();
        let found = view
            .wait_for(|view| view.answers >= number && condition(view))
            .await;
        found.ok().map(|view| view.clone())
    }

    /// Resolves when it has looked at everything that was written before this call and nothing is left to do for `app`.
    ///
    /// # Errors
    /// What stands in the way, as a clause: a process that the engine does not start, or twice would not stop, an engine that
    /// has not answered for a while. It is tried again, and what has failed before this call, at once.
    pub async fn settled(&self, app: &AppName) -> Result<(), String> {
        let is_over = |view: &View| !view.unsettled.contains(app);
        self.reached(app, false, is_over).await
    }

    /// Resolves when no process of `app` runs any more, those of releases that have been replaced included.
    ///
    /// # Errors
    /// As those of [`Reconciler::settled`].
    pub async fn ended(&self, app: &AppName) -> Result<(), String> {
        let runs =
            |process: &Process| process.app == *app && process.state == ProcessState::Running;
        let is_over = |view: &View| !view.processes.iter().any(runs);
        self.reached(app, true, is_over).await
    }

    async fn reached(
        &self,
        app: &AppName,
        with_left_over: bool,
        is_over: impl Fn(&View) -> bool,
    ) -> Result<(), String> {
        let obstacle = |view: &View| view.obstacle(app, with_left_over);
        // What the engine would not do before may be over by now: it is tried again before it is told.
        lock(&self.awaited).push(Awaited {
            app: app.clone(),
            with_left_over,
        });
        // What was seen before the engine fell silent says nothing of what was asked for since.
        let is_over = |view: &View| view.engine_problem.is_none() && is_over(view);
        let view = self
            .wait_for(|view| is_over(view) || obstacle(view).is_some())
            .await
            .ok_or("the server is stopping")?;
        obstacle(&view).map_or(Ok(()), Err)
    }

    /// Processes of an app that ended by themselves, or that the engine would not change.
    pub fn troubles(&self, app: &AppName) -> Vec<Trouble> {
        let view = self.view.borrow();
        view.processes
            .iter()
            .filter(|process| process.app == *app)
            .filter_map(|process| {
                let stuck = view.stuck.get(&process.id).cloned();
                let crash = view.crashes.get(&process.id);
                if crash.is_none() && stuck.is_none() {
                    return None;
                }
                let restarts = crash.map_or(0, |crash| crash.count);
                Some(Trouble {
                    id: process.id.clone(),
                    restarts,
                    is_given_up: restarts > self.rules.restart_limit,
                    stuck,
                })
            })
            .collect()
    }

    /// All host names an app answers at, the one to show first: its own domains, then `<app>.<base>`.
    pub fn host_names(&self, app: &AppName, exposure: &Exposure) -> Vec<DomainName> {
        exposure.names(app, &self.rules.base_domains)
    }

    /// The names under which visitors may come to an app, redirected ones included, the one to show first.
    pub fn visited_names(&self, desired: &Desired, app: &App) -> Vec<DomainName> {
        addresses::names_of(desired, app, &self.rules)
    }

    /// The addresses of an app for a browser, the one to show first; `https` where HTTP is sent there. A wildcard is no
    /// address.
    pub fn urls(&self, app: &AppName, exposure: &Exposure) -> Vec<String> {
        let table = self.proxy.table();
        let is_redirected = |host: &DomainName| {
            let chosen = table.choose(host.as_str(), "/");
            let service = chosen.ok().and_then(|chosen| chosen.service());
            service.is_some_and(|service| service.plain_http == PlainHttp::Redirect)
        };
        let hosts = self.host_names(app, exposure);
        let each = hosts.iter().filter(|host| !host.is_wildcard()).map(|host| {
            let (scheme, port, usual) = if self.has_https(host) && is_redirected(host) {
                ("https", self.rules.https_port, 443)
            } else {
                ("http", self.http_port, 80)
            };
            match port.filter(|port| *port != usual) {
                Some(port) => format!("{scheme}://{host}:{port}"),
                None => format!("{scheme}://{host}"),
            }
        });
        each.collect()
    }

    /// How many requests for an app wait now, because it is paused or has no process.
    pub fn waiting(&self, app: &AppName) -> usize {
        let counters = self.proxy.counters();
        let counts = counters.services.get(app.as_str());
        counts.map_or(0, |counts| counts.waiting)
    }

    /// Whether a host is served over HTTPS.
    pub fn has_https(&self, host: &DomainName) -> bool {
        self.rules.https_port.is_some() && self.proxy.certificates().find(host.as_str()).is_some()
    }

    /// Whether it is this certificate that visitors of a host are shown.
    pub fn is_shown(&self, certificate: &Certificate, host: &DomainName) -> bool {
        let certificates = self.proxy.certificates();
        let shown = certificates.find(host.as_str());
        self.rules.https_port.is_some() && shown.is_some_and(|shown| **shown == *certificate)
    }

    /// Whether a port could be opened for an app now; if not, why, as a clause. Nothing is left open. Always so for the
    /// server's own ports.
    ///
    /// # Errors
    /// The clause, such as "nginx (process 812) listens there already".
    pub async fn probe_port(&self, mapping: PortMapping) -> Result<(), String> {
        let standard = &self.rules.standard;
        if standard.has(mapping) && !standard.of(mapping.scheme).is_empty() {
            return Ok(());
        }
        ports::probe(mapping.host_port, mapping.scheme, standard, &self.proxy).await
    }

    /// Notified when host names or certificates have come or gone, and so perhaps a certificate is to be ordered.
    pub fn names_changed(&self) -> Arc<Notify> {
        Arc::clone(&self.names_changed)
    }

    /// The rules it plans by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}
