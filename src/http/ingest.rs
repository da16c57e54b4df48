//! `GET /ingest`: a caller's media comes in.

use actix::Addr;
use actix_web::http::StatusCode;
use actix_web::http::header::ORIGIN;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use trunkline_actors::link::{LinkReceiver, link};
use trunkline_actors::messages::{AddListener, Admit, Attach};
use trunkline_actors::vc_stream::VcStreamActor;
use trunkline_call::{CallFacts, CallId};
use trunkline_media::LineCodec;

use super::{Refused, Shared, refuse, refuse_call};
use crate::links::native::MAX_MESSAGE;
use crate::links::socket::Socket;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Query {
    call_id: Option<String>,
    codec: Option<String>,
    role: Option<String>,
    dialect: Option<String>,
    fill: Option<String>,
    sma_transaction_id: Option<String>,
    from: Option<String>,
    to: Option<String>,
    route: Option<String>,
    token: Option<String>,
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

impl Query {
    fn check(self) -> Result<Wanted, Refused> {
        let bad = |key: &str, value: &str, allowed: &str| {
            let message = format!("{key}={value:?} is not allowed here; allowed: {allowed}");
            refuse(StatusCode::BAD_REQUEST, "bad_parameter", message)
        };
        let call_id = CallId::parse(self.call_id.as_deref().unwrap_or_default())
            .map_err(|error| refuse(StatusCode::BAD_REQUEST, "bad_call_id", error.to_string()))?;
        let codec = self.codec.as_deref().unwrap_or("pcmu");
        let codec = codec.parse().map_err(|_| bad("codec", codec, "pcmu, pcma, l16"))?;
        let role = match self.role.as_deref().unwrap_or("media") {
            "media" => Role::Media,
            "listen" => Role::Listen,
            other => return Err(bad("role", other, "media, listen")),
        };
        let fill = match self.fill.as_deref().unwrap_or("none") {
            "none" => false,
            "silence" => true,
            other => return Err(bad("fill", other, "none, silence")),
        };
        if let Some(other) = self.dialect.as_deref().filter(|dialect| *dialect != "native") {
            return Err(bad("dialect", other, "native"));
        }
        let facts = CallFacts {
            sma_transaction_id: self.sma_transaction_id,
            from: self.from.map(number),
            to: self.to.map(number),
            route: self.route.map(number),
            ..CallFacts::default()
        };
        Ok(Wanted { call_id, codec, role, fill, facts })
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

async fn enter(request: &HttpRequest, body: web::Payload, shared: &Shared) -> Result<HttpResponse, Refused> {
    check_origin(request, shared)?;
    let query = web::Query::<Query>::from_query(request.query_string())
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, "bad_parameter", error.to_string()))?
        .into_inner();
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
fn check_origin(request: &HttpRequest, shared: &Shared) -> Result<(), Refused> {
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
    let Wanted { call_id, codec, fill, facts, .. } = wanted;
    let arbiter = actix_rt::Arbiter::try_current().ok_or_else(internal)?;
    // A call that ends between its admission and this socket's arrival makes room for a new one of that id.
    for _ in 0..2 {
        let admit = Admit {
            call_id: call_id.clone(),
            sma_transaction_id: facts.sma_transaction_id.clone(),
            codec,
            link: "ingest",
            arbiter: arbiter.clone(),
        };
        let admission = shared.supervisor.send(admit).await.map_err(|_| internal())?.map_err(refuse_call)?;
        let (sender, receiver) = link(codec);
        if let Ok(epoch) =
            admission.line.send(Attach { link: sender, fill, tells_of_transfers: false, facts: facts.clone() }).await
        {
            let call_id = &admission.record.id;
            return Ok(upgrade.serve(shared, call_id, codec, receiver, Some((admission.line, epoch))));
        }
        tracing::info!(call = %call_id, "the call ended before its socket was attached");
    }
    Err(internal())
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
    Ok(upgrade.serve(shared, call_id, codec, receiver, None))
}

/// A handshake that is in order, before its answer is sent: a refusal is still possible.
struct Upgrade {
    response: HttpResponse,
    session: actix_ws::Session,
    stream: actix_ws::AggregatedMessageStream,
}

impl Upgrade {
    fn prepare(request: &HttpRequest, body: web::Payload) -> Result<Self, Refused> {
        let (response, session, stream) = actix_ws::handle(request, body)
            .map_err(|error| refuse(StatusCode::BAD_REQUEST, "not_a_websocket", error.to_string()))?;
        let stream = stream.max_frame_size(MAX_MESSAGE).aggregate_continuations().max_continuation_size(MAX_MESSAGE);
        Ok(Self { response, session, stream })
    }

    /// Upgrades, and runs the socket until it or the call is over.
    fn serve(
        self,
        shared: &Shared,
        call_id: &CallId,
        codec: LineCodec,
        link: LinkReceiver,
        line: Option<(Addr<VcStreamActor>, u64)>,
    ) -> HttpResponse {
        let Self { response, session, stream } = self;
        let call_id = call_id.to_string();
        let socket = Socket { call_id, codec, heartbeat: shared.heartbeat, session, stream, link, line };
        actix_rt::spawn(socket.run());
        response
    }
}

fn internal() -> Refused {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the call could not be started; the log says why")
}
