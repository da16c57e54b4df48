//! The caller interrupts: truncate, delete or nothing.

use serde_json::{Value, json};
use trunkline_realtime::{Effect, Entry, ItemId, SessionProfile, TurnDetection};

use crate::rig::Rig;

fn speaking(ms: usize) -> Rig {
    let mut rig = Rig::live(SessionProfile::default());
    rig.at(1_000);
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", ms);
    rig.clear();
    rig
}

fn speech_started(rig: &mut Rig) {
    rig.server(json!({"type":"input_audio_buffer.speech_started","audio_start_ms":1,"item_id":"item_u"}));
}

fn truncate(item: &str, ms: u64) -> Value {
    json!({"type":"conversation.item.truncate","item_id":item,"content_index":0,"audio_end_ms":ms})
}

fn delete(item: &str) -> Value {
    json!({"type":"conversation.item.delete","item_id":item})
}

#[test]
fn what_was_heard_decides() {
    for (played, expected) in [
        (0, vec![delete("item_a")]),
        (20, vec![truncate("item_a", 20)]),
        (999, vec![truncate("item_a", 999)]),
        (1_000, vec![]),
        (1_020, vec![]),
    ] {
        let mut rig = speaking(1_000);
        rig.audio_done("resp_1", "item_a");
        rig.done("resp_1", "completed");
        speech_started(&mut rig);
        rig.cleared(&[("item_a", played)]);
        assert_eq!(rig.take_sent(), expected, "{played} ms of 1000");
        rig.cleared(&[("item_a", played)]);
        assert!(rig.sent.is_empty(), "said once");
    }
}

#[test]
fn the_effects_come_in_order_and_late_audio_is_dropped() {
    let mut rig = speaking(500);
    speech_started(&mut rig);
    rig.audio("resp_1", "item_a", 300);
    rig.audio("resp_1", "item_b", 300);
    rig.audio_done("resp_1", "item_a");
    assert_eq!(rig.take_effects(), [Effect::SpeechStarted { active: vec![ItemId::new("item_a")] }]);
    rig.cleared(&[("item_a", 120)]);
    assert_eq!(rig.take_sent(), [truncate("item_a", 120)]);
    let output = json!([{"id":"item_a","type":"message"},{"id":"item_b","type":"message"}]);
    rig.server(json!({"type":"response.done","response":{"id":"resp_1","status":"cancelled","output":output}}));
    assert_eq!(rig.take_sent(), [delete("item_b")], "what was never handed out is forgotten, no cancel is sent");
    assert_eq!(rig.take_effects(), [Effect::ResponseDone { status: "cancelled".into() }]);

    rig.audio("resp_1", "item_a", 100);
    assert!(rig.effects.is_empty(), "even after the end");
    rig.response_created("resp_2");
    rig.audio("resp_2", "item_c", 100);
    assert_eq!(rig.audio_bytes("item_c"), 4_800, "the next response is heard");
}

#[test]
fn all_heard_but_more_was_said() {
    // The late audio comes after the playout's answer, or before it.
    for late_first in [false, true] {
        let mut rig = speaking(400);
        speech_started(&mut rig);
        if late_first {
            rig.audio("resp_1", "item_a", 100);
        }
        // The last frame was padded: more was played than there was.
        rig.cleared(&[("item_a", 420)]);
        if !late_first {
            assert!(rig.sent.is_empty(), "so far the model said nothing more");
            rig.audio("resp_1", "item_a", 100);
        }
        rig.audio("resp_1", "item_a", 100);
        assert_eq!(rig.take_sent(), [truncate("item_a", 400)], "never beyond what was received");
    }
}

#[test]
fn several_items_each_by_its_own() {
    let mut rig = speaking(300);
    rig.audio_done("resp_1", "item_a");
    rig.audio("resp_1", "item_b", 600);
    rig.audio("resp_1", "item_c", 900);
    let ended = |id: &str| Effect::ItemEnded { item: ItemId::new(id) };
    let ends: Vec<Effect> =
        rig.take_effects().into_iter().filter(|effect| matches!(effect, Effect::ItemEnded { .. })).collect();
    assert_eq!(ends, [ended("item_a"), ended("item_b")], "the next item ends the one before");
    rig.session.heard(&ItemId::new("item_a"));
    rig.done("resp_1", "completed");
    rig.clear();
    speech_started(&mut rig);
    let active = vec![ItemId::new("item_b"), ItemId::new("item_c")];
    assert_eq!(rig.take_effects(), [Effect::SpeechStarted { active }]);
    rig.cleared(&[("item_b", 240), ("item_c", 0)]);
    assert_eq!(rig.take_sent(), [truncate("item_b", 240), delete("item_c")]);
}

#[test]
fn the_ledger_keeps_what_was_heard() {
    let mut rig = speaking(2_000);
    rig.words("resp_1", "item_a", "One two three four five six seven eight nine ten.");
    speech_started(&mut rig);
    rig.cleared(&[("item_a", 1_000)]);
    rig.audio_done("resp_1", "item_a");
    rig.done("resp_1", "cancelled");
    let heard: Vec<_> = rig.session.ledger().entries().filter_map(Entry::words).collect();
    assert_eq!(heard, ["One two three four five"], "half the words, whole ones");

    let mut rig = speaking(2_000);
    rig.words("resp_1", "item_a", "One two three.");
    speech_started(&mut rig);
    rig.cleared(&[("item_a", 0)]);
    rig.words("resp_1", "item_a", "One two three four.");
    assert!(rig.session.ledger().is_empty(), "unheard words are nobody's memory");
}

#[test]
fn without_interrupt_response_the_session_cancels_itself() {
    let turn_detection =
        TurnDetection::SemanticVad { eagerness: "auto".into(), create_response: true, interrupt_response: false };
    let mut rig = Rig::live(SessionProfile { turn_detection, ..SessionProfile::default() });
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 500);
    rig.clear();
    speech_started(&mut rig);
    assert_eq!(rig.take_sent(), [json!({"type":"response.cancel","response_id":"resp_1"})]);
    rig.done("resp_1", "cancelled");
    speech_started(&mut rig);
    assert!(rig.sent.is_empty(), "nothing is active any more");
}

#[test]
fn an_answer_still_to_begin_does_not_talk_over_the_caller() {
    let mut rig = Rig::live(SessionProfile { greeting: Some("Greet.".into()), ..SessionProfile::default() });
    rig.clear();
    speech_started(&mut rig);
    rig.response_created("resp_1");
    assert_eq!(rig.take_types(), ["response.cancel"]);
    rig.audio("resp_1", "item_a", 100);
    assert_eq!(rig.audio_bytes("item_a"), 0);
}

#[test]
fn a_full_playout_cancels_but_plays_what_it_has() {
    let mut rig = speaking(500);
    rig.act(|session, _, out| session.cancel_response(out));
    assert_eq!(rig.take_sent(), [json!({"type":"response.cancel","response_id":"resp_1"})]);
    assert_eq!(rig.take_effects(), [Effect::ItemEnded { item: ItemId::new("item_a") }]);
    rig.audio("resp_1", "item_a", 500);
    assert_eq!(rig.take_sent(), [truncate("item_a", 500)], "the model learns where it was cut");
    assert!(rig.effects.is_empty());
    rig.done("resp_1", "cancelled");
    rig.clear();
    speech_started(&mut rig);
    rig.cleared(&[("item_a", 60)]);
    assert_eq!(rig.take_sent(), [truncate("item_a", 60)], "and again if the caller heard less");
    rig.act(|session, _, out| session.cancel_response(out));
    assert!(rig.sent.is_empty(), "nothing to cancel");
}

/// The event id of the last `response.create`.
fn asked(rig: &Rig) -> String {
    let (_, create) = rig.sent.iter().rfind(|(_, event)| event["type"] == "response.create").unwrap();
    create["event_id"].as_str().unwrap().to_owned()
}

fn turn_ends(rig: &mut Rig) {
    rig.server(json!({"type":"input_audio_buffer.speech_stopped","audio_end_ms":900,"item_id":"item_v"}));
    rig.server(json!({"type":"input_audio_buffer.committed","previous_item_id":null,"item_id":"item_v"}));
}

#[test]
fn the_answer_to_a_turn_is_wanted_whatever_became_of_what_we_asked_for_before() {
    for is_refused in [true, false] {
        let mut rig = Rig::live(SessionProfile { greeting: Some("Greet.".into()), ..SessionProfile::default() });
        let create = asked(&rig);
        rig.clear();
        speech_started(&mut rig);
        if is_refused {
            let error = json!({"type":"server_error","code":"server_error","message":"busy","event_id":create});
            rig.server(json!({"type":"error","error":error}));
        }
        turn_ends(&mut rig);
        rig.response_created("resp_1");
        rig.audio("resp_1", "item_a", 100);
        assert!(rig.sent.is_empty(), "refused: {is_refused}, sent: {:?}", rig.sent);
        assert!(rig.audio_bytes("item_a") > 0);
    }
}

#[test]
fn keys_in_the_place_of_an_answer_that_never_began_are_answered() {
    let mut rig = Rig::live(SessionProfile::default());
    speech_started(&mut rig);
    turn_ends(&mut rig);
    rig.act(|session, now, out| session.interrupt(now, out));
    rig.act(|session, now, out| session.user_text(now, "42", out));
    // The model leaves the turn alone, and is asked.
    rig.at(rig.at_ms + 6_000);
    assert_eq!(rig.take_types().last().map(String::as_str), Some("response.create"));
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 100);
    assert!(rig.sent.is_empty(), "{:?}", rig.sent);
    assert!(rig.audio_bytes("item_a") > 0);
}
