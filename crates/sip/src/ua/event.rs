use std::net::SocketAddr;

use bytes::Bytes;

use super::settings::{Flow, Transport};

/// Names a call within one [`Ua`](super::Ua); never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(pub(super) u64);

/// What the agent wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this message there.
    Send {
        /// Where to.
        flow: Flow,
        /// The whole message.
        bytes: Bytes,
    },
    /// The application should know.
    Event(UaEvent),
}

/// What the application learns. A call that came or was placed ends with exactly one [`UaEvent::Ended`], after which
/// nothing is heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UaEvent {
    /// Someone calls. Answer with `accept` or `reject`; `ring` in between if it takes long.
    Incoming {
        /// The call.
        call: CallKey,
        /// What it says of itself.
        invite: Box<Invite>,
    },
    /// The far end has our answer: the call is up.
    Confirmed {
        /// The call.
        call: CallKey,
    },
    /// The far end wants other media (hold, another address); answer with `answer_change`. Without `sdp` it wants to
    /// hear our offer.
    Changed {
        /// The call.
        call: CallKey,
        /// Its offer.
        sdp: Option<Bytes>,
    },
    /// An INFO of the far end, such as a key (`application/dtmf-relay`); it is answered already.
    Info {
        /// The call.
        call: CallKey,
        /// Type of the body as written, in lower case, without parameters.
        content_type: String,
        /// The body.
        body: Bytes,
    },
    /// The call we placed rings.
    Ringing {
        /// The call.
        call: CallKey,
    },
    /// The far end answered an offer of ours: the call we placed is up, or what it says of its media is news, or the
    /// INVITE had no offer and we made one.
    Answered {
        /// The call.
        call: CallKey,
        /// Its answer; `None` if it gave none.
        sdp: Option<Bytes>,
    },
    /// The call is over; what has to be said to the far end about that is said.
    Ended {
        /// The call.
        call: CallKey,
        /// What ended it.
        why: Ended,
        /// The far end's Reason (RFC 3326), as written.
        reason_header: Option<String>,
    },
    /// What became of `refer`.
    Transferred {
        /// The call.
        call: CallKey,
        /// The status with which it failed.
        result: Result<(), u16>,
    },
    /// What a keep-alive met.
    Options {
        /// Whom it was sent to.
        target: OptionsTarget,
        /// It was answered, and not with 408 or 503.
        alive: bool,
    },
}

/// What ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The far end hung up.
    Bye,
    /// We hung up.
    HungUp,
    /// The caller hung up before the call was answered.
    Cancelled,
    /// Our 200 was never acknowledged.
    NoAck,
    /// The session was not refreshed in time (RFC 4028).
    SessionExpired,
    /// It was refused with this status, by whichever side.
    Refused(u16),
    /// The connection is lost and there is no other way to the far end.
    TransportLost,
    /// The far end did not answer, or not sensibly.
    Failed,
}

/// One end of a call as From or To names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// User part of the URI with `%` escapes resolved: a number, mostly.
    pub user: Option<String>,
    /// Display name, unquoted; an empty one is none.
    pub display: Option<String>,
}

/// A call that comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Its Call-ID.
    pub call_id: String,
    /// User part of the Request-URI with `%` escapes resolved.
    pub request_user: Option<String>,
    /// Who calls.
    pub from: Party,
    /// Who is called.
    pub to: Party,
    /// `x-*`, `user-to-user`, `diversion`, `history-info`, `p-asserted-identity`: lower-case name and value, in order.
    pub headers: Vec<(String, String)>,
    /// Its offer.
    pub sdp: Option<Bytes>,
    /// Where it came from.
    pub source: SocketAddr,
    /// By what.
    pub transport: Transport,
}

/// A call to place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingInvite {
    /// Whom to call, a `sip:` or `sips:` URI.
    pub uri: String,
    /// The way there.
    pub flow: Flow,
    /// Who calls, a URI; a trunk wants one of its own numbers in it.
    pub from: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Our offer.
    pub sdp: Bytes,
}

/// Whom to send a keep-alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionsTarget {
    /// The trunk's URI.
    pub uri: String,
    /// The way there.
    pub flow: Flow,
}
