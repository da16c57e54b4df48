//! Calls to which anything may happen in any order.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use trunkline_actors::link::{LinkControl, LinkOut, Peer};
use trunkline_actors::memory_transport::ConnectPlan;
use trunkline_actors::messages::{CallerEvent, EndCall, Farewell};
use trunkline_call::{CallFacts, CallId, EndReason};

use crate::common::caller::{Dial, Heard};
use crate::common::model::pcm24;
use crate::common::{Bench, Caller, Model, Setup, run, sleep, sound};

/// A model that does what comes into its head.
async fn model(mut model: Model, mut rng: fastrand::Rng, audio: Rc<Vec<u8>>) {
    if rng.u8(..10) == 0 {
        return;
    }
    model.set_up(rng.u64(20..200)).await;
    for n in 0.. {
        sleep(rng.u64(0..1_500)).await;
        if model.server.is_abandoned() {
            return;
        }
        drop(model.server.take_sent());
        match rng.u8(..14) {
            0 => return,
            1 => return model.server.close(1011, "a whim"),
            2 => model.server.stall(true),
            3 => model.server.answer_pings(false),
            4 => model.speech_started(),
            5 => model.turn(&format!("u{n}"), "Well?"),
            6 => model.say(serde_json::json!({"type": "response.done"})),
            7 => {
                let response = model.begin();
                model.delta(&response, &format!("open{n}"), &audio[..9_600]);
            }
            _ => {
                model.speak(&format!("item{n}"), &audio[..rng.usize(1..audio.len() / 2) * 2], 24_000);
            }
        }
    }
}

async fn caller(bench: Bench, id: String, mut rng: fastrand::Rng, links: Rc<std::cell::RefCell<Vec<(Peer, Heard)>>>) {
    let said = sound::pcmu(&sound::tone(500, 400));
    let mut now: Option<Caller> = None;
    for _ in 0..rng.usize(3..25) {
        if bench.registry.live_call(&CallId::parse(&id).unwrap()).is_none() && now.is_some() {
            return;
        }
        match (rng.u8(..12), &now) {
            (0..=2, _) | (_, None) => {
                let number = ["100", "100", "100", "6001", "6666"][rng.usize(..5)];
                let peer = Peer {
                    fill: rng.bool(),
                    lead: [None, None, Some(0), Some(100), Some(200)][rng.usize(..5)].map(Duration::from_millis),
                    ..Peer::default()
                };
                let caller = Caller::dial(&bench, &id, Dial { peer, ..Dial::to(number) }).await;
                links.borrow_mut().push((peer, caller.heard.clone()));
                now = Some(caller);
            }
            (3, Some(caller)) => caller.say(CallerEvent::Lost).await,
            (4, Some(caller)) => caller.say(CallerEvent::Key(rng.char('0'..='9'))).await,
            (5, Some(caller)) => caller.say(CallerEvent::Start(CallFacts::default())).await,
            (6, Some(caller)) => caller.say(CallerEvent::Played(format!("item{}", rng.u8(..9)))).await,
            (7, Some(caller)) if rng.u8(..3) == 0 => caller.stop().await,
            (8, _) if rng.u8(..5) == 0 => {
                let end = EndCall {
                    farewell: if rng.bool() { Farewell::Goodbye } else { Farewell::Nothing },
                    ..EndCall::now(CallId::parse(&id).unwrap(), EndReason::OperatorHangup)
                };
                let _ = bench.supervisor.send(end).await;
            }
            (_, Some(caller)) => {
                caller.speak(&said).await;
            }
        }
        sleep(rng.u64(0..800)).await;
    }
    if let Some(caller) = now {
        caller.say(if rng.bool() { CallerEvent::Stop } else { CallerEvent::Lost }).await;
    }
}

fn sequence(seed: u64) {
    run(|| async move {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut setup = Setup::default();
        setup.limits.max_duration = std::time::Duration::from_secs(60);
        setup.fallback.max_duration = std::time::Duration::from_secs(10);
        let bench = setup.start();
        let audio = Rc::new(pcm24(440, 3_000));
        let transport = bench.transport.clone();
        let mut plans = rng.fork();
        for _ in 0..100 {
            let delay = std::time::Duration::from_millis(plans.u64(0..3_000));
            let plan = match plans.u8(..12) {
                0 => ConnectPlan::Refuse(503),
                1 => ConnectPlan::Unreachable("no".to_owned()),
                2 => ConnectPlan::Hang,
                3 => ConnectPlan::Refuse(401),
                _ => ConnectPlan::Accept,
            };
            transport.then_after(delay, plan);
        }
        let mut whims = rng.fork();
        actix_rt::spawn(async move {
            loop {
                let server = transport.accepted().await;
                actix_rt::spawn(model(Model::over(server), whims.fork(), Rc::clone(&audio)));
            }
        });
        let links = Rc::default();
        let callers: Vec<_> = (0..40)
            .map(|n| actix_rt::spawn(caller(bench.clone(), format!("call-{n}"), rng.fork(), Rc::clone(&links))))
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        sleep(15_000).await;
        check(&bench, &links.borrow(), seed);
    });
}

fn check(bench: &Bench, links: &[(Peer, Heard)], seed: u64) {
    let registry = &bench.registry;
    assert_eq!(registry.live(), 0, "seed {seed}: every call has ended");
    let ended = registry.ended_calls();
    assert_eq!(ended.len() as u64, registry.started(), "seed {seed}: each once");
    assert_eq!(registry.ended_by_reason().values().sum::<u64>(), registry.started());
    assert!(!registry.ended_by_reason().contains_key("internal"), "seed {seed}: {:?}", registry.ended_by_reason());
    for seen in &ended {
        let (_, duration) = seen.record.ended().expect("a call without its end");
        assert!(duration.as_secs() <= 75, "seed {seed}: {duration:?}");
    }
    for (peer, link) in links {
        assert!(link.is_over(), "seed {seed}: a link was never let go");
        let all = link.all();
        assert!(matches!(all.first(), Some((_, LinkOut::Control(LinkControl::Ready)))), "seed {seed}");
        let is_close = |(_, out): &(u64, LinkOut)| matches!(out, LinkOut::Control(LinkControl::Close { .. }));
        if let Some(close) = all.iter().position(is_close) {
            assert_eq!(close, all.len() - 1, "seed {seed}: nothing follows the close");
        }
        let mut ticks: HashMap<u64, u32> = HashMap::new();
        link.frames().into_iter().for_each(|(at, _)| *ticks.entry(at).or_default() += 1);
        // A lead goes out at once, and once more after a clear at that moment.
        let most = peer.lead.map_or(1, |lead| 2 * (1 + lead.as_millis() as u32 / 20));
        assert!(ticks.values().all(|frames| *frames <= most), "seed {seed}: a burst");
    }
}

#[test]
fn every_call_ends_once_whatever_happens() {
    (0..3).for_each(sequence);
}

#[test]
fn and_once_more() {
    (3..6).for_each(sequence);
}
