//! The SIP media application speaks for us while the model is away, and hangs up when a call ends.

use std::time::Duration;

use trunkline_actors::call_control::Flush;
use trunkline_actors::link::Peer;
use trunkline_actors::memory_transport::ConnectPlan;
use trunkline_actors::messages::{CallerEvent, EndCall, Farewell, Refusal};
use trunkline_actors::ports::ControlError;
use trunkline_call::{CallId, EndReason, FallbackChannel, FallbackState};
use trunkline_media::LineCodec;

use crate::common::caller::Dial;
use crate::common::model::pcm24;
use crate::common::{Bench, Caller, GOODBYE, Model, Setup, TEXTS, now_ms, run, sleep};

const NO_MODEL: &str = "no route";

fn with_sma(updates: f64) -> Setup {
    Setup { sma: Some(updates), ..Setup::default() }
}

async fn talking(bench: &Bench, id: &str) -> (Caller, Model) {
    let caller = Caller::dial(bench, id, Dial::bridged(&format!("t-{id}"))).await;
    let model = Model::accept(bench).await;
    sleep(10).await;
    (caller, model)
}

#[test]
fn the_application_speaks_our_line_is_silent_and_the_model_goes_on_when_it_has_ended() {
    run(|| async {
        let bench = with_sma(5.0).start();
        let (caller, mut model) = talking(&bench, "one").await;
        bench.transport.otherwise(Duration::ZERO, ConnectPlan::Unreachable(NO_MODEL.to_owned()));
        // The model dies with 3 s of its answer to be played: another voice gets the word within 700 ms.
        model.speak("a", &pcm24(440, 3_000), 24_000);
        sleep(200).await;
        let lost = now_ms();
        model.server.close(1011, "dies");
        sleep(10_000).await;
        assert_eq!(caller.record.fallback.state(), FallbackState::Sma);
        // Texts of 2 s and 1 s, pauses of 3 s.
        let asked = bench.asked();
        let times: Vec<u64> = asked.iter().map(|(at, _)| at - lost).collect();
        assert!((690..=720).contains(&times[0]), "{times:?}");
        assert_eq!((times[1] - times[0], times[2] - times[1]), (5_000, 4_000), "{times:?}");
        let update = bench.control.updates().remove(0);
        assert_eq!(update.transaction_id, "t-one");
        assert_eq!((&*update.arguments["text"], &*update.arguments["pauseMs"]), (TEXTS[0], "3000"));
        assert!(!update.arguments["requestId"].is_empty());
        let last_frame = caller.heard.frames().last().unwrap().0;
        assert!(last_frame - lost <= 720, "nothing of ours while it speaks: {}", last_frame - lost);
        assert_eq!(caller.record.fallback.prompts(), 3);

        // Back in the middle of the third text, which ends 2 s after it was taken.
        bench.transport.otherwise(Duration::ZERO, ConnectPlan::Accept);
        let mut model = Model::accept(&bench).await;
        model.speak("b", &pcm24(440, 1_000), 24_000);
        let back = now_ms();
        sleep(10_000).await;
        let speech_ends = lost + times[2] + 2_000;
        let first_frame = caller.heard.frames().into_iter().find(|(at, _)| *at > last_frame).unwrap().0;
        let expected = back.max(speech_ends);
        assert!((expected..=expected + 20).contains(&first_frame), "{first_frame}, not {expected}");
        assert_eq!(caller.heard.stretches().last().unwrap().2, 50, "all of it is heard");
        let states: Vec<&str> = caller.heard.fallbacks().iter().map(|(_, state)| *state).collect();
        assert_eq!(states, ["entered", "recovered"]);
        assert_eq!(caller.record.fallback.state(), FallbackState::Idle);
    });
}

#[test]
fn an_application_that_does_not_take_it_within_a_second_leaves_it_to_us() {
    let cases = [
        (Duration::ZERO, Err(ControlError::Throttled)),
        (Duration::ZERO, Err(ControlError::Unavailable("connection refused".to_owned()))),
        (Duration::ZERO, Err(ControlError::Gone)),
        (Duration::from_secs(30), Ok(())),
    ];
    for (delay, answer) in cases {
        run(|| async move {
            let bench = with_sma(5.0).start();
            bench.control.otherwise(delay, answer.clone());
            let (caller, model) = talking(&bench, "one").await;
            bench.transport.otherwise(Duration::ZERO, ConnectPlan::Unreachable(NO_MODEL.to_owned()));
            let lost = now_ms();
            model.server.close(1011, "dies");
            sleep(12_000).await;
            let heard = caller.heard.stretches();
            assert!(heard[0].0 - lost <= 1_020, "{answer:?}: {heard:?}");
            assert_eq!((heard[0].1, heard[0].2), (700, 50));
            assert!((3_980..=4_000).contains(&(heard[1].0 - heard[0].0)), "our own pace, with no further asking");
            assert_eq!(bench.asked().len(), 1);
            assert_eq!(caller.record.fallback.state(), FallbackState::Media);
        });
    }
}

#[test]
fn a_hundred_calls_that_lose_their_model_all_hear_a_prompt_within_two_seconds() {
    run(|| async {
        let bench = with_sma(5.0).start();
        let mut calls = Vec::new();
        for n in 0..100 {
            calls.push(talking(&bench, &format!("call-{n}")).await);
        }
        bench.transport.otherwise(Duration::ZERO, ConnectPlan::Unreachable(NO_MODEL.to_owned()));
        let lost = now_ms();
        let (callers, models): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
        for model in models {
            model.server.close(1011, "all at once");
        }
        sleep(20_000).await;
        let asked = bench.asked();
        let times: Vec<u64> = asked.iter().map(|(at, _)| *at).collect();
        for window in times.windows(6) {
            assert!(window[5] - window[0] >= 999, "six updates within {} ms", window[5] - window[0]);
        }
        let updates = bench.control.updates();
        let mut by_sma = 0;
        for (n, caller) in callers.iter().enumerate() {
            let spoken = updates.iter().zip(&times).find(|(update, _)| update.transaction_id == format!("t-call-{n}"));
            let ours = caller.heard.stretches().first().map(|(at, ..)| *at);
            let first = ours.into_iter().chain(spoken.map(|(_, at)| *at)).min().unwrap();
            assert!(first - lost <= 2_000, "call {n} hears nothing until {} ms", first - lost);
            assert_eq!(ours.is_none(), spoken.is_some(), "call {n}: one voice, and one alone");
            by_sma += usize::from(spoken.is_some());
        }
        assert_eq!(by_sma, 5, "what the quota allows in a second");
    });
}

#[test]
fn at_the_limit_the_application_says_goodbye_and_hangs_up() {
    run(|| async {
        let bench = with_sma(5.0).start();
        let (caller, model) = talking(&bench, "last").await;
        bench.transport.otherwise(Duration::ZERO, ConnectPlan::Refuse(401));
        let lost = now_ms();
        model.server.close(1011, "dies");
        sleep(600).await;
        let update = bench.control.updates().pop().unwrap();
        assert_eq!((&*update.arguments["command"], &*update.arguments["text"]), ("hangup", GOODBYE));
        // Its leg to us goes when it hangs up.
        caller.stop().await;
        bench.empty().await;
        assert_eq!(bench.ended("last"), Some(EndReason::FallbackExhausted), "and not the caller's hang-up");
        assert_eq!(caller.heard.frame_count(), 0, "no second voice");
        assert_eq!(bench.control.commands(), ["keepalive", "hangup"], "once");
        assert!(now_ms() - lost < 3_000);
        assert_eq!(caller.heard.close(), Some((Some("fallback_exhausted"), 1000)));
    });
}

#[test]
fn a_planned_end_goes_by_the_application_first_and_an_unplanned_one_does_not() {
    use EndReason as R;
    let planned = [R::OperatorHangup, R::ModelHangup, R::Rejected];
    let unplanned = [R::CallerHangup, R::MediaLost, R::Internal];
    for (reason, hang_up) in planned.map(|r| (r, true)).into_iter().chain(unplanned.map(|r| (r, false))) {
        run(|| async move {
            let bench = with_sma(5.0).start();
            let (caller, _model) = talking(&bench, "end").await;
            let at = now_ms();
            bench.supervisor.send(EndCall::now(CallId::parse("end").unwrap(), reason)).await.unwrap();
            sleep(3_000).await;
            assert_eq!(bench.control.commands(), if hang_up { vec!["hangup"] } else { vec![] }, "{reason}");
            let closed = caller.heard.controls().last().unwrap().0 - at;
            let expected = if hang_up { 2_000 } else { 0 };
            assert!(closed.abs_diff(expected) <= 10, "{reason}: our leg goes after {closed} ms");
            assert_eq!(bench.ended("end"), Some(reason));
            // What comes back for that transaction is told that it is over, or let in.
            let again = bench.admit_with("again", LineCodec::Pcmu, Some("t-end".to_owned())).await;
            assert_eq!(again.err(), hang_up.then_some(Refusal::Over), "{reason}");
        });
    }
}

#[test]
fn our_leg_goes_as_soon_as_the_hang_up_took_effect() {
    run(|| async {
        let bench = with_sma(5.0).start();
        let (caller, _model) = talking(&bench, "soon").await;
        let at = now_ms();
        bench.supervisor.send(EndCall::now(CallId::parse("soon").unwrap(), EndReason::OperatorHangup)).await.unwrap();
        sleep(300).await;
        assert_eq!(caller.heard.close(), None);
        caller.stop().await;
        sleep(1).await;
        assert_eq!(caller.heard.close(), Some((Some("operator_hangup"), 1000)));
        assert!(now_ms() - at <= 302);
    });
}

#[test]
fn a_hang_up_outlives_quota_and_call_and_is_not_connected_again_meanwhile() {
    run(|| async {
        // One update in 10 s, and the application is down for the first three attempts.
        let bench = with_sma(0.1).start();
        for _ in 0..3 {
            bench.control.then(Duration::ZERO, Err(ControlError::Unavailable("HTTP 500".to_owned())));
        }
        let (_caller, _model) = talking(&bench, "end").await;
        bench.supervisor.send(EndCall::now(CallId::parse("end").unwrap(), EndReason::OperatorHangup)).await.unwrap();
        sleep(3_000).await;
        assert_eq!(bench.ended("end"), Some(EndReason::OperatorHangup));
        for _ in 0..5 {
            sleep(1_000).await;
            let again = bench.admit_with("again", LineCodec::Pcmu, Some("t-end".to_owned())).await;
            assert_eq!(again.err(), Some(Refusal::Over));
        }
        bench.asking.as_ref().unwrap().send(Flush { limit: Duration::from_secs(120) }).await.unwrap();
        assert_eq!(bench.control.commands(), ["hangup"; 4]);
    });
}

#[test]
fn a_drained_call_is_hung_up_on_after_its_goodbye_and_one_cut_off_is_left_to_be_connected_elsewhere() {
    for (farewell, hung_up) in [(Farewell::Goodbye, true), (Farewell::Nothing, false)] {
        run(|| async move {
            let bench = with_sma(5.0).start();
            let (caller, _model) = talking(&bench, "drain").await;
            bench.supervisor.send(trunkline_actors::messages::EndAll { farewell }).await.unwrap();
            sleep(5_000).await;
            assert_eq!(bench.control.commands(), if hung_up { vec!["hangup"] } else { vec![] });
            assert_eq!(caller.heard.close(), Some((Some("drained"), 1001)));
            if hung_up {
                assert_eq!(caller.heard.stretches().last().map(|(_, pitch, _)| *pitch), Some(900));
            }
        });
    }
}

#[test]
fn a_leg_that_is_bridged_again_finds_its_call_by_the_transaction() {
    run(|| async {
        let bench = with_sma(5.0).start();
        let (caller, mut model) = talking(&bench, "first").await;
        caller.say(CallerEvent::Lost).await;
        sleep(3_000).await;
        // The gateway calls it something else; the conversation goes on where it was.
        let caller = Caller::dial(&bench, "second", Dial::bridged("t-first")).await;
        assert_eq!(caller.record.id.as_str(), "first");
        model.speak("a", &pcm24(440, 1_000), 24_000);
        sleep(1_500).await;
        assert_eq!(caller.heard.frame_count(), 50);
        assert_eq!(bench.registry.live(), 1);
        assert_eq!(bench.record("second").id.as_str(), "first", "operators find it by either name");
        // And so does the next socket that comes by that name alone.
        let caller = Caller::call(&bench, "second").await;
        assert_eq!(caller.record.id.as_str(), "first");
        caller.stop().await;
        bench.empty().await;
        let caller = Caller::call(&bench, "second").await;
        assert_eq!(caller.record.id.as_str(), "second", "a name is free again when its call is over");
    });
}

#[test]
fn with_the_channel_media_the_application_is_not_asked() {
    run(|| async {
        let mut setup = with_sma(5.0);
        setup.fallback.channel = FallbackChannel::Media;
        let bench = setup.start();
        let (caller, model) = talking(&bench, "media").await;
        bench.transport.otherwise(Duration::ZERO, ConnectPlan::Unreachable(NO_MODEL.to_owned()));
        model.server.close(1011, "dies");
        sleep(5_000).await;
        assert_eq!(caller.heard.stretches()[0].1, 700);
        assert!(bench.asked().is_empty());
    });
}

#[test]
fn a_line_that_wants_frames_gets_silence_while_the_application_speaks() {
    run(|| async {
        let bench = with_sma(5.0).start();
        let caller =
            Caller::dial(&bench, "sip", Dial { peer: Peer { fill: true, ..Peer::default() }, ..Dial::bridged("t") })
                .await;
        let model = Model::accept(&bench).await;
        bench.transport.otherwise(Duration::ZERO, ConnectPlan::Unreachable(NO_MODEL.to_owned()));
        model.server.close(1011, "dies");
        sleep(5_000).await;
        caller.heard.assert_even(0);
        assert!(caller.heard.frame_count() >= 248, "{}", caller.heard.frame_count());
        assert!(caller.heard.payload().iter().all(|byte| *byte == 0xFF));
    });
}

#[test]
fn a_yes_that_comes_when_the_model_is_back_costs_nothing_of_its_answer() {
    run(|| async {
        let bench = with_sma(5.0).start();
        bench.control.otherwise(Duration::from_millis(800), Ok(()));
        let (caller, model) = talking(&bench, "one").await;
        bench.transport.then_after(Duration::from_millis(300), ConnectPlan::Accept);
        model.server.close(1011, "dies");
        let mut model = Model::accept(&bench).await;
        model.speak("b", &pcm24(440, 2_000), 24_000);
        sleep(10_000).await;
        assert_eq!(bench.asked().len(), 1);
        let heard: usize =
            caller.heard.stretches().iter().filter(|(_, pitch, _)| *pitch == 440).map(|(_, _, n)| n).sum();
        assert_eq!(heard, 100, "{:?}", caller.heard.stretches());
        assert!(model.of("conversation.item.truncate").is_empty() && model.of("conversation.item.delete").is_empty());
    });
}
