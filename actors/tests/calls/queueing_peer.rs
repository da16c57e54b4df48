//! A caller's side that queues audio: it is sent a short lead, and answers marks when it has played to them.

use std::time::Duration;

use trunkline_actors::link::{LinkControl, Peer, Transfers};
use trunkline_actors::memory_transport::ConnectPlan;
use trunkline_actors::messages::CallerEvent;
use trunkline_call::EndReason;

use crate::common::caller::Dial;
use crate::common::model::pcm24;
use crate::common::{Bench, Caller, Model, Setup, now_ms, run, sleep, sound};

const LEAD: u64 = 100;

fn queues() -> Dial {
    let peer = Peer {
        lead: Some(Duration::from_millis(LEAD)),
        answers_marks: true,
        presses_keys: false,
        transfers: Transfers::Never,
        ..Peer::default()
    };
    Dial { peer, ..Dial::default() }
}

async fn talking() -> (Bench, Caller, Model) {
    let bench = Setup::default().start();
    let caller = Caller::dial(&bench, "call", queues()).await;
    let model = Model::accept(&bench).await;
    sleep(10).await;
    (bench, caller, model)
}

#[test]
fn a_reply_goes_out_a_lead_ahead_and_no_further() {
    run(|| async {
        let (_bench, caller, mut model) = talking().await;
        let began = now_ms();
        model.speak("a", &pcm24(440, 2_000), 4_800);
        sleep(5_000).await;
        let frames = caller.heard.frames();
        assert_eq!(frames.len(), 100, "none is lost in the lane");
        for (n, (at, _)) in frames.iter().enumerate() {
            let due = (n as u64 * 20).saturating_sub(LEAD);
            assert!((at - began).abs_diff(due) <= 2, "frame {n} at {}, not {due}", at - began);
        }
        assert_eq!((caller.record.down.dropped(), caller.record.down.underruns()), (0, 0));
    });
}

#[test]
fn an_interruption_is_told_to_the_millisecond() {
    for wait in [0, 15, 333, 1_000] {
        run(|| async move {
            let (_bench, caller, mut model) = talking().await;
            let response = model.begin();
            model.delta(&response, "a", &pcm24(440, 5_000));
            let began = loop {
                sleep(1).await;
                if let Some((at, _)) = caller.heard.frames().first() {
                    break *at;
                }
            };
            sleep(wait).await;
            let heard = now_ms() - began;
            model.speech_started();
            sleep(500).await;
            assert_eq!(caller.heard.clears().len(), 1);
            let truncates = model.of("conversation.item.truncate");
            let end = truncates[0]["audio_end_ms"].as_u64().unwrap();
            assert!(end.abs_diff(heard) <= 2, "heard {heard} ms, told {end}");
        });
    }
}

#[test]
fn marks_that_a_clear_flushes_say_nothing_and_those_before_it_say_how_late_the_peer_is() {
    run(|| async {
        let (_bench, caller, mut model) = talking().await;
        let began = now_ms();
        model.speak("a", &pcm24(440, 1_000), 4_800);
        // All of it and its mark are out after 900 ms; 950 ms are heard when the caller speaks.
        sleep(950).await;
        assert_eq!(caller.heard.marks(), [(50, "a".to_owned())]);
        model.speech_started();
        let heard = now_ms() - began;
        sleep(1).await;
        caller.say(CallerEvent::Played("a".to_owned())).await;
        sleep(100).await;
        let truncates = model.of("conversation.item.truncate");
        let end = truncates[0]["audio_end_ms"].as_u64().unwrap();
        assert!(end.abs_diff(heard) <= 10, "heard {heard} ms, told {end}");

        // This peer is 60 ms behind: it says so with its first mark.
        let began = now_ms();
        model.speak("b", &pcm24(440, 1_000), 4_800);
        sleep(1_060).await;
        caller.say(CallerEvent::Played("b".to_owned())).await;
        let late = now_ms() - began - 1_000;
        let began = now_ms();
        model.speak("c", &pcm24(440, 3_000), 4_800);
        sleep(1_500).await;
        model.speech_started();
        let heard = now_ms() - began - late;
        sleep(100).await;
        let truncates = model.of("conversation.item.truncate");
        assert_eq!(truncates.len(), 2, "b was heard: {truncates:?}");
        let end = truncates[1]["audio_end_ms"].as_u64().unwrap();
        assert!(end.abs_diff(heard) <= 10, "heard {heard} ms, told {end}");
    });
}

#[test]
fn nobody_waits_for_marks_that_a_clear_flushed() {
    run(|| async {
        let (bench, caller, mut model) = talking().await;
        model.speak("a", &pcm24(440, 1_000), 4_800);
        sleep(950).await;
        model.speech_started();
        sleep(100).await;
        let response = model.begin();
        model.call_tool(&response, "call_1", "hang_up", "{}");
        model.done(&response, "completed");
        let at = now_ms();
        bench.empty().await;
        let (closed, _) = *caller.heard.controls().last().unwrap();
        assert!(closed - at <= 30, "{} ms", closed - at);
        assert_eq!(bench.ended("call"), Some(EndReason::ModelHangup));
    });
}

#[test]
fn a_goodbye_of_ours_is_heard_to_its_end() {
    run(|| async {
        let bench = Setup::default().start();
        bench.transport.otherwise(Duration::ZERO, ConnectPlan::Refuse(401));
        let caller = Caller::dial(&bench, "call", queues()).await;
        caller.speak(&sound::silence(3_000)).await;
        bench.empty().await;
        let (began, pitch, _) = caller.heard.stretches().into_iter().find(|(_, pitch, _)| *pitch == 900).unwrap();
        let frames = caller.heard.frame_count() as u64;
        let (closed, _) = *caller.heard.controls().last().unwrap();
        assert_eq!(pitch, 900);
        assert!(closed >= began + frames * 20, "{frames} frames from {began} on, closed at {closed}");
        assert_eq!(bench.ended("call"), Some(EndReason::FallbackExhausted));
    });
}

#[test]
fn whoever_listens_hears_all_of_it_in_real_time() {
    run(|| async {
        let (_bench, caller, mut model) = talking().await;
        let tap = caller.listener(trunkline_media::LineCodec::Pcmu).await;
        sleep(500).await;
        model.speak("a", &pcm24(440, 1_000), 4_800);
        sleep(3_000).await;
        let loud = |(_, frame): &(u64, bytes::Bytes)| frame.iter().any(|byte| !matches!(byte, 0x7f | 0xff));
        let heard: Vec<u64> = tap.frames().iter().filter(|frame| loud(frame)).map(|(at, _)| *at).collect();
        assert_eq!(heard.len(), 50, "none is lost though they come in a lead");
        assert_eq!(heard[49] - heard[0], 49 * 20, "and they are heard one after the other");
    });
}

#[test]
fn what_it_cannot_do_is_told_to_the_model() {
    for (tool, arguments, expected) in [
        ("transfer_call", r#"{"to":"+15550100077"}"#, "cannot transfer"),
        ("send_dtmf", r#"{"digits":"12#"}"#, "cannot press keys"),
    ] {
        run(|| async move {
            let (bench, caller, mut model) = talking().await;
            let response = model.begin();
            model.call_tool(&response, "call_1", tool, arguments);
            model.done(&response, "completed");
            sleep(5_000).await;
            let items = model.of("conversation.item.create");
            let output = items.iter().find_map(|item| item["item"]["output"].as_str()).unwrap();
            assert!(output.contains(expected), "{output}");
            assert_eq!(bench.registry.live(), 1, "the call goes on");
            let asked = |(_, control): &(u64, LinkControl)| {
                matches!(control, LinkControl::Transfer { .. } | LinkControl::Dtmf { .. })
            };
            assert!(!caller.heard.controls().iter().any(asked));
        });
    }
}
