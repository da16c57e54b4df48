//! The load harness: `cargo bench --bench load -- --calls 200 --secs 60`.
//!
//! Starts the release service as a process of its own (or takes a running bridge), calls it N times at once with speech on
//! an absolute clock, serves the model, and measures both sides with one clock. `--floor` puts a bare relay in the same
//! place, in the same run: what the sockets alone cost on this machine at this hour.
//!
//! Without arguments (as `cargo test --all-targets` runs it) 4 calls of 3 s, of which only failed calls count.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program of its own: prints, reads the real clock, and carries no call that sleeping could hurt"
)]

mod args;
mod board;
mod caller;
mod carrier;
mod floor;
mod html;
mod model;
mod report;
#[path = "../rig/mod.rs"]
mod rig;
mod run;
mod script;
mod tls;
mod viewers;

use std::process::ExitCode;

use args::{Args, Command};

fn main() -> ExitCode {
    let outcome = match Args::read() {
        Command::Nothing => return ExitCode::SUCCESS,
        Command::Floor { kind, model } => {
            floor::run(&kind, model).map_err(|error| rig::Trouble(error.to_string())).map(|()| true)
        }
        Command::Load(args) => run::all(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            eprintln!("load: {trouble}");
            ExitCode::FAILURE
        }
    }
}
