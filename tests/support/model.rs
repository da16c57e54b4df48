//! A speech model played by the test, event by event.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{PATIENCE, within};

/// Accepts the service's connections.
pub struct Model {
    pub addr: SocketAddr,
    sockets: TcpListener,
}

impl Model {
    pub async fn start() -> Self {
        let sockets = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { addr: sockets.local_addr().unwrap(), sockets }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/openai/v1/realtime?model=gpt-realtime", self.addr)
    }

    /// The next connection, before its upgrade is answered.
    pub async fn knock(&mut self) -> TcpStream {
        within(PATIENCE, "a connection to the model", self.sockets.accept()).await.unwrap().0
    }

    /// The next connection, upgraded.
    pub async fn accept(&mut self) -> Session {
        Session::open(self.knock().await).await
    }

    /// The next session, set up.
    pub async fn session(&mut self) -> Session {
        let mut session = self.accept().await;
        session.set_up().await;
        session
    }
}

/// What the service said.
#[derive(Clone, Debug)]
pub enum Said {
    Event(Value),
    /// Caller audio, decoded.
    Audio(Vec<u8>),
    Closed(Option<u16>),
}

/// One connection of the service.
pub struct Session {
    /// Path and query of the upgrade.
    pub path: String,
    /// Headers of the upgrade, names in lower case.
    pub headers: Vec<(String, String)>,
    out: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<(Instant, Said)>,
    /// All caller audio so far, as it was looked at.
    pub audio: Vec<u8>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Session {
    /// Answers an upgrade.
    #[allow(clippy::result_large_err, reason = "the signature of the library's callback")]
    pub async fn open(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        let mut path = String::new();
        let mut headers = Vec::new();
        let upgrade = |request: &Request, response: Response| {
            path = request.uri().to_string();
            let known = request.headers().iter();
            headers = known.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
            Ok(response)
        };
        let socket =
            within(PATIENCE, "an upgrade", tokio_tungstenite::accept_hdr_async(socket, upgrade)).await.unwrap();
        let (mut sink, mut stream) = socket.split();
        let (out, mut outbox) = mpsc::unbounded_channel::<Message>();
        let (sender, inbox) = mpsc::unbounded_channel();
        let writer = tokio::spawn(async move {
            while let Some(message) = outbox.recv().await {
                if sink.send(message).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        });
        let reader = tokio::spawn(async move {
            let mut code = None;
            while let Some(Ok(message)) = stream.next().await {
                let said = match message {
                    Message::Text(text) => read(&text),
                    Message::Close(frame) => {
                        code = frame.map(|frame| u16::from(frame.code));
                        continue;
                    }
                    Message::Binary(_) => panic!("a binary message to the model"),
                    _ => continue,
                };
                if sender.send((Instant::now(), said)).is_err() {
                    return;
                }
            }
            let _ = sender.send((Instant::now(), Said::Closed(code)));
        });
        Self { path, headers, out, inbox, audio: Vec::new(), reader, writer }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    // === saying ===

    pub fn send(&self, event: Value) {
        self.message(Message::Text(event.to_string().into()));
    }

    pub fn message(&self, message: Message) {
        let _ = self.out.send(message);
    }

    pub fn close(&self, code: u16, reason: &'static str) {
        self.message(Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() })));
    }

    /// The connection breaks without a word.
    pub fn drop_line(self) {
        self.reader.abort();
        self.writer.abort();
    }

    /// From now on nothing is read, and so no ping answered.
    pub fn stop_reading(&self) {
        self.reader.abort();
    }

    pub fn created(&self) {
        self.send(json!({"type": "session.created", "event_id": "event_1", "session": {
            "type": "realtime", "object": "realtime.session", "id": "sess_outside", "expires_at": unix_now() + 3_600,
        }}));
    }

    /// Echoes a `session.update` as the service's settings.
    pub fn updated(&self, update: &Value) {
        let mut session = update["session"].clone();
        session["id"] = "sess_outside".into();
        session["expires_at"] = (unix_now() + 3_600).into();
        self.send(json!({"type": "session.updated", "event_id": "event_2", "session": session}));
    }

    /// From `session.created` to `session.updated`; gives the `session.update` in between.
    pub async fn set_up(&mut self) -> Value {
        self.created();
        let update = self.expect("session.update").await;
        self.updated(&update);
        update
    }

    pub fn speech_started(&self, item: &str) {
        self.send(json!({"type": "input_audio_buffer.speech_started", "event_id": "e", "audio_start_ms": 100, "item_id": item}));
    }

    /// The caller's turn is over, as server VAD tells it.
    pub fn turn_over(&self, item: &str) {
        self.send(
            json!({"type": "input_audio_buffer.speech_stopped", "event_id": "e", "audio_end_ms": 900, "item_id": item}),
        );
        self.send(
            json!({"type": "input_audio_buffer.committed", "event_id": "e", "previous_item_id": null, "item_id": item}),
        );
        let item = json!({"id": item, "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_audio", "transcript": null}]});
        self.send(json!({"type": "conversation.item.added", "event_id": "e", "previous_item_id": null, "item": item}));
        self.send(json!({"type": "conversation.item.done", "event_id": "e", "previous_item_id": null, "item": item}));
    }

    pub fn transcript_of_caller(&self, item: &str, words: &str) {
        self.send(json!({"type": "conversation.item.input_audio_transcription.completed", "event_id": "e",
            "item_id": item, "content_index": 0, "transcript": words}));
    }

    pub fn response_created(&self, response: &str) {
        self.send(json!({"type": "response.created", "event_id": "e", "response": {
            "object": "realtime.response", "id": response, "status": "in_progress", "status_details": null, "output": []}}));
    }

    pub fn item_added(&self, response: &str, item: &str) {
        let object =
            json!({"id": item, "type": "message", "status": "in_progress", "role": "assistant", "content": []});
        self.send(json!({"type": "response.output_item.added", "event_id": "e", "response_id": response,
            "output_index": 0, "item": object}));
        self.send(
            json!({"type": "conversation.item.added", "event_id": "e", "previous_item_id": null, "item": object}),
        );
        self.send(
            json!({"type": "response.content_part.added", "event_id": "e", "response_id": response, "item_id": item,
            "output_index": 0, "content_index": 0, "part": {"type": "audio", "transcript": ""}}),
        );
    }

    pub fn words(&self, response: &str, item: &str, words: &str) {
        self.send(json!({"type": "response.output_audio_transcript.delta", "event_id": "e", "response_id": response,
            "item_id": item, "output_index": 0, "content_index": 0, "delta": words}));
    }

    pub fn audio_delta(&self, response: &str, item: &str, audio: &[u8]) {
        self.send(
            json!({"type": "response.output_audio.delta", "event_id": "e", "response_id": response, "item_id": item,
            "output_index": 0, "content_index": 0, "delta": base64_simd::STANDARD.encode_to_string(audio)}),
        );
    }

    pub fn audio_done(&self, response: &str, item: &str) {
        self.send(
            json!({"type": "response.output_audio.done", "event_id": "e", "response_id": response, "item_id": item,
            "output_index": 0, "content_index": 0}),
        );
    }

    pub fn response_done(&self, response: &str, item: &str, status: &str) {
        let details =
            if status == "cancelled" { json!({"type": "cancelled", "reason": "turn_detected"}) } else { Value::Null };
        self.send(json!({"type": "response.done", "event_id": "e", "response": {
            "object": "realtime.response", "id": response, "status": status, "status_details": details,
            "output": [{"id": item, "type": "message", "status": status, "role": "assistant", "content": []}]}}));
    }

    /// A whole answer, its audio in pieces of these bytes (the last one repeats).
    pub fn answer(&self, number: u32, audio: &[u8], pieces: &[usize]) {
        let (response, item) = (format!("resp_{number}"), format!("item_{number}"));
        self.begin_answer(number, audio, pieces);
        self.audio_done(&response, &item);
        self.response_done(&response, &item, "completed");
    }

    /// An answer that is not finished yet.
    pub fn begin_answer(&self, number: u32, audio: &[u8], pieces: &[usize]) {
        let (response, item) = (format!("resp_{number}"), format!("item_{number}"));
        self.response_created(&response);
        self.item_added(&response, &item);
        let mut rest = audio;
        let mut piece = pieces.iter();
        let mut size = usize::MAX;
        while !rest.is_empty() {
            size = *piece.next().unwrap_or(&size);
            let (now, later) = rest.split_at(size.min(rest.len()));
            self.audio_delta(&response, &item, now);
            rest = later;
        }
    }

    /// A whole call of a tool, within a response.
    pub fn call_tool(&self, response: &str, call: &str, name: &str, arguments: &str) {
        let item = json!({"id": format!("item_{call}"), "type": "function_call", "status": "completed",
            "call_id": call, "name": name, "arguments": arguments});
        self.send(json!({"type": "response.output_item.done", "event_id": "e", "response_id": response,
            "output_index": 1, "item": item}));
    }

    // === hearing ===

    pub async fn next(&mut self) -> (Instant, Said) {
        let next = within(PATIENCE, "the service to say something to the model", self.inbox.recv()).await;
        let (at, said) = next.unwrap();
        if let Said::Audio(audio) = &said {
            self.audio.extend_from_slice(audio);
        }
        (at, said)
    }

    /// The next event that is not audio.
    pub async fn event(&mut self) -> Value {
        loop {
            match self.next().await.1 {
                Said::Event(event) => return event,
                Said::Audio(_) => {}
                Said::Closed(code) => panic!("the service closed the session with {code:?}"),
            }
        }
    }

    /// The next event that is not audio; it must be this one.
    pub async fn expect(&mut self, kind: &str) -> Value {
        let event = self.event().await;
        assert_eq!(event["type"], kind, "{event}");
        event
    }

    /// Until that much caller audio has come.
    pub async fn hear(&mut self, bytes: usize) {
        while self.audio.len() < bytes {
            match self.next().await.1 {
                Said::Audio(_) => {}
                other => panic!("{other:?} instead of audio"),
            }
        }
    }

    /// Until the service closes; what it says before is passed over.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let (_, Said::Closed(code)) = self.next().await {
                return code;
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

fn read(text: &str) -> Said {
    let event: Value = serde_json::from_str(text).unwrap();
    if event["type"] != "input_audio_buffer.append" {
        return Said::Event(event);
    }
    assert_eq!(event.as_object().unwrap().len(), 2, "{event}");
    Said::Audio(base64_simd::STANDARD.decode_to_vec(event["audio"].as_str().unwrap()).unwrap())
}

pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
