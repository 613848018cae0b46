//! Which addresses lead to which processes: the route table that should be in force, and how it follows what changes.

use std::collections::HashSet;
use std::sync::Arc;

use mini_proxy::{HostPattern, PathRoute, Redirect, RedirectStatus, RouteTable, Target};

use super::addresses::{Addresses, differing, of_app};
use super::plan::{Observed, Rules};
use super::policy::{hsts, policy};
use super::port_routes;
use super::services::{Answering, Services};
use crate::model::{
    Address, AppId, AppProxy, AppRedirect, DomainName, ProcessType, Route, Timestamp,
};
use crate::store::Desired;

/// The route table that should be in force.
///
/// A function of what is desired and observed, whatever was followed before: that only decides how much is computed again.
/// A test holds it to that.
#[derive(Default)]
pub(super) struct Routing {
    services: Services,
    /// What the routes were of last.
    desired: Arc<Desired>,
    /// Hosts whose routes may not be as they should.
    changed: HashSet<DomainName>,
    table: RouteTable,
}

impl Routing {
    /// These names may belong to others than before.
    pub(super) fn note(&mut self, names: &HashSet<DomainName>) {
        self.changed.extend(names.iter().cloned());
    }

    /// The table for the names that `addresses` has, of whose changes [`Routing::note`] was told.
    pub(super) fn follow(
        &mut self,
        addresses: &Addresses,
        observed: &Observed,
        rules: &Rules,
        now: Timestamp,
    ) -> &RouteTable {
        let desired = Arc::clone(addresses.desired());
        let answering = self.services.follow(&desired, observed, rules, now);
        let mut changed = std::mem::take(&mut self.changed);
        let mut of_route = |route: &Route| match &route.address.domain {
            Some(domain) => changed.extend([domain.clone()]),
            None => changed.extend(addresses.names(route.app)),
        };
        if !self.desired.routes.is_same(&desired.routes) {
            let key = |route: &Route| (route.app, route.address.clone());
            for (was, is) in differing(&self.desired.routes, &desired.routes, key) {
                was.into_iter().chain(is).for_each(&mut of_route);
            }
        }
        if !answering.is_empty() {
            let answering: HashSet<&Answering> = answering.iter().collect();
            for route in &desired.routes {
                if answering.contains(&(route.to, route.process_type.clone(), None)) {
                    of_route(route);
                }
            }
            for (app, _, _) in answering.iter().filter(|(_, kind, _)| kind.is_web()) {
                changed.extend(addresses.names(*app));
            }
        }
        for host in &changed {
            self.put(host, addresses, rules);
        }
        let has_other_ports = !self.desired.ports.is_same(&desired.ports);
        let has_changed = !changed.is_empty() || !answering.is_empty();
        if has_other_ports || (has_changed && !desired.ports.is_empty()) {
            port_routes::follow(&mut self.table, &desired, rules, &self.services);
        }
        self.desired = desired;
        &self.table
    }

    /// Has one host routed as it should be. A route goes before the app's other processes, a redirect before both.
    fn put(&mut self, host: &DomainName, addresses: &Addresses, rules: &Rules) {
        let Ok(pattern) = host.as_str().parse::<HostPattern>() else {
            return;
        };
        let desired = addresses.desired();
        let claims = addresses.claims(host);
        let web = ProcessType::web();
        let mut routes = HostTargets::default();
        if let Some(service) = claims.web.and_then(|app| self.services.of(app, &web)) {
            routes.whole = Some(Target::Service(service));
        }
        // One of a domain that the app has not, or has no longer, leads nowhere: it may be another's by now.
        let is_about = |address: &Address| {
            let domain = address.domain.as_ref();
            domain.is_none_or(|domain| domain == host)
        };
        for app in &claims.apps {
            let of_app = of_app(&desired.routes, *app, |route| route.app);
            for route in of_app.filter(|route| is_about(&route.address)) {
                if let Some(service) = self.services.of(route.to, &route.process_type) {
                    let target = Target::Service(service);
                    routes.put(&route.address, route.is_stripped, target);
                }
            }
        }
        for app in &claims.apps {
            let of_app = of_app(&desired.redirects, *app, |redirect| redirect.app);
            for redirect in of_app.filter(|redirect| is_about(&redirect.address)) {
                if let Some(target) = redirect_target(addresses, rules, redirect) {
                    routes.put(&redirect.address, false, target);
                }
            }
        }
        self.table.replace(pattern, routes.whole, routes.paths);
    }
}

/// Where a host leads.
#[derive(Default)]
struct HostTargets {
    whole: Option<Target>,
    paths: Vec<PathRoute>,
}

impl HostTargets {
    /// In place of what the same address led to.
    fn put(&mut self, address: &Address, is_stripped: bool, target: Target) {
        let Some(prefix) = &address.path else {
            self.whole = Some(target);
            return;
        };
        self.paths.retain(|route| route.prefix != *prefix);
        self.paths.push(PathRoute {
            prefix: prefix.clone(),
            is_stripped,
            target,
        });
    }
}

fn redirect_target(addresses: &Addresses, rules: &Rules, redirect: &AppRedirect) -> Option<Target> {
    let defaults = AppProxy::default();
    let own = addresses.desired().proxy.get(&redirect.app);
    let own = own.unwrap_or(&defaults);
    let redirect = Redirect {
        name: addresses.app(redirect.app)?.name.to_string(),
        status: RedirectStatus::from_code(redirect.code)?,
        to: redirect.to.clone(),
        hsts: hsts(&own.options, rules),
        policy: Arc::new(policy(own)),
    };
    Some(Target::Redirect(Arc::new(redirect)))
}

/// Whether processes of a type are to take requests: `web`, and what a route leads to.
pub(super) fn takes_requests(desired: &Desired, app: AppId, process_type: &ProcessType) -> bool {
    process_type.is_web()
        || desired
            .routes
            .iter()
            .any(|route| route.to == app && route.process_type == *process_type)
}
