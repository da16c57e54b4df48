//! AWS: the queue of call events, and the SIP media application that speaks for us while the model is away.
//!
//! The pure side of it (what an event says, which of them is news, what the application is asked) is `trunkline_chime`.
//! Here are requests, their failures, and the loop that empties the queue.

mod chime_voice;
mod config;
mod consumer;
#[cfg(test)]
mod consumer_tests;
mod event_stats;
mod failure;
pub mod inspect;
#[cfg(test)]
mod inspect_tests;
mod queue;
mod sqs;
#[cfg(test)]
pub(crate) mod stand_in;
#[cfg(test)]
mod wire_tests;

pub use chime_voice::ChimeVoice;
pub use config::{AwsSetupError, Target};
pub use consumer::{Consumer, ConsumerHandle, EventHandler};
pub use event_stats::{EventStats, SourceHealth};
pub use failure::{AwsFailure, FailureClass};
pub use queue::{EventQueue, Received};
pub use sqs::Sqs;
