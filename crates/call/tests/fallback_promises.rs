//! What holds of the fallback whatever happens in whatever order.
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

use line::{Line, lost, refused, settings};
use proptest::prelude::*;
use trunkline_call::{
    ACCEPT_GUARD, FallbackAction as Act, FallbackChannel, FallbackInput as In, FallbackSettings, GOODBYE_GUARD,
    HUSH_GUARD, SmaPrompt,
};

fn any_input() -> impl Strategy<Value = In> {
    prop_oneof![
        1 => Just(In::Connecting),
        4 => Just(In::Ready),
        5 => "[a-z]{1,4}".prop_map(|reason| lost(&reason)),
        1 => Just(refused()),
        1 => Just(In::GoodbyeDone),
        1 => Just(In::CallEnding),
    ]
}

/// Everything that must hold of a log, whatever was put in. `hung_up` = when the call ended otherwise.
fn check(log: &[(u64, Act)], pause_ms: u64, max_ms: u64, prompt_ms: u64, over_ms: u64, hung_up: Option<u64>) {
    let mut outage: Option<u64> = None;
    let mut quiet_since = 0;
    let mut next = 0;
    let mut gave_up_at = None;
    let mut ended = false;
    for (at, act) in log {
        let at = *at;
        assert!(!ended, "{act:?} at {at} after the call's end");
        assert!(hung_up.is_none_or(|ms| at <= ms), "{act:?} at {at} after the hang-up at {hung_up:?}");
        assert!(gave_up_at.is_none() || matches!(act, Act::PlayGoodbye | Act::EndCall), "{act:?} after giving up");
        if let Some(since) = outage {
            assert!(at - since <= max_ms, "{act:?} at {at}, in an outage since {since}");
            let quiet = at.saturating_sub(quiet_since);
            assert!(quiet <= pause_ms, "{quiet} ms of quiet before {act:?} at {at}");
        }
        match act {
            Act::Entered { .. } => {
                assert!(outage.replace(at).is_none(), "entered twice");
                quiet_since = quiet_since.max(at);
            }
            Act::PlayPrompt { index } => {
                assert!(outage.is_some(), "a prompt at {at} outside an outage");
                assert!(at >= quiet_since || next == 0, "prompts overlap at {at}");
                assert_eq!(*index, next % 3, "prompts cycle");
                next += 1;
                quiet_since = at + prompt_ms;
            }
            Act::Recovered => assert!(outage.take().is_some(), "recovered from nothing"),
            Act::StopPrompts => assert!(outage.is_some(), "nothing to stop"),
            Act::GaveUp { .. } => {
                assert!(outage.take().is_some(), "gave up without an outage");
                assert!(gave_up_at.replace(at).is_none(), "gave up twice");
            }
            Act::PlayGoodbye => assert_eq!(gave_up_at, Some(at)),
            Act::EndCall => {
                assert!(at - gave_up_at.expect("ended without giving up") <= GOODBYE_GUARD.as_millis() as u64);
                ended = true;
            }
            _ => panic!("{act:?} without an application to ask"),
        }
    }
    if hung_up.is_none() {
        if let Some(since) = outage {
            assert!(over_ms - since < max_ms, "still in the outage of {since} at {over_ms}");
            assert!(over_ms.saturating_sub(quiet_since) <= pause_ms, "quiet since {quiet_since} at {over_ms}");
        }
        assert!(ended || gave_up_at.is_none_or(|at| over_ms - at < GOODBYE_GUARD.as_millis() as u64), "never ended");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_keeps_the_promises(
        inputs in prop::collection::vec((0..20_000_u64, any_input()), 0..40),
        pause_ms in prop_oneof![Just(0), 1..8_000_u64],
        max_ms in prop_oneof![Just(0), 1..90_000_u64],
        prompt_ms in 1..20_000_u64,
        goodbye_ms in prop::option::of(1..20_000_u64),
    ) {
        let mut line = Line::new(FallbackSettings {
            pause: Duration::from_millis(pause_ms),
            max_duration: Duration::from_millis(max_ms),
            ..settings()
        });
        line.prompt_ms = Some(prompt_ms);
        line.goodbye_ms = goodbye_ms;
        let mut hung_up = None;
        for (after, input) in inputs {
            let at = line.now_ms + after;
            if input == In::CallEnding && hung_up.is_none() {
                line.run_to(at);
                hung_up = Some(at);
            }
            line.at(at, input);
        }
        let over = line.now_ms + 15_000;
        line.run_to(over);
        check(&line.log, pause_ms, max_ms, prompt_ms, over, hung_up);
    }
}

/// What holds with an application to ask, whatever it answers and when. That there are never two voices at once, the line
/// itself sees to.
fn check_sma(line: &Line, pause_ms: u64, channel: FallbackChannel) {
    // To fall silent and to be asked.
    let patience = (HUSH_GUARD + ACCEPT_GUARD).as_millis() as u64;
    let mut outage = None;
    let mut gave_up = false;
    for (at, act) in &line.log {
        let at = *at;
        if let Some(since) = outage {
            let heard = line.heard.iter().filter(|(from, _)| *from < at).map(|(_, until)| *until);
            let quiet = at.saturating_sub(heard.chain([since]).max().unwrap_or_default());
            assert!(quiet <= pause_ms + patience, "{quiet} ms of quiet before {act:?} at {at}");
        }
        match act {
            Act::Entered { .. } => outage = Some(at),
            Act::AskSma { what, .. } => {
                assert!(channel != FallbackChannel::Media);
                assert!(outage.is_some() || (gave_up && *what == SmaPrompt::Goodbye), "{act:?} at {at}");
            }
            Act::PlayPrompt { .. } => assert!(outage.is_some(), "{act:?} at {at} outside an outage"),
            Act::Recovered => outage = None,
            Act::GaveUp { .. } => (outage, gave_up) = (None, true),
            Act::EndCall | Act::LeaveToSma { .. } => assert!(gave_up),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_application_keeps_the_promises(
        inputs in prop::collection::vec((0..20_000_u64, any_input()), 0..40),
        answers in prop::collection::vec(prop::option::of((0..3_000_u64, any::<bool>())), 1..6),
        channel in prop_oneof![Just(FallbackChannel::Auto), Just(FallbackChannel::Sma), Just(FallbackChannel::Media)],
        pause_ms in 0..8_000_u64,
        prompt_ms in 1..20_000_u64,
        hush_ms in 0..3_000_u64,
    ) {
        let mut line = Line::new(FallbackSettings { channel, pause: Duration::from_millis(pause_ms), ..settings() });
        line.policy.set_sma(true);
        (line.answers, line.prompt_ms, line.hush_ms) = (answers, Some(prompt_ms), hush_ms);
        for (after, input) in inputs {
            line.at(line.now_ms + after, input);
        }
        line.run_to(line.now_ms + 15_000);
        check_sma(&line, pause_ms, channel);
    }
}
