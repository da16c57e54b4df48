//! One socket to the model with its protocol state, and the task that writes to it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::SpawnHandle;
use bytes::BytesMut;
use bytestring::ByteString;
use futures_util::{Sink, SinkExt};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Span;
use trunkline_call::{CallRecord, DropPlace};
use trunkline_media::AudioRing;
use trunkline_realtime::{Session, append_event};

use crate::messages::ModelChunk;
use crate::ports::{Outgoing, SocketError};

/// Events waiting for a socket that takes none. What asks for more than this is not a conversation any more.
const MAX_EVENTS: usize = 1_024;
/// Audio that waited goes out in pieces of at most this many milliseconds.
const APPEND_MS: u32 = 100;
/// How long a closing handshake may take.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// The caller's audio on its way to the model; outlives sessions.
pub type SharedRing = Rc<RefCell<AudioRing<ModelChunk>>>;

/// One connection, from before its first packet to its end.
pub struct ModelLink {
    /// Tells this link's frames from those of the one before.
    pub id: u64,
    /// The protocol's state.
    pub session: Session,
    /// The pending connect, then the reader.
    pub task: Option<SpawnHandle>,
    /// It was given the conversation, and still has it when its session is lost.
    pub adopted: bool,
    /// The span of getting the session, until it is set up.
    pub connecting: Span,
    outbox: Rc<Outbox>,
}

impl ModelLink {
    /// A link that is about to connect.
    pub fn new(id: u64, session: Session) -> Self {
        Self { id, session, task: None, adopted: false, connecting: Span::none(), outbox: Rc::default() }
    }

    /// The socket is there: starts its writer.
    pub fn open(&self, socket: Pin<Box<dyn Sink<Outgoing, Error = SocketError>>>, record: Arc<CallRecord>) {
        let outbox = Rc::clone(&self.outbox);
        actix_rt::spawn(async move {
            // A socket that takes nothing any more must not keep its task for ever.
            let given_up = async {
                outbox.closed.notified().await;
                tokio::time::sleep(CLOSE_GRACE).await;
            };
            tokio::select! {
                written = write(&outbox, socket, &record) => {
                    if let Err(error) = written {
                        tracing::debug!(call = %record.id, %error, "writing to the model ended");
                    }
                }
                () = given_up => tracing::debug!(call = %record.id, "the model's socket did not close in time"),
            }
        });
    }

    /// Queues a message; false when the socket has taken nothing for so long that the link is dead.
    pub fn send(&self, message: Outgoing) -> bool {
        let mut queue = self.outbox.queue.borrow_mut();
        if queue.messages.len() >= MAX_EVENTS {
            return false;
        }
        queue.messages.push_back(message);
        drop(queue);
        self.outbox.wake.notify_one();
        true
    }

    /// From now on this link's writer empties the ring.
    pub fn feed(&self, ring: &SharedRing) {
        let mut queue = self.outbox.queue.borrow_mut();
        queue.audio = Some(Rc::clone(ring));
        queue.fed_at = Some(Instant::now());
        drop(queue);
        self.outbox.wake.notify_one();
    }

    /// There is audio in the ring.
    pub fn wake(&self) {
        self.outbox.wake.notify_one();
    }

    /// Ends the connection in order; the writer finishes by itself.
    pub fn close(&self) {
        let mut queue = self.outbox.queue.borrow_mut();
        queue.audio = None;
        queue.messages.clear();
        queue.closing = true;
        drop(queue);
        self.outbox.end();
    }
}

impl Drop for ModelLink {
    fn drop(&mut self) {
        // A panic may have left the queue borrowed; then the writer goes down with its worker's task anyway.
        if let Ok(mut queue) = self.outbox.queue.try_borrow_mut() {
            queue.audio = None;
            queue.closing = true;
        }
        self.outbox.end();
    }
}

#[derive(Default)]
struct Outbox {
    queue: RefCell<Queue>,
    wake: Notify,
    closed: Notify,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Outgoing>,
    audio: Option<SharedRing>,
    /// Since when this link hears the caller.
    fed_at: Option<Instant>,
    closing: bool,
}

enum Next {
    Message(Outgoing),
    Audio {
        ms: u32,
        /// When the oldest of it came, if it came while this link heard the caller.
        ours: Option<Instant>,
        left_ms: u64,
    },
    Close,
    Wait,
}

impl Outbox {
    fn end(&self) {
        self.wake.notify_one();
        self.closed.notify_one();
    }

    /// Protocol events first, then audio: pieces that waited are joined in `audio`.
    fn next(&self, audio: &mut BytesMut) -> Next {
        let mut queue = self.queue.borrow_mut();
        if let Some(message) = queue.messages.pop_front() {
            return Next::Message(message);
        }
        if queue.closing {
            return Next::Close;
        }
        let Some(ring) = &queue.audio else { return Next::Wait };
        let mut ring = ring.borrow_mut();
        let mut oldest = None;
        let mut ms = 0;
        while let Some(chunk) = ring.front()
            && (oldest.is_none() || ms + chunk.ms <= APPEND_MS)
        {
            ms += chunk.ms;
            oldest.get_or_insert(chunk.at);
            audio.extend_from_slice(&chunk.payload);
            ring.pop();
        }
        let left_ms = ring.queued_ms();
        // What waited for the session to be there waited for the model, not for us.
        let ours = oldest.filter(|at| queue.fed_at.is_some_and(|fed| *at >= fed));
        if oldest.is_some() { Next::Audio { ms, ours, left_ms } } else { Next::Wait }
    }
}

async fn write(
    outbox: &Outbox,
    mut socket: Pin<Box<dyn Sink<Outgoing, Error = SocketError>>>,
    record: &CallRecord,
) -> Result<(), SocketError> {
    let mut audio = BytesMut::new();
    let mut event = BytesMut::new();
    loop {
        match outbox.next(&mut audio) {
            Next::Message(message) => socket.send(message).await?,
            Next::Audio { ms, ours, left_ms } => {
                record.up.set_queued_ms(left_ms);
                append_event(&audio, &mut event);
                audio.clear();
                let text =
                    ByteString::try_from(event.split().freeze()).map_err(|error| SocketError(error.to_string()))?;
                if let Err(error) = socket.send(Outgoing::Text(text)).await {
                    record.up.add_dropped_ms(DropPlace::SessionRing, u64::from(ms));
                    return Err(error);
                }
                if let Some(at) = ours {
                    record.bridge.up.record(at.elapsed());
                }
            }
            Next::Close => {
                socket.send(Outgoing::Close { code: 1000 }).await?;
                return socket.close().await;
            }
            Next::Wait => outbox.wake.notified().await,
        }
    }
}
