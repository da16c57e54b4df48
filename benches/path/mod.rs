//! One call from memory to memory: the real actors, the caller's link, and a model without a socket. Time is made up and
//! passes by 20 ms a frame, so that timers ring as often as they do in a call.

pub mod sound;

use std::fmt;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, System, SystemRunner};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant as MadeUp;
use trunkline_actors::call_supervisor::CallSupervisor;
use trunkline_actors::link::{LinkAudio, LinkControl, LinkOut, LinkReceiver, link};
use trunkline_actors::memory_transport::{MemoryServer, MemoryTransport};
use trunkline_actors::messages::{Admit, Attach, CallerAudio, OpenSession};
use trunkline_actors::ports::{Incoming, ModelTransport, Outgoing, ToolCall, ToolCaller};
use trunkline_actors::prompts::PromptAudio;
use trunkline_actors::registry::Registry;
use trunkline_actors::settings::{BridgeSettings, PromptTexts};
use trunkline_actors::vc_stream::VcStreamActor;
use trunkline_actors::vitals::Vitals;
use trunkline_call::{
    CallFacts, CallId, CallLimits, CallRecord, CallState, ConnectGate, FallbackSettings, Glob, Route, RouteKind,
    RouteTable, Toolbox,
};
use trunkline_chime::announcements::AnnouncementSettings;
use trunkline_media::{FRAME_MS, LineCodec, ModelFormat};
use trunkline_realtime::{Api, SessionProfile, Timing};

const FRAME: Duration = Duration::from_millis(FRAME_MS as u64);
/// Longer than any measurement: what happens every few seconds (pings) is no part of a frame.
const EVER: Duration = Duration::from_secs(365 * 86_400);
/// Frames carried before any is measured: what grows in the first seconds of a call has grown.
const WARM: u64 = 500;

/// Which way a call carries audio while it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The caller's 20 ms, given to the line as a socket's reader does, to the event that the model's socket takes.
    Up,
    /// The model's delta to the frames that the caller's socket takes.
    Down {
        /// Audio in a delta, a multiple of 20 ms.
        delta_ms: u32,
    },
}

impl Way {
    /// Models send deltas of 100 to 500 ms; one of 20 ms shows what a delta costs apart from its sound.
    pub const ALL: [Self; 3] = [Self::Up, Self::Down { delta_ms: 20 }, Self::Down { delta_ms: 200 }];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("up"),
            Self::Down { delta_ms } => write!(f, "down, deltas of {delta_ms} ms"),
        }
    }
}

/// A call whose line speaks PCMU.
pub struct Call {
    system: SystemRunner,
    ends: Ends,
    record: Arc<CallRecord>,
    way: Way,
    frame: Bytes,
    delta: Bytes,
    /// Frames until the next delta is due.
    covered: u32,
}

/// What is outside the actors.
struct Ends {
    line: Addr<VcStreamActor>,
    epoch: u64,
    link: LinkReceiver,
    model: MemoryServer,
}

impl Call {
    /// A call in the middle of which nothing is new any more.
    pub fn new(format: ModelFormat, way: Way) -> Self {
        let system = System::with_tokio_rt(|| {
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
        });
        let (ends, record) = system.block_on(Ends::set_up(format));
        let (frame, delta) = match way {
            Way::Up => (Bytes::from(sound::line_frame(LineCodec::Pcmu)), Bytes::new()),
            Way::Down { delta_ms } => (Bytes::new(), sound::delta(format, delta_ms as usize)),
        };
        let mut call = Self { system, ends, record, way, frame, delta, covered: 0 };
        if matches!(way, Way::Down { .. }) {
            call.begin_to_speak();
        }
        call.carry(WARM);
        call
    }

    /// Carries so many frames of 20 ms, one after the other; gives the real time that took.
    pub fn carry(&mut self, frames: u64) -> Duration {
        let Self { system, ends, way, frame, delta, covered, .. } = self;
        let taken = system.block_on(async {
            let made_up = MadeUp::now();
            let begun = Instant::now();
            for _ in 0..frames {
                match way {
                    Way::Up => ends.carry_up(frame).await,
                    Way::Down { delta_ms } => {
                        if *covered == 0 {
                            ends.model.push(Incoming::Text(delta.clone()));
                            *covered = *delta_ms / FRAME_MS;
                        }
                        *covered -= 1;
                        ends.carry_down().await;
                    }
                }
            }
            let taken = begun.elapsed();
            assert_eq!(made_up.elapsed(), FRAME * u32::try_from(frames).unwrap(), "20 ms a frame, {way}");
            taken
        });
        let (up, down) = (&self.record.up, &self.record.down);
        assert_eq!((up.dropped(), up.silence()), (0, 0), "nothing is lost or made up on the way to the model");
        assert_eq!((down.dropped(), down.underruns(), down.late_ticks()), (0, 0, 0), "nor on the way to the caller");
        taken
    }

    /// A response with a lead, as a model has it that speaks faster than real time.
    fn begin_to_speak(&mut self) {
        let Self { system, ends, delta, .. } = self;
        system.block_on(async {
            sound::response_begins().into_iter().for_each(|event| ends.model.text(event));
            (0..3).for_each(|_| ends.model.push(Incoming::Text(delta.clone())));
            ends.next_frame().await;
        });
    }
}

impl Ends {
    async fn set_up(format: ModelFormat) -> (Self, Arc<CallRecord>) {
        let transport = MemoryTransport::new();
        let shared = transport.clone();
        let supervisor = CallSupervisor::new(
            Arc::new(settings(format)),
            Arc::new(Registry::default()),
            Arc::new(move || -> Rc<dyn ModelTransport> { Rc::new(shared.clone()) }),
            Arc::new(|| -> Rc<dyn ToolCaller> { Rc::new(NoTools) }),
        )
        .start();
        let admit = Admit {
            call_id: CallId::parse("measured").unwrap(),
            sma_transaction_id: None,
            leg: None,
            codec: LineCodec::Pcmu,
            link: "ingest",
            arbiter: actix_rt::Arbiter::current(),
        };
        let admission = supervisor.send(admit).await.unwrap().unwrap();
        let (sender, link) = link(LineCodec::Pcmu);
        let facts = CallFacts { to: Some("100".to_owned()), ..CallFacts::default() };
        let attach = Attach { link: sender, facts };
        let epoch = admission.line.send(attach).await.unwrap();
        let model = transport.accepted().await;
        let mut ends = Self { line: admission.line, epoch, link, model };
        assert_eq!(ends.link.next().await, Some(LinkOut::Control(LinkControl::Ready)));
        ends.open_session().await;
        while admission.record.state() != CallState::Active {
            tokio::time::sleep(FRAME).await;
        }
        (ends, admission.record)
    }

    async fn open_session(&mut self) {
        self.model.text(json!({"type": "session.created", "session": {"id": "sess_1"}}).to_string());
        let mut update: Value = serde_json::from_str(&self.model.next_text().await.unwrap()).unwrap();
        let mut session = update.get_mut("session").unwrap().take();
        session.as_object_mut().unwrap().insert("id".to_owned(), json!("sess_1"));
        self.model.text(json!({"type": "session.updated", "session": session}).to_string());
    }

    async fn carry_up(&mut self, frame: &Bytes) {
        tokio::time::advance(FRAME).await;
        let audio = CallerAudio { epoch: self.epoch, payload: frame.clone(), at: MadeUp::now() };
        self.line.send(audio).await.unwrap();
        match self.model.next().await {
            Some(Outgoing::Text(event)) if event.contains("input_audio_buffer.append") => _ = black_box(event),
            other => panic!("not the caller's audio: {other:?}"),
        }
    }

    async fn carry_down(&mut self) {
        tokio::time::advance(FRAME).await;
        self.next_frame().await;
    }

    async fn next_frame(&mut self) {
        match self.link.next().await {
            Some(LinkOut::Audio(LinkAudio::Frame(frame))) => _ = black_box(frame),
            other => panic!("not the model's audio: {other:?}"),
        }
    }
}

fn settings(format: ModelFormat) -> BridgeSettings {
    let api = if format == ModelFormat::Pcm16k { Api::VoiceLive } else { Api::Ga };
    let profile = Arc::new(SessionProfile { api, format, ..SessionProfile::default() });
    BridgeSettings {
        limits: CallLimits { media_timeout: EVER, max_duration: EVER, ..CallLimits::default() },
        routes: RouteTable(vec![Route { pattern: Glob::parse("*").unwrap(), kind: RouteKind::Model }]),
        sessions: vec![Some(OpenSession { profile, tools: Arc::new(Toolbox::default()) })],
        format,
        timing: Timing { ping: EVER, stall_timeout: EVER, ..Timing::default() },
        endpoints: vec![Arc::from("ws://model.test/")],
        reconnect_first: FRAME,
        reconnect_max: FRAME,
        gate: Arc::new(ConnectGate::new(50, MadeUp::now().into_std())),
        fallback: FallbackSettings::default(),
        prompts: Arc::new(PromptAudio::new(&[], &[])),
        texts: PromptTexts::default(),
        control: None,
        announcements: AnnouncementSettings::default(),
        model_reached: AtomicBool::new(true),
        vitals: Vitals::default(),
        tracer: None,
        unix_now_ms: || 1_767_225_600_000,
    }
}

/// A model that calls no tools.
struct NoTools;

impl ToolCaller for NoTools {
    fn call(&self, ToolCall { name, .. }: ToolCall) -> LocalBoxFuture<'static, Result<String, String>> {
        let answer = Err(format!("no tool {name}"));
        async move { answer }.boxed_local()
    }
}
