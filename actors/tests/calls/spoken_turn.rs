//! A caller says something to the simulator and hears it said back.

use crate::common::{Caller, Setup, run, simulated, sleep, sound};
use bytes::Bytes;
use trunkline_actors::link::{LinkControl, LinkOut};
use trunkline_call::{CallState, EndReason};
use trunkline_simulator::SimOptions;

#[test]
fn the_caller_hears_what_he_said() {
    run(|| async {
        let bench = Setup::default().start();
        simulated::serve(&bench, SimOptions::default());
        let caller = Caller::call(&bench, "turn").await;
        let said = sound::speech(4);
        caller.speak(&said).await;
        caller.speak(&sound::silence(8_000)).await;

        let heard = caller.heard.all();
        assert_eq!(heard[0].1, LinkOut::Control(LinkControl::Ready), "ready comes first");
        assert_eq!(caller.record.state(), CallState::Active);
        assert_eq!((caller.record.model.responses(), caller.record.model.interruptions()), (1, 0));
        let frames = caller.heard.frames();
        assert!(frames.len() > 100, "{} frames", frames.len());
        caller.heard.assert_even(0);
        assert!(frames.iter().all(|(_, frame)| frame.len() == 160));
        assert_eq!(caller.heard.marks().len(), 1);
        assert_eq!(caller.heard.marks()[0].0, frames.len(), "the mark follows the last frame");

        // What comes back is what was said: the simulator takes the turn from a little before its first sound.
        let (said, heard) = (sound::linear(&said), sound::linear(&caller.heard.payload()));
        let window = &said[12_000..16_000];
        let (alike, _) = sound::best_likeness(window, &heard, heard.len() - window.len());
        assert!(alike > 0.97, "likeness {alike}");

        let up = &caller.record.up;
        assert_eq!((up.frames(), up.dropped(), up.silence()), (600, 0, 0));
        let down = &caller.record.down;
        assert_eq!((down.frames(), down.dropped(), down.underruns()), (frames.len() as u64, 0, 0));

        caller.stop().await;
        bench.empty().await;
        assert_eq!(bench.ended("turn"), Some(EndReason::CallerHangup));
        assert_eq!(caller.heard.close(), Some((Some("caller_hangup"), 1000)));
        assert!(caller.heard.is_over());
    });
}

#[test]
fn packets_of_any_size_make_the_same_turn() {
    for ms in [10, 60, 200, 1_000] {
        run(|| async move {
            let bench = Setup::default().start();
            simulated::serve(&bench, SimOptions::default());
            let caller = Caller::call(&bench, "packets").await;
            let all: Bytes = [sound::speech(3), sound::silence(5_000)].concat().into();
            caller.speak_in(&all, ms).await;
            assert_eq!(caller.record.up.silence(), 0, "packets of {ms} ms are no silence");
            assert_eq!(caller.record.up.frames(), 400);
            assert_eq!(caller.record.model.responses(), 1);
            assert!(caller.heard.frame_count() > 50);
            caller.heard.assert_even(0);
        });
    }
}

#[test]
fn a_turn_ends_although_the_callers_frames_stop() {
    run(|| async {
        let bench = Setup::default().start();
        simulated::serve(&bench, SimOptions::default());
        let caller = Caller::call(&bench, "quiet").await;
        caller.speak(&sound::speech(3)).await;
        assert_eq!(caller.record.up.silence(), 0);
        sleep(61).await;
        let before = caller.record.up.silence();
        assert!((1..=3).contains(&before), "{before} frames of silence after 60 ms");
        sleep(4_000).await;
        assert_eq!(caller.record.up.silence() - before, 200, "in real time");
        assert!(caller.heard.frame_count() > 50, "the turn was answered");
    });
}
