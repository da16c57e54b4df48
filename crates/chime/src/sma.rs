//! The SIP media application (SMA): what Amazon Chime is to do with a call, event by event.
//!
//! [`respond`] is one pure function. What it has to remember of a call travels in the call's `TransactionAttributes`, so
//! that any instance, Lambda or `POST /sma/events`, may answer the next event, and answers when the service is dead.
//!
//! | happens | answered by |
//! | --- | --- |
//! | a call comes in, or one that the service placed is answered | bridge to the Voice Connector |
//! | the service's leg is lost | say so, bridge again; after [`SmaSettings::max_rebridges`] an apology and the end |
//! | it is lost after `ending` or `hangup`, or answers 603 | the end, without words |
//! | a command ([`crate::command::Command`]) | what it asks |
//! | the caller is gone | hang up who is left: the legs do not do so by themselves |
//!
//! **Attempts are counted over the whole call** and never given back: nothing here has a clock that could tell a leg that
//! stayed up for an hour from one that fails at once, and a caller who was cut off that often is better served by an
//! honest end.
//!
//! **603.** The service answers a bridge of a call that ended on purpose with 603 (RFC 3261 section 21.6.2, "Decline").
//! Where a failed bridge tells the SIP answer is not documented by AWS, so it is looked for in `SipResponseCode` of the
//! action and of its parameters and as a number of its own in `ErrorMessage`. If it stands nowhere, the bridge is tried
//! again, [`SmaSettings::max_rebridges`] times at most.
//!
//! **Order.** Actions that are returned replace what is left of the list under way, so nothing is returned to a command
//! that would take back a bridge or a hang-up; a failed `Speak` drops the rest of its list, which is then returned anew.

use serde_json::Value;

mod event;
mod flow;
pub mod headers;
mod response;
mod settings;
mod state;

pub use event::{ActionData, BadSmaEvent, Invocation, Participant, SmaEvent};
pub use response::{Action, BridgeEndpoint, SmaResponse};
pub use settings::{BadVoiceConnectorArn, Engine, SmaSettings, UnknownEngine, Voice};

/// What is to be done after an event.
#[must_use]
pub fn respond(settings: &SmaSettings, event: &SmaEvent) -> SmaResponse {
    flow::respond(settings, event)
}

/// [`respond`] from JSON to JSON.
///
/// # Errors
///
/// [`BadSmaEvent`]: this is no event of an SMA.
pub fn respond_to_json(settings: &SmaSettings, body: &[u8]) -> Result<Value, BadSmaEvent> {
    Ok(respond(settings, &SmaEvent::from_slice(body)?).to_json())
}
