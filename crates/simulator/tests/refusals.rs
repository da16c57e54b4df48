//! Wrong client events are answered as the service answers them, and change nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;

use common::{Client, fixture};
use serde_json::{Value, json};
use trunkline_simulator::{Dialect, SimOptions};

fn refused<'a>(client: &'a Client, code: &str) -> &'a Value {
    let error = &client.last("error")["error"];
    assert_eq!(error["code"], code, "{error}");
    error
}

#[test]
fn every_recorded_invalid_event() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/invalid");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let case = fixture(&format!("invalid/{name}"));
        let mut client = Client::ga(SimOptions::default());
        let before = client.one("session.created")["session"].clone();
        let mut event = case["client_event"].clone();
        event["event_id"] = json!("event_client_1");
        client.send(event);
        let answer = client.one("error").clone();
        for (path, wanted) in case["expect"].as_object().unwrap() {
            let got = answer.pointer(&format!("/{}", path.replace('.', "/"))).unwrap();
            assert_eq!(got, wanted, "{name}: {path} of {answer}");
        }
        assert_eq!(answer["error"]["event_id"], "event_client_1", "{name}");
        assert!(answer["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        client.update(json!({}));
        assert_eq!(client.one("session.updated")["session"], before, "{name} changed the session");
        count += 1;
    }
    assert_eq!(count, 16);
}

#[test]
fn an_update_with_one_wrong_member_changes_nothing() {
    let mut client = Client::ga(SimOptions::default());
    let before = client.one("session.created")["session"].clone();
    client.update(json!({"instructions": "new", "audio": {"output": {"voice": "cedar", "speed": 9}}}));
    refused(&client, "invalid_value");
    client.update(json!({}));
    assert_eq!(client.one("session.updated")["session"], before);
}

#[test]
fn texts_that_are_no_events() {
    let mut client = Client::ga(SimOptions::default());
    for text in
        ["", "{", "null", "[1]", "\"hello\"", "{\"type\":5}", "{\"type\":\"input_audio_buffer.append\",\"audio\":5}"]
    {
        client.forget();
        client.send_text(text);
        assert_eq!(client.types(), ["error"], "{text}");
    }
    client.forget();
    client.send(json!({"type": "input_audio_buffer.append"}));
    assert_eq!(refused(&client, "missing_required_parameter")["param"], "audio");
}

#[test]
fn the_preview_refuses_what_is_not_its_own() {
    let mut client = Client::new(Dialect::Preview, SimOptions::default());
    client.send(json!({"type": "session.update", "session": {"audio": {}}}));
    assert_eq!(refused(&client, "unknown_parameter")["param"], "session.audio");
    client.send(json!({"type": "session.update", "session": {"input_audio_format": "pcm16_16000hz"}}));
    refused(&client, "invalid_value");
    client.send(json!({"type": "session.update", "session": {"modalities": ["audio"]}}));
    refused(&client, "invalid_value");
}

#[test]
fn a_tool_must_be_flat() {
    let mut client = Client::ga(SimOptions::default());
    client.update(json!({"tools": [{"type": "function", "function": {"name": "end_call"}}]}));
    assert_eq!(refused(&client, "missing_required_parameter")["param"], "session.tools[0].name");
}

#[test]
fn items_in_their_places() {
    let mut client = Client::ga(SimOptions::default());
    let item = |id: &str| json!({"id": id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": id}]});
    client.send(json!({"type": "conversation.item.create", "item": item("b")}));
    client.send(json!({"type": "conversation.item.create", "item": item("a"), "previous_item_id": "root"}));
    client.send(json!({"type": "conversation.item.create", "item": item("c"), "previous_item_id": "a"}));
    let places: Vec<_> =
        client.all("conversation.item.done").iter().map(|event| event["previous_item_id"].clone()).collect();
    assert_eq!(places, [Value::Null, Value::Null, json!("a")]);
    client.send(json!({"type": "conversation.item.retrieve", "item_id": "c"}));
    assert_eq!(client.one("conversation.item.retrieved")["item"]["content"][0]["text"], "c");
    client.send(json!({"type": "conversation.item.delete", "item_id": "c"}));
    client.one("conversation.item.deleted");
    client.send(json!({"type": "conversation.item.delete", "item_id": "c"}));
    refused(&client, "item_delete_invalid_item_id");
    assert_eq!(client.records.counters.deletes.get(), 1);
}

#[test]
fn truncation_is_checked() {
    let mut client = Client::ga(SimOptions::default());
    client.user_text("hello");
    let text_item = client.last("conversation.item.done")["item"]["id"].clone();
    client.respond();
    client.run(2_000);
    let spoken = client.last("response.output_item.done")["item"]["id"].clone();
    let truncate = |id: &Value, ms: i64| json!({"type": "conversation.item.truncate", "item_id": id, "content_index": 0, "audio_end_ms": ms});
    client.send(truncate(&text_item, 0));
    let error = client.last("error")["error"].clone();
    assert_eq!(
        (error["code"].clone(), error["message"].clone()),
        (Value::Null, json!("Only model output audio messages can be truncated"))
    );
    client.send(truncate(&spoken, 10_000));
    assert_eq!(refused(&client, "invalid_value")["message"], "Audio content of 720ms is already shorter than 10000ms");
    client.send(truncate(&spoken, -1));
    refused(&client, "invalid_type");
    client.send(truncate(&spoken, 400));
    assert_eq!(client.one("conversation.item.truncated")["audio_end_ms"], 400);
    client.send(json!({"type": "conversation.item.retrieve", "item_id": spoken}));
    assert_eq!(client.one("conversation.item.retrieved")["item"]["content"][0]["transcript"], "");
    client.send(truncate(&spoken, 401));
    refused(&client, "invalid_value");
    assert_eq!(client.records.counters.truncates.get(), 1);
}

#[test]
fn the_voice_stays_once_it_was_heard() {
    let mut client = Client::ga(SimOptions::default());
    client.update(json!({"audio": {"output": {"voice": "cedar"}}}));
    client.user_text("hello");
    client.respond();
    client.run(2_000);
    client.update(json!({"audio": {"output": {"voice": "marin"}}, "instructions": "late"}));
    refused(&client, "cannot_update_voice");
    client.update(json!({"audio": {"output": {"voice": "cedar"}}, "instructions": "again"}));
    assert_eq!(client.last("session.updated")["session"]["instructions"], "again");
}

#[test]
fn one_response_at_a_time_and_none_to_cancel_afterwards() {
    let mut client = Client::ga(SimOptions::default());
    client.user_text("hello");
    client.respond();
    client.respond();
    let id = client.one("response.created")["response"]["id"].as_str().unwrap().to_owned();
    let message = refused(&client, "conversation_already_has_active_response")["message"].as_str().unwrap();
    assert!(message.contains(&id), "{message}");
    client.run(2_000);
    client.send(json!({"type": "response.cancel"}));
    refused(&client, "response_cancel_not_active");
    client.send(json!({"type": "response.cancel", "response_id": id}));
    refused(&client, "response_cancel_not_active");
}

#[test]
fn a_commit_needs_a_tenth_of_a_second() {
    let mut client = Client::ga(SimOptions::default());
    client.update(json!({"audio": {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": null}}}));
    client.speak(&[0xFF; 20 * 8], 8);
    client.send(json!({"type": "input_audio_buffer.commit"}));
    let message = refused(&client, "input_audio_buffer_commit_empty")["message"].as_str().unwrap();
    assert!(message.contains("20.00ms"), "{message}");
    client.send(json!({"type": "input_audio_buffer.clear"}));
    client.one("input_audio_buffer.cleared");
    client.speak(&[0xFF; 100 * 8], 8);
    client.send(json!({"type": "input_audio_buffer.commit"}));
    client.one("input_audio_buffer.committed");
    client.run(1_000);
    assert!(client.all("response.created").is_empty(), "a commit by the client makes no response");
}
