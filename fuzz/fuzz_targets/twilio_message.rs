//! What a stranger sends to Twilio's door is read without panic, and what we say is read back as it was.
#![no_main]

use arbitrary::Arbitrary;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

// The service's own file: it is pure, and the service is no library that others could depend on.
#[path = "../../src/links/twilio/message.rs"]
#[allow(dead_code, reason = "the service uses what this target does not")]
mod message;

use message::{Message, Writer, decode, parse};

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Text(&'a str),
    Audio { stream: &'a str, mark: &'a str, payload: &'a [u8] },
}

fuzz_target!(|input: Input<'_>| {
    let mut scratch = BytesMut::new();
    match input {
        Input::Text(text) => {
            let Ok(message) = parse(text) else { return };
            // Members that nobody looks at may hold numbers that no `Value` can.
            if let Ok(json) = serde_json::from_str::<Value>(text) {
                assert!(json["event"].is_string(), "{message:?}");
            }
            if let Message::Audio(payload) = message
                && let Ok(audio) = decode(&payload, &mut scratch)
            {
                assert!(audio.len() <= payload.len() / 4 * 3);
            }
        }
        Input::Audio { stream, mark, payload } => {
            let writer = Writer::new(stream.to_owned());
            let media = writer.media(payload, &mut BytesMut::new());
            let media = std::str::from_utf8(&media).expect("a text");
            let Ok(Message::Audio(read)) = parse(media) else { panic!("{media}") };
            assert_eq!(decode(&read, &mut scratch).expect("base64"), payload);
            assert!(matches!(parse(&writer.mark(mark)), Ok(Message::Mark(name)) if name == mark));
            for text in [media, &writer.mark(mark), &writer.clear()] {
                let json: Value = serde_json::from_str(text).expect("JSON");
                assert_eq!(json["streamSid"], stream);
            }
        }
    }
});
