//! The in-memory twin of the model transport: no sockets, no wall clock, the same every time under paused tokio time.
//!
//! [`MemoryTransport`] answers connects from a script; [`MemoryServer`] is the model's side of one connection.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{LocalBoxFuture, poll_fn};
use futures_util::stream::StreamExt as _;
use futures_util::{FutureExt as _, Sink, Stream};
use tokio::sync::Notify;

use crate::ports::{ConnectError, Incoming, ModelSocket, ModelTransport, Outgoing, SocketError};

/// How one connect goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectPlan {
    /// The upgrade succeeds.
    Accept,
    /// The upgrade is answered with this HTTP status.
    Refuse(u16),
    /// DNS, TCP or TLS fails with this text.
    Unreachable(String),
    /// No answer ever comes.
    Hang,
}

type Responder = Box<dyn FnMut(usize, &Outgoing) -> Vec<Incoming> + Send>;

struct Script {
    plans: VecDeque<(Duration, ConnectPlan)>,
    otherwise: (Duration, ConnectPlan),
    first_frames: Vec<Incoming>,
    urls: Vec<String>,
    accepted: VecDeque<MemoryServer>,
    connections: usize,
}

struct Shared {
    script: Mutex<Script>,
    responder: Mutex<Option<Responder>>,
    news: Notify,
}

/// A [`ModelTransport`] whose connects follow a script. Clones share the script.
#[derive(Clone)]
pub struct MemoryTransport(Arc<Shared>);

impl Default for MemoryTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryTransport {
    /// Accepts every connect at once until told otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            script: Mutex::new(Script {
                plans: VecDeque::new(),
                otherwise: (Duration::ZERO, ConnectPlan::Accept),
                first_frames: Vec::new(),
                urls: Vec::new(),
                accepted: VecDeque::new(),
                connections: 0,
            }),
            responder: Mutex::new(None),
            news: Notify::new(),
        }))
    }

    /// The connect after those already scripted goes like this, at once.
    pub fn then(&self, plan: ConnectPlan) -> &Self {
        self.then_after(Duration::ZERO, plan)
    }

    /// The connect after those already scripted goes like this, after `delay` of tokio time.
    pub fn then_after(&self, delay: Duration, plan: ConnectPlan) -> &Self {
        lock(&self.0.script).plans.push_back((delay, plan));
        self
    }

    /// How connects go once the script is used up.
    pub fn otherwise(&self, delay: Duration, plan: ConnectPlan) -> &Self {
        lock(&self.0.script).otherwise = (delay, plan);
        self
    }

    /// What the model says first on every connection accepted from now on, such as `session.created`.
    pub fn first_frames(&self, frames: impl IntoIterator<Item = Incoming>) -> &Self {
        lock(&self.0.script).first_frames = frames.into_iter().collect();
        self
    }

    /// Called with (connection number from 0, message) for every message the client sends on any connection; what it
    /// returns is what the model answers. It must not call back into this transport.
    pub fn respond(&self, responder: impl FnMut(usize, &Outgoing) -> Vec<Incoming> + Send + 'static) -> &Self {
        *lock(&self.0.responder) = Some(Box::new(responder));
        self
    }

    /// The addresses of all connects begun so far, in order.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        lock(&self.0.script).urls.clone()
    }

    /// The model's side of the next accepted connection, in the order they were accepted.
    pub async fn accepted(&self) -> MemoryServer {
        loop {
            let news = self.0.news.notified();
            if let Some(server) = self.try_accepted() {
                return server;
            }
            news.await;
        }
    }

    /// The same without waiting. A connection nobody fetched stays open.
    #[must_use]
    pub fn try_accepted(&self) -> Option<MemoryServer> {
        lock(&self.0.script).accepted.pop_front()
    }

    fn accept(&self, url: &str) -> ModelSocket {
        let mut script = lock(&self.0.script);
        let number = script.connections;
        script.connections += 1;
        let pipe = Arc::new(Mutex::new(Pipe {
            to_client: script.first_frames.iter().cloned().collect(),
            answer_pings: true,
            ..Pipe::default()
        }));
        script.accepted.push_back(MemoryServer { pipe: Arc::clone(&pipe), url: url.to_owned(), number });
        drop(script);
        self.0.news.notify_one();
        let outgoing = ClientSink { pipe: Arc::clone(&pipe), shared: Arc::clone(&self.0), number };
        ModelSocket { outgoing: Box::pin(outgoing), incoming: ClientStream { pipe, ended: false }.boxed_local() }
    }
}

impl ModelTransport for MemoryTransport {
    fn connect(&self, url: &str) -> LocalBoxFuture<'static, Result<ModelSocket, ConnectError>> {
        let (delay, plan) = {
            let mut script = lock(&self.0.script);
            script.urls.push(url.to_owned());
            let otherwise = script.otherwise.clone();
            script.plans.pop_front().unwrap_or(otherwise)
        };
        let (transport, url) = (self.clone(), url.to_owned());
        async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            match plan {
                ConnectPlan::Accept => Ok(transport.accept(&url)),
                ConnectPlan::Refuse(status) => Err(ConnectError::Refused { status }),
                ConnectPlan::Unreachable(what) => Err(ConnectError::Unreachable { what }),
                ConnectPlan::Hang => std::future::pending().await,
            }
        }
        .boxed_local()
    }
}

/// What lies between the two sides of one connection.
#[derive(Default)]
struct Pipe {
    to_server: VecDeque<Outgoing>,
    to_client: VecDeque<Incoming>,
    /// The model stopped reading: the client's sends wait.
    stalled: bool,
    answer_pings: bool,
    /// Nothing more goes to the model: closed by either side.
    shut: bool,
    /// Of the client's two halves, how many were dropped.
    halves_gone: u8,
    reader: Option<Waker>,
    writer: Option<Waker>,
    server: Option<Waker>,
}

impl Pipe {
    fn push(&mut self, frame: Incoming) {
        self.shut |= matches!(frame, Incoming::Closed { .. });
        self.to_client.push_back(frame);
        wake(&mut self.reader);
        if self.shut {
            wake(&mut self.writer);
        }
    }
}

/// The model's side of one connection. Dropping it drops the connection without a close frame.
///
/// Pings are answered and a closing handshake is completed by themselves, as a server's WebSocket library does.
pub struct MemoryServer {
    pipe: Arc<Mutex<Pipe>>,
    url: String,
    number: usize,
}

impl MemoryServer {
    /// The address that was connected to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Number of this connection, from 0, in the order of acceptance.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The client's next message, pings included; `None` once it is gone and everything was seen.
    pub async fn next(&mut self) -> Option<Outgoing> {
        poll_fn(|cx| {
            let mut pipe = lock(&self.pipe);
            if let Some(message) = pipe.to_server.pop_front() {
                return Poll::Ready(Some(message));
            }
            if pipe.halves_gone == 2 {
                return Poll::Ready(None);
            }
            pipe.server = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The client's next text; other messages are passed over.
    pub async fn next_text(&mut self) -> Option<String> {
        loop {
            if let Outgoing::Text(text) = self.next().await? {
                return Some(text.to_string());
            }
        }
    }

    /// Everything the client has sent and nobody has looked at yet.
    #[must_use]
    pub fn take_sent(&mut self) -> Vec<Outgoing> {
        lock(&self.pipe).to_server.drain(..).collect()
    }

    /// Sends one message to the client.
    pub fn push(&self, frame: Incoming) {
        lock(&self.pipe).push(frame);
    }

    /// Sends one JSON event to the client.
    pub fn text(&self, json: impl Into<String>) {
        self.push(Incoming::Text(Bytes::from(json.into())));
    }

    /// Closes with a close frame.
    pub fn close(self, code: u16, reason: &str) {
        self.push(Incoming::Closed { code: Some(code), reason: reason.to_owned() });
    }

    /// With `true` the model stops reading, so that the client's sends wait.
    pub fn stall(&self, stalled: bool) {
        let mut pipe = lock(&self.pipe);
        pipe.stalled = stalled;
        wake(&mut pipe.writer);
    }

    /// With `false` pings stay unanswered, as from a peer that vanished.
    pub fn answer_pings(&self, on: bool) {
        lock(&self.pipe).answer_pings = on;
    }

    /// Whether the client dropped both halves of its socket.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        lock(&self.pipe).halves_gone == 2
    }
}

impl Drop for MemoryServer {
    fn drop(&mut self) {
        let mut pipe = lock(&self.pipe);
        if !pipe.shut {
            pipe.push(Incoming::Closed { code: None, reason: "connection lost".to_owned() });
        }
    }
}

struct ClientSink {
    pipe: Arc<Mutex<Pipe>>,
    shared: Arc<Shared>,
    number: usize,
}

impl ClientSink {
    fn poll_open(&self, cx: &Context<'_>) -> Poll<Result<(), SocketError>> {
        let mut pipe = lock(&self.pipe);
        if pipe.shut {
            return Poll::Ready(Err(SocketError("closed".to_owned())));
        }
        if pipe.stalled {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl Sink<Outgoing> for ClientSink {
    type Error = SocketError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.poll_open(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: Outgoing) -> Result<(), SocketError> {
        let answers = match lock(&self.shared.responder).as_mut() {
            Some(respond) => respond(self.number, &item),
            None => Vec::new(),
        };
        let mut pipe = lock(&self.pipe);
        if pipe.shut {
            return Err(SocketError("closed".to_owned()));
        }
        for answer in answers {
            pipe.push(answer);
        }
        match item {
            Outgoing::Ping if pipe.answer_pings => pipe.push(Incoming::Pong),
            Outgoing::Close { code } => pipe.push(Incoming::Closed { code: Some(code), reason: String::new() }),
            _ => {}
        }
        pipe.to_server.push_back(item);
        wake(&mut pipe.server);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        match self.poll_open(cx) {
            Poll::Ready(_) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        if !lock(&self.pipe).shut {
            self.start_send(Outgoing::Close { code: 1000 })?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for ClientSink {
    fn drop(&mut self) {
        half_gone(&self.pipe);
    }
}

struct ClientStream {
    pipe: Arc<Mutex<Pipe>>,
    ended: bool,
}

impl Stream for ClientStream {
    type Item = Incoming;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = {
            let mut pipe = lock(&self.pipe);
            let next = pipe.to_client.pop_front();
            if next.is_none() {
                pipe.reader = Some(cx.waker().clone());
            }
            next
        };
        let Some(frame) = next else {
            return Poll::Pending;
        };
        self.ended = matches!(frame, Incoming::Closed { .. });
        Poll::Ready(Some(frame))
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        half_gone(&self.pipe);
    }
}

fn half_gone(pipe: &Mutex<Pipe>) {
    let mut pipe = lock(pipe);
    pipe.halves_gone = pipe.halves_gone.saturating_add(1);
    wake(&mut pipe.server);
}

fn wake(slot: &mut Option<Waker>) {
    if let Some(waker) = slot.take() {
        waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::SinkExt as _;

    const URL: &str = "ws://model.test/realtime";

    async fn pair(transport: &MemoryTransport) -> (ModelSocket, MemoryServer) {
        let socket = transport.connect(URL).await.unwrap();
        (socket, transport.accepted().await)
    }

    #[tokio::test(start_paused = true)]
    async fn connects_follow_the_script_in_virtual_time() {
        let transport = MemoryTransport::new();
        transport
            .then(ConnectPlan::Refuse(503))
            .then_after(Duration::from_secs(5), ConnectPlan::Unreachable("no route".into()))
            .then(ConnectPlan::Hang);
        let begun = tokio::time::Instant::now();
        assert!(matches!(transport.connect(URL).await, Err(ConnectError::Refused { status: 503 })));
        assert!(matches!(transport.connect(URL).await, Err(ConnectError::Unreachable { what }) if what == "no route"));
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        let hung = tokio::time::timeout(Duration::from_secs(3600), transport.connect(URL)).await;
        assert!(hung.is_err());
        assert!(transport.connect(URL).await.is_ok());
        assert_eq!(transport.urls().len(), 4);
        assert_eq!(transport.accepted().await.url(), URL);
    }

    #[tokio::test(start_paused = true)]
    async fn carries_both_ways_and_answers_pings() {
        let transport = MemoryTransport::new();
        transport.first_frames([Incoming::Text("hello".into())]);
        transport.respond(|number, sent| match sent {
            Outgoing::Text(text) => vec![Incoming::Text(format!("{number}:{text}").into())],
            _ => Vec::new(),
        });
        let (mut socket, mut server) = pair(&transport).await;
        socket.outgoing.send(Outgoing::Ping).await.unwrap();
        socket.outgoing.send(Outgoing::Text("a".into())).await.unwrap();
        server.text("b");
        let mut got = Vec::new();
        for _ in 0..4 {
            got.push(socket.incoming.next().await.unwrap());
        }
        let text = |text: &'static str| Incoming::Text(text.into());
        assert_eq!(got, [text("hello"), Incoming::Pong, text("0:a"), text("b")]);
        assert_eq!(server.next_text().await.as_deref(), Some("a"));
        drop(socket);
        assert_eq!(server.next().await, None);
        assert!(server.is_abandoned());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_model_makes_sends_wait() {
        let transport = MemoryTransport::new();
        let (mut socket, server) = pair(&transport).await;
        server.stall(true);
        let wait = Duration::from_secs(60);
        assert!(tokio::time::timeout(wait, socket.outgoing.send(Outgoing::Ping)).await.is_err());
        server.stall(false);
        socket.outgoing.send(Outgoing::Text("late".into())).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn closing_and_vanishing_are_told_apart() {
        let transport = MemoryTransport::new();
        let (mut socket, server) = pair(&transport).await;
        server.close(1001, "expired");
        let closed = socket.incoming.next().await;
        assert!(matches!(closed, Some(Incoming::Closed { code: Some(1001), reason }) if reason == "expired"));
        assert_eq!(socket.incoming.next().await, None);
        assert!(socket.outgoing.send(Outgoing::Ping).await.is_err());

        let (mut socket, server) = pair(&transport).await;
        drop(server);
        assert!(matches!(socket.incoming.next().await, Some(Incoming::Closed { code: None, .. })));

        let (mut socket, mut server) = pair(&transport).await;
        socket.outgoing.send(Outgoing::Close { code: 1000 }).await.unwrap();
        assert!(matches!(socket.incoming.next().await, Some(Incoming::Closed { code: Some(1000), .. })));
        assert_eq!(server.next().await, Some(Outgoing::Close { code: 1000 }));
    }
}
