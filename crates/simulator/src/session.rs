//! One session of the server, without socket or clock: client texts and times in, frames out.
//!
//! Every answer that takes time waits inside and comes out of [`SimSession::poll`] when its time has come, so that an hour of a
//! call can be run in a moment.

mod edge;
mod input;
mod items;
mod objects;
mod request;
mod running;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::conversation::Conversation;
use crate::counters::Received;
use crate::dialect::Dialect;
use crate::ids::Ids;
use crate::options::{DieMode, Faults, SimOptions};
use crate::refusal::Refusal;
use crate::shapes::{self, Settings};
pub use edge::{Out, Records, SessionStart};
use input::Input;
use running::Running;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Well,
    /// No response produces anything any more.
    Mute,
    Over,
}

/// An event that was made up beforehand and waits for its time.
struct Later {
    name: &'static str,
    fields: Value,
}

/// One session's server side.
pub struct SimSession {
    dialect: Dialect,
    number: u32,
    options: Arc<SimOptions>,
    faults: Faults,
    records: Records,
    ids: Ids,
    life: Life,
    opened: Instant,
    expires: Instant,
    dies: Option<Instant>,
    conversation_id: String,
    /// The session object as it is echoed.
    session: Value,
    settings: Settings,
    input: Input,
    conversation: Conversation,
    running: Vec<Running>,
    /// By time, then in order of arrival.
    later: BTreeMap<(Instant, u64), Later>,
    sequence: u64,
    /// Since when nobody has spoken: the end of the last answer's playing time.
    idle_since: Option<Instant>,
    responses: u64,
}

/// The two members that every client event may have, and the one of the frequent event.
#[derive(Deserialize)]
struct Append<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
    #[serde(borrow)]
    audio: &'a str,
    event_id: Option<String>,
}

impl SimSession {
    /// Opens a session and says `session.created` into `out`. `unix_now` is the time in seconds that `expires_at` counts from.
    #[must_use]
    pub fn open(
        options: Arc<SimOptions>,
        records: Records,
        start: SessionStart,
        now: Instant,
        unix_now: u64,
        out: &mut Vec<Out>,
    ) -> Self {
        let SessionStart { dialect, model, number, beta_header } = start;
        let mut ids = Ids::new(options.seed, number);
        let faults = options.faults.of_session(number);
        let mut lives_for = Duration::from_secs(options.session_seconds);
        let mut dies = faults.die_after.map(|after| now + after);
        if let (Some(after), DieMode::Expire) = (faults.die_after, faults.die_mode) {
            lives_for = after;
            dies = None;
        }
        let session_id = ids.id("sess");
        let session = shapes::initial(dialect, &session_id, &model, unix_now + lives_for.as_secs());
        let settings = shapes::settings(dialect, &session);
        records.counters.sessions.add(1);
        records.counters.open.add(1);
        let mut this = Self {
            dialect,
            number,
            faults,
            records,
            conversation_id: ids.id("conv"),
            ids,
            life: Life::Well,
            opened: now,
            expires: now + lives_for,
            dies,
            input: Input::new(settings.input),
            session,
            settings,
            conversation: Conversation::default(),
            running: Vec::new(),
            later: BTreeMap::new(),
            sequence: 0,
            idle_since: None,
            responses: 0,
            options,
        };
        if beta_header && dialect == Dialect::OpenAiGa {
            let message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.";
            this.refuse(&Refusal::new("beta_api_shape_disabled", message), None, out);
            this.end(Out::Close { code: 4000, reason: "invalid_request_error.beta_api_shape_disabled".into() }, out);
            return this;
        }
        let session = this.session.clone();
        this.say("session.created", json!({"session": session}), out);
        if dialect == Dialect::Preview {
            let id = this.conversation_id.clone();
            this.say(
                "conversation.created",
                json!({"conversation": {"id": id, "object": "realtime.conversation"}}),
                out,
            );
        }
        this
    }

    /// Takes one text frame of the client. What was due before it is said first.
    pub fn handle_text(&mut self, now: Instant, text: &str, out: &mut Vec<Out>) {
        self.poll(now, out);
        if self.life == Life::Over {
            return;
        }
        // Nearly every frame is an append: it is read without building a tree.
        if let Ok(append) = serde_json::from_str::<Append<'_>>(text)
            && append.kind == "input_audio_buffer.append"
        {
            if let Err(refusal) = self.append(now, append.audio, out) {
                self.refuse(&refusal, append.event_id.as_deref(), out);
            }
            return;
        }
        let Ok(event) = serde_json::from_str::<Value>(text) else {
            self.refuse(&Refusal::new("invalid_event", "The event could not be parsed as JSON."), None, out);
            return;
        };
        let event_id = event.get("event_id").and_then(Value::as_str).map(str::to_owned);
        if let Err(refusal) = self.handle_event(now, &event, out) {
            self.refuse(&refusal, event_id.as_deref(), out);
        }
        let at_ms = now.saturating_duration_since(self.opened).as_millis() as u64;
        self.records.log.push(Received { session: self.number, at_ms, event });
    }

    /// When [`poll`](Self::poll) has something to say next; never `None` while the session lives, since it will expire.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        (self.life != Life::Over).then(|| self.next_moment().0)
    }

    /// Says everything that is due by `now`, in the order of its times.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<Out>) {
        while self.life != Life::Over {
            let (at, what) = self.next_moment();
            if at > now {
                break;
            }
            match what {
                Moment::Later => {
                    if let Some((_, Later { name, fields })) = self.later.pop_first() {
                        self.say(name, fields, out);
                    }
                }
                Moment::Response(index) => self.step(at, index, out),
                Moment::Idle => self.idle_timeout(at, out),
                Moment::Expiry => self.expire(out),
                Moment::Death => self.die(out),
            }
        }
    }

    /// The session's id, as in `session.created`.
    #[must_use]
    pub fn id(&self) -> &str {
        self.session.get("id").and_then(Value::as_str).unwrap_or_default()
    }

    /// True once nothing more will be said.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.life == Life::Over
    }

    /// The bytes a second at which this session's socket is to be read.
    #[must_use]
    pub fn read_limit(&self) -> Option<u64> {
        self.faults.slow
    }

    fn next_moment(&self) -> (Instant, Moment) {
        let mut next = (self.expires, Moment::Expiry);
        let mut offer = |at: Option<Instant>, what| {
            if let Some(at) = at
                && at < next.0
            {
                next = (at, what);
            }
        };
        offer(self.dies, Moment::Death);
        offer(self.later.first_key_value().map(|((at, _), _)| *at), Moment::Later);
        for (index, running) in self.running.iter().enumerate() {
            offer(running.next_due(), Moment::Response(index));
        }
        offer(self.idle_due(), Moment::Idle);
        next
    }

    fn handle_event(&mut self, now: Instant, event: &Value, out: &mut Vec<Out>) -> Result<(), Refusal> {
        let Some(kind) = event.get("type").filter(|kind| !kind.is_null()) else {
            return Err(Refusal::new("invalid_event", "The 'type' field is missing."));
        };
        match kind.as_str() {
            Some("session.update") => self.update(event, out),
            Some("input_audio_buffer.append") => match event.get("audio") {
                Some(Value::String(audio)) => self.append(now, audio, out),
                Some(Value::Null) | None => Err(Refusal::missing("audio")),
                Some(other) => Err(Refusal::kind_of("audio", other, "a string")),
            },
            Some("input_audio_buffer.commit") => self.commit_by_client(now, out),
            Some("input_audio_buffer.clear") => {
                self.input.clear();
                self.say("input_audio_buffer.cleared", json!({}), out);
                Ok(())
            }
            Some("conversation.item.create") => self.create_item(event, out),
            Some("conversation.item.retrieve") => self.retrieve_item(event, out),
            Some("conversation.item.truncate") => self.truncate_item(event, out),
            Some("conversation.item.delete") => self.delete_item(event, out),
            Some("response.create") => self.create_response(now, event, out),
            Some("response.cancel") => self.cancel_by_client(now, event, out),
            _ => Err(Refusal::value(
                "type",
                kind,
                "Supported values are: 'session.update', 'input_audio_buffer.append', 'input_audio_buffer.commit', \
                 'input_audio_buffer.clear', 'conversation.item.create', 'conversation.item.retrieve', \
                 'conversation.item.truncate', 'conversation.item.delete', 'response.create', and 'response.cancel'.",
            )),
        }
    }

    fn update(&mut self, event: &Value, out: &mut Vec<Out>) -> Result<(), Refusal> {
        let next = shapes::updated(self.dialect, &self.session, event.get("session").unwrap_or(&Value::Null))?;
        let settings = shapes::settings(self.dialect, &next);
        if settings.voice != self.settings.voice && self.conversation.has_spoken() {
            let message = "Cannot update a conversation's voice if assistant audio is present.";
            return Err(Refusal::new("cannot_update_voice", message));
        }
        self.input.set_format(settings.input);
        if settings.turns.is_none() {
            self.input.end_turn();
        }
        self.session = next;
        self.settings = settings;
        self.records.counters.updates.add(1);
        let session = self.session.clone();
        self.say("session.updated", json!({"session": session}), out);
        Ok(())
    }

    fn expire(&mut self, out: &mut Vec<Out>) {
        let lived = self.expires.saturating_duration_since(self.opened).as_secs();
        let length = if lived >= 60 { format!("{} minutes", lived / 60) } else { format!("{lived} seconds") };
        let message = format!("Your session hit the maximum duration of {length}.");
        let body = Refusal::new("session_expired", message.as_str()).body(None);
        self.say("error", json!({"error": body}), out);
        self.records.counters.died.add(1);
        self.end(Out::Close { code: 1001, reason: message }, out);
    }

    fn die(&mut self, out: &mut Vec<Out>) {
        self.dies = None;
        self.records.counters.died.add(1);
        match self.faults.die_mode {
            DieMode::Close => {
                let reason = "simulated failure".to_owned();
                self.end(Out::Close { code: self.faults.close_code, reason }, out);
            }
            DieMode::Abort => self.end(Out::Abort, out),
            DieMode::Stall => self.end(Out::Stall, out),
            DieMode::Expire => self.expire(out),
            DieMode::Mute => {
                self.life = Life::Mute;
                self.running.iter_mut().for_each(Running::fall_silent);
            }
        }
    }

    fn end(&mut self, how: Out, out: &mut Vec<Out>) {
        self.life = Life::Over;
        out.push(how);
    }

    fn refuse(&mut self, refusal: &Refusal, event_id: Option<&str>, out: &mut Vec<Out>) {
        self.records.counters.errors.add(1);
        self.say("error", json!({"error": refusal.body(event_id)}), out);
    }

    /// Sends an event, named in GA words; `fields` is an object.
    fn say(&mut self, name: &'static str, fields: Value, out: &mut Vec<Out>) {
        if !name.starts_with("session.") && self.ids.chance(self.faults.garbage) {
            out.push(if self.ids.chance(0.5) {
                Out::Text("{\"type\":\"response.out\u{fffd}".to_owned())
            } else {
                Out::Binary(vec![0xC0, 0xFF, 0xEE, 0x00])
            });
            return;
        }
        // The type stands first, as on the real wire; a JSON map would sort it behind the audio.
        let id = self.ids.id("event");
        let fields = fields.to_string();
        let rest = fields.strip_prefix('{').unwrap_or(&fields);
        let comma = if rest == "}" { "" } else { "," };
        let name = self.dialect.event_name(name);
        out.push(Out::Text(format!("{{\"type\":\"{name}\",\"event_id\":\"{id}\"{comma}{rest}")));
    }

    fn say_later(&mut self, at: Instant, name: &'static str, fields: Value) {
        self.sequence += 1;
        self.later.insert((at, self.sequence), Later { name, fields });
    }
}

impl Drop for SimSession {
    fn drop(&mut self) {
        self.records.counters.open.take(1);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Later,
    Response(usize),
    Idle,
    Expiry,
    Death,
}
