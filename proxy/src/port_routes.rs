//! Where the requests go that come in by a port of its own, opened beside the listeners of the proxy.

use crate::host::{parent, routing_name};
use crate::table::{Chosen, RouteTable, Target, Unrouted, find};

/// The routes of one port that was opened with [`ProxyHandle::open_port`](crate::ProxyHandle::open_port).
///
/// A plain value, part of a [`RouteTable`]: with it, it is swapped.
///
/// # What a request is routed by
/// By host and path, as everywhere, among the hosts of this port. A host that has no route here goes `otherwise`, if
/// that is given: whoever has a port for itself is reached there under any name and under the bare address of the
/// machine. Never so a host that has a route elsewhere in the table: it is another's, and what browsers send along for it,
/// such as cookies, which know no ports (RFC 6265 section 8.5), is not for who answers here. For the same reason a
/// wildcard of this port is not asked for a name that the table has as an exact one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortRoutes {
    hosts: RouteTable,
    otherwise: Option<Target>,
}

impl PortRoutes {
    /// The hosts of the port, and where all requests go that are for no known host. Ports within `hosts` mean nothing.
    pub fn new(hosts: RouteTable, otherwise: Option<Target>) -> PortRoutes {
        PortRoutes { hosts, otherwise }
    }

    /// The hosts it has.
    pub fn hosts(&self) -> &RouteTable {
        &self.hosts
    }

    /// Where requests go that are for no known host.
    pub fn otherwise(&self) -> Option<&Target> {
        self.otherwise.as_ref()
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.hosts.targets().chain(&self.otherwise)
    }

    /// Shares with `old` the hosts that are equal.
    pub(crate) fn share_with(&mut self, old: &PortRoutes) {
        self.hosts.share_with(&old.hosts);
    }
}

/// Whether some route of the listeners themselves is for a name, and whether an exact one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Elsewhere {
    Nothing,
    Wildcard,
    Exact,
}

impl Elsewhere {
    /// For a name as [`routing_name`] has read it.
    pub(crate) fn of(table: &RouteTable, name: &str) -> Elsewhere {
        if table.has_exact(name) {
            Elsewhere::Exact
        } else if parent(name).is_some_and(|above| table.has_wildcard(above)) {
            Elsewhere::Wildcard
        } else {
            Elsewhere::Nothing
        }
    }
}

impl RouteTable {
    /// Where a request goes that came in by a port of its own. See [`PortRoutes`] for the rule.
    ///
    /// # Errors
    /// As [`RouteTable::choose`]; `Unknown` also if the port has no routes.
    pub fn choose_at(
        &self,
        port: u16,
        host_header: &str,
        path: &str,
    ) -> Result<Chosen<'_>, Unrouted> {
        let routes = self.port(port).ok_or(Unrouted::Unknown)?;
        let name = routing_name(host_header).ok_or(Unrouted::Malformed)?;
        let exact = routes.hosts.exact_routes(&name);
        let elsewhere = Elsewhere::of(self, &name);
        let above = match (exact, elsewhere) {
            (None, Elsewhere::Exact) => None,
            _ => parent(&name).and_then(|above| routes.hosts.wildcard_routes(above)),
        };
        if exact.is_none() && above.is_none() {
            let target = routes.otherwise.as_ref();
            let target = target.filter(|_| elsewhere == Elsewhere::Nothing);
            let target = target.ok_or(Unrouted::Unknown)?;
            return Ok(Chosen { target, path: None });
        }
        let (level, place) = find(exact, above, path)?;
        RouteTable::chosen(level, place, exact, above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::PathPrefix;
    use crate::service::Service;
    use crate::table::PathRoute;
    use std::sync::Arc;

    fn service(name: &str) -> Target {
        Target::Service(Arc::new(Service::serving(name, [])))
    }

    fn table(hosts: &[(&str, &str)]) -> RouteTable {
        let mut table = RouteTable::default();
        for (host, name) in hosts {
            table.insert_target(host.parse().unwrap(), service(name));
        }
        table
    }

    fn check(table: &RouteTable, host: &str, path: &str, expected: Result<&str, Unrouted>) {
        let found = table.choose_at(8080, host, path);
        let found = found.map(|chosen| chosen.target.name());
        assert_eq!(found, expected, "{host}{path}");
    }

    #[test]
    fn a_port_knows_its_hosts_and_nobody_elses() {
        let mut all = table(&[
            ("shop.test", "shop"),
            ("blog.test", "blog"),
            ("*.wild.test", "wild"),
        ]);
        check(&all, "shop.test", "/", Err(Unrouted::Unknown));
        let mut hosts = table(&[("shop.test", "shop")]);
        let prefix: PathPrefix = "/api".parse().unwrap();
        hosts.insert_path(
            "shop.test".parse().unwrap(),
            PathRoute {
                prefix,
                is_stripped: false,
                target: service("api"),
            },
        );
        all.set_port(8080, PortRoutes::new(hosts.clone(), None));
        check(&all, "shop.test:8080", "/", Ok("shop"));
        check(&all, "shop.test", "/api/x", Ok("api"));
        check(&all, "blog.test", "/", Err(Unrouted::Unknown));
        check(&all, "192.0.2.1:8080", "/", Err(Unrouted::Unknown));
        check(&all, "a b", "/", Err(Unrouted::Malformed));

        all.set_port(8080, PortRoutes::new(hosts, Some(service("shop"))));
        for host in ["192.0.2.1:8080", "[::1]:8080", "some.name", "localhost"] {
            check(&all, host, "/", Ok("shop"));
        }
        // Of another, by name or by wildcard.
        check(&all, "blog.test", "/", Err(Unrouted::Unknown));
        check(&all, "a.wild.test", "/", Err(Unrouted::Unknown));
        // The listeners themselves are as they were.
        assert_eq!(all.choose("blog.test", "/").unwrap().target.name(), "blog");
        assert!(all.choose("192.0.2.1", "/").is_err());
    }

    #[test]
    fn a_wildcard_of_a_port_stops_at_names_of_others() {
        let mut all = table(&[("*.shop.test", "shop"), ("blog.shop.test", "blog")]);
        let hosts = table(&[("*.shop.test", "shop")]);
        all.set_port(8080, PortRoutes::new(hosts, None));
        check(&all, "any.shop.test", "/", Ok("shop"));
        check(&all, "blog.shop.test", "/", Err(Unrouted::Unknown));
    }

    #[test]
    fn what_only_a_port_leads_to_is_in_the_tables_references() {
        let upstream = crate::Upstream {
            id: "one".into(),
            address: ([127, 0, 0, 1], 5000).into(),
        };
        let target = Target::Service(Arc::new(Service::serving("shop", [upstream])));
        let mut hosts = RouteTable::default();
        hosts.insert_target("shop.test".parse().unwrap(), target.clone());
        let mut all = RouteTable::default();
        all.set_port(8080, PortRoutes::new(hosts, Some(target)));
        assert!(all.upstream_ids().contains("one"));
        assert_eq!(
            all.ports().map(|(port, _)| port).collect::<Vec<_>>(),
            [8080]
        );
        let before = all.clone();
        assert!(all.remove_port(8080).is_some());
        assert!(all.upstream_ids().is_empty());
        assert!(!all.is_shared_with(&before));
        assert_eq!(all, RouteTable::default());
    }
}
