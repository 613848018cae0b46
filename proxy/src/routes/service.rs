//! A service as one thread sees it, and which of its upstreams a request gets.

use crate::choice::{Standing, choose, two_of};
use crate::counters::Tally;
use crate::gate::Gate;
use crate::pool::{InUse, LocalUpstream};
use crate::service::{Service, Upstream};
use crate::stamps::Random;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A service as one thread sees it, behind all its routes.
#[derive(Debug)]
pub(crate) struct LocalService {
    pub(crate) service: Arc<Service>,
    pub(crate) tally: Arc<Tally>,
    /// What a request must pass first; `None` for most services.
    pub(crate) gate: Option<Rc<Gate>>,
    pub(crate) connect_timeout: Duration,
    pub(crate) first_byte_timeout: Duration,
    pub(super) upstreams: Box<[Rc<LocalUpstream>]>,
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
