//! Which addresses lead to which processes. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use mini_proxy::{
    HostPattern, PathRoute, Policy, Redirect, RedirectStatus, RouteTable, Service, ServiceState,
    Target, Upstream,
};

use super::plan::{Observed, Rules, is_restart_asked, wanted_quantities};
use super::policy::{hsts, plain_http, policy};
use crate::engine::ProcessState;
use crate::model::{
    Address, App, AppId, AppProxy, AppRedirect, DomainName, Exposure, ProcessType, ProxyOptions,
    Release, ReleaseStatus, Timestamp,
};
use crate::store::Desired;

/// The route table that should be in force.
///
/// What was asked for by name goes before what an app has without asking: one app's domain `shop.localhost` is its
/// own, also where an app `shop` comes into being later. A route goes before the app's other processes, a redirect
/// before both.
pub(super) fn route_table(
    desired: &Desired,
    observed: &Observed,
    rules: &Rules,
    now: Timestamp,
) -> RouteTable {
    let mut services = Services::new(desired, observed, rules, now);
    let mut table = RouteTable::default();
    let web = ProcessType::web();
    let mut by_name = Vec::new();
    for app in &desired.apps {
        let exposure = exposure(desired, app.id);
        let service = services.of(app.id, &web);
        for name in exposure.names(&app.name, &rules.base_domains) {
            let Ok(host) = name.as_str().parse::<HostPattern>() else {
                continue;
            };
            if exposure.own.contains(&name) {
                by_name.push((host, service.clone()));
            } else {
                table.insert_target(host, service.clone());
            }
        }
    }
    for (host, service) in by_name {
        table.insert_target(host, service);
    }
    for route in &desired.routes {
        let target = services.of(route.to, &route.process_type);
        let hosts = hosts_of(desired, route.app, &route.address, rules);
        insert(
            &mut table,
            hosts,
            &route.address,
            route.is_stripped,
            &target,
        );
    }
    for redirect in &desired.redirects {
        let Some(target) = services.redirect(redirect) else {
            continue;
        };
        let hosts = hosts_of(desired, redirect.app, &redirect.address, rules);
        insert(&mut table, hosts, &redirect.address, false, &target);
    }
    table
}

fn insert(
    table: &mut RouteTable,
    hosts: Vec<HostPattern>,
    address: &Address,
    is_stripped: bool,
    target: &Target,
) {
    for host in hosts {
        match &address.path {
            None => table.insert_target(host, target.clone()),
            Some(prefix) => table.insert_path(
                host,
                PathRoute {
                    prefix: prefix.clone(),
                    is_stripped,
                    target: target.clone(),
                },
            ),
        }
    }
}

/// The hosts of an app that an address is about. None while visitors do not reach the app, nor for a domain the app has
/// not, or has no longer: it may be another's by now.
fn hosts_of(desired: &Desired, app: AppId, address: &Address, rules: &Rules) -> Vec<HostPattern> {
    let Some(app) = desired.apps.iter().find(|candidate| candidate.id == app) else {
        return Vec::new();
    };
    names_of(desired, app, rules)
        .into_iter()
        .filter(|name| address.domain.as_ref().is_none_or(|domain| domain == name))
        .filter_map(|name| name.as_str().parse().ok())
        .collect()
}

/// Until when requests for an app wait, if they do now.
pub(super) fn paused_until(desired: &Desired, app: &App, now: Timestamp) -> Option<Timestamp> {
    let until = desired.pauses.get(&app.id).copied();
    until.filter(|until| now < *until)
}

/// The names an app is to answer at.
fn exposure(desired: &Desired, app: AppId) -> Exposure {
    let (is_public, has_global) = desired.exposures.get(&app).copied().unwrap_or((true, true));
    // In the order of the apps, as the store has them.
    let from = desired.domains.partition_point(|domain| domain.app < app);
    let own = desired.domains.iter().skip(from);
    Exposure {
        own: own
            .take_while(|domain| domain.app == app)
            .map(|domain| domain.name.clone())
            .collect(),
        global: desired.global_domains.clone(),
        is_public,
        has_global,
    }
}

/// The names under which visitors may come to an app, redirected ones included.
pub(super) fn names_of(desired: &Desired, app: &App, rules: &Rules) -> Vec<DomainName> {
    let exposure = exposure(desired, app.id);
    let mut names = exposure.names(&app.name, &rules.base_domains);
    let redirected = desired
        .redirects
        .iter()
        .filter(|redirect| redirect.app == app.id && exposure.is_public)
        .filter_map(|redirect| redirect.address.domain.clone());
    for name in redirected {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whether processes of a type are to take requests: `web`, and what a route leads to.
pub(super) fn takes_requests(desired: &Desired, app: AppId, process_type: &ProcessType) -> bool {
    process_type.is_web()
        || desired
            .routes
            .iter()
            .any(|route| route.to == app && route.process_type == *process_type)
}

/// The services of all apps, each made once however many addresses lead to it.
struct Services<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    rules: &'a Rules,
    now: Timestamp,
    /// The policy of apps that have set nothing.
    plain: Arc<Policy>,
    apps: BTreeMap<AppId, (&'a App, Option<&'a Release>)>,
    made: BTreeMap<(AppId, ProcessType), Arc<Service>>,
}

impl<'a> Services<'a> {
    fn new(desired: &'a Desired, observed: &'a Observed, rules: &'a Rules, now: Timestamp) -> Self {
        let mut apps: BTreeMap<AppId, (&App, Option<&Release>)> = desired
            .apps
            .iter()
            .map(|app| (app.id, (app, None)))
            .collect();
        for release in &desired.releases {
            if release.status == ReleaseStatus::Current
                && let Some((_, current)) = apps.get_mut(&release.app)
            {
                *current = Some(release);
            }
        }
        Self {
            desired,
            observed,
            rules,
            now,
            plain: Arc::new(policy(&AppProxy::default())),
            apps,
            made: BTreeMap::new(),
        }
    }

    fn of(&mut self, app: AppId, process_type: &ProcessType) -> Target {
        let key = (app, process_type.clone());
        if let Some(made) = self.made.get(&key) {
            return Target::Service(Arc::clone(made));
        }
        let made = Arc::new(self.make(app, process_type));
        self.made.insert(key, Arc::clone(&made));
        Target::Service(made)
    }

    fn redirect(&self, redirect: &AppRedirect) -> Option<Target> {
        let (app, _) = self.apps.get(&redirect.app)?;
        let name = app.name.to_string();
        let own = self.desired.proxy.get(&app.id);
        let defaults = ProxyOptions::default();
        let options = own.map_or(&defaults, |own| &own.options);
        let redirect = Redirect {
            name,
            status: RedirectStatus::from_code(redirect.code)?,
            to: redirect.to.clone(),
            hsts: hsts(options, self.rules),
            policy: self.policy(own),
        };
        Some(Target::Redirect(Arc::new(redirect)))
    }

    fn policy(&self, own: Option<&AppProxy>) -> Arc<Policy> {
        own.map_or_else(|| Arc::clone(&self.plain), |own| Arc::new(policy(own)))
    }

    fn make(&self, app: AppId, process_type: &ProcessType) -> Service {
        let Some((app, current)) = self.apps.get(&app) else {
            // The store removes the routes of an app with it.
            return Service::serving("", []);
        };
        let defaults = AppProxy::default();
        let own = self.desired.proxy.get(&app.id);
        let options = &own.unwrap_or(&defaults).options;
        Service {
            policy: self.policy(own),
            plain_http: plain_http(options),
            hsts: hsts(options, self.rules),
            paused_until: paused_until(self.desired, app, self.now).map(SystemTime::from),
            ..service(self.desired, self.observed, app, *current, process_type)
        }
    }
}

fn service(
    desired: &Desired,
    observed: &Observed,
    app: &App,
    current: Option<&Release>,
    process_type: &ProcessType,
) -> Service {
    let service = |upstreams: Vec<Upstream>, state| Service {
        state,
        ..Service::serving(app.name.to_string(), upstreams)
    };
    let Some(release) = current else {
        return service(Vec::new(), ServiceState::NotDeployed);
    };
    let quantity = wanted_quantities(desired, app, release)
        .into_iter()
        .find(|(wanted, _)| wanted == process_type)
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
                && process.process_type == *process_type
                && (1..=quantity).contains(&process.index)
                && process.state == ProcessState::Running
                && observed.ready.contains(&process.id)
                && !is_restart_asked(desired, app.id, process)
        })
        .filter_map(|process| {
            let address = SocketAddr::new(process.address?, release.port);
            Some(Upstream {
                id: process.id.0.as_str().into(),
                address,
            })
        })
        .collect();
    upstreams.sort();
    service(upstreams, ServiceState::Serving)
}
