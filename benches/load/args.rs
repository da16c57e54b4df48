//! What was asked for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::carrier::Carrier;
use crate::floor::Kind;
use crate::script::MAX_CALLS;
use crate::tls::Certificate;

/// Calls at once through a bridge on this machine, and what that costs.
#[derive(Clone, Debug, Parser)]
#[command(name = "load", args_override_self = true)]
pub struct Args {
    /// Calls at the same time; several, as 50,100,200, are measured one after the other
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "100",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CALLS)))]
    pub calls: Vec<u32>,
    /// How long all of them are measured
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(3..=86_400))]
    pub secs: u32,
    /// Seconds over which the calls start; default: 50 calls a second
    #[arg(long, value_name = "S")]
    pub ramp: Option<u32>,
    /// How calls are brought to the bridge
    #[arg(long, value_enum, default_value_t = Carrier::Native)]
    pub dialect: Carrier,
    /// What bridge and model speak
    #[arg(long, value_enum, default_value_t = Audio::Pcm16)]
    pub audio: Audio,
    /// Callers come by TLS
    #[arg(long)]
    pub tls: bool,
    /// Callers hang up after so many seconds and call again
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(3..))]
    pub call_secs: Option<u32>,
    /// The service takes at most so many calls (`calls.max`); those turned away count for nothing else
    #[arg(long, value_name = "N")]
    pub max: Option<u32>,
    /// Interrupt every other answer
    #[arg(long)]
    pub barge: bool,
    /// By turns nobody, so many operators and so many frozen ones watch the calls: what that costs the service
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub viewers: Option<u32>,
    /// Measure the service and the floor (a bare relay) in turn, so many pairs; 0: the service alone
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub pairs: u32,
    /// Search for the most calls with a turn overhead of 25 ms at most (p99) and nothing dropped; goes by --calls at first
    #[arg(long)]
    pub find_limit: bool,
    /// A running bridge in the place of the service: its WebSocket address and process
    #[arg(long, value_name = "URL,PID", value_parser = target)]
    pub target: Option<Target>,
    /// Where the model is served; a running bridge has to know it
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub model: SocketAddr,
    /// Another build of the service, such as target/dist/trunkline
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_trunkline"))]
    pub service: PathBuf,
    /// Write the figures there, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report there; default: report.html beside the logs
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    /// Of the floor's own process: the model's address
    #[arg(long, hide = true, value_name = "ADDR")]
    floor: Option<SocketAddr>,
    /// Of the floor's own process: certificate and key
    #[arg(long, hide = true, value_name = "FILE", num_args = 2)]
    floor_tls: Vec<PathBuf>,
    /// Benches asked for by name, as `cargo bench NAME` does
    #[arg(hide = true)]
    names: Vec<String>,
}

/// `realtime.audio`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Audio {
    Pcm16,
    Pcmu,
}

/// A bridge that runs already.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub bridge: SocketAddr,
    pub pid: u32,
}

fn target(text: &str) -> Result<Target, String> {
    let allowed = "allowed: ws://IP:PORT/…,PID; the path is the dialect's own";
    let (url, pid) = text.rsplit_once(',').ok_or(allowed)?;
    let authority = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).ok_or(allowed)?;
    let bridge = authority.parse().map_err(|_| allowed)?;
    Ok(Target { bridge, pid: pid.parse().map_err(|_| allowed)? })
}

/// What this process is for.
pub enum Command {
    /// Another bench was meant.
    Nothing,
    Floor {
        kind: Kind,
        model: SocketAddr,
    },
    Load(Args),
}

impl Args {
    pub fn read() -> Command {
        let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
        let for_bench = std::env::args().any(|argument| argument == "--bench");
        let is_asked = |name: &str| given.iter().any(|argument| argument.starts_with(name));
        if is_asked("--list") {
            return Command::Nothing;
        }
        if given.is_empty() || !for_bench && !is_asked("--calls") && !is_asked("--floor") {
            // `cargo test` passes on what is meant for its own harness.
            let smoke = ["load", "--calls", "4", "--secs", "3", "--ramp", "0", "--pairs", "0"];
            return Command::Load(Self::parse_from(smoke));
        }
        let args = Self::parse();
        if let Some(model) = args.floor {
            return Command::Floor { kind: args.kind(), model };
        }
        let is_meant = args.names.is_empty() || args.names.iter().any(|name| "load".contains(name.as_str()));
        if is_meant { Command::Load(args) } else { Command::Nothing }
    }

    pub fn ramp(&self, calls: u32) -> Duration {
        Duration::from_secs(self.ramp.unwrap_or_else(|| calls.div_ceil(50)).into())
    }

    pub fn audio(&self) -> &'static str {
        match self.audio {
            Audio::Pcm16 => "pcm16",
            Audio::Pcmu => "pcmu",
        }
    }

    fn kind(&self) -> Kind {
        let tls = match self.floor_tls.as_slice() {
            [cert, key] => Some(Certificate { cert: cert.clone(), key: key.clone() }),
            _ => None,
        };
        Kind { carrier: self.dialect, widens: self.audio == Audio::Pcm16, tls }
    }

    /// The command line of the floor's process.
    pub fn floor(&self, model: SocketAddr, tls: Option<&Certificate>) -> Vec<String> {
        let mut arguments = vec!["--floor".to_owned(), model.to_string()];
        arguments.extend(["--audio", self.audio(), "--dialect", self.dialect.name()].map(str::to_owned));
        if let Some(Certificate { cert, key }) = tls {
            arguments.extend(["--floor-tls".to_owned(), cert.display().to_string(), key.display().to_string()]);
        }
        arguments
    }
}
