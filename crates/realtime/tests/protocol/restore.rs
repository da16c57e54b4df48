//! A lost session's conversation goes on in a new one.

use serde_json::{Value, json};
use trunkline_realtime::{Api, ItemId, Ledger, Played, SessionProfile, Timing};

use crate::rig::Rig;

fn greeter() -> SessionProfile {
    SessionProfile { greeting: Some("Greet the caller.".into()), ..SessionProfile::default() }
}

fn next(ledger: Ledger, resume: bool) -> Rig {
    Rig::live_with(greeter(), Timing::default(), ledger, resume)
}

fn told(rig: &mut Rig) -> Vec<(String, String)> {
    let line = |event: Value| {
        let item = &event["item"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let what = text(&item["content"][0]["text"]).or_else(|| text(&item["output"])).or_else(|| text(&item["name"]));
        let who = text(&item["role"]).or_else(|| text(&item["type"])).unwrap_or_else(|| event["type"].to_string());
        (who, what.unwrap_or_default())
    };
    rig.take_sent().into_iter().map(line).collect()
}

fn is(line: &(String, String), who: &str, what: &str) -> bool {
    line.0 == who && line.1.starts_with(what)
}

#[test]
fn in_the_middle_of_an_answer_the_new_session_takes_the_word() {
    let mut old = Rig::live(greeter());
    old.answer("resp_0", "item_0", "Hello.", 500);
    old.caller_turn("item_u");
    old.transcribed("item_u", "When are you open?");
    old.response_created("resp_1");
    old.audio("resp_1", "item_1", 1_000);
    old.words("resp_1", "item_1", "We are open from eight in the morning until late.");
    let _ = old.session.on_closed(None, "");
    let mut new = next(old.session.take_ledger(), true);
    let told = told(&mut new);
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(is(&told[0], "assistant", "Hello.") && is(&told[1], "user", "When are you open?"));
    assert!(
        is(&told[2], "assistant", "We are open") && !told[2].1.contains("morning"),
        "what one second holds: {told:?}"
    );
    assert!(is(&told[3], "system", "The connection was renewed. Carry on; do not greet again."));
    assert_eq!(told[4].0, "\"response.create\"");
}

#[test]
fn a_waiting_caller_whose_words_are_lost_is_asked_again() {
    let mut old = Rig::live(greeter());
    old.answer("resp_0", "item_0", "Hello.", 500);
    old.caller_turn("item_u");
    let ledger = old.session.take_ledger();
    assert!(ledger.waiting_for_answer());
    let lines = told(&mut next(ledger.clone(), true));
    assert!(lines[1].1.contains("ask for them again"), "{lines:?}");
    assert_eq!(lines.len(), 3);
    assert_eq!(told(&mut next(ledger, false)).len(), 2, "a planned renewal takes no word");
}

#[test]
fn nobody_waits_after_an_answer_and_no_second_greeting_comes() {
    let mut old = Rig::live(greeter());
    assert_eq!(old.take_types(), ["response.create"], "the first greeting");
    old.answer("resp_0", "item_0", "Hello.", 500);
    let mut new = next(old.session.take_ledger(), true);
    assert_eq!(new.take_types(), ["conversation.item.create"; 2]);
    assert!(new.session.is_quiet());

    let mut unheard = Rig::live(greeter());
    unheard.response_created("resp_0");
    let mut new = next(unheard.session.take_ledger(), true);
    assert_eq!(new.take_types(), ["response.create"], "a greeting nobody heard is repeated");
}

#[test]
fn tools_are_told_with_their_outputs_or_not_at_all() {
    let mut old = Rig::live(SessionProfile::default());
    old.caller_turn("item_u");
    old.transcribed("item_u", "Find me.");
    old.response_created("resp_1");
    for call in ["call_1", "call_2"] {
        old.server(json!({"type":"response.function_call_arguments.done","response_id":"resp_1","item_id":format!("item_{call}"),
            "call_id":call,"name":"look_up","arguments":"{\"a\":1}"}));
    }
    old.act(|session, now, out| session.tool_output(now, "call_1", "found", true, out));
    old.done("resp_1", "completed");
    let ledger = old.session.take_ledger();
    assert!(ledger.waiting_for_answer(), "the caller waits for the second tool");

    let mut new = next(ledger, false);
    let sent: Vec<Value> = new.take_sent();
    let kinds: Vec<&str> = sent.iter().map(|event| event["item"]["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "function_call", "function_call_output", "message"]);
    assert_eq!((&sent[1]["item"]["arguments"], &sent[1]["item"]["call_id"]), (&json!("{\"a\":1}"), &json!("call_1")));
    assert_eq!((&sent[2]["item"]["output"], &sent[2]["item"]["call_id"]), (&json!("found"), &json!("call_1")));

    new.act(|session, now, out| session.tool_output(now, "call_2", "late", true, out));
    let sent = new.take_sent();
    assert_eq!(sent[0]["item"]["type"], "function_call", "the call is told once its output is there");
    assert_eq!((&sent[1]["item"]["output"], &sent[2]["type"]), (&json!("late"), &json!("response.create")));
    new.act(|session, now, out| session.tool_output(now, "call_2", "twice", true, out));
    assert!(new.sent.is_empty());
}

#[test]
fn only_the_last_twenty_items_are_told_and_no_pair_is_torn() {
    let mut old = Rig::live(SessionProfile::default());
    for n in 0..40 {
        old.act(|session, now, out| session.user_text(now, &format!("key {n}"), out));
    }
    old.response_created("resp_1");
    old.server(json!({"type":"response.function_call_arguments.done","response_id":"resp_1","item_id":"item_f",
        "call_id":"call_1","name":"look_up","arguments":"{}"}));
    old.act(|session, now, out| session.tool_output(now, "call_1", "found", false, out));
    for n in 40..59 {
        old.act(|session, now, out| session.user_text(now, &format!("key {n}"), out));
    }
    let mut new = next(old.session.take_ledger(), false);
    let told = told(&mut new);
    assert_eq!(told.len(), 20, "19 texts and the system's word; the pair would be the 20th and 21st");
    assert!(is(&told[0], "user", "key 40") && is(&told[18], "user", "key 58") && told[19].0 == "system");
}

#[test]
fn item_ids_stay_unique_over_sessions() {
    let mut old = Rig::live(SessionProfile::default());
    old.act(|session, now, out| session.user_text(now, "1", out));
    let mut new = next(old.session.take_ledger(), false);
    new.act(|session, now, out| session.user_text(now, "2", out));
    let mut ids: Vec<String> =
        new.sent.iter().filter_map(|(_, event)| event["item"]["id"].as_str().map(str::to_owned)).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), count), (3, 3));
    assert!(ids.iter().all(|id| id.len() <= 32), "the protocol's limit");
}

#[test]
fn sound_of_the_old_session_that_still_plays_only_changes_the_ledger() {
    let mut old = Rig::live(SessionProfile::default());
    old.answer("resp_1", "item_1", "One two three four five six seven eight nine ten.", 2_000);
    let mut new = next(old.session.take_ledger(), false);
    new.clear();
    new.cleared(&[("item_1", 1_000)]);
    assert!(new.sent.is_empty(), "the new session has no such audio");
    let words: Vec<_> = new.session.ledger().entries().filter_map(|entry| entry.words()).collect();
    assert_eq!(words, ["One two three four five"]);
}

#[test]
fn what_is_cleared_between_two_sessions_is_told_as_far_as_it_was_heard() {
    let mut old = Rig::live(SessionProfile::default());
    old.answer("resp_1", "item_1", "One two three four five six seven eight nine ten.", 2_000);
    old.answer("resp_2", "item_2", "Eleven.", 500);
    let mut ledger = old.session.take_ledger();
    let played = |item, played_ms| Played { item: ItemId::new(item), played_ms };
    ledger.cleared(&[played("item_1", 1_000), played("item_2", 0)]);
    let told = told(&mut next(ledger, false));
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].1, "One two three four five");
}

#[test]
fn other_apis_call_an_assistants_text_text() {
    let mut old = Rig::live(SessionProfile::default());
    old.answer("resp_1", "item_1", "Hello.", 500);
    let ledger = old.session.take_ledger();
    for (api, part) in [(Api::Ga, "output_text"), (Api::Preview, "text"), (Api::VoiceLive, "text")] {
        let profile = SessionProfile { api, ..SessionProfile::default() };
        let new = Rig::live_with(profile, Timing::default(), ledger.clone(), false);
        assert_eq!(new.sent[0].1["item"]["content"][0]["type"], part);
    }
}

#[test]
fn a_doubled_adoption_is_refused() {
    let mut rig = Rig::live(greeter());
    rig.answer("resp_0", "item_0", "Hello.", 500);
    rig.clear();
    rig.adopt(Ledger::default(), true);
    assert!(rig.sent.is_empty() && !rig.session.ledger().is_empty());
}

#[test]
fn a_caller_who_speaks_when_the_session_is_lost_is_asked_again() {
    for is_mute in [false, true] {
        let mut old = Rig::live(greeter());
        old.answer("resp_0", "item_0", "Hello.", 500);
        if is_mute {
            // Two turns without an answer, and the third has begun.
            for turn in ["item_u", "item_v"] {
                old.caller_turn(turn);
            }
        }
        old.server(json!({"type":"input_audio_buffer.speech_started","audio_start_ms":0,"item_id":"item_w"}));
        if is_mute {
            old.caller_turn("item_x");
        }
        let _ = old.session.on_closed(None, "");
        let ledger = old.session.take_ledger();
        assert!(ledger.waiting_for_answer(), "mute: {is_mute}");
        let lines = told(&mut next(ledger, true));
        assert_eq!(lines.last().unwrap().0, "\"response.create\"", "mute: {is_mute}");
        let system = lines.iter().find(|line| line.0 == "system").unwrap();
        assert!(system.1.contains("ask for them again"), "mute: {is_mute}, {lines:?}");
    }
}

#[test]
fn a_tool_that_still_runs_is_waited_for_and_one_that_answered_meanwhile_is_told() {
    let mut old = Rig::live(greeter());
    old.answer("resp_0", "item_0", "Hello.", 500);
    old.caller_turn("item_u");
    old.transcribed("item_u", "Where is my order?");
    old.response_created("resp_1");
    let call = json!({"id":"item_t","type":"function_call","call_id":"call_1","name":"look_up","arguments":"{}",
        "status":"completed"});
    old.server(json!({"type":"response.output_item.done","response_id":"resp_1","item":call}));
    old.done("resp_1", "completed");
    let _ = old.session.on_closed(None, "");
    let mut ledger = old.session.take_ledger();
    let mut waits = next(ledger.clone(), true);
    assert!(!waits.take_types().contains(&"response.create".to_owned()), "it would call the tool again");
    waits.act(|session, now, out| session.tool_output(now, "call_1", "tomorrow", true, out));
    let types = waits.take_types();
    assert_eq!(types, ["conversation.item.create", "conversation.item.create", "response.create"], "call, output");
    ledger.tool_answered("call_1", "tomorrow", true);
    let lines = told(&mut next(ledger, true));
    assert!(lines.iter().any(|line| is(line, "function_call_output", "tomorrow")), "{lines:?}");
    assert_eq!(lines.last().unwrap().0, "\"response.create\"");
}

#[test]
fn a_greeting_that_was_never_heard_is_not_left_out_because_the_caller_spoke() {
    let mut old = Rig::live(greeter());
    old.server(json!({"type":"input_audio_buffer.speech_started","audio_start_ms":0,"item_id":"item_u"}));
    let _ = old.session.on_closed(None, "");
    let mut new = next(old.session.take_ledger(), true);
    assert_eq!(new.take_sent()[0]["response"]["instructions"], "Greet the caller.");
}

#[test]
fn one_of_two_tools_is_waited_for_and_what_led_to_it_was_understood() {
    let mut old = Rig::live(greeter());
    old.answer("resp_0", "item_0", "Hello.", 500);
    // Nobody writes down what the caller says.
    old.caller_turn("item_u");
    old.response_created("resp_1");
    for (item, call) in [("item_a", "call_a"), ("item_b", "call_b")] {
        let item = json!({"id":item,"type":"function_call","call_id":call,"name":"look_up","arguments":"{}",
            "status":"completed"});
        old.server(json!({"type":"response.output_item.done","response_id":"resp_1","item":item}));
    }
    old.done("resp_1", "completed");
    old.act(|session, now, out| session.tool_output(now, "call_b", "quick", true, out));
    let _ = old.session.on_closed(None, "");
    let mut new = next(old.session.take_ledger(), true);
    let lines = told(&mut new);
    assert!(!lines.iter().any(|line| line.0.contains("response.create")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.1.contains("ask for them again")), "{lines:?}");
    new.act(|session, now, out| session.tool_output(now, "call_a", "slow", true, out));
    assert_eq!(new.take_types().last().map(String::as_str), Some("response.create"));
}
