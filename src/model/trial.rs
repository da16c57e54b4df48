//! A session of the model that is set up and closed again: does it take us?

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use trunkline_actors::ports::{ConnectError, Incoming, ModelSocket, ModelTransport, Outgoing, SocketError};
use trunkline_realtime::{Effect, Loss, Session, SessionProfile, Timing};

/// How long the closing handshake may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Connects and waits, `limit` in all, for `session.created` and `session.updated`; gives the session's name.
///
/// # Errors
/// What a call would lose such a session by.
pub(crate) async fn try_session(
    transport: &dyn ModelTransport,
    url: &str,
    profile: Arc<SessionProfile>,
    timing: Timing,
    limit: Duration,
) -> Result<String, Loss> {
    let began = Instant::now();
    let deadline = began + limit;
    let session = Session::new(profile, timing, began.into_std());
    let connecting = timeout_at(deadline, transport.connect(url)).await.map_err(|_| Loss::ConnectTimeout)?;
    let mut socket = connecting.map_err(|error| match error {
        ConnectError::Refused { status } => Loss::Refused { status },
        ConnectError::Unreachable { what } => Loss::Unreachable { what },
    })?;
    let done = timeout_at(deadline, greet(&mut socket, session)).await.unwrap_or(Err(Loss::ConnectTimeout));
    let goodbye = async {
        let _gone = socket.outgoing.send(Outgoing::Close { code: 1000 }).await;
        socket.outgoing.close().await
    };
    let _late = timeout(GOODBYE, goodbye).await;
    done
}

async fn greet(socket: &mut ModelSocket, mut session: Session) -> Result<String, Loss> {
    let broken = |error: SocketError| Loss::Closed { code: None, reason: error.0 };
    while let Some(incoming) = socket.incoming.next().await {
        let now = Instant::now().into_std();
        let mut effects = Vec::new();
        match incoming {
            Incoming::Text(text) => session.on_text(now, unix_now_ms(), &text, &mut effects),
            Incoming::Ping(payload) => socket.outgoing.send(Outgoing::Pong(payload)).await.map_err(broken)?,
            Incoming::Pong => {}
            Incoming::Undecodable => session.on_unreadable(now, "binary or too large", &mut effects),
            Incoming::Closed { code, reason } => return Err(session.on_closed(code, &reason)),
        }
        for effect in effects {
            match effect {
                Effect::Send(text) => socket.outgoing.send(Outgoing::Text(text.into())).await.map_err(broken)?,
                Effect::Configured { session_id, .. } => return Ok(session_id),
                Effect::Dead(loss) => return Err(loss),
                _ => {}
            }
        }
    }
    Err(session.on_closed(None, "the connection ended"))
}

fn unix_now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
