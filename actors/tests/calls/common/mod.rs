//! A bench for calls in virtual time: the real actors, a model in memory, and callers that keep the time of everything
//! they hear.

#![allow(dead_code, reason = "each test file uses a part of the bench")]

pub mod caller;
pub mod model;
pub mod simulated;
pub mod sound;
pub mod tools;

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use tokio::time::Instant;
use trunkline_actors::call_control::{CallControlActor, ControlHealth};
use trunkline_actors::call_supervisor::CallSupervisor;
use trunkline_actors::memory_control::MemoryControl;
use trunkline_actors::memory_transport::MemoryTransport;
use trunkline_actors::messages::{Admission, Admit, CallNews, OpenSession, Refusal};
use trunkline_actors::ports::{ModelTransport, ToolCaller};
use trunkline_actors::prompts::PromptAudio;
use trunkline_actors::registry::Registry;
use trunkline_actors::settings::{BridgeSettings, PromptTexts};
use trunkline_actors::vitals::Vitals;
use trunkline_call::{
    BuiltIns, CallId, CallLimits, CallRecord, ConnectGate, EndReason, FallbackSettings, Glob, Route, RouteKind,
    RouteTable, Toolbox,
};
use trunkline_chime::announcements::{AnnouncementSettings, Outcome};
use trunkline_media::{LineCodec, ModelFormat};
use trunkline_realtime::{SessionProfile, Timing, ToolSpec};

pub use caller::Caller;
pub use model::Model;
pub use tools::MemoryTools;
use trunkline_chime::command::speech_time;

/// 2026-01-01, when every bench begins.
const UNIX_START_MS: u64 = 1_767_225_600_000;

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `test` in an actix system whose clock jumps to the next timer whenever there is nothing to do.
pub fn run<F: Future>(test: impl FnOnce() -> F) -> F::Output {
    let system = actix::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
    });
    system.block_on(async {
        BEGAN.set(Some(Instant::now()));
        test().await
    })
}

pub fn unix_now_ms() -> u64 {
    UNIX_START_MS + BEGAN.get().unwrap().elapsed().as_millis() as u64
}

/// Virtual milliseconds since the bench began.
pub fn now_ms() -> u64 {
    BEGAN.get().unwrap().elapsed().as_millis() as u64
}

pub async fn sleep(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// How a bench is set up.
pub struct Setup {
    pub limits: CallLimits,
    pub routes: Vec<(&'static str, RouteKind)>,
    pub profile: SessionProfile,
    pub timing: Timing,
    pub endpoints: Vec<&'static str>,
    pub reconnect_first: Duration,
    pub reconnect_max: Duration,
    pub connects_per_second: u32,
    pub fallback: FallbackSettings,
    /// Updates of the SIP media application a second; `None`: there is no application.
    pub sma: Option<f64>,
    pub http_tools: Vec<ToolSpec>,
    pub destinations: Vec<&'static str>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: CallLimits::default(),
            routes: vec![("6001", RouteKind::Echo), ("6666", RouteKind::Reject), ("*", RouteKind::Model)],
            profile: SessionProfile::default(),
            timing: Timing::default(),
            endpoints: vec!["ws://model.test/a"],
            reconnect_first: Duration::from_millis(250),
            reconnect_max: Duration::from_secs(8),
            connects_per_second: 50,
            fallback: FallbackSettings {
                prompts: 2,
                speech: TEXTS.iter().map(|text| speech_time(text)).collect(),
                goodbye_speech: speech_time(GOODBYE),
                ..FallbackSettings::default()
            },
            sma: None,
            http_tools: Vec::new(),
            destinations: vec!["+1555*"],
        }
    }
}

/// What the SIP media application says: 2 s, 1 s; the goodbye 0.6 s.
pub const TEXTS: [&str; 2] = ["One moment please, I am trying", "Please hold on!"];
pub const GOODBYE: &str = "Goodbye!!";

/// Prompts: 1 s and 0.6 s of tones, a goodbye of 0.8 s. Each is told by its first byte.
pub fn prompts() -> PromptAudio {
    PromptAudio::new(&[sound::tone(700, 1_000), sound::tone(800, 600)], &sound::tone(900, 800))
}

impl Setup {
    pub fn format(mut self, format: ModelFormat) -> Self {
        self.profile.format = format;
        self
    }

    pub fn start(self) -> Bench {
        let profile = Arc::new(self.profile);
        let route = |(pattern, kind): (&str, RouteKind)| Route { pattern: Glob::parse(pattern).unwrap(), kind };
        let routes: Vec<Route> = self.routes.into_iter().map(route).collect();
        let destinations = self.destinations.iter().map(|glob| Glob::parse(glob).unwrap()).collect();
        let tools = Arc::new(Toolbox::new(BuiltIns::among(BuiltIns::NAMES), destinations, self.http_tools));
        let session = OpenSession { profile: Arc::clone(&profile), tools };
        let sessions =
            routes.iter().map(|route| matches!(route.kind, RouteKind::Model).then(|| session.clone())).collect();
        let control = MemoryControl::default();
        let asking = self.sma.map(|updates| {
            let health = Arc::new(ControlHealth::default());
            CallControlActor::new(Rc::new(control.clone()), updates, 1.0, health).start()
        });
        let settings = Arc::new(BridgeSettings {
            limits: self.limits,
            routes: RouteTable(routes),
            sessions,
            format: profile.format,
            timing: self.timing,
            endpoints: self.endpoints.into_iter().map(Arc::from).collect(),
            reconnect_first: self.reconnect_first,
            reconnect_max: self.reconnect_max,
            gate: Arc::new(ConnectGate::new(self.connects_per_second, Instant::now().into_std())),
            fallback: self.fallback,
            prompts: Arc::new(prompts()),
            texts: PromptTexts { keepalive: TEXTS.map(str::to_owned).to_vec(), goodbye: GOODBYE.to_owned() },
            control: asking.clone(),
            announcements: AnnouncementSettings {
                max_age: Some(Duration::from_secs(120)),
                ..AnnouncementSettings::default()
            },
            model_reached: std::sync::atomic::AtomicBool::new(true),
            vitals: Vitals::default(),
            tracer: None,
            unix_now_ms,
        });
        let transport = MemoryTransport::new();
        let registry = Arc::new(Registry::default());
        let shared = transport.clone();
        let factory = Arc::new(move || -> Rc<dyn ModelTransport> { Rc::new(shared.clone()) });
        let tools = MemoryTools::default();
        let shared = tools.clone();
        let tool_factory = Arc::new(move || -> Rc<dyn ToolCaller> { Rc::new(shared.clone()) });
        let supervisor = CallSupervisor::new(settings, Arc::clone(&registry), factory, tool_factory).start();
        Bench { supervisor, registry, transport, control, asking, tools }
    }
}

#[derive(Clone)]
pub struct Bench {
    pub supervisor: Addr<CallSupervisor>,
    pub registry: Arc<Registry>,
    pub transport: MemoryTransport,
    pub control: MemoryControl,
    pub asking: Option<Addr<CallControlActor>>,
    pub tools: MemoryTools,
}

impl Bench {
    pub async fn admit(&self, id: &str, codec: LineCodec) -> Result<Admission, Refusal> {
        self.admit_with(id, codec, None).await
    }

    /// Brings a transaction of the SIP media application.
    pub async fn admit_with(
        &self,
        id: &str,
        codec: LineCodec,
        transaction: Option<String>,
    ) -> Result<Admission, Refusal> {
        let call_id = CallId::parse(id).unwrap();
        let arbiter = actix_rt::Arbiter::current();
        let admit = Admit { call_id, leg: None, sma_transaction_id: transaction, codec, link: "ingest", arbiter };
        self.supervisor.send(admit).await.unwrap()
    }

    /// Takes an event as it comes from the queue.
    pub async fn event(&self, body: &serde_json::Value) -> Outcome {
        let message = trunkline_chime::event::read(body.to_string().as_bytes());
        self.supervisor.send(CallNews(message)).await.unwrap()
    }

    /// Times of what the SIP media application was asked for, with the commands.
    pub fn asked(&self) -> Vec<(u64, String)> {
        let began = BEGAN.get().unwrap();
        let at = |at: Instant| (at - began).as_millis() as u64;
        self.control.updates().into_iter().map(|asked| (at(asked.at), asked.arguments["command"].clone())).collect()
    }

    /// How the ended call `id` ended.
    pub fn ended(&self, id: &str) -> Option<EndReason> {
        let seen = self.registry.ended_calls();
        let call = seen.iter().find(|seen| seen.record.id.as_str() == id)?;
        call.record.ended().map(|(termination, _)| termination.reason)
    }

    pub fn record(&self, id: &str) -> Arc<CallRecord> {
        self.registry.find(id).unwrap().record
    }

    /// Waits until no call is left.
    pub async fn empty(&self) {
        for _ in 0..100 {
            if self.registry.live() == 0 {
                return;
            }
            sleep(100).await;
        }
        panic!("{} calls are left after 10 s", self.registry.live());
    }
}
