//! The command line: what is typed, what is printed where, and how the process ends.
//!
//! stdout carries results and one `listening NAME ADDR` line a listener; everything else is on stderr. Exit codes: 0 well,
//! 1 the job failed, 2 wrong usage or configuration.

mod call;
mod demo;
mod doctor;
pub mod phone;
mod show;
mod sim;

use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app::AppError;
use crate::settings::{Loaded, SettingsError};
use crate::telemetry;

/// Carries telephone calls to a realtime speech model and back.
#[derive(Debug, Parser)]
#[command(name = "trunkline", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service (also without a command)
    Serve(ConfigArgs),
    /// Place one real call through an embedded service, nothing outside is called
    Demo(demo::DemoArgs),
    /// A command-line telephone: call a running service by WebSocket (the secret of /ingest comes from TRUNKLINE_SECRET), or
    /// any SIP host
    Call(call::CallArgs),
    /// Run the Realtime simulator alone
    Sim(sim::SimArgs),
    /// Check what a deployment needs, a line each with its cure: configuration, prompts, model, queue and its policy, Voice
    /// Connectors, SIP media application. Exit code 1 if one fails. Looks only: nothing is changed, no call is placed
    Doctor(ConfigArgs),
    /// Show the effective configuration and where each value came from
    Config(ConfigArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Configuration file; without it config/local.toml is read if it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why a command did not do its job. `Display` is what the user reads.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage or configuration: exit code 2.
    Usage(String),
    /// The job failed: exit code 1.
    Job(String),
}

impl Failure {
    fn job(error: impl fmt::Display) -> Self {
        Self::Job(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Job(text) => f.write_str(text),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Runs the command that this process was started with.
#[must_use]
pub fn run() -> ExitCode {
    // clap prints help to stdout (0) and mistakes to stderr (2) and ends the process itself.
    let cli = Cli::parse();
    // Before the first TLS configuration. A provider that is there already is as good.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    let done = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve(args),
        Command::Demo(args) => demo::run(args),
        Command::Call(args) => call::run(args),
        Command::Sim(args) => sim::run(args),
        Command::Doctor(args) => doctor::run(args.config),
        Command::Config(args) => show::run(args.config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("trunkline: {failure}"));
            ExitCode::from(match failure {
                Failure::Usage(_) => 2,
                Failure::Job(_) => 1,
            })
        }
    }
}

fn serve(args: ConfigArgs) -> Result<(), Failure> {
    let Loaded { settings, warnings, .. } = Loaded::of_process(args.config)?;
    telemetry::init_service(&settings.log).map_err(Failure::job)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let served = crate::app::serve(settings);
    telemetry::finish();
    served.map_err(|error| match error {
        AppError::Listen { .. } | AppError::Io(_) => Failure::job(error),
        // The rest is about files and keys that the configuration names.
        _ => Failure::Usage(format!("configuration: {error}")),
    })
}

/// Tells on stdout that a listener accepts: `listening NAME ADDR`, NAME one of `media`, `admin`, `sim`, `sip`.
///
/// Whoever started us reads the port from it, so it is written at once. Nobody reading is no reason to fail.
pub fn announce_listening(name: &str, address: SocketAddr) {
    let _unread = print(&format!("listening {name} {address}"));
}

/// A line of results, on stdout.
fn print(line: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// A line for the user, on stderr.
fn say(line: &str) {
    let _unread = writeln!(std::io::stderr().lock(), "{line}");
}

/// A duration on the command line: "250ms", "10s", "2m".
fn duration(text: &str) -> Result<std::time::Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it with its unit: 250ms, 10s, 2m"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_serves() {
        for line in ["trunkline", "trunkline --config a.toml", "trunkline serve --config a.toml"] {
            let cli = parse(line).unwrap();
            let command = cli.command.unwrap_or(Command::Serve(cli.serve));
            let Command::Serve(args) = command else { panic!("{line}: {command:?}") };
            assert_eq!(args.config.is_some(), line.contains("a.toml"), "{line}");
        }
    }

    #[test]
    fn every_documented_command_is_taken() {
        for line in [
            "demo",
            "demo --wav in.wav --out heard.wav",
            "call --url ws://h:1/ingest",
            "call ws://h:1/ingest",
            "call sip:6001@h:5060 --out heard.wav",
            "call --url sips:6001@h;transport=tls",
            "call --url ws://h:1 --wav in.wav --out heard.wav --call-id a",
            "sim",
            "sim --listen 127.0.0.1:0 --reply tone --key k",
            "sim --refuse 503 --refuse-first 2 --die-after 3s --die-sessions 1 --die-mode stall --close-code 1013",
            "sim --fail-responses server_error --slow 4000 --delay 2s --garbage 0.5 --seed 7",
            "doctor",
            "doctor --config a.toml",
            "config",
            "config --config a.toml",
        ] {
            parse(&format!("trunkline {line}")).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn wrong_usage_ends_with_2() {
        for (line, kind) in [
            ("call", ErrorKind::MissingRequiredArgument),
            ("call sip:a@h --url sip:b@h", ErrorKind::ArgumentConflict),
            ("dance", ErrorKind::InvalidSubcommand),
            ("sim --refuse-first 2", ErrorKind::MissingRequiredArgument),
            ("sim --refuse 200", ErrorKind::ValueValidation),
            ("sim --reply song", ErrorKind::ValueValidation),
            ("sim --die-mode sulk", ErrorKind::ValueValidation),
            ("sim --die-after 3", ErrorKind::ValueValidation),
            ("sim --garbage 1.5", ErrorKind::ValueValidation),
            ("sim --close-code 99", ErrorKind::ValueValidation),
            ("serve --port 80", ErrorKind::UnknownArgument),
        ] {
            let error = parse(&format!("trunkline {line}")).unwrap_err();
            assert_eq!((error.kind(), error.exit_code()), (kind, 2), "{line}");
        }
        assert_eq!(parse("trunkline --help").unwrap_err().exit_code(), 0);
        assert_eq!(parse("trunkline --version").unwrap_err().exit_code(), 0);
    }
}
