//! The operators' calls: list, one call, listen in, hang up, drain.

use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN, UPGRADE};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use trunkline_actors::messages::EndCall;
use trunkline_actors::registry::Seen;
use trunkline_call::EndReason;
use trunkline_media::LineCodec;

use super::auth::unix_now;
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

/// Why a request is not let in; `None` if it is.
fn refusal(request: &ServiceRequest, shared: &Shared) -> Option<HttpResponse> {
    let (path, headers) = (request.path(), request.headers());
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
    (harmless || headers.contains_key(ORIGIN)) && session::admits(&shared.admin, headers, unix_now())
}

/// Whether a socket brings a token that was given out for listening to this call.
fn has_listen_token(request: &ServiceRequest, shared: &Shared) -> bool {
    let call_id = request.path().strip_prefix("/admin/calls/").and_then(|rest| rest.strip_suffix("/listen"));
    let Ok(query) = web::Query::<ListenQuery>::from_query(request.query_string()) else { return false };
    let (Some(call_id), Some(token)) = (call_id, &query.token) else { return false };
    shared.admin.check_token(token, call_id, LISTEN, unix_now()).is_some()
}

#[derive(Deserialize)]
struct ListenQuery {
    token: Option<String>,
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

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    state: Option<String>,
    reveal: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

impl ListQuery {
    fn reveals(&self, shared: &Shared) -> bool {
        !shared.mask_numbers || self.reveal.as_deref() == Some("numbers")
    }
}

/// `GET /admin/calls`: newest first; live and announced ones, or with `?state=ended` those that ended lately.
pub(crate) async fn list(shared: web::Data<Shared>, query: web::Query<ListQuery>) -> HttpResponse {
    let calls = match query.state.as_deref() {
        None => shared.registry.calls(),
        Some("ended") => shared.registry.ended_calls(),
        Some(state) => {
            let mut live = shared.registry.calls();
            live.retain(|seen| seen.record.state().as_str() == state);
            live
        }
    };
    let reveal = query.reveals(&shared);
    let page = calls.iter().skip(query.offset.unwrap_or(0)).take(query.limit.unwrap_or(usize::MAX));
    let calls: Vec<_> = page.map(|seen| seen.record.view(seen.age, reveal)).collect();
    HttpResponse::Ok().json(json!({"calls": calls}))
}

/// `GET /admin/calls/{id}`: with timeline and histograms.
pub(crate) async fn one(
    shared: web::Data<Shared>,
    id: web::Path<String>,
    query: web::Query<ListQuery>,
) -> HttpResponse {
    match shared.registry.find(&id) {
        Some(Seen { record, age }) => HttpResponse::Ok().json(record.detail(age, query.reveals(&shared))),
        None => no_such_call(&id).into(),
    }
}

/// `GET /admin/calls/{id}/listen`: a WebSocket that hears the call, PCMU.
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
pub(crate) async fn listen_token(shared: web::Data<Shared>, id: web::Path<String>) -> HttpResponse {
    let Some(seen) = shared.registry.find(&id) else { return no_such_call(&id).into() };
    let call_id = seen.record.id.as_str();
    let expires_at = unix_now() + LISTEN_TOKEN_SECONDS;
    let token = shared.admin.sign(call_id, LISTEN, expires_at);
    let query = token.as_ref().map(|token| format!("?token={token}")).unwrap_or_default();
    let path = format!("/admin/calls/{call_id}/listen{query}");
    HttpResponse::Ok().json(json!({"token": token, "expiresAt": expires_at, "path": path}))
}

/// `POST /admin/calls/{id}/hangup`.
pub(crate) async fn hang_up(shared: web::Data<Shared>, id: web::Path<String>) -> HttpResponse {
    let Some(seen) = shared.registry.find(&id) else { return no_such_call(&id).into() };
    let call_id = seen.record.id.clone();
    match shared.supervisor.send(EndCall::now(call_id, EndReason::OperatorHangup)).await {
        Ok(true) => HttpResponse::Accepted().json(json!({"callId": seen.record.id.as_str()})),
        Ok(false) => {
            refuse(StatusCode::CONFLICT, "already_ended", format!("the call {} is over", seen.record.id)).into()
        }
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the supervisor does not answer").into(),
    }
}

/// `POST /admin/drain`: no new calls, live ones finish, then the service ends, as on SIGTERM.
pub(crate) async fn drain(shared: web::Data<Shared>) -> HttpResponse {
    shared.lifecycle.ask_to_drain();
    HttpResponse::Accepted().json(json!({"draining": true, "live": shared.registry.live()}))
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
