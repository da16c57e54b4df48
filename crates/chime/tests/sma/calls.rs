//! Whole calls, from their first event to their last.

use serde_json::{Value, json};
use trunkline_chime::command::{Command, OutboundCall};
use trunkline_chime::sma::headers::decode_metadata;

use crate::chime::{Bridge, Chime, TRANSACTION};

const RECONNECTING: &str = "speak One moment please, I am reconnecting you.";
const APOLOGY: &str = "speak I am sorry, we have a technical problem. Please call again later. Goodbye.";
const TARGET: &str = "+15550100077";

/// A call that came in and is bridged to the service.
fn talking() -> Chime {
    let mut chime = Chime::inbound();
    chime.settle();
    assert!(chime.is_there(true) && chime.is_there(false));
    assert_eq!(take(&mut chime), [dial()]);
    chime
}

fn dial() -> String {
    format!("dial {TRANSACTION}")
}

fn take(chime: &mut Chime) -> Vec<String> {
    std::mem::take(&mut chime.heard)
}

fn ask(chime: &mut Chime, command: &Command, request_id: &str) {
    chime.command(json!(command.to_arguments(request_id)));
}

fn keep_alive() -> Command {
    Command::KeepAlive { text: "Still here.".to_owned(), pause_ms: 3_000 }
}

fn transfer() -> Command {
    Command::Transfer { to: TARGET.to_owned(), text: Some("I connect you.".to_owned()) }
}

#[test]
fn a_caller_is_bridged_kept_company_and_hung_up() {
    let mut chime = talking();
    let headers = json!({
        "X-Trunkline-Transaction": TRANSACTION, "X-Trunkline-From": "+15550100001", "X-Trunkline-To": "+15550199002",
    });
    assert_eq!(chime.headers, [headers]);
    ask(&mut chime, &keep_alive(), "1");
    chime.settle();
    // Told twice by AWS: spoken once.
    ask(&mut chime, &keep_alive(), "1");
    chime.settle();
    ask(&mut chime, &keep_alive(), "2");
    chime.settle();
    assert_eq!(take(&mut chime), ["speak Still here.", "pause 3000", "speak Still here.", "pause 3000"]);
    ask(&mut chime, &Command::HangUp { text: Some("Goodbye.".to_owned()) }, "3");
    chime.settle();
    assert_eq!(take(&mut chime), ["speak Goodbye.", "end leg-b-1", "end leg-a"]);
}

#[test]
fn the_model_that_is_back_ends_the_sentence_and_interrupts_the_pause() {
    let mut chime = talking();
    ask(&mut chime, &keep_alive(), "1");
    // Speaking.
    chime.step();
    ask(&mut chime, &Command::Resume, "2");
    chime.settle();
    assert_eq!(take(&mut chime), ["speak Still here.", "pause 1"]);
    ask(&mut chime, &keep_alive(), "3");
    // Spoken, and pausing.
    for _ in 0..3 {
        chime.step();
    }
    ask(&mut chime, &Command::Resume, "4");
    chime.settle();
    assert_eq!(take(&mut chime), ["speak Still here.", "pause 3000", "pause 1"]);
    assert!(chime.is_there(true) && chime.is_there(false));
}

#[test]
fn a_call_that_goes_out_brings_along_what_is_known_of_it() {
    let call = OutboundCall {
        call_id: "out-17".to_owned(),
        route: Some("reminders".to_owned()),
        metadata: Some(r#"{"name":"Jürgen"}"#.to_owned()),
    };
    let mut chime = Chime::outbound(json!(call.to_arguments().unwrap()));
    chime.settle();
    assert!(chime.heard.is_empty());
    chime.answer();
    chime.settle();
    assert_eq!(take(&mut chime), [dial()]);
    let check = |headers: &Value| {
        assert_eq!(headers["X-Trunkline-Call-Id"], "out-17");
        assert_eq!(headers["X-Trunkline-Route"], "reminders");
        assert_eq!(decode_metadata(headers["X-Trunkline-Metadata"].as_str().unwrap()), call.metadata);
        assert_eq!(headers["X-Trunkline-From"], "+15550199002");
        assert_eq!(headers["X-Trunkline-To"], "+15550100042");
    };
    check(&chime.headers[0]);
    // Also after prompts and a loss.
    ask(&mut chime, &keep_alive(), "1");
    chime.settle();
    chime.lose(false, 0);
    chime.settle();
    check(&chime.headers[1]);
    chime.lose(true, 0);
    chime.settle();
    assert_eq!(take(&mut chime)[2..], [RECONNECTING, &dial(), "end leg-b-2"]);
}

#[test]
fn the_longest_that_a_call_may_bring_along_fits_into_its_headers() {
    let call = OutboundCall {
        call_id: "c".repeat(128),
        route: Some("r".repeat(64)),
        metadata: Some(format!("\"{}\"", "m".repeat(1022))),
    };
    let mut chime = Chime::outbound(json!(call.to_arguments().unwrap()));
    chime.answer();
    chime.settle();
    chime.lose(false, 0);
    chime.settle();
    assert_eq!(decode_metadata(chime.headers[1]["X-Trunkline-Metadata"].as_str().unwrap()), call.metadata);
}

#[test]
fn a_service_that_vanishes_is_called_again_three_times() {
    let mut chime = talking();
    for attempt in 1..=3 {
        chime.lose(false, 0);
        chime.settle();
        assert_eq!(take(&mut chime), [RECONNECTING, &dial()]);
        assert_eq!(chime.headers.last().unwrap()["X-Trunkline-Attempt"], attempt.to_string());
        // Neither prompts nor time give attempts back.
        ask(&mut chime, &keep_alive(), &format!("k-{attempt}"));
        chime.settle();
        take(&mut chime);
    }
    chime.lose(false, 0);
    chime.settle();
    assert_eq!(take(&mut chime), [APOLOGY, "end leg-a"]);
}

#[test]
fn a_service_that_does_not_answer_is_called_again_three_times() {
    let mut chime = Chime::inbound();
    chime.bridges.extend([Bridge::NotAnswered; 4]);
    chime.settle();
    let again = [RECONNECTING.to_owned(), dial()];
    let mut expected = vec![dial()];
    expected.extend([again.clone(), again.clone(), again].concat());
    expected.extend([APOLOGY.to_owned(), "end leg-a".to_owned()]);
    assert_eq!(take(&mut chime), expected);
}

#[test]
fn without_a_voice_everything_happens_but_the_words() {
    let mut chime = talking();
    chime.polly = false;
    chime.lose(false, 0);
    chime.settle();
    assert_eq!(take(&mut chime), [dial()]);
    assert!(chime.is_there(true) && chime.is_there(false));
    ask(&mut chime, &keep_alive(), "1");
    chime.settle();
    assert!(take(&mut chime).is_empty());
    ask(&mut chime, &transfer(), "2");
    chime.settle();
    assert_eq!(take(&mut chime), ["end leg-b-2", "dial +15550100077"]);
    chime.lose(false, 0);
    chime.settle();
    assert_eq!(take(&mut chime), ["end leg-a"]);
    let mut chime = talking();
    chime.polly = false;
    ask(&mut chime, &Command::HangUp { text: Some("Goodbye.".to_owned()) }, "1");
    chime.settle();
    assert_eq!(take(&mut chime), ["end leg-b-1", "end leg-a"]);
}

#[test]
fn an_end_on_purpose_is_never_bridged_again() {
    // Announced.
    let mut chime = talking();
    ask(&mut chime, &Command::Ending, "1");
    chime.lose(false, 0);
    chime.settle();
    assert_eq!(take(&mut chime), ["end leg-a"]);
    // Our leg goes while the goodbye is spoken.
    let mut chime = talking();
    ask(&mut chime, &Command::HangUp { text: Some("Goodbye.".to_owned()) }, "1");
    chime.step();
    chime.lose(false, 0);
    chime.settle();
    assert_eq!(take(&mut chime), ["speak Goodbye.", "end leg-a"]);
    // Not announced, and declined when it comes back.
    let mut chime = talking();
    chime.bridges.push_back(Bridge::Declined);
    chime.lose(false, 0);
    chime.settle();
    assert_eq!(take(&mut chime), [RECONNECTING, &dial(), "end leg-a"]);
    // Told by the leg itself.
    let mut chime = talking();
    chime.lose(false, 603);
    chime.settle();
    assert_eq!(take(&mut chime), ["end leg-a"]);
}

#[test]
fn an_end_that_is_called_off_is_none() {
    let mut chime = talking();
    ask(&mut chime, &Command::Ending, "1");
    ask(&mut chime, &Command::Resume, "2");
    chime.settle();
    chime.lose(false, 0);
    chime.settle();
    assert_eq!(take(&mut chime), ["pause 1", RECONNECTING, &dial()]);
}

#[test]
fn no_command_takes_back_a_goodbye() {
    for command in [keep_alive(), Command::Resume, transfer(), Command::Dtmf { digits: "1".to_owned() }] {
        let mut chime = talking();
        ask(&mut chime, &Command::HangUp { text: Some("Goodbye.".to_owned()) }, "1");
        chime.step();
        ask(&mut chime, &command, "2");
        chime.settle();
        assert_eq!(take(&mut chime), ["speak Goodbye.", "end leg-b-1", "end leg-a"], "{command:?}");
    }
}

#[test]
fn a_goodbye_is_said_once() {
    let goodbye = || Command::HangUp { text: Some("Goodbye.".to_owned()) };
    let mut chime = talking();
    ask(&mut chime, &goodbye(), "1");
    chime.step();
    ask(&mut chime, &goodbye(), "2");
    chime.settle();
    assert_eq!(take(&mut chime), ["speak Goodbye.", "end leg-b-1", "end leg-a"]);
}

#[test]
fn no_command_takes_back_a_bridge() {
    for command in [keep_alive(), Command::Resume, transfer(), Command::Dtmf { digits: "1".to_owned() }] {
        let mut chime = talking();
        chime.lose(false, 0);
        chime.step();
        ask(&mut chime, &command, "1");
        chime.settle();
        assert_eq!(take(&mut chime), [RECONNECTING, &dial()], "{command:?}");
        assert!(chime.is_there(false));
    }
}

#[test]
fn a_caller_is_transferred() {
    let mut chime = talking();
    ask(&mut chime, &transfer(), "1");
    chime.settle();
    assert_eq!(take(&mut chime), ["end leg-b-1", "speak I connect you.", "dial +15550100077"]);
    assert!(chime.is_there(true) && chime.is_there(false));
    // Prompts are for who speaks with the model.
    ask(&mut chime, &keep_alive(), "2");
    chime.settle();
    assert!(take(&mut chime).is_empty());
    chime.lose(false, 0);
    chime.settle();
    assert_eq!(take(&mut chime), ["end leg-a"]);
}

#[test]
fn a_transfer_that_nobody_answers_comes_back_to_the_model() {
    for outcome in [Bridge::NotAnswered, Bridge::Declined] {
        let mut chime = talking();
        chime.bridges.push_back(outcome);
        ask(&mut chime, &transfer(), "1");
        chime.settle();
        assert_eq!(take(&mut chime), ["end leg-b-1", "speak I connect you.", "dial +15550100077", &dial()]);
        let headers = chime.headers.last().unwrap();
        assert_eq!(
            (&headers["X-Trunkline-Transfer"], &headers["X-Trunkline-Attempt"]),
            (&json!("failed"), &json!("1"))
        );
        assert!(chime.is_there(true) && chime.is_there(false));
        // Back with the model: prompts again, and the next loss is one.
        ask(&mut chime, &keep_alive(), "2");
        chime.settle();
        chime.lose(false, 0);
        chime.settle();
        assert_eq!(take(&mut chime), ["speak Still here.", "pause 3000", RECONNECTING, &dial()]);
        assert_eq!(chime.headers.last().unwrap().get("X-Trunkline-Transfer"), None);
    }
}

#[test]
fn a_call_that_is_cancelled_while_it_rings_ends_when_it_is_answered() {
    let mut chime = Chime::outbound(json!({}));
    ask(&mut chime, &Command::HangUp { text: None }, "1");
    // AWS does not hang up a leg that rings.
    chime.answer();
    chime.settle();
    assert!(!chime.is_there(true) && !chime.is_there(false), "{:?}", chime.heard);
}

#[test]
fn keys_are_pressed_towards_the_far_party() {
    let mut chime = talking();
    ask(&mut chime, &Command::Dtmf { digits: ",,1234#".to_owned() }, "1");
    chime.settle();
    assert_eq!(take(&mut chime), ["digits ,,1234#"]);
}
