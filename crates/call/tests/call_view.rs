//! CALL, the JSON of the admin listener.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_call::{
    CallFacts, CallId, CallRecord, CallState, Direction, DropPlace, EndReason, FallbackState, LinePoint, ModelStatus,
    RtpReading, TraceContext,
};

const STARTED: u64 = 1_795_428_000_250;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn record() -> CallRecord {
    CallRecord::new(CallId::parse("call-1").unwrap(), STARTED)
}

fn full_facts() -> CallFacts {
    CallFacts {
        trace: TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None).map(Box::new),
        transaction_id: Some("tx-1".to_owned()),
        sma_transaction_id: Some("sma-1".to_owned()),
        direction: Some(Direction::Inbound),
        from: Some("+15551234567".to_owned()),
        to: Some("+15557654321".to_owned()),
        route: Some("+1*".to_owned()),
        link: Some("ingest".to_owned()),
        session_id: Some("sess_1".to_owned()),
        metadata: Some(json!({"customer": 7})),
    }
}

#[test]
fn a_new_call_shows_every_key() {
    let golden = concat!(
        r#"{"callId":"call-1","transactionId":null,"smaTransactionId":null,"state":"announced","direction":null,"#,
        r#""from":null,"to":null,"route":null,"link":null,"startedAt":"2026-11-23T10:00:00.250Z","#,
        r#""durationMs":1500,"endReason":null,"#,
        r#""up":{"frames":0,"fps":0.0,"dropped":0,"queuedMs":0},"#,
        r#""down":{"frames":0,"fps":0.0,"dropped":0,"queuedMs":0,"underruns":0},"#,
        r#""model":{"state":"off","sessionId":null,"reconnects":0,"responses":0,"interruptions":0,"#,
        r#""responseLatencyMs":{"last":null,"p50":null,"p95":null,"p99":null}},"#,
        r#""bridge":{"upMs":{"p50":null,"p99":null},"downMs":{"p50":null,"p99":null}},"#,
        r#""fallback":{"state":"idle","entered":0,"prompts":0},"rtp":null}"#,
    );
    assert_eq!(serde_json::to_string(&record().view(ms(1_500), false)).unwrap(), golden);
}

/// A call with something at every key.
fn busy() -> CallRecord {
    let record = record();
    record.update(|facts| facts.learn(full_facts()));
    assert!(record.set_state(CallState::Active));
    record.up.add_frames(498);
    record.rtp.set(&RtpReading {
        received: 990,
        lost: 10,
        late: 3,
        concealed_ms: 260,
        jitter: Duration::from_micros(4_500),
        depth_ms: 60,
        // On a fast line the peer's clock may take all of it.
        round_trip: Some(Duration::ZERO),
        mos: 4.0123,
    });
    record.up.measure_rate(ms(10_000));
    record.up.add_dropped(DropPlace::VcRing, 3);
    record.up.add_dropped_ms(DropPlace::SessionRing, 90);
    record.up.set_queued_ms(40);
    record.up.add_silence(2);
    record.down.add_frames(250);
    record.down.measure_rate(ms(5_000));
    record.down.add_dropped(DropPlace::Socket, 1);
    record.down.set_queued_ms(1_240);
    record.down.set_underruns(2);
    record.down.set_late_ticks(4);
    record.model.set_state(ModelStatus::Speaking);
    record.model.add_reconnect();
    (0..3).for_each(|_| record.model.add_response());
    record.model.add_interruption();
    [400, 500, 650].map(ms).into_iter().for_each(|latency| record.model.record_latency(latency));
    record.bridge.up.record(Duration::from_micros(300));
    record.bridge.down.record(Duration::from_micros(900));
    record.fallback.set_state(FallbackState::Media);
    record.fallback.add_entered();
    (0..2).for_each(|_| record.fallback.add_prompt());
    record
}

/// Takes the number at `pointer` out and checks it: the histograms are exact to 5 %.
fn take_about(json: &mut Value, pointer: &str, expected: f64) {
    let place = json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is missing"));
    let found = place.take().as_f64().unwrap_or_else(|| panic!("{pointer} is no number"));
    assert!((found - expected).abs() <= expected * 0.05 + 0.001, "{pointer} is {found}, not about {expected}");
}

#[test]
fn a_busy_call_shows_what_was_counted() {
    let mut json = serde_json::to_value(busy().view(ms(61_234), false)).unwrap();
    for (pointer, expected) in [
        ("/model/responseLatencyMs/p50", 500.0),
        ("/model/responseLatencyMs/p95", 650.0),
        ("/model/responseLatencyMs/p99", 650.0),
        ("/bridge/upMs/p50", 0.3),
        ("/bridge/upMs/p99", 0.3),
        ("/bridge/downMs/p50", 0.9),
        ("/bridge/downMs/p99", 0.9),
    ] {
        take_about(&mut json, pointer, expected);
    }
    let golden = json!({
        "callId": "call-1", "transactionId": "tx-1", "smaTransactionId": "sma-1", "state": "active",
        "direction": "inbound", "from": "***4567", "to": "***4321", "route": "+1*", "link": "ingest",
        "startedAt": "2026-11-23T10:00:00.250Z", "durationMs": 61_234, "endReason": null,
        "up": {"frames": 498, "fps": 49.8, "dropped": 8, "queuedMs": 40},
        "down": {"frames": 250, "fps": 50.0, "dropped": 1, "queuedMs": 1_240, "underruns": 2},
        "model": {"state": "speaking", "sessionId": "sess_1", "reconnects": 1, "responses": 3, "interruptions": 1,
            "responseLatencyMs": {"last": 650.0, "p50": null, "p95": null, "p99": null}},
        "bridge": {"upMs": {"p50": null, "p99": null}, "downMs": {"p50": null, "p99": null}},
        "fallback": {"state": "media", "entered": 1, "prompts": 2},
        "rtp": {"packets": 990, "lost": 10, "lossPercent": 1.0, "late": 3, "concealedMs": 260, "jitterMs": 4.5,
            "depthMs": 60, "roundTripMs": 0.0, "mos": 4.012},
    });
    assert_eq!(json, golden);
}

#[test]
fn numbers_are_shown_only_on_demand() {
    let record = busy();
    let shown = record.view(ms(0), true);
    assert_eq!((shown.from.as_deref(), shown.to.as_deref()), (Some("+15551234567"), Some("+15557654321")));
    for text in [
        serde_json::to_string(&record.view(ms(0), false)).unwrap(),
        serde_json::to_string(&record.detail(ms(0), false)).unwrap(),
        format!("{record:?}"),
    ] {
        assert!(!text.contains("555123") && !text.contains("555765"), "{text}");
    }
}

#[test]
fn an_ended_call_keeps_its_length_and_has_no_rate() {
    let record = busy();
    assert!(record.end(EndReason::CallerHangup.into(), ms(70_000)));
    let json = serde_json::to_value(record.view(ms(999_999), false)).unwrap();
    assert_eq!(json["state"], "ended");
    assert_eq!(json["endReason"], "caller_hangup");
    assert_eq!(json["durationMs"], 70_000);
    assert_eq!(json["up"], json!({"frames": 498, "fps": 0.0, "dropped": 8, "queuedMs": 0}));
    assert_eq!(json["down"], json!({"frames": 250, "fps": 0.0, "dropped": 1, "queuedMs": 0, "underruns": 2}));
    assert_eq!(json["model"]["state"], "off");
    assert_eq!(json["fallback"]["state"], "media");
}

#[test]
fn states_have_the_names_of_the_contract() {
    let record = record();
    let states = [
        (CallState::Connecting, "connecting"),
        (CallState::Active, "active"),
        (CallState::Fallback, "fallback"),
        (CallState::Ending, "ending"),
        (CallState::Announced, "announced"),
    ];
    for (state, name) in states {
        assert!(record.set_state(state));
        assert_eq!((record.state(), state.as_str()), (state, name));
        assert_eq!(serde_json::to_value(record.view(ms(0), false)).unwrap()["state"], name);
    }
    let models = ["off", "connecting", "ready", "speaking", "lost"];
    use ModelStatus::{Connecting, Lost, Off, Ready, Speaking};
    for (state, name) in [Off, Connecting, Ready, Speaking, Lost].into_iter().zip(models) {
        record.model.set_state(state);
        assert_eq!((record.model.state(), state.as_str()), (state, name));
        assert_eq!(serde_json::to_value(state).unwrap(), name);
    }
    let fallbacks = ["idle", "sma", "media", "gave_up"];
    use FallbackState::{GaveUp, Idle, Media, Sma};
    for (state, name) in [Idle, Sma, Media, GaveUp].into_iter().zip(fallbacks) {
        record.fallback.set_state(state);
        assert_eq!((record.fallback.state(), state.as_str()), (state, name));
        assert_eq!(serde_json::to_value(state).unwrap(), name);
    }
    assert_eq!(
        serde_json::to_value([Direction::Inbound, Direction::Outbound]).unwrap(),
        json!(["inbound", "outbound"])
    );
}

#[test]
fn detail_is_call_and_more() {
    let record = busy();
    record.model.set_setup(Duration::from_micros(81_500));
    record.note(12, "started", "by ingest".to_owned());
    record.note_taking(900, "answer", "first audio".to_owned(), ms(412));
    record.add_line_point(1_010, LinePoint { up_db: -12, down_db: -96, up_queued_ms: 20, down_queued_ms: 0 });
    record.end(EndReason::FallbackExhausted.into(), ms(80_000));
    let call = serde_json::to_value(record.view(ms(0), false)).unwrap();
    let mut detail = serde_json::to_value(record.detail(ms(0), false)).unwrap();
    let more = detail.as_object_mut().unwrap();
    assert_eq!(more.remove("traceId"), Some(json!("4bf92f3577b34da6a3ce929d0e0e4736")));
    assert_eq!(more.remove("setupMs"), Some(json!(81.5)));
    assert_eq!(more.remove("result"), Some(json!("upstream_error")));
    let entries = json!([
        {"atMs": 12, "kind": "started", "text": "by ingest"},
        {"atMs": 900, "kind": "answer", "text": "first audio", "ms": 412},
    ]);
    assert_eq!(more.remove("timeline"), Some(entries));
    let series = json!({
        "stepMs": 1_000, "fromMs": 10, "upDb": [-12], "downDb": [-96], "upQueuedMs": [20], "downQueuedMs": [0],
    });
    assert_eq!(more.remove("series"), Some(series));
    assert_eq!(more.remove("timelineDropped"), Some(json!(0)));
    let drops = json!({
        "up": {"vc_ring": 3, "session_ring": 5, "socket": 0, "playout_limit": 0, "bad_audio": 0, "mailbox": 0},
        "down": {"vc_ring": 0, "session_ring": 0, "socket": 1, "playout_limit": 0, "bad_audio": 0, "mailbox": 0},
    });
    assert_eq!(more.remove("drops"), Some(drops));
    let mut histograms = more.remove("histograms").unwrap();
    for (key, values) in [("upMs", vec![0.3]), ("downMs", vec![0.9]), ("responseLatencyMs", vec![400.0, 500.0, 650.0])]
    {
        let buckets = histograms.as_object_mut().unwrap().remove(key).unwrap();
        let buckets: Vec<(f64, u64)> = serde_json::from_value(buckets).unwrap();
        assert_eq!(buckets.len(), values.len(), "{key}");
        for ((upper, count), value) in buckets.into_iter().zip(values) {
            assert_eq!(count, 1);
            assert!(upper >= value * 0.999 && upper <= value * 1.06, "{key}: {value} in a bucket up to {upper}");
        }
    }
    assert_eq!(histograms, json!({}));
    assert_eq!(detail, call, "without them it is CALL");
}

#[test]
fn odd_times_do_not_panic() {
    let record = CallRecord::new(CallId::parse("x").unwrap(), u64::MAX);
    let view = record.view(Duration::MAX, false);
    assert_eq!((view.started_at.as_str(), view.duration_ms), ("9999-12-31T23:59:59.999Z", u64::MAX));
    record.model.record_latency(Duration::MAX);
    assert!(record.model.last_latency().is_some());
    assert_eq!(
        CallRecord::new(CallId::parse("x").unwrap(), 0).view(ms(0), false).started_at,
        "1970-01-01T00:00:00.000Z"
    );
}

#[test]
fn a_round_trip_is_null_only_while_no_report_gave_one() {
    let record = record();
    record.rtp.set(&RtpReading { received: 2, lost: 3, ..RtpReading::default() });
    let mut reading = RtpReading { received: 1, ..RtpReading::default() };
    for (trip, shown) in
        [(None, None), (Some(Duration::ZERO), Some(0.0)), (Some(Duration::from_micros(1_500)), Some(1.5))]
    {
        reading.round_trip = trip;
        record.rtp.set(&reading);
        assert_eq!(record.view(ms(0), false).rtp.unwrap().round_trip_ms, shown);
    }
    // What came late after all is lost no more, but a sum over all calls must not go back.
    assert_eq!((record.rtp.get().unwrap().lost, record.rtp.most_lost()), (0, 3));
}
