//! Every sample of the model, in its place and at its time.

use std::time::Duration;

use serde_json::json;
use trunkline_actors::link::Peer;
use trunkline_media::{LineCodec, ModelFormat};
use trunkline_realtime::Api;

use crate::common::caller::Dial;
use crate::common::model::{pcm, pcm24};
use crate::common::{Caller, Model, Setup, now_ms, run, sleep, sound};

#[test]
fn ten_minutes_are_thirty_thousand_frames_on_time() {
    run(|| async {
        let mut setup = Setup::default();
        setup.limits.media_timeout = Duration::from_secs(3_600);
        let bench = setup.start();
        let caller = Caller::call(&bench, "long").await;
        let mut model = Model::accept(&bench).await;
        // 200 items of 3 s, sent four times faster than real time but never minutes ahead, as a model does turn by turn.
        let audio = pcm24(440, 3_000);
        let began = now_ms();
        for n in 0..200 {
            while now_ms() + 20_000 < began + n * 3_000 {
                sleep(100).await;
            }
            model.speak(&format!("item_{n}"), &audio, 48 * 250);
            sleep(750).await;
        }
        sleep(590_000).await;
        let frames = caller.heard.frames();
        assert_eq!(frames.len(), 30_000);
        let first = frames[0].0;
        for (n, (at, _)) in frames.iter().enumerate() {
            let due = first + n as u64 * 20;
            assert!(at.abs_diff(due) < 20, "frame {n} at {at}, due at {due}");
        }
        let marks = caller.heard.marks();
        assert_eq!(marks.len(), 200);
        for (n, (frames, mark)) in marks.into_iter().enumerate() {
            assert_eq!((frames, mark), ((n + 1) * 150, format!("item_{n}")));
        }
        let down = &caller.record.down;
        assert_eq!((down.frames(), down.dropped(), down.underruns(), down.late_ticks()), (30_000, 0, 0, 0));
    });
}

/// Bursts of these sizes in ms, over and over.
const PATTERNS: [&[u64]; 6] = [&[20], &[100], &[150], &[250], &[500], &[20, 500, 150, 100, 250, 30]];

#[test]
fn two_seconds_are_a_hundred_frames_for_every_pattern_and_format() {
    for format in [ModelFormat::Pcm24k, ModelFormat::Pcm16k, ModelFormat::Pcmu] {
        for pattern in PATTERNS {
            two_seconds(format, pattern);
        }
    }
}

fn two_seconds(format: ModelFormat, pattern: &'static [u64]) {
    run(|| async move {
        let mut setup = Setup::default().format(format);
        if format == ModelFormat::Pcm16k {
            setup.profile.api = Api::VoiceLive;
        }
        let bench = setup.start();
        let caller = Caller::call(&bench, "two").await;
        let mut model = Model::accept(&bench).await;
        let said = sound::tone(500, 2_000);
        let audio = match format {
            ModelFormat::Pcm24k => pcm(500, 2_000, 24),
            ModelFormat::Pcm16k => pcm(500, 2_000, 16),
            _ => sound::pcmu(&said).to_vec(),
        };
        let response = model.begin();
        let mut rest = &audio[..];
        for ms in pattern.iter().cycle() {
            let (burst, tail) = rest.split_at(rest.len().min(*ms as usize * format.bytes_per_ms()));
            model.delta(&response, "item_1", burst);
            sleep(ms / 4).await;
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        model.item_done(&response, "item_1");
        model.done(&response, "completed");
        sleep(3_000).await;
        let heard = caller.heard.payload();
        assert_eq!(caller.heard.frame_count(), 100, "{format:?} {pattern:?}");
        caller.heard.assert_even(0);
        assert_eq!(caller.heard.marks(), [(100, "item_1".to_owned())]);
        if format == ModelFormat::Pcmu {
            assert_eq!(heard, audio, "passed through untouched");
        }
        // The first and the last 100 ms are there, sample by sample.
        let heard = sound::linear(&heard);
        for window in [0..800, 15_200..16_000] {
            let alike = sound::likeness(&said[window.clone()], &heard[window.clone()], 0);
            assert!(alike > 0.98, "{format:?} {pattern:?} {window:?}: {alike}");
        }
        assert_eq!(caller.record.down.underruns(), 0);
    });
}

#[test]
fn items_are_played_in_order_with_a_mark_after_each() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::call(&bench, "items").await;
        let mut model = Model::accept(&bench).await;
        let response = model.begin();
        for (item, ms) in [("a", 310), ("b", 20), ("c", 1_001)] {
            model.delta(&response, item, &pcm24(440, ms));
            if item != "b" {
                model.item_done(&response, item);
            }
        }
        // No `done` for b: the next item ended it. None for d either: the response does.
        model.delta(&response, "d", &pcm24(440, 50));
        model.done(&response, "completed");
        sleep(3_000).await;
        let marks: Vec<(usize, String)> = caller.heard.marks();
        let expected = [(16, "a"), (17, "b"), (68, "c"), (71, "d")].map(|(frames, mark)| (frames, mark.to_owned()));
        assert_eq!(marks, expected);
        caller.heard.assert_even(0);
    });
}

#[test]
fn an_item_is_ended_by_the_loss_of_its_session() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::call(&bench, "lost").await;
        let mut model = Model::accept(&bench).await;
        let response = model.begin();
        model.delta(&response, "a", &pcm24(440, 490));
        sleep(100).await;
        model.server.close(1011, "");
        sleep(600).await;
        assert_eq!(caller.heard.marks(), [(25, "a".to_owned())]);
        assert_eq!(caller.record.down.underruns(), 0);
    });
}

#[test]
fn a_gap_in_the_models_audio_is_an_underrun_and_nothing_is_lost() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::call(&bench, "gap").await;
        let mut model = Model::accept(&bench).await;
        let response = model.begin();
        model.delta(&response, "a", &pcm24(440, 200));
        sleep(1_000).await;
        model.delta(&response, "a", &pcm24(440, 200));
        model.item_done(&response, "a");
        model.done(&response, "completed");
        sleep(1_000).await;
        assert_eq!(caller.heard.frame_count(), 20);
        assert!(caller.record.down.underruns() > 30, "{}", caller.record.down.underruns());
    });
}

#[test]
fn fill_is_a_frame_at_every_tick() {
    run(|| async {
        let bench = Setup::default().start();
        let caller =
            Caller::dial(&bench, "fill", Dial { peer: Peer { fill: true, ..Peer::default() }, ..Dial::default() })
                .await;
        let mut model = Model::accept(&bench).await;
        sleep(1_000).await;
        model.speak("a", &pcm24(440, 1_000), 9_600);
        sleep(9_000).await;
        let frames = caller.heard.frames();
        assert!((500..=501).contains(&frames.len()), "{} frames in 10 s", frames.len());
        caller.heard.assert_even(0);
        let loud = frames.iter().filter(|(_, frame)| sound::level(frame) > 1_000.0).count();
        assert_eq!(loud, 50);
    });
}

#[test]
fn the_line_codec_is_that_of_the_caller() {
    for (codec, bytes) in [(LineCodec::Pcma, 160), (LineCodec::L16, 320)] {
        run(|| async move {
            let bench = Setup::default().start();
            let caller = Caller::dial(&bench, "codec", Dial { codec, ..Dial::default() }).await;
            let mut model = Model::accept(&bench).await;
            model.speak("a", &pcm24(440, 1_000), 9_600);
            sleep(2_000).await;
            assert_eq!(caller.heard.frame_count(), 50);
            assert!(caller.heard.frames().iter().all(|(_, frame)| frame.len() == bytes));
            model.look();
            assert_eq!(model.events[0]["session"]["type"], json!("realtime"));
        });
    }
}
