//! Turns found in recorded speech, the order of their answers, and who may interrupt whom.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{Client, speech_24k, tone_pcmu};
use serde_json::{Value, json};
use trunkline_simulator::{Dialect, Reply, SimOptions};

const SENTENCE: &str = "librivox_austen_0880_16k.wav";

fn silence(ms: usize) -> Vec<u8> {
    vec![0; 48 * ms]
}

/// Turn detection with every member given.
fn server_vad(change: Value) -> Value {
    let mut vad = json!({
        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500, "create_response": true,
        "interrupt_response": true,
    });
    for (key, value) in change.as_object().unwrap() {
        vad[key] = value.clone();
    }
    json!({"audio": {"input": {"turn_detection": vad}}})
}

#[test]
fn a_spoken_turn_is_heard_committed_and_said_back() {
    let mut client = Client::ga(SimOptions::default());
    client.update(server_vad(json!({})));
    client.forget();
    let mut audio = silence(1_000);
    audio.extend(speech_24k(SENTENCE));
    audio.extend(silence(3_000));
    client.speak(&audio, 48);
    client.run(2_000);

    let mut types = client.types();
    types.dedup();
    // Words and audio interleave: their order is looked at below.
    types.retain(|kind| !kind.ends_with(".delta"));
    assert_eq!(
        types,
        [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
    );
    let deltas: Vec<&str> = client.types().into_iter().filter(|kind| kind.ends_with(".delta")).collect();
    assert!(
        deltas[..3].iter().all(|kind| kind.contains("transcript")) && deltas[3].ends_with("output_audio.delta"),
        "{deltas:?}"
    );

    let from = client.one("input_audio_buffer.speech_started")["audio_start_ms"].as_u64().unwrap() as usize;
    let to = client.one("input_audio_buffer.speech_stopped")["audio_end_ms"].as_u64().unwrap() as usize;
    assert!((700..=1_000).contains(&from), "speech begins soon after 1000 ms, less 300 of padding: {from}");
    assert!((3_500..=4_600).contains(&to), "and ends before 3990, with 500 of silence: {to}");
    assert!(
        client.audio("response.output_audio.delta") == audio[from * 48..to * 48],
        "the answer is the turn, byte for byte"
    );

    let user = client.one("input_audio_buffer.speech_started")["item_id"].clone();
    assert_eq!(client.one("input_audio_buffer.committed")["item_id"], user);
    assert_eq!(client.all("conversation.item.added")[1]["previous_item_id"], user);
    assert_eq!(client.one("response.done")["response"]["status"], "completed");
    assert_eq!(
        client.one("response.done")["response"]["output"][0]["content"][0]["transcript"],
        format!("answer to caller turn 1, {} ms", to - from)
    );
    let latency = client.at("response.output_audio.delta") - client.at("input_audio_buffer.committed");
    assert!((300..=320).contains(&latency), "{latency}");
    assert_eq!(
        (client.records.counters.commits.get(), client.records.counters.appended_ms.get()),
        (1, audio.len() as u64 / 48)
    );
}

#[test]
fn three_sentences_are_turns_in_telephone_formats_too() {
    for (word, bytes_per_ms) in [("audio/pcmu", 8), ("audio/pcma", 8)] {
        let mut client = Client::ga(SimOptions::default());
        client.update(json!({"audio": {"input": {"format": {"type": word}}, "output": {"format": {"type": word}}}}));
        client.update(server_vad(json!({"silence_duration_ms": 900})));
        for name in ["librivox_austen_0870_16k.wav", SENTENCE, "librivox_austen_0890_16k.wav"] {
            client.forget();
            let samples: Vec<i16> = common::speech(name).into_iter().step_by(2).collect();
            let mut bytes = Vec::new();
            let codec =
                if word == "audio/pcmu" { trunkline_media::LineCodec::Pcmu } else { trunkline_media::LineCodec::Pcma };
            trunkline_media::g711::encode(codec, &[samples, vec![0; 8 * 4_000]].concat(), &mut bytes);
            client.speak(&bytes, bytes_per_ms);
            client.run(3_000);
            client.one("input_audio_buffer.committed");
            let sizes: Vec<usize> = client
                .all("response.output_audio.delta")
                .iter()
                .map(|event| event["delta"].as_str().unwrap().len() / 4 * 3 / 8)
                .collect();
            assert_eq!(sizes[..4].iter().map(|ms| ms / 50 * 50).collect::<Vec<_>>(), [100, 150, 250, 500], "{word}");
            assert_eq!(client.one("response.done")["response"]["audio"]["output"]["format"]["type"], word);
        }
    }
}

#[test]
fn threshold_silence_and_padding_are_obeyed() {
    let turn = |change: Value| {
        let mut client = Client::ga(SimOptions::default());
        client.update(server_vad(change));
        client.speak(&[silence(1_500), speech_24k(SENTENCE), silence(3_000)].concat(), 48);
        let at = |kind: &str, key: &str| client.all(kind).first().map(|event| event[key].as_u64().unwrap());
        (
            at("input_audio_buffer.speech_started", "audio_start_ms"),
            at("input_audio_buffer.speech_stopped", "audio_end_ms"),
        )
    };
    let (start, end) = turn(json!({}));
    let (padded, _) = turn(json!({"prefix_padding_ms": 800}));
    assert_eq!(padded.unwrap() + 500, start.unwrap());
    let (_, patient) = turn(json!({"silence_duration_ms": 1_500}));
    assert_eq!(patient.unwrap(), end.unwrap() + 1_000);
    let (whisper, _) = turn(json!({"threshold": 1.0}));
    assert!(whisper.is_none_or(|ms| ms >= start.unwrap()), "a higher threshold hears no earlier");
}

#[test]
fn semantic_vad_waits_by_eagerness() {
    let end = |eagerness: &str| {
        let mut client = Client::ga(SimOptions::default());
        client
            .update(json!({"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": eagerness}}}}));
        client.speak(&[silence(500), speech_24k(SENTENCE), silence(4_000)].concat(), 48);
        client.one("input_audio_buffer.speech_stopped")["audio_end_ms"].as_u64().unwrap()
    };
    let (high, auto, low) = (end("high"), end("auto"), end("low"));
    assert!(high < auto && auto < low, "{high} {auto} {low}");
    assert_eq!(end("medium"), auto);
}

/// A client with an answer under way, of which some audio was sent.
fn speaking(change: Value) -> Client {
    let mut client =
        Client::ga(SimOptions { reply: Reply::Wav(vec![500; 8_000 * 20].into(), 8_000), ..SimOptions::default() });
    client.update(
        json!({"audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcmu"}}}}),
    );
    client.update(server_vad(change));
    client.user_text("tell me a story");
    client.respond();
    client.run(1_000);
    assert!(!client.all("response.output_audio.delta").is_empty());
    client.forget();
    client
}

#[test]
fn speech_cancels_the_answer_with_its_tail() {
    let mut client = speaking(json!({}));
    client.speak(&[tone_pcmu(1_000), vec![0xFF; 8 * 1_500]].concat(), 8);
    let types = client.types();
    let started = types.iter().position(|kind| *kind == "input_audio_buffer.speech_started").unwrap();
    let done = types.iter().position(|kind| *kind == "response.done").unwrap();
    let tail: Vec<&str> = types[started + 1..=done].iter().copied().filter(|kind| !kind.ends_with(".delta")).collect();
    assert_eq!(
        tail,
        [
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
    );
    let response = &client.all("response.done")[0]["response"];
    assert_eq!(response["status_details"], json!({"type": "cancelled", "reason": "turn_detected"}));
    assert_eq!(response["output"][0]["status"], "incomplete");
    client.one("input_audio_buffer.committed");
    assert_eq!(client.all("response.created").len(), 1, "the new turn is answered");
    assert_eq!(client.records.counters.cancelled.get(), 1);
}

#[test]
fn an_answer_that_may_not_be_interrupted_keeps_the_word() {
    let mut client = speaking(json!({"interrupt_response": false}));
    client.speak(&[tone_pcmu(500), vec![0xFF; 8 * 1_000]].concat(), 8);
    client.one("input_audio_buffer.committed");
    assert!(client.all("response.done").is_empty());
    assert_eq!(client.one("error")["error"]["code"], "conversation_already_has_active_response");
    client.send(json!({"type": "response.cancel"}));
    client.run(10);
    assert_eq!(client.one("response.done")["response"]["status_details"]["reason"], "client_cancelled");
}

#[test]
fn a_cancelled_answer_gives_way_at_once() {
    let mut client = speaking(json!({}));
    client.send(json!({"type": "response.cancel"}));
    client.respond();
    assert!(client.all("error").is_empty());
    let types = client.types();
    let at = |kind: &str| types.iter().position(|found| *found == kind).unwrap();
    assert!(at("response.done") < at("response.created"));
}

#[test]
fn a_response_cancelled_before_it_spoke_has_no_output() {
    let mut client = Client::ga(SimOptions { latency: Duration::from_secs(5), ..SimOptions::default() });
    client.user_text("hello");
    client.respond();
    client.run(500);
    client.send(json!({"type": "response.cancel"}));
    client.run(100);
    let response = &client.one("response.done")["response"];
    assert_eq!((&response["output"], &response["usage"]["total_tokens"]), (&json!([]), &json!(0)));
}

#[test]
fn without_create_response_turns_are_only_committed() {
    let mut client = Client::ga(SimOptions::default());
    client.update(server_vad(json!({"create_response": false})));
    client.speak(&[silence(500), speech_24k(SENTENCE), silence(2_000)].concat(), 48);
    client.one("input_audio_buffer.committed");
    assert!(client.all("response.created").is_empty());
    client.respond();
    client.run(5_000);
    assert_eq!(client.one("response.done")["response"]["status"], "completed");
}

#[test]
fn manual_turns() {
    let mut client = Client::ga(SimOptions::default());
    client.update(json!({"audio": {"input": {"turn_detection": null}}}));
    let audio = speech_24k(SENTENCE);
    client.speak(&audio, 48);
    assert!(client.all("input_audio_buffer.speech_started").is_empty());
    client.send(json!({"type": "input_audio_buffer.commit"}));
    client.respond();
    client.run(4_000);
    assert!(
        client.audio("response.output_audio.delta") == audio[..audio.len() / 48 * 48],
        "all that was appended comes back"
    );
}

#[test]
fn odd_packets_make_the_same_turn() {
    let audio = [silence(300), speech_24k(SENTENCE), silence(1_500)].concat();
    let answer = |size: usize| {
        let mut client = Client::ga(SimOptions::default());
        for packet in audio.chunks(size) {
            let audio = base64_simd::STANDARD.encode_to_string(packet);
            client.send(json!({"type": "input_audio_buffer.append", "audio": audio}));
        }
        client.run(5_000);
        client.audio("response.output_audio.delta")
    };
    let whole = answer(960);
    assert!(whole.len() > 48_000 && answer(961) == whole && answer(12_345) == whole);
}

#[test]
fn a_silent_caller_is_asked() {
    let mut client = Client::ga(SimOptions::default());
    client.update(server_vad(json!({"idle_timeout_ms": 6_000})));
    client.run(20_000);
    assert!(client.all("input_audio_buffer.timeout_triggered").is_empty(), "nothing was said yet");
    client.user_text("hello");
    client.respond();
    client.run(1_500);
    let first_audio = client.at("response.output_audio.delta");
    client.speak(&silence(8_000), 48);
    let asked = client.at("input_audio_buffer.timeout_triggered");
    assert!(
        asked.abs_diff(first_audio + 720 + 6_000) <= 20,
        "6 s after the answer was played: {}",
        asked - first_audio
    );
    let span = client.one("input_audio_buffer.timeout_triggered");
    assert_eq!(
        span["audio_end_ms"].as_u64().unwrap() - span["audio_start_ms"].as_u64().unwrap_or(0),
        span["audio_end_ms"].as_u64().unwrap().min(6_000)
    );
    assert_eq!(client.last("response.output_audio_transcript.done")["transcript"], "are you still there?");
}

#[test]
fn the_callers_words_are_written_down_when_asked_for() {
    let mut client = Client::ga(SimOptions::default());
    client.update(json!({"audio": {"input": {"transcription": {"model": "whisper-1"}}}}));
    client.speak(&[silence(500), speech_24k(SENTENCE), silence(2_000)].concat(), 48);
    client.run(1_000);
    let item = client.all("input_audio_buffer.committed")[0]["item_id"].clone();
    let done = client.all("conversation.item.input_audio_transcription.completed")[0].clone();
    assert_eq!(done["item_id"], item);
    assert!(done["transcript"].as_str().unwrap().starts_with("caller turn 1, "), "{done}");
    assert_eq!(done["usage"]["type"], "duration");
}

#[test]
fn a_text_turn_a_greeting_and_a_tool() {
    let mut client = Client::ga(SimOptions::default());
    client.update(json!({"tools": [{"type": "function", "name": "hang_up", "description": "", "parameters": {"type": "object"}}]}));
    client.send(json!({"type": "response.create", "response": {"instructions": "Greet the caller."}}));
    client.run(2_000);
    assert_eq!(client.audio("response.output_audio.delta").len(), 600 * 48);
    client.forget();
    client.user_text("#say-tool hang_up {\"reason\":\"over\"}");
    client.respond();
    client.run(2_000);
    let output = client.one("response.done")["response"]["output"].clone();
    assert_eq!((output[0]["type"].clone(), output[1]["type"].clone()), (json!("message"), json!("function_call")));
    assert_eq!(client.one("response.function_call_arguments.done")["arguments"], "{\"reason\":\"over\"}");
    let pieces: String = client
        .all("response.function_call_arguments.delta")
        .iter()
        .map(|event| event["delta"].as_str().unwrap())
        .collect();
    assert_eq!(pieces, "{\"reason\":\"over\"}");
    client.forget();
    let item = json!({"type": "function_call_output", "call_id": output[1]["call_id"], "output": "{\"ok\":true}"});
    client.send(json!({"type": "conversation.item.create", "item": item}));
    client.respond();
    client.run(2_000);
    assert!(client.one("response.output_audio_transcript.done")["transcript"].as_str().unwrap().contains("ok"));
    client.forget();
    client.user_text("#tool undeclared {}");
    client.respond();
    client.run(2_000);
    assert!(client.all("response.function_call_arguments.done").is_empty());
}

#[test]
fn written_and_unheard_answers() {
    let mut client = Client::ga(SimOptions::default());
    client.update(json!({"output_modalities": ["text"]}));
    client.user_text("hello");
    client.respond();
    client.send(
        json!({"type": "response.create", "response": {"conversation": "none", "metadata": {"a": "b"}, "input": []}}),
    );
    client.run(2_000);
    assert_eq!(client.all("response.done").len(), 2);
    let aside =
        client.all("response.done").into_iter().find(|event| event["response"]["conversation_id"].is_null()).unwrap();
    assert_eq!(aside["response"]["metadata"], json!({"a": "b"}));
    assert!(client.all("response.output_audio.delta").is_empty());
    assert_eq!(client.all("response.output_text.done")[0]["text"], "you wrote: hello");
    client
        .send(json!({"type": "response.create", "response": {"output_modalities": ["audio"], "max_output_tokens": 4}}));
    client.run(2_000);
    let response = &client.last("response.done")["response"];
    assert_eq!(response["status_details"], json!({"type": "incomplete", "reason": "max_output_tokens"}));
    assert_eq!(client.audio("response.output_audio.delta").len(), 4 * 50 * 48);
}

#[test]
fn voice_live_truncates_by_itself_when_told() {
    let mut client = Client::new(
        Dialect::VoiceLive,
        SimOptions { reply: Reply::Wav(vec![500; 80_000].into(), 8_000), ..SimOptions::default() },
    );
    let vad = json!({"type": "azure_semantic_vad", "auto_truncate": true});
    client
        .send(json!({"type": "session.update", "session": {"turn_detection": vad, "input_audio_format": "g711_ulaw"}}));
    client.user_text("hello");
    client.respond();
    client.run(1_000);
    let first = client.at("response.audio.delta");
    client.speak(&tone_pcmu(400), 8);
    let truncated = client.one("conversation.item.truncated")["audio_end_ms"].as_u64().unwrap();
    assert_eq!(truncated, client.at("input_audio_buffer.speech_started") - first);
}
