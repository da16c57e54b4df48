//! Asking for responses, and what becomes of them.

use std::time::Instant;

use serde_json::Map;

use super::{Session, notice};
use crate::event::{ClientEvent, Item, Maybe, Response, ResponseCancel, ResponseCreate};
use crate::turns::{Ended, Failure};
use crate::{Effect, Loss};

impl Session {
    pub(super) fn greet(&mut self, now: Instant, greeting: &str, out: &mut Vec<Effect>) {
        let mut settings = Map::new();
        settings.insert("instructions".to_owned(), greeting.into());
        self.send_create(now, Maybe::Value(settings), out);
    }

    /// Asks for a response if one is wanted and none is in the way.
    pub(super) fn ask(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.turns.can_ask() {
            self.send_create(now, Maybe::Absent, out);
        }
    }

    fn send_create(&mut self, now: Instant, response: Maybe<Map<String, serde_json::Value>>, out: &mut Vec<Effect>) {
        let event_id = self.event_id();
        self.turns.asked(now, event_id.clone());
        self.ledger.set_waiting(true);
        let event_id = Maybe::Value(event_id);
        self.send(
            &ClientEvent::ResponseCreate(ResponseCreate { event_id, response, ..ResponseCreate::default() }),
            out,
        );
    }

    /// Cancels the active response, if there is one, and drops what still comes of it.
    pub(super) fn cancel(&mut self, out: &mut Vec<Effect>) {
        if !self.turns.is_active_cut()
            && let Some(id) = self.turns.cut_active()
        {
            self.send_cancel(id, out);
        }
    }

    pub(super) fn send_cancel(&mut self, id: String, out: &mut Vec<Effect>) {
        let event_id = Maybe::Value(self.event_id());
        let response_id = if id.is_empty() { Maybe::Absent } else { Maybe::Value(id) };
        self.send(
            &ClientEvent::ResponseCancel(ResponseCancel { event_id, response_id, ..ResponseCancel::default() }),
            out,
        );
    }

    pub(super) fn send_user_text(&mut self, now: Instant, text: &str, out: &mut Vec<Effect>) {
        let id = self.ledger.fresh_id();
        self.ledger.caller_text(&id, text);
        self.ledger.set_waiting(true);
        self.create_item(Item::message(&id, "user", "input_text", text), out);
        self.turns.sent_item(&id);
        self.turns.owe(now);
        self.ask(now, out);
    }

    pub(super) fn send_tool_output(
        &mut self,
        now: Instant,
        call_id: &str,
        output: &str,
        respond: bool,
        out: &mut Vec<Effect>,
    ) {
        let known = self.tools.close(call_id, respond);
        let open = self.ledger.open_call(call_id);
        if !known {
            // Called on an earlier session: this one has to be told of the call first.
            let Some(call) = open else { return };
            self.create_item(call, out);
        }
        self.ledger.answer_tool(call_id, output);
        let id = self.ledger.fresh_id();
        self.create_item(Item::function_call_output(&id, call_id, output), out);
        self.turns.sent_item(&id);
        let of = if known { self.tools.take_respond() } else { respond.then(String::new) };
        if let Some(of) = of {
            let taken = self.turns.active().is_some_and(|active| active != of);
            let server_will = self.turns.caller_speaks() && self.profile.turn_detection.creates_response();
            if !taken && !server_will {
                self.turns.owe(now);
            }
        }
        self.note_waiting();
        self.ask(now, out);
    }

    pub(super) fn on_response_created(&mut self, now: Instant, response: &Response, out: &mut Vec<Effect>) {
        let unwanted = self.turns.created(now, response.id.text().unwrap_or_default());
        self.ledger.set_waiting(true);
        out.push(Effect::ResponseStarted);
        if unwanted {
            self.cancel(out);
        }
    }

    pub(super) fn on_response_done(&mut self, now: Instant, response: &Response, out: &mut Vec<Effect>) {
        let id = response.id.text().unwrap_or_default();
        let Ended { cut: was_cut, silent } = self.turns.done(id);
        if let Some(item) = self.speech.open_item().cloned() {
            self.end_item(item.as_str(), out);
        }
        let items = response.output.value().map(Vec::as_slice).unwrap_or_default();
        for item in items.iter().filter(|item| item.is_function_call()) {
            self.on_call_complete(now, id, item, was_cut, out);
        }
        if was_cut {
            self.forget_unheard(items, out);
        }
        let is_empty = silent && !self.says_anything(items);
        let status = response.status.text().unwrap_or("completed").to_owned();
        let details = response.status_details.value();
        out.push(Effect::ResponseDone { status: status.clone() });
        match status.as_str() {
            "failed" => {
                let error = details.and_then(|details| details.error.value());
                let code = error.map_or("unknown", |error| error.name()).to_owned();
                notice(&code, error.map_or("", |error| error.words()), out);
                self.on_failure(now, &code, was_cut, out);
            }
            "incomplete" => {
                let reason = details.and_then(|details| details.reason.text()).unwrap_or("unknown");
                notice("response_incomplete", reason, out);
            }
            "completed" if is_empty => {
                notice("response_empty", "the response had neither speech nor a tool call", out);
            }
            _ => {}
        }
        if is_empty && matches!(status.as_str(), "completed" | "incomplete") {
            self.turns.empty();
        }
        if status != "failed" {
            self.note_waiting();
        }
        self.ask(now, out);
    }

    pub(super) fn on_failure(&mut self, now: Instant, code: &str, was_cut: bool, out: &mut Vec<Effect>) {
        let failure = self.turns.failed(now, was_cut);
        self.give_up_if(failure, code, out);
    }

    pub(super) fn give_up_if(&mut self, failure: Failure, code: &str, out: &mut Vec<Effect>) {
        if failure == Failure::GiveUp {
            self.die(Loss::ResponsesFailing { code: code.to_owned() }, out);
        }
    }

    /// The caller waits as long as a response or a tool is owed.
    pub(super) fn note_waiting(&mut self) {
        let waiting = self.turns.active().is_some() || self.turns.owes() || self.tools.is_open();
        self.ledger.set_waiting(waiting);
    }

    fn says_anything(&self, items: &[Item]) -> bool {
        items.iter().any(|item| {
            let spoken = |id: &str| self.speech.find(id).is_some_and(crate::audio::Track::has_audio);
            item.is_function_call() || item.id.text().is_some_and(spoken)
        })
    }
}
