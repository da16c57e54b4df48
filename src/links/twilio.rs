//! Twilio Media Streams, both ways (`<Connect><Stream>`): mu-law in base64, JSON throughout.
//!
//! Twilio has no words for what the fallback does, for keys and for transfers, and none for mistakes: it takes
//! `media`, `mark` and `clear`, and closes a socket that sends anything else. Closing the socket ends the stream:
//! Twilio goes on with the TwiML behind `<Connect>`.

pub(crate) mod message;
pub(crate) mod signature;
#[cfg(test)]
mod tests;

use std::time::Duration;

use actix_web::web::Bytes;
use bytes::BytesMut;
use bytestring::ByteString;
use serde_json::{Map, Value};
use trunkline_actors::link::{LinkControl, Peer, Transfers};
use trunkline_actors::messages::CallerEvent;
use trunkline_call::{CallFacts, CallId};
use trunkline_media::LineCodec;

use super::dialect::{self, Carrier, Dialect, Heard, MAX_METADATA, Opening, Say, Start, single_key};
use message::{Message, Writer};

/// Longest id of a stream, in bytes: Twilio's have 34.
const MAX_STREAM_SID: usize = 128;

/// What Twilio does with what it is sent: it queues it, and answers every mark.
pub(crate) fn peer(lead: Duration) -> Peer {
    Peer { fill: false, lead: Some(lead), answers_marks: true, presses_keys: false, transfers: Transfers::Never }
}

/// Media Streams on one socket.
#[derive(Debug)]
pub(crate) struct Twilio(Writer);

/// 20 ms, or whatever it is, of the caller.
fn audio(payload: &str, scratch: &mut BytesMut) -> Heard {
    match message::decode(payload, scratch) {
        Ok(audio) => dialect::audio(LineCodec::Pcmu, audio),
        Err(error) => {
            // What it would have been, three bytes in four characters.
            let lost_ms = (payload.len() / 4 * 3).div_ceil(LineCodec::Pcmu.bytes_per_ms()) as u64;
            Heard::Malformed { why: error.to_string(), lost_ms }
        }
    }
}

impl Dialect for Twilio {
    fn text(&self, text: &str, scratch: &mut BytesMut) -> Heard {
        match message::parse(text) {
            Ok(Message::Audio(payload)) => audio(&payload, scratch),
            Ok(Message::Mark(name)) => Heard::Event(CallerEvent::Played(name.into_owned())),
            Ok(Message::Key(digit)) => match single_key(&digit) {
                Some(key) => Heard::Event(CallerEvent::Key(key)),
                None => Heard::Nothing,
            },
            Ok(Message::Stop) => Heard::Event(CallerEvent::Stop),
            // A stream starts once.
            Ok(Message::Start(_) | Message::Other) => Heard::Nothing,
            Err(error) => Heard::Malformed { why: error.to_string(), lost_ms: 0 },
        }
    }

    /// Twilio sends none.
    fn binary(&self, _: Bytes) -> Heard {
        Heard::Nothing
    }

    fn frame(&self, payload: Bytes, scratch: &mut BytesMut) -> Say {
        // Base64 and an escaped id are ASCII.
        Say::Text(ByteString::try_from(self.0.media(&payload, scratch)).unwrap_or_default())
    }

    fn mark(&self, mark: &str) -> Say {
        Say::Text(self.0.mark(mark).into())
    }

    fn control(&self, control: &LinkControl) -> Option<Say> {
        match control {
            LinkControl::Clear { .. } => Some(Say::Text(self.0.clear().into())),
            LinkControl::Ready
            | LinkControl::Fallback { .. }
            | LinkControl::Dtmf { .. }
            | LinkControl::Transfer { .. }
            | LinkControl::Error { .. }
            | LinkControl::Close { .. } => None,
        }
    }
}

impl Carrier for Twilio {
    const LINK: &'static str = "twilio";

    fn open(text: &str) -> Opening<Self> {
        let refused = |code, why| Opening::Refused { code, why };
        match message::parse(text) {
            Ok(Message::Start(start)) => {
                let message::Start { call_sid, stream_sid, is_mulaw, mut parameters } = *start;
                let Ok(call_id) = CallId::parse(&call_sid) else {
                    return refused(1008, "start.callSid is not 1 to 128 of A-Za-z0-9._:@-");
                };
                if stream_sid.is_empty() || stream_sid.len() > MAX_STREAM_SID {
                    return refused(1008, "start.streamSid is missing or too long");
                }
                if !is_mulaw {
                    return refused(1003, "start.mediaFormat is not audio/x-mulaw, 8000 Hz, 1 channel");
                }
                let token = text_of(parameters.remove("token"));
                let facts = facts(&call_id, parameters);
                if facts.check().is_err() {
                    return refused(1008, "from, to, route or smaTransactionId is over 128 bytes");
                }
                let dialect = Self(Writer::new(stream_sid));
                Opening::Start(Box::new(Start { call_id, codec: LineCodec::Pcmu, facts, token, dialect }))
            }
            // A `start` that cannot be read will not come again.
            Err(error) if text.contains("\"start\"") => {
                tracing::debug!(%error, "a start that cannot be read");
                refused(1007, "start cannot be read")
            }
            Ok(_) | Err(_) => Opening::NotYet,
        }
    }
}

/// What the `<Parameter>`s say of the call; what has no meaning of its own is metadata.
fn facts(call_id: &CallId, mut parameters: Map<String, Value>) -> CallFacts {
    let mut take = |name: &str| text_of(parameters.remove(name)).filter(|text| !text.is_empty());
    let (from, to, route) = (take("from"), take("to"), take("route"));
    let sma_transaction_id = take("smaTransactionId");
    let metadata = Some(Value::Object(parameters)).filter(|rest| {
        let size = rest.to_string().len();
        if size > MAX_METADATA {
            tracing::debug!(call = %call_id, size, "customParameters are over {MAX_METADATA} bytes of JSON and are left out");
        }
        rest.as_object().is_some_and(|rest| !rest.is_empty()) && size <= MAX_METADATA
    });
    CallFacts { from, to, route, sma_transaction_id, metadata, ..CallFacts::default() }
}

fn text_of(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}
