//! The load rig: the service and the simulator as processes of their own, callers in this one.
//!
//! Callers live on one thread with one clock, so that a late tick of any of them shows that this process, or the machine,
//! had no time; everything else (asking the service, reading /proc) happens on another thread.

pub mod caller;
pub mod process;
pub mod report;
pub mod watch;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// A tick of a caller that was later than this counts as late.
pub const LATE: Duration = Duration::from_millis(5);
/// Later than this, and the caller's side was no telephone any more: what the service shows then may be our fault.
pub const VERY_LATE: Duration = Duration::from_millis(20);

/// What all callers measure together, in microseconds.
pub struct Measures {
    /// How late a caller's tick ran.
    pub lateness: Spread,
    /// Between two frames heard of the same item.
    pub spacing: Spread,
    /// Ticks later than [`LATE`].
    pub late: AtomicU64,
    /// Ticks later than [`VERY_LATE`].
    pub very_late: AtomicU64,
    /// Frames that the socket did not take within 20 ms.
    pub blocked: AtomicU64,
    /// The latest tick since somebody last took this.
    worst_lately: AtomicU64,
}

impl Measures {
    pub fn new() -> Result<Self, Trouble> {
        Ok(Self {
            lateness: Spread::new()?,
            spacing: Spread::new()?,
            late: AtomicU64::new(0),
            very_late: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            worst_lately: AtomicU64::new(0),
        })
    }

    /// A tick ran this late.
    pub fn ticked(&self, late: Duration) {
        self.lateness.record(late);
        self.worst_lately.fetch_max(micros(late), Ordering::Relaxed);
        if late > LATE {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        if late > VERY_LATE {
            self.very_late.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The latest tick since this was last asked.
    pub fn take_worst(&self) -> Duration {
        Duration::from_micros(self.worst_lately.swap(0, Ordering::Relaxed))
    }
}

/// A distribution of durations, three digits exact.
pub struct Spread(Mutex<Histogram<u64>>);

impl Spread {
    fn new() -> Result<Self, Trouble> {
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

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
