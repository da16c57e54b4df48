//! One call's line: owns the media phase, the playout clock and what the caller's side is told.

mod handlers;
mod leaving;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix::{Actor, Addr, Context};
use tokio::time::Instant;
use trunkline_call::{CallFacts, CallState, DigitCollector, EndReason, LegStats, LinePoint, RouteKind, mask_number};
use trunkline_media::{LineCodec, level};
use trunkline_realtime::ItemId;

use crate::alarm::Alarm;
use crate::audio_port::AudioPort;
use crate::azure_session::AzureSessionActor;
use crate::call_supervisor::Call;
use crate::downlink::{Downlink, Ran};
use crate::fallback::FallbackActor;
use crate::listeners::Listeners;
use crate::messages::{
    CallerDigits, Cleared, Hushed, ItemPlayed, KeyPressed, LineSpeech, PlayoutFull, Prompt, PromptPlayed, Role,
    Shutdown,
};
use crate::ports::tell;
use crate::transcoder::{SetEcho, TranscoderActor};
use crate::uplink::{Uplink, millis};
use leaving::{Closing, Leaving};

/// A `start` that comes within this time may still choose the route.
const ROUTE_PATIENCE: Duration = Duration::from_millis(500);
/// Between the last frame of a goodbye and the close.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// From a call's birth to its first socket there is no more than an upgrade.
const FIRST_ATTACH: Duration = Duration::from_secs(5);
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
    /// The model wants to leave.
    leaving: Option<Leaving>,
    /// The caller's side is to say what became of a transfer.
    transferring: bool,
    /// A transfer that the SIP media application was asked for and has not answered: cleared, it is not wanted any more.
    transfer_asked: Option<Arc<AtomicBool>>,
    /// The peer is still playing our goodbye until then.
    goodbye_until: Option<Instant>,
    /// The item that was too much for the playout.
    too_much: Option<ItemId>,
    second_due: Instant,
    alarm: Alarm,
    ran: Ran,
}

impl VcStreamActor {
    /// The line of `call`, whose frames are of `codec` for its whole life.
    pub fn new(call: Call, codec: LineCodec, siblings: Siblings) -> Self {
        let now = Instant::now();
        let record = Arc::clone(&call.record);
        let port = AudioPort::to(&siblings.transcoder, &call.settings.vitals.full.transcoder);
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
            detach_deadline: Some(now + FIRST_ATTACH.max(call.settings.limits.reattach_grace)),
            attached_at: now,
            closing: None,
            leaving: None,
            transferring: false,
            transfer_asked: None,
            goodbye_until: None,
            too_much: None,
            second_due: now + SECOND,
            alarm: Alarm::default(),
            ran: Ran::default(),
            call,
            siblings,
        }
    }

    fn learn(&mut self, now: Instant, mut facts: CallFacts) {
        // The route asked for is no fact of the call until it is taken.
        let asked = facts.route.take();
        let number = self.call.record.update(|known| {
            known.learn(facts);
            // A route that is known before one is taken was asked for when the call was placed.
            asked.or_else(|| known.route.clone()).or_else(|| known.to.clone())
        });
        self.call.span.open(&self.call.record);
        if !self.routed && number.is_some() {
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
        let session = chosen.and_then(|(place, _)| settings.sessions.get(place)).cloned().flatten();
        match (chosen.map(|(_, route)| &route.kind), session) {
            (Some(RouteKind::Model), Some(session)) => tell(&self.siblings.session, session),
            (Some(RouteKind::Echo), _) => {
                tell(&self.siblings.transcoder, SetEcho);
                self.call.set_state(CallState::Active);
            }
            _ => self.call.end(EndReason::Rejected),
        }
        self.up.open();
        self.attached_at = now;
    }

    fn on_key(&mut self, now: Instant, key: char) {
        self.call.note_words("dtmf", key.to_string());
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
        let queued = |leg: &LegStats| u32::try_from(leg.queued_ms()).unwrap_or(u32::MAX);
        let point = LinePoint {
            up_db: level::dbfs(record.up.take_peak()),
            down_db: level::dbfs(record.down.take_peak()),
            up_queued_ms: queued(&record.up),
            down_queued_ms: queued(&record.down),
        };
        record.add_line_point(millis(now - self.call.born), point);
        self.second_due = now + SECOND;
        let limits = &self.call.settings.limits;
        match self.up.last_audio() {
            Some(last) if now - last.max(self.attached_at) > limits.media_timeout => {
                self.call.end(EndReason::MediaLost)
            }
            None if now - self.attached_at > limits.media_timeout => self.call.end(EndReason::NoMedia),
            _ => {}
        }
    }

    /// Everything that time brings about; then the timer is set anew.
    fn run(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        if self.route_deadline.is_some_and(|due| due <= now) {
            // An event may have told the number meanwhile.
            let number = self.call.record.update(|known| known.to.clone());
            self.choose_route(now, number.as_deref());
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
            self.call.end(if self.epoch == 0 { EndReason::NoMedia } else { EndReason::MediaLost });
        }
        if self.may_close(now) {
            self.close(ctx);
            return;
        }
        self.leave_if_heard(now, ctx);
        self.arm(ctx);
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
        if std::mem::take(&mut ran.hushed) {
            tell(&self.siblings.fallback, Hushed);
        }
        if let Some(prompt) = ran.begun.take() {
            self.call.note_words("prompt", self.call.settings.texts.of(prompt).to_owned());
        }
        if let Some(prompt) = ran.finished.take() {
            tell(&self.siblings.fallback, PromptPlayed(prompt));
            if prompt == Prompt::Goodbye {
                // The last frames are on their way: let the peer play them before the socket closes.
                let until = now + self.down.ahead(now) + LAST_WORDS;
                self.goodbye_until = Some(until);
                if let Some(closing) = &mut self.closing {
                    closing.deadline = until;
                }
            }
        }
        if std::mem::take(&mut ran.link_gone) {
            self.lose_link(now);
        }
    }

    /// Audio of the model. What the playout has no room for is dropped, so that memory is bounded whatever the model does.
    fn speech(&mut self, now: Instant, LineSpeech { item, mut payload, end, at, .. }: LineSpeech) {
        if !payload.is_empty() {
            self.call.record.bridge.down.record(now - at);
            if self.down.queued_ms() >= millis(self.call.settings.limits.playout_buffer) {
                self.down.count_too_much(&payload);
                payload.clear();
                if self.too_much.as_ref() != Some(&item) {
                    self.too_much = Some(item.clone());
                    tell(&self.siblings.session, PlayoutFull);
                }
            }
        }
        self.down.speech(now, item, payload, end);
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let wanted = [
            Some(self.second_due),
            self.route_deadline,
            self.keys.next_timer().map(Instant::from_std),
            self.up.due(),
            self.down.due(),
            self.listeners.due(),
            self.detach_deadline,
            self.closing.as_ref().map(|closing| closing.deadline),
            self.leaving.as_ref().and_then(Leaving::due),
        ];
        self.alarm.set(ctx, wanted.into_iter().flatten().min(), |line| &mut line.alarm, Self::run);
    }

    fn is_current(&self, epoch: u64) -> bool {
        epoch == self.epoch && self.down.is_attached()
    }
}

impl Actor for VcStreamActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.call.child_stopped(Role::Line);
    }
}
