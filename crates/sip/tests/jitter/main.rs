//! The jitter buffer, in made-up time: steady streams, what networks do to them, and senders with odd clocks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod clocks;
mod network;
mod random;
mod steady;
mod talkspurts;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use trunkline_media::LineCodec;
use trunkline_sip::jitter::{JitterBuffer, JitterStats, Pulled};
use trunkline_sip::rtp::Place;

fn at_us(us: u64) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_micros(us)
}

fn at(ms: u64) -> Instant {
    at_us(ms * 1_000)
}

/// The place of packet `n` of a stream of 20 ms packets.
fn place(n: u64) -> Place {
    Place { stream: 1, sequence: 70_000 + n, timestamp: (n as u32).wrapping_mul(160), marker: n == 0 }
}

/// 20 ms that name their number: one code throughout, loud, the same again after 100.
fn frame(n: u64) -> [u8; 160] {
    let n = (n % 100) as u8;
    [if n < 50 { n } else { n + 0x80 - 50 }; 160]
}

/// The number that a frame names to its end.
fn number(frame: &[u8]) -> Option<u64> {
    let code = frame[159];
    let n = match code {
        0..50 => code,
        0x80..0xB2 => code - 0x80 + 50,
        _ => return None,
    };
    frame[80..].iter().all(|other| *other == code).then_some(n.into())
}

/// What a pull gave: the number that the end of the frame names, if it names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Frame(u64),
    /// Made up, or not one code to its end.
    Concealed,
    Silence,
}

struct Line {
    buffer: JitterBuffer,
    heard: Vec<Heard>,
}

impl Line {
    fn new() -> Self {
        Self { buffer: JitterBuffer::new(LineCodec::Pcmu), heard: Vec::new() }
    }

    fn push(&mut self, now: Instant, n: u64) {
        self.buffer.push(now, &place(n), &frame(n));
    }

    fn pull(&mut self, now: Instant) -> Heard {
        let heard = match self.buffer.pull(now) {
            Pulled::Frame(payload) => {
                assert_eq!(payload.len(), 160);
                number(payload).map_or(Heard::Concealed, Heard::Frame)
            }
            Pulled::Concealed(payload) => {
                assert_eq!(payload.len(), 160);
                Heard::Concealed
            }
            Pulled::Silence => Heard::Silence,
        };
        self.heard.push(heard);
        heard
    }

    /// Pulls at `ms`, 20 ms later and so on, `times` times.
    fn pull_on(&mut self, ms: u64, times: u64) -> Vec<Heard> {
        (0..times).map(|tick| self.pull(at(ms + tick * 20))).collect()
    }

    fn stats(&self) -> JitterStats {
        let stats = self.buffer.stats();
        let JitterStats { received, played, late, duplicate, dropped, waiting, .. } = stats;
        assert_eq!(received, played + late + duplicate + dropped + waiting, "{stats:?}");
        stats
    }

    /// Calls `packet` before every pull of so many ms, and tells what was heard.
    fn run(&mut self, ms: std::ops::Range<u64>, mut packet: impl FnMut(&mut Self, u64)) -> Vec<Heard> {
        let begin = self.heard.len();
        for now in ms.filter(|ms| ms % 20 == 0) {
            packet(self, now);
            self.pull(at(now + 10));
        }
        self.heard[begin..].to_vec()
    }
}

/// The numbers that frames name, in the order they were heard.
fn numbers(heard: &[Heard]) -> Vec<u64> {
    heard.iter().filter_map(|heard| if let Heard::Frame(n) = heard { Some(*n) } else { None }).collect()
}

fn count(heard: &[Heard], what: Heard) -> usize {
    heard.iter().filter(|heard| **heard == what).count()
}
