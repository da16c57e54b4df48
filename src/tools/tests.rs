//! Tools against real sockets on loopback, which break what they can.

use std::cell::Cell;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use trunkline_call::{CallId, TraceContext};

use super::*;
use crate::settings::{Loaded, Sources};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn asked(name: &str, arguments: String, call_id: &str) -> ToolCall {
    let trace = TraceContext::parse(TRACE, Some("vendor=1")).unwrap();
    ToolCall { name: name.to_owned(), arguments, call_id: CallId::parse(call_id).unwrap(), trace }
}

/// Settings of the one tool `lookup` at `address`, read as the service reads them.
fn settings(name: &str, address: &str, more: &str) -> Vec<HttpToolSettings> {
    let path = std::env::temp_dir().join(format!("trunkline-tools-{}-{name}.toml", std::process::id()));
    let text = format!("[[tools]]\nname = \"lookup\"\ndescription = \"Looks up.\"\nurl = \"{address}\"\n{more}\n");
    std::fs::write(&path, text).unwrap();
    let loaded = Loaded::from_sources(&Sources { file: Some(path.clone()), ..Sources::default() });
    std::fs::remove_file(&path).unwrap();
    loaded.unwrap().settings.tools
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Takes one request: its head and its body.
async fn request(listener: &TcpListener) -> (TcpStream, String, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    (stream, head, String::from_utf8(body).unwrap())
}

/// Fails instead of hanging.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("took more than 10 s")
}

/// What the model is told when the tool sends `answer` and hangs up.
async fn told(name: &str, answer: &[u8]) -> Result<String, String> {
    let (listener, address) = listen().await;
    let factory = factory(&settings(name, &format!("http://{address}/?key=hunter2"), "")).unwrap();
    let serve = async {
        let (mut stream, ..) = request(&listener).await;
        // A caller that has read enough closes early.
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
        let _ = stream.read(&mut [0; 1]).await;
    };
    let call = factory().call(asked("lookup", "{}".to_owned(), "call-1"));
    let (told, ()) = soon(futures_util::future::join(call, serve)).await;
    told
}

fn ok(headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

#[actix_rt::test]
async fn a_call_is_a_post_of_the_arguments() {
    let (listener, address) = listen().await;
    let token = std::env::temp_dir().join(format!("trunkline-tools-{}-token", std::process::id()));
    std::fs::write(&token, "Hunter2\n").unwrap();
    let more = format!("token_file = {token:?}");
    let factory = factory(&settings("post", &format!("http://{address}/orders/find?code=s%20x"), &more)).unwrap();
    std::fs::remove_file(&token).unwrap();
    let arguments = r#"{"number":"4711 ü"}"#;
    let serve = async {
        let (mut stream, head, body) = request(&listener).await;
        stream.write_all(&ok("content-type: text/html\r\n", " {\"state\": \"sent\"}\n")).await.unwrap();
        (head, body)
    };
    let call = factory().call(asked("lookup", arguments.to_owned(), "call-1:a@b"));
    let (told, (head, body)) = soon(futures_util::future::join(call, serve)).await;
    assert_eq!(told.as_deref(), Ok(" {\"state\": \"sent\"}\n"));
    assert_eq!(body, arguments);
    assert!(head.starts_with("post /orders/find?code=s%20x http/1.1\r\n"), "{head}");
    for line in [
        &format!("host: {address}"),
        "content-type: application/json",
        "x-trunkline-call-id: call-1:a@b",
        "authorization: bearer hunter2",
        "connection: close",
        &format!("traceparent: {TRACE}"),
        "tracestate: vendor=1",
    ] {
        assert!(head.lines().any(|there| there == line), "{line} is not in:\n{head}");
    }
}

#[actix_rt::test]
async fn without_a_token_none_is_sent_and_every_call_has_its_own_connection() {
    let (listener, address) = listen().await;
    let factory = factory(&settings("twice", &format!("http://{address}/"), "")).unwrap();
    let serve = async {
        let mut streams = Vec::new();
        for _ in 0..2 {
            let (mut stream, head, _) = request(&listener).await;
            assert!(!head.contains("authorization"), "{head}");
            stream.write_all(&ok("connection: keep-alive\r\n", "x")).await.unwrap();
            streams.push(stream);
        }
    };
    let calls = async {
        for _ in 0..2 {
            assert_eq!(factory().call(asked("lookup", "{}".to_owned(), "c")).await.as_deref(), Ok("x"));
        }
    };
    soon(futures_util::future::join(calls, serve)).await;
}

#[actix_rt::test]
async fn what_the_model_is_told_of_an_answer() {
    const NOT_JSON: &str = "its answer is not the JSON that it says it is";
    let no_content = b"HTTP/1.1 204 No Content\r\n\r\n".as_slice();
    let until_closed = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it".as_slice();
    let old = b"HTTP/1.0 201 Created\r\n\r\nall of it".as_slice();
    let chunked =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n".as_slice();
    let broken_chunks =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n"
            .to_vec();
    let latin = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na\xFCb".as_slice();
    let table: &[(&[u8], Result<&str, &str>)] = &[
        (no_content, Ok(r#"{"ok":true}"#)),
        (&ok("", ""), Ok(r#"{"ok":true}"#)),
        (&ok("", " \r\n"), Ok(r#"{"ok":true}"#)),
        (until_closed, Err("its answer has neither a Content-Length nor chunks")),
        (old, Ok("all of it")),
        (chunked, Ok(r#"{"a":1}"#)),
        (latin, Ok("a\u{FFFD}b")),
        (b"HTTP/1.1 503 Down\r\ncontent-length: 6\r\n\r\nsecret", Err("HTTP 503")),
        (b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", Err("HTTP 401")),
        (b"HTTP/1.1 304 Same\r\n\r\n", Err("HTTP 304")),
        (b"", Err("it hung up without an answer")),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", Err("its answer is not HTTP")),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", Err("the answer broke off")),
        (&ok("content-type: Application/JSON; charset=utf-8\r\n", "[1]\n"), Ok("[1]\n")),
        (&ok("content-type: application/problem+json\r\n", "half"), Err(NOT_JSON)),
        (&ok("content-type: text/plain\r\n", "half"), Ok("half")),
        (&broken_chunks, Err(NOT_JSON)),
    ];
    for (index, (answer, expected)) in table.iter().enumerate() {
        let told = told(&format!("answer-{index}"), answer).await;
        let shown = String::from_utf8_lossy(answer);
        assert_eq!(told.as_deref().map_err(String::as_str), *expected, "{shown}");
    }
}

#[actix_rt::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, address) = listen().await;
    let location = format!("HTTP/1.1 307 Moved\r\nlocation: http://{address}/\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(told("redirect", location.as_bytes()).await.as_deref(), Err(&"HTTP 307".to_owned()));
    assert!(elsewhere.accept().now_or_never().is_none(), "nobody came there");
}

#[actix_rt::test]
async fn long_answers_are_cut_between_characters() {
    let whole = "a".repeat(MAX_ANSWER);
    assert_eq!(told("whole", &ok("", &whole)).await.as_deref(), Ok(whole.as_str()));
    // Two bytes a character: one of the offsets would cut through one.
    for (name, long) in [("even", "ü".repeat(MAX_ANSWER)), ("odd", "a".to_owned() + &"ü".repeat(MAX_ANSWER))] {
        let told = told(name, &ok("", &long)).await.unwrap();
        assert!((MAX_ANSWER - 1..=MAX_ANSWER).contains(&told.len()), "{}", told.len());
        let kept = told.strip_suffix(CUT).unwrap();
        assert!(long.starts_with(kept) && !kept.is_empty());
    }
    // One byte that is no character becomes three.
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {MAX_ANSWER}\r\n\r\n");
    let told = told("garbage", &[head.as_bytes(), &[0xFF; MAX_ANSWER]].concat()).await.unwrap();
    assert!(told.len() <= MAX_ANSWER && told.ends_with(CUT));
}

#[actix_rt::test]
async fn a_tool_that_never_ends_is_left() {
    let (listener, address) = listen().await;
    let factory = factory(&settings("endless", &format!("http://{address}/"), "")).unwrap();
    let sent = Cell::new(0_usize);
    let serve = async {
        let (mut stream, ..) = request(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
        while stream.write_all(chunk.as_bytes()).await.is_ok() {
            sent.set(sent.get() + 0x400);
        }
    };
    let call = factory().call(asked("lookup", "{}".to_owned(), "c"));
    // That the server ends shows that the connection was closed.
    let (told, ()) = soon(futures_util::future::join(call, serve)).await;
    assert!(told.unwrap().ends_with(CUT));
    assert!(sent.get() > MAX_ANSWER, "{} bytes", sent.get());
}

#[actix_rt::test]
async fn the_timeout_covers_all_of_a_call() {
    let (listener, address) = listen().await;
    let factory = factory(&settings("slow", &format!("http://{address}/"), "timeout = \"200ms\"")).unwrap();
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    // Silent from the start, after the head, and speaking too slowly to end.
    for (head, drip) in [("", false), ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", false), (CHUNKED, true)] {
        let serve = async {
            let (mut stream, ..) = request(&listener).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut buffer = [0; 16];
            loop {
                let heard = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut buffer)).await;
                if heard.is_ok() || (drip && stream.write_all(b"1\r\nx\r\n").await.is_err()) {
                    break;
                }
            }
        };
        let call = factory().call(asked("lookup", "{}".to_owned(), "c"));
        let (told, ()) = soon(futures_util::future::join(call, serve)).await;
        assert_eq!(told.as_deref(), Err(&"no answer within 200ms".to_owned()), "{head:?} {drip}");
    }
}

#[actix_rt::test]
async fn a_slow_tool_does_not_hold_up_another_call() {
    let (listener, address) = listen().await;
    let factory = factory(&settings("both", &format!("http://{address}/"), "")).unwrap();
    let first = factory().call(asked("lookup", "{}".to_owned(), "c"));
    let second = factory().call(asked("lookup", "{}".to_owned(), "c"));
    let serve = async {
        let (mut first, ..) = request(&listener).await;
        let (mut second, ..) = request(&listener).await;
        second.write_all(&ok("", "second")).await.unwrap();
        first.write_all(&ok("", "first")).await.unwrap();
    };
    let (one, other, ()) = soon(futures_util::future::join3(first, second, serve)).await;
    let mut told = [one.unwrap(), other.unwrap()];
    told.sort();
    assert_eq!(told, ["first", "second"]);
}

#[actix_rt::test]
async fn failures_name_neither_address_nor_secret() {
    let (listener, address) = listen().await;
    let unknown = factory(&settings("unknown", &format!("http://{address}/"), "")).unwrap();
    assert_eq!(
        soon(unknown().call(asked("other", "{}".to_owned(), "c"))).await.as_deref(),
        Err(&"there is no such tool".to_owned())
    );

    // Plain HTTP where TLS is spoken to it.
    let tls = factory(&settings("tls", &format!("https://{address}/?key=hunter2"), "")).unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let (told, ()) = soon(futures_util::future::join(tls().call(asked("lookup", "{}".to_owned(), "c")), serve)).await;
    assert_eq!(told.as_deref(), Err(&"its TLS certificate or version is not accepted".to_owned()));
    drop(listener);

    let gone = factory(&settings("gone", &format!("http://{address}/?key=hunter2"), "")).unwrap();
    let told = soon(gone().call(asked("lookup", "{}".to_owned(), "c"))).await;
    assert_eq!(told.as_deref(), Err(&"the connection failed: connection refused".to_owned()));

    let unresolved = failure(&SendRequestError::Connect(ConnectError::NoRecords));
    assert_eq!(unresolved, "its name cannot be resolved");
}

#[actix_rt::test]
async fn a_worker_has_one_caller_and_another_service_another() {
    let tools = settings("factory", "http://127.0.0.1:1/", "");
    let (one, other) = (factory(&tools).unwrap(), factory(&[]).unwrap());
    let first = one();
    assert!(Rc::ptr_eq(&first, &one()));
    assert!(!Rc::ptr_eq(&first, &other()));
    assert_eq!(
        other().call(asked("lookup", "{}".to_owned(), "c")).await.as_deref(),
        Err(&"there is no such tool".to_owned())
    );
}
