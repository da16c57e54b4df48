//! One WebSocket of a caller's side: reads into the call's line, writes what the line says, keeps the heart beating.

use std::time::Duration;

use actix::Addr;
use actix_web::web::Bytes;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Closed, ProtocolError, Session};
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;
use trunkline_actors::link::{LinkAudio, LinkControl, LinkOut, LinkReceiver};
use trunkline_actors::messages::{CallerAudio, CallerEvent, CallerSays};
use trunkline_actors::vc_stream::VcStreamActor;
use trunkline_media::LineCodec;

use super::native;

/// How long the other side may take over its half of the closing handshake.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Heartbeat of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    /// A ping this often.
    pub(crate) every: Duration,
    /// Dead when nothing at all came for this long.
    pub(crate) timeout: Duration,
}

/// A socket and what it is for.
pub(crate) struct Socket {
    pub(crate) call_id: String,
    pub(crate) codec: LineCodec,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) session: Session,
    pub(crate) stream: AggregatedMessageStream,
    pub(crate) link: LinkReceiver,
    /// The line and the epoch of this link; `None` for a listener.
    pub(crate) line: Option<(Addr<VcStreamActor>, u64)>,
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadEnd {
    /// The other side closed, or the connection broke.
    Gone,
    /// A message over the size bound.
    TooBig,
    /// Not WebSocket.
    Protocol,
    /// No sign of life.
    HeartbeatLost,
}

impl Socket {
    /// Runs until the socket or the call is over.
    pub(crate) async fn run(self) {
        let Self { call_id, codec, heartbeat, session, stream, link, line } = self;
        let writer = write(session.clone(), link, &call_id, codec);
        let reader = read(session.clone(), stream, codec, heartbeat, line.as_ref());
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
            ReadEnd::Protocol => CloseCode::Protocol,
            ReadEnd::HeartbeatLost => CloseCode::Other(4408),
        };
        let _ = tokio::time::timeout(CLOSE_GRACE, session.close(Some(CloseReason { code, description: None }))).await;
    }
}

/// Writes until the line closes the link or the socket breaks.
async fn write(mut session: Session, mut link: LinkReceiver, call_id: &str, codec: LineCodec) -> Result<(), Closed> {
    while let Some(next) = link.next().await {
        match next {
            LinkOut::Audio(LinkAudio::Frame(frame)) => session.binary(frame).await?,
            LinkOut::Audio(LinkAudio::Mark(mark)) => session.text(native::mark(&mark)).await?,
            LinkOut::Control(control) => {
                if let Some(text) = native::control(&control, call_id, codec) {
                    session.text(text).await?;
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

/// Reads until the socket ends. One message is on its way to the line at a time: a sender faster than the line is slowed
/// down by TCP, and what the line can't use it drops oldest first, counted. A line that is gone has its last words on their
/// way to this socket: what comes until they are written is nobody's.
async fn read(
    mut session: Session,
    mut stream: AggregatedMessageStream,
    codec: LineCodec,
    heartbeat: Heartbeat,
    mut line: Option<&(Addr<VcStreamActor>, u64)>,
) -> ReadEnd {
    let mut heard = Instant::now();
    let mut ping = heard + heartbeat.every;
    loop {
        let dead = heard + heartbeat.timeout;
        let message = match tokio::time::timeout_at(ping.min(dead), stream.next()).await {
            Ok(None) => return ReadEnd::Gone,
            Ok(Some(Err(ProtocolError::Overflow))) => return ReadEnd::TooBig,
            Ok(Some(Err(ProtocolError::Io(_)))) => return ReadEnd::Gone,
            Ok(Some(Err(_))) => return ReadEnd::Protocol,
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
        let event = match message {
            AggregatedMessage::Binary(payload) => match native::wrong_audio(codec, payload.len()) {
                None => {
                    if !audio(line, payload, heard).await {
                        line = None;
                    }
                    continue;
                }
                Some(bad) => bad,
            },
            AggregatedMessage::Text(text) => native::parse(&text),
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
        if let Some((address, epoch)) = line
            && address.send(CallerSays { epoch: *epoch, event }).await.is_err()
        {
            line = None;
        }
    }
}

/// Tells the line that this socket is no more. One that is gone, or has another socket, takes no notice.
async fn lost(line: Option<&(Addr<VcStreamActor>, u64)>) {
    if let Some((line, epoch)) = line {
        let _ = line.send(CallerSays { epoch: *epoch, event: CallerEvent::Lost }).await;
    }
}

/// False when the line is gone. What a listener sends is nobody's.
async fn audio(line: Option<&(Addr<VcStreamActor>, u64)>, payload: Bytes, at: Instant) -> bool {
    match line {
        Some((line, epoch)) if !payload.is_empty() => {
            line.send(CallerAudio { epoch: *epoch, payload, at }).await.is_ok()
        }
        _ => true,
    }
}
