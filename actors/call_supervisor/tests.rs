//! A panic in one call ends that call alone. In this crate, for only here an actor can be made to panic.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;
use trunkline_call::{
    CallFacts, CallId, CallLimits, ConnectGate, EndReason, FallbackSettings, Glob, Route, RouteKind, RouteTable,
};
use trunkline_chime::announcements::AnnouncementSettings;
use trunkline_media::{LineCodec, ModelFormat};
use trunkline_realtime::Timing;

use super::CallSupervisor;
use crate::link::{LinkControl, LinkOut, LinkReceiver, link};
use crate::memory_transport::MemoryTransport;
use crate::messages::{Admit, Attach, CallerAudio};
use crate::ports::{ModelTransport, ToolCall, ToolCaller, tell};
use crate::prompts::PromptAudio;
use crate::registry::Registry;
use crate::settings::{BridgeSettings, PromptTexts};
use crate::transcoder::Panic;
use crate::vc_stream::VcStreamActor;
use crate::vitals::Vitals;

struct Line {
    address: Addr<VcStreamActor>,
    epoch: u64,
    out: LinkReceiver,
}

fn supervisor() -> (Addr<CallSupervisor>, Arc<Registry>) {
    let settings = BridgeSettings {
        limits: CallLimits::default(),
        routes: RouteTable(vec![Route { pattern: Glob::parse("*").unwrap(), kind: RouteKind::Echo }]),
        sessions: vec![None],
        format: ModelFormat::Pcmu,
        timing: Timing::default(),
        endpoints: Vec::new(),
        reconnect_first: Duration::from_millis(250),
        reconnect_max: Duration::from_secs(8),
        gate: Arc::new(ConnectGate::new(50, Instant::now().into_std())),
        fallback: FallbackSettings::default(),
        prompts: Arc::new(PromptAudio::default()),
        texts: PromptTexts::default(),
        control: None,
        announcements: AnnouncementSettings::default(),
        model_reached: std::sync::atomic::AtomicBool::new(true),
        vitals: Vitals::default(),
        tracer: None,
        unix_now_ms: || 0,
    };
    let registry = Arc::new(Registry::default());
    let transport = Arc::new(|| -> Rc<dyn ModelTransport> { Rc::new(MemoryTransport::new()) });
    let tools = Arc::new(|| -> Rc<dyn ToolCaller> { Rc::new(NoTools) });
    (CallSupervisor::new(Arc::new(settings), Arc::clone(&registry), transport, tools).start(), registry)
}

struct NoTools;

impl ToolCaller for NoTools {
    fn call(&self, _: ToolCall) -> LocalBoxFuture<'static, Result<String, String>> {
        Box::pin(std::future::ready(Err("there are none".to_owned())))
    }
}

async fn call(supervisor: &Addr<CallSupervisor>, id: &str) -> Line {
    let call_id = CallId::parse(id).unwrap();
    let arbiter = actix_rt::Arbiter::current();
    let admit = Admit { call_id, leg: None, sma_transaction_id: None, codec: LineCodec::Pcmu, link: "ingest", arbiter };
    let Ok(admission) = supervisor.send(admit).await.unwrap() else { panic!("refused") };
    let (sender, out) = link(LineCodec::Pcmu);
    let attach = Attach { link: sender, facts: CallFacts { to: Some("1".into()), ..CallFacts::default() } };
    let epoch = admission.line.send(attach).await.unwrap();
    Line { address: admission.line, epoch, out }
}

impl Line {
    /// Speaks a frame and hears it.
    async fn echoes(&mut self) -> bool {
        let audio = CallerAudio { epoch: self.epoch, payload: vec![7; 160].into(), at: Instant::now() };
        self.address.send(audio).await.unwrap();
        let heard = async {
            loop {
                match self.out.next().await {
                    Some(LinkOut::Audio(_)) => return true,
                    Some(LinkOut::Control(_)) => {}
                    None => return false,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(1), heard).await == Ok(true)
    }

    async fn close(&mut self) -> Option<LinkControl> {
        while let Some(out) = self.out.next().await {
            if let LinkOut::Control(close @ LinkControl::Close { .. }) = out {
                return Some(close);
            }
        }
        None
    }
}

#[test]
fn a_panic_ends_one_call_alone() {
    let system = actix::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
    });
    system.block_on(async {
        let (supervisor, registry) = supervisor();
        let mut ill = call(&supervisor, "ill").await;
        let mut well = call(&supervisor, "well").await;
        assert!(ill.echoes().await && well.echoes().await);

        let siblings = registry.live_call(&CallId::parse("ill").unwrap()).unwrap().siblings.unwrap();
        tell(&siblings.transcoder, Panic);
        assert_eq!(ill.close().await, Some(LinkControl::Close { stop: Some("internal"), code: 1011 }));
        tokio::time::sleep(Duration::from_millis(100)).await;

        assert_eq!(registry.live(), 1);
        let ended = registry.find("ill").unwrap().record.ended().unwrap().0;
        assert_eq!(ended.reason, EndReason::Internal);
        for (name, gone) in [
            ("line", !ill.address.connected()),
            ("session", !siblings.session.connected()),
            ("fallback", !siblings.fallback.connected()),
        ] {
            assert!(gone, "the {name} of the dead call still runs");
        }
        assert!(well.echoes().await, "the other call goes on");
        assert!(call(&supervisor, "ill").await.echoes().await, "and the id may come back");
        assert_eq!(registry.ended_by_reason()["internal"], 1);
    });
}
