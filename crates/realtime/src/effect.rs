//! What a session asks its owner to do, and the small values it speaks in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::Loss;

/// The name the model gave one item of the conversation (`item_...`). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ItemId(Arc<str>);

impl ItemId {
    /// Takes the item id as it stands in the protocol.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(Arc::from(id))
    }

    /// The id as it stands in the protocol.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much of one item the caller heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// The item.
    pub item: ItemId,
    /// Milliseconds of it that were really played.
    pub played_ms: u64,
}

/// Whose words a transcript holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The person on the telephone.
    Caller,
    /// The speech model.
    Model,
}

/// Where a session stands, as the operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelState {
    /// Not yet set up: connecting, or `session.updated` is still to come.
    Connecting,
    /// Set up; no response is being generated.
    Ready,
    /// A response is being generated.
    Speaking,
    /// Over.
    Lost,
}

/// What the owner of a [`Session`](crate::Session) has to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send this text frame to the model.
    Send(String),
    /// Send a WebSocket ping.
    Ping,
    /// The session is set up and stands by: it answers pings but hears no audio until it is adopted.
    Configured {
        /// The model's name for the session (`sess_...`), empty if it gave none.
        session_id: String,
        /// From now until the session's `expires_at`; `None` if the model named no sensible time.
        lives_for: Option<Duration>,
    },
    /// Speech to play, in the session's model format and in whole samples.
    Audio {
        /// The item it belongs to.
        item: ItemId,
        /// Decoded bytes.
        audio: Bytes,
    },
    /// No more audio will come for this item.
    ItemEnded {
        /// The item.
        item: ItemId,
    },
    /// The caller began to speak: clear the playout at once, then answer with [`Session::cleared`](crate::Session::cleared).
    SpeechStarted {
        /// Items whose audio was handed out and is not known to be wholly heard, oldest first.
        active: Vec<ItemId>,
    },
    /// The caller stopped speaking.
    SpeechStopped,
    /// The model began a response.
    ResponseStarted,
    /// The model ended a response (its audio may still be playing).
    ResponseDone {
        /// `completed`, `cancelled`, `incomplete`, `failed`, or what else the model said.
        status: String,
    },
    /// The first audio of an answer is here.
    FirstAudio {
        /// Since the end of the caller's turn (or the request for the response).
        latency: Duration,
    },
    /// The model calls a tool; answer with [`Session::tool_output`](crate::Session::tool_output). Once for each `call_id`.
    ToolCall {
        /// The model's name for this call of the tool.
        call_id: String,
        /// The tool.
        name: String,
        /// Its arguments: JSON text as the model wrote it, not checked.
        arguments: String,
    },
    /// Words that were spoken.
    Transcript {
        /// By whom.
        speaker: Speaker,
        /// What.
        text: String,
    },
    /// Prepare a fresh session and swap it in at the next silent moment. At most once.
    Renew,
    /// The session is about to expire: swap even if it is not silent. At most once.
    RenewNow,
    /// Something harmless or unexpected, for the log.
    Notice {
        /// A short machine-readable name; the model's own error code where there is one.
        code: String,
        /// What happened.
        message: String,
    },
    /// The session is over. At most once, and nothing is to be sent after it.
    Dead(Loss),
}
