//! One message of the queue, read: a Voice Connector's streaming event as EventBridge delivers it, or something else.
//!
//! The shape is that of "Automating the Amazon Chime SDK with EventBridge" (Administration Guide), read with tolerance: real
//! events lack members that are documented and have some that are not. Who writes into the queue is not known for certain, so
//! nothing of a body is trusted.

mod envelope;
mod member;
mod poison;

use std::time::UNIX_EPOCH;

use envelope::{Envelope, is_lambda_wrapper};
use member::{Member, cut};

pub use poison::Poison;

/// Largest body that is read, in bytes: what a message of SQS can hold.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Longest id taken, in bytes (all allowed characters are one byte).
const MAX_ID_LENGTH: usize = 128;

/// Longest number or address of a party, in bytes.
const MAX_NUMBER_BYTES: usize = 128;

/// Longest ARN of a Kinesis Video stream, in bytes.
const MAX_ARN_BYTES: usize = 1024;

const SOURCE: &str = "aws.chime";
const DETAIL_TYPE: &str = "Chime VoiceConnector Streaming Status";

/// What a body turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// An event of a call.
    Call(CallEvent),
    /// Well-formed, and of no concern to us; a short name for what it is not.
    Foreign(&'static str),
    /// A streaming event with a status that is not known; a short name for why.
    Ignored(&'static str),
    /// Not to be read.
    Poison(Poison),
}

/// A streaming event: one media leg of a call began or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEvent {
    /// What happened.
    pub status: Status,
    /// SIP Call-ID of the Voice Connector's leg, 1 to 128 of `A-Za-z0-9._:@-`.
    pub call_id: String,
    /// The Voice Connector's transaction, of the same alphabet. Not the SIP media application's.
    pub transaction_id: String,
    /// Which Voice Connector, of the same alphabet.
    pub voice_connector_id: String,
    /// Which of the two media paths; no proof of who dialled. Some session border controllers do not tell.
    pub is_caller: Option<bool>,
    /// Who called whom.
    pub direction: Option<Direction>,
    /// The calling number: E.164, an extension, or whatever a PBX calls itself.
    pub from: Option<String>,
    /// The called number, likewise.
    pub to: Option<String>,
    /// The Kinesis Video stream with a copy of the leg's audio.
    pub stream_arn: Option<String>,
    /// When the event was written, in ms since 1970. EventBridge writes whole seconds, 1 to 3 s after the fact.
    pub at_unix_ms: Option<u64>,
    /// What FAILED says, escaped and cut to 64 characters.
    pub failure_reason: Option<String>,
}

/// `streamingStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// A leg's media began.
    Started,
    /// Who takes part changed (a SIPREC re-INVITE).
    Updated,
    /// A leg's media ended.
    Ended,
    /// The copy to Kinesis Video failed; of the call itself this says nothing.
    Failed,
}

impl Status {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "STARTED" => Some(Self::Started),
            "UPDATED" => Some(Self::Updated),
            "ENDED" => Some(Self::Ended),
            "FAILED" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// `direction`, seen from the Voice Connector's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Somebody called us.
    Inbound,
    /// We called somebody.
    Outbound,
}

/// Reads one message body as it came from the queue.
///
/// Needed are the envelope's `source` and `detail-type`, and of `detail` the status and three ids. What else is odd counts
/// as absent. An SNS notification is unwrapped once.
#[must_use]
pub fn read(body: &[u8]) -> Message {
    try_read(body).unwrap_or_else(Message::Poison)
}

fn try_read(body: &[u8]) -> Result<Message, Poison> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Poison::TooLarge { length: body.len() });
    }
    let text = std::str::from_utf8(body).map_err(|error| Poison::NotUtf8 { at: error.valid_up_to() })?;
    if text.trim_ascii().is_empty() {
        return Err(Poison::Empty);
    }
    let outer = Envelope::parse(text)?;
    let Some(message) = outer.sns_message()? else { return read_event(outer, text) };
    let inner = Envelope::parse(message)?;
    if inner.sns_message()?.is_some() {
        return Err(Poison::SnsWrapper { what: "its Message is", value: "another SNS message".to_owned() });
    }
    read_event(inner, message)
}

fn read_event(envelope: Envelope<'_>, text: &str) -> Result<Message, Poison> {
    if !envelope.is_event() {
        return if is_lambda_wrapper(text) { Err(Poison::LambdaWrapper) } else { Ok(Message::Foreign("no_event")) };
    }
    if envelope.source.as_text() != Some(SOURCE) {
        return Ok(Message::Foreign("source"));
    }
    if envelope.detail_type.as_text() != Some(DETAIL_TYPE) {
        return Ok(Message::Foreign("detail_type"));
    }
    let Member::Object(detail) = envelope.detail else {
        return Err(Poison::BadDetail { value: envelope.detail.shown() });
    };
    if detail.streaming_status.is_absent() {
        return Ok(Message::Ignored("missing_status"));
    }
    let Some(status) = detail.streaming_status.as_text().and_then(Status::parse) else {
        return Ok(Message::Ignored("unknown_status"));
    };
    Ok(Message::Call(CallEvent {
        status,
        call_id: id("callId", detail.call_id)?,
        transaction_id: id("transactionId", detail.transaction_id)?,
        voice_connector_id: id("voiceConnectorId", detail.voice_connector_id)?,
        is_caller: if let Member::Bool(value) = detail.is_caller { Some(value) } else { None },
        direction: match detail.direction.as_text() {
            Some("Inbound") => Some(Direction::Inbound),
            Some("Outbound") => Some(Direction::Outbound),
            _ => None,
        },
        from: detail.from_number.into_line(MAX_NUMBER_BYTES),
        to: detail.to_number.into_line(MAX_NUMBER_BYTES),
        stream_arn: detail.stream_arn.into_line(MAX_ARN_BYTES),
        at_unix_ms: envelope.time.as_text().and_then(unix_ms),
        failure_reason: detail.failure_reason.as_text().map(cut).filter(|reason| !reason.is_empty()),
    }))
}

/// Ids go into URLs, log lines and metrics: all must be of the alphabet that a call's id has on every surface.
fn id(member: &'static str, found: Member<'_>) -> Result<String, Poison> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '@' | '-');
    match found {
        Member::Text(text) if (1..=MAX_ID_LENGTH).contains(&text.len()) && text.chars().all(is_allowed) => {
            Ok(text.into_owned())
        }
        odd => Err(Poison::BadId { member, value: odd.shown() }),
    }
}

/// RFC 3339 in UTC, with or without a fraction, as ms since 1970.
fn unix_ms(text: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(text).ok()?;
    u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}
