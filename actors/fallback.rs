//! Keeps the caller company while the model is away: hears of every death of the session, plays prompts, and at the limit
//! says goodbye. Every decision is the policy's.

use std::sync::atomic::Ordering;

use actix::{Actor, ActorContext, Addr, Context, Handler};
use tokio::time::Instant;
use trunkline_call::{CallState, EndReason, FallbackAction, FallbackInput, FallbackPolicy, FallbackState};

use crate::alarm::Alarm;
use crate::azure_session::AzureSessionActor;
use crate::call_supervisor::Call;
use crate::messages::{FallbackChanged, ModelHealth, PlayPrompt, Prompt, PromptPlayed, Role, Shutdown};
use crate::ports::tell;
use crate::vc_stream::VcStreamActor;

/// See the module.
pub struct FallbackActor {
    call: Call,
    policy: FallbackPolicy,
    line: Addr<VcStreamActor>,
    session: Addr<AzureSessionActor>,
    alarm: Alarm,
    actions: Vec<FallbackAction>,
}

impl FallbackActor {
    /// The fallback of `call`.
    pub fn new(call: Call, line: Addr<VcStreamActor>, session: Addr<AzureSessionActor>) -> Self {
        let policy = FallbackPolicy::new(call.settings.fallback.clone());
        Self { call, policy, line, session, alarm: Alarm::default(), actions: Vec::new() }
    }

    fn input(&mut self, input: FallbackInput, ctx: &mut Context<Self>) {
        self.policy.input(Instant::now().into_std(), input, &mut self.actions);
        self.act(ctx);
    }

    fn act(&mut self, ctx: &mut Context<Self>) {
        for action in std::mem::take(&mut self.actions) {
            self.perform(action);
        }
        self.call.record.fallback.set_state(self.policy.state());
        let wanted = self.policy.next_timer().map(Instant::from_std);
        self.alarm.set(
            ctx,
            wanted,
            |fallback| &mut fallback.alarm,
            |fallback, ctx| {
                fallback.policy.on_timer(Instant::now().into_std(), &mut fallback.actions);
                fallback.act(ctx);
            },
        );
    }

    fn perform(&self, action: FallbackAction) {
        let record = &self.call.record;
        match action {
            FallbackAction::Entered { reason } => {
                record.fallback.add_entered();
                self.call.settings.model_reached.store(false, Ordering::Relaxed);
                self.call.set_state(CallState::Fallback);
                self.announce("entered", reason);
            }
            FallbackAction::Recovered => {
                self.call.set_state(CallState::Active);
                self.announce("recovered", "the model is back".to_owned());
            }
            FallbackAction::GaveUp { reason } => {
                tell(&self.session, Shutdown);
                self.announce("gave_up", reason);
            }
            FallbackAction::PlayPrompt { index } => {
                record.fallback.add_prompt();
                tell(&self.line, PlayPrompt(Prompt::KeepAlive(index)));
            }
            // Told with `recovered`: the line forgets what waits and lets the running sentence end.
            FallbackAction::StopPrompts => {}
            FallbackAction::PlayGoodbye => tell(&self.line, PlayPrompt(Prompt::Goodbye)),
            FallbackAction::EndCall => {
                self.call.end(EndReason::FallbackExhausted);
            }
        }
    }

    fn announce(&self, state: &'static str, reason: String) {
        self.call.note("fallback", format!("{state}: {reason}"));
        tell(&self.line, FallbackChanged { state, reason });
    }
}

impl Actor for FallbackActor {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.call.child_stopped(Role::Fallback);
    }
}

impl Handler<ModelHealth> for FallbackActor {
    type Result = ();

    fn handle(&mut self, health: ModelHealth, ctx: &mut Self::Context) {
        let input = match health {
            ModelHealth::Connecting => FallbackInput::Connecting,
            ModelHealth::Ready => {
                if self.policy.state() == FallbackState::Idle {
                    self.call.set_state(CallState::Active);
                }
                FallbackInput::Ready
            }
            ModelHealth::Lost { permanent, reason } => FallbackInput::Lost { permanent, reason },
        };
        self.input(input, ctx);
    }
}

impl Handler<PromptPlayed> for FallbackActor {
    type Result = ();

    fn handle(&mut self, PromptPlayed(prompt): PromptPlayed, ctx: &mut Self::Context) {
        let input = match prompt {
            Prompt::KeepAlive(_) => FallbackInput::PromptDone,
            Prompt::Goodbye => FallbackInput::GoodbyeDone,
        };
        self.input(input, ctx);
    }
}

impl Handler<Shutdown> for FallbackActor {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
