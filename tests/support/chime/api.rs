use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::PATIENCE;
use super::APPLICATION;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/aws-api");

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    /// Taken, and answered after that time.
    Take(Duration),
    /// Not taken: the documented error of this status.
    Fail(u16),
    /// Taken, and the answer is lost: the connection breaks.
    TakeAndCut,
    /// No answer ever.
    Hang,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Instant,
    pub path: String,
    pub body: Value,
}

impl Asked {
    pub fn command(&self) -> &str {
        self.body["Arguments"]["command"].as_str().unwrap_or_default()
    }
}

/// A request that was taken, for whoever plays Amazon Chime.
pub(super) enum Taken {
    Update { transaction: String, arguments: Value },
    Create { transaction: String, body: Value },
}

/// `CreateSipMediaApplicationCall` and `UpdateSipMediaApplicationCall` in their exact wire shapes.
#[derive(Clone)]
pub struct Api {
    pub url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    asked: Vec<Asked>,
    creates: VecDeque<Reply>,
    updates: VecDeque<Reply>,
    every_create: Reply,
    every_update: Reply,
    created: u32,
    /// Where somebody plays Amazon Chime: what was taken, and the calls there are.
    world: Option<(mpsc::UnboundedSender<Taken>, HashSet<String>)>,
    /// Holds the port that refuses connections.
    _refusing: Option<TcpSocket>,
}

impl Api {
    pub async fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let (api, sockets) = (Self::at(socket.local_addr().unwrap(), None), socket.listen(64).unwrap());
        let state = Arc::clone(&api.state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = sockets.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&state)));
            }
        });
        api
    }

    /// Nobody listens there.
    pub fn refusing() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self::at(socket.local_addr().unwrap(), Some(socket))
    }

    fn at(addr: SocketAddr, refusing: Option<TcpSocket>) -> Self {
        let soon = Reply::Take(Duration::from_millis(20));
        let state = State {
            asked: Vec::new(),
            creates: VecDeque::new(),
            updates: VecDeque::new(),
            every_create: soon,
            every_update: soon,
            created: 0,
            world: None,
            _refusing: refusing,
        };
        Self { url: format!("http://{addr}"), state: Arc::new(Mutex::new(state)) }
    }

    /// What becomes of the next updates, before [`Self::every_update`].
    pub fn next_updates(&self, replies: &[Reply]) {
        self.state.lock().unwrap().updates.extend(replies);
    }

    pub fn next_creates(&self, replies: &[Reply]) {
        self.state.lock().unwrap().creates.extend(replies);
    }

    pub fn every_update(&self, reply: Reply) {
        self.state.lock().unwrap().every_update = reply;
    }

    /// Everything asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Commands of all updates so far.
    pub fn commands(&self) -> Vec<String> {
        let asked = self.asked();
        asked.iter().map(|asked| asked.command().to_owned()).filter(|command| !command.is_empty()).collect()
    }

    /// Waits for the update `number` (from 0) with this command.
    pub async fn update(&self, command: &str, number: usize) -> Asked {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.asked().into_iter().filter(|asked| asked.command() == command).nth(number);
            if let Some(found) = found {
                return found;
            }
            assert!(Instant::now() < deadline, "no {command} number {number} in {:?}", self.commands());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn attach(&self) -> mpsc::UnboundedReceiver<Taken> {
        let (sender, taken) = mpsc::unbounded_channel();
        self.state.lock().unwrap().world = Some((sender, HashSet::new()));
        taken
    }

    /// A call is there from now on, or is not any more.
    pub(super) fn set_live(&self, transaction: &str, live: bool) {
        if let Some((_, calls)) = &mut self.state.lock().unwrap().world {
            if live {
                calls.insert(transaction.to_owned())
            } else {
                calls.remove(transaction)
            };
        }
    }
}

async fn serve(socket: TcpStream, state: Arc<Mutex<State>>) {
    let mut socket = BufReader::new(socket);
    while let Some((path, body)) = read(&mut socket).await {
        let (reply, transaction) = decide(&state, path, body);
        let (status, error, answer) = match reply {
            Reply::Hang => std::future::pending().await,
            Reply::TakeAndCut => return,
            Reply::Take(after) => {
                tokio::time::sleep(after).await;
                let name =
                    if transaction.is_new { "create-call.response-201.json" } else { "update-call.response-202.json" };
                let mut answer = fixture(name);
                answer["SipMediaApplicationCall"]["TransactionId"] = json!(transaction.id);
                (if transaction.is_new { 201 } else { 202 }, None, answer)
            }
            Reply::Fail(status) => {
                let error = error(status);
                let kind = error["_http_headers"]["x-amzn-errortype"].as_str().unwrap().to_owned();
                (status, Some(kind), error["body"].clone())
            }
        };
        let answer = answer.to_string();
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n");
        head.extend(error.map(|error| format!("x-amzn-errortype: {error}\r\n")));
        head.push_str(&format!("content-length: {}\r\n\r\n{answer}", answer.len()));
        if socket.write_all(head.as_bytes()).await.is_err() {
            return;
        }
    }
}

struct Transaction {
    id: String,
    is_new: bool,
}

/// What becomes of a request; what is taken is handed on.
fn decide(state: &Mutex<State>, path: String, body: Value) -> (Reply, Transaction) {
    let calls = format!("/sip-media-applications/{APPLICATION}/calls");
    let rest = path.strip_prefix(&calls).unwrap_or_else(|| panic!("nothing is served at {path}"));
    let mut state = state.lock().unwrap();
    state.asked.push(Asked { at: Instant::now(), path: path.clone(), body: body.clone() });
    let is_new = rest.is_empty();
    let id = match rest.strip_prefix('/') {
        Some(id) => id.to_owned(),
        None => {
            state.created += 1;
            format!("0a7b9c40-1d35-4f86-a0b9-{:012}", state.created)
        }
    };
    let scripted = if is_new { state.creates.pop_front() } else { state.updates.pop_front() };
    let mut reply = scripted.unwrap_or(if is_new { state.every_create } else { state.every_update });
    if let Some((world, live)) = &state.world {
        let taken = matches!(reply, Reply::Take(_) | Reply::TakeAndCut);
        if taken && is_new {
            let _ = world.send(Taken::Create { transaction: id.clone(), body });
        } else if taken && live.contains(&id) {
            let _ = world.send(Taken::Update { transaction: id.clone(), arguments: body["Arguments"].clone() });
        } else if taken {
            reply = Reply::Fail(404);
        }
    }
    (reply, Transaction { id, is_new })
}

/// Path and body of the next request, which must be a signed POST.
async fn read(socket: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |wanted: &str| {
        let mut headers = lines.iter().filter_map(|line| line.split_once(':'));
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_owned())
    };
    let signature = header("authorization").unwrap_or_default();
    assert!(
        signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
            && signature.contains("/us-east-1/chime/aws4_request"),
        "{signature}"
    );
    let path = lines[0].strip_prefix("POST ").and_then(|line| line.strip_suffix(" HTTP/1.1"));
    let path = path.unwrap_or_else(|| panic!("{}", lines[0])).to_owned();
    let mut body = vec![0; header("content-length").unwrap().parse().unwrap()];
    socket.read_exact(&mut body).await.ok()?;
    Some((path, serde_json::from_slice(&body).unwrap()))
}

fn fixture(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(format!("{FIXTURES}/{name}")).unwrap()).unwrap()
}

fn error(status: u16) -> Value {
    let names = std::fs::read_dir(FIXTURES).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(&format!("error-{status}-"))).collect();
    names.sort();
    fixture(names.first().unwrap_or_else(|| panic!("no error of status {status} is documented")))
}
