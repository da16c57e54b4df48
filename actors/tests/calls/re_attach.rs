//! Sockets come and go, the call stays.

use trunkline_actors::link::LinkControl;
use trunkline_actors::messages::CallerEvent;
use trunkline_call::EndReason;
use trunkline_media::{LineCodec, ModelFormat};

use crate::common::caller::Dial;
use crate::common::model::pcm24;
use crate::common::{Caller, Model, Setup, now_ms, run, sleep, sound};

#[test]
fn within_the_grace_it_goes_on_where_it_was() {
    run(|| async {
        let bench = Setup::default().start();
        let before = Caller::call(&bench, "again").await;
        let mut model = Model::accept(&bench).await;
        model.speak("a", &pcm24(440, 4_000), 9_600);
        sleep(1_010).await;
        before.say(CallerEvent::Lost).await;
        assert!(before.heard.is_over() || before.heard.close().is_none());
        sleep(8_000).await;
        let played = before.heard.frame_count();
        let after = Caller::call(&bench, "again").await;
        assert_eq!(after.epoch, before.epoch + 1);
        sleep(5_000).await;
        assert_eq!(after.heard.controls()[0].1, LinkControl::Ready);
        assert_eq!(played + after.heard.frame_count(), 200, "held meanwhile, nothing lost");
        after.heard.assert_even(0);
        assert_eq!(after.heard.marks(), [(200 - played, "a".to_owned())]);
        assert_eq!(after.record.down.late_ticks() + after.record.down.underruns(), 0);
        sleep(20_000).await;
        assert_eq!(bench.registry.live(), 1);
        assert_eq!(bench.transport.urls().len(), 1, "the model noticed nothing");
    });
}

#[test]
fn after_the_grace_the_media_is_lost() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::call(&bench, "gone").await;
        let _model = Model::accept(&bench).await;
        caller.speak(&sound::silence(1_000)).await;
        let lost = now_ms();
        caller.say(CallerEvent::Lost).await;
        sleep(9_900).await;
        assert_eq!(bench.registry.live(), 1);
        sleep(200).await;
        assert_eq!(bench.registry.live(), 0);
        assert_eq!(bench.ended("gone"), Some(EndReason::MediaLost));
        let (_, duration) = bench.record("gone").ended().unwrap();
        assert!((duration.as_millis() as u64).abs_diff(lost + 10_000) <= 20);
    });
}

#[test]
fn a_socket_that_never_comes_leaves_no_ghost() {
    run(|| async {
        let bench = Setup::default().start();
        let _way_in = bench.admit("ghost", LineCodec::Pcmu).await.unwrap();
        sleep(11_000).await;
        assert_eq!(bench.registry.live(), 0);
        assert_eq!(bench.ended("ghost"), Some(EndReason::NoMedia));
        assert!(bench.transport.urls().is_empty());
    });
}

#[test]
fn a_socket_whose_writer_vanished_is_lost() {
    run(|| async {
        let bench = Setup::default().start();
        let mut caller = Caller::dial(&bench, "vanished", Dial { reads: false, ..Dial::default() }).await;
        let mut model = Model::accept(&bench).await;
        caller.unread = None;
        model.speak("a", &pcm24(440, 2_000), 9_600);
        sleep(5_000).await;
        let after = Caller::call(&bench, "vanished").await;
        sleep(3_000).await;
        assert!(after.heard.frame_count() >= 99, "{}", after.heard.frame_count());
    });
}

#[test]
fn the_newest_wins_and_the_old_one_is_heard_no_more() {
    run(|| async {
        let bench = Setup::default().format(ModelFormat::Pcmu).start();
        let old = Caller::call(&bench, "two").await;
        let mut model = Model::accept(&bench).await;
        model.speak("a", &sound::pcmu(&sound::tone(440, 3_000)), 8_000);
        sleep(1_000).await;
        let new = Caller::call(&bench, "two").await;
        sleep(10).await;
        assert_eq!(old.heard.close(), Some((None, 4409)));
        assert!(old.heard.is_over());
        model.look();
        model.audio.clear();
        // Late messages of the old socket mean nothing.
        old.send(sound::pcmu(&sound::tone(1_000, 20))).await;
        old.say(CallerEvent::Key('5')).await;
        old.say(CallerEvent::Stop).await;
        old.say(CallerEvent::Lost).await;
        sleep(3_000).await;
        model.look();
        assert!(model.audio.is_empty());
        assert_eq!(old.heard.frame_count() + new.heard.frame_count(), 150);
        assert_eq!(new.heard.clears().len(), 0);
        assert_eq!(bench.registry.live(), 1);
        new.speak(&sound::silence(100)).await;
        model.look();
        assert!(model.audio.len() >= 800);
    });
}

#[test]
fn another_codec_is_converted() {
    run(|| async {
        let bench = Setup::default().format(ModelFormat::Pcmu).start();
        let first = Caller::call(&bench, "codec").await;
        let mut model = Model::accept(&bench).await;
        first.say(CallerEvent::Lost).await;
        let dial = Dial { codec: LineCodec::L16, ..Dial::default() };
        let caller = Caller::dial(&bench, "codec", dial).await;
        let said = sound::tone(440, 1_000);
        let bytes: Vec<u8> = said.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        for frame in bytes.chunks(320) {
            caller.send(frame.to_vec().into()).await;
            sleep(20).await;
        }
        model.look();
        assert_eq!(model.audio[..8_000], sound::pcmu(&said), "in the line's own codec");
        model.speak("a", &sound::pcmu(&said), 8_000);
        sleep(1_500).await;
        let heard = caller.heard.frames();
        assert_eq!(heard.len(), 50);
        assert!(heard.iter().all(|(_, frame)| frame.len() == 320));
    });
}

#[test]
fn an_id_that_comes_back_during_the_goodbye_is_a_call_of_its_own() {
    run(|| async {
        let mut setup = Setup::default();
        setup.limits.max_duration = std::time::Duration::from_secs(20);
        let bench = setup.start();
        let first = Caller::call(&bench, "twice").await;
        let _model = Model::accept(&bench).await;
        first.speak(&sound::silence(21_300)).await;
        // Its time is up, the goodbye is on the air.
        assert!(!first.heard.stretches().is_empty());
        let second = Caller::call(&bench, "twice").await;
        sleep(5_000).await;
        assert_eq!(first.heard.close(), Some((Some("max_duration"), 1000)));
        assert_eq!((bench.registry.live(), bench.registry.started()), (1, 2));
        assert_eq!(second.epoch, 1);
        assert!(second.heard.close().is_none(), "the first one's end is not the second's");
        second.stop().await;
        bench.empty().await;
        let ends: Vec<_> =
            bench.registry.ended_calls().iter().map(|seen| seen.record.ended().unwrap().0.reason).collect();
        assert_eq!(ends, [EndReason::CallerHangup, EndReason::MaxDuration]);
    });
}
