//! What answers for each app: its processes and how its requests are treated. A service is made anew only when something
//! it is made of has changed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use mini_proxy::{Policy, Service, ServiceState, Upstream};

use super::plan::{Observed, Rules, is_restart_asked, wanted_quantities};
use super::policy::{hsts, plain_http, policy, protocol};
use crate::engine::{Process, ProcessId, ProcessState};
use crate::model::{App, AppId, AppName, AppProxy, ProcessType, Release, ReleaseStatus, Timestamp};
use crate::store::Desired;

/// A process type of an app, and the port it is asked on where that is not the one of its release.
pub(super) type Answering = (AppId, ProcessType, Option<u16>);

/// The services of all apps: that of `web` of each, and those that routes and ports lead to.
#[derive(Default)]
pub(super) struct Services {
    made: HashMap<Answering, Arc<Service>>,
    /// Of what they were made.
    desired: Arc<Desired>,
    processes: Vec<Process>,
    ready: BTreeSet<ProcessId>,
    /// When.
    at: Timestamp,
}

impl Services {
    /// The service of a process type.
    pub(super) fn of(&self, app: AppId, process_type: &ProcessType) -> Option<Arc<Service>> {
        let made = self.made.get(&(app, process_type.clone(), None));
        made.map(Arc::clone)
    }

    /// The web processes of an app on a port of their own, if it is not that of their release. Whether they listen there is
    /// not known: the checks of a deploy are about the port of the release.
    pub(super) fn at_port(&self, app: AppId, port: u16) -> Option<Arc<Service>> {
        let made = self.made.get(&(app, ProcessType::web(), Some(port)));
        made.map(Arc::clone)
    }

    /// Takes note of how things are now; returns what is not answered as it was.
    pub(super) fn follow(
        &mut self,
        desired: &Arc<Desired>,
        observed: &Observed,
        rules: &Rules,
        now: Timestamp,
    ) -> Vec<Answering> {
        if self.is_made_of(desired, observed) {
            self.desired = Arc::clone(desired);
            return Vec::new();
        }
        let made = make(desired, observed, rules, now);
        let mut changed = Vec::new();
        for (key, service) in &made {
            if self.made.get(key) != Some(service) {
                self.made.insert(key.clone(), Arc::clone(service));
                changed.push(key.clone());
            }
        }
        self.made.retain(|key, _| {
            let is_there = made.contains_key(key);
            if !is_there {
                changed.push(key.clone());
            }
            is_there
        });
        self.desired = Arc::clone(desired);
        self.at = now;
        self.processes.clone_from(&observed.processes);
        self.ready.clone_from(&observed.ready);
        changed
    }

    /// Whether nothing they are made of has changed since. A pause ends without a change, and a request to restart from before
    /// the clock was put back comes to count.
    fn is_made_of(&self, desired: &Desired, observed: &Observed) -> bool {
        let was = &self.desired;
        desired.pauses.is_empty()
            && was.pauses.is_empty()
            && was.apps.is_same(&desired.apps)
            && was.releases.is_same(&desired.releases)
            && was.scales.is_same(&desired.scales)
            && was.restarts.is_same(&desired.restarts)
            && desired.restarts.iter().all(|(_, _, at)| *at <= self.at)
            && was.routes.is_same(&desired.routes)
            && was.ports.is_same(&desired.ports)
            && was.proxy.is_same(&desired.proxy)
            && self.ready == observed.ready
            && self.processes == observed.processes
    }
}

fn make(
    desired: &Desired,
    observed: &Observed,
    rules: &Rules,
    now: Timestamp,
) -> HashMap<Answering, Arc<Service>> {
    let web = ProcessType::web();
    let apps: HashMap<AppId, &App> = desired.apps.iter().map(|app| (app.id, app)).collect();
    let current = desired.releases.iter();
    let current = current.filter(|release| release.status == ReleaseStatus::Current);
    let current: HashMap<AppId, &Release> = current.map(|release| (release.app, release)).collect();
    let mut processes: HashMap<&AppName, Vec<&Process>> = HashMap::new();
    for process in &observed.processes {
        processes.entry(&process.app).or_default().push(process);
    }
    let webs = desired.apps.iter().map(|app| (app.id, web.clone(), None));
    let routed = desired.routes.iter();
    let routed = routed.map(|route| (route.to, route.process_type.clone(), None));
    let at_ports = desired.ports.iter().filter_map(|port| {
        let own = current.get(&port.app)?.port;
        let asked = port.mapping.container_port;
        (asked != own).then(|| (port.app, web.clone(), Some(asked)))
    });
    let all: HashSet<Answering> = webs.chain(routed).chain(at_ports).collect();
    // The policy of apps that have set nothing.
    let plain = Arc::new(policy(&AppProxy::default()));
    let defaults = AppProxy::default();
    let each = all.into_iter().filter_map(|key| {
        let app = *apps.get(&key.0)?;
        let own = desired.proxy.get(&app.id);
        let options = &own.unwrap_or(&defaults).options;
        let policy: Arc<Policy> = match own {
            Some(own) => Arc::new(policy(own)),
            None => Arc::clone(&plain),
        };
        let processes = processes.get(&app.name).into_iter().flatten().copied();
        let processes: Vec<&Process> = processes
            .filter(|process| !is_restart_asked(desired, app.id, process, now))
            .collect();
        let current = current.get(&app.id).copied();
        let (state, upstreams) = match current {
            Some(release) => upstreams(desired, observed, app, release, &key, &processes),
            None => (ServiceState::NotDeployed, Vec::new()),
        };
        let service = Service {
            state,
            policy,
            protocol: protocol(options),
            plain_http: plain_http(options),
            hsts: hsts(options, rules),
            paused_until: paused_until(desired, app, now).map(SystemTime::from),
            ..Service::serving(app.name.to_string(), upstreams)
        };
        Some((key, Arc::new(service)))
    });
    each.collect()
}

/// The processes of a type that get requests, of those that are not to be started anew.
fn upstreams(
    desired: &Desired,
    observed: &Observed,
    app: &App,
    release: &Release,
    (_, process_type, port): &Answering,
    processes: &[&Process],
) -> (ServiceState, Vec<Upstream>) {
    let quantity = wanted_quantities(desired, app, release)
        .into_iter()
        .find(|(wanted, _)| wanted == process_type)
        .map_or(0, |(_, quantity)| quantity);
    if quantity == 0 {
        return (ServiceState::Stopped, Vec::new());
    }
    let mut upstreams: Vec<Upstream> = processes
        .iter()
        .filter(|process| {
            process.release == release.version
                && process.process_type == *process_type
                && (1..=quantity).contains(&process.index)
                && process.state == ProcessState::Running
                && observed.ready.contains(&process.id)
        })
        .filter_map(|process| {
            let address = SocketAddr::new(process.address?, port.unwrap_or(release.port));
            Some(Upstream {
                id: process.id.0.as_str().into(),
                address,
            })
        })
        .collect();
    upstreams.sort();
    (ServiceState::Serving, upstreams)
}

/// Until when requests for an app wait, if they do now.
pub(super) fn paused_until(desired: &Desired, app: &App, now: Timestamp) -> Option<Timestamp> {
    let until = desired.pauses.get(&app.id).copied();
    until.filter(|until| now < *until)
}
