//! Everything that can be made to go wrong, goes wrong as asked, and the same way every time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{Client, OPENED, tone_pcmu};
use serde_json::json;
use trunkline_simulator::{Dialect, DieMode, Faults, Out, SimOptions};

fn options(faults: Faults) -> SimOptions {
    SimOptions { faults, ..SimOptions::default() }
}

fn dying(mode: DieMode) -> Faults {
    Faults { die_after: Some(Duration::from_secs(5)), die_mode: mode, ..Faults::default() }
}

#[test]
fn a_session_lives_as_long_as_it_says() {
    let mut client = Client::ga(SimOptions { session_seconds: 120, ..SimOptions::default() });
    assert_eq!(client.one("session.created")["session"]["expires_at"], OPENED + 120);
    client.run(119_999);
    assert_eq!(client.types(), ["session.created"]);
    client.run(10);
    let message = "Your session hit the maximum duration of 2 minutes.";
    assert_eq!(client.one("error")["error"]["code"], "session_expired");
    assert_eq!(client.one("error")["error"]["message"], message);
    assert_eq!(client.others, [(120_000, Out::Close { code: 1001, reason: message.into() })]);
    assert!(client.session.is_over() && client.session.next_due().is_none());
    client.respond();
    assert_eq!(client.all("response.created").len(), 0, "nothing is said after the end");
}

#[test]
fn deaths() {
    let ends = [
        (DieMode::Close, Some(Out::Close { code: 4321, reason: "simulated failure".into() })),
        (DieMode::Abort, Some(Out::Abort)),
        (DieMode::Stall, Some(Out::Stall)),
        (DieMode::Mute, None),
    ];
    for (mode, end) in ends {
        let mut client = Client::ga(options(Faults { close_code: 4321, ..dying(mode) }));
        client.run(10_000);
        assert_eq!(client.others, end.map(|out| (5_000, out)).into_iter().collect::<Vec<_>>(), "{mode:?}");
        assert_eq!(client.records.counters.died.get(), 1);
    }
    let mut client = Client::ga(options(dying(DieMode::Expire)));
    assert_eq!(client.one("session.created")["session"]["expires_at"], OPENED + 5, "expiry is announced");
    client.run(10_000);
    assert!(matches!(client.others[..], [(5_000, Out::Close { code: 1001, .. })]));
}

#[test]
fn a_mute_session_hears_and_commits_but_says_nothing() {
    let mut client =
        Client::ga(options(Faults { die_after: Some(Duration::ZERO), die_mode: DieMode::Mute, ..Faults::default() }));
    client.update(json!({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}));
    client.speak(&[tone_pcmu(600), vec![0xFF; 8 * 8_000]].concat(), 8);
    client.one("input_audio_buffer.committed");
    client.one("response.created");
    assert!(client.all("response.output_item.added").is_empty() && client.all("response.done").is_empty());
    client.send(json!({"type": "response.cancel"}));
    client.run(100);
    assert_eq!(client.one("response.done")["response"]["status"], "cancelled");
    client.respond();
    client.run(5_000);
    assert!(client.all("response.output_audio.delta").is_empty());
}

#[test]
fn only_the_first_sessions_die() {
    let faults = Faults { die_sessions: Some(1), ..dying(DieMode::Abort) };
    for (number, dies) in [(1, true), (2, false)] {
        let mut client = Client::numbered(Dialect::AzureGa, options(faults.clone()), number);
        client.run(60_000);
        assert_eq!(!client.others.is_empty(), dies, "session {number}");
    }
}

#[test]
fn responses_fail_with_the_asked_code() {
    for (code, kind, shown) in [
        ("inference_rate_limit_exceeded", "rate_limit_exceeded", json!("inference_rate_limit_exceeded")),
        ("server_error", "server_error", json!(null)),
    ] {
        let mut client = Client::ga(options(Faults { fail_responses: Some(code.into()), ..Faults::default() }));
        client.user_text("hello");
        client.respond();
        client.run(1_000);
        let response = &client.one("response.done")["response"];
        assert_eq!(response["status"], "failed");
        let error = &response["status_details"]["error"];
        assert_eq!((&error["type"], &error["code"]), (&json!(kind), &shown));
        client.respond();
        client.run(1_000);
        assert_eq!(client.records.counters.failed.get(), 2, "the turn is still there to be answered");
    }
}

#[test]
fn the_first_audio_is_late_when_delayed() {
    let mut client = Client::ga(options(Faults { delay: Duration::from_secs(4), ..Faults::default() }));
    client.user_text("hello");
    client.respond();
    client.run(10_000);
    let late = client.at("response.output_audio.delta") - client.at("response.created");
    assert!((4_000..4_100).contains(&late), "{late}");
}

#[test]
fn garbage_comes_at_its_rate_and_spares_the_setting_up() {
    let run = |seed| {
        let mut client = Client::ga(SimOptions { seed, ..options(Faults { garbage: 0.5, ..Faults::default() }) });
        client.update(json!({"instructions": "x"}));
        for _ in 0..20 {
            client.user_text("hello");
            client.respond();
            client.run(3_000);
        }
        client.one("session.created");
        client.one("session.updated");
        (client.others, client.events.len())
    };
    let (garbage, events) = run(1);
    let share = garbage.len() as f64 / (garbage.len() + events) as f64;
    assert!((0.4..0.6).contains(&share), "{share}");
    assert!(garbage.iter().any(|(_, out)| matches!(out, Out::Binary(_))));
    assert_eq!(run(1), (garbage.clone(), events), "the same seed, the same garbage");
    assert_ne!(run(2).0, garbage);
}

#[test]
fn a_seed_makes_the_same_session_again() {
    let run = |seed, number| {
        let mut client = Client::numbered(Dialect::AzureGa, SimOptions { seed, ..SimOptions::default() }, number);
        client.user_text("hello");
        client.respond();
        client.run(3_000);
        client.events
    };
    assert_eq!(run(7, 1), run(7, 1));
    assert_ne!(run(7, 1), run(8, 1));
    assert_ne!(run(7, 1), run(7, 2));
}

#[test]
fn openai_refuses_the_preview_shape_after_the_upgrade() {
    use trunkline_simulator::{Records, SessionStart, SimSession};
    let mut out = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "virtual time needs a beginning")]
    let now = std::time::Instant::now();
    let start = SessionStart { dialect: Dialect::OpenAiGa, model: "m".into(), number: 1, beta_header: true };
    let session = SimSession::open(SimOptions::default().into(), Records::new(0), start, now, OPENED, &mut out);
    let [Out::Text(error), Out::Close { code: 4000, reason }] = &out[..] else { panic!("{out:?}") };
    assert!(error.contains("beta_api_shape_disabled") && reason == "invalid_request_error.beta_api_shape_disabled");
    assert!(session.is_over());
}
