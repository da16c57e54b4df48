//! Every call there is and was lately. The supervisor writes it; the admin pages read it without asking anybody, and a new
//! supervisor would find every call in it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::Addr;
use tokio::time::Instant;
use trunkline_call::{CallId, CallRecord, EndReason};

use crate::messages::EndCall;
use crate::totals::Totals;
use crate::vc_stream::{Siblings, VcStreamActor};

/// A call that lives.
#[derive(Clone)]
pub struct LiveCall {
    /// Its counters and facts.
    pub record: Arc<CallRecord>,
    /// When it was born.
    pub born: Instant,
    /// Its line.
    pub line: Addr<VcStreamActor>,
    /// The other actors, once they run.
    pub(crate) siblings: Option<Siblings>,
    /// Set once: why it ends.
    pub(crate) ending: Option<EndReason>,
}

struct EndedCall {
    record: Arc<CallRecord>,
    born: Instant,
    ended: Instant,
}

#[derive(Default)]
struct Calls {
    live: HashMap<CallId, LiveCall>,
    ended: VecDeque<EndedCall>,
    by_reason: HashMap<&'static str, u64>,
    /// Of the calls that ended.
    totals: Totals,
    started: u64,
}

/// See the module.
#[derive(Default)]
pub struct Registry {
    calls: Mutex<Calls>,
}

/// What the admin pages show of one call.
#[derive(Clone)]
pub struct Seen {
    /// Its counters and facts.
    pub record: Arc<CallRecord>,
    /// How long ago it began.
    pub age: Duration,
}

impl Registry {
    /// Calls that live.
    #[must_use]
    pub fn live(&self) -> usize {
        self.lock().live.len()
    }

    /// Calls ever started here.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.lock().started
    }

    /// Ended calls by reason, since the service began.
    #[must_use]
    pub fn ended_by_reason(&self) -> HashMap<&'static str, u64> {
        self.lock().by_reason.clone()
    }

    /// What all calls counted since the service began.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let calls = self.lock();
        let mut totals = calls.totals.clone();
        for call in calls.live.values() {
            totals.add(&call.record);
        }
        totals
    }

    /// Live calls, newest first.
    #[must_use]
    pub fn live_calls(&self) -> Vec<Seen> {
        let mut calls: Vec<LiveCall> = self.lock().live.values().cloned().collect();
        calls.sort_by_key(|call| std::cmp::Reverse(call.born));
        calls.into_iter().map(|call| Seen { record: call.record, age: call.born.elapsed() }).collect()
    }

    /// Ended calls that are still remembered, newest first.
    #[must_use]
    pub fn ended_calls(&self) -> Vec<Seen> {
        let calls = self.lock();
        calls
            .ended
            .iter()
            .rev()
            .map(|call| Seen { record: Arc::clone(&call.record), age: call.born.elapsed() })
            .collect()
    }

    /// A call by call id, transaction id or SMA transaction id; live ones first, then the newest.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Seen> {
        let known = |seen: &Seen| seen.record.is_known_as(id);
        self.live_calls().into_iter().find(known).or_else(|| self.ended_calls().into_iter().find(known))
    }

    /// A live call.
    #[must_use]
    pub fn live_call(&self, id: &CallId) -> Option<LiveCall> {
        self.lock().live.get(id).cloned()
    }

    /// The live call this record is of; not another one that bears its id now.
    pub(crate) fn live_of(&self, record: &Arc<CallRecord>) -> Option<LiveCall> {
        self.live_call(&record.id).filter(|live| Arc::ptr_eq(&live.record, record))
    }

    pub(crate) fn insert(&self, call: LiveCall) {
        let mut calls = self.lock();
        calls.started += 1;
        calls.live.insert(call.record.id.clone(), call);
    }

    pub(crate) fn change<R>(&self, id: &CallId, change: impl FnOnce(&mut LiveCall) -> R) -> Option<R> {
        self.lock().live.get_mut(id).map(change)
    }

    pub(crate) fn all(&self) -> Vec<LiveCall> {
        self.lock().live.values().cloned().collect()
    }

    /// Moves a call to the ended ones.
    pub(crate) fn retire(&self, id: &CallId, reason: EndReason, now: Instant, history_max: usize) -> Option<LiveCall> {
        let mut calls = self.lock();
        let call = calls.live.remove(id)?;
        calls.totals.add(&call.record);
        *calls.by_reason.entry(reason.as_str()).or_default() += 1;
        calls.ended.push_back(EndedCall { record: Arc::clone(&call.record), born: call.born, ended: now });
        while calls.ended.len() > history_max {
            calls.ended.pop_front();
        }
        Some(call)
    }

    /// Forgets what ended longer ago than `history`.
    pub(crate) fn forget(&self, now: Instant, history: Duration) {
        let mut calls = self.lock();
        while calls.ended.front().is_some_and(|call| now - call.ended > history) {
            calls.ended.pop_front();
        }
    }

    /// No handler panics while it holds the lock in the middle of a change; what stands is whole.
    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndCall {
    /// An order to end `call_id` at once.
    #[must_use]
    pub fn now(call_id: CallId, reason: EndReason) -> Self {
        Self { call_id, of: None, reason, goodbye: false }
    }
}
