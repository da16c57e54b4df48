//! The model's side: as much of the Realtime protocol (GA) as a bridge needs, on a thread of its own in this process. It
//! knows callers by what they say (see `script`), answers each turn with two seconds of tone at four times real
//! time, and tells the board when.
//!
//! `trunkline sim` stands for a model in every other test. Here its voice activity detection would cost more than the
//! bridge does, and only a model in the callers' process shares their clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base64_simd::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{self, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use trunkline_media::g711;

use crate::board::{ANSWER_MS, Board};
use crate::carrier::found;
use crate::rig::Trouble;
use crate::script::{Hearing, WINDOW_MS};

/// One delta holds this much, and the next comes after a quarter of it.
const DELTA_MS: u64 = 200;
const DELTAS: usize = (ANSWER_MS / DELTA_MS) as usize;
const DELTA_EVERY: Duration = Duration::from_millis(DELTA_MS / 4);
/// From hearing a turn to answering it. A bridge that takes its time over an interruption must not throw away the answer
/// with what was interrupted; a real model takes longer.
const THINKS: Duration = Duration::from_millis(100);
const TONE_HZ: f64 = 440.0;
const AMPLITUDE: f64 = 9_000.0;

/// What the bridge asked for in `session.update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Pcm16,
    Pcmu,
}

impl Format {
    /// Bytes of 10 ms.
    fn window(self) -> usize {
        match self {
            Self::Pcm16 => 24 * 2 * WINDOW_MS,
            Self::Pcmu => 8 * WINDOW_MS,
        }
    }

    /// Root mean square, of 32768.
    fn level(self, audio: &[u8]) -> f64 {
        match self {
            Self::Pcmu => crate::script::level(audio),
            Self::Pcm16 => {
                let samples = audio.chunks_exact(2).map(|pair| <[u8; 2]>::try_from(pair).unwrap_or_default());
                let energy: f64 = samples.map(|pair| f64::from(i16::from_le_bytes(pair)).powi(2)).sum();
                (energy * 2.0 / audio.len().max(1) as f64).sqrt()
            }
        }
    }

    /// The answer in base64, delta by delta.
    fn answer(self) -> Vec<String> {
        let rate = if self == Self::Pcm16 { 24_000_u64 } else { 8_000 };
        let tone = (0..rate * ANSWER_MS / 1_000)
            .map(|n| ((n as f64 * TONE_HZ * std::f64::consts::TAU / rate as f64).sin() * AMPLITUDE) as i16);
        let audio: Vec<u8> = match self {
            Self::Pcm16 => tone.flat_map(i16::to_le_bytes).collect(),
            Self::Pcmu => tone.map(g711::encode_ulaw).collect(),
        };
        audio.chunks(audio.len() / DELTAS).map(|delta| STANDARD.encode_to_string(delta)).collect()
    }
}

struct Answers {
    pcm16: Vec<String>,
    pcmu: Vec<String>,
}

/// A thread that serves models until this is dropped.
pub struct Model {
    pub addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Model {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves models at `listen`.
pub fn serve(listen: SocketAddr, board: Arc<Board>) -> Result<Model, Trouble> {
    let trouble = |error: std::io::Error| Trouble(format!("the model cannot listen on {listen}: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(trouble)?;
    let listener = runtime.block_on(TcpListener::bind(listen)).map_err(trouble)?;
    let addr = listener.local_addr().map_err(trouble)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = move || {
        runtime.block_on(async {
            tokio::select! {
                () = accept(listener, board) => {}
                _ = stopped => {}
            }
        });
    };
    let thread = thread::Builder::new().name("model".to_owned()).spawn(serve).map_err(trouble)?;
    Ok(Model { addr, stop: Some(stop), thread: Some(thread) })
}

async fn accept(listener: TcpListener, board: Arc<Board>) {
    let answers = Arc::new(Answers { pcm16: Format::Pcm16.answer(), pcmu: Format::Pcmu.answer() });
    while let Ok((socket, _)) = listener.accept().await {
        let (board, answers) = (Arc::clone(&board), Arc::clone(&answers));
        tokio::spawn(async move {
            let _ = socket.set_nodelay(true);
            if let Ok(socket) = tokio_tungstenite::accept_async(socket).await {
                let session = Session::new(socket, board, answers);
                // The bridge ends it; how is nobody's concern here.
                let _ = Box::pin(session.run()).await;
            }
        });
    }
}

type Failed = tokio_tungstenite::tungstenite::Error;

struct Session {
    socket: WebSocketStream<TcpStream>,
    board: Arc<Board>,
    answers: Arc<Answers>,
    config: Value,
    format: Format,
    hearing: Hearing,
    /// Audio that is no whole window yet.
    rest: Vec<u8>,
    decoded: Vec<u8>,
    events: u64,
    turns: u64,
    /// The answer under way: which delta comes next, and when.
    answering: Option<(usize, time::Instant)>,
}

impl Session {
    fn new(socket: WebSocketStream<TcpStream>, board: Arc<Board>, answers: Arc<Answers>) -> Self {
        Self {
            socket,
            board,
            answers,
            config: json!({"id": "sess_load", "object": "realtime.session", "type": "realtime", "model": "gpt-realtime"}),
            format: Format::Pcm16,
            hearing: Hearing::default(),
            rest: Vec::new(),
            decoded: Vec::new(),
            events: 0,
            turns: 0,
            answering: None,
        }
    }

    async fn run(mut self) -> Result<(), Failed> {
        let session = self.config.clone();
        self.tell("session.created", json!({"session": session})).await?;
        loop {
            let due = self.answering.map(|(_, due)| due);
            tokio::select! {
                biased;
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.event(&text, Instant::now()).await?,
                    Some(Ok(_)) => {}
                    _ => return Ok(()),
                },
                () = sleep_until(due.unwrap_or_else(time::Instant::now)), if due.is_some() => self.delta().await?,
            }
        }
    }

    async fn event(&mut self, text: &str, came: Instant) -> Result<(), Failed> {
        if text.contains("\"input_audio_buffer.append\"") {
            return match found(text, "\"audio\"") {
                Some(audio) => self.audio(audio, came).await,
                None => Ok(()),
            };
        }
        let event: Value = serde_json::from_str(text).unwrap_or_default();
        match event.pointer("/type").and_then(Value::as_str) {
            Some("session.update") => self.update(&event).await,
            Some("conversation.item.truncate") => {
                let ms = event.pointer("/audio_end_ms").and_then(Value::as_u64);
                if let Some((number, ms)) = self.hearing.number().zip(ms) {
                    self.board.truncated(number, ms);
                }
                let item = event.pointer("/item_id").cloned();
                self.tell(
                    "conversation.item.truncated",
                    json!({"item_id": item, "content_index": 0, "audio_end_ms": ms}),
                )
                .await
            }
            _ => Ok(()),
        }
    }

    async fn update(&mut self, event: &Value) -> Result<(), Failed> {
        if let (Some(Value::Object(wanted)), Value::Object(config)) = (event.pointer("/session"), &mut self.config) {
            config.extend(wanted.clone());
        }
        let asked = self.config.pointer("/audio/output/format/type").and_then(Value::as_str);
        self.format = if asked == Some("audio/pcmu") { Format::Pcmu } else { Format::Pcm16 };
        let session = self.config.clone();
        self.tell("session.updated", json!({"session": session})).await
    }

    async fn audio(&mut self, base64: &str, came: Instant) -> Result<(), Failed> {
        self.decoded.resize(STANDARD.estimated_decoded_length(base64.len()), 0);
        let Ok(decoded) = STANDARD.decode(base64.as_bytes(), base64_simd::Out::from_slice(&mut self.decoded)) else {
            return Ok(());
        };
        self.rest.extend_from_slice(decoded);
        let window = self.format.window();
        let windows = self.rest.len() / window;
        let mut is_turn = false;
        for audio in self.rest.chunks_exact(window) {
            is_turn |= self.hearing.window(self.format.level(audio));
        }
        self.rest.drain(..windows * window);
        self.board.count(&self.board.counts.appended_ms, (windows * WINDOW_MS) as u64);
        match self.hearing.number() {
            Some(number) if is_turn => self.turn(number, came).await,
            _ => Ok(()),
        }
    }

    /// A turn begins: whatever is being said is interrupted.
    async fn turn(&mut self, number: u32, came: Instant) -> Result<(), Failed> {
        self.board.heard(number, came);
        if self.answering.take().is_some_and(|(index, _)| index > 0) {
            self.done("cancelled").await?;
        }
        self.turns += 1;
        self.answering = Some((0, time::Instant::now() + THINKS));
        let user = self.user();
        self.tell("input_audio_buffer.speech_started", json!({"audio_start_ms": 0, "item_id": user})).await
    }

    /// The answer begins.
    async fn answer(&mut self) -> Result<(), Failed> {
        let user = self.user();
        self.tell("input_audio_buffer.speech_stopped", json!({"audio_end_ms": 0, "item_id": user})).await?;
        self.tell("input_audio_buffer.committed", json!({"item_id": user, "previous_item_id": null})).await?;
        let response =
            json!({"id": self.response(), "object": "realtime.response", "status": "in_progress", "output": []});
        self.tell("response.created", json!({"response": response})).await?;
        let item = self.message("in_progress");
        self.tell(
            "response.output_item.added",
            json!({"response_id": self.response(), "output_index": 0, "item": item}),
        )
        .await?;
        let part = json!({"type": "audio", "transcript": ""});
        self.tell("response.content_part.added", self.content(json!({"part": part}))).await?;
        if let Some(number) = self.hearing.number() {
            self.board.answers(number);
        }
        Ok(())
    }

    async fn delta(&mut self) -> Result<(), Failed> {
        let Some((index, due)) = self.answering else { return Ok(()) };
        if index == 0 {
            self.answer().await?;
        }
        let deltas = if self.format == Format::Pcm16 { &self.answers.pcm16 } else { &self.answers.pcmu };
        let Some(audio) = deltas.get(index) else {
            self.answering = None;
            return self.done("completed").await;
        };
        self.events += 1;
        let text = format!(
            r#"{{"type":"response.output_audio.delta","event_id":"event_{}","response_id":"{}","item_id":"{}","output_index":0,"content_index":0,"delta":"{audio}"}}"#,
            self.events,
            self.response(),
            self.item(),
        );
        self.answering = Some((index + 1, due + DELTA_EVERY));
        self.socket.send(Message::text(text)).await
    }

    async fn done(&mut self, status: &str) -> Result<(), Failed> {
        self.tell("response.output_audio.done", self.content(json!({}))).await?;
        self.tell("response.output_audio_transcript.done", self.content(json!({"transcript": "A tone."}))).await?;
        let item = self.message(status);
        let output = json!({"response_id": self.response(), "output_index": 0, "item": item});
        self.tell("response.output_item.done", output).await?;
        let response = json!({
            "id": self.response(), "object": "realtime.response", "status": status, "output": [item],
            "status_details": null, "usage": null,
        });
        self.tell("response.done", json!({"response": response})).await
    }

    fn user(&self) -> String {
        format!("item_user_{}", self.turns)
    }

    fn response(&self) -> String {
        format!("resp_{}", self.turns)
    }

    fn item(&self) -> String {
        format!("item_{}", self.turns)
    }

    fn message(&self, status: &str) -> Value {
        let status = match status {
            "cancelled" => "incomplete",
            other => other,
        };
        json!({"id": self.item(), "object": "realtime.item", "type": "message", "role": "assistant", "status": status, "content": []})
    }

    /// The fields of an event about the one content part of the answer.
    fn content(&self, mut fields: Value) -> Value {
        if let Value::Object(map) = &mut fields {
            map.insert("response_id".to_owned(), self.response().into());
            map.insert("item_id".to_owned(), self.item().into());
            map.insert("output_index".to_owned(), 0.into());
            map.insert("content_index".to_owned(), 0.into());
        }
        fields
    }

    async fn tell(&mut self, kind: &str, mut fields: Value) -> Result<(), Failed> {
        self.events += 1;
        if let Value::Object(map) = &mut fields {
            map.insert("type".to_owned(), kind.into());
            map.insert("event_id".to_owned(), format!("event_{}", self.events).into());
        }
        self.socket.send(Message::text(fields.to_string())).await
    }
}
