//! What the far end answers to what we asked for.

use std::time::{Duration, Instant};

use super::Ua;
use super::call::{Call, Cancel, Phase};
use super::client::{ClientTransaction, Purpose, Verdict};
use super::dialog::Dialog;
use super::event::{Action, CallKey, Ended, UaEvent};
use super::hangup::hop_by_hop;
use super::incoming::{reason_of, sdp};
use super::outgoing::client_key;
use super::session::{Agreed, SessionTimer, agreed};
use super::settings::Flow;
use crate::message::digest::{Account, Challenge};
use crate::message::{Message, Method, Name, Refresher};

/// Most tries of one request: with credentials, with a longer session.
const MAX_TRIES: u8 = 3;

impl Ua {
    pub(super) fn response(&mut self, now: Instant, flow: Flow, response: &Message, out: &mut Vec<Action>) {
        let (Ok(via), Ok((_, method)), Some(code)) = (response.via(), response.cseq(), response.code()) else { return };
        let Some(id) = self.client.find(&client_key(&via, Some(&method))) else { return };
        let to_tag = response.to_tag().unwrap_or_default();
        let Some(transaction) = self.client_mut(id) else { return };
        if flow.transport == transaction.flow.transport {
            transaction.flow.connection = flow.connection;
        }
        if transaction.response(now, code, &to_tag, out) == Verdict::Known {
            return;
        }
        if method == Method::Invite && code >= 300 {
            let mut ack = hop_by_hop(&transaction.request, Method::Ack);
            ack.set(Name::To, response.value(Name::To).unwrap_or_default());
            transaction.acknowledge(ack.to_bytes(), out);
        }
        if code >= 200 && self.try_again(now, id, code, response, out) {
            return;
        }
        let Some(purpose) = self.client.get(id).map(|transaction| transaction.purpose.clone()) else { return };
        match purpose {
            Purpose::Invite(call) => match code {
                100..=199 => self.progress(now, call, code, out),
                200..=299 => self.answered(now, id, call, flow, response, out),
                _ => self.refused(call, code, response, out),
            },
            Purpose::Refresh(call) => self.refreshed(now, id, call, code, response, out),
            Purpose::Bye(call) if code >= 200 => self.forget(call),
            Purpose::Refer(call) => self.referred(now, call, code, out),
            Purpose::Options(target) if code >= 200 => {
                out.push(Action::Event(UaEvent::Options { target, alive: !matches!(code, 408 | 503) }));
            }
            Purpose::Bye(_) | Purpose::Options(_) | Purpose::Orphan => {}
        }
    }

    /// A request of ours got no answer, or could not be sent: its connection `is_lost`.
    pub(super) fn unanswered(&mut self, now: Instant, id: u64, is_lost: bool, out: &mut Vec<Action>) {
        let Some(purpose) = self.client.get(id).map(|transaction| transaction.purpose.clone()) else { return };
        match purpose {
            Purpose::Invite(call) => {
                self.end(call, if is_lost { Ended::TransportLost } else { Ended::Failed }, None, out);
                self.forget(call);
            }
            Purpose::Refresh(call) => {
                let Some(it) = self.call_mut(call).filter(|it| it.refresh == Some(id)) else { return };
                it.refresh = None;
                match &mut it.session {
                    Some(session) if is_lost => session.retry(now),
                    // RFC 4028 section 10.
                    _ => self.leave(now, call, Ended::SessionExpired, None, out),
                }
            }
            Purpose::Bye(call) => self.forget(call),
            Purpose::Refer(call) => self.transferred(call, Err(408), out),
            Purpose::Options(target) => out.push(Action::Event(UaEvent::Options { target, alive: false })),
            Purpose::Orphan => {}
        }
    }

    fn progress(&mut self, now: Instant, id: u64, code: u16, out: &mut Vec<Action>) {
        if let Some(Call { phase: Phase::Calling { is_ringing, .. }, .. }) = self.call_mut(id)
            && code == 180
            && !std::mem::replace(is_ringing, true)
        {
            self.tell(id, UaEvent::Ringing { call: CallKey(id) }, out);
        }
        self.cancel_if_wanted(now, id, out);
    }

    /// A 2xx to our INVITE, of the first who answers or of another branch of a fork.
    fn answered(&mut self, now: Instant, tx: u64, id: u64, flow: Flow, response: &Message, out: &mut Vec<Action>) {
        let Some(transaction) = self.client.get(tx) else { return };
        let mut dialog = Dialog::answered(&transaction.request, response, transaction.flow, flow);
        self.acknowledge(tx, &dialog, out);
        let is_first = |call: &Call| matches!(call.phase, Phase::Calling { tx: ours, .. } if ours == tx);
        let Some(call) = self.call_mut(id).filter(|call| is_first(call)) else {
            // RFC 3261 section 13.2.2.4: who answers second is told that it is over.
            let (request, flow) = (dialog.request(Method::Bye), dialog.way());
            self.send(now, Purpose::Orphan, request, flow, out);
            return;
        };
        call.dialog = dialog;
        call.phase = Phase::Up;
        call.can_update = response.lists(Name::Allow, "UPDATE");
        let answer = sdp(response);
        call.remote_sdp.clone_from(&answer);
        if call.is_over {
            self.hang_up_if_wanted(now, id, out);
            return;
        }
        self.renew(now, id, response);
        self.tell(id, UaEvent::Answered { call: CallKey(id), sdp: answer }, out);
    }

    /// The ACK of a 2xx: along the dialog, with the INVITE's number and credentials.
    fn acknowledge(&mut self, tx: u64, dialog: &Dialog, out: &mut Vec<Action>) {
        let Some(invite) = self.client.get(tx).map(|transaction| transaction.request.clone()) else { return };
        let mut ack = dialog.numbered(Method::Ack, invite.cseq().map_or(0, |(number, _)| number));
        ack.copy(&invite, Name::Authorization);
        ack.copy(&invite, Name::ProxyAuthorization);
        let flow = dialog.way();
        let branch = self.branch(flow);
        ack.push_front(Name::Via, branch);
        if let Some(transaction) = self.client_mut(tx) {
            transaction.acknowledge_success(
                dialog.remote_tag.as_deref().unwrap_or_default(),
                flow,
                ack.to_bytes(),
                out,
            );
        }
    }

    fn refused(&mut self, id: u64, code: u16, response: &Message, out: &mut Vec<Action>) {
        self.end(id, Ended::Refused(code), reason_of(response), out);
        self.forget(id);
    }

    /// An answer to a refresh.
    fn refreshed(&mut self, now: Instant, tx: u64, id: u64, code: u16, response: &Message, out: &mut Vec<Action>) {
        let Some(transaction) = self.client.get(tx) else { return };
        let is_invite = transaction.is_invite();
        if is_invite && (200..=299).contains(&code) {
            let dialog = Dialog::answered(&transaction.request, response, transaction.flow, transaction.flow);
            let dialog = dialog.along(&transaction.request);
            self.acknowledge(tx, &dialog, out);
        }
        let Some(call) = self.call_mut(id).filter(|call| code >= 200 && call.refresh == Some(tx)) else { return };
        call.refresh = None;
        if (200..=299).contains(&code) {
            call.dialog.retarget(response);
            let answer = sdp(response).filter(|sdp| is_invite && call.remote_sdp.as_ref() != Some(sdp));
            self.renew(now, id, response);
            if let Some(sdp) = answer {
                if let Some(call) = self.call_mut(id) {
                    call.remote_sdp = Some(sdp.clone());
                }
                self.tell(id, UaEvent::Answered { call: CallKey(id), sdp: Some(sdp) }, out);
            }
            return;
        }
        if matches!(code, 408 | 481) {
            self.leave(now, id, Ended::SessionExpired, None, out);
            return;
        }
        // Who made the Call-ID waits longer (RFC 3261 section 14.1).
        let is_ours = call.origin.is_none();
        let ms = if is_ours { self.rng.u64(2_100..=4_000) } else { self.rng.u64(100..=2_000) };
        let Some(call) = self.call_mut(id) else { return };
        let knows_no_update = matches!(code, 405 | 501) && !is_invite;
        if knows_no_update {
            call.can_update = false;
        }
        match &mut call.session {
            Some(session) if knows_no_update => session.retry_at(now),
            Some(session) if code == 491 => session.retry_at(now + Duration::from_millis(ms)),
            Some(session) => session.retry(now),
            None => {}
        }
    }

    fn referred(&mut self, now: Instant, id: u64, code: u16, out: &mut Vec<Action>) {
        match code {
            100..=199 => {}
            200..=299 => {
                let until = now + self.settings.transfer_within;
                if let Some(transfer) = self.call_mut(id).and_then(|call| call.transfer.as_mut()) {
                    transfer.is_accepted = true;
                    transfer.until = until;
                }
            }
            _ => self.transferred(id, Err(code), out),
        }
    }

    /// What the far end's 2xx says about the session replaces what was before. Less than our Min-SE it may not say.
    fn renew(&mut self, now: Instant, id: u64, response: &Message) {
        let least = self.settings.min_se;
        if let Some(call) = self.call_mut(id) {
            let we_refresh = |it: &Agreed| it.refresher == Refresher::Uac;
            call.session = agreed(response).map(|it| SessionTimer::new(now, it.interval.max(least), we_refresh(&it)));
        }
    }

    /// Sends a request again with what its refusal asks for: credentials, or a longer session.
    fn try_again(&mut self, now: Instant, id: u64, code: u16, response: &Message, out: &mut Vec<Action>) -> bool {
        let Some(ClientTransaction { purpose, request, flow, tries, authorised, .. }) = self.client.get(id) else {
            return false;
        };
        let (purpose, mut request, flow, tries, mut authorised) =
            (purpose.clone(), request.clone(), *flow, *tries, *authorised);
        if tries >= MAX_TRIES || self.is_unwanted(&purpose, id) {
            return false;
        }
        match code {
            401 | 407 if !authorised => {
                let Some((name, credentials)) = self.credentials(&request, response) else { return false };
                request.set(name, credentials);
                authorised = true;
            }
            422 => {
                let asked = request.session_expires().ok().flatten();
                let least = response.min_se().ok().flatten();
                let Some((asked, least)) = asked.zip(least).filter(|(asked, least)| asked.seconds < *least) else {
                    return false;
                };
                let role = asked.refresher.map_or("", |_| ";refresher=uac");
                request.set(Name::SessionExpires, format!("{least}{role}"));
                request.set(Name::MinSe, least.to_string());
            }
            _ => return false,
        }
        let Ok((number, method)) = request.cseq() else { return false };
        let number = match self.call_of(&purpose) {
            Some(call) => {
                call.dialog.local_cseq += 1;
                call.dialog.local_cseq
            }
            None => number + 1,
        };
        request.set(Name::CSeq, format!("{number} {method}"));
        request.remove(Name::Via);
        let next = self.send(now, purpose.clone(), request, flow, out);
        if let Some(transaction) = self.client_mut(next) {
            transaction.tries = tries + 1;
            transaction.authorised = authorised;
        }
        match self.call_of(&purpose) {
            Some(Call { phase: Phase::Calling { tx, .. }, .. }) => *tx = next,
            Some(call) if call.refresh == Some(id) => call.refresh = Some(next),
            _ => {}
        }
        true
    }

    /// Whether nobody waits for the answer any more.
    fn is_unwanted(&self, purpose: &Purpose, tx: u64) -> bool {
        match purpose {
            Purpose::Invite(call) => self.calls.get(call).is_none_or(
                |call| !matches!(call.phase, Phase::Calling { tx: ours, cancel: Cancel::No, .. } if ours == tx),
            ),
            Purpose::Refresh(call) => self.calls.get(call).is_none_or(|call| call.refresh != Some(tx)),
            Purpose::Refer(call) => self.calls.get(call).is_none_or(|call| call.transfer.is_none()),
            Purpose::Bye(call) => !self.calls.contains_key(call),
            Purpose::Options(_) => false,
            Purpose::Orphan => true,
        }
    }

    fn call_of(&mut self, purpose: &Purpose) -> Option<&mut Call> {
        match purpose {
            Purpose::Invite(id) | Purpose::Refresh(id) | Purpose::Bye(id) | Purpose::Refer(id) => self.call_mut(*id),
            Purpose::Options(_) | Purpose::Orphan => None,
        }
    }

    fn credentials(&mut self, request: &Message, challenge: &Message) -> Option<(Name, String)> {
        let cnonce = self.token();
        let ours = self.settings.digest.as_ref()?;
        let (name, challenge) = Challenge::first_of(challenge)?;
        if ours.realm.as_ref().is_some_and(|realm| *realm != challenge.realm) {
            return None;
        }
        let account = Account { username: ours.username.clone(), password: ours.password.clone() };
        let uri = request.request_uri().ok()?;
        let uri = std::str::from_utf8(uri.as_bytes()).ok()?;
        let answer = challenge.answer(&account, request.method()?, uri, &cnonce, 1);
        Some((name, answer.to_string()))
    }
}
