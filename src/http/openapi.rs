//! `GET /api/openapi.json`: what the admin listener answers, described from the code that answers it.

use std::sync::LazyLock;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use super::{admin, events, health, live, log, metrics, outreach, page, session, sma};

/// A refusal: `{"error":{"code","message"}}`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refusal {
    error: RefusalText,
}

#[derive(Serialize, ToSchema)]
struct RefusalText {
    /// For programs.
    code: String,
    /// For people.
    message: String,
}

/// What everybody hears who is not let in.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "a description: the guard answers so")]
pub(crate) enum NotLetIn {
    /// No token.
    #[response(status = 401)]
    NoToken(Refusal),
    /// A page of another site.
    #[response(status = 403)]
    Foreign(Refusal),
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Trunkline, the admin listener",
        description = "Calls as operators see them, outbound calls, controls and health. Where `admin.token` is set, \
                       every path but health, the login and the page's parts wants it as bearer token, or the cookie that \
                       a login gives."
    ),
    paths(
        health::healthz,
        health::readyz,
        metrics::metrics,
        admin::list,
        admin::one,
        admin::listen,
        admin::hang_up,
        admin::listen_token,
        admin::drain,
        live::live,
        log::show,
        log::change,
        events::take,
        outreach::initiate,
        sma::answer,
        page::workspace,
        page::asset,
        session::log_in,
        session::log_out,
        describe,
    ),
    components(schemas(Refusal, admin::Reveal)),
    modifiers(&Security),
    security(("token" = []), ("session" = []))
)]
struct Description;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("admin.token")).build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let cookie = ApiKeyValue::with_description(session::COOKIE_NAME, "What POST /login gives.");
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

static DESCRIPTION: LazyLock<String> = LazyLock::new(|| Description::openapi().to_json().unwrap_or_default());

/// This description.
#[utoipa::path(
    get, path = "/api/openapi.json",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub(crate) async fn describe() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(web::Bytes::from_static(DESCRIPTION.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let app = include_str!("../app.rs");
        let routes = app.split("fn admin_routes").nth(1).unwrap().split("\n}\n").next().unwrap();
        let mut wanted = BTreeSet::new();
        for resource in routes.split("web::resource(\"").skip(1) {
            let path = resource.split('"').next().unwrap();
            for method in ["get", "post", "put"] {
                if resource.contains(&format!("web::{method}()")) {
                    wanted.insert(format!("{method} {path}"));
                }
            }
        }
        assert!(wanted.len() > 15, "{wanted:?}");
        let description: serde_json::Value = serde_json::from_str(&DESCRIPTION).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in description["paths"].as_object().unwrap() {
            described.extend(item.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
        }
        assert_eq!(described, wanted);
    }

    #[test]
    fn every_key_of_a_call_is_required() {
        let description: serde_json::Value = serde_json::from_str(&DESCRIPTION).unwrap();
        let call = &description["components"]["schemas"]["CallView"];
        let keys: BTreeSet<&String> = call["properties"].as_object().unwrap().keys().collect();
        let required: BTreeSet<&str> =
            call["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        assert_eq!(keys.iter().map(|key| key.as_str()).collect::<BTreeSet<_>>(), required);
        assert!(required.contains("endReason") && required.contains("rtp"), "{required:?}");
        let reasons = &description["components"]["schemas"]["EndReason"]["enum"];
        assert_eq!(reasons.as_array().unwrap().len(), trunkline_call::EndReason::ALL.len());
    }
}
