//! The operators' calls: list, one call, listen in, hang up, drain.

use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN, UPGRADE};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use trunkline_actors::messages::EndCall;
use trunkline_actors::registry::Seen;
use trunkline_call::{CallDetail, CallId, CallState, CallView, EndReason};
use trunkline_media::LineCodec;
use utoipa::{IntoParams, ToSchema};

use super::auth::unix_now;
use super::openapi::{NotLetIn, Refusal};
use super::{Refused, Shared, ingest, page, refuse, session};

/// Every path of the admin listener but health needs `admin.token`, where one is set. Pages of other sites stay out: a
/// browser says where a request comes from, and without a token the host asked for must be this machine, not a name that
/// somebody pointed at it.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let refusal = match request.app_data::<web::Data<Shared>>() {
        Some(shared) => refusal(&request, shared),
        None => Some(refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the service is not set up").into()),
    };
    match refusal {
        None => Ok(next.call(request).await?.map_into_left_body()),
        Some(refusal) => Ok(request.into_response(refusal).map_into_right_body()),
    }
}

/// The path as the router reads it: escapes are undone.
fn path(request: &ServiceRequest) -> &str {
    request.match_info().as_str()
}

/// Why a request is not let in; `None` if it is.
fn refusal(request: &ServiceRequest, shared: &Shared) -> Option<HttpResponse> {
    let (path, headers) = (path(request), request.headers());
    if matches!(path, "/healthz" | "/readyz") {
        return None;
    }
    if is_foreign(headers, shared.admin.is_open()) {
        let message = "requests of other sites' pages are not answered here";
        return Some(refuse(StatusCode::FORBIDDEN, "origin_not_allowed", message).into());
    }
    if path == "/sma/events" && shared.sma.has_own_secret() {
        let message = "the secret of the SIP media application (sma.webhook_secret) is needed";
        let admitted = shared.sma.admits(headers);
        return (!admitted).then(|| refuse(StatusCode::UNAUTHORIZED, "unauthorized", message).into());
    }
    // What a browser needs to log in.
    if path == "/login" || path.starts_with("/assets/") {
        return None;
    }
    if shared.admin.admits_bearer(headers) || is_session(request, shared) || has_listen_token(request, shared) {
        return None;
    }
    if path == "/" {
        return Some(page::login(StatusCode::UNAUTHORIZED, ""));
    }
    let message = "the admin token (admin.token) is needed as bearer token";
    Some(refuse(StatusCode::UNAUTHORIZED, "unauthorized", message).into())
}

/// Whether a browser asks that has logged in. A cookie comes along whoever sends the browser here: what changes something,
/// and a socket, has to come from a page of ours, and browsers say so.
fn is_session(request: &ServiceRequest, shared: &Shared) -> bool {
    let headers = request.headers();
    let harmless = request.method().is_safe() && !headers.contains_key(UPGRADE);
    (harmless || headers.contains_key(ORIGIN)) && session::ends(&shared.admin, headers, unix_now()).is_some()
}

/// Whether a socket brings a token that was given out for listening to this call.
fn has_listen_token(request: &ServiceRequest, shared: &Shared) -> bool {
    let call_id = path(request).strip_prefix("/admin/calls/").and_then(|rest| rest.strip_suffix("/listen"));
    let Ok(query) = ingest::Query::of(request.request()) else { return false };
    call_id.is_some_and(|call_id| shared.admin.admits_token(query.token.as_deref(), call_id, LISTEN))
}

/// The role of a listener, as in `/ingest`.
const LISTEN: &str = "listen";
/// A page opens its socket at once.
const LISTEN_TOKEN_SECONDS: u64 = 60;

/// Whether a browser's page of another origin asks, or (where no token protects us) a name that is not this machine's.
fn is_foreign(headers: &HeaderMap, no_token: bool) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    if let Some(origin) = text(ORIGIN) {
        let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if own != Some(host) {
            return true;
        }
    }
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let loopback = name.is_empty()
        || name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    no_token && !loopback
}

/// Which calls.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Calls in this state; without it all that live or are announced. `ended`: those that ended lately.
    state: Option<CallState>,
    /// `numbers` shows them.
    reveal: Option<Reveal>,
    /// So many at most ...
    limit: Option<usize>,
    /// ... after so many.
    offset: Option<usize>,
}

/// What is shown of one call.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevealQuery {
    /// `numbers` shows them.
    reveal: Option<Reveal>,
}

/// What is not shown unless it is asked for.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reveal {
    /// Telephone numbers in full.
    Numbers,
}

/// Calls.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallList {
    calls: Vec<CallView>,
}

/// A way to listen in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListenToken {
    /// `EXPIRY.HMAC`; none where no `admin.token` is set.
    #[schema(required)]
    token: Option<String>,
    /// Unix seconds.
    expires_at: u64,
    /// Where the socket is opened.
    path: String,
}

/// The call that was meant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallName {
    call_id: CallId,
}

/// The service is about to end.
#[derive(Serialize, ToSchema)]
pub(crate) struct Draining {
    draining: bool,
    /// Calls that still live.
    live: usize,
}

fn reveals(asked: Option<Reveal>, shared: &Shared) -> bool {
    !shared.mask_numbers || asked.is_some()
}

/// `GET /admin/calls`: newest first; live and announced ones, or with `?state=ended` those that ended lately.
#[utoipa::path(
    get, path = "/admin/calls",
    params(ListQuery),
    responses(
        (status = 200, description = "Newest first", body = CallList),
        (status = 400, description = "A value that is not allowed", body = Refusal),
        NotLetIn,
    )
)]
pub(crate) async fn list(shared: web::Data<Shared>, query: web::Query<ListQuery>) -> HttpResponse {
    let calls = match query.state {
        None => shared.registry.calls(),
        Some(CallState::Ended) => shared.registry.ended_calls(),
        Some(state) => {
            let mut live = shared.registry.calls();
            live.retain(|seen| seen.record.state() == state);
            live
        }
    };
    let reveal = reveals(query.reveal, &shared);
    let page = calls.iter().skip(query.offset.unwrap_or(0)).take(query.limit.unwrap_or(usize::MAX));
    let calls = page.map(|seen| seen.record.view(seen.age, reveal)).collect();
    HttpResponse::Ok().json(CallList { calls })
}

/// `GET /admin/calls/{id}`: with timeline and histograms.
#[utoipa::path(
    get, path = "/admin/calls/{id}",
    params(
        ("id" = String, Path, description = "callId, transactionId or smaTransactionId", example = "c-1"),
        RevealQuery,
    ),
    responses(
        (status = 200, description = "One call with all that is kept of it", body = CallDetail),
        (status = 400, description = "A value that is not allowed", body = Refusal),
        (status = 404, description = "No such call", body = Refusal),
        NotLetIn,
    )
)]
pub(crate) async fn one(
    shared: web::Data<Shared>,
    id: web::Path<String>,
    query: web::Query<RevealQuery>,
) -> HttpResponse {
    match shared.registry.find(&id) {
        Some(Seen { record, age }) => HttpResponse::Ok().json(record.detail(age, reveals(query.reveal, &shared))),
        None => no_such_call(&id).into(),
    }
}

/// `GET /admin/calls/{id}/listen`: a WebSocket that hears the call, PCMU.
#[utoipa::path(
    get, path = "/admin/calls/{id}/listen",
    params(
        ("id" = String, Path, description = "callId, transactionId or smaTransactionId", example = "c-1"),
        ("token" = Option<String>, Query, description = "What listen-token gave"),
    ),
    responses(
        (status = 101, description = "A WebSocket: PCMU, caller and model mixed, 160 bytes a message"),
        (status = 400, description = "No WebSocket handshake", body = Refusal),
        (status = 503, description = "Listeners enough", body = Refusal),
        (status = 404, description = "No such call", body = Refusal),
        NotLetIn,
    )
)]
pub(crate) async fn listen(
    request: HttpRequest,
    body: web::Payload,
    shared: web::Data<Shared>,
    id: web::Path<String>,
) -> HttpResponse {
    let Some(seen) = shared.registry.find(&id) else { return no_such_call(&id).into() };
    ingest::listen(&request, body, &shared, &seen.record.id, LineCodec::Pcmu).await.unwrap_or_else(HttpResponse::from)
}

/// `POST /admin/calls/{id}/listen-token`: lets a page listen in for which a header or cookie is no way. Without
/// `admin.token` there is nothing to sign with, and nothing needs signing.
#[utoipa::path(
    post, path = "/admin/calls/{id}/listen-token",
    params(
        ("id" = String, Path, description = "callId, transactionId or smaTransactionId", example = "c-1"),
    ),
    responses(
        (status = 200, description = "Good for a minute", body = ListenToken),
        (status = 404, description = "No such call", body = Refusal),
        NotLetIn,
    )
)]
pub(crate) async fn listen_token(shared: web::Data<Shared>, id: web::Path<String>) -> HttpResponse {
    let Some(seen) = shared.registry.find(&id) else { return no_such_call(&id).into() };
    let call_id = seen.record.id.as_str();
    let expires_at = unix_now() + LISTEN_TOKEN_SECONDS;
    let token = shared.admin.sign(call_id, LISTEN, expires_at);
    let query = token.as_ref().map(|token| format!("?token={token}")).unwrap_or_default();
    let path = format!("/admin/calls/{call_id}/listen{query}");
    HttpResponse::Ok().json(ListenToken { token, expires_at, path })
}

/// `POST /admin/calls/{id}/hangup`.
#[utoipa::path(
    post, path = "/admin/calls/{id}/hangup",
    params(
        ("id" = String, Path, description = "callId, transactionId or smaTransactionId", example = "c-1"),
    ),
    responses(
        (status = 202, description = "It ends", body = CallName),
        (status = 409, description = "It is over", body = Refusal),
        (status = 404, description = "No such call", body = Refusal),
        NotLetIn,
    )
)]
pub(crate) async fn hang_up(shared: web::Data<Shared>, id: web::Path<String>) -> HttpResponse {
    let Some(seen) = shared.registry.find(&id) else { return no_such_call(&id).into() };
    let call_id = seen.record.id.clone();
    match shared.supervisor.send(EndCall::now(call_id, EndReason::OperatorHangup)).await {
        Ok(true) => HttpResponse::Accepted().json(CallName { call_id: seen.record.id.clone() }),
        Ok(false) => {
            refuse(StatusCode::CONFLICT, "already_ended", format!("the call {} is over", seen.record.id)).into()
        }
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the supervisor does not answer").into(),
    }
}

/// `POST /admin/drain`: no new calls, live ones finish, then the service ends, as on SIGTERM.
#[utoipa::path(
    post, path = "/admin/drain",
    responses((status = 202, description = "As on SIGTERM", body = Draining), NotLetIn)
)]
pub(crate) async fn drain(shared: web::Data<Shared>) -> HttpResponse {
    shared.lifecycle.ask_to_drain();
    HttpResponse::Accepted().json(Draining { draining: true, live: shared.registry.live() })
}

fn no_such_call(id: &str) -> Refused {
    let shown: String = id.chars().take(128).collect();
    refuse(StatusCode::NOT_FOUND, "no_such_call", format!("no call is known as {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_and_names_get_in() {
        for (host, origin, no_token, foreign) in [
            ("127.0.0.1:8081", None, true, false),
            ("localhost:8081", None, true, false),
            ("[::1]:8081", None, true, false),
            ("[::1]", None, true, false),
            ("", None, true, false),
            ("rebound.example:8081", None, true, true),
            ("admin.example:8081", None, false, false),
            ("127.0.0.1:8081", Some("http://127.0.0.1:8081"), true, false),
            ("127.0.0.1:8081", Some("https://evil.example"), true, true),
            ("127.0.0.1:8081", Some("null"), true, true),
            ("admin.example", Some("https://admin.example"), false, false),
            ("admin.example", Some("https://evil.example"), false, true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            assert_eq!(is_foreign(&headers, no_token), foreign, "{host} {origin:?} {no_token}");
        }
    }
}
