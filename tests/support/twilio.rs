//! Twilio's side of a media stream: it plays what it is sent from a queue, in real time, and answers marks as it gets
//! to them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use ring::hmac;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::process::Service;
use super::{PATIENCE, within};

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    /// Mu-law, decoded.
    Media(Vec<u8>),
    Mark(String),
    /// With how many milliseconds of what came since the last mark were played by then.
    Clear(i64),
    /// With close code, reason, and the milliseconds that were still to be played.
    Closed(Option<u16>, String, i64),
}

/// What waits over there.
struct Player {
    /// Between a message's arrival and its sound.
    delay: Duration,
    /// When all of it will have been played.
    free_at: Instant,
    /// Milliseconds that came since the last mark.
    item_ms: i64,
    marks: Vec<(Instant, String)>,
}

impl Player {
    fn unplayed_ms(&self, now: Instant) -> i64 {
        self.free_at.saturating_duration_since(now).as_millis() as i64
    }
}

/// A media stream, seen from Twilio.
pub struct Stream {
    out: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<(Instant, Got)>,
    pub log: Vec<(Instant, Got)>,
    cursor: usize,
    tasks: [JoinHandle<()>; 3],
}

impl Stream {
    /// Connects to `/media-stream` and begins a call without parameters.
    pub async fn call(service: &Service, call_sid: &str) -> Self {
        Self::call_with(service, call_sid, json!({})).await
    }

    /// Connects and begins a call.
    pub async fn call_with(service: &Service, call_sid: &str, parameters: Value) -> Self {
        let stream = Self::connect(service, "/media-stream", &[]).await;
        stream.begin(call_sid, parameters);
        stream
    }

    /// Opens the socket and says nothing yet.
    pub async fn connect(service: &Service, path: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::connect_late(service, path, headers, Duration::ZERO).await
    }

    /// A Twilio that plays everything so much later.
    pub async fn connect_late(
        service: &Service,
        path: &str,
        headers: &[(&'static str, &str)],
        delay: Duration,
    ) -> Self {
        let mut request = format!("ws://{}{path}", service.media).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let socket = TcpStream::connect(service.media).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let upgrade = tokio_tungstenite::client_async(request, socket);
        let (mut sink, mut stream) = within(PATIENCE, "the upgrade", upgrade).await.unwrap().0.split();
        let (out, mut outbox) = mpsc::unbounded_channel::<Message>();
        let (sender, inbox) = mpsc::unbounded_channel();
        let player = Player { delay, free_at: Instant::now(), item_ms: 0, marks: Vec::new() };
        let player = Arc::new(Mutex::new(player));

        let writer = tokio::spawn(async move {
            while let Some(message) = outbox.recv().await {
                if sink.send(message).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        });
        let (answers, playing) = (out.clone(), Arc::clone(&player));
        let marker = tokio::spawn(async move {
            let mut clock = tokio::time::interval(Duration::from_millis(1));
            clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                clock.tick().await;
                let now = Instant::now();
                playing.lock().unwrap().marks.retain(|(due, name)| {
                    let due = *due <= now;
                    if due {
                        let _ = answers.send(mark(name));
                    }
                    !due
                });
            }
        });
        let answers = out.clone();
        let reader = tokio::spawn(async move {
            let mut end = (None, String::new());
            while let Some(Ok(message)) = stream.next().await {
                let now = Instant::now();
                let got = match message {
                    Message::Text(text) => receive(&text, now, &mut player.lock().unwrap(), &answers),
                    Message::Close(frame) => {
                        end = frame.map_or(end, |frame| (Some(u16::from(frame.code)), frame.reason.to_string()));
                        continue;
                    }
                    Message::Ping(_) | Message::Pong(_) => continue,
                    other => panic!("Twilio closes a stream that sends {other:?}"),
                };
                if sender.send((now, got)).is_err() {
                    return;
                }
            }
            let now = Instant::now();
            let unplayed = player.lock().unwrap().unplayed_ms(now);
            let _ = sender.send((now, Got::Closed(end.0, end.1, unplayed)));
        });
        Self { out, inbox, log: Vec::new(), cursor: 0, tasks: [writer, marker, reader] }
    }

    // === saying ===

    /// `connected` and `start`.
    pub fn begin(&self, call_sid: &str, parameters: Value) {
        self.send(json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}));
        self.send(start(call_sid, parameters));
    }

    pub fn send(&self, message: Value) {
        self.text(&message.to_string());
    }

    pub fn text(&self, text: &str) {
        let _ = self.out.send(Message::Text(text.into()));
    }

    /// One message of the caller's audio.
    pub fn media(&self, payload: &[u8]) {
        self.send(media(payload));
    }

    pub fn key(&self, digit: &str) {
        self.send(json!({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"track": "inbound_track", "digit": digit}}));
    }

    pub fn stop(&self) {
        self.send(json!({"event": "stop", "streamSid": "MZ1", "stop": {"accountSid": "AC1", "callSid": "CA1"}}));
    }

    /// The connection breaks without a word.
    pub fn drop_line(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }

    // === hearing ===

    pub async fn next(&mut self) -> Got {
        if self.cursor == self.log.len() {
            let next = tokio::time::timeout(PATIENCE, self.inbox.recv()).await;
            let Ok(Some(entry)) = next else { panic!("nothing came any more; got: {}", self.summary()) };
            self.log.push(entry);
        }
        self.cursor += 1;
        self.log[self.cursor - 1].1.clone()
    }

    /// The next `count` frames; what else comes stays in the log.
    pub async fn frames(&mut self, count: usize) -> Vec<u8> {
        let mut audio = Vec::new();
        let mut frames = 0;
        while frames < count {
            match self.next().await {
                Got::Media(frame) => {
                    assert_eq!(frame.len(), 160, "20 ms in a message");
                    audio.extend_from_slice(&frame);
                    frames += 1;
                }
                Got::Closed(code, why, _) => panic!("closed with {code:?} {why}; got: {}", self.summary()),
                Got::Mark(_) | Got::Clear(_) => {}
            }
        }
        audio
    }

    pub async fn mark(&mut self) -> String {
        loop {
            match self.next().await {
                Got::Mark(name) => return name,
                Got::Closed(..) => panic!("closed before a mark; got: {}", self.summary()),
                _ => {}
            }
        }
    }

    /// What was played by the next `clear`, in ms of the item then playing.
    pub async fn clear(&mut self) -> i64 {
        loop {
            match self.next().await {
                Got::Clear(played) => return played,
                Got::Closed(..) => panic!("closed before a clear; got: {}", self.summary()),
                _ => {}
            }
        }
    }

    /// The end: code, reason, and how much was not played.
    pub async fn closed(&mut self) -> (Option<u16>, String, i64) {
        loop {
            if let Got::Closed(code, why, unplayed) = self.next().await {
                return (code, why, unplayed);
            }
        }
    }

    /// When each frame in the log came.
    pub fn frame_times(&self) -> Vec<Instant> {
        self.log.iter().filter(|(_, got)| matches!(got, Got::Media(_))).map(|(at, _)| *at).collect()
    }

    pub fn summary(&self) -> String {
        let frames = self.frame_times().len();
        let others: Vec<_> = self.log.iter().map(|(_, got)| got).filter(|got| !matches!(got, Got::Media(_))).collect();
        format!("{frames} frames and {others:?}")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn receive(text: &str, now: Instant, player: &mut Player, answers: &mpsc::UnboundedSender<Message>) -> Got {
    let message: Value = serde_json::from_str(text).unwrap();
    assert_eq!(message["streamSid"], "MZ1", "{message}");
    match message["event"].as_str().unwrap() {
        "media" => {
            let payload = message["media"]["payload"].as_str().unwrap();
            let audio = base64_simd::STANDARD.decode_to_vec(payload).unwrap();
            let ms = audio.len() as u64 / 8;
            player.free_at = player.free_at.max(now + player.delay) + Duration::from_millis(ms);
            player.item_ms += ms as i64;
            Got::Media(audio)
        }
        "mark" => {
            let name = message["mark"]["name"].as_str().unwrap().to_owned();
            player.marks.push((player.free_at, name.clone()));
            player.item_ms = 0;
            Got::Mark(name)
        }
        "clear" => {
            // After a mark nothing came: then what is unplayed is of the item before it.
            let played = player.item_ms - player.unplayed_ms(now);
            player.free_at = now;
            player.item_ms = 0;
            player.marks.drain(..).for_each(|(_, name)| drop(answers.send(mark(&name))));
            Got::Clear(played)
        }
        _ => panic!("Twilio closes a stream that sends {message}"),
    }
}

/// A `start` for the stream `MZ1`.
pub fn start(call_sid: &str, parameters: Value) -> Value {
    json!({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": {
        "accountSid": "AC1", "streamSid": "MZ1", "callSid": call_sid, "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": parameters}})
}

fn media(payload: &[u8]) -> Value {
    json!({"event": "media", "sequenceNumber": "4", "streamSid": "MZ1", "media": {"track": "inbound", "chunk": "2",
        "timestamp": "5", "payload": base64_simd::STANDARD.encode_to_string(payload)}})
}

fn mark(name: &str) -> Message {
    let message = json!({"event": "mark", "sequenceNumber": "4", "streamSid": "MZ1", "mark": {"name": name}});
    Message::Text(message.to_string().into())
}

/// `X-Twilio-Signature` of a request to that address.
pub fn signature(auth_token: &str, url: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_token.as_bytes());
    base64_simd::STANDARD.encode_to_string(hmac::sign(&key, url.as_bytes()).as_ref())
}
