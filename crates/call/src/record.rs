//! One call's shared record.

mod series;
mod stats;
mod view;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{CallId, Termination, TraceContext};

use series::LineSeries;
pub use series::{LinePoint, SeriesView};
pub use stats::{BridgeStats, DropPlace, FallbackStats, LegStats, ModelStats, ModelStatus, RtpReading, RtpStats};
pub use view::{
    BridgeView, CallDetail, CallView, DownView, DropsView, FallbackView, HistogramsView, LatencyView, ModelView,
    QuantilesView, RtpView, UpView, millis,
};

/// Most entries of a call's timeline.
pub const MAX_TIMELINE_ENTRIES: usize = 500;
/// The last places are kept for what decides a call: a long one is full of turns, and is asked why it ended.
const KEPT_PLACES: usize = 100;
const DECISIVE: [&str; 6] = ["fallback", "session", "link", "renewal", "transfer", "end"];

/// Longest text of a timeline entry, in bytes; a longer one is cut.
pub const MAX_NOTE_BYTES: usize = 512;

/// A number, a route or a transaction that the connecting side tells is at most so long.
pub const MAX_FACT_BYTES: usize = 128;

/// Something told of a call is longer than can be in earnest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is over {MAX_FACT_BYTES} bytes")]
pub struct LongFact {
    /// What, as the contract spells it.
    pub name: &'static str,
}

/// Where a call stands, as in CALL's `state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// An event or an outbound request told of it; no media yet.
    #[default]
    Announced,
    /// Media is there, the model's first session is not.
    Connecting,
    /// Caller and model talk.
    Active,
    /// The model is away.
    Fallback,
    /// It is being ended.
    Ending,
    /// It is over.
    Ended,
}

impl CallState {
    /// Every state of a call that is not over.
    pub const UNENDED: [Self; 5] = [Self::Announced, Self::Connecting, Self::Active, Self::Fallback, Self::Ending];

    /// The state as it stands in JSON and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Connecting => "connecting",
            Self::Active => "active",
            Self::Fallback => "fallback",
            Self::Ending => "ending",
            Self::Ended => "ended",
        }
    }
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The caller called us.
    Inbound,
    /// We called.
    Outbound,
}

impl Direction {
    /// The direction as it stands in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// What is known of a call besides its id; all of it may become known late, in any order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallFacts {
    /// The Voice Connector's transaction.
    pub transaction_id: Option<String>,
    /// The SIP media application's transaction.
    pub sma_transaction_id: Option<String>,
    /// Who called whom.
    pub direction: Option<Direction>,
    /// Calling number, unmasked.
    pub from: Option<String>,
    /// Called number, unmasked.
    pub to: Option<String>,
    /// The route taken: its pattern.
    pub route: Option<String>,
    /// How the media comes: `ingest`, `sip`, `twilio`, ...
    pub link: Option<String>,
    /// Id of the model's session.
    pub session_id: Option<String>,
    /// The trace that the call is part of.
    pub trace: Option<Box<TraceContext>>,
    /// What the connecting side attached to the call; not shown to operators.
    pub metadata: Option<serde_json::Value>,
}

impl CallFacts {
    /// Takes from `other` what is not known yet. What is known stays.
    pub fn learn(&mut self, other: Self) {
        fn fill<T>(known: &mut Option<T>, told: Option<T>) {
            if known.is_none() {
                *known = told;
            }
        }
        fill(&mut self.transaction_id, other.transaction_id);
        fill(&mut self.sma_transaction_id, other.sma_transaction_id);
        fill(&mut self.direction, other.direction);
        fill(&mut self.from, other.from);
        fill(&mut self.to, other.to);
        fill(&mut self.route, other.route);
        fill(&mut self.link, other.link);
        fill(&mut self.session_id, other.session_id);
        fill(&mut self.trace, other.trace);
        fill(&mut self.metadata, other.metadata);
    }

    /// What is kept of a call has a limit.
    ///
    /// # Errors
    /// [`LongFact`] for a number, route or SMA transaction of over [`MAX_FACT_BYTES`].
    pub fn check(&self) -> Result<(), LongFact> {
        let told = [
            ("from", &self.from),
            ("to", &self.to),
            ("route", &self.route),
            ("smaTransactionId", &self.sma_transaction_id),
        ];
        let is_long = |text: &String| text.len() > MAX_FACT_BYTES;
        let long = told.into_iter().find(|(_, text)| text.as_ref().is_some_and(is_long));
        long.map_or(Ok(()), |(name, _)| Err(LongFact { name }))
    }

    /// The trace that the call is part of; one of its own begins now where nobody brought one.
    pub fn in_trace(&mut self) -> &TraceContext {
        self.trace.get_or_insert_with(|| Box::new(TraceContext::generate()))
    }
}

/// One thing that happened in a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// When, in ms since the call's start.
    pub at_ms: u64,
    /// What kind of thing, in `snake_case`.
    pub kind: &'static str,
    /// The particulars.
    pub text: String,
    /// What it took, where that is the point of it, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
}

/// What changes at most once a second, behind the lock.
#[derive(Default)]
struct Cold {
    facts: CallFacts,
    state: CallState,
    started_unix_ms: u64,
    end: Option<(Termination, Duration)>,
    timeline: Vec<TimelineEntry>,
    timeline_dropped: u64,
    series: LineSeries,
}

/// One call's record, shared by all that work on the call and all that look at it.
///
/// Counters are relaxed atomics with one writer each. A panic of a writer loses nothing that was written.
pub struct CallRecord {
    /// The call.
    pub id: CallId,
    /// Caller to model.
    pub up: LegStats,
    /// Model to caller.
    pub down: LegStats,
    /// The model's session.
    pub model: ModelStats,
    /// Our own share of latency.
    pub bridge: BridgeStats,
    /// Outages.
    pub fallback: FallbackStats,
    /// Packets, where the call comes by them.
    pub rtp: RtpStats,
    cold: Mutex<Cold>,
}

impl CallRecord {
    /// The record of a call that is [`CallState::Announced`] at `started_unix_ms` (ms since 1970, UTC).
    #[must_use]
    pub fn new(id: CallId, started_unix_ms: u64) -> Self {
        Self {
            id,
            up: LegStats::default(),
            down: LegStats::default(),
            model: ModelStats::default(),
            bridge: BridgeStats::default(),
            fallback: FallbackStats::default(),
            rtp: RtpStats::default(),
            cold: Mutex::new(Cold { started_unix_ms, ..Cold::default() }),
        }
    }

    /// Where the call stands.
    #[must_use]
    pub fn state(&self) -> CallState {
        self.cold().state
    }

    /// Moves the call on. A call that ended stays ended: returns false. [`CallRecord::end`] alone ends it,
    /// so `Ended` is not taken here.
    pub fn set_state(&self, state: CallState) -> bool {
        let mut cold = self.cold();
        let taken = cold.state != CallState::Ended && state != CallState::Ended;
        if taken {
            cold.state = state;
        }
        taken
    }

    /// A copy of what is known of the call.
    #[must_use]
    pub fn facts(&self) -> CallFacts {
        self.cold().facts.clone()
    }

    /// Changes what is known of the call. `change` runs under the record's lock: it must not call the record.
    pub fn update<R>(&self, change: impl FnOnce(&mut CallFacts) -> R) -> R {
        change(&mut self.cold().facts)
    }

    /// Whether operators may mean this call by `id`: its call id, transaction id or SMA transaction id.
    #[must_use]
    pub fn is_known_as(&self, id: &str) -> bool {
        let cold = self.cold();
        self.id.as_str() == id
            || cold.facts.transaction_id.as_deref() == Some(id)
            || cold.facts.sma_transaction_id.as_deref() == Some(id)
    }

    /// When the call started, in ms since 1970, UTC.
    #[must_use]
    pub fn started_unix_ms(&self) -> u64 {
        self.cold().started_unix_ms
    }

    /// Ends the call, `duration` after its start. The first ending wins: returns false for every later one.
    pub fn end(&self, termination: Termination, duration: Duration) -> bool {
        let mut cold = self.cold();
        let first = cold.end.is_none();
        if first {
            cold.end = Some((termination, duration));
            cold.state = CallState::Ended;
        }
        first
    }

    /// How the call ended and how long it was, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<(Termination, Duration)> {
        self.cold().end
    }

    /// Adds to the timeline, `at_ms` after the call's start. The text must hold no secret. Once the timeline is full
    /// the newest are left out and counted: how a call began explains more than how its noise went on. The last places
    /// are for outages, sessions, links and the end.
    pub fn note(&self, at_ms: u64, kind: &'static str, text: String) {
        self.add_entry(TimelineEntry { at_ms, kind, text, ms: None });
    }

    /// [`CallRecord::note`] of something that took so long.
    pub fn note_taking(&self, at_ms: u64, kind: &'static str, text: String, took: Duration) {
        self.add_entry(TimelineEntry { at_ms, kind, text, ms: Some(view::whole_ms(took)) });
    }

    fn add_entry(&self, mut entry: TimelineEntry) {
        let text = &mut entry.text;
        if text.len() > MAX_NOTE_BYTES {
            text.truncate(text.floor_char_boundary(MAX_NOTE_BYTES - '…'.len_utf8()));
            text.push('…');
        }
        let places =
            if DECISIVE.contains(&entry.kind) { MAX_TIMELINE_ENTRIES } else { MAX_TIMELINE_ENTRIES - KEPT_PLACES };
        let mut cold = self.cold();
        if cold.timeline.len() < places {
            cold.timeline.push(entry);
        } else {
            cold.timeline_dropped += 1;
        }
    }

    /// Takes in what the line was like in the second that ended when the call was `age_ms` old.
    pub fn add_line_point(&self, age_ms: u64, point: LinePoint) {
        self.cold().series.push(age_ms, point);
    }

    /// Another number whenever something of the call changed that is no counter: state, names, model, fallback. Cheap,
    /// for it is asked for all calls several times a second.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let cold = self.cold();
        let facts = &cold.facts;
        (cold.state, facts.direction).hash(&mut hasher);
        let CallFacts { transaction_id, sma_transaction_id, from, to, route, link, session_id, .. } = facts;
        [transaction_id, sma_transaction_id, from, to, route, link, session_id].hash(&mut hasher);
        drop(cold);
        // A model that speaks and falls silent is no news; the counters tell it.
        let model = match self.model.state() {
            ModelStatus::Speaking => ModelStatus::Ready,
            state => state,
        };
        (model, self.model.reconnects()).hash(&mut hasher);
        (self.fallback.state(), self.fallback.entered()).hash(&mut hasher);
        hasher.finish()
    }

    /// CALL as operators see it, `age` after the call's start (an ended call keeps its own duration).
    #[must_use]
    pub fn view(&self, age: Duration, reveal_numbers: bool) -> CallView {
        CallView::of(self, &self.cold(), age, reveal_numbers)
    }

    /// CALL with timeline and histograms.
    #[must_use]
    pub fn detail(&self, age: Duration, reveal_numbers: bool) -> CallDetail {
        CallDetail::of(self, &self.cold(), age, reveal_numbers)
    }

    /// A panic under the lock is no reason to lose the call's record: each field is whole at any time.
    fn cold(&self) -> MutexGuard<'_, Cold> {
        self.cold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CallRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Numbers are left out: a debug line must not unmask them.
        f.debug_struct("CallRecord").field("id", &self.id).field("state", &self.state()).finish_non_exhaustive()
    }
}
