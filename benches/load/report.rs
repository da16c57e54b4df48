//! What came out of it, for people and for machines.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::args::Args;
use crate::board::Board;
use crate::html;
use crate::rig::process::Usage;
use crate::rig::{Spread, Trouble, admin};
use crate::run::{Bridge, Window};
use crate::viewers::Costs;

/// A generator whose ticks are later than this (p99) measured itself, in ms.
const LATEST_MS: f64 = 10.0;
/// Failures shown one by one.
const SHOWN: usize = 10;

/// Quantiles of a distribution in ms; `None` where nothing was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantiles {
    count: u64,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
}

impl Quantiles {
    fn of(spread: &Spread) -> Self {
        let at = |quantile| spread.quantile_ms(quantile);
        Self { count: spread.count(), p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }

    fn json(self) -> Value {
        json!({"count": self.count, "p50": self.p50, "p99": self.p99, "max": self.max})
    }

    fn shown(self) -> String {
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        format!("{} / {} / {}", ms(self.p50), ms(self.p99), ms(self.max))
    }
}

/// One bridge under one load.
pub struct Figures {
    pub which: Bridge,
    pub calls: u32,
    /// Of one core, in percent.
    pub cpu: f64,
    pub rss_mib: f64,
    pub rss_mib_per_call: f64,
    /// Seconds and MiB.
    pub memory_curve: Vec<(f64, f64)>,
    own_cpu: f64,
    /// Time that the bridge's threads were ready and had no core, in ms a second.
    starved: f64,
    /// The callers' clock was not kept: what was measured is the generator.
    pub refused: bool,
    failures: Vec<String>,
    /// Frames that the service says it dropped, and underruns.
    dropped: u64,
    underruns: u64,
    up: Quantiles,
    down: Quantiles,
    pub turn: Quantiles,
    clear: Quantiles,
    spacing: Quantiles,
    /// Percentile and ms.
    pub spacing_curve: Vec<(f64, f64)>,
    truncation: Quantiles,
    lateness: Quantiles,
    completeness: Option<f64>,
    appended: Option<f64>,
    turned_away: u64,
    ended: u64,
    turns: u64,
    answers: u64,
    barges: u64,
    clears: u64,
    truncations: u64,
    /// How many watched by turns, and what that cost.
    pub viewers: Option<(u32, Costs)>,
}

impl Figures {
    pub fn new(
        which: Bridge,
        calls: u32,
        board: &Board,
        base: Usage,
        window: Window,
        metrics: &str,
        failures: Vec<String>,
    ) -> Self {
        let seconds = window.span.as_secs_f64();
        let cpu = |(before, after): (Usage, Usage)| (after.cpu_s - before.cpu_s) / seconds * 100.0;
        let mib = |kib: u64| kib as f64 / 1_024.0;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64 * 100.0);
        let (measures, counts) = (&board.measures, &board.counts);
        let carried = (f64::from(calls) - count(&counts.turned_away) as f64).max(1.0);
        let lateness = Quantiles::of(&measures.lateness);
        Self {
            which,
            calls,
            cpu: cpu(window.bridge) / carried,
            rss_mib: mib(window.bridge.1.resident_kib),
            rss_mib_per_call: mib(window.bridge.1.resident_kib.saturating_sub(base.resident_kib)) / carried,
            memory_curve: window.memory.iter().map(|(at, kib)| (*at, mib(*kib))).collect(),
            own_cpu: cpu(window.own),
            starved: (window.bridge.1.starved_s - window.bridge.0.starved_s) / seconds * 1_000.0,
            refused: lateness.p99.is_none_or(|ms| ms > LATEST_MS),
            failures,
            dropped: admin::metric(metrics, "trunkline_frames_dropped_total"),
            underruns: admin::metric(metrics, "trunkline_underruns_total"),
            up: Quantiles::of(&measures.up),
            down: Quantiles::of(&measures.down),
            turn: Quantiles::of(&measures.turn),
            clear: Quantiles::of(&measures.clear),
            spacing: Quantiles::of(&measures.spacing),
            spacing_curve: (0..=100_u32)
                .filter_map(|percent| {
                    let percent = f64::from(percent);
                    Some((percent, measures.spacing.quantile_ms(percent / 100.0)?))
                })
                .collect(),
            truncation: Quantiles::of(&measures.truncation),
            lateness,
            completeness: share(count(&counts.heard_ms), count(&counts.sent_ms)),
            appended: share(count(&counts.appended_ms), count(&counts.frames) * 20),
            turned_away: count(&counts.turned_away),
            ended: count(&counts.calls),
            turns: count(&counts.turns),
            answers: count(&counts.answers),
            barges: count(&counts.barges),
            clears: count(&counts.clears),
            truncations: count(&counts.truncations),
            viewers: None,
        }
    }

    pub fn turn_p99_ms(&self) -> Option<f64> {
        self.turn.p99
    }

    /// No call failed and nothing was dropped.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && self.dropped == 0 && self.answers > 0
    }

    /// MiB by which memory grew from the middle of the time to its end.
    fn growth(&self) -> f64 {
        let (half, last) = (self.memory_curve.get(self.memory_curve.len() / 2), self.memory_curve.last());
        half.zip(last).map_or(0.0, |(half, last)| last.1 - half.1)
    }

    fn json(&self) -> Value {
        json!({
            "bridge": self.which.name(), "calls": self.calls, "failed_calls": self.failures.len(), "refused": self.refused,
            "cpu_percent_per_call": self.cpu, "rss_mib": self.rss_mib, "rss_mib_per_call": self.rss_mib_per_call,
            "rss_mib_growth_second_half": self.growth(),
            "up_ms": self.up.json(), "down_ms": self.down.json(), "turn_ms": self.turn.json(), "clear_ms": self.clear.json(),
            "spacing_ms": self.spacing.json(), "truncation_error_ms": self.truncation.json(),
            "completeness_percent": self.completeness, "appended_percent": self.appended,
            "starved_ms_per_s": self.starved, "dropped": self.dropped, "underruns": self.underruns, "turned_away": self.turned_away, "calls_ended": self.ended, "turns": self.turns, "answers": self.answers,
            "barges": self.barges, "clears": self.clears, "truncations": self.truncations,
            "viewers": self.viewers.as_ref().and_then(|(count, costs)| {
                let (_, reading, frozen) = costs.ratios()?;
                Some(json!({"count": count, "cpu_ratio": reading, "cpu_ratio_frozen": frozen, "kib_per_s": costs.kib_per_s()}))
            }),
            "generator": {"cpu_percent": self.own_cpu, "lateness_ms": self.lateness.json()},
        })
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let percent = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2} %"));
        let viewers = self.viewers.as_ref().and_then(|(count, costs)| {
            let (nobody, reading, frozen) = costs.ratios()?;
            let kib = costs.kib_per_s();
            Some(format!("{count}: CPU x {reading:.3} ({kib:.0} KiB/s each), frozen x {frozen:.3}, nobody {nobody:.1} % of a core"))
        });
        let rows = vec![
            ("CPU per call", format!("{:.4} % of a core", self.cpu)),
            (
                "memory",
                format!(
                    "{:.1} MiB, {:.3} MiB a call, {:+.1} MiB in the second half",
                    self.rss_mib,
                    self.rss_mib_per_call,
                    self.growth()
                ),
            ),
            ("turn", self.turn.shown()),
            ("up", self.up.shown()),
            ("down", self.down.shown()),
            ("barge-in to clear", self.clear.shown()),
            ("spacing", self.spacing.shown()),
            ("truncation error", self.truncation.shown()),
            ("audio heard", percent(self.completeness)),
            ("audio appended", percent(self.appended)),
            ("calls ended, turned away", format!("{}, {}", self.ended, self.turned_away)),
            ("turns, answers", format!("{}, {}", self.turns + self.barges, self.answers)),
            ("barge-ins, clears, truncations", format!("{}, {}, {}", self.barges, self.clears, self.truncations)),
            ("dropped, underruns", format!("{}, {}", self.dropped, self.underruns)),
            ("waited for a core", format!("{:.1} ms a second", self.starved)),
            ("failed calls", self.failures.len().to_string()),
            ("generator late", self.lateness.shown()),
            ("generator's CPU", format!("{:.1} % of a core", self.own_cpu)),
        ];
        rows.into_iter().chain(viewers.map(|costs| ("operators who watch", costs))).collect()
    }
}

/// All of a run.
pub struct Report {
    title: String,
    figures: Vec<Figures>,
    limit: Option<u32>,
}

impl Report {
    pub fn new(args: &Args) -> Self {
        let barge = if args.barge { ", every other answer interrupted" } else { "" };
        let title = format!("{}, {}, {} s{barge}", args.dialect.name(), args.audio(), args.secs);
        Self { title, figures: Vec::new(), limit: None }
    }

    pub fn add(&mut self, figures: Figures) {
        self.figures.push(figures);
    }

    pub fn limit(&mut self, calls: u32) {
        self.limit = Some(calls);
    }

    /// No call failed, and the generator kept its clock.
    pub fn is_good(&self) -> bool {
        self.figures.iter().all(|figures| figures.failures.is_empty() && figures.answers > 0)
    }

    /// The median of our CPU per call as a ratio to the floor's beside it, and of the turns'.
    fn ratios(&self) -> Vec<(u32, f64, f64, f64)> {
        let mut all: Vec<(u32, Vec<[f64; 3]>)> = Vec::new();
        for pair in self.figures.windows(2) {
            let [floor, ours] = pair else { continue };
            if (floor.which, ours.which) != (Bridge::Floor, Bridge::Service) || floor.calls != ours.calls {
                continue;
            }
            let ratio = |ours: Option<f64>, floor: Option<f64>| ours.zip(floor).map_or(f64::NAN, |(a, b)| a / b);
            let ratios =
                [ours.cpu / floor.cpu, ratio(ours.turn.p50, floor.turn.p50), ratio(ours.turn.p99, floor.turn.p99)];
            match all.iter_mut().find(|(calls, _)| *calls == ours.calls) {
                Some((_, list)) => list.push(ratios),
                None => all.push((ours.calls, vec![ratios])),
            }
        }
        let median = |list: &[[f64; 3]], at: usize| {
            median(list.iter().filter_map(|ratios| ratios.get(at).copied()).collect()).unwrap_or(f64::NAN)
        };
        all.iter().map(|(calls, list)| (*calls, median(list, 0), median(list, 1), median(list, 2))).collect()
    }

    pub fn json(&self) -> Value {
        let ratios: Vec<Value> = self
            .ratios()
            .into_iter()
            .map(|(calls, cpu, p50, p99)| json!({"calls": calls, "cpu": cpu, "turn_p50": p50, "turn_p99": p99}))
            .collect();
        json!({
            "title": self.title, "limit_calls": self.limit, "to_floor": ratios,
            "runs": self.figures.iter().map(Figures::json).collect::<Vec<_>>(),
        })
    }

    pub fn table(&self) -> String {
        let mut text = format!("\n{} (p50 / p99 / max in ms)\n", self.title);
        for figures in &self.figures {
            let _ = writeln!(text, "\n{} calls, {}", figures.calls, figures.which.name());
            if figures.refused {
                text.push_str("  REFUSED: the callers' clock was late, these figures are the generator's\n");
            }
            for (name, value) in figures.rows() {
                let _ = writeln!(text, "  {name:<32}{value}");
            }
            for failure in figures.failures.iter().take(SHOWN) {
                let _ = writeln!(text, "  failed: {failure}");
            }
        }
        for (calls, cpu, p50, p99) in self.ratios() {
            let _ = writeln!(
                text,
                "\n{calls} calls, to the floor (median): CPU per call {cpu:.2}, turn p50 {p50:.2}, p99 {p99:.2}"
            );
        }
        if let Some(limit) = self.limit {
            let _ = writeln!(text, "\nlimit: {limit} calls");
        }
        text
    }

    pub fn html(&self) -> Result<String, Trouble> {
        html::page(&self.title, &self.table(), &self.figures)
    }
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
