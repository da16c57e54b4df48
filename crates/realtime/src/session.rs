//! One connection's protocol state, from `session.created` to the loss.

mod barge_in;
mod errors;
mod receive;
mod responses;
mod setup;
mod timers;

use std::sync::Arc;
use std::time::Instant;

use crate::audio::Speech;
use crate::event::ClientEvent;
use crate::ledger::Ledger;
use crate::liveness::Liveness;
use crate::timing::{Renewal, after};
use crate::tools::Tools;
use crate::turns::Turns;
use crate::{Effect, ItemId, Loss, ModelState, Played, SessionProfile, Timing};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Connecting, or waiting for `session.created`.
    Opening,
    /// `session.update` was sent.
    Updating,
    /// Set up, hears no audio.
    Standby,
    /// Carries the call.
    Live,
    Lost,
}

/// One connection's protocol state. Fed with the model's frames and the time, it answers with [`Effect`]s.
///
/// Life: `new` (connecting) -> `session.created` -> sends `session.update` -> `session.updated` -> [`Effect::Configured`]
/// -> [`adopt`](Self::adopt) -> live -> [`Effect::Dead`] or [`on_closed`](Self::on_closed).
#[derive(Debug)]
pub struct Session {
    profile: Arc<SessionProfile>,
    timing: Timing,
    phase: Phase,
    loss: Option<Loss>,
    session_id: Option<String>,
    connect_deadline: Instant,
    liveness: Liveness,
    renewal: Renewal,
    /// The `event_id` of our latest `session.update`.
    update_id: String,
    without_voice: bool,
    expired: bool,
    turns: Turns,
    speech: Speech,
    tools: Tools,
    ledger: Ledger,
    /// Keys pressed and tools answered before the session was live.
    early: Vec<Early>,
    events: u64,
}

#[derive(Debug)]
enum Early {
    Text(String),
    Tool { call_id: String, output: String, respond: bool },
}

impl Session {
    /// A session about to connect (or just connected): `timing.connect_timeout` runs from `now`.
    #[must_use]
    pub fn new(profile: Arc<SessionProfile>, timing: Timing, now: Instant) -> Self {
        let turns = Turns::new(timing.response_timeout, profile.turn_detection.creates_response());
        Self {
            timing,
            phase: Phase::Opening,
            loss: None,
            session_id: None,
            connect_deadline: after(now, timing.connect_timeout),
            liveness: Liveness::new(),
            renewal: Renewal::default(),
            update_id: String::new(),
            without_voice: false,
            expired: false,
            turns,
            speech: Speech::new(profile.format),
            tools: Tools::default(),
            ledger: Ledger::default(),
            early: Vec::new(),
            events: 0,
            profile,
        }
    }

    /// Whether `session.updated` came and its format was right (it may since have been adopted, but not lost).
    #[must_use]
    pub fn is_configured(&self) -> bool {
        matches!(self.phase, Phase::Standby | Phase::Live)
    }

    /// Whether the session carries the call: caller audio may be sent.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// The model's name for the session (`sess_...`).
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// Where the session stands.
    #[must_use]
    pub fn state(&self) -> ModelState {
        match self.phase {
            Phase::Opening | Phase::Updating => ModelState::Connecting,
            Phase::Lost => ModelState::Lost,
            Phase::Standby | Phase::Live if self.turns.active().is_some() => ModelState::Speaking,
            Phase::Standby | Phase::Live => ModelState::Ready,
        }
    }

    /// No caller speech, no active response, no open tool, nothing owed: sessions may be swapped without being noticed
    /// (once the playout is empty too).
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.turns.is_quiet() && !self.tools.is_open() && self.early.is_empty()
    }

    /// Quiet, and the caller has heard all that was said.
    #[must_use]
    pub fn is_heard_out(&self) -> bool {
        self.is_quiet() && self.speech.unsettled().next().is_none()
    }

    /// The conversation so far, for the next session. This one goes on with an empty one.
    pub fn take_ledger(&mut self) -> Ledger {
        std::mem::take(&mut self.ledger)
    }

    /// The conversation so far.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The item whose audio is still being received: it ends with the session.
    #[must_use]
    pub fn open_item(&self) -> Option<&ItemId> {
        self.speech.open_item()
    }

    /// The whole item was heard (its mark was reached): it is left out of the next `SpeechStarted`.
    pub fn heard(&mut self, item: &ItemId) {
        if let Some(track) = self.speech.track(item.as_str()).filter(|track| track.ended) {
            track.settled = true;
        }
    }

    /// A key was pressed or the like: the words become a turn of the caller's, and the model is asked to answer once no
    /// response is active. Before the session is live it is kept, after its loss it goes into the ledger.
    pub fn user_text(&mut self, now: Instant, text: &str, out: &mut Vec<Effect>) {
        match self.phase {
            Phase::Live => self.send_user_text(now, text, out),
            Phase::Lost => self.ledger.caller_wrote(text),
            _ => self.early.push(Early::Text(text.to_owned())),
        }
    }

    /// A tool answered. Its output is sent at once; when all tools of the response have answered, and one of them with
    /// `respond`, the model is asked to go on, once that response is done. An unknown or answered `call_id` is ignored.
    /// Every [`Effect::ToolCall`] wants an answer: a call left open confuses the model and is never a quiet moment.
    pub fn tool_output(&mut self, now: Instant, call_id: &str, output: &str, respond: bool, out: &mut Vec<Effect>) {
        match self.phase {
            Phase::Live => self.send_tool_output(now, call_id, output, respond, out),
            Phase::Lost => self.ledger.tool_answered(call_id, output, respond),
            _ => {
                let (call_id, output) = (call_id.to_owned(), output.to_owned());
                self.early.push(Early::Tool { call_id, output, respond });
            }
        }
    }

    /// The playout's answer to a clear: an item that was heard in part is truncated to that (never beyond what was
    /// received), one that was not heard at all is deleted, one that was heard wholly is left alone. An item of
    /// `SpeechStarted::active` that is missing here is left as it is. Items of earlier sessions change the ledger only.
    pub fn cleared(&mut self, _now: Instant, played: &[Played], out: &mut Vec<Effect>) {
        self.settle(played, out);
    }

    /// A key press (or another local reason) interrupts: an active response is cancelled and its late audio dropped.
    /// (The owner also clears the playout and calls [`cleared`](Self::cleared).)
    pub fn interrupt(&mut self, _now: Instant, out: &mut Vec<Effect>) {
        if self.phase == Phase::Live {
            self.turns.cut_next();
            self.cancel(out);
            self.cut_tracks();
        }
    }

    /// The playout is full: an active response is cancelled, what was received of it still plays.
    pub fn cancel_response(&mut self, out: &mut Vec<Effect>) {
        if self.phase != Phase::Live || self.turns.active().is_none() {
            return;
        }
        self.cancel(out);
        if let Some(item) = self.speech.open_item().cloned() {
            self.end_item(item.as_str(), out);
            if let Some(track) = self.speech.track(item.as_str()) {
                track.cut = true;
                track.truncate_if_late = true;
            }
        }
    }

    /// Any frame, a pong included: the other side lives. Text frames say so by themselves.
    pub fn on_activity(&mut self, now: Instant) {
        self.liveness.seen(now, self.timing.ping);
    }

    /// The socket closed. Gives the loss that was reported before, if any, or what the close means.
    pub fn on_closed(&mut self, code: Option<u16>, reason: &str) -> Loss {
        self.leave_speaking();
        self.phase = Phase::Lost;
        let expired = self.expired || errors::says_expired(reason);
        let loss = || match code {
            Some(1001) if expired => Loss::Expired,
            Some(4000) => errors::refused_by_close(reason),
            _ => Loss::Closed { code, reason: reason.to_owned() },
        };
        self.loss.get_or_insert_with(loss).clone()
    }

    fn die(&mut self, loss: Loss, out: &mut Vec<Effect>) {
        if self.phase == Phase::Lost {
            return;
        }
        if let Some(item) = self.speech.open_item().cloned() {
            self.end_item(item.as_str(), out);
        }
        self.leave_speaking();
        self.phase = Phase::Lost;
        self.loss = Some(loss.clone());
        out.push(Effect::Dead(loss));
    }

    /// A turn that this session takes with it: the next one asks for it again, or greets if that is still to be done.
    fn leave_speaking(&mut self) {
        let greets = self.ledger.is_empty() && self.profile.greeting.is_some();
        if self.phase == Phase::Live && self.turns.caller_speaks() && !greets {
            let id = self.ledger.fresh_id();
            self.ledger.caller_turn(&id);
            self.ledger.set_waiting(true);
        }
    }

    /// An `event_id` of ours, so that errors can be told apart.
    fn event_id(&mut self) -> String {
        self.events += 1;
        format!("trunkline_{}", self.events)
    }

    fn send(&mut self, event: &ClientEvent, out: &mut Vec<Effect>) {
        out.push(Effect::Send(event.to_text()));
    }
}

fn notice(code: &str, message: &str, out: &mut Vec<Effect>) {
    out.push(Effect::Notice { code: code.to_owned(), message: message.to_owned() });
}
