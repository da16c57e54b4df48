//! Keeps the caller company while the model is away: hears of every death of the session, plays prompts, and at the limit
//! says goodbye. Every decision is the policy's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, WrapFuture};
use tokio::time::Instant;
use tracing::Span;
use trunkline_call::{CallState, EndReason, FallbackAction, FallbackInput, FallbackPolicy, FallbackState, SmaPrompt};
use trunkline_chime::command::Command;
use trunkline_chime::updates::Urgency;

use crate::alarm::Alarm;
use crate::azure_session::AzureSessionActor;
use crate::call_supervisor::Call;
use crate::messages::{
    FallbackChanged, Farewell, Hush, Hushed, ModelHealth, PlayPrompt, Prompt, PromptPlayed, Release, Role, Shutdown,
};
use crate::ports::tell;
use crate::uplink::millis;
use crate::vc_stream::VcStreamActor;

/// Word that the model is back is of no use to the SIP media application after so long.
const RESUME_PATIENCE: Duration = Duration::from_secs(1);

/// See the module.
pub struct FallbackActor {
    call: Call,
    policy: FallbackPolicy,
    line: Addr<VcStreamActor>,
    session: Addr<AzureSessionActor>,
    alarm: Alarm,
    actions: Vec<FallbackAction>,
    /// The span of the outage that is on.
    outage: Option<Span>,
    /// What the SIP media application was asked for last may be taken back by this.
    withdrawal: Arc<AtomicBool>,
}

impl FallbackActor {
    /// The fallback of `call`.
    pub fn new(call: Call, line: Addr<VcStreamActor>, session: Addr<AzureSessionActor>) -> Self {
        let policy = FallbackPolicy::new(call.settings.fallback.clone());
        let (alarm, actions) = (Alarm::default(), Vec::new());
        Self { call, policy, line, session, alarm, actions, outage: None, withdrawal: Arc::default() }
    }

    fn input(&mut self, input: FallbackInput, ctx: &mut Context<Self>) {
        self.note_end();
        self.policy.set_sma(self.call.sma().is_some());
        self.policy.input(Instant::now().into_std(), input, &mut self.actions);
        self.act(ctx);
    }

    /// A call that is on its way out needs no company, and the SIP media application hears of nothing but its end.
    fn note_end(&mut self) {
        if self.call.record.state() == CallState::Ending {
            self.policy.input(Instant::now().into_std(), FallbackInput::CallEnding, &mut self.actions);
            self.withdrawal.store(false, Ordering::Relaxed);
        }
    }

    fn act(&mut self, ctx: &mut Context<Self>) {
        for action in std::mem::take(&mut self.actions) {
            self.perform(action, ctx);
        }
        self.call.record.fallback.set_state(self.policy.state());
        let wanted = self.policy.next_timer().map(Instant::from_std);
        self.alarm.set(
            ctx,
            wanted,
            |fallback| &mut fallback.alarm,
            |fallback, ctx| {
                fallback.note_end();
                fallback.policy.on_timer(Instant::now().into_std(), &mut fallback.actions);
                fallback.act(ctx);
            },
        );
    }

    fn perform(&mut self, action: FallbackAction, ctx: &mut Context<Self>) {
        let record = &self.call.record;
        match action {
            FallbackAction::Entered { reason } => {
                record.fallback.add_entered();
                self.call.settings.model_reached.store(false, Ordering::Relaxed);
                self.call.set_state(CallState::Fallback);
                self.outage = Some(self.call.span.outage(&reason));
                self.announce("entered", reason);
            }
            FallbackAction::Recovered => {
                self.call.set_state(CallState::Active);
                self.end_outage("recovered");
                self.announce("recovered", "the model is back".to_owned());
            }
            FallbackAction::GaveUp { reason } => {
                tell(&self.session, Shutdown);
                self.end_outage("gave_up");
                self.announce("gave_up", reason);
            }
            FallbackAction::PlayPrompt { index } => {
                record.fallback.add_prompt();
                tell(&self.line, PlayPrompt(Prompt::KeepAlive(index)));
            }
            // Told with `recovered`: the line forgets what waits and lets the running sentence end.
            FallbackAction::StopPrompts => {}
            FallbackAction::PlayGoodbye => tell(&self.line, PlayPrompt(Prompt::Goodbye)),
            FallbackAction::EndCall => self.call.end(EndReason::FallbackExhausted),
            FallbackAction::LeaveToSma { wait } => {
                self.call.end_with(EndReason::FallbackExhausted, Farewell::Elsewhere { wait });
            }
            FallbackAction::Hush { at_once } => tell(&self.line, Hush { at_once, keep: false }),
            FallbackAction::Hold => tell(&self.line, Hush { at_once: true, keep: true }),
            FallbackAction::Release => tell(&self.line, Release),
            FallbackAction::AskSma { what, until } => self.ask(what, until, ctx),
            FallbackAction::WithdrawSma => self.withdrawal.store(false, Ordering::Relaxed),
            FallbackAction::ResumeSma => {
                if let Some(sma) = self.call.sma() {
                    let until = (Instant::now() + RESUME_PATIENCE).into_std();
                    drop(sma.ask(Command::Resume, Urgency::Prompt { until }));
                }
            }
        }
    }

    /// Asks the SIP media application to speak. Its answer counts whenever it comes.
    fn ask(&mut self, what: SmaPrompt, until: std::time::Instant, ctx: &mut Context<Self>) {
        let settings = &self.call.settings;
        let prompt = match what {
            SmaPrompt::KeepAlive(index) => Prompt::KeepAlive(index),
            SmaPrompt::Goodbye => Prompt::Goodbye,
        };
        let text = settings.texts.of(prompt).to_owned();
        let noted = format!("by the SIP media application: {text}");
        let command = match prompt {
            Prompt::KeepAlive(_) => Command::KeepAlive { text, pause_ms: millis(settings.fallback.pause) },
            Prompt::Goodbye => Command::HangUp { text: Some(text) },
        };
        let asked = self.call.sma().map(|sma| sma.ask(command, Urgency::Prompt { until }));
        if let Some(asked) = &asked {
            self.withdrawal = asked.withdrawal();
        }
        let answered = async move {
            match asked {
                Some(asked) => asked.answer().await.is_ok(),
                None => false,
            }
        };
        let answered = answered.into_actor(self).map(move |taken, fallback, ctx| {
            if !taken {
                fallback.input(FallbackInput::SmaRefused(what), ctx);
                return;
            }
            if prompt != Prompt::Goodbye {
                fallback.call.record.fallback.add_prompt();
            }
            fallback.call.note_words("prompt", noted);
            fallback.input(FallbackInput::SmaAccepted(what), ctx);
        });
        ctx.spawn(answered);
    }

    fn end_outage(&mut self, end: &'static str) {
        if let Some(outage) = self.outage.take() {
            outage.record("end", end);
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

impl Handler<Hushed> for FallbackActor {
    type Result = ();

    fn handle(&mut self, _: Hushed, ctx: &mut Self::Context) {
        self.input(FallbackInput::Hushed, ctx);
    }
}

impl Handler<Shutdown> for FallbackActor {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
