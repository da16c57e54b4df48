//! How sessions come and go: connecting, losing, renewing.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures_util::StreamExt;
use tokio::time::Instant;
use tracing::Span;
use trunkline_call::ModelStatus;
use trunkline_realtime::{Loss, Session};

use super::{AzureSessionActor, FromModel};
use crate::messages::ModelHealth;
use crate::model_link::ModelLink;
use crate::ports::{ConnectError, ModelSocket, tell};

/// How often a finished replacement looks for a silent moment to take over.
const SWAP_CHECK: Duration = Duration::from_millis(100);

/// What a new link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To carry the call.
    Current,
    /// To take over from the link that carries it.
    Standby,
}

impl AzureSessionActor {
    /// A link on its way to the model, at the pace all calls share.
    pub(super) fn connect(&mut self, purpose: Purpose, wait: Duration, ctx: &mut Context<Self>) {
        let Some(profile) = self.profile.clone() else { return };
        self.links += 1;
        let id = self.links;
        let begins = Instant::now() + wait;
        let mut link = ModelLink::new(id, Session::new(profile, self.call.settings.timing, begins.into_std()));
        if !wait.is_zero() {
            link.task = Some(ctx.run_later(wait, move |session, ctx| session.dial(id, ctx)));
        }
        match purpose {
            Purpose::Current => self.current = Some(link),
            Purpose::Standby => self.standby = Some(link),
        }
        if wait.is_zero() {
            self.dial(id, ctx);
        }
    }

    /// The wait is over. Only now a place at the gate is taken: one taken ahead of time would hold up all other calls.
    fn dial(&mut self, id: u64, ctx: &mut Context<Self>) {
        let (Some(profile), Some(url)) = (self.profile.clone(), self.endpoints.current()) else { return };
        let settings = Arc::clone(&self.call.settings);
        let start = settings.gate.reserve(Instant::now().into_std());
        let transport = Rc::clone(&self.transport);
        let is_standby = self.standby.as_ref().is_some_and(|link| link.id == id);
        let connecting = self.call.span.connect(if is_standby { "renewal" } else { "session" });
        let dialled = async move {
            tokio::time::sleep_until(Instant::from_std(start)).await;
            transport.connect(&url).await
        };
        let done = dialled.into_actor(self).map(move |result, session, ctx| session.connected(id, result, ctx));
        if let Some(link) = self.link_mut(id) {
            link.session = Session::new(profile, settings.timing, start);
            link.task = Some(ctx.spawn(done));
            link.connecting = connecting;
        }
        self.arm(ctx);
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

    /// A link is dead: the call's own is replaced at once, a replacement is tried again later.
    pub(super) fn lose(&mut self, id: u64, loss: &Loss, ctx: &mut Context<Self>) {
        if let Some(link) = self.link_mut(id) {
            let connecting = std::mem::replace(&mut link.connecting, Span::none());
            connecting.record("loss", loss.name());
            connecting.record("otel.status_code", "ERROR");
        }
        if self.standby.as_ref().is_some_and(|link| link.id == id) {
            self.call.settings.vitals.add_loss(loss.name());
            drop_link(self.standby.take(), ctx);
            self.call.note("renewal", format!("failed: {loss}"));
            self.endpoints.failed(false);
            let wait = self.backoff.next();
            self.connect(Purpose::Standby, wait, ctx);
            return;
        }
        let Some(mut link) = self.current.take_if(|link| link.id == id) else { return };
        self.call.settings.vitals.add_loss(loss.name());
        let was_live = link.adopted;
        if was_live {
            // A turn that goes with it is noted, whoever found the loss.
            let _ = link.session.on_closed(None, "");
            self.ledger = link.session.take_ledger();
            self.shorten_ring();
        }
        drop_link(Some(link), ctx);
        self.speech.end_open(Instant::now());
        self.pump(ctx);
        self.depart_if_said();
        self.call.record.model.set_state(ModelStatus::Lost);
        self.call.note("session", format!("lost: {loss}"));
        tracing::warn!(call = %self.call.record.id, loss = loss.name(), "the model's session is lost: {loss}");
        if let Some(standby) = self.standby.take_if(|link| link.session.is_configured()) {
            // The replacement stands ready: the caller notices nothing.
            self.current = Some(standby);
            self.call.record.model.add_reconnect();
            self.go_live(ctx);
            return;
        }
        drop_link(self.standby.take(), ctx);
        self.retry(was_live, loss, ctx);
    }

    fn retry(&mut self, was_live: bool, loss: &Loss, ctx: &mut Context<Self>) {
        self.unproven |= matches!(loss, Loss::Mute | Loss::ResponsesFailing { .. });
        let lived = self.live_since.filter(|_| was_live).map(|since| since.elapsed());
        if lived.is_some_and(|lived| lived >= self.call.settings.reconnect_max) {
            // One that died young does not count as a success: it would be asked for again four times a second.
            self.backoff.reset();
        }
        let permanent = (!was_live || loss.is_permanent()) && self.endpoints.failed(loss.is_permanent());
        tell(&self.fallback, ModelHealth::Lost { permanent, reason: loss.to_string() });
        if !permanent {
            let wait = self.backoff.next();
            self.connect(Purpose::Current, wait, ctx);
        }
    }

    /// The current link is set up: it gets the conversation and hears the caller.
    pub(super) fn go_live(&mut self, ctx: &mut Context<Self>) {
        let Some(link) = &mut self.current else { return };
        link.adopted = true;
        let id = link.id;
        let now = Instant::now();
        let mut effects = std::mem::take(&mut self.effects);
        let resume = self.live_since.is_some();
        let mut ledger = std::mem::take(&mut self.ledger);
        ledger.cleared(&std::mem::take(&mut self.cut_meanwhile));
        let keys: Vec<String> = self.digits.drain(..).map(|digits| super::handlers::keys_as_text(&digits)).collect();
        if resume {
            // One answer for all that the caller waits for.
            keys.iter().for_each(|keys| ledger.caller_wrote(keys));
        }
        self.unproven &= ledger.waiting_for_answer();
        link.session.adopt(now.into_std(), ledger, resume, &mut effects);
        if !resume {
            keys.iter().for_each(|keys| link.session.user_text(now.into_std(), keys, &mut effects));
        }
        let session_id = link.session.session_id().map(str::to_owned);
        self.call.record.update(|facts| facts.session_id = session_id);
        if self.live_since.replace(now).is_none() {
            self.call.settings.vitals.setup.record(now - self.wanted_at);
            self.call.record.model.set_setup(now - self.wanted_at);
        }
        self.swap_now = false;
        self.endpoints.succeeded();
        self.call.settings.model_reached.store(true, Ordering::Relaxed);
        self.call.note("session", "ready".to_owned());
        if !self.unproven {
            tell(&self.fallback, ModelHealth::Ready);
        }
        self.effects = self.apply(id, effects, ctx);
        if let Some(link) = self.current.as_ref().filter(|link| link.session.is_live()) {
            link.feed(&self.ring);
        }
    }

    /// The model answers: what was said of the last session's failing is over.
    pub(super) fn answers(&mut self) {
        if std::mem::take(&mut self.unproven) {
            tell(&self.fallback, ModelHealth::Ready);
        }
    }

    /// The finished replacement takes over as soon as nobody would notice, or now if time is up.
    pub(super) fn try_swap(&mut self, ctx: &mut Context<Self>) {
        if !self.standby.as_ref().is_some_and(|link| link.session.is_configured()) {
            return;
        }
        let silent = self.current.as_ref().is_none_or(|link| link.session.is_quiet())
            && self.speech.is_empty()
            && self.call.record.down.queued_ms() == 0;
        if !silent && !self.swap_now {
            ctx.run_later(SWAP_CHECK, |session, ctx| session.try_swap(ctx));
            return;
        }
        if let Some(mut old) = self.current.take() {
            self.ledger = old.session.take_ledger();
            drop_link(Some(old), ctx);
        }
        self.speech.end_open(Instant::now());
        self.pump(ctx);
        self.current = self.standby.take();
        self.call.settings.vitals.add_renewal();
        self.call.note("renewal", "a fresh session took over".to_owned());
        self.go_live(ctx);
        self.arm(ctx);
    }
}

pub(super) fn drop_link(link: Option<ModelLink>, ctx: &mut Context<AzureSessionActor>) {
    if let Some(mut link) = link {
        link.connecting.record("loss", "given up");
        if let Some(task) = link.task.take() {
            ctx.cancel_future(task);
        }
        link.close();
    }
}
