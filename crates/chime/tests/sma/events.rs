//! Every sample of an event, with exactly what is answered.

use serde_json::{Value, json};
use trunkline_chime::sma::{BadSmaEvent, respond_to_json};

use crate::{CONNECTOR, respond, samples, settings};

const CALLER: &str = "7c2e5f80-3b41-49d6-8f0a-1b2c3d4e5f60";
const SERVICE: &str = "d18f4a63-72c5-4e0b-b9d7-60f1e2d3c4b5";
const TRANSACTION: &str = "e2b7a9c4-1d35-4f86-a0b9-c7d8e9f01234";
const RECONNECTING: &str = "One moment please, I am reconnecting you.";

fn actions(actions: &[Value]) -> Value {
    json!({ "SchemaVersion": "1.0", "Actions": actions })
}

fn with(actions: &[Value], attributes: Value) -> Value {
    json!({ "SchemaVersion": "1.0", "Actions": actions, "TransactionAttributes": attributes })
}

fn speak(text: &str) -> Value {
    json!({ "Type": "Speak", "Parameters": {
        "CallId": CALLER, "Text": text, "Engine": "neural", "LanguageCode": "en-US", "TextType": "text",
        "VoiceId": "Joanna",
    } })
}

fn pause(ms: &str) -> Value {
    json!({ "Type": "Pause", "Parameters": { "CallId": CALLER, "DurationInMilliseconds": ms } })
}

fn hangup(leg: &str, code: &str) -> Value {
    json!({ "Type": "Hangup", "Parameters": { "CallId": leg, "SipResponseCode": code } })
}

fn bridge(caller_id: &str, headers: Value) -> Value {
    json!({ "Type": "CallAndBridge", "Parameters": {
        "CallTimeoutSeconds": 20,
        "CallerIdNumber": caller_id,
        "Endpoints": [{ "BridgeEndpointType": "AWS", "Arn": CONNECTOR, "Uri": TRANSACTION }],
        "SipHeaders": headers,
    } })
}

#[test]
fn every_sample_is_answered_by_exactly_this() {
    let first = bridge(
        "+15550100001",
        json!({
            "X-Trunkline-Transaction": TRANSACTION, "X-Trunkline-From": "+15550100001", "X-Trunkline-To": "+15550199002",
        }),
    );
    let again = bridge(
        "+15550100001",
        json!({
            "X-Trunkline-Transaction": TRANSACTION, "X-Trunkline-From": "+15550100001", "X-Trunkline-To": "+15550199002",
            "X-Trunkline-Attempt": "1",
        }),
    );
    let plain = bridge("+15550199002", json!({ "X-Trunkline-Transaction": TRANSACTION, "X-Trunkline-Attempt": "1" }));
    let outbound = bridge(
        "+15550199002",
        json!({
            "X-Trunkline-Transaction": TRANSACTION, "X-Trunkline-From": "+15550199002", "X-Trunkline-To": "+15550100042",
        }),
    );
    let nothing = || actions(&[]);
    let expected = [
        ("01-new-inbound-call", actions(std::slice::from_ref(&first))),
        ("02-new-inbound-call-sip-headers", actions(std::slice::from_ref(&first))),
        // Somebody else's arguments.
        ("03-new-outbound-call", nothing()),
        ("04-ringing", nothing()),
        ("05-call-answered", actions(&[outbound])),
        ("06-action-successful-callandbridge", nothing()),
        (
            "07-action-failed-callandbridge-not-answered",
            with(&[speak(RECONNECTING), again.clone()], json!({ "state": "rebridging", "attempt": "1" })),
        ),
        (
            "08-action-failed-sip-headers",
            with(&[speak(RECONNECTING), plain], json!({ "state": "rebridging", "attempt": "1", "plain": "true" })),
        ),
        (
            "09-call-update-requested-keepalive",
            with(&[speak("One moment please, I am still here."), pause("4000")], json!({ "requestId": "ka-1" })),
        ),
        (
            "10-call-update-requested-hangup",
            with(
                &[
                    speak("Sorry, we lost the connection. Please call again."),
                    hangup(SERVICE, "0"),
                    hangup(CALLER, "0"),
                ],
                json!({ "state": "hangup", "requestId": "ka-9" }),
            ),
        ),
        ("11-action-successful-speak", nothing()),
        ("12-action-successful-pause", nothing()),
        ("13-action-interrupted-pause", nothing()),
        ("14-action-failed-speak-throttled", nothing()),
        ("15-action-failed-speak-access-denied", nothing()),
        ("16-hangup-leg-a", actions(&[hangup(SERVICE, "0")])),
        // Both are gone.
        ("17-hangup-leg-b", nothing()),
        ("18-hangup-outbound-busy", nothing()),
        ("19-hangup-outbound-no-answer", nothing()),
        ("20-digits-received", nothing()),
        // Not answered yet, and nobody there for the caller.
        ("21-invalid-lambda-response", actions(&[hangup(CALLER, "480")])),
        ("22-new-inbound-call-older-doc-spelling", actions(&[first])),
        (
            "23-hangup-leg-b-caller-still-connected",
            with(&[speak(RECONNECTING), again], json!({ "state": "rebridging", "attempt": "1", "lostLeg": SERVICE })),
        ),
        // The attributes are another application's: no transfer is under way.
        ("24-action-successful-hangup-leg-b", nothing()),
    ];
    let samples = samples("sma/events");
    let names: Vec<&str> = samples.keys().map(String::as_str).collect();
    assert_eq!(names, expected.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, expected) in expected {
        let response = respond(&settings(), &samples[name]);
        assert_eq!(response, expected, "{name}: {response:#}");
    }
}

/// A sample with another value at `pointer`.
fn changed(sample: &str, pointer: &str, value: Value) -> Value {
    let mut event = samples("sma/events")[sample].clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
    event
}

#[test]
fn a_bridge_that_is_answered_603_is_over_wherever_that_stands() {
    let failed = "07-action-failed-callandbridge-not-answered";
    let over = |response: &Value| {
        response["Actions"] == json!([hangup(CALLER, "480")]) && response["TransactionAttributes"]["state"] == "hangup"
    };
    for (pointer, value) in [
        ("/ActionData/SipResponseCode", json!(603)),
        ("/ActionData/SipResponseCode", json!("603")),
        ("/ActionData/Parameters/SipResponseCode", json!("603")),
        ("/ActionData/Parameters/SipResponseCode", json!(603)),
        ("/ActionData/ErrorMessage", json!("Call not answered: 603 Decline")),
        ("/ActionData/ErrorMessage", json!("SipResponseCode=603")),
    ] {
        let response = respond(&settings(), &changed(failed, pointer, value));
        assert!(over(&response), "{pointer}: {response:#}");
    }
    for (pointer, value) in [
        ("/ActionData/SipResponseCode", json!(480)),
        ("/ActionData/ErrorMessage", json!("+16035550100 did not answer")),
        ("/ActionData/ErrorMessage", json!("603-555-0100 did not answer")),
        ("/ActionData/ErrorMessage", json!("1 603 did not answer")),
    ] {
        let response = respond(&settings(), &changed(failed, pointer, value));
        assert_eq!(response["Actions"][1]["Type"], "CallAndBridge", "{pointer}: {response:#}");
    }
}

#[test]
fn a_leg_that_ends_with_603_is_over() {
    let lost = "23-hangup-leg-b-caller-still-connected";
    let response = respond(&settings(), &changed(lost, "/ActionData/Parameters/SipResponseCode", json!(603)));
    assert_eq!(response["Actions"], json!([hangup(CALLER, "0")]));
}

#[test]
fn a_hangup_that_names_another_action_is_told_by_who_is_left() {
    let lost = "23-hangup-leg-b-caller-still-connected";
    let digits = json!({ "Type": "ReceiveDigits", "Parameters": { "CallId": CALLER } });
    let response = respond(&settings(), &changed(lost, "/ActionData", digits));
    assert_eq!(response, respond(&settings(), &samples("sma/events")[lost]));
}

#[test]
fn a_request_that_is_told_twice_is_carried_out_once() {
    for sample in ["09-call-update-requested-keepalive", "10-call-update-requested-hangup"] {
        let first = respond(&settings(), &samples("sma/events")[sample]);
        let attributes = first["TransactionAttributes"].clone();
        let again = respond(&settings(), &changed(sample, "/CallDetails/TransactionAttributes", attributes));
        assert_eq!(again, actions(&[]), "{sample}");
    }
}

#[test]
fn the_loss_of_an_older_leg_is_none() {
    let mut event = samples("sma/events")["23-hangup-leg-b-caller-still-connected"].clone();
    let mut newer = event["CallDetails"]["Participants"][1].clone();
    newer["CallId"] = json!("newer");
    newer["Status"] = json!("Connected");
    event["CallDetails"]["Participants"].as_array_mut().unwrap().push(newer);
    assert_eq!(respond(&settings(), &event), actions(&[]));
}

#[test]
fn a_failure_of_the_bridge_before_the_last_is_none() {
    let mut event = changed(
        "07-action-failed-callandbridge-not-answered",
        "/CallDetails/TransactionAttributes",
        json!({ "state": "rebridging", "attempt": "2" }),
    );
    event["ActionData"]["Parameters"]["SipHeaders"] =
        json!({ "x-trunkline-transaction": TRANSACTION, "x-trunkline-attempt": "1" });
    assert_eq!(respond(&settings(), &event), actions(&[]));
    event["ActionData"]["Parameters"]["SipHeaders"]["x-trunkline-attempt"] = json!("2");
    assert_eq!(respond(&settings(), &event)["TransactionAttributes"]["attempt"], "3");
}

#[test]
fn a_withheld_number_is_shown_as_it_is_and_never_breaks_a_header() {
    let event = |from: &str| {
        let mut event = samples("sma/events")["01-new-inbound-call"].clone();
        event["CallDetails"]["Participants"][0]["From"] = json!(from);
        respond(&settings(), &event)["Actions"][0]["Parameters"].clone()
    };
    assert_eq!(event("anonymous")["CallerIdNumber"], "anonymous");
    assert_eq!(event("")["CallerIdNumber"], "+15550199002");
    assert_eq!(event("")["SipHeaders"].get("X-Trunkline-From"), None);
    assert_eq!(event("a\r\nX-Evil: b ü")["SipHeaders"]["X-Trunkline-From"], "aX-Evil:b");
}

#[test]
fn what_is_no_event_is_an_error_that_says_what_is_missing() {
    let error = |body: &[u8]| respond_to_json(&settings(), body).unwrap_err();
    assert_eq!(error(b"{\n  nonsense"), BadSmaEvent::NotJson { line: 2, column: 3 });
    assert_eq!(error(b"[]"), BadSmaEvent::Missing("InvocationEventType"));
    let event = br#"{"InvocationEventType":"RINGING","CallDetails":{"TransactionId":17}}"#;
    assert_eq!(error(event), BadSmaEvent::Missing("CallDetails.TransactionId"));
    assert!(error("[".repeat(20_000).as_bytes()).to_string().starts_with("not JSON"));
}

#[test]
fn an_event_of_the_future_changes_nothing() {
    let event = changed("06-action-successful-callandbridge", "/InvocationEventType", json!("CALL_TELEPORTED"));
    assert_eq!(respond(&settings(), &event), actions(&[]));
}

#[test]
fn whoever_answers_a_caller_who_is_gone_is_hung_up() {
    let mut event = samples("sma/events")["06-action-successful-callandbridge"].clone();
    event["CallDetails"]["Participants"][0]["Status"] = json!("Disconnected");
    assert_eq!(respond(&settings(), &event), actions(&[hangup(SERVICE, "0")]));
}

#[test]
fn a_leg_that_cannot_be_hung_up_keeps_nobody_on_the_line() {
    let hanging_up = json!({ "state": "hangup" });
    let mut event = changed("24-action-successful-hangup-leg-b", "/CallDetails/TransactionAttributes", hanging_up);
    event["InvocationEventType"] = json!("ACTION_FAILED");
    assert_eq!(respond(&settings(), &event), actions(&[hangup(CALLER, "0")]));
    // And the two never follow each other for ever.
    event["ActionData"]["Parameters"]["CallId"] = json!(CALLER);
    assert_eq!(respond(&settings(), &event), actions(&[]));
}
