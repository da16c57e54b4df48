//! The transport against real sockets on loopback.

use std::sync::Arc;
use std::time::Duration;

use actix_tls::connect::{ConnectInfo, Connector as TcpConnector};
use actix_web::dev::Service as _;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use awc::http::Uri;
use bytes::Bytes;
use futures_util::future::{join, join_all};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use trunkline_actors::ports::{ConnectError, Incoming, ModelSocket, ModelTransport as _, Outgoing};

use super::test_peer::{BINARY, CLOSE, CONTINUE, FIRST_TEXT, LAST, PING, PONG, Peer, TEXT, frame, listen, soon};
use super::transport::Tuned;
use super::{Auth, AwcTransport, TransportSettings};

const MIB: usize = 1 << 20;

fn transport(auth: Auth, timeout: Duration) -> AwcTransport {
    AwcTransport::new(Arc::new(TransportSettings::new(auth, None, timeout).unwrap()))
}

fn plain() -> AwcTransport {
    transport(Auth::none(), Duration::from_secs(8))
}

async fn connected() -> (ModelSocket, Peer) {
    let (listener, url) = listen().await;
    let transport = plain();
    let (socket, peer) = soon(join(transport.connect(&url), Peer::upgraded(&listener))).await;
    (socket.unwrap(), peer)
}

fn text(text: &str) -> Incoming {
    Incoming::Text(Bytes::copy_from_slice(text.as_bytes()))
}

async fn next(socket: &mut ModelSocket) -> Incoming {
    soon(socket.incoming.next()).await.expect("ended without Closed")
}

async fn failure(transport: &AwcTransport, url: &str) -> ConnectError {
    soon(transport.connect(url)).await.err().expect("connected")
}

#[actix_rt::test]
async fn text_goes_both_ways_and_the_first_may_come_with_the_upgrade() {
    let (listener, url) = listen().await;
    let serve = async {
        let mut peer = Peer::accept(&listener).await;
        peer.upgrade(&frame(TEXT, b"early")).await;
        peer
    };
    let transport = plain();
    let (socket, mut peer) = soon(join(transport.connect(&url), serve)).await;
    let mut socket = socket.unwrap();
    assert_eq!(next(&mut socket).await, text("early"));
    peer.send(TEXT, b"down").await;
    assert_eq!(next(&mut socket).await, text("down"));
    soon(socket.outgoing.send(Outgoing::Text("up".into()))).await.unwrap();
    assert_eq!(soon(peer.recv()).await, Some((TEXT, b"up".to_vec())));
    drop(socket);
    assert_eq!(soon(peer.recv()).await, None);
}

#[actix_rt::test]
async fn the_upgrade_request_is_what_azure_expects() {
    for (auth, header) in [
        (Auth::none(), None),
        (Auth::api_key("k1").unwrap(), Some(("api-key", "k1"))),
        (Auth::bearer("k2").unwrap(), Some(("authorization", "Bearer k2"))),
    ] {
        let (listener, url) = listen().await;
        let transport = transport(auth, Duration::from_secs(8));
        let (socket, peer) = soon(join(transport.connect(&url), Peer::upgraded(&listener))).await;
        assert!(socket.is_ok());
        assert!(peer.request.starts_with("GET /openai/v1/realtime?model=m&secret=hush HTTP/1.1\r\n"));
        for name in ["api-key", "authorization"] {
            let expected = header.and_then(|(n, value)| (n == name).then_some(value));
            assert_eq!(peer.header(name), expected, "{name}");
        }
        assert_eq!(peer.header("openai-beta"), None);
        assert_eq!(peer.header("sec-websocket-protocol"), None);
        assert!(peer.header("user-agent").unwrap().starts_with("trunkline/"));
    }
}

#[actix_rt::test]
async fn pings_and_pongs_pass_both_ways() {
    let (mut socket, mut peer) = connected().await;
    peer.send(PING, b"are you there").await;
    let Incoming::Ping(payload) = next(&mut socket).await else { panic!("no ping") };
    soon(socket.outgoing.send(Outgoing::Pong(payload))).await.unwrap();
    assert_eq!(soon(peer.recv()).await, Some((PONG, b"are you there".to_vec())));
    soon(socket.outgoing.send(Outgoing::Ping)).await.unwrap();
    assert_eq!(soon(peer.recv()).await, Some((PING, vec![])));
    peer.send(PONG, b"").await;
    assert_eq!(next(&mut socket).await, Incoming::Pong);
}

#[actix_rt::test]
async fn fragments_are_put_together_around_a_ping() {
    let (mut socket, mut peer) = connected().await;
    peer.send(FIRST_TEXT, b"a").await;
    peer.send(PING, b"p").await;
    peer.send(CONTINUE, b"b").await;
    peer.send(LAST, b"c").await;
    assert_eq!(next(&mut socket).await, Incoming::Ping("p".into()));
    assert_eq!(next(&mut socket).await, text("abc"));
}

#[actix_rt::test]
async fn large_binary_and_oversized_messages_do_not_end_the_socket() {
    let (mut socket, mut peer) = connected().await;
    let serve = async {
        peer.send(TEXT, &vec![b'x'; 3 * MIB]).await;
        peer.send(BINARY, b"\0\x01").await;
        peer.send(FIRST_TEXT, &vec![b'y'; 3 * MIB]).await;
        for _ in 0..6 {
            peer.send(CONTINUE, &vec![b'y'; 3 * MIB]).await;
        }
        peer.send(LAST, b"y").await;
        peer.send(TEXT, b"after").await;
    };
    let expect = async {
        let Incoming::Text(large) = next(&mut socket).await else { panic!("no text") };
        assert_eq!(large.len(), 3 * MIB);
        assert_eq!(next(&mut socket).await, Incoming::Undecodable, "binary");
        assert_eq!(next(&mut socket).await, Incoming::Undecodable, "21 MiB in fragments");
        assert_eq!(next(&mut socket).await, text("after"));
    };
    join(serve, expect).await;
}

#[actix_rt::test]
async fn a_frame_over_the_bound_ends_the_socket_with_1009() {
    let (mut socket, mut peer) = connected().await;
    peer.send(TEXT, b"fine").await;
    assert_eq!(next(&mut socket).await, text("fine"));
    // It promises 1 GiB and is cut off long before.
    let mut head = vec![TEXT, 127];
    head.extend_from_slice(&(1_u64 << 30).to_be_bytes());
    peer.stream.write_all(&head).await.unwrap();
    let (mut read, mut write) = peer.stream.split();
    let pour = async {
        let piece = vec![0; 64 << 10];
        let mut poured = 0;
        while poured < 64 * MIB && write.write_all(&piece).await.is_ok() {
            poured += piece.len();
        }
        poured
    };
    let expect = async {
        let closed = next(&mut socket).await;
        assert!(matches!(closed, Incoming::Closed { code: None, reason } if reason.contains("size bound")));
        assert_eq!(socket.incoming.next().await, None);
        assert!(socket.outgoing.send(Outgoing::Ping).await.is_err());
        let mut complaint = [0; 8];
        read.read_exact(&mut complaint).await.unwrap();
        drop(socket);
        complaint
    };
    let (poured, complaint) = soon(join(pour, expect)).await;
    assert!(poured < 32 * MIB, "{poured} bytes were taken");
    // A masked close frame of two bytes.
    assert_eq!(complaint[..2], [CLOSE, 0x82]);
    assert_eq!([complaint[6] ^ complaint[2], complaint[7] ^ complaint[3]], 1009_u16.to_be_bytes());
}

#[actix_rt::test]
async fn a_refused_upgrade_gives_its_status() {
    for status in [400, 401, 403, 404, 429, 500, 503, 200] {
        let (listener, url) = listen().await;
        let transport = transport(Auth::api_key("hush").unwrap(), Duration::from_secs(8));
        let serve = async { Peer::accept(&listener).await.refuse(status).await };
        let (socket, ()) = soon(join(transport.connect(&url), serve)).await;
        assert_eq!(socket.err(), Some(ConnectError::Refused { status }));
    }
}

#[actix_rt::test]
async fn what_cannot_be_reached_is_told_without_secrets() {
    let key = || Auth::api_key("hush").unwrap();
    let (listener, url) = listen().await;
    let silent = failure(&transport(key(), Duration::from_millis(150)), &url).await;
    drop(listener);
    let closed = failure(&transport(key(), Duration::from_secs(8)), &url).await;
    let (listener, url) = listen().await;
    let serve = async {
        let mut peer = Peer::accept(&listener).await;
        let _ = peer.stream.write_all(b"SSH-2.0-hello\r\n\r\n").await;
    };
    let other = transport(key(), Duration::from_secs(8));
    let (garbage, ()) = soon(join(failure(&other, &url), serve)).await;
    let wrong = failure(&plain(), "http://hush.example/?secret=hush").await;
    let broken = failure(&plain(), "not an address hush").await;
    for (error, says) in [
        (silent, "127.0.0.1: no "),
        (closed, "127.0.0.1: Connection refused"),
        (garbage, "127.0.0.1: its answer is not HTTP"),
        (wrong, "ws://host"),
        (broken, "ws://host"),
    ] {
        let shown = format!("{error} {error:?}");
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{shown}");
        assert!(shown.contains(says), "{shown}");
        assert!(!shown.contains("hush") && !shown.contains("model=m"), "{shown}");
    }
}

#[actix_rt::test]
async fn a_connect_given_up_leaves_no_connection() {
    let (listener, url) = listen().await;
    let transport = plain();
    let mut connecting = transport.connect(&url);
    let mut peer = soon(async {
        tokio::select! {
            peer = Peer::accept(&listener) => peer,
            _ = &mut connecting => panic!("connected without an answer"),
        }
    })
    .await;
    drop(connecting);
    assert_eq!(soon(peer.stream.read(&mut [0; 16])).await.unwrap_or(0), 0);
}

#[actix_rt::test]
async fn the_models_close_is_answered_and_told_with_code_and_reason() {
    let mut expired = 1001_u16.to_be_bytes().to_vec();
    expired.extend_from_slice(b"session expired");
    for (payload, code, said, answer) in [
        (expired, Some(1001), "session expired", 1001_u16),
        (4000_u16.to_be_bytes().to_vec(), Some(4000), "", 4000),
        (vec![], None, "", 1000),
    ] {
        let (mut socket, mut peer) = connected().await;
        peer.send(CLOSE, &payload).await;
        assert_eq!(next(&mut socket).await, Incoming::Closed { code, reason: said.to_owned() });
        assert_eq!(soon(peer.recv()).await, Some((CLOSE, answer.to_be_bytes().to_vec())));
        assert!(socket.outgoing.send(Outgoing::Text("late".into())).await.is_err());
        assert_eq!(socket.incoming.next().await, None);
    }
}

#[actix_rt::test]
async fn our_close_ends_the_sending_side_and_waits_for_the_answer() {
    let (mut socket, mut peer) = connected().await;
    soon(socket.outgoing.send(Outgoing::Close { code: 1000 })).await.unwrap();
    assert!(socket.outgoing.send(Outgoing::Text("late".into())).await.is_err());
    assert_eq!(soon(peer.recv()).await, Some((CLOSE, 1000_u16.to_be_bytes().to_vec())));
    peer.send(TEXT, b"still talking").await;
    peer.send(CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(next(&mut socket).await, text("still talking"));
    assert!(matches!(next(&mut socket).await, Incoming::Closed { code: Some(1000), .. }));
    drop(socket);
    assert_eq!(soon(peer.recv()).await, None, "one close frame is enough");
}

#[actix_rt::test]
async fn a_connection_that_breaks_is_closed_without_a_code() {
    let (mut socket, peer) = connected().await;
    drop(peer);
    assert!(matches!(next(&mut socket).await, Incoming::Closed { code: None, .. }));

    let (mut socket, peer) = connected().await;
    socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    assert!(matches!(next(&mut socket).await, Incoming::Closed { code: None, .. }));
    assert!(socket.outgoing.send(Outgoing::Ping).await.is_err());
    assert!(socket.outgoing.close().await.is_ok());
}

#[actix_rt::test]
async fn a_peer_that_reads_nothing_makes_sends_wait_until_it_dies() {
    let (mut socket, peer) = connected().await;
    let message = "x".repeat(64 << 10);
    let mut taken = 0;
    loop {
        let send = socket.outgoing.send(Outgoing::Text(message.as_str().into()));
        if tokio::time::timeout(Duration::from_millis(200), send).await.is_err() {
            break;
        }
        taken += message.len();
    }
    assert!(taken < 8 * MIB, "{taken} bytes went into a peer that reads nothing");
    assert_eq!(socket.incoming.next().now_or_never(), None, "and nothing is wrong yet");
    socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
    let waiting = socket.outgoing.send(Outgoing::Ping);
    let die = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(peer);
    };
    let (sent, ()) = soon(join(waiting, die)).await;
    assert!(sent.is_err());
}

#[actix_rt::test]
async fn a_send_that_waits_ends_when_the_model_closes() {
    let (socket, mut peer) = connected().await;
    let ModelSocket { mut outgoing, mut incoming } = socket;
    let fill = actix_rt::spawn(async move {
        let message = "x".repeat(64 << 10);
        while outgoing.send(Outgoing::Text(message.as_str().into())).await.is_ok() {}
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!fill.is_finished());
    peer.send(CLOSE, &1001_u16.to_be_bytes()).await;
    let closed = soon(incoming.next()).await;
    assert!(matches!(closed, Some(Incoming::Closed { code: Some(1001), .. })));
    soon(fill).await.unwrap();
}

#[actix_rt::test]
async fn three_hundred_sockets_from_one_client() {
    const SOCKETS: usize = 300;
    let (listener, url) = listen().await;
    actix_rt::spawn(async move {
        loop {
            let mut peer = Peer::upgraded(&listener).await;
            actix_rt::spawn(async move {
                while let Some((kind, payload)) = peer.recv().await {
                    peer.send(kind, &payload).await;
                }
            });
        }
    });
    let transport = plain();
    let sockets = soon(join_all((0..SOCKETS).map(|_| transport.connect(&url)))).await;
    let echoes = sockets.into_iter().enumerate().map(|(i, socket)| async move {
        let mut socket = socket.unwrap();
        socket.outgoing.send(Outgoing::Text(i.to_string().into())).await.unwrap();
        let echoed = socket.incoming.next().await;
        // Kept until all have answered: they are open at the same time.
        (socket, echoed == Some(text(&i.to_string())))
    });
    let echoed = soon(join_all(echoes)).await;
    assert_eq!(echoed.iter().filter(|(_, right)| *right).count(), SOCKETS);
}

#[actix_rt::test]
async fn nodelay_and_a_small_send_buffer_are_set() {
    let (listener, url) = listen().await;
    let uri: Uri = url.parse().unwrap();
    let service = Tuned(TcpConnector::default().service());
    let connection = soon(service.call(ConnectInfo::new(uri))).await.unwrap();
    assert!(connection.io_ref().nodelay().unwrap());
    let buffer = socket2::SockRef::from(connection.io_ref()).send_buffer_size().unwrap();
    assert!(buffer <= 256 << 10, "{buffer}");
    drop(listener);
}

async fn echo(request: HttpRequest, body: web::Payload) -> actix_web::Result<HttpResponse> {
    let (response, mut session, mut stream) = actix_ws::handle(&request, body)?;
    actix_rt::spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            if let actix_ws::Message::Text(text) = message {
                let _ = session.text(text).await;
            }
        }
    });
    Ok(response)
}

#[actix_rt::test]
async fn wss_with_a_private_authority() {
    let settings = TransportSettings::new(Auth::none(), None, Duration::from_secs(8)).unwrap();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let server_tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let server = HttpServer::new(|| App::new().route("/", web::get().to(echo)))
        .workers(1)
        .disable_signals()
        .bind_rustls_0_23("127.0.0.1:0", server_tls)
        .unwrap();
    let url = format!("wss://localhost:{}/", server.addrs()[0].port());
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);

    let stranger = failure(&AwcTransport::new(Arc::new(settings)), &url).await;
    assert!(stranger.to_string().contains("certificate"), "{stranger}");

    let ca_file = std::env::temp_dir().join(format!("trunkline-ca-{}.pem", std::process::id()));
    std::fs::write(&ca_file, signed.cert.pem()).unwrap();
    let settings = TransportSettings::new(Auth::none(), Some(&ca_file), Duration::from_secs(8));
    std::fs::remove_file(&ca_file).unwrap();
    let trusting = AwcTransport::new(Arc::new(settings.unwrap()));
    let mut socket = soon(trusting.connect(&url)).await.unwrap();
    soon(socket.outgoing.send(Outgoing::Text("over tls".into()))).await.unwrap();
    assert_eq!(next(&mut socket).await, text("over tls"));
    drop(socket);
    handle.stop(false).await;
}

#[actix_rt::test]
async fn a_name_nobody_knows_is_unreachable() {
    let error = failure(&plain(), "ws://no-such-host.invalid/?secret=hush").await;
    let shown = error.to_string();
    assert!(shown.contains("no-such-host.invalid") && !shown.contains("hush"), "{shown}");
}

/// Keeps the port of a listener that is gone from being taken for a live one.
#[actix_rt::test]
async fn a_refused_tcp_connection_is_unreachable_at_once() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let begun = tokio::time::Instant::now();
    let error = failure(&plain(), &format!("ws://{gone}/")).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }));
    assert!(begun.elapsed() < Duration::from_secs(2));
}
