//! What the model sends.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{ContentPart, ErrorBody, EventError, Item, Maybe, Response, SessionObject, is_object};

/// An event from model to client. `Preview...` variants are the names of the preview and of Voice Live.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "type")]
pub enum ServerEvent {
    /// Something was refused or broke; nearly always harmless.
    #[serde(rename = "error")]
    Error(ErrorEvent),
    /// Voice Live: a setting was adjusted.
    #[serde(rename = "warning")]
    Warning(Plain),
    /// First event after the upgrade.
    #[serde(rename = "session.created")]
    SessionCreated(SessionEvent),
    /// Answer to `session.update`.
    #[serde(rename = "session.updated")]
    SessionUpdated(SessionEvent),
    /// Preview only.
    #[serde(rename = "conversation.created")]
    ConversationCreated(Plain),
    /// An item joined the conversation.
    #[serde(rename = "conversation.item.added")]
    ItemAdded(ItemEvent),
    /// Preview, Voice Live: an item joined the conversation.
    #[serde(rename = "conversation.item.created")]
    ItemCreated(ItemEvent),
    /// An item is complete.
    #[serde(rename = "conversation.item.done")]
    ItemDone(ItemEvent),
    /// Answer to `conversation.item.retrieve`.
    #[serde(rename = "conversation.item.retrieved")]
    ItemRetrieved(ItemEvent),
    /// Answer to `conversation.item.truncate`.
    #[serde(rename = "conversation.item.truncated")]
    ItemTruncated(ItemIdEvent),
    /// Answer to `conversation.item.delete`.
    #[serde(rename = "conversation.item.deleted")]
    ItemDeleted(ItemIdEvent),
    /// A piece of what the caller said.
    #[serde(rename = "conversation.item.input_audio_transcription.delta")]
    TranscriptionDelta(Transcription),
    /// What the caller said.
    #[serde(rename = "conversation.item.input_audio_transcription.completed")]
    TranscriptionCompleted(Transcription),
    /// A timed piece of what the caller said.
    #[serde(rename = "conversation.item.input_audio_transcription.segment")]
    TranscriptionSegment(Transcription),
    /// The caller's words could not be written down.
    #[serde(rename = "conversation.item.input_audio_transcription.failed")]
    TranscriptionFailed(TranscriptionFailed),
    /// The caller began to speak.
    #[serde(rename = "input_audio_buffer.speech_started")]
    SpeechStarted(BufferEvent),
    /// The caller stopped.
    #[serde(rename = "input_audio_buffer.speech_stopped")]
    SpeechStopped(BufferEvent),
    /// The caller's turn is complete.
    #[serde(rename = "input_audio_buffer.committed")]
    AudioCommitted(BufferEvent),
    /// Answer to `input_audio_buffer.clear`.
    #[serde(rename = "input_audio_buffer.cleared")]
    AudioCleared(Plain),
    /// The caller said nothing for long; the model will ask.
    #[serde(rename = "input_audio_buffer.timeout_triggered")]
    IdleTimeout(BufferEvent),
    /// SIP only: a key.
    #[serde(rename = "input_audio_buffer.dtmf_event_received")]
    DtmfReceived(Plain),
    /// WebRTC and SIP only.
    #[serde(rename = "output_audio_buffer.started")]
    OutputStarted(Plain),
    /// WebRTC and SIP only.
    #[serde(rename = "output_audio_buffer.stopped")]
    OutputStopped(Plain),
    /// WebRTC and SIP only.
    #[serde(rename = "output_audio_buffer.cleared")]
    OutputCleared(Plain),
    /// The model begins a response.
    #[serde(rename = "response.created")]
    ResponseCreated(ResponseEvent),
    /// The model ended a response.
    #[serde(rename = "response.done")]
    ResponseDone(ResponseEvent),
    /// A response begins an item.
    #[serde(rename = "response.output_item.added")]
    OutputItemAdded(OutputItem),
    /// A response ended an item.
    #[serde(rename = "response.output_item.done")]
    OutputItemDone(OutputItem),
    /// An item begins a part.
    #[serde(rename = "response.content_part.added")]
    ContentPartAdded(ContentPartEvent),
    /// An item ended a part.
    #[serde(rename = "response.content_part.done")]
    ContentPartDone(ContentPartEvent),
    /// Text instead of speech.
    #[serde(rename = "response.output_text.delta")]
    OutputTextDelta(TextDelta),
    /// The same, preview and Voice Live.
    #[serde(rename = "response.text.delta")]
    PreviewTextDelta(TextDelta),
    /// Text instead of speech, whole.
    #[serde(rename = "response.output_text.done")]
    OutputTextDone(TextDone),
    /// The same, preview and Voice Live.
    #[serde(rename = "response.text.done")]
    PreviewTextDone(TextDone),
    /// Speech (the audio path reads it with [`AudioDelta`](super::AudioDelta)).
    #[serde(rename = "response.output_audio.delta")]
    AudioDelta(TextDelta),
    /// The same, preview and Voice Live.
    #[serde(rename = "response.audio.delta")]
    PreviewAudioDelta(TextDelta),
    /// An item's speech is complete.
    #[serde(rename = "response.output_audio.done")]
    AudioDone(TextDone),
    /// The same, preview and Voice Live.
    #[serde(rename = "response.audio.done")]
    PreviewAudioDone(TextDone),
    /// A piece of what the model says.
    #[serde(rename = "response.output_audio_transcript.delta")]
    TranscriptDelta(TextDelta),
    /// The same, preview and Voice Live.
    #[serde(rename = "response.audio_transcript.delta")]
    PreviewTranscriptDelta(TextDelta),
    /// What the model says in one item.
    #[serde(rename = "response.output_audio_transcript.done")]
    TranscriptDone(TextDone),
    /// The same, preview and Voice Live.
    #[serde(rename = "response.audio_transcript.done")]
    PreviewTranscriptDone(TextDone),
    /// Voice Live: when a word is spoken.
    #[serde(rename = "response.audio_timestamp.delta")]
    AudioTimestampDelta(TextDelta),
    /// Voice Live: no more of these.
    #[serde(rename = "response.audio_timestamp.done")]
    AudioTimestampDone(Plain),
    /// A piece of a tool call's arguments.
    #[serde(rename = "response.function_call_arguments.delta")]
    ArgumentsDelta(ArgumentsDelta),
    /// A tool call's arguments.
    #[serde(rename = "response.function_call_arguments.done")]
    ArgumentsDone(Arguments),
    /// A piece of an MCP call's arguments.
    #[serde(rename = "response.mcp_call_arguments.delta")]
    McpArgumentsDelta(ArgumentsDelta),
    /// An MCP call's arguments.
    #[serde(rename = "response.mcp_call_arguments.done")]
    McpArgumentsDone(Arguments),
    /// The server calls an MCP tool.
    #[serde(rename = "response.mcp_call.in_progress")]
    McpCallInProgress(Plain),
    /// It answered.
    #[serde(rename = "response.mcp_call.completed")]
    McpCallCompleted(Plain),
    /// It did not.
    #[serde(rename = "response.mcp_call.failed")]
    McpCallFailed(Plain),
    /// The server asks an MCP server for its tools.
    #[serde(rename = "mcp_list_tools.in_progress")]
    McpListInProgress(Plain),
    /// It answered.
    #[serde(rename = "mcp_list_tools.completed")]
    McpListCompleted(Plain),
    /// It did not.
    #[serde(rename = "mcp_list_tools.failed")]
    McpListFailed(Plain),
    /// What is left of the account's limits (OpenAI, not Azure).
    #[serde(rename = "rate_limits.updated")]
    RateLimits(Plain),
    /// Everything else, as it came.
    #[serde(untagged)]
    Unknown(Value),
}

impl ServerEvent {
    /// Reads one text frame. A known event whose members have unexpected shapes becomes `Unknown`.
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
}

/// `session.created`, `session.updated`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct SessionEvent {
    /// The effective session.
    pub session: SessionObject,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `error`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ErrorEvent {
    /// What went wrong.
    pub error: ErrorBody,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `conversation.item.added`, `.created`, `.done`, `.retrieved`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ItemEvent {
    /// The item before it; do not lean on it.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub previous_item_id: Maybe<String>,
    /// The item.
    pub item: Item,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `conversation.item.deleted`, `.truncated`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ItemIdEvent {
    /// The item.
    pub item_id: String,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `conversation.item.input_audio_transcription.delta`, `.completed`, `.segment`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Transcription {
    /// The caller's item.
    pub item_id: String,
    /// Of a delta.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub delta: Maybe<String>,
    /// Of a completed one.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub transcript: Maybe<String>,
    /// Of a segment.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub text: Maybe<String>,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `conversation.item.input_audio_transcription.failed`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct TranscriptionFailed {
    /// The caller's item.
    pub item_id: String,
    /// Why.
    pub error: ErrorBody,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `input_audio_buffer.speech_started`, `.speech_stopped`, `.committed`, `.timeout_triggered`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct BufferEvent {
    /// The caller's item this becomes.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub item_id: Maybe<String>,
    /// The item before it.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub previous_item_id: Maybe<String>,
    /// Milliseconds of appended audio, prefix padding included.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub audio_start_ms: Maybe<Number>,
    /// Milliseconds of appended audio.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub audio_end_ms: Maybe<Number>,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `response.created`, `response.done`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ResponseEvent {
    /// The response.
    pub response: Response,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `response.output_item.added`, `.done`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct OutputItem {
    /// The response.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub response_id: Maybe<String>,
    /// The item.
    pub item: Item,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `response.content_part.added`, `.done`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ContentPartEvent {
    /// The response.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub response_id: Maybe<String>,
    /// The item.
    pub item_id: String,
    /// The part (Azure repeats it as `content`).
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub part: Maybe<ContentPart>,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A piece of text, of a transcript, or of audio (base64), and `response.audio_timestamp.delta`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct TextDelta {
    /// The response.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub response_id: Maybe<String>,
    /// The item.
    pub item_id: String,
    /// The piece.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub delta: Maybe<String>,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The end of a text, a transcript, or an item's audio.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct TextDone {
    /// The response.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub response_id: Maybe<String>,
    /// The item.
    pub item_id: String,
    /// Of a text.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub text: Maybe<String>,
    /// Of a transcript.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub transcript: Maybe<String>,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `response.function_call_arguments.delta`, `response.mcp_call_arguments.delta`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ArgumentsDelta {
    /// The response.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub response_id: Maybe<String>,
    /// The item.
    pub item_id: String,
    /// The call.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub call_id: Maybe<String>,
    /// The piece.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub delta: Maybe<String>,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `response.function_call_arguments.done`, `response.mcp_call_arguments.done`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Arguments {
    /// The response.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub response_id: Maybe<String>,
    /// The item.
    pub item_id: String,
    /// The call.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub call_id: Maybe<String>,
    /// The tool; not in the preview.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub name: Maybe<String>,
    /// JSON text.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub arguments: Maybe<String>,
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// An event whose members nobody here needs by name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Plain {
    /// Everything else, `event_id` included.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}
