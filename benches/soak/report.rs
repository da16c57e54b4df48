//! What came out of it, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::caller::Seen;
use crate::measures::{Measures, VERY_LATE};
use crate::rig::Spread;
use crate::rig::admin::metric;
use crate::rig::process::Usage;
use crate::watch::{Loss, Lost, Sample, Watched, number, starved_ms};

/// Losses and failures shown one by one; the rest is counted.
const SHOWN: usize = 20;

/// Everything that was gathered.
pub struct Outcome {
    pub title: String,
    pub calls: u32,
    pub secs: u32,
    pub ramp: Duration,
    pub callers: Vec<Seen>,
    pub watched: Watched,
    /// CALLs as the service kept them.
    pub ended: Vec<Value>,
    /// The service's /metrics at the end.
    pub metrics: String,
}

pub struct Report {
    outcome: Outcome,
    failures: Vec<String>,
    json: Value,
    rows: Vec<(&'static str, String)>,
}

/// Whether the generator (or a machine without time for it) was late enough around then to have caused it.
fn is_explained(lost: &Lost) -> bool {
    lost.rig_late > VERY_LATE
}

impl Report {
    pub fn new(outcome: Outcome, measures: &Measures) -> Self {
        let mut report = Self { failures: failures(&outcome), outcome, json: Value::Null, rows: Vec::new() };
        report.fill(measures);
        report
    }

    pub fn failed_calls(&self) -> usize {
        self.failures.len()
    }

    /// Losses that the generator's lateness does not explain.
    pub fn unexplained(&self) -> u64 {
        self.losses(None, false)
    }

    pub fn json(&self) -> &Value {
        &self.json
    }

    pub fn table(&self) -> String {
        let mut text = format!("\n{}\n", self.outcome.title);
        for (name, value) in &self.rows {
            let _ = writeln!(text, "  {name:<20}{value}");
        }
        for failure in self.failures.iter().take(SHOWN) {
            let _ = writeln!(text, "  failed call: {failure}");
        }
        let groups = self.losses_by_second();
        for (lost, calls) in groups.iter().take(SHOWN) {
            let _ = writeln!(
                text,
                "  lost at {:.0} s: {} x {} in {calls} calls ({}, …); caller ticks late by up to {:.1} ms, service starved {:.0} ms, simulator {:.0} ms ({})",
                lost.at.as_secs_f64(),
                lost.count,
                lost.what.name(),
                lost.call_id,
                ms(lost.rig_late),
                lost.service_starved_ms,
                lost.sim_starved_ms,
                if is_explained(lost) {
                    "explained by the generator's lateness"
                } else {
                    "NOT explained by the generator"
                },
            );
        }
        if groups.len() > SHOWN {
            let _ = writeln!(text, "  … and in {} more seconds", groups.len() - SHOWN);
        }
        for (name, value) in drops(&self.outcome.metrics) {
            let _ = writeln!(text, "  dropped at {name}: {value}");
        }
        for (second, holes) in self.holes_by_second().iter().take(SHOWN) {
            let _ = writeln!(text, "  holes at {second} s: {holes}");
        }
        text
    }

    /// Losses of a kind in one second, added up, with the number of calls.
    fn losses_by_second(&self) -> Vec<(Lost, usize)> {
        let mut groups: Vec<(Lost, usize)> = Vec::new();
        for lost in &self.outcome.watched.lost {
            match groups.iter_mut().rev().find(|(group, _)| group.at == lost.at && group.what == lost.what) {
                Some((group, calls)) => {
                    group.count += lost.count;
                    *calls += 1;
                }
                None => groups.push((lost.clone(), 1)),
            }
        }
        groups
    }

    /// Seconds in which callers heard holes, with what the machine did meanwhile.
    fn holes_by_second(&self) -> BTreeMap<u64, String> {
        let watched = &self.outcome.watched;
        let mut seconds: BTreeMap<u64, (usize, Duration, (Sample, Sample))> = BTreeMap::new();
        for (when, gap) in self.outcome.callers.iter().flat_map(|seen| &seen.holes) {
            let Some(second) = watched.second_of(when.into_std()) else { continue };
            let entry = seconds.entry(second.1.at.as_secs()).or_insert((0, Duration::ZERO, second));
            entry.0 += 1;
            entry.1 = entry.1.max(*gap);
        }
        let describe = |(count, longest, (before, after)): (usize, Duration, (Sample, Sample))| {
            format!(
                "{count} of up to {:.0} ms; caller ticks late by up to {:.1} ms, service starved {:.0} ms, other processes took {:.0} ms of CPU",
                ms(longest),
                ms(after.rig_late),
                starved_ms(before.service, after.service),
                (after.others_s() - before.others_s()).max(0.0) * 1_000.0,
            )
        };
        seconds.into_iter().map(|(second, holes)| (second, describe(holes))).collect()
    }

    fn losses(&self, what: Option<Loss>, explained: bool) -> u64 {
        let lost = self.outcome.watched.lost.iter();
        lost.filter(|lost| what.is_none_or(|what| what == lost.what) && is_explained(lost) == explained)
            .map(|lost| lost.count)
            .sum()
    }

    fn fill(&mut self, measures: &Measures) {
        let Outcome { calls, secs, callers, watched, ended, ramp, metrics, .. } = &self.outcome;
        let calls = f64::from(*calls);
        let sum = |value: fn(&Seen) -> u64| callers.iter().map(value).sum::<u64>();
        let (sent, received) = (sum(|seen| seen.sent), sum(|seen| seen.received));
        let (turns, answered) = (sum(|seen| seen.turns.into()), sum(|seen| seen.answered.into()));
        let least = callers.iter().map(|seen| seen.answered).min().unwrap_or_default();
        let most = callers.iter().map(|seen| seen.answered).max().unwrap_or_default();
        let served = |path: &str| ended.iter().map(|call| number(call, path)).sum::<u64>();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let late_ticks = metric(metrics, "trunkline_late_ticks_total");

        let first = watched.samples.first().copied().unwrap_or_default();
        // The last two looks are after the callers hung up.
        let loaded = |sample: &&Sample| {
            sample.at > *ramp + Duration::from_secs(1) && sample.at < *ramp + Duration::from_secs(u64::from(*secs))
        };
        let full = watched.samples.iter().find(loaded).copied().unwrap_or(first);
        let last = watched.samples.iter().rfind(loaded).copied().unwrap_or(full);
        let half = watched.samples.iter().find(|sample| sample.at * 2 >= full.at + last.at).copied().unwrap_or(full);
        let span = (last.at - full.at).as_secs_f64().max(f64::EPSILON);
        let cores = |usage: fn(&Sample) -> Usage| (usage(&last).cpu_s - usage(&full).cpu_s) / span;
        let starved = |usage: fn(&Sample) -> Usage| (usage(&last).starved_s - usage(&full).starved_s) / span * 1_000.0;
        let (service, sim, own) = (cores(|s| s.service), cores(|s| s.sim), cores(|s| s.own));
        let others = ((last.others_s() - full.others_s()) / span).max(0.0);
        let stolen = (last.stolen_s - full.stolen_s) / span;
        let mib = |sample: &Sample| sample.service.resident_kib as f64 / 1_024.0;
        let peak =
            watched.samples.iter().map(|sample| sample.service.resident_kib).max().unwrap_or_default() as f64 / 1_024.0;
        let live = watched.samples.iter().map(|sample| sample.live).max().unwrap_or_default();

        let q = |spread: &Spread, quantile| spread.quantile_ms(quantile).unwrap_or_default();
        let spacing = [0.5, 0.99, 0.999, 1.0].map(|quantile| q(&measures.spacing, quantile));
        let late = [0.5, 0.99, 1.0].map(|quantile| q(&measures.lateness, quantile));
        let ticks = measures.lateness.count().max(1);
        let bridge = |path: &str| worst(ended, path);
        let lost = |what| [true, false].map(|explained| self.losses(Some(what), explained));
        let (up, down, underruns) = (lost(Loss::UpDrop), lost(Loss::DownDrop), lost(Loss::Underrun));
        let shown = |[explained, unexplained]: [u64; 2]| {
            format!("{} ({unexplained} not explained by the generator)", explained + unexplained)
        };
        let holes = callers.iter().map(|seen| seen.holes.len()).sum::<usize>();

        let rows = vec![
            (
                "frames",
                format!(
                    "{sent} sent, {} taken by the service; {} played by it, {received} heard",
                    served("/up/frames"),
                    served("/down/frames")
                ),
            ),
            (
                "turns",
                format!(
                    "{turns} spoken, {answered} answered; answers per call {least} to {most}; {} items heard to their end, {} interrupted, {} clears",
                    sum(|s| s.marks),
                    served("/model/interruptions"),
                    sum(|s| s.clears)
                ),
            ),
            (
                "spacing heard",
                format!(
                    "p50 {:.1}, p99 {:.1}, p99.9 {:.1}, max {:.1} ms over {} frames; {holes} holes over 45 ms",
                    spacing[0],
                    spacing[1],
                    spacing[2],
                    spacing[3],
                    measures.spacing.count()
                ),
            ),
            ("dropped", format!("of the caller {}, of the model {}", shown(up), shown(down))),
            ("underruns", shown(underruns)),
            ("late playout ticks", late_ticks.to_string()),
            (
                "outages",
                format!("{} reconnects, {} fallbacks", served("/model/reconnects"), served("/fallback/entered")),
            ),
            (
                "our share, worst",
                format!(
                    "call's p99: up {:.2} ms, down {:.2} ms",
                    bridge("/bridge/upMs/p99"),
                    bridge("/bridge/downMs/p99")
                ),
            ),
            (
                "service",
                format!(
                    "{:.1} % of a core: {:.3} % a call; waited for a CPU {:.0} ms/s",
                    service * 100.0,
                    service * 100.0 / calls,
                    starved(|s| s.service)
                ),
            ),
            (
                "its memory",
                format!(
                    "{:.1} MiB at the start, {:.1} after the ramp, {:.1} at half-time, {:.1} at the end, {peak:.1} at most: {:.0} KiB a call in the end; {:+.1} MiB in the second half",
                    mib(&first),
                    mib(&full),
                    mib(&half),
                    mib(&last),
                    (mib(&last) - mib(&first)) * 1_024.0 / calls,
                    mib(&last) - mib(&half)
                ),
            ),
            ("simulator", format!("{:.1} % of a core; waited for a CPU {:.0} ms/s", sim * 100.0, starved(|s| s.sim))),
            (
                "generator",
                format!(
                    "{:.1} % of a core; ticks late p50 {:.1}, p99 {:.1}, max {:.1} ms; by over 5 ms {} ({:.2} %), by over 20 ms {} ({:.3} %); {} frames not taken within 20 ms",
                    own * 100.0,
                    late[0],
                    late[1],
                    late[2],
                    count(&measures.late),
                    count(&measures.late) as f64 * 100.0 / ticks as f64,
                    count(&measures.very_late),
                    count(&measures.very_late) as f64 * 100.0 / ticks as f64,
                    count(&measures.blocked)
                ),
            ),
            (
                "the machine",
                format!(
                    "{} CPUs; other processes {:.1} % of a core, stolen {:.1} %",
                    cpus(),
                    others * 100.0,
                    stolen * 100.0
                ),
            ),
            (
                "at the same time",
                format!("up to {live} calls; {} failed, {} looks unanswered", self.failures.len(), watched.unanswered),
            ),
            ("verdict", verdict(late[1], self.failures.len(), self.unexplained(), self.losses(None, true))),
        ];
        let json = json!({
            "calls": self.outcome.calls, "secs": secs, "title": self.outcome.title, "cpus": cpus(),
            "framesSent": sent, "framesReceived": received, "framesTaken": served("/up/frames"), "framesPlayed": served("/down/frames"),
            "turns": turns, "answered": answered, "answersPerCall": {"min": least, "max": most},
            "spacingMs": {"p50": spacing[0], "p99": spacing[1], "p999": spacing[2], "max": spacing[3]}, "holes": holes,
            "dropped": {"up": {"explained": up[0], "unexplained": up[1]}, "down": {"explained": down[0], "unexplained": down[1]}},
            "underruns": {"explained": underruns[0], "unexplained": underruns[1]}, "latePlayoutTicks": late_ticks,
            "reconnects": served("/model/reconnects"), "fallbacks": served("/fallback/entered"),
            "bridgeP99WorstMs": {"up": bridge("/bridge/upMs/p99"), "down": bridge("/bridge/downMs/p99")},
            "service": {"corePercent": service * 100.0, "corePercentPerCall": service * 100.0 / calls, "starvedMsPerS": starved(|s| s.service),
                "residentMiB": {"start": mib(&first), "afterRamp": mib(&full), "halfTime": mib(&half), "end": mib(&last), "peak": peak}},
            "simulator": {"corePercent": sim * 100.0, "starvedMsPerS": starved(|s| s.sim)},
            "generator": {"corePercent": own * 100.0, "ticks": ticks, "lateMs": {"p50": late[0], "p99": late[1], "max": late[2]},
                "lateOver5Ms": count(&measures.late), "lateOver20Ms": count(&measures.very_late), "blockedFrames": count(&measures.blocked)},
            "othersCorePercent": others * 100.0, "stolenCorePercent": stolen * 100.0, "failedCalls": self.failures.len(),
        });
        self.rows = rows;
        self.json = json;
    }
}

/// What the figures are worth.
fn verdict(late_p99_ms: f64, failed: usize, unexplained: u64, explained: u64) -> String {
    let mut text = if failed > 0 || unexplained > 0 { "FAILED" } else { "passed" }.to_owned();
    if explained > 0 {
        let _ = write!(text, "; {explained} losses came while the generator itself was more than 20 ms late");
    }
    if late_p99_ms > 5.0 {
        text.push_str("; the generator was the bottleneck: spacing and losses say little about the service");
    }
    text
}

/// Calls that were no good, with the reason.
fn failures(outcome: &Outcome) -> Vec<String> {
    let ended_well = |call: &&Value| call.pointer("/endReason").is_some_and(|reason| reason == "caller_hangup");
    let record =
        |seen: &Seen| outcome.ended.iter().find(|call| call.pointer("/callId").is_some_and(|id| *id == seen.call_id));
    let failure = |seen: &Seen| {
        if let Some(failure) = &seen.failure {
            return Some(failure.clone());
        }
        if seen.fallbacks > 0 {
            return Some(format!("lost its model {} times", seen.fallbacks));
        }
        match record(seen) {
            None => Some("the service has no record of its end".to_owned()),
            Some(call) if !ended_well(&call) => {
                Some(format!("ended by {}", call.pointer("/endReason").unwrap_or(&Value::Null)))
            }
            Some(_) => None,
        }
    };
    outcome.callers.iter().filter_map(|seen| Some(format!("{}: {}", seen.call_id, failure(seen)?))).collect()
}

/// The largest value at that place of the CALLs.
fn worst(calls: &[Value], path: &str) -> f64 {
    calls.iter().filter_map(|call| call.pointer(path)?.as_f64()).fold(0.0, f64::max)
}

/// Frames dropped, by direction and place, where there are any.
fn drops(metrics: &str) -> impl Iterator<Item = (&str, &str)> {
    let counts =
        metrics.lines().filter_map(|line| line.strip_prefix("trunkline_frames_dropped_total")?.split_once(' '));
    counts.filter(|(_, count)| *count != "0")
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
