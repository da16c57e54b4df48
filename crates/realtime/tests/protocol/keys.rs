//! Keys and other text turns.

use serde_json::json;
use trunkline_realtime::{Effect, Ledger, SessionProfile, Timing};

use crate::rig::Rig;

fn item(rig: &Rig, at: usize) -> String {
    rig.sent[at].1["item"]["id"].as_str().unwrap().to_owned()
}

fn added(rig: &mut Rig, id: &str) {
    rig.server(json!({"type":"conversation.item.added","item":{"id":id,"type":"message","role":"user"}}));
}

fn text(rig: &mut Rig, text: &str) {
    rig.act(|session, now, out| session.user_text(now, text, out));
}

#[test]
fn a_text_turn_is_answered() {
    let mut rig = Rig::live(SessionProfile::default());
    text(&mut rig, "42");
    let id = item(&rig, 0);
    let sent = rig.take_sent();
    let message = json!({"id":id,"type":"message","role":"user","content":[{"type":"input_text","text":"42"}]});
    assert_eq!(sent, [json!({"type":"conversation.item.create","item":message}), json!({"type":"response.create"})]);
    assert!(rig.session.ledger().waiting_for_answer() && !rig.session.is_quiet());
}

#[test]
fn behind_an_active_response_only_the_request_waits() {
    let mut rig = Rig::live(SessionProfile::default());
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 200);
    text(&mut rig, "1");
    text(&mut rig, "2");
    assert_eq!(rig.take_types(), ["conversation.item.create"; 2]);
    rig.done("resp_1", "completed");
    assert_eq!(rig.take_types(), ["response.create"], "one answer for both");
    rig.done("resp_1", "completed");
    assert!(rig.sent.is_empty(), "one at a time");
}

#[test]
fn a_key_interrupts() {
    let mut rig = Rig::live(SessionProfile::default());
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 1_000);
    rig.clear();
    rig.act(|session, now, out| session.interrupt(now, out));
    rig.cleared(&[("item_a", 300)]);
    assert_eq!(rig.take_types(), ["response.cancel", "conversation.item.truncate"]);
    rig.audio("resp_1", "item_a", 1_000);
    rig.done("resp_1", "cancelled");
    assert_eq!(rig.take_effects(), [Effect::ResponseDone { status: "cancelled".into() }]);
    rig.act(|session, now, out| session.interrupt(now, out));
    assert!(rig.sent.is_empty(), "nothing to cancel any more");
    text(&mut rig, "5");
    assert_eq!(rig.take_types(), ["conversation.item.create", "response.create"]);
}

#[test]
fn a_key_while_the_model_thinks_stops_the_coming_answer() {
    let mut rig = Rig::live(SessionProfile::default());
    rig.caller_turn("item_u");
    rig.act(|session, now, out| session.interrupt(now, out));
    assert!(rig.sent.is_empty(), "there is nothing to cancel yet");
    rig.response_created("resp_1");
    assert_eq!(rig.take_sent(), [json!({"type":"response.cancel","response_id":"resp_1"})]);
}

#[test]
fn while_the_caller_speaks_his_turn_is_answered_together_with_the_keys() {
    let mut rig = Rig::live(SessionProfile::default());
    rig.server(json!({"type":"input_audio_buffer.speech_started","item_id":"item_u"}));
    text(&mut rig, "7");
    let id = item(&rig, 0);
    added(&mut rig, &id);
    rig.server(json!({"type":"input_audio_buffer.speech_stopped","item_id":"item_u"}));
    rig.server(json!({"type":"input_audio_buffer.committed","item_id":"item_u"}));
    assert_eq!(rig.take_types(), ["conversation.item.create"], "no request of ours beside the server's own");
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 100);
    rig.done("resp_1", "completed");
    assert!(rig.sent.is_empty() && rig.session.is_quiet());
}

#[test]
fn an_item_the_server_had_not_seen_gets_an_answer_of_its_own() {
    let mut rig = Rig::live(SessionProfile::default());
    rig.caller_turn("item_u");
    text(&mut rig, "7");
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 100);
    rig.done("resp_1", "completed");
    assert_eq!(rig.take_types(), ["conversation.item.create", "response.create"]);
}

#[test]
fn a_request_that_collides_is_repeated_after_the_other_response() {
    let mut rig = Rig::live(SessionProfile::default());
    text(&mut rig, "9");
    rig.clear();
    rig.response_created("resp_of_the_server");
    rig.error("conversation_already_has_active_response");
    rig.audio("resp_of_the_server", "item_a", 100);
    assert!(rig.sent.is_empty());
    rig.done("resp_of_the_server", "completed");
    assert_eq!(rig.take_types(), ["response.create"]);
}

#[test]
fn keys_before_the_session_is_live_come_after_the_greeting() {
    let profile = SessionProfile { greeting: Some("Greet.".into()), ..SessionProfile::default() };
    let mut rig = Rig::configured(profile, Timing::default());
    text(&mut rig, "3");
    assert!(rig.sent.is_empty());
    rig.adopt(Ledger::default(), false);
    assert_eq!(rig.take_types(), ["response.create", "conversation.item.create"]);
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 100);
    rig.done("resp_1", "completed");
    assert_eq!(rig.take_types(), ["response.create"]);
}

#[test]
fn keys_after_the_loss_are_remembered() {
    let mut rig = Rig::live(SessionProfile::default());
    rig.error("session_expired");
    rig.clear();
    text(&mut rig, "8");
    assert!(rig.sent.is_empty());
    let ledger = rig.session.take_ledger();
    let mut next = Rig::live_with(SessionProfile::default(), Timing::default(), ledger, true);
    assert_eq!(next.sent[0].1["item"]["content"][0]["text"], "8");
    assert_eq!(next.take_types(), ["conversation.item.create", "conversation.item.create", "response.create"]);
}
