//! What is heard in the place of lost audio.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod speech;
mod tones;

use trunkline_media::{Concealer, LineCodec, g711};

fn linear(codec: LineCodec, payload: &[u8]) -> Vec<i16> {
    let mut samples = Vec::new();
    g711::decode(codec, payload, &mut samples);
    samples
}

fn coded(codec: LineCodec, samples: &[i16]) -> Vec<u8> {
    let mut payload = Vec::new();
    g711::encode(codec, samples, &mut payload);
    payload
}

/// `audio` in frames of 20 ms, those that `lost` names made up.
fn conceal(codec: LineCodec, audio: &[u8], lost: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut concealer = Concealer::new(codec);
    let mut out = Vec::new();
    for (index, frame) in audio.chunks_exact(codec.frame_bytes()).enumerate() {
        if lost(index) {
            concealer.conceal(160, &mut out);
        } else {
            concealer.good(frame, &mut out);
        }
        assert_eq!(out.len(), (index + 1) * codec.frame_bytes());
    }
    out
}

fn level(samples: &[i16]) -> f64 {
    (samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}
