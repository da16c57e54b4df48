//! One session on its WebSocket.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::rt;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Message, ProtocolError, Session};
use futures_util::SinkExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::options::SimOptions;
use crate::server::Shared;
use crate::session::{Out, SessionStart, SimSession};

/// After our close frame the peer has this long to answer; what it still sends meanwhile is read and forgotten, because closing a
/// socket with unread bytes makes the kernel throw away what the peer has not read yet.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// A stalled socket is given up after this.
const STALL_LIMIT: Duration = Duration::from_secs(600);
/// A peer that reads nothing is dropped when this much waits for it.
const MAX_QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// How all open sessions end when their server is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Close 1001.
    GoingAway,
    /// No close frame.
    Drop,
}

/// The sending half: a server reads on while its peer does not.
struct Writer {
    queue: UnboundedSender<Message>,
    waiting: Rc<Cell<usize>>,
    task: rt::task::JoinHandle<()>,
}

impl Writer {
    fn start(session: Session) -> Self {
        let (queue, messages) = unbounded_channel();
        let waiting = Rc::new(Cell::new(0));
        let task = rt::spawn(write(session, messages, waiting.clone()));
        Self { queue, waiting, task }
    }

    fn send(&self, message: Message) {
        self.waiting.set(self.waiting.get() + size(&message));
        let _ = self.queue.send(message); // a closed queue: the reader learns of the peer's end
    }
}

fn size(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}

async fn write(mut session: Session, mut messages: UnboundedReceiver<Message>, waiting: Rc<Cell<usize>>) {
    while let Some(message) = messages.recv().await {
        let bytes = size(&message);
        if session.send(message).await.is_err() {
            return;
        }
        waiting.set(waiting.get() - bytes);
    }
}

/// What is left to do with the connection after the session.
enum Fate {
    /// The peer is gone, or shall lose the connection as it is.
    Drop,
    /// Our close frame is on its way.
    Closing,
    Stall,
}

pub(crate) async fn serve(
    shared: Arc<Shared>,
    options: Arc<SimOptions>,
    start: SessionStart,
    socket: Session,
    mut stream: AggregatedMessageStream,
) {
    let writer = Writer::start(socket.clone());
    let fate = converse(&shared, options, start, &writer, &mut stream).await;
    match fate {
        Fate::Drop => writer.task.abort(),
        Fate::Closing => {
            drop(writer.queue);
            let _ = timeout(CLOSE_GRACE, async { while let Some(Ok(_)) = stream.recv().await {} }).await;
        }
        Fate::Stall => {
            writer.task.abort();
            sleep(STALL_LIMIT).await;
        }
    }
    // Held to here: the last sender's end ends the connection.
    drop(socket);
}

async fn converse(
    shared: &Shared,
    options: Arc<SimOptions>,
    start: SessionStart,
    writer: &Writer,
    stream: &mut AggregatedMessageStream,
) -> Fate {
    let counters = shared.records.counters.clone();
    let mut endings = shared.endings.subscribe();
    let mut out = Vec::new();
    let unix_now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = Instant::now().into_std();
    let mut session = SimSession::open(options, shared.records.clone(), start, now, unix_now, &mut out);
    let read_limit = session.read_limit();
    let mut read_after = Instant::now();
    loop {
        for frame in out.drain(..) {
            match frame {
                Out::Text(text) => writer.send(Message::Text(text.into())),
                Out::Binary(bytes) => writer.send(Message::Binary(bytes.into())),
                Out::Close { code, reason } => {
                    writer.send(close_frame(CloseCode::from(code), reason));
                    return Fate::Closing;
                }
                Out::Abort => return Fate::Drop,
                Out::Stall => return Fate::Stall,
            }
        }
        if writer.waiting.get() > MAX_QUEUE_BYTES {
            tracing::warn!(session = session.id(), "peer reads nothing, dropping it");
            return Fate::Drop;
        }
        let due = session.next_due().map_or_else(|| Instant::now() + STALL_LIMIT, Instant::from_std);
        tokio::select! {
            biased;
            _ = endings.changed() => {
                let (_, ending) = *endings.borrow_and_update();
                if ending == Ending::Drop {
                    return Fate::Drop;
                }
                writer.send(close_frame(CloseCode::Away, "server is going away".to_owned()));
                return Fate::Closing;
            }
            () = sleep_until(due) => session.poll(Instant::now().into_std(), &mut out),
            message = next(stream, read_after) => match message {
                Some(Ok(message)) => {
                    if let Some(limit) = read_limit {
                        read_after = Instant::now() + Duration::from_secs_f64(length(&message) as f64 / limit.max(1) as f64);
                    }
                    let now = Instant::now().into_std();
                    match message {
                        AggregatedMessage::Text(text) => session.handle_text(now, &text, &mut out),
                        AggregatedMessage::Binary(bytes) => session.handle_text(now, &String::from_utf8_lossy(&bytes), &mut out),
                        AggregatedMessage::Ping(payload) => {
                            counters.pings.add(1);
                            writer.send(Message::Pong(payload));
                        }
                        AggregatedMessage::Pong(_) => {}
                        AggregatedMessage::Close(reason) => {
                            writer.send(Message::Close(reason));
                            return Fate::Closing;
                        }
                    }
                }
                Some(Err(ProtocolError::Overflow)) => {
                    writer.send(close_frame(CloseCode::Size, "message too big".to_owned()));
                    return Fate::Closing;
                }
                Some(Err(_)) | None => return Fate::Drop,
            },
        }
    }
}

/// The next message, not read before its time.
async fn next(
    stream: &mut AggregatedMessageStream,
    read_after: Instant,
) -> Option<Result<AggregatedMessage, ProtocolError>> {
    if read_after > Instant::now() {
        sleep_until(read_after).await;
    }
    stream.recv().await
}

fn length(message: &AggregatedMessage) -> usize {
    match message {
        AggregatedMessage::Text(text) => text.len(),
        AggregatedMessage::Binary(bytes) | AggregatedMessage::Ping(bytes) | AggregatedMessage::Pong(bytes) => {
            bytes.len()
        }
        AggregatedMessage::Close(_) => 0,
    }
}

fn close_frame(code: CloseCode, reason: String) -> Message {
    Message::Close(Some(CloseReason { code, description: Some(reason) }))
}
