//! The model hangs up, transfers, presses keys and uses tools.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_actors::link::{LinkControl, Peer, Transfers};
use trunkline_actors::messages::CallerEvent;
use trunkline_actors::ports::ControlError;
use trunkline_call::EndReason;
use trunkline_media::LineCodec;
use trunkline_realtime::ToolSpec;

use crate::common::caller::Dial;
use crate::common::model::pcm24;
use crate::common::{Bench, Caller, Model, Setup, now_ms, run, sleep};

async fn talking(setup: Setup, dial: Dial) -> (Bench, Caller, Model) {
    let bench = setup.start();
    let caller = Caller::dial(&bench, "call", dial).await;
    let model = Model::accept(&bench).await;
    sleep(10).await;
    (bench, caller, model)
}

/// A goodbye of `ms` with a call of the tool in the same response.
fn goodbye(model: &mut Model, ms: u64, tool: &str, arguments: &str) {
    let response = model.begin();
    if ms > 0 {
        model.delta(&response, "bye", &pcm24(440, ms));
        model.item_done(&response, "bye");
    }
    model.call_tool(&response, "call_1", tool, arguments);
    model.done(&response, "completed");
}

fn outputs(model: &mut Model) -> Vec<Value> {
    let created = model.of("conversation.item.create").into_iter().map(|event| event["item"].clone());
    created.filter(|item| item["type"] == "function_call_output").collect()
}

#[test]
fn it_hangs_up_when_its_goodbye_was_heard() {
    run(|| async {
        let (bench, caller, mut model) = talking(Setup::default(), Dial::default()).await;
        let at = now_ms();
        goodbye(&mut model, 3_000, "hang_up", "{}");
        sleep(3_200).await;
        assert_eq!(caller.heard.close(), None, "its mark is not answered yet");
        caller.say(CallerEvent::Played("bye".to_owned())).await;
        bench.empty().await;
        assert_eq!(caller.heard.frame_count(), 150, "to the last frame");
        assert_eq!(caller.heard.close(), Some((Some("model_hangup"), 1000)));
        assert_eq!(bench.ended("call"), Some(EndReason::ModelHangup));
        let closed = caller.heard.controls().last().unwrap().0 - at;
        assert!((3_200..=3_220).contains(&closed), "{closed}");
    });
}

#[test]
fn a_mark_that_is_not_answered_holds_it_for_two_seconds_and_silence_not_at_all() {
    for (ms, expected) in [(1_000, 2_980), (0, 0)] {
        run(|| async move {
            let (bench, caller, mut model) = talking(Setup::default(), Dial::default()).await;
            let at = now_ms();
            goodbye(&mut model, ms, "hang_up", "");
            bench.empty().await;
            let closed = caller.heard.controls().last().unwrap().0 - at;
            assert!(closed.abs_diff(expected) <= 30, "{ms} ms of goodbye: {closed}");
            assert_eq!(bench.ended("call"), Some(EndReason::ModelHangup));
        });
    }
}

#[test]
fn a_goodbye_that_comes_after_the_tool_call_is_heard_too() {
    run(|| async {
        let (bench, caller, mut model) = talking(Setup::default(), Dial::default()).await;
        let response = model.begin();
        model.call_tool(&response, "call_1", "hang_up", "{}");
        sleep(500).await;
        model.delta(&response, "bye", &pcm24(440, 2_000));
        model.item_done(&response, "bye");
        model.done(&response, "completed");
        bench.empty().await;
        assert_eq!(caller.heard.frame_count(), 100);
    });
}

#[test]
fn whoever_speaks_before_it_is_gone_keeps_it() {
    // In the middle of the goodbye, and when all of it is played and the mark may still be answered.
    for (key, after) in [(false, 500), (true, 500), (false, 2_000), (true, 2_000)] {
        run(|| async move {
            let (bench, caller, mut model) = talking(Setup::default(), Dial::default()).await;
            goodbye(&mut model, 1_000, "hang_up", "{}");
            sleep(after).await;
            if key {
                caller.say(CallerEvent::Key('5')).await;
            } else {
                model.speech_started();
            }
            sleep(10_000).await;
            assert_eq!(caller.heard.close(), None, "the call goes on");
            assert_eq!(bench.registry.live(), 1);
            let outputs = outputs(&mut model);
            assert_eq!(outputs.len(), 1, "a call left open confuses the model: {outputs:?}");
            assert!(outputs[0]["output"].as_str().unwrap().contains("the caller spoke"));
            // It may say goodbye another time.
            let response = model.begin();
            model.call_tool(&response, "call_2", "hang_up", "{}");
            model.done(&response, "completed");
            bench.empty().await;
            assert_eq!(bench.ended("call"), Some(EndReason::ModelHangup));
        });
    }
}

#[test]
fn a_session_that_dies_after_its_goodbye_still_hangs_up() {
    run(|| async {
        let (bench, caller, mut model) = talking(Setup::default(), Dial::default()).await;
        let response = model.begin();
        model.delta(&response, "bye", &pcm24(440, 600));
        model.call_tool(&response, "call_1", "hang_up", "{}");
        sleep(50).await;
        model.server.close(1011, "dies");
        let _next = Model::accept(&bench).await;
        bench.empty().await;
        assert_eq!(bench.ended("call"), Some(EndReason::ModelHangup));
        assert!(caller.heard.frame_count() >= 30);
    });
}

#[test]
fn a_transfer_goes_by_the_gateway_where_there_is_no_application() {
    run(|| async {
        let (bench, caller, mut model) = talking(Setup::default(), Dial::default()).await;
        goodbye(&mut model, 500, "transfer_call", r#"{"to":"+1 (555) 010-0077"}"#);
        sleep(2_600).await;
        let transfer = LinkControl::Transfer { to: "+15550100077".to_owned() };
        let controls = caller.heard.controls();
        assert!(controls.iter().any(|(_, control)| *control == transfer), "{controls:?}");
        assert_eq!(caller.heard.close(), None, "our leg waits until that took effect");
        caller.stop().await;
        bench.empty().await;
        assert_eq!(bench.ended("call"), Some(EndReason::Transferred));
        assert_eq!(caller.heard.close(), Some((Some("transferred"), 1000)));
    });
}

#[test]
fn a_leg_that_can_tell_says_what_became_of_a_transfer() {
    for (answer, output) in
        [(Some(Ok(())), None), (Some(Err("the caller's side says 603".to_owned())), Some("603")), (None, None)]
    {
        run(|| async move {
            let dial = Dial { peer: Peer { transfers: Transfers::AndTells, ..Peer::default() }, ..Dial::default() };
            let (bench, caller, mut model) = talking(Setup::default(), dial).await;
            goodbye(&mut model, 500, "transfer_call", r#"{"to":"+15550100077"}"#);
            sleep(10_000).await;
            assert_eq!(bench.registry.live(), 1, "it may ring for long over there");
            match answer {
                Some(answer) => caller.say(CallerEvent::Transferred(answer)).await,
                // The telephone hangs up on us once it is connected there.
                None => caller.stop().await,
            }
            sleep(3_000).await;
            let Some(why) = output else {
                return assert_eq!(bench.ended("call"), Some(EndReason::Transferred));
            };
            assert_eq!(bench.registry.live(), 1);
            assert!(outputs(&mut model)[0]["output"].as_str().unwrap().contains(why));
            caller.say(CallerEvent::Transferred(Ok(()))).await;
            sleep(3_000).await;
            assert_eq!(bench.registry.live(), 1, "that was about no transfer");
        });
    }
}

#[test]
fn a_transfer_goes_by_the_application_and_one_it_refuses_is_told_to_the_model() {
    for answer in [Ok(()), Err(ControlError::Refused("no such number".to_owned()))] {
        run(|| async move {
            let setup = Setup { sma: Some(5.0), ..Setup::default() };
            let (bench, caller, mut model) = talking(setup, Dial::bridged("t-1")).await;
            bench.control.otherwise(Duration::from_millis(100), answer.clone());
            goodbye(&mut model, 500, "transfer_call", r#"{"to":"+15550100077"}"#);
            sleep(5_000).await;
            let update = bench.control.updates().remove(0);
            assert_eq!((&*update.arguments["command"], &*update.arguments["to"]), ("transfer", "+15550100077"));
            assert_eq!(bench.control.commands().len(), 1, "and nobody is hung up on");
            if answer.is_ok() {
                assert_eq!(bench.ended("call"), Some(EndReason::Transferred));
                let back = bench.admit_with("back", LineCodec::Pcmu, Some("t-1".to_owned())).await;
                assert!(back.is_ok(), "a caller whose transfer fails over there comes back");
                return;
            }
            assert_eq!(bench.registry.live(), 1);
            assert!(outputs(&mut model)[0]["output"].as_str().unwrap().contains("no such number"));
            assert_eq!(model.of("response.create").len(), 1, "the model tells the caller");
            assert_eq!(caller.heard.close(), None);
        });
    }
}

#[test]
fn a_transfer_that_nobody_takes_up_is_taken_back() {
    run(|| async {
        // The only update of this minute went to somebody else.
        let setup = Setup { sma: Some(0.01), ..Setup::default() };
        let (bench, _caller, mut model) = talking(setup, Dial::bridged("t-1")).await;
        let id = trunkline_call::CallId::parse("b").unwrap();
        let other = trunkline_actors::call_control::Sma::new(bench.asking.clone().unwrap(), id, "t-2".to_owned());
        other.order(trunkline_chime::command::Command::Resume);
        goodbye(&mut model, 0, "transfer_call", r#"{"to":"+15550100077"}"#);
        sleep(11_000).await;
        assert!(outputs(&mut model)[0]["output"].as_str().unwrap().contains("in time"));
        sleep(200_000).await;
        assert_eq!(bench.control.commands(), ["resume"], "it does not come about later");
    });
}

#[test]
fn a_transfer_that_waits_for_its_turn_is_taken_back_by_who_speaks() {
    run(|| async {
        // One update in five seconds, and this one went to somebody else.
        let setup = Setup { sma: Some(0.2), ..Setup::default() };
        let (bench, caller, mut model) = talking(setup, Dial::bridged("t-1")).await;
        let id = trunkline_call::CallId::parse("b").unwrap();
        let other = trunkline_actors::call_control::Sma::new(bench.asking.clone().unwrap(), id, "t-2".to_owned());
        other.order(trunkline_chime::command::Command::Resume);
        goodbye(&mut model, 100, "transfer_call", r#"{"to":"+15550100077"}"#);
        sleep(3_000).await;
        model.speech_started();
        sleep(20_000).await;
        assert_eq!(bench.control.commands(), ["resume"], "the caller goes on talking");
        assert_eq!((bench.registry.live(), caller.heard.close()), (1, None));
        assert!(outputs(&mut model)[0]["output"].as_str().unwrap().contains("the caller spoke"));
    });
}

#[test]
fn numbers_off_the_list_keys_that_are_none_and_unknown_tools_are_told_to_the_model() {
    for (tool, arguments, expected) in [
        ("transfer_call", r#"{"to":"+4930123456"}"#, "not allowed"),
        ("send_dtmf", r#"{"digits":"12x"}"#, "digits"),
        ("make_coffee", "{}", "no tool"),
        ("hang_up", "[1]", "object"),
    ] {
        run(|| async move {
            let (bench, caller, mut model) = talking(Setup::default(), Dial::default()).await;
            goodbye(&mut model, 0, tool, arguments);
            sleep(3_000).await;
            let outputs = outputs(&mut model);
            let output: Value = serde_json::from_str(outputs[0]["output"].as_str().unwrap()).unwrap();
            assert!(output["error"].as_str().unwrap().contains(expected), "{tool}: {output}");
            assert_eq!(model.of("response.create").len(), 1, "{tool}");
            assert_eq!(bench.registry.live(), 1);
            let told = |(_, control): &(u64, LinkControl)| matches!(control, LinkControl::Transfer { .. });
            assert!(!caller.heard.controls().iter().any(told));
        });
    }
}

#[test]
fn tools_of_the_configuration_answer_beside_the_call() {
    run(|| async {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let weather = ToolSpec { name: "weather".to_owned(), description: "The weather".to_owned(), parameters };
        let setup = Setup { http_tools: vec![weather], ..Setup::default() };
        let (bench, caller, mut model) = talking(setup, Dial::default()).await;
        bench.tools.then(2_000, Ok(r#"{"sky":"blue"}"#));
        bench.tools.then(0, Err("HTTP 503"));
        // It speaks while the tool works, and is asked to go on when it has answered.
        goodbye(&mut model, 1_000, "weather", r#"{ "city": "Berlin" }"#);
        sleep(1_500).await;
        assert_eq!(caller.heard.frame_count(), 50);
        assert!(outputs(&mut model).is_empty());
        sleep(600).await;
        assert_eq!(outputs(&mut model)[0]["output"], r#"{"sky":"blue"}"#);
        assert_eq!(model.of("response.create").len(), 1);
        assert_eq!(bench.tools.calls(), [("weather".to_owned(), r#"{"city":"Berlin"}"#.to_owned())]);
        let response = model.begin();
        model.call_tool(&response, "call_2", "weather", "{}");
        model.done(&response, "completed");
        sleep(10).await;
        assert_eq!(outputs(&mut model)[1]["output"], r#"{"error":"HTTP 503"}"#);
    });
}

#[test]
fn a_tool_that_answers_after_its_session_died_answers_the_next_one() {
    run(|| async {
        let slow = ToolSpec {
            name: "slow".to_owned(),
            description: "Slow".to_owned(),
            parameters: json!({"type": "object", "properties": {}}),
        };
        let (bench, _caller, mut model) =
            talking(Setup { http_tools: vec![slow], ..Setup::default() }, Dial::default()).await;
        bench.tools.then(3_000, Ok("42"));
        goodbye(&mut model, 0, "slow", "{}");
        sleep(500).await;
        model.server.close(1011, "dies");
        let mut next = Model::accept(&bench).await;
        sleep(4_000).await;
        let items: Vec<Value> =
            next.of("conversation.item.create").into_iter().map(|event| event["item"].clone()).collect();
        let of = |kind: &str| items.iter().position(|item| item["type"] == kind);
        let (call, output) = (of("function_call").unwrap(), of("function_call_output").unwrap());
        assert!(call < output, "{items:?}");
        assert_eq!(items[output]["output"], "42");
    });
}

#[test]
fn keys_are_the_gateways_to_press_where_there_is_no_application() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::call(&bench, "gateway").await;
        let mut model = Model::accept(&bench).await;
        sleep(10).await;
        let response = model.begin();
        model.call_tool(&response, "call_1", "send_dtmf", r#"{"digits":"12#"}"#);
        model.done(&response, "completed");
        sleep(10).await;
        let dtmf = LinkControl::Dtmf { digits: "12#".to_owned() };
        assert!(caller.heard.controls().iter().any(|(_, control)| *control == dtmf));
        assert_eq!(model.of("conversation.item.create")[0]["item"]["output"], r#"{"ok":true}"#);
    });
}
