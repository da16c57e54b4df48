//! `POST /admin/events`: an event as if it had come from the queue.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use trunkline_actors::messages::CallNews;
use trunkline_chime::announcements::Outcome;
use trunkline_chime::event::{self, Message};
use utoipa::ToSchema;

use super::openapi::NotLetIn;
use super::{Shared, refuse};

/// What became of an event.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventOutcome {
    /// `applied`, `duplicate`, `stale`, `foreign`, `ignored` or `poison`.
    outcome: &'static str,
    /// Why it is poison.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Takes one raw event body; answers what became of it, and why where it could not be read.
#[utoipa::path(
    post, path = "/admin/events",
    request_body(content = Option<serde_json::Value>, description = "The event as EventBridge or a Voice Connector writes it"),
    responses(
        (status = 200, description = "What became of it", body = EventOutcome),
        NotLetIn,
    )
)]
pub(crate) async fn take(shared: web::Data<Shared>, body: web::Bytes) -> HttpResponse {
    let message = event::read(&body);
    if let Message::Poison(poison) = &message {
        shared.events.count_poison(poison);
        let reason = Some(poison.to_string());
        return HttpResponse::Ok().json(EventOutcome { outcome: Outcome::Poison.as_str(), reason });
    }
    match shared.supervisor.send(CallNews(message)).await {
        Ok(outcome) => {
            shared.events.count(outcome);
            HttpResponse::Ok().json(EventOutcome { outcome: outcome.as_str(), reason: None })
        }
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the supervisor does not answer").into(),
    }
}
