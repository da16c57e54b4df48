//! The caller's side: audio appended, turns found in it, turns committed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::request::Request;
use super::{Out, SimSession};
use crate::conversation::{Content, Item, Place};
use crate::format::WireFormat;
use crate::refusal::Refusal;
use crate::vad::{Vad, VadEvent};

/// The service takes up to 15 MiB in one append.
const MAX_APPEND_BYTES: usize = 15 * 1024 * 1024;
/// A commit needs this much audio.
const MIN_COMMIT_MS: f64 = 100.0;
/// Audio kept before speech begins, beyond the prefix: the detector looks back less than this.
const KEEP_MS: u64 = 1_000;
/// The longest turn kept; of a longer one the beginning is lost.
const MAX_TURN_MS: u64 = 5 * 60_000;
/// Between `speech_started` and the tail of the answer it cancels; deltas due until then still come.
const CANCEL_LAG: Duration = Duration::from_millis(20);

/// The input buffer and the detector that listens to it.
pub(super) struct Input {
    format: WireFormat,
    vad: Vad,
    /// Audio from `start_ms` on; may end with half a sample.
    buffer: Vec<u8>,
    start_ms: u64,
    /// Bytes appended in this format after `format_ms`.
    bytes: u64,
    /// The session's audio clock when the format was chosen.
    format_ms: u64,
    /// Bytes since the last commit or clear.
    uncommitted: u64,
    /// The turn under way: its future item and its start.
    turn: Option<(String, u64)>,
    /// Spoken turns so far.
    turns: u32,
}

impl Input {
    pub(super) fn new(format: WireFormat) -> Self {
        Self {
            format,
            vad: Vad::new(format, 0),
            buffer: Vec::new(),
            start_ms: 0,
            bytes: 0,
            format_ms: 0,
            uncommitted: 0,
            turn: None,
            turns: 0,
        }
    }

    /// Audio heard since the session began, in ms: the clock of `audio_start_ms` and `audio_end_ms`.
    pub(super) fn clock_ms(&self) -> u64 {
        self.format_ms + self.bytes / self.format.bytes_per_ms() as u64
    }

    /// Another format begins with an empty buffer on the same clock.
    pub(super) fn set_format(&mut self, format: WireFormat) {
        if format == self.format {
            return;
        }
        let clock_ms = self.clock_ms();
        *self = Self {
            start_ms: clock_ms,
            format_ms: clock_ms,
            turns: self.turns,
            vad: Vad::new(format, clock_ms),
            ..Self::new(format)
        };
    }

    pub(super) fn end_turn(&mut self) {
        self.turn = None;
        self.vad.end_turn();
    }

    pub(super) fn clear(&mut self) {
        self.end_turn();
        self.drop_before(self.clock_ms());
        self.uncommitted = 0;
    }

    pub(super) fn is_speech(&self) -> bool {
        self.vad.is_speech()
    }

    fn drop_before(&mut self, ms: u64) {
        let bytes = (ms.saturating_sub(self.start_ms) as usize * self.format.bytes_per_ms()).min(self.buffer.len());
        self.buffer.drain(..bytes);
        self.start_ms += (bytes / self.format.bytes_per_ms()) as u64;
    }

    /// The audio of this span of the clock, as far as it is still there.
    fn cut(&self, from_ms: u64, to_ms: u64) -> Vec<u8> {
        let at =
            |ms: u64| (ms.saturating_sub(self.start_ms) as usize * self.format.bytes_per_ms()).min(self.buffer.len());
        self.buffer.get(at(from_ms)..at(to_ms)).unwrap_or_default().to_vec()
    }
}

impl SimSession {
    pub(super) fn append(&mut self, now: Instant, audio: &str, out: &mut Vec<Out>) -> Result<(), Refusal> {
        let format = self.settings.input;
        let wrong = |why: &str| {
            let message =
                format!("Invalid 'audio'. Expected base64-encoded audio bytes ({}) but got {why}.", format.wording());
            Refusal::new("invalid_value", message).at("audio")
        };
        let bytes = base64_simd::STANDARD.decode_to_vec(audio.as_bytes()).map_err(|_| wrong("an invalid value"))?;
        if bytes.len() > MAX_APPEND_BYTES {
            return Err(wrong("more than 15 MiB"));
        }
        self.records.counters.appended_bytes.add(bytes.len() as u64);
        self.records.counters.appended_ms.add((bytes.len() / format.bytes_per_ms()) as u64);
        let input = &mut self.input;
        // The detector gets whole samples: the odd byte of the last append goes before this one.
        let sample = format.bytes_per_sample();
        let carried = input.buffer.len() % sample;
        let from = input.buffer.len() - carried;
        input.buffer.extend_from_slice(&bytes);
        input.bytes += bytes.len() as u64;
        input.uncommitted += bytes.len() as u64;
        let Some(turns) = self.settings.turns.clone() else {
            let clock = self.input.clock_ms();
            self.input.drop_before(clock.saturating_sub(MAX_TURN_MS));
            return Ok(());
        };
        let whole = input.buffer.len() - input.buffer.len() % sample;
        let mut events = Vec::new();
        input.vad.push(input.buffer.get(from..whole).unwrap_or_default(), turns.vad, &mut events);
        for event in events {
            match event {
                VadEvent::Started { voice_ms } => {
                    self.speech_started(now, voice_ms.saturating_sub(turns.prefix_ms), out)
                }
                VadEvent::Stopped { end_ms } => self.speech_stopped(now, end_ms, out),
            }
        }
        let keep = if self.input.turn.is_some() { MAX_TURN_MS } else { turns.prefix_ms + KEEP_MS };
        let clock = self.input.clock_ms();
        self.input.drop_before(clock.saturating_sub(keep));
        Ok(())
    }

    fn speech_started(&mut self, now: Instant, start_ms: u64, out: &mut Vec<Out>) {
        let item_id = self.ids.id("item");
        // Not earlier than the end of the turn before: no sound belongs to two turns.
        let start_ms = start_ms.max(self.input.start_ms);
        self.input.turn = Some((item_id.clone(), start_ms));
        self.idle_since = None;
        self.records.counters.speech_started.add(1);
        self.say("input_audio_buffer.speech_started", json!({"audio_start_ms": start_ms, "item_id": item_id}), out);
        let Some(turns) = self.settings.turns.clone() else { return };
        if turns.auto_truncate {
            self.truncate_what_plays(now, out);
        }
        if turns.interrupt_response {
            self.cancel_active(now + CANCEL_LAG, "turn_detected");
        }
    }

    fn speech_stopped(&mut self, now: Instant, end_ms: u64, out: &mut Vec<Out>) {
        let Some((item_id, start_ms)) = self.input.turn.take() else { return };
        self.say("input_audio_buffer.speech_stopped", json!({"audio_end_ms": end_ms, "item_id": item_id}), out);
        self.commit(now, item_id, start_ms, end_ms, out);
        if self.settings.turns.as_ref().is_some_and(|turns| turns.create_response) {
            self.answer_turn(now, Request::turn(&self.settings), out);
        }
    }

    /// Starts the answer to a turn by itself. An answer that may not be interrupted keeps the word.
    fn answer_turn(&mut self, now: Instant, request: Request, out: &mut Vec<Out>) {
        if let Err(refusal) = self.start_response(now + Duration::from_millis(5), request, out) {
            self.refuse(&refusal, None, out);
        }
    }

    pub(super) fn commit_by_client(&mut self, now: Instant, out: &mut Vec<Out>) -> Result<(), Refusal> {
        let ms = self.input.uncommitted as f64 / self.input.format.bytes_per_ms() as f64;
        if ms < MIN_COMMIT_MS {
            let message = format!(
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has \
                 {ms:.2}ms of audio."
            );
            return Err(Refusal::new("input_audio_buffer_commit_empty", message));
        }
        let item_id = match self.input.turn.take() {
            Some((item_id, _)) => item_id,
            None => self.ids.id("item"),
        };
        self.input.end_turn();
        let (from, to) = (self.input.start_ms, self.input.clock_ms());
        self.commit(now, item_id, from, to, out);
        Ok(())
    }

    /// Makes a user item of a span of the buffer.
    fn commit(&mut self, now: Instant, item_id: String, from_ms: u64, to_ms: u64, out: &mut Vec<Out>) {
        let bytes = self.input.cut(from_ms, to_ms);
        self.input.drop_before(to_ms);
        let format = self.input.format;
        self.input.uncommitted = self.input.buffer.len() as u64;
        self.input.turns += 1;
        let (turn, ms) = (self.input.turns, to_ms.saturating_sub(from_ms));
        self.records.counters.commits.add(1);
        let previous = self.conversation.last_id();
        self.say("input_audio_buffer.committed", json!({"previous_item_id": previous, "item_id": item_id}), out);
        let content = json!([{"type": "input_audio", "transcript": null}]);
        let json = self.message(&item_id, "user", "completed", content);
        self.add_item(
            Item { id: item_id.clone(), json, content: Content::CallerAudio { turn, ms, format, bytes } },
            out,
        );
        self.transcribe(now, &item_id, turn, ms);
    }

    /// Puts a finished item at the end and tells of it.
    pub(super) fn add_item(&mut self, item: Item, out: &mut Vec<Out>) {
        let is_audio = matches!(item.content, Content::CallerAudio { .. });
        let json = item.json.clone();
        let previous = self.conversation.insert(item, Place::End).flatten();
        self.tell_item(&previous, &json, is_audio, out);
    }

    /// GA: added and done. The preview: created. Voice Live: created, and done for the caller's audio.
    pub(super) fn tell_item(&mut self, previous: &Option<String>, json: &Value, is_audio: bool, out: &mut Vec<Out>) {
        let fields = json!({"previous_item_id": previous, "item": json});
        self.say("conversation.item.added", fields.clone(), out);
        if self.dialect.is_ga() || (is_audio && self.dialect == crate::Dialect::VoiceLive) {
            self.say("conversation.item.done", fields, out);
        }
    }

    /// The turn in writing comes in its own time, beside the answer.
    fn transcribe(&mut self, now: Instant, item_id: &str, turn: u32, ms: u64) {
        let Some(model) = self.settings.transcription.clone() else { return };
        let transcript = format!("caller turn {turn}, {ms} ms");
        if let Some(part) =
            self.conversation.get_mut(item_id).and_then(|item| item.json.pointer_mut("/content/0/transcript"))
        {
            *part = Value::from(transcript.as_str());
        }
        let mut at = now + Duration::from_millis(350);
        for word in crate::ladder::words(&transcript) {
            let mut fields = json!({"item_id": item_id, "content_index": 0, "delta": word});
            if self.dialect.is_ga() {
                crate::shapes::set(&mut fields, "obfuscation", self.ids.obfuscation().into());
            }
            self.say_later(at, "conversation.item.input_audio_transcription.delta", fields);
            at += Duration::from_millis(15);
        }
        let mut fields = json!({"item_id": item_id, "content_index": 0, "transcript": transcript});
        if self.dialect != crate::Dialect::VoiceLive {
            let audio = ms.div_ceil(100);
            let usage = if model.starts_with("whisper") {
                json!({"type": "duration", "seconds": ms.div_ceil(1_000)})
            } else {
                json!({
                    "type": "tokens", "total_tokens": audio + 8, "input_tokens": audio,
                    "input_token_details": {"text_tokens": 0, "audio_tokens": audio}, "output_tokens": 8,
                })
            };
            crate::shapes::set(&mut fields, "usage", usage);
        }
        self.say_later(at, "conversation.item.input_audio_transcription.completed", fields);
    }

    pub(super) fn idle_due(&self) -> Option<Instant> {
        let wait = self.settings.turns.as_ref()?.idle_timeout_ms?;
        if self.input.is_speech() || self.active().is_some() {
            return None;
        }
        Some(self.idle_since? + Duration::from_millis(wait))
    }

    /// The caller has been silent for too long: an empty turn is committed, and the model asks.
    pub(super) fn idle_timeout(&mut self, now: Instant, out: &mut Vec<Out>) {
        let Some(turns) = self.settings.turns.clone() else { return };
        let item_id = self.ids.id("item");
        self.idle_since = None;
        let end = self.input.clock_ms();
        let start = end.saturating_sub(turns.idle_timeout_ms.unwrap_or_default());
        let fields = json!({"audio_start_ms": start, "audio_end_ms": end, "item_id": item_id});
        self.say("input_audio_buffer.timeout_triggered", fields, out);
        self.commit(now, item_id, end, end, out);
        if turns.create_response {
            self.answer_turn(now, Request::idle(&self.settings), out);
        }
    }
}
