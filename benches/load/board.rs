//! Where callers and model meet: the moments of each call's turn, and the distributions that come of them. Both sides run
//! in this process, so that all moments are of one clock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::rig::{Spread, Trouble};

/// The answer to a turn, in ms.
pub const ANSWER_MS: u64 = 2_000;
/// A caller that is later than this was no telephone.
pub const LATE: Duration = Duration::from_millis(10);

/// Distributions; all from the moment at which a frame was due, not from when it was sent: a caller that is held up must
/// not make the figures better.
pub struct Measures {
    /// Caller's frame to the model's append.
    pub up: Spread,
    /// The model's first delta to the caller's first frame.
    pub down: Spread,
    /// Both: what the bridge adds to the time that the model takes for its answer.
    pub turn: Spread,
    /// Caller's frame to `clear`.
    pub clear: Spread,
    /// Between two frames of an answer.
    pub spacing: Spread,
    /// How far `audio_end_ms` is from what was heard.
    pub truncation: Spread,
    /// How late a caller's own tick was.
    pub lateness: Spread,
}

/// Counts of the whole measured time.
#[derive(Default)]
pub struct Counts {
    /// Callers to whom the bridge said that it is full.
    pub turned_away: AtomicU64,
    /// Calls that were ended.
    pub calls: AtomicU64,
    pub turns: AtomicU64,
    pub answers: AtomicU64,
    pub barges: AtomicU64,
    pub clears: AtomicU64,
    pub truncations: AtomicU64,
    /// Of answers that were not interrupted.
    pub sent_ms: AtomicU64,
    pub heard_ms: AtomicU64,
    /// Caller's frames.
    pub frames: AtomicU64,
    pub appended_ms: AtomicU64,
    pub late: AtomicU64,
}

#[derive(Default)]
struct Turn {
    /// When the turn's first frame was due.
    due: Option<Instant>,
    barge: bool,
    /// What the turn's first frame took to the model.
    up: Duration,
    /// When the model sent the first audio of its answer.
    first_delta: Option<Instant>,
    /// Until the caller hears the first frame, or `clear`.
    waits_for_answer: bool,
    waits_for_clear: bool,
    /// Of the answer that was interrupted: what was heard of it, what the model is told of it.
    heard_ms: Option<u64>,
    truncated_ms: Option<u64>,
}

/// See the module.
pub struct Board {
    turns: Vec<Mutex<Turn>>,
    pub measures: Measures,
    pub counts: Counts,
    /// Only then anything is counted.
    measuring: AtomicBool,
}

impl Board {
    pub fn new(calls: u32) -> Result<Self, Trouble> {
        let spread = Spread::new;
        Ok(Self {
            turns: (0..calls).map(|_| Mutex::default()).collect(),
            measures: Measures {
                up: spread()?,
                down: spread()?,
                turn: spread()?,
                clear: spread()?,
                spacing: spread()?,
                truncation: spread()?,
                lateness: spread()?,
            },
            counts: Counts::default(),
            measuring: AtomicBool::new(false),
        })
    }

    pub fn measure(&self, whether: bool) {
        self.measuring.store(whether, Ordering::Relaxed);
    }

    pub fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    pub fn record(&self, spread: &Spread, value: Duration) {
        if self.is_measuring() {
            spread.record(value);
        }
    }

    pub fn count(&self, counter: &AtomicU64, more: u64) {
        if self.is_measuring() {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }

    fn turn<T>(&self, number: u32, change: impl FnOnce(&mut Turn) -> T) -> Option<T> {
        self.turns.get(number as usize)?.lock().ok().map(|mut turn| change(&mut turn))
    }

    /// A caller's tick ran.
    pub fn ticked(&self, late: Duration) {
        self.record(&self.measures.lateness, late);
        self.count(&self.counts.frames, 1);
        if late > LATE {
            self.count(&self.counts.late, 1);
        }
    }

    /// A caller is about to send the first frame of a turn.
    pub fn speaks(&self, number: u32, due: Instant, barge: bool) {
        self.turn(number, |turn| {
            let (heard_ms, truncated_ms) = if barge { (None, None) } else { (turn.heard_ms, turn.truncated_ms) };
            *turn = Turn { due: Some(due), barge, waits_for_clear: barge, heard_ms, truncated_ms, ..Turn::default() };
        });
        self.count(if barge { &self.counts.barges } else { &self.counts.turns }, 1);
    }

    /// The model hears the first frame of a turn, which came at `came`.
    pub fn heard(&self, number: u32, came: Instant) {
        let up = self.turn(number, |turn| {
            turn.up = came.saturating_duration_since(turn.due?);
            Some(turn.up)
        });
        if let Some(up) = up.flatten() {
            self.record(&self.measures.up, up);
        }
    }

    /// The model is about to send the first audio of its answer.
    pub fn answers(&self, number: u32) {
        self.turn(number, |turn| {
            turn.first_delta = Some(Instant::now());
            turn.waits_for_answer = true;
        });
    }

    /// A caller hears sound. Whether it is the first of an answer.
    pub fn hears(&self, number: u32, now: Instant) -> bool {
        let moments = self.turn(number, |turn| {
            let is_first = turn.waits_for_answer && !turn.waits_for_clear;
            turn.waits_for_answer &= !is_first;
            let sent = turn.first_delta.filter(|_| is_first)?;
            Some((turn.up, sent, turn.barge))
        });
        let Some((up, sent, barge)) = moments.flatten() else { return false };
        // After a barge-in the line's 20 ms clock goes on: where in a tick the answer comes is no latency.
        if !barge {
            let down = now.saturating_duration_since(sent);
            self.record(&self.measures.down, down);
            self.record(&self.measures.turn, up + down);
        }
        self.count(&self.counts.answers, 1);
        true
    }

    /// A caller is told to forget what it has queued; it has heard so much of the answer.
    pub fn cleared(&self, number: u32, now: Instant, heard_ms: u64) {
        let due = self.turn(number, |turn| {
            let due = turn.due.filter(|_| turn.waits_for_clear);
            if due.is_some() {
                turn.waits_for_clear = false;
                turn.heard_ms = Some(heard_ms);
            }
            due
        });
        if let Some(due) = due.flatten() {
            self.record(&self.measures.clear, now.saturating_duration_since(due));
            self.count(&self.counts.clears, 1);
        }
        self.compare(number);
    }

    /// The model is told that so much of its answer was heard.
    pub fn truncated(&self, number: u32, audio_end_ms: u64) {
        self.turn(number, |turn| turn.truncated_ms = Some(audio_end_ms));
        self.count(&self.counts.truncations, 1);
        self.compare(number);
    }

    fn compare(&self, number: u32) {
        let both = self.turn(number, |turn| {
            let both = turn.heard_ms.zip(turn.truncated_ms);
            if both.is_some() {
                (turn.heard_ms, turn.truncated_ms) = (None, None);
            }
            both
        });
        if let Some((heard, told)) = both.flatten() {
            self.record(&self.measures.truncation, Duration::from_millis(heard.abs_diff(told)));
        }
    }

    /// An answer is over that nobody interrupted.
    pub fn completed(&self, heard_ms: u64) {
        self.count(&self.counts.sent_ms, ANSWER_MS);
        self.count(&self.counts.heard_ms, heard_ms);
    }
}
