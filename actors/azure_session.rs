//! The call's session with the model, whichever socket carries it at the moment: connects, retries, renews, and keeps the
//! conversation. What the protocol demands is decided by [`Session`].

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, SpawnHandle, StreamHandler, WrapFuture,
};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::Instant;
use trunkline_call::{Backoff, DropPlace, ModelStatus};
use trunkline_media::{AudioRing, FRAME_MS};
use trunkline_realtime::{Effect, ItemId, Ledger, Loss, ModelState, Played, Session, SessionProfile, Speaker};

use crate::call_supervisor::Call;
use crate::fallback::FallbackActor;
use crate::messages::{
    CallerDigits, ChildStopped, Clear, Cleared, ItemPlayed, KeyPressed, ModelChunk, ModelHealth, ModelSpeech, OpenSession,
    PlayoutFull, Role, Shutdown,
};
use crate::model_link::{ModelLink, SharedRing};
use crate::ports::{ConnectError, Incoming, ModelSocket, ModelTransport, Outgoing, tell};
use crate::transcoder::TranscoderActor;
use crate::uplink::millis;
use crate::vc_stream::{Siblings, VcStreamActor};

/// How often a finished replacement looks for a silent moment to take over.
const SWAP_CHECK: Duration = Duration::from_millis(100);
/// Key presses kept while the model is away.
const MAX_DIGITS: usize = 8;

/// See the module.
pub struct AzureSessionActor {
    call: Call,
    transport: Rc<dyn ModelTransport>,
    line: Addr<VcStreamActor>,
    transcoder: Addr<TranscoderActor>,
    fallback: Addr<FallbackActor>,
    profile: Option<Arc<SessionProfile>>,
    ring: SharedRing,
    /// The session that hears the caller, or is about to.
    current: Option<ModelLink>,
    /// Its replacement.
    standby: Option<ModelLink>,
    links: u64,
    backoff: Backoff,
    endpoint: usize,
    refused: HashSet<usize>,
    /// The conversation while no session has it.
    ledger: Ledger,
    was_live: bool,
    swap_now: bool,
    digits: VecDeque<String>,
    generation: u64,
    open_item: Option<ItemId>,
    down: VecDeque<ModelSpeech>,
    down_ms: u64,
    under_way: Option<ItemId>,
    /// Items with audio that a clear caught before it reached the line.
    unheard: Vec<ItemId>,
    /// What a prompt cut off while no session was there to be told.
    cut_meanwhile: Vec<Played>,
    timer: Option<(Instant, SpawnHandle)>,
    effects: Vec<Effect>,
}

/// A frame of one of the links.
pub struct FromModel(u64, Incoming);

impl AzureSessionActor {
    /// The session of `call`; it connects on [`OpenSession`].
    pub fn new(
        call: Call,
        transport: Rc<dyn ModelTransport>,
        line: Addr<VcStreamActor>,
        siblings: Siblings,
    ) -> Self {
        let settings = &call.settings;
        let first_buffer = settings.timing.connect_timeout.max(settings.limits.upstream_buffer);
        let ring = Rc::new(RefCell::new(AudioRing::new(millis(first_buffer))));
        let backoff = Backoff::new(settings.reconnect_first, settings.reconnect_max);
        Self {
            call,
            transport,
            line,
            transcoder: siblings.transcoder,
            fallback: siblings.fallback,
            profile: None,
            ring,
            current: None,
            standby: None,
            links: 0,
            backoff,
            endpoint: 0,
            refused: HashSet::new(),
            ledger: Ledger::default(),
            was_live: false,
            swap_now: false,
            digits: VecDeque::new(),
            generation: 0,
            open_item: None,
            down: VecDeque::new(),
            down_ms: 0,
            under_way: None,
            unheard: Vec::new(),
            cut_meanwhile: Vec::new(),
            timer: None,
            effects: Vec::new(),
        }
    }

    // === connecting ===

    /// A link on its way to the model, at the pace all calls share.
    fn connect(&mut self, wait: Duration, ctx: &mut Context<Self>) -> Option<ModelLink> {
        let profile = Arc::clone(self.profile.as_ref()?);
        let settings = &self.call.settings;
        let url = Arc::clone(settings.endpoints.get(self.endpoint % settings.endpoints.len().max(1))?);
        let start = Instant::from_std(settings.gate.reserve((Instant::now() + wait).into_std()));
        self.links += 1;
        let id = self.links;
        let mut link = ModelLink::new(id, Session::new(profile, settings.timing, start.into_std()));
        let transport = Rc::clone(&self.transport);
        let connecting = async move {
            tokio::time::sleep_until(start).await;
            transport.connect(&url).await
        };
        let done = connecting.into_actor(self).map(move |result, session, ctx| session.connected(id, result, ctx));
        link.task = Some(ctx.spawn(done));
        Some(link)
    }

    fn connected(&mut self, id: u64, result: Result<ModelSocket, ConnectError>, ctx: &mut Context<Self>) {
        match result {
            Ok(ModelSocket { outgoing, incoming }) => {
                let record = Arc::clone(&self.call.record);
                let reader = ctx.add_stream(incoming.map(move |frame| FromModel(id, frame)));
                if let Some(link) = self.link_mut(id) {
                    link.task = Some(reader);
                    link.open(outgoing, record);
                } else {
                    ctx.cancel_future(reader);
                }
            }
            Err(error) => {
                let loss = match error {
                    ConnectError::Refused { status } => Loss::Refused { status },
                    ConnectError::Unreachable { what } => Loss::Unreachable { what },
                };
                self.lose(id, &loss, ctx);
            }
        }
        self.arm(ctx);
    }

    fn link_mut(&mut self, id: u64) -> Option<&mut ModelLink> {
        [&mut self.current, &mut self.standby].into_iter().flatten().find(|link| link.id == id)
    }

    /// A link is dead: the call's own is replaced at once, a replacement is tried again later.
    fn lose(&mut self, id: u64, loss: &Loss, ctx: &mut Context<Self>) {
        if self.standby.as_ref().is_some_and(|link| link.id == id) {
            drop_link(self.standby.take(), ctx);
            self.call.note("renewal", format!("failed: {loss}"));
            let wait = self.backoff.next();
            self.standby = self.connect(wait, ctx);
            return;
        }
        let Some(mut link) = self.current.take_if(|link| link.id == id) else { return };
        let was_live = link.session.is_live();
        if was_live {
            self.ledger = link.session.take_ledger();
        }
        drop_link(Some(link), ctx);
        self.end_open_item();
        self.call.record.model.set_state(ModelStatus::Lost);
        self.call.note("model", format!("lost: {loss}"));
        tracing::warn!(call = %self.call.record.id, loss = loss.name(), "the model's session is lost: {loss}");
        self.limit_ring();
        if let Some(standby) = self.standby.take_if(|link| link.session.is_configured()) {
            // The replacement stands ready: the caller notices nothing.
            self.current = Some(standby);
            self.go_live(ctx);
            return;
        }
        drop_link(self.standby.take(), ctx);
        if !was_live {
            if loss.is_permanent() {
                self.refused.insert(self.endpoint);
            }
            self.endpoint = (self.endpoint + 1) % self.call.settings.endpoints.len().max(1);
        }
        let permanent = loss.is_permanent() && self.refused.len() >= self.call.settings.endpoints.len();
        tell(&self.fallback, ModelHealth::Lost { permanent, reason: loss.to_string() });
        if !permanent {
            let wait = self.backoff.next();
            self.current = self.connect(wait, ctx);
        }
    }

    /// The current link is set up: it gets the conversation and hears the caller.
    fn go_live(&mut self, ctx: &mut Context<Self>) {
        let Some(link) = &mut self.current else { return };
        let id = link.id;
        let now = Instant::now().into_std();
        let mut effects = std::mem::take(&mut self.effects);
        link.session.adopt(now, std::mem::take(&mut self.ledger), self.was_live, &mut effects);
        let cut = std::mem::take(&mut self.cut_meanwhile);
        if !cut.is_empty() {
            link.session.cleared(now, &cut, &mut effects);
        }
        for digits in self.digits.drain(..) {
            link.session.user_text(now, &keys_as_text(&digits), &mut effects);
        }
        let session_id = link.session.session_id().map(str::to_owned);
        self.call.record.update(|facts| facts.session_id = session_id);
        if self.was_live {
            self.call.record.model.add_reconnect();
        }
        self.was_live = true;
        self.refused.clear();
        self.backoff.reset();
        self.effects = self.apply(id, effects, ctx);
        if let Some(link) = &self.current {
            link.feed(&self.ring);
        }
        self.call.note("model", "ready".to_owned());
        tell(&self.fallback, ModelHealth::Ready);
        self.limit_ring();
    }

    /// From the first session on the ring keeps what a conversation bears, not all of a connect.
    fn limit_ring(&mut self) {
        let fits = if self.was_live {
            self.call.settings.limits.upstream_buffer
        } else {
            return;
        };
        let dropped = self.ring.borrow_mut().set_limit(millis(fits));
        self.count_ring_drop(dropped);
    }

    fn count_ring_drop(&self, dropped_ms: u64) {
        if dropped_ms > 0 {
            self.call.record.up.add_dropped_ms(DropPlace::SessionRing, dropped_ms);
        }
    }

    // === renewal ===

    fn try_swap(&mut self, ctx: &mut Context<Self>) {
        if !self.standby.as_ref().is_some_and(|link| link.session.is_configured()) {
            return;
        }
        let silent = self.current.as_ref().is_none_or(|link| link.session.is_quiet())
            && self.down.is_empty()
            && self.under_way.is_none()
            && self.call.record.down.queued_ms() == 0;
        if !silent && !self.swap_now {
            ctx.run_later(SWAP_CHECK, |session, ctx| session.try_swap(ctx));
            return;
        }
        if let Some(mut old) = self.current.take() {
            self.ledger = old.session.take_ledger();
            old.close();
            drop_link(Some(old), ctx);
        }
        self.end_open_item();
        self.swap_now = false;
        self.current = self.standby.take();
        self.call.note("renewal", "a fresh session took over".to_owned());
        self.go_live(ctx);
        self.arm(ctx);
    }

    // === effects ===

    /// Carries out what a link's session wants; gives the emptied list back for reuse.
    fn apply(&mut self, id: u64, mut effects: Vec<Effect>, ctx: &mut Context<Self>) -> Vec<Effect> {
        for effect in effects.drain(..) {
            self.perform(id, effect, ctx);
        }
        effects
    }

    fn perform(&mut self, id: u64, effect: Effect, ctx: &mut Context<Self>) {
        let record = &self.call.record;
        match effect {
            Effect::Send(text) => self.send(id, Outgoing::Text(text.into()), ctx),
            Effect::Ping => self.send(id, Outgoing::Ping, ctx),
            Effect::Audio { item, audio } => {
                self.open_item = Some(item.clone());
                self.queue_down(item, Some(audio), ctx);
            }
            Effect::ItemEnded { item } => {
                self.open_item = None;
                self.queue_down(item, None, ctx);
            }
            Effect::SpeechStarted { active } => {
                if !active.is_empty() {
                    record.model.add_interruption();
                }
                self.call.note("speech", "the caller speaks".to_owned());
                self.clear();
            }
            Effect::SpeechStopped => self.call.note("speech", "the caller pauses".to_owned()),
            Effect::ResponseStarted => {}
            Effect::ResponseDone { status } => {
                record.model.add_response();
                self.call.note("response", status);
            }
            Effect::FirstAudio { latency } => record.model.record_latency(latency),
            Effect::Transcript { speaker, text } => {
                let kind = if speaker == Speaker::Caller { "caller" } else { "model" };
                self.call.note(kind, text);
            }
            Effect::ToolCall { call_id, name, .. } => {
                self.call.note("tool", format!("{name}: not offered"));
                let output = format!(r#"{{"error":"there is no tool named {name:?}"}}"#);
                self.with_session(id, ctx, |session, now, out| session.tool_output(now, &call_id, &output, true, out));
            }
            Effect::Configured { .. } => {
                if self.current.as_ref().is_some_and(|link| link.id == id) {
                    self.go_live(ctx);
                } else {
                    self.try_swap(ctx);
                }
            }
            Effect::Renew => {
                if self.standby.is_none() {
                    self.call.note("renewal", "preparing a fresh session".to_owned());
                    self.standby = self.connect(Duration::ZERO, ctx);
                }
            }
            Effect::RenewNow => {
                self.swap_now = true;
                self.try_swap(ctx);
            }
            Effect::Notice { code, message } => {
                tracing::info!(call = %record.id, code, "the model says: {message}");
                self.call.note("model", format!("{code}: {message}"));
            }
            Effect::Dead(loss) => self.lose(id, &loss, ctx),
        }
    }

    fn send(&mut self, id: u64, message: Outgoing, ctx: &mut Context<Self>) {
        if self.link_mut(id).is_some_and(|link| !link.send(message)) {
            self.lose(id, &Loss::Stalled, ctx);
        }
    }

    /// Runs the session of a link, then what it wants.
    fn with_session(
        &mut self,
        id: u64,
        ctx: &mut Context<Self>,
        run: impl FnOnce(&mut Session, std::time::Instant, &mut Vec<Effect>),
    ) {
        let mut effects = std::mem::take(&mut self.effects);
        if let Some(link) = self.link_mut(id) {
            run(&mut link.session, Instant::now().into_std(), &mut effects);
            self.effects = self.apply(id, effects, ctx);
        }
        if let Some(link) = &self.current {
            self.call.record.model.set_state(status(link.session.state()));
        }
        self.arm(ctx);
    }

    fn with_current(
        &mut self,
        ctx: &mut Context<Self>,
        run: impl FnOnce(&mut Session, std::time::Instant, &mut Vec<Effect>),
    ) {
        if let Some(id) = self.current.as_ref().map(|link| link.id) {
            self.with_session(id, ctx, run);
        }
    }

    // === towards the caller ===

    /// What is queued and on its way is void; the line empties its playout and answers with what was heard.
    fn clear(&mut self) {
        self.generation += 1;
        let queued = self.down.drain(..).filter(|speech| speech.audio.is_some()).map(|speech| speech.item);
        self.unheard.extend(self.under_way.clone().into_iter().chain(queued));
        self.unheard.dedup();
        self.down_ms = 0;
        self.open_item = None;
        tell(&self.line, Clear { generation: self.generation });
    }

    fn end_open_item(&mut self) {
        if let Some(item) = self.open_item.take() {
            self.down.push_back(ModelSpeech { generation: self.generation, item, audio: None, at: Instant::now() });
        }
    }

    fn queue_down(&mut self, item: ItemId, audio: Option<Bytes>, ctx: &mut Context<Self>) {
        let bytes_per_ms = self.call.settings.format.bytes_per_ms().max(1);
        self.down_ms += audio.as_ref().map_or(0, |audio| (audio.len() / bytes_per_ms) as u64);
        self.down.push_back(ModelSpeech { generation: self.generation, item, audio, at: Instant::now() });
        self.pump(ctx);
    }

    /// Keeps one chunk under way to the line; the next follows when it was taken.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.under_way.is_some() {
            return;
        }
        let Some(speech) = self.down.pop_front() else { return };
        let bytes_per_ms = self.call.settings.format.bytes_per_ms().max(1);
        let ms = speech.audio.as_ref().map_or(0, |audio| (audio.len() / bytes_per_ms) as u64);
        self.down_ms = self.down_ms.saturating_sub(ms);
        self.under_way = Some(speech.item.clone());
        let taken = self.transcoder.send(speech).into_actor(self).map(|_, session, ctx| {
            session.under_way = None;
            session.pump(ctx);
        });
        ctx.spawn(taken);
    }

    // === time ===

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let next = [&self.current, &self.standby].into_iter().flatten().filter_map(|link| link.session.next_timer()).min();
        let Some(wanted) = next.map(Instant::from_std) else { return };
        if let Some((armed, handle)) = self.timer {
            if armed <= wanted {
                return;
            }
            ctx.cancel_future(handle);
        }
        let handle = ctx.run_later(wanted.saturating_duration_since(Instant::now()), |session, ctx| {
            session.timer = None;
            let ids: Vec<u64> = [&session.current, &session.standby].into_iter().flatten().map(|link| link.id).collect();
            for id in ids {
                session.with_session(id, ctx, Session::on_timer);
            }
            session.arm(ctx);
        });
        self.timer = Some((wanted, handle));
    }
}

fn drop_link(link: Option<ModelLink>, ctx: &mut Context<AzureSessionActor>) {
    if let Some(mut link) = link {
        if let Some(task) = link.task.take() {
            ctx.cancel_future(task);
        }
        link.close();
    }
}

fn status(state: ModelState) -> ModelStatus {
    match state {
        ModelState::Connecting => ModelStatus::Connecting,
        ModelState::Ready => ModelStatus::Ready,
        ModelState::Speaking => ModelStatus::Speaking,
        ModelState::Lost => ModelStatus::Lost,
    }
}

fn keys_as_text(digits: &str) -> String {
    format!("The caller pressed these keys on the telephone: {digits}")
}

impl Actor for AzureSessionActor {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        let call_id = self.call.record.id.clone();
        tell(&self.call.supervisor, ChildStopped { call_id, role: Role::Session, panicked: std::thread::panicking() });
    }
}

impl StreamHandler<FromModel> for AzureSessionActor {
    fn handle(&mut self, FromModel(id, frame): FromModel, ctx: &mut Self::Context) {
        match frame {
            Incoming::Text(text) => {
                let unix_now_ms = (self.call.settings.unix_now_ms)();
                self.with_session(id, ctx, |session, now, out| {
                    session.on_activity(now);
                    session.on_text(now, unix_now_ms, &text, out);
                });
            }
            // Counts as an undecodable frame, like text that is no JSON.
            Incoming::Undecodable => self.with_session(id, ctx, |session, now, out| session.on_text(now, 0, b"", out)),
            Incoming::Ping(payload) => {
                self.send(id, Outgoing::Pong(payload), ctx);
                self.with_session(id, ctx, |session, now, _| session.on_activity(now));
            }
            Incoming::Pong => self.with_session(id, ctx, |session, now, _| session.on_activity(now)),
            Incoming::Closed { code, reason } => {
                if let Some(link) = self.link_mut(id) {
                    let loss = link.session.on_closed(code, &reason);
                    self.lose(id, &loss, ctx);
                    self.arm(ctx);
                }
            }
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {
        // The call outlives its sockets.
    }
}

impl Handler<OpenSession> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, OpenSession(profile): OpenSession, ctx: &mut Self::Context) {
        if self.profile.is_some() {
            return;
        }
        self.profile = Some(profile);
        tell(&self.fallback, ModelHealth::Connecting);
        self.current = self.connect(Duration::ZERO, ctx);
        self.arm(ctx);
    }
}

impl Handler<ModelChunk> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, chunk: ModelChunk, _: &mut Self::Context) {
        let ms = chunk.ms;
        let dropped = self.ring.borrow_mut().push(chunk, ms);
        self.count_ring_drop(dropped);
        if let Some(link) = self.current.as_ref().filter(|link| link.session.is_live()) {
            link.wake();
        }
    }
}

impl Handler<Cleared> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, Cleared { mut played }: Cleared, ctx: &mut Self::Context) {
        for item in self.unheard.drain(..) {
            if !played.iter().any(|known| known.item == item) {
                played.push(Played { item, played_ms: 0 });
            }
        }
        if self.current.as_ref().is_some_and(|link| link.session.is_live()) {
            self.with_current(ctx, |session, now, out| session.cleared(now, &played, out));
        } else {
            self.cut_meanwhile.extend(played);
        }
    }
}

impl Handler<ItemPlayed> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, ItemPlayed(item): ItemPlayed, _: &mut Self::Context) {
        if let Some(link) = &mut self.current {
            link.session.heard(&item);
        }
    }
}

impl Handler<KeyPressed> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, _: KeyPressed, ctx: &mut Self::Context) {
        self.clear();
        self.with_current(ctx, Session::interrupt);
    }
}

impl Handler<CallerDigits> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, CallerDigits(digits): CallerDigits, ctx: &mut Self::Context) {
        if self.current.as_ref().is_some_and(|link| link.session.is_live()) {
            let text = keys_as_text(&digits);
            self.with_current(ctx, |session, now, out| session.user_text(now, &text, out));
        } else if self.digits.len() < MAX_DIGITS {
            self.digits.push_back(digits);
        }
    }
}

impl Handler<PlayoutFull> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, _: PlayoutFull, ctx: &mut Self::Context) {
        let frames = self.down_ms / u64::from(FRAME_MS);
        self.call.record.down.add_dropped(DropPlace::PlayoutLimit, frames.max(1));
        self.call.note("playout", "the response is longer than calls.playout_buffer: cancelled".to_owned());
        self.down.clear();
        self.down_ms = 0;
        self.end_open_item();
        self.with_current(ctx, |session, _, out| session.cancel_response(out));
        self.pump(ctx);
    }
}

impl Handler<Shutdown> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        drop_link(self.current.take(), ctx);
        drop_link(self.standby.take(), ctx);
        ctx.stop();
    }
}
