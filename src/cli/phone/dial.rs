//! Opens the telephone's WebSocket.

use std::sync::Arc;
use std::time::Duration;

use actix_tls::connect::rustls_0_23::webpki_roots_cert_store;
use actix_tls::connect::{ConnectInfo, Connector as TcpConnector};
use actix_web::dev::{Service as _, fn_service};
use awc::Client;
use awc::error::{SendRequestError, WsClientError, WsProtocolError};
use awc::http::Uri;
use awc::http::header::AUTHORIZATION;
use awc::ws::{Frame, Message};
use futures_util::{Sink, Stream, StreamExt as _};
use trunkline_call::CallId;
use trunkline_media::LineCodec;

use super::PhoneError;
use crate::settings::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A number to dial: the address with everything `/ingest` wants in its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub uri: Uri,
    pub call_id: String,
    pub codec: LineCodec,
}

impl Number {
    /// `url` is `ws(s)://HOST[:PORT][/PATH][?QUERY]`; the path `/ingest` is filled in, and the call id if the query has none.
    pub fn parse(url: &str, call_id: Option<&str>) -> Result<Self, PhoneError> {
        let bad = |what: String| PhoneError::BadUrl { what };
        let uri: Uri = url.parse().map_err(|error| bad(format!("{error}")))?;
        if !matches!(uri.scheme_str(), Some("ws" | "wss")) || uri.host().is_none_or(str::is_empty) {
            return Err(bad("it does not begin with ws://HOST or wss://HOST".to_owned()));
        }
        let query = uri.query().unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let codec = value("codec").unwrap_or("pcmu");
        let codec = codec.parse().map_err(|error| bad(format!("{error}")))?;
        let mut wanted = query.to_owned();
        let call_id = match (call_id, value("callId")) {
            (Some(_), Some(_)) => {
                return Err(bad("it has a callId, and --call-id gives another".to_owned()));
            }
            (None, Some(id)) => id.to_owned(),
            (given, None) => {
                let id = given.map_or_else(generated_id, str::to_owned);
                CallId::parse(&id).map_err(|error| bad(error.to_string()))?;
                let separator = if wanted.is_empty() { "" } else { "&" };
                wanted = format!("{wanted}{separator}callId={id}");
                id
            }
        };
        let path = match uri.path() {
            "" | "/" => "/ingest",
            path => path,
        };
        let mut parts = uri.clone().into_parts();
        let target = format!("{path}?{wanted}").parse().map_err(|error| bad(format!("{error}")))?;
        parts.path_and_query = Some(target);
        let uri = Uri::from_parts(parts).map_err(|error| bad(format!("{error}")))?;
        Ok(Self { uri, call_id, codec })
    }
}

/// A call id made up.
pub(super) fn generated_id() -> String {
    format!("phone-{:08x}", fastrand::u32(..))
}

/// A client for one WebSocket or a request beside it: small frames leave at once, and only HTTP/1.1 is offered,
/// because a server that picks `h2` cannot be upgraded.
pub(in crate::cli) fn client() -> Result<Client, PhoneError> {
    // awc builds a TLS configuration of its own first, and panics without a provider; a second one is refused and does no harm.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    let tcp = TcpConnector::default().service();
    let no_delay = fn_service(move |info: ConnectInfo<Uri>| {
        let connecting = tcp.call(info);
        async move {
            let connection = connecting.await?;
            // Not fatal: frames are merely later.
            let _best_effort = connection.io_ref().set_nodelay(true);
            Ok(connection)
        }
    });
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| PhoneError::Unreachable { what: error.to_string() })?
        .with_root_certificates(webpki_roots_cert_store())
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = awc::Connector::new()
        .connector(no_delay)
        .rustls_0_23(Arc::new(tls))
        .timeout(CONNECT_TIMEOUT)
        .handshake_timeout(CONNECT_TIMEOUT);
    Ok(Client::builder().connector(connector).timeout(CONNECT_TIMEOUT).finish())
}

/// Dials. Returns the open line's two directions.
pub(super) async fn dial(
    number: &Number,
    secret: Option<&Secret>,
) -> Result<
    (impl Sink<Message> + Unpin + use<>, impl Stream<Item = Result<Frame, WsProtocolError>> + Unpin + use<>),
    PhoneError,
> {
    let mut request = client()?.ws(number.uri.clone());
    if let Some(secret) = secret {
        request = request.set_header(AUTHORIZATION, format!("Bearer {}", secret.expose()));
    }
    match request.connect().await {
        Ok((_response, line)) => Ok(line.split()),
        Err(WsClientError::InvalidResponseStatus(status)) => {
            Err(PhoneError::Refused { status: status.as_u16(), meaning: meaning(status.as_u16()) })
        }
        Err(WsClientError::SendRequest(SendRequestError::Timeout)) => {
            Err(PhoneError::Unreachable { what: format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()) })
        }
        Err(WsClientError::SendRequest(error)) => Err(PhoneError::Unreachable { what: with_sources(&error) }),
        Err(error) => Err(PhoneError::Unreachable { what: format!("the answer is no WebSocket upgrade: {error}") }),
    }
}

/// What a refused upgrade most likely means; the answer's body does not come through the client.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => "a bad call id or query",
        401 => "the secret is missing or wrong, see TRUNKLINE_SECRET",
        403 => "this Origin is not let in",
        404 => "no such address or call",
        503 => "the service is full or draining",
        200..=299 => "no WebSocket there",
        _ => "see the service's log",
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_completed() {
        let table = [
            ("ws://h:1", Some("a"), "ws://h:1/ingest?callId=a", "a", LineCodec::Pcmu),
            ("ws://h/", Some("a"), "ws://h/ingest?callId=a", "a", LineCodec::Pcmu),
            ("wss://h/ingest?to=6001", Some("a"), "wss://h/ingest?to=6001&callId=a", "a", LineCodec::Pcmu),
            ("ws://h/in?callId=b&codec=l16", None, "ws://h/in?callId=b&codec=l16", "b", LineCodec::L16),
            ("ws://h?codec=pcma", Some("a"), "ws://h/ingest?codec=pcma&callId=a", "a", LineCodec::Pcma),
        ];
        for (url, id, uri, call_id, codec) in table {
            let number = Number::parse(url, id).unwrap();
            assert_eq!((number.uri.to_string().as_str(), number.call_id.as_str(), number.codec), (uri, call_id, codec));
        }
        let generated = Number::parse("ws://h", None).unwrap();
        assert!(generated.call_id.starts_with("phone-") && generated.uri.to_string().ends_with(&generated.call_id));
    }

    #[test]
    fn bad_numbers_say_why() {
        for (url, id, part) in [
            ("http://h/ingest", None, "ws://HOST"),
            ("h:80", None, "ws://HOST"),
            ("ws://h/?callId=a", Some("b"), "--call-id"),
            ("ws://h", Some("a b"), "a b"),
            ("ws://h?codec=opus", None, "opus"),
        ] {
            let error = Number::parse(url, id).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
