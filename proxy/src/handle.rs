//! The handle the rest of a program holds: swap the table, ask what is in flight, read the counters.
//!
//! # Why `in_flight == 0` can be believed
//!
//! A data thread routes a request and counts it on the chosen upstream in one go, with no await between,
//! and a retry routes again by the newest table. Each published table has an epoch. After a swap every
//! thread is woken, loads the new table and then writes its epoch down ([`Ledger::follow`]). From then on
//! all it routed by older tables is in its counts, and nothing will be routed by them again. For an
//! upstream that is not in the table, a thread which has not written down the present epoch is therefore
//! taken to have one request on it. When all have followed and all counts are 0, none is left nor can come.

use crate::access_log::{AccessLog, AccessLogOptions, Outlets};
use crate::certificate::Certificate;
use crate::certificates::Certificates;
use crate::counters::Counters;
use crate::gate::{AllInFlight, Crowd, Guards, Rates};
use crate::health::Healths;
use crate::ledger::Ledger;
use crate::ports::SharedPorts;
use crate::table::RouteTable;
use arc_swap::ArcSwap;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A table with what the threads need to follow it.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Counts tables, 0 for the empty one at the start.
    pub(crate) epoch: u64,
    /// The newest epoch, up to this one, whose table lacks an upstream the one before had.
    pub(crate) last_removal: u64,
    pub(crate) table: Arc<RouteTable>,
}

/// Answers to HTTP-01 challenges (RFC 8555 section 8.3): key authorizations by token.
pub type HttpChallenges = HashMap<String, String>;
/// Answers to TLS-ALPN-01 challenges (RFC 8737): certificates ([`Certificate::for_challenge`]) by host.
pub type TlsChallenges = HashMap<String, Arc<Certificate>>;

/// What the data threads are told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signal {
    pub(crate) epoch: u64,
    /// Counts upstreams that can be reached again.
    pub(crate) revived: u64,
    /// Counts changes of the ports that are open beside the listeners.
    pub(crate) ports: u64,
    /// Set once: stop accepting, and finish what is in flight.
    pub(crate) stop: Option<Stop>,
    /// Set once, after that: nothing else is waited for.
    pub(crate) is_last: bool,
}

/// How a thread stops. On listeners that stay open elsewhere it accepts until nothing else is waited for, too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stop {
    /// What is in flight may take this long.
    pub(crate) drain: Duration,
    /// A connection that waits for its next request is not closed before it has had one, or this is over.
    pub(crate) patience: Duration,
}

/// What the handle and the data threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) published: Arc<ArcSwap<Published>>,
    pub(crate) certificates: Arc<ArcSwap<Certificates>>,
    pub(crate) http_challenges: Arc<ArcSwap<HttpChallenges>>,
    /// Those that are in `certificates` beside what was given there; held while they are swapped.
    tls_challenges: Mutex<TlsChallenges>,
    pub(crate) ports: ArcSwap<SharedPorts>,
    pub(crate) signal: watch::Sender<Signal>,
    pub(crate) drained: watch::Sender<u64>,
    pub(crate) ledgers: Vec<Arc<Ledger>>,
    pub(crate) healths: Healths,
    /// Services whose figures are kept while no route leads to them.
    pub(crate) remembered: ArcSwap<HashSet<Box<str>>>,
    started: Instant,
    pub(crate) in_flight: AllInFlight,
    pub(crate) guards: Guards,
    /// Connections by client address, where those are limited.
    pub(crate) crowd: Option<Arc<Crowd>>,
    rates: OnceLock<Rates>,
    pub(crate) outlets: Outlets,
    swapping: Mutex<()>,
}

impl Shared {
    pub(crate) fn new(threads: usize, max_connections_per_address: Option<u32>) -> Shared {
        Shared {
            published: Arc::default(),
            certificates: Arc::default(),
            http_challenges: Arc::default(),
            tls_challenges: Mutex::default(),
            ports: ArcSwap::default(),
            signal: watch::Sender::default(),
            drained: watch::Sender::default(),
            ledgers: (0..threads).map(|_| Arc::default()).collect(),
            healths: Healths::default(),
            remembered: ArcSwap::default(),
            started: Instant::now(),
            in_flight: AllInFlight::default(),
            guards: Guards::default(),
            crowd: max_connections_per_address.map(|most| Arc::new(Crowd::new(most))),
            rates: OnceLock::new(),
            outlets: Outlets::default(),
            swapping: Mutex::default(),
        }
    }

    /// Milliseconds since the proxy was made: the clock of what is known of upstreams.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Tells all threads, and those that wait in them, that an upstream can be reached again.
    pub(crate) fn announce_revived(&self) {
        self.signal
            .send_modify(|signal| signal.revived = signal.revived.wrapping_add(1));
    }

    /// The table of rates, made when the first service limits one.
    pub(crate) fn rates(&self) -> &Rates {
        self.rates.get_or_init(Rates::new)
    }

    /// Tells whoever waits that an upstream which left the table may have become free.
    pub(crate) fn announce_drained(&self) {
        self.drained
            .send_modify(|times| *times = times.wrapping_add(1));
    }
}

/// Controls a running [`Proxy`](crate::Proxy). Cheap to clone; may outlive the proxy, and then does nothing.
#[derive(Clone, Debug)]
pub struct ProxyHandle {
    pub(crate) shared: Arc<Shared>,
}

impl ProxyHandle {
    /// Replaces the whole table in one swap: a request that is routed after this returns is routed by it.
    ///
    /// Requests in flight finish on the upstream they have. Idle connections to upstreams that are no
    /// longer in the table are closed by each thread as it follows. An equal table changes nothing. Connections are
    /// accepted from the first table on; until then they wait in the queue of their socket.
    ///
    /// What the new table has in common with the one in force is found here, by comparing them, so that the data
    /// threads only have to do with what changed. [`Self::update`] spares the comparison as well.
    pub fn set_table(&self, mut table: RouteTable) {
        let swapping = self.swapping();
        let old = self.shared.published.load_full();
        let is_equal = table.share_with(&old.table);
        // The first table always counts: it opens the doors.
        if old.epoch == 0 || !is_equal {
            self.publish(&swapping, &old, table);
        }
    }

    /// Changes the table in force, as [`Self::set_table`] does, at the cost of what is changed: some
    /// microseconds for one route, however many there are.
    pub fn update(&self, change: impl FnOnce(&mut RouteTable)) {
        let swapping = self.swapping();
        let old = self.shared.published.load_full();
        let mut table = RouteTable::clone(&old.table);
        change(&mut table);
        if old.epoch == 0 || !table.is_shared_with(&old.table) {
            self.publish(&swapping, &old, table);
        }
    }

    /// A panic inside `update`'s closure leaves the table in force as it was.
    pub(crate) fn swapping(&self) -> MutexGuard<'_, ()> {
        let swapping = self.shared.swapping.lock();
        swapping.unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, _swapping: &MutexGuard<'_, ()>, old: &Published, table: RouteTable) {
        let epoch = old.epoch + 1;
        let references = table.references();
        let last_removal = if references.lacks_id_of(old.table.references()) {
            epoch
        } else {
            old.last_removal
        };
        self.shared.published.store(Arc::new(Published {
            epoch,
            last_removal,
            table: Arc::new(table),
        }));
        self.shared
            .signal
            .send_modify(|signal| signal.epoch = epoch);
    }

    /// The table in force.
    pub fn table(&self) -> Arc<RouteTable> {
        Arc::clone(&self.shared.published.load().table)
    }

    /// Replaces all certificates in one swap: a handshake that begins after this returns sees the new ones.
    ///
    /// Connections that are open stay as they are. Set them before the first table, which opens the doors.
    pub fn set_certificates(&self, mut certificates: Certificates) {
        let challenges = self.tls_challenges();
        for (name, certificate) in challenges.iter() {
            certificates.answer_challenge(name, Arc::clone(certificate));
        }
        self.shared.certificates.store(Arc::new(certificates));
    }

    /// Shows these certificates to authorities that ask with `acme-tls/1`, in place of those set here earlier;
    /// what [`Self::set_certificates`] sets and has set stays.
    pub fn set_tls_challenges(&self, challenges: TlsChallenges) {
        let mut earlier = self.tls_challenges();
        let mut certificates = Certificates::clone(&self.shared.certificates.load());
        for name in earlier.keys() {
            certificates.end_challenge(name);
        }
        for (name, certificate) in &challenges {
            certificates.answer_challenge(name, Arc::clone(certificate));
        }
        *earlier = challenges;
        self.shared.certificates.store(Arc::new(certificates));
    }

    fn tls_challenges(&self) -> MutexGuard<'_, TlsChallenges> {
        let challenges = self.shared.tls_challenges.lock();
        challenges.unwrap_or_else(PoisonError::into_inner)
    }

    /// The certificates in force.
    pub fn certificates(&self) -> Arc<Certificates> {
        self.shared.certificates.load_full()
    }

    /// Answers `http://ANY-HOST/.well-known/acme-challenge/TOKEN` with the key authorization of the token,
    /// before any routing or redirect, on listeners without TLS; replaces all earlier ones.
    ///
    /// A token that is not among them is left to the app, which may have a client of its own.
    pub fn set_http_challenges(&self, challenges: HttpChallenges) {
        self.shared.http_challenges.store(Arc::new(challenges));
    }

    /// The answers to HTTP-01 challenges in force.
    pub fn http_challenges(&self) -> Arc<HttpChallenges> {
        self.shared.http_challenges.load_full()
    }

    /// Requests and upgraded connections now on an upstream, over all threads.
    ///
    /// For an upstream that is not in the table, 0 means that nothing uses it and nothing will: it may be
    /// stopped, as long as no later table brings it back. A data thread that has not yet followed the swap
    /// counts as one, so the figure may be above the truth for some microseconds after a swap, never below.
    /// For an upstream in the table the figure is a snapshot.
    pub fn in_flight(&self, upstream_id: &str) -> usize {
        let published = self.shared.published.load();
        let removed = !published.table.references().holds_id(upstream_id);
        let in_flight = |ledger: &Arc<Ledger>| {
            // The epoch first: what a thread routed before it wrote the epoch down is then in its counts.
            let behind = removed && ledger.followed() < published.epoch;
            ledger.in_flight(upstream_id) + usize::from(behind)
        };
        self.shared.ledgers.iter().map(in_flight).sum()
    }

    /// The upstreams that have a request or an upgraded connection now, or may still get one: those of the table
    /// too, until the proxy was told to stop and no client's connection waits for a request any more.
    ///
    /// For whoever stops upstreams while this proxy drains in another process.
    pub fn in_use(&self) -> BTreeSet<String> {
        let table = self.table();
        let mut in_use = BTreeSet::new();
        let mut is_closed = true;
        for ledger in &self.shared.ledgers {
            let in_flight = ledger.add_used(&mut in_use);
            is_closed &= ledger.is_closed(in_flight);
        }
        if !is_closed {
            in_use.extend(table.upstream_ids().into_iter().map(str::to_owned));
        }
        in_use
    }

    /// Resolves when connections are accepted: once the first table was set.
    pub async fn accepts(&self) {
        let mut signal = self.shared.signal.subscribe();
        // Its sender is in `shared`: it cannot close.
        let _ = signal.wait_for(|signal| signal.epoch > 0).await;
    }

    /// Changes whenever an upstream that left the table may have reached 0 in flight: look again.
    ///
    /// Wait with `changed()`; the value itself only counts. Call this before asking [`Self::in_flight`], so
    /// that a change between the two is not missed. It may signal more often than needed.
    pub fn drained(&self) -> watch::Receiver<u64> {
        self.shared.drained.subscribe()
    }

    /// Waits until [`Self::in_flight`] answers 0 for an upstream that has left the table.
    ///
    /// For ever if it is still in the table; cancelling leaves nothing behind.
    pub async fn wait_drained(&self, upstream_id: &str) {
        let mut drained = self.drained();
        while self.in_flight(upstream_id) > 0 || self.table_holds(upstream_id) {
            if drained.changed().await.is_err() {
                return;
            }
        }
    }

    /// Begins to record every request; see [`AccessLog`] for the records, and for how it ends.
    ///
    /// There is one reader: one that was there before is told that it is over.
    pub fn access_log(&self, options: AccessLogOptions) -> AccessLog {
        AccessLog::begin(&self.shared.outlets, options)
    }

    /// Keeps the figures of these services while no route leads to them, in place of those named here earlier: one that
    /// comes back goes on counting. Figures of others are forgotten with the next table that has none of their routes.
    pub fn remember(&self, services: impl IntoIterator<Item = impl Into<Box<str>>>) {
        let services = services.into_iter().map(Into::into).collect();
        self.shared.remembered.store(Arc::new(services));
    }

    /// What has been served so far.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        for ledger in &self.shared.ledgers {
            ledger.add_to(&mut counters);
        }
        counters
    }

    fn table_holds(&self, upstream_id: &str) -> bool {
        let published = self.shared.published.load();
        published.table.references().holds_id(upstream_id)
    }
}
