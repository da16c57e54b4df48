//! The spare sockets against an in-memory model, in virtual time.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, sleep};
use trunkline_actors::memory_transport::{ConnectPlan, MemoryServer, MemoryTransport};
use trunkline_actors::ports::{Incoming, ModelTransport as _, Outgoing};
use trunkline_call::ConnectGate;

use super::{WarmSettings, WarmTransport};

const URL: &str = "wss://model.test/openai/v1/realtime?model=m";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Runs in virtual time with what `spawn` needs.
fn virtually<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let test = async { tokio::time::timeout(HOUR, test).await };
    let ended = tokio::task::LocalSet::new().block_on(&runtime.unwrap(), test);
    assert!(ended.is_ok(), "hangs");
}

/// The model is 100 ms away and greets.
fn model() -> MemoryTransport {
    let model = MemoryTransport::new();
    model.otherwise(SECOND / 10, ConnectPlan::Accept);
    model.first_frames([created()]);
    model
}

fn created() -> Incoming {
    Incoming::Text(Bytes::from_static(br#"{"type":"session.created"}"#))
}

fn warm(model: &MemoryTransport, sessions: usize) -> WarmTransport {
    warm_at(model, sessions, 1000)
}

fn warm_at(model: &MemoryTransport, sessions: usize, per_second: u32) -> WarmTransport {
    let gate = Arc::new(ConnectGate::new(per_second, Instant::now().into_std()));
    WarmTransport::new(Rc::new(model.clone()), &gate, WarmSettings::new(URL, sessions))
}

fn servers(model: &MemoryTransport) -> Vec<MemoryServer> {
    std::iter::from_fn(|| model.try_accepted()).collect()
}

#[test]
fn a_spare_is_handed_over_at_once_with_what_was_said_and_replaced() {
    virtually(async {
        let model = model();
        let warm = warm(&model, 2);
        sleep(SECOND).await;
        assert_eq!(warm.ready(), 2);
        let mut servers = servers(&model);
        servers[0].text("more");

        let asked = Instant::now();
        let mut socket = warm.connect(URL).await.unwrap();
        assert_eq!(asked.elapsed(), Duration::ZERO);
        assert_eq!(warm.ready(), 1);
        assert_eq!(socket.incoming.next().await, Some(created()));
        assert_eq!(socket.incoming.next().await, Some(Incoming::Text("more".into())));
        socket.outgoing.send(Outgoing::Text("hello".into())).await.unwrap();
        assert_eq!(servers[0].next_text().await.as_deref(), Some("hello"));
        servers[0].text("hi");
        assert_eq!(socket.incoming.next().await, Some(Incoming::Text("hi".into())));

        sleep(SECOND).await;
        assert_eq!(warm.ready(), 2);
        assert_eq!(model.urls().len(), 3);
    });
}

#[test]
fn without_a_spare_or_for_another_address_it_connects() {
    virtually(async {
        let model = model();
        let off = warm(&model, 0);
        sleep(SECOND).await;
        assert!(model.urls().is_empty());
        assert!(off.connect(URL).await.is_ok());

        let warm = warm(&model, 1);
        sleep(SECOND).await;
        assert!(warm.connect("wss://backup.test/").await.is_ok());
        assert_eq!(warm.ready(), 1);
        assert_eq!(model.urls().last().map(String::as_str), Some("wss://backup.test/"));
        // Two at once: one is warm, the other has to go there.
        let begun = Instant::now();
        assert!(warm.connect(URL).await.is_ok());
        assert!(begun.elapsed().is_zero());
        assert!(warm.connect(URL).await.is_ok());
        assert_eq!(begun.elapsed(), SECOND / 10);
    });
}

#[test]
fn spares_answer_pings_and_probe_the_model() {
    virtually(async {
        let model = model();
        let warm = warm(&model, 1);
        let mut server = model.accepted().await;
        server.push(Incoming::Ping("a".into()));
        sleep(SECOND).await;
        assert_eq!(server.take_sent(), [Outgoing::Pong("a".into())]);
        sleep(60 * SECOND).await;
        assert_eq!(server.take_sent(), vec![Outgoing::Ping; 20]);
        // A ping nobody could answer yet is passed on with the socket.
        server.stall(true);
        server.push(Incoming::Ping("b".into()));
        sleep(SECOND).await;
        let mut socket = warm.connect(URL).await.unwrap();
        assert_eq!(socket.incoming.next().await, Some(created()));
        assert_eq!(socket.incoming.next().await, Some(Incoming::Ping("b".into())));
    });
}

#[test]
fn dead_silent_and_old_spares_are_replaced() {
    virtually(async {
        let model = model();
        let warm = warm(&model, 1);
        model.accepted().await.close(1001, "bye");
        sleep(SECOND).await;
        assert_eq!((warm.ready(), model.urls().len()), (1, 2), "closed");

        let silent = model.accepted().await;
        silent.answer_pings(false);
        sleep(10 * SECOND).await;
        assert!(silent.is_abandoned());
        assert_eq!((warm.ready(), model.urls().len()), (1, 3), "silent");

        let mut old = model.accepted().await;
        sleep(590 * SECOND).await;
        assert!(!old.is_abandoned());
        sleep(20 * SECOND).await;
        assert!(old.is_abandoned());
        assert_eq!(old.take_sent().last(), Some(&Outgoing::Close { code: 1000 }));
        assert_eq!((warm.ready(), model.urls().len()), (1, 4), "old");
    });
}

#[test]
fn a_spare_that_died_this_instant_is_not_handed_out() {
    virtually(async {
        let model = model();
        let warm = warm(&model, 1);
        sleep(SECOND).await;
        model.accepted().await.close(1011, "gone");
        // No task has run since.
        let begun = Instant::now();
        let mut socket = warm.connect(URL).await.unwrap();
        assert_eq!(begun.elapsed(), SECOND / 10, "a new one");
        assert_eq!(socket.incoming.next().await, Some(created()));
        model.accepted().await.text("alive");
        let next = socket.incoming.next().await;
        assert_eq!(next, Some(Incoming::Text("alive".into())));
    });
}

#[test]
fn a_model_that_is_down_is_tried_with_growing_waits() {
    virtually(async {
        let model = model();
        model.otherwise(Duration::ZERO, ConnectPlan::Unreachable("down".into()));
        let warm = warm(&model, 1);
        sleep(60 * SECOND).await;
        let tries = model.urls().len();
        assert!((10..=20).contains(&tries), "{tries} tries in a minute");
        assert_eq!(warm.ready(), 0);
        model.otherwise(Duration::ZERO, ConnectPlan::Accept);
        sleep(9 * SECOND).await;
        assert_eq!(warm.ready(), 1);
    });
}

#[test]
fn a_model_that_refuses_the_key_is_left_alone() {
    virtually(async {
        let model = model();
        model.otherwise(Duration::ZERO, ConnectPlan::Refuse(401));
        let _warm = warm(&model, 1);
        sleep(600 * SECOND).await;
        assert!(model.urls().len() <= 11, "{}", model.urls().len());
    });
}

#[test]
fn a_session_that_is_never_created_or_hangs_is_given_up() {
    virtually(async {
        let model = model();
        model.first_frames([]).then(ConnectPlan::Hang);
        let warm = warm(&model, 1);
        sleep(10 * SECOND).await;
        assert_eq!(model.urls().len(), 2);
        let mute = model.accepted().await;
        assert_eq!(warm.ready(), 0);
        model.first_frames([created()]);
        sleep(10 * SECOND).await;
        assert!(mute.is_abandoned());
        assert_eq!(warm.ready(), 1);
    });
}

#[test]
fn a_model_that_talks_too_much_is_not_listened_to() {
    virtually(async {
        let model = model();
        let warm = warm(&model, 1);
        let chatty = model.accepted().await;
        for _ in 0..40 {
            chatty.text("blah");
        }
        sleep(SECOND).await;
        assert!(chatty.is_abandoned());
        assert_eq!(warm.ready(), 1);
    });
}

#[test]
fn spares_keep_to_the_common_rate() {
    virtually(async {
        let model = model();
        let warm = warm_at(&model, 20, 10);
        sleep(SECOND).await;
        assert!((8..=12).contains(&model.urls().len()), "{}", model.urls().len());
        sleep(2 * SECOND).await;
        assert_eq!(warm.ready(), 20);
    });
}

#[test]
fn dropping_it_lets_the_spares_go() {
    virtually(async {
        let model = model();
        let warm = warm(&model, 3);
        sleep(SECOND).await;
        let servers = servers(&model);
        drop(warm);
        sleep(SECOND).await;
        assert_eq!(servers.iter().filter(|server| server.is_abandoned()).count(), 3);
    });
}
