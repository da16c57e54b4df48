//! Every call there is and was lately. The supervisor writes it; the admin pages read it without asking anybody, and a new
//! supervisor would find every call in it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::Addr;
use tokio::time::Instant;
use trunkline_call::{CallId, CallRecord, EndReason};

use crate::messages::{EndCall, Farewell};
use crate::spans::CallSpan;
use crate::totals::{Latencies, Totals};
use crate::vc_stream::{Siblings, VcStreamActor};

/// A call that lives.
#[derive(Clone)]
pub struct LiveCall {
    /// Its counters and facts.
    pub record: Arc<CallRecord>,
    /// When it was born.
    pub born: Instant,
    /// What its trace shows.
    pub(crate) span: CallSpan,
    /// Its line.
    pub line: Addr<VcStreamActor>,
    /// The other actors, once they run.
    pub(crate) siblings: Option<Siblings>,
    /// Set once: why it ends.
    pub(crate) ending: Option<EndReason>,
    /// Whether we placed it.
    pub(crate) placed: bool,
    /// What events call the leg that its media comes by, since it came last.
    pub(crate) leg: CallId,
}

/// A call that was told of and has no media yet.
#[derive(Clone)]
pub(crate) struct AnnouncedCall {
    pub(crate) record: Arc<CallRecord>,
    pub(crate) born: Instant,
    pub(crate) span: CallSpan,
    /// Given up then.
    pub(crate) until: Instant,
    /// Whether we placed it.
    pub(crate) placed: bool,
}

struct EndedCall {
    record: Arc<CallRecord>,
    born: Instant,
    ended: Instant,
}

impl EndedCall {
    fn seen(&self) -> Seen {
        Seen { record: Arc::clone(&self.record), age: self.born.elapsed() }
    }
}

#[derive(Default)]
struct Calls {
    live: HashMap<CallId, LiveCall>,
    announced: HashMap<CallId, AnnouncedCall>,
    /// Other names of live calls: a socket may know a call by its transaction and call it something else.
    aliases: HashMap<CallId, CallId>,
    /// What ended on purpose, and when.
    over: HashMap<Over, Instant>,
    ended: VecDeque<EndedCall>,
    /// How many ever came to be among them.
    remembered: u64,
    by_reason: HashMap<&'static str, u64>,
    /// Of the calls that ended.
    totals: Totals,
    latencies: Latencies,
    started: u64,
}

/// What a caller who is to be hung up on may come by once more.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Over {
    /// Of the SIP media application.
    Transaction(String),
    /// A call that we placed, by its own id: its transaction was not known yet.
    Call(CallId),
}

/// A caller who is to be hung up on is not connected again within this time.
const OVER: Duration = Duration::from_secs(15 * 60);

/// Names of one call beside its own. Whoever brings its transaction finds it all the same.
const MAX_ALIASES: usize = 8;

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

    /// Ended calls by reason, since the service began. Those whose media never came are not among them.
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

    /// The latencies of all calls since the service began. Nobody waits while they are added up.
    #[must_use]
    pub fn latencies(&self) -> Latencies {
        let calls = self.lock();
        let mut latencies = calls.latencies.clone();
        let live: Vec<_> = calls.live.values().map(|call| Arc::clone(&call.record)).collect();
        drop(calls);
        for record in &live {
            latencies.add(record);
        }
        latencies
    }

    /// Live and announced calls, newest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Seen> {
        let calls = self.lock();
        let live = calls.live.values().map(|call| (call.born, Arc::clone(&call.record)));
        let announced = calls.announced.values().map(|call| (call.born, Arc::clone(&call.record)));
        let mut all: Vec<_> = live.chain(announced).collect();
        drop(calls);
        all.sort_by_key(|(born, _)| std::cmp::Reverse(*born));
        all.into_iter().map(|(born, record)| Seen { record, age: born.elapsed() }).collect()
    }

    /// Ended calls that are still remembered, newest first.
    #[must_use]
    pub fn ended_calls(&self) -> Vec<Seen> {
        let calls = self.lock();
        calls.ended.iter().rev().map(EndedCall::seen).collect()
    }

    /// How many calls ended since the service began, those included whose media never came; and of those that ended
    /// after there were `before` of them, the ones that are still remembered, newest first.
    #[must_use]
    pub fn ended_since(&self, before: u64) -> (u64, Vec<Seen>) {
        let calls = self.lock();
        let new = usize::try_from(calls.remembered.saturating_sub(before)).unwrap_or(usize::MAX);
        (calls.remembered, calls.ended.iter().rev().take(new).map(EndedCall::seen).collect())
    }

    /// A call by call id, transaction id or SMA transaction id; live and announced ones first, then the newest.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Seen> {
        let alias = self.lock().aliases.get(id).cloned();
        let id = alias.as_ref().map_or(id, CallId::as_str);
        let known = |seen: &Seen| seen.record.is_known_as(id);
        self.calls().into_iter().find(known).or_else(|| self.ended_calls().into_iter().find(known))
    }

    /// A live call, by any of its names.
    #[must_use]
    pub fn live_call(&self, id: &CallId) -> Option<LiveCall> {
        let calls = self.lock();
        let id = calls.aliases.get(id).unwrap_or(id);
        calls.live.get(id).cloned()
    }

    /// The name of the call that a socket means: `id` itself, or that of the call whose transaction it brings.
    pub(crate) fn resolve(&self, id: &CallId, sma_transaction_id: Option<&str>) -> CallId {
        let calls = self.lock();
        if let Some(known) = calls.aliases.get(id) {
            return known.clone();
        }
        if calls.live.contains_key(id) || calls.announced.contains_key(id) {
            return id.clone();
        }
        let Some(transaction) = sma_transaction_id else { return id.clone() };
        let live = calls.live.values().filter(|call| call.ending.is_none()).map(|call| &call.record);
        let announced = calls.announced.values().map(|call| &call.record);
        let of_transaction =
            |record: &&Arc<CallRecord>| record.update(|facts| facts.sma_transaction_id.as_deref() == Some(transaction));
        live.chain(announced).find(of_transaction).map_or_else(|| id.clone(), |record| record.id.clone())
    }

    /// From now on the live call `name` is also known as `alias`, if it has not too many names already.
    pub(crate) fn alias(&self, alias: CallId, name: &CallId) {
        if alias == *name {
            return;
        }
        let mut calls = self.lock();
        if calls.aliases.values().filter(|known| *known == name).count() < MAX_ALIASES {
            calls.aliases.insert(alias, name.clone());
        }
    }

    /// Whoever comes by this is to be hung up on.
    pub(crate) fn end_on_purpose(&self, what: Over, now: Instant) {
        self.lock().over.insert(what, now);
    }

    /// Whether whoever comes by this is to be hung up on.
    pub(crate) fn is_over(&self, what: &Over) -> bool {
        self.lock().over.contains_key(what)
    }

    pub(crate) fn announce(&self, call: AnnouncedCall) {
        self.lock().announced.insert(call.record.id.clone(), call);
    }

    pub(crate) fn announced(&self, id: &CallId) -> Option<AnnouncedCall> {
        self.lock().announced.get(id).cloned()
    }

    pub(crate) fn take_announced(&self, id: &CallId) -> Option<AnnouncedCall> {
        self.lock().announced.remove(id)
    }

    /// Announced calls that are given up by now.
    pub(crate) fn unanswered(&self, now: Instant) -> Vec<AnnouncedCall> {
        self.lock().announced.values().filter(|call| call.until <= now).cloned().collect()
    }

    /// The live call this record is of; not another one that bears its id now.
    pub(crate) fn live_of(&self, record: &Arc<CallRecord>) -> Option<LiveCall> {
        self.live_call(&record.id).filter(|live| Arc::ptr_eq(&live.record, record))
    }

    /// A call has its media now, and is announced no more.
    pub(crate) fn insert(&self, call: LiveCall) {
        let mut calls = self.lock();
        calls.started += 1;
        calls.announced.remove(&call.record.id);
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
        calls.aliases.retain(|_, name| name != id);
        calls.totals.add(&call.record);
        calls.latencies.add(&call.record);
        *calls.by_reason.entry(reason.as_str()).or_default() += 1;
        calls.remember(Arc::clone(&call.record), call.born, now, history_max);
        Some(call)
    }

    /// Moves an announced call to the ended ones. Its media never came: it counts for nothing.
    pub(crate) fn give_up(&self, call: &AnnouncedCall, now: Instant, history_max: usize) {
        let mut calls = self.lock();
        calls.announced.remove(&call.record.id);
        calls.remember(Arc::clone(&call.record), call.born, now, history_max);
    }

    /// Forgets what ended longer ago than `history`.
    pub(crate) fn forget(&self, now: Instant, history: Duration) {
        let mut calls = self.lock();
        while calls.ended.front().is_some_and(|call| now - call.ended > history) {
            calls.ended.pop_front();
        }
        calls.over.retain(|_, since| now - *since <= OVER);
    }

    /// No handler panics while it holds the lock in the middle of a change; what stands is whole.
    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn remember(&mut self, record: Arc<CallRecord>, born: Instant, ended: Instant, history_max: usize) {
        self.remembered += 1;
        self.ended.push_back(EndedCall { record, born, ended });
        while self.ended.len() > history_max {
            self.ended.pop_front();
        }
    }
}

impl EndCall {
    /// An order to end `call_id` at once.
    #[must_use]
    pub fn now(call_id: CallId, reason: EndReason) -> Self {
        Self { call_id, of: None, reason, farewell: Farewell::Nothing }
    }
}
