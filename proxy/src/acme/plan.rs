//! What to do now: a pure function of what is wanted, what is there, how it went so far, and the time.

use super::name::CertName;
use super::renewal::renew_at;
use super::world::{Advice, Held, Origin, Window, World};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

/// A wildcard that is in the last tenth of its life and cannot be renewed carries its names no longer.
const LAST_PART: u32 = 10;

/// So often the orders for a wildcard that many share fail before its names are ordered one by one: an hour and a half after
/// the first where the authority refuses, see [`next_try`](super::next_try).
const SHARED_FAILURES: u32 = 5;

/// How much is done at once and within a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Orders and questions under way at the same time.
    pub at_once: usize,
    /// Orders placed within [`Limits::order_window`].
    pub orders: usize,
    /// The time the orders are counted over.
    pub order_window: Duration,
    /// Whether wildcards can be proved, by DNS-01.
    pub wildcards: bool,
}

impl Default for Limits {
    /// Four at once; 250 orders in three hours, where Let's Encrypt takes 300 from one account
    /// (letsencrypt.org/docs/rate-limits); no wildcards.
    fn default() -> Limits {
        Limits {
            at_once: 4,
            orders: 250,
            order_window: Duration::from_secs(3 * 60 * 60),
            wildcards: false,
        }
    }
}

/// Something to do now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Work {
    /// Order a certificate for a name, the first or the next.
    Order {
        /// The name.
        name: CertName,
        /// What the authority knows the certificate by that this one takes the place of.
        replaces: Option<String>,
    },
    /// Ask the authority when a certificate should be renewed.
    Ask {
        /// The name it was ordered for.
        name: CertName,
        /// What the authority knows it by.
        id: String,
        /// What it said last.
        known: Option<Window>,
    },
}

impl Work {
    /// The name it is about. Nothing else is done about a name meanwhile.
    pub fn name(&self) -> &CertName {
        match self {
            Work::Order { name, .. } | Work::Ask { name, .. } => name,
        }
    }
}

/// What to do now, and when to look again.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Plan {
    /// To be begun now, all at once.
    pub work: Vec<Work>,
    /// When something will be due if nothing changes before; `None` when nothing ever will.
    pub look_again: Option<SystemTime>,
}

/// Decides what to do now. `busy` are the names about which something is being done.
///
/// Each name gets a certificate of its own, so that a name that fails holds back no other; the exception
/// are names below a wildcard that is wanted, which carries them as long as it can be had.
pub fn plan(world: &World, busy: &HashSet<CertName>, limits: &Limits, now: SystemTime) -> Plan {
    let view = View::new(world, limits, now);
    let mut plan = Plan::default();
    let mut orders = Vec::new();
    for name in &world.wanted {
        if let Some(due) = view.due(name) {
            match due.at <= now {
                true if !busy.contains(name) => orders.push((due, name)),
                true => {}
                false => plan.look_again_by(due.at),
            }
        }
    }
    // Names that have not failed yet come before those that have, and who waits longest before others.
    orders.sort_by_key(|(due, _)| (due.failures, due.at));
    let mut places = limits.at_once.saturating_sub(busy.len());
    let recent = world
        .orders
        .iter()
        .filter(|placed| **placed + limits.order_window > now);
    let allowed = limits.orders.saturating_sub(recent.clone().count());
    if orders.len() > allowed
        && let Some(oldest) = recent.min()
    {
        plan.look_again_by(*oldest + limits.order_window);
    }
    for (due, name) in orders.into_iter().take(allowed.min(places)) {
        places -= 1;
        plan.work.push(Work::Order {
            name: name.clone(),
            replaces: due.replaces,
        });
    }
    for (name, id, advice) in view.questions() {
        let at = advice.map_or(now, |advice| advice.ask_again);
        let idle = !busy.contains(name) && !plan.work.iter().any(|work| work.name() == name);
        if at > now {
            plan.look_again_by(at);
        } else if idle && places > 0 {
            places -= 1;
            plan.work.push(Work::Ask {
                name: name.clone(),
                id: id.to_owned(),
                known: advice.and_then(|advice| advice.window),
            });
        }
    }
    plan
}

impl Plan {
    fn look_again_by(&mut self, at: SystemTime) {
        self.look_again = Some(self.look_again.map_or(at, |earlier| earlier.min(at)));
    }
}

/// When an order for a name is due.
struct Due {
    failures: u32,
    at: SystemTime,
    replaces: Option<String>,
}

/// A world, with what is there found by name.
struct View<'a> {
    world: &'a World,
    limits: &'a Limits,
    now: SystemTime,
    wanted: HashSet<&'a str>,
    held: HashMap<&'a str, Vec<&'a Held>>,
}

impl<'a> View<'a> {
    fn new(world: &'a World, limits: &'a Limits, now: SystemTime) -> View<'a> {
        let mut held: HashMap<&str, Vec<&Held>> = HashMap::new();
        for certificate in &world.held {
            for name in &certificate.names {
                held.entry(name.as_str()).or_default().push(certificate);
            }
        }
        View {
            world,
            limits,
            now,
            wanted: world.wanted.iter().map(CertName::as_str).collect(),
            held,
        }
    }

    /// When a certificate for a name is to be ordered; `None` when it is not, as far as can be foreseen.
    fn due(&self, name: &CertName) -> Option<Due> {
        if name.is_wildcard() && !self.limits.wildcards {
            return None;
        }
        let above = wildcard_above(name).filter(|_| !self.world.alone.contains(name));
        let carried = above.as_deref().is_some_and(|above| self.carries(above));
        let given = self
            .serving(name, above.as_deref())
            .filter(|held| held.origin == Origin::Given)
            .map(|held| held.not_after);
        let ours = self
            .serving(name, above.as_deref())
            .filter_map(|held| Some((renew_at(held)?, held)))
            .max_by_key(|(at, _)| *at);
        if carried {
            // While the wildcard holds, nothing is due; when it may stop to, the plan is made again anyway.
            return None;
        }
        let tries = self.world.tries.get(name);
        let renewal = ours.map(|(at, _)| at);
        let next_try = tries.map(|tries| tries.next_try);
        let claim = self.world.claims.get(name).copied();
        let at = [given.max(), renewal, next_try, claim];
        Some(Due {
            failures: tries.map_or(0, |tries| tries.failures),
            at: at.into_iter().flatten().max().unwrap_or(self.now),
            replaces: ours.and_then(|(_, held)| match &held.origin {
                Origin::Ordered { id, .. } if held.names.contains(name) => id.clone(),
                Origin::Ordered { .. } | Origin::Given => None,
            }),
        })
    }

    /// The certificates that serve a name now.
    fn serving(&self, name: &CertName, above: Option<&str>) -> impl Iterator<Item = &'a Held> {
        let of = |name: &str| self.held.get(name).into_iter().flatten().copied();
        let all = of(name.as_str()).chain(above.map(of).into_iter().flatten());
        let now = self.now;
        all.filter(move |held| now < held.not_after)
    }

    /// Whether a wildcard is wanted and either there, with time left, or at least not given up yet.
    fn carries(&self, wildcard: &str) -> bool {
        if !self.limits.wildcards || !self.wanted.contains(wildcard) {
            return false;
        }
        let mut held = self.held.get(wildcard).into_iter().flatten();
        let safe = held.any(|held| self.now + held.life() / LAST_PART < held.not_after);
        let parsed: Option<CertName> = wildcard.parse().ok();
        let given_up = parsed.is_some_and(|wildcard| {
            let patience = match self.world.shared.contains(&wildcard) {
                true => SHARED_FAILURES,
                false => 1,
            };
            let tries = self.world.tries.get(&wildcard);
            tries.is_some_and(|tries| tries.failures >= patience)
        });
        safe || !given_up
    }

    /// Our certificates the authority is to be asked about, with what it said last.
    fn questions(&self) -> impl Iterator<Item = (&'a CertName, &'a str, Option<Advice>)> {
        self.world.held.iter().filter_map(|held| {
            let Origin::Ordered {
                id: Some(id),
                advice,
            } = &held.origin
            else {
                return None;
            };
            let name = held.names.first()?;
            let in_use = self.wanted.contains(name.as_str()) && self.now < held.not_after;
            in_use.then_some((name, id.as_str(), *advice))
        })
    }
}

/// The wildcard that would cover a name.
fn wildcard_above(name: &CertName) -> Option<String> {
    let (_, above) = name.as_str().split_once('.')?;
    (!name.is_wildcard()).then(|| format!("*.{above}"))
}

#[cfg(test)]
mod tests;
