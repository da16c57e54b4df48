use std::collections::VecDeque;

use super::MAX_PACKETS;

/// A packet that waits.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) sequence: i64,
    /// When its first sample is due, in ticks of the buffer's own time.
    pub(super) begin: i64,
    /// How long it is, in ticks; 0 where it carries no audio.
    pub(super) length: i64,
    pub(super) payload: Vec<u8>,
}

impl Slot {
    pub(super) const fn end(&self) -> i64 {
        self.begin + self.length
    }
}

/// Packets in the order of their sequence numbers. Memory of those that went is used again.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    slots: VecDeque<Slot>,
    spare: Vec<Vec<u8>>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { slots: VecDeque::with_capacity(MAX_PACKETS), spare: Vec::with_capacity(MAX_PACKETS) }
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= MAX_PACKETS
    }

    pub(super) fn insert(&mut self, sequence: i64, begin: i64, length: i64, payload: &[u8]) {
        let mut kept = self.spare.pop().unwrap_or_default();
        kept.extend_from_slice(payload);
        let behind = self.slots.iter().rev().take_while(|slot| slot.sequence > sequence).count();
        self.slots.insert(self.slots.len() - behind, Slot { sequence, begin, length, payload: kept });
    }

    pub(super) fn front(&self) -> Option<&Slot> {
        self.slots.front()
    }

    /// Drops the first; tells its sequence number and whether it carried audio.
    pub(super) fn pop(&mut self) -> Option<(i64, bool)> {
        let Slot { sequence, length, mut payload, .. } = self.slots.pop_front()?;
        payload.clear();
        self.spare.push(payload);
        Some((sequence, length > 0))
    }

    /// Those that carry audio.
    pub(super) fn audio(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.length > 0)
    }

    /// The highest sequence number that waits.
    pub(super) fn newest(&self) -> Option<i64> {
        self.slots.back().map(|slot| slot.sequence)
    }

    /// Where the audio that waits ends.
    pub(super) fn end(&self) -> Option<i64> {
        self.audio().map(Slot::end).max()
    }
}
