//! The route table: a plain value that says which service answers for which host.

use crate::host::{Host, routing_name};
use crate::https::{Hsts, PlainHttp};
use crate::policy::Policy;
use crate::protocol::Protocol;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// An address the proxy forwards to, believed only together with the id that holds it.
///
/// Two upstreams with the same address and different ids are different upstreams: connections kept to one
/// are never used for the other, because an address is given to a new container soon after the old one ends.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Upstream {
    /// The id of what listens there, for example a container id.
    pub id: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What stands behind one or more hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// The app's name, used in pages, counters and logs; services of the same name share their counters.
    pub name: String,
    /// The processes that answer, in no particular order.
    pub upstreams: Vec<Upstream>,
    /// Whether there is anything to forward to, and if not, why.
    pub state: ServiceState,
    /// What is special about it; the default is nothing.
    pub policy: Arc<Policy>,
    /// How the upstreams are spoken to.
    pub protocol: Protocol,
    /// What plain HTTP does on a host that has a certificate.
    pub plain_http: PlainHttp,
    /// What browsers are told over HTTPS about coming back, if anything.
    pub hsts: Option<Hsts>,
    /// While set and not yet reached, requests wait: for this time, or for a table without it. Upgraded connections
    /// and requests that have an upstream already go on.
    pub paused_until: Option<SystemTime>,
}

/// Whether a service answers, and if not, what its visitors are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServiceState {
    /// Requests are forwarded; without any upstream they wait for one for some seconds, and get a 503 page then.
    Serving,
    /// Nothing has been deployed yet: a 502 page.
    NotDeployed,
    /// The app is stopped or scaled to none: a 503 page.
    Stopped,
}

impl Service {
    /// A service that answers with the given upstreams.
    pub fn serving(name: impl Into<String>, upstreams: impl Into<Vec<Upstream>>) -> Service {
        Service {
            name: name.into(),
            upstreams: upstreams.into(),
            state: ServiceState::Serving,
            policy: Arc::default(),
            protocol: Protocol::default(),
            plain_http: PlainHttp::default(),
            hsts: None,
            paused_until: None,
        }
    }

    /// For how much longer requests wait because the service is paused.
    pub(crate) fn pause_left(&self) -> Option<Duration> {
        let left = self.paused_until?.duration_since(SystemTime::now()).ok();
        left.filter(|left| !left.is_zero())
    }
}

/// Which service answers for which host.
///
/// A plain value: build one, compare it, hand it to [`ProxyHandle::set_table`](crate::ProxyHandle::set_table).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RouteTable {
    services: HashMap<Host, Arc<Service>>,
}

impl RouteTable {
    /// Sends a host's requests to a service, in place of the one it had.
    pub fn insert(&mut self, host: Host, service: Arc<Service>) {
        self.services.insert(host, service);
    }

    /// Forgets a host; answers the service it had.
    pub fn remove(&mut self, host: &Host) -> Option<Arc<Service>> {
        self.services.remove(host)
    }

    /// The service for a `Host` header or an authority; port, case and one trailing dot do not matter.
    pub fn choose(&self, host_header: &str) -> Option<&Arc<Service>> {
        self.services.get(routing_name(host_header)?.as_ref())
    }

    /// The service for a name that [`routing_name`] has already read, with the host as the table has it.
    pub(crate) fn find(&self, name: &str) -> Option<(&Host, &Arc<Service>)> {
        self.services.get_key_value(name)
    }

    /// All hosts with their services, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Host, &Arc<Service>)> {
        self.services.iter()
    }

    /// How many hosts are routed.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// True when no host is routed.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The ids of all upstreams of all services, each once.
    pub fn upstream_ids(&self) -> BTreeSet<&str> {
        self.upstreams()
            .map(|upstream| upstream.id.as_str())
            .collect()
    }

    /// All upstreams; one that serves several hosts comes several times.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &Upstream> {
        self.services
            .values()
            .flat_map(|service| &service.upstreams)
    }
}

#[cfg(test)]
mod tests {
    use super::{RouteTable, Service, Upstream};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn upstream(id: &str, port: u16) -> Upstream {
        Upstream {
            id: id.to_owned(),
            address: ([127, 0, 0, 1], port).into(),
        }
    }

    fn table(hosts: &[&str]) -> RouteTable {
        let mut table = RouteTable::default();
        for (port, host) in (1000..).zip(hosts) {
            let service = Service::serving(*host, [upstream(host, port)]);
            table.insert(host.parse().unwrap(), Arc::new(service));
        }
        table
    }

    fn check(header: &str, expected: Option<&str>) {
        let table = table(&["shop.localhost", "blog.localhost"]);
        assert_eq!(
            table.choose(header).map(|s| s.name.as_str()),
            expected,
            "{header:?}"
        );
    }

    #[test]
    fn a_host_is_chosen_exactly() {
        check("shop.localhost", Some("shop.localhost"));
        check("SHOP.LOCALHOST.:8080", Some("shop.localhost"));
        check("blog.localhost", Some("blog.localhost"));
        check("localhost", None);
        check("x.shop.localhost", None);
        check("", None);
    }

    #[test]
    fn tables_are_compared_by_value_and_later_inserts_win() {
        assert_eq!(table(&["a", "b"]), table(&["a", "b"]));
        assert_ne!(table(&["a", "b"]), table(&["b", "a"]), "the ports differ");
        let mut table = table(&["a"]);
        table.insert("A".parse().unwrap(), Arc::new(Service::serving("new", [])));
        assert_eq!(table.choose("a").unwrap().name, "new");
        assert_eq!(table.len(), 1);
        assert!(table.upstream_ids().is_empty());
    }

    proptest! {
        #[test]
        fn a_table_answers_for_its_hosts_and_no_other(
            hosts in proptest::collection::btree_set("[a-z]{1,3}\\.[a-z]{1,2}", 0..20),
            other in "[a-z]{1,3}\\.[a-z]{1,2}",
        ) {
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            let table = table(&hosts);
            for host in &hosts {
                prop_assert_eq!(&table.choose(host).unwrap().name, host);
            }
            prop_assert_eq!(table.choose(&other).is_some(), hosts.contains(&other.as_str()));
            prop_assert!(table.upstream_ids() == hosts.into_iter().collect::<BTreeSet<_>>());
        }
    }
}
