//! The native dialect of `/ingest`: binary audio, JSON control messages. Pure text in, text out.

use serde::Deserialize;
use serde_json::json;
use trunkline_actors::link::LinkControl;
use trunkline_actors::messages::CallerEvent;
use trunkline_call::{CallFacts, Direction};
use trunkline_media::{FRAME_MS, LINE_RATE, LineCodec};

/// Audio in one message, in bytes: 1 s of PCMU.
pub(crate) const MAX_AUDIO: usize = 8_000;
/// Any message, in bytes; over it the socket is closed with 1009.
pub(crate) const MAX_MESSAGE: usize = 65_536;
/// Metadata kept of a `start`, in bytes of JSON.
const MAX_METADATA: usize = 4_096;

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
pub(crate) fn parse(text: &str) -> CallerEvent {
    match serde_json::from_str(text) {
        Ok(Message::Start { from, to, direction, sma_transaction_id, metadata }) => {
            let metadata = metadata.filter(|value| !value.is_null());
            if metadata.as_ref().is_some_and(|value| value.to_string().len() > MAX_METADATA) {
                return bad("bad_message", format!("start.metadata is over {MAX_METADATA} bytes of JSON"));
            }
            CallerEvent::Start(CallFacts { from, to, direction, sma_transaction_id, metadata, ..CallFacts::default() })
        }
        Ok(Message::Dtmf { digit }) => match single_key(&digit) {
            Some(key) => CallerEvent::Key(key),
            None => bad("bad_digit", "dtmf.digit is one of 0-9 * # A-D".to_owned()),
        },
        Ok(Message::Played { mark }) => CallerEvent::Played(mark),
        Ok(Message::Stop {}) => CallerEvent::Stop,
        Err(error) => bad(
            "bad_message",
            format!("not a message of this dialect ({error}); allowed are start, dtmf, played, stop"),
        ),
    }
}

/// What is wrong with a binary message, if anything.
pub(crate) fn wrong_audio(codec: LineCodec, bytes: usize) -> Option<CallerEvent> {
    let per_second = codec.bytes_per_sample() * LINE_RATE as usize;
    let lost_ms = (bytes * 1_000).div_ceil(per_second) as u64;
    let bad = |message| Some(CallerEvent::Bad { code: "bad_audio", message, lost_ms });
    if bytes > MAX_AUDIO {
        return bad(format!("{bytes} bytes of audio in one message, {MAX_AUDIO} are allowed: discarded"));
    }
    if !bytes.is_multiple_of(codec.bytes_per_sample()) {
        return bad(format!("{bytes} bytes are not whole samples of {}: discarded", codec.name()));
    }
    None
}

fn single_key(digit: &str) -> Option<char> {
    let mut keys = digit.chars();
    let key = keys.next()?.to_ascii_uppercase();
    (keys.next().is_none() && matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(key)
}

fn bad(code: &'static str, message: String) -> CallerEvent {
    CallerEvent::Bad { code, message, lost_ms: 0 }
}

/// The text message for a control message; `None` where closing says it all.
pub(crate) fn control(control: &LinkControl, call_id: &str, codec: LineCodec) -> Option<String> {
    let message = match control {
        LinkControl::Ready => json!({"type": "ready", "callId": call_id, "codec": codec.name(), "frameMs": FRAME_MS}),
        LinkControl::Clear { .. } => json!({"type": "clear"}),
        LinkControl::Fallback { state, reason } => json!({"type": "fallback", "state": state, "reason": reason}),
        LinkControl::Dtmf { digits } => json!({"type": "dtmf", "digits": digits}),
        LinkControl::Transfer { to } => json!({"type": "transfer", "to": to}),
        LinkControl::Error { code, message } => json!({"type": "error", "code": code, "message": message}),
        LinkControl::Close { stop, .. } => json!({"type": "stop", "reason": (*stop)?}),
    };
    Some(message.to_string())
}

/// The text message for a mark.
pub(crate) fn mark(mark: &str) -> String {
    json!({"type": "mark", "mark": mark}).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    }

    #[test]
    fn audio_is_bounded_and_whole() {
        assert_eq!(wrong_audio(LineCodec::Pcmu, MAX_AUDIO), None);
        let Some(CallerEvent::Bad { code, lost_ms, .. }) = wrong_audio(LineCodec::Pcmu, MAX_AUDIO + 1) else {
            panic!("accepted")
        };
        assert_eq!((code, lost_ms), ("bad_audio", 1_001));
        assert!(wrong_audio(LineCodec::L16, 321).is_some());
    }

    #[test]
    fn our_messages_are_those_of_the_contract() {
        let text = |message| control(&message, "c-1", LineCodec::Pcma);
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
        assert_eq!(mark("item_1"), r#"{"mark":"item_1","type":"mark"}"#);
    }

    proptest! {
        #[test]
        fn strangers_text_never_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }
    }
}
