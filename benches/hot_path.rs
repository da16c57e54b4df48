//! What one frame of 20 ms costs, piece by piece, without sockets and tasks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench fails by panicking, times itself, and documents itself by its names"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use serde_json::{Value, json};
use trunkline_actors::link::{LinkAudio, LinkOut, link};
use trunkline_media::{
    DownTranscoder, Due, FRAME_MS, FRAME_SAMPLES, LineCodec, ModelFormat, Playout, Recutter, UpTranscoder, g711,
};
use trunkline_realtime::event::Frame;
use trunkline_realtime::{Effect, Ledger, Session, SessionProfile, Timing, append_event};

const MODEL_FORMATS: [ModelFormat; 3] = [ModelFormat::Pcm24k, ModelFormat::Pcm16k, ModelFormat::Pcmu];

/// Samples that use the whole range of 16 bits, so that no branch of the codecs is always taken.
fn samples(count: usize) -> Vec<i16> {
    let mut rng = fastrand::Rng::with_seed(1);
    (0..count).map(|_| rng.i16(..) >> rng.u32(0..12)).collect()
}

fn line_frame(codec: LineCodec) -> Vec<u8> {
    let mut payload = Vec::new();
    g711::encode(codec, &samples(FRAME_SAMPLES), &mut payload);
    payload
}

/// Model audio of that length, as bytes.
fn model_audio(format: ModelFormat, ms: usize) -> Vec<u8> {
    let bytes = format.bytes_per_ms() * ms;
    samples(bytes).into_iter().flat_map(i16::to_le_bytes).take(bytes).collect()
}

fn companding(c: &mut Criterion) {
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

fn transcoding(c: &mut Criterion) {
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

fn recutting(c: &mut Criterion) {
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

fn playing(c: &mut Criterion) {
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

fn appending(c: &mut Criterion) {
    let mut group = c.benchmark_group("append event 20 ms");
    for format in MODEL_FORMATS {
        let audio = model_audio(format, FRAME_MS as usize);
        let mut out = BytesMut::new();
        group.bench_function(format.to_string(), |b| {
            b.iter(|| {
                out.clear();
                append_event(black_box(&audio), &mut out);
                black_box(&out);
            });
        });
    }
    group.finish();
}

/// A delta as the service writes it, of 24 kHz audio.
fn delta(ms: usize) -> Vec<u8> {
    let audio = base64_simd::STANDARD.encode_to_string(model_audio(ModelFormat::Pcm24k, ms));
    let event = json!({
        "type": "response.output_audio.delta", "event_id": "event_CbXoXkDsFpLT7wLIrZmbw", "response_id": "resp_CbXoXLJgHb5Rf0tzqUfbV",
        "item_id": "item_CbXoXFdJlRzhcK2sU8J3n", "output_index": 0, "content_index": 0, "delta": audio,
    });
    serde_json::to_vec(&event).unwrap()
}

/// A session that is set up and speaks.
fn live_session(now: Instant) -> Session {
    let profile = SessionProfile::default();
    let asked: Value = serde_json::from_str(&profile.session_update()).unwrap();
    let mut echoed = asked.get("session").unwrap().clone();
    echoed.as_object_mut().unwrap().insert("id".to_owned(), json!("sess_1"));
    let mut session = Session::new(Arc::new(profile), Timing::default(), now);
    let mut out = Vec::new();
    for event in [
        json!({"type": "session.created", "session": {"id": "sess_1"}}),
        json!({"type": "session.updated", "session": echoed}),
    ] {
        session.on_text(now, 1_700_000_000_000, event.to_string().as_bytes(), &mut out);
    }
    session.adopt(now, Ledger::default(), false, &mut out);
    assert!(session.is_live());
    for event in [
        json!({"type": "response.created", "response": {"id": "resp_CbXoXLJgHb5Rf0tzqUfbV", "status": "in_progress", "output": []}}),
        json!({"type": "response.output_item.added", "response_id": "resp_CbXoXLJgHb5Rf0tzqUfbV", "output_index": 0,
            "item": {"id": "item_CbXoXFdJlRzhcK2sU8J3n", "type": "message", "role": "assistant", "status": "in_progress", "content": []}}),
    ] {
        session.on_text(now, 1_700_000_000_000, event.to_string().as_bytes(), &mut out);
    }
    session
}

fn parsing(c: &mut Criterion) {
    let mut group = c.benchmark_group("audio delta");
    let now = Instant::now();
    for ms in [20, 100, 400] {
        let text = delta(ms);
        group.bench_function(format!("parse {ms} ms"), |b| {
            b.iter(|| assert!(matches!(Frame::parse(black_box(&text)), Ok(Frame::Audio(_)))));
        });
        // All the protocol does with it: parsed, matched with its item, decoded.
        let mut session = live_session(now);
        let mut out = Vec::new();
        group.bench_function(format!("parse and decode {ms} ms"), |b| {
            b.iter(|| {
                out.clear();
                session.on_text(now, 1_700_000_000_000, black_box(&text), &mut out);
                assert!(out.iter().any(|effect| matches!(effect, Effect::Audio { .. })));
            });
        });
    }
    group.finish();
}

fn crossing(c: &mut Criterion) {
    let (sender, mut receiver) = link(LineCodec::Pcmu);
    let frame = Bytes::from(line_frame(LineCodec::Pcmu));
    c.bench_function("link lane hop", |b| {
        b.iter_batched(
            || LinkAudio::Frame(frame.clone()),
            |frame| {
                sender.audio(frame).unwrap();
                let next = receiver.next().now_or_never().flatten();
                assert!(matches!(next, Some(LinkOut::Audio(LinkAudio::Frame(_)))));
                next
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(hot_path, companding, transcoding, recutting, playing, appending, parsing, crossing);
criterion_main!(hot_path);
