//! Which apps are on their way to what is desired, and which processes that are there are wanted. Pure.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::plan::{Observed, ProcessKey, jiff_duration, wanted_quantities};
use super::readiness::listening_address;
use crate::engine::{Process, ProcessState};
use crate::model::{App, AppId, AppName, ReleaseStatus, Timestamp};
use crate::store::Desired;

/// A web process that does not listen yet counts as starting for this long.
const STARTING: Duration = Duration::from_secs(30);

/// Apps with running processes that are to end, be it after their routes have gone or their last request is answered.
/// Those of a release that drains take their time, and those of one that failed have none: what was asked for does not
/// depend on them.
pub(super) fn ending(desired: &Desired, observed: &Observed) -> Vec<AppName> {
    let wanted = wanted_keys(desired);
    let processes = observed.processes.iter();
    processes
        .filter(|process| {
            process.state == ProcessState::Running
                && !wanted.contains(&ProcessKey::of(process))
                && is_of_wish(desired, process)
        })
        .map(|process| process.app.clone())
        .collect()
}

/// Whether a process is of a release that runs or is to run: what is asked for an app depends on no other.
pub(super) fn is_of_wish(desired: &Desired, process: &Process) -> bool {
    desired.releases.iter().any(|release| {
        let is_live = match release.status {
            ReleaseStatus::Current | ReleaseStatus::Candidate | ReleaseStatus::Prepared => true,
            ReleaseStatus::Draining | ReleaseStatus::Retired | ReleaseStatus::Failed => false,
        };
        is_live
            && release.version == process.release
            && desired
                .apps
                .iter()
                .any(|app| app.id == release.app && app.name == process.app)
    })
}

/// What is to run, whether it does or not.
pub(super) fn wanted_keys(desired: &Desired) -> BTreeSet<ProcessKey> {
    let mut keys = BTreeSet::new();
    let apps: HashMap<AppId, &App> = desired.apps.iter().map(|app| (app.id, app)).collect();
    for release in &desired.releases {
        let Some(app) = apps.get(&release.app).copied() else {
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
pub(super) fn starting(desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<AppName> {
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
