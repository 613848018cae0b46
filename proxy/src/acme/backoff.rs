//! When a name whose order failed is tried again.

use super::world::Draw;
use std::time::{Duration, SystemTime};

/// The pause after the first failure.
const FIRST: Duration = Duration::from_secs(60);
/// The longest pause before an order is placed again.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest pause before it is looked again whether an order makes sense.
const LONGEST_UNASKED: Duration = Duration::from_secs(60 * 60);
/// Up to this share of the pause is added by chance, so that names that failed together part.
const JITTER: u32 = 4;
/// What an authority may at most ask us to wait; one that asks for more has its clock wrong.
const LONGEST_ASKED: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// How far a try came that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// No order was placed: the domain does not reach this server, or the authority cannot be reached.
    Unasked,
    /// The authority said no, or the order failed on the way.
    Refused,
}

/// When to try again after `failures` failures one after the other, the last of them now.
///
/// The pause begins with a minute. Where the authority was not asked, it doubles up to an hour: a domain
/// whose address has just been set gets its certificate soon. Where it was, the pause quadruples up to a
/// day: 1, 4, 16, 64 minutes. Doubling would make six tries in the first hour, and Let's Encrypt accepts
/// five failed validations per name and hour (letsencrypt.org/docs/rate-limits). A time the authority
/// asked for (`Retry-After`) is waited for as well, up to eight days.
pub fn next_try(
    now: SystemTime,
    failures: u32,
    failure: Failure,
    retry_after: Option<SystemTime>,
    draw: Draw,
) -> SystemTime {
    let (base, longest) = match failure {
        Failure::Unasked => (2u32, LONGEST_UNASKED),
        Failure::Refused => (4u32, LONGEST),
    };
    let factor = base.saturating_pow(failures.saturating_sub(1));
    let pause = FIRST.saturating_mul(factor).min(longest);
    let own = now + pause + draw.share(pause / JITTER);
    let asked = retry_after.map(|asked| asked.min(now + LONGEST_ASKED));
    asked.map_or(own, |asked| asked.max(own))
}

#[cfg(test)]
mod tests {
    use super::{Failure, next_try};
    use crate::acme::Draw;
    use proptest::prelude::{any, prop_assert, proptest};
    use std::time::{Duration, SystemTime};

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn minutes(failures: u32, failure: Failure, draw: u64) -> u64 {
        let next = next_try(NOW, failures, failure, None, Draw::from_bits(draw));
        next.duration_since(NOW).unwrap().as_secs() / 60
    }

    #[test]
    fn pauses_grow_to_a_day_or_to_an_hour() {
        let refused: Vec<u64> = (1..8).map(|n| minutes(n, Failure::Refused, 0)).collect();
        assert_eq!(refused, [1, 4, 16, 64, 256, 1024, 1440]);
        let unasked: Vec<u64> = (1..9).map(|n| minutes(n, Failure::Unasked, 0)).collect();
        assert_eq!(unasked, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(minutes(u32::MAX, Failure::Refused, 0), 1440);
        assert_eq!(minutes(u32::MAX, Failure::Refused, 1 << 63), 1620);
    }

    #[test]
    fn what_the_authority_asks_for_is_waited_for() {
        let after = |hours: u64| {
            let asked = NOW + Duration::from_secs(hours * 3600);
            let next = next_try(NOW, 1, Failure::Refused, Some(asked), Draw::from_bits(0));
            next.duration_since(NOW).unwrap().as_secs()
        };
        assert_eq!(after(0), 60);
        assert_eq!(after(3), 3 * 3600);
        assert_eq!(after(10_000), 8 * 24 * 3600);
    }

    proptest! {
        #[test]
        fn the_pause_is_never_under_a_minute_nor_over_a_day_and_a_quarter(failures in any::<u32>(), draw in any::<u64>()) {
            for failure in [Failure::Unasked, Failure::Refused] {
                prop_assert!((1..=1800).contains(&minutes(failures, failure, draw)));
            }
        }
    }
}
