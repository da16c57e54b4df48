//! Whatever stands in the queue is answered, and nothing unsafe is taken from it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod samples;

use proptest::prelude::*;
use samples::{body, json, names};
use serde_json::Value;
use trunkline_chime::event::{Message, Status, read};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
        let _ = read(&bytes);
        let _ = read(text.as_bytes());
    }

    #[test]
    fn a_changed_byte_yields_no_unsafe_id(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let names = names("streaming");
        let mut body = body(&format!("streaming/{}", which.get(&names)));
        let at = at.index(body.len());
        body[at] = byte;
        let cut = cut.index(body.len() * 4);
        body.truncate(cut.max(1));
        if let Message::Call(event) = read(&body) {
            for id in [&event.call_id, &event.transaction_id, &event.voice_connector_id] {
                let safe = |c: u8| c.is_ascii_alphanumeric() || b"._:@-".contains(&c);
                prop_assert!((1..=128).contains(&id.len()) && id.bytes().all(safe), "{id:?}");
            }
        }
    }

    #[test]
    fn no_optional_member_costs_the_event(value in any_json(), which in 0_usize..10) {
        let path = [
            "/time", "/id", "/resources", "/detail/isCaller", "/detail/direction", "/detail/fromNumber",
            "/detail/toNumber", "/detail/streamArn", "/detail/startTime", "/detail/mediaType",
        ][which];
        let mut sample = json("streaming/01-started-caller.json");
        *sample.pointer_mut(path).unwrap() = value;
        let Message::Call(event) = read(sample.to_string().as_bytes()) else { panic!("not taken: {sample}") };
        prop_assert_eq!(event.status, Status::Started);
        prop_assert!(event.from.is_none_or(|from| from.len() <= 128));
    }
}
