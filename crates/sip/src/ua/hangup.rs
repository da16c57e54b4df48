//! How calls end, and what becomes of them when time runs out.

use std::time::Instant;

use super::Ua;
use super::call::{Call, Cancel, Phase};
use super::client::Purpose;
use super::event::{Action, CallKey, Ended, UaEvent};
use super::reply::Status;
use super::schedule::TIMEOUT;
use crate::message::{Message, Method, Name};

impl Ua {
    /// Hangs up, with a Reason header for the far end (RFC 3326, `Q.850;cause=16`). The call is over at once; what has to
    /// be said about that is said when it may be: a BYE once our 200 is acknowledged, a CANCEL once the call we placed was
    /// answered at all. A call that came in and is not answered is declined.
    pub fn bye(&mut self, now: Instant, call: CallKey, reason: Option<&str>, out: &mut Vec<Action>) {
        if self.calls.get(&call.0).is_some_and(Call::is_incoming) {
            self.reject(now, call, 603, "Decline", None, out);
            return;
        }
        self.leave(now, call.0, Ended::HungUp, reason, out);
        self.settle();
    }

    /// Ends a call from our side.
    pub(super) fn leave(&mut self, now: Instant, id: u64, why: Ended, reason: Option<&str>, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get(&id).filter(|call| !call.is_over) else { return };
        let is_calling = matches!(call.phase, Phase::Calling { .. });
        let is_held = call.unacked.is_some();
        self.end(id, why, None, out);
        self.refuse_asked(now, id, Status::of(487), out);
        let reason = reason.map(str::to_owned);
        if !is_calling && !is_held {
            self.send_bye(now, id, reason, out);
        } else if let Some(call) = self.call_mut(id) {
            call.hangup = Some(reason);
            self.cancel(now, id, out);
        }
    }

    /// Our 200 is acknowledged, or never will be.
    pub(super) fn hang_up_if_wanted(&mut self, now: Instant, id: u64, out: &mut Vec<Action>) {
        if let Some(reason) = self.call_mut(id).and_then(|call| call.hangup.take()) {
            self.send_bye(now, id, reason, out);
        }
    }

    fn send_bye(&mut self, now: Instant, id: u64, reason: Option<String>, out: &mut Vec<Action>) {
        let Some(call) = self.call_mut(id) else { return };
        call.phase = Phase::Leaving;
        let mut request = call.dialog.request(Method::Bye);
        if let Some(reason) = reason {
            request.push(Name::Reason, reason);
        }
        let flow = call.dialog.way();
        self.send(now, Purpose::Bye(id), request, flow, out);
    }

    /// Takes back a call of ours, as soon as that may be.
    fn cancel(&mut self, now: Instant, id: u64, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get(&id) else { return };
        let Phase::Calling { tx, .. } = call.phase else { return };
        let is_proceeding = self.client.get(tx).is_some_and(|invite| invite.is_proceeding());
        if let Some(Call { phase: Phase::Calling { cancel, until, .. }, .. }) = self.call_mut(id) {
            *cancel = if is_proceeding { Cancel::Sent } else { Cancel::Wanted };
            // RFC 3261 section 9.1: with no final answer by then there will be none.
            *until = now + TIMEOUT;
        }
        if let Some(invite) = self.client.get(tx).filter(|_| is_proceeding) {
            let (mut request, flow) = (hop_by_hop(&invite.request, Method::Cancel), invite.flow);
            if let Some(Some(reason)) = self.calls.get(&id).map(|call| call.hangup.clone().flatten()) {
                request.push(Name::Reason, reason);
            }
            self.send(now, Purpose::Orphan, request, flow, out);
        }
    }

    /// A provisional answer came: a CANCEL that waited for it may go.
    pub(super) fn cancel_if_wanted(&mut self, now: Instant, id: u64, out: &mut Vec<Action>) {
        if let Some(Call { phase: Phase::Calling { cancel: Cancel::Wanted, .. }, .. }) = self.calls.get(&id) {
            self.cancel(now, id, out);
        }
    }

    /// The way to the far end is gone.
    pub(super) fn lose(&mut self, now: Instant, id: u64, out: &mut Vec<Action>) {
        self.end(id, Ended::TransportLost, None, out);
        self.refuse_asked(now, id, Status::of(487), out);
        self.forget(id);
    }

    /// Tells the application about a call, unless it was told that the call is over.
    pub(super) fn tell(&self, id: u64, event: UaEvent, out: &mut Vec<Action>) {
        if self.calls.get(&id).is_some_and(|call| !call.is_over) {
            out.push(Action::Event(event));
        }
    }

    /// Tells the application that the call is over, once.
    pub(super) fn end(&mut self, id: u64, why: Ended, reason_header: Option<String>, out: &mut Vec<Action>) {
        // Many a gateway takes a transfer and leaves, and tells nothing else.
        let is_taken = |call: &Call| why == Ended::Bye && call.transfer.as_ref().is_some_and(|it| it.is_accepted);
        let result = if self.calls.get(&id).is_some_and(is_taken) { Ok(()) } else { Err(487) };
        self.transferred(id, result, out);
        self.tell(id, UaEvent::Ended { call: CallKey(id), why, reason_header }, out);
        if let Some(call) = self.call_mut(id) {
            call.is_over = true;
            call.session = None;
            call.refresh = None;
        }
    }

    /// What became of a transfer, if there is one.
    pub(super) fn transferred(&mut self, id: u64, result: Result<(), u16>, out: &mut Vec<Action>) {
        if self.call_mut(id).is_some_and(|call| call.transfer.take().is_some()) {
            self.tell(id, UaEvent::Transferred { call: CallKey(id), result }, out);
        }
    }

    /// Nothing is left to be said about a call. Its transactions end by themselves.
    pub(super) fn forget(&mut self, id: u64) {
        self.call_mut(id);
        let Some(call) = self.calls.remove(&id) else { return };
        self.tags.remove(&call.dialog.local_tag);
        self.sources.remove(&call.source);
        if let Some(origin) = call.origin {
            self.origins.remove(&origin);
        }
    }

    pub(super) fn call_due(&mut self, now: Instant, id: u64, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.asked.as_ref().is_some_and(|asked| now >= asked.until) {
            let is_incoming = call.is_incoming();
            self.refuse_asked(now, id, Status::of(500), out);
            if is_incoming {
                self.end(id, Ended::Failed, None, out);
                self.forget(id);
                return;
            }
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        if let Some(unacked) = &mut call.unacked {
            if now >= unacked.until {
                call.unacked = None;
                self.leave(now, id, Ended::NoAck, None, out);
                self.hang_up_if_wanted(now, id, out);
            } else if unacked.again.fire(now) {
                out.push(Action::Send { flow: unacked.flow, bytes: unacked.bytes.clone() });
            }
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.transfer.as_ref().is_some_and(|transfer| now >= transfer.until) {
            self.transferred(id, Err(408), out);
        }
        self.session_due(now, id, out);
        self.ringing_due(now, id, out);
    }

    fn session_due(&mut self, now: Instant, id: u64, out: &mut Vec<Action>) {
        let Some(session) = self.calls.get(&id).and_then(|call| call.session) else { return };
        if now >= session.end() {
            self.leave(now, id, Ended::SessionExpired, None, out);
        } else if session.we_refresh_at().is_some_and(|at| now >= at) {
            self.refresh(now, id, out);
        }
    }

    /// A call of ours rang long enough, or was taken back and never answered.
    fn ringing_due(&mut self, now: Instant, id: u64, out: &mut Vec<Action>) {
        let Some(Call { phase: Phase::Calling { tx, until, cancel, .. }, .. }) = self.calls.get(&id) else { return };
        let (tx, is_cancelled) = (*tx, *cancel != Cancel::No);
        if now < *until {
            return;
        }
        if is_cancelled {
            if let Some(invite) = self.client_mut(tx) {
                invite.abandon();
            }
            self.forget(id);
        } else {
            self.leave(now, id, Ended::Failed, None, out);
        }
    }
}

/// An ACK of an answer other than 2xx, or a CANCEL: for the next hop, with the Via of the INVITE.
pub(super) fn hop_by_hop(invite: &Message, method: Method) -> Message {
    let uri = invite.request_uri().map(|uri| uri.as_bytes().to_vec()).unwrap_or_default();
    let cseq = invite.cseq().map_or(0, |(number, _)| number);
    let count = format!("{cseq} {method}");
    let mut request = Message::request(method, uri);
    for name in [Name::Via, Name::Route, Name::From, Name::To, Name::CallId] {
        request.copy(invite, name);
    }
    request.push(Name::MaxForwards, "70");
    request.push(Name::CSeq, count);
    request
}
