//! A service and its upstreams, as values: what a host or a path leads to.

use crate::https::{Hsts, PlainHttp};
use crate::policy::Policy;
use crate::protocol::Protocol;
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
    pub id: Arc<str>,
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
