//! Watches the service while it carries the load: its own word once a second, and the kernel's.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::measures::Measures;
use crate::rig::Trouble;
use crate::rig::admin::get;
use crate::rig::process::{TICKS_PER_S, Usage};

const EVERY: Duration = Duration::from_secs(1);

/// Who is watched.
#[derive(Clone)]
pub struct Target {
    pub admin: SocketAddr,
    pub service: u32,
    pub sim: u32,
    pub measures: Arc<Measures>,
}

/// One look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Since the watch began.
    pub at: Duration,
    pub live: usize,
    pub service: Usage,
    pub sim: Usage,
    pub own: Usage,
    /// The whole machine: CPU time spent, and taken by a hypervisor, in seconds.
    pub busy_s: f64,
    pub stolen_s: f64,
    /// The latest tick of a caller since the look before.
    pub rig_late: Duration,
}

impl Sample {
    /// CPU time of everything else on the machine, in seconds.
    pub fn others_s(&self) -> f64 {
        self.busy_s - self.service.cpu_s - self.sim.cpu_s - self.own.cpu_s
    }
}

/// What can be lost in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    UpDrop,
    DownDrop,
    Underrun,
}

impl Loss {
    const ALL: [Self; 3] = [Self::UpDrop, Self::DownDrop, Self::Underrun];

    pub fn name(self) -> &'static str {
        match self {
            Self::UpDrop => "frame of the caller dropped",
            Self::DownDrop => "frame of the model dropped",
            Self::Underrun => "underrun",
        }
    }

    /// How many of them a CALL tells of.
    pub fn of(self, call: &Value) -> u64 {
        let path = match self {
            Self::UpDrop => "/up/dropped",
            Self::DownDrop => "/down/dropped",
            Self::Underrun => "/down/underruns",
        };
        number(call, path)
    }
}

/// A number of a CALL; 0 where it is missing.
pub fn number(call: &Value, path: &str) -> u64 {
    call.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// Something was lost between two looks.
#[derive(Clone, Debug)]
pub struct Lost {
    pub at: Duration,
    pub call_id: String,
    pub what: Loss,
    pub count: u64,
    /// The latest tick of any caller in that second or the one before.
    pub rig_late: Duration,
    /// Time that threads waited for a CPU since the look before.
    pub service_starved_ms: f64,
    pub sim_starved_ms: f64,
}

/// All that was seen.
#[derive(Debug, Default)]
pub struct Watched {
    pub samples: Vec<Sample>,
    /// When the watch began.
    pub began: Option<Instant>,
    pub lost: Vec<Lost>,
    /// Looks at which the service did not answer.
    pub unanswered: u32,
    known: HashMap<String, [u64; 3]>,
}

/// A watch under way.
pub struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Watched>,
}

impl Watch {
    pub fn start(target: Target) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let began = Instant::now();
            let mut watched = Watched { began: Some(began), ..Watched::default() };
            for look in 1_u32.. {
                watched.look(&target, began.elapsed(), "/admin/calls");
                let due = began + EVERY * look;
                if stopped.recv_timeout(due.saturating_duration_since(Instant::now())) != Err(RecvTimeoutError::Timeout)
                {
                    break;
                }
            }
            watched
        });
        Self { stop, thread }
    }

    pub fn stop(self) -> Result<Watched, Trouble> {
        let _ended_already = self.stop.send(());
        self.thread.join().map_err(|_| Trouble("the watch broke".to_owned()))
    }
}

impl Watched {
    /// The second in which something happened: the look that ended it and the one before.
    pub fn second_of(&self, when: Instant) -> Option<(Sample, Sample)> {
        let at = when.checked_duration_since(self.began?)?;
        let pairs = self.samples.iter().zip(self.samples.iter().skip(1));
        pairs.map(|(before, after)| (*before, *after)).find(|(_, after)| after.at >= at)
    }

    /// Looks at the calls that `path` lists, and gives them.
    pub fn look(&mut self, target: &Target, at: Duration, path: &str) -> Vec<Value> {
        let (busy_s, stolen_s) = machine_busy_s();
        let before = self.samples.last().copied().unwrap_or_default();
        let calls = calls(target.admin, path).unwrap_or_else(|_| {
            self.unanswered += 1;
            Vec::new()
        });
        let sample = Sample {
            at,
            live: calls.len(),
            service: Usage::of(target.service),
            sim: Usage::of(target.sim),
            own: Usage::of(std::process::id()),
            busy_s,
            stolen_s,
            rig_late: target.measures.take_worst(),
        };
        for call in &calls {
            let Some(call_id) = call.pointer("/callId").and_then(Value::as_str) else { continue };
            let known = self.known.entry(call_id.to_owned()).or_default();
            for (what, known) in Loss::ALL.into_iter().zip(known) {
                let count = what.of(call).saturating_sub(*known);
                *known += count;
                if count > 0 {
                    self.lost.push(Lost {
                        at,
                        call_id: call_id.to_owned(),
                        what,
                        count,
                        rig_late: sample.rig_late.max(before.rig_late),
                        service_starved_ms: starved_ms(before.service, sample.service),
                        sim_starved_ms: starved_ms(before.sim, sample.sim),
                    });
                }
            }
        }
        self.samples.push(sample);
        calls
    }
}

/// The CALLs that `path` lists.
fn calls(admin: SocketAddr, path: &str) -> Result<Vec<Value>, Trouble> {
    let body: Value = serde_json::from_str(&get(admin, path)?).map_err(|error| Trouble(format!("{path}: {error}")))?;
    match body {
        Value::Object(mut body) => match body.remove("calls") {
            Some(Value::Array(calls)) => Ok(calls),
            _ => Err(Trouble(format!("{path}: no calls in the answer"))),
        },
        _ => Err(Trouble(format!("{path}: no object in the answer"))),
    }
}

/// Time without a CPU between two looks.
pub fn starved_ms(before: Usage, after: Usage) -> f64 {
    (after.starved_s - before.starved_s).max(0.0) * 1_000.0
}

/// CPU time of the whole machine so far, in seconds: spent, and given to others by a hypervisor.
fn machine_busy_s() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    let sum = |fields: &[usize]| fields.iter().filter_map(|at| ticks.get(*at)).sum::<f64>() / TICKS_PER_S;
    // user, nice, system, irq, softirq; steal
    (sum(&[0, 1, 2, 5, 6]), sum(&[7]))
}
