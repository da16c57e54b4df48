//! From an INVITE to a call that can be answered.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_rt::ArbiterHandle;
use actix_web::web;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc;
use tokio::time::Instant;
use trunkline_actors::link::{Peer, Transfers, link_to};
use trunkline_actors::messages::{Admit, Attach, CallerEvent, CallerSays, Refusal};
use trunkline_call::{CallFacts, CallId, Direction, RouteKind, RouteTable, TraceContext};
use trunkline_chime::sma::headers;
use trunkline_sip::leg::Leg;
use trunkline_sip::sdp::{Agreed, Agreement, LocalMedia};
use trunkline_sip::srtp::FreshKey;
use trunkline_sip::ua::{CallKey, Invite, Party};

use super::gateway::Command;
use super::leg::{LegOrder, LegTask};
use super::ports::PortPair;
use crate::http::Shared;

/// Orders that wait for a leg.
const ORDERS: usize = 16;
/// A call that is refused for now may be tried again after so many seconds.
const RETRY_AFTER: u32 = 5;

/// A call that stands ready.
pub(super) struct SetUp {
    pub(super) leg: mpsc::Sender<LegOrder>,
    pub(super) agreement: Box<Agreement>,
}

/// What a call's media begins with.
pub(super) struct MediaSetUp {
    pub(super) agreement: Agreement,
    pub(super) agreed: Agreed,
    pub(super) pair: PortPair,
    pub(super) call: CallKey,
    pub(super) gateway: mpsc::Sender<Command>,
}

/// Why a call is not answered, in SIP's words.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) reason: &'static str,
    pub(super) retry_after: Option<u32>,
    pub(super) why: String,
}

impl Refused {
    pub(super) const NO_PORT: Self = Self { status: 486, reason: "Busy Here", retry_after: None, why: String::new() };
    pub(super) const INTERNAL: Self =
        Self { status: 500, reason: "Server Internal Error", retry_after: None, why: String::new() };

    fn new(status: u16, reason: &'static str, why: impl Into<String>) -> Self {
        Self { status, reason, retry_after: None, why: why.into() }
    }

    /// There can be no media.
    pub(super) fn media(error: impl std::fmt::Display) -> Self {
        Self::new(488, "Not Acceptable Here", error.to_string())
    }

    /// Not here and now.
    pub(super) fn unavailable(why: impl Into<String>) -> Self {
        Self { retry_after: Some(RETRY_AFTER), ..Self::new(503, "Service Unavailable", why) }
    }

    fn by(refusal: Refusal) -> Self {
        let why = refusal.to_string();
        match refusal {
            Refusal::Draining => Self::unavailable(why),
            Refusal::AtCapacity => Self::new(486, "Busy Here", why),
            // The SIP media application takes it as over.
            Refusal::Over => Self::new(603, "Decline", why),
            Refusal::Internal => Self::new(500, "Server Internal Error", why),
        }
    }
}

/// What an INVITE tells of its call.
pub(super) struct Invitation {
    pub(super) call_id: CallId,
    /// Its Call-ID, by which events name it.
    pub(super) leg: CallId,
    pub(super) facts: CallFacts,
}

impl Invitation {
    /// Reads the caller's words; a number whose route rejects is declined before anything is answered.
    pub(super) fn read(invite: &Invite, routes: &RouteTable) -> Result<Self, Refused> {
        let header = |name: &str| header_of(invite, name);
        let request_user = invite.request_user.clone();
        let is_transaction = |user: &String| is_uuid(user);
        let number = |party: &Party| party.user.clone().filter(|user| !is_uuid(user));
        let metadata = header(headers::METADATA).and_then(|text| headers::decode_metadata(&text));
        let facts = CallFacts {
            sma_transaction_id: header(headers::TRANSACTION).or_else(|| request_user.clone().filter(is_transaction)),
            direction: Some(Direction::Inbound),
            from: header(headers::FROM).or_else(|| number(&invite.from)),
            to: header(headers::TO)
                .or_else(|| number(&invite.to))
                .or_else(|| request_user.filter(|user| !is_uuid(user))),
            route: header(headers::ROUTE),
            metadata: metadata.and_then(|json| serde_json::from_str(&json).ok()),
            trace: trace_of(invite),
            ..CallFacts::default()
        };
        facts.check().map_err(|long| Refused::new(400, "Bad Request", long.to_string()))?;
        let wanted = facts.route.as_deref().or(facts.to.as_deref());
        if routes.choose(wanted).is_none_or(|route| route.kind == RouteKind::Reject) {
            return Err(Refused::new(603, "Decline", "no route for this number, or one that rejects"));
        }
        Ok(Self { call_id: call_id_of(invite), leg: as_call_id(&invite.call_id), facts })
    }
}

/// The trace that the call is part of, where the INVITE says so, once (W3C Trace Context).
fn trace_of(invite: &Invite) -> Option<Box<TraceContext>> {
    let mut parents = values_of(invite, "traceparent");
    let parent = parents.next().filter(|_| parents.next().is_none())?;
    let states: Vec<&str> = values_of(invite, "tracestate").collect();
    TraceContext::parse(parent, Some(&states.join(","))).map(Box::new)
}

fn values_of<'a>(invite: &'a Invite, name: &'a str) -> impl Iterator<Item = &'a str> {
    invite.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn header_of(invite: &Invite, name: &str) -> Option<String> {
    values_of(invite, name).next().filter(|value| !value.is_empty()).map(str::to_owned)
}

/// What the call is called: the name that came along, or its Call-ID.
pub(super) fn call_id_of(invite: &Invite) -> CallId {
    let named = header_of(invite, headers::CALL_ID).and_then(|id| CallId::parse(&id).ok());
    named.unwrap_or_else(|| as_call_id(&invite.call_id))
}

/// A Call-ID as a call id: what that does not allow is replaced, so that the events of the call still meet it.
fn as_call_id(text: &str) -> CallId {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._:@-".contains(c) { c } else { '_' };
    let text: String = text.chars().take(128).map(fits).collect();
    CallId::parse(&text).unwrap_or_else(|_| CallId::generate())
}

/// The SIP media application names its transaction in the Request-URI too.
fn is_uuid(text: &str) -> bool {
    let is_part = |(part, length): (&str, usize)| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
    text.split('-').count() == 5 && text.split('-').zip([8, 4, 4, 4, 12]).all(is_part)
}

/// A key that came by INFO (`application/dtmf-relay`: `Signal=5`; `application/dtmf`: `5`).
pub(super) fn key_of_info(content_type: &str, body: &[u8]) -> Option<char> {
    let text = std::str::from_utf8(body).ok()?;
    let key = match content_type {
        "application/dtmf-relay" => text.lines().find_map(|line| line.trim().strip_prefix("Signal="))?,
        "application/dtmf" => text,
        _ => return None,
    };
    let mut keys = key.trim().chars();
    let key = keys.next().map(|key| key.to_ascii_uppercase())?;
    (keys.next().is_none() && matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(key)
}

/// Our side of a call's media.
pub(crate) fn local_media(address: IpAddr, port: u16, require_srtp: bool) -> LocalMedia {
    LocalMedia { address, port, session_id: fastrand::u64(..1 << 62), require_srtp, fresh_key: fresh_key() }
}

/// A key for what we send.
pub(crate) fn fresh_key() -> FreshKey {
    FreshKey::new(random(), random())
}

/// Bytes of the system's own randomness.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        // Linux does not refuse; a key by chance keeps the call.
        tracing::error!("the system has no randomness: a key is weak");
        fastrand::fill(&mut bytes);
    }
    bytes
}

/// Starts the call's actors at `place`, and the task of its media beside them.
pub(super) async fn set_up(
    shared: web::Data<Shared>,
    invitation: Invitation,
    media: MediaSetUp,
    place: ArbiterHandle,
) -> Result<SetUp, Refused> {
    let MediaSetUp { agreement, agreed, pair, call, gateway } = media;
    let Invitation { call_id, leg, facts } = invitation;
    let codec = agreed.codec.line();
    let admit = Admit {
        call_id,
        sma_transaction_id: facts.sma_transaction_id.clone(),
        leg: Some(leg),
        codec,
        link: "sip",
        arbiter: place.clone(),
    };
    let gone = |_| Refused::INTERNAL;
    let admission = shared.supervisor.send(admit).await.map_err(gone)?.map_err(Refused::by)?;
    // A telephone hears nothing strange: silence is sent where nothing plays.
    let peer = Peer { fill: true, transfers: Transfers::AndTells, ..Peer::default() };
    let (sender, receiver) = link_to(peer, codec);
    let attach = Attach { link: sender, facts };
    let epoch = admission.line.send(attach).await.map_err(gone)?;
    // Nothing more will be told: its route need not wait.
    let start = CallerSays { epoch, event: CallerEvent::Start(CallFacts::default()) };
    admission.line.send(start).await.map_err(gone)?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let leg = Leg::new(Instant::now().into_std(), since_1970, &agreed, fastrand::Rng::new());
    let (orders, waiting) = mpsc::channel(ORDERS);
    let task =
        LegTask { leg, pair, link: receiver, line: admission.line, epoch, record: admission.record, call, gateway };
    let is_placed = place.spawn_fn(move || {
        actix_rt::spawn(task.run(waiting));
    });
    if !is_placed {
        return Err(Refused::INTERNAL);
    }
    Ok(SetUp { leg: orders, agreement: Box::new(agreement) })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use trunkline_call::{Glob, Route};
    use trunkline_sip::ua::Transport;

    use super::*;

    const TRANSACTION: &str = "e2b7a9c4-1d35-4f86-a0b9-c7d8e9f01234";

    fn party(user: &str) -> Party {
        Party { user: Some(user.to_owned()), display: None }
    }

    fn invite(user: &str, headers: &[(&str, &str)]) -> Invite {
        Invite {
            call_id: "a84b4c76e66710@pbx.example.com".to_owned(),
            request_user: Some(user.to_owned()),
            from: party("+15550100001"),
            to: party(user),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            sdp: Some(Bytes::new()),
            source: ([192, 0, 2, 1], 5_060).into(),
            transport: Transport::Udp,
        }
    }

    fn routes() -> RouteTable {
        let route = |pattern: &str, kind| Route { pattern: Glob::parse(pattern).unwrap(), kind };
        RouteTable(vec![route("6666", RouteKind::Reject), route("*", RouteKind::Model)])
    }

    #[test]
    fn a_number_that_rings_at_a_voice_connector_is_a_plain_call() {
        let Invitation { call_id, leg, facts } = Invitation::read(&invite("+15550199002", &[]), &routes()).unwrap();
        assert_eq!(call_id.as_str(), "a84b4c76e66710@pbx.example.com", "as events name it");
        assert_eq!(leg, call_id);
        assert_eq!(facts.from.as_deref(), Some("+15550100001"));
        assert_eq!(facts.to.as_deref(), Some("+15550199002"));
        assert_eq!((facts.sma_transaction_id, facts.route, facts.metadata), (None, None, None));
    }

    #[test]
    fn a_bridged_call_is_joined_to_its_transaction_and_brings_what_it_knows() {
        let metadata = headers::encode_metadata(r#"{"job":7}"#);
        let told = [
            ("x-trunkline-transaction", "t-1"),
            ("x-trunkline-call-id", "our-own"),
            ("x-trunkline-route", "6001"),
            ("x-trunkline-from", "+15550100042"),
            ("x-trunkline-to", "+15550100043"),
            ("x-trunkline-metadata", metadata.as_str()),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ];
        let Invitation { call_id, leg, facts } = Invitation::read(&invite(TRANSACTION, &told), &routes()).unwrap();
        assert_eq!((call_id.as_str(), leg.as_str()), ("our-own", "a84b4c76e66710@pbx.example.com"));
        assert_eq!(facts.sma_transaction_id.as_deref(), Some("t-1"));
        assert_eq!((facts.from.as_deref(), facts.to.as_deref()), (Some("+15550100042"), Some("+15550100043")));
        assert_eq!(facts.route.as_deref(), Some("6001"));
        assert_eq!(facts.metadata, Some(serde_json::json!({"job": 7})));
        assert_eq!(facts.trace.unwrap().trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let twice = [told[6], told[6]];
        assert_eq!(Invitation::read(&invite("1", &twice), &routes()).unwrap().facts.trace, None);
        let states = [told[6], ("tracestate", "a=1"), ("Tracestate", "b=2")];
        let trace = Invitation::read(&invite("1", &states), &routes()).unwrap().facts.trace.unwrap();
        assert_eq!(trace.state(), Some("a=1,b=2"));
        let long = "6".repeat(129);
        let refused = Invitation::read(&invite("1", &[("x-trunkline-route", &long)]), &routes()).err().unwrap();
        assert_eq!((refused.status, refused.why.as_str()), (400, "route is over 128 bytes"));
        // Where a border controller has taken the headers away, the address still says it.
        let Invitation { facts, .. } = Invitation::read(&invite(TRANSACTION, &[]), &routes()).unwrap();
        assert_eq!(facts.sma_transaction_id.as_deref(), Some(TRANSACTION));
        assert_eq!(facts.to, None, "a transaction is no number");
    }

    #[test]
    fn a_number_that_is_rejected_is_declined_before_anything_is_answered() {
        let refused = Invitation::read(&invite("6666", &[]), &routes()).err().unwrap();
        assert_eq!((refused.status, refused.reason), (603, "Decline"));
        let told = [("x-trunkline-route", "6666")];
        assert_eq!(Invitation::read(&invite("1", &told), &routes()).err().unwrap().status, 603);
    }

    #[test]
    fn any_call_id_becomes_one_of_ours() {
        assert_eq!(as_call_id("a(b)\"c\"<d>@e").as_str(), "a_b__c__d_@e");
        assert_eq!(as_call_id(&"x".repeat(300)).as_str().len(), 128);
        assert!(!as_call_id("").as_str().is_empty());
    }

    #[test]
    fn keys_come_by_info_too() {
        for (kind, body, key) in [
            ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", Some('5')),
            ("application/dtmf-relay", "Duration=160\nSignal=# \n", Some('#')),
            ("application/dtmf", "d", Some('D')),
            ("application/dtmf-relay", "Signal=12", None),
            ("application/dtmf-relay", "", None),
            ("text/plain", "5", None),
        ] {
            assert_eq!(key_of_info(kind, body.as_bytes()), key, "{kind} {body:?}");
        }
        assert_eq!(key_of_info("application/dtmf", &[0xFF]), None);
    }

    #[test]
    fn refusals_are_in_sips_words() {
        for (refusal, status, retry) in [
            (Refusal::Draining, 503, Some(RETRY_AFTER)),
            (Refusal::AtCapacity, 486, None),
            (Refusal::Over, 603, None),
            (Refusal::Internal, 500, None),
        ] {
            let refused = Refused::by(refusal);
            assert_eq!((refused.status, refused.retry_after), (status, retry), "{refusal:?}");
        }
    }
}
