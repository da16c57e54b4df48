//! What the line is told by the caller's sockets and by the call's other actors.

use actix::{Context, Handler, MessageResult};
use tokio::time::Instant;
use trunkline_call::{DropPlace, EndReason};

use super::{ROUTE_PATIENCE, VcStreamActor};
use crate::link::LinkControl;
use crate::messages::{
    AddListener, Attach, CallerAudio, CallerEvent, CallerSays, Clear, Cleared, EchoAudio, FallbackChanged, Hush,
    ItemPlayed, LineSpeech, PlayPrompt, PromptPlayed, Release,
};
use crate::ports::tell;

impl Handler<Attach> for VcStreamActor {
    type Result = MessageResult<Attach>;

    fn handle(&mut self, attach: Attach, ctx: &mut Context<Self>) -> Self::Result {
        let now = Instant::now();
        self.epoch += 1;
        let first = self.epoch == 1;
        let ready = attach.link.control(LinkControl::Ready).is_ok();
        self.listeners.set_lead(attach.link.peer().lead.unwrap_or_default());
        if let Some(before) = self.down.attach(now, attach.link) {
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

    fn handle(&mut self, AddListener { link }: AddListener, ctx: &mut Context<Self>) -> bool {
        let now = Instant::now();
        let added = self.listeners.add(now, link);
        self.arm(ctx);
        added
    }
}

impl Handler<CallerAudio> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, audio: CallerAudio, ctx: &mut Context<Self>) {
        if self.is_current(audio.epoch)
            && let Some(codec) = self.down.link_codec()
        {
            let frames = self.up.caller_audio(codec, audio.payload, audio.at);
            self.listeners.caller(&frames);
            self.arm(ctx);
        }
    }
}

impl Handler<CallerSays> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, CallerSays { epoch, event }: CallerSays, ctx: &mut Context<Self>) {
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
            CallerEvent::Played(mark) => {
                for item in self.down.peer_played(now, &mark) {
                    tell(&self.siblings.session, ItemPlayed(item));
                }
            }
            // Whoever was sent elsewhere is gone when he got there.
            CallerEvent::Stop if self.transferring => self.call.end(EndReason::Transferred),
            CallerEvent::Stop => self.call.end(EndReason::CallerHangup),
            CallerEvent::Transferred(result) => self.transferred(result),
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

    fn handle(&mut self, speech: LineSpeech, ctx: &mut Context<Self>) {
        if speech.generation < self.generation || self.closing.is_some() {
            return;
        }
        self.speech(Instant::now(), speech);
        self.run(ctx);
    }
}

impl Handler<EchoAudio> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, EchoAudio { payload }: EchoAudio, ctx: &mut Context<Self>) {
        if self.closing.is_none() {
            self.down.echo(Instant::now(), payload);
            self.run(ctx);
        }
    }
}

impl Handler<Clear> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, Clear { generation, at }: Clear, ctx: &mut Context<Self>) {
        if self.closing.is_some() {
            return;
        }
        self.generation = generation;
        let (played, prompt) = self.down.clear(Instant::now());
        self.call.settings.vitals.barge_in.record(at.elapsed());
        self.listeners.clear();
        tell(&self.siblings.session, Cleared { played });
        if let Some(prompt) = prompt {
            tell(&self.siblings.fallback, PromptPlayed(prompt));
        }
        self.run(ctx);
    }
}

impl Handler<PlayPrompt> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, PlayPrompt(prompt): PlayPrompt, ctx: &mut Context<Self>) {
        if self.closing.is_none() {
            self.down.play(Instant::now(), prompt);
            self.run(ctx);
        }
    }
}

impl Handler<FallbackChanged> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, FallbackChanged { state, reason }: FallbackChanged, ctx: &mut Context<Self>) {
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

impl Handler<Hush> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, Hush { at_once, keep }: Hush, ctx: &mut Context<Self>) {
        if self.closing.is_none() {
            self.down.hush(Instant::now(), at_once, keep);
            self.run(ctx);
        }
    }
}

impl Handler<Release> for VcStreamActor {
    type Result = ();

    fn handle(&mut self, _: Release, ctx: &mut Context<Self>) {
        if self.closing.is_none() {
            self.down.release(Instant::now());
            self.run(ctx);
        }
    }
}
