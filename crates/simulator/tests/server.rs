//! The simulator on real sockets, met by a client that is not its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::rt;
use awc::BoxedSocket;
use awc::error::WsClientError;
use awc::ws::{Codec, Frame, Message};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use trunkline_simulator::{DieMode, Faults, SimHandle, SimOptions, SimServer};

type Socket = actix_codec::Framed<BoxedSocket, Codec>;

const GA: &str = "/openai/v1/realtime?model=m";

fn with<F: Future<Output = ()>>(options: SimOptions, test: impl FnOnce(SocketAddr, SimHandle) -> F) {
    let _ = rustls::crypto::ring::default_provider().install_default(); // awc wants one, even for ws://
    rt::System::new().block_on(async move {
        let server = SimServer::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
        let (addr, handle) = (server.addr(), server.handle());
        let running = rt::spawn(server.run());
        timeout(Duration::from_secs(30), test(addr, handle.clone())).await.expect("in time");
        handle.stop().await;
        running.await.unwrap().unwrap();
    });
}

async fn connect(addr: SocketAddr, path: &str, key: Option<&str>) -> Result<Socket, u16> {
    let mut request = awc::Client::new().ws(format!("ws://{addr}{path}")).max_frame_size(1 << 24);
    if let Some(key) = key {
        request = request.header("api-key", key);
    }
    match request.connect().await {
        Ok((_, socket)) => Ok(socket),
        Err(WsClientError::InvalidResponseStatus(status)) => Err(status.as_u16()),
        Err(other) => panic!("{other}"),
    }
}

async fn next(socket: &mut Socket) -> Frame {
    socket.next().await.expect("a frame").expect("a good frame")
}

async fn event(socket: &mut Socket) -> Value {
    match next(socket).await {
        Frame::Text(text) => serde_json::from_slice(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn until(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let event = event(socket).await;
        if event["type"] == kind {
            return event;
        }
    }
}

async fn send(socket: &mut Socket, event: Value) {
    socket.send(Message::Text(event.to_string().into())).await.unwrap();
}

#[test]
fn doors() {
    with(SimOptions { key: Some("right".into()), ..SimOptions::default() }, |addr, _| async move {
        let status = |path: &'static str, key| async move { connect(addr, path, key).await.err() };
        assert_eq!(status(GA, None).await, Some(401));
        assert_eq!(status(GA, Some("wrong")).await, Some(401));
        assert_eq!(status("/openai/v1/realtime?model=m&api-version=x", Some("right")).await, Some(404));
        assert_eq!(status("/nothing", Some("right")).await, Some(404));
        assert_eq!(status("/openai/v1/realtime", Some("right")).await, Some(400));
        assert_eq!(status("/openai/v1/realtime?model=m&api-key=right", None).await, None);
        for path in [
            GA,
            "/v1/realtime?model=m",
            "/openai/realtime?api-version=v&deployment=m",
            "/voice-live/realtime?api-version=v&model=m",
        ] {
            let mut socket = connect(addr, path, Some("right")).await.unwrap();
            assert_eq!(event(&mut socket).await["type"], "session.created", "{path}");
        }
        let mut refused = awc::Client::new().get(format!("http://{addr}{GA}")).send().await.unwrap();
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], "401");
        let request =
            awc::Client::new().ws(format!("ws://{addr}{GA}")).header("api-key", "right").protocols(["realtime"]);
        let (response, _) = request.connect().await.unwrap();
        assert_eq!(response.headers().get("sec-websocket-protocol").unwrap(), "realtime");
    });
}

#[test]
fn a_turn_over_the_wire_and_what_was_counted() {
    with(SimOptions { latency: Duration::ZERO, speed: 100.0, ..SimOptions::default() }, |addr, handle| async move {
        let mut socket = connect(addr, GA, Some("any")).await.unwrap();
        let created = event(&mut socket).await;
        assert!(created["session"]["id"].as_str().unwrap().starts_with("sess_"));
        let audio = json!({"format": {"type": "audio/pcmu"}});
        send(&mut socket, json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input": audio, "output": audio}}})).await;
        until(&mut socket, "session.updated").await;
        let bytes = [common::tone_pcmu(1_000), vec![0xFF; 8_000]].concat();
        for packet in bytes.chunks(160) {
            send(
                &mut socket,
                json!({"type": "input_audio_buffer.append", "audio": base64_simd::STANDARD.encode_to_string(packet)}),
            )
            .await;
        }
        let done = until(&mut socket, "response.done").await;
        assert_eq!(done["response"]["status"], "completed");
        let item = done["response"]["output"][0]["id"].clone();
        send(
            &mut socket,
            json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": 100}),
        )
        .await;
        until(&mut socket, "conversation.item.truncated").await;
        socket.send(Message::Ping("x".into())).await.unwrap();
        assert_eq!(next(&mut socket).await, Frame::Pong("x".into()));
        let counters = handle.counters();
        assert_eq!((counters.sessions.get(), counters.open.get(), counters.appended_bytes.get()), (1, 1, 16_000));
        assert_eq!((counters.truncates.get(), counters.pings.get(), counters.completed.get()), (1, 1, 1));
        assert_eq!(handle.log().of_type("conversation.item.truncate")[0].event["audio_end_ms"], 100);
        assert!(handle.log().of_type("input_audio_buffer.append").is_empty());
        // 8 MiB in one message is one append. Detection is off: it would have to listen to 13 minutes.
        let session = json!({"type": "realtime", "audio": {"input": {"turn_detection": null}}});
        send(&mut socket, json!({"type": "session.update", "session": session})).await;
        let zeros = base64_simd::STANDARD.encode_to_string(vec![0xFF; 6 << 20]);
        send(&mut socket, json!({"type": "input_audio_buffer.append", "audio": zeros})).await;
        send(&mut socket, json!({"type": "input_audio_buffer.clear"})).await;
        until(&mut socket, "input_audio_buffer.cleared").await;
        handle.stop().await;
        loop {
            if let Frame::Close(reason) = next(&mut socket).await {
                assert_eq!(u16::from(reason.unwrap().code), 1001);
                break;
            }
        }
    });
}

#[test]
fn refused_first_and_again_when_told() {
    let faults = Faults { refuse: Some(429), refuse_first: Some(2), ..Faults::default() };
    with(SimOptions { faults, ..SimOptions::default() }, |addr, handle| async move {
        let status = || async { connect(addr, GA, Some("k")).await.err() };
        assert_eq!((status().await, status().await, status().await), (Some(429), Some(429), None));
        handle.set_faults(Faults { refuse: Some(503), ..Faults::default() });
        assert_eq!((status().await, status().await), (Some(503), Some(503)));
        handle.set_faults(Faults::default());
        assert_eq!(status().await, None);
        assert_eq!(handle.counters().refused.get(), 4);
    });
}

#[test]
fn endings_on_the_wire() {
    let dying = |mode| Faults {
        die_after: Some(Duration::from_millis(300)),
        die_mode: mode,
        close_code: 1013,
        ..Faults::default()
    };
    with(SimOptions::default(), |addr, handle| async move {
        handle.set_faults(dying(DieMode::Close));
        let mut socket = connect(addr, GA, Some("k")).await.unwrap();
        event(&mut socket).await;
        let Frame::Close(Some(reason)) = next(&mut socket).await else { panic!("no close") };
        assert_eq!(u16::from(reason.code), 1013);

        handle.set_faults(dying(DieMode::Abort));
        let mut socket = connect(addr, GA, Some("k")).await.unwrap();
        event(&mut socket).await;
        assert!(!matches!(socket.next().await, Some(Ok(_))), "ends without a frame");

        handle.set_faults(dying(DieMode::Expire));
        let mut socket = connect(addr, GA, Some("k")).await.unwrap();
        event(&mut socket).await;
        assert_eq!(event(&mut socket).await["error"]["code"], "session_expired");
        let Frame::Close(Some(reason)) = next(&mut socket).await else { panic!("no close") };
        assert_eq!(u16::from(reason.code), 1001);

        handle.set_faults(dying(DieMode::Stall));
        let mut socket = connect(addr, GA, Some("k")).await.unwrap();
        event(&mut socket).await;
        rt::time::sleep(Duration::from_millis(400)).await;
        socket.send(Message::Ping("x".into())).await.unwrap();
        assert!(timeout(Duration::from_secs(1), socket.next()).await.is_err(), "no pong and no end");

        handle.set_faults(Faults::default());
        let mut socket = connect(addr, GA, Some("k")).await.unwrap();
        event(&mut socket).await;
        handle.drop_sessions();
        assert!(!matches!(socket.next().await, Some(Ok(_))), "dropped");
        connect(addr, GA, Some("k")).await.unwrap();
    });
}

#[test]
fn a_slow_reader_makes_its_peer_wait() {
    let faults = Faults { slow: Some(200_000), ..Faults::default() };
    with(SimOptions { faults, ..SimOptions::default() }, |addr, handle| async move {
        let mut socket = connect(addr, GA, Some("k")).await.unwrap();
        event(&mut socket).await;
        let start = Instant::now();
        // 600 kB at 200 kB/s are read in 3 s; answers come meanwhile.
        for _ in 0..60 {
            send(&mut socket, json!({"type": "input_audio_buffer.append", "audio": "A".repeat(10_000)})).await;
        }
        rt::time::sleep_until(start + Duration::from_secs(1)).await;
        let read = handle.counters().appended_bytes.get() * 4 / 3;
        assert!((100_000..300_000).contains(&read), "{read} of 600000 bytes after one second");
    });
}
