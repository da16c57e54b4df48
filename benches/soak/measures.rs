//! What all callers measure together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::rig::{Spread, Trouble, micros};

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
