//! Trunkline: carries telephone calls to a realtime speech model and back.
//!
//! The shell around the crates: command line, configuration, listeners, sockets. It knows everyone and decides nothing
//! about a call. Start reading at [`app`], and at ARCHITECTURE.md.

pub mod app;
pub mod aws;
pub mod cli;
mod http;
mod links;
mod model;
mod prompts;
pub mod settings;
mod sip;
pub mod telemetry;
mod tls;
pub mod tools;
