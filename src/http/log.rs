//! `/admin/log`: what is logged, changed while the service runs.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::refuse;
use crate::telemetry;

#[derive(Deserialize)]
struct Wanted {
    filter: String,
}

/// `GET /admin/log`.
pub(crate) async fn show() -> HttpResponse {
    HttpResponse::Ok().json(json!({"filter": telemetry::filter()}))
}

/// `PUT /admin/log`: takes a filter as `log.filter` does, until the service ends.
pub(crate) async fn change(body: web::Bytes) -> HttpResponse {
    let bad = |message: String| refuse(StatusCode::BAD_REQUEST, "bad_filter", message).into();
    let wanted: Wanted = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return bad(format!("not an object with a text \"filter\": {error}")),
    };
    match telemetry::change_filter(&wanted.filter) {
        Ok(()) => {
            tracing::info!(filter = wanted.filter, "an operator changed what is logged");
            show().await
        }
        Err(error) => bad(format!("\"filter\": allowed: {error}")),
    }
}
