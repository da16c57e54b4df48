//! A caller's socket that takes nothing, and those who listen.

use trunkline_actors::link::LinkControl;
use trunkline_actors::messages::CallerEvent;
use trunkline_call::{DropPlace, EndReason};
use trunkline_media::LineCodec;

use crate::common::caller::Dial;
use crate::common::model::pcm24;
use crate::common::{Caller, Model, Setup, now_ms, run, sleep, sound};

#[test]
fn drops_are_counted_and_real_time_goes_on() {
    run(|| async {
        let bench = Setup::default().start();
        let mut caller = Caller::dial(&bench, "stalled", Dial { reads: false, ..Dial::default() }).await;
        let mut model = Model::accept(&bench).await;
        model.speak("a", &pcm24(440, 10_000), 48_000);
        sleep(5_000).await;
        let record = std::sync::Arc::clone(&caller.record);
        let down = &record.down;
        let (sent, dropped) = (down.frames(), down.dropped_at(DropPlace::Socket));
        assert!((5..=6).contains(&sent), "{sent} frames fit the lane");
        assert!((sent + dropped).abs_diff(250) <= 1, "one frame a tick, sent or dropped: {}", sent + dropped);
        assert!(down.queued_ms().abs_diff(5_000) <= 40, "{} ms wait", down.queued_ms());
        // It reads again: what is heard is the present, not the past.
        caller.read();
        sleep(6_000).await;
        assert_eq!(down.frames() + down.dropped(), 500);
        assert!(caller.heard.frame_count().abs_diff(256) <= 2, "{}", caller.heard.frame_count());
        assert_eq!(down.underruns() + down.late_ticks(), 0);
    });
}

#[test]
fn control_goes_ahead_of_what_waits() {
    run(|| async {
        let bench = Setup::default().start();
        let mut caller = Caller::dial(&bench, "control", Dial { reads: false, ..Dial::default() }).await;
        let mut model = Model::accept(&bench).await;
        model.speak("a", &pcm24(440, 10_000), 48_000);
        sleep(2_000).await;
        model.speech_started();
        sleep(10).await;
        let truncates = model.of("conversation.item.truncate");
        let told = truncates[0]["audio_end_ms"].as_u64().unwrap();
        assert!(told <= 120, "only what the socket took was played: {told}");
        caller.stop().await;
        sleep(10).await;
        caller.read();
        sleep(10).await;
        let controls: Vec<LinkControl> = caller.heard.controls().into_iter().map(|(_, control)| control).collect();
        assert_eq!(controls.len(), 3, "{controls:?}");
        assert_eq!(controls[1], LinkControl::Clear { generation: 1 });
        assert_eq!(bench.ended("control"), Some(EndReason::CallerHangup));
    });
}

#[test]
fn a_socket_that_reads_no_control_either_is_lost_and_memory_is_bounded() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::dial(&bench, "dead", Dial { reads: false, ..Dial::default() }).await;
        let model = Model::accept(&bench).await;
        for _ in 0..70 {
            model.speech_started();
            sleep(10).await;
        }
        sleep(10_500).await;
        assert_eq!(bench.ended("dead"), Some(EndReason::MediaLost), "as if it had been closed");
        drop(caller);
    });
}

#[test]
fn wrong_messages_are_answered_and_counted() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::call(&bench, "wrong").await;
        let bad = CallerEvent::Bad { code: "bad_audio", message: "too long".to_owned(), lost_ms: 1_001 };
        caller.say(bad).await;
        sleep(10).await;
        let error = LinkControl::Error { code: "bad_audio", message: "too long".to_owned() };
        assert_eq!(caller.heard.controls()[1].1, error);
        assert_eq!(caller.record.up.dropped_at(DropPlace::BadAudio), 51);
        assert_eq!(bench.registry.live(), 1);
    });
}

#[test]
fn listeners_hear_both_sides() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::call(&bench, "tapped").await;
        let mut model = Model::accept(&bench).await;
        let tap = caller.listener(LineCodec::Pcmu).await;
        let wide = caller.listener(LineCodec::L16).await;
        let began = now_ms();
        caller.speak(&sound::pcmu(&sound::tone(500, 1_000))).await;
        model.speak("a", &pcm24(700, 1_000), 48_000);
        sleep(1_000).await;
        model.speak("b", &pcm24(700, 1_000), 48_000);
        caller.speak(&sound::pcmu(&sound::tone(500, 1_000))).await;
        sleep(500).await;
        let pitches: Vec<(u64, u32)> =
            tap.frames().iter().map(|(at, frame)| (at - began, sound::pitch(frame))).collect();
        let alone = |hz, from, to| pitches.iter().filter(|(at, p)| (from..to).contains(at) && *p == hz).count();
        assert!(alone(500, 0, 1_100) >= 48, "the caller");
        assert!(alone(700, 1_000, 2_100) >= 48, "the model");
        let both = tap
            .frames()
            .into_iter()
            .filter(|(at, frame)| (2_100..2_900).contains(&(at - began)) && sound::level(frame) > 8_000.0);
        assert!(both.count() >= 38, "both, added");
        tap.assert_even(0);
        assert!(wide.frames().iter().all(|(_, frame)| frame.len() == 320));
        caller.stop().await;
        bench.empty().await;
        assert_eq!(tap.close(), Some((Some("caller_hangup"), 1000)));
        assert_eq!(caller.record.up.frames(), 100, "listeners count for nothing");
    });
}
