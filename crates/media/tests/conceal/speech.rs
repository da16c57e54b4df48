//! Recorded speech with random loss: better than the two plainest ways to fill a gap.

use std::f64::consts::PI;

use trunkline_media::LineCodec;

use super::{coded, conceal, level, linear};

/// LibriVox, public domain, 16 kHz.
const RECORDINGS: [&[u8]; 3] = [
    include_bytes!("../../../../tests/fixtures/speech/librivox_austen_0870_16k.wav"),
    include_bytes!("../../../../tests/fixtures/speech/librivox_austen_0880_16k.wav"),
    include_bytes!("../../../../tests/fixtures/speech/librivox_austen_0890_16k.wav"),
];

/// The recording at 8 kHz: a half-band filter of 31 taps, then every second sample.
fn telephone(wav: &[u8]) -> Vec<i16> {
    let samples: Vec<f64> = wav[44..].as_chunks().0.iter().map(|pair| f64::from(i16::from_le_bytes(*pair))).collect();
    let tap = |n: i32| {
        let ideal = if n == 0 { 0.5 } else { (PI * f64::from(n) / 2.0).sin() / (PI * f64::from(n)) };
        ideal * (0.5 + 0.5 * (PI * f64::from(n) / 16.0).cos())
    };
    let taps: Vec<f64> = (-15..=15).map(tap).collect();
    samples.windows(31).step_by(2).map(|w| w.iter().zip(&taps).map(|(s, t)| s * t).sum::<f64>() as i16).collect()
}

/// `audio` with lost frames as `fill` makes them of the frame before.
fn filled(audio: &[u8], lost: &[bool], fill: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out: Vec<u8> = vec![0xFF; 160];
    for (frame, lost) in audio.chunks_exact(160).zip(lost) {
        let made = if *lost { fill(&out[out.len() - 160..]) } else { frame.to_vec() };
        out.extend(made);
    }
    out.split_off(160)
}

/// Power in 18 bands of 220 Hz of the 32 ms around a lost frame, in dB above a floor that nobody hears.
fn spectrum(samples: &[i16]) -> Vec<f64> {
    let length = samples.len();
    let cosine: Vec<f64> = (0..length).map(|n| (2.0 * PI * n as f64 / length as f64).cos()).collect();
    let power = |bin: usize| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            let x = f64::from(*sample) * (0.5 - 0.5 * cosine[n]);
            re += x * cosine[bin * n % length];
            im += x * cosine[(bin * n + length / 4) % length];
        }
        (re * re + im * im) / length as f64
    };
    (0..18).map(|band| 10.0 * ((0..7).map(|bin| power(1 + band * 7 + bin)).sum::<f64>() + 1e3).log10()).collect()
}

/// The distance between two spectra where something was lost, in dB: the sum of all, and how many.
fn distance(original: &[i16], heard: &[i16], lost: &[bool]) -> (f64, u32) {
    let (mut sum, mut count) = (0.0, 0);
    // in the pauses anything will do
    let spoken = |frame: usize| level(&original[frame * 160..(frame + 1) * 160]) > 300.0;
    for frame in (0..lost.len()).filter(|frame| lost[*frame] && spoken(*frame)) {
        // where the loss begins, within it and where it ends: clicks are at its edges
        for middle in [frame * 160, frame * 160 + 80, frame * 160 + 160] {
            if middle < 128 || middle + 128 > original.len() {
                continue;
            }
            let around = middle - 128..middle + 128;
            let (a, b) = (spectrum(&original[around.clone()]), spectrum(&heard[around]));
            sum += (a.iter().zip(&b).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / a.len() as f64).sqrt();
            count += 1;
        }
    }
    (sum, count)
}

#[test]
fn speech_with_loss_is_closer_to_the_original_than_silence_or_repeated_frames() {
    let recordings: Vec<Vec<u8>> = RECORDINGS.iter().map(|wav| coded(LineCodec::Pcmu, &telephone(wav))).collect();
    for percent in [1, 2, 3] {
        let [mut concealed, mut silenced, mut repeated] = [(0.0, 0); 3];
        // a small generator of its own: the same losses for ever
        let mut state: u32 = percent;
        for audio in recordings.iter().cycle().take(24) {
            let original = linear(LineCodec::Pcmu, audio);
            let lost: Vec<bool> = (0..audio.len() / 160)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 16) % 100 < percent
                })
                .collect();
            let measure = |total: &mut (f64, u32), heard: &[u8]| {
                let (sum, count) = distance(&original, &linear(LineCodec::Pcmu, heard), &lost);
                *total = (total.0 + sum, total.1 + count);
            };
            measure(&mut concealed, &conceal(LineCodec::Pcmu, audio, |frame| lost[frame]));
            measure(&mut silenced, &filled(audio, &lost, |_| vec![0xFF; 160]));
            measure(&mut repeated, &filled(audio, &lost, <[u8]>::to_vec));
        }
        let [concealed, silenced, repeated] =
            [concealed, silenced, repeated].map(|(sum, count)| sum / f64::from(count));
        println!("{percent} % lost: concealed {concealed:.2} dB, silence {silenced:.2} dB, repeated {repeated:.2} dB");
        assert!(concealed < silenced * 0.8);
        assert!(concealed < repeated * 0.95);
    }
}
