//! The preview session object: flat.

use serde_json::{Map, Value, json};

use super::{
    Settings, check_tools, number_within, object, one_of, set, token_limit, transcription, turn_detection, turns,
};
use crate::format::WireFormat;
use crate::refusal::Refusal;

const DEFAULT_INSTRUCTIONS: &str = "You are a helpful voice assistant. Answer briefly.";

fn server_vad() -> Value {
    json!({
        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200,
        "create_response": true, "interrupt_response": true,
    })
}

pub(crate) fn initial(id: &str, model: &str, expires_at: u64) -> Value {
    json!({
        "id": id, "object": "realtime.session", "model": model, "expires_at": expires_at,
        "modalities": ["audio", "text"], "instructions": DEFAULT_INSTRUCTIONS, "voice": "alloy", "turn_detection": server_vad(),
        "input_audio_format": "pcm16", "output_audio_format": "pcm16", "input_audio_transcription": null,
        "input_audio_noise_reduction": null, "tool_choice": "auto", "temperature": 0.8, "max_response_output_tokens": "inf",
        "client_secret": null, "tools": [], "speed": 1.0, "tracing": null,
    })
}

pub(crate) fn apply(session: &mut Value, update: &Map<String, Value>) -> Result<(), Refusal> {
    for (key, value) in update {
        let at = format!("session.{key}");
        let value = match key.as_str() {
            "model" | "client_secret" => continue,
            "instructions" => {
                let text = if value.is_null() { Some("") } else { value.as_str() };
                let text = text.ok_or_else(|| Refusal::kind_of(&at, value, "a string"))?;
                Value::from(if text.is_empty() { DEFAULT_INSTRUCTIONS } else { text })
            }
            "modalities" => modalities(value, &at)?,
            "voice" => {
                if value.as_str().is_none_or(str::is_empty) {
                    return Err(Refusal::kind_of(&at, value, "the name of a voice"));
                }
                value.clone()
            }
            "input_audio_format" | "output_audio_format" => {
                one_of(value, &at, &["pcm16", "g711_ulaw", "g711_alaw"])?;
                value.clone()
            }
            "input_audio_transcription" => transcription(value, &at)?,
            "input_audio_noise_reduction" => {
                if !value.is_null() {
                    let kind =
                        object(value, &at)?.get("type").ok_or_else(|| Refusal::missing(&format!("{at}.type")))?;
                    one_of(kind, &format!("{at}.type"), &["near_field", "far_field"])?;
                }
                value.clone()
            }
            "turn_detection" => turn_detection(value, &at, &kinds(), true)?,
            "tools" => {
                let tools = if value.is_null() { json!([]) } else { value.clone() };
                check_tools(&tools, &at)?;
                tools
            }
            "temperature" => {
                number_within(value, &at, 0.6, 1.2)?;
                value.clone()
            }
            "max_response_output_tokens" => {
                token_limit(value, &at)?;
                value.clone()
            }
            "speed" => {
                number_within(value, &at, 0.25, 1.5)?;
                value.clone()
            }
            "tool_choice" | "tracing" => value.clone(),
            _ => return Err(Refusal::unknown(&at)),
        };
        set(session, key, value);
    }
    Ok(())
}

/// Text alone, or both: the preview has no audio without text.
pub(crate) fn modalities(value: &Value, at: &str) -> Result<Value, Refusal> {
    let list = value.as_array().ok_or_else(|| Refusal::kind_of(at, value, "an array of strings"))?;
    let has = |name: &str| list.iter().any(|entry| entry == name);
    if !has("text") || list.iter().any(|entry| entry != "text" && entry != "audio") {
        return Err(Refusal::value(at, value, "Supported combinations are: ['text'] and ['audio', 'text']."));
    }
    Ok(value.clone())
}

fn kinds() -> [(&'static str, Value); 2] {
    let semantic =
        json!({"type": "semantic_vad", "eagerness": "auto", "create_response": true, "interrupt_response": true});
    [("server_vad", server_vad()), ("semantic_vad", semantic)]
}

/// What a format word means, at the rate that Voice Live states beside it (24000 elsewhere).
pub(crate) fn wire_format(word: Option<&str>, pcm_rate: u64) -> WireFormat {
    match word {
        Some("g711_ulaw") => WireFormat::Pcmu,
        Some("g711_alaw") => WireFormat::Pcma,
        Some("pcm16_8000hz") => WireFormat::Pcm8k,
        Some("pcm16_16000hz") => WireFormat::Pcm16k,
        _ => match pcm_rate {
            8_000 => WireFormat::Pcm8k,
            16_000 => WireFormat::Pcm16k,
            _ => WireFormat::Pcm24k,
        },
    }
}

/// Serves Voice Live too, whose members of these names mean the same.
pub(crate) fn settings(session: &Value) -> Settings {
    let at = |key: &str| session.get(key).unwrap_or(&Value::Null);
    let rate = at("input_audio_sampling_rate").as_u64().unwrap_or(24_000);
    let modalities = at("modalities").as_array();
    Settings {
        input: wire_format(at("input_audio_format").as_str(), rate),
        output: wire_format(at("output_audio_format").as_str(), 24_000),
        turns: turns(at("turn_detection")),
        transcription: at("input_audio_transcription").get("model").and_then(Value::as_str).map(str::to_owned),
        text_only: modalities.is_some_and(|list| !list.iter().any(|entry| entry == "audio")),
        instructions: at("instructions").as_str().unwrap_or_default().to_owned(),
        voice: at("voice").clone(),
        tools: at("tools").as_array().cloned().unwrap_or_default(),
        tool_choice: at("tool_choice").clone(),
        max_output_tokens: at("max_response_output_tokens").as_u64(),
    }
}
