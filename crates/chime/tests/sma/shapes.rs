//! Our answers have the shapes of the samples: the same actions with the same keys and the same kinds of values.

use serde_json::{Map, Value, json};

use crate::{respond, rules, samples, settings};

/// The keys and kinds of a value. Headers and attributes are each application's own.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let own = |key: &str| key == "SipHeaders" || key == "TransactionAttributes";
            let member = |(key, value): (&String, &Value)| {
                (
                    key.clone(),
                    if own(key) {
                        json!("…")
                    } else if key == "Type" {
                        value.clone()
                    } else {
                        shape(value)
                    },
                )
            };
            Value::Object(object.iter().map(member).collect::<Map<_, _>>())
        }
        Value::Array(list) => list.iter().map(shape).collect(),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!("number"),
        other => other.clone(),
    }
}

/// The samples' event with these arguments of a command and attributes.
fn event(sample: &str, arguments: Option<Value>, attributes: Option<Value>) -> Value {
    let mut event = samples("sma/events")[sample].clone();
    if let Some(arguments) = arguments {
        event["ActionData"]["Parameters"]["Arguments"] = arguments;
    }
    if let Some(attributes) = attributes {
        event["CallDetails"]["TransactionAttributes"] = attributes;
    }
    event
}

#[test]
fn answers_have_the_shapes_of_the_samples() {
    let command = "09-call-update-requested-keepalive";
    let cases = [
        ("bridge-to-voice-connector", event("01-new-inbound-call", None, None)),
        ("rebridge-after-leg-b-loss", event("23-hangup-leg-b-caller-still-connected", None, None)),
        ("keepalive-speak-pause", event(command, None, None)),
        ("graceful-hangup", event("10-call-update-requested-hangup", None, None)),
        ("hangup-remaining-leg", event("16-hangup-leg-a", None, None)),
        ("send-digits", event(command, Some(json!({ "command": "dtmf", "digits": ",,1234#" })), None)),
        (
            "bridge-to-pstn",
            event(
                "24-action-successful-hangup-leg-b",
                None,
                Some(json!({ "state": "transferring", "transferTo": "+15550100077" })),
            ),
        ),
        ("no-op", event("04-ringing", None, None)),
        // What is remembered is cleared with the last of it.
        ("clear-attributes", event("06-action-successful-callandbridge", None, Some(json!({ "state": "rebridging" })))),
    ];
    let samples = samples("sma/responses");
    for (sample, event) in cases {
        let mut ours = shape(&respond(&settings(), &event));
        let theirs = shape(&samples[sample]);
        // Remembering is each application's own.
        if theirs.get("TransactionAttributes").is_none() {
            ours.as_object_mut().unwrap().remove("TransactionAttributes");
        } else {
            ours["TransactionAttributes"] = json!("…");
        }
        assert_eq!(ours, theirs, "{sample}");
    }
    assert_eq!(respond(&settings(), &event("04-ringing", None, None)), samples["no-op"]);
}

#[test]
fn the_rules_take_every_sample_that_we_could_send() {
    let event = &samples("sma/events")["06-action-successful-callandbridge"];
    for (name, response) in samples("sma/responses") {
        let others = ["PlayAudio", "ReceiveDigits", "SpeakAndGetDigits", "StartCallRecording"];
        if !others.iter().any(|other| response["Actions"][0]["Type"] == *other) {
            assert_eq!(rules::check(event, &response), Ok(()), "{name}");
        }
    }
}
