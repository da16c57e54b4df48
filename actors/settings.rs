//! What the actors need of the configuration.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix::Addr;
use trunkline_call::{CallLimits, ConnectGate, FallbackSettings, RouteTable};
use trunkline_chime::announcements::AnnouncementSettings;
use trunkline_media::ModelFormat;
use trunkline_realtime::Timing;

use crate::call_control::CallControlActor;
use crate::messages::{OpenSession, Prompt};
use crate::prompts::PromptAudio;
use crate::spans::Tracer;
use crate::vitals::Vitals;

/// Shared by all calls.
pub struct BridgeSettings {
    /// Bounds in time and number.
    pub limits: CallLimits,
    /// The dial plan.
    pub routes: RouteTable,
    /// By a route's place in the dial plan: what its sessions are told. `None` for routes without a model.
    pub sessions: Vec<Option<OpenSession>>,
    /// What is spoken with the model, on every route.
    pub format: ModelFormat,
    /// When a session counts as late, dead or old.
    pub timing: Timing,
    /// The model's addresses, tried in turn; never empty.
    pub endpoints: Vec<Arc<str>>,
    /// First wait before a lost session is replaced.
    pub reconnect_first: Duration,
    /// Longest such wait.
    pub reconnect_max: Duration,
    /// The pace of connects that all calls share.
    pub gate: Arc<ConnectGate>,
    /// When the caller is kept company, and for how long.
    pub fallback: FallbackSettings,
    /// What he hears then, in our voice ...
    pub prompts: Arc<PromptAudio>,
    /// ... and in the SIP media application's.
    pub texts: PromptTexts,
    /// Asks the SIP media application, where there is one.
    pub control: Option<Addr<CallControlActor>>,
    /// Which events of calls count.
    pub announcements: AnnouncementSettings,
    /// How the model was found lately: false from a call's loss of it until any session is set up, or somebody else finds
    /// it there.
    pub model_reached: AtomicBool,
    /// What is measured over all calls.
    pub vitals: Vitals,
    /// Records what happens in calls as distributed traces, where somebody wants them.
    pub tracer: Option<Arc<dyn Tracer>>,
    /// Milliseconds since 1970 (UTC), for a session's `expires_at`.
    pub unix_now_ms: fn() -> u64,
}

/// The prompts as the SIP media application speaks them.
#[derive(Clone, Debug, Default)]
pub struct PromptTexts {
    /// Keep-alive prompts.
    pub keepalive: Vec<String>,
    /// The last word.
    pub goodbye: String,
}

impl PromptTexts {
    /// A prompt's text; empty if there is no such prompt.
    #[must_use]
    pub fn of(&self, prompt: Prompt) -> &str {
        match prompt {
            Prompt::KeepAlive(index) => self.keepalive.get(index).map_or("", String::as_str),
            Prompt::Goodbye => &self.goodbye,
        }
    }
}
