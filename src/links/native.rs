//! The native dialect of `/ingest`: binary audio, JSON control messages. Pure text in, text out.

use actix_web::web::Bytes;
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::json;
use trunkline_actors::link::LinkControl;
use trunkline_actors::messages::CallerEvent;
use trunkline_call::{CallFacts, Direction};
use trunkline_media::{FRAME_MS, LineCodec};

use super::dialect::{self, Dialect, Heard, MAX_METADATA, Say, bad, single_key};

/// The native dialect on one socket.
#[derive(Debug)]
pub(crate) struct Native {
    /// What the call is known by.
    pub(crate) call_id: String,
    /// What the socket speaks.
    pub(crate) codec: LineCodec,
}

impl Dialect for Native {
    fn text(&self, text: &str, _: &mut BytesMut) -> Heard {
        Heard::Event(parse(text))
    }

    fn binary(&self, payload: Bytes) -> Heard {
        dialect::audio(self.codec, payload)
    }

    fn frame(&self, payload: Bytes, _: &mut BytesMut) -> Say {
        Say::Binary(payload)
    }

    fn mark(&self, mark: &str) -> Say {
        Say::Text(json!({"type": "mark", "mark": mark}).to_string().into())
    }

    fn control(&self, control: &LinkControl) -> Option<Say> {
        let message = match control {
            LinkControl::Ready => {
                json!({"type": "ready", "callId": self.call_id, "codec": self.codec.name(), "frameMs": FRAME_MS})
            }
            LinkControl::Clear { .. } => json!({"type": "clear"}),
            LinkControl::Fallback { state, reason } => json!({"type": "fallback", "state": state, "reason": reason}),
            LinkControl::Dtmf { digits } => json!({"type": "dtmf", "digits": digits}),
            LinkControl::Transfer { to } => json!({"type": "transfer", "to": to}),
            LinkControl::Error { code, message } => json!({"type": "error", "code": code, "message": message}),
            LinkControl::Close { stop, .. } => json!({"type": "stop", "reason": (*stop)?}),
        };
        Some(Say::Text(message.to_string().into()))
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Message {
    #[serde(rename_all = "camelCase")]
    Start {
        from: Option<String>,
        to: Option<String>,
        direction: Option<Direction>,
        sma_transaction_id: Option<String>,
        metadata: Option<serde_json::Value>,
    },
    Dtmf {
        digit: String,
    },
    Played {
        mark: String,
    },
    Stop {},
}

/// What a text message means. Whatever is wrong with it is an event too: it is answered and changes nothing.
fn parse(text: &str) -> CallerEvent {
    match serde_json::from_str(text) {
        Ok(Message::Start { from, to, direction, sma_transaction_id, metadata }) => {
            let metadata = metadata.filter(|value| !value.is_null());
            if metadata.as_ref().is_some_and(|value| value.to_string().len() > MAX_METADATA) {
                return bad("bad_message", format!("start.metadata is over {MAX_METADATA} bytes of JSON"), 0);
            }
            let facts = CallFacts { from, to, direction, sma_transaction_id, metadata, ..CallFacts::default() };
            match facts.check() {
                Err(long) => bad("bad_message", format!("start.{long}"), 0),
                Ok(()) => CallerEvent::Start(facts),
            }
        }
        Ok(Message::Dtmf { digit }) => match single_key(&digit) {
            Some(key) => CallerEvent::Key(key),
            None => bad("bad_digit", "dtmf.digit is one of 0-9 * # A-D".to_owned(), 0),
        },
        Ok(Message::Played { mark }) => CallerEvent::Played(mark),
        Ok(Message::Stop {}) => CallerEvent::Stop,
        Err(error) => bad(
            "bad_message",
            format!("not a message of this dialect ({error}); allowed are start, dtmf, played, stop"),
            0,
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use trunkline_call::MAX_FACT_BYTES;

    use super::*;

    #[test]
    fn every_message_of_the_contract_is_understood() {
        assert_eq!(parse(r#"{"type":"stop","reason":"done"}"#), CallerEvent::Stop);
        assert_eq!(parse(r#"{"type":"stop"}"#), CallerEvent::Stop);
        assert_eq!(parse(r#"{"type":"dtmf","digit":"5","durationMs":80}"#), CallerEvent::Key('5'));
        assert_eq!(parse(r#"{"type":"dtmf","digit":"d"}"#), CallerEvent::Key('D'));
        assert_eq!(parse(r#"{"type":"played","mark":"item_1"}"#), CallerEvent::Played("item_1".into()));
        let start = r#"{"type":"start","from":"+1","to":"6001","direction":"inbound","smaTransactionId":"t","metadata":{"a":1},"new":true}"#;
        let CallerEvent::Start(facts) = parse(start) else { panic!("not a start") };
        assert_eq!((facts.from.as_deref(), facts.to.as_deref()), (Some("+1"), Some("6001")));
        assert_eq!(facts.direction, Some(Direction::Inbound));
        assert_eq!(facts.sma_transaction_id.as_deref(), Some("t"));
        assert_eq!(facts.metadata, Some(json!({"a": 1})));
        assert_eq!(parse(r#"{"type":"start"}"#), CallerEvent::Start(CallFacts::default()));
    }

    #[test]
    fn what_is_wrong_is_answered() {
        for text in
            ["", "hello", "MEDIA_START connection_id:x", "[]", "{}", r#"{"type":"nonsense"}"#, r#"{"type":"dtmf"}"#]
        {
            assert!(matches!(parse(text), CallerEvent::Bad { code: "bad_message", .. }), "{text}");
        }
        for digit in ["", "12", "x", "é"] {
            let text = json!({"type": "dtmf", "digit": digit}).to_string();
            assert!(matches!(parse(&text), CallerEvent::Bad { code: "bad_digit", .. }), "{digit}");
        }
        let large = json!({"type": "start", "metadata": "x".repeat(MAX_METADATA)}).to_string();
        assert!(matches!(parse(&large), CallerEvent::Bad { .. }));
        for name in ["from", "to", "smaTransactionId"] {
            let told = |bytes| parse(&json!({"type": "start", name: "5".repeat(bytes)}).to_string());
            assert!(matches!(told(MAX_FACT_BYTES), CallerEvent::Start(_)), "{name}");
            let CallerEvent::Bad { message, .. } = told(MAX_FACT_BYTES + 1) else { panic!("{name} is taken") };
            assert_eq!(message, format!("start.{name} is over 128 bytes"));
        }
    }

    #[test]
    fn our_messages_are_those_of_the_contract() {
        let native = Native { call_id: "c-1".to_owned(), codec: LineCodec::Pcma };
        let text = |message| match native.control(&message)? {
            Say::Text(text) => Some(text.to_string()),
            Say::Binary(_) => panic!("a control message is text"),
        };
        assert_eq!(
            text(LinkControl::Ready).as_deref(),
            Some(r#"{"callId":"c-1","codec":"pcma","frameMs":20,"type":"ready"}"#)
        );
        assert_eq!(text(LinkControl::Clear { generation: 3 }).as_deref(), Some(r#"{"type":"clear"}"#));
        assert_eq!(
            text(LinkControl::Close { stop: Some("caller_hangup"), code: 1000 }).as_deref(),
            Some(r#"{"reason":"caller_hangup","type":"stop"}"#)
        );
        assert_eq!(
            text(LinkControl::Dtmf { digits: "1,#".to_owned() }).as_deref(),
            Some(r##"{"digits":"1,#","type":"dtmf"}"##)
        );
        assert_eq!(
            text(LinkControl::Transfer { to: "+15550100".to_owned() }).as_deref(),
            Some(r#"{"to":"+15550100","type":"transfer"}"#)
        );
        assert_eq!(text(LinkControl::Close { stop: None, code: 4409 }), None);
        assert_eq!(native.mark("item_1"), Say::Text(r#"{"mark":"item_1","type":"mark"}"#.into()));
    }

    proptest! {
        #[test]
        fn strangers_text_never_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }
    }
}
