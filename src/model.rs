//! The way to the model: WebSocket connections to Azure OpenAI Realtime and the spare ones kept ready.
//!
//! [`AwcTransport`] opens sockets, [`WarmTransport`] wraps it to have some open before they are asked for. Both live on
//! one worker and implement [`ModelTransport`](trunkline_actors::ports::ModelTransport).

use tokio::time::Instant;
use trunkline_call::ConnectGate;

mod auth;
#[cfg(feature = "entra")]
mod entra;
mod meter;
mod recovery;
#[cfg(test)]
mod recovery_tests;
mod slot;
mod socket;
#[cfg(test)]
mod test_peer;
mod tls;
mod transport;
#[cfg(test)]
mod transport_tests;
mod trial;
mod warm;
#[cfg(test)]
mod warm_tests;

pub use auth::{Auth, BadKey};
#[cfg(feature = "entra")]
pub use entra::{EntraSetupError, EntraTokens};
pub(crate) use recovery::Recovery;
pub use tls::TlsSetupError;
pub(crate) use tls::client_config;
pub(crate) use transport::Tuned;
pub use transport::{AwcTransport, TransportSettings};
pub(crate) use trial::try_session;
pub use warm::{WarmSettings, WarmTransport};

/// Waits for a turn at the pace that all calls share.
async fn turn_at(gate: &ConnectGate) {
    let turn = gate.reserve(Instant::now().into_std());
    tokio::time::sleep_until(Instant::from_std(turn)).await;
}
