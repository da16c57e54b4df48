//! The service: built from the configuration, run, drained.

mod aws_parts;
mod bridge;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use actix_rt::Arbiter;
use actix_rt::task::JoinHandle;
use actix_web::dev::ServerHandle;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::signal::unix::{Signal, SignalKind, signal};
use trunkline_actors::call_control::Flush;
use trunkline_actors::call_supervisor::CallSupervisor;
use trunkline_actors::messages::{Drain, EndAll, Farewell};
use trunkline_actors::ports::tell;
use trunkline_actors::registry::Registry;
use trunkline_actors::settings::BridgeSettings;
use trunkline_realtime::Api;
use trunkline_simulator::{SimHandle, SimOptions, SimServer};

use crate::aws::{AwsSetupError, ConsumerHandle};
use crate::cli::announce_listening;
use crate::http::auth::Secured;
use crate::http::live::{self, LiveBoard};
use crate::http::{
    Lifecycle, Shared, admin, carrier, events, health, ingest, log, metrics, openapi, outreach, page, refuse, session,
    sma,
};
use crate::links::socket::Heartbeat;
use crate::model::{BadKey, TlsSetupError};
use crate::settings::{Settings, TlsSettings};
use crate::sip::{self, SipGateway};
use crate::{prompts, tls, tools};
use aws_parts::{AwsParts, event_consumer};
pub(crate) use bridge::model_auth;
use bridge::{bridge_settings, transport_factory, transport_settings, watch_for_recovery};

/// What the kernel may hold of a call's audio before the socket refuses more: a stalled caller must show as drops here,
/// not as minutes of old speech there. The kernel doubles it.
const SEND_BUFFER: usize = 4_096;
/// The same for operators, whose page is drawn from larger messages.
const ADMIN_SEND_BUFFER: usize = 64 << 10;
/// What actix may hold of it beyond that, in bytes; its default of 32 KiB is four seconds of PCMU.
const WRITE_BUFFER: usize = 1_024;
/// Data that a peer does not acknowledge for this long means that it is gone.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest request on the admin listener, in bytes: an event is 1 MiB at most, and a larger one is to be told so.
const MAX_BODY: usize = 2 << 20;
const BACKLOG: i32 = 1_024;
/// How long hang-ups that wait for the SIP media application's quota may hold up an orderly end.
const HANG_UPS: Duration = Duration::from_secs(5);
/// How long closing handshakes may hold up the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why the service did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A listener's address cannot be had.
    #[error("{key} = {addr}: cannot listen: {error}")]
    Listen {
        /// Configuration key.
        key: &'static str,
        /// Address.
        addr: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Certificate or key of the media listener.
    #[error("{0}")]
    Tls(#[from] tls::TlsError),
    /// Trust towards the model.
    #[error("{0}")]
    ModelTls(#[from] TlsSetupError),
    /// The model's key cannot be sent.
    #[error("realtime.api_key: {0}")]
    Key(#[from] BadKey),
    /// No way to tokens.
    #[cfg(feature = "entra")]
    #[error("realtime.auth: {0}")]
    Entra(#[from] crate::model::EntraSetupError),
    /// AWS cannot be asked.
    #[error("{0}")]
    Aws(#[from] AwsSetupError),
    /// A prompt cannot be read.
    #[error("{0}")]
    Prompt(#[from] prompts::PromptError),
    /// Anything of the system's.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The service, listening.
pub struct Running {
    /// Where callers' media comes in.
    pub media_addr: SocketAddr,
    /// Where operators come in.
    pub admin_addr: SocketAddr,
    shared: web::Data<Shared>,
    drain_timeout: Duration,
    servers: Vec<ServerHandle>,
    board: (Addr<LiveBoard>, Arbiter),
    events: Option<ConsumerHandle>,
    sip: Option<SipGateway>,
    recovery: JoinHandle<()>,
    simulator: Option<SimHandle>,
}

/// Runs the service until it is told to end.
///
/// # Errors
/// [`AppError`] when it cannot start.
pub fn serve(settings: Settings) -> Result<(), AppError> {
    actix::System::new().block_on(async {
        let signals = Signals::install()?;
        start(settings, true).await?.run(signals).await;
        Ok(())
    })
}

/// Starts the service for a caller in this process, in an actix System; nothing is printed.
///
/// # Errors
/// [`AppError`].
pub async fn start_embedded(settings: Settings) -> Result<Running, AppError> {
    start(settings, false).await
}

/// Starts every listener, in an actix System. With `announce_listeners` each prints its line on stdout.
///
/// # Errors
/// [`AppError`].
async fn start(settings: Settings, announce_listeners: bool) -> Result<Running, AppError> {
    // A second start in one process (tests) finds the provider in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let prompts = prompts::load(&settings.fallback)?;
    let media_tls = settings.media.tls.as_ref().map(server_tls).transpose()?;
    let media = listener("media.listen", settings.media.listen, SEND_BUFFER)?;
    let admin = listener("admin.listen", settings.admin.listen, ADMIN_SEND_BUFFER)?;
    let (media_addr, admin_addr) = (media.local_addr()?, admin.local_addr()?);

    let mut endpoints: Vec<Arc<str>> = settings.realtime.urls.iter().map(|url| Arc::from(url.as_str())).collect();
    let mut simulator = None;
    if endpoints.is_empty() {
        let (addr, handle) = embedded_simulator()?;
        endpoints.push(simulator_url(settings.realtime.api, addr).into());
        simulator = Some(handle);
        if announce_listeners {
            announce_listening("sim", addr);
        }
    }
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let aws = AwsParts::start(&settings).await?;
    let bridge = bridge_settings(&settings, endpoints, prompts, aws.control.clone());
    let to_model = transport_settings(&settings.realtime)?;
    let transport = transport_factory(&settings.realtime, Arc::clone(&to_model), &bridge, workers);
    let tools = tools::factory(&settings.tools)?;
    let registry = Arc::new(Registry::default());
    let supervisor =
        CallSupervisor::new(Arc::clone(&bridge), Arc::clone(&registry), Arc::clone(&transport), tools).start();
    let shared = web::Data::new(shared(&settings, supervisor, registry, bridge, aws));

    let data = shared.clone();
    let server = HttpServer::new(move || {
        // Each worker's way to the model, so that its warm sessions stand ready before its first call.
        transport();
        data.bridge.vitals.watch_worker();
        App::new().app_data(data.clone()).configure(media_routes)
    })
    .workers(workers)
    .tcp_nodelay(true)
    .h1_write_buffer_size(WRITE_BUFFER)
    .shutdown_timeout(1)
    .disable_signals();
    let server = match media_tls {
        None => server.listen(media)?,
        Some(config) => server.listen_rustls_0_23(media, config)?,
    };
    let media_server = server.run();
    let board_arbiter = Arbiter::new();
    let board = LiveBoard::new(shared.clone());
    let board = LiveBoard::start_in_arbiter(&board_arbiter.handle(), |_| board);
    let (data, to_board) = (shared.clone(), web::Data::new(board.clone()));
    let admin_app = move || {
        let app = App::new().wrap(from_fn(admin::guard)).app_data(data.clone()).app_data(to_board.clone());
        app.configure(admin_routes)
    };
    let admin_server = HttpServer::new(admin_app)
        .workers(1)
        .tcp_nodelay(true)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(admin)?
        .run();

    let servers = vec![media_server.handle(), admin_server.handle()];
    actix_rt::spawn(media_server);
    actix_rt::spawn(admin_server);
    let sip = sip::start(&settings.sip, workers, &shared, Arc::clone(&shared.sip)).await?;
    let events = event_consumer(&settings.events, &shared).await?;
    shared.lifecycle.started();
    if announce_listeners {
        announce_listening("media", media_addr);
        announce_listening("admin", admin_addr);
        for addr in sip.iter().flat_map(|sip| &sip.listening) {
            announce_listening("sip", *addr);
        }
    }
    let recovery = watch_for_recovery(to_model, settings.realtime.connect_timeout, &shared);
    let drain_timeout = settings.calls.drain_timeout;
    let board = (board, board_arbiter);
    Ok(Running { media_addr, admin_addr, shared, drain_timeout, servers, board, events, sip, recovery, simulator })
}

impl Running {
    /// Until SIGTERM, SIGINT or an operator ends it: first in order, on a second signal at once.
    async fn run(mut self, mut signals: Signals) {
        // An operator's drain and the orchestrator's SIGTERM after it are one wish to end in order.
        let mut patience = tokio::select! {
            () = signals.next() => {
                self.shared.lifecycle.ask_to_drain();
                1
            }
            () = self.shared.lifecycle.drain_asked() => 2,
        };
        tracing::info!(live = self.shared.registry.live(), timeout = ?self.drain_timeout, "draining: no new calls");
        let events = self.events.take();
        let (shared, timeout) = (self.shared.clone(), self.drain_timeout);
        let drained = async move {
            // Events of calls that others will carry are theirs.
            let no_more_events = async {
                if let Some(events) = events {
                    events.stop().await;
                }
            };
            let _ = tokio::join!(shared.supervisor.send(Drain { timeout }), no_more_events);
            if let Some(control) = &shared.bridge.control {
                let _ = control.send(Flush { limit: HANG_UPS }).await;
            }
        };
        tokio::pin!(drained);
        while patience > 0 {
            tokio::select! {
                () = &mut drained => break,
                () = signals.next() => patience -= 1,
            }
        }
        if patience == 0 {
            tracing::warn!(live = self.shared.registry.live(), "ending now");
        }
        self.stop().await;
    }

    /// Ends every call at once and stops listening.
    pub async fn stop(self) {
        let _ = self.shared.supervisor.send(EndAll { farewell: Farewell::Nothing }).await;
        let (board, board_arbiter) = self.board;
        tell(&board, live::CloseAll);
        tokio::time::sleep(LAST_WORDS).await;
        if let Some(sip) = self.sip {
            sip.stop().await;
        }
        for server in &self.servers {
            server.stop(true).await;
        }
        board_arbiter.stop();
        self.recovery.abort();
        if let Some(simulator) = &self.simulator {
            simulator.stop().await;
        }
        tracing::info!("stopped");
    }
}

/// The signals that end the service.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn media_routes(config: &mut web::ServiceConfig) {
    config
        .route("/ingest", web::get().to(ingest::ingest))
        .route("/media-stream", web::get().to(carrier::media_stream))
        .route("/media-stream/", web::get().to(carrier::media_stream))
        .route("/healthz", web::get().to(health::healthz))
        .route("/readyz", web::get().to(health::readyz));
}

fn admin_routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/healthz").route(web::get().to(health::healthz)))
        .service(web::resource("/readyz").route(web::get().to(health::readyz)))
        .service(web::resource("/metrics").route(web::get().to(metrics::metrics)))
        .service(web::resource("/admin/calls").route(web::get().to(admin::list)))
        .service(web::resource("/admin/calls/{id}").route(web::get().to(admin::one)))
        .service(web::resource("/admin/calls/{id}/listen").route(web::get().to(admin::listen)))
        .service(web::resource("/admin/calls/{id}/hangup").route(web::post().to(admin::hang_up)))
        .service(web::resource("/admin/calls/{id}/listen-token").route(web::post().to(admin::listen_token)))
        .service(web::resource("/admin/live").route(web::get().to(live::live)))
        .service(web::resource("/").route(web::get().to(page::workspace)))
        .service(web::resource("/assets/{name}").route(web::get().to(page::asset)))
        .service(web::resource("/login").route(web::post().to(session::log_in)))
        .service(web::resource("/logout").route(web::post().to(session::log_out)))
        .service(web::resource("/admin/drain").route(web::post().to(admin::drain)))
        .service(web::resource("/admin/log").route(web::get().to(log::show)).route(web::put().to(log::change)))
        .service(web::resource("/admin/events").route(web::post().to(events::take)))
        .service(web::resource("/api/outreach/call/initiate").route(web::post().to(outreach::initiate)))
        .service(web::resource("/sma/events").route(web::post().to(sma::answer)))
        .service(web::resource("/api/openapi.json").route(web::get().to(openapi::describe)))
        .default_service(web::to(nothing_here))
        .app_data(web::QueryConfig::default().error_handler(|error, _| bad_request(&error)))
        .app_data(web::PathConfig::default().error_handler(|error, _| bad_request(&error)))
        .app_data(web::PayloadConfig::new(MAX_BODY));
}

async fn nothing_here() -> HttpResponse {
    refuse(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path; /api/openapi.json tells what there is")
        .into()
}

/// A query or a path that cannot be read.
fn bad_request(error: &impl std::fmt::Display) -> actix_web::Error {
    let message = error.to_string();
    let refusal = HttpResponse::from(refuse(StatusCode::BAD_REQUEST, "bad_parameter", message.clone()));
    InternalError::from_response(message, refusal).into()
}

/// A listener whose accepted sockets inherit a small send buffer and a limit on unacknowledged data.
fn listener(key: &'static str, addr: SocketAddr, send_buffer: usize) -> Result<TcpListener, AppError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_send_buffer_size(send_buffer)?;
        socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|error| AppError::Listen { key, addr, error })
}

fn server_tls(settings: &TlsSettings) -> Result<rustls::ServerConfig, tls::TlsError> {
    tls::server_config("media.tls", &settings.cert_file, &settings.key_file)
}

fn embedded_simulator() -> Result<(SocketAddr, SimHandle), AppError> {
    let server = SimServer::bind(SocketAddr::from(([127, 0, 0, 1], 0)), SimOptions::default())?;
    let (addr, handle) = (server.addr(), server.handle());
    actix_rt::spawn(server.run());
    Ok((addr, handle))
}

/// The simulator's address in the shape of each API.
pub(crate) fn simulator_url(api: Api, addr: SocketAddr) -> String {
    match api {
        Api::Ga => format!("ws://{addr}/openai/v1/realtime?model=gpt-realtime"),
        Api::Preview => {
            format!("ws://{addr}/openai/realtime?api-version=2025-04-01-preview&deployment=gpt-realtime")
        }
        Api::VoiceLive => format!("ws://{addr}/voice-live/realtime?api-version=2026-07-15&model=gpt-realtime"),
    }
}

fn shared(
    settings: &Settings,
    supervisor: Addr<CallSupervisor>,
    registry: Arc<Registry>,
    bridge: Arc<BridgeSettings>,
    aws: AwsParts,
) -> Shared {
    Shared {
        supervisor,
        registry,
        bridge,
        ingest: Secured::new(settings.ingest.secret.as_ref()),
        allowed_origins: settings.ingest.allowed_origins.clone(),
        carriers: carrier::Carriers::new(&settings.ingest.twilio),
        malformed: Arc::default(),
        heartbeat: Heartbeat { every: settings.ingest.heartbeat, timeout: settings.ingest.heartbeat_timeout },
        admin: Secured::new(settings.admin.token.as_ref()),
        mask_numbers: settings.log.mask_numbers,
        max_calls: settings.calls.max.unwrap_or(0),
        lifecycle: Lifecycle::default(),
        events: aws.events,
        event_source: aws.event_source,
        sip: Arc::default(),
        sma: sma::Application::new(&settings.sma),
        control_health: aws.control_health,
        outreach: outreach::Outreach::new(&settings.sma),
        viewers: Arc::default(),
    }
}
