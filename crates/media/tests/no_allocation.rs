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
    Concealer, DownTranscoder, Due, LatencyHistogram, LineCodec, ModelFormat, Playout, Recutter, UpTranscoder,
};

const FORMATS: [ModelFormat; 4] = [ModelFormat::Pcm24k, ModelFormat::Pcm16k, ModelFormat::Pcmu, ModelFormat::Pcma];
const CODECS: [LineCodec; 3] = [LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16];

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![1_u8; 100]))).count_total, 1);
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
#[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
fn playing() {
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
