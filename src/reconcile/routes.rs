//! Which host names lead to which processes. Pure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use mini_proxy::{Host, RouteTable, Service, ServiceState, Upstream};

use super::plan::{Observed, Rules, is_restart_asked, wanted_quantities};
use super::policy::{hsts, plain_http, policy};
use crate::engine::ProcessState;
use crate::model::{
    App, AppName, DomainName, ProcessType, ProxyOptions, Release, ReleaseStatus, Timestamp,
};
use crate::store::Desired;

/// The route table that should be in force.
pub(super) fn route_table(
    desired: &Desired,
    observed: &Observed,
    rules: &Rules,
    now: Timestamp,
) -> RouteTable {
    let mut table = RouteTable::default();
    let defaults = ProxyOptions::default();
    let plain = Arc::new(policy(&defaults));
    for app in &desired.apps {
        let current = desired
            .releases
            .iter()
            .find(|release| release.app == app.id && release.status == ReleaseStatus::Current);
        let own = desired.proxy.get(&app.id);
        let policy = match own {
            Some(options) => Arc::new(policy(options)),
            None => plain.clone(),
        };
        let options = own.unwrap_or(&defaults);
        let service = Arc::new(Service {
            policy,
            plain_http: plain_http(options),
            hsts: hsts(options, rules),
            paused_until: paused_until(desired, app, now).map(SystemTime::from),
            ..service(desired, observed, app, current)
        });
        for name in names_of(desired, app, rules) {
            if let Ok(host) = name.as_str().parse::<Host>() {
                table.insert(host, service.clone());
            }
        }
    }
    table
}

/// Until when requests for an app wait, if they do now.
pub(super) fn paused_until(desired: &Desired, app: &App, now: Timestamp) -> Option<Timestamp> {
    let until = desired.pauses.get(&app.id).copied();
    until.filter(|until| now < *until)
}

/// The host names of an app, as it should have them.
pub(super) fn names_of(desired: &Desired, app: &App, rules: &Rules) -> Vec<DomainName> {
    let own: Vec<DomainName> = desired
        .domains
        .iter()
        .filter(|domain| domain.app == app.id)
        .map(|domain| domain.name.clone())
        .collect();
    host_names(&app.name, &own, &rules.base_domains)
}

/// All host names of an app, the one to show first: its own domains, its name where that is a domain, then
/// `<app>.<base>` for every base domain.
pub(super) fn host_names(
    app: &AppName,
    own: &[DomainName],
    bases: &[DomainName],
) -> Vec<DomainName> {
    let mut names = own.to_vec();
    if app.as_str().contains('.') {
        names.extend(app.as_str().parse());
    }
    names.extend(
        bases
            .iter()
            .filter_map(|base| format!("{app}.{base}").parse().ok()),
    );
    names
}

fn service(
    desired: &Desired,
    observed: &Observed,
    app: &App,
    current: Option<&Release>,
) -> Service {
    let service = |upstreams: Vec<Upstream>, state| Service {
        state,
        ..Service::serving(app.name.to_string(), upstreams)
    };
    let Some(release) = current else {
        return service(Vec::new(), ServiceState::NotDeployed);
    };
    let web = ProcessType::web();
    let quantity = wanted_quantities(desired, app, release)
        .into_iter()
        .find(|(process_type, _)| *process_type == web)
        .map_or(0, |(_, quantity)| quantity);
    if quantity == 0 {
        return service(Vec::new(), ServiceState::Stopped);
    }
    let mut upstreams: Vec<Upstream> = observed
        .processes
        .iter()
        .filter(|process| {
            process.app == app.name
                && process.release == release.version
                && process.process_type == web
                && (1..=quantity).contains(&process.index)
                && process.state == ProcessState::Running
                && observed.ready.contains(&process.id)
                && !is_restart_asked(desired, app.id, process)
        })
        .filter_map(|process| {
            let address = SocketAddr::new(process.address?, release.port);
            Some(Upstream {
                id: process.id.0.clone(),
                address,
            })
        })
        .collect();
    upstreams.sort();
    service(upstreams, ServiceState::Serving)
}
