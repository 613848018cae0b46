//! The pure half: what has to be done so that what is observed becomes what is desired.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use mini_proxy::RouteTable;

use super::group::group_spec;
use super::routes::takes_requests;
use super::services::paused_until;
use crate::engine::{GroupSpec, Limits, Process, ProcessId, ProcessState};
use crate::model::{
    App, AppId, AppName, DomainName, ProcessType, Release, ReleaseStatus, ReleaseVersion, Scale,
    StandardPorts, Timestamp,
};
use crate::store::Desired;

/// The numbers and names that planning needs; they do not change while the server runs.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How long a process has to end after SIGTERM.
    pub stop_grace: Duration,
    /// How long requests in flight may keep a process that gets no new ones.
    pub drain: Duration,
    /// Limits of every process.
    pub limits: Limits,
    /// How often a process that ends by itself is started again before it is given up (Dokku: `on-failure:10`).
    pub restart_limit: u32,
    /// Base domains: every app answers at `<app>.<base>` for each.
    pub base_domains: Vec<DomainName>,
    /// The port of HTTPS, if there is one.
    pub https_port: Option<u16>,
    /// Whether certificates for wildcards can be had, and so one for each base domain.
    pub has_wildcards: bool,
    /// Where the server itself listens for visitors.
    pub standard: StandardPorts,
}

impl Rules {
    /// When requests in flight no longer keep a process that has got no new ones since `since`.
    pub fn drain_until(&self, since: Timestamp) -> Timestamp {
        since
            .saturating_add(jiff_duration(self.drain))
            .unwrap_or(since)
    }
}

/// What identifies a wanted process, whether or not it exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// The app.
    pub app: AppName,
    /// The release.
    pub release: ReleaseVersion,
    /// The type.
    pub process_type: ProcessType,
    /// Its number within the type, from 1.
    pub index: u16,
}

impl ProcessKey {
    /// The key of an existing process.
    pub fn of(process: &Process) -> Self {
        Self {
            app: process.app.clone(),
            release: process.release,
            process_type: process.process_type.clone(),
            index: process.index,
        }
    }
}

/// A process that ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// How often in a row, from 1.
    pub count: u32,
    /// When it may be started again.
    pub restart_at: Timestamp,
}

/// A start the engine refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// How often in a row, from 1.
    pub count: u32,
    /// When it may be tried again.
    pub retry_at: Timestamp,
    /// What the engine said.
    pub why: String,
}

/// What there is.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// All app processes of this installation.
    pub processes: Vec<Process>,
    /// Web processes that accept connections.
    pub ready: BTreeSet<ProcessId>,
    /// Requests and tunnels now on each process; one that is not named has none.
    pub in_flight: HashMap<ProcessId, usize>,
    /// The route table in force.
    pub routes: Arc<RouteTable>,
    /// When a process left the route table.
    pub unrouted_since: BTreeMap<ProcessId, Timestamp>,
    /// Processes that ended by themselves.
    pub crashes: BTreeMap<ProcessId, Crash>,
    /// Starts the engine refused.
    pub refusals: BTreeMap<ProcessKey, Refusal>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Put this table in force.
    SetRoutes(RouteTable),
    /// Create and start process number `index` of a group.
    Start {
        /// The group.
        group: Box<GroupSpec>,
        /// The number, from 1.
        index: u16,
    },
    /// Start an exited process again.
    Restart(ProcessId),
    /// End a process.
    Stop(ProcessId),
    /// Remove an ended process.
    Remove(ProcessId),
    /// Record that nothing of a draining release runs any more.
    Retire(AppId, ReleaseVersion),
}

impl Action {
    /// The app of which a process is to be started that is not there.
    pub(super) fn starts(&self) -> Option<&AppName> {
        match self {
            Action::Start { group, .. } => Some(&group.app),
            Action::SetRoutes(_)
            | Action::Restart(_)
            | Action::Stop(_)
            | Action::Remove(_)
            | Action::Retire(..) => None,
        }
    }

    /// The process that is there and is to be changed, and what is to happen to it, as in "could not be ...".
    pub(super) fn change(&self) -> Option<(&ProcessId, &'static str)> {
        match self {
            Action::Restart(id) => Some((id, "started again")),
            Action::Stop(id) => Some((id, "stopped")),
            Action::Remove(id) => Some((id, "removed")),
            Action::SetRoutes(_) | Action::Start { .. } | Action::Retire(..) => None,
        }
    }
}

/// What to do now, and when to look again if nothing else happens before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Things to do, in an order in which they are safe: routes first.
    pub actions: Vec<Action>,
    /// The earliest moment at which something waits for time to pass.
    pub look_again_at: Option<Timestamp>,
}

impl Plan {
    fn wait_until(&mut self, at: Timestamp) {
        self.look_again_at = Some(self.look_again_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// Compares what is desired with what there is; `table` is that of the routes desired. Pure: the same arguments give the
/// same plan.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    table: &RouteTable,
    rules: &Rules,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let routed: BTreeSet<String> = observed
        .routes
        .upstream_ids()
        .into_iter()
        .map(str::to_owned)
        .collect();
    if *table != *observed.routes {
        plan.actions.push(Action::SetRoutes(table.clone()));
    }
    for app in &desired.apps {
        if let Some(until) = paused_until(desired, app, now) {
            plan.wait_until(until);
        }
    }

    let apps: BTreeMap<&AppName, &App> = desired.apps.iter().map(|app| (&app.name, app)).collect();
    let by_id: HashMap<AppId, &App> = desired.apps.iter().map(|app| (app.id, app)).collect();
    let releases: BTreeMap<(AppId, ReleaseVersion), &Release> = desired
        .releases
        .iter()
        .map(|release| ((release.app, release.version), release))
        .collect();
    let existing: BTreeSet<ProcessKey> = observed.processes.iter().map(ProcessKey::of).collect();

    for process in &observed.processes {
        let app = apps.get(&process.app).copied();
        let release = app
            .and_then(|app| releases.get(&(app.id, process.release)))
            .copied();
        let is_routed = routed.contains(process.id.0.as_str());
        let deadline = release.and_then(|release| release.drain_until);
        match (app, release) {
            (Some(app), Some(release)) if is_wanted(desired, app, release, process) => {
                let is_asked = is_restart_asked(desired, app.id, process, now);
                match &process.state {
                    ProcessState::Running if is_asked => {
                        let_go(
                            &mut plan, observed, rules, process, is_routed, deadline, now,
                        );
                    }
                    ProcessState::Exited { .. } if is_asked => {
                        plan.actions.push(Action::Restart(process.id.clone()));
                    }
                    ProcessState::Running
                    | ProcessState::Exited { .. }
                    | ProcessState::Created
                    | ProcessState::Dead => {
                        keep(&mut plan, observed, rules, release, process, now);
                    }
                }
            }
            _ => let_go(
                &mut plan, observed, rules, process, is_routed, deadline, now,
            ),
        }
    }

    for release in &desired.releases {
        let Some(app) = by_id.get(&release.app).copied() else {
            continue;
        };
        if release.status == ReleaseStatus::Draining {
            let is_gone = !observed
                .processes
                .iter()
                .any(|process| process.app == app.name && process.release == release.version);
            if is_gone {
                plan.actions.push(Action::Retire(app.id, release.version));
            }
            continue;
        }
        for (process_type, quantity) in wanted_quantities(desired, app, release) {
            for index in 1..=quantity {
                let key = ProcessKey {
                    app: app.name.clone(),
                    release: release.version,
                    process_type: process_type.clone(),
                    index,
                };
                if existing.contains(&key) {
                    continue;
                }
                match observed.refusals.get(&key) {
                    // A candidate gets one chance: the deploy reads the refusal and fails.
                    Some(_) if release.status == ReleaseStatus::Candidate => {}
                    Some(refusal) if refusal.retry_at > now => plan.wait_until(refusal.retry_at),
                    Some(_) | None => plan.actions.push(Action::Start {
                        group: {
                            let takes_requests = takes_requests(desired, app.id, &process_type);
                            Box::new(group_spec(
                                app,
                                release,
                                &key,
                                takes_requests,
                                desired,
                                rules,
                            ))
                        },
                        index,
                    }),
                }
            }
        }
    }
    plan
}

/// How many processes of each type a release should have now.
pub fn wanted_quantities(
    desired: &Desired,
    app: &App,
    release: &Release,
) -> Vec<(ProcessType, u16)> {
    let is_started = match release.status {
        ReleaseStatus::Candidate | ReleaseStatus::Prepared => {
            !app.is_stopped || release.starts_app()
        }
        ReleaseStatus::Current => !app.is_stopped,
        ReleaseStatus::Draining | ReleaseStatus::Retired | ReleaseStatus::Failed => false,
    };
    if !is_started {
        return Vec::new();
    }
    let unscaled = Scale::default();
    let of_app = desired
        .scales
        .iter()
        .find(|(id, _)| *id == app.id)
        .map_or(&unscaled, |(_, scale)| scale);
    // What a release brings is the scale of the app once it is current, and may be scaled on from there.
    let scale = match release.status {
        ReleaseStatus::Candidate | ReleaseStatus::Prepared => {
            release.formation.as_ref().unwrap_or(of_app)
        }
        ReleaseStatus::Current
        | ReleaseStatus::Draining
        | ReleaseStatus::Retired
        | ReleaseStatus::Failed => of_app,
    };
    release
        .processes
        .keys()
        .map(|process_type| (process_type.clone(), scale.quantity(process_type)))
        .collect()
}

fn is_wanted(desired: &Desired, app: &App, release: &Release, process: &Process) -> bool {
    wanted_quantities(desired, app, release)
        .iter()
        .any(|(process_type, quantity)| {
            *process_type == process.process_type && (1..=*quantity).contains(&process.index)
        })
}

/// How far the clock of the engine may be ahead of ours.
const CLOCKS_APART: Duration = Duration::from_secs(60);
/// For how long a request to start processes anew is taken for newer than a process from the future.
const YOUNG: Duration = Duration::from_secs(600);

/// Whether a process is older than the last request to start its type anew. A request from the future is one from before the
/// clock was put back: whatever is started now would be older than that, and started again without an end. A process from
/// the future was started before the clock was put back, and so before a request made since: one made a short while ago, for
/// the store keeps the last request for ever, and an old one was done long before.
pub(super) fn is_restart_asked(
    desired: &Desired,
    app: AppId,
    process: &Process,
    now: Timestamp,
) -> bool {
    let asked_at = desired
        .restarts
        .iter()
        .filter(|(id, process_type, _)| *id == app && *process_type == process.process_type)
        .map(|(_, _, at)| *at)
        .filter(|at| *at <= now)
        .max();
    match (asked_at, process.started_at) {
        (Some(asked_at), Some(started_at)) => {
            let is_young = now.duration_since(asked_at) < jiff_duration(YOUNG);
            let is_from_future = started_at.duration_since(now) > jiff_duration(CLOCKS_APART);
            started_at < asked_at || (is_young && is_from_future)
        }
        (Some(_), None) | (None, _) => false,
    }
}

/// A process that should run.
fn keep(
    plan: &mut Plan,
    observed: &Observed,
    rules: &Rules,
    release: &Release,
    process: &Process,
    now: Timestamp,
) {
    match &process.state {
        ProcessState::Running => {}
        ProcessState::Created => plan.actions.push(Action::Restart(process.id.clone())),
        ProcessState::Dead => plan.actions.push(Action::Remove(process.id.clone())),
        // A candidate that ends has failed; the deploy reads its log and says so.
        ProcessState::Exited { .. } if release.status == ReleaseStatus::Candidate => {}
        ProcessState::Exited { .. } => match observed.crashes.get(&process.id) {
            Some(crash) if crash.count > rules.restart_limit => {}
            Some(crash) if crash.restart_at > now => plan.wait_until(crash.restart_at),
            Some(_) | None => plan.actions.push(Action::Restart(process.id.clone())),
        },
    }
}

/// A process that should not be there: it finishes what it has in flight, then it ends, then it is removed.
fn let_go(
    plan: &mut Plan,
    observed: &Observed,
    rules: &Rules,
    process: &Process,
    is_routed: bool,
    deadline: Option<Timestamp>,
    now: Timestamp,
) {
    match process.state {
        ProcessState::Exited { .. } | ProcessState::Dead | ProcessState::Created => {
            plan.actions.push(Action::Remove(process.id.clone()));
        }
        // Its routes go first; the next look ends it.
        ProcessState::Running if is_routed => {}
        ProcessState::Running => {
            let in_flight = observed.in_flight.get(&process.id).copied().unwrap_or(0);
            let since = observed
                .unrouted_since
                .get(&process.id)
                .copied()
                .unwrap_or(now);
            let limit = rules.drain_until(since);
            let until = deadline.map_or(limit, |deadline| deadline.min(limit));
            if in_flight == 0 || until <= now {
                plan.actions.push(Action::Stop(process.id.clone()));
            } else {
                plan.wait_until(until);
            }
        }
    }
}

/// A `Duration` in jiff's terms; durations of ours are hours at most.
pub(super) fn jiff_duration(duration: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX)
}
