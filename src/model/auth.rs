//! Who we are to the model: the header of the upgrade request.

use std::fmt;
#[cfg(feature = "entra")]
use std::sync::Arc;

use awc::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
#[cfg(feature = "entra")]
use futures_util::future::BoxFuture;

/// Azure's own header for a key.
const API_KEY: HeaderName = HeaderName::from_static("api-key");

#[cfg(feature = "entra")]
/// Fetches bearer tokens. Asked once per connection; the provider caches as it sees fit.
pub trait TokenProvider: Send + Sync {
    /// A token that is valid now, without the word `Bearer`.
    fn token(&self) -> BoxFuture<'static, Result<String, TokenError>>;
}

#[cfg(feature = "entra")]
/// No token could be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no access token: {0}")]
pub struct TokenError(pub String);

/// A key with a character that an HTTP header cannot carry, such as a line break. The key itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key holds a character that an HTTP header cannot carry; allowed are visible ASCII characters")]
pub struct BadKey;

/// How the upgrade request is authenticated. Its `Debug` shows the method and never the secret.
#[derive(Clone)]
pub struct Auth(Kind);

#[derive(Clone)]
enum Kind {
    Nobody,
    Fixed(HeaderName, HeaderValue),
    #[cfg(feature = "entra")]
    Tokens(Arc<dyn TokenProvider>),
}

impl Auth {
    /// Without any credential, for the embedded simulator.
    #[must_use]
    pub fn none() -> Self {
        Self(Kind::Nobody)
    }

    /// `api-key: KEY`, Azure's default.
    ///
    /// # Errors
    /// [`BadKey`] if a header cannot carry it.
    pub fn api_key(key: &str) -> Result<Self, BadKey> {
        Ok(Self(Kind::Fixed(API_KEY, secret_value(key)?)))
    }

    /// `Authorization: Bearer KEY`.
    ///
    /// # Errors
    /// [`BadKey`] if a header cannot carry it.
    pub fn bearer(key: &str) -> Result<Self, BadKey> {
        Ok(Self(Kind::Fixed(AUTHORIZATION, bearer_value(key)?)))
    }

    #[cfg(feature = "entra")]
    /// `Authorization: Bearer TOKEN` with a token fetched for every connection.
    #[must_use]
    pub fn tokens(provider: Arc<dyn TokenProvider>) -> Self {
        Self(Kind::Tokens(provider))
    }

    /// The header for one connection; the error says why there is none, without secrets.
    pub(super) async fn header(&self) -> Result<Option<(HeaderName, HeaderValue)>, String> {
        match &self.0 {
            Kind::Nobody => Ok(None),
            Kind::Fixed(name, value) => Ok(Some((name.clone(), value.clone()))),
            #[cfg(feature = "entra")]
            Kind::Tokens(provider) => {
                let token = provider.token().await.map_err(|error| error.to_string())?;
                let value = bearer_value(&token).map_err(|_| "the token is not a header value".to_owned())?;
                Ok(Some((AUTHORIZATION, value)))
            }
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Nobody => "Auth(none)",
            Kind::Fixed(name, _) if *name == API_KEY => "Auth(api-key)",
            Kind::Fixed(..) => "Auth(bearer)",
            #[cfg(feature = "entra")]
            Kind::Tokens(_) => "Auth(tokens)",
        })
    }
}

fn bearer_value(token: &str) -> Result<HeaderValue, BadKey> {
    secret_value(token)?;
    secret_value(&format!("Bearer {token}"))
}

/// Marked sensitive, so that no `Debug` on the way prints it.
fn secret_value(text: &str) -> Result<HeaderValue, BadKey> {
    let mut value = HeaderValue::from_str(text).map_err(|_| BadKey)?;
    if text.is_empty() || !text.is_ascii() {
        return Err(BadKey);
    }
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn each_method_has_its_header() {
        assert_eq!(Auth::none().header().await.unwrap(), None);
        let (name, value) = Auth::api_key("k-1").unwrap().header().await.unwrap().unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("api-key", b"k-1".as_slice()));
        let (name, value) = Auth::bearer("k-2").unwrap().header().await.unwrap().unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("authorization", b"Bearer k-2".as_slice()));
    }

    #[cfg(feature = "entra")]
    #[actix_rt::test]
    async fn tokens_are_asked_for_every_time() {
        struct Counting(std::sync::atomic::AtomicU32);
        impl TokenProvider for Counting {
            fn token(&self) -> BoxFuture<'static, Result<String, TokenError>> {
                let n = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Box::pin(async move { if n < 2 { Ok(format!("t{n}")) } else { Err(TokenError("signed out".into())) } })
            }
        }
        let auth = Auth::tokens(Arc::new(Counting(0.into())));
        for expected in ["Bearer t0", "Bearer t1"] {
            let (_, value) = auth.header().await.unwrap().unwrap();
            assert_eq!(value.as_bytes(), expected.as_bytes());
        }
        assert_eq!(auth.header().await.unwrap_err(), "no access token: signed out");
    }

    #[test]
    fn a_key_that_no_header_carries_is_refused_without_showing_it() {
        for bad in ["secret\n", "", "sécret"] {
            let error = Auth::api_key(bad).unwrap_err();
            assert!(!error.to_string().contains("cret\n"));
            assert!(Auth::bearer(bad).is_err(), "{bad:?}");
        }
    }

    #[actix_rt::test]
    async fn debug_never_shows_the_secret() {
        for auth in [Auth::api_key("hush").unwrap(), Auth::bearer("hush").unwrap()] {
            let header = auth.header().await.unwrap();
            assert!(!format!("{auth:?} {header:?}").contains("hush"));
        }
    }
}
