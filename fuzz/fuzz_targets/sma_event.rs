//! Whatever a SIP media application is invoked with, and whatever it remembers, its answer keeps AWS's rules and bridges a
//! call no more often than it may.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use trunkline_chime::sma::{Action, BridgeEndpoint, SmaEvent, SmaResponse, SmaSettings, headers, respond};

const CONNECTOR: &str = "arn:aws:chime:us-east-1:111122223333:vc/fx7q2mvbd9k3htn5wz1rgy";

fuzz_target!(|bytes: &[u8]| {
    let settings = SmaSettings::new(CONNECTOR).unwrap();
    // Alone, and as the events of one call, one a line, each with what the last answer left.
    let _ = answer(&settings, bytes, None);
    let mut remembered = None;
    for line in bytes.split(|&byte| byte == b'\n') {
        if let Some(response) = answer(&settings, line, remembered.clone()) {
            remembered = response.attributes.or(remembered);
        }
    }
});

fn answer(settings: &SmaSettings, body: &[u8], remembered: Option<BTreeMap<String, String>>) -> Option<SmaResponse> {
    let mut event = match SmaEvent::from_slice(body) {
        Ok(event) => event,
        Err(error) => {
            assert!(error.to_string().len() <= 100, "{error}");
            return None;
        }
    };
    event.attributes.extend(remembered.into_iter().flatten());
    let response = respond(settings, &event);
    assert_eq!(response, respond(settings, &event), "it remembers by itself");
    assert!(response.actions.len() <= 10, "{response:?}");
    if let Some(attributes) = &response.attributes {
        let len: usize = attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(attributes.len() <= 10 && len <= 20 * 1024, "{attributes:?}");
    }
    for action in &response.actions {
        check(settings, &event, action);
    }
    Some(response)
}

fn check(settings: &SmaSettings, event: &SmaEvent, action: &Action) {
    let is_there =
        |call_id: &String| event.participants.iter().any(|leg| leg.call_id == *call_id && leg.connected != Some(false));
    match action {
        Action::Speak { call_id, text, .. } => {
            assert!(is_there(call_id) && (1..=1000).contains(&text.chars().count()), "{action:?}");
        }
        Action::Pause { call_id, duration_in_milliseconds } => {
            assert!(is_there(call_id) && *duration_in_milliseconds > 0, "{action:?}");
        }
        Action::Hangup { call_id, .. } => assert!(is_there(call_id), "{action:?}"),
        Action::SendDigits { call_id, digits, .. } => {
            assert!(is_there(call_id) && (1..=50).contains(&digits.len()), "{action:?}");
        }
        Action::CallAndBridge { caller_id_number, endpoints: [endpoint], sip_headers, .. } => {
            assert!(event.caller().is_some_and(|caller| caller.connected != Some(false)), "{action:?}");
            assert!(!caller_id_number.is_empty());
            let len: usize = sip_headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(sip_headers.len() <= 20 && len <= 2048, "{sip_headers:?}");
            for value in sip_headers.values() {
                assert!(!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic()), "{value:?}");
            }
            let attempt = sip_headers.get(headers::ATTEMPT).map_or(0, |attempt| attempt.parse().unwrap());
            match endpoint {
                BridgeEndpoint::VoiceConnector { uri, .. } => {
                    assert!((1..=36).contains(&uri.len()) && attempt <= settings.max_rebridges, "{action:?}");
                }
                BridgeEndpoint::Telephone { uri } => {
                    assert!(uri.starts_with('+') && sip_headers.is_empty(), "{action:?}")
                }
            }
        }
    }
}
