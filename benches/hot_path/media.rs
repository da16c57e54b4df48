//! Sound: companding, resampling, re-cutting, playout.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::Criterion;
use trunkline_media::{
    DownTranscoder, Due, FRAME_MS, FRAME_SAMPLES, LineCodec, ModelFormat, Playout, Recutter, UpTranscoder, g711,
};

use crate::MODEL_FORMATS;
use crate::path::sound::{line_frame, model_audio, samples};

pub fn companding(c: &mut Criterion) {
    let mut group = c.benchmark_group("g711");
    let frame = samples(FRAME_SAMPLES);
    for codec in [LineCodec::Pcmu, LineCodec::Pcma] {
        let payload = line_frame(codec);
        let mut out = Vec::with_capacity(FRAME_SAMPLES);
        group.bench_function(format!("decode {codec} 160"), |b| {
            b.iter(|| {
                out.clear();
                g711::decode(codec, black_box(&payload), &mut out);
                black_box(&out);
            });
        });
        let mut out = Vec::with_capacity(FRAME_SAMPLES);
        group.bench_function(format!("encode {codec} 160"), |b| {
            b.iter(|| {
                out.clear();
                g711::encode(codec, black_box(&frame), &mut out);
                black_box(&out);
            });
        });
    }
    group.finish();
}

/// Between linear samples, so that no companding is in it.
pub fn resampling(c: &mut Criterion) {
    let mut group = c.benchmark_group("resample 20 ms");
    let line = line_frame(LineCodec::L16);
    for format in [ModelFormat::Pcm24k, ModelFormat::Pcm16k] {
        let khz = format.rate() / 1_000;
        let mut up = UpTranscoder::new(LineCodec::L16, format).unwrap();
        let mut out = BytesMut::new();
        group.bench_function(format!("8 to {khz} kHz"), |b| {
            b.iter(|| {
                out.clear();
                up.push(black_box(&line), &mut out);
                black_box(&out);
            });
        });
        let mut down = DownTranscoder::new(format, LineCodec::L16).unwrap();
        let model = model_audio(format, FRAME_MS as usize);
        let mut out = BytesMut::new();
        group.bench_function(format!("{khz} to 8 kHz"), |b| {
            b.iter(|| {
                out.clear();
                down.push(black_box(&model), &mut out);
                black_box(&out);
            });
        });
    }
    group.finish();
}

pub fn transcoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("transcode 20 ms");
    let caller = line_frame(LineCodec::Pcmu);
    for format in MODEL_FORMATS {
        let mut up = UpTranscoder::new(LineCodec::Pcmu, format).unwrap();
        let mut out = BytesMut::new();
        group.bench_function(format!("up pcmu to {format}"), |b| {
            b.iter(|| {
                out.clear();
                up.push(black_box(&caller), &mut out);
                black_box(&out);
            });
        });
        let mut down = DownTranscoder::new(format, LineCodec::Pcmu).unwrap();
        let model = model_audio(format, FRAME_MS as usize);
        let mut out = BytesMut::new();
        group.bench_function(format!("down {format} to pcmu"), |b| {
            b.iter(|| {
                out.clear();
                down.push(black_box(&model), &mut out);
                black_box(&out);
            });
        });
    }
    group.finish();
}

pub fn recutting(c: &mut Criterion) {
    let mut group = c.benchmark_group("recut 20 ms");
    let frame = line_frame(LineCodec::Pcmu);
    // Whole frames pass; half a frame ahead makes every frame a join of two portions.
    for (name, ahead) in [("whole", 0), ("split", 80)] {
        let mut cutter = Recutter::new(LineCodec::Pcmu);
        cutter.push(frame.get(..ahead).unwrap(), |_| {});
        group.bench_function(name, |b| b.iter(|| cutter.push(black_box(&frame), |cut| _ = black_box(cut))));
    }
    group.finish();
}

pub fn playing(c: &mut Criterion) {
    let frame = Bytes::from(line_frame(LineCodec::Pcmu));
    let mut playout = Playout::new(LineCodec::Pcmu);
    let mut now = Instant::now();
    c.bench_function("playout push and poll 20 ms", |b| {
        b.iter(|| {
            playout.push(now, &1_u32, frame.clone());
            let due = playout.poll(now);
            assert!(matches!(due, Some(Due::Frame { .. })), "a frame is due at every tick");
            assert!(playout.poll(now).is_none(), "and no second one");
            now += Duration::from_millis(u64::from(FRAME_MS));
        });
    });
    assert_eq!((playout.underruns(), playout.late_ticks()), (0, 0), "the made-up clock is exact");
}
