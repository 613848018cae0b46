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

use mini_proxy::{PortRoutes, RouteTable};

use super::plan::Rules;
use super::routes::{Services, names_of};
use crate::model::{App, AppId, DomainName, PortMapping, PortScheme, ProcessType};
use crate::store::Desired;

/// Adds the routes of all ports to a table that has those of the server's own listeners.
pub(super) fn add(
    table: &mut RouteTable,
    desired: &Desired,
    rules: &Rules,
    services: &mut Services<'_>,
) {
    let mut ports = Vec::new();
    for (port, WantedPort { apps, .. }) in wanted(desired, rules) {
        let mut hosts = RouteTable::default();
        let mut only = None;
        for (app, mapping) in &apps {
            let own = services.release_port(app.id);
            let is_other = own.is_some_and(|own| own != mapping.container_port);
            let target = match is_other {
                true => services.at_port(app.id, mapping.container_port),
                false => services.of(app.id, &ProcessType::web()),
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
    for (port, routes) in ports {
        table.set_port(port, routes);
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
    for port in &desired.ports {
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
