//! The time between a carrier's upgrade and the message that says which call it is about. Nothing of the call exists
//! yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Session};
use futures_util::StreamExt;
use tokio::time::Instant;

use super::dialect::{Carrier, Opening, Start};
use super::socket::{CLOSE_GRACE, ReadEnd};

/// A start comes within this time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Why there was no start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoStart {
    /// The socket ended.
    Gone,
    /// It did not come in time.
    Late,
    /// To be closed with this code and reason.
    Refused {
        /// WebSocket close code.
        code: u16,
        /// For people.
        why: &'static str,
    },
}

/// Reads up to the start. What comes before it is nobody's.
///
/// # Errors
/// [`NoStart`].
pub(crate) async fn start<D: Carrier>(
    session: &mut Session,
    stream: &mut AggregatedMessageStream,
    until: Instant,
) -> Result<Box<Start<D>>, NoStart> {
    loop {
        let message = match tokio::time::timeout_at(until, stream.next()).await {
            Err(_) => return Err(NoStart::Late),
            Ok(None) => return Err(NoStart::Gone),
            Ok(Some(Err(error))) => {
                let (code, why) = match ReadEnd::of(error) {
                    ReadEnd::TooBig => (1009, "a message over the size that is allowed"),
                    ReadEnd::NotText => (1007, "a text that is not UTF-8"),
                    ReadEnd::Protocol => (1002, "not WebSocket"),
                    ReadEnd::Gone | ReadEnd::HeartbeatLost => return Err(NoStart::Gone),
                };
                return Err(NoStart::Refused { code, why });
            }
            Ok(Some(Ok(message))) => message,
        };
        match message {
            AggregatedMessage::Text(text) => match D::open(&text) {
                Opening::Start(start) => return Ok(start),
                Opening::Refused { code, why } => return Err(NoStart::Refused { code, why }),
                Opening::NotYet => {}
            },
            AggregatedMessage::Ping(payload) => {
                // Whoever sends pings and takes no answers is cut off by the time limit.
                let answered = tokio::time::timeout_at(until, session.pong(&payload)).await;
                if !matches!(answered, Ok(Ok(()))) {
                    return Err(NoStart::Gone);
                }
            }
            AggregatedMessage::Binary(_) | AggregatedMessage::Pong(_) => {}
            AggregatedMessage::Close(reason) => {
                let _ = tokio::time::timeout(CLOSE_GRACE, session.clone().close(reason)).await;
                return Err(NoStart::Gone);
            }
        }
    }
}

/// Closes a socket that never had a call, and gives the other side its time to answer.
pub(crate) async fn turn_away(session: Session, mut stream: AggregatedMessageStream, code: u16, why: &str) {
    let reason = CloseReason { code: CloseCode::from(code), description: Some(why.to_owned()) };
    let farewell = async {
        if session.close(Some(reason)).await.is_ok() {
            while let Some(Ok(_)) = stream.next().await {}
        }
    };
    let _ = tokio::time::timeout(CLOSE_GRACE, farewell).await;
}

/// Room for sockets that are let in before they have shown anything.
#[derive(Debug)]
pub(crate) struct WaitingRoom {
    taken: Arc<AtomicUsize>,
    places: usize,
}

/// A place in it, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl WaitingRoom {
    /// A room with so many places.
    pub(crate) fn new(places: usize) -> Self {
        Self { taken: Arc::default(), places }
    }

    /// A place, if there is one left.
    pub(crate) fn enter(&self) -> Option<Place> {
        let places = self.places;
        let more = |taken| (taken < places).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place(Arc::clone(&self.taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tokens that were used, each until it expires by itself.
#[derive(Debug)]
pub(crate) struct SpentTokens {
    /// Expiry in Unix seconds, by HMAC.
    spent: Mutex<HashMap<Box<str>, u64>>,
    most: usize,
}

impl SpentTokens {
    /// Room for so many.
    pub(crate) fn new(most: usize) -> Self {
        Self { spent: Mutex::default(), most }
    }

    /// Spends the token of this HMAC, which is good until `expiry` (Unix seconds, as is `now`). False if it was spent
    /// before, or nothing more can be remembered: a token that could be used twice is not taken at all.
    pub(crate) fn spend(&self, mac: &str, expiry: u64, now: u64) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.len() >= self.most {
            spent.retain(|_, expiry| *expiry >= now);
        }
        if spent.len() >= self.most {
            tracing::warn!(remembered = self.most, "a valid token is refused: too many used ones have not expired yet");
            return false;
        }
        if spent.contains_key(mac) {
            return false;
        }
        spent.insert(mac.into(), expiry);
        true
    }

    /// The token let nobody in: it is good once more.
    pub(crate) fn give_back(&self, mac: &str) {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).remove(mac);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waiting_room_has_so_many_places() {
        let room = WaitingRoom::new(2);
        let first = room.enter().unwrap();
        let second = room.enter().unwrap();
        assert!(room.enter().is_none());
        drop(first);
        let third = room.enter().unwrap();
        assert!(room.enter().is_none());
        drop((second, third));
        assert!(room.enter().is_some());
    }

    #[test]
    fn a_token_is_good_once_and_forgotten_when_it_has_expired() {
        let tokens = SpentTokens::new(2);
        assert!(tokens.spend("a", 100, 50));
        assert!(!tokens.spend("a", 100, 60));
        assert!(!tokens.spend("a", 100, 100), "it is good to the end of its last second");
        assert!(tokens.spend("b", 200, 60));
        assert!(!tokens.spend("c", 300, 60), "full: nothing is taken that would not be remembered");
        assert!(tokens.spend("c", 300, 101), "the first one has expired");
        assert!(!tokens.spend("b", 200, 101));
        tokens.give_back("b");
        assert!(tokens.spend("b", 200, 101));
    }
}
