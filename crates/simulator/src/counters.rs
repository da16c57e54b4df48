//! What a simulator counted and saw, for tests that stand outside of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// One number, read and written without locks.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn take(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }
}

/// Sums over all sessions of a simulator since it was made.
#[derive(Debug, Default)]
pub struct SimCounters {
    /// Upgrades answered with the `refuse` fault.
    pub refused: Count,
    /// Sessions opened.
    pub sessions: Count,
    /// Sessions open now.
    pub open: Count,
    /// Sessions ended by a fault or by expiry.
    pub died: Count,
    /// Decoded bytes of caller audio.
    pub appended_bytes: Count,
    /// Whole milliseconds of caller audio, counted per append.
    pub appended_ms: Count,
    /// `session.update` accepted.
    pub updates: Count,
    /// `speech_started` sent.
    pub speech_started: Count,
    /// Turns committed, by speech detection, idle timeout or the client.
    pub commits: Count,
    /// Responses begun.
    pub responses: Count,
    /// Responses ended as completed.
    pub completed: Count,
    /// Responses ended as cancelled.
    pub cancelled: Count,
    /// Responses ended as failed.
    pub failed: Count,
    /// Function calls made.
    pub tool_calls: Count,
    /// Milliseconds of answer audio sent.
    pub sent_ms: Count,
    /// Truncations done.
    pub truncates: Count,
    /// Items deleted.
    pub deletes: Count,
    /// `error` events sent in answer to client events.
    pub errors: Count,
    /// Pings answered.
    pub pings: Count,
}

/// One client event as it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// Number of the session, from 1.
    pub session: u32,
    /// Milliseconds since that session was opened.
    pub at_ms: u64,
    /// The event. Appends are not kept, see [`SimCounters::appended_ms`].
    pub event: Value,
}

/// The newest client events of all sessions, bounded; the oldest fall out.
#[derive(Debug)]
pub struct SimLog {
    limit: usize,
    events: Mutex<VecDeque<Received>>,
}

impl SimLog {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, events: Mutex::default() }
    }

    pub(crate) fn push(&self, received: Received) {
        if self.limit == 0 {
            return;
        }
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= self.limit {
            events.pop_front();
        }
        events.push_back(received);
    }

    /// A copy of what is kept, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Received> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Those of one type, such as `conversation.item.truncate`.
    #[must_use]
    pub fn of_type(&self, kind: &str) -> Vec<Received> {
        let mut events = self.events();
        events.retain(|received| received.event.get("type").and_then(Value::as_str) == Some(kind));
        events
    }
}
