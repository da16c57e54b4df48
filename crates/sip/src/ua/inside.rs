//! Requests of the far end within a call.

use std::time::{Duration, Instant};

use super::Ua;
use super::call::{Asked, Call};
use super::event::{Action, CallKey, Ended, UaEvent};
use super::incoming::{Asking, reason_of, sdp, unreadable_body, unsupported};
use super::reply::{ABILITIES, ALLOW, Status};
use super::session::SessionRequest;
use super::settings::Flow;
use crate::message::{Message, Method, Name};

/// How long the application may take to answer a change of media.
const CHANGE_WITHIN: Duration = Duration::from_secs(5);

impl Ua {
    pub(super) fn inside(&mut self, now: Instant, id: u64, asking: Asking, out: &mut Vec<Action>) {
        let is_bye = asking.method == Method::Bye;
        // A BYE frees more than it takes.
        if !is_bye && self.server.len() >= self.settings.max_transactions.saturating_mul(2) {
            self.answer_stateless(asking.flow, &asking.request, Status::of(503), out);
            return;
        }
        let Some(call) = self.call_mut(id) else { return };
        let cseq = asking.request.cseq().map_or(0, |(number, _)| number);
        // RFC 3261 section 12.2.2.
        let is_late = call.dialog.remote_cseq.is_some_and(|last| cseq <= last) && !is_bye;
        if !is_late {
            call.dialog.remote_cseq = call.dialog.remote_cseq.max(Some(cseq));
        }
        call.dialog.adopt(asking.flow);
        let (is_over, tag) = (call.is_over, call.dialog.local_tag.clone());
        let tx = self.open(&asking);
        let Asking { request, method, flow, .. } = asking;
        let unsupported = unsupported(&request);
        let answer = |ua: &mut Self, status: Status<'_>, out: &mut Vec<Action>| {
            ua.finish(now, tx, &request, &tag, status, out);
        };
        match method {
            _ if is_late => answer(self, Status::of(500), out),
            _ if unsupported.is_some() => {
                let refused = unsupported.unwrap_or_default();
                answer(self, Status::with(420, &[(Name::Unsupported, &refused)]), out);
            }
            Method::Bye => {
                answer(self, Status::of(200), out);
                self.refuse_asked(now, id, Status::of(487), out);
                self.end(id, Ended::Bye, reason_of(&request), out);
                self.forget(id);
            }
            Method::Options => answer(self, Status::with(200, &ABILITIES), out),
            _ if is_over => answer(self, Status::of(481), out),
            Method::Invite | Method::Update => self.asked_to_change(now, id, tx, flow, request, out),
            Method::Info => {
                answer(self, Status::of(200), out);
                let (content_type, body) = body_of(&request);
                self.tell(id, UaEvent::Info { call: CallKey(id), content_type, body }, out);
            }
            Method::Notify => self.notified(now, id, tx, &request, out),
            Method::Refer => answer(self, Status::of(603), out),
            _ => answer(self, Status::with(405, &[(Name::Allow, ALLOW)]), out),
        }
    }

    /// A re-INVITE or UPDATE: other media, or nothing but a sign of life. Who speaks from elsewhere than the call's far end
    /// is answered as long as nothing changes by it.
    fn asked_to_change(&mut self, now: Instant, id: u64, tx: u64, flow: Flow, request: Message, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get(&id) else { return };
        let is_invite = request.method() == Some(&Method::Invite);
        let is_change = is_invite || !request.body.is_empty();
        let offer = sdp(&request);
        let is_stranger = !call.dialog.is_from(flow);
        let is_known = offer.is_some() && offer == call.remote_sdp;
        let tag = call.dialog.local_tag.clone();
        let retry_after = self.rng.u32(0..=10).to_string();
        let min_se = self.settings.min_se.as_secs().to_string();
        let refusal = if let Some(refusal) = unreadable_body(&request) {
            Some(refusal)
        } else if SessionRequest::of(&request).is_too_small(self.settings.min_se) {
            Some((422, vec![(Name::MinSe, &*min_se)]))
        } else if is_change && is_stranger && !is_known {
            Some((403, vec![]))
        } else if is_change && call.refresh.is_some() {
            Some((491, vec![]))
        } else if is_change && call.waits(is_invite) {
            // RFC 3261 section 14.2, RFC 3311 section 5.2.
            Some((500, vec![(Name::RetryAfter, &*retry_after)]))
        } else {
            None
        };
        if let Some((code, headers)) = refusal {
            self.finish(now, tx, &request, &tag, Status::with(code, &headers), out);
            return;
        }
        let Some(call) = self.call_mut(id) else { return };
        if !is_stranger {
            call.dialog.retarget(&request);
        }
        if request.value(Name::Allow).is_some() {
            call.can_update = request.lists(Name::Allow, "UPDATE");
        }
        if is_change {
            if is_invite {
                self.trying(tx, &request, out);
            }
            let Some(call) = self.call_mut(id) else { return };
            call.asked = Some(Asked { tx, request, until: now + CHANGE_WITHIN });
            if let Some(ours) = call.local_sdp.clone().filter(|_| is_stranger) {
                self.grant(now, id, ours, out);
                return;
            }
            self.tell(id, UaEvent::Changed { call: CallKey(id), sdp: offer }, out);
            return;
        }
        let (transport, sips) = (call.dialog.flow.transport, call.dialog.sips);
        let (response, agreed) = self.success(&request, &tag, &self.contact(transport, sips), None);
        if self.calls.get(&id).is_some_and(Call::is_up) {
            self.keep_session(now, id, agreed);
        }
        if let Some(transaction) = self.server_mut(tx) {
            transaction.finish(now, 200, response.to_bytes(), out);
        }
    }

    /// How a transfer goes (RFC 3515 section 2.4.4): a body that begins as the answer to the INVITE it led to.
    fn notified(&mut self, now: Instant, id: u64, tx: u64, request: &Message, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get(&id) else { return };
        let tag = call.dialog.local_tag.clone();
        let is_refer = request.value(Name::Event).is_some_and(|event| {
            event
                .split(|&byte| byte == b';')
                .next()
                .is_some_and(|event| event.trim_ascii().eq_ignore_ascii_case(b"refer"))
        });
        if !is_refer || call.transfer.is_none() {
            self.finish(now, tx, request, &tag, Status::of(481), out);
            return;
        }
        self.finish(now, tx, request, &tag, Status::of(200), out);
        let is_terminated = request
            .value(Name::SubscriptionState)
            .is_some_and(|state| state.get(..10).is_some_and(|state| state.eq_ignore_ascii_case(b"terminated")));
        match fragment_status(&request.body) {
            Some(200..=299) => self.transferred(id, Ok(()), out),
            Some(code) if code >= 300 => self.transferred(id, Err(code), out),
            // It tells no more: what became of it is not to be known.
            _ if is_terminated => self.transferred(id, Err(408), out),
            _ => {}
        }
    }
}

impl Call {
    /// Whether an offer of theirs has to wait: an earlier one is not answered, or an answer of ours not acknowledged.
    fn waits(&self, is_invite: bool) -> bool {
        let is_unacked = self.unacked.as_ref().is_some_and(|unacked| is_invite || unacked.is_offer);
        self.asked.is_some() || is_unacked || !self.is_up()
    }
}

/// The status in a `message/sipfrag`.
fn fragment_status(body: &[u8]) -> Option<u16> {
    let line = body.split(|&byte| matches!(byte, b'\r' | b'\n')).next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next().filter(|version| version.eq_ignore_ascii_case("SIP/2.0"))?;
    words.next()?.parse().ok().filter(|code| (100..700).contains(code))
}

fn body_of(request: &Message) -> (String, bytes::Bytes) {
    let media_type = request.value(Name::ContentType).unwrap_or_default();
    let media_type = media_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    (String::from_utf8_lossy(media_type).to_ascii_lowercase(), bytes::Bytes::copy_from_slice(&request.body))
}

impl super::dialog::Dialog {
    /// A connection of the same far end takes the place of one that is gone.
    pub(super) fn adopt(&mut self, flow: Flow) {
        let is_same = flow.transport == self.flow.transport && flow.peer.ip() == self.flow.peer.ip();
        if is_same && self.flow.connection.is_none() {
            self.flow.connection = flow.connection;
        }
    }
}
