//! How our answers look.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use super::Ua;
use super::event::Action;
use super::session::{Agreed, SessionRequest};
use super::settings::{Flow, Transport};
use crate::message::{Message, Method, Name, Refresher, Via};

/// What we take.
pub(super) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, NOTIFY";

/// What an OPTIONS is told.
pub(super) const ABILITIES: [(Name, &str); 3] =
    [(Name::Allow, ALLOW), (Name::Accept, "application/sdp"), (Name::Supported, "timer")];

/// What a status is called where nobody said otherwise.
pub(super) const fn phrase(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        415 => "Unsupported Media Type",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        603 => "Decline",
        _ => "Refused",
    }
}

/// Names the server transaction of a request (RFC 3261 section 17.2.3). The ACK of an answer other than 2xx has that of
/// its INVITE; so has its CANCEL if it is asked for by [`invite_key`].
pub(super) fn server_key(request: &Message, via: &Via) -> String {
    let method = request.method().filter(|method| **method != Method::Ack).unwrap_or(&Method::Invite);
    key(request, via, method)
}

/// The same for the INVITE that a CANCEL takes back.
pub(super) fn invite_key(request: &Message, via: &Via) -> String {
    key(request, via, &Method::Invite)
}

fn key(request: &Message, via: &Via, method: &Method) -> String {
    match via.branch.as_deref().filter(|branch| branch.starts_with(Via::MAGIC)) {
        Some(branch) => format!("{branch} {}:{} {method}", via.host, via.port.unwrap_or_default()),
        // RFC 2543 knew no branches that are unique.
        None => {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let top = request.values(Name::Via).next().map(text).unwrap_or_default();
            let cseq = request.cseq().map_or(0, |(number, _)| number);
            let from_tag = request.from_tag().unwrap_or_default();
            format!("{} {from_tag} {cseq} {top} {method}", text(request.call_id()))
        }
    }
}

/// What an answer says.
#[derive(Clone, Copy)]
pub(super) struct Status<'a> {
    pub(super) code: u16,
    pub(super) reason: &'a str,
    pub(super) headers: &'a [(Name, &'a str)],
}

impl<'a> Status<'a> {
    pub(super) const fn of(code: u16) -> Self {
        Self::with(code, &[])
    }

    pub(super) const fn with(code: u16, headers: &'a [(Name, &'a str)]) -> Self {
        Self { code, reason: phrase(code), headers }
    }
}

impl Ua {
    /// An answer to `request`, with our tag.
    pub(super) fn reply(&self, request: &Message, tag: &str, status: Status<'_>) -> Message {
        let mut response = Message::response_to(request, status.code, status.reason);
        response.add_to_tag(tag);
        response.push(Name::Server, &self.settings.user_agent);
        for (name, value) in status.headers {
            response.push(*name, value);
        }
        response
    }

    /// Answers a request and forgets it: asked again, the answer is the same (RFC 3261 section 8.2.7).
    pub(super) fn answer_stateless(&self, flow: Flow, request: &Message, status: Status<'_>, out: &mut Vec<Action>) {
        let response = self.reply(request, &self.stateless_tag(request), status);
        out.push(Action::Send { flow, bytes: response.to_bytes() });
    }

    /// The tag of whoever keeps nothing: of the request alone, but not to be foretold.
    pub(super) fn stateless_tag(&self, request: &Message) -> String {
        let mut hasher = DefaultHasher::new();
        self.secret.hash(&mut hasher);
        request.call_id().hash(&mut hasher);
        request.from_tag().hash(&mut hasher);
        request.value(Name::CSeq).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Where we are reached.
    pub(super) fn contact(&self, transport: Transport, sips: bool) -> String {
        let (user, host) = (&self.settings.contact_user, self.settings.contact_host.of(transport));
        let (scheme, parameter) = match transport {
            _ if sips => ("sips", ""),
            Transport::Udp => ("sip", ""),
            Transport::Tcp => ("sip", ";transport=tcp"),
            Transport::Tls => ("sip", ";transport=tls"),
        };
        format!("<{scheme}:{user}@{host}{parameter}>")
    }

    /// Says what we can do.
    pub(super) fn push_abilities(&self, message: &mut Message) {
        message.push(Name::Allow, ALLOW);
        message.push(Name::Supported, "timer");
    }

    /// The 200 to an INVITE or UPDATE, and what it agrees on about the session.
    pub(super) fn success(
        &self,
        request: &Message,
        local_tag: &str,
        contact: &str,
        sdp: Option<&Bytes>,
    ) -> (Message, Option<Agreed>) {
        let mut response = self.reply(request, local_tag, Status::of(200));
        response.copy(request, Name::RecordRoute);
        response.push(Name::Contact, contact);
        self.push_abilities(&mut response);
        let agreed = SessionRequest::of(request).agree(self.settings.session_expires);
        if let Some(agreed) = agreed {
            if agreed.refresher == Refresher::Uac {
                response.push(Name::Require, "timer");
            }
            response.push(Name::SessionExpires, agreed.to_header());
        }
        if let Some(sdp) = sdp {
            response.push(Name::ContentType, "application/sdp");
            response.body = sdp.clone();
        }
        (response, agreed)
    }
}
