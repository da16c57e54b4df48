//! What a caller hears while the model is away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod line;

use std::time::Duration;

use line::{Line, entered, gave_up, lost, prompt, refused, settings, talking};
use trunkline_call::{
    FallbackAction as Act, FallbackInput as In, FallbackSettings, FallbackState, GOODBYE_GUARD, PROMPT_GUARD,
};

#[test]
fn a_lost_session_is_covered_by_prompts_until_it_is_back() {
    let mut line = talking();
    line.at(10_000, lost("closed"));
    assert_eq!(line.policy.state(), FallbackState::Media);
    // Prompts of 2 s, 3 s apart.
    let expected = vec![
        (10_000, entered("closed")),
        (10_000, prompt(0)),
        (15_000, prompt(1)),
        (20_000, prompt(2)),
        (25_000, prompt(0)),
    ];
    assert_eq!(line.take(26_000), expected);
    line.input(In::Ready);
    assert_eq!(line.policy.state(), FallbackState::Idle);
    assert_eq!(line.take(200_000), vec![(26_000, Act::StopPrompts), (26_000, Act::Recovered)]);
}

#[test]
fn prompts_go_on_in_the_next_outage_where_they_stopped() {
    let mut line = talking();
    line.at(10_000, lost("closed")).at(12_500, In::Ready).at(40_000, lost("stalled")).at(40_500, In::Ready);
    line.at(90_000, lost("closed")).at(90_100, In::Ready).at(99_000, lost("closed"));
    let prompts: Vec<_> =
        line.take(99_100).into_iter().filter(|(_, act)| matches!(act, Act::PlayPrompt { .. })).collect();
    assert_eq!(prompts, vec![(10_000, prompt(0)), (40_000, prompt(1)), (90_000, prompt(2)), (99_000, prompt(0))]);
}

#[test]
fn a_prompt_still_ending_from_the_last_outage_is_not_talked_over() {
    let mut line = talking();
    line.at(10_000, lost("closed")).at(10_500, In::Ready).at(11_000, lost("closed"));
    // The prompt of 10 000 ends at 12 000.
    let log = line.take(16_000);
    assert_eq!(log.last(), Some(&(15_000, prompt(1))));
    assert_eq!(log.iter().filter(|(_, act)| matches!(act, Act::PlayPrompt { .. })).count(), 2);
}

#[test]
fn gives_up_after_max_duration_and_ends_the_call_after_the_goodbye() {
    let mut line = talking();
    line.at(10_000, lost("closed")).at(30_000, lost("unreachable"));
    line.take(69_999);
    line.run_to(70_000);
    assert_eq!(line.policy.state(), FallbackState::GaveUp);
    // The session that comes too late does not take the word from the goodbye.
    line.at(71_000, In::Ready).at(71_500, lost("closed")).at(72_000, refused());
    let expected = vec![(70_000, gave_up("unreachable")), (70_000, Act::PlayGoodbye), (74_000, Act::EndCall)];
    assert_eq!(line.take(500_000), expected);
    assert_eq!(line.policy.state(), FallbackState::GaveUp);
}

#[test]
fn a_permanent_loss_gives_up_at_once() {
    let goodbye = |at: u64| [(at, gave_up("401")), (at, Act::PlayGoodbye), (at + 4_000, Act::EndCall)];
    // In mid-call.
    let mut line = talking();
    line.at(10_000, refused());
    assert_eq!(line.take(100_000), [vec![(10_000, entered("401"))], goodbye(10_000).to_vec()].concat());
    // On the first connect.
    let mut line = Line::new(settings());
    line.at(0, In::Connecting).at(150, refused());
    assert_eq!(line.take(100_000), [vec![(150, entered("401"))], goodbye(150).to_vec()].concat());
    // In an outage, in the middle of a prompt.
    let mut line = talking();
    line.at(10_000, lost("closed"));
    line.take(10_900);
    line.at(11_000, refused());
    assert_eq!(line.take(100_000), goodbye(11_000));
}

#[test]
fn a_slow_first_connect_plays_a_prompt_after_its_grace() {
    let mut line = Line::new(settings());
    line.at(500, In::Connecting);
    assert_eq!(line.take(2_499), []);
    assert_eq!(line.take(2_500), vec![(2_500, entered("connecting")), (2_500, prompt(0))]);
    // Failing now is no second outage; its reason is the one given at the end.
    line.at(8_500, lost("connect_timeout"));
    let log = line.take(62_500);
    assert!(log.contains(&(62_500, gave_up("connect_timeout"))), "{log:?}");
    assert!(!log.iter().any(|(_, act)| matches!(act, Act::Entered { .. })), "{log:?}");
}

#[test]
fn a_first_connect_that_fails_within_its_grace_is_covered_at_once() {
    let mut line = Line::new(settings());
    line.at(0, In::Connecting).at(200, lost("unreachable"));
    assert_eq!(line.take(300), vec![(200, entered("unreachable")), (200, prompt(0))]);
    // The next attempts do not start the grace anew.
    line.at(400, In::Connecting).at(900, In::Ready);
    assert_eq!(line.take(60_000), vec![(900, Act::StopPrompts), (900, Act::Recovered)]);
}

#[test]
fn connecting_anew_after_a_session_starts_no_grace() {
    let mut line = talking();
    line.at(5_000, In::Connecting);
    assert_eq!(line.take(60_000), []);
}

#[test]
fn a_goodbye_that_never_reports_its_end_does_not_keep_the_call() {
    let mut line = talking();
    line.goodbye_ms = None;
    line.at(10_000, refused());
    let end = 10_000 + GOODBYE_GUARD.as_millis() as u64;
    assert_eq!(line.take(200_000).last(), Some(&(end, Act::EndCall)));
}

#[test]
fn a_prompt_that_never_reports_its_end_does_not_leave_the_caller_in_silence() {
    let mut line = talking();
    line.prompt_ms = None;
    line.at(10_000, lost("closed"));
    let next = 10_000 + PROMPT_GUARD.as_millis() as u64;
    assert_eq!(line.take(next).last(), Some(&(next, prompt(1))));
}

#[test]
fn stray_reports_change_nothing() {
    let mut line = talking();
    line.at(2_000, In::PromptDone).at(2_100, In::GoodbyeDone);
    assert_eq!(line.take(9_000), []);
    line.at(10_000, lost("closed")).at(12_100, In::PromptDone).at(12_200, In::GoodbyeDone);
    let expected = vec![(10_000, entered("closed")), (10_000, prompt(0)), (15_000, prompt(1))];
    assert_eq!(line.take(15_000), expected);
}

#[test]
fn a_call_that_ends_otherwise_is_left_alone() {
    for at in [5_000, 10_500, 13_000, 70_500] {
        let mut line = talking();
        line.ends = None;
        if at > 10_000 {
            line.at(10_000, lost("closed"));
        }
        line.run_to(at);
        line.log.clear();
        let before = line.policy.state();
        line.at(at, In::CallEnding).at(at + 100, lost("closed")).at(at + 200, refused()).at(at + 300, In::Ready);
        assert_eq!(line.take(500_000), [], "ended at {at}");
        assert_eq!(line.policy.state(), before);
        assert_eq!(line.policy.next_timer(), None);
    }
}

#[test]
fn odd_settings_hold() {
    // No texts: a silent outage, still announced and still given up.
    let mut line = Line::new(FallbackSettings { prompts: 0, ..settings() });
    line.at(10_000, lost("closed"));
    let expected = vec![
        (10_000, entered("closed")),
        (70_000, gave_up("closed")),
        (70_000, Act::PlayGoodbye),
        (74_000, Act::EndCall),
    ];
    assert_eq!(line.take(100_000), expected);

    // No patience: the goodbye at once.
    let mut line = Line::new(FallbackSettings { max_duration: Duration::ZERO, ..settings() });
    line.at(10_000, lost("closed"));
    assert_eq!(
        line.take(10_000),
        vec![(10_000, entered("closed")), (10_000, gave_up("closed")), (10_000, Act::PlayGoodbye)]
    );

    // No pause: one prompt on the heels of the other.
    let mut line = Line::new(FallbackSettings { pause: Duration::ZERO, ..settings() });
    line.at(10_000, lost("closed"));
    assert_eq!(line.take(14_000).last(), Some(&(14_000, prompt(2))));

    // No end.
    let mut line = Line::new(FallbackSettings { max_duration: Duration::MAX, ..settings() });
    line.at(10_000, lost("closed"));
    assert_eq!(line.take(3_600_000).last(), Some(&(3_600_000, prompt(1))));
}

#[test]
fn late_timers_skip_what_is_too_late() {
    let mut line = talking();
    line.at(10_000, lost("closed"));
    line.log.clear();
    line.ends = None;
    line.now_ms = 200_000;
    line.step(|policy, now, out| policy.on_timer(now, out));
    assert_eq!(line.log, vec![(200_000, gave_up("closed")), (200_000, Act::PlayGoodbye)]);
}

#[test]
fn an_early_timer_does_nothing() {
    let mut line = talking();
    line.at(10_000, lost("closed"));
    line.log.clear();
    for ms in [10_000, 10_001, 11_999] {
        line.now_ms = ms;
        line.step(|policy, now, out| policy.on_timer(now, out));
    }
    assert_eq!(line.log, []);
}
