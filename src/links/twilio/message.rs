//! Twilio's messages: text in, meaning out, and the other way round. Strangers write them: whatever is unknown is
//! passed over, whatever is wrong is an error, nothing panics. (Twilio, "Media Streams - WebSocket Messages".)

use std::borrow::Cow;

use base64_simd::{AsOut, STANDARD};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A message of Twilio's.
#[derive(Debug, PartialEq)]
pub(crate) enum Message<'a> {
    /// `start`: the call begins.
    Start(Box<Start>),
    /// `media` of the caller: mu-law, base64.
    Audio(Cow<'a, str>),
    /// `mark`: all before it was played, or thrown away by a `clear`.
    Mark(Cow<'a, str>),
    /// `dtmf`: a key, as it stands.
    Key(Cow<'a, str>),
    /// `stop`: the call is over.
    Stop,
    /// What nobody here needs: `connected`, our own audio, events yet to be invented.
    Other,
}

/// What a `start` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Start {
    /// The call; empty if it does not say.
    pub(crate) call_sid: String,
    /// The stream, which is named in every message to it; empty if it does not say.
    pub(crate) stream_sid: String,
    /// Whether audio is what Media Streams carry: mono mu-law at 8 kHz. What is not said is taken to be so.
    pub(crate) is_mulaw: bool,
    /// The `<Parameter>`s of the TwiML.
    pub(crate) parameters: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    stream_sid: Cow<'a, str>,
    start: Option<RawStart>,
    #[serde(borrow)]
    media: Option<RawMedia<'a>>,
    #[serde(borrow)]
    mark: Option<RawMark<'a>>,
    #[serde(borrow)]
    dtmf: Option<RawDtmf<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStart {
    #[serde(default)]
    call_sid: String,
    #[serde(default)]
    stream_sid: String,
    media_format: Option<RawFormat>,
    custom_parameters: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFormat {
    encoding: Option<String>,
    /// A number, or a text of one.
    sample_rate: Option<Value>,
    channels: Option<Value>,
}

#[derive(Deserialize)]
struct RawMedia<'a> {
    #[serde(borrow, default)]
    track: Cow<'a, str>,
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawMark<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawDtmf<'a> {
    #[serde(borrow)]
    digit: Cow<'a, str>,
}

/// Why a text is none of Twilio's messages.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    /// No JSON, no text `event`, or a member of another type than it has.
    #[error("not a message of Media Streams: {0}")]
    NotAMessage(#[from] serde_json::Error),
    /// Another kind of JSON.
    #[error("not a message of Media Streams: no JSON object")]
    NotAnObject,
    /// An event without what it is about.
    #[error("{0:?} without its object of that name")]
    Empty(&'static str),
    /// A payload that is not base64.
    #[error("media.payload is not base64")]
    NotBase64,
}

/// Reads a message. Audio is borrowed from the text: nothing is copied unless it is escaped there.
///
/// # Errors
/// [`Malformed`].
pub(crate) fn parse(text: &str) -> Result<Message<'_>, Malformed> {
    // A list would be read as an object's members in their order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Malformed::NotAnObject);
    }
    let Raw { event, stream_sid, start, media, mark, dtmf } = serde_json::from_str(text)?;
    Ok(match &*event {
        "media" => {
            let RawMedia { track, payload } = media.ok_or(Malformed::Empty("media"))?;
            // With both tracks, `outbound` is what we said ourselves.
            if matches!(&*track, "inbound" | "") { Message::Audio(payload) } else { Message::Other }
        }
        "start" => Message::Start(Box::new(start.ok_or(Malformed::Empty("start"))?.read(&stream_sid))),
        "mark" => Message::Mark(mark.ok_or(Malformed::Empty("mark"))?.name),
        "dtmf" => Message::Key(dtmf.ok_or(Malformed::Empty("dtmf"))?.digit),
        "stop" => Message::Stop,
        _ => Message::Other,
    })
}

impl RawStart {
    fn read(self, outer_sid: &str) -> Start {
        let Self { call_sid, stream_sid, media_format, custom_parameters } = self;
        Start {
            call_sid,
            stream_sid: if stream_sid.is_empty() { outer_sid.to_owned() } else { stream_sid },
            is_mulaw: media_format.is_none_or(|format| format.is_mulaw()),
            parameters: custom_parameters.unwrap_or_default(),
        }
    }
}

impl RawFormat {
    fn is_mulaw(&self) -> bool {
        let is = |value: &Option<Value>, number: u64| match value {
            Some(Value::String(text)) => text.parse() == Ok(number),
            Some(value) => value.as_u64() == Some(number),
            None => true,
        };
        let encoding = self.encoding.as_deref().is_none_or(|encoding| encoding.eq_ignore_ascii_case("audio/x-mulaw"));
        encoding && is(&self.sample_rate, 8_000) && is(&self.channels, 1)
    }
}

/// The bytes of a payload. They stay in the buffer's own memory, which is used again once they are gone.
///
/// # Errors
/// [`Malformed::NotBase64`].
pub(crate) fn decode(payload: &str, scratch: &mut BytesMut) -> Result<Bytes, Malformed> {
    let length = STANDARD.decoded_length(payload.as_bytes()).map_err(|_| Malformed::NotBase64)?;
    scratch.clear();
    scratch.resize(length, 0);
    let decoded = scratch.get_mut(..).map(|room| STANDARD.decode(payload.as_bytes(), room.as_out()).is_ok());
    if decoded != Some(true) {
        return Err(Malformed::NotBase64);
    }
    Ok(scratch.split().freeze())
}

/// Messages to one stream.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Of a `media`, up to its payload.
    media: String,
    /// The stream's id.
    stream_sid: String,
}

/// Of a `media`, after its payload.
const MEDIA_TAIL: &[u8] = br#""}}"#;

impl Writer {
    /// Messages to the stream of this id.
    pub(crate) fn new(stream_sid: String) -> Self {
        let media = format!(r#"{{"event":"media","streamSid":{},"media":{{"payload":""#, Value::from(&*stream_sid));
        Self { media, stream_sid }
    }

    /// A `media` with these bytes of mu-law. Nothing is allocated while messages before it are gone.
    pub(crate) fn media(&self, payload: &[u8], scratch: &mut BytesMut) -> Bytes {
        let encoded = STANDARD.encoded_length(payload.len());
        scratch.clear();
        scratch.reserve(self.media.len() + encoded + MEDIA_TAIL.len());
        scratch.extend_from_slice(self.media.as_bytes());
        let start = scratch.len();
        scratch.resize(start + encoded, 0);
        if let Some(room) = scratch.get_mut(start..) {
            let _ = STANDARD.encode(payload, room.as_out());
        }
        scratch.extend_from_slice(MEDIA_TAIL);
        scratch.split().freeze()
    }

    /// A `mark`, which comes back when all before it was played.
    pub(crate) fn mark(&self, name: &str) -> String {
        json!({"event": "mark", "streamSid": self.stream_sid, "mark": {"name": name}}).to_string()
    }

    /// A `clear`: all that waits over there is thrown away.
    pub(crate) fn clear(&self) -> String {
        json!({"event": "clear", "streamSid": self.stream_sid}).to_string()
    }
}
