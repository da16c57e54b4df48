//! A telephone for the command line: one call through `/ingest` or by SIP, at the pace of a real one.

mod caller;
mod dial;
mod playback;
mod reply;
mod report;
pub mod sip;
#[cfg(test)]
mod tests;
pub mod wav;

use std::path::PathBuf;
use std::time::Duration;

use awc::ws::{CloseCode, Frame, Message};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use trunkline_media::{LineCodec, g711};

pub use caller::{Caller, Doing, Patience, is_sound};
pub(super) use dial::client;
pub use playback::Playback;
pub use report::{PhoneReport, RtpReport};

use crate::settings::{Secret, SipAccount};
use dial::{Number, generated_id};
use reply::ReplyWatch;

/// How long the service may take to say `ready`.
const READY_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the service may take to say goodbye after we hung up.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(3);

/// Frames that may wait for a socket that does not take them: 2 s. More are dropped and counted.
const SEND_QUEUE: usize = 100;

const TICK: Duration = Duration::from_millis(20);

/// Whom to call, and what to say.
pub struct PhoneOptions {
    /// `ws(s)://HOST[:PORT][/PATH][?QUERY]`; `/ingest` and a call id are filled in where missing. `codec` in the query is obeyed.
    /// Or `sip(s):[NUMBER@]HOST[:PORT][;transport=udp|tcp|tls]`.
    pub url: String,
    /// Call id; `None` makes one up.
    pub call_id: Option<String>,
    /// Sent as `Authorization: Bearer` to `/ingest`.
    pub secret: Option<Secret>,
    /// Who calls by SIP, where the far end asks for a password.
    pub account: Option<SipAccount>,
    /// Certificate authorities that SIP over TLS trusts beside the public ones (PEM).
    pub ca_file: Option<PathBuf>,
    /// What the caller says: 8 kHz mono.
    pub words: Vec<i16>,
    /// When the caller hangs up.
    pub patience: Patience,
    /// Told once a second how it goes.
    pub progress: Box<dyn FnMut(&Progress)>,
}

/// How a call goes at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since `ready`, or since the call was answered.
    pub elapsed: Duration,
    /// What the caller is doing.
    pub doing: Doing,
    /// Frames sent so far.
    pub frames_out: u64,
    /// Frames received so far.
    pub frames_in: u64,
    /// Whether the service plays prompts because the model is away.
    pub fallback: bool,
}

/// Why a call did not come about or broke off.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// The address cannot be dialled.
    #[error(
        "bad address: {what}; allowed: ws://HOST[:PORT]/ingest or wss://, sip:NUMBER@HOST[:PORT][;transport=udp|tcp|tls] or sips:"
    )]
    BadUrl {
        /// What is wrong with it.
        what: String,
    },
    /// Nobody answered: name, TCP, TLS, no WebSocket, or no SIP.
    #[error("cannot connect: {what}")]
    Unreachable {
        /// What went wrong.
        what: String,
    },
    /// The upgrade was answered with another status than 101.
    #[error("call refused: HTTP {status} ({meaning})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it most likely means.
        meaning: &'static str,
    },
    /// The INVITE was answered with a status above 299.
    #[error("call refused: SIP {status} {reason}")]
    Declined {
        /// SIP status.
        status: u16,
        /// The far end's words.
        reason: String,
    },
    /// The line was lost in the middle of the call.
    #[error("line lost after {after:.1?}: {what}")]
    Lost {
        /// Since `ready` or the answer; zero if that never came.
        after: Duration,
        /// Close code and reason, or what the socket said.
        what: String,
    },
}

/// Places one call and carries it to its end. Runs on the current thread's actix system.
///
/// # Errors
/// [`PhoneError`] if there was no call, or it ended without anyone hanging up.
pub async fn place_call(mut options: PhoneOptions) -> Result<PhoneReport, PhoneError> {
    if sip::is_sip(&options.url) {
        // Rare, and large beside the other kind.
        return Box::pin(sip::place_call(options)).await;
    }
    let number = Number::parse(&options.url, options.call_id.as_deref())?;
    let (mut sink, mut incoming) = dial::dial(&number, options.secret.as_ref()).await?;
    // A peer that stops reading must not stop our clock: the writer waits, we don't.
    let (outgoing, mut waiting) = mpsc::channel::<Message>(SEND_QUEUE);
    let writer = actix_rt::spawn(async move {
        while let Some(message) = waiting.recv().await {
            let last = matches!(message, Message::Close(_));
            if sink.send(message).await.is_err() || last {
                break;
            }
        }
        let _gone = sink.close().await;
    });

    let mut call = Call::new(number.codec, std::mem::take(&mut options.words), options.patience, outgoing);
    let mut unready = PhoneReport::new(number.call_id, number.codec);
    let deadline = Instant::now() + READY_TIMEOUT;
    while !call.ready {
        let next = timeout_at(deadline, incoming.next()).await;
        let frame = next.map_err(|_| PhoneError::Lost {
            after: Duration::ZERO,
            what: format!("no `ready` within {} s", READY_TIMEOUT.as_secs()),
        })?;
        call.take(Instant::now(), frame, &mut unready);
        if let Some(end) = call.ended.take() {
            writer.abort();
            return Err(PhoneError::Lost { after: Duration::ZERO, what: end });
        }
    }
    let mut report = unready;
    let start = Instant::now();
    let mut ticks = 0_u32;
    while call.ended.is_none() {
        tokio::select! {
            biased;
            () = sleep_until(start + TICK * ticks) => {
                let doing = call.tick(&mut report);
                if doing == Doing::Done {
                    break;
                }
                if ticks.is_multiple_of(50) {
                    (options.progress)(&call.progress(&report, TICK * ticks));
                }
                ticks += 1;
            }
            frame = incoming.next() => call.take(Instant::now(), frame, &mut report),
        }
    }
    report.duration = start.elapsed();
    if call.ended.is_none() {
        call.hang_up();
        let goodbye = Instant::now() + GOODBYE_TIMEOUT;
        while call.ended.is_none() {
            match timeout_at(goodbye, incoming.next()).await {
                Ok(frame) => call.take(Instant::now(), frame, &mut report),
                Err(_) => break,
            }
        }
    }
    call.send(Message::Close(Some(CloseCode::Normal.into())));
    let _flushed = timeout(Duration::from_secs(1), writer).await;
    call.finish(&mut report);
    match call.ended {
        Some(what) if !call.over => Err(PhoneError::Lost { after: report.duration, what }),
        _ => Ok(report),
    }
}

/// One call under way.
struct Call {
    codec: LineCodec,
    caller: Caller,
    playback: Playback,
    outgoing: mpsc::Sender<Message>,
    samples: Vec<i16>,
    ready: bool,
    fallback: bool,
    hung_up: bool,
    /// The service said `stop`, or we did: what follows is the planned end.
    over: bool,
    /// The socket is closed, and why.
    ended: Option<String>,
    reply: ReplyWatch,
    last_frame: Option<Instant>,
}

impl Call {
    fn new(codec: LineCodec, words: Vec<i16>, patience: Patience, outgoing: mpsc::Sender<Message>) -> Self {
        Self {
            codec,
            caller: Caller::new(words, patience),
            playback: Playback::default(),
            outgoing,
            samples: Vec::new(),
            ready: false,
            fallback: false,
            hung_up: false,
            over: false,
            ended: None,
            reply: ReplyWatch::default(),
            last_frame: None,
        }
    }

    /// 20 ms: one frame out of the microphone, one into the ear.
    fn tick(&mut self, report: &mut PhoneReport) -> Doing {
        let mut payload = Vec::with_capacity(self.codec.frame_bytes());
        g711::encode(self.codec, &self.caller.speak(), &mut payload);
        if self.send(Message::Binary(Bytes::from(payload))) {
            report.frames_out += 1;
        } else {
            report.frames_unsent += 1;
        }
        let (heard, reached) = self.playback.tick();
        for mark in reached {
            self.send_json(&json!({ "type": "played", "mark": mark }));
            report.marks_answered += 1;
        }
        let doing = self.caller.tick(&heard);
        if self.caller.has_spoken() {
            self.reply.spoken(Instant::now());
        }
        doing
    }

    /// What came from the service.
    fn take(
        &mut self,
        now: Instant,
        frame: Option<Result<Frame, awc::error::WsProtocolError>>,
        report: &mut PhoneReport,
    ) {
        match frame {
            Some(Ok(Frame::Binary(payload))) => self.audio(now, &payload, report),
            Some(Ok(Frame::Text(text))) => self.message(&text, report),
            Some(Ok(Frame::Ping(payload))) => {
                self.send(Message::Pong(payload));
            }
            Some(Ok(Frame::Close(reason))) => {
                let text = reason.map(|reason| {
                    let why = reason.description.unwrap_or_default();
                    format!("closed with {} {why}", u16::from(reason.code)).trim_end().to_owned()
                });
                self.ended = Some(text.unwrap_or_else(|| "closed".to_owned()));
            }
            // Trunkline never fragments; whatever else does is not understood.
            Some(Ok(Frame::Continuation(_))) => report.odd_frames += 1,
            Some(Ok(Frame::Pong(_))) => {}
            Some(Err(error)) => self.ended = Some(error.to_string()),
            None => self.ended = Some("the connection ended without a close".to_owned()),
        }
    }

    fn audio(&mut self, now: Instant, payload: &[u8], report: &mut PhoneReport) {
        report.frames_in += 1;
        if payload.len() != self.codec.frame_bytes() {
            report.odd_frames += 1;
        }
        self.samples.clear();
        g711::decode(self.codec, payload, &mut self.samples);
        self.playback.audio(&self.samples);
        if let Some(last) = self.last_frame.replace(now) {
            report.gap(now - last);
        }
        if is_sound(&self.samples)
            && let Some(after) = self.reply.sound(now)
            && !self.fallback
        {
            report.first_reply.get_or_insert(after);
        }
    }

    fn message(&mut self, text: &[u8], report: &mut PhoneReport) {
        let Ok(message) = serde_json::from_slice::<Value>(text) else {
            report.notes.push("a message that is not JSON".to_owned());
            return;
        };
        let field = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match field("type").as_str() {
            "ready" => self.ready = true,
            "clear" => {
                report.clears += 1;
                report.cleared_ms += self.playback.clear() as u64 / 8;
                self.last_frame = None;
            }
            "mark" => {
                report.marks += 1;
                self.playback.mark(field("mark"));
                // What follows is another item, whenever it comes.
                self.last_frame = None;
            }
            "fallback" => {
                let state = field("state");
                self.fallback = state == "entered";
                self.caller.told_to_wait(self.fallback);
                report.fallback.push(format!("{state} ({})", field("reason")));
                self.last_frame = None;
            }
            "stop" => {
                self.over = true;
                report.stop_reason = Some(field("reason"));
            }
            "error" => report.notes.push(format!("error {}: {}", field("code"), field("message"))),
            "dtmf" => report.notes.push(format!("keys {}", field("digits"))),
            "transfer" => report.notes.push(format!("transfer to {}", field("to"))),
            other => report.notes.push(format!("a message of unknown type {other:?}")),
        }
    }

    fn hang_up(&mut self) {
        self.hung_up = true;
        self.over = true;
        self.send_json(&json!({ "type": "stop", "reason": "caller hung up" }));
    }

    fn finish(&mut self, report: &mut PhoneReport) {
        report.hung_up = self.hung_up;
        report.reply_heard = self.caller.heard_reply();
        report.sound_ms = self.caller.sound_ms();
        report.playback_gaps = self.playback.gaps();
        report.heard = std::mem::take(&mut self.playback).into_heard();
    }

    fn progress(&self, report: &PhoneReport, elapsed: Duration) -> Progress {
        Progress {
            elapsed,
            doing: self.caller.doing(),
            frames_out: report.frames_out,
            frames_in: report.frames_in,
            fallback: self.fallback,
        }
    }

    fn send_json(&self, message: &Value) {
        self.send(Message::Text(message.to_string().into()));
    }

    /// Whether the message was taken; a full queue means that the service has read nothing for 2 s.
    fn send(&self, message: Message) -> bool {
        self.outgoing.try_send(message).is_ok()
    }
}
