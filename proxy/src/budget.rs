//! How often requests may be repeated: a share of all, so that repeats do not multiply what an outage is made of.
//!
//! Only what may have cost an upstream something counts: a request that was sent and got no answer. One that
//! could not be sent is not repeated, it is sent.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one repeat costs.
const REPEAT: u64 = 100;
/// What one answered request adds: a repeat for five.
const PER_REQUEST: u64 = 20;
/// In how many milliseconds time adds one: five repeats a second, or a quiet service could not repeat anything.
const MS_EACH: u64 = 2;
/// At most a thousand repeats at once: so many requests may be under way on a process that is killed.
const MOST: u64 = 1_000 * REPEAT;
const FIRST: u64 = 100 * REPEAT;

/// What one thread has left for one service. Written by that thread alone.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicU64,
    /// Up to where answered requests and time have been added.
    requests: AtomicU64,
    at_ms: AtomicU64,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            left: AtomicU64::new(FIRST),
            requests: AtomicU64::default(),
            at_ms: AtomicU64::default(),
        }
    }
}

impl Budget {
    /// Whether a request may be repeated, after so many were answered and at this time; it is paid for then.
    pub(crate) fn spend(&self, requests: u64, now_ms: u64) -> bool {
        let more_requests =
            requests.saturating_sub(self.requests.swap(requests, Ordering::Relaxed));
        let more_ms = now_ms.saturating_sub(self.at_ms.swap(now_ms, Ordering::Relaxed));
        let left = self.left.load(Ordering::Relaxed);
        let more = more_requests.saturating_mul(PER_REQUEST) + more_ms / MS_EACH;
        let left = left.saturating_add(more).min(MOST);
        let after = left.checked_sub(REPEAT);
        self.left.store(after.unwrap_or(left), Ordering::Relaxed);
        after.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, FIRST, MOST, MS_EACH, PER_REQUEST, REPEAT};
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn a_process_that_is_killed_costs_what_was_under_way_on_it() {
        let budget = Budget::default();
        assert!(budget.spend(10_000, 0), "a busy service");
        let more = (1..2_000).filter(|_| budget.spend(10_000, 0)).count();
        assert_eq!(more as u64, MOST / REPEAT - 1);
    }

    proptest! {
        #[test]
        fn repeats_stay_a_fifth_of_the_answers_and_five_a_second(
            steps in proptest::collection::vec((0_u64..50, 0_u64..100), 0..300),
        ) {
            let budget = Budget::default();
            let (mut requests, mut now_ms, mut repeats) = (0, 0, 0);
            for (more_requests, more_ms) in steps {
                requests += more_requests;
                now_ms += more_ms;
                repeats += u64::from(budget.spend(requests, now_ms));
            }
            prop_assert!(repeats * REPEAT <= FIRST + requests * PER_REQUEST + now_ms / MS_EACH);
        }
    }
}
