//! The Realtime speech protocol (Azure OpenAI GA, its retired preview, Azure Voice Live) as pure state machines.
//!
//! Nothing here opens a socket or reads a clock. A [`Session`] takes the model's text frames together with the time
//! they came and answers with [`Effect`]s; whoever owns the socket carries those out. The conversation itself is kept in a
//! [`Ledger`], which outlives sessions: a new one is told what was said on the old one.

pub mod event;

mod append;
mod audio;
mod effect;
mod ledger;
mod liveness;
mod loss;
mod profile;
mod session;
mod timing;
mod tools;
mod turns;

pub use append::append_event;
pub use effect::{Effect, ItemId, ModelState, Played, Speaker};
pub use ledger::{Entry, Ledger};
pub use loss::Loss;
pub use profile::{Api, BadApi, ProfileError, SessionProfile, ToolSpec, TurnDetection};
pub use session::Session;
pub use timing::Timing;
pub use trunkline_media::ModelFormat;
