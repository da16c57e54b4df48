//! The caller's side of `/ingest`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::process::Service;
use super::{PATIENCE, within};

/// What came down the line.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Audio(Bytes),
    Text(Value),
    /// The end, with its close code if there was a close frame.
    Closed(Option<u16>),
}

impl Heard {
    pub fn is(&self, kind: &str) -> bool {
        matches!(self, Self::Text(text) if text["type"] == kind)
    }
}

/// A telephone that keeps everything it heard, in order, with the time.
pub struct Phone {
    out: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<(Instant, Heard)>,
    pub log: Vec<(Instant, Heard)>,
    /// Up to here the log was looked at.
    cursor: usize,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
    muted: Arc<AtomicBool>,
    pings: Arc<AtomicUsize>,
}

impl Phone {
    /// Calls with `/ingest?QUERY` and waits for `ready`.
    pub async fn dial(service: &Service, query: &str) -> Self {
        Self::dial_with(service, query, &[]).await
    }

    pub async fn dial_with(service: &Service, query: &str, headers: &[(&'static str, &str)]) -> Self {
        let url = format!("ws://{}/ingest?{query}", service.media);
        let mut phone = Self::connect(&url, headers).await;
        assert!(phone.next().await.is("ready"), "ready comes first: {:?}", phone.log);
        phone
    }

    /// A telephone whose system takes little: when nothing is read, that is noticed within a second.
    pub async fn dial_narrow(service: &Service, query: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let socket = socket.connect(service.media).await.unwrap();
        let mut phone = Self::over(socket, &format!("ws://{}/ingest?{query}", service.media), &[]).await;
        assert!(phone.next().await.is("ready"), "ready comes first: {:?}", phone.log);
        phone
    }

    /// Opens the line, wherever it leads.
    pub async fn connect(url: &str, headers: &[(&'static str, &str)]) -> Self {
        let host = url.split('/').nth(2).unwrap();
        Self::over(TcpStream::connect(host).await.unwrap(), url, headers).await
    }

    async fn over(socket: TcpStream, url: &str, headers: &[(&'static str, &str)]) -> Self {
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        socket.set_nodelay(true).unwrap();
        let muted = Arc::new(AtomicBool::new(false));
        let line = Line { socket, muted: Arc::clone(&muted) };
        let (socket, _) =
            within(PATIENCE, "the upgrade", tokio_tungstenite::client_async(request, line)).await.unwrap();
        let (mut sink, mut stream) = socket.split();
        let (out, mut outbox) = mpsc::unbounded_channel::<Message>();
        let (sender, inbox) = mpsc::unbounded_channel();
        let pings = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&pings);
        let writer = tokio::spawn(async move {
            while let Some(message) = outbox.recv().await {
                if sink.send(message).await.is_err() {
                    break;
                }
            }
            // The line stays open: it is the reader that sees the end.
            std::future::pending::<()>().await;
        });
        let reader = tokio::spawn(async move {
            let mut code = None;
            while let Some(Ok(message)) = stream.next().await {
                let heard = match message {
                    Message::Binary(audio) => Heard::Audio(audio),
                    Message::Text(text) => Heard::Text(serde_json::from_str(&text).unwrap()),
                    Message::Close(frame) => {
                        code = frame.map(|frame| u16::from(frame.code));
                        continue;
                    }
                    Message::Ping(_) => {
                        seen.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    Message::Pong(_) | Message::Frame(_) => continue,
                };
                if sender.send((Instant::now(), heard)).is_err() {
                    return;
                }
            }
            let _ = sender.send((Instant::now(), Heard::Closed(code)));
        });
        Self { out, inbox, log: Vec::new(), cursor: 0, reader, writer, muted, pings }
    }

    // === speaking ===

    pub fn audio(&self, payload: &[u8]) {
        self.message(Message::Binary(Bytes::copy_from_slice(payload)));
    }

    /// A text message as it stands.
    pub fn text(&self, text: &str) {
        self.message(Message::Text(text.into()));
    }

    pub fn send(&self, message: Value) {
        self.text(&message.to_string());
    }

    pub fn message(&self, message: Message) {
        let _ = self.out.send(message);
    }

    /// Speaks in frames of `frame` bytes, one every 20 ms, in the background.
    pub fn speak(&self, payload: Vec<u8>, frame: usize) -> JoinHandle<()> {
        let out = self.out.clone();
        tokio::spawn(async move {
            let mut clock = tokio::time::interval(Duration::from_millis(20));
            clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for frame in payload.chunks(frame) {
                clock.tick().await;
                if out.send(Message::Binary(Bytes::copy_from_slice(frame))).is_err() {
                    return;
                }
            }
        })
    }

    /// The line breaks without a word.
    pub fn drop_line(self) {
        self.reader.abort();
        self.writer.abort();
    }

    /// From now on nothing is read.
    pub fn stop_reading(&self) {
        self.reader.abort();
    }

    /// From now on nothing leaves, not even an answer to a ping.
    pub fn mute(&self) {
        self.muted.store(true, Ordering::Relaxed);
    }

    /// Pings seen so far.
    pub fn pings(&self) -> usize {
        self.pings.load(Ordering::Relaxed)
    }

    // === hearing ===

    /// The next thing that comes.
    pub async fn next(&mut self) -> Heard {
        if self.cursor == self.log.len() {
            let next = tokio::time::timeout(PATIENCE, self.inbox.recv()).await;
            let Ok(Some(entry)) = next else { panic!("nothing came any more; heard: {}", self.summary()) };
            self.log.push(entry);
        }
        self.cursor += 1;
        self.log[self.cursor - 1].1.clone()
    }

    /// Skips to the next text message of this type.
    pub async fn expect(&mut self, kind: &str) -> Value {
        loop {
            match self.next().await {
                Heard::Text(text) if text["type"] == kind => return text,
                Heard::Closed(code) => panic!("closed with {code:?} before {kind:?} came; heard: {}", self.summary()),
                _ => {}
            }
        }
    }

    /// Skips to the end and gives the close code.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Heard::Closed(code) = self.next().await {
                return code;
            }
        }
    }

    /// The next `count` frames; what else comes stays in the log.
    pub async fn frames(&mut self, count: usize) -> Vec<Bytes> {
        let mut frames = Vec::new();
        while frames.len() < count {
            match self.next().await {
                Heard::Audio(frame) => frames.push(frame),
                Heard::Text(_) => {}
                Heard::Closed(code) => panic!("closed with {code:?}; heard: {}", self.summary()),
            }
        }
        frames
    }

    /// What was heard, frames counted.
    pub fn summary(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut frames = 0;
        for (_, heard) in &self.log {
            match heard {
                Heard::Audio(_) => frames += 1,
                other => {
                    if frames > 0 {
                        parts.push(format!("{frames} frames"));
                        frames = 0;
                    }
                    parts.push(match other {
                        Heard::Text(text) => text.to_string(),
                        other => format!("{other:?}"),
                    });
                }
            }
        }
        if frames > 0 {
            parts.push(format!("{frames} frames"));
        }
        parts.join(", ")
    }

    /// All frames in what was looked at so far.
    pub fn all_frames(&self) -> Vec<Bytes> {
        self.frames_between(0, self.cursor)
    }

    /// Where in the log the next thing will stand.
    pub fn position(&self) -> usize {
        self.cursor
    }

    pub fn frames_between(&self, from: usize, to: usize) -> Vec<Bytes> {
        let frames = self.log[from..to].iter().filter_map(|(_, heard)| match heard {
            Heard::Audio(frame) => Some(frame.clone()),
            _ => None,
        });
        frames.collect()
    }

    /// Types of the text messages looked at so far, in order.
    pub fn kinds(&self) -> Vec<String> {
        let kinds = self.log[..self.cursor].iter().filter_map(|(_, heard)| match heard {
            Heard::Text(text) => Some(text["type"].as_str().unwrap().to_owned()),
            _ => None,
        });
        kinds.collect()
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

/// A TCP line that can lose all we send while it is still read.
struct Line {
    socket: TcpStream,
    muted: Arc<AtomicBool>,
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        if self.muted.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(data.len()));
        }
        Pin::new(&mut self.socket).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
