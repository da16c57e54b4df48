//! Responses under way: how they start, what they say when, how they end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::request::Request;
use super::{Life, Out, SimSession};
use crate::conversation::{Content, Item, Place};
use crate::dialect::Dialect;
use crate::ladder::{self, Ending, Output, Pace, Step};
use crate::refusal::Refusal;
use crate::shapes;

/// One event in this many responses that no client knows.
const UNKNOWN_EVERY: f64 = 0.2;
/// Responses outside of the conversation that may run beside each other.
const MAX_OUT_OF_BAND: usize = 4;

/// A response that has not ended.
pub(super) struct Running {
    pub id: String,
    pub request: Request,
    pub outputs: Vec<Output>,
    pub ending: Ending,
    pub steps: VecDeque<(Instant, Step)>,
    /// `response.created` was sent.
    pub announced: bool,
    /// The output that is being said.
    pub open: Option<Open>,
    /// Finished items, as in `response.done`.
    pub items: Vec<Value>,
    /// First audio and all bytes sent.
    pub first_audio: Option<Instant>,
    pub sent: u64,
    /// All was said, only the closing events are left.
    pub closing: bool,
}

pub(super) struct Open {
    pub index: usize,
    pub item_id: String,
    pub part: bool,
    /// Words or arguments said so far.
    pub said: String,
}

impl Running {
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.steps.front().map(|(at, _)| *at)
    }

    /// From here on nothing comes of it but its announcement, unless it is cancelled.
    pub(super) fn fall_silent(&mut self) {
        self.steps.retain(|(_, step)| *step == Step::Created);
    }

    pub(super) fn output(&self) -> Option<&Output> {
        self.outputs.get(self.open.as_ref()?.index)
    }

    /// Says what falls due until `until`, then closes.
    fn cut_off(&mut self, until: Instant, reason: &'static str) {
        let said_until = self.steps.iter().position(|(at, step)| {
            *at > until || matches!(step, Step::AudioDone | Step::TextDone | Step::ArgumentsDone | Step::Done)
        });
        self.steps.truncate(said_until.unwrap_or(self.steps.len()));
        self.steps.push_back((until, Step::Tail));
        self.ending = Ending::Cancelled(reason);
    }
}

impl SimSession {
    /// The response that has the conversation's word.
    pub(super) fn active(&self) -> Option<&Running> {
        self.running.iter().find(|running| !running.request.out_of_band)
    }

    pub(super) fn create_response(&mut self, now: Instant, event: &Value, out: &mut Vec<Out>) -> Result<(), Refusal> {
        let request = Request::read(self.dialect, &self.settings, event)?;
        self.start_response(now, request, out)?;
        self.poll(now, out);
        Ok(())
    }

    pub(super) fn start_response(
        &mut self,
        start: Instant,
        request: Request,
        out: &mut Vec<Out>,
    ) -> Result<(), Refusal> {
        if request.out_of_band {
            if self.running.iter().filter(|running| running.request.out_of_band).count() >= MAX_OUT_OF_BAND {
                return Err(Refusal::new("rate_limit_exceeded", "Too many concurrent responses."));
            }
        } else {
            self.finish_cancelled(start, out);
            if let Some(active) = self.active() {
                let message = format!(
                    "Conversation already has an active response in progress: {}. Wait until the response is finished before \
                     creating a new one.",
                    active.id
                );
                return Err(Refusal::new("conversation_already_has_active_response", message));
            }
            self.idle_since = None;
        }
        let (outputs, ending) = self.plan(&request);
        let pace = Pace {
            latency: self.options.latency.max(self.faults.delay),
            speed: self.options.speed.clamp(0.1, 1_000.0),
            format: request.format,
        };
        let extra = self.ids.chance(UNKNOWN_EVERY);
        let steps = ladder::ladder(&outputs, matches!(ending, Ending::Failed(_)), start, &pace, extra);
        let mut running = Running {
            id: self.ids.id("resp"),
            request,
            outputs,
            ending,
            steps,
            announced: false,
            open: None,
            items: Vec::new(),
            first_audio: None,
            sent: 0,
            closing: false,
        };
        if self.life == Life::Mute {
            running.fall_silent();
        }
        self.responses += 1;
        self.running.push(running);
        Ok(())
    }

    /// A cancelled response that still owes its tail pays it before the next one starts.
    fn finish_cancelled(&mut self, now: Instant, out: &mut Vec<Out>) {
        while let Some(index) = self
            .running
            .iter()
            .position(|running| !running.request.out_of_band && matches!(running.ending, Ending::Cancelled(_)))
        {
            self.step(now, index, out);
        }
    }

    /// Cuts off the conversation's response. What falls due until `until` is still said.
    pub(super) fn cancel_active(&mut self, until: Instant, reason: &'static str) -> bool {
        let Some(index) = self.running.iter().position(|running| !running.request.out_of_band) else { return false };
        let Some(running) = self.running.get_mut(index) else { return false };
        if !running.announced && reason == "turn_detected" {
            self.running.remove(index);
        } else if !running.closing && !matches!(running.ending, Ending::Cancelled(_)) {
            running.cut_off(until, reason);
        }
        true
    }

    pub(super) fn cancel_by_client(&mut self, now: Instant, event: &Value, out: &mut Vec<Out>) -> Result<(), Refusal> {
        let not_active = || Refusal::new("response_cancel_not_active", "Cancellation failed: no active response found");
        match event.get("response_id").and_then(Value::as_str) {
            Some(id) => {
                let running = self.running.iter_mut().find(|running| running.id == id).ok_or_else(not_active)?;
                if !running.closing && !matches!(running.ending, Ending::Cancelled(_)) {
                    running.cut_off(now, "client_cancelled");
                }
            }
            None if self.cancel_active(now, "client_cancelled") => {}
            None => return Err(not_active()),
        }
        self.poll(now, out);
        Ok(())
    }

    /// Says the next thing of one response.
    pub(super) fn step(&mut self, at: Instant, index: usize, out: &mut Vec<Out>) {
        if index >= self.running.len() {
            return;
        }
        let mut running = self.running.remove(index);
        let Some((_, step)) = running.steps.pop_front() else { return };
        if step == Step::Done {
            self.done(at, running, out);
            return;
        }
        self.say_step(at, &mut running, step, out);
        self.running.insert(index, running);
    }

    fn say_step(&mut self, at: Instant, running: &mut Running, step: Step, out: &mut Vec<Out>) {
        match step {
            Step::Created => {
                running.announced = true;
                self.records.counters.responses.add(1);
                let response = self.response_json(running, "in_progress");
                self.say("response.created", json!({"response": response}), out);
            }
            Step::ItemAdded(index) => self.open_item(running, index, out),
            Step::PartAdded => {
                if let Some(open) = &mut running.open {
                    open.part = true;
                }
                self.say_part("response.content_part.added", running, "", out);
            }
            Step::Words(word) => {
                let name = match running.output() {
                    Some(Output::Text(_)) => "response.output_text.delta",
                    _ => "response.output_audio_transcript.delta",
                };
                self.say_text(name, running, word, out);
            }
            Step::Arguments(piece) => self.say_text("response.function_call_arguments.delta", running, piece, out),
            Step::Audio(from, to) => self.say_audio(at, running, from, to, out),
            Step::AudioDone => {
                running.closing = true;
                let fields = part_fields(running);
                self.say("response.output_audio.done", fields, out);
            }
            Step::TextDone => {
                running.closing = true;
                let said = running.open.as_ref().map(|open| open.said.clone()).unwrap_or_default();
                let mut fields = part_fields(running);
                let (name, key) = match running.output() {
                    Some(Output::Text(_)) => ("response.output_text.done", "text"),
                    _ => ("response.output_audio_transcript.done", "transcript"),
                };
                shapes::set(&mut fields, key, said.into());
                self.say(name, fields, out);
            }
            Step::PartDone => {
                let said = running.open.as_ref().map(|open| open.said.clone()).unwrap_or_default();
                self.say_part("response.content_part.done", running, &said, out);
            }
            Step::ArgumentsDone => {
                running.closing = true;
                let said = running.open.as_ref().map(|open| open.said.clone()).unwrap_or_default();
                let mut fields = call_fields(running);
                shapes::set(&mut fields, "arguments", said.into());
                if let (true, Some(Output::Call { name, .. })) = (self.dialect != Dialect::Preview, running.output()) {
                    shapes::set(&mut fields, "name", name.as_str().into());
                }
                self.say("response.function_call_arguments.done", fields, out);
            }
            Step::ItemDone => self.close_item(running, out),
            Step::Unknown => {
                let fields = json!({"response_id": running.id, "load": {"queue_ms": 3, "shard": null}});
                self.say("response.inference_report", fields, out);
            }
            Step::Tail => {
                let part = running.open.as_ref().is_some_and(|open| open.part);
                running.steps = ladder::tail(running.output(), part, at);
            }
            Step::Done => {}
        }
    }

    fn open_item(&mut self, running: &mut Running, index: usize, out: &mut Vec<Out>) {
        running.closing = false;
        let item_id = self.ids.id("item");
        running.open = Some(Open { index, item_id: item_id.clone(), part: false, said: String::new() });
        let json = self.item_json(running, "in_progress");
        let fields = json!({"response_id": running.id, "output_index": index, "item": json});
        self.say("response.output_item.added", fields, out);
        if running.request.out_of_band {
            return;
        }
        let content = match running.output() {
            Some(Output::Speech { .. }) => {
                let bytes_per_ms = running.request.format.bytes_per_ms() as u64;
                Content::AnswerAudio { bytes: 0, bytes_per_ms, since: None, truncated: false }
            }
            Some(Output::Text(_)) => Content::AnswerText,
            _ => Content::Other,
        };
        let item = Item { id: item_id, json: json.clone(), content };
        let previous = self.conversation.insert(item, Place::End).flatten();
        self.say("conversation.item.added", json!({"previous_item_id": previous, "item": json}), out);
    }

    fn close_item(&mut self, running: &mut Running, out: &mut Vec<Out>) {
        let status = if running.ending == Ending::Completed { "completed" } else { "incomplete" };
        let json = self.item_json(running, status);
        let Some(open) = running.open.take() else { return };
        if self.dialect.is_ga() && !running.request.out_of_band {
            let previous = self.conversation.previous(&open.item_id);
            self.say("conversation.item.done", json!({"previous_item_id": previous, "item": json}), out);
        }
        let fields = json!({"response_id": running.id, "output_index": open.index, "item": json});
        self.say("response.output_item.done", fields, out);
        if let Some(item) = self.conversation.get_mut(&open.item_id) {
            item.json = json.clone();
        }
        if let Some(Output::Call { .. }) = running.outputs.get(open.index) {
            self.records.counters.tool_calls.add(1);
        }
        running.items.push(json);
    }

    fn say_text(&mut self, name: &'static str, running: &mut Running, text: String, out: &mut Vec<Out>) {
        let mut fields =
            if let Some(Output::Call { .. }) = running.output() { call_fields(running) } else { part_fields(running) };
        if let Some(open) = &mut running.open {
            open.said.push_str(&text);
        }
        shapes::set(&mut fields, "delta", text.into());
        if self.dialect.is_ga() {
            shapes::set(&mut fields, "obfuscation", self.ids.obfuscation().into());
        }
        self.say(name, fields, out);
    }

    fn say_audio(&mut self, at: Instant, running: &mut Running, from: usize, to: usize, out: &mut Vec<Out>) {
        let Some(Output::Speech { audio, .. }) = running.output() else { return };
        let delta = base64_simd::STANDARD.encode_to_string(audio.get(from..to).unwrap_or_default());
        let mut fields = part_fields(running);
        shapes::set(&mut fields, "delta", delta.into());
        self.say("response.output_audio.delta", fields, out);
        running.first_audio.get_or_insert(at);
        running.sent += (to - from) as u64;
        self.records.counters.sent_ms.add(((to - from) / running.request.format.bytes_per_ms()) as u64);
        let item = running.open.as_ref().and_then(|open| self.conversation.get_mut(&open.item_id));
        if let Some(Content::AnswerAudio { bytes, since, truncated: false, .. }) = item.map(|item| &mut item.content) {
            *bytes += (to - from) as u64;
            since.get_or_insert(at);
        }
    }

    fn say_part(&mut self, name: &'static str, running: &Running, text: &str, out: &mut Vec<Out>) {
        let part = match running.output() {
            Some(Output::Text(_)) => json!({"type": "text", "text": text}),
            _ => json!({"type": "audio", "transcript": text}),
        };
        let mut fields = part_fields(running);
        if self.dialect == Dialect::AzureGa {
            shapes::set(&mut fields, "content", part.clone());
        }
        shapes::set(&mut fields, "part", part);
        self.say(name, fields, out);
    }

    fn done(&mut self, at: Instant, running: Running, out: &mut Vec<Out>) {
        let counters = self.records.counters.clone();
        let status = match running.ending {
            Ending::Completed => "completed",
            Ending::Cancelled(_) => "cancelled",
            Ending::Incomplete(_) => "incomplete",
            Ending::Failed(_) => "failed",
        };
        match running.ending {
            Ending::Completed => counters.completed.add(1),
            Ending::Cancelled(_) => counters.cancelled.add(1),
            Ending::Failed(_) => counters.failed.add(1),
            Ending::Incomplete(_) => {}
        }
        let response = self.response_json(&running, status);
        self.say("response.done", json!({"response": response}), out);
        if self.dialect == Dialect::OpenAiGa {
            let remaining = 40_000u64.saturating_sub(running.sent / 1_000);
            let limits = json!([{"name": "tokens", "limit": 40_000, "remaining": remaining, "reset_seconds": 0.5}]);
            self.say("rate_limits.updated", json!({"rate_limits": limits}), out);
        }
        if !running.request.out_of_band && !self.input.is_speech() {
            let played = running.sent / running.request.format.bytes_per_ms() as u64;
            let heard = running.first_audio.map(|first| first + Duration::from_millis(played));
            self.idle_since = Some(heard.map_or(at, |heard| heard.max(at)));
        }
    }
}

/// What every event about the open content part carries.
fn part_fields(running: &Running) -> Value {
    let (item_id, index) = running.open.as_ref().map_or(("", 0), |open| (open.item_id.as_str(), open.index));
    json!({"response_id": running.id, "item_id": item_id, "output_index": index, "content_index": 0})
}

/// What every event about the open function call carries.
fn call_fields(running: &Running) -> Value {
    let (item_id, index) = running.open.as_ref().map_or(("", 0), |open| (open.item_id.as_str(), open.index));
    let call_id = if let Some(Output::Call { call_id, .. }) = running.output() { call_id.as_str() } else { "" };
    json!({"response_id": running.id, "item_id": item_id, "output_index": index, "call_id": call_id})
}
