//! `session.update` as each API wants it.

use serde_json::{Map, Value, json};
use trunkline_media::ModelFormat;

use super::{Api, SessionProfile, ToolSpec, TurnDetection};

const OPENAI_VOICES: [&str; 10] =
    ["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"];

pub(super) fn is_openai_voice(name: &str) -> bool {
    OPENAI_VOICES.contains(&name)
}

pub(super) fn session_update(profile: &SessionProfile, event_id: &str, with_voice: bool) -> Value {
    let voice = profile.voice.as_deref().filter(|_| with_voice);
    let session = match profile.api {
        Api::Ga => nested(profile, voice),
        Api::Preview | Api::VoiceLive => flat(profile, voice),
    };
    let mut event = object(json!({ "type": "session.update", "session": session }));
    if !event_id.is_empty() {
        event.insert("event_id".into(), event_id.into());
    }
    Value::Object(event)
}

/// GA: sound below `audio`, `type` mandatory. `output_modalities` is explicit, as text history tempts models into text.
fn nested(profile: &SessionProfile, voice: Option<&str>) -> Value {
    let mut input = object(json!({ "format": ga_format(profile.format), "turn_detection": turns(profile) }));
    put(&mut input, "transcription", transcription(profile));
    put(&mut input, "noise_reduction", noise_reduction(profile));
    let mut output = object(json!({ "format": ga_format(profile.format) }));
    put(&mut output, "voice", voice.map(Value::from));
    put(&mut output, "speed", profile.speed.map(Value::from));
    let mut session = object(json!({
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": { "input": input, "output": output },
    }));
    put(&mut session, "max_output_tokens", profile.max_output_tokens.map(Value::from));
    common(&mut session, profile);
    Value::Object(session)
}

/// Preview and Voice Live: everything on one level.
fn flat(profile: &SessionProfile, voice: Option<&str>) -> Value {
    let (input, output, rate) = flat_formats(profile.format);
    let mut session = object(json!({
        "modalities": ["audio", "text"],
        "input_audio_format": input,
        "output_audio_format": output,
        "turn_detection": turns(profile),
    }));
    if profile.api == Api::VoiceLive {
        session.insert("input_audio_sampling_rate".into(), rate.into());
        put(&mut session, "voice", voice.map(|name| live_voice(name, profile.speed)));
    } else {
        put(&mut session, "voice", voice.map(Value::from));
        put(&mut session, "speed", profile.speed.map(Value::from));
    }
    put(&mut session, "input_audio_transcription", transcription(profile));
    put(&mut session, "input_audio_noise_reduction", noise_reduction(profile));
    put(&mut session, "max_response_output_tokens", profile.max_output_tokens.map(Value::from));
    common(&mut session, profile);
    Value::Object(session)
}

fn common(session: &mut Map<String, Value>, profile: &SessionProfile) {
    put(session, "instructions", profile.instructions.as_deref().map(Value::from));
    let tools: Vec<Value> = profile.tools.iter().map(tool).collect();
    session.insert("tools".into(), tools.into());
    session.insert("tool_choice".into(), "auto".into());
}

/// Function declarations are flat here: no nested `function` object as in the chat API.
fn tool(spec: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "name": spec.name,
        "description": spec.description,
        "parameters": spec.parameters,
    })
}

fn turns(profile: &SessionProfile) -> Value {
    match &profile.turn_detection {
        TurnDetection::ServerVad {
            threshold,
            prefix_padding_ms,
            silence_duration_ms,
            idle_timeout_ms,
            create_response,
            interrupt_response,
        } => {
            let mut turns = object(json!({
                "type": "server_vad",
                "threshold": threshold,
                "prefix_padding_ms": prefix_padding_ms,
                "silence_duration_ms": silence_duration_ms,
                "create_response": create_response,
                "interrupt_response": interrupt_response,
            }));
            if profile.api != Api::Preview {
                turns.insert("idle_timeout_ms".into(), (*idle_timeout_ms).into());
            }
            Value::Object(turns)
        }
        TurnDetection::SemanticVad { eagerness, create_response, interrupt_response } => json!({
            "type": "semantic_vad",
            "eagerness": eagerness,
            "create_response": create_response,
            "interrupt_response": interrupt_response,
        }),
    }
}

pub(super) fn ga_format(format: ModelFormat) -> Value {
    match format {
        ModelFormat::Pcmu => json!({ "type": "audio/pcmu" }),
        ModelFormat::Pcma => json!({ "type": "audio/pcma" }),
        ModelFormat::Pcm24k | ModelFormat::Pcm16k => json!({ "type": "audio/pcm", "rate": format.rate() }),
    }
}

/// Input name, output name, input rate in Hz.
pub(super) fn flat_formats(format: ModelFormat) -> (&'static str, &'static str, u32) {
    match format {
        ModelFormat::Pcm24k => ("pcm16", "pcm16", 24_000),
        ModelFormat::Pcm16k => ("pcm16", "pcm16_16000hz", 16_000),
        ModelFormat::Pcmu => ("g711_ulaw", "g711_ulaw", 8_000),
        ModelFormat::Pcma => ("g711_alaw", "g711_alaw", 8_000),
    }
}

fn live_voice(name: &str, speed: Option<f64>) -> Value {
    if is_openai_voice(name) {
        return json!({ "type": "openai", "name": name });
    }
    let mut voice = object(json!({ "type": "azure-standard", "name": name }));
    put(&mut voice, "rate", speed.map(|speed| speed.to_string().into()));
    Value::Object(voice)
}

fn transcription(profile: &SessionProfile) -> Option<Value> {
    profile.transcription_model.as_deref().map(|model| json!({ "model": model }))
}

fn noise_reduction(profile: &SessionProfile) -> Option<Value> {
    profile.noise_reduction.as_deref().map(|kind| json!({ "type": kind }))
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value);
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
