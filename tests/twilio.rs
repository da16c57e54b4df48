//! Twilio Media Streams: who is let in, audio both ways, marks, barge-in, keys, and every way it ends.
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
use support::http::{knock, token};
use support::model::{Model, Session, unix_now};
use support::process::Service;
use support::sound;
use support::twilio::{Got, Stream, signature, start};
use tokio::time::Instant;

const SECRET: &str = "s3cret";
const AUTH_TOKEN: &str = "4e7a0f9d1c2b3a495867768594a3b2c1";
/// Path, headers, and the status and code that answer them.
type Knock = (String, Vec<(&'static str, String)>, u16, &'static str);

/// Milliseconds between what was heard and what is told, on a machine that may be busy with other things; see
/// `barge_in_clears_over_there_and_truncates_to_what_was_heard` for how exact it is.
const LATE_LOOK: i64 = 60;
/// As the echo route wants it: what goes in comes out, byte for byte.
const PCMU: (&str, &str) = ("TRUNKLINE__REALTIME__AUDIO", "pcmu");

/// A tone of the model's, pcm16 at 24 kHz.
fn pcm(ms: u32) -> Vec<u8> {
    sound::bytes(&sound::tone(24_000, 400.0, ms))
}

/// A service, a call on its model route, and that call's session.
async fn call(env: &[(&str, &str)]) -> (Service, Model, Stream, Session) {
    call_late(env, Duration::ZERO).await
}

/// With a Twilio that plays everything so much later.
async fn call_late(env: &[(&str, &str)], delay: Duration) -> (Service, Model, Stream, Session) {
    let mut model = Model::start().await;
    let service = Service::with_model(&model.url(), env).await;
    let stream = Stream::connect_late(&service, "/media-stream", &[], delay).await;
    stream.begin("CA1", json!({}));
    let session = model.session().await;
    begun(&service, "CA1").await;
    (service, model, stream, session)
}

/// Waits until a call has begun: that is known only some time after its socket.
async fn begun(service: &Service, id: &str) -> Value {
    let deadline = Instant::now() + support::PATIENCE;
    while service.get(&format!("/admin/calls/{id}")).await.status == 404 {
        assert!(Instant::now() < deadline, "{id} does not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    service.call_when(id, "active", |call| call["state"] == "active").await
}

async fn calls(service: &Service) -> usize {
    service.get("/admin/calls").await.json()["calls"].as_array().unwrap().len()
}

/// Milliseconds of an item of this length that were played when the clear came.
fn played_of(item_ms: i64, clear: i64) -> i64 {
    if clear < 0 { item_ms + clear } else { clear }
}

#[tokio::test]
async fn a_call_is_named_by_its_start_and_carried_both_ways() {
    let service = Service::start(&[PCMU]).await;
    let paths = ["/media-stream", "/media-stream/", "/ingest?dialect=twilio", "/ingest?dialect=twilio&callId=CA3"];
    for (n, path) in paths.iter().enumerate() {
        let sid = format!("CA{n}");
        let mut stream = Stream::connect(&service, path, &[]).await;
        let parameters =
            json!({"from": "+15550100001", "to": "6001", "ticket": "7", "smaTransactionId": format!("t-{n}")});
        stream.begin(&sid, parameters);
        let call = begun(&service, &format!("t-{n}")).await;
        assert_eq!(call["callId"], *sid, "{path}");
        assert_eq!((&call["link"], &call["route"]), (&json!("twilio"), &json!("6001")));
        assert_eq!((&call["from"], &call["to"]), (&json!("***0001"), &json!("***6001")), "{path}");
        let sent = sound::pattern(50 * 160);
        sent.chunks(160).for_each(|frame| stream.media(frame));
        assert_eq!(stream.frames(50).await, sent, "{path}: byte for byte");
        let call = service.call(&sid).await;
        assert_eq!((&call["up"]["frames"], &call["up"]["dropped"]), (&json!(50), &json!(0)), "{path}");
    }
}

#[tokio::test]
async fn what_comes_before_the_start_and_of_other_tracks_is_not_heard() {
    let service = Service::start(&[PCMU]).await;
    let mut stream = Stream::connect(&service, "/media-stream", &[]).await;
    stream.media(&sound::pattern(160));
    stream.text("nonsense");
    stream.key("1");
    stream.begin("CA1", json!({"to": "6001"}));
    let noise = base64_simd::STANDARD.encode_to_string([1; 160]);
    stream.send(json!({"event": "media", "streamSid": "MZ1", "media": {"track": "outbound", "payload": noise}}));
    stream.send(json!({"event": "media", "streamSid": "MZ1", "media": {"track": "inbound", "payload": "!!!"}}));
    for wrong in ["", "nonsense", "[]", "{}", r#"{"event":"media"}"#, r#"{"event":"brand.new"}"#] {
        stream.text(wrong);
    }
    stream.media(&sound::pattern(320)[160..]);
    let heard = loop {
        let frame = stream.frames(1).await;
        if frame != [0xff; 160] {
            break frame;
        }
    };
    assert_eq!(heard, sound::pattern(320)[160..], "the call goes on, and nothing else was heard");
    let call = service.call("CA1").await;
    assert_eq!((&call["up"]["frames"], &call["up"]["dropped"]), (&json!(1), &json!(0)), "{call:#}");
    let metrics = service.get("/metrics").await.body;
    assert!(metrics.contains("trunkline_malformed_messages_total 6\n"), "each is counted: {metrics}");
}

#[tokio::test]
async fn a_reply_is_sent_a_lead_ahead_and_marked() {
    for (lead, ahead) in [("0s", 0), ("100ms", 100), ("200ms", 200)] {
        let (service, _model, mut stream, session) = call(&[("TRUNKLINE__INGEST__TWILIO__LEAD", lead)]).await;
        let asked = Instant::now();
        session.answer(1, &pcm(2_000), &[24_000]);
        assert_eq!(stream.mark().await, "item_1");
        let times = stream.frame_times();
        assert_eq!(times.len(), 100, "lead {lead}: {}", stream.summary());
        // How much of what had come by then was not yet to be played: never more than the lead, however late we look.
        let early = |n: usize| n as i64 * 20 - (times[n] - asked).as_millis() as i64;
        let most = (0..100).map(early).max().unwrap();
        assert!(most <= ahead, "lead {lead}: {most} ms ahead");
        let mut steady: Vec<i64> = (11..100).map(early).collect();
        steady.sort_unstable();
        let median = steady[steady.len() / 2];
        assert!(median >= ahead - 80, "lead {lead}: only {median} ms ahead");
        let call = service.call("CA1").await;
        let down = &call["down"];
        assert_eq!(
            (&down["frames"], &down["dropped"], &down["underruns"]),
            (&json!(100), &json!(0), &json!(0)),
            "{call:#}"
        );

        // Its mark is answered: all of it was heard, and the next thing the model is told is the key.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut session = session;
        session.speech_started("item_u1");
        stream.clear().await;
        session.turn_over("item_u1");
        stream.key("#");
        session.expect("conversation.item.create").await;
    }
}

#[tokio::test]
async fn barge_in_clears_over_there_and_truncates_to_what_was_heard() {
    for lead in ["0s", "100ms", "200ms"] {
        let (service, _model, mut stream, mut session) = call(&[("TRUNKLINE__INGEST__TWILIO__LEAD", lead)]).await;
        let mut errors = Vec::new();
        for round in 1..=5 {
            let (response, item) = (format!("resp_{round}"), format!("item_{round}"));
            session.begin_answer(round, &pcm(3_000), &[24_000]);
            stream.frames(25).await;
            tokio::time::sleep(Duration::from_millis(u64::from(round) * 3)).await;
            session.speech_started(&format!("item_u{round}"));
            let heard = stream.clear().await;
            let truncate = session.expect("conversation.item.truncate").await;
            assert_eq!((&truncate["item_id"], &truncate["content_index"]), (&json!(item), &json!(0)));
            errors.push(truncate["audio_end_ms"].as_i64().unwrap() - heard);
            session.response_done(&response, &item, "cancelled");
            session.turn_over(&format!("item_u{round}"));
        }
        println!("lead {lead}: truncated {errors:?} ms off");
        // A machine that is busy with other things may look late now and then.
        errors.sort_unstable_by_key(|error| error.abs());
        assert!(errors[2].abs() <= 20, "lead {lead}: truncated {errors:?} ms off");
        let call = service.call("CA1").await;
        assert_eq!((&call["model"]["interruptions"], &call["down"]["dropped"]), (&json!(5), &json!(0)), "{call:#}");
    }
}

#[tokio::test]
async fn a_mark_that_a_clear_flushes_is_not_taken_for_heard() {
    let (service, _model, mut stream, mut session) = call(&[("TRUNKLINE__INGEST__TWILIO__LEAD", "200ms")]).await;
    session.answer(1, &pcm(1_000), &[24_000]);
    // All of it is out, and up to 200 ms of it are still to be played: the mark comes back with the clear.
    stream.mark().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    session.speech_started("item_u1");
    let heard = played_of(1_000, stream.clear().await);
    assert!((820..990).contains(&heard), "the clear came in the last 200 ms: {heard}");
    let truncate = session.expect("conversation.item.truncate").await;
    let told = truncate["audio_end_ms"].as_i64().unwrap();
    assert!((told - heard).abs() <= LATE_LOOK, "told {told} ms, heard {heard} ms");

    // It taught nothing about how far behind Twilio is either.
    session.turn_over("item_u1");
    session.begin_answer(2, &pcm(2_000), &[24_000]);
    stream.frames(40).await;
    session.speech_started("item_u2");
    let heard = stream.clear().await;
    let told = session.expect("conversation.item.truncate").await["audio_end_ms"].as_i64().unwrap();
    assert!((told - heard).abs() <= LATE_LOOK, "told {told} ms, heard {heard} ms");
    assert_eq!(service.call("CA1").await["model"]["interruptions"], 2);
}

#[tokio::test]
async fn marks_say_how_far_twilio_is_behind() {
    let (service, _model, mut stream, mut session) = call_late(&[], Duration::from_millis(250)).await;
    session.answer(1, &pcm(400), &[24_000]);
    stream.mark().await;
    // Until its mark has come back.
    tokio::time::sleep(Duration::from_millis(600)).await;
    session.begin_answer(2, &pcm(3_000), &[24_000]);
    stream.frames(50).await;
    session.speech_started("item_u1");
    let heard = stream.clear().await;
    let truncate = session.expect("conversation.item.truncate").await;
    let told = truncate["audio_end_ms"].as_i64().unwrap();
    assert_eq!(truncate["item_id"], "item_2", "the first one was heard");
    assert!((told - heard).abs() <= LATE_LOOK, "told {told} ms, heard {heard} ms");
    assert_eq!(service.call("CA1").await["down"]["dropped"], 0);
}

#[tokio::test]
async fn keys_interrupt_and_become_a_turn() {
    let (_service, _model, mut stream, mut session) = call(&[]).await;
    session.begin_answer(1, &pcm(3_000), &[24_000]);
    stream.frames(20).await;
    stream.key("1");
    let heard = stream.clear().await;
    session.expect("response.cancel").await;
    let told = session.expect("conversation.item.truncate").await["audio_end_ms"].as_i64().unwrap();
    assert!((told - heard).abs() <= LATE_LOOK, "told {told} ms, heard {heard} ms");
    session.response_done("resp_1", "item_1", "cancelled");
    stream.key("2");
    stream.key("#");
    let turn = session.expect("conversation.item.create").await;
    assert!(turn["item"]["content"][0]["text"].as_str().unwrap().contains("12"), "{turn}");
    session.expect("response.create").await;
}

#[tokio::test]
async fn either_side_ends_it_and_the_last_word_is_heard() {
    // The caller hangs up.
    let (service, _model, mut stream, _session) = call(&[]).await;
    stream.stop();
    let (code, _, _) = stream.closed().await;
    assert_eq!(code, Some(1000));
    assert_eq!(service.ended("CA1").await["endReason"], "caller_hangup");

    // The model does, once Twilio has played its goodbye.
    let (service, _model, mut stream, session) = call(&[("TRUNKLINE__INGEST__TWILIO__LEAD", "200ms")]).await;
    session.begin_answer(1, &pcm(700), &[24_000]);
    session.audio_done("resp_1", "item_1");
    session.call_tool("resp_1", "call_1", "hang_up", "{}");
    session.response_done("resp_1", "item_1", "completed");
    let (code, _, unplayed) = stream.closed().await;
    assert_eq!((code, unplayed), (Some(1000), 0), "{}", stream.summary());
    assert_eq!(stream.frame_times().len(), 35);
    assert_eq!(service.ended("CA1").await["endReason"], "model_hangup");

    // A number that is rejected.
    let service = Service::configured("[[routes]]\nmatch = \"666*\"\nkind = \"reject\"\n", &[]).await;
    let mut stream = Stream::call_with(&service, "CA1", json!({"to": "6661"})).await;
    assert_eq!(stream.closed().await.0, Some(1000));
    assert_eq!(service.ended("CA1").await["endReason"], "rejected");
}

#[tokio::test]
async fn what_twilio_cannot_do_the_model_is_told() {
    let (service, _model, stream, mut session) = call(&[]).await;
    for (number, tool, arguments) in
        [(1, "transfer_call", r#"{"to":"+15550100077"}"#), (2, "send_dtmf", r#"{"digits":"12"}"#)]
    {
        let (response, call) = (format!("resp_{number}"), format!("call_{number}"));
        session.response_created(&response);
        session.call_tool(&response, &call, tool, arguments);
        session.response_done(&response, "item_x", "completed");
        let output = session.expect("conversation.item.create").await;
        assert_eq!(output["item"]["call_id"], call.as_str());
        assert!(output["item"]["output"].as_str().unwrap().contains("error"), "{output}");
        session.expect("response.create").await;
    }
    assert!(stream.log.is_empty(), "Twilio is told nothing that it would close the stream for");
    assert_eq!(service.call("CA1").await["state"], "active");
}

#[tokio::test]
async fn whoever_has_no_business_here_is_refused_before_the_upgrade() {
    let env = [
        ("TRUNKLINE__INGEST__SECRET", SECRET),
        ("TRUNKLINE__INGEST__TWILIO__AUTH_TOKEN", AUTH_TOKEN),
        ("TRUNKLINE__INGEST__ALLOWED_ORIGINS", "https://console.example.com"),
    ];
    let service = Service::start(&env).await;
    let own = format!("wss://{}/media-stream", service.media);
    let sign = |url: &str| signature(AUTH_TOKEN, url);
    let forwarded = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "bridge.example.com")];
    let good_token = token(SECRET, "CA1", "media", unix_now() + 60);
    let bad_token = token("other", "CA1", "media", unix_now() + 60);
    let signed = |url: &str| vec![("X-Twilio-Signature", sign(url))];
    let behind_proxy = |url: &str| {
        let mut headers = signed(url);
        headers.extend(forwarded.map(|(name, value)| (name, value.to_owned())));
        headers
    };
    let header = |name: &'static str, value: &str| vec![(name, value.to_owned())];
    let cases: Vec<Knock> = vec![
        ("/media-stream".into(), vec![], 101, ""),
        ("/media-stream".into(), signed(&own), 101, ""),
        ("/media-stream".into(), signed(&format!("{own}/")), 101, ""),
        ("/media-stream/".into(), signed(&own), 101, ""),
        ("/media-stream".into(), signed(&own.replace("wss", "https")), 101, ""),
        ("/media-stream".into(), signed("wss://other.example.com/media-stream"), 401, "unauthorized"),
        ("/media-stream".into(), header("X-Twilio-Signature", &signature("other", &own)), 401, "unauthorized"),
        ("/media-stream".into(), header("X-Twilio-Signature", ""), 401, "unauthorized"),
        ("/media-stream".into(), behind_proxy("wss://bridge.example.com/media-stream"), 101, ""),
        ("/media-stream".into(), behind_proxy("https://bridge.example.com:443/media-stream"), 101, ""),
        ("/media-stream".into(), behind_proxy(&own), 401, "unauthorized"),
        ("/media-stream".into(), header("Authorization", "Bearer s3cret"), 101, ""),
        ("/media-stream".into(), header("Authorization", "Bearer wrong"), 401, "unauthorized"),
        ("/media-stream".into(), header("X-Gateway-Secret", "wrong"), 401, "unauthorized"),
        ("/media-stream".into(), header("Origin", "https://evil.example.com"), 403, "origin_not_allowed"),
        ("/media-stream".into(), header("Origin", "https://console.example.com"), 101, ""),
        (format!("/ingest?dialect=twilio&callId=CA1&token={good_token}"), vec![], 101, ""),
        (format!("/ingest?dialect=twilio&callId=CA2&token={good_token}"), vec![], 401, "unauthorized"),
        (format!("/ingest?dialect=twilio&token={good_token}"), vec![], 401, "unauthorized"),
        (format!("/ingest?dialect=twilio&callId=CA1&token={bad_token}"), vec![], 401, "unauthorized"),
        ("/ingest?dialect=twilio&callId=a%20b".into(), vec![], 400, "bad_call_id"),
        ("/ingest?dialect=twilio&codec=pcma".into(), vec![], 400, "bad_parameter"),
        ("/ingest?dialect=twilio&role=listen".into(), vec![], 400, "bad_parameter"),
        ("/ingest?dialect=twilio&fill=silence".into(), vec![], 400, "bad_parameter"),
        ("/ingest?dialect=twilio&codec=pcmu&role=media&fill=none".into(), vec![], 101, ""),
        ("/ingest?dialect=native&callId=CA1".into(), vec![], 401, "unauthorized"),
    ];
    for (path, headers, status, code) in &cases {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = knock(service.media, path, &headers).await;
        assert_eq!(answer.status, *status, "{path} {headers:?}: {answer:?}");
        if *status != 101 {
            assert_eq!(answer.refusal(), *code, "{path} {headers:?}");
        }
    }
    assert_eq!(calls(&service).await, 0, "none of them has a call");

    // Without the shared secret no token can be checked: a signature is the only way in.
    let service = Service::start(&[("TRUNKLINE__INGEST__TWILIO__AUTH_TOKEN", AUTH_TOKEN)]).await;
    let own = format!("wss://{}/media-stream", service.media);
    assert_eq!(knock(service.media, "/media-stream", &[]).await.status, 401);
    assert_eq!(knock(service.media, "/media-stream", &[("X-Twilio-Signature", &sign(&own))]).await.status, 101);
    // Without a token of Twilio's its signatures count for nothing, and do no harm.
    let service = Service::start(&[("TRUNKLINE__INGEST__SECRET", SECRET)]).await;
    let headers = [("X-Twilio-Signature", "AAAA")];
    assert_eq!(knock(service.media, "/media-stream", &headers).await.status, 101);
    assert!(!service.process.stderr().contains(SECRET));
}

#[tokio::test]
async fn a_token_in_the_start_lets_in_once() {
    let env = [("TRUNKLINE__INGEST__SECRET", SECRET), PCMU];
    let service = Service::start(&env).await;
    let soon = unix_now() + 60;
    let good = token(SECRET, "CA1", "media", soon);
    let parameters = |token: &str| json!({"to": "6001", "token": token});
    let mut stream = Stream::call_with(&service, "CA1", parameters(&good)).await;
    sound::pattern(160 * 20).chunks(160).for_each(|frame| stream.media(frame));
    assert_eq!(stream.frames(20).await, sound::pattern(160 * 20));

    let wrong = [
        good.clone(),
        format!("0{good}"),
        good.to_uppercase(),
        token(SECRET, "CA2", "media", soon),
        token(SECRET, "CA1", "listen", soon),
        token(SECRET, "CA1", "media", unix_now() - 10),
        token("other", "CA1", "media", soon),
        String::new(),
    ];
    for token in &wrong {
        let mut other = Stream::call_with(&service, "CA1", parameters(token)).await;
        let (code, why, _) = other.closed().await;
        assert_eq!((code, why.as_str()), (Some(4401), "no valid token"), "{token}");
    }
    let mut other = Stream::call(&service, "CA9").await;
    assert_eq!(other.closed().await.0, Some(4401), "none at all");
    assert_eq!(calls(&service).await, 1);
    // The call itself noticed nothing of all that, and another good token takes it over.
    let second = Stream::call_with(&service, "CA1", parameters(&token(SECRET, "CA1", "media", soon + 1))).await;
    assert_eq!(stream.closed().await.0, Some(4409));
    drop(second);
    assert!(!service.process.stderr().contains(good.split_once('.').unwrap().1), "no token in the log");
}

#[tokio::test]
async fn whoever_waits_too_long_or_in_too_large_a_crowd_is_turned_away() {
    let service = Service::start(&[("TRUNKLINE__INGEST__SECRET", SECRET)]).await;
    let began = Instant::now();
    let mut late = Stream::connect(&service, "/media-stream", &[]).await;
    late.send(json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}));
    let mut known = Stream::connect(&service, "/media-stream", &[("Authorization", "Bearer s3cret")]).await;
    let mut crowd = Vec::new();
    for _ in 0..255 {
        crowd.push(Stream::connect(&service, "/media-stream", &[]).await);
    }
    let refused = knock(service.media, "/media-stream", &[]).await;
    assert_eq!((refused.status, refused.refusal().as_str()), (503, "at_capacity"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(knock(service.media, "/media-stream", &[("Authorization", "Bearer s3cret")]).await.status, 101);
    assert_eq!(calls(&service).await, 0);

    assert_eq!(late.closed().await.0, Some(4401));
    let waited = began.elapsed();
    assert!(waited > Duration::from_millis(4_900) && waited < Duration::from_secs(8), "{waited:?}");
    assert_eq!(known.closed().await.0, Some(1008), "nobody waits for a start for ever");
    for mut stream in crowd {
        assert_eq!(stream.closed().await.0, Some(4401));
    }
    // There is room again.
    let parameters = json!({"to": "6001", "token": token(SECRET, "CA1", "media", unix_now() + 60)});
    let _stream = Stream::call_with(&service, "CA1", parameters).await;
    begun(&service, "CA1").await;
}

#[tokio::test]
async fn a_start_that_cannot_be_served_is_closed_with_its_reason() {
    let service = Service::start(&[("TRUNKLINE__CALLS__MAX", "1")]).await;
    let mut wrong = start("CA1", json!({}));
    wrong["start"]["mediaFormat"]["encoding"] = json!("audio/x-l16");
    let cases: [(&str, Value, u16, &str); 4] = [
        ("/media-stream", wrong, 1003, "mediaFormat"),
        ("/media-stream", start("CA 1", json!({})), 1008, "callSid"),
        ("/ingest?dialect=twilio&callId=CA2", start("CA1", json!({})), 1008, "callId"),
        ("/media-stream", json!({"event": "start", "start": 7}), 1007, "start"),
    ];
    for (path, message, code, part) in cases {
        let mut stream = Stream::connect(&service, path, &[]).await;
        stream.send(message);
        let (given, why, _) = stream.closed().await;
        assert_eq!(given, Some(code), "{path}: {why}");
        assert!(why.contains(part), "{why}");
    }
    let mut stream = Stream::connect(&service, "/media-stream", &[]).await;
    stream.text(&"x".repeat(65_537));
    assert_eq!(stream.closed().await.0, Some(1009));
    assert_eq!(calls(&service).await, 0);

    // A full or draining service can say so only now; a live call is never refused.
    let mut first = Stream::call_with(&service, "CA1", json!({"to": "6001"})).await;
    begun(&service, "CA1").await;
    let mut refused = Stream::call(&service, "CA2").await;
    let (code, why, _) = refused.closed().await;
    assert_eq!((code, why.as_str()), (Some(1013), "at_capacity"));
    service.post("/admin/drain").await;
    let mut refused = Stream::call(&service, "CA2").await;
    let (code, why, _) = refused.closed().await;
    assert_eq!((code, why.as_str()), (Some(1013), "draining"));
    let _again = Stream::call_with(&service, "CA1", json!({"to": "6001"})).await;
    assert_eq!(first.closed().await.0, Some(4409), "the newest has the call");
}

#[tokio::test]
async fn a_socket_that_is_lost_comes_back_to_its_call() {
    let (service, _model, mut stream, session) = call(&[]).await;
    session.begin_answer(1, &pcm(3_000), &[24_000]);
    stream.frames(20).await;
    stream.drop_line();
    let lost = |call: &Value| call["timeline"].to_string().contains("lost without stop");
    service.call_when("CA1", "without its socket", lost).await;
    let mut stream = Stream::call(&service, "CA1").await;
    // It goes on, again with a lead, and is interrupted like any other.
    let mut session = session;
    stream.frames(20).await;
    let before = service.call("CA1").await["down"]["frames"].as_u64().unwrap();
    assert!((40..70).contains(&before), "{before} frames in all");
    session.speech_started("item_u1");
    let heard = stream.clear().await;
    let told = session.expect("conversation.item.truncate").await["audio_end_ms"].as_i64().unwrap();
    let sent_before = told - heard;
    // What was queued there when the line was lost does not count: 400 ms were sent, 100 of them ahead of time.
    assert!((260..=520).contains(&sent_before), "told {told} ms, heard {heard} ms since");
    assert_eq!(service.call("CA1").await["link"], "twilio");
    assert!(stream.log.iter().all(|(_, got)| !matches!(got, Got::Closed(..))));
}
