//! The actors that carry a call: they move messages, own timers, and leave every decision to the pure crates.
//!
//! A [`call_supervisor::CallSupervisor`] starts four actors for each call on the worker that accepted its socket:
//! [`vc_stream::VcStreamActor`], [`transcoder::TranscoderActor`], [`azure_session::AzureSessionActor`] and
//! [`fallback::FallbackActor`]. [`messages`] says who tells whom what and when, [`ports`] what they need of the world.

mod alarm;
pub mod audio_port;
pub mod azure_session;
pub mod call_control;
pub mod call_supervisor;
mod downlink;
mod endpoints;
pub mod fallback;
pub mod link;
mod listeners;
pub mod memory_control;
pub mod memory_transport;
pub mod messages;
mod model_link;
mod model_speech;
pub mod ports;
pub mod prompts;
pub mod registry;
pub mod settings;
pub mod spans;
pub mod totals;
pub mod transcoder;
mod uplink;
pub mod vc_stream;
pub mod vitals;
