//! The caller takes the word.

use serde_json::json;
use trunkline_actors::link::{LinkAudio, LinkOut};
use trunkline_actors::messages::CallerEvent;

use crate::common::model::pcm24;
use crate::common::{Bench, Caller, Model, Setup, now_ms, run, sleep, sound};

async fn talking(id: &str) -> (Bench, Caller, Model) {
    let bench = Setup::default().start();
    let caller = Caller::call(&bench, id).await;
    let model = Model::accept(&bench).await;
    sleep(10).await;
    (bench, caller, model)
}

#[test]
fn clear_comes_at_once_and_the_model_learns_what_was_heard() {
    for (wait, done) in [(1_000, false), (1_000, true), (1_234, true), (15, false)] {
        run(|| async move {
            let (_bench, caller, mut model) = talking("cut").await;
            let response = model.begin();
            model.delta(&response, "a", &pcm24(440, 5_000));
            if done {
                model.item_done(&response, "a");
                model.done(&response, "completed");
            }
            sleep(wait).await;
            let at = now_ms();
            model.speech_started();
            model.delta(&response, "a", &pcm24(440, 500));
            sleep(2_000).await;
            assert_eq!(caller.heard.clears(), [at], "in the same instant");
            let played = caller.heard.frame_count() as u64 * 20;
            let truncates = model.of("conversation.item.truncate");
            assert_eq!(truncates.len(), 1, "{truncates:?}");
            assert_eq!(truncates[0]["item_id"], "a");
            assert_eq!(truncates[0]["content_index"], 0);
            let end = truncates[0]["audio_end_ms"].as_u64().unwrap();
            assert!(end.abs_diff(played) <= 20, "told {end}, played {played}");
            assert!(end.abs_diff(wait) <= 20, "told {end} after {wait}");
            let heard = caller.heard.all();
            let clear = heard
                .iter()
                .position(|(_, out)| matches!(out, LinkOut::Control(c) if format!("{c:?}").starts_with("Clear")));
            let after = &heard[clear.unwrap()..];
            assert!(after.iter().all(|(_, out)| !matches!(out, LinkOut::Audio(_))), "nothing of it after the clear");
            assert_eq!(caller.record.model.interruptions(), 1);
            assert!(model.of("response.cancel").is_empty(), "the server cancels by itself");
        });
    }
}

#[test]
fn what_was_never_heard_is_deleted_and_what_was_all_heard_is_left() {
    run(|| async {
        let (_bench, caller, mut model) = talking("three").await;
        let response = model.begin();
        for (item, ms) in [("a", 400), ("b", 3_000), ("c", 1_000)] {
            model.delta(&response, item, &pcm24(440, ms));
            model.item_done(&response, item);
        }
        model.done(&response, "completed");
        sleep(1_400).await;
        model.speech_started();
        sleep(1_000).await;
        assert_eq!(caller.heard.marks(), [(20, "a".to_owned())]);
        let truncates = model.of("conversation.item.truncate");
        assert_eq!(truncates.len(), 1);
        assert_eq!(truncates[0]["item_id"], "b");
        assert!(truncates[0]["audio_end_ms"].as_u64().unwrap().abs_diff(1_000) <= 20);
        let deleted = model.of("conversation.item.delete");
        assert_eq!(deleted.len(), 1);
        assert_eq!(deleted[0]["item_id"], "c");
    });
}

#[test]
fn nothing_is_told_when_all_was_played() {
    run(|| async {
        let (_bench, caller, mut model) = talking("all").await;
        model.speak("a", &pcm24(440, 1_000), 4_800);
        sleep(1_500).await;
        model.speech_started();
        sleep(1_000).await;
        assert_eq!(caller.heard.frame_count(), 50);
        assert_eq!(caller.heard.clears().len(), 1);
        assert!(model.of("conversation.item.truncate").is_empty() && model.of("conversation.item.delete").is_empty());
        assert_eq!(caller.record.model.interruptions(), 0, "nobody was interrupted");
    });
}

#[test]
fn a_peer_that_buffers_and_says_so_has_heard_less() {
    run(|| async {
        let (_bench, caller, mut model) = talking("late").await;
        model.speak("a", &pcm24(440, 1_000), 4_800);
        sleep(1_800).await;
        // The mark came at 980 ms; it is answered 800 ms later.
        caller.say(CallerEvent::Played("a".to_owned())).await;
        model.speak("b", &pcm24(440, 3_000), 4_800);
        sleep(2_000).await;
        model.speech_started();
        sleep(500).await;
        let truncates = model.of("conversation.item.truncate");
        let end = truncates[0]["audio_end_ms"].as_u64().unwrap();
        assert!(end.abs_diff(1_200) <= 40, "sent 2,000 ms with a lag of 800: told {end}");
        // Its mark is out, but the peer still plays the last 800 ms of it.
        model.speak("c", &pcm24(440, 1_000), 4_800);
        sleep(1_300).await;
        model.speech_started();
        sleep(500).await;
        let truncates = model.of("conversation.item.truncate");
        assert_eq!(truncates.len(), 2, "{truncates:?}");
        assert_eq!(truncates[1]["item_id"], "c");
        let end = truncates[1]["audio_end_ms"].as_u64().unwrap();
        assert!(end.abs_diff(500) <= 60, "told {end}");
        assert_eq!(caller.record.model.interruptions(), 2);
        // A stale answer changes nothing.
        caller.say(CallerEvent::Played("c".to_owned())).await;
        caller.say(CallerEvent::Played("nonsense".to_owned())).await;
        model.speak("d", &pcm24(440, 200), 4_800);
        sleep(1_100).await;
        caller.say(CallerEvent::Played("d".to_owned())).await;
        sleep(1_000).await;
        model.speech_started();
        sleep(100).await;
        assert_eq!(model.of("conversation.item.truncate").len(), 2);
        assert_eq!(caller.record.model.interruptions(), 2);
    });
}

#[test]
fn the_next_answer_is_played_from_its_beginning() {
    run(|| async {
        let (_bench, caller, mut model) = talking("next").await;
        model.speak("a", &pcm24(440, 3_000), 4_800);
        sleep(500).await;
        model.speech_started();
        sleep(10).await;
        model.turn("u1", "No, wait.");
        caller.heard.clear_log();
        model.speak("b", &pcm24(500, 2_000), 4_800);
        sleep(3_000).await;
        assert_eq!(caller.heard.frame_count(), 100);
        caller.heard.assert_even(0);
        let heard = sound::linear(&caller.heard.payload());
        let said = sound::tone(500, 2_000);
        assert!(sound::likeness(&said[..800], &heard[..800], 0) > 0.98, "no rest of the resampler's last item");
        assert_eq!(caller.heard.marks(), [(100, "b".to_owned())]);
    });
}

#[test]
fn audio_in_the_lane_when_the_caller_speaks_is_void() {
    run(|| async {
        let (bench, _other, _model) = talking("other").await;
        let dial = crate::common::caller::Dial { reads: false, ..Default::default() };
        let mut caller = Caller::dial(&bench, "slow", dial).await;
        let mut model = Model::accept(&bench).await;
        model.speak("a", &pcm24(440, 3_000), 4_800);
        sleep(100).await;
        model.speech_started();
        sleep(10).await;
        caller.read();
        sleep(1_000).await;
        let frames =
            caller.heard.all().into_iter().filter(|(_, out)| matches!(out, LinkOut::Audio(LinkAudio::Frame(_))));
        assert_eq!(frames.count(), 0, "six frames waited in the lane");
        assert_eq!(caller.heard.clears().len(), 1);
        model.say(json!({"type": "some.new.event"}));
    });
}
