//! Depth: when there is more or less of it than there should be, and how that is put right.

use trunkline_media::{LineCodec, g711};

use super::play::{Ahead, Heard};
use super::{FRAME, JitterBuffer, TICKS_PER_MS};

/// So much more than what is asked for is nobody's concern: a frame can't be halved.
const SLACK: i64 = 30 * TICKS_PER_MS;
/// Frames of surplus before it is believed: half a second.
const PATIENCE: u32 = 25;
/// With so much surplus a loud frame will do too.
const URGENT: i64 = 80 * TICKS_PER_MS;
/// With so much, the cursor jumps.
const HOPELESS: i64 = 200 * TICKS_PER_MS;
/// Frames between two that are stretched.
const APART: u32 = 4;
/// Mean of the samples' magnitudes below which a line is quiet, whatever it was before: about -55 dBm0.
const QUIET: u32 = 50;
/// However noisy it is, above this it is not: about -33 dBm0.
const LOUD: u32 = 600;

/// What is remembered to decide where depth can be put right unheard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Adaptation {
    /// Frames in a row that had surplus depth.
    surplus: u32,
    /// Frames since one was stretched.
    even: u32,
    /// Loudness of the line when nobody speaks: falls at once, doubles in 4 s.
    floor: u32,
}

impl Adaptation {
    /// Takes note of a frame.
    pub(super) fn note(&mut self, codec: LineCodec, frame: &[u8], made_up: bool) {
        self.even = self.even.saturating_add(1);
        if !made_up {
            let risen = self.floor.saturating_add(self.floor / 256 + 1);
            self.floor = loudness(codec, frame).min(risen);
        }
    }

    fn is_quiet(&self, codec: LineCodec, audio: &[u8]) -> bool {
        loudness(codec, audio) <= (2 * self.floor).clamp(QUIET, LOUD)
    }
}

impl JitterBuffer {
    /// A frame that puts the depth right; `None` where a plain one will do.
    pub(super) fn adapted(&mut self, depth: i64) -> Option<Heard> {
        let target = self.delay.target();
        let surplus = depth >= target + SLACK;
        self.adaptation.surplus = if surplus { self.adaptation.surplus.saturating_add(1) } else { 0 };
        let ahead = self.ahead();
        let mut heard = Heard::default();
        match ahead {
            // the rest of the frame may still come
            Ahead::Audio(_) if depth < target && !self.peek(1) => _ = self.make_up(FRAME, &mut heard),
            Ahead::Audio(_) if depth < target => {
                if self.adaptation.even < APART || !self.adaptation.is_quiet(self.codec, &self.peeked) {
                    return None;
                }
                self.adaptation.even = 0;
                self.make_up(FRAME, &mut heard);
                // this is no loss
                heard = Heard::default();
            }
            Ahead::Audio(_) if self.adaptation.surplus >= PATIENCE => {
                let quiet = self.peek(2) && self.adaptation.is_quiet(self.codec, &self.peeked);
                if self.peeked.len() < 2 * self.codec.frame_bytes() || !(quiet || depth >= target + URGENT) {
                    return None;
                }
                self.adaptation.surplus = 0;
                self.play_two();
                self.stats.skipped_ms += (FRAME / TICKS_PER_MS) as u64;
                return Some(heard);
            }
            Ahead::Audio(_) => return None,
            // nobody speaks: nothing is lost by leaving a part of that out
            Ahead::Silence(gap) if surplus && gap >= 2 * FRAME => return self.leave_out(),
            Ahead::Nothing if surplus && self.concealer.is_silent() => return self.leave_out(),
            _ if depth >= target => return None,
            Ahead::Silence(_) => _ = self.be_silent(FRAME, &mut heard),
            Ahead::Nothing if self.in_event => _ = self.be_silent(FRAME, &mut heard),
            Ahead::Lost(_) | Ahead::Nothing => _ = self.make_up(FRAME, &mut heard),
        }
        self.stats.stretched_ms += (FRAME / TICKS_PER_MS) as u64;
        Some(heard)
    }

    /// Jumps where depth is hopelessly large; tells by how much.
    pub(super) fn catch_up(&mut self, depth: i64) -> i64 {
        let target = self.delay.target();
        if depth <= target + HOPELESS {
            return 0;
        }
        let by = (depth - target) / FRAME * FRAME;
        self.advance(by);
        self.stats.resets += 1;
        self.stats.skipped_ms += (by / TICKS_PER_MS).unsigned_abs();
        by
    }

    fn leave_out(&mut self) -> Option<Heard> {
        self.advance(FRAME);
        self.stats.skipped_ms += (FRAME / TICKS_PER_MS) as u64;
        None
    }

    /// Plays the two frames that were peeked at in the time of one.
    fn play_two(&mut self) {
        let mut both = std::mem::take(&mut self.peeked);
        let (first, second) = both.split_at(both.len() / 2);
        let mut joined = std::mem::take(&mut self.frame);
        self.concealer.join(first, second, &mut joined);
        self.frame = joined;
        both.clear();
        self.peeked = both;
        self.advance(2 * FRAME);
        self.settle_played(self.cursor.unwrap_or_default());
    }

    /// Copies so many frames of audio from the cursor on to `peeked`; tells whether they are all there.
    fn peek(&mut self, frames: usize) -> bool {
        let width = self.codec.bytes_per_sample();
        let wanted = frames * self.codec.frame_bytes();
        let mut at = self.cursor.unwrap_or_default();
        self.peeked.clear();
        for slot in self.queue.audio() {
            if slot.begin > at || self.peeked.len() >= wanted {
                break;
            }
            let from = usize::try_from(at - slot.begin).unwrap_or_default() * width;
            let rest = slot.payload.get(from..).unwrap_or_default();
            let part = rest.get(..wanted - self.peeked.len()).unwrap_or(rest);
            self.peeked.extend_from_slice(part);
            at += (part.len() / width) as i64;
        }
        self.peeked.len() >= wanted
    }
}

/// The mean of the samples' magnitudes.
fn loudness(codec: LineCodec, audio: &[u8]) -> u32 {
    let sum: u32 = match codec {
        LineCodec::Pcmu => audio.iter().map(|code| u32::from(g711::decode_ulaw(*code).unsigned_abs())).sum(),
        LineCodec::Pcma => audio.iter().map(|code| u32::from(g711::decode_alaw(*code).unsigned_abs())).sum(),
        LineCodec::L16 => {
            audio.as_chunks().0.iter().map(|pair| u32::from(i16::from_le_bytes(*pair).unsigned_abs())).sum()
        }
    };
    sum / (audio.len() / codec.bytes_per_sample()).max(1) as u32
}
