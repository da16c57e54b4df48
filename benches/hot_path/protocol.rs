//! The model's protocol: the caller's audio as an event, the model's audio out of one.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use criterion::Criterion;
use serde_json::{Value, json};
use trunkline_media::{FRAME_MS, ModelFormat};
use trunkline_realtime::event::Frame;
use trunkline_realtime::{Effect, Ledger, Session, SessionProfile, Timing, append_event};

use crate::MODEL_FORMATS;
use crate::path::sound::{delta, model_audio, response_begins};

pub fn appending(c: &mut Criterion) {
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
    for event in response_begins() {
        session.on_text(now, 1_700_000_000_000, event.as_bytes(), &mut out);
    }
    session
}

pub fn parsing(c: &mut Criterion) {
    let mut group = c.benchmark_group("audio delta");
    let now = Instant::now();
    for ms in [20, 100, 400] {
        let text = delta(ModelFormat::Pcm24k, ms);
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
