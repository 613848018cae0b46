//! How many connections each client address has open, over all threads, in one table of fixed size without a lock.
//!
//! An entry is one word, tag and count together, so that it changes hands in one step. If a set of 8 is taken by other
//! addresses with open connections, one more passes uncounted: the limit is care, not accounting.

use super::network::party;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const WAYS: usize = 8;
const SETS: usize = 4096;
const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// The open connections of all clients.
#[derive(Debug)]
pub(crate) struct Crowd {
    slots: Box<[AtomicU64]>,
    most: u64,
    hasher: RandomState,
}

/// One connection, counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct Visit(Option<(Arc<Crowd>, usize)>);

impl Crowd {
    /// A table that lets each address have `most` connections.
    pub(crate) fn new(most: u32) -> Crowd {
        Crowd {
            slots: (0..SETS * WAYS).map(|_| AtomicU64::new(0)).collect(),
            most: u64::from(most).min(COUNT - 1),
            hasher: RandomState::new(),
        }
    }

    /// Counts one more connection of an address; `None` if it has its most.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Visit> {
        let hash = self.hasher.hash_one(party(address));
        let tag = hash >> COUNT_BITS;
        let first = hash as usize % SETS * WAYS;
        let set = self.slots.get(first..first + WAYS).unwrap_or_default();
        loop {
            let known = |slot: &AtomicU64| {
                let word = slot.load(Ordering::Relaxed);
                (word >> COUNT_BITS == tag && word & COUNT > 0).then_some(word)
            };
            let free = |slot: &AtomicU64| {
                let word = slot.load(Ordering::Relaxed);
                (word & COUNT == 0).then_some(word)
            };
            let found = set.iter().position(|slot| known(slot).is_some());
            let Some(at) = found.or_else(|| set.iter().position(|slot| free(slot).is_some()))
            else {
                return Some(Visit(None));
            };
            let slot = set.get(at)?;
            let (word, next) = match (known(slot), free(slot)) {
                (Some(word), _) if word & COUNT >= self.most => return None,
                (Some(word), _) => (word, word + 1),
                (None, Some(word)) => (word, (tag << COUNT_BITS) | 1),
                // Another thread has changed it meanwhile.
                (None, None) => continue,
            };
            let exchanged = slot.compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed);
            if exchanged.is_ok() {
                return Some(Visit(Some((Arc::clone(self), first + at))));
            }
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some((crowd, at)) = &self.0
            && let Some(slot) = crowd.slots.get(*at)
        {
            slot.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Crowd;
    use std::sync::Arc;

    #[test]
    fn an_address_has_so_many_connections_and_a_closed_one_makes_room() {
        let crowd = Arc::new(Crowd::new(2));
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = crowd.enter(one).unwrap();
        let _second = crowd.enter(one).unwrap();
        assert!(crowd.enter(one).is_none());
        let _others = crowd.enter(other).unwrap();
        drop(first);
        let again = crowd.enter(one).unwrap();
        assert!(crowd.enter(one).is_none());
        drop(again);
    }

    #[test]
    fn threads_that_enter_at_once_enter_no_more_than_allowed() {
        let crowd = Arc::new(Crowd::new(10));
        let address = "192.0.2.1".parse().unwrap();
        let held = crowd.enter(address).unwrap();
        let visits: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let enter = || (0..100).filter_map(|_| crowd.enter(address)).collect();
                    scope.spawn(enter)
                })
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect::<Vec<Vec<_>>>()
        });
        assert_eq!(visits.iter().map(Vec::len).sum::<usize>(), 9);
        drop((held, visits));
        assert_eq!((0..20).filter_map(|_| crowd.enter(address)).count(), 20);
    }
}
