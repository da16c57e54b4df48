//! Looks at the calls for all viewers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};
use actix_web::web;
use bytestring::ByteString;
use serde::Serialize;
use trunkline_actors::registry::{Registry, Seen};
use trunkline_call::{CallId, CallRecord, CallState, CallView, ModelStatus, millis};

use super::Show;
use crate::http::{Shared, health};
use crate::telemetry;

/// How often the registry is looked at.
const TICK: Duration = Duration::from_millis(250);
const TICKS_PER_SECOND: u32 = 4;
/// Bytes that may wait for a viewer; then it has to catch up. One message may be larger.
const MAX_WAITING: usize = 256 << 10;
/// A viewer that was behind gets the whole picture at most so often.
const SNAPSHOT_PAUSE: u32 = 2 * TICKS_PER_SECOND;

/// A viewer wants to see. From the viewer, once.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Join {
    /// Where it is.
    pub(super) to: Recipient<Show>,
    /// Bytes that it has not handled yet; the board adds, the viewer takes away.
    pub(super) waiting: Arc<AtomicUsize>,
}

/// The service stops: send every viewer away. From the application.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct CloseAll;

/// See the module. It has an arbiter of its own: no call waits for an operator.
pub(crate) struct LiveBoard {
    shared: web::Data<Shared>,
    viewers: Vec<Viewer>,
    watch: Watch,
    ticks: u32,
}

struct Viewer {
    to: Recipient<Show>,
    waiting: Arc<AtomicUsize>,
    /// It missed something, and is sent nothing but a snapshot.
    behind: bool,
    /// Ticks until it may have another one.
    pause: u32,
}

impl Viewer {
    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Sends a message, unless too much waits already: then the viewer has missed it.
    fn show(&mut self, text: &ByteString) {
        if self.behind {
            return;
        }
        let before = self.waiting.fetch_add(text.len(), Ordering::Relaxed);
        if before > MAX_WAITING || self.to.try_send(Show::Text(text.clone())).is_err() {
            self.waiting.fetch_sub(text.len(), Ordering::Relaxed);
            self.behind = true;
        }
    }

    fn wants_snapshot(&self) -> bool {
        self.behind && self.pause == 0 && self.waiting() == 0
    }
}

impl LiveBoard {
    /// A board that nobody looks at yet.
    pub(crate) fn new(shared: web::Data<Shared>) -> Self {
        Self { shared, viewers: Vec::new(), watch: Watch::default(), ticks: 0 }
    }

    fn tick(&mut self) {
        self.viewers.retain(|viewer| viewer.to.connected());
        for viewer in &mut self.viewers {
            viewer.pause = viewer.pause.saturating_sub(1);
        }
        // Nobody reads: nothing is worth looking at, and whoever comes back gets everything.
        if self.viewers.iter().all(|viewer| viewer.behind && !viewer.wants_snapshot()) {
            return;
        }
        let calls = self.shared.registry.calls();
        for news in self.watch.look(&self.shared.registry, &calls) {
            self.show_all(&news);
        }
        self.ticks = (self.ticks + 1) % TICKS_PER_SECOND;
        if self.ticks == 0 {
            let counters = Counters {
                at: now(),
                health: health::report(&self.shared),
                totals: TotalsView::of(&self.shared.registry, &calls),
                calls: self.watch.counted(),
            };
            self.show_all(&Said::Counters(counters));
        }
        self.catch_up(&calls);
    }

    fn show_all(&mut self, said: &Said) {
        let text = write(said);
        for viewer in &mut self.viewers {
            viewer.show(&text);
        }
    }

    /// Whoever is behind and has handled all it got gets everything; it is written once for all of them.
    fn catch_up(&mut self, calls: &[Seen]) {
        let mut waiting = self.viewers.iter_mut().filter(|viewer| viewer.wants_snapshot()).peekable();
        if waiting.peek().is_none() {
            return;
        }
        let snapshot = write(&Said::Snapshot {
            at: now(),
            version: env!("CARGO_PKG_VERSION"),
            calls: calls.iter().map(view).collect(),
            health: health::report(&self.shared),
            totals: TotalsView::of(&self.shared.registry, calls),
        });
        for viewer in waiting {
            viewer.behind = false;
            viewer.pause = SNAPSHOT_PAUSE;
            viewer.show(&snapshot);
        }
    }
}

impl Actor for LiveBoard {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, |board, _| board.tick());
    }
}

impl Handler<Join> for LiveBoard {
    type Result = ();

    fn handle(&mut self, Join { to, waiting }: Join, _: &mut Self::Context) {
        self.viewers.push(Viewer { to, waiting, behind: true, pause: 0 });
        let calls = self.shared.registry.calls();
        if self.viewers.len() == 1 {
            // What went on while nobody looked is no news.
            self.watch = Watch::default();
            drop(self.watch.look(&self.shared.registry, &calls));
        }
        self.catch_up(&calls);
    }
}

impl Handler<CloseAll> for LiveBoard {
    type Result = ();

    fn handle(&mut self, _: CloseAll, _: &mut Self::Context) {
        for viewer in self.viewers.drain(..) {
            // One that reads nothing goes with its socket.
            let _ = viewer.to.try_send(Show::Closing);
        }
    }
}

/// What viewers are told.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    /// Everything.
    Snapshot { at: String, version: &'static str, calls: Vec<CallView>, health: health::Report, totals: TotalsView },
    /// A call is new here.
    Started { call: CallView },
    /// Something of a call changed that is no counter.
    Changed { call: CallView },
    /// A call is over.
    Ended { call: CallView },
    /// Once a second.
    Counters(Counters),
}

#[derive(Serialize)]
struct Counters {
    at: String,
    health: health::Report,
    totals: TotalsView,
    /// Only of calls whose counters changed.
    calls: Vec<Row>,
}

/// One call's counters: its id; `up` frames, fps, dropped, queuedMs; `down` frames, fps, dropped, queuedMs, underruns;
/// responses, interruptions, the latest response's latency in ms; prompts; the model's state; the 95th percentile of the
/// responses' latencies in ms.
#[derive(Clone, PartialEq, Serialize)]
struct Row(CallId, u64, f64, u64, u64, u64, f64, u64, u64, u64, u64, u64, Option<f64>, u64, ModelStatus, Option<f64>);

impl Row {
    fn of(record: &CallRecord) -> Self {
        let (up, down, model) = (&record.up, &record.down, &record.model);
        Self(
            record.id.clone(),
            up.frames(),
            up.fps(),
            up.dropped(),
            up.queued_ms(),
            down.frames(),
            down.fps(),
            down.dropped(),
            down.queued_ms(),
            down.underruns(),
            model.responses(),
            model.interruptions(),
            model.last_latency().map(millis),
            record.fallback.prompts(),
            model.state(),
            model.response_latency.quantile(0.95).map(millis),
        )
    }
}

/// Sums over all calls since the service began.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TotalsView {
    live: usize,
    announced: usize,
    started: u64,
    ended: BTreeMap<&'static str, u64>,
    up_frames: u64,
    down_frames: u64,
    dropped: u64,
    underruns: u64,
    responses: u64,
    interruptions: u64,
    reconnects: u64,
    fallback_entered: u64,
    prompts: u64,
    panics: u64,
}

impl TotalsView {
    fn of(registry: &Registry, calls: &[Seen]) -> Self {
        let totals = registry.totals();
        let announced = calls.iter().filter(|seen| seen.record.state() == CallState::Announced).count();
        Self {
            live: calls.len() - announced,
            announced,
            started: registry.started(),
            ended: registry.ended_by_reason().into_iter().collect(),
            up_frames: totals.up_frames,
            down_frames: totals.down_frames,
            dropped: totals.dropped().map(|(_, _, frames)| frames).sum(),
            underruns: totals.underruns,
            responses: totals.responses,
            interruptions: totals.interruptions,
            reconnects: totals.reconnects,
            fallback_entered: totals.fallback_entered,
            prompts: totals.prompts,
            panics: telemetry::panics(),
        }
    }
}

/// What viewers know of the calls.
#[derive(Default)]
struct Watch {
    /// By the record's place in memory, which is its own as long as it is kept here: an id may come back.
    known: HashMap<usize, Known>,
    ended: u64,
    looks: u64,
}

struct Known {
    record: Arc<CallRecord>,
    fingerprint: u64,
    counted: Option<Row>,
    /// The look that last found it among the calls.
    look: u64,
}

impl Watch {
    /// What is new since the last look, in an order in which it can have happened.
    fn look(&mut self, registry: &Registry, calls: &[Seen]) -> Vec<Said> {
        self.looks += 1;
        let looks = self.looks;
        let mut news = Vec::new();
        // What ended comes first: its id may be that of a call that began since.
        let (ended, new) = registry.ended_since(self.ended);
        self.ended = ended;
        for seen in new.iter().rev() {
            self.known.remove(&place(&seen.record));
            news.push(Said::Ended { call: view(seen) });
        }
        let over: HashSet<usize> = new.iter().map(|seen| place(&seen.record)).collect();
        // Oldest first.
        let here = || calls.iter().rev().filter(|seen| !over.contains(&place(&seen.record)));
        for seen in here() {
            if let Some(known) = self.known.get_mut(&place(&seen.record)) {
                known.look = looks;
            }
        }
        // The rest has ended unseen: history is too short for it, or it was never placed.
        self.known.retain(|_, known| {
            let here = known.look == looks;
            if !here {
                news.push(Said::Ended { call: known.record.view(Duration::ZERO, false) });
            }
            here
        });
        for seen in here() {
            let fingerprint = seen.record.fingerprint();
            let known = self.known.entry(place(&seen.record)).or_insert_with(|| {
                news.push(Said::Started { call: view(seen) });
                Known { record: Arc::clone(&seen.record), fingerprint, counted: None, look: looks }
            });
            if known.fingerprint != fingerprint {
                known.fingerprint = fingerprint;
                news.push(Said::Changed { call: view(seen) });
            }
        }
        news
    }

    /// The counters that changed since this was last asked.
    fn counted(&mut self) -> Vec<Row> {
        let changed = self.known.values_mut().filter_map(|known| {
            let row = Some(Row::of(&known.record));
            (row != known.counted).then(|| known.counted.clone_from(&row))?;
            row
        });
        changed.collect()
    }
}

fn place(record: &Arc<CallRecord>) -> usize {
    Arc::as_ptr(record) as usize
}

/// Numbers are masked: whoever wants them asks for a call.
fn view(seen: &Seen) -> CallView {
    seen.record.view(seen.age, false)
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// As one text message. There is no way for it to fail: every key is a text.
fn write(said: &Said) -> ByteString {
    serde_json::to_string(said).unwrap_or_default().into()
}
