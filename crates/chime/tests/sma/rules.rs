//! AWS's rules for what an SMA answers, as documented for its PSTN Audio service. They share no code with the application.

use serde_json::{Map, Value};

type Check = Result<(), String>;

/// Whether `response` is one that AWS takes after `event`.
pub fn check(event: &Value, response: &Value) -> Check {
    let response = object(response, "response")?;
    only(response, &["SchemaVersion", "Actions", "TransactionAttributes"])?;
    ensure(response.get("SchemaVersion") == Some(&Value::from("1.0")), || "SchemaVersion".to_owned())?;
    let actions = response.get("Actions").and_then(Value::as_array).ok_or("Actions is no list")?;
    ensure(actions.len() <= 10, || format!("{} actions", actions.len()))?;
    for action in actions {
        check_action(event, action)?;
    }
    response.get("TransactionAttributes").map_or(Ok(()), attributes)
}

fn attributes(attributes: &Value) -> Check {
    let attributes = object(attributes, "TransactionAttributes")?;
    ensure(attributes.len() <= 10, || format!("{} attributes", attributes.len()))?;
    ensure(attributes.values().all(Value::is_string), || format!("not all texts: {attributes:?}"))?;
    let bytes: usize = attributes.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    ensure(bytes <= 20 * 1024, || format!("{bytes} bytes of attributes"))
}

fn check_action(event: &Value, action: &Value) -> Check {
    let action = object(action, "action")?;
    only(action, &["Type", "Parameters"])?;
    let kind = text(action, "Type")?;
    let parameters = object(action.get("Parameters").unwrap_or(&Value::Null), "Parameters")?;
    match kind {
        "Speak" => {
            only(parameters, &["CallId", "Text", "Engine", "LanguageCode", "TextType", "VoiceId"])?;
            target(event, parameters, true)?;
            length(parameters, "Text", 1, 1000)?;
            one_of(parameters, "Engine", &["standard", "neural"])?;
            one_of(parameters, "TextType", &["text", "ssml"])?;
            length(parameters, "LanguageCode", 2, 16)?;
            length(parameters, "VoiceId", 1, 32)
        }
        "Pause" => {
            only(parameters, &["CallId", "ParticipantTag", "DurationInMilliseconds"])?;
            target(event, parameters, false)?;
            let duration = parameters.get("DurationInMilliseconds");
            let duration = duration.and_then(|d| d.as_u64().or_else(|| d.as_str()?.parse().ok()));
            ensure(duration.is_some_and(|ms| ms > 0), || format!("{parameters:?}"))
        }
        "Hangup" => {
            only(parameters, &["CallId", "ParticipantTag", "SipResponseCode"])?;
            target(event, parameters, false)?;
            one_of(parameters, "SipResponseCode", &["0", "480", "486"])
        }
        "SendDigits" => {
            only(parameters, &["CallId", "Digits", "ToneDurationInMilliseconds"])?;
            target(event, parameters, true)?;
            length(parameters, "Digits", 1, 50)?;
            let digits = text(parameters, "Digits")?;
            ensure(digits.chars().all(|key| "0123456789*#ABCD,".contains(key)), || digits.to_owned())?;
            number(parameters, "ToneDurationInMilliseconds", 50, 24_000)
        }
        "CallAndBridge" => call_and_bridge(event, parameters),
        other => Err(format!("unknown action {other}")),
    }
}

fn call_and_bridge(event: &Value, parameters: &Map<String, Value>) -> Check {
    only(parameters, &["CallTimeoutSeconds", "CallerIdNumber", "RingbackTone", "Endpoints", "SipHeaders"])?;
    // It has no target of its own: it is for the caller, who must be there.
    let legs = event["CallDetails"]["Participants"].as_array().ok_or("nobody to bridge")?;
    let caller = |leg: &&Value| {
        leg["ParticipantTag"].as_str().is_some_and(|tag| tag.eq_ignore_ascii_case("LEG-A"))
            && leg["Status"] != "Disconnected"
    };
    ensure(legs.iter().any(|leg| caller(&leg)), || "the caller is gone".to_owned())?;
    number(parameters, "CallTimeoutSeconds", 1, 120)?;
    length(parameters, "CallerIdNumber", 1, 64)?;
    let endpoints = parameters.get("Endpoints").and_then(Value::as_array).ok_or("Endpoints is no list")?;
    let [endpoint] = endpoints.as_slice() else { return Err(format!("{} endpoints", endpoints.len())) };
    let endpoint = object(endpoint, "endpoint")?;
    let uri = text(endpoint, "Uri")?;
    match text(endpoint, "BridgeEndpointType")? {
        "PSTN" => {
            only(endpoint, &["BridgeEndpointType", "Uri"])?;
            ensure(!parameters.contains_key("SipHeaders"), || "headers to a telephone".to_owned())?;
            let digits = uri.strip_prefix('+').ok_or("not E.164")?;
            let good = (2..=15).contains(&digits.len())
                && digits.chars().all(|digit| digit.is_ascii_digit())
                && !digits.starts_with('0');
            ensure(good, || format!("{uri} is not E.164"))
        }
        "AWS" => {
            only(endpoint, &["BridgeEndpointType", "Uri", "Arn"])?;
            ensure(text(endpoint, "Arn")?.starts_with("arn:aws:chime:"), || "Arn".to_owned())?;
            length(endpoint, "Uri", 1, 36)?;
            let good = |c: char| c.is_ascii_alphanumeric() || "&=+$/%-_!~*().".contains(c);
            ensure(uri.chars().all(good), || format!("Uri {uri:?}"))?;
            parameters.get("SipHeaders").map_or(Ok(()), headers)
        }
        other => Err(format!("endpoint {other}")),
    }
}

fn headers(headers: &Value) -> Check {
    let headers = object(headers, "SipHeaders")?;
    ensure((1..=20).contains(&headers.len()), || format!("{} headers", headers.len()))?;
    let mut chars = 0;
    for (name, value) in headers {
        let value = value.as_str().ok_or_else(|| format!("{name} is no text"))?;
        chars += name.chars().count() + value.chars().count();
        let lower = name.to_ascii_lowercase();
        let allowed = lower.starts_with("x-") || lower == "user-to-user" || lower == "diversion";
        ensure(allowed && !lower.starts_with("x-amzn"), || format!("header {name}"))?;
        let token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let safe = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        ensure(token && safe, || format!("{name}: {value:?}"))?;
    }
    ensure(chars <= 2048, || format!("headers of {chars} characters"))
}

/// A leg that exists and is not gone.
fn target(event: &Value, parameters: &Map<String, Value>, by_id: bool) -> Check {
    let legs = event["CallDetails"]["Participants"].as_array().map(Vec::as_slice).unwrap_or_default();
    let key = if by_id || parameters.contains_key("CallId") { "CallId" } else { "ParticipantTag" };
    let named = text(parameters, key)?;
    let found = legs.iter().any(|leg| leg[key] == named && leg["Status"] != "Disconnected");
    ensure(found, || format!("{key} {named} is not there"))
}

fn ensure(good: bool, fault: impl FnOnce() -> String) -> Check {
    if good { Ok(()) } else { Err(fault()) }
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{what} is no object: {value}"))
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a str, String> {
    object.get(key).and_then(Value::as_str).ok_or_else(|| format!("{key} is no text: {object:?}"))
}

fn only(object: &Map<String, Value>, keys: &[&str]) -> Check {
    let other = object.keys().find(|key| !keys.contains(&key.as_str()));
    other.map_or(Ok(()), |key| Err(format!("unknown key {key}")))
}

fn length(object: &Map<String, Value>, key: &str, min: usize, max: usize) -> Check {
    let chars = text(object, key)?.chars().count();
    ensure((min..=max).contains(&chars), || format!("{key} of {chars} characters"))
}

fn one_of(object: &Map<String, Value>, key: &str, allowed: &[&str]) -> Check {
    let value = text(object, key)?;
    ensure(allowed.contains(&value), || format!("{key} {value}"))
}

fn number(object: &Map<String, Value>, key: &str, min: u64, max: u64) -> Check {
    let value = object.get(key).and_then(Value::as_u64);
    ensure(value.is_some_and(|value| (min..=max).contains(&value)), || format!("{key} {value:?}"))
}

mod tests {
    use serde_json::json;

    use super::check;
    use crate::samples;

    /// The rules refuse what AWS refuses: each of these breaks one.
    #[test]
    fn the_rules_find_each_fault() {
        let event = &samples("sma/events")["06-action-successful-callandbridge"];
        let leg = "7c2e5f80-3b41-49d6-8f0a-1b2c3d4e5f60";
        let response = |actions| json!({ "SchemaVersion": "1.0", "Actions": actions });
        let hangup = |leg, code| json!({ "Type": "Hangup", "Parameters": { "CallId": leg, "SipResponseCode": code } });
        let bridge = |endpoint, headers| {
            json!([{ "Type": "CallAndBridge", "Parameters": {
                "CallTimeoutSeconds": 20, "CallerIdNumber": "+15550100001", "Endpoints": [endpoint], "SipHeaders": headers,
            } }])
        };
        let connector = json!({ "BridgeEndpointType": "AWS", "Arn": super::super::CONNECTOR, "Uri": "abc" });
        let speak = |text: &str| {
            json!([{ "Type": "Speak", "Parameters": {
            "CallId": leg, "Text": text, "Engine": "neural", "LanguageCode": "en-US", "TextType": "text",
            "VoiceId": "Joanna",
        } }])
        };
        assert_eq!(check(event, &response(json!([hangup(leg, "0")]))), Ok(()));
        assert_eq!(check(event, &response(speak("Hello."))), Ok(()));
        assert_eq!(check(event, &response(bridge(connector.clone(), json!({ "X-A": "b" })))), Ok(()));
        let ten: serde_json::Map<_, _> = (0..11).map(|n| (n.to_string(), json!("x"))).collect();
        let bad = [
            json!({ "SchemaVersion": "1.1", "Actions": [] }),
            json!({ "SchemaVersion": "1.0" }),
            json!({ "SchemaVersion": "1.0", "Actions": [], "TransactionAttributes": ten }),
            json!({ "SchemaVersion": "1.0", "Actions": [], "TransactionAttributes": { "attempt": 1 } }),
            response(json!(vec![hangup(leg, "0"); 11])),
            response(json!([hangup(leg, "603")])),
            response(json!([hangup("nobody", "0")])),
            response(json!([{ "Type": "Answer", "Parameters": {} }])),
            response(speak("")),
            response(speak(&"x".repeat(1001))),
            response(json!([{ "Type": "Pause", "Parameters": { "CallId": leg, "DurationInMilliseconds": "0" } }])),
            response(json!([{ "Type": "SendDigits", "Parameters": {
                "CallId": leg, "Digits": "12w", "ToneDurationInMilliseconds": 100,
            } }])),
            response(bridge(json!({ "BridgeEndpointType": "PSTN", "Uri": "5550100077" }), json!({}))),
            response(bridge(json!({ "BridgeEndpointType": "PSTN", "Uri": "+15550100077" }), json!({ "X-A": "b" }))),
            response(bridge(json!({ "BridgeEndpointType": "AWS", "Uri": "abc" }), json!({ "X-A": "b" }))),
            response(bridge(connector.clone(), json!({ "X-Amzn-A": "b" }))),
            response(bridge(connector.clone(), json!({ "X-A": "b\r\nX-B: c" }))),
            response(bridge(connector.clone(), json!({ "X-A": "b".repeat(2046) }))),
        ];
        for response in bad {
            assert!(check(event, &response).is_err(), "{response:#}");
        }
    }
}
