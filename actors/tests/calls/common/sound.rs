//! Recorded speech, tones, and what can be told of them.

use bytes::{Bytes, BytesMut};
use trunkline_media::{DownTranscoder, LineCodec, ModelFormat, g711};

/// 8 kHz samples of a sine.
pub fn tone(hz: u32, ms: u64) -> Vec<i16> {
    let step = std::f64::consts::TAU * f64::from(hz) / 8_000.0;
    (0..ms * 8).map(|n| (9_000.0 * (step * n as f64).sin()) as i16).collect()
}

/// Mu-law of samples at 8 kHz.
pub fn pcmu(samples: &[i16]) -> Bytes {
    let mut out = Vec::new();
    g711::encode(LineCodec::Pcmu, samples, &mut out);
    out.into()
}

pub fn linear(payload: &[u8]) -> Vec<i16> {
    let mut out = Vec::new();
    g711::decode(LineCodec::Pcmu, payload, &mut out);
    out
}

pub fn silence(ms: usize) -> Bytes {
    Bytes::from(vec![0xFF; ms * 8])
}

/// `seconds` of a reader's voice as mu-law.
pub fn speech(seconds: usize) -> Bytes {
    let samples = [870, 880, 890].into_iter().flat_map(|number| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/speech");
        let path = format!("{folder}/librivox_austen_{number:04}_16k.wav");
        hound::WavReader::open(path).unwrap().into_samples::<i16>().map(Result::unwrap)
    });
    let bytes: Vec<u8> = samples.take(seconds * 16_000).flat_map(i16::to_le_bytes).collect();
    assert_eq!(bytes.len(), seconds * 32_000, "the recordings are shorter than {seconds} s");
    let mut down = DownTranscoder::new(ModelFormat::Pcm16k, LineCodec::Pcmu).unwrap();
    let mut out = BytesMut::new();
    down.push(&bytes, &mut out);
    down.finish(&mut out);
    out.freeze()
}

/// Root mean square of a payload.
pub fn level(payload: &[u8]) -> f64 {
    let samples = linear(payload);
    (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64).sqrt()
}

/// How alike two signals are, -1 to 1, where `heard` is `delay` samples late.
pub fn likeness(said: &[i16], heard: &[i16], delay: usize) -> f64 {
    let pairs = said.iter().zip(heard.iter().skip(delay));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        let (a, b) = (f64::from(*a), f64::from(*b));
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    ab / (aa * bb).sqrt().max(1.0)
}

/// The best likeness over delays of up to `most` samples, with the delay.
pub fn best_likeness(said: &[i16], heard: &[i16], most: usize) -> (f64, usize) {
    (0..=most).map(|delay| (likeness(said, heard, delay), delay)).fold((-1.0, 0), |a, b| if b.0 > a.0 { b } else { a })
}

/// Pitch of a frame that holds a tone, in Hz; 0 if it is quiet.
pub fn pitch(frame: &[u8]) -> u32 {
    if level(frame) < 1_000.0 {
        return 0;
    }
    let samples = linear(frame);
    let crossings: Vec<usize> = (1..samples.len()).filter(|n| samples[n - 1] < 0 && samples[*n] >= 0).collect();
    let (Some(first), Some(last)) = (crossings.first(), crossings.last()) else { return 0 };
    ((crossings.len() as f64 - 1.0) * 8_000.0 / (last - first) as f64 / 10.0).round() as u32 * 10
}
