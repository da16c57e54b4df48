//! `GET /ingest`: a caller's media comes in, in the native dialect; other dialects are handed on.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::ORIGIN;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use trunkline_actors::link::{LinkReceiver, Peer, link, link_to};
use trunkline_actors::messages::{AddListener, Admit, Attach, Refusal};
use trunkline_call::{CallFacts, CallId, LongFact};
use trunkline_media::LineCodec;

use super::{Refused, Shared, carrier, refuse, refuse_call, trace_of};
use crate::links::dialect::{Dialect, MAX_MESSAGE};
use crate::links::native::Native;
use crate::links::socket::{Line, Socket};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query {
    pub(super) call_id: Option<String>,
    codec: Option<String>,
    role: Option<String>,
    dialect: Option<String>,
    fill: Option<String>,
    sma_transaction_id: Option<String>,
    from: Option<String>,
    to: Option<String>,
    route: Option<String>,
    pub(super) token: Option<String>,
}

/// Two-way, or ears only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Media,
    Listen,
}

/// What a request asks for, checked.
struct Wanted {
    call_id: CallId,
    codec: LineCodec,
    role: Role,
    fill: bool,
    facts: CallFacts,
}

/// Refuses a value.
fn bad_parameter(key: &str, value: &str, allowed: &str) -> Refused {
    let message = format!("{key}={value:?} is not allowed here; allowed: {allowed}");
    refuse(StatusCode::BAD_REQUEST, "bad_parameter", message)
}

/// A call's id, checked.
pub(super) fn call_id(given: &str) -> Result<CallId, Refused> {
    CallId::parse(given).map_err(|error| refuse(StatusCode::BAD_REQUEST, "bad_call_id", error.to_string()))
}

impl Query {
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Refused> {
        web::Query::<Self>::from_query(request.query_string())
            .map(web::Query::into_inner)
            .map_err(|error| refuse(StatusCode::BAD_REQUEST, "bad_parameter", error.to_string()))
    }

    fn check(self) -> Result<Wanted, Refused> {
        let call_id = call_id(self.call_id.as_deref().unwrap_or_default())?;
        let codec = self.codec.as_deref().unwrap_or("pcmu");
        let codec = codec.parse().map_err(|_| bad_parameter("codec", codec, "pcmu, pcma, l16"))?;
        let role = match self.role.as_deref().unwrap_or("media") {
            "media" => Role::Media,
            "listen" => Role::Listen,
            other => return Err(bad_parameter("role", other, "media, listen")),
        };
        let fill = match self.fill.as_deref().unwrap_or("none") {
            "none" => false,
            "silence" => true,
            other => return Err(bad_parameter("fill", other, "none, silence")),
        };
        Ok(Wanted { call_id, codec, role, fill, facts: self.facts()? })
    }

    /// What the query says of the call, where the carrier's own messages say the rest. What they alone decide is not
    /// to be had otherwise.
    pub(super) fn check_for_carrier(self) -> Result<CallFacts, Refused> {
        for (key, given, only) in
            [("codec", &self.codec, "pcmu"), ("role", &self.role, "media"), ("fill", &self.fill, "none")]
        {
            if let Some(other) = given.as_deref().filter(|given| *given != only) {
                return Err(bad_parameter(key, other, only));
            }
        }
        self.facts()
    }

    fn facts(self) -> Result<CallFacts, Refused> {
        let facts = CallFacts {
            sma_transaction_id: self.sma_transaction_id,
            from: self.from.map(number),
            to: self.to.map(number),
            route: self.route.map(number),
            ..CallFacts::default()
        };
        let refused = |long: LongFact| refuse(StatusCode::BAD_REQUEST, "bad_parameter", long.to_string());
        facts.check().map(|()| facts).map_err(refused)
    }
}

/// A number as it was meant: an unescaped `+` in a query arrives as a blank.
fn number(given: String) -> String {
    given.strip_prefix(' ').map(|rest| format!("+{rest}")).unwrap_or(given)
}

/// Lets a media or listening socket in.
pub(crate) async fn ingest(request: HttpRequest, body: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    enter(&request, body, &shared).await.unwrap_or_else(HttpResponse::from)
}

async fn enter(request: &HttpRequest, body: web::Payload, shared: &web::Data<Shared>) -> Result<HttpResponse, Refused> {
    check_origin(request, shared)?;
    let query = Query::of(request)?;
    match query.dialect.as_deref().unwrap_or("native") {
        "native" => native(request, body, shared, query).await,
        "twilio" => carrier::twilio(request, body, shared, query),
        other => Err(bad_parameter("dialect", other, "native, twilio")),
    }
}

async fn native(
    request: &HttpRequest,
    body: web::Payload,
    shared: &Shared,
    query: Query,
) -> Result<HttpResponse, Refused> {
    let signed_for = (query.call_id.as_deref().unwrap_or_default(), query.role.as_deref().unwrap_or("media"));
    if !shared.ingest.admits_headers(request.headers())
        && !shared.ingest.admits_token(query.token.as_deref(), signed_for.0, signed_for.1)
    {
        let message = "the shared secret (ingest.secret) or a valid token is needed to bring media";
        return Err(refuse(StatusCode::UNAUTHORIZED, "unauthorized", message));
    }
    let wanted = query.check()?;
    match wanted.role {
        Role::Media => media(request, body, shared, wanted).await,
        Role::Listen => listen(request, body, shared, &wanted.call_id, wanted.codec).await,
    }
}

/// A browser says where its page is from; a server says nothing and passes.
pub(super) fn check_origin(request: &HttpRequest, shared: &Shared) -> Result<(), Refused> {
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
    if shared.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
        return Ok(());
    }
    let message = "this Origin is not in ingest.allowed_origins";
    Err(refuse(StatusCode::FORBIDDEN, "origin_not_allowed", message))
}

async fn media(
    request: &HttpRequest,
    body: web::Payload,
    shared: &Shared,
    wanted: Wanted,
) -> Result<HttpResponse, Refused> {
    let upgrade = Upgrade::prepare(request, body)?;
    let Wanted { call_id, codec, fill, mut facts, .. } = wanted;
    facts.trace = trace_of(request.headers());
    let peer = Peer { fill, ..Peer::default() };
    let Joined { line, link, call_id } =
        join(shared, Arrival { call_id, facts, link: "ingest", codec, peer }).await.map_err(refuse_call)?;
    let dialect = Native { call_id: call_id.to_string(), codec };
    Ok(upgrade.serve(shared, call_id, dialect, link, Some(line)))
}

/// Media that wants into a call.
pub(super) struct Arrival {
    pub(super) call_id: CallId,
    pub(super) facts: CallFacts,
    /// CALL's `link`.
    pub(super) link: &'static str,
    pub(super) codec: LineCodec,
    pub(super) peer: Peer,
}

/// A socket's place in a call.
pub(super) struct Joined {
    pub(super) line: Line,
    pub(super) link: LinkReceiver,
    /// What the call is known by; it may have been known otherwise before.
    pub(super) call_id: CallId,
}

/// Lets media into its call, which is born if it does not live.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn join(shared: &Shared, arrival: Arrival) -> Result<Joined, Refusal> {
    let Arrival { call_id, facts, link, codec, peer } = arrival;
    let arbiter = actix_rt::Arbiter::try_current().ok_or(Refusal::Internal)?;
    // A call that ends between its admission and this socket's arrival makes room for a new one of that id.
    for _ in 0..2 {
        let admit = Admit {
            call_id: call_id.clone(),
            sma_transaction_id: facts.sma_transaction_id.clone(),
            leg: None,
            codec,
            link,
            arbiter: arbiter.clone(),
        };
        let admission = shared.supervisor.send(admit).await.map_err(|_| Refusal::Internal)??;
        let (sender, receiver) = link_to(peer, codec);
        if let Ok(epoch) = admission.line.send(Attach { link: sender, facts: facts.clone() }).await {
            let call_id = admission.record.id.clone();
            return Ok(Joined { line: (admission.line, epoch), link: receiver, call_id });
        }
        tracing::info!(call = %call_id, "the call ended before its socket was attached");
    }
    Err(Refusal::Internal)
}

/// Lets a listener in: it hears caller and model mixed.
pub(crate) async fn listen(
    request: &HttpRequest,
    body: web::Payload,
    shared: &Shared,
    call_id: &CallId,
    codec: LineCodec,
) -> Result<HttpResponse, Refused> {
    let no_such_call = || refuse(StatusCode::NOT_FOUND, "no_such_call", format!("there is no live call {call_id}"));
    let live = shared.registry.live_call(call_id).ok_or_else(no_such_call)?;
    let upgrade = Upgrade::prepare(request, body)?;
    let (sender, receiver) = link(codec);
    if !live.line.send(AddListener { link: sender }).await.map_err(|_| no_such_call())? {
        let message = "the call has as many listeners as it may have";
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "at_capacity", message));
    }
    let dialect = Native { call_id: call_id.to_string(), codec };
    Ok(upgrade.serve(shared, call_id.clone(), dialect, receiver, None))
}

/// A handshake that is in order, before its answer is sent: a refusal is still possible.
pub(super) struct Upgrade {
    pub(super) response: HttpResponse,
    pub(super) session: actix_ws::Session,
    pub(super) stream: actix_ws::AggregatedMessageStream,
}

impl Upgrade {
    pub(super) fn prepare(request: &HttpRequest, body: web::Payload) -> Result<Self, Refused> {
        let (response, session, stream) = actix_ws::handle(request, body)
            .map_err(|error| refuse(StatusCode::BAD_REQUEST, "not_a_websocket", error.to_string()))?;
        let stream = stream.max_frame_size(MAX_MESSAGE).aggregate_continuations().max_continuation_size(MAX_MESSAGE);
        Ok(Self { response, session, stream })
    }

    /// Upgrades, and runs the socket until it or the call is over.
    fn serve(
        self,
        shared: &Shared,
        call_id: CallId,
        dialect: impl Dialect + 'static,
        link: LinkReceiver,
        line: Option<Line>,
    ) -> HttpResponse {
        let Self { response, session, stream } = self;
        let (heartbeat, malformed) = (shared.heartbeat, Arc::clone(&shared.malformed));
        let socket = Socket { call_id, dialect, heartbeat, session, stream, link, malformed, line };
        actix_rt::spawn(socket.run());
        response
    }
}
