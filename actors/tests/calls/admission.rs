//! Who is let in, and how calls end when their time is up.

use std::time::Duration;

use trunkline_actors::messages::{Drain, EndAll, EndCall, Farewell, Refusal};
use trunkline_call::{CallId, EndReason};
use trunkline_media::LineCodec;

use crate::common::{Bench, Caller, Model, Setup, now_ms, run, sleep, sound};

async fn refused(bench: &Bench, id: &str) -> Option<Refusal> {
    bench.admit(id, LineCodec::Pcmu).await.err()
}

#[test]
fn a_full_house_refuses_new_calls_and_lets_old_ones_re_attach() {
    run(|| async {
        let mut setup = Setup::default();
        setup.limits.max = 2;
        let bench = setup.start();
        let first = Caller::call(&bench, "a").await;
        let _second = Caller::call(&bench, "b").await;
        assert_eq!(refused(&bench, "c").await, Some(Refusal::AtCapacity));
        assert_eq!(refused(&bench, "a").await, None);
        first.stop().await;
        sleep(10).await;
        assert_eq!(refused(&bench, "c").await, None);
    });
}

#[test]
fn draining_waits_then_says_goodbye() {
    run(|| async {
        let bench = Setup::default().start();
        let quick = Caller::call(&bench, "quick").await;
        let slow = Caller::call(&bench, "slow").await;
        let _models = [Model::accept(&bench).await, Model::accept(&bench).await];
        let supervisor = bench.supervisor.clone();
        let drained = actix_rt::spawn(async move {
            supervisor.send(Drain { timeout: Duration::from_secs(30) }).await.unwrap();
            now_ms()
        });
        sleep(1_000).await;
        assert_eq!(refused(&bench, "new").await, Some(Refusal::Draining));
        let slow = {
            let again = Caller::call(&bench, "slow").await;
            sleep(10).await;
            assert_eq!(slow.heard.close(), Some((None, 4409)), "a new socket for a live call is welcome");
            again
        };
        quick.stop().await;
        slow.speak(&sound::silence(28_000)).await;
        assert!(slow.heard.close().is_none(), "none is cut before its time");
        let at = drained.await.unwrap();
        assert!((30_800..=31_200).contains(&at), "the goodbye of 0.8 s and no more: {at}");
        let heard = slow.heard.stretches();
        assert_eq!(heard.iter().map(|(_, pitch, frames)| (*pitch, *frames)).collect::<Vec<_>>(), [(900, 40)]);
        assert_eq!(slow.heard.close(), Some((Some("drained"), 1001)));
        assert_eq!(bench.ended("quick"), Some(EndReason::CallerHangup));
        assert_eq!(bench.ended("slow"), Some(EndReason::Drained));
    });
}

#[test]
fn an_empty_house_is_drained_at_once() {
    run(|| async {
        let bench = Setup::default().start();
        bench.supervisor.send(Drain { timeout: Duration::from_secs(300) }).await.unwrap();
        assert!(now_ms() <= 60);
    });
}

#[test]
fn ending_all_is_immediate_also_during_goodbyes() {
    run(|| async {
        let bench = Setup::default().start();
        let callers = [Caller::call(&bench, "a").await, Caller::call(&bench, "b").await];
        sleep(100).await;
        bench.supervisor.send(EndAll { farewell: Farewell::Goodbye }).await.unwrap();
        sleep(300).await;
        assert_eq!(bench.registry.live(), 2);
        assert!(callers[0].heard.frame_count() >= 14);
        bench.supervisor.send(EndAll { farewell: Farewell::Nothing }).await.unwrap();
        sleep(10).await;
        assert_eq!(bench.registry.live(), 0);
        for caller in &callers {
            assert_eq!(caller.heard.close(), Some((Some("drained"), 1001)));
        }
    });
}

#[test]
fn the_first_reason_stands() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::call(&bench, "first").await;
        let end = |reason| EndCall::now(CallId::parse("first").unwrap(), reason);
        assert!(bench.supervisor.send(end(EndReason::OperatorHangup)).await.unwrap());
        assert!(!bench.supervisor.send(end(EndReason::Drained)).await.unwrap());
        caller.stop().await;
        bench.empty().await;
        assert_eq!(bench.ended("first"), Some(EndReason::OperatorHangup));
        assert!(!bench.supervisor.send(end(EndReason::Drained)).await.unwrap(), "there is none");
        assert_eq!(bench.registry.ended_by_reason().values().sum::<u64>(), 1);
    });
}

#[test]
fn a_call_ends_at_its_longest() {
    run(|| async {
        let mut setup = Setup::default();
        setup.limits.max_duration = Duration::from_secs(30);
        let bench = setup.start();
        let caller = Caller::call(&bench, "long").await;
        let _model = Model::accept(&bench).await;
        caller.speak(&sound::silence(35_000)).await;
        assert_eq!(bench.ended("long"), Some(EndReason::MaxDuration));
        assert_eq!(caller.heard.stretches().len(), 1, "with a goodbye");
        let duration = caller.record.ended().unwrap().1;
        assert!((30_000..=32_000).contains(&duration.as_millis()), "{duration:?}");
    });
}

#[test]
fn media_that_stops_or_never_comes_ends_the_call() {
    run(|| async {
        let bench = Setup::default().start();
        let stops = Caller::call(&bench, "stops").await;
        let _never = Caller::call(&bench, "never").await;
        let _models = [Model::accept(&bench).await, Model::accept(&bench).await];
        stops.speak(&sound::silence(5_000)).await;
        sleep(70_000).await;
        assert_eq!(bench.ended("stops"), Some(EndReason::MediaLost));
        assert_eq!(bench.ended("never"), Some(EndReason::NoMedia));
    });
}

#[test]
fn ended_calls_are_remembered_within_bounds() {
    run(|| async {
        let mut setup = Setup::default();
        setup.limits.history = Duration::from_secs(60);
        setup.limits.history_max = 3;
        let bench = setup.start();
        for n in 0..5 {
            let caller = Caller::call(&bench, &format!("call-{n}")).await;
            sleep(100).await;
            caller.stop().await;
            sleep(100).await;
        }
        let kept: Vec<String> = bench.registry.ended_calls().iter().map(|seen| seen.record.id.to_string()).collect();
        assert_eq!(kept, ["call-4", "call-3", "call-2"], "newest first");
        sleep(62_000).await;
        assert!(bench.registry.ended_calls().is_empty());
        assert_eq!(bench.registry.started(), 5);
        assert_eq!(bench.registry.ended_by_reason()["caller_hangup"], 5);
    });
}
