//! The model's side of one connection, driven by hand.

use base64_simd::STANDARD;
use serde_json::{Value, json};
use trunkline_actors::memory_transport::MemoryServer;
use trunkline_actors::ports::Outgoing;

use super::{Bench, unix_now_ms};

pub struct Model {
    pub server: MemoryServer,
    /// Texts of the client that were looked at, appends apart.
    pub events: Vec<Value>,
    /// Caller audio, decoded.
    pub audio: Vec<u8>,
    responses: usize,
}

impl Model {
    /// The next connection, set up: a session that lives for an hour.
    pub async fn accept(bench: &Bench) -> Self {
        Self::accept_for(bench, 3_600).await
    }

    pub async fn accept_for(bench: &Bench, seconds: u64) -> Self {
        let mut model = Self::over(bench.transport.accepted().await);
        model.set_up(seconds).await;
        model
    }

    /// Nothing has been said yet.
    pub fn over(server: MemoryServer) -> Self {
        Self { server, events: Vec::new(), audio: Vec::new(), responses: 0 }
    }

    pub async fn set_up(&mut self, seconds: u64) {
        let id = format!("sess_{}", self.server.number());
        let expires_at = unix_now_ms() / 1_000 + seconds;
        let session = json!({"id": id, "type": "realtime", "expires_at": expires_at});
        self.say(json!({"type": "session.created", "event_id": "event_1", "session": session}));
        let update: Value = serde_json::from_str(&self.server.next_text().await.unwrap()).unwrap();
        assert_eq!(update["type"], "session.update");
        let mut session = update["session"].clone();
        session["id"] = id.into();
        session["expires_at"] = expires_at.into();
        self.say(json!({"type": "session.updated", "event_id": "event_2", "session": session}));
        self.events.push(update);
    }

    pub fn say(&self, event: Value) {
        self.server.text(event.to_string());
    }

    /// Takes in everything the client has sent.
    pub fn look(&mut self) {
        for sent in self.server.take_sent() {
            if let Outgoing::Text(text) = sent {
                self.take(&text);
            }
        }
    }

    fn take(&mut self, text: &str) {
        let event: Value = serde_json::from_str(text).unwrap();
        if event["type"] == "input_audio_buffer.append" {
            self.audio.extend(STANDARD.decode_to_vec(event["audio"].as_str().unwrap()).unwrap());
        } else {
            self.events.push(event);
        }
    }

    /// Events of one type seen so far.
    pub fn of(&mut self, kind: &str) -> Vec<Value> {
        self.look();
        self.events.iter().filter(|event| event["type"] == kind).cloned().collect()
    }

    pub fn begin(&mut self) -> String {
        self.responses += 1;
        let id = format!("resp_{}_{}", self.server.number(), self.responses);
        let response = json!({"id": id, "object": "realtime.response", "status": "in_progress", "output": []});
        self.say(json!({"type": "response.created", "event_id": "e", "response": response}));
        id
    }

    pub fn delta(&self, response: &str, item: &str, audio: &[u8]) {
        // Written by hand: escaping base64 costs more than all the actors do.
        let delta = STANDARD.encode_to_string(audio);
        self.server.text(format!(
            r#"{{"type":"response.output_audio.delta","event_id":"e","response_id":"{response}","item_id":"{item}","output_index":0,"content_index":0,"delta":"{delta}"}}"#
        ));
    }

    pub fn item_done(&self, response: &str, item: &str) {
        self.say(
            json!({"type": "response.output_audio.done", "event_id": "e", "response_id": response, "item_id": item,
            "output_index": 0, "content_index": 0}),
        );
    }

    pub fn words(&self, response: &str, item: &str, words: &str) {
        self.say(json!({"type": "response.output_audio_transcript.done", "event_id": "e", "response_id": response,
            "item_id": item, "output_index": 0, "content_index": 0, "transcript": words}));
    }

    pub fn done(&self, response: &str, status: &str) {
        let response = json!({"id": response, "object": "realtime.response", "status": status, "output": []});
        self.say(json!({"type": "response.done", "event_id": "e", "response": response}));
    }

    /// A whole response of one item: 24 kHz PCM in portions of `portion` bytes, all at once.
    pub fn speak(&mut self, item: &str, audio: &[u8], portion: usize) -> String {
        let response = self.begin();
        for part in audio.chunks(portion) {
            self.delta(&response, item, part);
        }
        self.item_done(&response, item);
        self.done(&response, "completed");
        response
    }

    /// A whole call of a tool.
    pub fn call_tool(&self, response: &str, call: &str, name: &str, arguments: &str) {
        let item = json!({"id": format!("item_{call}"), "type": "function_call", "status": "completed", "call_id": call,
            "name": name, "arguments": arguments});
        self.say(json!({"type": "response.output_item.done", "event_id": "e", "response_id": response,
            "output_index": 1, "item": item}));
    }

    pub fn speech_started(&self) {
        self.say(
            json!({"type": "input_audio_buffer.speech_started", "event_id": "e", "audio_start_ms": 0, "item_id": "u"}),
        );
    }

    /// The caller's turn ends and is committed, with his words.
    pub fn turn(&self, item: &str, words: &str) {
        self.say(
            json!({"type": "input_audio_buffer.speech_stopped", "event_id": "e", "audio_end_ms": 0, "item_id": item}),
        );
        self.say(
            json!({"type": "input_audio_buffer.committed", "event_id": "e", "item_id": item, "previous_item_id": null}),
        );
        self.say(
            json!({"type": "conversation.item.input_audio_transcription.completed", "event_id": "e", "item_id": item,
            "content_index": 0, "transcript": words}),
        );
    }
}

/// 24 kHz PCM of a sine.
pub fn pcm24(hz: u32, ms: u64) -> Vec<u8> {
    pcm(hz, ms, 24)
}

/// PCM of a sine at `khz`.
pub fn pcm(hz: u32, ms: u64, khz: u64) -> Vec<u8> {
    let step = std::f64::consts::TAU * f64::from(hz) / (khz * 1_000) as f64;
    (0..ms * khz).flat_map(|n| ((9_000.0 * (step * n as f64).sin()) as i16).to_le_bytes()).collect()
}
