//! What the model asks for: to leave, keys, and the tools of the configuration.

use std::rc::Rc;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::time::Instant;
use trunkline_call::{ToolAction, mask_number};
use trunkline_chime::command::{Command, is_e164};
use trunkline_chime::updates::Urgency;
use trunkline_realtime::ModelState;

use super::AzureSessionActor;
use crate::messages::{Leave, LeaveWhenHeard, PressKeys, StayOn, TransferFailed};
use crate::ports::{ToolCall, tell};

const DONE: &str = r#"{"ok":true}"#;

/// The model wants to leave. Its tool call is answered if nothing comes of it; if it does, nobody is left to hear.
pub(super) struct Departure {
    tool_call: String,
    what: Leave,
    /// The line was told to go when the last word was heard.
    told: bool,
}

impl AzureSessionActor {
    /// The model calls a tool on the link `id`.
    pub(super) fn on_tool_call(
        &mut self,
        id: u64,
        call_id: String,
        name: &str,
        arguments: &str,
        ctx: &mut Context<Self>,
    ) {
        match self.toolbox.read(name, arguments) {
            Err(error) => {
                self.call.note("tool", format!("refused: {error}"));
                let output = error.for_model();
                self.with_session(id, ctx, |session, now, out| session.tool_output(now, &call_id, &output, true, out));
            }
            Ok(ToolAction::HangUp { reason }) => {
                self.call.note_words("tool", format!("hang_up: {}", reason.as_deref().unwrap_or("no reason given")));
                self.depart(call_id, Leave::HangUp, ctx);
            }
            // A gateway may know short numbers, Amazon Chime does not.
            Ok(ToolAction::Transfer { to }) if self.call.sma().is_some() && !is_e164(&to) => {
                self.tool_done(&call_id, &failure("only numbers that begin with + can be reached"), true, ctx);
            }
            Ok(ToolAction::Transfer { to }) => {
                self.call.note("tool", format!("transfer_call: {}", mask_number(&to)));
                self.depart(call_id, Leave::Transfer { to }, ctx);
            }
            Ok(ToolAction::SendDtmf { digits }) => self.press(call_id, digits, ctx),
            Ok(ToolAction::Http { name, arguments }) => self.run_tool(call_id, name, arguments, ctx),
        }
    }

    fn depart(&mut self, tool_call: String, what: Leave, ctx: &mut Context<Self>) {
        if self.departure.is_some() {
            self.tool_done(&tool_call, &failure("the call is being ended already"), false, ctx);
            return;
        }
        self.departure = Some(Departure { tool_call, what, told: false });
        self.depart_if_said();
    }

    /// Once all that the model had to say is with the line, the line decides when it was heard.
    pub(super) fn depart_if_said(&mut self) {
        let Some(departure) = self.departure.as_mut().filter(|departure| !departure.told) else { return };
        let speaks = self.current.as_ref().is_some_and(|link| link.session.state() == ModelState::Speaking);
        if !speaks && self.speech.is_empty() {
            departure.told = true;
            tell(&self.line, LeaveWhenHeard(departure.what.clone()));
        }
    }

    /// The caller took the word: whoever wanted to leave stays. The caller's turn is answered as ever.
    pub(super) fn stay(&mut self, ctx: &mut Context<Self>) {
        if let Some(departure) = self.departure.take() {
            tell(&self.line, StayOn);
            self.call.note("tool", "the caller spoke: the call goes on".to_owned());
            self.tool_done(&departure.tool_call, &failure("not done: the caller spoke"), false, ctx);
        }
    }

    fn press(&mut self, call_id: String, digits: String, ctx: &mut Context<Self>) {
        self.call.note("tool", format!("send_dtmf: {} keys", digits.len()));
        let Some(sma) = self.call.sma() else {
            let told = self.line.send(PressKeys(digits)).into_actor(self).map(move |told, session, ctx| {
                let unable = || failure("this call's connection cannot press keys");
                let output = if told.unwrap_or(false) { DONE.to_owned() } else { unable() };
                session.tool_done(&call_id, &output, true, ctx);
            });
            ctx.spawn(told);
            return;
        };
        let asked = sma.ask(Command::Dtmf { digits }, Urgency::Control);
        let pressed = asked.answer().into_actor(self).map(move |answer, session, ctx| {
            let output = answer.map_or_else(|error| failure(&error.to_string()), |()| DONE.to_owned());
            session.tool_done(&call_id, &output, true, ctx);
        });
        ctx.spawn(pressed);
    }

    fn run_tool(&mut self, call_id: String, name: String, arguments: String, ctx: &mut Context<Self>) {
        let began = Instant::now();
        let tools = Rc::clone(&self.tools);
        let span = self.call.span.tool(&name);
        let trace = self.call.span.context(&span, &self.call.record);
        let call = ToolCall { name: name.clone(), arguments, call_id: self.call.record.id.clone(), trace };
        let result = tools.call(call);
        let done = result.into_actor(self).map(move |result, session, ctx| {
            let ms = began.elapsed().as_millis();
            let output = match result {
                Ok(output) => {
                    session.call.note("tool", format!("{name}: answered after {ms} ms"));
                    output
                }
                Err(error) => {
                    span.record("otel.status_code", "ERROR");
                    session.call.note("tool", format!("{name}: failed after {ms} ms: {error}"));
                    failure(&error)
                }
            };
            drop(span);
            session.tool_done(&call_id, &output, true, ctx);
        });
        ctx.spawn(done);
    }

    /// The answer goes to whichever session has the conversation by now; while none has, into the conversation.
    fn tool_done(&mut self, call_id: &str, output: &str, respond: bool, ctx: &mut Context<Self>) {
        if self.current.as_ref().is_some_and(|link| link.adopted) {
            self.with_current(ctx, |session, now, out| session.tool_output(now, call_id, output, respond, out));
        } else {
            self.ledger.tool_answered(call_id, output, respond);
        }
    }
}

fn failure(why: &str) -> String {
    serde_json::json!({ "error": why }).to_string()
}

impl Handler<TransferFailed> for AzureSessionActor {
    type Result = ();

    fn handle(&mut self, TransferFailed { why }: TransferFailed, ctx: &mut Context<Self>) {
        if let Some(departure) = self.departure.take() {
            self.tool_done(&departure.tool_call, &failure(&why), true, ctx);
        }
    }
}
