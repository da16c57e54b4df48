//! AWS on the loopback interface: an HTTP server that answers as it is told and remembers what it was asked.

use std::cell::RefCell;
use std::rc::Rc;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::config::Target;

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `GET /path?query`
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// `ReceiveMessage` and the like, of SQS.
    pub(crate) fn action(&self) -> &str {
        self.header("x-amz-target").strip_prefix("AmazonSQS.").unwrap_or_default()
    }
}

/// What is answered.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl ToString) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string() }
    }

    pub(crate) fn ok(body: impl ToString) -> Self {
        Self::new(200, body)
    }

    /// An error of the REST services, told in a header.
    pub(crate) fn error(status: u16, kind: &str, message: &str) -> Self {
        Self::new(status, serde_json::json!({ "Message": message })).with("x-amzn-errortype", kind)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `{_http_status, _http_headers, body}` as the fixtures have it.
    pub(crate) fn of_fixture(fixture: &str) -> Self {
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        let mut reply = Self::new(fixture["_http_status"].as_u64().unwrap().try_into().unwrap(), &fixture["body"]);
        for (name, value) in fixture["_http_headers"].as_object().unwrap() {
            reply = reply.with(name, value.as_str().unwrap());
        }
        reply
    }
}

/// The server. `None` in the place of an answer keeps the asker waiting for ever.
pub(crate) struct StandIn {
    pub(crate) url: String,
    asked: Rc<RefCell<Vec<Request>>>,
}

impl StandIn {
    /// To be called where `spawn_local` works.
    pub(crate) async fn start(answer: impl Fn(&Request) -> Option<Reply> + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Rc::new(RefCell::new(Vec::new()));
        let (log, answer) = (Rc::clone(&asked), Rc::new(answer));
        actix_rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Rc::clone(&log), Rc::clone(&answer));
                actix_rt::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = read(&mut stream).await {
                        let reply = answer(&request);
                        log.borrow_mut().push(request);
                        match reply {
                            Some(reply) => write(&mut stream, &reply).await,
                            None => std::future::pending().await,
                        }
                    }
                });
            }
        });
        Self { url, asked }
    }

    /// Requests so far.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.borrow().clone()
    }

    /// The SDK's configuration for it, with made-up credentials.
    pub(crate) async fn config(&self) -> SdkConfig {
        config(&self.url).await
    }
}

pub(crate) async fn config(endpoint_url: &str) -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", "not-a-secret", None, None, "test");
    let target = Target::at(endpoint_url, "us-east-1");
    target.loader().unwrap().credentials_provider(credentials).load().await
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |line: &String| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let line = lines.remove(0).trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<(String, String)> = lines.iter().map(header).collect();
    let mut request = Request { line, headers, body: Value::Null };
    let mut body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    request.body = serde_json::from_slice(&body).unwrap_or_default();
    Some(request)
}

async fn write(stream: &mut BufReader<TcpStream>, reply: &Reply) {
    let mut head = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // An asker that went away is none of its business.
    let _gone = stream.write_all(format!("{head}\r\n{}", reply.body).as_bytes()).await;
}
