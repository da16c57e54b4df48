//! Every way a session can die: the caller hears a prompt within 2 s.

use std::time::Duration;

use serde_json::json;
use trunkline_actors::memory_transport::ConnectPlan;
use trunkline_actors::ports::Incoming;
use trunkline_simulator::{DieMode, Faults, SimOptions};

use crate::common::model::pcm24;
use crate::common::{Bench, Caller, Model, Setup, now_ms, run, simulated, sleep, sound};

/// The first session is ill, all others are well.
fn ill(faults: Faults) -> SimOptions {
    SimOptions { faults: Faults { die_sessions: Some(1), ..faults }, ..SimOptions::default() }
}

/// Entered once, at `dead` give or take 100 ms, a prompt within 2 s, recovered.
fn assert_bridged(caller: &Caller, dead: u64) {
    let states = caller.heard.fallbacks();
    let names: Vec<&str> = states.iter().map(|(_, state)| *state).collect();
    assert_eq!(names, ["entered", "recovered"], "{states:?}");
    let entered = states[0].0;
    assert!(entered.abs_diff(dead) <= 100, "dead at {dead}, entered at {entered}");
    let prompt = caller.heard.stretches().into_iter().find(|(_, pitch, _)| *pitch == 700);
    let (begin, _, frames) = prompt.expect("no prompt was heard");
    assert!((entered..=entered + 2_000).contains(&begin), "entered at {entered}, prompt at {begin}");
    assert_eq!(frames, 50, "the prompt on the air ends its sentence");
    assert_eq!((caller.record.fallback.entered(), caller.record.fallback.prompts()), (1, 1));
    assert_eq!(caller.record.model.reconnects(), 1);
}

#[test]
fn closed_and_broken_connections() {
    for mode in [DieMode::Close, DieMode::Abort] {
        run(|| async move {
            let bench = Setup::default().start();
            simulated::serve(
                &bench,
                ill(Faults { die_after: Some(Duration::from_secs(5)), die_mode: mode, ..Faults::default() }),
            );
            let caller = Caller::call(&bench, "dies").await;
            caller.speak(&sound::silence(20_000)).await;
            assert_bridged(&caller, 5_000);
            assert_eq!(caller.record.up.dropped(), 0, "what was said meanwhile went to the next session");
        });
    }
}

#[test]
fn a_stalled_connection() {
    run(|| async {
        let bench = Setup::default().start();
        let stall = Faults { die_after: Some(Duration::from_secs(5)), die_mode: DieMode::Stall, ..Faults::default() };
        simulated::serve(&bench, ill(stall));
        let caller = Caller::call(&bench, "stalls").await;
        caller.speak(&sound::silence(20_000)).await;
        let entered = caller.heard.fallbacks()[0].0;
        assert!((11_000..=13_100).contains(&entered), "8 s after the last pong: {entered}");
        assert_bridged(&caller, entered);
    });
}

#[test]
fn a_mute_model() {
    run(|| async {
        let bench = Setup::default().start();
        let mute = Faults { die_after: Some(Duration::from_secs(2)), die_mode: DieMode::Mute, ..Faults::default() };
        simulated::serve(&bench, ill(mute));
        let caller = Caller::call(&bench, "mute").await;
        caller.speak(&sound::speech(3)).await;
        caller.speak(&sound::silence(25_000)).await;
        let entered = caller.heard.fallbacks()[0].0;
        assert!((15_000..=16_500).contains(&entered), "two patiences of 6 s after the turn: {entered}");
        assert_bridged(&caller, entered);
        let last = caller.heard.frames().last().unwrap().0;
        assert!(last > entered + 1_500, "and the caller gets his answer: prompt at {entered}, all over at {last}");
    });
}

#[test]
fn responses_that_keep_failing() {
    run(|| async {
        let bench = Setup::default().start();
        simulated::serve(&bench, ill(Faults { fail_responses: Some("server_error".to_owned()), ..Faults::default() }));
        let caller = Caller::call(&bench, "fails").await;
        caller.speak(&sound::speech(3)).await;
        caller.speak(&sound::silence(20_000)).await;
        let entered = caller.heard.fallbacks()[0].0;
        assert!((6_000..=10_000).contains(&entered), "after three retries: {entered}");
        assert_bridged(&caller, entered);
    });
}

#[test]
fn refused_for_now() {
    run(|| async {
        let bench = Setup::default().start();
        bench.transport.then(ConnectPlan::Refuse(503)).then(ConnectPlan::Unreachable("no route".to_owned()));
        simulated::serve(&bench, SimOptions::default());
        let caller = Caller::call(&bench, "refused").await;
        caller.speak(&sound::silence(5_000)).await;
        let states = caller.heard.fallbacks();
        assert_eq!(states[0].1, "entered");
        assert!(states[0].0 <= 20);
        assert_eq!(caller.heard.stretches()[0].1, 700);
        assert_eq!(states[1].1, "recovered");
        assert_eq!(caller.record.model.reconnects(), 0, "there was none to replace");
    });
}

async fn hand_driven(bench: &Bench) -> (Caller, Model) {
    let caller = Caller::call(bench, "hand").await;
    let model = Model::accept(bench).await;
    sleep(1_000).await;
    (caller, model)
}

#[test]
fn garbage_and_a_sudden_expiry() {
    for garbage in [true, false] {
        run(|| async move {
            let bench = Setup::default().start();
            let (caller, model) = hand_driven(&bench).await;
            let dead = now_ms();
            if garbage {
                (0..10).for_each(|_| model.say(json!("no event")));
                (0..10).for_each(|_| model.server.push(Incoming::Undecodable));
            } else {
                let error =
                    json!({"type": "invalid_request_error", "code": "session_expired", "message": "maximum duration"});
                model.say(json!({"type": "error", "event_id": "e", "error": error}));
            }
            let _next = Model::accept(&bench).await;
            sleep(3_000).await;
            assert_bridged(&caller, dead);
        });
    }
}

#[test]
fn the_models_last_words_are_heard_before_the_prompt_cuts_in() {
    for (queued, at_most) in [(10_000, 2_000), (600, 800)] {
        run(|| async move {
            let bench = Setup::default().start();
            let (caller, mut model) = hand_driven(&bench).await;
            model.speak("a", &pcm24(440, queued), 48_000);
            sleep(100).await;
            let dead = now_ms();
            model.server.close(1011, "");
            sleep(30).await;
            bench.transport.otherwise(Duration::from_secs(60), ConnectPlan::Hang);
            sleep(4_000).await;
            let stretches = caller.heard.stretches();
            let prompt = stretches.iter().find(|(_, pitch, _)| *pitch == 700).unwrap();
            assert!(prompt.0 - dead <= at_most, "{} ms", prompt.0 - dead);
            let last = stretches.iter().rfind(|(_, pitch, _)| *pitch == 440).unwrap();
            assert!(last.0 + last.2 as u64 * 20 <= prompt.0 + 20, "they do not mix");
        });
    }
}

#[test]
fn a_socket_that_takes_nothing_is_let_go() {
    run(|| async {
        let bench = Setup::default().start();
        let (caller, mut model) = hand_driven(&bench).await;
        model.server.stall(true);
        model.server.answer_pings(false);
        let speaking = sound::silence(14_000);
        let (_next, ()) = tokio::join!(Model::accept(&bench), caller.speak(&speaking));
        assert_eq!(caller.heard.fallbacks().len(), 2);
        assert!(model.server.is_abandoned(), "its writer does not wait for ever");
        model.look();
    });
}
