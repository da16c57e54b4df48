//! The events of the Realtime protocol: GA, its retired preview, and Voice Live.
//!
//! The types are tolerant on purpose. Real frames carry undocumented fields, explicit nulls and new event types; all of
//! that is kept, so that writing an event gives back the JSON it was read from. [`AudioDelta`] is the one type read on the
//! audio path: it borrows from the frame.

mod client;
mod delta;
mod maybe;
mod parts;
mod server;

pub use client::{
    AudioAppend, ClientEvent, ItemCreate, ItemRef, ItemTruncate, ResponseCancel, ResponseCreate, SessionUpdate,
};
pub use delta::{AudioDelta, Frame};
pub use maybe::Maybe;
pub use parts::{AudioSettings, ContentPart, ErrorBody, Item, Response, SessionObject, StatusDetails, StreamSettings};
pub use server::{
    Arguments, ArgumentsDelta, BufferEvent, ContentPartEvent, ErrorEvent, ItemEvent, ItemIdEvent, OutputItem, Plain,
    ResponseEvent, ServerEvent, SessionEvent, TextDelta, TextDone, Transcription, TranscriptionFailed,
};

/// What makes a frame unreadable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// It is not JSON (or not UTF-8).
    #[error("frame is not json: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It is JSON, but no object with a text `type`.
    #[error("frame has no type")]
    NoType,
}

/// serde also reads structs from arrays; the protocol knows objects only.
fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().first() == Some(&b'{')
}
