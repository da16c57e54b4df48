//! Steady state allocates nothing: 50 frames a second and call would show.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use trunkline_media::{
    AudioRing, Concealer, DownTranscoder, Due, LatencyHistogram, LineCodec, ModelFormat, Playout, Recutter,
    UpTranscoder, g711, mix,
};

const FORMATS: [ModelFormat; 4] = [ModelFormat::Pcm24k, ModelFormat::Pcm16k, ModelFormat::Pcmu, ModelFormat::Pcma];
const CODECS: [LineCodec; 3] = [LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16];

/// Bytes whose clones cost nothing: the first one of fresh bytes does.
fn shared(bytes: &[u8]) -> Bytes {
    let bytes = Bytes::copy_from_slice(bytes);
    drop(bytes.clone());
    bytes
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![1_u8; 100]))).count_total, 1);
}

#[test]
fn companding_both_ways() {
    for codec in CODECS {
        let frame = vec![0x55; codec.frame_bytes()];
        let (mut samples, mut payload, mut converted) = (Vec::new(), Vec::new(), BytesMut::new());
        let mut there_and_back = || {
            samples.clear();
            payload.clear();
            g711::decode(codec, &frame, &mut samples);
            g711::encode(codec, &samples, &mut payload);
            for other in CODECS {
                converted.clear();
                g711::convert(codec, other, &payload, &mut converted);
            }
        };
        there_and_back();
        let used = measure(|| (0..500).for_each(|_| there_and_back()));
        assert_eq!(used.count_total, 0, "{codec}");
    }
}

#[test]
fn mixing() {
    let (one, other, mut sum) = ([1_000; 160], [-3; 160], Vec::new());
    mix(&one, &other, &mut sum);
    let used = measure(|| {
        for _ in 0..500 {
            sum.clear();
            mix(&one, &other, &mut sum);
        }
    });
    assert_eq!(used.count_total, 0);
}

#[test]
fn transcoding_up() {
    for codec in CODECS {
        for format in FORMATS {
            let mut up = UpTranscoder::new(codec, format).unwrap();
            let mut out = BytesMut::new();
            let frame = vec![0x55; codec.frame_bytes()];
            up.push(&frame, &mut out);
            let used = measure(|| {
                for _ in 0..500 {
                    out.clear();
                    up.push(&frame, &mut out);
                }
            });
            assert_eq!(used.count_total, 0, "{codec} to {format}");
        }
    }
}

#[test]
fn transcoding_down_item_after_item() {
    for codec in CODECS {
        for format in FORMATS {
            let mut down = DownTranscoder::new(format, codec).unwrap();
            let mut out = BytesMut::with_capacity(codec.frame_bytes() * 60);
            let burst = vec![0x11; format.bytes_per_ms() * 150 + 1];
            let used = measure(|| {
                for _ in 0..20 {
                    out.clear();
                    (0..5).for_each(|_| down.push(&burst, &mut out));
                    down.finish(&mut out);
                }
            });
            assert_eq!(used.count_total, 0, "{format} to {codec}");
        }
    }
}

#[test]
fn recutting() {
    let mut cutter = Recutter::new(LineCodec::Pcmu);
    let portion = [0xFF; 133];
    let used = measure(|| (0..500).for_each(|_| cutter.push(&portion, |frame| assert_eq!(frame.len(), 160))));
    assert_eq!(used.count_total, 0);
}

#[test]
fn concealing() {
    for codec in CODECS {
        let mut concealer = Concealer::new(codec);
        let frame = vec![0x55; codec.frame_bytes()];
        let mut out = Vec::with_capacity(codec.frame_bytes() * 3);
        let used = measure(|| {
            for _ in 0..500 {
                out.clear();
                concealer.good(&frame, &mut out);
                concealer.conceal(160, &mut out);
                concealer.join(&frame, &frame, &mut out);
            }
        });
        assert_eq!(used.count_total, 0, "{codec}");
    }
}

#[test]
fn waiting_in_the_ring() {
    let mut ring = AudioRing::new(200);
    let frame = shared(&[0xFF; 160]);
    // Half of what comes is taken: the ring is full soon, and drops its oldest.
    let mut pass = || {
        ring.push(frame.clone(), 20);
        ring.push(frame.clone(), 20);
        assert!(ring.pop().is_some());
    };
    (0..20).for_each(|_| pass());
    let used = measure(|| (0..500).for_each(|_| pass()));
    assert_eq!(used.count_total, 0);
}

/// Whole frames pass through the playout as they are.
#[test]
#[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
fn playing_what_comes() {
    let start = Instant::now();
    for codec in CODECS {
        let mut playout = Playout::new(codec);
        let frame = shared(&vec![codec.silence(); codec.frame_bytes()]);
        let mut play = |from: u32, to: u32| {
            for tick in from..to {
                let now = start + Duration::from_millis(20) * tick;
                playout.push(now, &1, frame.clone());
                assert!(matches!(playout.poll(now), Some(Due::Frame { .. })));
                assert_eq!(playout.poll(now), None);
                if tick.is_multiple_of(10) {
                    playout.refused();
                }
            }
        };
        play(0, 300);
        let used = measure(|| play(300, 1_000));
        assert_eq!(used.count_total, 0, "{codec}");
    }
}

/// What is torn between two pushes is copied into memory that eight frames share: its bytes and their count of users.
#[test]
#[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
fn playing_torn_frames_that_wait() {
    let start = Instant::now();
    let mut playout = Playout::new(LineCodec::Pcmu);
    let frame = shared(&[0xFF; 160]);
    playout.push(start, &1, frame.slice(..120));
    (0..5).for_each(|_| playout.push(start, &1, frame.clone()));
    let mut play = |from: u32, to: u32| {
        for tick in from..to {
            let now = start + Duration::from_millis(20) * tick;
            playout.push(now, &1, frame.clone());
            assert!(matches!(playout.poll(now), Some(Due::Frame { .. })));
        }
    };
    play(0, 300);
    let used = measure(|| play(300, 1_100));
    assert!(used.count_total <= 2 * 800 / 8, "{used:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
fn playing_what_waits() {
    let start = Instant::now();
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.push(start, &1, Bytes::from(vec![0xFF; 160 * 1_500]));
    let mut play = |from: u32, to: u32| {
        for tick in from..to {
            let now = start + Duration::from_millis(20) * tick;
            assert!(matches!(playout.poll(now), Some(Due::Frame { .. })));
            assert_eq!(playout.poll(now), None);
        }
    };
    // what was sent in the last 5 s is remembered: that memory is full now
    play(0, 300);
    let used = measure(|| play(300, 1_499));
    assert_eq!(used.count_total, 0);
}

#[test]
fn measuring() {
    let histogram = LatencyHistogram::new();
    let used = measure(|| (0..500).for_each(|us| histogram.record(Duration::from_micros(us))));
    assert_eq!(used.count_total, 0);
}
