//! What one data thread lets others see: which table it follows, what it has in flight, what it counted.
//!
//! The locks here are taken when a service or an upstream is met for the first time, when the table
//! changes and when somebody reads; never for a request.

use crate::counters::{Counters, Tally};
use crate::histogram::add;
use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The epoch a thread that has ended follows: it sends nothing to anybody any more.
const ENDED: u64 = u64::MAX;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    followed: AtomicU64,
    usage: Mutex<HashMap<Arc<str>, Arc<Usage>>>,
    tallies: Mutex<HashMap<String, Arc<Tally>>>,
    pub(crate) unrouted: Tally,
    open_connections: AtomicUsize,
    accepted_connections: AtomicU64,
    tls_handshakes: AtomicU64,
    failed_tls_handshakes: AtomicU64,
    refused_proxy_headers: AtomicU64,
    dropped_log_records: AtomicU64,
    is_finishing: AtomicBool,
}

/// Requests and upgraded connections one thread has on one upstream. Written by that thread alone.
#[derive(Debug, Default)]
pub(crate) struct Usage(AtomicUsize);

impl Usage {
    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn begin(&self) {
        self.0
            .store(self.0.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Answers what is left.
    pub(crate) fn end(&self) -> usize {
        let left = self.0.load(Ordering::Relaxed).saturating_sub(1);
        self.0.store(left, Ordering::Release);
        left
    }
}

impl Ledger {
    /// Says that every request this thread routed by a table before `epoch` is counted in its usage, and
    /// that none will be routed by such a table again.
    pub(crate) fn follow(&self, epoch: u64) {
        self.followed.store(epoch, Ordering::Release);
    }

    /// Says that the thread has ended.
    pub(crate) fn end(&self) {
        self.follow(ENDED);
    }

    pub(crate) fn followed(&self) -> u64 {
        self.followed.load(Ordering::Acquire)
    }

    pub(crate) fn usage_of(&self, upstream_id: &Arc<str>) -> Arc<Usage> {
        let mut usage = lock(&self.usage);
        if let Some(known) = usage.get(upstream_id) {
            return Arc::clone(known);
        }
        Arc::clone(usage.entry(Arc::clone(upstream_id)).or_default())
    }

    pub(crate) fn in_flight(&self, upstream_id: &str) -> usize {
        lock(&self.usage)
            .get(upstream_id)
            .map_or(0, |usage| usage.now())
    }

    pub(crate) fn tally_of(&self, service: &str) -> Arc<Tally> {
        let mut tallies = lock(&self.tallies);
        if let Some(known) = tallies.get(service) {
            return Arc::clone(known);
        }
        Arc::clone(tallies.entry(service.to_owned()).or_default())
    }

    /// Forgets an upstream unless something of the thread refers to it; answers whether it is forgotten.
    pub(crate) fn forget_usage(&self, upstream_id: &str) -> bool {
        forget(&mut lock(&self.usage), upstream_id)
    }

    /// Forgets what a service counted unless something of the thread refers to it; answers whether it is
    /// forgotten.
    pub(crate) fn forget_tally(&self, service: &str) -> bool {
        forget(&mut lock(&self.tallies), service)
    }

    /// Adds the upstreams that have something in flight; answers how much that is, over all of them.
    pub(crate) fn add_used(&self, used: &mut BTreeSet<String>) -> usize {
        let mut all = 0;
        for (id, usage) in lock(&self.usage).iter() {
            let now = usage.now();
            if now > 0 {
                all += now;
                used.insert(id.to_string());
            }
        }
        all
    }

    /// Says that every connection is asked to finish.
    pub(crate) fn set_finishing(&self) {
        self.is_finishing.store(true, Ordering::Release);
    }

    /// Whether nothing will be routed any more: every connection finishes and has a request, or the thread has ended.
    pub(crate) fn is_closed(&self, in_flight: usize) -> bool {
        let is_finishing = self.is_finishing.load(Ordering::Acquire);
        let open = self.open_connections.load(Ordering::Relaxed);
        self.followed() == ENDED || (is_finishing && open <= in_flight)
    }

    pub(crate) fn set_open_connections(&self, open: usize) {
        self.open_connections.store(open, Ordering::Relaxed);
    }

    pub(crate) fn accepted_connection(&self) {
        add(&self.accepted_connections, 1);
    }

    pub(crate) fn tls_handshake(&self, has_succeeded: bool) {
        add(
            match has_succeeded {
                true => &self.tls_handshakes,
                false => &self.failed_tls_handshakes,
            },
            1,
        );
    }

    pub(crate) fn refused_proxy_header(&self) {
        add(&self.refused_proxy_headers, 1);
    }

    pub(crate) fn dropped_log_records(&self, number: u64) {
        add(&self.dropped_log_records, number);
    }

    pub(crate) fn add_to(&self, counters: &mut Counters) {
        for (name, tally) in lock(&self.tallies).iter() {
            tally.add_to(counters.services.entry(name.clone()).or_default());
        }
        self.unrouted.add_to(&mut counters.unrouted);
        counters.open_connections += self.open_connections.load(Ordering::Relaxed);
        counters.accepted_connections += self.accepted_connections.load(Ordering::Relaxed);
        counters.tls_handshakes += self.tls_handshakes.load(Ordering::Relaxed);
        counters.failed_tls_handshakes += self.failed_tls_handshakes.load(Ordering::Relaxed);
        counters.refused_proxy_headers += self.refused_proxy_headers.load(Ordering::Relaxed);
        counters.dropped_log_records += self.dropped_log_records.load(Ordering::Relaxed);
    }
}

fn forget<K: Borrow<str> + Hash + Eq, T>(all: &mut HashMap<K, Arc<T>>, name: &str) -> bool {
    let is_used = all
        .get(name)
        .is_some_and(|counts| Arc::strong_count(counts) > 1);
    if !is_used {
        all.remove(name);
    }
    !is_used
}

/// A panic while one of these locks was held leaves a whole map behind: no step of ours is half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
