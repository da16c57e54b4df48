//! WebSocket connections by awc.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_tls::connect::{ConnectError as TcpError, ConnectInfo, Connection, Connector as TcpConnector};
use actix_web::dev::Service;
use awc::Client;
use awc::error::{ConnectError as AwcConnectError, SendRequestError, WsClientError};
use awc::http::Uri;
use awc::http::header::USER_AGENT;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use trunkline_actors::ports::{ConnectError, ModelSocket, ModelTransport};

use super::auth::Auth;
use super::meter::{Meter, Metered};
use super::socket;
use super::tls::{self, TlsSetupError};

/// Longest WebSocket frame taken, in bytes. The protocol's largest events are a few hundred kilobytes.
const MAX_FRAME: usize = 4 << 20;

/// Longest message reassembled from fragments, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

/// What the kernel may hold of our audio, in bytes: about a second of 24 kHz PCM as base64. With the default a model that
/// stops reading would swallow a minute of audio, and drop-oldest upstream would come too late to matter.
const SEND_BUFFER: usize = 64 << 10;

/// What every worker's transport shares.
#[derive(Clone, Debug)]
pub struct TransportSettings {
    auth: Auth,
    tls: Arc<rustls::ClientConfig>,
    connect_timeout: Duration,
}

impl TransportSettings {
    /// `ca_file`: PEM certificates trusted beside the public authorities, for private endpoints. `connect_timeout`
    /// covers token, name resolution, TCP, TLS and upgrade of one connect.
    ///
    /// # Errors
    /// [`TlsSetupError`] naming the file.
    pub fn new(auth: Auth, ca_file: Option<&Path>, connect_timeout: Duration) -> Result<Self, TlsSetupError> {
        Ok(Self { auth, tls: tls::client_config(ca_file)?, connect_timeout })
    }
}

/// Opens WebSockets to the model. Build one on each worker: awc's client does not leave its thread.
pub struct AwcTransport {
    client: Client,
    settings: Arc<TransportSettings>,
}

impl AwcTransport {
    /// To be called on the worker whose calls it serves.
    #[must_use]
    pub fn new(settings: Arc<TransportSettings>) -> Self {
        let limit = settings.connect_timeout;
        let connector = awc::Connector::new()
            .connector(Tuned(TcpConnector::default().service()))
            .rustls_0_23(Arc::clone(&settings.tls))
            // An open WebSocket keeps its place in awc's pool: the default of 100 would be 100 calls.
            .limit(0)
            .timeout(limit)
            .handshake_timeout(limit);
        let client = Client::builder().connector(connector).timeout(limit).finish();
        Self { client, settings }
    }
}

impl ModelTransport for AwcTransport {
    fn connect(&self, url: &str) -> LocalBoxFuture<'static, Result<ModelSocket, ConnectError>> {
        let client = self.client.clone();
        let settings = Arc::clone(&self.settings);
        let url = url.to_owned();
        async move {
            let uri = parse(&url)?;
            let limit = settings.connect_timeout;
            let opened = tokio::time::timeout(limit, open(&client, &settings.auth, &uri)).await;
            opened.unwrap_or_else(|_| Err(unreachable(&uri, &format!("no answer within {limit:?}"))))
        }
        .boxed_local()
    }
}

/// Checks the address without repeating it: its query may hold a key.
fn parse(url: &str) -> Result<Uri, ConnectError> {
    let bad =
        || ConnectError::Unreachable { what: "the address is not of the form ws://host or wss://host".to_owned() };
    let uri: Uri = url.parse().map_err(|_| bad())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("ws" | "wss"), Some(host)) if !host.is_empty() => Ok(uri),
        _ => Err(bad()),
    }
}

async fn open(client: &Client, auth: &Auth, uri: &Uri) -> Result<ModelSocket, ConnectError> {
    let header = auth.header().await.map_err(|e| unreachable(uri, &e))?;
    let mut request = client
        .ws(uri.clone())
        .max_frame_size(MAX_FRAME)
        .set_header(USER_AGENT, concat!("trunkline/", env!("CARGO_PKG_VERSION")));
    if let Some((name, value)) = header {
        request = request.set_header(name, value);
    }
    let (_response, framed) = request.connect().await.map_err(|e| failure(uri, e))?;
    let meter = Meter::new(MAX_FRAME);
    let framed = framed.into_map_io(|io| Metered { io, meter: meter.clone() });
    Ok(socket::split(framed, meter, MAX_MESSAGE))
}

fn failure(uri: &Uri, error: WsClientError) -> ConnectError {
    let request = match error {
        WsClientError::InvalidResponseStatus(status) => {
            return ConnectError::Refused { status: status.as_u16() };
        }
        WsClientError::SendRequest(request) => request,
        _ => {
            return unreachable(uri, "its answer to the upgrade is not a WebSocket handshake");
        }
    };
    match request {
        SendRequestError::Connect(AwcConnectError::Io(error)) | SendRequestError::Send(error) => {
            unreachable(uri, &error.to_string())
        }
        SendRequestError::Connect(AwcConnectError::Timeout) => unreachable(uri, "no connection in time"),
        SendRequestError::Connect(AwcConnectError::Resolver(_) | AwcConnectError::NoRecords) => {
            unreachable(uri, "the name cannot be resolved")
        }
        SendRequestError::Timeout => unreachable(uri, "no answer to the upgrade in time"),
        SendRequestError::Response(_) => unreachable(uri, "its answer is not HTTP"),
        SendRequestError::TunnelNotSupported => unreachable(uri, "it insists on HTTP/2"),
        // The rest may repeat parts of the request.
        _ => unreachable(uri, "the request could not be made"),
    }
}

/// Names the host alone: the query may hold a key.
fn unreachable(uri: &Uri, what: &str) -> ConnectError {
    ConnectError::Unreachable { what: format!("{}: {what}", uri.host().unwrap_or("model")) }
}

/// Sets the socket options awc has no setting for: without TCP_NODELAY a chunk waits up to 40 ms for the last one's
/// acknowledgement.
#[derive(Clone)]
pub(crate) struct Tuned<S>(pub(crate) S);

impl<S> Service<ConnectInfo<Uri>> for Tuned<S>
where
    S: Service<ConnectInfo<Uri>, Response = Connection<Uri, TcpStream>, Error = TcpError>,
    S::Future: 'static,
{
    type Response = Connection<Uri, TcpStream>;
    type Error = TcpError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, TcpError>>;

    fn poll_ready(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), TcpError>> {
        self.0.poll_ready(cx)
    }

    fn call(&self, request: ConnectInfo<Uri>) -> Self::Future {
        let connecting = self.0.call(request);
        async move {
            let connection = connecting.await?;
            let stream = connection.io_ref();
            stream.set_nodelay(true).map_err(TcpError::Io)?;
            socket2::SockRef::from(stream).set_send_buffer_size(SEND_BUFFER).map_err(TcpError::Io)?;
            Ok(connection)
        }
        .boxed_local()
    }
}
