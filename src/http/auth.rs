//! Who may come in: shared secrets in every form the contract names, compared in constant time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use ring::{digest, hmac};
use subtle::ConstantTimeEq;
use trunkline_call::token;

use crate::settings::Secret;

/// A door with a secret, or one that is open (loopback only: the configuration sees to that).
pub(crate) struct Secured {
    secret: Option<Keyed>,
}

struct Keyed {
    digest: digest::Digest,
    hmac: hmac::Key,
}

impl Secured {
    /// A door that opens to `secret`.
    pub(crate) fn new(secret: Option<&Secret>) -> Self {
        let secret = secret.map(|secret| Keyed {
            digest: digest::digest(&digest::SHA256, secret.expose().as_bytes()),
            hmac: hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()),
        });
        Self { secret }
    }

    /// Whether the headers hold the secret, as bearer token, as Basic password or in `X-Gateway-Secret`.
    pub(crate) fn admits_headers(&self, headers: &HeaderMap) -> bool {
        let Some(secret) = &self.secret else { return true };
        let gateway = headers.get("x-gateway-secret").map(|value| value.as_bytes());
        let authorization = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        gateway.is_some_and(|given| secret.is(given)) || authorization.is_some_and(|value| secret.authorizes(value))
    }

    /// Whether the headers hold the secret as bearer token, the one form that no browser sends by itself.
    pub(crate) fn admits_bearer(&self, headers: &HeaderMap) -> bool {
        let Some(secret) = &self.secret else { return true };
        let bearer = headers.get(AUTHORIZATION).and_then(|value| after_scheme(value.as_bytes(), b"bearer"));
        bearer.is_some_and(|given| secret.is(given))
    }

    /// Whether there is no secret to this door.
    pub(crate) fn is_open(&self) -> bool {
        self.secret.is_none()
    }

    /// Whether `token` (`EXPIRY.HMAC`) was signed with the secret for this call and role, and is not expired.
    pub(crate) fn admits_token(&self, token: Option<&str>, call_id: &str, role: &str) -> bool {
        self.is_open() || token.is_some_and(|token| self.check_token(token, call_id, role, unix_now()).is_some())
    }

    /// Whether the headers try to show the secret in any form, a wrong one included.
    pub(crate) fn is_tried(headers: &HeaderMap) -> bool {
        headers.contains_key("x-gateway-secret") || headers.contains_key(AUTHORIZATION)
    }

    /// A token (`EXPIRY.HMAC`) for this call and role, good until `expiry` (Unix seconds). There is none to a door
    /// without a secret.
    pub(crate) fn sign(&self, call_id: &str, role: &str, expiry: u64) -> Option<String> {
        self.secret.as_ref().map(|secret| format!("{expiry}.{}", secret.mac(call_id, role, expiry)))
    }

    /// Whether `given` is the secret itself.
    pub(crate) fn is_secret(&self, given: &str) -> bool {
        self.secret.as_ref().is_none_or(|secret| secret.is(given.as_bytes()))
    }

    /// The parts of a token that was signed with the secret for this call and role, and is not expired. There is none
    /// to a door without a secret.
    pub(crate) fn check_token<'a>(&self, token: &'a str, call_id: &str, role: &str, now: u64) -> Option<Token<'a>> {
        let secret = self.secret.as_ref()?;
        let (expiry, mac) = token.split_once('.')?;
        let expiry = expiry.parse::<u64>().ok()?;
        let expected = secret.mac(call_id, role, expiry);
        let is_good = bool::from(expected.as_bytes().ct_eq(mac.as_bytes())) && now <= expiry;
        is_good.then_some(Token { mac, expiry })
    }
}

/// A good token. Its expiry can be spelled in several ways, its HMAC cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// Tells it from any other.
    pub(crate) mac: &'a str,
    /// Unix seconds.
    pub(crate) expiry: u64,
}

/// Unix time in seconds.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

impl Keyed {
    /// Lower-case hex.
    fn mac(&self, call_id: &str, role: &str, expiry: u64) -> String {
        hex(hmac::sign(&self.hmac, token::mac_input(call_id, role, expiry).as_bytes()).as_ref())
    }

    /// Compares digests: equal in length whatever was given, and in constant time.
    fn is(&self, given: &[u8]) -> bool {
        digest::digest(&digest::SHA256, given).as_ref().ct_eq(self.digest.as_ref()).into()
    }

    fn authorizes(&self, authorization: &[u8]) -> bool {
        if let Some(given) = after_scheme(authorization, b"bearer") {
            return self.is(given);
        }
        let Some(credentials) = after_scheme(authorization, b"basic") else { return false };
        let Ok(user_and_password) = base64_simd::STANDARD.decode_to_vec(credentials) else { return false };
        let colon = user_and_password.iter().position(|byte| *byte == b':');
        colon.and_then(|at| user_and_password.get(at + 1..)).is_some_and(|password| self.is(password))
    }
}

/// What follows the scheme of an `Authorization` header, if it is that scheme (RFC 9110 section 11.4).
fn after_scheme<'a>(authorization: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let space = authorization.iter().position(|byte| *byte == b' ')?;
    let (given, rest) = authorization.split_at(space);
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn door() -> Secured {
        Secured::new(Some(&Secret::new("s3cret")))
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn every_form_of_the_secret_opens_and_nothing_else() {
        let basic = |text: &str| format!("Basic {}", base64_simd::STANDARD.encode_to_string(text));
        for (name, value, open) in [
            ("authorization", "Bearer s3cret".to_owned(), true),
            ("authorization", "bearer s3cret".to_owned(), true),
            ("authorization", basic("anybody:s3cret"), true),
            ("authorization", basic(":s3cret"), true),
            ("x-gateway-secret", "s3cret".to_owned(), true),
            ("authorization", "Bearer s3cre".to_owned(), false),
            ("authorization", "Bearer".to_owned(), false),
            ("authorization", "s3cret".to_owned(), false),
            ("authorization", basic("s3cret:"), false),
            ("authorization", "Basic !!".to_owned(), false),
            ("x-gateway-secret", String::new(), false),
        ] {
            assert_eq!(door().admits_headers(&headers(name, &value)), open, "{name}: {value}");
        }
        assert!(!door().admits_headers(&HeaderMap::new()));
        assert!(Secured::new(None).admits_headers(&HeaderMap::new()));
    }

    #[test]
    fn operators_bring_a_bearer_token_and_nothing_else() {
        assert!(door().admits_bearer(&headers("authorization", "Bearer s3cret")));
        for (name, value) in [
            ("authorization", format!("Basic {}", base64_simd::STANDARD.encode_to_string("a:s3cret"))),
            ("x-gateway-secret", "s3cret".to_owned()),
            ("authorization", "Bearer other".to_owned()),
        ] {
            assert!(!door().admits_bearer(&headers(name, &value)), "{name}: {value}");
        }
    }

    #[test]
    fn a_token_is_good_for_its_call_role_and_time() {
        let sign = |call: &str, role: &str, expiry: u64| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, b"s3cret");
            let mac = hmac::sign(&key, format!("{call}|{role}|{expiry}").as_bytes());
            let token = format!("{expiry}.{}", hex(mac.as_ref()));
            assert_eq!(door().sign(call, role, expiry).as_ref(), Some(&token));
            token
        };
        let future = 4_000_000_000;
        let good = sign("c-1", "media", future);
        assert!(door().admits_token(Some(&good), "c-1", "media"));
        assert!(!door().admits_token(Some(&good), "c-2", "media"));
        assert!(!door().admits_token(Some(&good), "c-1", "listen"));
        assert!(!door().admits_token(Some(&good.to_uppercase()), "c-1", "media"));
        assert!(!door().admits_token(Some(&sign("c-1", "media", 1_000)), "c-1", "media"));
        for broken in ["", ".", "4000000000.", "x.y", "4000000000"] {
            assert!(!door().admits_token(Some(broken), "c-1", "media"), "{broken}");
        }
        assert!(!door().admits_token(None, "c-1", "media"));
        let (mac, expiry) = (good.split_once('.').unwrap().1, future);
        for spelling in [&good, &format!("0{good}"), &format!("+{good}")] {
            let token = door().check_token(spelling, "c-1", "media", 0);
            assert_eq!(token, Some(Token { mac, expiry }), "{spelling}: the same token");
        }
        assert_eq!(Secured::new(None).check_token(&good, "c-1", "media", 0), None);
    }
}
