use std::time::Duration;

use tokio::time::Instant;
use trunkline_media::LineCodec;

use super::super::sound;
use super::caller::Heard;

/// Samples in 20 ms.
const BLOCK: usize = 160;
/// Quieter than this nothing is heard, root of the mean square.
const QUIET: f64 = 100.0;
/// What the application's voice sounds like here, in Hz.
pub const VOICE: f64 = 1_200.0;

/// What an ear heard, by voice: 8 kHz sound from `start` on, both of one length.
pub struct Timeline {
    pub start: Instant,
    /// What came by the media socket.
    pub media: Vec<i16>,
    /// What the SIP media application spoke.
    pub sma: Vec<i16>,
}

impl Timeline {
    /// Frames sound when they came, and never over each other; the application's voice is a tone.
    pub(super) fn of(heard: &Heard) -> Self {
        let frames = heard.frames.first().map(|(at, _)| *at);
        let speech = heard.speech.first().map(|(at, _)| *at);
        let start = frames.into_iter().chain(speech).min().unwrap_or_else(Instant::now);
        let index = |at: Instant| (at - start).as_millis() as usize * 8;
        let mut media = Vec::new();
        for (at, frame) in &heard.frames {
            let from = index(*at).max(media.len());
            media.resize(from, 0);
            media.extend(sound::decode(LineCodec::Pcmu, frame));
        }
        let mut sma = Vec::new();
        for (from, until) in &heard.speech {
            sma.resize(index(*from), 0);
            sma.extend(sound::tone(8_000, VOICE, (*until - *from).as_millis() as u32));
        }
        let whole = media.len().max(sma.len()).div_ceil(BLOCK) * BLOCK;
        media.resize(whole, 0);
        sma.resize(whole, 0);
        Self { start, media, sma }
    }

    /// Both voices as they are heard together.
    pub fn mixed(&self) -> Vec<i16> {
        self.media.iter().zip(&self.sma).map(|(media, sma)| media.saturating_add(*sma)).collect()
    }

    /// When a sample sounds.
    pub fn time_of(&self, sample: usize) -> Instant {
        self.start + Duration::from_micros(sample as u64 * 125)
    }

    /// Which sample sounds then.
    pub fn sample_at(&self, at: Instant) -> usize {
        (at.saturating_duration_since(self.start).as_micros() / 125) as usize
    }

    /// The longest quiet stretch of a voice, or of both mixed, between two moments, and when it began. What was not
    /// recorded any more was quiet.
    pub fn longest_quiet(samples: &[i16], from: usize, to: usize) -> (usize, usize) {
        let (mut longest, mut since) = ((from, 0), from);
        for block in (from..to).step_by(BLOCK) {
            let end = (block + BLOCK).min(to);
            if is_loud(samples, block, end) {
                since = end;
            } else if end - since > longest.1 {
                longest = (since, end - since);
            }
        }
        longest
    }

    /// The first loud block from `from` on.
    pub fn first_loud(samples: &[i16], from: usize) -> Option<usize> {
        (from..samples.len()).step_by(BLOCK).find(|block| is_loud(samples, *block, block + BLOCK))
    }

    /// How long both voices are heard at once, in samples: the longest run of blocks.
    pub fn longest_overlap(&self) -> (usize, usize) {
        let (mut longest, mut run) = ((0, 0), 0);
        for block in (0..self.media.len()).step_by(BLOCK) {
            let both = is_loud(&self.media, block, block + BLOCK) && is_loud(&self.sma, block, block + BLOCK);
            run = if both { run + BLOCK } else { 0 };
            if run > longest.1 {
                longest = (block + BLOCK - run, run);
            }
        }
        longest
    }
}

fn is_loud(samples: &[i16], from: usize, to: usize) -> bool {
    samples.get(from..to.min(samples.len())).is_some_and(|block| sound::level(block) > QUIET)
}
