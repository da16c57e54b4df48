//! What the application says to what the far end wants.

use std::time::Instant;

use bytes::Bytes;

use super::Ua;
use super::call::{Call, Phase, Unacked};
use super::event::{Action, CallKey, Ended};
use super::reply::Status;
use super::schedule::{Backoff, T2, TIMEOUT};
use super::session::{Agreed, SessionTimer};
use crate::message::{Message, Method, Name, Refresher};

impl Ua {
    /// Tells the caller that it may take a moment.
    pub fn ring(&mut self, call: CallKey, out: &mut Vec<Action>) {
        let Some(asked) = self.incoming(call).and_then(|incoming| incoming.asked.as_ref()) else { return };
        let (tx, request) = (asked.tx, asked.request.clone());
        let Some(Call { dialog, .. }) = self.calls.get(&call.0) else { return };
        let mut response = self.reply(&request, &dialog.local_tag, Status::of(180));
        response.copy(&request, Name::RecordRoute);
        response.push(Name::Contact, self.contact(dialog.flow.transport, dialog.sips));
        if let Some(transaction) = self.server_mut(tx) {
            transaction.provisional(response.to_bytes(), out);
        }
        self.settle();
    }

    /// Takes a call that came in. With `sdp` as the answer to its offer, or as our offer if it made none. The answer is
    /// sent again until it is acknowledged: [`UaEvent::Confirmed`](super::UaEvent::Confirmed), or the call ends as
    /// [`Ended::NoAck`].
    pub fn accept(&mut self, now: Instant, call: CallKey, sdp: Bytes, out: &mut Vec<Action>) {
        if self.incoming(call).is_some() {
            self.grant(now, call.0, sdp, out);
        }
        self.settle();
    }

    /// Refuses a call that came in, with a status from 300 to 699.
    pub fn reject(
        &mut self,
        now: Instant,
        call: CallKey,
        code: u16,
        reason: &str,
        retry_after: Option<u32>,
        out: &mut Vec<Action>,
    ) {
        if self.incoming(call).is_some() {
            let code = if (300..700).contains(&code) { code } else { 500 };
            let seconds = retry_after.map(|seconds| seconds.to_string());
            let headers: Vec<_> = seconds.iter().map(|seconds| (Name::RetryAfter, seconds.as_str())).collect();
            self.refuse_asked(now, call.0, Status { code, reason, headers: &headers }, out);
            self.end(call.0, Ended::Refused(code), None, out);
            self.forget(call.0);
        }
        self.settle();
    }

    /// Answers [`UaEvent::Changed`](super::UaEvent::Changed): with our media, or the status that refuses it (488), which
    /// leaves everything as it was.
    pub fn answer_change(&mut self, now: Instant, call: CallKey, sdp: Result<Bytes, u16>, out: &mut Vec<Action>) {
        if self.calls.get(&call.0).is_some_and(Call::is_up) {
            match sdp {
                Ok(sdp) => self.grant(now, call.0, sdp, out),
                Err(code) => self.refuse_asked(now, call.0, Status::of(code.clamp(300, 699)), out),
            }
        }
        self.settle();
    }

    fn incoming(&self, call: CallKey) -> Option<&Call> {
        self.calls.get(&call.0).filter(|call| call.is_incoming())
    }

    /// The 200 to the INVITE or UPDATE that waits for one.
    pub(super) fn grant(&mut self, now: Instant, id: u64, sdp: Bytes, out: &mut Vec<Action>) {
        let Some(call) = self.call_mut(id) else { return };
        let Some(asked) = call.asked.take() else { return };
        let is_first = call.is_incoming();
        let (transport, sips, tag) = (call.dialog.flow.transport, call.dialog.sips, call.dialog.local_tag.clone());
        call.local_sdp = Some(sdp.clone());
        if is_first {
            call.phase = Phase::Up;
        }
        let theirs = super::incoming::sdp(&asked.request);
        let is_offer = theirs.is_none();
        call.remote_sdp = theirs.or_else(|| call.remote_sdp.take());
        let (response, agreed) = self.success(&asked.request, &tag, &self.contact(transport, sips), Some(&sdp));
        self.keep_session(now, id, agreed);
        let bytes = response.to_bytes();
        let Some(transaction) = self.server_mut(asked.tx) else { return };
        let flow = transaction.flow();
        transaction.finish(now, 200, bytes.clone(), out);
        if asked.request.method() != Some(&Method::Invite) {
            return;
        }
        let cseq = asked.request.cseq().map_or(0, |(number, _)| number);
        let again = Backoff::new(now, T2);
        let until = now + TIMEOUT;
        if let Some(call) = self.call_mut(id) {
            call.unacked = Some(Unacked { cseq, tx: asked.tx, flow, bytes, again, until, is_first, is_offer });
        }
    }

    /// What was agreed on in an answer of ours replaces what was before.
    pub(super) fn keep_session(&mut self, now: Instant, id: u64, agreed: Option<Agreed>) {
        if let Some(call) = self.call_mut(id) {
            let we_refresh = |agreed: &Agreed| agreed.refresher == Refresher::Uas;
            call.session = agreed.map(|agreed| SessionTimer::new(now, agreed.interval, we_refresh(&agreed)));
        }
    }

    /// Refuses the INVITE or UPDATE that waits for an answer, if there is one.
    pub(super) fn refuse_asked(&mut self, now: Instant, id: u64, status: Status<'_>, out: &mut Vec<Action>) {
        let Some(call) = self.call_mut(id) else { return };
        let tag = call.dialog.local_tag.clone();
        if let Some(asked) = call.asked.take() {
            self.finish(now, asked.tx, &asked.request, &tag, status, out);
        }
    }

    /// Answers a request in a call for good.
    pub(super) fn finish(
        &mut self,
        now: Instant,
        tx: u64,
        request: &Message,
        tag: &str,
        status: Status<'_>,
        out: &mut Vec<Action>,
    ) {
        let response = self.reply(request, tag, status).to_bytes();
        if let Some(transaction) = self.server_mut(tx) {
            transaction.finish(now, status.code, response, out);
        }
    }
}
