//! `POST /admin/events`: an event as if it had come from the queue.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;
use trunkline_actors::messages::CallNews;
use trunkline_chime::announcements::Outcome;
use trunkline_chime::event::{self, Message};

use super::{Shared, refuse};

/// Takes one raw event body; answers what became of it, and why where it could not be read.
pub(crate) async fn take(shared: web::Data<Shared>, body: web::Bytes) -> HttpResponse {
    let message = event::read(&body);
    if let Message::Poison(poison) = &message {
        shared.events.count_poison(poison);
        let outcome = Outcome::Poison.as_str();
        return HttpResponse::Ok().json(json!({"outcome": outcome, "reason": poison.to_string()}));
    }
    match shared.supervisor.send(CallNews(message)).await {
        Ok(outcome) => {
            shared.events.count(outcome);
            HttpResponse::Ok().json(json!({"outcome": outcome.as_str()}))
        }
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the supervisor does not answer").into(),
    }
}
