//! The model's speech: decoding, whole samples, which item is speaking, and what was cut off.

use std::collections::VecDeque;

use base64_simd::{AsOut, STANDARD};
use bytes::{Bytes, BytesMut};
use trunkline_media::ModelFormat;

use crate::ItemId;

/// Items remembered. What is older cannot still be in a playout.
const REMEMBERED: usize = 32;

/// One item's speech.
#[derive(Debug)]
pub(crate) struct Track {
    pub item: ItemId,
    /// Bytes handed out.
    received: u64,
    /// Bytes that came after the item was cut and were not handed out.
    late: u64,
    /// First half of a sample whose second half is still to come.
    carry: Option<u8>,
    /// No more audio is handed out.
    pub cut: bool,
    /// The owner was told that no more comes.
    pub ended: bool,
    /// Wholly heard, or already settled with the model.
    pub settled: bool,
    /// All that was received was heard, but the model may have said more: truncate here if it did.
    pub truncate_if_late: bool,
    /// Removed from the conversation.
    pub gone: bool,
}

/// What became of a delta.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// To be played; empty if it held no whole sample.
    Audio(Bytes),
    /// Of an item that was cut off.
    Late,
    /// Of an item that had ended.
    AfterEnd,
    /// Not base64.
    Damaged,
}

#[derive(Debug)]
pub(crate) struct Speech {
    format: ModelFormat,
    tracks: VecDeque<Track>,
    buffer: BytesMut,
}

impl Speech {
    pub fn new(format: ModelFormat) -> Self {
        Self { format, tracks: VecDeque::new(), buffer: BytesMut::new() }
    }

    /// The item whose audio is being received.
    pub fn open_item(&self) -> Option<&ItemId> {
        self.tracks.back().filter(|track| !track.ended && !track.cut).map(|track| &track.item)
    }

    pub fn track(&mut self, id: &str) -> Option<&mut Track> {
        self.tracks.iter_mut().rev().find(|track| track.item.as_str() == id)
    }

    /// The item's track, opened if it is new.
    pub fn enter(&mut self, id: &str) -> &mut Track {
        // The usual case is the newest item; searched from there.
        let at = self.tracks.iter().rposition(|track| track.item.as_str() == id).unwrap_or_else(|| {
            if self.tracks.len() >= REMEMBERED {
                self.tracks.pop_front();
            }
            self.tracks.push_back(Track {
                item: ItemId::new(id),
                received: 0,
                late: 0,
                carry: None,
                cut: false,
                ended: false,
                settled: false,
                truncate_if_late: false,
                gone: false,
            });
            self.tracks.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "`at` was found or just pushed")]
        &mut self.tracks[at]
    }

    /// Decodes a delta of the item. Allocates nothing but the output buffer, and that only while earlier audio is in use.
    pub fn decode(&mut self, id: &str, base64: &str) -> Heard {
        let pcm = self.format.bytes_per_sample() == 2;
        let Ok(length) = STANDARD.decoded_length(base64.as_bytes()) else { return Heard::Damaged };
        let mut buffer = std::mem::take(&mut self.buffer);
        let heard = self.decode_into(&mut buffer, id, base64, length, pcm);
        buffer.clear();
        self.buffer = buffer;
        heard
    }

    fn decode_into(&mut self, buffer: &mut BytesMut, id: &str, base64: &str, length: usize, pcm: bool) -> Heard {
        let track = self.enter(id);
        let carried = usize::from(track.carry.is_some());
        buffer.resize(carried + length, 0);
        let Some(room) = buffer.get_mut(carried..) else { return Heard::Damaged };
        if STANDARD.decode(base64.as_bytes(), room.as_out()).is_err() {
            return Heard::Damaged;
        }
        if track.cut {
            track.late += length as u64;
            return Heard::Late;
        }
        if track.ended {
            return Heard::AfterEnd;
        }
        if let (Some(first), Some(carry)) = (buffer.first_mut(), track.carry.take()) {
            *first = carry;
        }
        let whole = if pcm { buffer.len() & !1 } else { buffer.len() };
        track.carry = buffer.get(whole).copied();
        track.received += whole as u64;
        Heard::Audio(buffer.split_to(whole).freeze())
    }

    /// Milliseconds handed out, rounded down.
    pub fn received_ms(&self, track: &Track) -> u64 {
        track.received / self.bytes_per_ms()
    }

    /// Milliseconds the model is known to have said, rounded down.
    pub fn said_ms(&self, track: &Track) -> u64 {
        (track.received + track.late) / self.bytes_per_ms()
    }

    fn bytes_per_ms(&self) -> u64 {
        (self.format.bytes_per_ms() as u64).max(1)
    }

    pub fn find(&self, id: &str) -> Option<&Track> {
        self.tracks.iter().rev().find(|track| track.item.as_str() == id)
    }

    pub fn tracks(&mut self) -> impl Iterator<Item = &mut Track> {
        self.tracks.iter_mut()
    }

    /// Items handed out whose fate is not settled, oldest first.
    pub fn unsettled(&self) -> impl Iterator<Item = &ItemId> {
        self.tracks.iter().filter(|track| !track.settled && track.received > 0).map(|track| &track.item)
    }
}

impl Track {
    /// Whether anything was handed out.
    pub fn has_audio(&self) -> bool {
        self.received > 0
    }

    /// Whether audio came that was not handed out.
    pub fn has_late_audio(&self) -> bool {
        self.late > 0
    }
}
