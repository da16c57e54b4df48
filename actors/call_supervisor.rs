//! Owns the existence of calls: lets them in, starts their actors, ends each of them once. Kept trivial, for a panic here
//! would orphan every call; all it knows stands in the [`Registry`].

mod announced;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, ResponseActFuture, WrapFuture};
use tokio::time::Instant;
use trunkline_call::{CallId, CallRecord, CallState, DropPlace, EndReason, LegStats, Termination};
use trunkline_chime::announcements::Announcements;
use trunkline_media::{DownTranscoder, ResamplerError, UpTranscoder};

use crate::azure_session::AzureSessionActor;
use crate::call_control::Sma;
use crate::fallback::FallbackActor;
use crate::messages::{
    Admission, Admit, ChildStopped, ChildrenStarted, CloseLine, Drain, EndAll, EndCall, Farewell, Refusal, Role,
};
use crate::ports::{ModelTransport, ToolCaller, tell};
use crate::registry::{AnnouncedCall, LiveCall, Over, Registry};
use crate::settings::BridgeSettings;
use crate::spans::CallSpan;
use crate::transcoder::TranscoderActor;
use crate::uplink::millis;
use crate::vc_stream::{Siblings, VcStreamActor};

/// Mailboxes between a call's actors: 16 messages are 320 ms of frames, more than ever waits on a healthy worker.
const MAILBOX: usize = 16;
/// How often calls are checked for age and for actors that are gone.
const CHECK: Duration = Duration::from_secs(1);
/// How long a drained call's goodbye may hold the service up.
const GOODBYES: Duration = Duration::from_secs(14);
const DRAIN_CHECK: Duration = Duration::from_millis(50);

/// Builds a worker's transport to the model; called on that worker, once a call.
pub type TransportFactory = Arc<dyn Fn() -> Rc<dyn ModelTransport> + Send + Sync>;

/// Builds a worker's way to the HTTP tools; called on that worker, once a call.
pub type ToolFactory = Arc<dyn Fn() -> Rc<dyn ToolCaller> + Send + Sync>;

/// What every actor of a call holds of it.
#[derive(Clone)]
pub struct Call {
    /// Counters, facts, timeline.
    pub record: Arc<CallRecord>,
    /// When it was born.
    pub born: Instant,
    /// Shared by all calls.
    pub settings: Arc<BridgeSettings>,
    /// Who ends it.
    pub supervisor: Addr<CallSupervisor>,
    /// What its trace shows.
    pub span: CallSpan,
}

impl Call {
    /// Adds to the call's timeline, the log and the call's span.
    pub fn note(&self, kind: &'static str, text: String) {
        let at_ms = millis(self.born.elapsed());
        tracing::debug!(call = %self.record.id, at_ms, kind, text);
        self.span.event(kind, Some(&text), None);
        self.record.note(at_ms, kind, text);
    }

    /// Adds what somebody said, or what keys he pressed, to the call's timeline. It is for the operators' page alone: log
    /// and trace learn that there was something, not what.
    pub(crate) fn note_words(&self, kind: &'static str, words: String) {
        let at_ms = millis(self.born.elapsed());
        tracing::debug!(call = %self.record.id, at_ms, kind, bytes = words.len());
        self.span.event(kind, None, None);
        self.record.note(at_ms, kind, words);
    }

    /// Adds something to the call's timeline that took so long.
    pub(crate) fn note_taking(&self, kind: &'static str, text: &str, took: Duration) {
        let at_ms = millis(self.born.elapsed());
        tracing::debug!(call = %self.record.id, at_ms, kind, text, took_ms = millis(took));
        self.span.event(kind, Some(text), Some(took));
        self.record.note_taking(at_ms, kind, text.to_owned(), took);
    }

    /// Moves the call on, unless it is on its way out.
    pub(crate) fn set_state(&self, state: CallState) {
        if self.record.state() != CallState::Ending {
            self.record.set_state(state);
        }
    }

    /// Asks for the call's end, at once.
    pub(crate) fn end(&self, reason: EndReason) {
        self.end_with(reason, Farewell::Nothing);
    }

    /// Asks for the call's end.
    pub(crate) fn end_with(&self, reason: EndReason, farewell: Farewell) {
        let of = Some(Arc::clone(&self.record));
        tell(&self.supervisor, EndCall { call_id: self.record.id.clone(), of, reason, farewell });
    }

    /// The SIP media application's side of the call, where it has one and the service can ask it.
    pub(crate) fn sma(&self) -> Option<Sma> {
        let control = self.settings.control.clone()?;
        let transaction_id = self.record.update(|facts| facts.sma_transaction_id.clone())?;
        Some(Sma::new(control, self.record.id.clone(), transaction_id))
    }

    /// To be told from `stopped()`.
    pub(crate) fn child_stopped(&self, role: Role) {
        let record = Arc::clone(&self.record);
        tell(&self.supervisor, ChildStopped { record, role, panicked: std::thread::panicking() });
    }
}

/// See the module.
pub struct CallSupervisor {
    settings: Arc<BridgeSettings>,
    registry: Arc<Registry>,
    transport: TransportFactory,
    tools: ToolFactory,
    announcements: Announcements,
    draining: bool,
}

impl CallSupervisor {
    /// A supervisor whose calls reach the model by `transport` and the HTTP tools by `tools`.
    pub fn new(
        settings: Arc<BridgeSettings>,
        registry: Arc<Registry>,
        transport: TransportFactory,
        tools: ToolFactory,
    ) -> Self {
        let announcements = Announcements::new(settings.announcements.clone());
        Self { settings, registry, transport, tools, announcements, draining: false }
    }

    fn start_call(
        &self,
        admit: &Admit,
        call_id: CallId,
        announced: Option<AnnouncedCall>,
        supervisor: Addr<Self>,
    ) -> Result<LiveCall, Refusal> {
        let codec = admit.codec;
        let format = self.settings.format;
        let no_transcoder = |error: ResamplerError| {
            tracing::error!(call = %call_id, %error, "no transcoder between line and model");
            Refusal::Internal
        };
        let up = UpTranscoder::new(codec, format).map_err(no_transcoder)?;
        let down = DownTranscoder::new(format, codec).map_err(no_transcoder)?;
        let AnnouncedCall { record, born, span, placed, .. } =
            announced.unwrap_or_else(|| self.new_call(call_id, Duration::ZERO));
        record.update(|facts| {
            facts.link = Some(admit.link.to_owned());
            // The line waits for no `start` where the transaction is known: it may be needed before.
            facts.sma_transaction_id = facts.sma_transaction_id.take().or_else(|| admit.sma_transaction_id.clone());
        });
        record.set_state(CallState::Connecting);
        let settings = Arc::clone(&self.settings);
        let call = Call { record: Arc::clone(&record), born, settings, supervisor, span: span.clone() };
        let (transport, tools) = (Arc::clone(&self.transport), Arc::clone(&self.tools));
        let line = VcStreamActor::start_in_arbiter(&admit.arbiter, move |ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            let siblings = start_siblings(&call, &ctx.address(), (transport(), tools()), (up, down));
            VcStreamActor::new(call, codec, siblings)
        });
        Ok(LiveCall { record, born, span, line, siblings: None, ending: None, placed, leg: admit.leg().clone() })
    }

    /// From now on the call goes by these names, too.
    fn know_as(&self, admit: &Admit, name: &CallId) {
        for alias in [Some(&admit.call_id), admit.leg.as_ref()].into_iter().flatten() {
            self.registry.alias(alias.clone(), name);
        }
    }

    /// The first reason stands; then the line is told. True for the first.
    fn end_call(&self, call: &EndCall, code: u16) -> bool {
        let Some(live) = self.registry.live_call(&call.call_id) else {
            return self.end_announced(call);
        };
        if call.of.as_ref().is_some_and(|record| !Arc::ptr_eq(record, &live.record)) {
            return false;
        }
        let first = live.ending.is_none();
        let name = &live.record.id;
        let mut hang_up = false;
        if first {
            self.registry.change(name, |live| live.ending = Some(call.reason));
            live.record.set_state(CallState::Ending);
            // Whoever is cut off in mid-call when the service has to stop at once is to be connected elsewhere.
            let cut_off = call.reason == EndReason::Drained && call.farewell == Farewell::Nothing;
            let planned = call.reason.is_planned() && !cut_off;
            hang_up = planned && !matches!(call.farewell, Farewell::Elsewhere { .. });
            // A caller whose transfer fails comes back, and is welcome.
            if planned && call.reason != EndReason::Transferred {
                let by = live.record.update(|facts| facts.sma_transaction_id.clone()).map(Over::Transaction);
                // One that we placed may be here before the answer to that is.
                if let Some(by) = by.or_else(|| live.placed.then(|| Over::Call(name.clone()))) {
                    self.registry.end_on_purpose(by, Instant::now());
                }
            }
        }
        if first || call.farewell == Farewell::Nothing {
            let reason = live.ending.unwrap_or(call.reason);
            tell(&live.line, CloseLine { reason, farewell: call.farewell, hang_up, code });
        }
        first
    }

    /// The line is gone, and with it the call.
    fn retire(&self, live: &LiveCall) {
        let now = Instant::now();
        let reason = live.ending.unwrap_or(EndReason::Internal);
        if let Some(siblings) = &live.siblings {
            siblings.shut_down();
        }
        end_record(&live.record, &live.span, reason, now - live.born);
        if self.registry.retire(&live.record.id, reason, now, self.settings.limits.history_max).is_some() {
            log_summary(&live.record, reason, now - live.born);
        }
    }

    fn check(&self) {
        let now = Instant::now();
        self.registry.forget(now, self.settings.limits.history);
        self.give_up_unanswered(now);
        for live in self.registry.all() {
            if !live.line.connected() {
                self.retire(&live);
            } else if live.ending.is_none() && now - live.born > self.settings.limits.max_duration {
                self.end_call(&end_of(&live, EndReason::MaxDuration, Farewell::Goodbye), 1000);
            }
        }
    }
}

fn end_of(live: &LiveCall, reason: EndReason, farewell: Farewell) -> EndCall {
    EndCall { call_id: live.record.id.clone(), of: Some(Arc::clone(&live.record)), reason, farewell }
}

/// Starts the other three on the arbiter this runs on; each holds the addresses of those it speaks to.
fn start_siblings(
    call: &Call,
    line: &Addr<VcStreamActor>,
    (transport, tools): (Rc<dyn ModelTransport>, Rc<dyn ToolCaller>),
    transcoders: (UpTranscoder, DownTranscoder),
) -> Siblings {
    let mut transcoder_ctx = Context::<TranscoderActor>::new();
    let mut session_ctx = Context::<AzureSessionActor>::new();
    let mut fallback_ctx = Context::<FallbackActor>::new();
    transcoder_ctx.set_mailbox_capacity(MAILBOX);
    session_ctx.set_mailbox_capacity(MAILBOX);
    fallback_ctx.set_mailbox_capacity(MAILBOX);
    let siblings = Siblings {
        transcoder: transcoder_ctx.address(),
        session: session_ctx.address(),
        fallback: fallback_ctx.address(),
    };
    transcoder_ctx.run(TranscoderActor::new(call.clone(), transcoders, line.clone(), &siblings.session));
    session_ctx.run(AzureSessionActor::new(call.clone(), (transport, tools), line.clone(), siblings.clone()));
    fallback_ctx.run(FallbackActor::new(call.clone(), line.clone(), siblings.session.clone()));
    tell(&call.supervisor, ChildrenStarted { record: Arc::clone(&call.record), siblings: siblings.clone() });
    siblings
}

/// A call is over, `duration` after its start.
fn end_record(record: &CallRecord, span: &CallSpan, reason: EndReason, duration: Duration) {
    record.note(millis(duration), "end", reason.to_string());
    record.end(Termination::from(reason), duration);
    span.end(record, reason, duration);
}

/// The one line a call leaves in the log.
fn log_summary(record: &CallRecord, reason: EndReason, duration: Duration) {
    let us = |latency: Option<Duration>| latency.map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    let facts = record.facts();
    let packets = record.rtp.get();
    let rtp = packets.unwrap_or_default();
    tracing::info!(
        call = %record.id,
        trace_id = facts.trace.map(|trace| trace.trace_id()),
        link = facts.link,
        route = facts.route,
        reason = reason.as_str(),
        result = Termination::from(reason).result.as_str(),
        duration_ms = millis(duration),
        up_frames = record.up.frames(),
        up_dropped = record.up.dropped(),
        up_dropped_at = dropped_at(&record.up),
        up_silence = record.up.silence(),
        down_frames = record.down.frames(),
        down_dropped = record.down.dropped(),
        down_dropped_at = dropped_at(&record.down),
        underruns = record.down.underruns(),
        late_ticks = record.down.late_ticks(),
        responses = record.model.responses(),
        interruptions = record.model.interruptions(),
        reconnects = record.model.reconnects(),
        fallback_entered = record.fallback.entered(),
        prompts = record.fallback.prompts(),
        rtp_received = rtp.received,
        rtp_lost = rtp.lost,
        rtp_late = rtp.late,
        concealed_ms = rtp.concealed_ms,
        rtp_jitter_us = us(packets.map(|rtp| rtp.jitter)),
        rtp_round_trip_us = us(rtp.round_trip),
        rtp_mos = packets.map(|rtp| rtp.mos),
        setup_ms = record.model.setup().map(millis),
        response_p50_us = us(record.model.response_latency.quantile(0.5)),
        bridge_up_p99_us = us(record.bridge.up.quantile(0.99)),
        bridge_down_p99_us = us(record.bridge.down.quantile(0.99)),
        "call ended"
    );
}

/// Where frames were lost, as `vc_ring=3 socket=1`.
fn dropped_at(leg: &LegStats) -> String {
    let places = DropPlace::ALL.into_iter().map(|place| (place.name(), leg.dropped_at(place)));
    let lost = places.filter(|(_, frames)| *frames > 0).map(|(place, frames)| format!("{place}={frames}"));
    lost.collect::<Vec<_>>().join(" ")
}

impl Actor for CallSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(CHECK, |supervisor, _| supervisor.check());
    }
}

impl Handler<Admit> for CallSupervisor {
    type Result = Result<Admission, Refusal>;

    fn handle(&mut self, admit: Admit, ctx: &mut Self::Context) -> Self::Result {
        let transaction = admit.sma_transaction_id.as_deref();
        let of_transaction = transaction.map(|transaction| Over::Transaction(transaction.to_owned()));
        let is_over = |by: &Over| self.registry.is_over(by);
        if of_transaction.as_ref().is_some_and(is_over) || is_over(&Over::Call(admit.call_id.clone())) {
            return Err(Refusal::Over);
        }
        let call_id = self.registry.resolve(&admit.call_id, transaction);
        let before = self.registry.live_call(&call_id);
        if let Some(live) = &before
            && live.ending.is_none()
            && live.line.connected()
        {
            self.registry.change(&call_id, |live| live.leg = admit.leg().clone());
            self.know_as(&admit, &call_id);
            return Ok(Admission { line: live.line.clone(), record: Arc::clone(&live.record) });
        }
        if self.draining {
            return Err(Refusal::Draining);
        }
        if let Some(live) = before {
            // Its id comes back while it says goodbye: it has to make room at once.
            let reason = live.ending.unwrap_or(EndReason::Internal);
            tell(&live.line, CloseLine { reason, farewell: Farewell::Nothing, hang_up: false, code: 1000 });
            self.retire(&live);
        }
        if !self.settings.limits.admits(self.registry.live()) {
            return Err(Refusal::AtCapacity);
        }
        let announced = self.registry.announced(&call_id);
        let live = self.start_call(&admit, call_id.clone(), announced, ctx.address())?;
        let admission = Admission { line: live.line.clone(), record: Arc::clone(&live.record) };
        self.registry.insert(live);
        self.know_as(&admit, &call_id);
        Ok(admission)
    }
}

impl Handler<ChildrenStarted> for CallSupervisor {
    type Result = ();

    fn handle(&mut self, started: ChildrenStarted, _: &mut Self::Context) {
        let ChildrenStarted { record, siblings } = started;
        if self.registry.live_of(&record).is_none() {
            siblings.shut_down();
            return;
        }
        self.registry.change(&record.id, |live| live.siblings = Some(siblings));
    }
}

impl Handler<EndCall> for CallSupervisor {
    type Result = bool;

    fn handle(&mut self, call: EndCall, _: &mut Self::Context) -> bool {
        self.end_call(&call, 1000)
    }
}

impl Handler<ChildStopped> for CallSupervisor {
    type Result = ();

    fn handle(&mut self, child: ChildStopped, _: &mut Self::Context) {
        let ChildStopped { record, role, panicked } = child;
        if panicked {
            tracing::error!(call = %record.id, ?role, "an actor of the call panicked; the call ends, others go on");
            let call_id = record.id.clone();
            let of = Some(Arc::clone(&record));
            self.end_call(&EndCall { call_id, of, reason: EndReason::Internal, farewell: Farewell::Nothing }, 1011);
        }
        if role == Role::Line
            && let Some(live) = self.registry.live_of(&record)
        {
            self.retire(&live);
        }
    }
}

impl Handler<Drain> for CallSupervisor {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Drain { timeout }: Drain, ctx: &mut Self::Context) -> Self::Result {
        self.draining = true;
        let registry = Arc::clone(&self.registry);
        let supervisor = ctx.address();
        let drained = async move {
            if empty_within(&registry, timeout).await {
                return;
            }
            tell(&supervisor, EndAll { farewell: Farewell::Goodbye });
            empty_within(&registry, GOODBYES).await;
        };
        Box::pin(drained.into_actor(self).map(|(), _, _| ()))
    }
}

impl Handler<EndAll> for CallSupervisor {
    type Result = ();

    fn handle(&mut self, EndAll { farewell }: EndAll, _: &mut Self::Context) {
        self.draining = true;
        for live in self.registry.all() {
            self.end_call(&end_of(&live, EndReason::Drained, farewell), 1001);
        }
    }
}

/// Waits until no call is left; false when `limit` passed first.
async fn empty_within(registry: &Registry, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while registry.live() > 0 {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(DRAIN_CHECK).await;
    }
    true
}

#[cfg(test)]
mod tests;
