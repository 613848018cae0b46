//! What has been served, counted per service: each thread counts for itself, readers add up.

use crate::budget::Budget;
use crate::histogram::{Histogram, SharedHistogram, add};
use crate::hold::Waiting;
use http::StatusCode;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The figures of all threads at one moment, since the proxy started.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// By service name. A service that left the table is forgotten some time after, unless it is to be
    /// [remembered](crate::ProxyHandle::remember).
    pub services: BTreeMap<String, ServiceCounts>,
    /// Requests no service was found for, or that were refused before one was looked for.
    pub unrouted: ServiceCounts,
    /// Client connections open now, upgraded ones included.
    pub open_connections: usize,
    /// Client connections accepted.
    pub accepted_connections: u64,
    /// TLS handshakes that ended as they should.
    pub tls_handshakes: u64,
    /// TLS handshakes that did not: broken off, too slow, or for a host without a certificate.
    pub failed_tls_handshakes: u64,
    /// Connections of trusted proxies that were closed because they did not begin with a whole header of the PROXY
    /// protocol.
    pub refused_proxy_headers: u64,
    /// Requests whose record did not fit into the access log: see [`crate::AccessLog`].
    pub dropped_log_records: u64,
}

/// The figures of one service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ServiceCounts {
    /// Answers by class: 1xx (upgrades), 2xx, 3xx, 4xx, 5xx, those of our own pages included.
    pub by_class: [u64; 5],
    /// Bytes of request bodies forwarded.
    pub request_bytes: u64,
    /// Bytes of answer bodies forwarded.
    pub response_bytes: u64,
    /// Attempts repeated, because a kept connection had died or another upstream refused.
    pub retries: u64,
    /// How often an upstream was left out for a while, because it refused connections, took none in time, or closed
    /// several without an answer. Trials that failed later are not counted again.
    pub ejections: u64,
    /// Requests that waited, because the service was paused or had no upstream, whatever became of them.
    pub held: u64,
    /// Those that wait now.
    pub waiting: usize,
    /// Requests and upgraded connections that have begun and not ended.
    pub in_flight: u64,
    /// Time from a request's head to the end of its answer. Upgraded connections are left out: theirs says
    /// how long a visitor stayed.
    pub durations: Histogram,
    /// Time from a request's head to the head of the upstream's answer.
    pub first_bytes: Histogram,
}

impl ServiceCounts {
    /// Requests answered.
    pub fn requests(&self) -> u64 {
        self.by_class.iter().sum()
    }
}

/// One thread's counts of one service. Written by that thread alone, so no addition needs a lock prefix.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    by_class: [AtomicU64; 5],
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    retries: AtomicU64,
    ejections: AtomicU64,
    held: AtomicU64,
    pub(crate) waiting: Waiting,
    budget: Budget,
    in_flight: AtomicU64,
    durations: SharedHistogram,
    first_bytes: SharedHistogram,
}

impl Tally {
    pub(crate) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(count) = self.by_class.get(class) {
            add(count, 1);
        }
    }

    pub(crate) fn received(&self, bytes: usize) {
        add(&self.request_bytes, bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.response_bytes, bytes as u64);
    }

    pub(crate) fn retried(&self) {
        add(&self.retries, 1);
    }

    pub(crate) fn ejected(&self) {
        add(&self.ejections, 1);
    }

    pub(crate) fn held(&self) {
        add(&self.held, 1);
    }

    /// Whether a request that was sent may be sent once more; it is paid for then.
    pub(crate) fn spend_repeat(&self, now_ms: u64) -> bool {
        let answered = self.by_class.iter();
        let answered = answered.map(|count| count.load(Ordering::Relaxed)).sum();
        self.budget.spend(answered, now_ms)
    }

    pub(crate) fn begun(&self) {
        add(&self.in_flight, 1);
    }

    /// A request has ended that was counted by [`Tally::begun`].
    pub(crate) fn ended(&self) {
        add(&self.in_flight, u64::MAX);
    }

    pub(crate) fn took(&self, duration: Duration) {
        self.durations.observe(duration);
    }

    pub(crate) fn first_byte_after(&self, duration: Duration) {
        self.first_bytes.observe(duration);
    }

    /// Adds this thread's counts to a sum.
    pub(crate) fn add_to(&self, sum: &mut ServiceCounts) {
        for (total, count) in sum.by_class.iter_mut().zip(&self.by_class) {
            *total += count.load(Ordering::Relaxed);
        }
        sum.request_bytes += self.request_bytes.load(Ordering::Relaxed);
        sum.response_bytes += self.response_bytes.load(Ordering::Relaxed);
        sum.retries += self.retries.load(Ordering::Relaxed);
        sum.ejections += self.ejections.load(Ordering::Relaxed);
        sum.held += self.held.load(Ordering::Relaxed);
        sum.waiting += self.waiting.count();
        sum.in_flight += self.in_flight.load(Ordering::Relaxed);
        self.durations.add_to(&mut sum.durations);
        self.first_bytes.add_to(&mut sum.first_bytes);
    }
}
