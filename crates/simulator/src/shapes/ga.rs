//! The GA session object.

use serde_json::{Map, Value, json};

use super::{
    Settings, check_tools, known, number_within, object, one_of, set, token_limit, transcription, turn_detection, turns,
};
use crate::format::WireFormat;
use crate::refusal::Refusal;

/// The text that stands in for the service's own default instructions.
const DEFAULT_INSTRUCTIONS: &str = "You are a helpful voice assistant. Answer briefly.";

fn server_vad() -> Value {
    json!({
        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200,
        "idle_timeout_ms": null, "create_response": true, "interrupt_response": true,
    })
}

pub(crate) fn initial(id: &str, model: &str, expires_at: u64) -> Value {
    json!({
        "type": "realtime", "object": "realtime.session", "id": id, "model": model,
        "output_modalities": ["audio"], "instructions": DEFAULT_INSTRUCTIONS,
        "tools": [], "tool_choice": "auto", "max_output_tokens": "inf", "tracing": null, "truncation": "auto",
        "prompt": null, "expires_at": expires_at,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000}, "transcription": null, "noise_reduction": null,
                "turn_detection": server_vad(),
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
        },
        "include": null,
    })
}

pub(crate) fn apply(session: &mut Value, update: &Map<String, Value>) -> Result<(), Refusal> {
    match update.get("type").and_then(Value::as_str) {
        None => return Err(Refusal::missing("session.type")),
        Some("realtime") => {}
        Some(_) => {
            let got = update.get("type").unwrap_or(&Value::Null);
            return Err(Refusal::value("session.type", got, "This session is of type 'realtime'."));
        }
    }
    for (key, value) in update {
        let at = format!("session.{key}");
        match key.as_str() {
            // A deployment's name need not be its model's: neither compared nor changed.
            "type" | "model" => {}
            "instructions" => {
                let text = if value.is_null() { Some("") } else { value.as_str() };
                let text = text.ok_or_else(|| Refusal::kind_of(&at, value, "a string"))?;
                set(session, key, Value::from(if text.is_empty() { DEFAULT_INSTRUCTIONS } else { text }));
            }
            "output_modalities" => {
                if *value != json!(["audio"]) && *value != json!(["text"]) {
                    return Err(Refusal::value(&at, value, "Supported combinations are: ['text'] and ['audio']."));
                }
                set(session, key, value.clone());
            }
            "max_output_tokens" => {
                token_limit(value, &at)?;
                set(session, key, value.clone());
            }
            "tools" => {
                let value = if value.is_null() { json!([]) } else { value.clone() };
                check_tools(&value, &at)?;
                set(session, key, value);
            }
            "tool_choice" => {
                if value.is_string() {
                    one_of(value, &at, &["auto", "none", "required"])?;
                }
                set(session, key, value.clone());
            }
            "tracing" | "truncation" | "prompt" | "include" | "reasoning" | "parallel_tool_calls" => {
                set(session, key, value.clone());
            }
            "audio" => apply_audio(session, object(value, &at)?)?,
            _ => return Err(Refusal::unknown(&at)),
        }
    }
    Ok(())
}

fn apply_audio(session: &mut Value, update: &Map<String, Value>) -> Result<(), Refusal> {
    known(update, "session.audio", &["input", "output"])?;
    for (side, members) in update {
        let at = format!("session.audio.{side}");
        let Some(target) = session.get_mut("audio").and_then(|audio| audio.get_mut(side)) else { continue };
        for (key, value) in object(members, &at)? {
            let at = format!("{at}.{key}");
            let value = match (side.as_str(), key.as_str()) {
                (_, "format") => format(value, &at)?,
                ("input", "transcription") => transcription(value, &at)?,
                ("input", "noise_reduction") => {
                    if !value.is_null() {
                        let kind =
                            object(value, &at)?.get("type").ok_or_else(|| Refusal::missing(&format!("{at}.type")))?;
                        one_of(kind, &format!("{at}.type"), &["near_field", "far_field"])?;
                    }
                    value.clone()
                }
                ("input", "turn_detection") => turn_detection(value, &at, &kinds(), true)?,
                ("output", "voice") => {
                    if value.as_str().is_none_or(str::is_empty) && value.get("id").is_none() {
                        return Err(Refusal::kind_of(&at, value, "the name of a voice"));
                    }
                    value.clone()
                }
                ("output", "speed") => {
                    number_within(value, &at, 0.25, 1.5)?;
                    value.clone()
                }
                _ => return Err(Refusal::unknown(&at)),
            };
            set(target, key, value);
        }
    }
    Ok(())
}

fn kinds() -> [(&'static str, Value); 2] {
    let semantic =
        json!({"type": "semantic_vad", "eagerness": "auto", "create_response": true, "interrupt_response": true});
    [("server_vad", server_vad()), ("semantic_vad", semantic)]
}

/// The echo of a format object; PCM is 24 kHz and nothing else.
pub(crate) fn format(value: &Value, at: &str) -> Result<Value, Refusal> {
    let object = object(value, at)?;
    let kind = object.get("type").ok_or_else(|| Refusal::missing(&format!("{at}.type")))?;
    one_of(kind, &format!("{at}.type"), &["audio/pcm", "audio/pcmu", "audio/pcma"])?;
    if kind != "audio/pcm" {
        known(object, at, &["type"])?;
        return Ok(json!({"type": kind}));
    }
    known(object, at, &["type", "rate"])?;
    match object.get("rate") {
        None => {}
        Some(rate) if rate.as_u64() == Some(24_000) => {}
        Some(rate) => return Err(Refusal::value(&format!("{at}.rate"), rate, "Supported values are: 24000.")),
    }
    Ok(json!({"type": "audio/pcm", "rate": 24000}))
}

/// What a checked format object means.
pub(crate) fn wire_format(value: Option<&Value>) -> WireFormat {
    match value.and_then(|format| format.get("type")).and_then(Value::as_str) {
        Some("audio/pcmu") => WireFormat::Pcmu,
        Some("audio/pcma") => WireFormat::Pcma,
        _ => WireFormat::Pcm24k,
    }
}

pub(crate) fn settings(session: &Value) -> Settings {
    let at = |path: &str| session.pointer(path).unwrap_or(&Value::Null);
    Settings {
        input: wire_format(session.pointer("/audio/input/format")),
        output: wire_format(session.pointer("/audio/output/format")),
        turns: turns(at("/audio/input/turn_detection")),
        transcription: at("/audio/input/transcription/model").as_str().map(str::to_owned),
        text_only: *at("/output_modalities") == json!(["text"]),
        instructions: at("/instructions").as_str().unwrap_or_default().to_owned(),
        voice: at("/audio/output/voice").clone(),
        tools: at("/tools").as_array().cloned().unwrap_or_default(),
        tool_choice: at("/tool_choice").clone(),
        max_output_tokens: at("/max_output_tokens").as_u64(),
    }
}
