//! What events are made of: items, responses, sessions, errors.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::Maybe;

/// One item of the conversation: a message, a tool call, its output, or something newer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Item {
    /// The item's id.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub id: Maybe<String>,
    /// `message`, `function_call`, `function_call_output`, `mcp_...`.
    #[serde(default, rename = "type", skip_serializing_if = "Maybe::is_absent")]
    pub kind: Maybe<String>,
    /// `in_progress`, `completed`, `incomplete`.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub status: Maybe<String>,
    /// Of a message: `user`, `assistant`, `system`.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub role: Maybe<String>,
    /// Of a message: its parts.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub content: Maybe<Vec<ContentPart>>,
    /// Of a tool call and its output: what ties them together.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub call_id: Maybe<String>,
    /// Of a tool call: the tool.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub name: Maybe<String>,
    /// Of a tool call: JSON text.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub arguments: Maybe<String>,
    /// Of a tool's output.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub output: Maybe<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Item {
    /// Whether this is a tool call.
    #[must_use]
    pub fn is_function_call(&self) -> bool {
        self.kind.text() == Some("function_call")
    }

    /// A message of one text part; `part` is the part's type (`input_text`, `output_text`, `text`).
    #[must_use]
    pub fn message(id: &str, role: &str, part: &str, text: &str) -> Self {
        let content =
            ContentPart { kind: part.to_owned().into(), text: text.to_owned().into(), ..ContentPart::default() };
        Self {
            id: id.to_owned().into(),
            kind: "message".to_owned().into(),
            role: role.to_owned().into(),
            content: vec![content].into(),
            ..Self::default()
        }
    }

    /// A tool call as history.
    #[must_use]
    pub fn function_call(id: &str, call_id: &str, name: &str, arguments: &str) -> Self {
        Self {
            id: id.to_owned().into(),
            kind: "function_call".to_owned().into(),
            call_id: call_id.to_owned().into(),
            name: name.to_owned().into(),
            arguments: arguments.to_owned().into(),
            ..Self::default()
        }
    }

    /// What a tool answered.
    #[must_use]
    pub fn function_call_output(id: &str, call_id: &str, output: &str) -> Self {
        Self {
            id: id.to_owned().into(),
            kind: "function_call_output".to_owned().into(),
            call_id: call_id.to_owned().into(),
            output: output.to_owned().into(),
            ..Self::default()
        }
    }
}

/// One part of a message.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ContentPart {
    /// GA: `input_text`, `input_audio`, `output_text`, `output_audio`; elsewhere also `text`, `audio`.
    #[serde(default, rename = "type", skip_serializing_if = "Maybe::is_absent")]
    pub kind: Maybe<String>,
    /// Of a text part.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub text: Maybe<String>,
    /// Of an audio part.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub transcript: Maybe<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A response: one turn of the model.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Response {
    /// The response's id.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub id: Maybe<String>,
    /// `in_progress`, `completed`, `cancelled`, `incomplete`, `failed`.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub status: Maybe<String>,
    /// Why it was cancelled, cut short or failed.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub status_details: Maybe<StatusDetails>,
    /// The items it made.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub output: Maybe<Vec<Item>>,
    /// Null for a response outside the conversation.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub conversation_id: Maybe<String>,
    /// Everything else: usage, metadata, formats.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Why a response ended the way it did.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct StatusDetails {
    /// `turn_detected`, `client_cancelled`, `max_output_tokens`, `content_filter`.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub reason: Maybe<String>,
    /// Of a failed response.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub error: Maybe<ErrorBody>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// An error as the model words it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ErrorBody {
    /// The kind: `invalid_request_error`, `server_error`.
    #[serde(default, rename = "type", skip_serializing_if = "Maybe::is_absent")]
    pub kind: Maybe<String>,
    /// The code, null for some errors.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub code: Maybe<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub message: Maybe<String>,
    /// The member that was wrong.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub param: Maybe<String>,
    /// The `event_id` of the event of ours that was wrong, if it had one.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub event_id: Maybe<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl ErrorBody {
    /// The code, or the kind where there is none, or `unknown`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.code.text().or_else(|| self.kind.text()).unwrap_or("unknown")
    }

    /// The message, possibly empty.
    #[must_use]
    pub fn words(&self) -> &str {
        self.message.text().unwrap_or_default()
    }
}

/// A session's settings: asked for in `session.update`, echoed in `session.created` and `session.updated`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct SessionObject {
    /// GA only: `realtime` (or `transcription`).
    #[serde(default, rename = "type", skip_serializing_if = "Maybe::is_absent")]
    pub kind: Maybe<String>,
    /// The session's id.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub id: Maybe<String>,
    /// When it ends, Unix seconds.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub expires_at: Maybe<Number>,
    /// The system prompt.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub instructions: Maybe<String>,
    /// GA: everything about sound.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub audio: Maybe<AudioSettings>,
    /// Preview and Voice Live: `pcm16`, `g711_ulaw`, `g711_alaw`.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub input_audio_format: Maybe<String>,
    /// Voice Live: Hz.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub input_audio_sampling_rate: Maybe<Number>,
    /// Preview and Voice Live: also `pcm16_8000hz`, `pcm16_16000hz`.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub output_audio_format: Maybe<String>,
    /// Preview: a name; Voice Live: an object.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub voice: Maybe<Value>,
    /// Preview and Voice Live.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub turn_detection: Maybe<Value>,
    /// Flat function declarations, MCP servers.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub tools: Maybe<Vec<Value>>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// GA: both directions of sound.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct AudioSettings {
    /// Caller to model.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub input: Maybe<StreamSettings>,
    /// Model to caller.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub output: Maybe<StreamSettings>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// GA: one direction of sound.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct StreamSettings {
    /// `{"type":"audio/pcm","rate":24000}`, `{"type":"audio/pcmu"}`, `{"type":"audio/pcma"}`.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub format: Maybe<Value>,
    /// Input only.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub turn_detection: Maybe<Value>,
    /// Output only: a name or `{"id":...}`.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub voice: Maybe<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}
