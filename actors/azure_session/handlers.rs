//! What the session is told by the model's sockets and by the call's other actors.

use std::time::Duration;

use actix::{ActorContext, Context, Handler, StreamHandler};
use tokio::time::Instant;
use trunkline_call::{DropPlace, FallbackState, ModelStatus};
use trunkline_media::FRAME_MS;
use trunkline_realtime::{Played, Session};

use super::connecting::{Purpose, drop_link};
use super::{AzureSessionActor, FromModel};
use crate::messages::{
    CallerDigits, Cleared, ItemPlayed, KeyPressed, ModelChunk, ModelHealth, OpenSession, PlayoutFull, Shutdown,
};
use crate::ports::{Incoming, Outgoing, tell};
use crate::uplink::millis;

/// Key presses kept while the model is away.
const MAX_DIGITS: usize = 8;

pub(super) fn keys_as_text(digits: &str) -> String {
    format!("The caller pressed these keys on the telephone: {digits}")
}

impl StreamHandler<FromModel> for AzureSessionActor {
    fn handle(&mut self, FromModel(id, frame): FromModel, ctx: &mut Context<Self>) {
        match frame {
            Incoming::Text(text) => {
                let unix_now_ms = (self.call.settings.unix_now_ms)();
                self.with_session(id, ctx, |session, now, out| session.on_text(now, unix_now_ms, &text, out));
            }
            Incoming::Undecodable => self.with_session(id, ctx, |session, now, out| {
                session.on_unreadable(now, "a binary message, or one that is too large", out);
            }),
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

    fn finished(&mut self, _: &mut Context<Self>) {
        // The call outlives its sockets.
    }
}

impl Handler<OpenSession> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, OpenSession { profile, tools }: OpenSession, ctx: &mut Context<Self>) {
        if self.profile.is_some() {
            return;
        }
        self.profile = Some(profile);
        self.wanted_at = Instant::now();
        self.toolbox = tools;
        self.call.record.model.set_state(ModelStatus::Connecting);
        tell(&self.fallback, ModelHealth::Connecting);
        self.connect(Purpose::Current, Duration::ZERO, ctx);
    }
}

impl Handler<ModelChunk> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, chunk: ModelChunk, _: &mut Context<Self>) {
        let ms = chunk.ms;
        let mut ring = self.ring.borrow_mut();
        let dropped = ring.push(chunk, ms);
        let queued_ms = ring.queued_ms();
        drop(ring);
        self.call.record.up.set_queued_ms(queued_ms);
        self.count_ring_drop(dropped);
        if let Some(link) = self.current.as_ref().filter(|link| link.session.is_live()) {
            link.wake();
            if queued_ms <= millis(self.call.settings.limits.upstream_buffer) {
                // What was said during the first connect has gone out.
                self.shorten_ring();
            }
        }
    }
}

impl Handler<Cleared> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, Cleared { mut played }: Cleared, ctx: &mut Context<Self>) {
        for heard in played.iter().map(|item| item.played_ms) {
            self.call.note_taking("barge_in", "of the answer was heard", Duration::from_millis(heard));
        }
        // A prompt cuts off too, without a word from us.
        let cut = self.cut_turn.take().or_else(|| self.turn.take_if(|_| !played.is_empty()));
        if let Some(mut turn) = cut {
            turn.heard(played.iter().map(|item| item.played_ms).sum());
        }
        for item in self.speech.take_unheard() {
            if !played.iter().any(|known| known.item == item) {
                played.push(Played { item, played_ms: 0 });
            }
        }
        if self.is_live() {
            self.with_current(ctx, |session, now, out| session.cleared(now, &played, out));
        } else {
            self.cut_meanwhile.extend(played);
        }
    }
}

impl Handler<ItemPlayed> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, ItemPlayed(item): ItemPlayed, _: &mut Context<Self>) {
        if let Some(link) = &mut self.current {
            link.session.heard(&item);
        }
        self.end_turn_if_heard();
    }
}

impl Handler<KeyPressed> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, _: KeyPressed, ctx: &mut Context<Self>) {
        self.stay(ctx);
        self.clear();
        self.with_current(ctx, Session::interrupt);
    }
}

impl Handler<CallerDigits> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, CallerDigits(digits): CallerDigits, ctx: &mut Context<Self>) {
        if self.is_live() {
            let text = keys_as_text(&digits);
            self.with_current(ctx, |session, now, out| session.user_text(now, &text, out));
        } else if self.digits.len() < MAX_DIGITS {
            self.digits.push_back(digits);
        }
    }
}

impl Handler<PlayoutFull> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, _: PlayoutFull, ctx: &mut Context<Self>) {
        let frame_bytes = self.call.settings.format.bytes_per_ms().max(1) * FRAME_MS as usize;
        let frames = self.speech.drop_audio().div_ceil(frame_bytes);
        self.call.record.down.add_dropped(DropPlace::PlayoutLimit, frames as u64);
        self.call.note("playout", "more speech than calls.playout_buffer holds: the response is cancelled".to_owned());
        self.with_current(ctx, |session, _, out| session.cancel_response(out));
    }
}

impl Handler<Shutdown> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Context<Self>) {
        drop_link(self.current.take(), ctx);
        drop_link(self.standby.take(), ctx);
        let record = &self.call.record;
        let given_up = record.fallback.state() == FallbackState::GaveUp;
        record.model.set_state(if given_up { ModelStatus::Lost } else { ModelStatus::Off });
        ctx.stop();
    }
}
