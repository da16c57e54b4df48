//! One call's record: what its writers may do to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use trunkline_call::{
    CallFacts, CallId, CallRecord, CallState, Direction, DropPlace, EndReason, MAX_NOTE_BYTES, MAX_TIMELINE_ENTRIES,
    Termination, TraceContext,
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn record() -> CallRecord {
    CallRecord::new(CallId::parse("call-1").unwrap(), 1_795_428_000_250)
}

fn full_facts() -> CallFacts {
    CallFacts {
        trace: TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None).map(Box::new),
        transaction_id: Some("tx-1".to_owned()),
        sma_transaction_id: Some("sma-1".to_owned()),
        direction: Some(Direction::Outbound),
        from: Some("+15551234567".to_owned()),
        to: Some("+15557654321".to_owned()),
        route: Some("*".to_owned()),
        link: Some("sip".to_owned()),
        session_id: Some("sess_1".to_owned()),
        metadata: Some(json!({"customer": 7})),
    }
}

#[test]
fn an_ended_call_stays_ended() {
    let record = record();
    assert!(!record.set_state(CallState::Ended), "only end() ends a call");
    assert_eq!((record.state(), record.ended()), (CallState::Announced, None));
    assert!(record.end(EndReason::NoMedia.into(), ms(30_000)));
    assert!(!record.set_state(CallState::Active));
    assert!(!record.end(EndReason::Internal.into(), ms(40_000)));
    assert_eq!(record.ended(), Some((Termination::new(EndReason::NoMedia), ms(30_000))));
    assert_eq!(record.state(), CallState::Ended);
}

#[test]
fn the_first_ending_wins_among_threads() {
    for _ in 0..50 {
        let record = record();
        let barrier = std::sync::Barrier::new(EndReason::ALL.len());
        let winners: Vec<EndReason> = std::thread::scope(|scope| {
            let end = |reason: EndReason| {
                barrier.wait();
                record.end(reason.into(), ms(1)).then_some(reason)
            };
            let threads: Vec<_> = EndReason::ALL.into_iter().map(|reason| scope.spawn(move || end(reason))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        let (termination, _) = record.ended().unwrap();
        assert_eq!(winners, [termination.reason]);
    }
}

#[test]
fn what_is_known_first_stays() {
    let mut facts = CallFacts { from: Some("+1".to_owned()), ..CallFacts::default() };
    facts.learn(full_facts());
    assert_eq!(facts, CallFacts { from: Some("+1".to_owned()), ..full_facts() });
    facts.learn(CallFacts { to: Some("+2".to_owned()), ..CallFacts::default() });
    assert_eq!(facts.to.as_deref(), Some("+15557654321"));
}

#[test]
fn a_call_is_known_by_each_of_its_ids() {
    let record = record();
    assert!(record.is_known_as("call-1"));
    assert!(!record.is_known_as("tx-1"));
    record.update(|facts| facts.learn(full_facts()));
    assert!(record.is_known_as("tx-1") && record.is_known_as("sma-1"));
    assert!(!record.is_known_as("sess_1") && !record.is_known_as(""));
}

#[test]
fn the_timeline_is_bounded_and_counts_what_is_left_out() {
    let record = record();
    for at in 0..420 {
        record.note(at, "barge_in", format!("item {at}"));
    }
    // Why a long call ended is told all the same.
    for at in 420..MAX_TIMELINE_ENTRIES as u64 + 40 {
        record.note(at, "session", format!("lost {at}"));
    }
    let json = serde_json::to_value(record.detail(ms(0), false)).unwrap();
    let timeline = json["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), MAX_TIMELINE_ENTRIES);
    assert_eq!(timeline[0], json!({"atMs": 0, "kind": "barge_in", "text": "item 0"}));
    assert_eq!((&timeline[399]["atMs"], &timeline[400]["atMs"]), (&json!(399), &json!(420)));
    assert_eq!(timeline[MAX_TIMELINE_ENTRIES - 1], json!({"atMs": 519, "kind": "session", "text": "lost 519"}));
    assert_eq!(json["timelineDropped"], 40);
}

#[test]
fn a_long_note_is_cut_between_characters() {
    let record = record();
    for (text, whole) in
        [("x".repeat(MAX_NOTE_BYTES), true), ("ä".repeat(MAX_NOTE_BYTES), false), ("x€".repeat(400), false)]
    {
        record.note(0, "transcript", text.clone());
        let kept = record.detail(ms(0), false).timeline.pop().unwrap().text;
        assert!(kept.len() <= MAX_NOTE_BYTES && kept.len() > MAX_NOTE_BYTES - 8, "{}", kept.len());
        assert_eq!(kept == text, whole);
        assert!(text.starts_with(kept.trim_end_matches('…')));
    }
}

#[test]
fn rates_are_of_the_time_since_the_last() {
    let up = record().up;
    assert!(up.fps() == 0.0);
    up.add_frames(50);
    up.measure_rate(ms(1_000));
    assert!(up.fps() == 50.0, "{}", up.fps());
    up.add_frames(25);
    up.measure_rate(ms(1_003));
    assert!(up.fps() == 24.9, "{}", up.fps());
    up.measure_rate(ms(1_000));
    assert!(up.fps() == 0.0, "{}", up.fps());
    up.add_frames(50);
    up.measure_rate(ms(1_001));
    assert!(up.fps() == 50.0, "rounded, not cut: {}", up.fps());
    up.measure_rate(ms(0));
    assert_eq!((up.frames(), up.fps()), (125, 50.0), "no time, no rate");
}

#[test]
fn every_place_of_loss_has_its_own_counter() {
    let down = record().down;
    for (place, frames) in DropPlace::ALL.into_iter().zip(1..) {
        down.add_dropped(place, frames);
    }
    for (place, frames) in DropPlace::ALL.into_iter().zip(1..) {
        assert_eq!(down.dropped_at(place), frames, "{}", place.name());
    }
    assert_eq!(down.dropped(), 21);
}

#[test]
fn counters_lose_nothing_among_threads() {
    let record = Arc::new(record());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for at in 0..1_000 {
                    record.up.add_frames(1);
                    record.down.add_dropped(DropPlace::Socket, 2);
                    record.note(at, "x", String::new());
                    assert!(record.view(ms(at), false).up.frames >= at);
                }
            });
        }
    });
    assert_eq!((record.up.frames(), record.down.dropped()), (4_000, 8_000));
    let detail = record.detail(ms(0), false);
    assert_eq!(detail.timeline.len() as u64 + detail.timeline_dropped, 4_000);
}

#[test]
fn a_panic_under_the_lock_loses_nothing() {
    let record = record();
    record.update(|facts| facts.learn(full_facts()));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| record.update(|_| panic!("an actor's fault"))));
    std::panic::set_hook(hook);
    assert!(result.is_err());
    assert_eq!(record.facts(), full_facts());
    assert!(record.end(EndReason::Internal.into(), ms(5)));
    assert_eq!(record.view(ms(0), false).end_reason, Some(EndReason::Internal));
}
