//! The built function on a Lambda runtime API of the test's own, on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ARN: &str = "arn:aws:chime:us-east-1:111122223333:vc/fx7q2mvbd9k3htn5wz1rgy";

/// The function, started as AWS Lambda starts it.
struct Function(Child);

impl Function {
    fn start(api: &str, arn: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootstrap"));
        command.env_clear().envs([
            ("AWS_LAMBDA_RUNTIME_API", api),
            ("AWS_LAMBDA_FUNCTION_NAME", "trunkline-sma"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ]);
        command.envs(arn.map(|arn| ("TRUNKLINE_VOICE_CONNECTOR_ARN", arn)));
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Ends it and returns its exit code, if it ended by itself, and what it wrote to stdout and stderr.
    fn end(mut self, kill: bool) -> (Option<i32>, String, String) {
        if kill {
            self.0.kill().unwrap();
        }
        let status = self.0.wait().unwrap();
        let read = |pipe: Box<dyn std::io::Read>| std::io::read_to_string(pipe).unwrap();
        let (out, err) = (self.0.stdout.take().unwrap(), self.0.stderr.take().unwrap());
        (status.code(), read(Box::new(out)), read(Box::new(err)))
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // Ended already if the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The runtime API: HTTP/1.1 with one function at the other end.
struct RuntimeApi {
    listener: TcpListener,
    connection: Option<TcpStream>,
    unread: Vec<u8>,
}

impl RuntimeApi {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (Self { listener, connection: None, unread: Vec::new() }, address)
    }

    /// The next request, on the connection that is open or a new one: its first line without the version, its body.
    async fn request(&mut self) -> (String, Vec<u8>) {
        loop {
            if let Some(request) = self.parse() {
                return request;
            }
            let mut bytes = [0; 4096];
            let count = match &mut self.connection {
                Some(connection) => connection.read(&mut bytes).await.unwrap_or(0),
                None => 0,
            };
            if count == 0 {
                assert!(self.unread.is_empty(), "the connection ended within a request");
                self.connection = Some(self.listener.accept().await.unwrap().0);
            }
            self.unread.extend_from_slice(&bytes[..count]);
        }
    }

    fn parse(&mut self) -> Option<(String, Vec<u8>)> {
        let head_len = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&self.unread[..head_len]).unwrap();
        let header = |name: &str| {
            head.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
        };
        let (body, len) = if header("transfer-encoding") == Some("chunked") {
            unchunk(&self.unread[head_len..])?
        } else {
            let len: usize = header("content-length").map_or(0, |len| len.parse().unwrap());
            (self.unread.get(head_len..head_len + len)?.to_vec(), len)
        };
        let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
        self.unread.drain(..head_len + len);
        Some((line, body))
    }

    async fn reply(&mut self, status: &str, headers: &str, body: &str) {
        let len = body.len();
        let response = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n{headers}\r\n{body}");
        self.connection.as_mut().unwrap().write_all(response.as_bytes()).await.unwrap();
    }

    /// Hands the function an event and returns where and what it answers.
    async fn invoke(&mut self, request_id: &str, event: &str) -> (String, Value) {
        let (line, _) = self.request().await;
        assert_eq!(line, "GET /2018-06-01/runtime/invocation/next");
        let headers = format!(
            "Content-Type: application/json\r\n\
             Lambda-Runtime-Aws-Request-Id: {request_id}\r\n\
             Lambda-Runtime-Deadline-Ms: 4102444800000\r\n\
             Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:111122223333:function:trunkline-sma\r\n\
             Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0\r\n"
        );
        self.reply("200 OK", &headers, event).await;
        let (line, body) = self.request().await;
        self.reply("202 Accepted", "Content-Type: application/json\r\n", r#"{"status":"OK"}"#).await;
        (line, serde_json::from_slice(&body).unwrap())
    }
}

/// The body of chunks and how many bytes they take; `None` while the last is missing.
fn unchunk(mut bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, all) = (Vec::new(), bytes.len());
    loop {
        let line_end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let len = usize::from_str_radix(std::str::from_utf8(&bytes[..line_end]).unwrap(), 16).unwrap();
        let chunk = bytes.get(line_end + 2..line_end + 2 + len + 2)?;
        body.extend_from_slice(&chunk[..len]);
        bytes = &bytes[line_end + 2 + len + 2..];
        if len == 0 {
            return Some((body, all - bytes.len()));
        }
    }
}

fn sample(name: &str) -> String {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/chime/tests/fixtures/sma/events");
    std::fs::read_to_string(samples.join(name)).unwrap()
}

#[tokio::test]
async fn a_function_answers_events_one_after_another_and_survives_bad_ones() {
    let (mut api, address) = RuntimeApi::start().await;
    let function = Function::start(&address, Some(ARN));

    let (line, response) = api.invoke("r-1", &sample("01-new-inbound-call.json")).await;
    assert_eq!(line, "POST /2018-06-01/runtime/invocation/r-1/response");
    let bridge = &response["Actions"][0];
    assert_eq!((&response["SchemaVersion"], &bridge["Type"]), (&json!("1.0"), &json!("CallAndBridge")));
    assert_eq!(bridge["Parameters"]["Endpoints"][0]["Arn"], ARN);

    for (number, bad) in ["[]", r#"{"InvocationEventType":"RINGING"}"#, "nonsense"].into_iter().enumerate() {
        let (line, error) = api.invoke(&format!("bad-{number}"), bad).await;
        assert_eq!(line, format!("POST /2018-06-01/runtime/invocation/bad-{number}/error"), "{error}");
        assert!(!error["errorMessage"].as_str().unwrap().is_empty(), "{error}");
    }

    let (line, response) = api.invoke("r-2", &sample("09-call-update-requested-keepalive.json")).await;
    assert_eq!(line, "POST /2018-06-01/runtime/invocation/r-2/response");
    assert_eq!(response["Actions"][0]["Parameters"]["Text"], "One moment please, I am still here.");
    assert_eq!(response["TransactionAttributes"], json!({ "requestId": "ka-1" }));

    // It has answered the last one when it asks for the next.
    assert_eq!(api.request().await.0, "GET /2018-06-01/runtime/invocation/next");
    let (_, out, log) = function.end(true);
    let transaction = "e2b7a9c4-1d35-4f86-a0b9-c7d8e9f01234";
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let expected = [
        json!({ "event": "NEW_INBOUND_CALL", "transactionId": transaction, "actions": ["CallAndBridge"] }),
        json!({ "error": "InvocationEventType is missing or no text of 1 to 128 bytes" }),
        json!({ "error": "CallDetails.TransactionId is missing or no text of 1 to 128 bytes" }),
        json!({ "event": "CALL_UPDATE_REQUESTED", "transactionId": transaction, "actions": ["Speak", "Pause"] }),
    ];
    assert_eq!(lines, expected);
    assert_eq!(out, "");
}

#[tokio::test]
async fn without_a_voice_connector_it_says_so_and_asks_for_no_event() {
    let (api, address) = RuntimeApi::start().await;
    let (code, out, log) = Function::start(&address, None).end(false);
    assert_eq!(code, Some(2));
    assert_eq!(out, "");
    let line: Value = serde_json::from_str(&log).unwrap();
    assert!(line["error"].as_str().unwrap().starts_with("TRUNKLINE_VOICE_CONNECTOR_ARN is not set"), "{log}");
    drop(api);
}
