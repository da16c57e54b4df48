//! Responses that fail, and models that do not answer.

use serde_json::json;
use trunkline_realtime::{Effect, Loss, SessionProfile, Timing};

use crate::rig::Rig;

fn live() -> Rig {
    let mut rig = Rig::live(SessionProfile::default());
    rig.at(1_000);
    rig.caller_turn("item_u");
    rig.clear();
    rig
}

fn times(rig: &Rig) -> Vec<(u64, String)> {
    rig.sent.iter().map(|(at, event)| (*at, event["type"].as_str().unwrap().to_owned())).collect()
}

fn create(at: u64) -> (u64, String) {
    (at, "response.create".to_owned())
}

#[test]
fn three_retries_with_growing_waits_and_then_the_end() {
    let mut rig = live();
    for n in 0..4 {
        rig.response_created(&format!("resp_{n}"));
        rig.failed(&format!("resp_{n}"));
        assert!(n == 3 || (!rig.session.is_quiet() && rig.session.ledger().waiting_for_answer()));
        let until = rig.at_ms + 4_000;
        let next = [1_500, 2_500, 4_500, until][n];
        rig.at(next);
    }
    assert_eq!(times(&rig), [create(1_500), create(2_500), create(4_500)]);
    assert_eq!(rig.loss(), Some((4_500, Loss::ResponsesFailing { code: "server_error".into() })));
    let done = rig.effects.iter().filter(|(_, effect)| *effect == Effect::ResponseDone { status: "failed".into() });
    assert_eq!(done.count(), 4, "failures are not hidden");
}

#[test]
fn an_answer_in_between_forgives() {
    let mut rig = live();
    for n in 0..10 {
        let id = format!("resp_{n}");
        rig.response_created(&id);
        if n % 2 == 0 {
            rig.failed(&id);
        } else {
            rig.audio(&id, &format!("item_{n}"), 100);
            rig.done(&id, "completed");
            rig.caller_turn(&format!("item_u{n}"));
        }
        rig.at(rig.at_ms + 600);
    }
    assert_eq!(rig.loss(), None);
    assert!(rig.sent.iter().all(|(_, event)| event["type"] == "response.create"));
}

#[test]
fn no_retry_while_the_caller_speaks() {
    let mut rig = live();
    rig.response_created("resp_1");
    rig.failed("resp_1");
    rig.at(1_200);
    rig.server(json!({"type":"input_audio_buffer.speech_started","item_id":"item_v"}));
    rig.at(5_000);
    assert!(rig.sent.is_empty());
    rig.server(json!({"type":"input_audio_buffer.speech_stopped","item_id":"item_v"}));
    rig.server(json!({"type":"input_audio_buffer.committed","item_id":"item_v"}));
    rig.at(5_100);
    assert!(rig.sent.is_empty(), "the server answers that turn by itself");
}

#[test]
fn a_request_that_is_refused_counts_as_a_failed_response() {
    let mut rig = Rig::live(SessionProfile { greeting: Some("Greet.".into()), ..SessionProfile::default() });
    for _ in 0..4 {
        rig.error("rate_limit_exceeded");
        rig.at(rig.at_ms + 2_000);
    }
    assert_eq!(times(&rig), [create(250), create(750), create(3_250), create(6_250)]);
    assert!(matches!(rig.loss(), Some((6_250, Loss::ResponsesFailing { .. }))));
}

#[test]
fn a_mute_model_gets_one_more_chance() {
    let mut rig = live();
    rig.at(6_999);
    assert!(rig.sent.is_empty());
    rig.at(30_000);
    assert_eq!(times(&rig), [create(7_000)]);
    assert_eq!(rig.loss(), Some((13_000, Loss::Mute)));
}

#[test]
fn a_late_answer_forgives_the_first_silence() {
    let mut rig = live();
    for n in 0..4 {
        rig.at(rig.at_ms + 6_000);
        assert_eq!(rig.take_types(), ["response.create"], "one retry for each turn");
        rig.answer(&format!("resp_{n}"), &format!("item_{n}"), "Here I am.", 100);
        rig.caller_turn(&format!("item_u{n}"));
    }
    assert_eq!(rig.loss(), None);
}

#[test]
fn a_response_that_began_but_says_nothing_is_cancelled_first() {
    let mut rig = live();
    rig.response_created("resp_1");
    rig.at(7_000);
    assert_eq!(rig.take_types(), ["response.cancel"]);
    rig.done("resp_1", "cancelled");
    assert_eq!(rig.take_types(), ["response.create"], "once the cancelled one is done");
    rig.at(7_500);
    rig.response_created("resp_2");
    rig.audio("resp_2", "item_a", 100);
    rig.done("resp_2", "completed");
    rig.at(60_000);
    assert_eq!(rig.loss(), None);
    let latency = rig.effects.iter().find_map(|(_, effect)| match effect {
        Effect::FirstAudio { latency } => Some(latency.as_millis()),
        _ => None,
    });
    assert_eq!(latency, Some(6_500), "the caller waited since the end of his turn");
}

#[test]
fn an_answer_that_stops_in_the_middle_is_noticed() {
    let mut rig = live();
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 100);
    rig.at(12_000);
    rig.audio("resp_1", "item_a", 100);
    assert!(rig.sent.is_empty(), "pauses up to twice the patience are tolerated");
    rig.at(60_000);
    assert_eq!(times(&rig), [(24_000, "response.cancel".to_owned())]);
    assert_eq!(rig.loss(), Some((30_000, Loss::Mute)));
}

#[test]
fn a_caller_who_keeps_asking_does_not_keep_a_mute_model_alive() {
    let mut rig = live();
    for n in 0..10 {
        rig.at(rig.at_ms + 4_000);
        rig.caller_turn(&format!("item_u{n}"));
    }
    assert_eq!(rig.loss(), Some((13_000, Loss::Mute)), "the third turn without any sign");
}

#[test]
fn a_response_without_output_is_asked_for_once_more_and_no_reason_to_die() {
    let mut rig = live();
    rig.caller_turn("item_u");
    for (response, asked) in [("resp_1", vec!["response.create"]), ("resp_1b", Vec::new())] {
        rig.response_created(response);
        rig.done(response, "completed");
        assert_eq!(rig.take_types(), asked, "{response}");
    }
    rig.at(60_000);
    assert_eq!((rig.loss(), rig.sent.len()), (None, 0));
    assert!(
        rig.effects.iter().any(|(_, effect)| matches!(effect, Effect::Notice { code, .. } if code == "response_empty"))
    );
    rig.caller_turn("item_v");
    rig.response_created("resp_2");
    rig.audio("resp_2", "item_a", 100);
    let details = json!({"type":"incomplete","reason":"content_filter"});
    rig.server(
        json!({"type":"response.done","response":{"id":"resp_2","status":"incomplete","status_details":details}}),
    );
    assert!(rig.session.is_quiet());
}

#[test]
fn a_conflict_without_a_known_response_is_retried_with_patience() {
    let mut rig = Rig::live_with(
        SessionProfile { greeting: Some("Greet.".into()), ..SessionProfile::default() },
        Timing::default(),
        trunkline_realtime::Ledger::default(),
        false,
    );
    rig.error("conversation_already_has_active_response");
    assert_eq!(rig.sent.len(), 1, "not at once");
    rig.at(750);
    assert_eq!(times(&rig), [create(250), create(750)]);
}

#[test]
fn harmless_errors_are_only_noted() {
    let mut rig = live();
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 100);
    rig.clear();
    for code in [
        "response_cancel_not_active",
        "input_audio_buffer_commit_empty",
        "item_truncate_invalid_item_id",
        "item_delete_invalid_item_id",
        "item_create_invalid_previous_item_id",
        "invalid_value",
        "unknown_parameter",
        "rate_limit_exceeded",
    ] {
        rig.error(code);
        let effects = rig.take_effects();
        assert!(matches!(&effects[..], [Effect::Notice { code: noted, .. }] if noted == code), "{effects:?}");
    }
    assert!(rig.sent.is_empty());
    rig.server(json!({"type":"conversation.item.input_audio_transcription.failed","item_id":"item_u",
        "error":{"type":"server_error","code":"DeploymentNotFound","message":"m"}}));
    assert!(matches!(&rig.take_effects()[..], [Effect::Notice { code, .. }] if code == "DeploymentNotFound"));
    rig.audio("resp_1", "item_a", 100);
    assert_eq!(rig.audio_bytes("item_a"), 4_800, "the answer goes on");
}

#[test]
fn errors_of_the_account_end_the_session() {
    let mut rig = live();
    rig.error("insufficient_quota");
    assert!(matches!(rig.loss(), Some((1_000, loss)) if loss.is_permanent()));
}
