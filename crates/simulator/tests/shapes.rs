//! The members of every event are those of recorded traffic, in each dialect.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;

use common::{Client, OPENED, fixture, speech_24k};
use serde_json::{Value, json};
use trunkline_simulator::{Dialect, SimOptions};

/// Paths of all members; entries of lists count as one.
fn paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            let at = format!("{at}/{key}");
            paths(value, &at, found);
            found.insert(at);
        }),
        Value::Array(entries) => entries.iter().for_each(|entry| paths(entry, &format!("{at}[]"), found)),
        _ => {}
    }
}

fn assert_same_members(got: &Value, wanted: &Value, what: &str) {
    let (mut a, mut b) = (BTreeSet::new(), BTreeSet::new());
    paths(got, "", &mut a);
    paths(wanted, "", &mut b);
    assert_eq!(a, b, "{what}: {got}");
}

const TOOL: &str = r#"{"type":"function","name":"end_call","description":"d","parameters":{"type":"object","properties":{"reason":{"type":"string"}}}}"#;

fn conversation(client: &mut Client) {
    let mut audio = vec![0; 48 * 500];
    audio.extend(speech_24k("librivox_austen_0880_16k.wav"));
    audio.extend(vec![0; 48 * 3_000]);
    client.speak(&audio, 48);
    client.run(3_000);
    client.user_text("#tool end_call {\"reason\":\"over\"}");
    client.respond();
    client.run(3_000);
}

#[test]
fn ga() {
    let mut client = Client::ga(SimOptions::default());
    let tool: Value = serde_json::from_str(TOOL).unwrap();
    client.update(json!({"tools": [tool], "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}}));
    conversation(&mut client);
    for (name, kind) in [
        ("session.created", "session.created"),
        ("input_audio_buffer.speech_started", "input_audio_buffer.speech_started"),
        ("input_audio_buffer.speech_stopped", "input_audio_buffer.speech_stopped"),
        ("input_audio_buffer.committed", "input_audio_buffer.committed"),
        ("conversation.item.added.user_audio", "conversation.item.added"),
        ("response.created", "response.created"),
        ("response.output_item.added.message", "response.output_item.added"),
        ("response.content_part.added.audio_azure_dup", "response.content_part.added"),
        ("response.content_part.done.audio_azure_dup", "response.content_part.done"),
        ("response.output_audio.delta.pcm_100ms", "response.output_audio.delta"),
        ("response.output_audio_transcript.delta", "response.output_audio_transcript.delta"),
        ("response.output_audio_transcript.done", "response.output_audio_transcript.done"),
        ("response.output_audio.done", "response.output_audio.done"),
        ("response.output_item.done.message", "response.output_item.done"),
        ("response.done.completed", "response.done"),
        ("response.function_call_arguments.delta", "response.function_call_arguments.delta"),
        ("response.function_call_arguments.done", "response.function_call_arguments.done"),
        ("conversation.item.input_audio_transcription.delta", "conversation.item.input_audio_transcription.delta"),
        (
            "conversation.item.input_audio_transcription.completed",
            "conversation.item.input_audio_transcription.completed",
        ),
    ] {
        assert_same_members(client.all(kind)[0], &fixture(&format!("ga/{name}.json")), name);
    }
    let first_delta = client.all("response.output_audio.delta")[0]["delta"].as_str().unwrap();
    assert_eq!(first_delta.len(), 6_400, "100 ms of PCM in base64");
}

#[test]
fn ga_updates_are_echoed_whole() {
    let mut client = Client::ga(SimOptions::default());
    client.update(json!({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}));
    assert_same_members(
        client.last("session.updated"),
        &fixture("ga/session.updated.semantic_vad.json"),
        "semantic_vad",
    );
    client.update(json!({
        "instructions": "i", "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"}, "noise_reduction": {"type": "far_field"}, "transcription": {"model": "whisper-1"},
                "turn_detection": {"type": "server_vad", "threshold": 0.6, "silence_duration_ms": 500},
            },
            "output": {"format": {"type": "audio/pcmu"}, "voice": "cedar"},
        },
    }));
    let session = &client.last("session.updated")["session"];
    let wanted = &fixture("ga/session.updated.pcmu.json")["session"];
    assert_eq!(session["audio"], wanted["audio"]);
    assert_eq!(session["expires_at"], json!(OPENED + 3_600));
}

#[test]
fn openai_tells_rate_limits_and_azure_does_not() {
    for (dialect, count) in [(Dialect::OpenAiGa, 1), (Dialect::AzureGa, 0)] {
        let mut client = Client::new(dialect, SimOptions::default());
        client.user_text("hello");
        client.respond();
        client.run(2_000);
        let limits = client.all("rate_limits.updated");
        assert_eq!(limits.len(), count, "{dialect:?}");
        if let Some(event) = limits.first() {
            assert_same_members(event, &fixture("ga/rate_limits.updated.json"), "rate limits");
            assert_eq!(*client.types().last().unwrap(), "rate_limits.updated");
        }
        assert_eq!(client.one("response.content_part.done").get("content").is_some(), dialect == Dialect::AzureGa);
    }
}

#[test]
fn preview() {
    let mut client = Client::new(Dialect::Preview, SimOptions::default());
    let tool: Value = serde_json::from_str(TOOL).unwrap();
    client.send(json!({"type": "session.update", "session": {"tools": [tool]}}));
    conversation(&mut client);
    for (name, kind) in [
        ("session.created", "session.created"),
        ("conversation.created", "conversation.created"),
        ("conversation.item.created.user_audio", "conversation.item.created"),
        ("response.created", "response.created"),
        ("response.done.completed", "response.done"),
        ("response.audio.delta", "response.audio.delta"),
        ("response.audio_transcript.delta", "response.audio_transcript.delta"),
        ("response.output_item.added.message", "response.output_item.added"),
        ("response.output_item.done.message", "response.output_item.done"),
        ("response.content_part.added", "response.content_part.added"),
        ("response.function_call_arguments.done", "response.function_call_arguments.done"),
    ] {
        assert_same_members(client.all(kind)[0], &fixture(&format!("beta/{name}.json")), name);
    }
    assert!(client.all("conversation.item.done").is_empty() && client.all("conversation.item.added").is_empty());
}

#[test]
fn voice_live_at_sixteen_kilohertz() {
    let mut client = Client::new(Dialect::VoiceLive, SimOptions::default());
    let tool: Value = serde_json::from_str(TOOL).unwrap();
    let session = json!({"input_audio_sampling_rate": 16000, "output_audio_format": "pcm16_16000hz", "voice": {"type": "openai", "name": "alloy"}});
    client.send(json!({"type": "session.update", "session": session}));
    assert_same_members(client.one("session.updated"), &fixture("voicelive/session.updated.pcm16_16k.json"), "update");
    client.send(json!({"type": "session.update", "session": {"tools": [tool]}}));
    let mut audio = vec![0; 32 * 500];
    audio.extend(common::speech("librivox_austen_0880_16k.wav").iter().flat_map(|sample| sample.to_le_bytes()));
    audio.extend(vec![0; 32 * 3_000]);
    client.speak(&audio, 32);
    let (from, to) = (client.one("input_audio_buffer.speech_started"), client.one("input_audio_buffer.speech_stopped"));
    let (from, to) = (from["audio_start_ms"].as_u64().unwrap() as usize, to["audio_end_ms"].as_u64().unwrap() as usize);
    assert!(
        client.audio("response.audio.delta") == audio[from * 32..to * 32],
        "the turn comes back at 16 kHz, byte for byte"
    );
    client.user_text("#tool end_call {}");
    client.respond();
    client.run(3_000);
    for (name, kind) in [
        ("session.created", "session.created"),
        ("conversation.item.created.user_audio", "conversation.item.created"),
        ("conversation.item.done", "conversation.item.done"),
        ("response.created", "response.created"),
        ("response.done.completed", "response.done"),
        ("response.audio.delta.pcm16_16000hz", "response.audio.delta"),
        ("response.output_item.added", "response.output_item.added"),
        ("response.output_item.done", "response.output_item.done"),
        ("response.content_part.done", "response.content_part.done"),
        ("response.function_call_arguments.done", "response.function_call_arguments.done"),
    ] {
        assert_same_members(client.all(kind)[0], &fixture(&format!("voicelive/{name}.json")), name);
    }
}
