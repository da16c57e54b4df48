//! Events of calls as operators bring them in: what becomes of each, and what is kept out of the log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use support::phone::Phone;
use support::process::Service;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/chime/tests/fixtures/aws");
const OURS: &str = "fx7q2mvbd9k3htn5wz1rgy";

/// What each file of `bad/` leads to, by the table in its README.
const OUTCOMES: [(&str, &str); 31] = [
    ("deeply-nested.txt", "poison"),
    ("detail-is-a-json-string.json", "poison"),
    ("duplicate-keys.txt", "poison"),
    ("empty.txt", "poison"),
    ("invalid-utf8.bin.hex", "poison"),
    ("iscaller-as-string.json", "applied"),
    ("json-array.json", "poison"),
    ("json-scalar.json", "poison"),
    ("lambda-sqs-wrapper.json", "poison"),
    ("lowercase-streaming-status.json", "ignored"),
    ("missing-detail.json", "poison"),
    ("missing-streaming-status.json", "ignored"),
    ("no-account-moto-style.json", "applied"),
    ("no-id.json", "applied"),
    ("not-json.txt", "poison"),
    ("null-detail.json", "poison"),
    ("other-voice-connector.json", "foreign"),
    ("s3-test-event.json", "foreign"),
    ("sns-wrapped.json", "applied"),
    ("stale-started-days-old.json", "stale"),
    ("started-empty-callid.json", "poison"),
    ("started-hostile-callid.json", "poison"),
    ("started-missing-callid.json", "poison"),
    ("started-numeric-callid.json", "poison"),
    ("started-oversized-callid.json", "poison"),
    ("truncated.txt", "poison"),
    ("unknown-direction.json", "applied"),
    ("unknown-streaming-status.json", "ignored"),
    ("unparsable-start-time.json", "applied"),
    ("wrong-detail-type.json", "foreign"),
    ("wrong-source.json", "foreign"),
];

fn body(name: &str) -> Vec<u8> {
    let bytes = std::fs::read(format!("{FIXTURES}/{name}")).unwrap();
    if !name.ends_with(".hex") {
        return bytes;
    }
    let digits: String = String::from_utf8(bytes).unwrap().split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// The samples' days as of now, and a call of its own for each file: they all tell of the same one.
fn rebased(name: &str) -> Vec<u8> {
    let body = body(name);
    let Ok(text) = String::from_utf8(body.clone()) else { return body };
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let text = text.replace("2026-11-20T15:04:06Z", &now);
    let own = name.trim_start_matches("bad/").split('.').next().unwrap();
    text.replace("5f0c1b1e-7c38-4b0a-9a53-0d7f0a6b9c11", &format!("c-{own}")).into_bytes()
}

/// A STARTED or ENDED of now.
fn event(name: &str, call: &str) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(&body(&format!("streaming/{name}.json"))).unwrap();
    event["time"] = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().into();
    event["detail"]["callId"] = call.into();
    event.to_string().into_bytes()
}

async fn service() -> Service {
    Service::start(&[("TRUNKLINE__EVENTS__VOICE_CONNECTOR_IDS", OURS), ("TRUNKLINE__LOG__FILTER", "trace")]).await
}

async fn take(service: &Service, body: &[u8]) -> String {
    let answer = service.post_body("/admin/events", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["outcome"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_bad_body_is_taken_as_its_table_says_and_leaves_no_trace_of_itself() {
    let service = service().await;
    let mut names: Vec<String> = std::fs::read_dir(format!("{FIXTURES}/bad"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, OUTCOMES.map(|(name, _)| name), "every file is in the table");
    let mut counts = BTreeMap::<&str, u64>::new();
    for (name, expected) in OUTCOMES {
        let name = format!("bad/{name}");
        assert_eq!(take(&service, &rebased(&name)).await, expected, "{name}");
        *counts.entry(expected).or_default() += 1;
    }
    // What was news is announced, and nothing else.
    let calls = service.get("/admin/calls").await.json();
    let calls = calls["calls"].as_array().unwrap();
    assert_eq!(calls.len() as u64, counts["applied"], "{calls:?}");
    assert!(calls.iter().all(|call| call["state"] == "announced"), "{calls:?}");

    let metrics = service.get("/metrics").await.body;
    for outcome in ["applied", "duplicate", "stale", "foreign", "ignored", "poison"] {
        let line = format!("trunkline_events_total{{outcome=\"{outcome}\"}} {}", counts.get(outcome).unwrap_or(&0));
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
    let by_reason = metrics.lines().filter(|line| line.starts_with("trunkline_events_poison_total{"));
    let sum: u64 = by_reason.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(sum, counts["poison"], "{metrics}");

    // Not even at its most talkative does the log hold what a stranger wrote, or a number.
    let log = service.process.stderr();
    assert!(log.lines().count() > 3, "{log}");
    let oversized: Value = serde_json::from_slice(&body("bad/started-oversized-callid.json")).unwrap();
    let oversized = oversized["detail"]["callId"].as_str().unwrap();
    for raw in ["5550100001", "5550199002", "etc/passwd\0", "passwd\u{0}", oversized, "[[[[[[[[[["] {
        assert_eq!(log.lines().find(|line| line.contains(raw)), None, "{raw:?} was logged");
    }
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn days_later_a_beginning_is_stale_unless_any_age_is_taken() {
    let service = service().await;
    let old = body("streaming/01-started-caller.json");
    assert_eq!(take(&service, &old).await, "stale");
    let any_age = Service::start(&[("TRUNKLINE__EVENTS__MAX_AGE", "0")]).await;
    assert_eq!(take(&any_age, &old).await, "applied");
    assert_eq!(take(&any_age, &old).await, "duplicate");
}

#[tokio::test]
async fn an_announced_call_is_the_one_whose_media_comes_and_its_end_is_not_cut_short() {
    let service = service().await;
    for (name, outcome) in [
        ("01-started-caller", "applied"),
        ("02-started-callee", "applied"),
        ("01-started-caller", "duplicate"),
        ("02-started-callee", "duplicate"),
    ] {
        assert_eq!(take(&service, &event(name, "c-1")).await, outcome, "{name}");
    }
    let announced = service.call("c-1").await;
    assert_eq!((&announced["state"], &announced["direction"]), (&json!("announced"), &json!("inbound")));
    assert!(announced["from"].as_str().unwrap().ends_with("0001"), "{announced:#}");
    let transaction = announced["transactionId"].as_str().unwrap().to_owned();

    let mut phone = Phone::dial(&service, "callId=c-1&route=6001").await;
    let live = service.call_when("c-1", "active", |call| call["state"] == "active").await;
    assert_eq!((&live["transactionId"], &live["direction"]), (&json!(transaction), &json!("inbound")), "{live:#}");
    assert_eq!(service.get("/admin/calls").await.json()["calls"].as_array().unwrap().len(), 1);

    // FAILED is about a copy elsewhere. ENDED while the media is here: it gets a moment to end by itself.
    assert_eq!(take(&service, &event("10-failed", "c-1")).await, "ignored");
    assert_eq!(take(&service, &event("03-ended-caller", "c-1")).await, "applied");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(service.call("c-1").await["endReason"], Value::Null);
    phone.send(json!({"type": "stop"}));
    phone.closed().await;
    assert_eq!(service.ended("c-1").await["endReason"], "caller_hangup");
    // What comes late does not bring it back.
    assert_eq!(take(&service, &event("01-started-caller", "c-1")).await, "duplicate");
    assert_eq!(service.get("/admin/calls").await.json(), json!({"calls": []}));
}

#[tokio::test]
async fn an_end_before_its_beginning_leaves_no_ghost() {
    let service = service().await;
    assert_eq!(take(&service, &event("03-ended-caller", "c-1")).await, "applied");
    assert_eq!(take(&service, &event("01-started-caller", "c-1")).await, "stale");
    assert_eq!(service.get("/admin/calls").await.json(), json!({"calls": []}));
}
