//! One call's line: owns the media phase, the playout clock and what the caller's side is told.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, MessageResult, SpawnHandle};
use tokio::time::Instant;
use trunkline_call::{CallFacts, CallState, DigitCollector, DropPlace, EndReason, RouteKind, mask_number};
use trunkline_media::LineCodec;

use crate::audio_port::AudioPort;
use crate::azure_session::AzureSessionActor;
use crate::call_supervisor::Call;
use crate::downlink::{Downlink, Ran};
use crate::fallback::FallbackActor;
use crate::link::LinkControl;
use crate::listeners::Listeners;
use crate::messages::{
    AddListener, Attach, CallerAudio, CallerDigits, CallerEvent, CallerSays, ChildStopped, Clear, Cleared,
    CloseLine, EchoAudio, EndCall, FallbackChanged, ItemPlayed, KeyPressed, LineSpeech, OpenSession, PlayPrompt, PlayoutFull, Prompt,
    PromptPlayed, Role, Shutdown,
};
use crate::ports::tell;
use crate::transcoder::{SetEcho, TranscoderActor};
use crate::uplink::{Uplink, millis};

/// A `start` that comes within this time may still choose the route.
const ROUTE_PATIENCE: Duration = Duration::from_millis(500);
/// A goodbye that does not come to its end (no socket, no audio) holds the call no longer than this.
const GOODBYE_GUARD: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

/// The other actors of the call.
#[derive(Clone)]
pub struct Siblings {
    /// Transcodes both ways.
    pub transcoder: Addr<TranscoderActor>,
    /// Speaks with the model.
    pub session: Addr<AzureSessionActor>,
    /// Keeps the caller company when the model is gone.
    pub fallback: Addr<FallbackActor>,
}

impl Siblings {
    /// The call is over.
    pub(crate) fn shut_down(&self) {
        tell(&self.transcoder, Shutdown);
        tell(&self.session, Shutdown);
        tell(&self.fallback, Shutdown);
    }
}

struct Closing {
    reason: EndReason,
    code: u16,
    deadline: Instant,
}

/// See the module.
pub struct VcStreamActor {
    call: Call,
    siblings: Siblings,
    up: Uplink,
    down: Downlink,
    listeners: Listeners,
    keys: DigitCollector,
    epoch: u64,
    generation: u64,
    /// Until when the route may still change; `None` once it is fixed.
    route_deadline: Option<Instant>,
    routed: bool,
    /// Without a socket the call lives until then.
    detach_deadline: Option<Instant>,
    attached_at: Instant,
    closing: Option<Closing>,
    second_due: Instant,
    timer: Option<(Instant, SpawnHandle)>,
    ran: Ran,
}

impl VcStreamActor {
    /// The line of `call`, whose frames are of `codec` for its whole life.
    pub fn new(call: Call, codec: LineCodec, siblings: Siblings) -> Self {
        let now = Instant::now();
        let record = Arc::clone(&call.record);
        let port = AudioPort::to(&siblings.transcoder);
        Self {
            up: Uplink::new(codec, Arc::clone(&record), port, call.settings.limits.upstream_buffer),
            down: Downlink::new(codec, record, Arc::clone(&call.settings.prompts)),
            listeners: Listeners::new(codec),
            keys: DigitCollector::default(),
            epoch: 0,
            generation: 0,
            route_deadline: None,
            routed: false,
            // A call whose socket never comes (the upgrade failed) must not stay.
            detach_deadline: Some(now + call.settings.limits.reattach_grace),
            attached_at: now,
            closing: None,
            second_due: now + SECOND,
            timer: None,
            ran: Ran::default(),
            call,
            siblings,
        }
    }

    fn end(&self, reason: EndReason) {
        tell(&self.call.supervisor, EndCall { call_id: self.call.record.id.clone(), reason, goodbye: false });
    }

    fn learn(&mut self, now: Instant, mut facts: CallFacts) {
        // The route asked for is no fact of the call until it is taken.
        let asked = facts.route.take();
        let number = self.call.record.update(|known| {
            known.learn(facts);
            asked.or_else(|| known.to.clone())
        });
        if self.routed {
            return;
        }
        if number.is_some() {
            self.choose_route(now, number.as_deref());
        }
    }

    /// Fixes the route; called once.
    fn choose_route(&mut self, now: Instant, number: Option<&str>) {
        self.routed = true;
        self.route_deadline = None;
        let settings = &self.call.settings;
        let chosen = settings.routes.choose_index(number);
        let name = chosen.map_or_else(|| "none".to_owned(), |(_, route)| route.pattern.to_string());
        self.call.note("route", format!("{name} for {}", number.map_or("an unknown number".to_owned(), mask_number)));
        self.call.record.update(|facts| facts.route = Some(name));
        let profile = chosen.and_then(|(place, _)| settings.profiles.get(place)).cloned().flatten();
        match (chosen.map(|(_, route)| &route.kind), profile) {
            (Some(RouteKind::Model(_)), Some(profile)) => tell(&self.siblings.session, OpenSession(profile)),
            (Some(RouteKind::Echo), _) => {
                tell(&self.siblings.transcoder, SetEcho);
                self.call.record.set_state(CallState::Active);
            }
            _ => self.end(EndReason::Rejected),
        }
        self.up.open();
        self.attached_at = now;
    }

    fn on_key(&mut self, now: Instant, key: char) {
        self.call.note("dtmf", key.to_string());
        tell(&self.siblings.session, KeyPressed);
        if let Some(digits) = self.keys.push(now.into_std(), key) {
            tell(&self.siblings.session, CallerDigits(digits));
        }
    }

    fn lose_link(&mut self, now: Instant) {
        self.down.detach(now);
        self.detach_deadline = Some(now + self.call.settings.limits.reattach_grace);
        self.call.note("link", "lost without stop".to_owned());
    }

    fn once_a_second(&mut self, now: Instant) {
        let record = &self.call.record;
        let elapsed = now + SECOND - self.second_due;
        record.up.measure_rate(elapsed);
        record.down.measure_rate(elapsed);
        self.second_due = now + SECOND;
        let limits = &self.call.settings.limits;
        match self.up.last_audio() {
            Some(last) if now - last.max(self.attached_at) > limits.media_timeout => self.end(EndReason::MediaLost),
            None if now - self.attached_at > limits.media_timeout => self.end(EndReason::NoMedia),
            _ => {}
        }
    }

    /// Everything that time brings about; then the timer is set anew.
    fn run(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        if self.route_deadline.is_some_and(|due| due <= now) {
            self.choose_route(now, None);
        }
        if let Some(digits) = self.keys.on_timer(now.into_std()) {
            tell(&self.siblings.session, CallerDigits(digits));
        }
        self.up.on_timer(now);
        self.down.run(now, &mut self.ran);
        self.after_playout(now);
        self.listeners.run(now);
        if self.second_due <= now {
            self.once_a_second(now);
        }
        if self.detach_deadline.is_some_and(|due| due <= now) {
            self.detach_deadline = None;
            self.end(EndReason::MediaLost);
        }
        if let Some(closing) = &self.closing
            && (closing.deadline <= now || !self.down.is_attached())
        {
            self.close(ctx);
            return;
        }
        self.arm(ctx, now);
    }

    fn after_playout(&mut self, now: Instant) {
        let ran = &mut self.ran;
        for frame in ran.frames.drain(..) {
            self.listeners.model(&frame);
        }
        for item in ran.played.drain(..) {
            tell(&self.siblings.session, ItemPlayed(item));
        }
        if !ran.cut.is_empty() {
            tell(&self.siblings.session, Cleared { played: std::mem::take(&mut ran.cut) });
        }
        if let Some(prompt) = ran.finished.take() {
            tell(&self.siblings.fallback, PromptPlayed(prompt));
            if let Some(closing) = &mut self.closing
                && prompt == Prompt::Goodbye
            {
                // The last frames are on their way: let the peer play them before the socket closes.
                closing.deadline = now + Downlink::FRAME * 5;
            }
        }
        if std::mem::take(&mut ran.link_gone) {
            self.lose_link(now);
        }
    }

    /// Says `stop`, lets everything go.
    fn close(&mut self, ctx: &mut Context<Self>) {
        if let Some(closing) = self.closing.take() {
            let stop = closing.reason.as_str();
            self.down.control(LinkControl::Close { stop: Some(stop), code: closing.code });
            self.listeners.close(stop, closing.code);
        }
        ctx.stop();
    }

    fn arm(&mut self, ctx: &mut Context<Self>, now: Instant) {
        let wanted = [
            Some(self.second_due),
            self.route_deadline,
            self.keys.next_timer().map(Instant::from_std),
            self.up.due(),
            self.down.due(),
            self.listeners.due(),
            self.detach_deadline,
            self.closing.as_ref().map(|closing| closing.deadline),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.second_due);
        if let Some((armed, handle)) = self.timer {
            // A timer that fires early is cheap; one that fires late is not.
            if armed <= wanted && armed > now {
                return;
            }
            ctx.cancel_future(handle);
        }
        let handle = ctx.run_later(wanted.saturating_duration_since(now), |line, ctx| {
            line.timer = None;
            line.run(ctx);
        });
        self.timer = Some((wanted, handle));
    }

    fn is_current(&self, epoch: u64) -> bool {
        epoch == self.epoch && self.down.is_attached()
    }
}

impl Actor for VcStreamActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx, Instant::now());
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        let call_id = self.call.record.id.clone();
        tell(&self.call.supervisor, ChildStopped { call_id, role: Role::Line, panicked: std::thread::panicking() });
    }
}

impl Handler<Attach> for VcStreamActor {
    type Result = MessageResult<Attach>;

    fn handle(&mut self, attach: Attach, ctx: &mut Self::Context) -> Self::Result {
        let now = Instant::now();
        self.epoch += 1;
        let first = self.epoch == 1;
        let ready = attach.link.control(LinkControl::Ready).is_ok();
        if let Some(before) = self.down.attach(now, attach.link, attach.fill) {
            // It may be gone already; then nobody needs to be told.
            let _ = before.control(LinkControl::Close { stop: None, code: 4409 });
        }
        self.detach_deadline = None;
        self.attached_at = now;
        self.call.note("link", if first { "attached" } else { "attached again" }.to_owned());
        if !ready {
            self.lose_link(now);
        }
        if first {
            self.route_deadline = Some(now + ROUTE_PATIENCE);
        }
        self.learn(now, attach.facts);
        self.run(ctx);
        MessageResult(self.epoch)
    }
}

impl Handler<AddListener> for VcStreamActor {
    type Result = bool;

    fn handle(&mut self, AddListener { link }: AddListener, ctx: &mut Self::Context) -> bool {
        let now = Instant::now();
        let added = self.listeners.add(now, link);
        self.arm(ctx, now);
        added
    }
}

impl Handler<CallerAudio> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, audio: CallerAudio, ctx: &mut Self::Context) {
        if self.is_current(audio.epoch)
            && let Some(codec) = self.down.link_codec()
        {
            let frames = self.up.caller_audio(codec, audio.payload, audio.at);
            self.listeners.caller(&frames);
            self.arm(ctx, audio.at);
        }
    }
}

impl Handler<CallerSays> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, CallerSays { epoch, event }: CallerSays, ctx: &mut Self::Context) {
        if !self.is_current(epoch) {
            return;
        }
        let now = Instant::now();
        match event {
            CallerEvent::Start(facts) => {
                self.learn(now, facts);
                if !self.routed {
                    self.choose_route(now, None);
                }
            }
            CallerEvent::Key(key) => self.on_key(now, key),
            CallerEvent::Played(mark) => self.down.peer_played(now, &mark),
            CallerEvent::Stop => self.end(EndReason::CallerHangup),
            CallerEvent::Bad { code, message, lost_ms } => {
                self.call.record.up.add_dropped_ms(DropPlace::BadAudio, lost_ms);
                if !self.down.control(LinkControl::Error { code, message }) {
                    self.lose_link(now);
                }
            }
            CallerEvent::Lost => self.lose_link(now),
        }
        self.run(ctx);
    }
}

impl Handler<LineSpeech> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, speech: LineSpeech, ctx: &mut Self::Context) {
        if speech.generation < self.generation || self.closing.is_some() {
            return;
        }
        let now = Instant::now();
        if !speech.payload.is_empty() {
            self.call.record.bridge.down.record(now - speech.at);
        }
        self.down.speech(now, speech.item, speech.payload, speech.end);
        if self.down.queued_ms() > millis(self.call.settings.limits.playout_buffer) {
            tell(&self.siblings.session, PlayoutFull);
        }
        self.run(ctx);
    }
}

impl Handler<EchoAudio> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, EchoAudio { payload }: EchoAudio, ctx: &mut Self::Context) {
        if self.closing.is_none() {
            self.down.echo(Instant::now(), payload);
            self.run(ctx);
        }
    }
}

impl Handler<Clear> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, Clear { generation }: Clear, ctx: &mut Self::Context) {
        if self.closing.is_some() {
            return;
        }
        self.generation = generation;
        let (played, prompt) = self.down.clear(Instant::now());
        tell(&self.siblings.session, Cleared { played });
        if let Some(prompt) = prompt {
            tell(&self.siblings.fallback, PromptPlayed(prompt));
        }
        self.run(ctx);
    }
}

impl Handler<PlayPrompt> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, PlayPrompt(prompt): PlayPrompt, ctx: &mut Self::Context) {
        if self.closing.is_none() {
            self.down.play(Instant::now(), prompt);
            self.run(ctx);
        }
    }
}

impl Handler<FallbackChanged> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, FallbackChanged { state, reason }: FallbackChanged, ctx: &mut Self::Context) {
        if state == "recovered"
            && let Some(prompt) = self.down.forget_prompt()
        {
            tell(&self.siblings.fallback, PromptPlayed(prompt));
        }
        if !self.down.control(LinkControl::Fallback { state, reason }) {
            self.lose_link(Instant::now());
        }
        self.run(ctx);
    }
}

impl Handler<CloseLine> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, CloseLine { reason, goodbye, code }: CloseLine, ctx: &mut Self::Context) {
        let now = Instant::now();
        let goodbye = goodbye && self.down.is_attached();
        let deadline = if goodbye { now + GOODBYE_GUARD } else { now };
        self.closing = Some(Closing { reason, code, deadline });
        if goodbye {
            self.down.clear(now);
            self.down.play(now, Prompt::Goodbye);
        }
        self.run(ctx);
    }
}
