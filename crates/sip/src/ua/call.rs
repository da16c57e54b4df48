use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use super::dialog::Dialog;
use super::schedule::{Backoff, earliest};
use super::session::SessionTimer;
use super::settings::Flow;
use crate::message::Message;

/// Call-ID and From tag of an INVITE: two with the same are one that came two ways.
pub(super) type Origin = (Bytes, String);

/// A call from its INVITE until nothing is left to be said.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) dialog: Dialog,
    pub(super) phase: Phase,
    /// Counted under this address.
    pub(super) source: IpAddr,
    /// Of a call that came in.
    pub(super) origin: Option<Origin>,
    /// The application was told that it is over.
    pub(super) is_over: bool,
    /// What the far end wants and the application has not answered.
    pub(super) asked: Option<Asked>,
    /// Our 2xx to an INVITE that is not acknowledged.
    pub(super) unacked: Option<Unacked>,
    /// We want to hang up with that Reason, once our 2xx is acknowledged (RFC 3261 section 15.1.1).
    pub(super) hangup: Option<Option<String>>,
    pub(super) session: Option<SessionTimer>,
    /// The transaction of our refresh.
    pub(super) refresh: Option<u64>,
    pub(super) transfer: Option<Transfer>,
    /// What we last said of our media, and the far end of its own.
    pub(super) local_sdp: Option<Bytes>,
    pub(super) remote_sdp: Option<Bytes>,
    /// The far end takes UPDATE.
    pub(super) can_update: bool,
}

/// How far a call is.
#[derive(Debug)]
pub(super) enum Phase {
    /// It came and is not answered.
    Incoming,
    /// Ours is not answered.
    Calling { tx: u64, until: Instant, cancel: Cancel, is_ringing: bool },
    /// Answered.
    Up,
    /// We said BYE.
    Leaving,
}

/// Whether a call of ours is being taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    No,
    /// As soon as a provisional answer came.
    Wanted,
    Sent,
}

/// An INVITE, or an UPDATE with an offer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) tx: u64,
    pub(super) request: Message,
    pub(super) until: Instant,
}

/// A 2xx to an INVITE: sent again until it is acknowledged, on every transport (RFC 3261 section 13.3.1.4).
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) cseq: u32,
    pub(super) tx: u64,
    pub(super) flow: Flow,
    pub(super) bytes: Bytes,
    pub(super) again: Backoff,
    pub(super) until: Instant,
    /// It answers the INVITE that made the call.
    pub(super) is_first: bool,
    /// Its SDP is an offer: the INVITE had none.
    pub(super) is_offer: bool,
}

/// A REFER of ours.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) until: Instant,
    /// The far end takes it on.
    pub(super) is_accepted: bool,
}

impl Call {
    pub(super) fn new(dialog: Dialog, phase: Phase, origin: Option<Origin>) -> Self {
        Self {
            source: dialog.flow.peer.ip(),
            dialog,
            phase,
            origin,
            is_over: false,
            asked: None,
            unacked: None,
            hangup: None,
            session: None,
            refresh: None,
            transfer: None,
            local_sdp: None,
            remote_sdp: None,
            can_update: false,
        }
    }

    pub(super) const fn is_incoming(&self) -> bool {
        matches!(self.phase, Phase::Incoming)
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let calling = match self.phase {
            Phase::Calling { until, .. } => Some(until),
            _ => None,
        };
        earliest([
            calling,
            self.asked.as_ref().map(|asked| asked.until),
            self.unacked.as_ref().map(|unacked| unacked.until.min(unacked.again.at())),
            self.session.as_ref().and_then(SessionTimer::due),
            self.transfer.as_ref().map(|transfer| transfer.until),
        ])
    }
}
