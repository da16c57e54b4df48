//! What the caller hears while the model is away for long, and how the call ends if it stays away.

use std::time::Duration;

use serde_json::json;
use trunkline_actors::memory_transport::ConnectPlan;
use trunkline_call::{CallState, EndReason, FallbackState};

use crate::common::caller::Dial;
use crate::common::{Bench, Caller, Model, Setup, now_ms, run, sleep, sound, unix_now_ms};

#[test]
fn prompts_go_round_until_the_goodbye() {
    run(|| async {
        let bench = Setup::default().start();
        bench.transport.otherwise(Duration::ZERO, ConnectPlan::Unreachable("no route".to_owned()));
        let caller = Caller::call(&bench, "away").await;
        caller.speak(&sound::silence(65_000)).await;
        let heard = caller.heard.stretches();
        // 1 s, 3 s of pause, 0.6 s, 3 s of pause; the goodbye after 60 s.
        for (n, (begin, pitch, frames)) in heard.iter().take(14).enumerate() {
            let (expected, length) = if n % 2 == 0 { (700, 50) } else { (800, 30) };
            assert_eq!((*pitch, *frames), (expected, length), "prompt {n} at {begin}");
            let due = (n / 2) as u64 * 7_600 + if n % 2 == 0 { 0 } else { 4_000 };
            assert!(begin.abs_diff(due) <= 300, "prompt {n} at {begin}, not {due}");
        }
        let (begin, pitch, frames) = heard[heard.len() - 1];
        assert_eq!((pitch, frames), (900, 40), "{heard:?}");
        assert!(begin.abs_diff(60_000) < 100, "{begin}");
        let states = caller.heard.fallbacks();
        assert_eq!(states.iter().map(|(_, state)| *state).collect::<Vec<_>>(), ["entered", "gave_up"]);
        bench.empty().await;
        assert_eq!(bench.ended("away"), Some(EndReason::FallbackExhausted));
        assert_eq!(caller.heard.close(), Some((Some("fallback_exhausted"), 1000)));
        let closed = caller.heard.all().last().unwrap().0;
        assert!((60_780..=61_200).contains(&closed), "after its last word: {closed}");
        assert_eq!(caller.record.fallback.state(), FallbackState::GaveUp);
        assert_eq!(caller.record.model.state().as_str(), "lost");
    });
}

#[test]
fn a_refusal_for_good_ends_the_call_at_once() {
    for status in [401, 403, 404] {
        run(|| async move {
            let bench = Setup::default().start();
            bench.transport.otherwise(Duration::ZERO, ConnectPlan::Refuse(status));
            let caller = Caller::call(&bench, "denied").await;
            caller.speak(&sound::silence(3_000)).await;
            assert_eq!(bench.transport.urls().len(), 1, "nobody asks twice");
            let heard = caller.heard.stretches();
            assert_eq!(heard.last().map(|(_, pitch, frames)| (*pitch, *frames)), Some((900, 40)), "{heard:?}");
            assert!(heard.last().unwrap().0 < 100);
            bench.empty().await;
            assert_eq!(bench.ended("denied"), Some(EndReason::FallbackExhausted));
        });
    }
}

#[test]
fn a_slow_first_connect_plays_one_prompt() {
    run(|| async {
        let bench = Setup::default().start();
        bench.transport.then_after(Duration::from_secs(4), ConnectPlan::Accept);
        let caller = Caller::call(&bench, "slow").await;
        let said = sound::silence(8_000);
        let (_model, ()) = tokio::join!(Model::accept(&bench), caller.speak(&said));
        let states = caller.heard.fallbacks();
        assert_eq!(states, [(2_000, "entered"), (4_000, "recovered")]);
        let heard = caller.heard.stretches();
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert_eq!((heard[0].1, heard[0].2), (700, 50));
        assert!((2_000..=2_020).contains(&heard[0].0));
        assert_eq!(caller.record.state(), CallState::Active);
    });
}

#[test]
fn backups_are_tried_in_turn() {
    run(|| async {
        let bench = Setup { endpoints: vec!["ws://a", "ws://b", "ws://c"], ..Setup::default() }.start();
        for plan in [ConnectPlan::Refuse(401), ConnectPlan::Unreachable("down".to_owned()), ConnectPlan::Refuse(503)] {
            bench.transport.then(plan);
        }
        let caller = Caller::call(&bench, "backups").await;
        let model = Model::accept(&bench).await;
        assert_eq!(bench.transport.urls(), ["ws://a", "ws://b", "ws://c", "ws://b"], "a said no for good");
        // The one that gave a session is the first to be asked for the next.
        model.server.close(1011, "");
        let _model = Model::accept(&bench).await;
        sleep(100).await;
        assert_eq!(bench.transport.urls().last().unwrap(), "ws://b");
        assert_eq!(caller.heard.fallbacks().len(), 4);
    });
}

#[test]
fn a_prompt_waits_for_the_socket_of_a_caller_who_is_away() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::call(&bench, "both").await;
        let model = Model::accept(&bench).await;
        sleep(100).await;
        caller.say(trunkline_actors::messages::CallerEvent::Lost).await;
        bench.transport.otherwise(Duration::ZERO, ConnectPlan::Unreachable("down".to_owned()));
        model.server.close(1011, "");
        sleep(5_000).await;
        let back = now_ms();
        let caller = Caller::call(&bench, "both").await;
        sleep(3_000).await;
        let heard = caller.heard.stretches();
        assert_eq!(heard[0].1, 700);
        assert!(heard[0].0 - back <= 2_000);
    });
}

#[test]
fn a_model_that_never_answers_again_is_given_up() {
    run(|| async {
        let bench = Setup::default().start();
        let shared = bench.clone();
        // Every session is set up, hears the turn, and answers nothing.
        actix_rt::spawn(async move {
            let mut models = Vec::new();
            loop {
                let model = Model::accept(&shared).await;
                sleep(500).await;
                model.turn("u1", "Is anybody there?");
                models.push(model);
            }
        });
        let caller = Caller::call(&bench, "mute").await;
        caller.speak(&sound::silence(90_000)).await;
        let states: Vec<&str> = caller.heard.fallbacks().iter().map(|(_, state)| *state).collect();
        assert_eq!(states, ["entered", "gave_up"], "a session that does not answer is no recovery");
        assert_eq!(bench.ended("mute"), Some(EndReason::FallbackExhausted));
    });
}

/// Answers every connection with a session; connect times are kept.
fn answer_all(bench: &Bench) -> std::rc::Rc<std::cell::RefCell<Vec<(u64, Model)>>> {
    let models = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let (kept, transport) = (models.clone(), bench.transport.clone());
    actix_rt::spawn(async move {
        loop {
            let server = transport.accepted().await;
            let (kept, at) = (kept.clone(), now_ms());
            actix_rt::spawn(async move {
                let mut model = Model::over(server);
                model.set_up(3_600).await;
                kept.borrow_mut().push((at, model));
            });
        }
    });
    models
}

#[test]
fn a_hundred_calls_that_lose_their_model_come_back_at_the_agreed_pace() {
    run(|| async {
        let bench = Setup { connects_per_second: 20, ..Setup::default() }.start();
        let models = answer_all(&bench);
        let mut callers = Vec::new();
        for n in 0..100 {
            callers.push(Caller::dial(&bench, &format!("call-{n}"), Dial::default()).await);
        }
        sleep(10_000).await;
        assert_eq!(models.borrow().len(), 100);
        let died = now_ms();
        for (_, model) in models.borrow_mut().drain(..) {
            model.server.close(1011, "all at once");
        }
        sleep(1_000).await;
        // A new call has to wait for its place, but not for anybody's backoff.
        let new = Caller::call(&bench, "new").await;
        sleep(9_000).await;
        let times: Vec<u64> = models.borrow().iter().map(|(at, _)| *at).collect();
        assert_eq!(times.len(), 101);
        for window in times.windows(23) {
            assert!(window[22] - window[0] >= 999, "23 connects within {} ms", window[22] - window[0]);
        }
        assert!(times[100] - died <= 5_500, "and no slower than that: {}", times[100] - died);
        assert_eq!(new.record.state(), CallState::Active);
        for caller in &callers {
            let states = caller.heard.fallbacks();
            let first_prompt = caller.heard.frames()[0].0;
            assert!(states.iter().any(|(_, state)| *state == "recovered"));
            assert!(first_prompt >= 1, "{first_prompt}");
        }
        let _ = (unix_now_ms(), json!({}));
    });
}
