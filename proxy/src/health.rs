//! Whether an upstream is left out for a while, known to all data threads by one atomic.
//!
//! It is left out when it cannot be reached, or when it closed several new connections in a row without an
//! answer. What the app answers, be it 500, does not matter here. The time is 1 s at first and doubles each time
//! the request that tries it afterwards fails as well, up to 30 s. Answers over connections that were there
//! before say nothing: a process about to end goes on answering over those.

use crate::service::Upstream;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// New connections in a row that closed before an answer.
const MOST_CLOSED: u8 = 3;
const FIRST_MS: u64 = 1_000;
const LONGEST_MS: u64 = 30_000;

/// How an upstream stands. The default is: nothing is known against it. Times are milliseconds on one clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Condition {
    closed: u8,
    /// How often in a row it was left out; 0 while it is not.
    ejections: u8,
    /// It refused, or did not take, a connection.
    is_unreachable: bool,
    /// One request is trying it.
    is_on_trial: bool,
    /// When a request may try it.
    due_ms: u64,
}

impl Condition {
    fn is_out(self) -> bool {
        self.ejections > 0
    }

    fn after_unreachable(self, now_ms: u64) -> Condition {
        Condition {
            is_unreachable: true,
            ..self.after_failure(now_ms)
        }
    }

    fn after_closed(self, now_ms: u64) -> Condition {
        let closed = self.closed.saturating_add(1);
        if self.is_out() || closed >= MOST_CLOSED {
            return self.after_failure(now_ms);
        }
        Condition { closed, ..self }
    }

    fn after_failure(self, now_ms: u64) -> Condition {
        // Others that were on their way to it when it was left out, and say nothing new.
        if self.is_out() && !self.is_on_trial && now_ms < self.due_ms {
            return self;
        }
        let ejections = self.ejections.saturating_add(1);
        Condition {
            ejections,
            due_ms: now_ms.saturating_add(length_ms(ejections)),
            ..Condition::default()
        }
    }

    /// For the request that is to try it; nobody else until that is known or as much time has gone by again.
    fn on_trial(self, now_ms: u64) -> Option<Condition> {
        (self.is_out() && self.due_ms <= now_ms).then(|| Condition {
            is_on_trial: true,
            due_ms: now_ms.saturating_add(length_ms(self.ejections)),
            ..self
        })
    }

    /// Due for a trial at this time, unless it is back or being tried.
    fn due_at(self, due_ms: u64) -> Condition {
        if !self.is_out() || self.is_on_trial {
            return self;
        }
        Condition { due_ms, ..self }
    }

    fn pack(self) -> u64 {
        u64::from(self.closed)
            | u64::from(self.ejections) << 8
            | u64::from(self.is_unreachable) << 16
            | u64::from(self.is_on_trial) << 17
            | self.due_ms << 18
    }

    fn unpack(packed: u64) -> Condition {
        let byte = |shift: u32| u8::try_from(packed >> shift & 0xff).unwrap_or(u8::MAX);
        Condition {
            closed: byte(0),
            ejections: byte(8),
            is_unreachable: packed >> 16 & 1 == 1,
            is_on_trial: packed >> 17 & 1 == 1,
            due_ms: packed >> 18,
        }
    }
}

fn length_ms(ejections: u8) -> u64 {
    let doublings = ejections.saturating_sub(1).min(5);
    (FIRST_MS << doublings).min(LONGEST_MS)
}

/// The condition of one upstream, shared by the threads. Reading it costs a relaxed load.
#[derive(Debug, Default)]
pub(crate) struct Health {
    packed: AtomicU64,
    is_probed: AtomicBool,
}

impl Health {
    pub(crate) fn is_out(&self) -> bool {
        self.read().is_out()
    }

    /// Left out because it cannot be reached: worth asking now and then.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.read().is_unreachable
    }

    /// A new connection to it was answered.
    pub(crate) fn answered(&self) {
        if self.packed.load(Ordering::Relaxed) != 0 {
            self.packed.store(0, Ordering::Relaxed);
        }
    }

    /// It refused, or did not take, a connection. Answers whether it is left out from now on.
    pub(crate) fn unreachable(&self, now_ms: u64) -> bool {
        self.change(|condition| Some(condition.after_unreachable(now_ms)))
    }

    /// It closed a new connection before an answer. Answers whether it is left out from now on.
    pub(crate) fn closed(&self, now_ms: u64) -> bool {
        self.change(|condition| Some(condition.after_closed(now_ms)))
    }

    /// Whether it is up to the caller's request to try it.
    pub(crate) fn begin_trial(&self, now_ms: u64) -> bool {
        let on_trial = |packed| Some(Condition::unpack(packed).on_trial(now_ms)?.pack());
        let begun = self
            .packed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, on_trial);
        begun.is_ok()
    }

    /// Lets a request try it from this time on.
    pub(crate) fn due_at(&self, due_ms: u64) {
        self.change(|condition| Some(condition.due_at(due_ms)));
    }

    /// Whether the caller is to probe it; nobody else does until [`Health::end_probing`].
    pub(crate) fn begin_probing(&self) -> bool {
        !self.is_probed.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn end_probing(&self) {
        self.is_probed.store(false, Ordering::Relaxed);
    }

    fn read(&self) -> Condition {
        Condition::unpack(self.packed.load(Ordering::Relaxed))
    }

    /// Answers whether the upstream was in before and is out now.
    fn change(&self, change: impl Fn(Condition) -> Option<Condition>) -> bool {
        let packed = |packed| change(Condition::unpack(packed)).map(Condition::pack);
        let before = self
            .packed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, packed);
        before.is_ok_and(|before| {
            let before = Condition::unpack(before);
            let is_out = change(before).is_some_and(Condition::is_out);
            is_out && !before.is_out()
        })
    }
}

/// The health of all upstreams. Locked when a thread meets an upstream for the first time, never for a request.
#[derive(Debug, Default)]
pub(crate) struct Healths(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    all: HashMap<Upstream, Weak<Health>>,
    /// How many there may be before those nobody has any more are let go of.
    enough: usize,
}

impl Healths {
    pub(crate) fn of(&self, upstream: &Upstream) -> Arc<Health> {
        // A panic in here leaves a whole map behind.
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = book.all.get(upstream).and_then(Weak::upgrade) {
            return known;
        }
        if book.all.len() >= book.enough {
            book.all.retain(|_, health| health.strong_count() > 0);
            book.enough = book.all.len() * 2 + 16;
        }
        let health = Arc::new(Health::default());
        book.all.insert(upstream.clone(), Arc::downgrade(&health));
        health
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition, Health, Healths, LONGEST_MS, MOST_CLOSED, length_ms};
    use crate::service::Upstream;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use std::sync::Arc;

    #[test]
    fn one_refusal_leaves_it_out_and_one_answer_brings_it_back() {
        let health = Health::default();
        assert!(health.unreachable(10));
        assert!(health.is_out() && health.is_unreachable());
        assert!(!health.unreachable(20), "it is out already");
        health.answered();
        assert!(!health.is_out());
        assert!(health.unreachable(30));
    }

    #[test]
    fn it_may_close_a_few_times_but_not_several_in_a_row() {
        let health = Health::default();
        for _ in 0..10 {
            for _ in 1..MOST_CLOSED {
                assert!(!health.closed(0));
            }
            assert!(!health.is_out());
            health.answered();
        }
        for _ in 1..MOST_CLOSED {
            assert!(!health.closed(0));
        }
        assert!(health.closed(0));
        assert!(health.is_out() && !health.is_unreachable());
    }

    #[test]
    fn one_request_tries_it_when_it_is_due_and_a_failure_doubles_the_time() {
        let health = Health::default();
        health.unreachable(0);
        assert!(!health.begin_trial(999));
        let mut now_ms = 1_000;
        for length in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            assert!(health.begin_trial(now_ms));
            assert!(!health.begin_trial(now_ms), "one at a time");
            assert!(!health.begin_trial(now_ms + length - 1));
            assert!(!health.unreachable(now_ms), "it is not left out anew");
            let next = length_ms(health.read().ejections);
            assert!(!health.begin_trial(now_ms + next - 1));
            now_ms += next;
        }
        assert!(health.begin_trial(now_ms));
        health.answered();
        assert!(!health.is_out());
    }

    #[test]
    fn a_trial_that_came_to_nothing_is_followed_by_another() {
        let health = Health::default();
        health.unreachable(0);
        assert!(health.begin_trial(1_000));
        assert!(health.begin_trial(2_000));
    }

    #[test]
    fn a_probe_moves_the_trial_but_nothing_else() {
        let health = Health::default();
        health.due_at(5);
        assert!(!health.is_out() && !health.begin_trial(5));
        health.unreachable(0);
        health.due_at(5);
        assert!(!health.begin_trial(4));
        assert!(health.begin_trial(5));
    }

    #[test]
    fn threads_share_the_health_of_an_upstream_for_as_long_as_one_has_it() {
        let healths = Healths::default();
        let upstream = |id: usize| Upstream {
            id: id.to_string().into(),
            address: ([127, 0, 0, 1], 1).into(),
        };
        let kept = healths.of(&upstream(0));
        for id in 1..1_000 {
            healths.of(&upstream(id));
        }
        assert!(Arc::ptr_eq(&kept, &healths.of(&upstream(0))));
        assert!(healths.0.lock().unwrap().all.len() < 100);
    }

    proptest! {
        #[test]
        fn a_condition_fits_into_its_atomic(
            closed in any::<u8>(),
            ejections in any::<u8>(),
            is_unreachable in any::<bool>(),
            is_on_trial in any::<bool>(),
            due_ms in 0_u64..1 << 46,
        ) {
            let condition = Condition { closed, ejections, is_unreachable, is_on_trial, due_ms };
            prop_assert_eq!(Condition::unpack(condition.pack()), condition);
        }

        #[test]
        fn whatever_happens_it_is_due_within_the_longest_time(
            happens in proptest::collection::vec((0_u8..4, 0_u64..5_000), 0..50),
        ) {
            let health = Health::default();
            let mut now_ms = 0;
            for (what, passed_ms) in happens {
                now_ms += passed_ms;
                match what {
                    0 => { health.unreachable(now_ms); }
                    1 => { health.closed(now_ms); }
                    2 => { health.begin_trial(now_ms); }
                    _ => health.answered(),
                }
                prop_assert!(!health.is_out() || health.read().due_ms <= now_ms + LONGEST_MS);
            }
        }
    }
}
