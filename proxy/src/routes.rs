//! One thread's view of the table: services it has met, with this thread's connections and counts.

use crate::choice::{Standing, choose, two_of};
use crate::counters::Tally;
use crate::gate::Gate;
use crate::handle::{Published, Shared};
use crate::host::{Host, routing_name};
use crate::ledger::Ledger;
use crate::pool::{IdleClock, InUse, LocalUpstream};
use crate::settings::ProxySettings;
use crate::stamps::Random;
use crate::table::{Service, Upstream};
use arc_swap::{ArcSwap, Cache};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A service as one thread sees it.
#[derive(Debug)]
pub(crate) struct LocalService {
    pub(crate) service: Arc<Service>,
    pub(crate) tally: Arc<Tally>,
    /// What a request must pass first; `None` for most services.
    pub(crate) gate: Option<Gate>,
    pub(crate) connect_timeout: Duration,
    pub(crate) first_byte_timeout: Duration,
    upstreams: Box<[Rc<LocalUpstream>]>,
}

/// What a request is to keep away from.
#[derive(Debug, Default)]
pub(crate) struct Avoided {
    /// Upstreams that failed it: not again.
    pub(crate) tried: Vec<Upstream>,
    /// One that lost it, perhaps only because a connection had grown old: rather another. Boxed, for a request has
    /// a place for it and nearly none needs it.
    pub(crate) lost: Option<Box<Upstream>>,
}

impl Avoided {
    fn is_empty(&self) -> bool {
        self.tried.is_empty() && self.lost.is_none()
    }
}

/// An upstream for a request, which it counts as in use.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) in_use: InUse,
    /// The request tries an upstream that had been left out.
    pub(crate) is_trial: bool,
}

impl LocalService {
    /// Takes the less loaded of two upstreams drawn at random; `None` when none is left.
    ///
    /// Those that are left out for a while are taken when one is due for a trial, and when there is no other.
    pub(crate) fn pick(&self, avoided: &Avoided, random: &Random) -> Option<Picked> {
        let in_use = |chosen| Picked {
            in_use: InUse::begin(chosen),
            is_trial: false,
        };
        match &*self.upstreams {
            [] => None,
            [only] if avoided.is_empty() => Some(in_use(only)),
            many if avoided.is_empty() => {
                let (first, second) = two_of(many.len(), random);
                let (first, second) = (many.get(first)?, many.get(second)?);
                if first.health.is_out() || second.health.is_out() {
                    self.pick_carefully(avoided, random)
                } else if second.load() < first.load() {
                    Some(in_use(second))
                } else {
                    Some(in_use(first))
                }
            }
            _ => self.pick_carefully(avoided, random),
        }
    }

    fn pick_carefully(&self, avoided: &Avoided, random: &Random) -> Option<Picked> {
        // A request that has failed once is not made to try anything.
        if avoided.is_empty() {
            let out = |upstream: &&Rc<LocalUpstream>| upstream.health.is_out();
            let mut all = self.upstreams.iter().filter(out);
            if let Some(due) = all.find(|upstream| upstream.health.begin_trial(upstream.now_ms())) {
                return Some(Picked {
                    in_use: InUse::begin(due),
                    is_trial: true,
                });
            }
        }
        let standing = |candidate: &Rc<LocalUpstream>| {
            let upstream = &candidate.upstream;
            let is_out = candidate.health.is_out();
            let is_lost = avoided.lost.as_deref() == Some(upstream);
            (!avoided.tried.contains(upstream)).then(|| Standing {
                rank: u8::from(is_out) * 2 + u8::from(is_lost),
                load: candidate.load(),
            })
        };
        choose(&self.upstreams, standing, random).map(|chosen| Picked {
            in_use: InUse::begin(chosen),
            is_trial: false,
        })
    }
}

/// Why no service was found for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unrouted {
    /// The text is no host name.
    Malformed,
    /// No route for this host.
    Unknown,
}

/// The table as one thread has met it so far.
#[derive(Debug)]
pub(crate) struct Routes {
    published: RefCell<Cache<Arc<ArcSwap<Published>>, Arc<Published>>>,
    met: RefCell<Met>,
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    clock: Rc<IdleClock>,
    settings: Arc<ProxySettings>,
}

#[derive(Debug, Default)]
struct Met {
    epoch: u64,
    services: HashMap<Host, Rc<LocalService>>,
    upstreams: HashMap<Upstream, Rc<LocalUpstream>>,
}

impl Routes {
    pub(crate) fn new(
        shared: Arc<Shared>,
        ledger: Arc<Ledger>,
        settings: Arc<ProxySettings>,
    ) -> Routes {
        Routes {
            published: RefCell::new(Cache::new(Arc::clone(&shared.published))),
            met: RefCell::default(),
            shared,
            ledger,
            clock: Rc::default(),
            settings,
        }
    }

    /// The clock that idle connections of this thread are dated by.
    pub(crate) fn clock(&self) -> &Rc<IdleClock> {
        &self.clock
    }

    /// The service for a `Host` header or an authority, by the newest table.
    ///
    /// To be followed by [`LocalService::pick`] without an await between: see [`crate::handle`].
    pub(crate) fn route(&self, host: &str) -> Result<Rc<LocalService>, Unrouted> {
        let mut published = self.published.borrow_mut();
        let published = published.load();
        let mut met = self.met.borrow_mut();
        if met.epoch != published.epoch {
            met.services.clear();
            met.epoch = published.epoch;
        }
        let name = routing_name(host).ok_or(Unrouted::Malformed)?;
        if let Some(known) = met.services.get(name.as_ref()) {
            return Ok(Rc::clone(known));
        }
        let (host, service) = published.table.find(&name).ok_or(Unrouted::Unknown)?;
        let policy = &service.policy;
        let local = Rc::new(LocalService {
            service: Arc::clone(service),
            tally: self.ledger.tally_of(&service.name),
            gate: Gate::of(service),
            connect_timeout: policy
                .connect_timeout
                .unwrap_or(self.settings.connect_timeout),
            first_byte_timeout: policy
                .first_byte_timeout
                .unwrap_or(self.settings.first_byte_timeout),
            upstreams: service
                .upstreams
                .iter()
                .map(|upstream| self.meet(&mut met, upstream))
                .collect(),
        });
        met.services.insert(host.clone(), Rc::clone(&local));
        Ok(local)
    }

    fn meet(&self, met: &mut Met, upstream: &Upstream) -> Rc<LocalUpstream> {
        if let Some(known) = met.upstreams.get(upstream) {
            return Rc::clone(known);
        }
        let usage = self.ledger.usage_of(&upstream.id);
        let local = LocalUpstream::new(
            upstream.clone(),
            usage,
            Arc::clone(&self.shared),
            Rc::clone(&self.clock),
            self.settings.max_idle_per_upstream,
        );
        let local = Rc::new(local);
        met.upstreams.insert(upstream.clone(), Rc::clone(&local));
        local
    }

    /// Takes note of the newest table: lets go of upstreams that left it, then says so in the ledger.
    pub(crate) fn follow(&self) {
        let mut published = self.published.borrow_mut();
        let published = published.load();
        let mut met = self.met.borrow_mut();
        met.services.clear();
        met.epoch = published.epoch;
        met.upstreams.retain(|upstream, local| {
            let stays = published.holds(upstream);
            if !stays {
                local.retire();
            }
            stays
        });
        let before = self.ledger.followed();
        self.ledger.follow(published.epoch);
        if published.last_removal > before {
            self.shared.announce_drained();
            let services = published
                .table
                .iter()
                .map(|(_, service)| service.name.as_str());
            let names: std::collections::HashSet<&str> = services.collect();
            self.ledger.forget_unused(|name| names.contains(name));
        }
    }

    /// Closes connections that have been idle for too long; answers whether any are left.
    pub(crate) fn close_idle(&self, max_age: u32) -> bool {
        let mut any = false;
        for upstream in self.met.borrow().upstreams.values() {
            any |= upstream.close_idle(max_age);
        }
        any
    }
}
