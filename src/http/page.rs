//! `GET /`: the operators' page and what it is made of, all of it in the binary.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use ring::digest;

use super::auth::hex;
use super::openapi::Refusal;
use super::{Shared, refuse};

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// Everything comes from here, nothing is written into the page but by its own scripts, nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A part of the page.
struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! assets {
    ($($name:literal $kind:expr),* $(,)?) => {
        [$(Asset { name: $name, kind: $kind, text: include_str!(concat!("page/", $name)) }),*]
    };
}

static ASSETS: &[Asset] = &assets![
    "api.js" JS,
    "app.css" CSS,
    "call.js" JS,
    "calls.js" JS,
    "dom.js" JS,
    "history.js" JS,
    "icon.svg" "image/svg+xml",
    "listen-worklet.js" JS,
    "listen.js" JS,
    "live.js" JS,
    "main.js" JS,
    "numbers.js" JS,
    "place.js" JS,
    "plots.js" JS,
    "rows.js" JS,
    "sections.js" JS,
    "service.js" JS,
    "summary.js" JS,
    "talk.js" JS,
    "times.js" JS,
    "words.js" JS,
];

/// `GET /`, for operators who are in.
#[utoipa::path(
    get, path = "/",
    responses(
        (status = 200, description = "The operators' page", body = String, content_type = "text/html"),
        (status = 401, description = "The login", body = String, content_type = "text/html"),
        (status = 403, description = "A page of another site", body = Refusal),
    )
)]
pub(crate) async fn workspace(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    // Whoever came by a header has nothing to log out of.
    let session = !shared.admin.is_open() && !shared.admin.admits_bearer(request.headers());
    let page = include_str!("page/index.html").replace("{{session}}", if session { "yes" } else { "no" });
    html(StatusCode::OK).body(page)
}

/// The form that asks for the admin token.
pub(crate) fn login(status: StatusCode, message: &str) -> HttpResponse {
    html(status).body(include_str!("page/login.html").replace("{{message}}", message))
}

fn html(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .content_type(HTML)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("referrer-policy", "same-origin"))
        .insert_header(("x-content-type-options", "nosniff"));
    response
}

/// `GET /assets/{name}`: no secret in them, so that the login can be drawn with them.
#[utoipa::path(
    get, path = "/assets/{name}", security(()),
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "A part of the page", body = String, content_type = "text/css"),
        (status = 304, description = "As it was"),
        (status = 404, description = "No such part", body = Refusal),
        (status = 403, description = "A page of another site", body = Refusal),
    )
)]
pub(crate) async fn asset(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name.as_str()) else {
        return refuse(StatusCode::NOT_FOUND, "not_found", "the page has no such part").into();
    };
    let tag = entity_tag(asset.text);
    let known = request.headers().get(IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes());
    let mut response = HttpResponse::build(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("x-content-type-options", "nosniff"));
    if known { response.finish() } else { response.content_type(asset.kind).body(asset.text) }
}

fn entity_tag(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    format!("\"{}\"", hex(digest.as_ref().get(..8).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_served_and_small() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/page");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".html"))
            .collect();
        files.sort();
        let mut served: Vec<&str> = ASSETS.iter().map(|asset| asset.name).collect();
        served.sort_unstable();
        assert_eq!(files, served);
        let bytes: usize = ASSETS.iter().map(|asset| asset.text.len()).sum();
        assert!(bytes < 120_000, "{bytes} bytes");
    }

    #[test]
    fn pages_keep_to_their_policy() {
        for page in [include_str!("page/index.html"), include_str!("page/login.html")] {
            for forbidden in [" style=", " onclick=", " onsubmit=", "<style", "http://", "https://"] {
                assert!(!page.contains(forbidden), "{forbidden}");
            }
            let mut scripts = page.match_indices("<script").map(|(at, _)| &page[at..]);
            assert!(scripts.all(|script| script.split('>').next().unwrap().contains(" src=\"/assets/")));
        }
    }
}
