use crate::rtp::Place;

/// Further apart, sequence numbers have nothing to do with each other.
const MAX_JUMP: u64 = 5_000;

/// Puts the numbers of all streams of a call on one line each: sequence numbers that go on, timestamps in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeline {
    stream: u32,
    /// A sequence number on the wire, unwrapped, and ours for it.
    sequence: (u64, i64),
    /// A timestamp on the wire, and ours for it.
    ticks: (u32, i64),
}

impl Timeline {
    /// `place` is to be at these numbers, and what follows it behind.
    pub(super) const fn starting(place: &Place, sequence: i64, ticks: i64) -> Self {
        Self { stream: place.stream, sequence: (place.sequence, sequence), ticks: (place.timestamp, ticks) }
    }

    /// Sequence number and ticks of a packet; `None` if it does not belong to what came so far.
    pub(super) fn find(&self, place: &Place) -> Option<(i64, i64)> {
        let (wire, ours) = self.sequence;
        if place.stream != self.stream || place.sequence.abs_diff(wire) > MAX_JUMP {
            return None;
        }
        let sequence = ours + place.sequence.wrapping_sub(wire) as i64;
        let (wire, ours) = self.ticks;
        Some((sequence, ours + i64::from(place.timestamp.wrapping_sub(wire) as i32)))
    }

    /// Goes along, so that wrapping numbers stay near. The timestamp of a telephone event stands still: only its
    /// sequence number counts.
    pub(super) fn follow(&mut self, place: &Place, sequence: i64, ticks: Option<i64>) {
        if sequence > self.sequence.1 {
            self.sequence = (place.sequence, sequence);
            if let Some(ticks) = ticks {
                self.ticks = (place.timestamp, ticks);
            }
        }
    }

    /// The highest sequence number so far.
    pub(super) const fn newest(&self) -> i64 {
        self.sequence.1
    }
}
