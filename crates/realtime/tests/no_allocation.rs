//! Steady state allocates nothing: what comes and goes 50 times a second is read in place and written into reused buffers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails by panicking, and any moment will do to count from"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use base64_simd::STANDARD;
use bytes::BytesMut;
use serde_json::{Value, json};
use trunkline_realtime::event::Frame;
use trunkline_realtime::{Api, Effect, Ledger, ModelFormat, Session, SessionProfile, Timing, append_event};

const FORMATS: [ModelFormat; 4] = [ModelFormat::Pcm24k, ModelFormat::Pcm16k, ModelFormat::Pcmu, ModelFormat::Pcma];
const UNIX_MS: u64 = 1_700_000_000_000;

/// A delta with so many bytes of audio.
fn delta(bytes: usize) -> Vec<u8> {
    let audio = STANDARD.encode_to_string(vec![0x5A; bytes]);
    let event = json!({
        "type": "response.output_audio.delta", "event_id": "event_1", "response_id": "resp_1", "item_id": "item_1",
        "output_index": 0, "content_index": 0, "delta": audio,
    });
    event.to_string().into_bytes()
}

/// A session in the middle of a response.
fn speaking(format: ModelFormat, now: Instant) -> Session {
    let api = if format == ModelFormat::Pcm16k { Api::VoiceLive } else { Api::Ga };
    let profile = SessionProfile { api, format, ..SessionProfile::default() };
    let mut update: Value = serde_json::from_str(&profile.session_update()).unwrap();
    let mut session = Session::new(Arc::new(profile), Timing::default(), now);
    let mut out = Vec::new();
    let mut say = |session: &mut Session, event: Value| {
        session.on_text(now, UNIX_MS, event.to_string().as_bytes(), &mut out);
    };
    say(&mut session, json!({"type": "session.created", "session": {"id": "sess_1"}}));
    say(&mut session, json!({"type": "session.updated", "session": update.get_mut("session").unwrap().take()}));
    session.adopt(now, Ledger::default(), false, &mut Vec::new());
    say(&mut session, json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}));
    assert!(session.is_live());
    session
}

#[test]
fn writing_append_events() {
    for format in FORMATS {
        let audio = vec![0x11; format.bytes_per_ms() * 20];
        let mut out = BytesMut::new();
        append_event(&audio, &mut out);
        let used = measure(|| {
            for _ in 0..500 {
                out.clear();
                append_event(&audio, &mut out);
            }
        });
        assert_eq!(used.count_total, 0, "{format}");
    }
}

/// As the writer does it: each event is given away, and gone before the next one is written.
#[test]
fn writing_append_events_that_are_given_away() {
    let audio = [0x11; 960];
    let mut out = BytesMut::new();
    let mut write = || {
        append_event(&audio, &mut out);
        drop(out.split().freeze());
    };
    write();
    write();
    let used = measure(|| (0..500).for_each(|_| write()));
    assert_eq!(used.count_total, 0);
}

#[test]
fn reading_deltas() {
    for ms in [20, 100, 500] {
        let text = delta(48 * ms);
        let used = measure(|| {
            for _ in 0..500 {
                assert!(matches!(Frame::parse(&text), Ok(Frame::Audio(_))));
            }
        });
        assert_eq!(used.count_total, 0, "{ms} ms");
    }
}

/// Decoded sound is gone before the next delta comes, or its buffer cannot be used again: then a new one takes two
/// allocations, the bytes and their count of users.
#[test]
fn hearing_deltas() {
    let now = Instant::now();
    for format in FORMATS {
        let mut session = speaking(format, now);
        // Half a sample over, which waits for its other half.
        let text = delta(format.bytes_per_ms() * 20 + 1);
        let mut out = Vec::new();
        let mut hear = |n: u32, kept: &mut Vec<Effect>| {
            session.on_text(now + Duration::from_millis(20) * n, UNIX_MS, &text, &mut out);
            assert!(out.iter().any(|effect| matches!(effect, Effect::Audio { .. })));
            kept.append(&mut out);
        };
        let mut kept = Vec::with_capacity(1_000);
        (0..4).for_each(|n| hear(n, &mut kept));
        kept.clear();
        let used = measure(|| {
            for n in 4..500 {
                hear(n, &mut kept);
                kept.clear();
            }
        });
        assert_eq!(used.count_total, 0, "{format}");
        let used = measure(|| (500..1_000).for_each(|n| hear(n, &mut kept)));
        assert!(used.count_total <= 2 * 500, "{format}: {used:?}");
    }
}
