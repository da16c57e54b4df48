//! Calls that are known of before their media is here: told by an event, or placed by us.

use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler};
use tokio::time::Instant;
use trunkline_call::{CallFacts, CallId, CallRecord, Direction, EndReason};
use trunkline_chime::announcements::News;
use trunkline_chime::command::Command;
use trunkline_chime::event::{self, CallEvent};

use super::{CallSupervisor, end_of, end_record, log_summary};
use crate::call_control::Sma;
use crate::messages::{Announce, CallNews, EndCall, Farewell, Placed};
use crate::registry::{AnnouncedCall, LiveCall, Over};
use crate::spans::CallSpan;

/// After an event of a live call's end its media may take this long to end by itself.
const ENDED_GRACE: Duration = Duration::from_secs(5);

impl CallSupervisor {
    fn announce(&self, call_id: CallId, facts: CallFacts, patience: Duration, placed: bool) {
        let is_in_a_trace = facts.trace.is_some();
        let call = AnnouncedCall { placed, ..self.new_call(call_id, patience) };
        call.record.update(|known| known.learn(facts));
        if is_in_a_trace {
            call.span.open(&call.record);
        }
        self.registry.announce(call);
    }

    /// A call of which only its id is known, and which may wait so long for its media.
    pub(super) fn new_call(&self, call_id: CallId, patience: Duration) -> AnnouncedCall {
        let record = Arc::new(CallRecord::new(call_id, (self.settings.unix_now_ms)()));
        let born = Instant::now();
        let span = CallSpan::new(self.settings.tracer.clone());
        AnnouncedCall { record, born, span, until: born + patience, placed: false }
    }

    /// The telephones of these calls were not answered, or their media went elsewhere. One that we placed is not to be
    /// answered any more.
    pub(super) fn give_up_unanswered(&self, now: Instant) {
        for call in self.registry.unanswered(now) {
            if call.record.update(|facts| facts.direction == Some(Direction::Outbound)) {
                self.hang_up(&call);
            }
            self.give_up(&call, EndReason::NoMedia);
        }
    }

    /// Has the SIP media application hang up, now or as soon as the telephone is answered. A call that is only being
    /// placed is hung up when its transaction is known, and never connected.
    fn hang_up(&self, call: &AnnouncedCall) {
        match call.record.update(|facts| facts.sma_transaction_id.clone()) {
            Some(transaction) => self.hang_up_transaction(&call.record.id, transaction),
            None if call.placed => self.registry.end_on_purpose(Over::Call(call.record.id.clone()), Instant::now()),
            // Another call may come by this id.
            None => {}
        }
    }

    fn hang_up_transaction(&self, call_id: &CallId, transaction: String) {
        if let Some(control) = self.settings.control.clone() {
            Sma::new(control, call_id.clone(), transaction.clone()).order(Command::HangUp { text: None });
        }
        self.registry.end_on_purpose(Over::Transaction(transaction), Instant::now());
    }

    fn give_up(&self, call: &AnnouncedCall, reason: EndReason) {
        let now = Instant::now();
        end_record(&call.record, &call.span, reason, now - call.born);
        self.registry.give_up(call, now, self.settings.limits.history_max);
        log_summary(&call.record, reason, now - call.born);
    }

    /// Ends a call whose media is not here; the caller, if there is one, is hung up on.
    pub(super) fn end_announced(&self, call: &EndCall) -> bool {
        let Some(announced) = self.registry.announced(&call.call_id).filter(|_| call.of.is_none()) else {
            return false;
        };
        if call.reason.is_planned() {
            self.hang_up(&announced);
        }
        self.give_up(&announced, call.reason);
        true
    }

    /// An event told of a call. What is here already learns from it; a call whose media came and went without waiting for
    /// its event is not announced after the fact.
    fn on_started(&self, event: CallEvent, is_new: bool) {
        let Ok(call_id) = CallId::parse(&event.call_id) else { return };
        let transaction = event.transaction_id.clone();
        let facts = facts_of(event);
        let live = self.registry.live_call(&call_id).map(|live| live.record);
        let known = live.or_else(|| self.registry.announced(&call_id).map(|announced| announced.record));
        let known = known.or_else(|| {
            let mut ended = self.registry.ended_calls().into_iter().map(|seen| seen.record);
            ended.find(|record| record.id == call_id && is_of(record, &transaction))
        });
        match known {
            Some(record) if is_of(&record, &transaction) => record.update(|known| known.learn(facts)),
            // Another call of that id is in the way: it is the one whose media is here.
            Some(_) => {}
            None if is_new => self.announce(call_id, facts, self.settings.limits.no_media_timeout, false),
            None => {}
        }
    }

    fn on_ended(&self, call_id: &str, transaction: &str, ctx: &mut Context<Self>) {
        let Ok(call_id) = CallId::parse(call_id) else { return };
        if let Some(live) = self.live_leg(&call_id, transaction) {
            let end = end_of(&live, EndReason::CallerHangup, Farewell::Nothing);
            let transaction = transaction.to_owned();
            ctx.run_later(ENDED_GRACE, move |supervisor, _| {
                // By another leg it goes on.
                if supervisor.live_leg(&call_id, &transaction).is_some() {
                    supervisor.end_call(&end, 1000);
                }
            });
        } else if let Some(announced) = self.registry.announced(&call_id)
            && is_of(&announced.record, transaction)
        {
            self.give_up(&announced, EndReason::NoMedia);
        }
    }

    /// The live call whose media comes by this leg.
    fn live_leg(&self, leg: &CallId, transaction: &str) -> Option<LiveCall> {
        self.registry.live_call(leg).filter(|live| live.leg == *leg && is_of(&live.record, transaction))
    }
}

/// Whether a call may be of this Voice Connector transaction: it is, or nobody said which it is of.
fn is_of(record: &CallRecord, transaction: &str) -> bool {
    record.update(|facts| facts.transaction_id.as_deref().is_none_or(|known| known == transaction))
}

fn facts_of(event: CallEvent) -> CallFacts {
    CallFacts {
        transaction_id: Some(event.transaction_id),
        direction: event.direction.map(|direction| match direction {
            event::Direction::Inbound => Direction::Inbound,
            event::Direction::Outbound => Direction::Outbound,
        }),
        from: event.from,
        to: event.to,
        ..CallFacts::default()
    }
}

impl Handler<CallNews> for CallSupervisor {
    type Result = actix::MessageResult<CallNews>;

    fn handle(&mut self, CallNews(message): CallNews, ctx: &mut Self::Context) -> Self::Result {
        let now = (self.settings.unix_now_ms)();
        let (outcome, news) = self.announcements.apply(now, message);
        match news {
            Some(News::Started(event)) => self.on_started(event, true),
            Some(News::Leg(event)) => self.on_started(event, false),
            Some(News::Ended { call_id, transaction_id, .. }) => self.on_ended(&call_id, &transaction_id, ctx),
            None => {}
        }
        actix::MessageResult(outcome)
    }
}

impl Handler<Announce> for CallSupervisor {
    type Result = ();

    fn handle(&mut self, Announce { call_id, facts, patience }: Announce, _: &mut Self::Context) {
        self.announce(call_id, facts, patience, true);
    }
}

impl Handler<Placed> for CallSupervisor {
    type Result = ();

    fn handle(&mut self, Placed { call_id, transaction_id }: Placed, _: &mut Self::Context) {
        let Some(transaction) = transaction_id else {
            // Nobody's telephone rang: it is as if it had never been asked for.
            if let Some(call) = self.registry.take_announced(&call_id) {
                end_record(&call.record, &call.span, EndReason::Rejected, call.born.elapsed());
            }
            return;
        };
        // Hung up meanwhile, by an operator or, where its media was quicker than this answer, by anybody.
        if self.registry.is_over(&Over::Call(call_id.clone())) {
            self.hang_up_transaction(&call_id, transaction);
            return;
        }
        let announced = self.registry.announced(&call_id).map(|call| call.record);
        let record = announced.or_else(|| self.registry.live_call(&call_id).map(|live| live.record));
        if let Some(record) = record {
            record.update(|facts| {
                facts.sma_transaction_id.get_or_insert(transaction);
            });
        }
    }
}
