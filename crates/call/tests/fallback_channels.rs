//! Who speaks to the caller while the model is away: the SIP media application, or we.
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

use line::{ask, entered, gave_up, lost, prompt, refused, talking_by};
use trunkline_call::{
    FallbackAction as Act, FallbackChannel as Channel, FallbackInput as In, FallbackState, SmaPrompt,
};

const HUSH: Act = Act::Hush { at_once: false };
const CUT: Act = Act::Hush { at_once: true };
const FIRST: SmaPrompt = SmaPrompt::KeepAlive(0);

#[test]
fn the_application_speaks_where_it_answers_in_time() {
    let mut line = talking_by(Channel::Auto, &[Some((300, true))]);
    line.at(10_000, lost("closed"));
    assert_eq!(line.policy.state(), FallbackState::Sma);
    // Texts of 1 s and 3 s, 3 s apart; asked anew for each, while our line stays silent.
    let expected = vec![
        (10_000, entered("closed")),
        (10_000, HUSH),
        ask(&line, 10_200, FIRST),
        ask(&line, 14_500, SmaPrompt::KeepAlive(1)),
        ask(&line, 20_800, SmaPrompt::KeepAlive(2)),
    ];
    assert_eq!(line.take(21_000), expected);
}

#[test]
fn back_in_the_middle_of_its_sentence_the_model_waits_for_the_end_of_it_and_no_longer() {
    let mut line = talking_by(Channel::Auto, &[Some((300, true))]);
    line.at(10_000, lost("closed"));
    line.take(10_900);
    line.at(11_000, In::Ready);
    assert_eq!(line.policy.state(), FallbackState::Idle);
    // Asked at 10 200, taken at 10 500, a second long.
    let expected =
        vec![(11_000, Act::StopPrompts), (11_000, Act::ResumeSma), (11_000, Act::Recovered), (11_500, Act::Release)];
    assert_eq!(line.take(100_000), expected);
}

#[test]
fn an_application_that_refuses_or_keeps_silent_is_left_out_for_that_outage() {
    for (answer, at) in [(Some((400, false)), 10_600), (None, 11_200)] {
        let mut line = talking_by(Channel::Auto, &[answer]);
        line.at(10_000, lost("closed"));
        let expected = vec![
            (10_000, entered("closed")),
            (10_000, HUSH),
            ask(&line, 10_200, FIRST),
            (at, Act::Release),
            (at, prompt(0)),
            (at + 5_000, prompt(1)),
        ];
        assert_eq!(line.take(at + 9_000), expected);
        assert_eq!(line.policy.state(), FallbackState::Media);
        // The next outage asks again.
        line.at(30_000, In::Ready).at(40_000, lost("closed"));
        line.log.clear();
        assert_eq!(line.take(40_300), vec![ask(&line, 40_200, SmaPrompt::KeepAlive(line_next(at)))]);
    }
}

/// Prompts go on where they stopped: by 30 s this many were heard.
fn line_next(first: u64) -> usize {
    (((30_000 - first) / 5_000 + 1) % 3) as usize
}

#[test]
fn with_sma_alone_every_prompt_is_the_applications_to_take() {
    let mut line = talking_by(Channel::Sma, &[Some((100, false)), Some((100, true))]);
    line.at(10_000, lost("closed"));
    let expected = vec![
        (10_000, entered("closed")),
        (10_000, HUSH),
        ask(&line, 10_200, FIRST),
        (10_300, Act::Release),
        (10_300, prompt(0)),
        (15_300, HUSH),
        ask(&line, 15_500, SmaPrompt::KeepAlive(1)),
    ];
    assert_eq!(line.take(16_000), expected, "silence would be worse than our own voice");
    assert_eq!(line.policy.state(), FallbackState::Sma);
}

#[test]
fn a_late_yes_silences_us_at_once() {
    let mut line = talking_by(Channel::Auto, &[Some((1_500, true))]);
    line.at(10_000, lost("closed"));
    // We speak from 11 200; the application begins at 11 700 and is done at 12 700; 3 s later it is our turn again.
    let expected = vec![
        (10_000, entered("closed")),
        (10_000, HUSH),
        ask(&line, 10_200, FIRST),
        (11_200, Act::Release),
        (11_200, prompt(0)),
        (11_700, CUT),
        (15_700, Act::Release),
        (15_700, prompt(1)),
    ];
    assert_eq!(line.take(16_000), expected);
}

#[test]
fn back_while_the_application_is_asked_nobody_speaks_over_the_model() {
    let mut line = talking_by(Channel::Auto, &[Some((700, true))]);
    line.at(10_000, lost("closed")).at(10_500, In::Ready);
    let expected = vec![
        (10_000, entered("closed")),
        (10_000, HUSH),
        ask(&line, 10_200, FIRST),
        (10_500, Act::StopPrompts),
        (10_500, Act::WithdrawSma),
        (10_500, Act::Release),
        (10_500, Act::Recovered),
        // It was on its way already.
        (10_900, Act::Hold),
        (11_900, Act::Release),
    ];
    assert_eq!(line.take(60_000), expected);
}

#[test]
fn the_last_word_is_the_applications_and_so_is_the_hang_up() {
    let mut line = talking_by(Channel::Auto, &[Some((100, true))]);
    line.at(10_000, refused());
    let wait = Duration::from_millis(7_000);
    let expected = vec![
        (10_000, entered("401")),
        (10_000, gave_up("401")),
        (10_000, CUT),
        ask(&line, 10_000, SmaPrompt::Goodbye),
        (10_100, Act::LeaveToSma { wait }),
    ];
    assert_eq!(line.take(100_000), expected);
    assert_eq!(line.policy.state(), FallbackState::GaveUp);
}

#[test]
fn a_last_word_that_the_application_does_not_take_is_ours() {
    for (answer, at) in [(Some((400, false)), 10_400), (None, 11_000)] {
        let mut line = talking_by(Channel::Auto, &[answer]);
        line.at(10_000, refused());
        let expected = vec![
            (10_000, entered("401")),
            (10_000, gave_up("401")),
            (10_000, CUT),
            ask(&line, 10_000, SmaPrompt::Goodbye),
            (at, Act::Release),
            (at, Act::PlayGoodbye),
            (at + 4_000, Act::EndCall),
        ];
        assert_eq!(line.take(100_000), expected);
    }
}

#[test]
fn our_goodbye_waits_for_the_end_of_the_applications_sentence() {
    // It took the second text, 3 s long, and takes nothing more.
    let mut line = talking_by(Channel::Auto, &[Some((100, true)), Some((100, true)), Some((100, false))]);
    line.at(10_000, lost("closed"));
    line.run_to(14_900);
    line.log.clear();
    line.at(15_000, refused());
    let goodbye = 10_200 + 100 + 4_000 + 100 + 3_000;
    let expected = vec![
        (15_000, gave_up("401")),
        ask(&line, 15_000, SmaPrompt::Goodbye),
        (goodbye, Act::Release),
        (goodbye, Act::PlayGoodbye),
        (goodbye + 4_000, Act::EndCall),
    ];
    assert_eq!(line.take(100_000), expected);
}

#[test]
fn without_a_transaction_the_application_is_not_asked() {
    for channel in [Channel::Auto, Channel::Sma, Channel::Media] {
        let mut line = talking_by(channel, &[Some((0, true))]);
        line.policy.set_sma(channel == Channel::Media);
        line.at(10_000, lost("closed"));
        assert_eq!(line.take(11_000), vec![(10_000, entered("closed")), (10_000, prompt(0))], "{channel:?}");
        assert_eq!(line.policy.state(), FallbackState::Media);
    }
}

#[test]
fn a_transaction_that_becomes_known_in_an_outage_counts_from_the_next_prompt_on() {
    let mut line = talking_by(Channel::Auto, &[Some((0, true))]);
    line.policy.set_sma(false);
    line.at(10_000, lost("closed"));
    line.policy.set_sma(true);
    let log = line.take(16_000);
    assert_eq!(log[1], (10_000, prompt(0)));
    assert_eq!(log[2..], [(15_000, HUSH), ask(&line, 15_200, SmaPrompt::KeepAlive(1))]);
}
