//! Every sample is understood, and written back as it was.

use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_realtime::event::{ClientEvent, Frame, ServerEvent};

use crate::rig::fixtures;

#[test]
fn every_server_sample_has_a_type_and_round_trips() {
    let mut count = 0;
    for folder in ["ga/server", "beta/server", "voicelive/server"] {
        for (path, text) in fixtures(folder) {
            let event = ServerEvent::parse(&text).unwrap();
            assert!(!matches!(event, ServerEvent::Unknown(_)), "{} is not known", path.display());
            let before: Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(serde_json::to_value(&event).unwrap(), before, "{}", path.display());
            count += 1;
        }
    }
    assert_eq!(count, 178, "all samples were read");
}

#[test]
fn every_client_sample_has_a_type_and_round_trips() {
    let mut count = 0;
    for folder in ["ga/client", "beta/client", "voicelive/client"] {
        for (path, text) in fixtures(folder) {
            let event = ClientEvent::parse(&text).unwrap();
            assert!(!matches!(event, ClientEvent::Unknown(_)), "{} is not known", path.display());
            let before: Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&event.to_text()).unwrap(), before, "{}", path.display());
            count += 1;
        }
    }
    assert_eq!(count, 36, "all samples were read");
}

#[test]
fn audio_samples_take_the_borrowing_path_and_nothing_else_does() {
    for folder in ["ga/server", "beta/server", "voicelive/server"] {
        for (path, text) in fixtures(folder) {
            let is_audio = path.to_string_lossy().contains("audio.delta");
            match Frame::parse(&text).unwrap() {
                Frame::Audio(delta) => {
                    let whole: Value = serde_json::from_slice(&text).unwrap();
                    assert!(is_audio, "{}", path.display());
                    assert!(matches!(delta.delta, std::borrow::Cow::Borrowed(_)));
                    assert_eq!(
                        (&*delta.delta, &*delta.item_id),
                        (whole["delta"].as_str().unwrap(), whole["item_id"].as_str().unwrap())
                    );
                }
                Frame::Event(_) => assert!(!is_audio, "{}", path.display()),
            }
        }
    }
}

#[test]
fn the_unknown_is_kept() {
    let new = json!({"type":"response.hologram.delta","event_id":"e","hologram":{"depth":[1,2.5,null]}});
    let event = ServerEvent::parse(new.to_string().as_bytes()).unwrap();
    assert!(matches!(event, ServerEvent::Unknown(_)));
    assert_eq!(serde_json::to_value(event).unwrap(), new);

    let odd = json!({"type":"input_audio_buffer.speech_started","item_id":{"now":"an object"}});
    let event = ServerEvent::parse(odd.to_string().as_bytes()).unwrap();
    assert_eq!(serde_json::to_value(event).unwrap(), odd, "a known name with an unexpected shape");

    let more = json!({"type":"input_audio_buffer.speech_started","item_id":"i","audio_start_ms":12.5,"mood":"calm"});
    let event = ServerEvent::parse(more.to_string().as_bytes()).unwrap();
    assert!(matches!(event, ServerEvent::SpeechStarted(_)), "new members do not hide a known event");
    assert_eq!(serde_json::to_value(event).unwrap(), more);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let member = prop_oneof![
            3 => prop::sample::select(vec![
                "type", "id", "item_id", "item", "response", "session", "error", "delta", "status", "content", "output",
                "call_id", "expires_at", "audio", "format", "previous_item_id", "status_details", "code", "transcript",
            ]).prop_map(str::to_owned),
            1 => "[a-z_]{1,6}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((member, inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn type_names(folders: [&str; 3]) -> Vec<String> {
    let files = folders.into_iter().flat_map(fixtures);
    files
        .map(|(_, text)| serde_json::from_slice::<Value>(&text).unwrap()["type"].as_str().unwrap().to_owned())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = ServerEvent::parse(&bytes);
        let _ = ClientEvent::parse(&bytes);
        let _ = Frame::parse(&bytes);
    }

    #[test]
    fn damaged_samples_never_panic(at in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for (_, mut text) in fixtures("ga/server").into_iter().step_by(9) {
            let (at, cut) = (at.index(text.len()), cut.index(text.len()));
            text[at] = byte;
            let _ = Frame::parse(&text);
            let _ = Frame::parse(&text[..cut]);
        }
    }

    #[test]
    fn any_event_of_any_shape_is_written_back_as_it_was(
        name in prop::sample::select(type_names(["ga/server", "beta/server", "voicelive/server"])),
        members in prop::collection::btree_map("[a-z_]{1,8}", any_json(), 0..4),
        known in prop::collection::vec((prop::sample::select(vec![
            "item_id", "item", "response", "session", "error", "delta", "audio_end_ms", "previous_item_id", "part", "name",
        ]), any_json()), 0..4),
    ) {
        let mut event = serde_json::Map::new();
        event.extend(members);
        event.extend(known.into_iter().map(|(key, value)| (key.to_owned(), value)));
        event.insert("type".to_owned(), name.into());
        let text = Value::Object(event).to_string();
        let parsed = ServerEvent::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(serde_json::to_value(parsed).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
    }
}
