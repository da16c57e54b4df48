//! Calls that are known of before their media: told by an event, or placed by us.

use std::time::Duration;

use serde_json::json;
use trunkline_actors::call_control::PlaceCall;
use trunkline_actors::messages::{Announce, EndCall, Placed, Refusal};
use trunkline_actors::ports::{ControlError, OutgoingCall};
use trunkline_call::{CallFacts, CallId, CallLimits, CallState, Direction, EndReason};
use trunkline_chime::announcements::Outcome;
use trunkline_media::LineCodec;

use crate::common::caller::Dial;
use crate::common::{Bench, Caller, Setup, now_ms, run, sleep, sound};

fn started(call: &str, caller: bool) -> serde_json::Value {
    json!({
        "source": "aws.chime", "detail-type": "Chime VoiceConnector Streaming Status", "time": "2026-01-01T00:00:00Z",
        "detail": {"streamingStatus": "STARTED", "callId": call, "transactionId": format!("vc-{call}"),
            "voiceConnectorId": "fx7q2mvbd9k3htn5wz1rgy", "isCaller": caller, "direction": "Inbound",
            "fromNumber": "+15550100001", "toNumber": "6001", "streamArn": format!("arn:{call}/{caller}")}
    })
}

fn ended(call: &str, caller: bool) -> serde_json::Value {
    let mut event = started(call, caller);
    event["detail"]["streamingStatus"] = "ENDED".into();
    event
}

#[test]
fn an_announced_call_is_listed_gets_its_media_and_takes_its_route_from_the_event() {
    run(|| async {
        let bench = Setup { limits: CallLimits { max: 1, ..Default::default() }, ..Setup::default() }.start();
        assert_eq!(bench.event(&started("c1", true)).await, Outcome::Applied);
        assert_eq!(bench.event(&started("c1", true)).await, Outcome::Duplicate);
        assert_eq!(bench.event(&started("other", true)).await, Outcome::Applied);
        assert_eq!(bench.registry.calls().len(), 2);
        assert_eq!((bench.registry.live(), bench.registry.started()), (0, 0), "and counts for nothing");
        assert_eq!(bench.record("vc-c1").state(), CallState::Announced);
        sleep(1_000).await;
        let caller = Caller::dial(&bench, "c1", Dial::unknown()).await;
        assert_eq!(caller.record.facts().transaction_id.as_deref(), Some("vc-c1"));
        assert_eq!(caller.record.facts().direction, Some(Direction::Inbound));
        caller.speak(&sound::pcmu(&sound::tone(440, 500))).await;
        assert_eq!(caller.record.facts().route.as_deref(), Some("6001"), "an echo");
        assert!(caller.heard.frame_count() > 10);
        // Nobody brings media for the other one.
        sleep(30_000).await;
        assert_eq!(bench.ended("other"), Some(EndReason::NoMedia));
        assert_eq!(bench.registry.calls().len(), 1);
        assert_eq!((bench.registry.started(), bench.registry.ended_by_reason().len()), (1, 0));
    });
}

#[test]
fn an_end_that_is_told_is_a_grace_and_no_cut() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::dial(&bench, "c1", Dial::to("6001")).await;
        assert_eq!(bench.event(&started("c1", true)).await, Outcome::Applied);
        let told = now_ms();
        assert_eq!(bench.event(&ended("c1", true)).await, Outcome::Applied);
        caller.speak(&sound::silence(4_900)).await;
        assert_eq!(caller.heard.close(), None);
        bench.empty().await;
        assert_eq!(bench.ended("c1"), Some(EndReason::CallerHangup));
        let closed = caller.heard.controls().last().unwrap().0 - told;
        assert!((5_000..=5_010).contains(&closed), "{closed}");
        // A beginning that comes late brings no ghost, and neither does one of a call that came and went before it.
        assert_eq!(bench.event(&started("c1", false)).await, Outcome::Duplicate);
        let quick = Caller::dial(&bench, "c2", Dial::to("6001")).await;
        quick.stop().await;
        bench.empty().await;
        assert_eq!(bench.event(&started("c2", true)).await, Outcome::Applied);
        assert!(bench.registry.calls().is_empty());
        assert_eq!(bench.record("c2").facts().from.as_deref(), Some("+15550100001"));
    });
}

#[test]
fn the_end_of_a_leg_does_not_end_a_call_that_goes_on_by_another() {
    run(|| async {
        let bench = Setup::default().start();
        let _before = Caller::dial(&bench, "c1", Dial::bridged("t-1")).await;
        bench.event(&started("c1", true)).await;
        // The media was lost, and is bridged again: by another leg, before and after the end of the first is told.
        for leg in ["c2", "c3"] {
            let after = Caller::dial(&bench, leg, Dial::bridged("t-1")).await;
            assert_eq!(after.record.id.as_str(), "c1");
            bench.event(&ended("c1", leg == "c2")).await;
            after.speak(&sound::silence(6_000)).await;
            assert_eq!((after.heard.close(), bench.registry.live()), (None, 1), "{leg}");
        }
        // Within the grace.
        let _last = Caller::dial(&bench, "c1", Dial::bridged("t-1")).await;
        bench.event(&ended("c1", true)).await;
        sleep(3_000).await;
        let back = Caller::dial(&bench, "c4", Dial::bridged("t-1")).await;
        back.speak(&sound::silence(4_000)).await;
        assert_eq!(bench.registry.live(), 1);
    });
}

#[test]
fn an_announced_call_whose_end_is_told_leaves_no_ghost() {
    run(|| async {
        let bench = Setup::default().start();
        bench.event(&started("c1", true)).await;
        bench.event(&ended("c1", true)).await;
        assert!(bench.registry.calls().is_empty());
        assert_eq!(bench.ended("c1"), Some(EndReason::NoMedia));
        assert_eq!(bench.event(&ended("c3", true)).await, Outcome::Applied);
        assert_eq!(bench.event(&started("c3", true)).await, Outcome::Stale);
        assert!(bench.registry.calls().is_empty());
    });
}

/// Lists a call that is to be placed.
async fn announce(bench: &Bench, id: &str) -> CallId {
    let call_id = CallId::parse(id).unwrap();
    let facts = CallFacts {
        direction: Some(Direction::Outbound),
        from: Some("+15550199002".to_owned()),
        to: Some("+15550100042".to_owned()),
        route: Some("6001".to_owned()),
        ..CallFacts::default()
    };
    let patience = Duration::from_secs(120);
    bench.supervisor.send(Announce { call_id: call_id.clone(), facts, patience }).await.unwrap();
    call_id
}

async fn place(bench: &Bench, id: &str) -> Result<String, ControlError> {
    let call_id = announce(bench, id).await;
    let call = OutgoingCall { from: String::new(), to: String::new(), arguments: Default::default() };
    let placed = bench.asking.as_ref().unwrap().send(PlaceCall(call)).await.unwrap();
    bench.supervisor.send(Placed { call_id, transaction_id: placed.clone().ok() }).await.unwrap();
    placed
}

#[test]
fn a_call_we_placed_keeps_its_name_and_route_whatever_its_media_is_called() {
    run(|| async {
        let bench = Setup { sma: Some(5.0), ..Setup::default() }.start();
        assert_eq!(place(&bench, "ours").await, Ok("transaction-1".to_owned()));
        assert_eq!(place(&bench, "too-soon").await, Err(ControlError::Throttled), "one create a second");
        assert_eq!(bench.registry.calls().len(), 1, "a call that was not placed is not listed");
        sleep(20_000).await;
        let mut dial = Dial::bridged("transaction-1");
        dial.facts.to = None;
        let caller = Caller::dial(&bench, "the-gateways-name", dial).await;
        assert_eq!(caller.record.id.as_str(), "ours");
        let facts = caller.record.facts();
        assert_eq!((facts.route.as_deref(), facts.direction), (Some("6001"), Some(Direction::Outbound)));
        assert_eq!(facts.to.as_deref(), Some("+15550100042"));
        caller.speak(&sound::pcmu(&sound::tone(440, 300))).await;
        assert!(caller.heard.frame_count() > 5, "the echo that was asked for");
    });
}

#[test]
fn a_call_that_is_not_answered_in_time_ends_and_one_that_an_operator_takes_back_is_hung_up() {
    run(|| async {
        let bench = Setup { sma: Some(5.0), ..Setup::default() }.start();
        place(&bench, "rings").await.unwrap();
        sleep(1_100).await;
        place(&bench, "taken-back").await.unwrap();
        let order = EndCall::now(CallId::parse("taken-back").unwrap(), EndReason::OperatorHangup);
        assert!(bench.supervisor.send(order).await.unwrap());
        sleep(1).await;
        assert_eq!(bench.ended("taken-back"), Some(EndReason::OperatorHangup));
        assert_eq!(bench.control.updates()[0].transaction_id, "transaction-2");
        assert_eq!(bench.control.commands(), ["hangup"]);
        sleep(121_000).await;
        assert_eq!(bench.ended("rings"), Some(EndReason::NoMedia));
        assert_eq!(bench.control.commands(), ["hangup", "hangup"], "whoever answers now is not connected any more");
        let late = bench.admit_with("late", LineCodec::Pcmu, Some("transaction-1".to_owned())).await;
        assert_eq!(late.err(), Some(Refusal::Over));
    });
}

#[test]
fn a_call_that_is_taken_back_while_it_is_being_placed_is_hung_up_and_never_connected() {
    run(|| async {
        let bench = Setup { sma: Some(5.0), ..Setup::default() }.start();
        for (id, transaction_id) in [("rings", Some("transaction-1".to_owned())), ("nobody-knows", None)] {
            let call_id = announce(&bench, id).await;
            assert!(bench.supervisor.send(EndCall::now(call_id.clone(), EndReason::OperatorHangup)).await.unwrap());
            assert_eq!(bench.ended(id), Some(EndReason::OperatorHangup));
            if transaction_id.is_some() {
                bench.supervisor.send(Placed { call_id, transaction_id }).await.unwrap();
            }
            sleep(1).await;
            let answered = bench.admit(id, LineCodec::Pcmu).await;
            assert_eq!(answered.err(), Some(Refusal::Over), "{id}");
        }
        assert_eq!(bench.control.updates()[0].transaction_id, "transaction-1");
        assert_eq!(bench.control.commands(), ["hangup"]);
        let answered = bench.admit_with("other", LineCodec::Pcmu, Some("transaction-1".to_owned())).await;
        assert_eq!(answered.err(), Some(Refusal::Over));
    });
}

#[test]
fn a_call_whose_media_is_here_before_the_answer_learns_its_transaction_and_one_that_was_refused_is_over() {
    run(|| async {
        let bench = Setup { sma: Some(5.0), ..Setup::default() }.start();
        let call_id = announce(&bench, "quick").await;
        let caller = Caller::dial(&bench, "quick", Dial::to("6001")).await;
        bench.supervisor.send(Placed { call_id, transaction_id: Some("transaction-1".to_owned()) }).await.unwrap();
        assert_eq!(caller.record.facts().sma_transaction_id.as_deref(), Some("transaction-1"));
        // Here the answer comes when the call is over already.
        let call_id = announce(&bench, "quicker").await;
        let _caller = Caller::dial(&bench, "quicker", Dial::to("6001")).await;
        assert!(bench.supervisor.send(EndCall::now(call_id.clone(), EndReason::OperatorHangup)).await.unwrap());
        bench.supervisor.send(Placed { call_id, transaction_id: Some("transaction-2".to_owned()) }).await.unwrap();
        sleep(1).await;
        assert_eq!(bench.control.updates()[0].transaction_id, "transaction-2");
        assert_eq!(bench.control.commands(), ["hangup"]);
        let again = bench.admit_with("bridged-again", LineCodec::Pcmu, Some("transaction-2".to_owned())).await;
        assert_eq!(again.err(), Some(Refusal::Over));
        let call_id = announce(&bench, "refused").await;
        let record = bench.record("refused");
        bench.supervisor.send(Placed { call_id, transaction_id: None }).await.unwrap();
        assert_eq!(record.state(), CallState::Ended);
        assert_eq!(bench.ended("refused"), None, "nobody's telephone rang");
    });
}

#[test]
fn a_call_has_so_many_other_names_and_no_more() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::dial(&bench, "c-0", Dial::bridged("transaction-1")).await;
        for n in 1..=20 {
            let admitted = bench.admit_with(&format!("c-{n}"), LineCodec::Pcmu, Some("transaction-1".to_owned())).await;
            assert_eq!(admitted.unwrap().record.id, caller.record.id, "{n}");
        }
        let is_known = |n: &usize| bench.registry.live_call(&CallId::parse(&format!("c-{n}")).unwrap()).is_some();
        assert_eq!((0..=20).filter(is_known).count(), 9);
    });
}
