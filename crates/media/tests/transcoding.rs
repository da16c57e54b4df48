//! Lengths, edges and continuity of both transcoders, whatever portions the audio comes in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::f64::consts::TAU;

use bytes::BytesMut;
use proptest::prelude::*;
use trunkline_media::{DownTranscoder, LineCodec, ModelFormat, UpTranscoder, g711};

const FORMATS: [ModelFormat; 4] = [ModelFormat::Pcm24k, ModelFormat::Pcm16k, ModelFormat::Pcmu, ModelFormat::Pcma];
const CODECS: [LineCodec; 3] = [LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16];

/// Model audio made of `sample(n)` for n in 0..samples.
fn model_audio(format: ModelFormat, samples: usize, sample: impl Fn(usize) -> i16) -> Vec<u8> {
    (0..samples)
        .flat_map(|n| match format {
            ModelFormat::Pcm24k | ModelFormat::Pcm16k => sample(n).to_le_bytes().to_vec(),
            ModelFormat::Pcmu => vec![g711::encode_ulaw(sample(n))],
            ModelFormat::Pcma => vec![g711::encode_alaw(sample(n))],
        })
        .collect()
}

fn tone(format: ModelFormat, hz: f64, samples: usize) -> Vec<u8> {
    let rate = f64::from(format.rate());
    model_audio(format, samples, |n| (20_000.0 * (TAU * hz * n as f64 / rate).sin()) as i16)
}

/// One item through `down`, in portions of the given sizes, over and over.
fn item(down: &mut DownTranscoder, audio: &[u8], portions: &[usize]) -> BytesMut {
    let mut out = BytesMut::new();
    let mut rest = audio;
    for portion in portions.iter().cycle() {
        let (now, later) = rest.split_at((*portion).min(rest.len()));
        down.push(now, &mut out);
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    down.finish(&mut out);
    out
}

fn linear(codec: LineCodec, line: &[u8]) -> Vec<i16> {
    let mut samples = Vec::new();
    g711::decode(codec, line, &mut samples);
    samples
}

#[test]
fn two_seconds_are_a_hundred_frames_in_any_bursts() {
    for format in FORMATS {
        let ms = format.bytes_per_ms();
        let audio = tone(format, 440.0, format.rate() as usize * 2);
        let bursts: [&[usize]; 8] = [
            &[20 * ms],
            &[100 * ms],
            &[150 * ms],
            &[250 * ms],
            &[500 * ms],
            &[2_000 * ms],
            &[1, 3, 333, 7 * ms + 1],
            &[100 * ms - 1, 150 * ms + 1],
        ];
        for codec in CODECS {
            let mut down = DownTranscoder::new(format, codec).unwrap();
            let whole = item(&mut down, &audio, &[audio.len()]);
            assert_eq!(whole.len(), 100 * codec.frame_bytes(), "{format} to {codec}");
            for burst in bursts {
                assert_eq!(item(&mut down, &audio, burst), whole, "{format} to {codec} in {burst:?}");
            }
            // byte by byte for a while, then the rest at once
            let mut out = BytesMut::new();
            let (slow, fast) = audio.split_at(999);
            slow.iter().for_each(|byte| down.push(&[*byte], &mut out));
            down.push(fast, &mut out);
            down.finish(&mut out);
            assert_eq!(out, whole, "{format} to {codec} byte by byte");
        }
    }
}

#[test]
fn any_length_is_rounded_up_to_whole_frames() {
    for format in FORMATS {
        for codec in CODECS {
            let mut down = DownTranscoder::new(format, codec).unwrap();
            for ms in (0..100).chain([119, 120, 121, 999, 1_000, 1_001]) {
                let audio = tone(format, 300.0, format.rate() as usize / 1_000 * ms);
                let frames = item(&mut down, &audio, &[audio.len().max(1)]).len() / codec.frame_bytes();
                assert_eq!(frames, ms.div_ceil(20), "{ms} ms of {format} to {codec}");
            }
            // one sample past a frame begins a new one; half a sample does not
            let frame = format.rate() as usize / 50 * format.bytes_per_sample();
            for (bytes, frames) in [(frame + format.bytes_per_sample(), 2), (frame, 1), (format.bytes_per_sample(), 1)]
            {
                let line = item(&mut down, &vec![format.silence(); bytes], &[bytes]);
                assert_eq!(line.len(), frames * codec.frame_bytes(), "{bytes} bytes of {format} to {codec}");
            }
            if format.bytes_per_sample() == 2 {
                assert_eq!(item(&mut down, &vec![0; frame + 1], &[7]).len(), codec.frame_bytes());
            }
        }
    }
}

#[test]
fn the_first_and_the_last_sample_come_out() {
    for format in FORMATS {
        let samples = format.rate() as usize * 2;
        for codec in CODECS {
            let mut down = DownTranscoder::new(format, codec).unwrap();
            for at in [0, samples - 1] {
                let audio = model_audio(format, samples, |n| if n == at { 32_000 } else { 0 });
                let line = linear(codec, &item(&mut down, &audio, &[4_800]));
                assert_eq!(line.len(), 16_000);
                let edge = if at == 0 { line[0] } else { line[15_999] };
                assert!(edge > 4_000, "{format} to {codec}: {edge} for the impulse at {at}");
                let middle = line[200..15_800].iter().map(|sample| sample.abs()).max().unwrap();
                assert!(middle <= 8, "{format} to {codec}: {middle} away from the impulse at {at}");
            }
        }
    }
}

#[test]
fn an_item_is_not_shifted() {
    for format in [ModelFormat::Pcm24k, ModelFormat::Pcm16k] {
        let mut down = DownTranscoder::new(format, LineCodec::L16).unwrap();
        let audio = tone(format, 1_003.7, format.rate() as usize);
        let line = linear(LineCodec::L16, &item(&mut down, &audio, &[4_801]));
        for (n, sample) in line.iter().enumerate().skip(80).take(7_840) {
            let expected = 20_000.0 * (TAU * 1_003.7 * n as f64 / 8_000.0).sin();
            assert!((f64::from(*sample) - expected).abs() < 4.0, "{format}: {sample} for {expected:.0} at {n}");
        }
    }
}

#[test]
fn what_fills_the_last_frame_is_silence() {
    for format in FORMATS {
        for codec in CODECS {
            let mut down = DownTranscoder::new(format, codec).unwrap();
            let audio = tone(format, 800.0, format.rate() as usize / 1_000 * 25);
            let line = item(&mut down, &audio, &[audio.len()]);
            let padding = &line[25 * codec.bytes_per_ms()..];
            assert_eq!(padding.len(), 15 * codec.bytes_per_ms());
            assert!(padding.iter().all(|byte| *byte == codec.silence()), "{format} to {codec}");
        }
    }
}

#[test]
fn items_do_not_hear_each_other() {
    for format in FORMATS {
        let first = tone(format, 2_000.0, 5_003);
        let second = tone(format, 700.0, 7_777);
        let alone = item(&mut DownTranscoder::new(format, LineCodec::Pcmu).unwrap(), &second, &[900]);
        let mut down = DownTranscoder::new(format, LineCodec::Pcmu).unwrap();
        item(&mut down, &first, &[1_001]);
        assert_eq!(item(&mut down, &second, &[900]), alone, "{format} after a finished item");
        // a cleared item leaves neither audio nor half a sample behind
        let mut cleared = BytesMut::new();
        down.push(&first[..2_001], &mut cleared);
        down.reset();
        assert_eq!(item(&mut down, &second, &[900]), alone, "{format} after a cleared item");
        down.push(&first[..3], &mut cleared);
        down.reset();
        cleared.clear();
        down.finish(&mut cleared);
        assert!(cleared.is_empty(), "{format}: reset drops without flushing");
    }
}

#[test]
fn equal_formats_pass_untouched() {
    let bytes: Vec<u8> = (0..=255).cycle().take(16_000).collect();
    for (format, codec) in [(ModelFormat::Pcmu, LineCodec::Pcmu), (ModelFormat::Pcma, LineCodec::Pcma)] {
        let mut up = UpTranscoder::new(codec, format).unwrap();
        let mut out = BytesMut::new();
        bytes.chunks(77).for_each(|portion| up.push(portion, &mut out));
        assert_eq!(out, bytes);
        let mut down = DownTranscoder::new(format, codec).unwrap();
        assert_eq!(item(&mut down, &bytes, &[77]), bytes);
    }
}

#[test]
fn upward_every_frame_gives_exactly_twenty_milliseconds() {
    for codec in CODECS {
        for format in FORMATS {
            let mut up = UpTranscoder::new(codec, format).unwrap();
            for _ in 0..1_000 {
                let mut out = BytesMut::new();
                up.push(&vec![codec.silence(); codec.frame_bytes()], &mut out);
                assert_eq!(out.len(), 20 * format.bytes_per_ms(), "{codec} to {format}");
            }
        }
    }
}

#[test]
fn upward_a_tone_is_continuous_and_five_milliseconds_late() {
    for format in [ModelFormat::Pcm24k, ModelFormat::Pcm16k] {
        let wave = |seconds: f64| 20_000.0 * (TAU * 1_003.7 * seconds).sin();
        let line: Vec<u8> = (0..8_000).flat_map(|n| (wave(f64::from(n) / 8_000.0) as i16).to_le_bytes()).collect();
        let mut up = UpTranscoder::new(LineCodec::L16, format).unwrap();
        let mut out = BytesMut::new();
        line.chunks(333).for_each(|portion| up.push(portion, &mut out));
        let samples = linear(LineCodec::L16, &out);
        assert_eq!(samples.len(), format.rate() as usize);
        for (n, sample) in samples.iter().enumerate().skip(format.rate() as usize / 50) {
            let expected = wave(n as f64 / f64::from(format.rate()) - 0.005);
            assert!((f64::from(*sample) - expected).abs() < 4.0, "{format}: {sample} for {expected:.0} at {n}");
        }
    }
}

#[test]
fn upward_reset_forgets() {
    for codec in CODECS {
        let mut up = UpTranscoder::new(codec, ModelFormat::Pcm24k).unwrap();
        let mut loud = BytesMut::new();
        up.push(&[0x10; 777], &mut loud);
        up.reset();
        let mut out = BytesMut::new();
        up.push(&vec![codec.silence(); codec.frame_bytes()], &mut out);
        let quiet = linear(LineCodec::L16, &out).iter().all(|sample| sample.abs() <= 9);
        assert!(quiet && out.len() == 960, "{codec}");
    }
}

#[test]
fn full_scale_clips_instead_of_wrapping() {
    // a square wave at full scale overshoots when band-limited
    let audio = model_audio(ModelFormat::Pcm24k, 24_000, |n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN });
    let mut down = DownTranscoder::new(ModelFormat::Pcm24k, LineCodec::L16).unwrap();
    let line = linear(LineCodec::L16, &item(&mut down, &audio, &[960]));
    for (n, sample) in line.iter().enumerate().filter(|(n, _)| (3..10).contains(&(n * 3 % 40 / 3))) {
        let high = n * 3 / 40 % 2 == 0;
        assert_eq!(*sample > 0, high, "{sample} at {n}");
    }
    assert!(line.contains(&i16::MAX));
}

fn portions() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![0_usize..8, 0_usize..200, 0_usize..12_000], 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn downward_portions_never_change_the_sound(
        bytes in prop::collection::vec(any::<u8>(), 1..20_000),
        mut portions in portions(),
        format in prop::sample::select(FORMATS.to_vec()),
        codec in prop::sample::select(CODECS.to_vec()),
    ) {
        portions.push(1);
        let mut down = DownTranscoder::new(format, codec).unwrap();
        let whole = item(&mut down, &bytes, &[bytes.len()]);
        let samples = bytes.len() / format.bytes_per_sample();
        let frames = samples.div_ceil(format.rate() as usize / 50);
        prop_assert_eq!(whole.len(), frames * codec.frame_bytes());
        prop_assert_eq!(item(&mut down, &bytes, &portions), whole);
    }

    #[test]
    fn upward_portions_never_change_the_sound(
        bytes in prop::collection::vec(any::<u8>(), 1..20_000),
        mut portions in portions(),
        format in prop::sample::select(FORMATS.to_vec()),
        codec in prop::sample::select(CODECS.to_vec()),
    ) {
        portions.push(1);
        let mut whole = BytesMut::new();
        UpTranscoder::new(codec, format).unwrap().push(&bytes, &mut whole);
        let mut up = UpTranscoder::new(codec, format).unwrap();
        let mut parts = BytesMut::new();
        let mut rest = &bytes[..];
        for portion in portions.iter().cycle() {
            let (now, later) = rest.split_at((*portion).min(rest.len()));
            up.push(now, &mut parts);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(parts, whole);
    }
}
