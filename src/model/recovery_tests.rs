//! Who looks for the model, against an in-memory model, in virtual time.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use trunkline_actors::memory_transport::{ConnectPlan, MemoryTransport};
use trunkline_actors::ports::{Incoming, Outgoing};
use trunkline_call::ConnectGate;
use trunkline_realtime::{SessionProfile, Timing};

use super::Recovery;

/// Five rounds.
const WATCH: Duration = Duration::from_secs(55);

/// Whether the model counts as missed in the end, and how often it was asked. With `outages` there is another one after
/// each question.
fn watched(model: &MemoryTransport, missed: bool, outages: bool) -> (bool, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let missed = Cell::new(missed);
    let number = || if outages { model.urls().len() as u64 } else { 0 };
    runtime.block_on(async {
        let recovery = Recovery {
            transport: Rc::new(model.clone()),
            gate: Arc::new(ConnectGate::new(50, Instant::now().into_std())),
            endpoints: vec!["wss://model.test/".into(), "wss://backup.test/".into()],
            profiles: vec![Arc::new(SessionProfile::default())],
            timing: Timing::default(),
            limit: Duration::from_secs(8),
        };
        let forever = recovery.run(|| missed.get().then(number), || missed.set(false));
        assert!(timeout(WATCH, forever).await.is_err());
    });
    (missed.get(), model.urls().len())
}

fn accepting(first: &[Value]) -> MemoryTransport {
    let model = MemoryTransport::new();
    model.otherwise(Duration::ZERO, ConnectPlan::Accept);
    model.first_frames(first.iter().map(|event| Incoming::Text(event.to_string().into())));
    model
}

/// One that takes every session as it is asked to.
fn well() -> MemoryTransport {
    let model = accepting(&[json!({"type": "session.created", "session": {"id": "sess_1"}})]);
    model.respond(|_, message| {
        let Outgoing::Text(text) = message else { return Vec::new() };
        let mut event: Value = serde_json::from_str(text).unwrap();
        assert_eq!(event["type"], "session.update");
        event["type"] = "session.updated".into();
        event["session"]["id"] = "sess_1".into();
        vec![Incoming::Ping("p".into()), Incoming::Text(event.to_string().into())]
    });
    model
}

#[test]
fn a_model_that_nobody_misses_is_not_asked() {
    assert_eq!(watched(&well(), false, false), (false, 0));
}

#[test]
fn one_that_is_back_is_found_and_left_in_peace() {
    assert_eq!(watched(&well(), true, false), (false, 1));
}

#[test]
fn one_that_is_lost_again_meanwhile_is_not_back() {
    let (missed, asked) = watched(&well(), true, true);
    assert!(missed && asked >= 5, "{asked}");
}

#[test]
fn one_that_refuses_or_greets_and_takes_no_session_stays_missed() {
    let refusing = MemoryTransport::new();
    refusing.otherwise(Duration::ZERO, ConnectPlan::Refuse(503));
    assert_eq!(watched(&refusing, true, false), (true, 10), "at both addresses");
    let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "no"}});
    let created = json!({"type": "session.created", "session": {"id": "sess_1"}});
    for first in [vec![error.clone()], vec![created.clone()], vec![created, error], Vec::new()] {
        let (missed, asked) = watched(&accepting(&first), true, false);
        assert!(missed && asked >= 4, "{first:?}: {asked}");
    }
}
