//! `X-Twilio-Signature`: base64 of the HMAC-SHA1, keyed with the account's auth token, of the address that Twilio was
//! told to connect to. (Twilio, "Security - Validating Signatures from Twilio".)
//!
//! A signature holds for its address and says nothing of the call or the time: it shows that Twilio connects on
//! behalf of the account, no more.

use ring::hmac;

use crate::settings::Secret;

/// The header.
pub(crate) const HEADER: &str = "x-twilio-signature";

/// The account's auth token.
pub(crate) struct AuthToken(hmac::Key);

/// Where a request came in, as far as we can see: proxies stand in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address<'a> {
    /// Whether the last leg that we know of spoke TLS.
    pub(crate) is_secure: bool,
    /// Host, with a port where the client named one.
    pub(crate) host: &'a str,
    /// As it was asked for, with `/` in front.
    pub(crate) path: &'a str,
    /// What stands behind `?`; empty if nothing does.
    pub(crate) query: &'a str,
}

impl AuthToken {
    /// Signatures by this token.
    pub(crate) fn new(token: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.expose().as_bytes()))
    }

    /// Whether `signature` was made for this address in any of its spellings: `wss` or `https`, the default port
    /// named or not, with or without a slash at the path's end. Each is compared in constant time.
    pub(crate) fn signed(&self, signature: &[u8], address: Address<'_>) -> bool {
        let Ok(tag) = base64_simd::STANDARD.decode_to_vec(signature) else { return false };
        let mut text = String::with_capacity(address.host.len() + address.path.len() + address.query.len() + 16);
        let mut signed = false;
        address.spellings(&mut text, |url| signed |= hmac::verify(&self.0, url.as_bytes(), &tag).is_ok());
        signed
    }
}

impl Address<'_> {
    /// Every way to write it.
    fn spellings(self, text: &mut String, mut tell: impl FnMut(&str)) {
        let Self { is_secure, host, path, query } = self;
        let (name, port) = split_port(host);
        let bare = path.strip_suffix('/').unwrap_or(path);
        // A proxy that ends TLS and does not say so leaves us with `http`.
        let schemes: &[(&str, &str)] = if is_secure {
            &[("wss", "443"), ("https", "443")]
        } else {
            &[("wss", "443"), ("https", "443"), ("ws", "80"), ("http", "80")]
        };
        for (scheme, default) in schemes {
            let ports = [port, None, Some(*default)];
            let ports = if port.is_none_or(|port| port == *default) { &ports[1..] } else { &ports[..2] };
            for port in ports {
                for slash in ["", "/"] {
                    text.clear();
                    text.extend([*scheme, "://", name]);
                    if let Some(port) = port {
                        text.extend([":", *port]);
                    }
                    text.extend([bare, slash]);
                    if !query.is_empty() {
                        text.extend(["?", query]);
                    }
                    tell(text);
                }
            }
        }
    }
}

/// Host and port, if it names one; an IPv6 address stands in brackets.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => {
            (name, Some(port))
        }
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(token: &str, url: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
        base64_simd::STANDARD.encode_to_string(hmac::sign(&key, url.as_bytes()).as_ref())
    }

    fn address(host: &'static str) -> Address<'static> {
        Address { is_secure: true, host, path: "/media-stream", query: "" }
    }

    #[test]
    fn a_signature_of_twilios_own_documentation_is_taken() {
        // "Validating Signatures", with its form fields, which a WebSocket's request does not have, behind the address.
        let form = "CallSidCA1234567890ABCDECaller+14158675310Digits1234From+14158675310To+18005551212";
        let token = AuthToken::new(&Secret::new("12345"));
        let query = format!("foo=1&bar=2{form}");
        let address = Address { is_secure: true, host: "mycompany.com", path: "/myapp.php", query: &query };
        assert!(token.signed(b"GvWf1cFY/Q7PnoempGyD5oXAezc=", address));
        assert!(!token.signed(b"GvWf1cFY/Q7PnoempGyD5oXAezd=", address));
    }

    #[test]
    fn every_spelling_of_the_address_and_no_other() {
        let token = AuthToken::new(&Secret::new("auth"));
        for (url, host, good) in [
            ("wss://example.com/media-stream", "example.com", true),
            ("https://example.com/media-stream", "example.com", true),
            ("wss://example.com/media-stream/", "example.com", true),
            ("wss://example.com:443/media-stream", "example.com", true),
            ("wss://example.com/media-stream", "example.com:443", true),
            ("wss://example.com:8443/media-stream", "example.com:8443", true),
            ("wss://example.com/media-stream", "example.com:8443", true),
            ("https://[2001:db8::1]:443/media-stream/", "[2001:db8::1]", true),
            ("ws://example.com/media-stream", "example.com", false),
            ("wss://example.com:8443/media-stream", "example.com", false),
            ("wss://example.com/media-streams", "example.com", false),
            ("wss://example.com/media-stream?a=b", "example.com", false),
            ("wss://other.example.com/media-stream", "example.com", false),
        ] {
            assert_eq!(token.signed(sign("auth", url).as_bytes(), address(host)), good, "{url} at {host}");
        }
        let url = "wss://example.com/media-stream";
        assert!(!token.signed(sign("other", url).as_bytes(), address("example.com")));
        for broken in ["", "=", "not base64", "AAAA"] {
            assert!(!token.signed(broken.as_bytes(), address("example.com")), "{broken}");
        }
        let plain = Address { is_secure: false, ..address("127.0.0.1:8080") };
        for url in ["ws://127.0.0.1:8080/media-stream", "wss://127.0.0.1:8080/media-stream"] {
            assert!(token.signed(sign("auth", url).as_bytes(), plain), "{url}");
        }
    }

    #[test]
    fn the_query_is_signed_too() {
        let token = AuthToken::new(&Secret::new("auth"));
        let address = Address { query: "dialect=twilio", path: "/ingest", ..address("example.com") };
        assert!(token.signed(sign("auth", "wss://example.com/ingest?dialect=twilio").as_bytes(), address));
        assert!(token.signed(sign("auth", "wss://example.com/ingest/?dialect=twilio").as_bytes(), address));
        assert!(!token.signed(sign("auth", "wss://example.com/ingest").as_bytes(), address));
    }
}
