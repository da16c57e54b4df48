//! What breaks, and what the caller notices of it: a model that dies, a service that is told to end, peers that stall.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::http::{get, knock};
use support::model::{Model, Said};
use support::phone::{Heard, Phone};
use support::process::{Service, Sim, scratch};
use support::sound;
use support::{PATIENCE, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use trunkline_media::LineCodec;

/// Everything that may be short, short.
const QUICK: [(&str, &str); 8] = [
    ("TRUNKLINE__REALTIME__PING", "200ms"),
    ("TRUNKLINE__REALTIME__STALL_TIMEOUT", "700ms"),
    ("TRUNKLINE__REALTIME__RESPONSE_TIMEOUT", "700ms"),
    ("TRUNKLINE__REALTIME__CONNECT_TIMEOUT", "5s"),
    ("TRUNKLINE__REALTIME__RECONNECT__FIRST", "100ms"),
    ("TRUNKLINE__REALTIME__RECONNECT__MAX", "300ms"),
    ("TRUNKLINE__FALLBACK__PAUSE", "100ms"),
    ("TRUNKLINE__INGEST__REATTACH_GRACE", "5s"),
];

/// [`QUICK`], own prompts of 300 ms (700 Hz) and a goodbye of 300 ms (1100 Hz), and more.
async fn service(model: &str, more: &[(&str, &str)]) -> Service {
    let wav = |hz| sound::write_wav(&scratch("prompt.wav"), &sound::tone(8_000, hz, 300)).display().to_string();
    let keepalive = [wav(700.0), wav(700.0), wav(700.0)].join(",");
    let goodbye = wav(1_100.0);
    let mut env = QUICK.to_vec();
    env.push(("TRUNKLINE__FALLBACK__PROMPT_FILES", &keepalive));
    env.push(("TRUNKLINE__FALLBACK__GOODBYE_FILE", &goodbye));
    env.extend_from_slice(more);
    Service::with_model(model, &env).await
}

fn hears(frames: &[bytes::Bytes], hz: f64) -> bool {
    frames.windows(5).any(|frames| sound::amplitude(&sound::decode(LineCodec::Pcmu, &frames.concat()), hz) > 5_000.0)
}

/// Skips to the next `fallback` and gives its state and when it came.
async fn fallback(phone: &mut Phone) -> (String, Instant) {
    let message = phone.expect("fallback").await;
    assert_eq!(message.as_object().unwrap().len(), 3, "{message}");
    assert!(message["reason"].is_string(), "{message}");
    (message["state"].as_str().unwrap().to_owned(), phone.log[phone.position() - 1].0)
}

/// The caller's session dies once as `flags` say: he is told, hears a prompt within 2 s, and goes on in the same call.
async fn survives(flags: &[&str], provoke: impl Fn(&Phone)) {
    let sim = Sim::start(&[&["--die-sessions", "1", "--reply", "tone"], flags].concat()).await;
    let service = service(&sim.url(), &[]).await;
    let mut phone = Phone::dial(&service, "callId=c-1").await;
    service.call_when("c-1", "active", |call| call["state"] == "active").await;
    provoke(&phone);
    let (state, lost) = fallback(&mut phone).await;
    assert_eq!(state, "entered");
    let from = phone.position();
    // 300 ms of prompt, however soon the model is back: a sentence is not cut.
    while !hears(&phone.frames_between(from, phone.position()), 700.0) {
        phone.frames(1).await;
    }
    assert!(phone.log[phone.position() - 1].0 - lost < Duration::from_secs(2), "the prompt came late");
    while !phone.log[..phone.position()]
        .iter()
        .any(|(_, heard)| matches!(heard, Heard::Text(text) if text["state"] == "recovered"))
    {
        phone.next().await;
    }
    let call = service.call_when("c-1", "active", |call| call["state"] == "active").await;
    assert_eq!((&call["fallback"]["entered"], &call["model"]["reconnects"]), (&json!(1), &json!(1)), "{call:#}");
    assert_eq!(call["fallback"]["state"], "idle");
    assert!(call["fallback"]["prompts"].as_u64().unwrap() >= 1, "{call:#}");
    // The new session answers.
    let from = phone.position();
    phone.send(json!({"type": "dtmf", "digit": "5"}));
    phone.send(json!({"type": "dtmf", "digit": "#"}));
    loop {
        let mark = phone.expect("mark").await;
        if mark["mark"].as_str().unwrap().starts_with("item_") {
            break;
        }
    }
    let heard = sound::decode(LineCodec::Pcmu, &phone.frames_between(from, phone.position()).concat());
    assert!(sound::level(&heard) > 500.0, "an answer is heard");
    service.call_when("c-1", "answered", |call| call["model"]["responses"].as_u64() >= Some(1)).await;
}

#[tokio::test]
async fn a_closed_session_is_replaced() {
    survives(&["--die-after", "600ms", "--die-mode", "close", "--close-code", "1013"], |_| {}).await;
}

#[tokio::test]
async fn an_aborted_session_is_replaced() {
    survives(&["--die-after", "600ms", "--die-mode", "abort"], |_| {}).await;
}

#[tokio::test]
async fn a_stalled_session_is_replaced() {
    survives(&["--die-after", "600ms", "--die-mode", "stall"], |_| {}).await;
}

#[tokio::test]
async fn a_mute_session_is_replaced() {
    survives(&["--die-after", "10ms", "--die-mode", "mute"], |phone| {
        phone.send(json!({"type": "dtmf", "digit": "1"}));
        phone.send(json!({"type": "dtmf", "digit": "#"}));
    })
    .await;
}

#[tokio::test]
async fn a_session_that_sends_garbage_is_replaced() {
    survives(&["--garbage", "1"], |phone| {
        phone.send(json!({"type": "dtmf", "digit": "1"}));
        phone.send(json!({"type": "dtmf", "digit": "#"}));
    })
    .await;
}

#[tokio::test]
async fn a_session_whose_responses_keep_failing_is_replaced() {
    survives(&["--fail-responses", "server_error"], |phone| {
        phone.send(json!({"type": "dtmf", "digit": "1"}));
        phone.send(json!({"type": "dtmf", "digit": "#"}));
    })
    .await;
}

#[tokio::test]
async fn a_session_that_expires_is_renewed_before_and_nobody_notices() {
    let sim = Sim::start(&["--die-after", "4s", "--die-mode", "expire", "--die-sessions", "1"]).await;
    let service = service(&sim.url(), &[]).await;
    let mut phone = Phone::dial(&service, "callId=c-1&fill=silence").await;
    let before = service.call_when("c-1", "ready", |call| call["model"]["state"] == "ready").await;
    let first = before["model"]["sessionId"].clone();
    let after = service.call_when("c-1", "renewed", |call| call["model"]["sessionId"] != first).await;
    assert_eq!((&after["fallback"]["entered"], &after["state"]), (&json!(0), &json!("active")), "{after:#}");
    // Past the end of the first session's life all is well.
    phone.frames(220).await;
    assert_eq!(phone.kinds(), ["ready"], "{}", phone.summary());
}

#[tokio::test]
async fn a_model_that_refuses_at_first_is_tried_again() {
    let sim = Sim::start(&["--refuse", "503", "--refuse-first", "2"]).await;
    let service = service(&sim.url(), &[]).await;
    let mut phone = Phone::dial(&service, "callId=c-1").await;
    assert_eq!(fallback(&mut phone).await.0, "entered");
    assert_eq!(fallback(&mut phone).await.0, "recovered");
    let call = service.call_when("c-1", "active", |call| call["state"] == "active").await;
    assert_eq!((&call["model"]["state"], &call["fallback"]["entered"]), (&json!("ready"), &json!(1)), "{call:#}");
}

#[tokio::test]
async fn a_model_that_never_comes_is_given_up() {
    // At once, if trying again is of no use.
    for status in ["401", "403", "404"] {
        let sim = Sim::start(&["--refuse", status]).await;
        let service = service(&sim.url(), &[]).await;
        let mut phone = Phone::dial(&service, "callId=c-1").await;
        let started = phone.log[0].0;
        assert_eq!(fallback(&mut phone).await.0, "entered");
        let (state, at) = fallback(&mut phone).await;
        assert_eq!(state, "gave_up");
        assert!(at - started < Duration::from_secs(2), "{status} is final");
        exhausted(&service, phone).await;
    }
    // Else after the limit.
    let sim = Sim::start(&["--refuse", "503"]).await;
    let service = service(&sim.url(), &[("TRUNKLINE__FALLBACK__MAX_DURATION", "1500ms")]).await;
    let mut phone = Phone::dial(&service, "callId=c-1").await;
    let (state, entered) = fallback(&mut phone).await;
    assert_eq!(state, "entered");
    let (state, gave_up) = fallback(&mut phone).await;
    assert_eq!(state, "gave_up");
    let took = gave_up - entered;
    assert!(took > Duration::from_millis(1_400) && took < Duration::from_secs(3), "{took:?}");
    let before = phone.all_frames();
    assert!(hears(&before, 700.0), "prompts before: {}", phone.summary());
    let ready = get(service.media, "/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)), "a lost model must not empty the fleet");
    exhausted(&service, phone).await;
}

/// Goodbye, stop, close, and so it stands in the books.
async fn exhausted(service: &Service, mut phone: Phone) {
    let from = phone.position();
    assert_eq!(phone.expect("stop").await["reason"], "fallback_exhausted");
    assert!(hears(&phone.frames_between(from, phone.position()), 1_100.0), "the goodbye: {}", phone.summary());
    assert_eq!(phone.closed().await, Some(1000));
    let call = service.ended("c-1").await;
    assert_eq!((&call["endReason"], &call["fallback"]["state"]), (&json!("fallback_exhausted"), &json!("gave_up")));
}

#[tokio::test]
async fn a_first_connect_that_takes_long_is_bridged_by_a_prompt() {
    let mut model = Model::start().await;
    let service = Service::with_model(&model.url(), &[]).await;
    let mut phone = Phone::dial(&service, "callId=c-1").await;
    let started = phone.log[0].0;
    let socket = model.knock().await;
    let (state, at) = fallback(&mut phone).await;
    assert_eq!(state, "entered");
    let waited = at - started;
    assert!(waited > Duration::from_millis(1_900) && waited < Duration::from_millis(3_000), "{waited:?}");
    assert_eq!(service.call("c-1").await["state"], "fallback");
    let ready = get(service.admin, "/readyz").await;
    assert_eq!((ready.status, &ready.json()["checks"]["realtime"]), (200, &json!("degraded")));
    // The bundled recording, audible within a second.
    let prompt = sound::decode(LineCodec::Pcmu, &phone.frames(50).await.concat());
    assert!(sound::level(&prompt) > 300.0, "level {}", sound::level(&prompt));
    let mut session = support::model::Session::open(socket).await;
    session.set_up().await;
    assert_eq!(fallback(&mut phone).await.0, "recovered");
    service.call_when("c-1", "active", |call| call["state"] == "active").await;
}

#[tokio::test]
async fn a_model_that_comes_back_when_nobody_calls_is_noticed() {
    let sim = Sim::start(&["--refuse", "401", "--refuse-first", "1"]).await;
    let service = service(&sim.url(), &[]).await;
    exhausted(&service, Phone::dial(&service, "callId=c-1").await).await;
    // It was missed for the call; whoever looks for it does so every 10 s.
    within(2 * PATIENCE, "the model's return", async {
        while get(service.admin, "/readyz").await.json()["checks"]["realtime"] != "ok" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_operator_hangs_up() {
    let service = service("simulator", &[]).await;
    let mut phone = Phone::dial(&service, "callId=c-1&to=6001").await;
    let other = Phone::dial(&service, "callId=c-2&to=6001").await;
    assert!(matches!(service.post("/admin/calls/c-1/hangup").await.status, 200 | 202));
    assert_eq!(phone.expect("stop").await["reason"], "operator_hangup");
    assert_eq!(phone.closed().await, Some(1000));
    assert_eq!(service.ended("c-1").await["endReason"], "operator_hangup");
    assert_eq!(service.post("/admin/calls/nobody/hangup").await.refusal(), "no_such_call");
    assert!(service.post("/admin/calls/c-1/hangup").await.status >= 400, "it is over");
    assert_eq!(service.call("c-2").await["endReason"], Value::Null);
    drop(other);
}

#[tokio::test]
async fn whoever_speaks_while_he_is_hung_up_on_is_told_so() {
    let service = service("simulator", &[]).await;
    for round in 0..4 {
        let mut phones = Vec::new();
        for number in 0..10 {
            let phone = Phone::dial(&service, &format!("callId=c-{round}-{number}&to=6001")).await;
            // Far more than a voice, so that something is always on its way to the line.
            phone.audio(&[0xff; 160].repeat(10));
            phones.push(phone);
        }
        for (number, phone) in phones.iter().enumerate() {
            for _ in 0..100 {
                phone.audio(&[0xff; 160]);
            }
            service.post(&format!("/admin/calls/c-{round}-{number}/hangup")).await;
        }
        for mut phone in phones {
            assert_eq!(phone.expect("stop").await["reason"], "operator_hangup");
            assert_eq!(phone.closed().await, Some(1000));
        }
    }
}

/// While it drains: no new calls, the live one goes on and may change its socket. Then it ends, and the process with it.
async fn drains(mut service: Service, mut phone: Phone, listener: std::net::SocketAddr) {
    let ready = loop {
        let ready = get(listener, "/readyz").await;
        if ready.status == 503 {
            break ready.json();
        }
    };
    assert_eq!((&ready["ready"], &ready["checks"]["draining"]), (&json!(false), &json!("fail")));
    assert_eq!(get(service.media, "/healthz").await.status, 200);
    let refused = knock(service.media, "/ingest?callId=new&to=6001", &[]).await;
    assert_eq!((refused.status, refused.refusal().as_str()), (503, "draining"));
    assert!(refused.header("retry-after").is_some());

    phone.audio(&sound::pattern(1_600));
    phone.frames(10).await;
    phone.drop_line();
    let mut phone = Phone::dial(&service, "callId=c-1").await;
    phone.audio(&sound::pattern(1_600));
    phone.frames(10).await;
    assert_eq!(service.call("c-1").await["endReason"], Value::Null);
    assert!(service.process.is_running());
    phone.send(json!({"type": "stop"}));
    assert_eq!(phone.expect("stop").await["reason"], "caller_hangup");
    assert_eq!(phone.closed().await, Some(1000));
    assert_eq!(service.process.exit(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn sigterm_lets_live_calls_finish() {
    let service = service("simulator", &[]).await;
    let phone = Phone::dial(&service, "callId=c-1&to=6001").await;
    service.process.signal("TERM");
    let listener = service.media;
    drains(service, phone, listener).await;
}

#[tokio::test]
async fn an_operator_drains() {
    let service = service("simulator", &[]).await;
    let phone = Phone::dial(&service, "callId=c-1&to=6001").await;
    assert!(matches!(service.post("/admin/drain").await.status, 200 | 202));
    let listener = service.admin;
    drains(service, phone, listener).await;
}

#[tokio::test]
async fn a_signal_after_an_operators_drain_is_the_same_wish() {
    let service = service("simulator", &[]).await;
    let phone = Phone::dial(&service, "callId=c-1&to=6001").await;
    service.post("/admin/drain").await;
    while get(service.media, "/readyz").await.status != 503 {}
    service.process.signal("TERM");
    let listener = service.media;
    drains(service, phone, listener).await;
}

#[tokio::test]
async fn without_calls_a_drained_service_ends_at_once() {
    let mut service = service("simulator", &[]).await;
    service.process.signal("TERM");
    assert_eq!(service.process.exit(Duration::from_secs(5)).await.code(), Some(0));
}

#[tokio::test]
async fn after_the_drain_timeout_callers_hear_a_goodbye() {
    let mut service = service("simulator", &[("TRUNKLINE__CALLS__DRAIN_TIMEOUT", "500ms")]).await;
    let mut phone = Phone::dial(&service, "callId=c-1").await;
    service.call_when("c-1", "active", |call| call["state"] == "active").await;
    let asked = Instant::now();
    service.process.signal("TERM");
    assert_eq!(phone.expect("stop").await["reason"], "drained");
    assert!(
        asked.elapsed() > Duration::from_millis(700),
        "the timeout and the goodbye take longer than {:?}",
        asked.elapsed()
    );
    assert!(hears(&phone.all_frames(), 1_100.0), "the goodbye: {}", phone.summary());
    assert_eq!(phone.closed().await, Some(1001));
    assert_eq!(service.process.exit(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn a_second_sigterm_ends_at_once() {
    let mut service = service("simulator", &[]).await;
    let mut phone = Phone::dial(&service, "callId=c-1&to=6001").await;
    service.process.signal("TERM");
    while get(service.media, "/readyz").await.status != 503 {}
    service.process.signal("TERM");
    let asked = Instant::now();
    assert_eq!(phone.expect("stop").await["reason"], "drained");
    assert_eq!(phone.closed().await, Some(1001));
    assert_eq!(service.process.exit(Duration::from_secs(5)).await.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

/// A call that is watched while another one is ill: it gets a frame every 20 ms and loses none.
struct Neighbour(Phone, Instant);

impl Neighbour {
    async fn call(service: &Service) -> Self {
        let mut phone = Phone::dial(service, "callId=neighbour&to=6001&fill=silence").await;
        phone.frames(1).await;
        Self(phone, Instant::now())
    }

    async fn noticed_nothing(mut self, service: &Service) {
        let frames = (self.1.elapsed().as_millis() / 20) as usize;
        self.0.frames(frames).await;
        let late = self.1.elapsed().saturating_sub(Duration::from_millis(20) * frames as u32);
        assert!(late < Duration::from_millis(800), "{frames} frames came {late:?} late");
        let call = service.call("neighbour").await;
        assert_eq!(call["down"]["dropped"], 0, "{call:#}");
        assert_eq!(call["endReason"], Value::Null);
    }
}

/// Growth of a service's memory that a few stalled peers may cause, in KiB.
const BOUND: u64 = 40_000;

#[tokio::test]
async fn a_caller_who_takes_nothing_costs_little_and_shows_as_drops() {
    let mut model = Model::start().await;
    let more = [("TRUNKLINE__REALTIME__STALL_TIMEOUT", "5s"), ("TRUNKLINE__REALTIME__RESPONSE_TIMEOUT", "5s")];
    let service = service(&model.url(), &more).await;
    let neighbour = Neighbour::call(&service).await;
    let phone = Phone::dial_narrow(&service, "callId=c-1").await;
    let session = model.session().await;
    service.call_when("c-1", "active", |call| call["state"] == "active").await;
    let before = service.process.memory();
    phone.stop_reading();
    // Five minutes of speech at once: 14 MB as it comes, 2.4 MB as it waits to be played.
    let second = sound::bytes(&sound::tone(24_000, 400.0, 1_000));
    session.begin_answer(1, &[], &[]);
    for _ in 0..290 {
        session.audio_delta("resp_1", "item_1", &second);
        // The model's side lives on.
        tokio::task::yield_now().await;
    }
    let call = service.call_when("c-1", "dropping", |call| call["down"]["dropped"].as_u64().unwrap() >= 50).await;
    // Little sound waits between our clock and this peer: what it is said to have heard is nearly that.
    println!("a stalled caller took {} frames", call["down"]["frames"]);
    assert!(call["down"]["frames"].as_u64().unwrap() < 150, "{call:#}");
    assert!(call["drops"]["down"].as_object().unwrap().contains_key("socket"), "{call:#}");
    let after = service.process.memory();
    assert!(after < before + BOUND, "from {before} to {after} KiB");
    println!("a stalled caller with 290 s of speech waiting: {before} -> {after} KiB");
    neighbour.noticed_nothing(&service).await;
}

#[tokio::test]
async fn a_model_that_takes_nothing_costs_little_and_shows_as_drops() {
    let mut model = Model::start().await;
    let more = [("TRUNKLINE__REALTIME__STALL_TIMEOUT", "3s"), ("TRUNKLINE__CALLS__UPSTREAM_BUFFER", "500ms")];
    let service = service(&model.url(), &more).await;
    let neighbour = Neighbour::call(&service).await;
    let mut phone = Phone::dial(&service, "callId=c-1").await;
    let mut session = model.session().await;
    phone.speak(sound::pattern(1_600), 160).await.unwrap();
    session.hear(200 * 48).await;
    let before = service.process.memory();
    session.stop_reading();
    // Faster than real time, or the kernel would hold minutes of it.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(2) {
        for _ in 0..20 {
            phone.audio(&sound::pattern(8_000));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let call = service.call_when("c-1", "dropping", |call| call["up"]["dropped"].as_u64().unwrap() > 0).await;
    assert!(call["up"]["queuedMs"].as_u64().unwrap() <= 1_000, "{call:#}");
    let after = service.process.memory();
    assert!(after < before + BOUND, "from {before} to {after} KiB");
    println!("a stalled model, {} frames of speech: {before} -> {after} KiB", call["up"]["frames"]);
    assert_eq!(fallback(&mut phone).await.0, "entered");
    let call = service.call("c-1").await;
    assert_eq!((&call["state"], &call["fallback"]["state"]), (&json!("fallback"), &json!("media")));
    neighbour.noticed_nothing(&service).await;
}

#[tokio::test]
async fn strangers_who_open_sockets_and_say_nothing_or_nonsense_hinder_nobody() {
    let service = service("simulator", &[]).await;
    let neighbour = Neighbour::call(&service).await;
    let before = service.process.memory();
    let mut strangers = Vec::new();
    for number in 0..200 {
        let mut socket = TcpStream::connect(service.media).await.unwrap();
        match number % 4 {
            0 => {}
            1 => socket.write_all(b"GET /ingest?callId=half HTTP/1.1\r\nHost: a\r\nUpgr").await.unwrap(),
            2 => socket.write_all(&sound::pattern(4_000)).await.unwrap(),
            _ => {
                // A web socket, then noise in its place.
                let request = format!(
                    "GET /ingest?callId=noise-{number}&to=6001 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                );
                socket.write_all(request.as_bytes()).await.unwrap();
                let mut answer = [0; 12];
                socket.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"HTTP/1.1 101");
                let noise = &sound::pattern(20_000)[number * 7..];
                // The service may have closed it already.
                let _ = socket.write_all(noise).await;
            }
        }
        strangers.push(socket);
    }
    let mut phone = Phone::dial(&service, "callId=c-1&to=6001").await;
    phone.audio(&sound::pattern(1_600));
    phone.frames(10).await;
    let after = service.process.memory();
    assert!(after < before + BOUND, "from {before} to {after} KiB");
    println!("200 strangers: {before} -> {after} KiB");
    assert!(!service.process.stderr().contains("panic"), "{}", service.process.stderr());
    neighbour.noticed_nothing(&service).await;
}

#[tokio::test]
async fn no_secret_is_ever_shown() {
    const SECRETS: [&str; 3] = ["kEy-4711-model", "tOken-4712-admin", "sEcret-4713-ingest"];
    let mut model = Model::start().await;
    let url = model.url();
    let env = [
        ("TRUNKLINE__REALTIME__URL", url.as_str()),
        ("TRUNKLINE__REALTIME__API_KEY", SECRETS[0]),
        ("TRUNKLINE__ADMIN__TOKEN", SECRETS[1]),
        ("TRUNKLINE__INGEST__SECRET", SECRETS[2]),
        ("TRUNKLINE__LOG__FILTER", "trace"),
    ];
    let mut service = Service::start(&env).await;
    let mut seen = String::new();
    let bearer = |secret: &str| format!("Bearer {secret}");
    let (admin, ingest) = (bearer(SECRETS[1]), bearer(SECRETS[2]));
    let mut phone = Phone::dial_with(&service, "callId=c-1&from=%2B15550001234", &[("authorization", &ingest)]).await;
    let session = model.session().await;
    assert_eq!(session.header("api-key"), Some(SECRETS[0]));
    session.close(1011, "oops");
    phone.expect("fallback").await;
    let mut session = model.session().await;
    session.send(json!({"type": "error", "event_id": "e", "error": {"type": "invalid_request_error", "code": "c", "message": "m"}}));
    phone.expect("fallback").await;
    seen.push_str(&phone.summary());
    for path in
        ["/", "/healthz", "/readyz", "/metrics", "/admin/calls", "/admin/calls/c-1", "/admin/calls/none", "/nowhere"]
    {
        for headers in [vec![], vec![("Authorization", admin.as_str())], vec![("Authorization", "Bearer wrong")]] {
            seen.push_str(&format!("{:?}", support::http::request(service.admin, "GET", path, &headers).await));
        }
    }
    for query in ["callId=c-2", "callId=c-2&token=1.2", "callId=&codec=x"] {
        seen.push_str(&format!("{:?}", knock(service.media, &format!("/ingest?{query}"), &[]).await));
    }
    phone.send(json!({"type": "stop"}));
    phone.closed().await;
    while let (_, Said::Event(_) | Said::Audio(_)) = session.next().await {}
    service.process.signal("TERM");
    service.process.exit(PATIENCE).await;
    seen.push_str(&service.process.stdout());
    let log = service.process.stderr();
    assert!(log.contains("c-1"), "the log is there");
    for secret in SECRETS {
        assert!(!seen.contains(secret), "{secret} in {seen}");
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was logged");
    }
    let number = log.lines().find(|line| line.contains("5550001234"));
    assert_eq!(number, None, "numbers are masked in the log");
}
