//! What comes: to which transaction or call it belongs, and what is refused before it belongs anywhere.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::Ua;
use super::call::{Asked, Call, Phase, Unacked};
use super::dialog::Dialog;
use super::event::{Action, CallKey, Ended, Invite, Party, UaEvent};
use super::reply::{ABILITIES, ALLOW, Status, invite_key, phrase, server_key};
use super::server::ServerTransaction;
use super::session::SessionRequest;
use super::settings::{Flow, Transport};
use crate::message::digest::Verdict;
use crate::message::{BadMessage, Message, Method, Name, NameAddr, Via};

/// Seconds after which a caller that we have no room for may try again.
const RETRY_AFTER: &str = "5";

/// What the application sees of an INVITE's headers, besides all `X-` ones.
const TOLD: [&[u8]; 6] =
    [b"user-to-user", b"diversion", b"history-info", b"p-asserted-identity", b"traceparent", b"tracestate"];

/// A request that came, with what it is found by.
pub(super) struct Asking {
    pub(super) flow: Flow,
    /// Its top Via says where it came from.
    pub(super) request: Message,
    pub(super) method: Method,
    pub(super) via: Via,
    pub(super) key: String,
}

impl Ua {
    /// Takes a datagram. What keeps a way through a NAT open is no error.
    ///
    /// # Errors
    /// It cannot be read; its sender is told if that is possible.
    pub fn receive_datagram(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &Bytes,
        out: &mut Vec<Action>,
    ) -> Result<(), BadMessage> {
        let flow = Flow::udp(source);
        match Message::parse(datagram) {
            Ok(message) => self.receive(now, flow, message, out),
            Err(BadMessage::Empty) => {}
            Err(why) => {
                if let Some(refusal) = why.refusal(datagram) {
                    self.refuse(flow, refusal, out);
                }
                return Err(why);
            }
        }
        Ok(())
    }

    /// Takes a message and says what is to be done.
    pub fn receive(&mut self, now: Instant, flow: Flow, mut message: Message, out: &mut Vec<Action>) {
        if message.code().is_some() {
            self.response(now, flow, &message, out);
        } else if let (Some(method), Ok(via)) = (message.method().cloned(), message.via()) {
            let key = server_key(&message, &via);
            message.note_source(flow.peer);
            self.request(now, Asking { flow, request: message, method, via, key }, out);
        }
        self.settle();
    }

    /// Sends the answer to a request that could not be read, as [`BadMessage::refusal`] or a stream's framer made it.
    pub fn refuse(&self, flow: Flow, mut refusal: Message, out: &mut Vec<Action>) {
        refusal.note_source(flow.peer);
        refusal.add_to_tag(&self.stateless_tag(&refusal));
        refusal.push(Name::Server, &self.settings.user_agent);
        out.push(Action::Send { flow, bytes: refusal.to_bytes() });
    }

    fn request(&mut self, now: Instant, asking: Asking, out: &mut Vec<Action>) {
        let known = self.server.find(&asking.key);
        if asking.method == Method::Ack {
            let is_taken = known.and_then(|id| self.server_mut(id)).is_some_and(|transaction| transaction.ack(now));
            if !is_taken {
                self.acknowledged(now, &asking, out);
            }
            return;
        }
        if let Some(transaction) = known.and_then(|id| self.server.get(id)) {
            transaction.again(out);
            return;
        }
        if asking.method == Method::Cancel {
            self.cancelled(now, &asking, out);
            return;
        }
        match asking.request.to_tag() {
            Some(tag) => match self.find_call(&tag, &asking.request) {
                Some(id) => self.inside(now, id, asking, out),
                None => self.answer_stateless(asking.flow, &asking.request, Status::of(481), out),
            },
            None => self.outside(now, asking, out),
        }
    }

    /// The call to whose dialog a message of the far end belongs.
    pub(super) fn find_call(&self, our_tag: &str, message: &Message) -> Option<u64> {
        let id = *self.tags.get(our_tag)?;
        self.calls.get(&id).filter(|call| call.dialog.is_of(message)).map(|_| id)
    }

    /// A request that belongs to no call.
    fn outside(&mut self, now: Instant, asking: Asking, out: &mut Vec<Action>) {
        let Asking { flow, request, method, .. } = &asking;
        let flow = *flow;
        if let Some(refused) = unsupported(request) {
            self.answer_stateless(flow, request, Status::with(420, &[(Name::Unsupported, &refused)]), out);
            return;
        }
        match method {
            Method::Invite => self.invited(now, asking, out),
            Method::Options => self.answer_stateless(flow, request, Status::with(200, &ABILITIES), out),
            // They make no sense without a call.
            Method::Bye | Method::Update | Method::Info | Method::Notify => {
                self.answer_stateless(flow, request, Status::of(481), out);
            }
            _ => self.answer_stateless(flow, request, Status::with(405, &[(Name::Allow, ALLOW)]), out),
        }
    }

    fn invited(&mut self, now: Instant, asking: Asking, out: &mut Vec<Action>) {
        let Asking { flow, request, .. } = &asking;
        let flow = *flow;
        if let Some(challenges) = self.challenges(now, flow, request) {
            let headers: Vec<_> = challenges.iter().map(|value| (Name::WwwAuthenticate, value.as_str())).collect();
            self.answer_stateless(flow, request, Status::with(401, &headers), out);
            return;
        }
        let origin = (Bytes::copy_from_slice(request.call_id()), request.from_tag().unwrap_or_default());
        let min_se = self.settings.min_se.as_secs().to_string();
        // RFC 3261 section 8.2.2.2: it came on two ways, the first is being answered.
        let refusal = if self.origins.contains_key(&origin) {
            Some((482, vec![]))
        } else if !matches!(request.contact(), Ok(Some(_))) || request.routes(Name::RecordRoute).is_err() {
            Some((400, vec![]))
        } else if let Some(refusal) = unreadable_body(request) {
            Some(refusal)
        } else if SessionRequest::of(request).is_too_small(self.settings.min_se) {
            Some((422, vec![(Name::MinSe, &*min_se)]))
        } else if self.is_full(flow) {
            Some((503, vec![(Name::RetryAfter, RETRY_AFTER)]))
        } else {
            None
        };
        if let Some((code, headers)) = refusal {
            self.answer_stateless(flow, request, Status::with(code, &headers), out);
            return;
        }
        let (id, tag) = (self.next_id(), self.token());
        let mut call = Call::new(Dialog::answering(request, flow, tag.clone()), Phase::Incoming, Some(origin.clone()));
        call.can_update = request.lists(Name::Allow, "UPDATE");
        call.remote_sdp = sdp(request);
        let invite = Box::new(tell_of(request, flow));
        let tx = self.open(&asking);
        self.trying(tx, &asking.request, out);
        call.asked = Some(Asked { tx, request: asking.request, until: now + self.settings.answer_within });
        self.tags.insert(tag, id);
        self.origins.insert(origin, id);
        self.sources.add(call.source);
        self.calls.insert(id, call);
        self.call_mut(id);
        out.push(Action::Event(UaEvent::Incoming { call: CallKey(id), invite }));
    }

    /// What a caller is asked who has not shown that he knows the password.
    fn challenges(&self, now: Instant, flow: Flow, request: &Message) -> Option<Vec<String>> {
        let (guard, since) = self.guard.as_ref()?;
        let (source, now_s) = (flow.peer.ip(), now.saturating_duration_since(*since).as_secs());
        let verdict = guard.check(request, source, now_s);
        let challenges = guard.challenges(source, now_s, verdict == Verdict::Stale);
        let is_asked = !matches!(verdict, Verdict::Accepted { .. });
        is_asked.then(|| challenges.map(|challenge| challenge.to_string()).collect())
    }

    fn is_full(&self, flow: Flow) -> bool {
        self.calls.len() >= self.settings.max_dialogs
            || self.sources.count(&flow.peer.ip()) >= self.settings.max_per_source
            || self.server.len() >= self.settings.max_transactions
            || self.askers.count(&flow.peer.ip()) >= self.settings.max_transactions_per_source
    }

    /// Begins a server transaction.
    pub(super) fn open(&mut self, asking: &Asking) -> u64 {
        let Flow { transport, peer, .. } = asking.flow;
        let port = asking.via.port.unwrap_or(transport.default_port());
        let fallback = Flow { transport, peer: SocketAddr::new(peer.ip(), port), connection: None };
        let fallback = if transport == Transport::Udp { asking.flow } else { fallback };
        let id = self.next_id();
        let transaction = ServerTransaction::new(asking.flow, fallback, asking.method == Method::Invite);
        self.server.insert(id, asking.key.clone(), transaction);
        self.askers.add(peer.ip());
        self.server_mut(id);
        id
    }

    /// Tells at once that an INVITE is here, so that it is not sent again.
    pub(super) fn trying(&mut self, tx: u64, request: &Message, out: &mut Vec<Action>) {
        let response = Message::response_to(request, 100, phrase(100)).to_bytes();
        if let Some(transaction) = self.server_mut(tx) {
            transaction.provisional(response, out);
        }
    }

    /// A CANCEL is between two neighbours: it has the branch of the INVITE.
    fn cancelled(&mut self, now: Instant, asking: &Asking, out: &mut Vec<Action>) {
        let Asking { flow, request, via, .. } = asking;
        let Some(tx) = self.server.find(&invite_key(request, via)) else {
            self.answer_stateless(*flow, request, Status::of(481), out);
            return;
        };
        let asked = |call: &Call| call.asked.as_ref().is_some_and(|asked| asked.tx == tx);
        let owner = self.calls.iter().find(|(_, call)| asked(call)).map(|(&id, _)| id);
        let tag = owner.and_then(|id| self.calls.get(&id)).map(|call| call.dialog.local_tag.clone());
        let tag = tag.unwrap_or_else(|| self.stateless_tag(request));
        let response = self.reply(request, &tag, Status::of(200)).to_bytes();
        out.push(Action::Send { flow: *flow, bytes: response });
        // One that is answered already is not taken back by it.
        let Some(id) = owner else { return };
        self.refuse_asked(now, id, Status::of(487), out);
        if self.calls.get(&id).is_some_and(Call::is_incoming) {
            self.end(id, Ended::Cancelled, reason_of(request), out);
            self.forget(id);
        }
    }

    /// The ACK of a 2xx.
    fn acknowledged(&mut self, now: Instant, asking: &Asking, out: &mut Vec<Action>) {
        let Asking { request, .. } = asking;
        let Some(id) = request.to_tag().and_then(|tag| self.find_call(&tag, request)) else { return };
        let Some(call) = self.call_mut(id) else { return };
        let Ok((cseq, _)) = request.cseq() else { return };
        let is_stranger = !call.dialog.is_from(asking.flow);
        // What a stranger says of the far end's media does not count.
        let fits = |unacked: &mut Unacked| unacked.cseq == cseq && !(unacked.is_offer && is_stranger);
        let Some(unacked) = call.unacked.take_if(fits) else { return };
        let answer = sdp(request);
        if unacked.is_offer && answer.is_some() {
            call.remote_sdp.clone_from(&answer);
        }
        if unacked.is_first {
            self.tell(id, UaEvent::Confirmed { call: CallKey(id) }, out);
        }
        if unacked.is_offer {
            self.tell(id, UaEvent::Answered { call: CallKey(id), sdp: answer }, out);
        }
        self.hang_up_if_wanted(now, id, out);
    }
}

/// The extensions a request insists on that we have not.
pub(super) fn unsupported(request: &Message) -> Option<String> {
    let refused: Vec<_> = request
        .values(Name::Require)
        .filter(|option| !option.eq_ignore_ascii_case(b"timer"))
        .map(|option| String::from_utf8_lossy(option).into_owned())
        .collect();
    (!refused.is_empty()).then(|| refused.join(", "))
}

/// A body that is no SDP, or is packed.
pub(super) fn unreadable_body(request: &Message) -> Option<(u16, Vec<(Name, &'static str)>)> {
    let is_packed = request.values(Name::ContentEncoding).any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    let is_other = request.value(Name::ContentType).is_some() && !request.is_content_type("application/sdp");
    let is_unreadable = !request.body.is_empty() && (is_packed || is_other);
    is_unreadable.then(|| (415, vec![(Name::Accept, "application/sdp")]))
}

/// The body, where it is SDP.
pub(super) fn sdp(message: &Message) -> Option<Bytes> {
    let is_sdp = message.value(Name::ContentType).is_none() || message.is_content_type("application/sdp");
    // Not a slice: it would keep the whole datagram.
    Some(&message.body).filter(|body| is_sdp && !body.is_empty()).map(|body| Bytes::copy_from_slice(body))
}

/// The Reason as written.
pub(super) fn reason_of(message: &Message) -> Option<String> {
    message.value(Name::Reason).map(|reason| String::from_utf8_lossy(reason).into_owned())
}

fn tell_of(request: &Message, flow: Flow) -> Invite {
    let party = |address: NameAddr| Party { user: address.uri.user, display: address.display };
    let told = request.headers().filter_map(|header| {
        let name = header.name_bytes().to_ascii_lowercase();
        let is_told = name.starts_with(b"x-") || TOLD.contains(&name.as_slice());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        is_told.then(|| (text(&name), text(header.value())))
    });
    Invite {
        call_id: String::from_utf8_lossy(request.call_id()).into_owned(),
        request_user: request.request_uri().ok().and_then(|uri| uri.user),
        from: request.from().map(party).unwrap_or_default(),
        to: request.to().map(party).unwrap_or_default(),
        headers: told.collect(),
        sdp: sdp(request),
        source: flow.peer,
        transport: flow.transport,
    }
}
