//! What crosses the edge of a session: how it is opened, what it wants done, what it leaves written.

use std::sync::Arc;

use crate::counters::{SimCounters, SimLog};
use crate::dialect::Dialect;

/// What a session wants done with its socket, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// A text frame.
    Text(String),
    /// A binary frame, which no client of this protocol can read (the garbage fault).
    Binary(Vec<u8>),
    /// A close frame; nothing follows.
    Close {
        /// WebSocket close code.
        code: u16,
        /// Its reason text.
        reason: String,
    },
    /// The connection ends without a close frame; nothing follows.
    Abort,
    /// Neither reading nor writing any more, the socket stays open; nothing follows.
    Stall,
}

/// How a session was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStart {
    /// The wire shape, from the address.
    pub dialect: Dialect,
    /// `model` or `deployment` of the address.
    pub model: String,
    /// Number of the session within its server, from 1: chooses its random numbers and whether the faults hit it.
    pub number: u32,
    /// `OpenAI-Beta: realtime=v1` was sent: OpenAI's own address refuses that shape after the upgrade.
    pub beta_header: bool,
}

/// Where a session writes what tests want to know; sessions of one server share it.
#[derive(Clone, Debug)]
pub struct Records {
    /// Sums.
    pub counters: Arc<SimCounters>,
    /// Received client events.
    pub log: Arc<SimLog>,
}

impl Records {
    /// Empty records that keep up to `log_limit` client events.
    #[must_use]
    pub fn new(log_limit: usize) -> Self {
        Self { counters: Arc::default(), log: Arc::new(SimLog::new(log_limit)) }
    }
}
