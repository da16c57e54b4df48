//! A Realtime speech server that runs on this machine: for `trunkline sim`, demonstrations, tests and benches.
//!
//! It speaks the four shapes of the protocol ([`Dialect`]) to unchanged official clients, hears turns in the caller's audio,
//! answers them ([`Reply`]), and fails on demand ([`Faults`]). It shares no code with the product's own protocol crate, so that an
//! error made there is not made here again.
//!
//! * [`SimSession`] is one session without socket or clock: texts and times in, frames out. Tests run hours of it in virtual time.
//! * [`SimServer`] puts sessions on WebSockets.
//!
//! Replies can be steered by what the client says: a user text, or the instructions of a `response.create`, with
//! `#tool NAME {json}` calls a declared tool, `#say-tool NAME {json}` says goodbye first, `#fail CODE` and `#incomplete REASON` end
//! the response so; a line `#turn N tool NAME {json}` in the session's instructions calls a tool on the N-th spoken turn.

mod conversation;
mod counters;
mod dialect;
mod format;
mod ids;
mod ladder;
mod options;
mod refusal;
mod resample;
mod server;
mod session;
mod shapes;
mod socket;
mod vad;
mod voice;

pub use counters::{Count, Received, SimCounters, SimLog};
pub use dialect::Dialect;
pub use options::{BadDieMode, BadReply, DieMode, Faults, Reply, ScriptedCall, SimOptions};
pub use server::{SimHandle, SimServer};
pub use session::{Out, Records, SessionStart, SimSession};
