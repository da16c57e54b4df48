//! A model that says more than can wait.

use std::time::Duration;

use trunkline_call::DropPlace;

use crate::common::model::pcm24;
use crate::common::{Bench, Caller, Model, Setup, run, sleep};

async fn low_ceiling() -> (Bench, Caller, Model) {
    let mut setup = Setup::default();
    setup.limits.playout_buffer = Duration::from_secs(5);
    let bench = setup.start();
    let caller = Caller::call(&bench, "full").await;
    let model = Model::accept(&bench).await;
    sleep(10).await;
    (bench, caller, model)
}

#[test]
fn the_response_is_cancelled_and_the_rest_counted() {
    run(|| async {
        let (_bench, caller, mut model) = low_ceiling().await;
        let response = model.begin();
        let burst = pcm24(440, 500);
        for _ in 0..40 {
            model.delta(&response, "a", &burst);
            sleep(10).await;
        }
        assert_eq!(model.of("response.cancel").len(), 1, "once");
        model.item_done(&response, "a");
        model.done(&response, "cancelled");
        sleep(10_000).await;
        let played = caller.heard.frame_count();
        assert!((250..=325).contains(&played), "{played} frames: what waited is played");
        caller.heard.assert_even(0);
        assert_eq!(caller.heard.marks().len(), 1);
        assert!(caller.record.down.dropped_at(DropPlace::PlayoutLimit) >= 1);
        // The call goes on.
        model.speak("b", &pcm24(500, 1_000), 9_600);
        sleep(2_000).await;
        assert_eq!(caller.heard.frame_count() - played, 50);
        assert_eq!(caller.heard.marks().len(), 2);
    });
}

#[test]
fn a_whole_response_at_once_is_cut_and_does_not_block_the_next() {
    run(|| async {
        let (_bench, caller, mut model) = low_ceiling().await;
        model.speak("a", &pcm24(440, 20_000), 24_000);
        model.speak("b", &pcm24(440, 20_000), 24_000);
        sleep(8_000).await;
        let played = caller.heard.frame_count() as u64;
        let dropped = caller.record.down.dropped_at(DropPlace::PlayoutLimit);
        assert!((250..=300).contains(&played), "{played}");
        assert!((played + dropped).abs_diff(2_000) <= 4, "each frame was played or counted: {played} + {dropped}");
        model.speak("c", &pcm24(500, 1_000), 9_600);
        sleep(2_000).await;
        assert_eq!(caller.heard.frame_count() as u64 - played, 50);
        let marks: Vec<String> = caller.heard.marks().into_iter().map(|(_, mark)| mark).collect();
        assert_eq!(marks, ["a", "b", "c"]);
    });
}

#[test]
fn a_caller_who_is_away_does_not_fill_the_memory() {
    run(|| async {
        let mut setup = Setup::default();
        setup.limits.playout_buffer = Duration::from_secs(5);
        setup.limits.reattach_grace = Duration::from_secs(600);
        let bench = setup.start();
        let caller = Caller::call(&bench, "away").await;
        let mut model = Model::accept(&bench).await;
        caller.say(trunkline_actors::messages::CallerEvent::Lost).await;
        for n in 0..20 {
            model.speak(&format!("item_{n}"), &pcm24(440, 2_000), 24_000);
            sleep(1_000).await;
            assert!(caller.record.down.queued_ms() <= 6_000, "{}", caller.record.down.queued_ms());
        }
    });
}
