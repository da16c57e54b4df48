//! Tool calls.

use serde_json::{Value, json};
use trunkline_realtime::{Effect, SessionProfile};

use crate::rig::Rig;

fn arguments_done(rig: &mut Rig, response: &str, call: &str, name: Option<&str>) {
    rig.server(
        json!({"type":"response.function_call_arguments.done","response_id":response,"item_id":format!("item_{call}"),
        "call_id":call,"name":name,"arguments":"{}"}),
    );
}

fn call_item(call: &str, status: &str) -> Value {
    json!({"id":format!("item_{call}"),"type":"function_call","status":status,"call_id":call,"name":"look_up","arguments":"{}"})
}

fn item_done(rig: &mut Rig, response: &str, call: &str, status: &str) {
    let item = call_item(call, status);
    rig.server(json!({"type":"response.output_item.done","response_id":response,"item":item}));
}

fn output(rig: &mut Rig, call: &str, respond: bool) {
    rig.act(|session, now, out| session.tool_output(now, call, "done", respond, out));
}

fn calls(rig: &mut Rig) -> Vec<String> {
    let call = |effect| match effect {
        Effect::ToolCall { call_id, name, .. } => Some(format!("{name} {call_id}")),
        _ => None,
    };
    rig.take_effects().into_iter().filter_map(call).collect()
}

fn begun() -> Rig {
    let mut rig = Rig::live(SessionProfile::default());
    rig.caller_turn("item_u");
    rig.response_created("resp_1");
    rig.clear();
    rig
}

#[test]
fn is_acted_on_once_however_often_it_is_told() {
    let mut rig = begun();
    arguments_done(&mut rig, "resp_1", "call_1", Some("look_up"));
    item_done(&mut rig, "resp_1", "call_1", "completed");
    let done = json!({"id":"resp_1","status":"completed","output":[call_item("call_1", "completed")]});
    rig.server(json!({"type":"response.done","response":done}));
    assert_eq!(calls(&mut rig), ["look_up call_1"]);
    assert!(!rig.session.is_quiet(), "an open tool");
}

#[test]
fn each_way_of_telling_is_enough() {
    let added = |rig: &mut Rig| {
        let item = call_item("call_1", "in_progress");
        rig.server(json!({"type":"response.output_item.added","response_id":"resp_1","item":item}));
    };
    let mut preview = begun();
    added(&mut preview);
    arguments_done(&mut preview, "resp_1", "call_1", None);
    assert_eq!(calls(&mut preview), ["look_up call_1"], "the name came with the item");

    let mut unnamed = begun();
    arguments_done(&mut unnamed, "resp_1", "call_1", None);
    assert!(calls(&mut unnamed).is_empty());
    item_done(&mut unnamed, "resp_1", "call_1", "completed");
    assert_eq!(calls(&mut unnamed), ["look_up call_1"]);

    let mut last = begun();
    let done = json!({"id":"resp_1","status":"completed","output":[call_item("call_1", "completed")]});
    last.server(json!({"type":"response.done","response":done}));
    assert_eq!(calls(&mut last), ["look_up call_1"]);
}

#[test]
fn all_outputs_then_one_request_after_the_response() {
    let mut rig = begun();
    arguments_done(&mut rig, "resp_1", "call_1", Some("look_up"));
    arguments_done(&mut rig, "resp_1", "call_2", Some("look_up"));
    output(&mut rig, "call_1", true);
    assert_eq!(rig.take_types(), ["conversation.item.create"], "the output at once");
    rig.done("resp_1", "completed");
    assert!(rig.sent.is_empty(), "one is still open");
    assert!(rig.session.ledger().waiting_for_answer());
    output(&mut rig, "call_2", false);
    assert_eq!(rig.take_types(), ["conversation.item.create", "response.create"]);
    output(&mut rig, "call_2", true);
    output(&mut rig, "call_9", true);
    assert!(rig.sent.is_empty(), "answered or unknown calls are ignored");
}

#[test]
fn a_tool_that_ends_the_call_asks_for_nothing() {
    let mut rig = begun();
    arguments_done(&mut rig, "resp_1", "call_1", Some("hang_up"));
    rig.done("resp_1", "completed");
    rig.clear();
    output(&mut rig, "call_1", false);
    assert_eq!(rig.take_types(), ["conversation.item.create"]);
    assert!(rig.session.is_quiet() && !rig.session.ledger().waiting_for_answer());
}

#[test]
fn after_a_barge_in_the_output_is_sent_and_no_request() {
    let mut rig = begun();
    arguments_done(&mut rig, "resp_1", "call_1", Some("look_up"));
    rig.done("resp_1", "completed");
    rig.caller_turn("item_v");
    rig.response_created("resp_2");
    rig.clear();
    output(&mut rig, "call_1", true);
    rig.audio("resp_2", "item_a", 100);
    rig.done("resp_2", "completed");
    assert_eq!(rig.take_types(), ["conversation.item.create"], "the running response takes its place");
}

#[test]
fn a_call_of_an_interrupted_response_is_not_acted_on() {
    let mut rig = begun();
    rig.server(json!({"type":"input_audio_buffer.speech_started","item_id":"item_v"}));
    arguments_done(&mut rig, "resp_1", "call_1", Some("hang_up"));
    item_done(&mut rig, "resp_1", "call_1", "incomplete");
    item_done(&mut rig, "resp_1", "call_2", "completed");
    rig.done("resp_1", "cancelled");
    assert!(calls(&mut rig).is_empty());
    let sent = rig.take_sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["item"]["call_id"], "call_2", "a whole call is not left without an output");
    assert!(sent[0]["item"]["output"].as_str().unwrap().contains("interrupted"));
}

#[test]
fn a_long_tool_is_not_a_mute_model() {
    let mut rig = begun();
    let item = call_item("call_1", "in_progress");
    rig.server(json!({"type":"response.output_item.added","response_id":"resp_1","item":item}));
    rig.at(8_000);
    rig.server(json!({"type":"response.function_call_arguments.delta","response_id":"resp_1","item_id":"item_call_1","delta":"{"}));
    rig.at(15_000);
    arguments_done(&mut rig, "resp_1", "call_1", Some("look_up"));
    rig.done("resp_1", "completed");
    rig.at(90_000);
    assert_eq!((rig.loss(), rig.sent.len()), (None, 0));
}
