//! What the load generators share: processes and what the kernel tells of them, distributions, what went wrong.

pub mod admin;
pub mod process;

use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;

/// What keeps the rig from working.
#[derive(Debug)]
pub struct Trouble(pub String);

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A distribution of durations, three digits exact.
pub struct Spread(Mutex<Histogram<u64>>);

impl Spread {
    pub fn new() -> Result<Self, Trouble> {
        let histogram = Histogram::new_with_bounds(1, 600_000_000, 3).map_err(|error| Trouble(error.to_string()))?;
        Ok(Self(Mutex::new(histogram)))
    }

    pub fn record(&self, value: Duration) {
        if let Ok(mut histogram) = self.0.lock() {
            histogram.saturating_record(micros(value));
        }
    }

    /// In ms, `None` while nothing was recorded.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let histogram = self.0.lock().ok().filter(|histogram| !histogram.is_empty())?;
        Some(histogram.value_at_quantile(quantile) as f64 / 1_000.0)
    }

    pub fn count(&self) -> u64 {
        self.0.lock().map_or(0, |histogram| histogram.len())
    }
}

pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
