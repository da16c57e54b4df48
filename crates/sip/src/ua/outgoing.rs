//! What we ask for: calls, keep-alives, refreshes, transfers.

use std::time::{Duration, Instant};

use super::Ua;
use super::call::{Call, Cancel, Phase, Transfer};
use super::client::{ClientTransaction, Purpose};
use super::dialog::Dialog;
use super::event::{Action, CallKey, OptionsTarget, OutgoingInvite, UaEvent};
use super::session::Agreed;
use super::settings::Flow;
use crate::message::{Message, Method, Name, NameAddr, Refresher, Uri, Via};

/// A refresh waits that long for what the far end asked for meanwhile.
const AFTER_THEIRS: Duration = Duration::from_secs(2);

impl Ua {
    /// Places a call. What comes of it: [`UaEvent::Ringing`], [`UaEvent::Answered`] or [`UaEvent::Ended`].
    pub fn invite(&mut self, now: Instant, target: OutgoingInvite, out: &mut Vec<Action>) -> CallKey {
        let OutgoingInvite { uri, flow, from, headers, sdp } = target;
        let mut dialog = self.new_dialog(&uri, &from, flow);
        let mut request = dialog.request(Method::Invite);
        request.push(Name::Contact, self.contact(flow.transport, dialog.sips));
        self.push_abilities(&mut request);
        self.push_session(&mut request, self.settings.session_expires, None);
        for (name, value) in headers {
            // What is no name of a header is left out rather than sent to be refused.
            let _ = request.push_named(&name, value);
        }
        request.push(Name::ContentType, "application/sdp");
        request.body = sdp.clone();
        let id = self.next_id();
        let tag = dialog.local_tag.clone();
        let tx = self.send(now, Purpose::Invite(id), request, flow, out);
        let until = now + self.settings.ring_for;
        let phase = Phase::Calling { tx, until, cancel: Cancel::No, is_ringing: false };
        let mut call = Call::new(dialog, phase, None);
        call.local_sdp = Some(sdp);
        self.sources.add(call.source);
        self.tags.insert(tag, id);
        self.calls.insert(id, call);
        self.call_mut(id);
        self.settle();
        CallKey(id)
    }

    /// Asks a trunk whether it is there: [`UaEvent::Options`].
    pub fn options(&mut self, now: Instant, target: OptionsTarget, out: &mut Vec<Action>) {
        let flow = target.flow;
        let from = format!("sip:{}@{}", self.settings.contact_user, self.settings.contact_host.of(flow.transport));
        let mut dialog = self.new_dialog(&target.uri, &from, flow);
        let mut request = dialog.request(Method::Options);
        request.push(Name::Contact, self.contact(flow.transport, dialog.sips));
        request.push(Name::Accept, "application/sdp");
        self.send(now, Purpose::Options(target), request, flow, out);
        self.settle();
    }

    /// Asks the far end to call `to`, a URI, in our place (RFC 3515): [`UaEvent::Transferred`]. The call goes on until
    /// either side hangs up.
    pub fn refer(&mut self, now: Instant, call: CallKey, to: &str, out: &mut Vec<Action>) {
        let refusal = match self.calls.get(&call.0) {
            Some(Call { is_over: true, .. }) | None => return,
            Some(call) if !call.is_up() || call.unacked.is_some() => Some(481),
            Some(call) if call.transfer.is_some() => Some(491),
            Some(_) => Uri::parse(to.as_bytes()).err().map(|_| 400),
        };
        if let Some(code) = refusal {
            self.tell(call.0, UaEvent::Transferred { call, result: Err(code) }, out);
            return;
        }
        let until = now + self.settings.transfer_within;
        let Some(it) = self.call_mut(call.0) else { return };
        let flow = it.dialog.way();
        let sips = it.dialog.sips;
        let mut request = it.dialog.request(Method::Refer);
        it.transfer = Some(Transfer { until, is_accepted: false });
        let by = request.value(Name::From).and_then(NameAddr::parse).map(|from| from.uri);
        request.push(Name::ReferTo, format!("<{to}>"));
        if let Some(by) = by {
            request.push(Name::ReferredBy, [b"<", by.as_bytes(), b">"].concat());
        }
        request.push(Name::Contact, self.contact(flow.transport, sips));
        self.push_abilities(&mut request);
        self.send(now, Purpose::Refer(call.0), request, flow, out);
        self.settle();
    }

    /// Tells the far end that we are still there: an UPDATE where it takes that, otherwise an INVITE that changes nothing.
    pub(super) fn refresh(&mut self, now: Instant, id: u64, out: &mut Vec<Action>) {
        let Some(call) = self.call_mut(id) else { return };
        let is_busy = call.asked.is_some() || call.unacked.is_some();
        let Some(session) = call.session.as_mut().filter(|_| !call.is_over) else { return };
        if is_busy {
            session.retry_at(now + AFTER_THEIRS);
            return;
        }
        session.refreshing();
        let interval = session.interval;
        let method = if call.can_update { Method::Update } else { Method::Invite };
        let sdp = call.local_sdp.clone().filter(|_| method == Method::Invite);
        let mut request = call.dialog.request(method);
        let (flow, sips) = (call.dialog.way(), call.dialog.sips);
        request.push(Name::Contact, self.contact(flow.transport, sips));
        self.push_abilities(&mut request);
        self.push_session(&mut request, interval, Some(Refresher::Uac));
        if let Some(sdp) = sdp {
            request.push(Name::ContentType, "application/sdp");
            request.body = sdp;
        }
        let tx = self.send(now, Purpose::Refresh(id), request, flow, out);
        if let Some(call) = self.call_mut(id) {
            call.refresh = Some(tx);
        }
    }

    /// Sends a request and waits for its answer. One without a Via gets ours.
    pub(super) fn send(
        &mut self,
        now: Instant,
        purpose: Purpose,
        mut request: Message,
        flow: Flow,
        out: &mut Vec<Action>,
    ) -> u64 {
        if request.value(Name::Via).is_none() {
            let branch = self.branch(flow);
            request.push_front(Name::Via, branch);
        }
        request.set(Name::UserAgent, &self.settings.user_agent);
        let key = request.via().map(|via| client_key(&via, request.method())).unwrap_or_default();
        let id = self.next_id();
        self.client.insert(id, key, ClientTransaction::new(now, purpose, request, flow, out));
        self.client_mut(id);
        id
    }

    /// A Via of ours, with a branch of its own.
    pub(super) fn branch(&mut self, flow: Flow) -> String {
        let token = self.token();
        let host = self.settings.contact_host.of(flow.transport);
        format!("SIP/2.0/{} {host};branch={}{token};rport", flow.transport.as_str(), Via::MAGIC)
    }

    /// What we ask for about the session.
    fn push_session(&self, request: &mut Message, interval: Duration, refresher: Option<Refresher>) {
        let value = match refresher {
            Some(refresher) => Agreed { interval, refresher }.to_header(),
            None => interval.as_secs().to_string(),
        };
        request.push(Name::SessionExpires, value);
        request.push(Name::MinSe, self.settings.min_se.as_secs().to_string());
    }

    fn new_dialog(&mut self, uri: &str, from: &str, flow: Flow) -> Dialog {
        let tag = self.token();
        let call_id = format!("{}{}", self.token(), self.token());
        Dialog::calling(uri, format!("<{from}>;tag={tag}"), tag, call_id, flow)
    }
}

/// Names the client transaction of a request of ours, in it and in its answers.
pub(super) fn client_key(via: &Via, method: Option<&Method>) -> String {
    format!("{} {}", via.branch.as_deref().unwrap_or_default(), method.map_or("", Method::as_str))
}
