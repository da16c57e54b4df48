//! A session that will expire is replaced before it does, and the caller hears nothing of it.

use std::time::Duration;

use trunkline_simulator::{DieMode, Faults, SimOptions};

use crate::common::model::pcm24;
use crate::common::{Caller, Model, Setup, now_ms, run, simulated, sleep, sound};

#[test]
fn the_successor_takes_over_in_a_silent_moment_with_the_conversation() {
    run(|| async {
        let mut setup = Setup::default();
        setup.timing.renew_before = Duration::from_secs(60);
        setup.limits.media_timeout = Duration::from_secs(600);
        let bench = setup.start();
        let caller = Caller::call(&bench, "renew").await;
        let mut model = Model::accept_for(&bench, 200).await;
        sleep(100).await;
        let response = model.speak("a", &pcm24(440, 500), 9_600);
        model.words(&response, "a", "Good morning.");
        sleep(138_900).await;
        // At 140 s the successor is prepared, while the model talks for 5 s.
        model.speak("b", &pcm24(440, 5_000), 9_600);
        let mut next = Model::accept_for(&bench, 3_600).await;
        assert!((139_900..=140_200).contains(&now_ms()), "{}", now_ms());
        sleep(3_000).await;
        assert!(next.of("conversation.item.create").is_empty(), "it stands by while audio is played");
        caller.speak(&sound::silence(100)).await;
        next.look();
        assert!(next.audio.is_empty());
        sleep(4_000).await;
        let told = next.of("conversation.item.create");
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0]["item"]["content"][0]["text"], "Good morning.");
        assert!(next.of("response.create").is_empty());
        assert!(model.server.is_abandoned());
        caller.speak(&sound::speech(1)).await;
        next.look();
        assert!(next.audio.len() >= 48_000, "the caller is heard by it");
        next.speak("c", &pcm24(500, 1_000), 9_600);
        sleep(1_500).await;
        let heard: Vec<(u32, usize)> = caller.heard.stretches().iter().map(|(_, pitch, n)| (*pitch, *n)).collect();
        assert_eq!(heard, [(440, 25), (440, 250), (500, 50)], "whole and even");
        assert!(caller.heard.fallbacks().is_empty());
        assert_eq!(caller.record.model.reconnects(), 0, "nothing was lost");
    });
}

#[test]
fn a_conversation_without_silence_is_renewed_by_force() {
    run(|| async {
        let mut setup = Setup::default();
        setup.timing.renew_before = Duration::from_secs(60);
        setup.limits.media_timeout = Duration::from_secs(600);
        let bench = setup.start();
        let caller = Caller::call(&bench, "force").await;
        let mut model = Model::accept_for(&bench, 200).await;
        sleep(130_000).await;
        model.speak("endless", &pcm24(440, 60_000), 48_000);
        let mut next = Model::accept_for(&bench, 3_600).await;
        sleep(29_000).await;
        assert!(next.of("conversation.item.create").is_empty());
        assert!(!model.server.is_abandoned());
        sleep(2_000).await;
        assert!(!next.of("conversation.item.create").is_empty(), "30 s before the end");
        assert!(model.server.is_abandoned());
        sleep(35_000).await;
        assert_eq!(caller.heard.frame_count(), 3_000, "what was queued is played on");
        caller.heard.assert_even(0);
        assert!(caller.heard.fallbacks().is_empty());
        // The next renewal waits for silence again.
        assert_eq!(bench.transport.urls().len(), 2);
    });
}

#[test]
fn a_session_of_known_length_never_expires_on_the_caller() {
    run(|| async {
        let bench = Setup::default().start();
        let expire =
            Faults { die_after: Some(Duration::from_secs(40)), die_mode: DieMode::Expire, ..Faults::default() };
        let received = simulated::serve(&bench, SimOptions { faults: expire, ..SimOptions::default() });
        let caller = Caller::call(&bench, "hourly").await;
        for _ in 0..12 {
            caller.speak(&sound::speech(3)).await;
            caller.speak(&sound::silence(7_000)).await;
        }
        assert!(caller.heard.fallbacks().is_empty());
        assert_eq!(caller.record.model.responses(), 12, "every turn was answered");
        assert!(simulated::of(&received, "session.update").len() >= 5);
    });
}

#[test]
fn a_successor_that_fails_is_tried_again() {
    run(|| async {
        let mut setup = Setup::default();
        setup.limits.media_timeout = Duration::from_secs(600);
        let bench = setup.start();
        let caller = Caller::call(&bench, "again").await;
        let model = Model::accept_for(&bench, 100).await;
        bench.transport.then(trunkline_actors::memory_transport::ConnectPlan::Refuse(503));
        let failed = async {
            let next = Model::accept_for(&bench, 3_600).await;
            sleep(10).await;
            next
        };
        let _next = failed.await;
        assert!(now_ms() < 52_000, "{}", now_ms());
        sleep(1_000).await;
        assert!(model.server.is_abandoned());
        assert!(caller.heard.fallbacks().is_empty());
    });
}
