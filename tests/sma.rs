//! Calls that come by a SIP media application: bridged, spoken to while the model is away, ended on purpose, lost and
//! connected again.
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
use support::chime::api::{Api, Reply};
use support::chime::caller::Heard;
use support::chime::timeline::{Timeline, VOICE};
use support::chime::world::{Gateway, SmaCall, World};
use support::chime::{VOICE_CONNECTOR, WEBHOOK_SECRET, service};
use support::http::{get, send};
use support::model::{Model, Session};
use support::process::Service;
use support::sound;
use tokio::time::Instant;
use trunkline_media::LineCodec;

/// The id of the service's call, as its media was told.
async fn call_id(call: &SmaCall, number: usize) -> String {
    let ready = call.caller.ear.when("ready", |heard| heard.text("ready", number)).await.1;
    ready["callId"].as_str().unwrap().to_owned()
}

async fn live(service: &Service, id: &str) -> Value {
    service.call_when(id, "active", |call| call["state"] == "active").await
}

/// 24 kHz PCM.
fn pcm(hz: f64, ms: u32) -> Vec<u8> {
    sound::bytes(&sound::tone(24_000, hz, ms))
}

/// Samples of the media in which a frequency stands out.
fn hears(samples: &[i16], hz: f64) -> bool {
    samples.chunks(800).any(|part| sound::amplitude(part, hz) > 3_000.0)
}

/// What was said by the media after a moment.
fn media_after(heard: &Heard, at: Instant) -> Vec<i16> {
    let frames = heard.frames.iter().filter(|(came, _)| *came >= at);
    frames.flat_map(|(_, frame)| sound::decode(LineCodec::Pcmu, frame)).collect()
}

#[tokio::test]
async fn a_call_is_bridged_and_a_caller_who_hangs_up_is_not_called_back() {
    let api = Api::start().await;
    let service = service("simulator", &api, &[]).await;
    let world = World::new(&api, &service);
    let call = world.inbound();
    call.when("bridged", 1).await;
    let id = call_id(&call, 0).await;
    let shown = live(&service, &id).await;
    assert_eq!((&shown["smaTransactionId"], &shown["link"]), (&json!(call.transaction), &json!("ingest")), "{shown:#}");
    assert!(shown["from"].as_str().unwrap().ends_with("0001") && shown["to"].as_str().unwrap().ends_with("9002"));
    assert_eq!(service.call(&call.transaction).await["callId"], json!(id), "operators find it by its transaction");
    let headers: Value = serde_json::from_str(&call.all("headers")[0]).unwrap();
    assert_eq!(headers["X-Trunkline-Transaction"], json!(call.transaction));

    call.caller.mouth.say(&sound::speech());
    call.caller.ear.when("an answer", |heard| heard.text("mark", 0)).await;
    call.hang_up();
    call.when("over", 1).await;
    assert_eq!(service.ended(&id).await["endReason"], "caller_hangup");
    assert_eq!((call.all("end"), call.all("dial").len()), (vec!["LEG-A".to_owned(), "LEG-B".to_owned()], 1));
    assert!(api.asked().is_empty(), "{:?}", api.commands());
}

#[tokio::test]
async fn the_application_speaks_while_the_model_is_away_and_the_conversation_goes_on() {
    let api = Api::start().await;
    let mut model = Model::start().await;
    let service = service(&model.url(), &api, &[("TRUNKLINE__FALLBACK__PAUSE", "1500ms")]).await;
    let world = World::new(&api, &service);
    let call = world.inbound();
    let session = model.session().await;
    let id = call_id(&call, 0).await;
    session.begin_answer(1, &pcm(440.0, 400), &[]);
    session.words("resp_1", "item_1", "The blue one is ours.");
    session.audio_done("resp_1", "item_1");
    session.response_done("resp_1", "item_1", "completed");
    let ear = &call.caller.ear;
    ear.when("the answer", |heard| heard.text("mark", 0)).await;

    session.close(1011, "dies");
    let entered = ear.when("the outage", |heard| heard.fallback("entered", 0)).await;
    let socket = model.knock().await;
    let asked = api.update("keepalive", 0).await;
    assert!(asked.path.ends_with(&format!("/calls/{}", call.transaction)), "{}", asked.path);
    let arguments = asked.body["Arguments"].as_object().unwrap();
    assert_eq!(arguments.keys().collect::<Vec<_>>(), ["command", "pauseMs", "requestId", "text"]);
    assert_eq!((&arguments["text"], &arguments["pauseMs"]), (&json!("One moment, please."), &json!("1500")));
    let shown = service.call_when(&id, "spoken to", |call| call["fallback"]["prompts"] == 1).await;
    assert_eq!((&shown["state"], &shown["fallback"]["state"]), (&json!("fallback"), &json!("sma")), "{shown:#}");
    // The second prompt comes when the first has been spoken and its pause is over.
    call.when("speak", 2).await;
    assert_eq!(call.all("speak"), ["One moment, please.", "I am still connecting you. Thank you for waiting."]);
    call.when("pause", 2).await;

    // Back in the middle of the pause: what is left of it is taken back, and the model is told what was said.
    let mut session = Session::open(socket).await;
    session.set_up().await;
    let recovered = ear.when("the model", |heard| heard.fallback("recovered", 0)).await;
    api.update("resume", 0).await;
    let mut restored = Vec::new();
    while restored.is_empty() {
        let event = session.event().await;
        restored.extend(Some(event.to_string()).filter(|event| event.contains("The blue one is ours.")));
    }
    session.answer(2, &pcm(600.0, 800), &[]);
    ear.when("the next answer", |heard| heard.text("mark", 1)).await;
    let timeline = ear.timeline();
    let spoken = &timeline.sma[timeline.sample_at(entered)..timeline.sample_at(recovered)];
    assert!(hears(spoken, VOICE));
    // The last frame before it may still sound.
    let silent = timeline.sample_at(entered) + 800;
    let ours = &timeline.media[silent..timeline.sample_at(recovered)];
    assert_eq!(Timeline::first_loud(ours, 0), None, "nothing of ours while the application speaks");
    assert!(ear.look(|heard| hears(&media_after(heard, recovered), 600.0)));
    assert_eq!(timeline.longest_overlap().1, 0, "one voice at a time");
    let shown = live(&service, &id).await;
    assert_eq!((&shown["fallback"]["entered"], &shown["model"]["reconnects"]), (&json!(1), &json!(1)), "{shown:#}");
    assert_eq!((&shown["fallback"]["state"], call.all("dial").len()), (&json!("idle"), 1));

    let metrics = get(service.admin, "/metrics").await.body;
    assert!(metrics.contains("trunkline_sma_requests_total{result=\"taken\"} 3"), "{metrics}");
    let log = service.process.stderr();
    for kept in ["One moment, please", "not-a-secret", WEBHOOK_SECRET] {
        assert_eq!(log.lines().find(|line| line.contains(kept)), None, "{kept} was logged");
    }
}

#[tokio::test]
async fn a_planned_end_goes_by_the_application_first_and_is_never_connected_again() {
    let api = Api::start().await;
    let service = service("simulator", &api, &[]).await;
    let world = World::new(&api, &service);
    let call = world.inbound();
    let id = call_id(&call, 0).await;
    live(&service, &id).await;
    assert_eq!(service.post(&format!("/admin/calls/{id}/hangup")).await.status, 202);
    let asked = api.update("hangup", 0).await.at;
    let (stopped, stop) = call.caller.ear.when("stop", |heard| heard.text("stop", 0)).await;
    assert_eq!(stop["reason"], "operator_hangup");
    let ended = call.when("end LEG-B", 1).await;
    assert!(asked < ended && ended < stopped, "the application hangs up before our leg goes");
    call.when("over", 1).await;
    assert_eq!((call.all("end"), call.all("dial").len()), (vec!["LEG-B".to_owned(), "LEG-A".to_owned()], 1));
    assert_eq!((call.all("speak").len(), call.all("lost").len()), (0, 0));
    assert_eq!(service.ended(&id).await["endReason"], "operator_hangup");
    assert_eq!(api.commands(), ["hangup"]);
}

#[tokio::test]
async fn a_planned_end_past_the_quota_meets_a_decline_and_the_caller_is_hung_up_on() {
    let api = Api::start().await;
    // One update in ten seconds.
    let service = service("simulator", &api, &[("TRUNKLINE__SMA__UPDATES_PER_SECOND", "0.1")]).await;
    let world = World::new(&api, &service);
    let (first, second) = (world.inbound(), world.inbound());
    for call in [&first, &second] {
        let id = call_id(call, 0).await;
        live(&service, &id).await;
        assert_eq!(service.post(&format!("/admin/calls/{id}/hangup")).await.status, 202);
        api.update("hangup", 0).await;
    }
    second.when("lost", 1).await;
    second.when("over", 1).await;
    assert_eq!(second.all("refused"), ["603"], "{:?}", second.log());
    assert_eq!((second.all("bridged").len(), second.all("end")), (1, vec!["LEG-A".to_owned()]));
    assert_eq!((first.all("dial").len(), api.commands().len()), (1, 1));
    let id = call_id(&second, 0).await;
    assert_eq!(service.ended(&id).await["endReason"], "operator_hangup");
}

#[tokio::test]
async fn a_leg_that_breaks_is_connected_again_with_the_same_call_or_a_new_one() {
    // Within the grace it is the same call, past it another.
    for (grace, same) in [("20s", true), ("200ms", false)] {
        let api = Api::start().await;
        let service = service("simulator", &api, &[("TRUNKLINE__INGEST__REATTACH_GRACE", grace)]).await;
        let world = World::new(&api, &service);
        let call = world.inbound();
        let id = call_id(&call, 0).await;
        live(&service, &id).await;
        call.cut_media();
        call.when("bridged", 2).await;
        assert_eq!(call.all("speak"), ["One moment please, I am reconnecting you."]);
        let headers: Value = serde_json::from_str(&call.all("headers")[1]).unwrap();
        assert_eq!(headers["X-Trunkline-Attempt"], "1");
        let again = call_id(&call, 1).await;
        assert_eq!(again == id, same, "{id} and {again}");
        live(&service, &again).await;
        assert!(api.asked().is_empty());
        if !same {
            assert_eq!(service.call(&id).await["endReason"], "media_lost");
            continue;
        }
        call.caller.mouth.say(&sound::speech());
        let before = call.caller.ear.look(|heard| heard.frames.len());
        call.caller.ear.when("an answer", |heard| (heard.frames.len() > before + 50).then_some(())).await;
    }
}

/// Somewhere to run the application's function that outlives the service.
async fn function(api: &Api) -> Service {
    service("simulator", api, &[]).await
}

async fn on_ports(api: &Api, media: SocketAddr, admin: SocketAddr) -> Service {
    let (media, admin) = (media.to_string(), admin.to_string());
    service("simulator", api, &[("TRUNKLINE__MEDIA__LISTEN", &media), ("TRUNKLINE__ADMIN__LISTEN", &admin)]).await
}

#[tokio::test]
async fn a_service_that_is_killed_gets_its_callers_back_and_if_nobody_listens_there_is_an_apology() {
    let api = Api::start().await;
    let function = function(&api).await;
    let mut service = service("simulator", &api, &[]).await;
    let (media, admin) = (service.media, service.admin);
    let gateway = Gateway { speaks: 40, ..Gateway::default() };
    let world = World::with(&api, function.admin, media, gateway);
    let call = world.inbound();
    call_id(&call, 0).await;
    service.process.signal("KILL");
    service.process.exit(Duration::from_secs(5)).await;
    call.when("lost", 1).await;
    let mut service = on_ports(&api, media, admin).await;
    call.when("bridged", 2).await;
    let id = call_id(&call, 1).await;
    assert_eq!(live(&service, &id).await["smaTransactionId"], json!(call.transaction));

    // Once more, and nobody comes back: of three attempts two are left.
    service.process.signal("KILL");
    service.process.exit(Duration::from_secs(5)).await;
    call.when("over", 1).await;
    assert_eq!((call.all("dial").len(), call.all("refused")), (4, vec!["480".to_owned(); 2]), "{:?}", call.log());
    let spoken = call.all("speak");
    assert_eq!(spoken.len(), 4, "{spoken:?}");
    assert!(spoken[3].contains("technical problem"), "{spoken:?}");
    assert_eq!(call.log().iter().rev().find(|(_, what)| what.starts_with("end")).unwrap().1, "end LEG-A");
}

#[tokio::test]
async fn events_of_the_application_need_its_secret_and_are_answered_like_the_lambda() {
    let api = Api::start().await;
    let service = service("simulator", &api, &[("TRUNKLINE__ADMIN__TOKEN", "t0ken")]).await;
    let fixture =
        concat!(env!("CARGO_MANIFEST_DIR"), "/crates/chime/tests/fixtures/sma/events/01-new-inbound-call.json");
    let event = std::fs::read(fixture).unwrap();
    let ask_at = async |path: &str, authorization: &str, body: &[u8]| {
        send(service.admin, "POST", path, &[("Authorization", authorization)], body).await
    };
    let ask = async |authorization: &str, body: &[u8]| ask_at("/sma/events", authorization, body).await;
    for wrong in ["Bearer wrong", "Bearer t0ken", ""] {
        for path in ["/sma/events", "/sma/%65vents", "/%73ma/events?x"] {
            let answer = ask_at(path, wrong, &event).await;
            assert_eq!((answer.status, answer.refusal().as_str()), (401, "unauthorized"), "{wrong} {path}");
        }
    }
    let secret = format!("Bearer {WEBHOOK_SECRET}");
    for bad in [&b"{"[..], b"", b"[]", b"{\"InvocationEventType\":\"RINGING\"}", b"\xff"] {
        let answer = ask(&secret, bad).await;
        assert_eq!((answer.status, answer.refusal().as_str()), (400, "bad_event"), "{bad:?}");
    }
    let answer = ask(&secret, &event).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let event: Value = serde_json::from_slice(&event).unwrap();
    let transaction = &event["CallDetails"]["TransactionId"];
    let response = answer.json();
    assert_eq!((&response["SchemaVersion"], response["Actions"].as_array().unwrap().len()), (&json!("1.0"), 1));
    let bridge = &response["Actions"][0];
    assert_eq!(bridge["Type"], "CallAndBridge");
    let endpoint = &bridge["Parameters"]["Endpoints"][0];
    assert_eq!(endpoint, &json!({"BridgeEndpointType": "AWS", "Arn": VOICE_CONNECTOR, "Uri": transaction}));
    assert_eq!(&bridge["Parameters"]["SipHeaders"]["X-Trunkline-Transaction"], transaction);
    // The secret opens nothing else.
    let headers = [("Authorization", secret.as_str())];
    assert_eq!(support::http::request(service.admin, "GET", "/admin/calls", &headers).await.status, 401);

    let plain = Service::start(&[]).await;
    assert_eq!(plain.post_body("/sma/events", event.to_string().as_bytes()).await.refusal(), "sma_off");
}

#[tokio::test]
async fn an_application_that_fails_is_a_degraded_check_and_a_quota_is_not() {
    let api = Api::start().await;
    let mut model = Model::start().await;
    let env = [("TRUNKLINE__FALLBACK__PAUSE", "200ms"), ("TRUNKLINE__REALTIME__RECONNECT__FIRST", "8s")];
    let service = service(&model.url(), &api, &env).await;
    let world = World::new(&api, &service);
    let sma = async || get(service.media, "/readyz").await.json()["checks"]["sma"].as_str().unwrap().to_owned();
    let when = async |wanted: &str| {
        let deadline = Instant::now() + support::PATIENCE;
        while sma().await != wanted {
            assert!(Instant::now() < deadline, "sma is not {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(sma().await, "ok");
    for (reply, after) in [(Reply::Fail(429), "ok"), (Reply::Fail(503), "degraded"), (Reply::Fail(403), "degraded")] {
        api.next_updates(&[reply]);
        let call = world.inbound();
        let session = model.session().await;
        call_id(&call, 0).await;
        session.close(1011, "dies");
        // What the application does not say we say ourselves.
        call.caller.ear.when("our own prompt", |heard| heard.text("mark", 0)).await;
        when(after).await;
        assert_eq!(get(service.media, "/readyz").await.status, 200, "the fleet is not emptied");
        call.hang_up();
        call.when("over", 1).await;
    }
    // An answer makes it well.
    let call = world.inbound();
    let session = model.session().await;
    call_id(&call, 0).await;
    session.close(1011, "dies");
    call.when("speak", 1).await;
    when("ok").await;
    let metrics = get(service.admin, "/metrics").await.body;
    for line in ["throttled\"} 1", "unavailable\"} 1", "refused\"} 1", "taken\"} 1"] {
        assert!(metrics.contains(&format!("trunkline_sma_requests_total{{result=\"{line}")), "{line}: {metrics}");
    }
}
