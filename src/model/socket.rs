//! One open WebSocket as the two halves the actors know.
//!
//! Both halves share the socket on one worker. The reading half reassembles fragmented messages, answers the closing
//! handshake and passes the model's pings on to the owner, whose writer answers them in order with everything else.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_ws::Item;
use awc::error::WsProtocolError;
use awc::ws::{CloseCode, CloseReason, Frame, Message};
use bytes::{Bytes, BytesMut};
use futures_util::{Sink, Stream, StreamExt as _};
use trunkline_actors::ports::{Incoming, ModelSocket, Outgoing, SocketError};

use super::meter::Meter;

/// What awc hands out after the upgrade, or anything that behaves like it.
pub(super) trait Frames:
    Stream<Item = Result<Frame, WsProtocolError>> + Sink<Message, Error = WsProtocolError> + Unpin
{
}

impl<T> Frames for T where
    T: Stream<Item = Result<Frame, WsProtocolError>> + Sink<Message, Error = WsProtocolError> + Unpin
{
}

/// Splits an upgraded connection. `meter` watches the reads under `frames`; `max_message` bounds a reassembled message in
/// bytes.
pub(super) fn split<F: Frames + 'static>(frames: F, meter: Meter, max_message: usize) -> ModelSocket {
    let shared = Rc::new(RefCell::new(Shared { frames, close_sent: false, dead: None, writer: None }));
    ModelSocket {
        outgoing: Box::pin(Writer(Rc::clone(&shared))),
        incoming: Reader { shared, meter, message: Reassembly::new(max_message), ended: false }.boxed_local(),
    }
}

struct Shared<F> {
    frames: F,
    close_sent: bool,
    /// Why nothing can be sent any more.
    dead: Option<String>,
    /// The writer, if it waits for room: woken when the socket dies.
    writer: Option<Waker>,
}

impl<F: Frames> Shared<F> {
    fn die(&mut self, why: &str) {
        self.dead.get_or_insert_with(|| why.to_owned());
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Sends a close frame as far as the socket takes it without waiting: a peer that does not read gets none.
    fn close_now(&mut self, code: CloseCode, cx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.close_sent, true) {
            let mut frames = Pin::new(&mut self.frames);
            let sent = frames.as_mut().start_send(Message::Close(Some(code.into())));
            if sent.is_ok() {
                let _ = frames.poll_flush(cx);
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        if let Some(why) = &self.dead {
            return Poll::Ready(Err(SocketError(why.clone())));
        }
        match Pin::new(&mut self.frames).poll_flush(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.broken(&error))),
            Poll::Pending => {
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn broken(&mut self, error: &WsProtocolError) -> SocketError {
        let why = describe(error);
        self.die(&why);
        SocketError(why)
    }
}

struct Writer<F>(Rc<RefCell<Shared<F>>>);

impl<F: Frames> Sink<Outgoing> for Writer<F> {
    type Error = SocketError;

    /// Ready once everything before is with the kernel, so that never more than one message waits here.
    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        let mut shared = self.0.borrow_mut();
        if shared.close_sent && shared.dead.is_none() {
            return Poll::Ready(Err(SocketError("a close frame was sent".to_owned())));
        }
        shared.poll_flush(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: Outgoing) -> Result<(), SocketError> {
        let mut shared = self.0.borrow_mut();
        if let Some(why) = &shared.dead {
            return Err(SocketError(why.clone()));
        }
        let message = match item {
            Outgoing::Text(text) => Message::Text(text),
            Outgoing::Ping => Message::Ping(Bytes::new()),
            Outgoing::Pong(payload) => Message::Pong(payload),
            Outgoing::Close { code } => {
                shared.close_sent = true;
                Message::Close(Some(CloseReason::from(CloseCode::from(code))))
            }
        };
        let sent = Pin::new(&mut shared.frames).start_send(message);
        sent.map_err(|error| shared.broken(&error))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.0.borrow_mut().poll_flush(cx)
    }

    /// Sends a close frame (1000) unless one went out, and flushes. The connection itself ends when both halves are dropped.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        let mut shared = self.0.borrow_mut();
        if shared.dead.is_some() {
            return Poll::Ready(Ok(()));
        }
        shared.close_now(CloseCode::Normal, cx);
        shared.poll_flush(cx)
    }
}

struct Reader<F> {
    shared: Rc<RefCell<Shared<F>>>,
    meter: Meter,
    message: Reassembly,
    ended: bool,
}

impl<F: Frames> Reader<F> {
    fn end(&mut self, code: Option<u16>, reason: String) -> Poll<Option<Incoming>> {
        self.ended = true;
        let why = if reason.is_empty() { "closed by the model" } else { &reason };
        self.shared.borrow_mut().die(why);
        Poll::Ready(Some(Incoming::Closed { code, reason }))
    }
}

impl<F: Frames> Stream for Reader<F> {
    type Item = Incoming;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        let this = &mut *self;
        while !this.ended {
            let polled = Pin::new(&mut this.shared.borrow_mut().frames).poll_next(cx);
            let frame = match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return this.end(None, "connection lost".to_owned()),
                Poll::Ready(Some(Err(error))) => {
                    let error = if this.meter.is_over() { WsProtocolError::Overflow } else { error };
                    if let Some(code) = complaint(&error) {
                        this.shared.borrow_mut().close_now(code, cx);
                    }
                    return this.end(None, describe(&error));
                }
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            this.meter.reset();
            let item = match frame {
                Frame::Text(text) => Some(Incoming::Text(text)),
                Frame::Binary(_) => Some(Incoming::Undecodable),
                Frame::Continuation(part) => this.message.push(part),
                Frame::Ping(payload) => Some(Incoming::Ping(payload)),
                Frame::Pong(_) => Some(Incoming::Pong),
                Frame::Close(reason) => {
                    let answer = reason.as_ref().map_or(CloseCode::Normal, |reason| reason.code);
                    this.shared.borrow_mut().close_now(answer, cx);
                    return match reason {
                        Some(reason) => this.end(Some(reason.code.into()), reason.description.unwrap_or_default()),
                        None => this.end(None, String::new()),
                    };
                }
            };
            if item.is_some() {
                return Poll::Ready(item);
            }
        }
        Poll::Ready(None)
    }
}

/// Puts fragments together. What is over the bound, or binary, is reported once and its rest passed over.
struct Reassembly {
    limit: usize,
    state: State,
}

enum State {
    /// Between messages.
    Idle,
    /// A text under way.
    Text(BytesMut),
    /// A message nobody wants, until its last fragment.
    Skipping,
}

impl Reassembly {
    fn new(limit: usize) -> Self {
        Self { limit, state: State::Idle }
    }

    fn push(&mut self, part: Item) -> Option<Incoming> {
        let (bytes, last) = match part {
            Item::FirstText(bytes) => {
                self.state = State::Text(BytesMut::new());
                (bytes, false)
            }
            Item::FirstBinary(_) => {
                self.state = State::Skipping;
                return Some(Incoming::Undecodable);
            }
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        match &mut self.state {
            State::Text(text) if text.len() + bytes.len() > self.limit => {
                self.state = if last { State::Idle } else { State::Skipping };
                Some(Incoming::Undecodable)
            }
            State::Text(text) => {
                text.extend_from_slice(&bytes);
                if !last {
                    return None;
                }
                let whole = std::mem::take(text).freeze();
                self.state = State::Idle;
                Some(Incoming::Text(whole))
            }
            State::Skipping | State::Idle => {
                if last {
                    self.state = State::Idle;
                }
                None
            }
        }
    }
}

/// What to tell a peer that broke the protocol; nothing if the connection broke.
fn complaint(error: &WsProtocolError) -> Option<CloseCode> {
    match error {
        WsProtocolError::Io(_) => None,
        WsProtocolError::Overflow => Some(CloseCode::Size),
        _ => Some(CloseCode::Protocol),
    }
}

fn describe(error: &WsProtocolError) -> String {
    match error {
        WsProtocolError::Io(error) => format!("connection lost: {error}"),
        WsProtocolError::Overflow => "a frame over the size bound".to_owned(),
        other => format!("websocket protocol error: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push_all(limit: usize, parts: Vec<Item>) -> Vec<Incoming> {
        let mut message = Reassembly::new(limit);
        parts.into_iter().filter_map(|part| message.push(part)).collect()
    }

    #[test]
    fn fragments_become_one_text() {
        let got = push_all(
            6,
            vec![
                Item::FirstText("ab".into()),
                Item::Continue("cd".into()),
                Item::Last("ef".into()),
                Item::FirstText("".into()),
                Item::Last("g".into()),
            ],
        );
        assert_eq!(got, [Incoming::Text("abcdef".into()), Incoming::Text("g".into())]);
    }

    #[test]
    fn over_the_bound_is_reported_once_and_the_rest_passed_over() {
        let got = push_all(
            4,
            vec![
                Item::FirstText("abc".into()),
                Item::Continue("de".into()),
                Item::Continue("fg".into()),
                Item::Last("h".into()),
                Item::FirstText("ok".into()),
                Item::Last("".into()),
                Item::FirstText("abc".into()),
                Item::Last("de".into()),
            ],
        );
        let ok = Incoming::Text("ok".into());
        assert_eq!(got, [Incoming::Undecodable, ok, Incoming::Undecodable]);
    }

    #[test]
    fn a_fragmented_binary_is_one_undecodable() {
        let parts = vec![Item::FirstBinary("a".into()), Item::Continue("b".into()), Item::Last("c".into())];
        assert_eq!(push_all(100, parts), [Incoming::Undecodable]);
    }
}
