//! The model's events, one after the other.

use std::time::Instant;

use super::{Phase, Session, notice};
use crate::audio::Heard;
use crate::event::{AudioDelta, Frame, Item, OutputItem, ServerEvent, TextDelta, TextDone};
use crate::{Effect, Loss, Speaker};

impl Session {
    /// One text frame from the model. `unix_now_ms` (milliseconds since 1970) is what `expires_at` is compared with.
    pub fn on_text(&mut self, now: Instant, unix_now_ms: u64, text: &[u8], out: &mut Vec<Effect>) {
        if self.phase == Phase::Lost {
            return;
        }
        self.liveness.seen(now, self.timing.ping);
        match Frame::parse(text) {
            Ok(Frame::Audio(delta)) => self.on_audio(now, &delta, out),
            Ok(Frame::Event(event)) => self.on_event(now, unix_now_ms, *event, out),
            Err(error) => self.on_unreadable(now, &error.to_string(), out),
        }
    }

    /// A frame that cannot be read: binary, too large, or (found out here) no event. 20 within 5 s end the session.
    pub fn on_unreadable(&mut self, now: Instant, what: &str, out: &mut Vec<Effect>) {
        if self.phase == Phase::Lost {
            return;
        }
        self.liveness.seen(now, self.timing.ping);
        notice("unreadable_frame", what, out);
        if self.liveness.garbage(now) {
            self.die(Loss::Garbage, out);
        }
    }

    fn on_audio(&mut self, now: Instant, delta: &AudioDelta<'_>, out: &mut Vec<Effect>) {
        if self.phase != Phase::Live {
            return;
        }
        let id = &*delta.item_id;
        let cut = self.turns.is_cut(&delta.response_id);
        self.end_other(id, out);
        let track = self.speech.enter(id);
        track.cut |= cut;
        match self.speech.decode(id, &delta.delta) {
            Heard::Audio(audio) => {
                let latency = self.turns.answering(now);
                let Some(track) = self.speech.find(id) else { return };
                let (item, said) = (track.item.clone(), self.speech.said_ms(track));
                self.ledger.model_audio(id, said);
                if let Some(latency) = latency {
                    out.push(Effect::FirstAudio { latency });
                }
                if !audio.is_empty() {
                    out.push(Effect::Audio { item, audio });
                }
            }
            Heard::Late => self.on_late_audio(id, out),
            Heard::AfterEnd => notice("audio_after_end", "audio came for an item that had ended", out),
            Heard::Damaged => self.on_unreadable(now, "audio is not base64", out),
        }
    }

    fn on_event(&mut self, now: Instant, unix_now_ms: u64, event: ServerEvent, out: &mut Vec<Effect>) {
        match event {
            ServerEvent::Error(event) => self.on_error(now, &event.error, out),
            ServerEvent::SessionCreated(event) => self.on_created(now, unix_now_ms, &event.session, out),
            ServerEvent::SessionUpdated(event) => self.on_updated(now, unix_now_ms, &event.session, out),
            // A session that is not live hears nothing and says nothing.
            event if self.phase == Phase::Live => self.on_live_event(now, event, out),
            _ => {}
        }
    }

    fn on_live_event(&mut self, now: Instant, event: ServerEvent, out: &mut Vec<Effect>) {
        match event {
            ServerEvent::SpeechStarted(_) => self.on_speech_started(out),
            ServerEvent::SpeechStopped(_) => self.on_speech_stopped(now, out),
            ServerEvent::AudioCommitted(event) => {
                self.turns.committed(now);
                self.ledger.set_waiting(true);
                if let Some(id) = event.item_id.text() {
                    self.ledger.caller_turn(id);
                }
                self.ask(now, out);
            }
            ServerEvent::ItemAdded(event) | ServerEvent::ItemCreated(event) => {
                if let Some(id) = event.item.id.text() {
                    self.turns.confirmed_item(id);
                }
            }
            ServerEvent::TranscriptionCompleted(event) => {
                self.on_caller_words(&event.item_id, event.transcript.text().unwrap_or_default(), out);
            }
            ServerEvent::TranscriptionFailed(event) => notice(event.error.name(), event.error.words(), out),
            ServerEvent::ResponseCreated(event) => self.on_response_created(now, &event.response, out),
            ServerEvent::ResponseDone(event) => self.on_response_done(now, &event.response, out),
            ServerEvent::OutputItemAdded(event) => self.on_item_added(now, &event),
            ServerEvent::OutputItemDone(event) => self.on_item_done(now, &event, out),
            ServerEvent::TranscriptDelta(event) | ServerEvent::PreviewTranscriptDelta(event) => {
                self.on_words(now, &event);
            }
            ServerEvent::TranscriptDone(event) | ServerEvent::PreviewTranscriptDone(event) => {
                self.on_all_words(&event, out);
            }
            ServerEvent::AudioDone(event) | ServerEvent::PreviewAudioDone(event) => {
                self.turns.goes_on(now);
                self.end_item(&event.item_id, out);
            }
            ServerEvent::ArgumentsDelta(_) => self.turns.goes_on(now),
            ServerEvent::ArgumentsDone(event) => {
                let response_id = event.response_id.text().unwrap_or_default();
                let name = event.name.text().or_else(|| self.tools.announced_name(&event.item_id)).map(str::to_owned);
                // A cut-off response may end its arguments in the middle; whether they are whole is told with the item.
                if let (Some(name), Some(call_id), false) = (name, event.call_id.text(), self.turns.is_cut(response_id))
                {
                    let arguments = event.arguments.text().unwrap_or_default();
                    self.on_call(now, response_id, &event.item_id, (call_id, &name, arguments), out);
                }
            }
            ServerEvent::Warning(event) => {
                let text = |member: &str| event.rest.get("warning").and_then(|warning| warning.get(member)?.as_str());
                notice(text("code").unwrap_or("warning"), text("message").unwrap_or_default(), out);
            }
            _ => {}
        }
    }

    fn on_caller_words(&mut self, id: &str, words: &str, out: &mut Vec<Effect>) {
        self.ledger.caller_text(id, words);
        if !words.trim().is_empty() {
            out.push(Effect::Transcript { speaker: Speaker::Caller, text: words.to_owned() });
        }
    }

    fn on_words(&mut self, now: Instant, event: &TextDelta) {
        self.turns.goes_on(now);
        if !self.is_gone(&event.item_id) {
            self.ledger.model_text(&event.item_id, event.delta.text().unwrap_or_default());
        }
    }

    fn on_all_words(&mut self, event: &TextDone, out: &mut Vec<Effect>) {
        let id = &event.item_id;
        if self.is_gone(id) {
            return;
        }
        if let Some(words) = event.transcript.text() {
            self.ledger.model_words(id, words);
        }
        if let Some(text) = self.ledger.words(id).filter(|words| !words.is_empty()).map(str::to_owned) {
            out.push(Effect::Transcript { speaker: Speaker::Model, text });
        }
    }

    fn is_gone(&self, id: &str) -> bool {
        self.speech.find(id).is_some_and(|track| track.gone)
    }

    fn on_item_added(&mut self, now: Instant, event: &OutputItem) {
        if event.item.is_function_call() {
            if !self.turns.is_cut(event.response_id.text().unwrap_or_default()) {
                // The model does something for the caller: it is not mute, though not heard yet.
                self.turns.starts_tool(now);
            }
            if let (Some(id), Some(name)) = (event.item.id.text(), event.item.name.text()) {
                self.tools.announce(id, name);
            }
        }
    }

    fn on_item_done(&mut self, now: Instant, event: &OutputItem, out: &mut Vec<Effect>) {
        self.turns.goes_on(now);
        let response_id = event.response_id.text().unwrap_or_default();
        if event.item.is_function_call() {
            let was_cut = self.turns.is_cut(response_id);
            self.on_call_complete(now, response_id, &event.item, was_cut, out);
        }
    }

    /// A tool call as a whole item. One of a cut-off response is answered, as an open call confuses the model, but not
    /// acted on: the caller changed his mind.
    pub(super) fn on_call_complete(
        &mut self,
        now: Instant,
        response_id: &str,
        item: &Item,
        was_cut: bool,
        out: &mut Vec<Effect>,
    ) {
        let (Some(call_id), Some(name)) = (item.call_id.text(), item.name.text()) else { return };
        let id = item.id.text().unwrap_or_default();
        let arguments = item.arguments.text().unwrap_or_default();
        if !was_cut {
            self.on_call(now, response_id, id, (call_id, name, arguments), out);
        } else if item.status.text() != Some("incomplete") && self.tools.open(call_id, response_id) {
            self.ledger.tool_called(id, call_id, name, arguments);
            self.send_tool_output(now, call_id, r#"{"error":"not done: the caller interrupted"}"#, false, out);
        }
    }

    fn on_call(
        &mut self,
        now: Instant,
        response_id: &str,
        item_id: &str,
        (call_id, name, arguments): (&str, &str, &str),
        out: &mut Vec<Effect>,
    ) {
        if !self.tools.open(call_id, response_id) {
            return;
        }
        self.turns.starts_tool(now);
        self.ledger.tool_called(item_id, call_id, name, arguments);
        let (call_id, name, arguments) = (call_id.to_owned(), name.to_owned(), arguments.to_owned());
        out.push(Effect::ToolCall { call_id, name, arguments });
    }

    /// Audio of another item begins: the one before has ended.
    fn end_other(&mut self, id: &str, out: &mut Vec<Effect>) {
        if let Some(before) = self.speech.open_item().filter(|open| open.as_str() != id).cloned() {
            self.end_item(before.as_str(), out);
        }
    }

    /// No more audio comes for the item. Told once, and only of items that were handed out and not cut off.
    pub(super) fn end_item(&mut self, id: &str, out: &mut Vec<Effect>) {
        self.ledger.model_ended(id);
        if let Some(track) = self.speech.track(id) {
            if !track.ended && !track.cut && track.has_audio() {
                out.push(Effect::ItemEnded { item: track.item.clone() });
            }
            track.ended = true;
        }
    }
}
