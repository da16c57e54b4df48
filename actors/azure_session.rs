//! The call's session with the model, whichever socket carries it at the moment: connects, retries, renews, and keeps the
//! conversation. What the protocol demands is decided by [`Session`].

mod connecting;
mod effects;
mod handlers;
mod tools;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, WrapFuture};
use tokio::time::Instant;
use trunkline_call::{Backoff, DropPlace, Toolbox};
use trunkline_media::AudioRing;
use trunkline_realtime::{Effect, Ledger, Played, Session, SessionProfile};

use crate::alarm::Alarm;
use crate::call_supervisor::Call;
use crate::endpoints::Endpoints;
use crate::fallback::FallbackActor;
use crate::messages::{Clear, Role};
use crate::model_link::{ModelLink, SharedRing};
use crate::model_speech::SpeechQueue;
use crate::ports::{Incoming, ModelTransport, ToolCaller, tell};
use crate::spans::Turn;
use crate::transcoder::TranscoderActor;
use crate::uplink::millis;
use crate::vc_stream::{Siblings, VcStreamActor};
use tools::Departure;

/// See the module.
pub struct AzureSessionActor {
    call: Call,
    transport: Rc<dyn ModelTransport>,
    tools: Rc<dyn ToolCaller>,
    toolbox: Arc<Toolbox>,
    line: Addr<VcStreamActor>,
    transcoder: Addr<TranscoderActor>,
    fallback: Addr<FallbackActor>,
    profile: Option<Arc<SessionProfile>>,
    ring: SharedRing,
    /// The ring still has the length that a first connect may need.
    long_ring: bool,
    /// The session that hears the caller, or is about to.
    current: Option<ModelLink>,
    /// Its replacement.
    standby: Option<ModelLink>,
    links: u64,
    backoff: Backoff,
    endpoints: Endpoints,
    /// The conversation while no session has it.
    ledger: Ledger,
    /// Since when the current session hears the caller, or the last one did; `None` before the first.
    live_since: Option<Instant>,
    /// When a session was first asked for.
    wanted_at: Instant,
    /// The last session did not answer: the next one has to, before the caller is told that all is well.
    unproven: bool,
    swap_now: bool,
    digits: VecDeque<String>,
    speech: SpeechQueue,
    /// The caller's turn and what answers it, until that was heard.
    turn: Option<Turn>,
    /// One that was cut off, until it is known how much of the answer was heard.
    cut_turn: Option<Turn>,
    /// What a prompt cut off while no session was there to be told.
    cut_meanwhile: Vec<Played>,
    /// The model wants to leave.
    departure: Option<Departure>,
    alarm: Alarm,
    effects: Vec<Effect>,
}

/// A frame of one of the links.
pub struct FromModel(u64, Incoming);

impl AzureSessionActor {
    /// The session of `call`; it connects on [`OpenSession`](crate::messages::OpenSession).
    pub fn new(
        call: Call,
        (transport, tools): (Rc<dyn ModelTransport>, Rc<dyn ToolCaller>),
        line: Addr<VcStreamActor>,
        siblings: Siblings,
    ) -> Self {
        let settings = &call.settings;
        let first_buffer = settings.timing.connect_timeout.max(settings.limits.upstream_buffer);
        let ring = Rc::new(RefCell::new(AudioRing::new(millis(first_buffer))));
        let backoff = Backoff::new(settings.reconnect_first, settings.reconnect_max);
        let endpoints = Endpoints::new(settings.endpoints.clone());
        Self {
            call,
            transport,
            tools,
            toolbox: Arc::default(),
            line,
            transcoder: siblings.transcoder,
            fallback: siblings.fallback,
            profile: None,
            ring,
            long_ring: true,
            current: None,
            standby: None,
            links: 0,
            backoff,
            endpoints,
            ledger: Ledger::default(),
            live_since: None,
            wanted_at: Instant::now(),
            unproven: false,
            swap_now: false,
            digits: VecDeque::new(),
            speech: SpeechQueue::default(),
            turn: None,
            cut_turn: None,
            cut_meanwhile: Vec::new(),
            departure: None,
            alarm: Alarm::default(),
            effects: Vec::new(),
        }
    }

    fn link_mut(&mut self, id: u64) -> Option<&mut ModelLink> {
        [&mut self.current, &mut self.standby].into_iter().flatten().find(|link| link.id == id)
    }

    fn is_live(&self) -> bool {
        self.current.as_ref().is_some_and(|link| link.session.is_live())
    }

    // === from the caller ===

    /// From the first session on the ring keeps what a conversation bears, not all of a connect.
    fn shorten_ring(&mut self) {
        if std::mem::take(&mut self.long_ring) {
            let dropped = self.ring.borrow_mut().set_limit(millis(self.call.settings.limits.upstream_buffer));
            self.count_ring_drop(dropped);
        }
    }

    fn count_ring_drop(&self, dropped_ms: u64) {
        if dropped_ms > 0 {
            self.call.record.up.add_dropped_ms(DropPlace::SessionRing, dropped_ms);
        }
    }

    // === towards the caller ===

    /// What is queued and on its way is void; the line empties its playout and answers with what was heard.
    fn clear(&mut self) {
        let generation = self.speech.clear();
        self.cut_turn = self.turn.take();
        if let Some(turn) = &mut self.cut_turn {
            turn.status("cancelled");
        }
        tell(&self.line, Clear { generation, at: Instant::now() });
    }

    /// Keeps one chunk under way to the line; the next follows when it was taken.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let Some(speech) = self.speech.next() else {
            self.depart_if_said();
            return;
        };
        let taken = self.transcoder.send(speech).into_actor(self).map(|_, session, ctx| {
            session.speech.taken();
            session.pump(ctx);
        });
        ctx.spawn(taken);
    }

    // === time ===

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let links = [&self.current, &self.standby];
        let wanted = links.into_iter().flatten().filter_map(|link| link.session.next_timer()).min();
        self.alarm.set(ctx, wanted.map(Instant::from_std), |session| &mut session.alarm, Self::run_timers);
    }

    fn run_timers(&mut self, ctx: &mut Context<Self>) {
        for id in [&self.current, &self.standby].map(|link| link.as_ref().map(|link| link.id)).into_iter().flatten() {
            self.with_session(id, ctx, Session::on_timer);
        }
        self.arm(ctx);
    }
}

impl Actor for AzureSessionActor {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.call.child_stopped(Role::Session);
    }
}
