//! The operators' calls: list, one call, listen in, hang up, drain.

use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use trunkline_actors::messages::EndCall;
use trunkline_actors::registry::Seen;
use trunkline_call::EndReason;
use trunkline_media::LineCodec;

use super::{Refused, Shared, ingest, refuse};

/// Every path of the admin listener but health needs `admin.token`, where one is set. Pages of other sites stay out: a
/// browser says where a request comes from, and without a token the host asked for must be this machine, not a name that
/// somebody pointed at it.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let shared = request.app_data::<web::Data<Shared>>();
    let refusal = if matches!(request.path(), "/healthz" | "/readyz") {
        None
    } else if is_foreign(request.headers(), shared.is_some_and(|shared| shared.admin.is_open())) {
        let message = "requests of other sites' pages are not answered here";
        Some(refuse(StatusCode::FORBIDDEN, "origin_not_allowed", message))
    } else if request.path() == "/sma/events" && shared.is_some_and(|shared| shared.sma.has_own_secret()) {
        let admitted = shared.is_some_and(|shared| shared.sma.admits(request.headers()));
        let message = "the secret of the SIP media application (sma.webhook_secret) is needed";
        (!admitted).then(|| refuse(StatusCode::UNAUTHORIZED, "unauthorized", message))
    } else if !shared.is_some_and(|shared| shared.admin.admits_bearer(request.headers())) {
        let message = "the admin token (admin.token) is needed as bearer token";
        Some(refuse(StatusCode::UNAUTHORIZED, "unauthorized", message))
    } else {
        None
    };
    match refusal {
        None => Ok(next.call(request).await?.map_into_left_body()),
        Some(refusal) => Ok(request.into_response(HttpResponse::from(refusal)).map_into_right_body()),
    }
}

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
    let calls: Vec<_> = calls.iter().map(|seen| seen.record.view(seen.age, reveal)).collect();
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
