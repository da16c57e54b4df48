//! What a client sends.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::server::Plain;
use super::{EventError, Item, Maybe, SessionObject, is_object};

/// An event from client to model.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "type")]
pub enum ClientEvent {
    /// Set the session up.
    #[serde(rename = "session.update")]
    SessionUpdate(Box<SessionUpdate>),
    /// Caller audio.
    #[serde(rename = "input_audio_buffer.append")]
    AudioAppend(AudioAppend),
    /// End the caller's turn by hand.
    #[serde(rename = "input_audio_buffer.commit")]
    AudioCommit(Plain),
    /// Forget uncommitted caller audio.
    #[serde(rename = "input_audio_buffer.clear")]
    AudioClear(Plain),
    /// WebRTC and SIP only: drop what the server still plays.
    #[serde(rename = "output_audio_buffer.clear")]
    OutputClear(Plain),
    /// Add an item.
    #[serde(rename = "conversation.item.create")]
    ItemCreate(Box<ItemCreate>),
    /// Ask for an item.
    #[serde(rename = "conversation.item.retrieve")]
    ItemRetrieve(ItemRef),
    /// Cut an item to what was heard.
    #[serde(rename = "conversation.item.truncate")]
    ItemTruncate(ItemTruncate),
    /// Remove an item.
    #[serde(rename = "conversation.item.delete")]
    ItemDelete(ItemRef),
    /// Ask the model to speak.
    #[serde(rename = "response.create")]
    ResponseCreate(ResponseCreate),
    /// Stop the model.
    #[serde(rename = "response.cancel")]
    ResponseCancel(ResponseCancel),
    /// Everything else, as it came.
    #[serde(untagged)]
    Unknown(Value),
}

impl ClientEvent {
    /// Reads one text frame.
    ///
    /// # Errors
    /// [`EventError`] if it is not a JSON object with a text `type`.
    pub fn parse(text: &[u8]) -> Result<Self, EventError> {
        match serde_json::from_slice(text)? {
            Self::Unknown(value) if value.get("type").is_none_or(|kind| !kind.is_string()) => Err(EventError::NoType),
            _ if !is_object(text) => Err(EventError::NoType),
            event => Ok(event),
        }
    }

    /// The text frame of this event.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Every map of these types has text keys, so there is nothing to fail on.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// `session.update`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct SessionUpdate {
    /// Ours, comes back in errors.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub event_id: Maybe<String>,
    /// The settings to change.
    pub session: SessionObject,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `input_audio_buffer.append`. (The audio path writes it with [`append_event`](crate::append_event).)
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct AudioAppend {
    /// Ours, comes back in errors.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub event_id: Maybe<String>,
    /// Base64.
    pub audio: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `conversation.item.create`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ItemCreate {
    /// Ours, comes back in errors.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub event_id: Maybe<String>,
    /// Where: absent means at the end, `root` at the front.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub previous_item_id: Maybe<String>,
    /// The item.
    pub item: Item,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `conversation.item.retrieve` and `conversation.item.delete`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ItemRef {
    /// Ours, comes back in errors.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub event_id: Maybe<String>,
    /// The item.
    pub item_id: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `conversation.item.truncate`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ItemTruncate {
    /// Ours, comes back in errors.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub event_id: Maybe<String>,
    /// The item.
    pub item_id: String,
    /// Which part: 0 for speech.
    pub content_index: Number,
    /// What was heard, whole milliseconds.
    pub audio_end_ms: Number,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `response.create`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ResponseCreate {
    /// Ours, comes back in errors.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub event_id: Maybe<String>,
    /// Settings of this response alone.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub response: Maybe<Map<String, Value>>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `response.cancel`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ResponseCancel {
    /// Ours, comes back in errors.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub event_id: Maybe<String>,
    /// Which; absent means the active one.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub response_id: Maybe<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}
