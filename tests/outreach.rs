//! Calls that the service places, from the request to the conversation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use support::chime::api::{Api, Reply};
use support::chime::world::{Gateway, World};
use support::chime::{APPLICATION, OWN_NUMBER, env};
use support::http::Answer;
use support::process::Service;
use support::sound;
use tokio::time::Instant;
use trunkline_media::LineCodec;

const CALLED: &str = "+15550100042";
const ROUTES: &str = "[[routes]]\nmatch = \"mirror\"\nkind = \"echo\"\n[[routes]]\nmatch = \"*\"\nkind = \"model\"\n";

/// A service with the embedded model and a route `mirror` that is an echo.
async fn service(api: &Api, more: &[(&str, &str)]) -> Service {
    let mut all = env(&api.url).to_vec();
    all.push(("TRUNKLINE__REALTIME__URL", "simulator"));
    all.extend_from_slice(more);
    Service::configured(ROUTES, &all).await
}

async fn initiate(service: &Service, body: &Value) -> Answer {
    service.post_body("/api/outreach/call/initiate", body.to_string().as_bytes()).await
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

async fn listed(service: &Service) -> Vec<Value> {
    service.get("/admin/calls").await.json()["calls"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_placed_call_is_asked_for_once_rings_and_is_the_one_whose_media_comes() {
    let api = Api::start().await;
    let service = service(&api, &[]).await;
    let world = World::new(&api, &service);
    let metadata = json!({"order": "A-17", "name": "Jürgen"});
    let answer = initiate(&service, &json!({"to": CALLED, "route": "mirror", "metadata": metadata})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let answer = answer.json();
    assert_eq!(keys(&answer), BTreeSet::from(["callId", "transactionId"]));
    let (id, transaction) = (answer["callId"].as_str().unwrap(), answer["transactionId"].as_str().unwrap());

    let asked = api.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, format!("/sip-media-applications/{APPLICATION}/calls"));
    let body = &asked[0].body;
    assert_eq!(keys(body), BTreeSet::from(["ArgumentsMap", "FromPhoneNumber", "ToPhoneNumber"]));
    assert_eq!((&body["FromPhoneNumber"], &body["ToPhoneNumber"]), (&json!(OWN_NUMBER), &json!(CALLED)));
    let arguments = &body["ArgumentsMap"];
    assert_eq!(keys(arguments), BTreeSet::from(["callId", "metadata", "route"]));
    assert_eq!((&arguments["callId"], &arguments["route"]), (&json!(id), &json!("mirror")));
    assert_eq!(serde_json::from_str::<Value>(arguments["metadata"].as_str().unwrap()).unwrap(), metadata);

    let ringing = service.call(id).await;
    assert_eq!((&ringing["state"], &ringing["direction"]), (&json!("announced"), &json!("outbound")), "{ringing:#}");
    assert_eq!((&ringing["smaTransactionId"], &ringing["link"]), (&json!(transaction), &Value::Null));
    assert!(ringing["to"].as_str().unwrap().ends_with("0042") && !ringing["to"].as_str().unwrap().contains("555"));

    let call = world.outbound(transaction);
    call.answer();
    call.when("bridged", 1).await;
    let headers: Value = serde_json::from_str(&call.all("headers")[0]).unwrap();
    assert_eq!(
        (&headers["X-Trunkline-Transaction"], &headers["X-Trunkline-Call-Id"], &headers["X-Trunkline-Route"]),
        (&json!(transaction), &json!(id), &json!("mirror"))
    );
    let carried = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(headers["X-Trunkline-Metadata"].as_str().unwrap());
    assert_eq!(serde_json::from_slice::<Value>(&carried.unwrap()).unwrap(), metadata);

    // The gateway calls it something else: it is the same call, and its route is the one that was asked for.
    let ready = call.caller.ear.when("ready", |heard| heard.text("ready", 0)).await.1;
    assert_eq!(ready["callId"], id);
    let live = service.call_when(id, "active", |call| call["state"] == "active").await;
    assert_eq!(
        (&live["callId"], &live["route"], &live["link"], &live["smaTransactionId"]),
        (&json!(id), &json!("mirror"), &json!("ingest"), &json!(transaction)),
    );
    assert_eq!((&live["direction"], listed(&service).await.len()), (&json!("outbound"), 1));
    call.caller.mouth.say(&sound::pcmu_tone(700.0, 600));
    let heard = |frames: &[(Instant, bytes::Bytes)]| {
        let frames: Vec<u8> = frames.iter().rev().take(10).flat_map(|(_, frame)| frame.to_vec()).collect();
        sound::amplitude(&sound::decode(LineCodec::Pcmu, &frames), 700.0) > 2_000.0
    };
    call.caller.ear.when("an echo", |all| heard(&all.frames).then_some(())).await;

    call.hang_up();
    call.when("over", 1).await;
    let ended = service.ended(id).await;
    assert_eq!((&ended["callId"], &ended["endReason"]), (&json!(id), &json!("caller_hangup")));
    assert_eq!(api.asked().len(), 1, "nobody is hung up on who hung up himself");
    let log = service.process.stderr();
    for secret in ["5550100042", "A-17", "Jürgen"] {
        assert_eq!(log.lines().find(|line| line.contains(secret)), None, "{secret} was logged");
    }
}

#[tokio::test]
async fn what_must_not_or_cannot_be_called_is_refused_before_anyone_is_asked() {
    let api = Api::start().await;
    let service = service(&api, &[("TRUNKLINE__SMA__ALLOWED_DESTINATIONS", "+1555*,+49301234567?")]).await;
    for (body, status, code) in [
        (json!({"to": "+4930987654321"}), 403, "destination_not_allowed"),
        (json!({"to": "+88216123456"}), 403, "destination_not_allowed"),
        (json!({}), 400, "bad_parameter"),
        (json!({"to": "015550100042"}), 400, "bad_parameter"),
        (json!({"to": "+1555010004211111"}), 400, "bad_parameter"),
        (json!({"to": "+1555 010"}), 400, "bad_parameter"),
        (json!({"to": "sip:+15550100042@example.com"}), 400, "bad_parameter"),
        (json!({"to": CALLED, "from": "anonymous"}), 400, "bad_parameter"),
        (json!({"to": CALLED, "route": "two words"}), 400, "bad_parameter"),
        (json!({"to": CALLED, "metadata": "x".repeat(2_000)}), 400, "bad_parameter"),
        (json!({"to": 15550100042_u64}), 400, "bad_parameter"),
        (json!("+15550100042"), 400, "bad_parameter"),
    ] {
        let answer = initiate(&service, &body).await;
        assert_eq!((answer.status, answer.refusal().as_str()), (status, code), "{body}");
        assert!(!answer.body.contains("15550100042"), "{answer:?}");
    }
    let answer = service.post_body("/api/outreach/call/initiate", b"to=+15550100042").await;
    assert_eq!((answer.status, answer.refusal().as_str()), (400, "bad_parameter"));
    assert!(api.asked().is_empty(), "{:?}", api.asked());
    assert!(listed(&service).await.is_empty(), "nothing is announced that does not ring");
    assert_eq!(initiate(&service, &json!({"to": "+493012345678"})).await.status, 202);

    let plain = Service::start(&[]).await;
    assert_eq!(initiate(&plain, &json!({"to": CALLED})).await.refusal(), "sma_off");
}

#[tokio::test]
async fn calls_past_the_quota_are_refused_and_not_kept_for_later() {
    let api = Api::start().await;
    // One in ten seconds.
    let service = service(&api, &[("TRUNKLINE__SMA__CREATES_PER_SECOND", "0.1")]).await;
    assert_eq!(initiate(&service, &json!({"to": CALLED})).await.status, 202);
    for _ in 0..3 {
        let answer = initiate(&service, &json!({"to": CALLED})).await;
        assert_eq!((answer.status, answer.refusal().as_str()), (429, "over_quota"));
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert_eq!((api.asked().len(), listed(&service).await.len()), (1, 1));
}

#[tokio::test]
async fn a_refusal_over_there_is_told_and_nothing_stays_announced() {
    let api = Api::start().await;
    let service = service(&api, &[("TRUNKLINE__SMA__CREATES_PER_SECOND", "1000")]).await;
    for (reply, status, code) in
        [(429, 429, "over_quota"), (400, 502, "sma_refused"), (401, 502, "sma_refused"), (403, 502, "sma_refused")]
    {
        api.next_creates(&[Reply::Fail(reply)]);
        let answer = initiate(&service, &json!({"to": CALLED})).await;
        assert_eq!((answer.status, answer.refusal().as_str()), (status, code), "{reply}");
        assert!(listed(&service).await.is_empty(), "{reply}");
    }
    assert_eq!(api.asked().len(), 4, "and nothing is asked for twice");
}

/// Nobody knows whether it rings: the call stays announced and is not placed again.
async fn unknown(service: &Service, api: &Api) -> String {
    let before = (api.asked().len(), listed(service).await.len());
    let answer = initiate(service, &json!({"to": CALLED, "route": "mirror"})).await;
    assert_eq!((answer.status, answer.refusal().as_str()), (504, "outcome_unknown"), "{answer:?}");
    let calls = listed(service).await;
    assert_eq!((api.asked().len() - before.0, calls.len() - before.1), (1, 1), "{calls:?}");
    let id = calls[0]["callId"].as_str().unwrap();
    assert!(answer.body.contains(id), "the answer names the call to look for: {answer:?}");
    assert_eq!(calls[0]["state"], "announced");
    id.to_owned()
}

#[tokio::test]
async fn a_call_of_which_nobody_knows_whether_it_rings_is_never_placed_again() {
    let api = Api::start().await;
    let env = [("TRUNKLINE__SMA__CREATES_PER_SECOND", "1000"), ("TRUNKLINE__SMA__RING_TIMEOUT", "30s")];
    let service = service(&api, &env).await;
    let gateway = Gateway { takes_call_ids: true, ..Gateway::default() };
    let world = World::with(&api, service.admin, service.media, gateway);
    for reply in [Reply::Fail(500), Reply::Fail(503), Reply::Hang] {
        api.next_creates(&[reply]);
        unknown(&service, &api).await;
    }
    // It did ring: who answers is connected with the call that was asked for.
    api.next_creates(&[Reply::TakeAndCut]);
    let id = unknown(&service, &api).await;
    let call = world.calls().pop().unwrap();
    call.answer();
    call.when("bridged", 1).await;
    let live = service.call_when(&id, "active", |call| call["state"] == "active").await;
    assert_eq!((&live["smaTransactionId"], &live["route"]), (&json!(call.transaction), &json!("mirror")), "{live:#}");
    assert_eq!(api.asked().len(), 4);
}

#[tokio::test]
async fn a_call_that_an_operator_takes_back_before_the_answer_is_known_is_never_connected() {
    let api = Api::start().await;
    let service = service(&api, &[("TRUNKLINE__SMA__CREATES_PER_SECOND", "1000")]).await;
    let gateway = Gateway { takes_call_ids: true, ..Gateway::default() };
    let world = World::with(&api, service.admin, service.media, gateway);
    let take_back = async |id: &str| {
        assert_eq!(service.post(&format!("/admin/calls/{id}/hangup")).await.status, 202);
        assert_eq!(service.ended(id).await["endReason"], "operator_hangup");
    };
    // Nobody can say any more which transaction it is: it is declined when it is answered.
    api.next_creates(&[Reply::TakeAndCut]);
    take_back(&unknown(&service, &api).await).await;
    let call = world.calls().pop().unwrap();
    call.answer();
    call.when("over", 1).await;
    assert_eq!(call.all("bridged").len(), 0, "{:?}", call.log());
    // Here the answer comes, and with it the transaction to hang up.
    api.next_creates(&[Reply::Take(Duration::from_secs(1))]);
    let wanted = json!({"to": CALLED});
    let taken_back = async {
        let call = loop {
            if let Some(call) = listed(&service).await.pop() {
                break call;
            }
        };
        take_back(call["callId"].as_str().unwrap()).await;
    };
    let (answer, ()) = tokio::join!(initiate(&service, &wanted), taken_back);
    assert_eq!(answer.status, 202);
    api.update("hangup", 0).await;
}

#[tokio::test]
async fn a_telephone_that_nobody_answers_is_given_up() {
    let api = Api::start().await;
    let service = service(&api, &[("TRUNKLINE__SMA__RING_TIMEOUT", "1s")]).await;
    let answer = initiate(&service, &json!({"to": CALLED})).await.json();
    let id = answer["callId"].as_str().unwrap();
    let ended = service.ended(id).await;
    assert_eq!(ended["endReason"], "no_media");
    assert!(ended["durationMs"].as_u64().unwrap() < Duration::from_secs(5).as_millis() as u64, "{ended:#}");
}

#[tokio::test]
async fn a_placed_call_that_an_operator_takes_back_while_it_rings_is_hung_up_on() {
    let api = Api::start().await;
    let service = service(&api, &[]).await;
    let world = World::new(&api, &service);
    let answer = initiate(&service, &json!({"to": CALLED})).await.json();
    let id = answer["callId"].as_str().unwrap();
    assert_eq!(service.post(&format!("/admin/calls/{id}/hangup")).await.status, 202);
    assert_eq!(service.ended(id).await["endReason"], "operator_hangup");
    let call = world.outbound(answer["transactionId"].as_str().unwrap());
    api.update("hangup", 0).await;
    // A leg that rings cannot always be hung up; who answers all the same is not connected.
    call.when("over", 1).await;
    assert_eq!(call.all("bridged").len(), 0, "{:?}", call.log());
}
