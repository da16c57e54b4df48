//! From `session.created` to a live session.

use std::time::{Duration, Instant};

use super::{Early, Phase, Session, notice};
use crate::event::{ClientEvent, ErrorBody, ItemCreate, Maybe, SessionObject};
use crate::ledger::Ledger;
use crate::profile::check_echo;
use crate::timing::Renewal;
use crate::{Effect, Loss};

impl Session {
    /// Makes a configured session the call's own: it is told the ledger (as text, the last 20 items or so, and that it
    /// must not greet again), or greets if nothing has been said yet and a greeting is set. With `resume` it takes the
    /// word if the caller was waiting for an answer. Caller audio may flow from now on.
    pub fn adopt(&mut self, now: Instant, ledger: Ledger, resume: bool, out: &mut Vec<Effect>) {
        if self.phase == Phase::Live {
            notice("adopted_twice", "the session carries the call already", out);
            return;
        }
        self.ledger = ledger;
        if self.phase != Phase::Standby {
            notice("not_configured", "a session was adopted that is not standing by", out);
            return;
        }
        self.phase = Phase::Live;
        if self.ledger.is_empty() {
            self.ledger.set_waiting(false);
            if let Some(greeting) = self.profile.greeting.clone() {
                self.greet(now, &greeting, out);
            }
        } else {
            for item in self.ledger.replay(self.profile.api, resume) {
                self.create_item(item, out);
            }
            if resume && self.ledger.waiting_for_answer() {
                // A tool's answer asks for the response by itself: a model that knows of no call would make it again.
                if !self.ledger.waits_for_tool() {
                    self.turns.owe(now);
                }
            } else {
                self.ledger.set_waiting(false);
            }
        }
        self.ask(now, out);
        for early in std::mem::take(&mut self.early) {
            match early {
                Early::Text(text) => self.send_user_text(now, &text, out),
                Early::Tool { call_id, output, respond } => {
                    self.send_tool_output(now, &call_id, &output, respond, out);
                }
            }
        }
    }

    pub(super) fn on_created(
        &mut self,
        now: Instant,
        unix_now_ms: u64,
        session: &SessionObject,
        out: &mut Vec<Effect>,
    ) {
        if self.phase != Phase::Opening {
            return;
        }
        self.session_id = session.id.text().map(str::to_owned);
        if let Some(life) = lives_for(session, unix_now_ms) {
            self.renewal = Renewal::plan(now, life, self.timing.renew_before);
        }
        self.phase = Phase::Updating;
        self.send_update(out);
    }

    pub(super) fn on_updated(
        &mut self,
        now: Instant,
        unix_now_ms: u64,
        session: &SessionObject,
        out: &mut Vec<Effect>,
    ) {
        if self.phase != Phase::Updating {
            return;
        }
        if let Err((asked, got)) = check_echo(self.profile.api, self.profile.format, session) {
            self.die(Loss::FormatMismatch { asked, got }, out);
            return;
        }
        if let Some(id) = session.id.text() {
            self.session_id = Some(id.to_owned());
        }
        let lives_for = lives_for(session, unix_now_ms);
        if let (Some(life), None) = (lives_for, self.renewal.soft) {
            self.renewal = Renewal::plan(now, life, self.timing.renew_before);
        }
        self.phase = Phase::Standby;
        let session_id = self.session_id.clone().unwrap_or_default();
        out.push(Effect::Configured { session_id, lives_for });
    }

    /// An error before the session is set up: about the account or address, or about our settings.
    pub(super) fn on_setup_error(&mut self, error: &ErrorBody, out: &mut Vec<Effect>) {
        let ours = error.event_id.text().is_none_or(|id| id == self.update_id);
        if self.phase == Phase::Updating && !ours {
            notice(error.name(), error.words(), out);
        } else if error.code.text() == Some("cannot_update_voice") && !self.without_voice {
            notice(error.name(), error.words(), out);
            self.without_voice = true;
            self.send_update(out);
        } else {
            let (code, message) = (error.name().to_owned(), error.words().to_owned());
            self.die(Loss::SetupRefused { code, message }, out);
        }
    }

    fn send_update(&mut self, out: &mut Vec<Effect>) {
        self.update_id = self.event_id();
        out.push(Effect::Send(self.profile.update(&self.update_id, !self.without_voice)));
    }

    pub(super) fn create_item(&mut self, item: crate::event::Item, out: &mut Vec<Effect>) {
        let event_id = Maybe::Value(self.event_id());
        self.send(&ClientEvent::ItemCreate(Box::new(ItemCreate { event_id, item, ..ItemCreate::default() })), out);
    }
}

/// `None` if the model named no end, or one that has passed (a clock is wrong then).
fn lives_for(session: &SessionObject, unix_now_ms: u64) -> Option<Duration> {
    let expires_at = session.expires_at.value()?;
    let seconds = expires_at.as_u64().or_else(|| expires_at.as_f64().map(|seconds| seconds as u64))?;
    let left = seconds.saturating_mul(1_000).checked_sub(unix_now_ms)?;
    (left > 0).then(|| Duration::from_millis(left))
}
