//! Test tones and what is heard of them.

use std::path::{Path, PathBuf};

use trunkline_media::{LineCodec, g711};

/// A tone, 16-bit, with an amplitude of 8000 of 32768.
pub fn tone(rate: u32, hz: f64, ms: u32) -> Vec<i16> {
    let samples = rate as usize * ms as usize / 1_000;
    let step = std::f64::consts::TAU * hz / f64::from(rate);
    (0..samples).map(|n| ((n as f64 * step).sin() * 8_000.0) as i16).collect()
}

/// As little-endian bytes.
pub fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// In a line's codec.
pub fn encode(codec: LineCodec, samples: &[i16]) -> Vec<u8> {
    let mut payload = Vec::new();
    g711::encode(codec, samples, &mut payload);
    payload
}

/// From a line's codec.
pub fn decode(codec: LineCodec, payload: &[u8]) -> Vec<i16> {
    let mut samples = Vec::new();
    g711::decode(codec, payload, &mut samples);
    samples
}

/// A PCMU tone.
pub fn pcmu_tone(hz: f64, ms: u32) -> Vec<u8> {
    encode(LineCodec::Pcmu, &tone(8_000, hz, ms))
}

/// Bytes that nobody could mistake for others: every frame differs.
pub fn pattern(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            // 0x7F is mu-law's other zero: passing it through a linear stage would give 0xFF.
            if state as u8 == 0x7f { 0x70 } else { state as u8 }
        })
        .collect()
}

/// Root of the mean square.
pub fn level(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

/// Amplitude of one frequency in 8 kHz sound (Goertzel).
pub fn amplitude(samples: &[i16], hz: f64) -> f64 {
    let step = std::f64::consts::TAU * hz / 8_000.0;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let (sin, cos) = (n as f64 * step).sin_cos();
        re += f64::from(*sample) * cos;
        im += f64::from(*sample) * sin;
    }
    2.0 * re.hypot(im) / samples.len().max(1) as f64
}

/// Writes an 8 kHz mono WAV.
pub fn write_wav(path: &Path, samples: &[i16]) -> PathBuf {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in samples {
        writer.write_sample(*sample).unwrap();
    }
    writer.finalize().unwrap();
    path.to_owned()
}

/// Recorded speech as PCMU, brought from 16 to 8 kHz by averaging pairs.
pub fn speech() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/speech/librivox_austen_0880_16k.wav");
    let samples: Vec<i16> = hound::WavReader::open(path).unwrap().into_samples().map(Result::unwrap).collect();
    let halved: Vec<i16> =
        samples.chunks_exact(2).map(|pair| ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16).collect();
    encode(LineCodec::Pcmu, &halved)
}
