//! Many calls at once for a while: `cargo bench --bench soak -- --calls 100 --secs 300`.
//!
//! Starts the service and `trunkline sim` as processes of their own and calls from this one, with recorded speech. Prints a
//! table and one line of JSON. Exit code 1 if a call failed, or if audio was lost that the generator's own lateness does
//! not explain. Without arguments (as `cargo test --all-targets` runs it) 4 calls of 3 s, of which only failed calls count.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program of its own: prints, reads the real clock, and carries no call that sleeping could hurt"
)]

mod caller;
mod measures;
mod report;
#[path = "../rig/mod.rs"]
mod rig;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use caller::{Order, Script, Seen, TICK};
use clap::{Parser, ValueEnum};
use measures::Measures;
use report::{Outcome, Report};
use rig::Trouble;
use rig::process::Process;
use tokio::task::LocalSet;
use tokio::time::Instant;
use watch::{Target, Watch};

/// What every caller says: the words of `trunkline demo`, a WAV file in PCMU.
const HELLO: &[u8] = include_bytes!("../../src/cli/demo/hello_8k.wav");

/// Many calls at once through the built service, on this machine's loopback only.
#[derive(Debug, Parser)]
#[command(name = "soak", args_override_self = true)]
pub struct Args {
    /// Calls at the same time
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    calls: u32,
    /// How long all of them talk, after the ramp
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(3..=86_400))]
    secs: u32,
    /// Seconds over which the calls start; default: 20, or a quarter of --secs if that is less
    #[arg(long, value_name = "S")]
    ramp: Option<u32>,
    /// What service and model speak
    #[arg(long, value_enum, default_value_t = Audio::Pcm16)]
    audio: Audio,
    /// Whom the callers talk to
    #[arg(long, value_enum, default_value_t = Route::Model)]
    route: Route,
    /// Another build of the service, such as target/dist/trunkline
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_trunkline"))]
    service: PathBuf,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    /// Benches asked for by name, as `cargo bench NAME` does
    #[arg(hide = true)]
    names: Vec<String>,
}

/// `realtime.audio`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Audio {
    Pcm16,
    Pcmu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Route {
    Echo,
    Model,
}

impl Args {
    /// What was asked for, and whether that is the smoke run; `None` if another bench was meant.
    fn read() -> Option<(Self, bool)> {
        let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
        if given.iter().any(|argument| argument == "--list") {
            return None;
        }
        let for_bench = std::env::args().any(|argument| argument == "--bench");
        if given.is_empty() || !for_bench && !given.iter().any(|argument| argument.starts_with("--calls")) {
            // `cargo test` passes on what is meant for its own harness.
            let smoke = ["soak", "--calls", "4", "--secs", "3", "--ramp", "0"];
            return Some((Self::parse_from(smoke), true));
        }
        let args = Self::parse();
        let meant = args.names.is_empty() || args.names.iter().any(|name| "soak".contains(name.as_str()));
        meant.then_some((args, false))
    }

    fn ramp(&self) -> Duration {
        Duration::from_secs(self.ramp.unwrap_or_else(|| 20.min(self.secs / 4)).into())
    }

    /// Number called.
    fn number(&self) -> &'static str {
        match self.route {
            Route::Echo => "6001",
            Route::Model => "6002",
        }
    }

    fn audio(&self) -> &'static str {
        match self.audio {
            Audio::Pcm16 => "pcm16",
            Audio::Pcmu => "pcmu",
        }
    }

    /// In one line, for people.
    fn title(&self) -> String {
        let route = if self.route == Route::Echo { "echo" } else { "model" };
        format!("{} calls for {} s, {route} route, {}", self.calls, self.secs, self.audio())
    }
}

fn main() -> ExitCode {
    let Some((args, smoke)) = Args::read() else { return ExitCode::SUCCESS };
    match run(&args) {
        Ok(report) => {
            print!("{}", report.table());
            let json = report.json();
            println!("{json}");
            if let Err(error) = std::fs::write(results().join("result.json"), format!("{json}\n")) {
                eprintln!("result.json: {error}");
            }
            eprintln!("result.json, service.log and sim.log are in {}", results().display());
            if report.failed_calls() > 0 || !smoke && report.unexplained() > 0 {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(trouble) => {
            eprintln!("soak: {trouble}; logs are in {}", results().display());
            ExitCode::FAILURE
        }
    }
}

/// Where logs and results go.
fn results() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak")
}

fn run(args: &Args) -> Result<Report, Trouble> {
    let logs = results();
    std::fs::create_dir_all(&logs).map_err(|error| Trouble(format!("{}: {error}", logs.display())))?;
    let mut sim = Process::start(
        "the simulator",
        &args.service,
        &["sim", "--listen", "127.0.0.1:0"],
        &[],
        &logs.join("sim.log"),
    )?;
    let [model] = sim.listening(["sim"])?;
    let mut service =
        Process::start("the service", &args.service, &["serve"], &environment(args, model), &logs.join("service.log"))?;
    let [media, admin] = service.listening(["media", "admin"])?;

    let measures = Arc::new(Measures::new()?);
    let target = Target { admin, service: service.pid(), sim: sim.pid(), measures: Arc::clone(&measures) };
    let watch = Watch::start(target.clone());
    let callers = place_calls(args, media, &measures)?;
    let mut watched = watch.stop()?;
    let at = watched.samples.last().map_or(Duration::ZERO, |sample| sample.at);
    let ended = watched.look(&target, at + Duration::from_secs(1), "/admin/calls?state=ended");
    let metrics = rig::admin::get(admin, "/metrics")?;
    service.stop()?;
    sim.stop()?;
    let ramp = args.ramp();
    Ok(Report::new(
        Outcome { title: args.title(), calls: args.calls, secs: args.secs, ramp, callers, watched, ended, metrics },
        &measures,
    ))
}

fn environment(args: &Args, model: std::net::SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("TRUNKLINE__MEDIA__LISTEN", "127.0.0.1:0".to_owned()),
        ("TRUNKLINE__ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
        ("TRUNKLINE__REALTIME__URL", format!("ws://{model}/openai/v1/realtime?model=gpt-realtime")),
        // The simulator takes any key, but wants one.
        ("TRUNKLINE__REALTIME__API_KEY", "soak".to_owned()),
        ("TRUNKLINE__REALTIME__AUDIO", args.audio().to_owned()),
        ("TRUNKLINE__CALLS__HISTORY", "1h".to_owned()),
        ("TRUNKLINE__CALLS__HISTORY_MAX", (args.calls + 1).to_string()),
        ("TRUNKLINE__LOG__FILTER", "warn".to_owned()),
    ]
}

/// All callers, on this thread.
fn place_calls(args: &Args, media: std::net::SocketAddr, measures: &Arc<Measures>) -> Result<Vec<Seen>, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble(error.to_string()))?;
    // A run of a few seconds is to hear an answer, too.
    let longest = Duration::from_secs(args.secs.into()).div_f64(3.0);
    let script = Script::new(wav_data(HELLO)?, longest, args.route == Route::Echo);
    let ramp = args.ramp();
    println!("{}; each says {:?} every {:?}", args.title(), script.turn(), script.cycle());
    LocalSet::new().block_on(&runtime, async {
        let begin = Instant::now() + Duration::from_millis(500);
        let calls: Vec<_> = (0..args.calls)
            .map(|number| {
                // Spread over the ramp, and over the 20 ms of a tick: real callers are in no step.
                let start = begin + (ramp + TICK) * number / args.calls;
                let order = Order {
                    media,
                    call_id: format!("soak-{number}"),
                    number: args.number(),
                    script: script.clone(),
                    start,
                    end: begin + ramp + Duration::from_secs(args.secs.into()) + TICK * number / args.calls,
                    measures: Arc::clone(measures),
                };
                tokio::task::spawn_local(caller::call(order))
            })
            .collect();
        let mut seen = Vec::with_capacity(calls.len());
        for call in calls {
            seen.push(call.await.map_err(|error| Trouble(format!("a caller broke: {error}")))?);
        }
        // The last record is written after its socket closed.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(seen)
    })
}

/// The samples of a WAV file, as they are.
fn wav_data(file: &[u8]) -> Result<&[u8], Trouble> {
    let mut rest = file.get(12..).unwrap_or_default();
    while let Some((head, body)) = rest.split_at_checked(8) {
        let (name, length) = head.split_at(4);
        let length = <[u8; 4]>::try_from(length).map_or(0, u32::from_le_bytes) as usize;
        let (data, next) = body.split_at_checked(length).unwrap_or((body, &[]));
        if name == b"data" {
            return Ok(data);
        }
        rest = next;
    }
    Err(Trouble("the bundled recording holds no data".to_owned()))
}
