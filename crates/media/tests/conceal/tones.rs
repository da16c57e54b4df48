//! Signals whose continuation is known.

use std::f64::consts::TAU;

use proptest::prelude::*;
use trunkline_media::{Concealer, LineCodec};

use super::{coded, conceal, level, linear};

const CODECS: [LineCodec; 3] = [LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16];

fn tone(hz: f64, frames: usize) -> Vec<i16> {
    (0..frames * 160).map(|n| (8_000.0 * (TAU * hz * n as f64 / 8_000.0).sin()) as i16).collect()
}

fn largest_step(samples: &[i16]) -> i32 {
    samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap()
}

#[test]
fn nothing_lost_is_passed_bit_exact() {
    let audio: Vec<u8> = (0..=255).cycle().take(320 * 40).collect();
    for codec in CODECS {
        assert_eq!(conceal(codec, &audio, |_| false), audio, "{codec}");
    }
}

#[test]
fn a_concealed_tone_has_no_click() {
    for codec in CODECS {
        for hz in [70.0, 110.0, 173.0, 220.0, 311.0, 440.0, 697.0, 1_000.0, 1_633.0] {
            let samples = tone(hz, 30);
            let audio = coded(codec, &samples);
            let natural = largest_step(&linear(codec, &audio));
            for lost in 1..=6 {
                let heard = linear(codec, &conceal(codec, &audio, |frame| (10..10 + lost).contains(&frame)));
                let step = largest_step(&heard);
                // G.711's own steps are coarse at this level
                assert!(step <= natural * 13 / 10 + 256, "{codec}, {hz} Hz, {lost} lost: {step} of {natural}");
            }
        }
    }
}

#[test]
fn a_lost_frame_of_a_tone_goes_on_as_the_tone() {
    for hz in [100.0, 200.0, 400.0, 800.0] {
        let samples = tone(hz, 20);
        let heard = linear(LineCodec::L16, &conceal(LineCodec::L16, &coded(LineCodec::L16, &samples), |n| n == 10));
        // the first 10 ms are at full level
        let error: Vec<i16> = (1_600..1_680).map(|n| heard[n] - samples[n]).collect();
        assert!(level(&error) * 20.0 < level(&samples[1_600..1_680]), "{hz} Hz: {} off", level(&error));
    }
}

#[test]
fn what_is_made_up_fades_and_is_silent_after_60_ms() {
    let audio = coded(LineCodec::L16, &tone(200.0, 20));
    let mut concealer = Concealer::new(LineCodec::L16);
    concealer.good(&audio, &mut Vec::new());
    let mut levels = Vec::new();
    for ten_ms in 0..10 {
        assert_eq!(concealer.is_silent(), ten_ms >= 6);
        let mut out = Vec::new();
        concealer.conceal(80, &mut out);
        levels.push(level(&linear(LineCodec::L16, &out)));
    }
    let full = 8_000.0 / 2.0_f64.sqrt();
    assert!((levels[0] / full - 1.0).abs() < 0.03, "{levels:?}");
    for (index, middle) in [(1, 0.9), (2, 0.7), (3, 0.5), (4, 0.3), (5, 0.1)] {
        assert!((levels[index] / full - middle).abs() < 0.05, "{levels:?}");
    }
    assert!(levels[6..].iter().all(|level| *level == 0.0), "{levels:?}");
}

#[test]
fn after_a_loss_the_original_is_back_within_10_ms() {
    let audio = coded(LineCodec::Pcmu, &tone(300.0, 30));
    for (lost, blend) in [(1, 80), (2, 80), (9, 80)] {
        let heard = conceal(LineCodec::Pcmu, &audio, |frame| (10..10 + lost).contains(&frame));
        let resumed = (10 + lost) * 160;
        assert_eq!(heard[resumed + blend..], audio[resumed + blend..]);
        assert_eq!(heard[..1_600], audio[..1_600]);
    }
    let mut concealer = Concealer::new(LineCodec::Pcmu);
    let mut out = Vec::new();
    concealer.good(&audio[..1_600], &mut out);
    concealer.conceal(40, &mut out);
    out.clear();
    concealer.good(&audio[1_640..1_800], &mut out);
    assert_eq!(out[32..], audio[1_672..1_800], "5 ms lost, 4 ms to blend");
}

#[test]
fn two_frames_in_the_time_of_one_begin_with_the_first_and_end_with_the_second() {
    let audio = coded(LineCodec::L16, &tone(150.0, 12));
    let mut concealer = Concealer::new(LineCodec::L16);
    let mut out = Vec::new();
    concealer.good(&audio[..3_200], &mut out);
    concealer.join(&audio[3_200..3_520], &audio[3_520..], &mut out);
    let heard = linear(LineCodec::L16, &out);
    assert_eq!(heard.len(), 11 * 160);
    assert!(largest_step(&heard) <= largest_step(&tone(150.0, 12)) * 2);
    // it remembers what was heard: a loss goes on from there
    let last = heard[heard.len() - 1];
    let mut made_up = Vec::new();
    concealer.conceal(160, &mut made_up);
    assert!((linear(LineCodec::L16, &made_up)[0] - last).abs() < 2_000);
}

#[test]
fn a_reset_forgets_what_was_heard() {
    let mut concealer = Concealer::new(LineCodec::Pcmu);
    concealer.good(&coded(LineCodec::Pcmu, &tone(200.0, 5)), &mut Vec::new());
    concealer.reset();
    let mut out = Vec::new();
    concealer.conceal(160, &mut out);
    assert!(out.iter().all(|code| *code == 0xFF));
}

proptest! {
    #[test]
    fn any_use_gives_exactly_what_was_asked_for(
        codec in prop::sample::select(CODECS.to_vec()),
        ops in prop::collection::vec((0_u8..3, 0_usize..700, any::<u8>()), 0..60),
    ) {
        let mut concealer = Concealer::new(codec);
        let mut out = Vec::new();
        let mut expected = 0;
        for (op, samples, code) in ops {
            let bytes = samples * codec.bytes_per_sample();
            let payload: Vec<u8> = (0..bytes).map(|n| code.wrapping_mul(n as u8)).collect();
            match op {
                0 => concealer.good(&payload, &mut out),
                1 => concealer.conceal(samples, &mut out),
                _ => concealer.join(&payload, &payload, &mut out),
            }
            expected += bytes;
            prop_assert_eq!(out.len(), expected);
        }
    }
}
