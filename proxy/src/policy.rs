//! What is special about one service: its limits and times, who may pass, what its pages look like. A plain value, part
//! of the table.

use crate::fault::Fault;
use crate::gate::{BasicAuth, Network, Rate, any_contains};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// How requests for one service are treated. The default sets nothing: all that comes is forwarded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// How long a connection to an upstream may take; otherwise
    /// [`ProxySettings::connect_timeout`](crate::ProxySettings::connect_timeout).
    pub connect_timeout: Option<Duration>,
    /// How long an upstream may stay silent before its answer begins; otherwise
    /// [`ProxySettings::first_byte_timeout`](crate::ProxySettings::first_byte_timeout).
    pub first_byte_timeout: Option<Duration>,
    /// How long an answer that has begun may stay silent before it is broken off. Without it, as long as it likes.
    /// An upgraded connection is no answer.
    pub idle_timeout: Option<Duration>,
    /// Largest body of a request in bytes; more is answered 413. One without a known length is cut off when it gets
    /// there.
    pub max_body_bytes: Option<u64>,
    /// Bytes a second that the body of a request must bring on average, for as long as its upstream would take them and
    /// has not begun to answer; it may be late by [`ProxySettings::upload_grace`](crate::ProxySettings::upload_grace),
    /// then it is answered 408. Without it, and for services that speak HTTP/2, it is enough that it does not stop.
    pub min_upload_rate: Option<NonZeroU64>,
    /// Who may ask at all; empty for everybody. Others are answered 403.
    pub allow: Vec<Network>,
    /// Who may not ask, even if allowed.
    pub deny: Vec<Network>,
    /// How often a client may ask, an IPv6 one by the first half of its address; more is answered 429.
    pub rate: Option<Rate>,
    /// How many requests may be under way over all threads; more are answered 503. An upgraded connection is no
    /// request any more.
    pub max_in_flight: Option<u32>,
    /// Set while visitors are to be told to come back later.
    pub maintenance: Option<Maintenance>,
    /// Who has to give a password; others are answered 401. The header with the password goes no further, the upstream
    /// gets the user's name as `X-Forwarded-User`.
    pub auth: Option<Arc<BasicAuth>>,
    /// Whether answers are compressed for clients that take it: text and its like of 1 KiB or more, never events, parts, or
    /// what the upstream packed itself or does not want changed.
    pub compression: bool,
    /// Whether its requests are left out of the access log. They count in its figures all the same.
    pub is_unlogged: bool,
    /// Whether the upstream is told of the client by `Forwarded` (RFC 7239) too, besides the `X-Forwarded-*` fields.
    pub forwarded: bool,
    /// Whether each request reaches the upstream with a `traceparent`: the one it came with, if a trusted proxy sent it,
    /// otherwise a new one. Without it the field passes as any other.
    pub traceparent: bool,
    /// HTML of the service's own in place of our pages, by status. `{{status}}` in it is replaced by the status. What an
    /// upstream answers is never replaced.
    pub pages: BTreeMap<u16, Arc<str>>,
}

/// Visitors are told to come back later: 503.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Maintenance {
    /// When to come back (`Retry-After`).
    pub retry_after: Duration,
    /// Who may pass all the same.
    pub allow: Vec<Network>,
    /// HTML of the service's own.
    pub page: Option<Arc<str>>,
}

impl Maintenance {
    pub(crate) fn lets_in(&self, address: IpAddr) -> bool {
        any_contains(&self.allow, address)
    }
}

impl Policy {
    pub(crate) fn lets_in(&self, address: IpAddr) -> bool {
        (self.allow.is_empty() || any_contains(&self.allow, address))
            && !any_contains(&self.deny, address)
    }

    /// The page of the service's own for a fault.
    pub(crate) fn page(&self, fault: Fault) -> Option<&str> {
        let of_status = || self.pages.get(&fault.status().as_u16());
        let of_maintenance = match (&self.maintenance, fault) {
            (Some(maintenance), Fault::Maintenance) => maintenance.page.as_ref(),
            _ => None,
        };
        of_maintenance.or_else(of_status).map(|page| &**page)
    }
}

#[cfg(test)]
mod tests {
    use super::Policy;
    use crate::gate::Network;

    fn networks(texts: &[(&str, u8)]) -> Vec<Network> {
        let networks = texts.iter().map(|(address, prefix)| Network {
            address: address.parse().unwrap(),
            prefix: *prefix,
        });
        networks.collect()
    }

    fn check(allow: &[(&str, u8)], deny: &[(&str, u8)], address: &str, expected: bool) {
        let policy = Policy {
            allow: networks(allow),
            deny: networks(deny),
            ..Policy::default()
        };
        assert_eq!(policy.lets_in(address.parse().unwrap()), expected);
    }

    #[test]
    fn who_is_denied_stays_out_even_if_allowed() {
        check(&[], &[], "192.0.2.1", true);
        check(&[("192.0.2.0", 24)], &[], "192.0.2.1", true);
        check(&[("192.0.2.0", 24)], &[], "192.0.3.1", false);
        check(&[], &[("192.0.2.0", 24)], "192.0.2.1", false);
        check(
            &[("192.0.2.0", 24)],
            &[("192.0.2.1", 32)],
            "192.0.2.1",
            false,
        );
    }
}
