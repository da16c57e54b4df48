//! `trunkline sim`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use trunkline_simulator::{DieMode, Faults, Reply, SimOptions, SimServer};

use super::{Failure, announce_listening, duration};
use crate::settings::LogFormat;
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct SimArgs {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// What each turn of the caller is answered with: parrot, tone, silent or wav:FILE
    #[arg(long, value_name = "REPLY", default_value = "parrot", value_parser = str::parse::<Reply>)]
    reply: Reply,
    /// The only key let in; without it any key is
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Refuse upgrades with this HTTP status
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(400..=599))]
    refuse: Option<u16>,
    /// Refuse only the first N upgrades
    #[arg(long, value_name = "N", requires = "refuse")]
    refuse_first: Option<u32>,
    /// Each session dies this long after it was opened
    #[arg(long, value_name = "DUR", value_parser = duration)]
    die_after: Option<Duration>,
    /// Only the first N sessions are ill
    #[arg(long, value_name = "N")]
    die_sessions: Option<u32>,
    /// How a session dies: close, abort, expire, stall or mute
    #[arg(long, value_name = "MODE", default_value = "close", value_parser = str::parse::<DieMode>)]
    die_mode: DieMode,
    /// Close code of --die-mode close
    #[arg(long, value_name = "N", default_value_t = 1011, value_parser = clap::value_parser!(u16).range(1000..=4999))]
    close_code: u16,
    /// Every response fails with this code
    #[arg(long, value_name = "CODE")]
    fail_responses: Option<String>,
    /// Read no faster than this
    #[arg(long, value_name = "BYTES_PER_S", value_parser = clap::value_parser!(u64).range(1..))]
    slow: Option<u64>,
    /// First audio of an answer comes no sooner than this after the turn
    #[arg(long, value_name = "DUR", default_value = "0s", value_parser = duration)]
    delay: Duration,
    /// Probability of an undecodable frame in the place of an event
    #[arg(long, value_name = "PROBABILITY", default_value_t = 0.0, value_parser = probability)]
    garbage: f64,
    /// Start of all random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

fn probability(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|p| (0.0..=1.0).contains(p));
    value.ok_or_else(|| "allowed: 0 to 1".to_owned())
}

impl SimArgs {
    fn options(self) -> SimOptions {
        SimOptions {
            key: self.key,
            reply: self.reply,
            faults: Faults {
                refuse: self.refuse,
                refuse_first: self.refuse_first,
                die_after: self.die_after,
                die_sessions: self.die_sessions,
                die_mode: self.die_mode,
                close_code: self.close_code,
                fail_responses: self.fail_responses,
                slow: self.slow,
                delay: self.delay,
                garbage: self.garbage,
            },
            seed: self.seed,
            ..SimOptions::default()
        }
    }
}

/// Serves until SIGINT or SIGTERM.
pub(super) fn run(args: SimArgs) -> Result<(), Failure> {
    telemetry::init(LogFormat::Pretty, "info").map_err(Failure::job)?;
    let listen = args.listen;
    let options = args.options();
    actix_rt::System::new().block_on(async move {
        let server = SimServer::bind(listen, options)
            .map_err(|error| Failure::Job(format!("cannot listen on {listen}: {error}")))?;
        let handle = server.handle();
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::job)?;
        announce_listening("sim", server.addr());
        actix_rt::spawn(async move {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            handle.stop().await;
        });
        server.run().await.map_err(Failure::job)
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SimArgs,
    }

    fn options(line: &str) -> SimOptions {
        Line::try_parse_from(line.split_whitespace()).unwrap().args.options()
    }

    #[test]
    fn flags_reach_the_simulator() {
        let options = options(
            "sim --reply tone --key k --refuse 503 --refuse-first 2 --die-after 3s --die-sessions 1 --die-mode stall \
             --close-code 1013 --fail-responses server_error --slow 4000 --delay 1500ms --garbage 0.5 --seed 7",
        );
        let expected = Faults {
            refuse: Some(503),
            refuse_first: Some(2),
            die_after: Some(Duration::from_secs(3)),
            die_sessions: Some(1),
            die_mode: DieMode::Stall,
            close_code: 1013,
            fail_responses: Some("server_error".to_owned()),
            slow: Some(4_000),
            delay: Duration::from_millis(1_500),
            garbage: 0.5,
        };
        assert_eq!(options.faults, expected);
        assert_eq!((options.reply, options.key.as_deref(), options.seed), (Reply::Tone, Some("k"), 7));
    }

    #[test]
    fn without_flags_it_is_healthy() {
        let options = options("sim");
        assert_eq!(options.faults, Faults::default());
        assert_eq!((options.reply, options.key, options.seed), (Reply::Parrot, None, 1));
    }
}
