//! One measurement after the other: the bridge, its callers and its model, for as long as was asked.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::LocalSet;
use tokio::time;

use crate::args::Args;
use crate::board::Board;
use crate::caller::{self, Order};
use crate::model;
use crate::report::{Figures, Report};
use crate::rig::process::{Process, Usage};
use crate::rig::{Trouble, admin};
use crate::script::{EVERY, REGISTERED, Sounds, TICK};
use crate::tls::Certificate;
use crate::viewers;

/// What callers say is taken from the words of `trunkline demo`: a WAV file in PCMU with a plain head.
const SPEECH: &[u8] = include_bytes!("../../src/cli/demo/hello_8k.wav");
/// Most that a turn may take (p99) at the limit, in ms.
const LIMIT_TURN_MS: f64 = 25.0;
/// The search for the limit ends when it is known to a twentieth.
const LIMIT_EXACT: f64 = 1.05;
const LIMIT_GROWTH: u32 = 2;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bridge {
    Service,
    Floor,
    Target,
}

impl Bridge {
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "trunkline",
            Self::Floor => "floor",
            Self::Target => "target",
        }
    }
}

/// Measures all that was asked for and reports; whether nothing failed.
pub fn all(args: &Args) -> Result<bool, Trouble> {
    let logs = logs();
    fs::create_dir_all(&logs).map_err(|error| Trouble(format!("{}: {error}", logs.display())))?;
    let tls = if args.tls { Some(Certificate::create(&logs)?) } else { None };
    let measure = |bridge, calls| measure(args, tls.as_ref(), bridge, calls);
    let mut report = Report::new(args);
    let bridge = if args.target.is_some() { Bridge::Target } else { Bridge::Service };
    for calls in &args.calls {
        for _ in 0..args.pairs.max(1) {
            if args.pairs > 0 && bridge == Bridge::Service {
                report.add(measure(Bridge::Floor, *calls)?);
            }
            report.add(measure(bridge, *calls)?);
        }
    }
    if args.find_limit {
        find_limit(args, |calls| measure(bridge, calls), &mut report)?;
    }
    print!("{}", report.table());
    let json = report.json().to_string();
    println!("{json}");
    write(&logs.join("result.json"), &json)?;
    if let Some(path) = &args.json {
        write(path, &json)?;
    }
    let html = args.html.clone().unwrap_or_else(|| logs.join("report.html"));
    write(&html, &report.html()?)?;
    eprintln!("logs are in {}, the report is {}", logs.display(), html.display());
    Ok(report.is_good())
}

/// Doubles the load until it is too much, then halves the interval.
fn find_limit(
    args: &Args,
    measure: impl Fn(u32) -> Result<Figures, Trouble>,
    report: &mut Report,
) -> Result<(), Trouble> {
    let (mut good, mut bad) = (0, None);
    let mut calls = args.calls.iter().copied().max().unwrap_or(1);
    while bad.is_none_or(|bad: u32| f64::from(bad) > f64::from(good) * LIMIT_EXACT && bad > good + 1) {
        let figures = measure(calls)?;
        let is_good =
            figures.is_good() && !figures.refused && figures.turn_p99_ms().is_some_and(|ms| ms <= LIMIT_TURN_MS);
        eprintln!("{calls} calls: {}", if is_good { "fine" } else { "too many" });
        report.add(figures);
        if is_good {
            good = calls;
        } else {
            bad = Some(calls);
        }
        calls = bad.map_or(good * LIMIT_GROWTH, |bad| good.midpoint(bad)).max(1);
    }
    report.limit(good);
    Ok(())
}

fn logs() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("load")
}

fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    fs::write(path, format!("{text}\n")).map_err(|error| Trouble(format!("{}: {error}", path.display())))
}

/// A bridge that runs.
struct Running {
    bridge: SocketAddr,
    pid: u32,
    admin: Option<SocketAddr>,
    process: Option<Process>,
}

fn start(args: &Args, tls: Option<&Certificate>, which: Bridge, model: SocketAddr) -> Result<Running, Trouble> {
    match which {
        Bridge::Service => {
            let log = logs().join("service.log");
            let mut environment = environment(args, model);
            if let Some(Certificate { cert, key }) = tls {
                environment.push(("TRUNKLINE__MEDIA__TLS__CERT_FILE", cert.display().to_string()));
                environment.push(("TRUNKLINE__MEDIA__TLS__KEY_FILE", key.display().to_string()));
            }
            let mut process = Process::start("the service", &args.service, &["serve"], &environment, &log)?;
            let [bridge, admin] = process.listening(["media", "admin"])?;
            Ok(Running { bridge, pid: process.pid(), admin: Some(admin), process: Some(process) })
        }
        Bridge::Floor => {
            let own = std::env::current_exe().map_err(|error| Trouble(error.to_string()))?;
            let arguments = args.floor(model, tls);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut process = Process::start("the floor", &own, &arguments, &[], &logs().join("floor.log"))?;
            let [bridge] = process.listening(["media"])?;
            Ok(Running { bridge, pid: process.pid(), admin: None, process: Some(process) })
        }
        Bridge::Target => {
            let target = args.target.ok_or_else(|| Trouble("no target".to_owned()))?;
            Ok(Running { bridge: target.bridge, pid: target.pid, admin: None, process: None })
        }
    }
}

fn environment(args: &Args, model: SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("TRUNKLINE__MEDIA__LISTEN", "127.0.0.1:0".to_owned()),
        ("TRUNKLINE__ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
        ("TRUNKLINE__REALTIME__URL", format!("ws://{model}/openai/v1/realtime?model=gpt-realtime")),
        // The model takes any key, but the service wants one.
        ("TRUNKLINE__REALTIME__API_KEY", "load".to_owned()),
        ("TRUNKLINE__REALTIME__AUDIO", args.audio().to_owned()),
        ("TRUNKLINE__REALTIME__CONNECTS_PER_SECOND", "1000".to_owned()),
        ("TRUNKLINE__CALLS__MAX", args.max.unwrap_or_default().to_string()),
        ("TRUNKLINE__LOG__FILTER", "warn".to_owned()),
    ]
}

/// One bridge under one load.
fn measure(args: &Args, tls: Option<&Certificate>, which: Bridge, calls: u32) -> Result<Figures, Trouble> {
    let board = Arc::new(Board::new(calls)?);
    let model = model::serve(args.model, Arc::clone(&board))?;
    let running = start(args, tls, which, model.addr)?;
    let base = of_tree(running.pid);
    let begin = Instant::now() + Duration::from_millis(300);
    // Everybody has said a number and had an answer.
    let from = begin + args.ramp(calls) + REGISTERED + EVERY;
    let until = from + Duration::from_secs(args.secs.into());
    let watch = {
        let (board, pid) = (Arc::clone(&board), running.pid);
        let title = format!("{} calls, {}", calls, which.name());
        thread::spawn(move || watch(&board, pid, (begin, from, until), &title))
    };
    let viewers = running.admin.zip(args.viewers).map(|(admin, count)| {
        let pid = running.pid;
        thread::spawn(move || viewers::watch(admin, pid, count, (from, until)))
    });
    let failures = place_calls(args, tls, calls, running.bridge, (begin, until), &board)?;
    let window = watch.join().map_err(|_| Trouble("the watch broke".to_owned()))?;
    let broke = |_| Trouble("the viewers broke".to_owned());
    let viewers = viewers.map(|viewers| viewers.join().map_err(broke)?).transpose()?;
    let metrics = match running.admin {
        Some(admin) => admin::get(admin, "/metrics")?,
        None => String::new(),
    };
    drop(model);
    if let (Some(process), Bridge::Service) = (running.process, which) {
        process.stop()?;
    }
    let mut figures = Figures::new(which, calls, &board, base, window, &metrics, failures);
    figures.viewers = args.viewers.zip(viewers);
    Ok(figures)
}

/// The measured time: what the bridge and this process had used at its edges.
pub struct Window {
    pub span: Duration,
    pub bridge: (Usage, Usage),
    pub own: (Usage, Usage),
    /// The bridge's resident memory meanwhile, as seconds and KiB.
    pub memory: Vec<(f64, u64)>,
}

/// Opens and closes the measured time, and shows how far it is.
fn watch(board: &Board, pid: u32, (begin, from, until): (Instant, Instant, Instant), title: &str) -> Window {
    let bar = ProgressBar::new((until - begin).as_secs());
    if let Ok(style) = ProgressStyle::with_template("{msg:28} {wide_bar} {pos}/{len} s") {
        bar.set_style(style);
    }
    bar.set_message(title.to_owned());
    let mut memory = Vec::new();
    let mut wait = |until: Instant| {
        while Instant::now() < until {
            thread::sleep((until - Instant::now()).min(Duration::from_secs(1)));
            bar.set_position(begin.elapsed().as_secs());
            if let Some(measured) = Instant::now().checked_duration_since(from) {
                memory.push((measured.as_secs_f64(), of_tree(pid).resident_kib));
            }
        }
    };
    let usage = || (of_tree(pid), Usage::of(std::process::id()), Instant::now());
    wait(from);
    board.measure(true);
    let (bridge, own, opened) = usage();
    wait(until);
    board.measure(false);
    let last = usage();
    bar.finish_and_clear();
    Window { span: last.2 - opened, bridge: (bridge, last.0), own: (own, last.1), memory }
}

/// All callers, on this thread. Why which of them were no good.
fn place_calls(
    args: &Args,
    tls: Option<&Certificate>,
    calls: u32,
    bridge: SocketAddr,
    (begin, until): (Instant, Instant),
    board: &Arc<Board>,
) -> Result<Vec<String>, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble(error.to_string()))?;
    let speech = SPEECH.windows(4).position(|name| name == b"data").and_then(|at| SPEECH.get(at + 8..));
    let sounds = Arc::new(Sounds::new(speech.ok_or_else(|| Trouble("the recording holds no data".to_owned()))?));
    let ramp = args.ramp(calls);
    let tls = tls.map(Certificate::connector).transpose()?;
    LocalSet::new().block_on(&runtime, async {
        let callers: Vec<_> = (0..calls)
            .map(|number| {
                // Spread over the ramp, over the ticks and over the turns: real callers are in no step.
                let spread = ramp * number / calls + (TICK + EVERY) * number / calls;
                let order = Order {
                    bridge,
                    carrier: args.dialect,
                    number,
                    barges: args.barge,
                    start: time::Instant::from_std(begin + spread.min(ramp + EVERY)),
                    end: time::Instant::from_std(until + Duration::from_millis(100)),
                    redial: args.call_secs.map(|secs| Duration::from_secs(secs.into())),
                    tls: tls.clone(),
                    board: Arc::clone(board),
                    sounds: Arc::clone(&sounds),
                };
                tokio::task::spawn_local(caller::call(order))
            })
            .collect();
        let mut failures = Vec::new();
        for (number, call) in callers.into_iter().enumerate() {
            if let Err(why) = call.await.map_err(|error| Trouble(format!("a caller broke: {error}")))? {
                failures.push(format!("call {number}: {why}"));
            }
        }
        // The last record is written after its socket closed.
        time::sleep(Duration::from_millis(300)).await;
        Ok(failures)
    })
}

/// What a process and all that descend from it have used.
fn of_tree(pid: u32) -> Usage {
    let mut total = Usage::of(pid);
    for child in children(pid) {
        let child = of_tree(child);
        total.cpu_s += child.cpu_s;
        total.starved_s += child.starved_s;
        total.resident_kib += child.resident_kib;
    }
    total
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}
