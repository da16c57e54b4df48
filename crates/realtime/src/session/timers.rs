//! What time alone brings about.

use std::time::Instant;

use super::{Phase, Session, notice};
use crate::turns::Overdue;
use crate::{Effect, Loss};

impl Session {
    /// When [`on_timer`](Self::on_timer) wants to be called next.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        let ping = self.liveness.next_ping();
        let stall = self.liveness.stalls_at(self.timing.stall_timeout);
        let renewal = [self.renewal.soft, self.renewal.forced];
        let timers = match self.phase {
            Phase::Lost => [None; 5],
            Phase::Opening | Phase::Updating => [Some(self.connect_deadline), ping, None, None, None],
            Phase::Standby | Phase::Live => [ping, stall, renewal[0], renewal[1], self.turns.next_timer()],
        };
        timers.into_iter().flatten().min()
    }

    /// Does whatever is due. Calling it early or late does no harm.
    pub fn on_timer(&mut self, now: Instant, out: &mut Vec<Effect>) {
        match self.phase {
            Phase::Lost => return,
            Phase::Opening | Phase::Updating if self.connect_deadline <= now => {
                self.die(Loss::ConnectTimeout, out);
                return;
            }
            Phase::Standby | Phase::Live
                if self.liveness.stalls_at(self.timing.stall_timeout).is_some_and(|at| at <= now) =>
            {
                self.die(Loss::Stalled, out);
                return;
            }
            _ => {}
        }
        if self.liveness.take_ping(now, self.timing.ping) {
            out.push(Effect::Ping);
        }
        if !self.is_configured() {
            return;
        }
        if self.renewal.soft.take_if(|at| *at <= now).is_some() {
            out.push(Effect::Renew);
        }
        if self.renewal.forced.take_if(|at| *at <= now).is_some() {
            out.push(Effect::RenewNow);
        }
        self.turns.retry_due(now);
        match self.turns.overdue(now) {
            Some(Overdue::Mute) => {
                self.die(Loss::Mute, out);
                return;
            }
            Some(Overdue::Cancel(id)) => {
                notice("response_overdue", "no answer in time: cancelled, to be asked for again", out);
                self.send_cancel(id, out);
            }
            Some(Overdue::Ask) => notice("response_overdue", "no answer in time: asked for again", out),
            None => {}
        }
        self.ask(now, out);
    }
}
