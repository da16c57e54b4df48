//! The server: addresses, keys, refusals, and one [`SimSession`](crate::SimSession) a WebSocket.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::sync::watch;

use crate::counters::{SimCounters, SimLog};
use crate::dialect::{Destination, Dialect, destination};
use crate::options::{Faults, SimOptions};
use crate::session::{Records, SessionStart};
use crate::socket::{self, Ending};

/// Largest message taken: 15 MiB of append is 20 MiB in base64, but no client comes near it; frames and their sums up to this.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;
/// Receive buffer of a slowly reading server: with the usual megabytes the peer would not notice for minutes.
const SLOW_BUFFER: usize = 8 * 1024;

/// What all sessions of a server share.
pub(crate) struct Shared {
    pub options: Arc<SimOptions>,
    pub records: Records,
    faults: Mutex<Faults>,
    /// Sessions opened since the faults were set.
    sessions: AtomicU32,
    /// Upgrades refused since the faults were set.
    refusals: AtomicU32,
    /// Told to every socket: how all sessions open now shall end, with a count so that the same can be said twice.
    pub endings: watch::Sender<(u64, Ending)>,
}

impl Shared {
    /// The options of the next session, and its number.
    pub(crate) fn next_session(&self) -> (Arc<SimOptions>, u32) {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let number = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let options = if faults == self.options.faults {
            self.options.clone()
        } else {
            Arc::new(SimOptions { faults, ..SimOptions::clone(&self.options) })
        };
        (options, number)
    }

    /// The status with which this upgrade is to be refused.
    fn refusal(&self) -> Option<u16> {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let status = faults.refuse?;
        let before = self.refusals.fetch_add(1, Ordering::Relaxed);
        if faults.refuse_first.is_some_and(|first| before >= first) {
            return None;
        }
        self.records.counters.refused.add(1);
        Some(status)
    }
}

/// A bound simulator. Nothing is answered before [`run`](Self::run) is awaited inside an actix system.
pub struct SimServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
    server: Server,
}

impl SimServer {
    /// Binds; port 0 takes a free one.
    ///
    /// # Errors
    /// As the operating system says: the address is taken or not ours.
    pub fn bind(addr: SocketAddr, options: SimOptions) -> io::Result<Self> {
        let listener = listen(addr, options.faults.slow.is_some())?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            records: Records::new(options.log_limit),
            faults: Mutex::new(options.faults.clone()),
            options: Arc::new(options),
            sessions: AtomicU32::new(0),
            refusals: AtomicU32::new(0),
            endings: watch::channel((0, Ending::GoingAway)).0,
        });
        let data = web::Data::from(shared.clone());
        let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(upgrade)))
            .workers(1)
            .disable_signals()
            .tcp_nodelay(true)
            .shutdown_timeout(1)
            .listen(listener)?
            .run();
        Ok(Self { addr, shared, server })
    }

    /// The bound address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Controls the server from elsewhere, before and while it runs.
    #[must_use]
    pub fn handle(&self) -> SimHandle {
        SimHandle { server: self.server.handle(), shared: self.shared.clone() }
    }

    /// Serves until [`SimHandle::stop`].
    ///
    /// # Errors
    /// When the server's threads cannot be started.
    pub async fn run(self) -> io::Result<()> {
        self.server.await
    }
}

/// A running simulator's controls and records.
#[derive(Clone)]
pub struct SimHandle {
    server: ServerHandle,
    shared: Arc<Shared>,
}

impl SimHandle {
    /// Closes every session with 1001 and ends the server.
    pub async fn stop(&self) {
        self.end_sessions(Ending::GoingAway);
        self.server.stop(true).await;
    }

    /// Drops every open connection without a close frame, as a failing network does. New sessions are let in.
    pub fn drop_sessions(&self) {
        self.end_sessions(Ending::Drop);
    }

    /// Other faults from now on; open sessions keep theirs. The counts behind `refuse_first` and `die_sessions` begin anew.
    pub fn set_faults(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
        self.shared.sessions.store(0, Ordering::Relaxed);
        self.shared.refusals.store(0, Ordering::Relaxed);
    }

    /// Sums over all sessions.
    #[must_use]
    pub fn counters(&self) -> Arc<SimCounters> {
        self.shared.records.counters.clone()
    }

    /// Client events received.
    #[must_use]
    pub fn log(&self) -> Arc<SimLog> {
        self.shared.records.log.clone()
    }

    fn end_sessions(&self, ending: Ending) {
        self.shared.endings.send_modify(|(count, how)| (*count, *how) = (*count + 1, ending));
    }
}

fn listen(addr: SocketAddr, slow: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if slow {
        socket.set_recv_buffer_size(SLOW_BUFFER)?;
    }
    socket.bind(&SockAddr::from(addr))?;
    socket.listen(1_024)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

async fn upgrade(
    request: HttpRequest,
    body: web::Payload,
    shared: web::Data<Shared>,
) -> actix_web::Result<HttpResponse> {
    if let Some(status) = shared.refusal() {
        return Ok(refuse(status, "The service refuses this connection."));
    }
    let query = web::Query::<HashMap<String, String>>::from_query(request.query_string()).map(web::Query::into_inner);
    let query = query.unwrap_or_default();
    let destination = destination(request.path(), &query);
    if destination == Destination::NotFound {
        return Ok(refuse(404, "Resource not found"));
    }
    let key = key_of(request.headers(), &query);
    if key.is_none() || shared.options.key.as_ref().is_some_and(|wanted| key.as_ref() != Some(wanted)) {
        let message = "Access denied due to invalid subscription key or wrong API endpoint.";
        return Ok(refuse(401, message));
    }
    let (dialect, model) = match destination {
        Destination::Session { dialect, model } => (dialect, model),
        Destination::BadRequest(name) => {
            return Ok(refuse(400, &format!("Missing required query parameter: '{name}'.")));
        }
        Destination::NotFound => return Ok(refuse(404, "Resource not found")),
    };
    let beta_header = dialect == Dialect::OpenAiGa && request.headers().contains_key("openai-beta");
    let (response, session, stream) = actix_ws::handle_with_protocols(&request, body, &["realtime"])?;
    let stream = stream.max_frame_size(MAX_MESSAGE).aggregate_continuations().max_continuation_size(MAX_MESSAGE);
    let (options, number) = shared.next_session();
    let start = SessionStart { dialect, model, number, beta_header };
    actix_web::rt::spawn(socket::serve(shared.into_inner(), options, start, session, stream));
    Ok(response)
}

/// The key a request brings: header, bearer token, query, or a browser's subprotocol.
fn key_of(headers: &HeaderMap, query: &HashMap<String, String>) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
    let protocol = text(SEC_WEBSOCKET_PROTOCOL.as_str())
        .and_then(|list| list.split(',').find_map(|entry| entry.trim().strip_prefix("openai-insecure-api-key.")));
    let key = text("api-key").or(bearer).or(query.get("api-key").map(String::as_str)).or(protocol)?;
    (!key.trim().is_empty()).then(|| key.trim().to_owned())
}

fn refuse(status: u16, message: &str) -> HttpResponse {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(code);
    if matches!(status, 429 | 503) {
        response.insert_header((RETRY_AFTER, "1"));
    }
    response.json(json!({"error": {"code": status.to_string(), "message": message}}))
}
