//! `error` events: nearly all of them are harmless.

use std::time::Instant;

use super::{Phase, Session, notice};
use crate::event::ErrorBody;
use crate::loss::{is_fatal, is_passing};
use crate::{Effect, Loss};

impl Session {
    pub(super) fn on_error(&mut self, now: Instant, error: &ErrorBody, out: &mut Vec<Effect>) {
        let code = error.name();
        if code == "session_expired" {
            self.expired = true;
            self.die(Loss::Expired, out);
        } else if matches!(self.phase, Phase::Opening | Phase::Updating) {
            self.on_setup_error(error, out);
        } else if is_fatal(code) {
            let (code, message) = (code.to_owned(), error.words().to_owned());
            self.die(Loss::SetupRefused { code, message }, out);
        } else {
            notice(code, error.words(), out);
            if self.phase == Phase::Live {
                self.on_live_error(now, error, out);
            }
        }
    }

    fn on_live_error(&mut self, now: Instant, error: &ErrorBody, out: &mut Vec<Effect>) {
        let code = error.name();
        let about = error.event_id.text();
        if code == "conversation_already_has_active_response" {
            let conflict = self.turns.conflicted(now);
            self.give_up_if(conflict, code, out);
        } else if code == "response_cancel_not_active" {
            // The response ended before our cancel came: its response.done was sent before this.
            self.turns.none_to_cancel();
            self.note_waiting();
            self.ask(now, out);
        } else if is_passing(code) || about.is_some() {
            let of_server = about.is_none() && self.turns.server_owes();
            if of_server || self.turns.is_about_asking(about) {
                // The request for a response itself was refused.
                self.on_failure(now, code, false, out);
            }
        }
    }
}

pub(super) fn says_expired(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason.contains("maximum duration") || reason.contains("expired")
}

/// A close code of 4000 names the error as `kind.code`.
pub(super) fn refused_by_close(reason: &str) -> Loss {
    let code = reason.rsplit('.').next().unwrap_or_default();
    Loss::SetupRefused { code: code.to_owned(), message: reason.to_owned() }
}
