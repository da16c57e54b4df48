//! Operators' browsers: a login with the admin token gives a cookie that no script can read.

use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::http::StatusCode;
use actix_web::http::header::{COOKIE, HeaderMap, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::auth::{Secured, unix_now};
use super::openapi::{NotLetIn, Refusal};
use super::{Shared, page};

/// The session's cookie.
pub(crate) const COOKIE_NAME: &str = "trunkline_session";
/// A working day and a bit: an operator logs in once a shift.
const SESSION_SECONDS: u64 = 12 * 60 * 60;
/// What a session's token is signed for. No call's token is: `session` is no role of a socket.
const SESSION: (&str, &str) = ("operators", "session");

/// When the session of the browser that asks is over, in Unix seconds; `None` if it has not logged in. The cookie is
/// `EXPIRY.HMAC`, keyed with the admin token: all instances with that token know it, and another token ends every session.
pub(crate) fn ends(door: &Secured, headers: &HeaderMap, now: u64) -> Option<u64> {
    let cookies = headers.get_all(COOKIE).filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let given = cookies.filter_map(|cookie| cookie.trim().split_once('='));
    let mut sessions = given.filter(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value);
    sessions.find_map(|session| door.check_token(session, SESSION.0, SESSION.1, now)).map(|token| token.expiry)
}

/// The login's form.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Login {
    /// `admin.token`.
    token: String,
}

/// `POST /login`, from the form: to the page with a session, or the form again.
#[utoipa::path(
    post, path = "/login", security(()),
    request_body(content = Login, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "In, with a cookie"),
        (status = 400, description = "The form lacks its token", body = String, content_type = "text/html"),
        (status = 401, description = "Not the token", body = String, content_type = "text/html"),
        (status = 403, description = "A page of another site", body = Refusal),
    )
)]
pub(crate) async fn log_in(request: HttpRequest, shared: web::Data<Shared>, form: web::Bytes) -> HttpResponse {
    let Ok(login) = web::Query::<Login>::from_query(&String::from_utf8_lossy(&form)) else {
        return page::login(StatusCode::BAD_REQUEST, "The form lacks its token.");
    };
    if !shared.admin.is_secret(&login.token) {
        tracing::warn!(peer = ?request.peer_addr(), "a wrong admin token at the login");
        return page::login(StatusCode::UNAUTHORIZED, "This is not the admin token.");
    }
    let session = shared.admin.sign(SESSION.0, SESSION.1, unix_now() + SESSION_SECONDS);
    to_the_page(session.map(|session| cookie(&request, session, SESSION_SECONDS)))
}

/// `POST /logout`.
#[utoipa::path(
    post, path = "/logout",
    responses((status = 303, description = "Out"), NotLetIn)
)]
pub(crate) async fn log_out(request: HttpRequest) -> HttpResponse {
    to_the_page(Some(cookie(&request, String::new(), 0)))
}

fn to_the_page(cookie: Option<Cookie<'_>>) -> HttpResponse {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((LOCATION, "/"));
    if let Some(cookie) = cookie {
        response.cookie(cookie);
    }
    response.finish()
}

/// Over TLS, which a proxy in front ends, the cookie stays on TLS.
fn cookie(request: &HttpRequest, value: String, seconds: u64) -> Cookie<'static> {
    Cookie::build(COOKIE_NAME, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(request.connection_info().scheme() == "https")
        .max_age(time::Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX)))
        .finish()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;
    use crate::settings::Secret;

    #[test]
    fn a_session_is_good_for_its_time_and_its_token() {
        let door = Secured::new(Some(&Secret::new("t0ken")));
        let session = door.sign(SESSION.0, SESSION.1, 1_000).unwrap();
        let listen = door.sign(SESSION.0, "listen", 1_000).unwrap();
        let admitted = |cookies: &[String], now| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(COOKIE, HeaderValue::from_str(cookie).unwrap());
            }
            ends(&door, &headers, now) == Some(1_000)
        };
        let named = |value: &str| format!("{COOKIE_NAME}={value}");
        assert!(admitted(&[named(&session)], 1_000));
        assert!(admitted(&[format!("other=1; {}; more=2", named(&session))], 0));
        assert!(admitted(&["other=1".to_owned(), named(&session)], 0));
        assert!(!admitted(&[named(&session)], 1_001), "expired");
        for wrong in [String::new(), "t0ken".to_owned(), listen, session.replace("1000.", "9000.")] {
            assert!(!admitted(&[named(&wrong)], 0), "{wrong}");
        }
        assert!(!admitted(&[format!("x{}", named(&session))], 0));
        assert!(!admitted(&[], 0));
        let another = Secured::new(Some(&Secret::new("other")));
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_str(&named(&session)).unwrap());
        assert!(ends(&another, &headers, 0).is_none(), "another token ends every session");
    }
}
