//! A WebSocket server made of bytes, so that tests can break every rule of it.

use std::time::Duration;

use ring::digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(super) const TEXT: u8 = 0x81;
pub(super) const BINARY: u8 = 0x82;
pub(super) const CLOSE: u8 = 0x88;
pub(super) const PING: u8 = 0x89;
pub(super) const PONG: u8 = 0x8A;
/// Opcodes of a fragmented message: the last one has the FIN bit.
pub(super) const FIRST_TEXT: u8 = 0x01;
pub(super) const CONTINUE: u8 = 0x00;
pub(super) const LAST: u8 = 0x80;

pub(super) struct Peer {
    pub(super) stream: TcpStream,
    /// Head of the upgrade request.
    pub(super) request: String,
}

impl Peer {
    /// Takes a connection and reads the request head.
    pub(super) async fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let request = String::from_utf8(head).unwrap();
        Self { stream, request }
    }

    /// Takes a connection and upgrades it.
    pub(super) async fn upgraded(listener: &TcpListener) -> Self {
        let mut peer = Self::accept(listener).await;
        peer.upgrade(&[]).await;
        peer
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.request.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Answers 101, with `early` in the same segment.
    pub(super) async fn upgrade(&mut self, early: &[u8]) {
        let key = self.header("sec-websocket-key").unwrap();
        let salted = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, salted.as_bytes());
        let accept = base64_simd::STANDARD.encode_to_string(hash.as_ref());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        self.stream.write_all(&[head.as_bytes(), early].concat()).await.unwrap();
    }

    pub(super) async fn refuse(mut self, status: u16) {
        let body = r#"{"error":{"code":"x","message":"no"}}"#;
        let head = format!("HTTP/1.1 {status} No\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.stream.write_all(head.as_bytes()).await.unwrap();
    }

    /// Sends one frame. Gives up if the other side is gone.
    pub(super) async fn send(&mut self, first_byte: u8, payload: &[u8]) {
        let _ = self.stream.write_all(&frame(first_byte, payload)).await;
    }

    /// The next frame, unmasked: first byte and payload; `None` once the client is gone.
    pub(super) async fn recv(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).await.ok()?;
        assert!(head[1] & 0x80 != 0, "a client masks its frames");
        let length = match head[1] & 0x7F {
            126 => u64::from(self.stream.read_u16().await.ok()?),
            127 => self.stream.read_u64().await.ok()?,
            short => u64::from(short),
        };
        let mut mask = [0; 4];
        self.stream.read_exact(&mut mask).await.ok()?;
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await.ok()?;
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[i % 4];
        }
        Some((head[0], payload))
    }
}

/// An unmasked frame, as servers send it.
pub(super) fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first_byte];
    match payload.len() {
        short @ 0..126 => out.push(u8::try_from(short).unwrap()),
        medium @ 126..=0xFFFF => {
            out.push(126);
            out.extend_from_slice(&u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            out.push(127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

/// A listener on loopback and the address clients connect to.
pub(super) async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("ws://127.0.0.1:{port}/openai/v1/realtime?model=m&secret=hush"))
}

/// Fails instead of hanging.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("took more than 10 s")
}
