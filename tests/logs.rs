//! What the service writes down, and that it can be told to write more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};
use support::http::{Answer, send};
use support::model::Model;
use support::phone::Phone;
use support::process::{Service, Sim};

const SECRETS: [&str; 3] = ["key-of-the-model", "secret-of-callers", "token-of-operators"];

async fn put(service: &Service, body: &str) -> Answer {
    let headers = [("Authorization", "Bearer token-of-operators"), ("Content-Length", &body.len().to_string())];
    send(service.admin, "PUT", "/admin/log", &headers, body.as_bytes()).await
}

fn lines(service: &Service) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    service.process.stderr().lines().map(read).collect()
}

async fn one_call(service: &Service, id: &str) {
    let headers = [("Authorization", "Bearer secret-of-callers")];
    let mut phone = Phone::dial_with(service, &format!("callId={id}&from=%2B15550001234"), &headers).await;
    phone.audio(&[0xff; 1_600]);
    phone.send(json!({"type": "dtmf", "digit": "#"}));
    phone.expect("mark").await;
    phone.send(json!({"type": "stop"}));
    phone.closed().await;
}

#[tokio::test]
async fn lines_are_json_name_their_call_and_hold_no_secret_at_any_level() {
    let sim = Sim::start(&["--key", "key-of-the-model"]).await;
    let env = [
        ("TRUNKLINE__REALTIME__API_KEY", "key-of-the-model"),
        ("TRUNKLINE__INGEST__SECRET", "secret-of-callers"),
        ("TRUNKLINE__ADMIN__TOKEN", "token-of-operators"),
        ("TRUNKLINE__LOG__FORMAT", "json"),
        ("TRUNKLINE__LOG__FILTER", "info"),
    ];
    let service = Service::with_model(&sim.url(), &env).await;
    one_call(&service, "quiet").await;
    let before = lines(&service).len();
    let changed = put(&service, r#"{"filter":"trace"}"#).await;
    assert_eq!((changed.status, changed.json()), (200, json!({"filter": "trace"})));
    one_call(&service, "loud").await;

    let lines = lines(&service);
    let of = |call: &str| lines.iter().filter(|line| line["call"] == call).collect::<Vec<_>>();
    // One line a call, and with the filter open its whole timeline.
    assert_eq!(of("quiet").len(), 1, "{:#?}", of("quiet"));
    assert!(of("loud").len() > 5, "{:#?}", of("loud"));
    assert!(lines.len() > before + 5);
    // Nothing speaks of a call without naming it where machines look for it.
    for line in &lines {
        let text = line.to_string();
        assert!(
            ["quiet", "loud"].iter().all(|call| !text.contains(&format!("\"{call}\"")) || line["call"] == *call),
            "{text}"
        );
        assert!(!text.contains("5550001"), "{text}");
    }
    let summary = of("loud").into_iter().find(|line| line["message"] == "call ended").unwrap();
    assert_eq!((&summary["reason"], &summary["result"]), (&json!("caller_hangup"), &json!("success")));
    assert_eq!((&summary["up_frames"], &summary["responses"]), (&json!(10), &json!(1)));
    assert_eq!(summary["trace_id"].as_str().unwrap().len(), 32, "a call that came without a trace has one of its own");
    assert_eq!((&summary["link"], &summary["route"]), (&json!("ingest"), &json!("*")));
    for key in ["setup_ms", "up_dropped_at", "down_dropped_at", "bridge_up_p99_us", "response_p50_us", "rtp_lost"] {
        assert!(summary.get(key).is_some(), "{key}: {summary:#}");
    }
    let text = service.process.stderr();
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret}: {:?}", text.lines().find(|line| line.contains(secret)));
    }
}

#[tokio::test]
async fn a_filter_that_says_nothing_useful_changes_nothing() {
    let env = [("TRUNKLINE__ADMIN__TOKEN", "token-of-operators"), ("TRUNKLINE__LOG__FILTER", "warn,trunkline=info")];
    let service = Service::start(&env).await;
    for body in
        ["", "{}", r#"{"filter":7}"#, r#"{"filter":"loud"}"#, r#"{"filter":"trunkline=loud"}"#, r#"{"filter":""}"#]
    {
        let refused = put(&service, body).await;
        assert_eq!((refused.status, refused.refusal().as_str()), (400, "bad_filter"), "{body}");
    }
    let shown = send(service.admin, "GET", "/admin/log", &[("Authorization", "Bearer token-of-operators")], b"").await;
    assert_eq!(shown.json(), json!({"filter": "warn,trunkline=info"}));
}

#[tokio::test]
async fn what_is_said_and_pressed_is_for_the_page_alone() {
    let mut model = Model::start().await;
    let env = [
        ("TRUNKLINE__REALTIME__API_KEY", "key-of-the-model"),
        ("TRUNKLINE__LOG__FORMAT", "json"),
        ("TRUNKLINE__LOG__FILTER", "trace"),
    ];
    let service = Service::with_model(&model.url(), &env).await;
    let mut phone = Phone::dial(&service, "callId=private").await;
    let mut session = model.session().await;
    for key in ["9", "7", "#"] {
        phone.send(json!({"type": "dtmf", "digit": key}));
    }
    session.expect("conversation.item.create").await;
    session.transcript_of_caller("item_0", "my card ends in swordfish");
    session.begin_answer(1, &[0; 4_800], &[]);
    session.words("resp_1", "item_1", "your code is ");
    session.audio_done("resp_1", "item_1");
    session.send(json!({"type": "response.output_audio_transcript.done", "event_id": "e", "response_id": "resp_1",
        "item_id": "item_1", "output_index": 0, "content_index": 0, "transcript": "your code is marmalade"}));
    session.call_tool("resp_1", "call_1", "hang_up", r#"{"reason":"the caller is Rumpelstiltskin"}"#);
    session.response_done("resp_1", "item_1", "completed");
    phone.closed().await;

    let shown = send(service.admin, "GET", "/admin/calls/private", &[], b"").await.json();
    let timeline = shown["timeline"].to_string();
    let log = service.process.stderr();
    for words in ["swordfish", "marmalade", "Rumpelstiltskin", "\"text\":\"9\"", "\"text\":\"7\""] {
        assert!(timeline.contains(words), "{words}: {timeline}");
        assert!(!log.contains(words), "{words}: {:?}", log.lines().find(|line| line.contains(words)));
    }
    for kind in ["caller", "model", "dtmf", "tool"] {
        assert!(log.contains(&format!("\"kind\":\"{kind}\"")), "that there was a {kind} is told");
    }
}
