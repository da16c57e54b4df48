//! `POST /sma/events`: the SIP media application without a Lambda, for trying it.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{HttpResponse, web};
use trunkline_chime::sma::respond_to_json;

use super::auth::Secured;
use super::openapi::{NotLetIn, Refusal};
use super::{Shared, refuse};
use crate::settings::SmaSettings;

/// The application, where the configuration says which Voice Connector it bridges to.
pub(crate) struct Application {
    settings: Option<trunkline_chime::sma::SmaSettings>,
    secret: Secured,
}

impl Application {
    /// As configured.
    pub(crate) fn new(settings: &SmaSettings) -> Self {
        let arn = settings.voice_connector_arn.as_deref();
        Self {
            // The configuration has refused what is no ARN.
            settings: arn.and_then(|arn| trunkline_chime::sma::SmaSettings::new(arn).ok()),
            secret: Secured::new(settings.webhook_secret.as_ref()),
        }
    }

    /// Whether a request may come in by a secret of its own, in the place of the operators' token.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        !self.secret.is_open() && self.secret.admits_headers(headers)
    }

    /// Whether the operators' token does not open this door.
    pub(crate) fn has_own_secret(&self) -> bool {
        !self.secret.is_open()
    }
}

/// What is to be done with a call after an event of it, exactly as the Lambda answers.
#[utoipa::path(
    post, path = "/sma/events",
    request_body = serde_json::Value,
    responses(
        (status = 200, description = "Actions, as of a SIP media application's function", body = serde_json::Value),
        (status = 400, description = "No event of a SIP media application", body = Refusal),
        (status = 503, description = "sma.voice_connector_arn is not set", body = Refusal),
        NotLetIn,
    )
)]
pub(crate) async fn answer(shared: web::Data<Shared>, body: web::Bytes) -> HttpResponse {
    let Some(settings) = &shared.sma.settings else {
        let message = "sma.voice_connector_arn is not set: there is nowhere to bridge calls to";
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "sma_off", message).into();
    };
    match respond_to_json(settings, &body) {
        Ok(response) => HttpResponse::Ok().json(response),
        Err(error) => refuse(StatusCode::BAD_REQUEST, "bad_event", error.to_string()).into(),
    }
}
