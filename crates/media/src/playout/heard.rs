//! What the caller can have heard: the peer buffers, so that sent is not yet heard.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::TICK;
use super::item::Tally;

/// A peer that says it is further behind than this is not believed.
const MAX_LAG: Duration = Duration::from_secs(5);
/// An answer to a mark older than this teaches nothing any more.
const KEEP_DONE: Duration = Duration::from_secs(30);
/// So many items whose mark is out are remembered at most.
const MAX_DONE: usize = 64;

/// An item whose mark is out.
#[derive(Debug)]
pub(super) struct Done<K> {
    pub(super) key: K,
    pub(super) serial: u64,
    pub(super) tally: Tally,
    marked_at: Instant,
    /// The peer answered this mark or a later one.
    heard: bool,
}

/// A frame that was sent a short while ago.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// When the peer begins to play it, by our clock: as it comes, or at its tick if it was sent before.
    at: Instant,
    serial: u64,
    audio: u64,
}

/// Frames of the last seconds and items of the last half minute.
#[derive(Debug)]
pub(super) struct Heard<K> {
    done: VecDeque<Done<K>>,
    sent: VecDeque<Sent>,
    /// From [`Sent::at`] to the frame being heard.
    lag: Duration,
    /// The peer has a queue, and plays each frame in its 20 ms.
    queueing: bool,
}

impl<K: PartialEq> Heard<K> {
    pub(super) fn new() -> Self {
        Self { done: VecDeque::new(), sent: VecDeque::new(), lag: Duration::ZERO, queueing: false }
    }

    /// Another kind of peer: its lag is to be learned anew. A frame in a queue is heard when it has been played.
    pub(super) fn set_queueing(&mut self, queueing: bool) {
        self.queueing = queueing;
        self.lag = if queueing { TICK } else { Duration::ZERO };
    }

    /// A frame with `audio` bytes of item `serial` was sent, to be played at `at`.
    pub(super) fn sent(&mut self, at: Instant, serial: u64, audio: u64) {
        while self.sent.front().is_some_and(|frame| at.saturating_duration_since(frame.at) >= MAX_LAG) {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { at, serial, audio });
    }

    /// The last frame sent did not go out after all.
    pub(super) fn unsent(&mut self) {
        self.sent.pop_back();
    }

    /// When a frame whose tick is `at` has been heard.
    pub(super) fn played_at(&self, at: Instant) -> Instant {
        at + self.lag
    }

    /// Takes back the last frame that the peer has not played to its end: its item, and the bytes still unheard.
    pub(super) fn lost(&mut self, now: Instant) -> Option<(u64, u64)> {
        let lag = self.lag;
        let Sent { at, serial, audio } = self.sent.pop_back_if(|frame| frame.at + lag > now)?;
        Some((serial, self.held_back(now, Sent { at, serial, audio })))
    }

    /// The mark of an item went out; its last frame is played at `at`.
    pub(super) fn marked(&mut self, at: Instant, key: K, serial: u64, tally: Tally) {
        self.done.push_back(Done { key, serial, tally, marked_at: at, heard: false });
        while self.done.len() > MAX_DONE
            || self.done.front().is_some_and(|item| at.saturating_duration_since(item.marked_at) > KEEP_DONE)
        {
            self.done.pop_front();
        }
    }

    /// The peer answered the mark of `key`: everything before it was heard, and the peer's lag is known.
    pub(super) fn answered(&mut self, now: Instant, key: &K) {
        let Some(index) = self.done.iter().rposition(|item| item.key == *key) else {
            return;
        };
        let Some(item) = self.done.get(index).filter(|item| !item.heard) else {
            return;
        };
        self.lag = now.saturating_duration_since(item.marked_at).min(MAX_LAG);
        self.done.iter_mut().take(index + 1).for_each(|item| item.heard = true);
    }

    pub(super) fn is_done(&self, key: &K) -> bool {
        self.done.iter().any(|item| item.key == *key)
    }

    pub(super) fn done_mut(&mut self, serial: u64) -> Option<&mut Done<K>> {
        self.done.iter_mut().rev().find(|item| item.serial == serial)
    }

    /// Bytes of item `serial` that the peer still holds back. Of the frame that a peer with a queue plays right now,
    /// the part that is yet to come.
    pub(super) fn unheard(&self, now: Instant, serial: u64) -> u64 {
        let recent = self.sent.iter().rev().take_while(|frame| frame.at + self.lag > now);
        recent.filter(|frame| frame.serial == serial).map(|frame| self.held_back(now, *frame)).sum()
    }

    fn held_back(&self, now: Instant, frame: Sent) -> u64 {
        let rest = (frame.at + self.lag).saturating_duration_since(now);
        if self.queueing && rest < TICK { part(frame.audio, rest) } else { frame.audio }
    }

    /// Takes the items that may not have been heard to their end, and forgets all others.
    pub(super) fn drain_open(&mut self, now: Instant) -> impl Iterator<Item = Done<K>> {
        let lag = self.lag;
        let open = move |item: &Done<K>| item.tally.refused > 0 || !(item.heard || item.marked_at + lag <= now);
        std::mem::take(&mut self.done).into_iter().filter(open)
    }

    /// Bytes of a finished item that the peer still holds back: none once it answered.
    pub(super) fn unheard_of(&self, now: Instant, item: &Done<K>) -> u64 {
        if item.heard { 0 } else { self.unheard(now, item.serial) }
    }
}

/// The share of a frame's bytes that `rest` of its 20 ms is.
fn part(audio: u64, rest: Duration) -> u64 {
    audio * u64::from(rest.subsec_micros()) / u64::from(TICK.subsec_micros())
}
