//! How slowly a client may send the body of a request.
//!
//! A slow one costs its app a worker and us a connection for as long as it lasts. As Apache's `mod_reqtimeout` has it
//! (`RequestReadTimeout body=20,MinRate=500`): there is some time at the beginning, and each byte earns a little more.
//! Unlike there, more than at the beginning cannot be earned, so that a fast half does not pay for a slow one of hours;
//! and only the time counts in which the upstream would have taken more.

use crate::deadline::Deadline;
use std::num::NonZeroU64;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The time a client has left: pure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Allowance {
    bytes_per_second: NonZeroU64,
    most: Duration,
    left: Duration,
}

impl Allowance {
    fn new(bytes_per_second: NonZeroU64, most: Duration) -> Allowance {
        Allowance {
            bytes_per_second,
            most,
            left: most,
        }
    }

    /// After so much waiting these bytes came.
    fn received(&mut self, waited: Duration, bytes: usize) {
        let nanos = (bytes as u64).saturating_mul(1_000_000_000);
        let earned = Duration::from_nanos(nanos / self.bytes_per_second);
        self.left = self.left.saturating_sub(waited).saturating_add(earned);
        self.left = self.left.min(self.most);
    }
}

/// The pace of one body, as it comes.
#[derive(Debug)]
pub(crate) struct Pace {
    allowance: Allowance,
    /// Since when the client is waited for, if it is.
    waiting: Option<Instant>,
    deadline: Deadline,
}

impl Pace {
    /// `most` is the time at the beginning, and the most there ever is.
    pub(crate) fn new(bytes_per_second: NonZeroU64, most: Duration) -> Pace {
        Pace {
            allowance: Allowance::new(bytes_per_second, most),
            waiting: None,
            deadline: Deadline::never(),
        }
    }

    /// Something came.
    pub(crate) fn received(&mut self, bytes: usize) {
        if let Some(since) = self.waiting.take() {
            self.allowance.received(since.elapsed(), bytes);
            self.deadline.lift();
        } else {
            self.allowance.received(Duration::ZERO, bytes);
        }
    }

    /// Nothing has come yet; ready when the client has used up its time.
    pub(crate) fn poll_too_slow(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.waiting.is_none() {
            self.waiting = Some(Instant::now());
            self.deadline.set_after(self.allowance.left);
        }
        self.deadline.poll_over(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::Allowance;
    use proptest::prelude::{prop_assert, proptest};
    use std::num::NonZeroU64;
    use std::time::Duration;

    const GRACE: Duration = Duration::from_secs(20);
    const RATE: NonZeroU64 = NonZeroU64::new(500).unwrap();

    fn left_after(events: &[(u64, usize)]) -> Duration {
        let mut allowance = Allowance::new(RATE, GRACE);
        for (waited_ms, bytes) in events {
            allowance.received(Duration::from_millis(*waited_ms), *bytes);
        }
        allowance.left
    }

    #[test]
    fn waiting_costs_and_bytes_earn_but_never_more_than_there_was_at_first() {
        assert_eq!(left_after(&[]), GRACE);
        assert_eq!(left_after(&[(5_000, 0)]), Duration::from_secs(15));
        assert_eq!(left_after(&[(5_000, 500)]), Duration::from_secs(16));
        assert_eq!(left_after(&[(5_000, 1_000_000)]), GRACE);
        assert_eq!(left_after(&[(25_000, 1_000)]), Duration::from_secs(2));
    }

    proptest! {
        #[test]
        fn who_keeps_the_rate_is_never_cut_and_who_stays_below_it_is(bytes in 1_usize..5_000) {
            // 500 bytes a second are 2 ms for each byte; at half the rate, 20 s are used up after 10,000.
            let due = Duration::from_millis(2 * bytes as u64);
            let is_cut_at = |waited: Duration| {
                let mut allowance = Allowance::new(RATE, GRACE);
                (0..10_000 / bytes + 1).any(|_| {
                    let is_over = waited >= allowance.left;
                    allowance.received(waited, bytes);
                    is_over
                })
            };
            prop_assert!(!is_cut_at(due));
            prop_assert!(is_cut_at(2 * due));
        }

        #[test]
        fn no_number_overflows(rate in 1_u64.., waited in 0_u64.., bytes in 0_usize..) {
            let mut allowance = Allowance::new(NonZeroU64::new(rate).unwrap(), GRACE);
            allowance.received(Duration::from_nanos(waited), bytes);
            prop_assert!(allowance.left <= GRACE);
        }
    }
}
