//! What a dialect is: one carrier's way of speaking over a WebSocket. It translates both ways and decides nothing
//! about the call. No socket and no clock in it.

use actix_web::web::Bytes;
use bytes::BytesMut;
use bytestring::ByteString;
use trunkline_actors::link::LinkControl;
use trunkline_actors::messages::CallerEvent;
use trunkline_call::{CallFacts, CallId};
use trunkline_media::{LINE_RATE, LineCodec};

/// Audio in one message, in bytes: 1 s of PCMU.
pub(crate) const MAX_AUDIO: usize = 8_000;
/// Any message, in bytes; over it the socket is closed with 1009.
pub(crate) const MAX_MESSAGE: usize = 65_536;
/// Metadata kept of a start, in bytes of JSON.
pub(crate) const MAX_METADATA: usize = 4_096;

/// What a message of the caller's side means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// Audio in the link's codec.
    Audio(Bytes),
    /// Anything else; a mistake that the dialect can answer is one too.
    Event(CallerEvent),
    /// A mistake that the dialect has no answer to: it is counted and passed over.
    Malformed {
        /// What was wrong.
        why: String,
        /// Milliseconds of audio it cost.
        lost_ms: u64,
    },
    /// Nothing that the call has to know.
    Nothing,
}

/// A message to the caller's side.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Say {
    Text(ByteString),
    Binary(Bytes),
}

/// One dialect on one socket. Reading and writing go on side by side, each with a buffer of its own that is used
/// again for every message.
pub(crate) trait Dialect {
    /// A text message, whatever a stranger wrote.
    fn text(&self, text: &str, scratch: &mut BytesMut) -> Heard;

    /// A binary message.
    fn binary(&self, payload: Bytes) -> Heard;

    /// 20 ms of audio in the link's codec.
    fn frame(&self, payload: Bytes, scratch: &mut BytesMut) -> Say;

    /// Everything of an item has been sent.
    fn mark(&self, mark: &str) -> Say;

    /// Anything else; `None` where the dialect has no words for it, or closing says it all.
    fn control(&self, control: &LinkControl) -> Option<Say>;
}

/// A dialect that says which call it is about in its first message, after the upgrade.
pub(crate) trait Carrier: Dialect + Sized {
    /// CALL's `link`.
    const LINK: &'static str;

    /// Reads a message that comes before the call is known.
    fn open(text: &str) -> Opening<Self>;
}

/// What a message before the beginning of a call means.
#[derive(Debug)]
pub(crate) enum Opening<D> {
    /// Nothing yet: what comes before the start is passed over.
    NotYet,
    /// The call begins.
    Start(Box<Start<D>>),
    /// It begins in a way that cannot be gone along with: the socket is closed with this code and reason.
    Refused {
        /// WebSocket close code.
        code: u16,
        /// For people, at most 123 bytes.
        why: &'static str,
    },
}

/// The beginning of a call.
#[derive(Debug)]
pub(crate) struct Start<D> {
    /// What the carrier calls it.
    pub(crate) call_id: CallId,
    /// What its audio is, both ways.
    pub(crate) codec: LineCodec,
    /// What the connecting side knows of it.
    pub(crate) facts: CallFacts,
    /// What shows that it may connect.
    pub(crate) token: Option<String>,
    /// How it goes on.
    pub(crate) dialect: D,
}

/// A DTMF key, if it is one and no more.
pub(crate) fn single_key(digit: &str) -> Option<char> {
    let mut keys = digit.chars();
    let key = keys.next()?.to_ascii_uppercase();
    (keys.next().is_none() && matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(key)
}

/// A mistake of the other side, with what it cost.
pub(crate) fn bad(code: &'static str, message: String, lost_ms: u64) -> CallerEvent {
    CallerEvent::Bad { code, message, lost_ms }
}

/// Audio of one message, or what is wrong with it.
pub(crate) fn audio(codec: LineCodec, payload: Bytes) -> Heard {
    let bytes = payload.len();
    let per_second = codec.bytes_per_sample() * LINE_RATE as usize;
    let lost_ms = (bytes * 1_000).div_ceil(per_second) as u64;
    if bytes > MAX_AUDIO {
        let message = format!("{bytes} bytes of audio in one message, {MAX_AUDIO} are allowed: discarded");
        return Heard::Event(bad("bad_audio", message, lost_ms));
    }
    if !bytes.is_multiple_of(codec.bytes_per_sample()) {
        let message = format!("{bytes} bytes are not whole samples of {}: discarded", codec.name());
        return Heard::Event(bad("bad_audio", message, lost_ms));
    }
    Heard::Audio(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_is_bounded_and_whole() {
        assert!(matches!(audio(LineCodec::Pcmu, vec![0; MAX_AUDIO].into()), Heard::Audio(_)));
        let Heard::Event(CallerEvent::Bad { code, lost_ms, .. }) =
            audio(LineCodec::Pcmu, vec![0; MAX_AUDIO + 1].into())
        else {
            panic!("accepted")
        };
        assert_eq!((code, lost_ms), ("bad_audio", 1_001));
        assert!(matches!(audio(LineCodec::L16, vec![0; 321].into()), Heard::Event(_)));
    }

    #[test]
    fn keys_are_single() {
        for (text, key) in [("5", Some('5')), ("d", Some('D')), ("#", Some('#')), ("12", None), ("", None), ("é", None)]
        {
            assert_eq!(single_key(text), key, "{text:?}");
        }
    }
}
