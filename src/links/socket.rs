//! One WebSocket of a caller's side: reads into the call's line, writes what the line says, keeps the heart beating.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::Addr;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Closed, ProtocolError, Session};
use bytes::BytesMut;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;
use trunkline_actors::link::{LinkAudio, LinkControl, LinkOut, LinkReceiver};
use trunkline_actors::messages::{CallerAudio, CallerEvent, CallerSays};
use trunkline_actors::vc_stream::VcStreamActor;
use trunkline_call::CallId;

use super::dialect::{Dialect, Heard, Say};

/// How long the other side may take over its half of the closing handshake.
pub(super) const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Heartbeat of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    /// A ping this often.
    pub(crate) every: Duration,
    /// Dead when nothing at all came for this long.
    pub(crate) timeout: Duration,
}

/// A call's line and the epoch of a link to it.
pub(crate) type Line = (Addr<VcStreamActor>, u64);

/// A socket and what it is for.
pub(crate) struct Socket<D> {
    pub(crate) call_id: CallId,
    pub(crate) dialect: D,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) session: Session,
    pub(crate) stream: AggregatedMessageStream,
    pub(crate) link: LinkReceiver,
    /// Messages so far, on all sockets, that could not be read and not be answered.
    pub(crate) malformed: Arc<AtomicU64>,
    /// `None` for a listener.
    pub(crate) line: Option<Line>,
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// The other side closed, or the connection broke.
    Gone,
    /// A message over the size bound.
    TooBig,
    /// A text that is not UTF-8.
    NotText,
    /// Not WebSocket.
    Protocol,
    /// No sign of life.
    HeartbeatLost,
}

impl ReadEnd {
    /// Beside broken connections actix-ws tells as I/O errors texts that are not UTF-8, and messages of several frames that
    /// are too large.
    pub(super) fn of(error: ProtocolError) -> Self {
        match error {
            ProtocolError::Overflow => Self::TooBig,
            ProtocolError::Io(error) if error.kind() == io::ErrorKind::InvalidData => Self::NotText,
            ProtocolError::Io(error) if error.get_ref().is_some_and(|inner| !inner.is::<PayloadError>()) => {
                Self::TooBig
            }
            ProtocolError::Io(_) => Self::Gone,
            _ => Self::Protocol,
        }
    }
}

impl<D: Dialect> Socket<D> {
    /// Runs until the socket or the call is over.
    pub(crate) async fn run(self) {
        let Self { call_id, dialect, heartbeat, session, stream, link, malformed, line } = self;
        let writer = write(session.clone(), link, &dialect);
        let source = Source { call_id: &call_id, dialect: &dialect, malformed: &malformed };
        let reader = read(session.clone(), stream, source, heartbeat, line.as_ref());
        tokio::pin!(writer, reader);
        let end = tokio::select! {
            end = &mut reader => end,
            _ = &mut writer => {
                // We said goodbye (or cannot any more); the other side may answer.
                let _ = tokio::time::timeout(CLOSE_GRACE, reader).await;
                lost(line.as_ref()).await;
                return;
            }
        };
        lost(line.as_ref()).await;
        let code = match end {
            ReadEnd::Gone => return,
            ReadEnd::TooBig => CloseCode::Size,
            ReadEnd::NotText => CloseCode::Invalid,
            ReadEnd::Protocol => CloseCode::Protocol,
            ReadEnd::HeartbeatLost => CloseCode::Other(4408),
        };
        let _ = tokio::time::timeout(CLOSE_GRACE, session.close(Some(CloseReason { code, description: None }))).await;
    }
}

/// Writes until the line closes the link or the socket breaks.
async fn write(mut session: Session, mut link: LinkReceiver, dialect: &impl Dialect) -> Result<(), Closed> {
    let mut scratch = BytesMut::new();
    while let Some(next) = link.next().await {
        match next {
            LinkOut::Audio(LinkAudio::Frame(frame)) => say(&mut session, dialect.frame(frame, &mut scratch)).await?,
            LinkOut::Audio(LinkAudio::Mark(mark)) => say(&mut session, dialect.mark(&mark)).await?,
            LinkOut::Control(control) => {
                if let Some(message) = dialect.control(&control) {
                    say(&mut session, message).await?;
                }
                if let LinkControl::Close { code, .. } = control {
                    let reason = CloseReason { code: CloseCode::from(code), description: None };
                    return session.close(Some(reason)).await;
                }
            }
        }
    }
    // The line let go without a word: its actor is gone.
    session.close(Some(CloseReason { code: CloseCode::Error, description: None })).await
}

async fn say(session: &mut Session, message: Say) -> Result<(), Closed> {
    match message {
        Say::Text(text) => session.text(text).await,
        Say::Binary(payload) => session.binary(payload).await,
    }
}

/// What is read, and for which call.
struct Source<'a, D> {
    call_id: &'a CallId,
    dialect: &'a D,
    malformed: &'a AtomicU64,
}

/// Reads until the socket ends. One message is on its way to the line at a time: a sender faster than the line is slowed
/// down by TCP, and what the line can't use it drops oldest first, counted. A line that is gone has its last words on their
/// way to this socket: what comes until they are written is nobody's.
async fn read(
    mut session: Session,
    mut stream: AggregatedMessageStream,
    Source { call_id, dialect, malformed }: Source<'_, impl Dialect>,
    heartbeat: Heartbeat,
    mut line: Option<&Line>,
) -> ReadEnd {
    let mut scratch = BytesMut::new();
    let mut is_noted = false;
    let mut heard = Instant::now();
    let mut ping = heard + heartbeat.every;
    loop {
        let dead = heard + heartbeat.timeout;
        let message = match tokio::time::timeout_at(ping.min(dead), stream.next()).await {
            Ok(None) => return ReadEnd::Gone,
            Ok(Some(Err(error))) => return ReadEnd::of(error),
            Ok(Some(Ok(message))) => message,
            Err(_) => {
                if Instant::now() >= dead {
                    return ReadEnd::HeartbeatLost;
                }
                // A peer that takes nothing misses pings too; that is what the timeout is for.
                let _ = session.ping(b"").now_or_never();
                ping += heartbeat.every;
                continue;
            }
        };
        heard = Instant::now();
        let said = match message {
            AggregatedMessage::Binary(payload) => dialect.binary(payload),
            AggregatedMessage::Text(text) => dialect.text(&text, &mut scratch),
            AggregatedMessage::Ping(payload) => {
                let _ = session.pong(&payload).now_or_never();
                continue;
            }
            AggregatedMessage::Pong(_) => continue,
            AggregatedMessage::Close(reason) => {
                let _ = tokio::time::timeout(CLOSE_GRACE, session.close(reason)).await;
                return ReadEnd::Gone;
            }
        };
        let event = match said {
            Heard::Event(event) => event,
            Heard::Audio(payload) => {
                if !audio(line, payload, heard).await {
                    line = None;
                }
                continue;
            }
            Heard::Malformed { why, lost_ms } => {
                malformed.fetch_add(1, Ordering::Relaxed);
                // Said once: a log that a stranger can fill helps nobody.
                if !std::mem::replace(&mut is_noted, true) {
                    tracing::debug!(call = %call_id, why, "a message was passed over, as all like it on this socket will be");
                }
                if lost_ms == 0 {
                    continue;
                }
                CallerEvent::Bad { code: "bad_audio", message: why, lost_ms }
            }
            Heard::Nothing => continue,
        };
        if let Some((address, epoch)) = line
            && address.send(CallerSays { epoch: *epoch, event }).await.is_err()
        {
            line = None;
        }
    }
}

/// Tells the line that this socket is no more. One that is gone, or has another socket, takes no notice.
async fn lost(line: Option<&Line>) {
    if let Some((line, epoch)) = line {
        let _ = line.send(CallerSays { epoch: *epoch, event: CallerEvent::Lost }).await;
    }
}

/// False when the line is gone. What a listener sends is nobody's.
async fn audio(line: Option<&Line>, payload: Bytes, at: Instant) -> bool {
    match line {
        Some((line, epoch)) if !payload.is_empty() => {
            line.send(CallerAudio { epoch: *epoch, payload, at }).await.is_ok()
        }
        _ => true,
    }
}
