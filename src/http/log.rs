//! `/admin/log`: what is logged, changed while the service runs.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::openapi::{NotLetIn, Refusal};
use super::refuse;
use crate::telemetry;

/// What is logged.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct LogFilter {
    /// As `log.filter`.
    filter: String,
}

/// `GET /admin/log`.
#[utoipa::path(
    get, path = "/admin/log",
    responses((status = 200, description = "In force", body = LogFilter), NotLetIn)
)]
pub(crate) async fn show() -> HttpResponse {
    HttpResponse::Ok().json(LogFilter { filter: telemetry::filter() })
}

/// `PUT /admin/log`: takes a filter as `log.filter` does, until the service ends.
#[utoipa::path(
    put, path = "/admin/log",
    request_body = LogFilter,
    responses(
        (status = 200, description = "In force from here on", body = LogFilter),
        (status = 400, description = "No filter", body = Refusal),
        NotLetIn,
    )
)]
pub(crate) async fn change(body: web::Bytes) -> HttpResponse {
    let bad = |message: String| refuse(StatusCode::BAD_REQUEST, "bad_filter", message).into();
    let wanted: LogFilter = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return bad(format!("not an object with a text \"filter\": {error}")),
    };
    match telemetry::change_filter(&wanted.filter) {
        Ok(()) => show().await,
        Err(error) => bad(format!("\"filter\": allowed: {error}")),
    }
}
