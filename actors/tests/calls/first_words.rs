//! What the caller says while there is no model to hear it.

use std::time::Duration;

use serde_json::Value;
use trunkline_actors::memory_transport::ConnectPlan;
use trunkline_actors::ports::Outgoing;
use trunkline_call::{CallLimits, DropPlace};
use trunkline_media::ModelFormat;

use crate::common::{Caller, Model, Setup, run, sleep, sound};

#[test]
fn all_of_it_is_delivered_in_order_once_the_session_is_set_up() {
    run(|| async {
        let bench = Setup::default().format(ModelFormat::Pcmu).start();
        bench.transport.then_after(Duration::from_secs(3), ConnectPlan::Accept);
        let caller = Caller::call(&bench, "first").await;
        let said = sound::speech(6);
        let speaking = async {
            caller.speak(&said).await;
        };
        let listening = async {
            let mut model = Model::accept(&bench).await;
            assert!(model.audio.is_empty(), "none before session.updated");
            sleep(4_000).await;
            model.look();
            model
        };
        let ((), model) = tokio::join!(speaking, listening);
        assert_eq!(model.audio[..said.len()], said, "every frame in order, also those before the route was known");
        assert!(model.audio[said.len()..].iter().all(|byte| *byte == 0xFF), "then silence");
        assert_eq!(caller.record.up.dropped(), 0);
    });
}

#[test]
fn none_is_sent_before_the_session_is_updated() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::call(&bench, "order").await;
        let mut server = bench.transport.accepted().await;
        caller.speak(&sound::silence(1_000)).await;
        server.text(r#"{"type":"session.created","session":{"id":"s","type":"realtime"}}"#);
        caller.speak(&sound::silence(1_000)).await;
        let sent = server.take_sent();
        let Some(Outgoing::Text(text)) = sent.first() else { panic!("{sent:?}") };
        let update: Value = serde_json::from_str(text).unwrap();
        assert_eq!((sent.len(), update["type"].as_str()), (1, Some("session.update")));
    });
}

#[test]
fn a_first_connect_keeps_as_much_as_it_may_last() {
    run(|| async {
        let mut setup = Setup::default().format(ModelFormat::Pcmu);
        setup.timing.connect_timeout = Duration::from_secs(8);
        let bench = setup.start();
        bench.transport.then(ConnectPlan::Hang).then_after(Duration::from_secs(2), ConnectPlan::Accept);
        let caller = Caller::call(&bench, "long").await;
        let said = sound::speech(11);
        let (_, model) = tokio::join!(caller.speak(&said), async {
            let mut model = Model::accept(&bench).await;
            sleep(1_000).await;
            model.look();
            model
        });
        let kept = model.audio.len();
        assert!((8_000 * 8..said.len()).contains(&kept), "{kept} bytes");
        let dropped = caller.record.up.dropped_at(DropPlace::SessionRing) as usize;
        assert!(dropped > 0 && dropped < 200, "the oldest fell out, counted: {dropped}");
        assert!(said.windows(800).any(|part| part == &model.audio[..800]));
    });
}

#[test]
fn a_model_that_reads_nothing_costs_the_oldest_audio_and_no_memory() {
    run(|| async {
        let bench = Setup::default().format(ModelFormat::Pcmu).start();
        let caller = Caller::call(&bench, "slow").await;
        let mut model = Model::accept(&bench).await;
        caller.speak(&sound::silence(1_000)).await;
        model.look();
        assert_eq!(model.audio.len(), 8_000);
        model.server.stall(true);
        caller.speak(&sound::speech(6)).await;
        let up = &caller.record.up;
        let dropped = up.dropped_at(DropPlace::SessionRing);
        assert!((195..=201).contains(&dropped), "2 s of 6 are kept: {dropped}");
        assert!((1_900..=2_000).contains(&up.queued_ms()), "{} ms wait", up.queued_ms());
        model.server.stall(false);
        sleep(20).await;
        model.look();
        let got = model.audio.len() as u64 / 160;
        assert!((got + dropped).abs_diff(350) <= 2, "each frame was delivered or counted: {got} + {dropped}");
        assert_eq!(up.queued_ms(), 0);
    });
}

#[test]
fn the_buffer_of_a_live_call_may_be_shorter_still() {
    run(|| async {
        let limits = CallLimits { upstream_buffer: Duration::from_millis(500), ..CallLimits::default() };
        let bench = Setup { limits, ..Setup::default() }.start();
        let caller = Caller::call(&bench, "short").await;
        let model = Model::accept(&bench).await;
        caller.speak(&sound::silence(100)).await;
        model.server.stall(true);
        caller.speak(&sound::silence(3_000)).await;
        assert!(caller.record.up.queued_ms() <= 500);
        assert!(caller.record.up.dropped() >= 120);
    });
}
