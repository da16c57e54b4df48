//! Where a call goes.

use trunkline_actors::messages::CallerEvent;
use trunkline_call::{CallFacts, CallState, EndReason};
use trunkline_media::ModelFormat;

use crate::common::caller::Dial;
use crate::common::{Caller, Model, Setup, now_ms, run, sleep, sound};

fn start(to: &str) -> CallerEvent {
    CallerEvent::Start(CallFacts { to: Some(to.to_owned()), ..CallFacts::default() })
}

#[test]
fn the_echo_route_gives_the_caller_his_own_voice() {
    for format in [ModelFormat::Pcm24k, ModelFormat::Pcmu] {
        run(|| async move {
            let bench = Setup::default().format(format).start();
            let caller = Caller::dial(&bench, "echo", Dial::to("6001")).await;
            let said = sound::speech(5);
            caller.speak(&said).await;
            sleep(100).await;
            assert!(bench.transport.urls().is_empty(), "no model");
            assert_eq!(caller.record.state(), CallState::Active);
            assert_eq!((caller.record.down.dropped(), caller.record.down.underruns()), (0, 0));
            caller.heard.assert_even(0);
            let heard = caller.heard.payload();
            if format == ModelFormat::Pcmu {
                assert_eq!(heard[..said.len()], said, "untouched");
            }
            let (said, heard) = (sound::linear(&said), sound::linear(&heard));
            let (alike, delay) = sound::best_likeness(&said[..36_000], &heard, 400);
            assert!(alike > 0.98 && delay <= 320, "likeness {alike} at {delay} samples");
        });
    }
}

#[test]
fn the_echo_is_not_late_for_long() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::dial(&bench, "prompt", Dial::to("6001")).await;
        caller.speak(&sound::silence(300)).await;
        let at = now_ms();
        caller.speak(&sound::pcmu(&sound::tone(500, 300))).await;
        let loud = caller.heard.frames().into_iter().find(|(_, frame)| sound::level(frame) > 2_000.0).unwrap().0;
        assert!(loud - at <= 60, "{} ms", loud - at);
    });
}

#[test]
fn the_echo_of_an_outage_is_not_kept() {
    run(|| async {
        let bench = Setup::default().start();
        let before = Caller::dial(&bench, "back", Dial::to("6001")).await;
        before.speak(&sound::silence(300)).await;
        before.say(CallerEvent::Lost).await;
        sleep(2_000).await;
        let after = Caller::dial(&bench, "back", Dial::to("6001")).await;
        let at = now_ms();
        after.speak(&sound::pcmu(&sound::tone(500, 300))).await;
        let loud = after.heard.frames().into_iter().find(|(_, frame)| sound::level(frame) > 2_000.0).unwrap().0;
        assert!(loud - at <= 120, "{} ms", loud - at);
    });
}

#[test]
fn a_rejected_call_is_told_so() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::dial(&bench, "no", Dial::to("6666")).await;
        bench.empty().await;
        assert_eq!(caller.heard.close(), Some((Some("rejected"), 1000)));
        assert_eq!(bench.ended("no"), Some(EndReason::Rejected));
        assert!(bench.transport.urls().is_empty());
    });
}

#[test]
fn a_start_within_half_a_second_chooses() {
    run(|| async {
        let bench = Setup::default().start();
        let early = Caller::dial(&bench, "early", Dial::unknown()).await;
        let late = Caller::dial(&bench, "late", Dial::unknown()).await;
        let bare = Caller::dial(&bench, "bare", Dial::unknown()).await;
        sleep(400).await;
        assert!(bench.transport.urls().is_empty(), "nothing is decided yet");
        early.say(start("6001")).await;
        bare.say(CallerEvent::Start(CallFacts::default())).await;
        sleep(50).await;
        assert_eq!(bench.transport.urls().len(), 1, "a start without a number decides as well");
        sleep(60).await;
        assert_eq!(bench.transport.urls().len(), 2, "nor did a number come");
        late.say(start("6001")).await;
        let _models = [Model::accept(&bench).await, Model::accept(&bench).await];
        sleep(100).await;
        let routes = [&early, &late, &bare].map(|caller| caller.record.facts().route.unwrap());
        assert_eq!(routes, ["6001", "*", "*"]);
        assert_eq!(late.record.facts().to.as_deref(), Some("6001"), "known, if too late");
    });
}

#[test]
fn the_route_of_the_request_goes_before_the_number() {
    run(|| async {
        let bench = Setup::default().start();
        let mut dial = Dial::to("100");
        dial.facts.route = Some("6001".to_owned());
        let caller = Caller::dial(&bench, "asked", dial).await;
        caller.speak(&sound::pcmu(&sound::tone(500, 400))).await;
        assert_eq!(caller.record.facts().route.as_deref(), Some("6001"));
        assert!(caller.heard.frame_count() > 10);
    });
}

#[test]
fn a_number_without_a_route_is_rejected() {
    run(|| async {
        let bench = Setup { routes: vec![("6001", trunkline_call::RouteKind::Echo)], ..Setup::default() }.start();
        let _caller = Caller::dial(&bench, "none", Dial::to("77")).await;
        let _unknown = Caller::dial(&bench, "unknown", Dial::unknown()).await;
        sleep(600).await;
        assert_eq!(bench.ended("none"), Some(EndReason::Rejected));
        assert_eq!(bench.ended("unknown"), Some(EndReason::Rejected));
    });
}
