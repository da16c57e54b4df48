//! How a line's part in a call ends: the model leaves when its last word was heard, and every end is told in order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::time::Instant;
use trunkline_call::{EndReason, mask_number};
use trunkline_chime::command::Command;
use trunkline_chime::updates::Urgency;

use super::VcStreamActor;
use crate::link::{LinkControl, Transfers};
use crate::messages::{CloseLine, Farewell, Leave, LeaveWhenHeard, PressKeys, Prompt, StayOn, TransferFailed};
use crate::ports::tell;

/// A goodbye that does not come to its end (no socket, no audio) holds the call no longer than this.
const GOODBYE_GUARD: Duration = Duration::from_secs(10);
/// After a hang-up or transfer was ordered our leg goes when that took effect, or after this.
const TAKES_EFFECT: Duration = Duration::from_secs(2);
/// After the last frame the caller's side may take this long to say that it was heard.
const HEARD: Duration = Duration::from_secs(2);
/// A caller who is to be transferred waits no longer than this for the SIP media application to take it up.
const TRANSFER_PATIENCE: Duration = Duration::from_secs(10);

/// Why and how the line closes.
pub(super) struct Closing {
    reason: EndReason,
    code: u16,
    pub(super) deadline: Instant,
    /// The SIP media application is still to be asked to hang up on the caller.
    hang_up: bool,
}

/// What the model does once its last word was heard.
pub(super) struct Leaving {
    what: Leave,
    silent_since: Option<Instant>,
}

impl Leaving {
    /// When the last word counts as heard, whatever the caller's side says.
    pub(super) fn due(&self) -> Option<Instant> {
        self.silent_since.map(|since| since + HEARD)
    }
}

impl VcStreamActor {
    /// The first order says why; a later one without a goodbye cuts the goodbye short.
    fn start_closing(&mut self, now: Instant, CloseLine { reason, farewell, hang_up, code }: CloseLine) {
        let attached = self.down.is_attached();
        let deadline = match farewell {
            Farewell::Goodbye if attached => now + GOODBYE_GUARD,
            Farewell::Elsewhere { wait } if attached => now + wait,
            _ => self.goodbye_until.map_or(now, |until| until.max(now)),
        };
        self.leaving = None;
        self.withdraw_transfer();
        match &mut self.closing {
            Some(closing) => {
                closing.deadline = closing.deadline.min(deadline);
                self.hang_up();
            }
            None => self.closing = Some(Closing { reason, code, deadline, hang_up }),
        }
        if farewell == Farewell::Goodbye && attached {
            self.down.release(now);
            self.down.clear(now);
            self.down.play(now, Prompt::Goodbye);
        }
    }

    /// Has the caller hung up on, where that is still to be done and somebody can do it. True if it was asked for now.
    fn hang_up(&mut self) -> bool {
        let Some(closing) = self.closing.as_mut().filter(|closing| closing.hang_up) else { return false };
        closing.hang_up = false;
        let Some(sma) = self.call.sma() else { return false };
        sma.order(Command::HangUp { text: None });
        true
    }

    /// Whether the line has nothing more to wait for. Before that the caller is hung up on: if our leg went first, he would
    /// be connected again.
    pub(super) fn may_close(&mut self, now: Instant) -> bool {
        let attached = self.down.is_attached();
        if self.closing.as_ref().is_none_or(|closing| closing.deadline > now && attached) {
            return false;
        }
        let asked = self.hang_up();
        if let Some(closing) = self.closing.as_mut().filter(|_| asked && attached) {
            closing.deadline = now + TAKES_EFFECT;
            return false;
        }
        true
    }

    /// Says `stop`, lets everything go.
    pub(super) fn close(&mut self, ctx: &mut Context<Self>) {
        if let Some(closing) = self.closing.take() {
            let stop = closing.reason.as_str();
            self.down.control(LinkControl::Close { stop: Some(stop), code: closing.code });
            self.listeners.close(stop, closing.code);
        }
        ctx.stop();
    }

    /// Lets the model go once its last word was heard: its mark was answered, or some time has passed.
    pub(super) fn leave_if_heard(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let Some(leaving) = &mut self.leaving else { return };
        if !self.down.is_idle() {
            leaving.silent_since = None;
            return;
        }
        let since = *leaving.silent_since.get_or_insert(now);
        if self.down.awaits_answers() && now < since + HEARD {
            return;
        }
        match self.leaving.take().map(|leaving| leaving.what) {
            Some(Leave::HangUp) => self.call.end(EndReason::ModelHangup),
            Some(Leave::Transfer { to }) => self.transfer(to, ctx),
            None => {}
        }
    }

    fn transfer(&mut self, to: String, ctx: &mut Context<Self>) {
        self.call.note("transfer", mask_number(&to));
        let Some(sma) = self.call.sma() else {
            let transfers = self.down.peer().map(|peer| peer.transfers);
            if transfers == Some(Transfers::Never) {
                self.transfer_failed("this call's connection cannot transfer".to_owned());
            } else if transfers.is_none() || !self.down.control(LinkControl::Transfer { to }) {
                self.transfer_failed("the caller's side is not connected".to_owned());
            } else if transfers == Some(Transfers::AndTells) {
                self.transferring = true;
            } else {
                self.gone_elsewhere();
            }
            return;
        };
        let asked = sma.ask(Command::Transfer { to, text: None }, Urgency::Control);
        self.transfer_asked = Some(asked.withdrawal());
        let answer = tokio::time::timeout(TRANSFER_PATIENCE, asked.answer());
        let taken = answer.into_actor(self).map(move |answer, line, _| {
            line.withdraw_transfer();
            match answer {
                Ok(Ok(())) => line.gone_elsewhere(),
                Ok(Err(error)) => line.transfer_failed(error.to_string()),
                Err(_) => line.transfer_failed("nobody took it up in time".to_owned()),
            }
        });
        ctx.spawn(taken);
    }

    /// One that was not sent yet is not sent any more.
    fn withdraw_transfer(&mut self) {
        if let Some(wanted) = self.transfer_asked.take() {
            wanted.store(false, Ordering::Relaxed);
        }
    }

    /// What the caller's side says of a transfer.
    pub(super) fn transferred(&mut self, result: Result<(), String>) {
        if !std::mem::take(&mut self.transferring) {
            return;
        }
        match result {
            Ok(()) => self.gone_elsewhere(),
            Err(why) => self.transfer_failed(why),
        }
    }

    fn gone_elsewhere(&self) {
        self.call.end_with(EndReason::Transferred, Farewell::Elsewhere { wait: TAKES_EFFECT });
    }

    fn transfer_failed(&self, why: String) {
        self.call.note("transfer", format!("failed: {why}"));
        tell(&self.siblings.session, TransferFailed { why });
    }
}

impl Handler<CloseLine> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, order: CloseLine, ctx: &mut Context<Self>) {
        self.start_closing(Instant::now(), order);
        self.run(ctx);
    }
}

impl Handler<LeaveWhenHeard> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, LeaveWhenHeard(what): LeaveWhenHeard, ctx: &mut Context<Self>) {
        if self.closing.is_none() {
            self.leaving = Some(Leaving { what, silent_since: None });
            self.run(ctx);
        }
    }
}

impl Handler<StayOn> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, _: StayOn, _: &mut Context<Self>) {
        self.leaving = None;
        self.withdraw_transfer();
    }
}

impl Handler<PressKeys> for VcStreamActor {
    type Result = bool;

    fn handle(&mut self, PressKeys(digits): PressKeys, ctx: &mut Context<Self>) -> bool {
        let able = self.down.peer().is_some_and(|peer| peer.presses_keys);
        let told = able && self.down.control(LinkControl::Dtmf { digits });
        if able && !told {
            self.lose_link(Instant::now());
        }
        self.run(ctx);
        told
    }
}
