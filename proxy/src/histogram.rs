//! Durations counted in buckets: cheap to add to, added up over threads, good enough for percentiles.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bound of the first bucket.
const FIRST_BOUND_NANOS: u64 = 250_000;
/// Buckets with an upper bound, each twice that of the one before: 0.25 ms up to 65.536 s, which is above the
/// 60 s an upstream may be silent for.
const BOUNDED: usize = 19;
/// One more counts what is longer.
const BUCKETS: usize = BOUNDED + 1;

/// How long something took, as counts by bucket and a sum: what Prometheus calls a histogram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum_nanos: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&mut self, duration: Duration) {
        let nanos = nanos(duration);
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
        }
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
    }

    /// Adds what another histogram counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (total, count) in self.counts.iter_mut().zip(&other.counts) {
            *total += count;
        }
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }

    /// For each bucket its upper bound, `None` for the last, which has none, and how many durations were at most
    /// that: the `le` and the value of Prometheus' text format.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let mut total = 0;
        self.counts.iter().enumerate().map(move |(index, count)| {
            total += count;
            (bound(index), total)
        })
    }

    /// The duration that a share `quantile` (0 to 1) of what was counted did not exceed; `None` while nothing is.
    ///
    /// An estimate, spread evenly within its bucket: off by at most the width of that bucket, half its upper bound.
    /// Above the last bound it is that bound.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        // A hair less, so that half of 20 is not the eleventh by a rounding.
        let rank = quantile.clamp(0.0, 1.0) * count as f64 * (1.0 - 4.0 * f64::EPSILON);
        let mut below = 0;
        let mut lower = Duration::ZERO;
        for (index, in_bucket) in self.counts.iter().enumerate() {
            let Some(upper) = bound(index) else {
                break;
            };
            if *in_bucket > 0 && (below + in_bucket) as f64 >= rank {
                let share = (rank - below as f64) / *in_bucket as f64;
                return Some(lower + (upper - lower).mul_f64(share.clamp(0.0, 1.0)));
            }
            below += in_bucket;
            lower = upper;
        }
        Some(lower)
    }
}

/// The bucket of a duration: the first whose bound is not below it.
fn bucket(nanos: u64) -> usize {
    let units = nanos.saturating_sub(1) / FIRST_BOUND_NANOS;
    let doublings = (u64::BITS - units.leading_zeros()) as usize;
    doublings.min(BOUNDED)
}

fn bound(index: usize) -> Option<Duration> {
    (index < BOUNDED).then(|| Duration::from_nanos(FIRST_BOUND_NANOS << index))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A histogram that one thread writes and others read.
#[derive(Debug, Default)]
pub(crate) struct SharedHistogram {
    counts: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
}

impl SharedHistogram {
    /// Counts one duration. Only ever called by one thread.
    pub(crate) fn observe(&self, duration: Duration) {
        let nanos = nanos(duration);
        if let Some(count) = self.counts.get(bucket(nanos)) {
            add(count, 1);
        }
        add(&self.sum_nanos, nanos);
    }

    /// Adds what was counted so far to `sum`.
    pub(crate) fn add_to(&self, sum: &mut Histogram) {
        let counts = self.counts.each_ref();
        sum.merge(&Histogram {
            counts: counts.map(|count| count.load(Ordering::Relaxed)),
            sum_nanos: self.sum_nanos.load(Ordering::Relaxed),
        });
    }
}

/// Adds to a count that one thread alone writes, so that it needs no lock prefix.
pub(crate) fn add(count: &AtomicU64, more: u64) {
    count.store(
        count.load(Ordering::Relaxed).wrapping_add(more),
        Ordering::Relaxed,
    );
}

#[cfg(test)]
mod tests {
    use super::{Histogram, SharedHistogram};
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
    use std::time::Duration;

    fn histogram(durations: &[Duration]) -> Histogram {
        let mut histogram = Histogram::default();
        durations
            .iter()
            .for_each(|duration| histogram.observe(*duration));
        histogram
    }

    /// Bounds of the bucket a duration is counted in.
    fn bounds(duration: Duration) -> (Duration, Option<Duration>) {
        let mut lower = Duration::ZERO;
        for (upper, count) in histogram(&[duration]).cumulative() {
            if count > 0 {
                return (lower, upper);
            }
            lower = upper.unwrap_or(lower);
        }
        (lower, None)
    }

    fn check_bucket(duration: Duration, lower: u64, upper: u64) {
        let expected = (
            Duration::from_micros(lower),
            Some(Duration::from_micros(upper)),
        );
        assert_eq!(bounds(duration), expected, "{duration:?}");
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        check_bucket(Duration::ZERO, 0, 250);
        check_bucket(Duration::from_micros(250), 0, 250);
        check_bucket(Duration::from_nanos(250_001), 250, 500);
        check_bucket(Duration::from_millis(1), 500, 1000);
        check_bucket(Duration::from_millis(30), 16_000, 32_000);
        check_bucket(Duration::from_millis(65_536), 32_768_000, 65_536_000);
        let longer = Duration::from_nanos(65_536_000_001);
        assert_eq!(bounds(longer), (Duration::from_millis(65_536), None));
        assert_eq!(bounds(Duration::MAX).1, None);
    }

    #[test]
    fn quantiles_are_spread_within_their_bucket() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        let ten = histogram(&[Duration::from_micros(700); 10]);
        assert_eq!(ten.quantile(0.5), Some(Duration::from_micros(750)));
        assert_eq!(ten.quantile(1.0), Some(Duration::from_millis(1)));
        let mixed = histogram(&[Duration::from_micros(1), Duration::from_secs(1000)]);
        assert_eq!(mixed.quantile(0.5), Some(Duration::from_micros(250)));
        assert_eq!(mixed.quantile(0.99), Some(Duration::from_millis(65_536)));
    }

    fn durations() -> impl Strategy<Value = Vec<Duration>> {
        // Spread over the magnitudes, not over the numbers.
        let one = (0..40_u32, any::<u64>())
            .prop_map(|(shift, bits)| Duration::from_nanos((bits >> 24) >> shift));
        proptest::collection::vec(one, 0..50)
    }

    proptest! {
        #[test]
        fn merging_is_counting_together(left in durations(), right in durations()) {
            let mut merged = histogram(&left);
            merged.merge(&histogram(&right));
            let all: Vec<Duration> = left.iter().chain(&right).copied().collect();
            prop_assert_eq!(merged, histogram(&all));
            prop_assert_eq!(merged.count(), all.len() as u64);
            prop_assert_eq!(merged.sum(), all.iter().sum::<Duration>());
            let shared = SharedHistogram::default();
            left.iter().for_each(|duration| shared.observe(*duration));
            let mut sum = histogram(&right);
            shared.add_to(&mut sum);
            prop_assert_eq!(sum, merged);
        }

        #[test]
        fn a_quantile_is_in_the_bucket_of_the_duration_it_estimates(all in durations(), percent in 0..=100_usize) {
            let estimate = histogram(&all).quantile(percent as f64 / 100.0);
            let mut sorted = all;
            sorted.sort();
            let rank = (percent * sorted.len()).div_ceil(100).max(1);
            let exact = sorted.get(rank - 1);
            prop_assert_eq!(estimate.is_some(), exact.is_some());
            if let (Some(estimate), Some(exact)) = (estimate, exact) {
                let (lower, upper) = bounds(*exact);
                prop_assert!(estimate >= lower && upper.is_none_or(|upper| estimate <= upper), "{estimate:?} {exact:?}");
            }
        }

        #[test]
        fn counts_only_grow_from_bucket_to_bucket(all in durations()) {
            let histogram = histogram(&all);
            let mut before = 0;
            for (upper, count) in histogram.cumulative() {
                prop_assert!(count >= before);
                if let Some(upper) = upper {
                    prop_assert_eq!(count, all.iter().filter(|one| **one <= upper).count() as u64);
                }
                before = count;
            }
            prop_assert_eq!(before, all.len() as u64);
        }
    }
}
