//! Latencies, counted without a lock.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// One unit is 625 ns, so that 10 us are 16 units: below that everything shares the first bucket.
const UNIT_NS: u64 = 625;
/// Every octave above 10 us is cut into this many equal buckets: 6.25 % wide at most, 3.2 % from their middle.
const PER_OCTAVE: u64 = 16;
/// 60 s in units.
const TOP_UNITS: u64 = 60_000_000_000 / UNIT_NS;
const OVERFLOW: usize = bucket_of(TOP_UNITS) + 1;
const BUCKETS: usize = OVERFLOW + 1;

/// Durations from 10 us to 60 s in log-linear buckets: at most 5 % of error in under 2 KiB, lock-free.
///
/// Counts are relaxed: a reader beside a writer may be one record behind. Below 10 us counts as up to 10 us, above
/// 60 s as the largest ever recorded.
pub struct LatencyHistogram {
    buckets: [AtomicU32; BUCKETS],
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl LatencyHistogram {
    /// An empty histogram.
    pub const fn new() -> Self {
        Self { buckets: [const { AtomicU32::new(0) }; BUCKETS], sum_ns: AtomicU64::new(0), max_ns: AtomicU64::new(0) }
    }

    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(ns / UNIT_NS).min(OVERFLOW)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        self.max_ns.fetch_max(ns, Ordering::Relaxed);
    }

    /// The duration that a share of `q` (0.0 to 1.0) of all records does not exceed, within 5 %; `None` when empty.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += u64::from(bucket.load(Ordering::Relaxed));
            if seen >= rank && index < OVERFLOW {
                let middle = (lower_units(index) + lower_units(index + 1)) * UNIT_NS / 2;
                return Some(Duration::from_nanos(middle).min(self.max()));
            }
        }
        Some(self.max())
    }

    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| u64::from(bucket.load(Ordering::Relaxed))).sum()
    }

    /// The longest duration recorded, exactly; zero when empty.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns.load(Ordering::Relaxed))
    }

    /// The sum of all durations recorded, exactly.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed))
    }

    /// Upper bound and count of every bucket that is not empty, in rising order. The last bound may be the maximum.
    pub fn buckets(&self) -> Vec<(Duration, u64)> {
        let counts = self.buckets.iter().map(|bucket| u64::from(bucket.load(Ordering::Relaxed)));
        counts
            .enumerate()
            .filter(|(_, count)| *count > 0)
            .map(|(index, count)| {
                let bound = Duration::from_nanos(lower_units(index + 1) * UNIT_NS);
                (if index < OVERFLOW { bound } else { self.max() }, count)
            })
            .collect()
    }
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LatencyHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatencyHistogram")
            .field("count", &self.count())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max())
            .finish()
    }
}

/// What several histograms hold together.
#[derive(Clone, Debug)]
pub struct LatencySum {
    buckets: [u64; BUCKETS],
    sum: Duration,
}

impl Default for LatencySum {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], sum: Duration::ZERO }
    }
}

impl LatencySum {
    /// Adds what `histogram` holds now.
    pub fn add(&mut self, histogram: &LatencyHistogram) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum += u64::from(bucket.load(Ordering::Relaxed));
        }
        self.sum += histogram.sum();
    }

    /// The sum of all durations, exactly.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// How many durations there are above the bound before and up to each of the rising `bounds`; last, how many are
    /// above all of them. Exact for bounds of 10 us times a power of two times 16 to 31 sixteenths; else a duration just
    /// above a bound (6 %) may count below it.
    pub fn counts(&self, bounds: &[Duration]) -> Vec<u64> {
        let mut counts = vec![0; bounds.len() + 1];
        for (index, count) in self.buckets.iter().enumerate() {
            let lower = Duration::from_nanos(lower_units(index) * UNIT_NS);
            let place = bounds.partition_point(|bound| *bound <= lower);
            if let Some(total) = counts.get_mut(place) {
                *total += count;
            }
        }
        counts
    }
}

/// Bucket 0 is everything below 16 units; then 16 buckets an octave.
const fn bucket_of(units: u64) -> usize {
    if units < PER_OCTAVE {
        return 0;
    }
    let octave = units.ilog2() - PER_OCTAVE.ilog2();
    (1 + octave as u64 * PER_OCTAVE + (units >> octave) - PER_OCTAVE) as usize
}

/// The smallest value of a bucket, in units.
const fn lower_units(bucket: usize) -> u64 {
    if bucket == 0 {
        return 0;
    }
    let step = bucket as u64 - 1;
    (PER_OCTAVE + step % PER_OCTAVE) << (step / PER_OCTAVE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn is_small() {
        assert!(size_of::<LatencyHistogram>() <= 2_048, "{} bytes", size_of::<LatencyHistogram>());
    }

    #[test]
    fn buckets_meet_without_gap() {
        for bucket in 0..OVERFLOW {
            assert_eq!(bucket_of(lower_units(bucket)), bucket);
            assert_eq!(bucket_of(lower_units(bucket + 1) - 1), bucket);
        }
        assert_eq!(lower_units(1) * UNIT_NS, 10_000);
    }

    #[test]
    fn empty_says_nothing() {
        let histogram = LatencyHistogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        assert_eq!(histogram.count(), 0);
        assert_eq!(histogram.max(), Duration::ZERO);
        assert!(histogram.buckets().is_empty());
    }

    #[test]
    fn quantiles_of_one_to_a_thousand_milliseconds() {
        let histogram = LatencyHistogram::new();
        (1..=1_000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        for (q, expected) in [(0.01, 10.0), (0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let found = histogram.quantile(q).unwrap().as_secs_f64() * 1_000.0;
            assert!((found - expected).abs() <= 0.05 * expected, "p{q}: {found} for {expected}");
        }
        assert_eq!(histogram.count(), 1_000);
        assert_eq!(histogram.max(), Duration::from_secs(1));
        assert_eq!(histogram.sum(), Duration::from_millis(500_500));
        let buckets = histogram.buckets();
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 1_000);
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn extremes_are_counted() {
        let histogram = LatencyHistogram::new();
        histogram.record(Duration::ZERO);
        histogram.record(Duration::from_secs(3_600));
        assert_eq!(histogram.count(), 2);
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_secs(3_600)));
        assert!(histogram.quantile(0.5).unwrap() <= Duration::from_micros(10));
        assert_eq!(histogram.buckets().last(), Some(&(Duration::from_secs(3_600), 1)));
    }

    #[test]
    fn sums_are_cut_where_it_is_asked() {
        let (one, other) = (LatencyHistogram::new(), LatencyHistogram::new());
        for us in [1, 249, 251, 999] {
            one.record(Duration::from_micros(us));
        }
        for ms in [1_001, 5_000, 90_000] {
            other.record(Duration::from_millis(ms));
        }
        let mut sum = LatencySum::default();
        sum.add(&one);
        sum.add(&other);
        let bounds = [250, 500, 1_000, 1_024_000, 4_096_000].map(Duration::from_micros);
        assert_eq!(sum.counts(&bounds), [2, 1, 1, 1, 0, 2]);
        assert_eq!(sum.sum(), Duration::from_micros(1_500 + 96_001_000));
        assert_eq!(sum.counts(&[]), [7]);
    }

    #[test]
    fn threads_count_together() {
        let histogram = LatencyHistogram::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|us| histogram.record(Duration::from_micros(us))));
            }
        });
        assert_eq!(histogram.count(), 40_000);
        assert_eq!(histogram.sum(), Duration::from_micros(4 * 49_995_000));
    }

    proptest! {
        #[test]
        fn one_value_comes_back_within_five_percent(ns in 10_000_u64..60_000_000_000, longer in 0_u64..1_000) {
            let histogram = LatencyHistogram::new();
            histogram.record(Duration::from_nanos(ns));
            // a second, longer record keeps the exact maximum from hiding the bucket's error
            histogram.record(Duration::from_nanos(ns * 2 + longer));
            let found = histogram.quantile(0.5).unwrap().as_nanos() as f64;
            prop_assert!((found - ns as f64).abs() <= 0.05 * ns as f64, "{} for {}", found, ns);
            let bound = histogram.buckets()[0].0.as_nanos() as u64;
            prop_assert!(bound > ns && bound as f64 <= 1.0626 * ns as f64 + UNIT_NS as f64);
        }
    }
}
