//! What the load harness's callers say is understood by its model, whatever a bridge's transcoder does to it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test fails by panicking")]

#[path = "../benches/load/script.rs"]
mod script;

use bytes::BytesMut;
use script::{Hearing, Sounds, Tick, WINDOW_MS, at, level};
use trunkline_media::{FRAME_SAMPLES, LineCodec, ModelFormat, UpTranscoder, g711};

/// A hum with words in it.
fn speech() -> Vec<u8> {
    let loud = |n: usize| if n / (FRAME_SAMPLES * 20) % 2 == 1 { 9_000.0 } else { 40.0 };
    (0..FRAME_SAMPLES * 80).map(|n| g711::encode_ulaw(((n as f64 * 0.3).sin() * loud(n)) as i16)).collect()
}

/// Numbers heard and turns counted of what a caller says in so many ticks.
fn heard(number: u32, ticks: u32, barges: bool, format: Option<ModelFormat>) -> (Option<u32>, u32) {
    let sounds = Sounds::new(&speech());
    let mut up = format.map(|format| UpTranscoder::new(LineCodec::Pcmu, format).unwrap());
    let (mut hearing, mut turns, mut rest) = (Hearing::default(), 0, Vec::new());
    for tick in 0..ticks {
        let frame = sounds.frame(at(number, tick, barges));
        let samples: Vec<i16> = match &mut up {
            Some(up) => {
                let mut out = BytesMut::new();
                up.push(frame, &mut out);
                out.chunks_exact(2).map(|pair| i16::from_le_bytes(pair.try_into().unwrap())).collect()
            }
            None => frame.iter().map(|code| g711::decode_ulaw(*code)).collect(),
        };
        rest.extend(samples);
        let window = WINDOW_MS * if up.is_some() { 24 } else { 8 };
        for window in rest.chunks_exact(window) {
            let energy: f64 = window.iter().map(|sample| f64::from(*sample).powi(2)).sum();
            turns += u32::from(hearing.window((energy / window.len() as f64).sqrt()));
        }
        rest.drain(..rest.len() / window * window);
    }
    (hearing.number(), turns)
}

#[test]
fn every_caller_is_told_from_the_others() {
    for number in (0..script::MAX_CALLS).step_by(37).chain([script::MAX_CALLS - 1]) {
        assert_eq!(heard(number, 60, false, None), (Some(number), 1));
    }
    for number in [0, 1, 2, 5, 499, 8_191, script::MAX_CALLS - 1] {
        assert_eq!(heard(number, 60, false, Some(ModelFormat::Pcm24k)), (Some(number), 1));
    }
}

#[test]
fn a_turn_every_four_seconds_and_a_barge_in_every_eight() {
    let registered = (script::REGISTERED.as_millis() / script::TICK.as_millis()) as u32;
    let cycles = (script::EVERY.as_millis() / script::TICK.as_millis()) as u32 * 4;
    for format in [None, Some(ModelFormat::Pcm24k)] {
        assert_eq!(heard(7, registered + cycles, false, format).1, 4);
        assert_eq!(heard(7, registered + cycles, true, format).1, 6);
    }
    let onsets = (0..registered + cycles).filter(|tick| matches!(at(7, *tick, true), Tick::Onset { barge: true }));
    assert_eq!(onsets.count(), 2);
}

#[test]
fn words_are_loud_throughout_and_silence_is_none() {
    let sounds = Sounds::new(&speech());
    for word in 0..15 {
        assert!(level(sounds.frame(Tick::Loud(word))) > script::LOUD);
    }
    assert!(level(sounds.frame(Tick::Quiet)) < 10.0);
}
