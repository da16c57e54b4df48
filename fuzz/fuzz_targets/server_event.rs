//! What a model sends is read without panic, and what was read is written back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use trunkline_realtime::event::{Frame, ServerEvent};

fuzz_target!(|text: &[u8]| {
    let event = ServerEvent::parse(text);
    match Frame::parse(text) {
        Ok(Frame::Event(other)) => assert_eq!(Some(&*other), event.as_ref().ok(), "two readers, two meanings"),
        // The audio path does not look at members that it has no use for.
        Ok(Frame::Audio(_)) => {}
        Err(_) => assert!(event.is_err(), "two readers, two meanings"),
    }
    if let Ok(event) = event {
        let written = serde_json::to_value(&event).expect("an event that was read can be written");
        let read: Value = serde_json::from_slice(text).expect("an event that was read is JSON");
        assert_eq!(written, read);
    }
});
