//! What strangers and a Voice Connector put into the queue, read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod samples;

use std::collections::BTreeSet;

use samples::{body, names};
use serde_json::{Value, json};
use trunkline_chime::event::{CallEvent, Direction, MAX_BODY_BYTES, Message, Poison, Status, read};

const CALL_ID: &str = "5f0c1b1e-7c38-4b0a-9a53-0d7f0a6b9c11";
const TRANSACTION_ID: &str = "b61f0a57-2f8c-4e0f-8f2e-51f6f1a7d3e2";
const CONNECTOR: &str = "fx7q2mvbd9k3htn5wz1rgy";

fn call(body: &[u8]) -> CallEvent {
    match read(body) {
        Message::Call(event) => event,
        other => panic!("{other:?}"),
    }
}

fn poison(body: &[u8]) -> Poison {
    match read(body) {
        Message::Poison(poison) => poison,
        other => panic!("{other:?}"),
    }
}

/// The first STARTED of the samples, to be changed.
fn sample() -> Value {
    samples::json("streaming/01-started-caller.json")
}

fn with(path: &str, value: impl Into<Value>) -> Vec<u8> {
    let mut event = sample();
    *event.pointer_mut(path).unwrap() = value.into();
    event.to_string().into_bytes()
}

/// The FAILED of the samples with another reason.
fn failed(reason: Value) -> Vec<u8> {
    let mut event = samples::json("streaming/10-failed.json");
    event["detail"]["failureReason"] = reason;
    event.to_string().into_bytes()
}

/// The bodies in an answer to ReceiveMessage.
fn message_bodies(name: &str) -> Vec<String> {
    let answer = samples::json(name);
    let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_started_is_read_to_the_last_member() {
    let event = call(&body("streaming/01-started-caller.json"));
    let stream = "ChimeVoiceConnector-fx7q2mvbd9k3htn5wz1rgy-0d4c4b6e-6a1f-4f2b-9a37-1f5f0e1d2c3b/1795100000123";
    let expected = CallEvent {
        status: Status::Started,
        call_id: CALL_ID.to_owned(),
        transaction_id: TRANSACTION_ID.to_owned(),
        voice_connector_id: CONNECTOR.to_owned(),
        is_caller: Some(true),
        direction: Some(Direction::Inbound),
        from: Some("+15550100001".to_owned()),
        to: Some("+15550199002".to_owned()),
        stream_arn: Some(format!("arn:aws:kinesisvideo:us-east-1:111122223333:stream/{stream}")),
        at_unix_ms: Some(1_795_187_046_000),
        failure_reason: None,
    };
    assert_eq!(event, expected);
}

#[test]
fn every_sample_of_the_service_is_read() {
    use Status::{Ended, Failed, Started, Updated};
    // Status, isCaller, direction is outbound, numbers and stream are there.
    let table = [
        ("01-started-caller.json", Started, Some(true), false, true),
        ("02-started-callee.json", Started, Some(false), false, true),
        ("03-ended-caller.json", Ended, Some(true), false, true),
        ("04-ended-callee.json", Ended, Some(false), false, true),
        ("05-started-outbound.json", Started, Some(false), true, true),
        ("06-started-siprec-full.json", Started, Some(false), false, true),
        ("07-started-siprec-full-leg2.json", Started, Some(true), false, true),
        ("08-updated-siprec.json", Updated, None, false, false),
        ("09-ended-siprec-full.json", Ended, Some(false), false, true),
        ("10-failed.json", Failed, None, false, false),
        ("11-started-without-iscaller.json", Started, None, false, false),
        ("12-started-extension-numbers.json", Started, Some(true), false, true),
        ("13-started-unknown-extra-fields.json", Started, Some(true), false, true),
        ("14-started-second-precision.json", Started, Some(true), false, true),
    ];
    let tested: Vec<_> = table.iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(tested, names("streaming"));
    for (name, status, is_caller, is_outbound, has_numbers) in table {
        let event = call(&body(&format!("streaming/{name}")));
        assert_eq!((event.status, event.is_caller), (status, is_caller), "{name}");
        assert_eq!(event.direction == Some(Direction::Outbound), is_outbound, "{name}");
        assert_eq!((event.from.is_some(), event.to.is_some()), (has_numbers, has_numbers), "{name}");
        assert_eq!(event.stream_arn.is_some(), !matches!(status, Updated | Failed), "{name}");
        assert_eq!(event.failure_reason.as_deref(), (status == Failed).then_some("Internal failure"), "{name}");
        assert!(event.at_unix_ms.is_some(), "{name}");
    }
    let extension = call(&body("streaming/12-started-extension-numbers.json"));
    assert_eq!(extension.call_id, "1112-2222-4333");
    assert_eq!((extension.from.as_deref(), extension.to.as_deref()), (Some("4021"), Some("88001")));
    assert_eq!(call(&body("streaming/06-started-siprec-full.json")).call_id, "a84b4c76e66710@pbx.example.com");
}

#[test]
fn every_bad_body_is_taken_as_its_table_says() {
    let table = [
        ("deeply-nested.txt", "poison not_an_object"),
        ("detail-is-a-json-string.json", "poison bad_detail"),
        ("duplicate-keys.txt", "poison duplicate_member"),
        ("empty.txt", "poison empty"),
        ("invalid-utf8.bin.hex", "poison not_utf8"),
        ("iscaller-as-string.json", "call"),
        ("json-array.json", "poison not_an_object"),
        ("json-scalar.json", "poison not_an_object"),
        ("lambda-sqs-wrapper.json", "poison lambda_wrapper"),
        ("lowercase-streaming-status.json", "ignored unknown_status"),
        ("missing-detail.json", "poison bad_detail"),
        ("missing-streaming-status.json", "ignored missing_status"),
        ("no-account-moto-style.json", "call"),
        ("no-id.json", "call"),
        ("not-json.txt", "poison not_json"),
        ("null-detail.json", "poison bad_detail"),
        // Which Voice Connectors are ours, and what is too old, the announcements know: see announcements.rs.
        ("other-voice-connector.json", "call"),
        ("s3-test-event.json", "foreign no_event"),
        ("sns-wrapped.json", "call"),
        ("stale-started-days-old.json", "call"),
        ("started-empty-callid.json", "poison bad_call_id"),
        ("started-hostile-callid.json", "poison bad_call_id"),
        ("started-missing-callid.json", "poison bad_call_id"),
        ("started-numeric-callid.json", "poison bad_call_id"),
        ("started-oversized-callid.json", "poison bad_call_id"),
        ("truncated.txt", "poison not_json"),
        ("unknown-direction.json", "call"),
        ("unknown-streaming-status.json", "ignored unknown_status"),
        ("unparsable-start-time.json", "call"),
        ("wrong-detail-type.json", "foreign detail_type"),
        ("wrong-source.json", "foreign source"),
    ];
    let tested: Vec<_> = table.iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(tested, names("bad"));
    for (name, expected) in table {
        let found = match read(&body(&format!("bad/{name}"))) {
            Message::Call(event) => {
                assert!(event.call_id == CALL_ID && event.transaction_id == TRANSACTION_ID, "{name}: {event:?}");
                "call".to_owned()
            }
            Message::Foreign(why) => format!("foreign {why}"),
            Message::Ignored(why) => format!("ignored {why}"),
            Message::Poison(poison) => format!("poison {}", poison.reason()),
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn odd_members_count_as_absent() {
    assert_eq!(call(&body("bad/iscaller-as-string.json")).is_caller, None);
    assert_eq!(call(&body("bad/unknown-direction.json")).direction, None);
    for odd in [json!(null), json!("yyyy-mm-ddThh:mm:ssZ"), json!(1_795_187_046), json!("2026-11-20T15:04:06+01:00")] {
        assert_eq!(call(&with("/time", odd.clone())).at_unix_ms, None, "{odd}");
    }
    for odd in [json!(null), json!(""), json!(15_550_100_001_u64), json!("1\n2"), json!("5".repeat(129)), json!([1])] {
        let event = call(&with("/detail/fromNumber", odd.clone()));
        assert_eq!((event.from, event.to.as_deref()), (None, Some("+15550199002")), "{odd}");
    }
    for (reason, kept) in [(json!(""), None), (json!(5), None), (json!("a\nb"), Some(r"a\nb"))] {
        assert_eq!(call(&failed(reason)).failure_reason.as_deref(), kept);
    }
    let arn = "x".repeat(1_024);
    assert_eq!(call(&with("/detail/streamArn", arn.clone())).stream_arn, Some(arn.clone()));
    assert_eq!(call(&with("/detail/streamArn", arn + "x")).stream_arn, None);
    assert_eq!(call(&with("/detail/fromNumber", "sip:desk@pbx")).from.as_deref(), Some("sip:desk@pbx"));
}

#[test]
fn times_have_any_fraction() {
    for (time, ms) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-20T15:04:06.5Z", 1_795_187_046_500),
        ("2026-11-20T15:04:06.238Z", 1_795_187_046_238),
        ("2026-11-20T15:04:06.238999999Z", 1_795_187_046_238),
    ] {
        assert_eq!(call(&with("/time", time)).at_unix_ms, Some(ms), "{time}");
    }
}

#[test]
fn ids_are_safe_on_every_surface_or_refused() {
    for (path, reason) in [
        ("/detail/callId", "bad_call_id"),
        ("/detail/transactionId", "bad_transaction_id"),
        ("/detail/voiceConnectorId", "bad_voice_connector_id"),
    ] {
        for good in ["7".to_owned(), "A-Z.a_z:0@9".to_owned(), "x".repeat(128)] {
            assert!(matches!(read(&with(path, good.clone())), Message::Call(_)), "{path} {good}");
        }
        for bad in [
            json!(""),
            json!("x".repeat(129)),
            json!("a/b"),
            json!("a\n"),
            json!("ä"),
            json!(null),
            json!({}),
            json!(true),
        ] {
            assert_eq!(poison(&with(path, bad.clone())).reason(), reason, "{path} {bad}");
        }
    }
}

#[test]
fn what_is_said_of_poison_is_short_plain_and_helps() {
    let said = |name: &str| poison(&body(&format!("bad/{name}"))).to_string();
    let allowed = "allowed are 1 to 128 of A-Za-z0-9._:@-";
    let cut = "A".repeat(61);
    let table = [
        ("started-missing-callid.json", format!("callId is missing, {allowed}")),
        ("started-numeric-callid.json", format!("callId is the number 12345, {allowed}")),
        ("started-empty-callid.json", format!(r#"callId is "", {allowed}"#)),
        ("started-hostile-callid.json", format!(r#"callId is "../../etc/passwd\u{{0}}\n\"x", {allowed}"#)),
        ("started-oversized-callid.json", format!(r#"callId is "{cut}..." (5000 bytes), {allowed}"#)),
        ("empty.txt", "the body is empty".to_owned()),
        ("invalid-utf8.bin.hex", "the body is not UTF-8 at byte 12".to_owned()),
        ("json-array.json", "the body is an array, an event is an object".to_owned()),
        ("json-scalar.json", r#"the body is "STARTED", an event is an object"#.to_owned()),
    ];
    for (name, text) in table {
        assert_eq!(said(name), text);
    }
    for (name, hint) in [
        ("lambda-sqs-wrapper.json", "a Lambda-style wrapper"),
        ("detail-is-a-json-string.json", "must not transform its input"),
        ("missing-detail.json", "detail is missing"),
        ("null-detail.json", "detail is null"),
        ("not-json.txt", r#""hello, this is not JSON\n""#),
        ("duplicate-keys.txt", "duplicate field `callId`"),
    ] {
        assert!(said(name).contains(hint), "{name}: {}", said(name));
    }
    assert_eq!(poison(b" \r\n"), Poison::Empty);
    for name in names("bad") {
        if let Message::Poison(poison) = read(&body(&format!("bad/{name}"))) {
            let text = poison.to_string();
            assert!(text.len() <= 240 && text.chars().all(|c| matches!(c, ' '..='~')), "{name}: {text}");
            assert!(!text.contains("5550100001"), "{name}: {text}");
        }
    }
}

#[test]
fn an_sns_message_is_unwrapped_once() {
    let wrap = |text: &str| json!({"Type": "Notification", "Message": text}).to_string();
    assert_eq!(call(&body("bad/sns-wrapped.json")), call(&body("streaming/01-started-caller.json")));

    let twice = poison(wrap(&wrap(&sample().to_string())).as_bytes());
    assert_eq!(twice.reason(), "sns_wrapper");
    assert!(twice.to_string().contains("enable raw delivery"), "{twice}");
    for odd in [
        json!({"Type": "Notification"}),
        json!({"Type": "Notification", "Message": {"a": 1}}),
        json!({"Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe"}),
    ] {
        assert_eq!(poison(odd.to_string().as_bytes()).reason(), "sns_wrapper", "{odd}");
    }
    // An event may have members of these names.
    let mut event = sample();
    event["Type"] = json!("Notification");
    assert_eq!(call(event.to_string().as_bytes()).call_id, CALL_ID);
    // What is inside is judged as if it had come alone.
    assert_eq!(poison(wrap("hello").as_bytes()).reason(), "not_json");
    assert_eq!(read(wrap("{}").as_bytes()), Message::Foreign("no_event"));
}

#[test]
fn other_services_messages_are_foreign() {
    for body in [
        json!({}),
        json!({"Records": [{"eventSource": "aws:s3", "s3": {}}]}),
        json!({"Records": []}),
        json!({"Type": "Something", "Message": "else"}),
        json!({"source": "aws.chime"}),
        json!({"detail-type": "Chime VoiceConnector Streaming Status", "detail": {}}),
    ] {
        assert_eq!(read(body.to_string().as_bytes()), Message::Foreign("no_event"), "{body}");
    }
    assert_eq!(poison(br#"{"Records":[{"Sns":{"Message":"{}"}}]}"#).reason(), "lambda_wrapper");
    // A foreign event need not have a detail that we understand.
    let mut other = sample();
    other["source"] = json!("aws.s3");
    other["detail"] = json!(null);
    assert_eq!(read(other.to_string().as_bytes()), Message::Foreign("source"));
}

#[test]
fn an_array_is_never_taken_for_an_object() {
    let positional = json!(["aws.chime", "Chime VoiceConnector Streaming Status", "", {}]);
    assert_eq!(poison(positional.to_string().as_bytes()).reason(), "not_an_object");
    let detail = json!(["STARTED", CALL_ID, TRANSACTION_ID, CONNECTOR]);
    assert_eq!(poison(&with("/detail", detail)).reason(), "bad_detail");
}

#[test]
fn a_large_siprec_body_is_read_and_its_metadata_not_kept() {
    let mut large = sample();
    large["detail"]["siprecMetadata"] = json!(format!("<recording>{}</recording>", "x\n".repeat(125_000)));
    let large = large.to_string().into_bytes();
    assert!(large.len() > 250_000);
    assert_eq!(call(&large), call(&body("streaming/01-started-caller.json")));
}

#[test]
fn a_body_larger_than_the_queue_holds_is_not_even_parsed() {
    let mut body = sample().to_string().into_bytes();
    body.resize(MAX_BODY_BYTES, b' ');
    assert!(matches!(read(&body), Message::Call(_)));
    body.push(b' ');
    assert_eq!(poison(&body), Poison::TooLarge { length: MAX_BODY_BYTES + 1 });
}

#[test]
fn depth_does_not_overflow_the_stack() {
    let sample = sample().to_string();
    let in_place_of = |old: &str, new: &str| {
        assert!(sample.contains(old), "{old}");
        sample.replacen(old, new, 1).into_bytes()
    };
    for (open, close) in [("[", "]"), (r#"{"detail":"#, "}")] {
        let nested = format!("{}0{}", open.repeat(50_000), close.repeat(50_000));
        assert!(!matches!(read(nested.as_bytes()), Message::Call(_)));
        assert!(matches!(read(open.repeat(50_000).as_bytes()), Message::Poison(_)));
        for (old, new) in [
            (r#""version":"0""#, format!(r#""version":{nested}"#)),
            (r#""isCaller":true"#, format!(r#""isCaller":{nested}"#)),
            (r#""mediaType":"audio/L16""#, format!(r#""x":{nested}"#)),
            (r#""account":"111122223333""#, format!(r#""Records":{nested}"#)),
        ] {
            let event = call(&in_place_of(old, &new));
            assert_eq!(event.call_id, CALL_ID);
        }
        let id = in_place_of(&format!("\"{CALL_ID}\""), &nested);
        assert_eq!(poison(&id).reason(), "bad_call_id");
        let records = format!(r#"{{"Records":{nested}}}"#);
        assert_eq!(read(records.as_bytes()), Message::Foreign("no_event"));
    }
}

#[test]
fn bodies_of_the_queue_are_read_as_they_come() {
    for name in names("sqs").iter().filter(|name| name.starts_with("receive-") && !name.contains("mixed")) {
        for body in message_bodies(&format!("sqs/{name}")) {
            assert!(matches!(read(body.as_bytes()), Message::Call(_)), "{name}: {body}");
        }
    }
    let mixed = message_bodies("sqs/receive-mixed-batch-of-10.json");
    assert_eq!(mixed.len(), 10);
    let kinds: BTreeSet<_> = mixed
        .iter()
        .map(|body| match read(body.as_bytes()) {
            Message::Call(_) => "call",
            Message::Foreign(_) => "foreign",
            Message::Ignored(_) => "ignored",
            Message::Poison(_) => "poison",
        })
        .collect();
    assert!(kinds.contains("call") && kinds.contains("poison"), "{kinds:?}");
}
