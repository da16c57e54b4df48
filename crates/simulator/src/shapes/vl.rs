//! The Voice Live session object: flat like the preview, with more in it. The API grows with every version, so unknown members are
//! kept and echoed; the known ones are checked.

use serde_json::{Map, Value, json};

use super::{check_tools, object, one_of, set, token_limit, turn_detection};
use crate::refusal::Refusal;

fn server_vad() -> Value {
    json!({
        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 400, "silence_duration_ms": 500, "speech_duration_ms": null,
        "end_of_utterance_detection": null, "create_response": true, "interrupt_response": true, "auto_truncate": false,
        "appended_text_after_truncation": null, "idle_timeout_ms": null,
    })
}

pub(crate) fn initial(id: &str, model: &str, expires_at: u64) -> Value {
    json!({
        "id": id, "model": model, "modalities": ["text", "audio"], "instructions": "",
        "voice": {"name": "alloy", "type": "openai"}, "input_audio_format": "pcm16", "output_audio_format": null,
        "input_audio_sampling_rate": 24000, "input_audio_transcription": null, "input_audio_noise_reduction": null,
        "input_audio_echo_cancellation": null, "turn_detection": server_vad(), "tools": [], "tool_choice": "auto",
        "max_response_output_tokens": "inf", "expires_at": expires_at, "object": "realtime.session", "animation": null,
        "avatar": null, "output_audio_timestamp_types": null, "truncation_strategy": null, "include": null, "greeting": null,
        "handoff": null,
    })
}

pub(crate) fn apply(session: &mut Value, update: &Map<String, Value>) -> Result<(), Refusal> {
    for (key, value) in update {
        let at = format!("session.{key}");
        let value = match key.as_str() {
            "id" | "object" | "model" | "expires_at" => continue,
            "voice" => {
                if let Some(name) = value.as_str() {
                    json!({"name": name, "type": "openai"})
                } else {
                    object(value, &at)?.get("type").ok_or_else(|| Refusal::missing(&format!("{at}.type")))?;
                    value.clone()
                }
            }
            "input_audio_format" => {
                one_of(value, &at, &["pcm16", "g711_ulaw", "g711_alaw"])?;
                value.clone()
            }
            "output_audio_format" if !value.is_null() => {
                one_of(value, &at, &["pcm16", "pcm16_8000hz", "pcm16_16000hz", "g711_ulaw", "g711_alaw"])?;
                value.clone()
            }
            "input_audio_sampling_rate" => {
                if !value.is_null() && ![8_000, 16_000, 24_000].map(Some).contains(&value.as_u64()) {
                    return Err(Refusal::new("invalid_value", "Unsupported sampling rate.").at(at));
                }
                value.clone()
            }
            "turn_detection" => turn_detection(value, &at, &kinds(), false)?,
            "tools" => {
                check_tools(value, &at)?;
                value.clone()
            }
            "max_response_output_tokens" => {
                token_limit(value, &at)?;
                value.clone()
            }
            _ => value.clone(),
        };
        set(session, key, value);
    }
    // G.711 is 8 kHz whatever stood there before.
    if session.get("input_audio_format").and_then(Value::as_str).is_some_and(|word| word.starts_with("g711")) {
        set(session, "input_audio_sampling_rate", json!(8000));
    }
    Ok(())
}

fn kinds() -> [(&'static str, Value); 5] {
    let azure = |kind: &str| {
        let mut full = server_vad();
        for (key, value) in
            [("type", json!(kind)), ("prefix_padding_ms", json!(300)), ("speech_duration_ms", json!(80))]
        {
            set(&mut full, key, value);
        }
        for (key, value) in [("remove_filler_words", json!(false)), ("languages", json!(["en"]))] {
            set(&mut full, key, value);
        }
        full
    };
    let semantic =
        json!({"type": "semantic_vad", "eagerness": "auto", "create_response": true, "interrupt_response": true});
    [
        ("server_vad", server_vad()),
        ("semantic_vad", semantic),
        ("azure_semantic_vad", azure("azure_semantic_vad")),
        ("azure_semantic_vad_en", azure("azure_semantic_vad_en")),
        ("azure_semantic_vad_multilingual", azure("azure_semantic_vad_multilingual")),
    ]
}
