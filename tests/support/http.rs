//! HTTP/1.1 by hand, so that a refusal is seen byte for byte.

use std::net::SocketAddr;

use ring::hmac;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENCE, within};

/// What a web socket's request carries.
pub const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// `EXPIRY.HMAC` for a call and role.
pub fn token(secret: &str, call: &str, role: &str, expiry: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mac = hmac::sign(&key, format!("{call}|{role}|{expiry}").as_bytes());
    let hex: String = mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{expiry}.{hex}")
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Code of a refusal, which must be `{"error":{"code","message"}}` and nothing else.
    pub fn refusal(&self) -> String {
        let body = self.json();
        let error = body["error"].as_object().unwrap_or_else(|| panic!("no error object: {self:?}"));
        assert_eq!((body.as_object().unwrap().len(), error.len()), (1, 2), "{self:?}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{self:?}");
        error["code"].as_str().unwrap().to_owned()
    }
}

/// One request on a connection of its own. An answer of 101 ends there.
pub async fn request(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(addr, method, path, headers, b"").await
}

/// A request with a body.
pub async fn send(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let answer = try_send(addr, method, path, headers, body).await;
    answer.unwrap_or_else(|error| panic!("{method} {path} at {addr}: {error}"))
}

/// A request to somebody who may be gone.
pub async fn try_send(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\n");
    if method == "POST" {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    within(PATIENCE, &format!("the answer to {method} {path}"), async {
        let mut socket = TcpStream::connect(addr).await?;
        socket.write_all(text.as_bytes()).await?;
        socket.write_all(body).await?;
        let mut received = Vec::new();
        loop {
            if let Some(answer) = parse(&received) {
                return Ok(answer);
            }
            if socket.read_buf(&mut received).await? == 0 {
                let received = String::from_utf8_lossy(&received);
                return Err(std::io::Error::other(format!("cut off: {received}")));
            }
        }
    })
    .await
}

pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    request(addr, "GET", path, &[]).await
}

pub async fn post(addr: SocketAddr, path: &str) -> Answer {
    request(addr, "POST", path, &[]).await
}

/// Asks for a web socket and gives the answer back, whatever it is.
pub async fn knock(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = UPGRADE.iter().chain(headers).copied().collect();
    request(addr, "GET", path, &headers).await
}

/// `None` until the whole answer is there.
fn parse(received: &[u8]) -> Option<Answer> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let headers: Vec<(String, String)> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut answer = Answer { status, headers, body: String::new() };
    let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
    let body = &received[end + 4..];
    if status != 101 && body.len() < length {
        return None;
    }
    answer.body = String::from_utf8_lossy(body).into_owned();
    Some(answer)
}
