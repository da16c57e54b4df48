//! What a frame takes from the heap on its way. Apart from its neighbours: whoever uses this has the counting allocator,
//! which slows everything down a little.

use std::fmt;

use crate::path::Call;

/// Allocations of the actors and all they stand on for one frame of 20 ms, freed again or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerFrame {
    pub allocations: f64,
    pub bytes: f64,
}

impl PerFrame {
    /// The mean over 20 s of a call. The same every time: the call's time is made up.
    pub fn of(call: &mut Call) -> Self {
        const FRAMES: u32 = 1_000;
        let used = allocation_counter::measure(|| _ = call.carry(FRAMES.into()));
        let mean = |total: u64| total as f64 / f64::from(FRAMES);
        Self { allocations: mean(used.count_total), bytes: mean(used.bytes_total) }
    }
}

impl fmt::Display for PerFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} allocations, {:.0} bytes", self.allocations, self.bytes)
    }
}
