//! `/ingest`: who is let in, what is said on the line, how it ends.
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
use support::model::{Model, unix_now};
use support::phone::{Heard, Phone};
use support::process::Service;
use support::sound;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use trunkline_media::LineCodec;

const ECHO: &str = "callId=c-1&to=6001";

/// A header that is sent along, if any.
type Credentials = Option<(&'static str, String)>;

/// The next frame that is not silence: a caller's pause is filled with it, and the echo route gives that back too.
async fn after_silence(phone: &mut Phone) -> Vec<u8> {
    loop {
        let frame = phone.frames(1).await.concat();
        if frame != [0xff; 160] {
            return frame;
        }
    }
}

#[tokio::test]
async fn whoever_has_no_business_here_is_refused_before_the_upgrade() {
    let env = [
        ("TRUNKLINE__INGEST__SECRET", "s3cret"),
        ("TRUNKLINE__INGEST__ALLOWED_ORIGINS", "https://console.example.com"),
        ("TRUNKLINE__INGEST__REATTACH_GRACE", "200ms"),
    ];
    let service = Service::start(&env).await;
    let soon = unix_now() + 60;
    let basic = |text: &str| format!("Basic {}", base64_simd::STANDARD.encode_to_string(text));
    let bearer = ("Authorization", "Bearer s3cret".to_owned());

    // Credentials, in each of the four forms.
    let good_token = format!("&token={}", token("s3cret", "c-1", "media", soon));
    let wrong_tokens = [
        token("s3cret", "c-1", "media", unix_now() - 10),
        token("s3cret", "c-2", "media", soon),
        token("s3cret", "c-1", "listen", soon),
        token("other", "c-1", "media", soon),
        token("s3cret", "c-1", "media", soon).to_uppercase(),
        format!("{}.{}", soon + 1, token("s3cret", "c-1", "media", soon).split_once('.').unwrap().1),
        "nonsense".to_owned(),
        String::new(),
    ];
    let mut table: Vec<(String, Credentials, u16)> = vec![
        (String::new(), None, 401),
        (String::new(), Some(bearer.clone()), 101),
        (String::new(), Some(("Authorization", "Bearer wrong".to_owned())), 401),
        (String::new(), Some(("Authorization", "Bearer s3cret2".to_owned())), 401),
        (String::new(), Some(("Authorization", basic("gateway:s3cret"))), 101),
        (String::new(), Some(("Authorization", basic("s3cret:wrong"))), 401),
        (String::new(), Some(("Authorization", "Basic s3cret".to_owned())), 401),
        (String::new(), Some(("X-Gateway-Secret", "s3cret".to_owned())), 101),
        (String::new(), Some(("X-Gateway-Secret", "wrong".to_owned())), 401),
        (good_token, None, 101),
    ];
    table.extend(wrong_tokens.iter().map(|token| (format!("&token={token}"), None, 401)));
    for (query, header, status) in &table {
        let headers: Vec<_> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = knock(service.media, &format!("/ingest?callId=c-1{query}"), &headers).await;
        assert_eq!(answer.status, *status, "{query} {header:?}: {answer:?}");
        if *status == 401 {
            assert_eq!(answer.refusal(), "unauthorized");
            assert!(answer.header("content-type").unwrap().starts_with("application/json"), "{answer:?}");
        }
    }

    // What is asked for, and from where.
    let long = "x".repeat(129);
    let longest = "x".repeat(128);
    let cases: Vec<(String, &str, u16, &str)> = vec![
        (String::new(), "", 400, "bad_call_id"),
        ("callId=".to_owned(), "", 400, "bad_call_id"),
        ("callId=a%20b".to_owned(), "", 400, "bad_call_id"),
        ("callId=a/b".to_owned(), "", 400, "bad_call_id"),
        (format!("callId={long}"), "", 400, "bad_call_id"),
        (format!("callId={longest}"), "", 101, ""),
        ("callId=AZaz09._:@-".to_owned(), "", 101, ""),
        ("callId=c-1&codec=opus".to_owned(), "", 400, "bad_parameter"),
        ("callId=c-1&role=boss".to_owned(), "", 400, "bad_parameter"),
        ("callId=c-1&fill=music".to_owned(), "", 400, "bad_parameter"),
        ("callId=c-1&dialect=klingon".to_owned(), "", 400, "bad_parameter"),
        (format!("callId=c-1&from={long}"), "", 400, "bad_parameter"),
        (format!("callId=c-1&smaTransactionId={long}"), "", 400, "bad_parameter"),
        (format!("callId=c-1&to={longest}"), "", 101, ""),
        ("callId=c-9&role=listen".to_owned(), "", 404, "no_such_call"),
        ("callId=c-1".to_owned(), "https://evil.example.com", 403, "origin_not_allowed"),
        ("callId=c-1".to_owned(), "https://console.example.com.evil.example", 403, "origin_not_allowed"),
        ("callId=c-1".to_owned(), "null", 403, "origin_not_allowed"),
        ("callId=c-1".to_owned(), "https://console.example.com", 101, ""),
    ];
    for (query, origin, status, code) in &cases {
        let mut headers = vec![("Authorization", "Bearer s3cret")];
        if !origin.is_empty() {
            headers.push(("Origin", origin));
        }
        let answer = knock(service.media, &format!("/ingest?{query}"), &headers).await;
        assert_eq!(answer.status, *status, "{query} {origin}: {answer:?}");
        if *status != 101 {
            assert_eq!(answer.refusal(), *code, "{query} {origin}");
        }
    }
}

#[tokio::test]
async fn past_its_capacity_new_calls_are_refused_but_live_ones_are_not_hindered() {
    let service = Service::start(&[("TRUNKLINE__CALLS__MAX", "1")]).await;
    let mut first = Phone::dial(&service, ECHO).await;

    let refused = knock(service.media, "/ingest?callId=c-2", &[]).await;
    assert_eq!((refused.status, refused.refusal().as_str()), (503, "at_capacity"));
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    let ready = support::http::get(service.media, "/readyz").await;
    assert_eq!((ready.status, &ready.json()["checks"]["capacity"]), (503, &json!("fail")));

    let mut listener = Phone::dial(&service, "callId=c-1&role=listen").await;
    let second = Phone::dial(&service, ECHO).await;
    assert_eq!(first.closed().await, Some(4409));

    second.send(json!({"type": "stop"}));
    assert_eq!(listener.expect("stop").await["reason"], "caller_hangup");
    service.ended("c-1").await;
    Phone::dial(&service, "callId=c-2&to=6001").await;
}

#[tokio::test]
async fn the_echo_route_gives_every_byte_back_in_its_order() {
    let service = Service::start(&[("TRUNKLINE__REALTIME__AUDIO", "pcmu")]).await;
    let mut phone = Phone::dial(&service, ECHO).await;
    let Heard::Text(ready) = phone.log[0].1.clone() else { panic!("no text") };
    assert_eq!(ready, json!({"type": "ready", "callId": "c-1", "codec": "pcmu", "frameMs": 20}));

    // Odd sizes are cut to frames of 20 ms anew: 6,400 bytes are 40 of them.
    let sent = sound::pattern(6_400);
    let mut rest = sent.as_slice();
    for size in [1, 159, 160, 161, 7, 333, 640, 2, 1_000].into_iter().cycle() {
        let (now, later) = rest.split_at(size.min(rest.len()));
        phone.audio(now);
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    let frames = phone.frames(40).await;
    assert!(frames.iter().all(|frame| frame.len() == 160));
    assert_eq!(frames.concat(), sent, "byte for byte");

    // Each is sent 20 ms after the one before.
    let times: Vec<Instant> =
        phone.log.iter().filter(|(_, heard)| matches!(heard, Heard::Audio(_))).map(|(at, _)| *at).collect();
    let took = times[39] - times[0];
    assert!(took > Duration::from_millis(39 * 20 - 45) && took < Duration::from_millis(39 * 20 + 400), "{took:?}");
    let call = service.call("c-1").await;
    assert_eq!(
        (&call["up"]["frames"], &call["up"]["dropped"], &call["down"]["dropped"]),
        (&json!(40), &json!(0), &json!(0))
    );
    assert_eq!((&call["route"], &call["model"]["state"]), (&json!("6001"), &json!("off")));
}

#[tokio::test]
async fn every_codec_comes_back_as_the_same_sound() {
    let service = Service::start(&[]).await;
    for (codec, bytes) in [(LineCodec::Pcmu, 160), (LineCodec::Pcma, 160), (LineCodec::L16, 320)] {
        let name = codec.name();
        let mut phone = Phone::dial(&service, &format!("callId=c-{name}&to=6001&codec={name}")).await;
        let Heard::Text(ready) = &phone.log[0].1 else { panic!("no text") };
        assert_eq!(ready["codec"], name);
        let spoken = sound::tone(8_000, 1_000.0, 600);
        let _speaking = phone.speak(sound::encode(codec, &spoken), bytes);
        // Silence follows in real time, so 40 frames hold all that was said, whatever the delay.
        let frames = phone.frames(40).await;
        assert!(frames.iter().all(|frame| frame.len() == bytes), "{name}");
        let heard = sound::decode(codec, &frames.concat());
        let loud: Vec<usize> = (0..frames.len()).filter(|n| sound::level(&heard[n * 160..][..160]) > 1_000.0).collect();
        assert!((29..=31).contains(&loud.len()), "{name}: 600 ms are 30 frames, heard {loud:?}");
        assert_eq!(loud.last().unwrap() - loud[0] + 1, loud.len(), "{name}: no gap in {loud:?}");
        let middle = &heard[(loud[0] + 2) * 160..][..25 * 160];
        let amplitude = sound::amplitude(middle, 1_000.0);
        assert!((amplitude - 8_000.0).abs() < 200.0, "{name}: {amplitude}");
        let noise = (sound::level(middle).powi(2) - amplitude * amplitude / 2.0).max(0.0).sqrt();
        let limit = if codec == LineCodec::L16 { 8.0 } else { 160.0 };
        assert!(noise < limit, "{name}: noise of {noise}");
    }
}

#[tokio::test]
async fn too_much_audio_in_one_message_is_answered_or_ends_the_socket() {
    let service = Service::start(&[("TRUNKLINE__REALTIME__AUDIO", "pcmu")]).await;
    let mut phone = Phone::dial(&service, ECHO).await;
    let mut other = Phone::dial(&service, "callId=other&to=6001&fill=silence").await;

    phone.audio(&sound::pattern(8_000));
    assert_eq!(phone.frames(50).await.concat(), sound::pattern(8_000), "8,000 bytes are allowed");
    for size in [8_001, 20_000, 65_536] {
        phone.audio(&vec![0; size]);
        assert_eq!(phone.expect("error").await["code"], "bad_audio", "{size}");
    }
    // Discarded, every ms of it, and counted: 1,001 + 2,500 + 8,192 ms.
    let call = service.call("c-1").await;
    let dropped = call["up"]["dropped"].as_u64().unwrap();
    assert!((584..=587).contains(&dropped), "{call:#}");
    assert_eq!(call["up"]["frames"], 50, "{call:#}");

    phone.audio(&vec![0; 65_537]);
    assert_eq!(phone.closed().await, Some(1009));
    let mut phone = Phone::dial(&service, ECHO).await;
    phone.audio(&vec![0; 10_000_000]);
    assert_eq!(phone.closed().await, Some(1009));
    // In several frames likewise; and a text is UTF-8.
    let mut phone = Phone::dial(&service, ECHO).await;
    let part = |kind, last| Message::Frame(Frame::message(vec![0; 40_000], OpCode::Data(kind), last));
    phone.message(part(Data::Binary, false));
    phone.message(part(Data::Continue, true));
    assert_eq!(phone.closed().await, Some(1009));
    let mut phone = Phone::dial(&service, ECHO).await;
    phone.message(Message::Frame(Frame::message(vec![0xff], OpCode::Data(Data::Text), true)));
    assert_eq!(phone.closed().await, Some(1007));
    // The call is still there for the next socket.
    let mut phone = Phone::dial(&service, ECHO).await;
    phone.audio(&sound::pattern(160));
    assert_eq!(after_silence(&mut phone).await, sound::pattern(160));
    assert_eq!(service.call("c-1").await["up"]["frames"], 51);

    // The neighbour noticed nothing: a frame every 20 ms all the while.
    let started = other.log[0].0;
    let frames = other.frames(50).await.len() as u32;
    let behind = started.elapsed().saturating_sub(Duration::from_millis(20) * frames);
    let more = (behind.as_millis() / 20) as usize;
    other.frames(more.saturating_sub(10)).await;
    let call = service.call("other").await;
    assert_eq!((&call["down"]["dropped"], &call["down"]["underruns"]), (&json!(0), &json!(0)), "{call:#}");
}

#[tokio::test]
async fn wrong_text_is_answered_and_changes_nothing() {
    let service = Service::start(&[("TRUNKLINE__REALTIME__AUDIO", "pcmu")]).await;
    let mut phone = Phone::dial(&service, ECHO).await;
    let almost = format!("\"{}\"", "x".repeat(65_534));
    let wrong = [
        "",
        "hello",
        "null",
        "[]",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"dance\"}",
        "{\"type\":\"clear\"}",
        "{\"type\":\"dtmf\"}",
        "{\"type\":\"dtmf\",\"digit\":\"77\"}",
        "{\"type\":\"start\",\"direction\":\"sideways\"}",
        "{\"type\":\"stop\"",
        &almost,
    ];
    for text in wrong {
        phone.text(text);
        let error = phone.expect("error").await;
        let strings = ["code", "message"].map(|key| error[key].as_str().is_some_and(|text| !text.is_empty()));
        assert_eq!((strings, error.as_object().unwrap().len()), ([true; 2], 3), "{text:.40}: {error}");
    }
    phone.audio(&sound::pattern(320));
    assert_eq!(phone.frames(2).await.concat(), sound::pattern(320), "the call goes on");
    assert_eq!(phone.kinds(), [vec!["ready"], vec!["error"; wrong.len()]].concat());

    phone.text(&"x".repeat(65_537));
    assert_eq!(phone.closed().await, Some(1009));
}

#[tokio::test]
async fn stop_ends_the_call() {
    let service = Service::start(&[]).await;
    let mut phone = Phone::dial(&service, ECHO).await;
    phone.send(json!({"type": "stop", "reason": "caller hung up"}));
    assert_eq!(phone.next().await, Heard::Text(json!({"type": "stop", "reason": "caller_hangup"})));
    assert_eq!(phone.next().await, Heard::Closed(Some(1000)));
    let call = service.ended("c-1").await;
    assert_eq!(call["endReason"], "caller_hangup");
    // The id is free for a new call.
    Phone::dial(&service, ECHO).await;
    assert_eq!(service.call("c-1").await["endReason"], Value::Null);
}

#[tokio::test]
async fn a_peer_without_a_heartbeat_is_lost_and_one_with_a_heartbeat_is_not() {
    let env = [
        ("TRUNKLINE__INGEST__HEARTBEAT", "100ms"),
        ("TRUNKLINE__INGEST__HEARTBEAT_TIMEOUT", "600ms"),
        ("TRUNKLINE__INGEST__REATTACH_GRACE", "200ms"),
    ];
    let service = Service::start(&env).await;
    let mut well = Phone::dial(&service, "callId=well&to=6001").await;
    let mut dead = Phone::dial(&service, "callId=dead&to=6001").await;
    dead.mute();
    assert_eq!(dead.closed().await, Some(4408));
    assert_eq!(service.ended("dead").await["endReason"], "media_lost");
    assert!(well.pings() >= 5, "{} pings", well.pings());
    well.text("?");
    well.expect("error").await;
}

#[tokio::test]
async fn the_newest_media_socket_has_the_call() {
    let service = Service::start(&[("TRUNKLINE__REALTIME__AUDIO", "pcmu")]).await;
    let mut first = Phone::dial(&service, ECHO).await;
    first.audio(&sound::pattern(160));
    first.frames(1).await;
    let mut second = Phone::dial(&service, ECHO).await;
    assert_eq!(first.closed().await, Some(4409));
    assert!(!first.kinds().contains(&"stop".to_owned()), "the call is not over: {}", first.summary());
    second.audio(&sound::pattern(320));
    assert_eq!(after_silence(&mut second).await, sound::pattern(160));
    assert_eq!(second.frames(1).await.concat(), sound::pattern(320)[160..]);
    let call = service.call("c-1").await;
    assert_eq!((&call["up"]["frames"], &call["endReason"]), (&json!(3), &Value::Null));
}

#[tokio::test]
async fn a_call_outlives_its_socket_for_the_grace_and_no_longer() {
    let service = Service::start(&[("TRUNKLINE__INGEST__REATTACH_GRACE", "900ms")]).await;
    let mut model_calls = Vec::new();
    for id in ["comes", "stays-away"] {
        let phone = Phone::dial(&service, &format!("callId={id}&to=6001&from=%2B15550001")).await;
        service.call_when(id, "active", |call| call["state"] == "active").await;
        model_calls.push(phone);
    }
    for phone in model_calls {
        phone.drop_line();
    }
    // The one that comes again goes on where it was, whatever it says now.
    let mut phone = Phone::dial(&service, "callId=comes&to=666").await;
    assert_eq!(service.ended("stays-away").await["endReason"], "media_lost");
    let call = service.call("comes").await;
    assert_eq!((&call["state"], &call["route"], &call["from"]), (&json!("active"), &json!("6001"), &json!("***0001")));
    phone.audio(&[0xff; 160]);
    phone.frames(1).await;
    let ended = service.get("/admin/calls?state=ended").await.json();
    assert_eq!(ended["calls"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_listener_hears_caller_and_model_and_says_nothing() {
    let mut model = Model::start().await;
    let service = Service::with_model(&model.url(), &[]).await;
    let mut phone = Phone::dial(&service, "callId=c-1").await;
    let mut session = model.session().await;
    let mut listener = Phone::dial(&service, "callId=c-1&role=listen&codec=l16").await;
    listener.audio(&[0; 160]);
    listener.send(json!({"type": "stop"}));

    let _speaking = phone.speak(sound::pcmu_tone(500.0, 1_400), 160);
    session.hear(200 * 48).await;
    session.answer(1, &sound::bytes(&sound::tone(24_000, 1_500.0, 1_000)), &[4_800]);
    phone.expect("mark").await;
    let heard: Vec<i16> = listener
        .frames(80)
        .await
        .iter()
        .flat_map(|frame| {
            assert_eq!(frame.len(), 320);
            sound::decode(LineCodec::L16, frame)
        })
        .collect();
    // Somewhere half a second holds both, each at its level.
    let both = (0..60 * 160).step_by(160).any(|from| {
        let part = &heard[from..][..20 * 160];
        [500.0, 1_500.0].iter().all(|hz| (sound::amplitude(part, *hz) - 8_000.0).abs() < 900.0)
    });
    assert!(both, "caller and model are not heard together");
    let call = service.call("c-1").await;
    assert_ne!(call["state"], "ended", "a listener cannot stop the call");
    assert!(session.audio.len() < 3_000 * 48, "a listener is not heard");

    phone.send(json!({"type": "stop"}));
    assert_eq!(listener.expect("stop").await["reason"], "caller_hangup");
    assert_eq!(listener.closed().await, Some(1000));
}

#[tokio::test]
async fn with_fill_there_is_a_frame_every_20_ms_from_the_start() {
    let service = Service::start(&[]).await;
    let mut phone = Phone::dial(&service, "callId=c-1&to=6001&fill=silence&codec=pcma").await;
    let frames = phone.frames(60).await;
    assert!(frames.iter().all(|frame| frame.as_ref() == [0xd5; 160]), "A-law silence");
    let times: Vec<Instant> = phone.log.iter().skip(1).map(|(at, _)| *at).collect();
    // A stall of this machine may shift the clock once, never let it drift or burst.
    for (n, at) in times.iter().enumerate() {
        let earliest = Duration::from_millis(20) * n as u32;
        assert!(*at - times[0] + Duration::from_millis(45) > earliest, "frame {n} came after {:?}", *at - times[0]);
    }
    assert!(times[59] - times[0] < Duration::from_millis(59 * 20 + 500), "{:?}", times[59] - times[0]);

    // Without fill nothing comes until something plays: the answer to a wrong text comes first.
    let mut quiet = Phone::dial(&service, "callId=c-2&to=6001").await;
    service.call_when("c-2", "active", |call| call["state"] == "active").await;
    quiet.text("?");
    assert!(quiet.next().await.is("error"), "{}", quiet.summary());
}

const ROUTES: &str = r#"
[[routes]]
match = "6001"
kind = "echo"
[[routes]]
match = "666*"
kind = "reject"
[[routes]]
match = "+1555???"
kind = "model"
instructions = "You are the sales desk."
voice = "cedar"
[[routes]]
match = "*"
kind = "model"
instructions = "You are the front desk."
"#;

#[tokio::test]
async fn the_number_called_chooses_the_route() {
    let mut model = Model::start().await;
    let url = model.url();
    let service = Service::configured(ROUTES, &[("TRUNKLINE__REALTIME__URL", &url)]).await;

    // (query, start, route taken, what its model is told)
    let cases = [
        ("to=%2B1555123", None, "+1555???", Some("You are the sales desk.")),
        ("to=6001", None, "6001", None),
        ("route=6001&to=%2B1555123", Some(json!({"type": "start", "to": "+1555123"})), "6001", None),
        ("", Some(json!({"type": "start", "to": "+1555123"})), "+1555???", Some("You are the sales desk.")),
        ("", Some(json!({"type": "start", "to": "6001"})), "6001", None),
        ("", Some(json!({"type": "start", "from": "+15550001"})), "*", Some("You are the front desk.")),
        ("to=%2B49", None, "*", Some("You are the front desk.")),
        ("", None, "*", Some("You are the front desk.")),
    ];
    // A session that is let go of would be replaced by another.
    let mut held = Vec::new();
    for (number, (query, start, route, told)) in cases.into_iter().enumerate() {
        let id = format!("c-{number}");
        let phone = Phone::dial(&service, &format!("callId={id}&{query}")).await;
        if let Some(start) = &start {
            phone.send(start.clone());
        }
        if let Some(told) = told {
            let mut session = model.accept().await;
            session.created();
            let update = session.expect("session.update").await;
            assert_eq!(update["session"]["instructions"], told, "{query} {start:?}");
            let voice = if route == "*" { Value::Null } else { json!("cedar") };
            assert_eq!(update["session"]["audio"]["output"]["voice"], voice, "{query} {start:?}");
            // It is fixed now.
            phone.send(json!({"type": "start", "to": "6001"}));
            held.push(session);
        }
        service.call_when(&id, "routed", |call| call["route"] == route).await;
    }
    // All that is known is in the call's JSON, whichever way it came; the query's word stands.
    let phone = Phone::dial(&service, "callId=facts&to=6001&smaTransactionId=sma-1&from=%2B15550001").await;
    phone.send(json!({"type": "start", "from": "+15559999", "direction": "outbound", "metadata": {"ticket": 7}}));
    let call = service.call_when("facts", "started", |call| call["direction"] == "outbound").await;
    assert_eq!(call["smaTransactionId"], "sma-1");
    assert_eq!(service.call("sma-1").await["callId"], "facts");

    let mut rejected = Phone::dial(&service, "callId=rejected&to=6661").await;
    assert_eq!(rejected.expect("stop").await["reason"], "rejected");
    assert_eq!(rejected.closed().await, Some(1000));
    let call = service.ended("rejected").await;
    assert_eq!((&call["endReason"], &call["route"]), (&json!("rejected"), &json!("666*")));
}

#[tokio::test]
async fn a_call_without_media_or_end_is_ended() {
    let short = [
        ("TRUNKLINE__CALLS__MEDIA_TIMEOUT", "500ms"),
        ("TRUNKLINE__CALLS__MAX_DURATION", "2s"),
        ("TRUNKLINE__CALLS__DRAIN_TIMEOUT", "1s"),
    ];
    let service = Service::start(&short).await;
    let mut silent = Phone::dial(&service, "callId=silent&to=6001").await;
    let mut stops = Phone::dial(&service, "callId=stops&to=6001").await;
    let mut talks = Phone::dial(&service, "callId=talks&to=6001").await;
    stops.audio(&[0xff; 160]);
    let _talking = talks.speak(sound::pcmu_tone(400.0, 20_000), 160);
    assert_eq!(silent.expect("stop").await["reason"], "no_media");
    assert_eq!(stops.expect("stop").await["reason"], "media_lost");
    assert_eq!(talks.expect("stop").await["reason"], "max_duration");
    assert_eq!(talks.closed().await, Some(1000));
    for (id, reason) in [("silent", "no_media"), ("stops", "media_lost"), ("talks", "max_duration")] {
        assert_eq!(service.ended(id).await["endReason"], reason);
    }
}
