//! How often a client may do something: rates, kept for all threads in one table of fixed size without a lock.
//!
//! The generic cell rate algorithm (ITU-T I.371, appendix A): of each client only the moment is kept at which all it
//! has taken will be used up. A table of 32,768 entries is shared by all services. An entry whose moment has passed
//! says nothing and is used again; if a set of 8 has none such, the one nearest to its moment gives way, whose client
//! then begins anew.

use super::network::party;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const WAYS: usize = 8;
const SETS: usize = 4096;
/// How often a claim lost to another thread is tried again before the client passes uncounted.
const TRIES: usize = 3;

/// So many in so much time, and how many at once after a pause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many; 0 counts as 1.
    pub count: u32,
    /// In which time.
    pub per: Duration,
    /// How many at once after a pause; 0 counts as 1.
    pub burst: u32,
}

/// A rate as it is kept: nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// What one takes.
    interval: u64,
    /// What may be taken ahead.
    ahead: u64,
}

impl Limit {
    pub(crate) fn new(rate: Rate) -> Limit {
        let per = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX);
        Limit::of(per / u64::from(rate.count.max(1)), rate.burst)
    }

    pub(crate) const fn of(interval: u64, burst: u32) -> Limit {
        let burst = if burst == 0 { 1 } else { burst as u64 };
        Limit {
            interval,
            ahead: interval.saturating_mul(burst),
        }
    }
}

/// What all clients have taken.
#[derive(Debug)]
pub(crate) struct Rates {
    slots: Box<[Slot]>,
    begun: Instant,
    /// Keyed anew with each start, so that nobody can choose addresses that share a set.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Slot {
    /// Whose it is; 0 is nobody's.
    tag: AtomicU64,
    /// When all that was taken is used up, nanoseconds since the table was made.
    used_up: AtomicU64,
}

impl Rates {
    pub(crate) fn new() -> Rates {
        Rates {
            slots: (0..SETS * WAYS).map(|_| Slot::default()).collect(),
            begun: Instant::now(),
            hasher: RandomState::new(),
        }
    }

    /// Takes one for a client; answers how long to wait if there is none left. `place` keeps services apart.
    pub(crate) fn take(
        &self,
        place: (&str, &str),
        client: IpAddr,
        limit: &Limit,
    ) -> Result<(), Duration> {
        self.take_at(self.key(place, client), limit, self.now())
    }

    /// The same, without taking it.
    pub(crate) fn left(
        &self,
        place: (&str, &str),
        client: IpAddr,
        limit: &Limit,
    ) -> Result<(), Duration> {
        let (tag, now) = (self.key(place, client), self.now());
        let known = self
            .set(tag)
            .iter()
            .find(|slot| slot.tag.load(Ordering::Relaxed) == tag);
        match known {
            Some(slot) => after(slot.used_up.load(Ordering::Relaxed), limit, now).map(drop),
            None => Ok(()),
        }
    }

    fn take_at(&self, tag: u64, limit: &Limit, now: u64) -> Result<(), Duration> {
        let Some(slot) = (0..TRIES).find_map(|_| self.claim(tag, now)) else {
            return Ok(());
        };
        let mut before = slot.used_up.load(Ordering::Relaxed);
        loop {
            let then = after(before, limit, now)?;
            let exchanged = slot.used_up.compare_exchange_weak(
                before,
                then,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match exchanged {
                Ok(_) => return Ok(()),
                Err(changed) => before = changed,
            }
        }
    }

    /// The entry of a client; `None` if another thread was quicker to have the one it would get.
    fn claim(&self, tag: u64, now: u64) -> Option<&Slot> {
        let set = self.set(tag);
        if let Some(known) = set
            .iter()
            .find(|slot| slot.tag.load(Ordering::Relaxed) == tag)
        {
            return Some(known);
        }
        let oldest = set
            .iter()
            .min_by_key(|slot| slot.used_up.load(Ordering::Relaxed))?;
        let owner = oldest.tag.load(Ordering::Relaxed);
        oldest
            .tag
            .compare_exchange(owner, tag, Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
        oldest.used_up.store(now, Ordering::Relaxed);
        Some(oldest)
    }

    fn set(&self, tag: u64) -> &[Slot] {
        let first = (tag >> 32) as usize % SETS * WAYS;
        self.slots.get(first..first + WAYS).unwrap_or_default()
    }

    fn key(&self, place: (&str, &str), client: IpAddr) -> u64 {
        self.hasher.hash_one((place, party(client))).max(1)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The moment after one more was taken, or how long to wait until one may be.
fn after(used_up: u64, limit: &Limit, now: u64) -> Result<u64, Duration> {
    let then = used_up.max(now).saturating_add(limit.interval);
    match (then - now).checked_sub(limit.ahead) {
        None | Some(0) => Ok(then),
        Some(too_much) => Err(Duration::from_nanos(too_much)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Limit, Rate, Rates, SETS, WAYS};
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn limit(count: u32, burst: u32) -> Limit {
        Limit::new(Rate {
            count,
            per: Duration::from_secs(1),
            burst,
        })
    }

    #[test]
    fn a_burst_passes_and_then_one_after_the_other() {
        let (rates, limit) = (Rates::new(), limit(10, 3));
        for _ in 0..3 {
            assert_eq!(rates.take_at(7, &limit, SECOND), Ok(()));
        }
        let wait = Duration::from_millis(100);
        assert_eq!(rates.take_at(7, &limit, SECOND), Err(wait));
        // What is refused takes nothing.
        assert_eq!(rates.take_at(7, &limit, SECOND), Err(wait));
        assert_eq!(rates.take_at(8, &limit, SECOND), Ok(()));
        let later = SECOND + SECOND / 10;
        assert_eq!(rates.take_at(7, &limit, later), Ok(()));
        assert_eq!(rates.take_at(7, &limit, later), Err(wait));
        let after_a_pause = 10 * SECOND;
        let passed = (0..9).filter(|_| rates.take_at(7, &limit, after_a_pause).is_ok());
        assert_eq!(passed.count(), 3);
    }

    #[test]
    fn the_table_keeps_its_size_and_forgets_who_has_taken_least() {
        let (rates, limit) = (Rates::new(), limit(1, 4));
        let tag = |number: u64| (5 << 32) | (number + 1);
        for _ in 0..4 {
            let _ = rates.take_at(tag(0), &limit, SECOND);
        }
        for number in 1..1000 {
            assert_eq!(rates.take_at(tag(number), &limit, SECOND), Ok(()));
        }
        assert_eq!(rates.slots.len(), SETS * WAYS);
        assert!(rates.take_at(tag(0), &limit, SECOND).is_err());
    }

    #[test]
    fn threads_that_take_at_once_take_no_more_than_there_is() {
        let (rates, limit) = (Rates::new(), limit(1, 100));
        rates.take_at(7, &limit, SECOND).unwrap();
        let passed: usize = std::thread::scope(|scope| {
            let take = || (0..1000).filter(|_| rates.take_at(7, &limit, SECOND).is_ok());
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(move || take().count()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(passed, 99);
    }

    #[test]
    fn clients_and_services_are_kept_apart_and_half_an_ipv6_address_is_a_client() {
        let (rates, limit) = (Rates::new(), limit(1, 1));
        let take = |service: &str, ip: &str| {
            rates
                .take((service, "rate"), ip.parse().unwrap(), &limit)
                .is_ok()
        };
        assert!(take("a", "192.0.2.1"));
        assert!(!take("a", "192.0.2.1"));
        assert!(take("a", "192.0.2.2"));
        assert!(take("b", "192.0.2.1"));
        assert!(take("a", "2001:db8::1"));
        assert!(!take("a", "2001:db8::ffff:1"));
        assert!(take("a", "2001:db8:0:1::1"));
    }
}
