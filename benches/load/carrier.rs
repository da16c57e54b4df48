//! How a call is brought to the bridge: one file a dialect's worth of messages, from the carrier's side.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use base64_simd::STANDARD;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::caller::{Event, binary};
use crate::script::{LOUD, level};

/// Bytes of PCMU in a millisecond.
const BYTES_A_MS: usize = 8;
/// Sound is loud or not in pieces of this size, in bytes of PCMU.
const PIECE: usize = 20 * BYTES_A_MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Carrier {
    /// `/ingest`
    Native,
    /// Twilio Media Streams
    Twilio,
}

impl Carrier {
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Twilio => "twilio",
        }
    }

    /// Where a call goes; the route is the model's.
    pub fn path(self, number: u32) -> String {
        match self {
            Self::Native => format!("/ingest?callId=load-{number}&to=6002"),
            Self::Twilio => "/media-stream".to_owned(),
        }
    }

    /// What is said before the first frame.
    pub fn greeting(self, number: u32) -> Vec<String> {
        let (stream, call) = (stream(number), format!("CA{number:032}"));
        match self {
            Self::Native => Vec::new(),
            Self::Twilio => vec![
                json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}).to_string(),
                json!({
                    "event": "start", "sequenceNumber": "1", "streamSid": stream,
                    "start": {
                        "streamSid": stream, "accountSid": "AC00000000000000000000000000000000", "callSid": call,
                        "tracks": ["inbound"], "customParameters": {"to": "6002"},
                        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                    },
                })
                .to_string(),
            ],
        }
    }

    /// 20 ms of the caller's.
    pub fn frame(self, number: u32, tick: u32, pcmu: &[u8]) -> Message {
        match self {
            Self::Native => binary(pcmu),
            Self::Twilio => Message::text(format!(
                r#"{{"event":"media","sequenceNumber":"{}","media":{{"track":"inbound","chunk":"{}","timestamp":"{}","payload":"{}"}},"streamSid":"{}"}}"#,
                tick + 2,
                tick + 1,
                tick * 20,
                STANDARD.encode_to_string(pcmu),
                stream(number),
            )),
        }
    }

    /// What is said at the end.
    pub fn farewell(self, number: u32) -> Vec<String> {
        match self {
            Self::Native => vec![json!({"type": "stop", "reason": "load"}).to_string()],
            Self::Twilio => vec![
                json!({"event": "stop", "sequenceNumber": "0", "streamSid": stream(number),
                    "stop": {"accountSid": "AC00000000000000000000000000000000", "callSid": format!("CA{number:032}")}})
                .to_string(),
            ],
        }
    }

    /// The carrier closes the socket; otherwise the bridge does.
    pub fn closes_itself(self) -> bool {
        self == Self::Twilio
    }

    pub fn ear(self) -> Box<dyn Heard> {
        match self {
            Self::Native => Box::new(Native),
            Self::Twilio => Box::new(Twilio::default()),
        }
    }
}

/// The text value of a JSON member, whose name stands in quotation marks: found rather than parsed, for audio comes fifty
/// times a second a call.
pub fn found<'a>(text: &'a str, member: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(member)?;
    rest.split('"').nth(1)
}

fn stream(number: u32) -> String {
    format!("MZ{number:032}")
}

/// The carrier's end of one call.
pub trait Heard {
    /// What a message means; an error ends the call.
    fn message(&mut self, message: &Message, now: Instant) -> Result<Option<Event>, String>;

    /// When the carrier has to say something of itself.
    fn next(&self) -> Option<Instant>;

    /// What it has to say by now.
    fn due(&mut self, now: Instant) -> Option<Message>;
}

/// Frames are heard as they come.
struct Native;

impl Heard for Native {
    fn message(&mut self, message: &Message, _: Instant) -> Result<Option<Event>, String> {
        let text = match message {
            Message::Binary(frame) => {
                let ms = (frame.len() / BYTES_A_MS) as u64;
                return Ok(Some(Event::Sound { ms, is_loud: level(frame) > LOUD }));
            }
            Message::Text(text) => text,
            _ => return Ok(None),
        };
        let message: Value = serde_json::from_str(text).map_err(|error| format!("{text}: {error}"))?;
        match message.pointer("/type").and_then(Value::as_str) {
            Some("clear") => Ok(Some(Event::Clear { unheard_ms: 0 })),
            Some("stop") => Ok(Some(Event::Over)),
            Some("error" | "fallback") => Err(format!("told: {text}")),
            _ => Ok(None),
        }
    }

    fn next(&self) -> Option<Instant> {
        None
    }

    fn due(&mut self, _: Instant) -> Option<Message> {
        None
    }
}

/// Twilio queues what comes and plays it in real time; a mark comes back when what was before it has been played.
#[derive(Default)]
struct Twilio {
    /// Until when what came plays.
    plays_until: Option<Instant>,
    marks: VecDeque<(Instant, String)>,
}

impl Twilio {
    fn queued(&self, now: Instant) -> Duration {
        self.plays_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

impl Heard for Twilio {
    fn message(&mut self, message: &Message, now: Instant) -> Result<Option<Event>, String> {
        let Message::Text(text) = message else { return Ok(None) };
        if let Some(base64) = text.contains("\"media\"").then(|| found(text, "\"payload\"")).flatten() {
            let audio = STANDARD.decode_to_vec(base64).map_err(|error| format!("media: {error}"))?;
            let ms = (audio.len() / BYTES_A_MS) as u64;
            self.plays_until = Some(now + self.queued(now) + Duration::from_millis(ms));
            let loud = audio.chunks(PIECE).filter(|piece| level(piece) > LOUD).map(<[u8]>::len).sum::<usize>();
            return Ok(Some(Event::Sound { ms: (loud / BYTES_A_MS) as u64, is_loud: loud > 0 }));
        }
        let message: Value = serde_json::from_str(text).map_err(|error| format!("{text}: {error}"))?;
        match message.pointer("/event").and_then(Value::as_str) {
            Some("clear") => {
                let unheard_ms = u64::try_from(self.queued(now).as_millis()).unwrap_or_default();
                self.plays_until = None;
                for (due, _) in &mut self.marks {
                    *due = now;
                }
                Ok(Some(Event::Clear { unheard_ms }))
            }
            Some("mark") => {
                self.marks.push_back((now + self.queued(now), text.to_string()));
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn next(&self) -> Option<Instant> {
        self.marks.front().map(|(due, _)| *due)
    }

    fn due(&mut self, now: Instant) -> Option<Message> {
        self.marks.pop_front_if(|(due, _)| *due <= now).map(|(_, text)| Message::text(text))
    }
}
