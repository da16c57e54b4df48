//! `POST /api/outreach/call/initiate`: rings somebody up by the SIP media application.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use trunkline_actors::call_control::PlaceCall;
use trunkline_actors::messages::{Announce, Placed};
use trunkline_actors::ports::{ControlError, OutgoingCall};
use trunkline_call::{CallFacts, CallId, Direction, Glob, TraceContext};
use trunkline_chime::command::{OutboundCall, is_e164};
use utoipa::ToSchema;

use super::openapi::Refusal;
use super::{Refused, Shared, refuse, trace_of};
use crate::settings::SmaSettings;

/// Whom the service may ring up, and as whom.
pub(crate) struct Outreach {
    from: Option<String>,
    allowed: Vec<Glob>,
    ring_timeout: Duration,
}

impl Outreach {
    /// As configured.
    pub(crate) fn new(settings: &SmaSettings) -> Self {
        Self {
            from: settings.from_number.clone(),
            allowed: settings.allowed_destinations.clone(),
            ring_timeout: settings.ring_timeout,
        }
    }
}

/// Whom to ring up.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Wanted {
    /// E.164, in `sma.allowed_destinations`.
    to: String,
    /// E.164; else `sma.from_number`.
    from: Option<String>,
    /// The route to take in the place of the one for `to`.
    route: Option<String>,
    /// Kept with the call.
    metadata: Option<serde_json::Value>,
}

/// A call that rings.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlacedCall {
    call_id: CallId,
    transaction_id: String,
}

/// Places one call, once. What comes of it shows in the list of calls.
#[utoipa::path(
    post, path = "/api/outreach/call/initiate",
    request_body = Wanted,
    responses(
        (status = 202, description = "It rings", body = PlacedCall),
        (status = 400, description = "A value that is not allowed", body = Refusal),
        (status = 403, description = "The destination is not allowed, or a page of another site", body = Refusal),
        (status = 401, description = "No token", body = Refusal),
        (status = 429, description = "Over quota", body = Refusal),
        (status = 502, description = "The SIP media application refused", body = Refusal),
        (status = 503, description = "Off, or draining", body = Refusal),
        (status = 504, description = "Whether it rings is not known", body = Refusal),
    )
)]
pub(crate) async fn initiate(request: HttpRequest, shared: web::Data<Shared>, body: web::Bytes) -> HttpResponse {
    place(&shared, &body, trace_of(request.headers())).await.unwrap_or_else(HttpResponse::from)
}

async fn place(shared: &Shared, body: &[u8], trace: Option<Box<TraceContext>>) -> Result<HttpResponse, Refused> {
    let Some(control) = &shared.bridge.control else {
        let message = "sma.application_id is not set: nobody can place calls";
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "sma_off", message));
    };
    let bad = |message: String| refuse(StatusCode::BAD_REQUEST, "bad_parameter", message);
    // Not the error's own words: they repeat the value, which may be a number.
    let wanted: Wanted = serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        bad(format!("not an object with texts \"to\", \"from\"?, \"route\"? and a \"metadata\"?: error at {place}"))
    })?;
    let from = wanted.from.or_else(|| shared.outreach.from.clone());
    let from = from.ok_or_else(|| bad("no \"from\", and sma.from_number is not set".to_owned()))?;
    for (key, number) in [("to", &wanted.to), ("from", &from)] {
        if !is_e164(number) {
            return Err(bad(format!("{key:?} is not a number in E.164 (+ and up to 15 digits)")));
        }
    }
    if !shared.outreach.allowed.iter().any(|glob| glob.matches(&wanted.to)) {
        let message = "\"to\" is not in sma.allowed_destinations";
        return Err(refuse(StatusCode::FORBIDDEN, "destination_not_allowed", message));
    }
    if shared.lifecycle.is_draining() {
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "draining", "the service is draining and places no calls"));
    }
    let call_id = CallId::generate();
    let metadata = wanted.metadata.filter(|metadata| !metadata.is_null());
    let along = OutboundCall {
        call_id: call_id.to_string(),
        route: wanted.route.clone(),
        metadata: metadata.as_ref().map(ToString::to_string),
    };
    let arguments = along.to_arguments().map_err(|error| bad(error.to_string()))?;
    let facts = CallFacts {
        direction: Some(Direction::Outbound),
        from: Some(from.clone()),
        to: Some(wanted.to.clone()),
        route: wanted.route,
        metadata,
        trace,
        ..CallFacts::default()
    };
    // Listed before the telephone rings: its media may be here before the answer is.
    let announce = Announce { call_id: call_id.clone(), facts, patience: shared.outreach.ring_timeout };
    shared.supervisor.send(announce).await.map_err(|_| internal())?;
    let placed = control.send(PlaceCall(OutgoingCall { from, to: wanted.to, arguments })).await;
    let placed = placed.map_err(|_| internal())?;
    let told = |transaction_id| shared.supervisor.send(Placed { call_id: call_id.clone(), transaction_id });
    match placed {
        Ok(transaction_id) => {
            told(Some(transaction_id.clone())).await.map_err(|_| internal())?;
            tracing::info!(call = %call_id, transaction = transaction_id, "a call was placed");
            Ok(HttpResponse::Accepted().json(PlacedCall { call_id, transaction_id }))
        }
        // The telephone may ring all the same: the call stays announced, and is never placed again by itself.
        Err(error @ ControlError::Unavailable(_)) => {
            let message = format!("{error}; whether the telephone rings is not known, look for the call {call_id}");
            Err(refuse(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", message))
        }
        Err(error) => {
            told(None).await.map_err(|_| internal())?;
            Err(match error {
                ControlError::Throttled => refuse(StatusCode::TOO_MANY_REQUESTS, "over_quota", error.to_string()),
                error => refuse(StatusCode::BAD_GATEWAY, "sma_refused", error.to_string()),
            })
        }
    }
}

fn internal() -> Refused {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the call could not be placed; the log says why")
}
