//! What callers say and how the model knows them by it: everything is told by loud and quiet stretches, which any
//! transcoder on the way keeps.
//!
//! A caller begins with its number, one bit every 40 ms: loud, 14 bits (lowest first), and one that makes the number of
//! loud ones even. From then on every loud stretch after a quiet one is a turn.

use std::time::Duration;

use trunkline_media::{FRAME_MS, FRAME_SAMPLES, LineCodec, g711};

/// A caller's clock.
pub const TICK: Duration = Duration::from_millis(FRAME_MS as u64);
/// Ticks of silence before and after the number.
const EDGE: u32 = 10;
const BIT: u32 = 2;
const BITS: u32 = 14;
const REGISTRATION: u32 = 2 * EDGE + BIT * (BITS + 2);
/// A turn: 300 ms of speech.
const WORDS: u32 = 15;
/// The caller speaks again this long after a turn began, while the answer (2 s) plays.
const BARGE_AT: u32 = 45;
const CYCLE: u32 = 200;
/// Most callers that can be told apart.
pub const MAX_CALLS: u32 = 1 << BITS;
/// From a caller's first tick to its first turn.
pub const REGISTERED: Duration = Duration::from_millis(REGISTRATION as u64 * FRAME_MS as u64);
/// A turn every so often.
pub const EVERY: Duration = Duration::from_millis(CYCLE as u64 * FRAME_MS as u64);

/// What a caller does at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    Quiet,
    /// Part of the number, or of words already begun.
    Loud(u32),
    /// The first frame of a turn; `barge`: it interrupts the answer to the turn before.
    Onset {
        barge: bool,
    },
}

/// What caller `number` does at its tick `tick`; `barges`: every other answer is interrupted.
pub fn at(number: u32, tick: u32, barges: bool) -> Tick {
    let Some(since) = tick.checked_sub(REGISTRATION) else { return registration(number, tick) };
    let (turn, at) = (since / CYCLE, since % CYCLE);
    let is_barge = barges && turn % 2 == 1;
    match at {
        0 => Tick::Onset { barge: false },
        BARGE_AT if is_barge => Tick::Onset { barge: true },
        at if at < WORDS => Tick::Loud(at),
        at if is_barge && (BARGE_AT..BARGE_AT + WORDS).contains(&at) => Tick::Loud(at - BARGE_AT),
        _ => Tick::Quiet,
    }
}

fn registration(number: u32, tick: u32) -> Tick {
    let Some(bit) = tick.checked_sub(EDGE).map(|tick| tick / BIT) else { return Tick::Quiet };
    let is_loud = match bit {
        0 => true,
        bit if bit <= BITS => number >> (bit - 1) & 1 == 1,
        bit if bit == BITS + 1 => number.count_ones().is_multiple_of(2),
        _ => false,
    };
    if is_loud { Tick::Loud(tick % WORDS) } else { Tick::Quiet }
}

/// The sounds that callers make, as PCMU frames.
pub struct Sounds {
    words: Vec<Vec<u8>>,
    silence: Vec<u8>,
}

impl Sounds {
    /// The loudest 300 ms of recorded speech in PCMU, so that a turn begins and stays loud.
    pub fn new(speech: &[u8]) -> Self {
        let frames: Vec<&[u8]> = speech.chunks_exact(FRAME_SAMPLES).collect();
        let quietest = |words: &[&[u8]]| words.iter().map(|frame| level(frame)).fold(f64::INFINITY, f64::min);
        let best = frames.windows(WORDS as usize).max_by(|a, b| quietest(a).total_cmp(&quietest(b)));
        let words = best.unwrap_or_default().iter().map(|frame| frame.to_vec()).collect();
        Self { words, silence: vec![LineCodec::Pcmu.silence(); FRAME_SAMPLES] }
    }

    /// 20 ms of PCMU.
    pub fn frame(&self, tick: Tick) -> &[u8] {
        let word = match tick {
            Tick::Quiet => None,
            Tick::Loud(word) => Some(word),
            Tick::Onset { .. } => Some(0),
        };
        word.and_then(|word| self.words.get(word as usize)).unwrap_or(&self.silence)
    }
}

/// Root mean square of PCMU, of 32768.
pub fn level(pcmu: &[u8]) -> f64 {
    let energy: f64 = pcmu.iter().map(|code| f64::from(g711::decode_ulaw(*code)).powi(2)).sum();
    (energy / pcmu.len().max(1) as f64).sqrt()
}

/// Louder than this is sound; between the silence of a line (0) and speech or tone (thousands).
pub const LOUD: f64 = 600.0;
/// What is loud or quiet is decided over 10 ms.
pub const WINDOW_MS: usize = 10;
const WINDOWS_A_BIT: u32 = BIT * FRAME_MS / WINDOW_MS as u32;
/// 100 ms of quiet before a turn.
const QUIET_WINDOWS: u32 = 10;

/// Hears a caller: its number first, then its turns. Fed with windows of 10 ms.
#[derive(Debug, Default)]
pub struct Hearing {
    number: Option<u32>,
    /// Windows since the number's first bit began.
    at: Option<u32>,
    bits: u32,
    quiet: u32,
}

impl Hearing {
    pub fn number(&self) -> Option<u32> {
        self.number
    }

    /// True at the first window of a turn.
    pub fn window(&mut self, level: f64) -> bool {
        let is_loud = level > LOUD;
        if self.number.is_none() {
            self.bit(is_loud);
            self.quiet = 0;
            return false;
        }
        let is_onset = is_loud && self.quiet >= QUIET_WINDOWS;
        self.quiet = if is_loud { 0 } else { self.quiet + 1 };
        is_onset
    }

    /// Each bit is read in its last quarter, where no filter's tail reaches.
    fn bit(&mut self, is_loud: bool) {
        let Some(at) = self.at.or(is_loud.then_some(0)) else { return };
        self.at = Some(at + 1);
        if at % WINDOWS_A_BIT != WINDOWS_A_BIT - 1 {
            return;
        }
        let bit = at / WINDOWS_A_BIT;
        self.bits |= u32::from(is_loud) << bit;
        if bit == BITS + 1 {
            let is_whole = self.bits & 1 == 1 && self.bits.count_ones().is_multiple_of(2);
            self.number = is_whole.then_some(self.bits >> 1 & (MAX_CALLS - 1));
            (self.at, self.bits) = (None, 0);
        }
    }
}
