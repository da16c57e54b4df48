//! The playout: its clock, its accounts, and both under random use. Time is made up throughout.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod accounts;
mod clock;
mod gaps;
mod lead;
mod marks;
mod random;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trunkline_media::{Due, Playout};

/// Milliseconds since the beginning of time.
fn at(ms: u64) -> Instant {
    at_us(ms * 1_000)
}

fn at_us(us: u64) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_micros(us)
}

/// `ms` milliseconds of mu-law that is not silence.
fn audio(ms: usize) -> Bytes {
    Bytes::from((0..ms * 8).map(|i| (i % 200) as u8).collect::<Vec<_>>())
}

/// Everything due at one moment.
fn poll_all<K: Clone + PartialEq>(playout: &mut Playout<K>, now: Instant) -> Vec<Due<K>> {
    std::iter::from_fn(|| playout.poll(now)).collect()
}

/// Plays punctually up to and including `until`: when each frame and mark came, in milliseconds.
fn play_until<K: Clone + PartialEq>(playout: &mut Playout<K>, until: u64) -> Vec<(u64, Due<K>)> {
    let mut played = Vec::new();
    while let Some(due) = playout.next_due().filter(|due| *due <= at(until)) {
        let ms = (due - at(0)).as_millis() as u64;
        played.extend(poll_all(playout, due).into_iter().map(|what| (ms, what)));
    }
    played
}

/// The moments of frames alone.
fn frame_times<K: Clone + PartialEq>(played: &[(u64, Due<K>)]) -> Vec<u64> {
    played.iter().filter(|(_, what)| matches!(what, Due::Frame { .. })).map(|(ms, _)| *ms).collect()
}

/// `F1` for a frame of item 1, `M1` for its mark, `-` for silence.
fn names(played: &[Due<u32>]) -> Vec<String> {
    let name = |what: &Due<u32>| match what {
        Due::Frame { item, .. } => format!("F{item}"),
        Due::Mark(item) => format!("M{item}"),
        Due::Fill(_) => "-".to_owned(),
    };
    played.iter().map(name).collect()
}
