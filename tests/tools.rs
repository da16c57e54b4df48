//! What the model does to a call: hang up, transfer, press keys, and the tools of the configuration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use support::PATIENCE;
use support::chime::api::{Api, Reply};
use support::chime::service;
use support::chime::world::{Gateway, SmaCall, World};
use support::model::{Model, Session};
use support::phone::Phone;
use support::process::Service;
use support::{sound, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use trunkline_media::LineCodec;

/// Short of the sentence's end this much may be lost to the resampler's edges, in ms.
const EDGE_MS: usize = 20;

fn pcm(hz: f64, ms: u32) -> Vec<u8> {
    sound::bytes(&sound::tone(24_000, hz, ms))
}

/// The model says goodbye, 500 Hz of `ms`, and calls a tool (`call_1`) in the same breath.
fn goodbye(session: &Session, ms: u32, tool: &str, arguments: &str) {
    session.begin_answer(1, &pcm(500.0, ms), &[]);
    session.audio_done("resp_1", "item_1");
    session.call_tool("resp_1", "call_1", tool, arguments);
    session.response_done("resp_1", "item_1", "completed");
}

/// What the model is told its tool has brought.
async fn output(session: &mut Session, call: &str) -> Value {
    let output = async {
        loop {
            let event = session.event().await;
            if event["item"]["type"] == "function_call_output" {
                assert_eq!(event["item"]["call_id"], call);
                return serde_json::from_str(event["item"]["output"].as_str().unwrap()).unwrap();
            }
        }
    };
    within(PATIENCE, "a tool's output", output).await
}

struct Bridged {
    api: Api,
    service: Service,
    call: SmaCall,
    session: Session,
    _world: World,
}

/// A call by the application, the model on the line.
async fn bridged(answers_marks: bool) -> Bridged {
    let api = Api::start().await;
    let mut model = Model::start().await;
    let service = service(&model.url(), &api, &[("TRUNKLINE__SMA__ALLOWED_DESTINATIONS", "+1555*")]).await;
    let gateway = Gateway { answers_marks, ..Gateway::default() };
    let world = World::with(&api, service.admin, service.media, gateway);
    let call = world.inbound();
    let session = model.session().await;
    call.when("bridged", 1).await;
    Bridged { api, service, call, session, _world: world }
}

/// How much of the goodbye was heard before a moment, in ms.
fn heard_before(call: &SmaCall, at: Instant) -> usize {
    call.caller.ear.look(|heard| {
        let frames = heard.frames.iter().filter(|(came, _)| *came < at);
        let loud =
            frames.filter(|(_, frame)| sound::amplitude(&sound::decode(LineCodec::Pcmu, frame), 500.0) > 2_000.0);
        loud.count() * 20
    })
}

#[tokio::test]
async fn a_goodbye_is_heard_to_its_last_sample_before_the_application_hangs_up() {
    for answers_marks in [true, false] {
        let Bridged { api, service, call, session, .. } = &mut bridged(answers_marks).await;
        let said = Instant::now();
        goodbye(session, 2_000, "hang_up", r#"{"reason":"all said"}"#);
        let asked = api.update("hangup", 0).await.at;
        assert!(heard_before(call, asked) >= 2_000 - EDGE_MS, "{} ms were heard", heard_before(call, asked));
        // A gateway that answers marks says when it was heard; with another one a moment is waited.
        let waited = asked - said;
        let least = if answers_marks { 1_900 } else { 3_800 };
        assert!(waited >= Duration::from_millis(least), "{waited:?}");
        assert!(!answers_marks || waited < Duration::from_millis(3_500), "{waited:?}");
        let (_, stop) = call.caller.ear.when("stop", |heard| heard.text("stop", 0)).await;
        assert_eq!(stop["reason"], "model_hangup");
        call.when("over", 1).await;
        assert_eq!((call.all("dial").len(), call.all("end")), (1, vec!["LEG-B".to_owned(), "LEG-A".to_owned()]));
        assert_eq!(service.ended(&call.transaction).await["endReason"], "model_hangup");
    }
}

#[tokio::test]
async fn a_caller_who_takes_the_word_keeps_the_model() {
    let Bridged { api, service, call, session, .. } = &mut bridged(true).await;
    goodbye(session, 3_000, "hang_up", "{}");
    call.caller.ear.when("the goodbye's beginning", |heard| (heard.frames.len() > 10).then_some(())).await;
    session.speech_started("item_caller");
    let output = output(session, "call_1").await;
    assert!(output["error"].as_str().unwrap().contains("the caller spoke"), "{output}");
    call.caller.ear.when("clear", |heard| heard.text("clear", 0)).await;
    // All of the goodbye's time, and the time after it in which it would hang up.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(api.asked().is_empty(), "{:?}", api.commands());
    let shown = service.call(&call.transaction).await;
    assert_eq!((&shown["state"], &shown["endReason"]), (&json!("active"), &Value::Null), "{shown:#}");
    // It may go another time.
    session.response_created("resp_2");
    session.call_tool("resp_2", "call_2", "hang_up", "{}");
    session.response_done("resp_2", "item_2", "completed");
    api.update("hangup", 0).await;
    call.when("over", 1).await;
}

#[tokio::test]
async fn a_transfer_takes_our_leg_away_and_dials_for_the_caller() {
    let Bridged { api, service, call, session, .. } = &mut bridged(true).await;
    goodbye(session, 1_000, "transfer_call", r#"{"to":"+1 (555) 010-0077"}"#);
    let asked = api.update("transfer", 0).await;
    assert_eq!(asked.body["Arguments"]["to"], "+15550100077");
    assert!(heard_before(call, asked.at) >= 1_000 - EDGE_MS);
    call.when("dial +15550100077", 1).await;
    call.when("bridged", 2).await;
    let (_, stop) = call.caller.ear.when("stop", |heard| heard.text("stop", 0)).await;
    assert_eq!(stop["reason"], "transferred");
    assert_eq!(service.ended(&call.transaction).await["endReason"], "transferred");
    assert_eq!(call.all("end"), ["LEG-B"], "the caller is still there");
    call.hang_up();
    call.when("over", 1).await;
    let log = service.process.stderr();
    assert_eq!(log.lines().find(|line| line.contains("5550100077")), None, "a number was logged");
}

#[tokio::test]
async fn a_transfer_that_may_not_or_cannot_be_is_told_to_the_model() {
    let Bridged { api, call, session, .. } = &mut bridged(true).await;
    goodbye(session, 100, "transfer_call", r#"{"to":"+4930123456"}"#);
    let refused = output(session, "call_1").await;
    assert!(refused["error"].as_str().unwrap().contains("not allowed"), "{refused}");
    assert!(api.asked().is_empty());
    api.every_update(Reply::Fail(403));
    session.response_created("resp_2");
    session.call_tool("resp_2", "call_2", "transfer_call", r#"{"to":"+15550100077"}"#);
    session.response_done("resp_2", "item_2", "completed");
    let failed = output(session, "call_2").await;
    assert!(failed["error"].is_string(), "{failed}");
    assert_eq!((api.commands(), call.all("end").len()), (vec!["transfer".to_owned()], 0), "the call goes on");
}

#[tokio::test]
async fn keys_are_pressed_by_the_application() {
    let Bridged { call, session, .. } = &mut bridged(true).await;
    goodbye(session, 100, "send_dtmf", r#"{"digits":"12#"}"#);
    assert_eq!(output(session, "call_1").await, json!({"ok": true}));
    call.when("digits 12#", 1).await;
}

#[tokio::test]
async fn without_an_application_the_gateway_transfers_and_presses_keys() {
    let mut model = Model::start().await;
    let service = Service::with_model(&model.url(), &[]).await;
    let mut phone = Phone::dial(&service, "callId=c-1").await;
    let mut session = model.session().await;
    session.response_created("resp_0");
    session.call_tool("resp_0", "call_0", "send_dtmf", r#"{"digits":"12#"}"#);
    session.response_done("resp_0", "item_0", "completed");
    assert_eq!(phone.expect("dtmf").await, json!({"type": "dtmf", "digits": "12#"}));
    assert_eq!(output(&mut session, "call_0").await, json!({"ok": true}));
    goodbye(&session, 500, "transfer_call", r#"{"to":"+15550100077"}"#);
    let mark = phone.expect("mark").await;
    phone.send(json!({"type": "played", "mark": mark["mark"]}));
    assert_eq!(phone.expect("transfer").await, json!({"type": "transfer", "to": "+15550100077"}));
    let loud = |frame: &bytes::Bytes| sound::amplitude(&sound::decode(LineCodec::Pcmu, frame), 500.0) > 2_000.0;
    let heard = phone.all_frames().iter().filter(|frame| loud(frame)).count() * 20;
    assert!(heard >= 500 - EDGE_MS, "{heard} ms of the goodbye were heard before it");
    phone.send(json!({"type": "stop"}));
    assert_eq!(phone.expect("stop").await["reason"], "transferred");
    assert_eq!(service.ended("c-1").await["endReason"], "transferred");
}

/// Answers one request with `status` and `body`; gives its head and its body.
async fn answer_once(sockets: &TcpListener, status: u16, body: &str) -> (String, Value) {
    let (mut socket, _) = within(PATIENCE, "a call of the tool", sockets.accept()).await.unwrap();
    let mut received = Vec::new();
    loop {
        socket.read_buf(&mut received).await.unwrap();
        let text = String::from_utf8_lossy(&received).into_owned();
        let Some((head, arguments)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        if arguments.len() < length {
            continue;
        }
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(answer.as_bytes()).await.unwrap();
        return (head, serde_json::from_str(arguments).unwrap());
    }
}

fn weather(addr: SocketAddr, token: &str) -> String {
    format!(
        r#"
[[tools]]
name = "weather"
description = "What the weather is like."
parameters = {{ type = "object", properties = {{ city = {{ type = "string" }} }}, required = ["city"] }}
url = "http://{addr}/weather?key=s3cret-key"
timeout = "500ms"
token_file = {token:?}
"#
    )
}

#[tokio::test]
async fn a_tool_of_the_configuration_is_asked_over_http_and_its_answer_told() {
    let sockets = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let token = support::process::scratch("token");
    std::fs::write(&token, "tool-t0ken\n").unwrap();
    let mut model = Model::start().await;
    let url = model.url();
    let all = [("TRUNKLINE__REALTIME__URL", url.as_str()), ("TRUNKLINE__REALTIME__API_KEY", "outside")];
    let file = weather(sockets.local_addr().unwrap(), token.to_str().unwrap());
    let service = Service::configured(&file, &all).await;
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let trace =
        [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("tracestate", "vendor=1")];
    let _phone = Phone::dial_with(&service, "callId=c-1", &trace).await;
    let mut session = model.accept().await;
    let update = session.set_up().await;
    let tools = update["session"]["tools"].as_array().unwrap();
    let tool = tools.iter().find(|tool| tool["name"] == "weather").unwrap_or_else(|| panic!("{tools:?}"));
    assert_eq!((&tool["type"], &tool["parameters"]["required"]), (&json!("function"), &json!(["city"])));
    assert!(["hang_up", "transfer_call", "send_dtmf"].iter().all(|name| tools.iter().any(|t| t["name"] == *name)));

    session.response_created("resp_1");
    session.call_tool("resp_1", "call_1", "weather", r#"{"city":"Köln"}"#);
    session.response_done("resp_1", "item_1", "completed");
    let (head, arguments) = answer_once(&sockets, 200, r#"{"sky":"grey"}"#).await;
    assert!(head.starts_with("post /weather?key=s3cret-key http/1.1"), "{head}");
    for line in ["x-trunkline-call-id: c-1", "content-type: application/json", "authorization: bearer tool-t0ken"] {
        assert!(head.lines().any(|sent| sent == line), "{line} is not in {head}");
    }
    // It is part of the trace that the call came with, below a span of its own.
    let parent = head.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap();
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-01") && parent.len() == 55, "{parent}");
    assert!(!parent.contains("00f067aa0ba902b7") && head.lines().any(|sent| sent == "tracestate: vendor=1"), "{head}");
    assert_eq!(service.call("c-1").await["traceId"], TRACE);
    assert_eq!(arguments, json!({"city": "Köln"}));
    assert_eq!(output(&mut session, "call_1").await, json!({"sky": "grey"}));
    session.expect("response.create").await;

    // A tool that fails or does not answer is told as such, and what it says is not.
    for (id, call, fails) in [("resp_2", "call_2", true), ("resp_3", "call_3", false)] {
        session.response_created(id);
        session.call_tool(id, call, "weather", r#"{"city":"Bonn"}"#);
        session.response_done(id, "item_2", "completed");
        if fails {
            answer_once(&sockets, 503, "a page for people").await;
        }
        let output = output(&mut session, call).await;
        let error = output["error"].as_str().unwrap_or_else(|| panic!("{output}"));
        assert!(error.contains("503") == fails && !error.contains("people"), "{error}");
        session.expect("response.create").await;
    }
    let (log, detail) = (service.process.stderr(), service.get("/admin/calls/c-1").await.body);
    for secret in ["tool-t0ken", "s3cret-key", "Köln"] {
        assert_eq!(log.lines().find(|line| line.contains(secret)), None, "{secret} was logged");
        assert!(!detail.contains(secret), "{secret} in {detail}");
    }
}
