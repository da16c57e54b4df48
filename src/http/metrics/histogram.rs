//! Latencies in the classic buckets of Prometheus.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use trunkline_media::{LatencyHistogram, LatencySum};

/// Bounds of what the service does itself, in us. Each is an exact bound of the histograms' own.
pub(super) const OWN: [u64; 11] = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000];
/// Bounds of what a model takes part in, in us.
pub(super) const MODEL: [u64; 10] =
    [32_000, 64_000, 128_000, 256_000, 512_000, 1_024_000, 2_048_000, 4_096_000, 8_192_000, 16_384_000];

/// One histogram, as it was when it was made.
#[derive(Debug)]
pub(super) struct Buckets {
    /// Upper bound in seconds and what is between it and the one before; the last is infinite.
    counts: Vec<(f64, u64)>,
    sum: Duration,
}

impl Buckets {
    pub(super) fn of_sum(sum: &LatencySum, bounds_us: &[u64]) -> Self {
        let bounds: Vec<Duration> = bounds_us.iter().copied().map(Duration::from_micros).collect();
        let uppers = bounds.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        Self { counts: uppers.zip(sum.counts(&bounds)).collect(), sum: sum.sum() }
    }

    pub(super) fn of(histogram: &LatencyHistogram, bounds_us: &[u64]) -> Self {
        let mut sum = LatencySum::default();
        sum.add(histogram);
        Self::of_sum(&sum, bounds_us)
    }
}

impl EncodeMetric for Buckets {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let count = self.counts.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum.as_secs_f64(), count, &self.counts, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// One histogram a worker.
#[derive(Debug)]
pub(super) struct ByWorker(pub(super) Vec<Buckets>);

impl EncodeMetric for ByWorker {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (worker, buckets) in self.0.iter().enumerate() {
            buckets.encode(encoder.encode_family(&[("worker", worker)])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
