//! The operators' calls: list, one call, listen in, hang up, drain.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use trunkline_actors::messages::EndCall;
use trunkline_actors::registry::Seen;
use trunkline_call::EndReason;
use trunkline_media::LineCodec;

use super::{Refused, Shared, ingest, refuse};

/// Every path of the admin listener but health needs `admin.token`, where one is set.
pub(crate) async fn require_token(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let open = matches!(request.path(), "/healthz" | "/readyz");
    let admitted =
        request.app_data::<web::Data<Shared>>().is_some_and(|shared| shared.admin.admits_headers(request.headers()));
    if open || admitted {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let refusal =
        refuse(StatusCode::UNAUTHORIZED, "unauthorized", "the admin token (admin.token) is needed as bearer token");
    Ok(request.into_response(HttpResponse::from(refusal)).map_into_right_body())
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
        None => shared.registry.live_calls(),
        Some("ended") => shared.registry.ended_calls(),
        Some(state) => {
            let mut live = shared.registry.live_calls();
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
