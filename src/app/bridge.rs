//! What the calls are given of the configuration.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::Addr;
use actix_rt::task::JoinHandle;
use actix_web::web;
use trunkline_actors::call_control::CallControlActor;
use trunkline_actors::call_supervisor::TransportFactory;
use trunkline_actors::messages::OpenSession;
use trunkline_actors::ports::ModelTransport;
use trunkline_actors::prompts::PromptAudio;
use trunkline_actors::registry::Seen;
use trunkline_actors::settings::{BridgeSettings, PromptTexts};
use trunkline_actors::vitals::Vitals;
use trunkline_call::{CallState, ConnectGate, FallbackSettings};
use trunkline_chime::announcements::AnnouncementSettings;
use trunkline_chime::command::speech_time;

use super::AppError;
use crate::http::Shared;
use crate::model::{Auth, AwcTransport, Recovery, TransportSettings, WarmSettings, WarmTransport};
use crate::settings::{ModelAuth, RealtimeSettings, RouteKind, Settings};
use crate::telemetry;

/// From a request that the SIP media application takes to its first word: its function is invoked, and the voice synthesised.
/// How long that takes is not documented; a model that spoke meanwhile would be the second voice.
const FIRST_WORD: Duration = Duration::from_millis(500);

/// What all calls share.
pub(super) fn bridge_settings(
    settings: &Settings,
    endpoints: Vec<Arc<str>>,
    prompts: PromptAudio,
    control: Option<Addr<CallControlActor>>,
) -> Arc<BridgeSettings> {
    let (realtime, fallback) = (&settings.realtime, &settings.fallback);
    let sessions = settings.routes.iter().zip(settings.toolboxes()).map(|(route, tools)| match (&route.kind, tools) {
        (RouteKind::Model(own), Some(tools)) => {
            let profile = Arc::new(realtime.profile(own, tools.specs()));
            Some(OpenSession { profile, tools: Arc::new(tools) })
        }
        _ => None,
    });
    Arc::new(BridgeSettings {
        limits: settings.call_limits(),
        routes: settings.route_table(),
        sessions: sessions.collect(),
        format: realtime.format,
        timing: realtime.timing(),
        endpoints,
        reconnect_first: realtime.reconnect_first,
        reconnect_max: realtime.reconnect_max,
        gate: Arc::new(ConnectGate::new(realtime.connects_per_second, tokio::time::Instant::now().into_std())),
        fallback: FallbackSettings {
            channel: fallback.channel,
            prompts: fallback.prompts.len(),
            speech: fallback.prompts.iter().map(|text| FIRST_WORD + speech_time(text)).collect(),
            goodbye_speech: FIRST_WORD + speech_time(&fallback.goodbye),
            pause: fallback.pause,
            max_duration: fallback.max_duration,
            ..FallbackSettings::default()
        },
        prompts: Arc::new(prompts),
        texts: PromptTexts { keepalive: fallback.prompts.clone(), goodbye: fallback.goodbye.clone() },
        control,
        announcements: AnnouncementSettings {
            max_age: settings.events.max_age,
            voice_connector_ids: settings.events.voice_connector_ids.clone(),
        },
        model_reached: AtomicBool::new(true),
        vitals: Vitals::default(),
        tracer: telemetry::tracer(),
        unix_now_ms,
    })
}

/// Builds one transport a worker; every call on it shares that.
pub(super) fn transport_factory(
    realtime: &RealtimeSettings,
    transport: Arc<TransportSettings>,
    bridge: &BridgeSettings,
    workers: usize,
) -> TransportFactory {
    thread_local! {
        static TRANSPORT: std::cell::OnceCell<Rc<dyn ModelTransport>> = const { std::cell::OnceCell::new() };
    }
    let warm = WarmSettings {
        connect_timeout: realtime.connect_timeout,
        ping: realtime.ping,
        stall_timeout: realtime.stall_timeout,
        backoff_first: realtime.reconnect_first,
        backoff_max: realtime.reconnect_max,
        ..WarmSettings::new(bridge.endpoints.first().map(ToString::to_string).unwrap_or_default(), 0)
    };
    let gate = Arc::clone(&bridge.gate);
    let spares = realtime.warm_sessions;
    let workers_so_far = AtomicUsize::new(0);
    Arc::new(move || {
        TRANSPORT.with(|cell| {
            let build = || -> Rc<dyn ModelTransport> {
                let awc: Rc<dyn ModelTransport> = Rc::new(AwcTransport::new(Arc::clone(&transport)));
                // A socket does not leave its worker: each keeps its share of the spares, the first ones the remainder.
                let place = workers_so_far.fetch_add(1, Ordering::Relaxed);
                let sessions = spares / workers + usize::from(place < spares % workers);
                let warm = WarmSettings { sessions, ..warm.clone() };
                if sessions == 0 { awc } else { Rc::new(WarmTransport::new(awc, &gate, warm)) }
            };
            Rc::clone(cell.get_or_init(build))
        })
    })
}

/// How the model is reached, from wherever.
///
/// # Errors
/// [`AppError`] for a key that cannot be sent, or authorities that cannot be read.
pub(super) fn transport_settings(realtime: &RealtimeSettings) -> Result<Arc<TransportSettings>, AppError> {
    Ok(Arc::new(TransportSettings::new(model_auth(realtime)?, None, realtime.connect_timeout)?))
}

/// Finds out that the model is back when no call does.
pub(super) fn watch_for_recovery(
    transport: Arc<TransportSettings>,
    limit: Duration,
    shared: &web::Data<Shared>,
) -> JoinHandle<()> {
    let recovery = Recovery {
        transport: Rc::new(AwcTransport::new(transport)),
        gate: Arc::clone(&shared.bridge.gate),
        endpoints: shared.bridge.endpoints.clone(),
        profiles: shared.bridge.sessions.iter().flatten().map(|session| Arc::clone(&session.profile)).collect(),
        timing: shared.bridge.timing,
        limit,
    };
    let (missing, back) = (shared.clone(), shared.clone());
    let missed = move || {
        // These look for it by themselves.
        let looks = |seen: &Seen| matches!(seen.record.state(), CallState::Connecting | CallState::Fallback);
        let is_missed = !missing.bridge.model_reached.load(Ordering::Relaxed);
        (is_missed && !missing.registry.calls().iter().any(looks)).then(|| missing.registry.totals().fallback_entered)
    };
    let found = move || {
        tracing::info!("the model is back");
        back.bridge.model_reached.store(true, Ordering::Relaxed);
    };
    actix_rt::spawn(recovery.run(missed, found))
}

/// Who we are to the model.
///
/// # Errors
/// [`AppError`] for a key that cannot be sent.
pub(crate) fn model_auth(realtime: &RealtimeSettings) -> Result<Auth, AppError> {
    Ok(match (&realtime.api_key, realtime.auth) {
        #[cfg(feature = "entra")]
        (_, ModelAuth::Entra) => Auth::tokens(Arc::new(crate::model::EntraTokens::from_environment(None)?)),
        // The embedded simulator wants a key, any key.
        (None, _) if realtime.urls.is_empty() => Auth::api_key("simulator")?,
        (Some(key), ModelAuth::ApiKey) => Auth::api_key(key.expose())?,
        (Some(key), ModelAuth::Bearer) => Auth::bearer(key.expose())?,
        // Without the feature the configuration has refused `entra`.
        #[cfg(not(feature = "entra"))]
        (Some(_), ModelAuth::Entra) => Auth::none(),
        (None, _) => Auth::none(),
    })
}

fn unix_now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
