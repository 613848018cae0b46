//! Where requests go that come in by a port of an app, opened beside the server's own. Pure.
//!
//! A visitor who asks for an app at such a port gets what the app is at the server's own ports: its routes, its redirects,
//! its pages, all by the host asked for. A mapping that leads to another port of the web processes than the one of their
//! release is another house with the same name: all its requests go there, whatever their path.
//!
//! Several apps may share a port; their visitors are told apart by the host. A port that belongs to one app alone is
//! answered by it for any other host as well, above all for the bare address of the server: that is what somebody who
//! opens a port expects (Dokku's nginx does it, too). Names of other apps are never among them, see
//! [`mini_proxy::PortRoutes`].

use std::collections::BTreeMap;

use mini_proxy::{PortRoutes, RouteTable, Target};

use super::addresses::names_of;
use super::plan::Rules;
use super::services::Services;
use crate::model::{App, AppId, DomainName, PortMapping, PortScheme, ProcessType};
use crate::store::Desired;

/// Gives a table that has the routes of the server's own listeners those of all ports, and no other.
pub(super) fn follow(
    table: &mut RouteTable,
    desired: &Desired,
    rules: &Rules,
    services: &Services,
) {
    let mut ports = Vec::new();
    for (port, WantedPort { apps, .. }) in wanted(desired, rules) {
        let mut hosts = RouteTable::default();
        let mut only = None;
        for (app, mapping) in &apps {
            let other = services.at_port(app.id, mapping.container_port);
            let is_other = other.is_some();
            let target = other.or_else(|| services.of(app.id, &ProcessType::web()));
            let Some(target) = target.map(Target::Service) else {
                continue;
            };
            for name in names_of(desired, app, rules) {
                let Ok(host) = name.as_str().parse() else {
                    continue;
                };
                if belongs_to_other(desired, app.id, &name) {
                    continue;
                }
                match table.routes_of(&host) {
                    Some(routes) if !is_other => hosts.insert_routes(host, routes),
                    _ => hosts.insert_target(host, target.clone()),
                }
            }
            only = Some(target);
        }
        let only = only.filter(|_| apps.len() == 1);
        ports.push((port, PortRoutes::new(hosts, only)));
    }
    let wanted: BTreeMap<u16, PortRoutes> = ports.into_iter().collect();
    let unwanted: Vec<u16> = table.ports().map(|(port, _)| port).collect();
    for port in unwanted
        .into_iter()
        .filter(|port| !wanted.contains_key(port))
    {
        table.remove_port(port);
    }
    for (port, routes) in wanted {
        if !table.ports().any(|known| known == (port, &routes)) {
            table.set_port(port, routes);
        }
    }
}

/// A port that is to be open.
pub(super) struct WantedPort<'a> {
    /// What is spoken there.
    pub scheme: PortScheme,
    /// The apps that have it, at least one.
    pub apps: Vec<(&'a App, PortMapping)>,
}

/// The ports to be open beside the server's own. None of apps that visitors do
/// not reach (`domains:disable`).
pub(super) fn wanted<'a>(desired: &'a Desired, rules: &Rules) -> BTreeMap<u16, WantedPort<'a>> {
    let mut ports: BTreeMap<u16, WantedPort<'a>> = BTreeMap::new();
    for port in desired.ports.iter() {
        let is_public = desired.exposures.get(&port.app).is_none_or(|it| it.0);
        let app = desired.apps.iter().find(|app| app.id == port.app);
        let Some(app) = app.filter(|_| is_public && !rules.standard.has(port.mapping)) else {
            continue;
        };
        let scheme = port.mapping.scheme;
        let apps = Vec::new();
        let wanted = ports
            .entry(port.mapping.host_port)
            .or_insert(WantedPort { scheme, apps });
        // The store lets no two apps have it for different schemes.
        if wanted.scheme == scheme {
            wanted.apps.push((app, port.mapping));
        }
    }
    ports
}

/// Whether a name that an app has without asking is the domain that another was given.
fn belongs_to_other(desired: &Desired, app: AppId, name: &DomainName) -> bool {
    let mut domains = desired.domains.iter();
    domains.any(|domain| domain.name == *name && domain.app != app)
}
