//! One item on its way to the caller.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::TICK;
use crate::LineCodec;

/// Frames that a source in real time is given as a lead (60 ms): as late as that may one come without being heard.
const LIVE_PREFILL: usize = 3;
/// Torn frames that share one allocation. A model's deltas tear a frame each, and they wait while more of them come.
const TORN_TOGETHER: usize = 8;

/// An item whose mark is not out yet: it waits or plays.
#[derive(Debug)]
pub(super) struct Item<K> {
    pub(super) key: K,
    /// Tells items apart even where a key comes back.
    pub(super) serial: u64,
    /// Its source speaks in real time: a gap is the source's silence, not an underrun.
    live: bool,
    /// A live item that ran dry waits until [`LIVE_PREFILL`] frames are there; every other item plays what it has.
    filling: bool,
    /// The tick of its last frame.
    pub(super) last: Option<Instant>,
    /// A frame of it was sent.
    pub(super) begun: bool,
    /// When it was ended: its mark is ready from then on.
    pub(super) ended_at: Option<Instant>,
    pub(super) tally: Tally,
    /// Whole frames, in runs as they came.
    frames: VecDeque<Bytes>,
    /// The start of a frame, shorter than one.
    partial: BytesMut,
    /// Silence at the end of the last frame, in bytes.
    padding: usize,
}

/// What an item received and played, in bytes of line audio without padding.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) received: u64,
    /// Accepted by the socket.
    pub(super) played: u64,
    /// Not accepted by the socket: gone.
    pub(super) refused: u64,
}

impl<K> Item<K> {
    pub(super) fn new(key: K, serial: u64) -> Self {
        Self {
            key,
            serial,
            live: false,
            filling: false,
            last: None,
            begun: false,
            ended_at: None,
            tally: Tally::default(),
            frames: VecDeque::new(),
            partial: BytesMut::new(),
            padding: 0,
        }
    }

    /// Makes it an item whose source speaks in real time.
    pub(super) fn set_live(&mut self) {
        self.live = true;
        self.filling = true;
    }

    /// Audio comes: a live item that had none for its last tick gathers its lead anew.
    pub(super) fn notice_gap(&mut self, now: Instant) {
        if self.live && self.frames.is_empty() && self.last.is_some_and(|last| now > last + TICK) {
            self.filling = true;
        }
    }

    /// Takes audio of any length. Whole frames stay where they are; only a frame torn between two pushes is copied.
    pub(super) fn push(&mut self, codec: LineCodec, mut payload: Bytes) {
        let frame = codec.frame_bytes();
        self.tally.received += payload.len() as u64;
        if !self.partial.is_empty() {
            let head = payload.split_to(payload.len().min(frame - self.partial.len()));
            self.partial.extend_from_slice(&head);
            if self.partial.len() < frame {
                return;
            }
            self.frames.push_back(self.partial.split().freeze());
        }
        let tail = payload.split_off(payload.len() / frame * frame);
        if !payload.is_empty() {
            self.frames.push_back(payload);
        }
        if !tail.is_empty() {
            if self.partial.capacity() < frame {
                self.partial.reserve(TORN_TOGETHER * frame);
            }
            self.partial.extend_from_slice(&tail);
        }
        self.filling = self.filling && self.frames.iter().map(Bytes::len).sum::<usize>() < LIVE_PREFILL * frame;
    }

    /// No more audio: the last frame is filled up with silence. Returns the bytes of silence added.
    pub(super) fn end(&mut self, codec: LineCodec, now: Instant) -> usize {
        self.ended_at = Some(now);
        if !self.partial.is_empty() {
            self.padding = codec.frame_bytes() - self.partial.len();
            self.partial.resize(codec.frame_bytes(), codec.silence());
            self.frames.push_back(self.partial.split().freeze());
        }
        self.filling = false;
        self.padding
    }

    pub(super) fn has_frame(&self) -> bool {
        !self.frames.is_empty() && !self.filling
    }

    /// Takes the next frame and says how many bytes of it are audio.
    pub(super) fn pop_frame(&mut self, codec: LineCodec) -> Option<(Bytes, u64)> {
        if self.filling {
            return None;
        }
        let run = self.frames.front_mut()?;
        let frame = run.split_to(codec.frame_bytes().min(run.len()));
        if run.is_empty() {
            self.frames.pop_front();
        }
        let last = self.ended_at.is_some() && self.frames.is_empty();
        let audio = frame.len() - if last { self.padding } else { 0 };
        Some((frame, audio as u64))
    }

    /// Its mark is due: ended, and nothing left to play.
    pub(super) fn is_over(&self) -> bool {
        self.ended_at.is_some() && self.frames.is_empty()
    }

    /// It plays, is not over and has nothing: whatever tick comes now is an underrun.
    pub(super) fn is_starved(&self) -> bool {
        self.begun && !self.live && self.ended_at.is_none() && self.frames.is_empty()
    }
}
