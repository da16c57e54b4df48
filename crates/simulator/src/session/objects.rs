//! The `response` object and the items inside it, in each dialect.

use serde_json::{Value, json};

use super::SimSession;
use super::running::Running;
use crate::dialect::Dialect;
use crate::format::WireFormat;
use crate::ladder::{Ending, Output};
use crate::shapes;

impl SimSession {
    /// The item of the output that is being said.
    pub(super) fn item_json(&self, running: &Running, status: &str) -> Value {
        let Some(open) = &running.open else { return Value::Null };
        let item = match running.output() {
            Some(Output::Call { name, call_id, .. }) => json!({
                "id": open.item_id, "type": "function_call", "status": status, "name": name, "call_id": call_id,
                "arguments": open.said,
            }),
            output => {
                let content = match output {
                    _ if !open.part => json!([]),
                    Some(Output::Text(_)) => json!([{"type": self.dialect.text_content(), "text": open.said}]),
                    _ => json!([{"type": self.dialect.audio_content(), "transcript": open.said}]),
                };
                json!({"id": open.item_id, "type": "message", "status": status, "role": "assistant", "content": content})
            }
        };
        self.own(item)
    }

    pub(super) fn response_json(&self, running: &Running, status: &str) -> Value {
        let request = &running.request;
        let details = match &running.ending {
            _ if status == "in_progress" => Value::Null,
            Ending::Completed => Value::Null,
            Ending::Cancelled(reason) => json!({"type": "cancelled", "reason": reason}),
            Ending::Incomplete(reason) => json!({"type": "incomplete", "reason": reason}),
            Ending::Failed(code) => json!({"type": "failed", "error": failure(code)}),
        };
        let usage = if status == "in_progress" { Value::Null } else { self.usage(running) };
        let conversation_id = if request.out_of_band { Value::Null } else { self.conversation_id.as_str().into() };
        let max_output_tokens = request.max_output_tokens.map_or_else(|| "inf".into(), Value::from);
        let mut response = json!({
            "object": "realtime.response", "id": running.id, "status": status, "status_details": details, "output": running.items,
            "conversation_id": conversation_id, "max_output_tokens": max_output_tokens, "usage": usage,
            "metadata": request.metadata,
        });
        let own = if self.dialect.is_ga() {
            let modality = if request.text_only { "text" } else { "audio" };
            let output = json!({"format": ga_format(request.format), "voice": request.voice});
            json!({"output_modalities": [modality], "audio": {"output": output}})
        } else {
            let modalities = match self.dialect {
                _ if request.text_only => json!(["text"]),
                Dialect::VoiceLive => json!(["text", "audio"]),
                _ => json!(["audio", "text"]),
            };
            let temperature = if self.dialect == Dialect::Preview { json!(0.8) } else { Value::Null };
            json!({
                "modalities": modalities, "voice": request.voice, "output_audio_format": flat_format(request.format),
                "temperature": temperature,
            })
        };
        if let (Some(response), Value::Object(own)) = (response.as_object_mut(), own) {
            response.extend(own);
        }
        response
    }

    /// Counts that a client can add up; nothing is billed for a response without output.
    fn usage(&self, running: &Running) -> Value {
        let audio = if running.items.is_empty() {
            0
        } else {
            running.sent / (running.request.format.bytes_per_ms() as u64 * 50)
        };
        let text: u64 = running.items.iter().map(|item| item.to_string().len() as u64 / 12).sum();
        let input = if running.items.is_empty() { 0 } else { 120 };
        let mut details = json!({
            "text_tokens": input, "audio_tokens": 0, "cached_tokens": 0, "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0},
        });
        if self.dialect != Dialect::Preview {
            shapes::set(&mut details, "image_tokens", json!(0));
            if let Some(cached) = details.get_mut("cached_tokens_details") {
                shapes::set(cached, "image_tokens", json!(0));
            }
        }
        let mut output = json!({"text_tokens": text, "audio_tokens": audio});
        if self.dialect == Dialect::VoiceLive {
            shapes::set(&mut output, "reasoning_tokens", json!(0));
        }
        json!({
            "total_tokens": input + audio + text, "input_tokens": input, "output_tokens": audio + text,
            "input_token_details": details, "output_token_details": output,
        })
    }
}

fn ga_format(format: WireFormat) -> Value {
    match format {
        WireFormat::Pcmu => json!({"type": "audio/pcmu"}),
        WireFormat::Pcma => json!({"type": "audio/pcma"}),
        _ => json!({"type": "audio/pcm", "rate": 24_000}),
    }
}

fn flat_format(format: WireFormat) -> &'static str {
    match format {
        WireFormat::Pcm24k => "pcm16",
        WireFormat::Pcm16k => "pcm16_16000hz",
        WireFormat::Pcm8k => "pcm16_8000hz",
        WireFormat::Pcmu => "g711_ulaw",
        WireFormat::Pcma => "g711_alaw",
    }
}

/// The error of a failed response, with the type and words that go with its code.
fn failure(code: &str) -> Value {
    match code {
        "inference_rate_limit_exceeded" => {
            json!({"type": "rate_limit_exceeded", "code": code, "message": "Rate limit reached for this deployment. Retry later."})
        }
        "rate_limit_exceeded" => {
            json!({"type": "tokens", "code": code, "message": "Rate limit reached on tokens per min (TPM). Please try again in 3.2s."})
        }
        "insufficient_quota" => json!({"type": code, "code": code, "message": "You exceeded your current quota."}),
        "server_error" => {
            json!({"type": code, "code": null, "message": "The server had an error while processing your request."})
        }
        _ => json!({"type": "server_error", "code": code, "message": "The response failed."}),
    }
}
