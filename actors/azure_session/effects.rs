//! What a session wants done.

use actix::Context;
use tokio::time::Instant;
use tracing::Span;
use trunkline_call::ModelStatus;
use trunkline_realtime::{Effect, Loss, ModelState, Session, Speaker};

use super::AzureSessionActor;
use super::connecting::Purpose;
use crate::ports::Outgoing;

impl AzureSessionActor {
    /// Runs the session of a link, then what it wants.
    pub(super) fn with_session(
        &mut self,
        id: u64,
        ctx: &mut Context<Self>,
        run: impl FnOnce(&mut Session, std::time::Instant, &mut Vec<Effect>),
    ) {
        let mut effects = std::mem::take(&mut self.effects);
        if let Some(link) = self.link_mut(id) {
            run(&mut link.session, Instant::now().into_std(), &mut effects);
        }
        self.effects = self.apply(id, effects, ctx);
        if let Some(link) = &self.current {
            self.call.record.model.set_state(status(link.session.state()));
        }
        self.arm(ctx);
    }

    pub(super) fn with_current(
        &mut self,
        ctx: &mut Context<Self>,
        run: impl FnOnce(&mut Session, std::time::Instant, &mut Vec<Effect>),
    ) {
        if let Some(id) = self.current.as_ref().map(|link| link.id) {
            self.with_session(id, ctx, run);
        }
    }

    /// Carries out what a link's session wants; gives the emptied list back for reuse.
    pub(super) fn apply(&mut self, id: u64, mut effects: Vec<Effect>, ctx: &mut Context<Self>) -> Vec<Effect> {
        for effect in effects.drain(..) {
            self.perform(id, effect, ctx);
        }
        effects
    }

    fn perform(&mut self, id: u64, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Send(text) => self.send(id, Outgoing::Text(text.into()), ctx),
            Effect::Ping => self.send(id, Outgoing::Ping, ctx),
            Effect::Audio { item, audio } => {
                self.speech.audio(Instant::now(), item, audio);
                self.pump(ctx);
            }
            Effect::ItemEnded { item } => {
                self.speech.end(Instant::now(), item);
                self.pump(ctx);
            }
            Effect::SpeechStarted { active } => {
                if active.is_empty() {
                    self.turn = None;
                } else {
                    self.call.record.model.add_interruption();
                }
                self.call.note("speech", "the caller speaks".to_owned());
                // First: a line that falls silent is what a departure waits for.
                self.stay(ctx);
                self.clear();
            }
            Effect::ToolCall { call_id, name, arguments } => self.on_tool_call(id, call_id, &name, &arguments, ctx),
            Effect::Configured { .. } => self.configured(id, ctx),
            Effect::Renew => {
                if self.standby.is_none() {
                    self.call.note("renewal", "preparing a fresh session".to_owned());
                    self.connect(Purpose::Standby, std::time::Duration::ZERO, ctx);
                }
            }
            Effect::RenewNow => {
                self.swap_now = true;
                self.try_swap(ctx);
            }
            Effect::Dead(loss) => self.lose(id, &loss, ctx),
            Effect::ResponseStarted
            | Effect::SpeechStopped
            | Effect::ResponseDone { .. }
            | Effect::FirstAudio { .. }
            | Effect::Transcript { .. }
            | Effect::Notice { .. } => self.write_down(effect),
        }
    }

    /// What only log, timeline and counters want to know, and whether the model answers.
    fn write_down(&mut self, effect: Effect) {
        let record = &self.call.record;
        match effect {
            Effect::SpeechStopped => {
                self.call.note("speech", "the caller pauses".to_owned());
                self.turn = Some(self.call.span.turn());
            }
            Effect::ResponseDone { status } => {
                record.model.add_response();
                if let Some(turn) = &mut self.turn {
                    turn.status(&status);
                }
                let completed = status == "completed";
                self.call.note("response", status);
                if completed {
                    self.answers();
                }
                self.end_turn_if_heard();
                self.depart_if_said();
            }
            Effect::FirstAudio { latency } => {
                record.model.record_latency(latency);
                self.turn.get_or_insert_with(|| self.call.span.turn()).first_audio(latency);
                self.call.note_taking("answer", "first audio", latency);
                self.answers();
            }
            Effect::Transcript { speaker, text } => {
                let kind = if speaker == Speaker::Caller { "caller" } else { "model" };
                self.call.note_words(kind, text);
            }
            Effect::Notice { code, message } => {
                tracing::info!(call = %record.id, code, "the model says: {message}");
                self.call.note("session", format!("{code}: {message}"));
            }
            _ => {}
        }
    }

    /// A turn ends when there is nothing more to hear of its answer, and nobody to go on with it.
    pub(super) fn end_turn_if_heard(&mut self) {
        if self.current.as_ref().is_none_or(|link| link.session.is_heard_out()) {
            self.turn = None;
        }
    }

    fn configured(&mut self, id: u64, ctx: &mut Context<Self>) {
        self.call.settings.vitals.add_session();
        if let Some(link) = self.link_mut(id) {
            link.connecting = Span::none();
        }
        if self.current.as_ref().is_none_or(|link| link.id != id) {
            self.try_swap(ctx);
            return;
        }
        if self.live_since.is_some() {
            self.call.record.model.add_reconnect();
        }
        self.go_live(ctx);
    }

    pub(super) fn send(&mut self, id: u64, message: Outgoing, ctx: &mut Context<Self>) {
        if self.link_mut(id).is_some_and(|link| !link.send(message)) {
            self.lose(id, &Loss::Stalled, ctx);
        }
    }
}

fn status(state: ModelState) -> ModelStatus {
    match state {
        ModelState::Connecting => ModelStatus::Connecting,
        ModelState::Ready => ModelStatus::Ready,
        ModelState::Speaking => ModelStatus::Speaking,
        ModelState::Lost => ModelStatus::Lost,
    }
}
