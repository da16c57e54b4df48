use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::PATIENCE;
use super::super::http;
use super::super::process::Service;
use super::api::{Api, Taken};
use super::caller::{Caller, Leg, NoLeg};
use super::{APPLICATION, CALLER, OWN_NUMBER, VOICE_CONNECTOR, WEBHOOK_SECRET};

/// From an update that was taken to its event.
const LATENCY: Duration = Duration::from_millis(150);
/// Without an answer the SIP media application's calls are ended after so long.
const NO_ANSWER: Duration = Duration::from_secs(20);

/// How the gateway behind the Voice Connector behaves.
#[derive(Clone, Copy, Debug)]
pub struct Gateway {
    /// It answers marks as soon as it has them.
    pub answers_marks: bool,
    /// A call that the service placed goes by the name that came along, and not by the gateway's own.
    pub takes_call_ids: bool,
    /// How many characters the application speaks in a second.
    pub speaks: u32,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { answers_marks: false, takes_call_ids: false, speaks: 15 }
    }
}

/// Amazon Chime with one SIP media application, whose function is `POST /sma/events`, and one gateway.
#[derive(Clone)]
pub struct World(Arc<Shared>);

struct Shared {
    api: Api,
    /// Where the function is.
    function: SocketAddr,
    /// Where the gateway brings media.
    media: SocketAddr,
    gateway: Gateway,
    calls: Mutex<HashMap<String, SmaCall>>,
    count: AtomicU32,
}

impl World {
    pub fn new(api: &Api, service: &Service) -> Self {
        Self::with(api, service.admin, service.media, Gateway::default())
    }

    pub fn with(api: &Api, function: SocketAddr, media: SocketAddr, gateway: Gateway) -> Self {
        let mut taken = api.attach();
        let shared =
            Shared { api: api.clone(), function, media, gateway, calls: Mutex::default(), count: AtomicU32::default() };
        let world = Self(Arc::new(shared));
        let weak = Arc::downgrade(&world.0);
        tokio::spawn(async move {
            while let Some(taken) = taken.recv().await {
                let Some(shared) = weak.upgrade() else { return };
                Self(shared).take(taken);
            }
        });
        world
    }

    fn take(&self, taken: Taken) {
        match taken {
            Taken::Update { transaction, arguments } => {
                let calls = self.0.calls.lock().unwrap();
                let Some(inbox) = calls.get(&transaction).map(|call| call.inbox.clone()) else { return };
                tokio::spawn(async move {
                    tokio::time::sleep(LATENCY).await;
                    let _ = inbox.send(Input::Update(arguments));
                });
            }
            Taken::Create { transaction, body } => {
                let legs = leg_a(&body["ToPhoneNumber"], &body["FromPhoneNumber"], "Outbound");
                self.start(transaction, legs, Begin::Outbound(body["ArgumentsMap"].clone()));
            }
        }
    }

    /// Somebody calls.
    pub fn inbound(&self) -> SmaCall {
        let number = self.0.count.fetch_add(1, Ordering::Relaxed);
        let transaction = format!("e2b7a9c4-1d35-4f86-a0b9-{number:012}");
        self.start(transaction, leg_a(&json!(OWN_NUMBER), &json!(CALLER), "Inbound"), Begin::Inbound)
    }

    /// The call that was placed under this transaction, ringing.
    pub fn outbound(&self, transaction: &str) -> SmaCall {
        self.0.calls.lock().unwrap()[transaction].clone()
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<SmaCall> {
        self.0.calls.lock().unwrap().values().cloned().collect()
    }

    fn start(&self, transaction: String, leg_a: Value, begin: Begin) -> SmaCall {
        let (sender, inbox) = mpsc::unbounded_channel();
        let call =
            SmaCall { transaction: transaction.clone(), caller: Caller::new(), inbox: sender, log: Arc::default() };
        self.0.calls.lock().unwrap().insert(transaction.clone(), call.clone());
        self.0.api.set_live(&transaction, true);
        let running = Running {
            world: self.clone(),
            call: call.clone(),
            legs: vec![leg_a],
            attributes: Value::Null,
            list: VecDeque::new(),
            under_way: None,
            sequence: 0,
            media: None,
        };
        tokio::spawn(running.run(begin, inbox));
        call
    }
}

fn leg_a(to: &Value, from: &Value, direction: &str) -> Value {
    json!({
        "CallId": "leg-a", "ParticipantTag": "LEG-A", "To": to, "From": from, "Direction": direction,
        "StartTimeInMilliseconds": "1795187043210",
    })
}

/// One call at Amazon Chime.
#[derive(Clone)]
pub struct SmaCall {
    pub transaction: String,
    pub caller: Caller,
    inbox: mpsc::UnboundedSender<Input>,
    /// What happened, with the times: `event TYPE`, `speak TEXT`, `pause MS`, `digits D`, `dial URI`, `refused STATUS`,
    /// `bridged`, `lost`, `end LEG`, `over`.
    log: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl SmaCall {
    /// Who is called answers.
    pub fn answer(&self) {
        let _ = self.inbox.send(Input::Answer);
    }

    /// The caller hangs up.
    pub fn hang_up(&self) {
        let _ = self.inbox.send(Input::HangUp);
    }

    /// The gateway's media socket breaks without a word, and the gateway gives its call up.
    pub fn cut_media(&self) {
        let _ = self.inbox.send(Input::Cut);
    }

    pub fn log(&self) -> Vec<(Instant, String)> {
        self.log.lock().unwrap().clone()
    }

    /// What happened of this kind (the word before the blank, or all of it).
    pub fn all(&self, kind: &str) -> Vec<String> {
        let log = self.log();
        let of_kind = log.iter().filter(|(_, what)| what.split(' ').next() == Some(kind));
        of_kind.map(|(_, what)| what[kind.len()..].trim_start().to_owned()).collect()
    }

    /// Waits until something has happened `count` times.
    pub async fn when(&self, what: &str, count: usize) -> Instant {
        self.when_within(PATIENCE, what, count).await
    }

    pub async fn when_within(&self, limit: Duration, what: &str, count: usize) -> Instant {
        let deadline = Instant::now() + limit;
        loop {
            let log = self.log();
            if let Some((at, _)) = log.iter().filter(|(_, happened)| happened.starts_with(what)).nth(count - 1) {
                return *at;
            }
            assert!(
                Instant::now() < deadline,
                "{what} has not happened {count} times: {:?}; heard: {}",
                log.iter().map(|(_, what)| what).collect::<Vec<_>>(),
                self.caller.ear.look(super::caller::Heard::summary)
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn note(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push((Instant::now(), what.into()));
    }
}

enum Begin {
    Inbound,
    Outbound(Value),
}

enum Input {
    Update(Value),
    Answer,
    HangUp,
    Cut,
    /// The media socket of that leg has ended by itself.
    LegEnded(usize),
}

struct Running {
    world: World,
    call: SmaCall,
    legs: Vec<Value>,
    attributes: Value,
    /// What is to be done yet.
    list: VecDeque<Value>,
    /// Until when the first of it takes time.
    under_way: Option<Instant>,
    sequence: u32,
    /// The gateway's socket and the number of its leg.
    media: Option<(usize, Leg)>,
}

impl Running {
    async fn run(mut self, begin: Begin, mut inbox: mpsc::UnboundedReceiver<Input>) {
        match begin {
            Begin::Inbound => self.tell("NEW_INBOUND_CALL", Value::Null).await,
            Begin::Outbound(arguments) => {
                let data = json!({"Type": "CallCreateRequest", "Parameters": {"Arguments": arguments}});
                self.tell("NEW_OUTBOUND_CALL", data).await;
                self.tell("RINGING", Value::Null).await;
            }
        }
        while !self.is_over() {
            if self.under_way.is_none() && !self.list.is_empty() {
                self.begin().await;
                continue;
            }
            tokio::select! {
                input = inbox.recv() => match input {
                    Some(input) => self.take(input).await,
                    None => return,
                },
                () = tokio::time::sleep_until(self.under_way.unwrap_or_else(Instant::now)),
                    if self.under_way.is_some() => self.finish().await,
            }
        }
        self.world.0.api.set_live(&self.call.transaction, false);
        self.call.note("over");
        if let Some((_, leg)) = self.media.take() {
            leg.closed().await;
        }
    }

    /// Once the caller's leg is gone, and every other, there is no call.
    fn is_over(&self) -> bool {
        self.legs[0]["Status"] == "Disconnected" && !self.legs.iter().any(|leg| leg["Status"] == "Connected")
    }

    async fn take(&mut self, input: Input) {
        match input {
            Input::Update(arguments) => {
                let data = json!({"Type": "CallUpdateRequest", "Parameters": {"Arguments": arguments}});
                self.tell("CALL_UPDATE_REQUESTED", data).await;
            }
            Input::Answer => {
                self.legs[0]["Status"] = json!("Connected");
                self.tell("CALL_ANSWERED", Value::Null).await;
            }
            Input::HangUp => self.lose(0).await,
            Input::Cut => {
                if let Some((number, leg)) = self.media.take() {
                    drop(leg);
                    self.call.caller.mouth.speak_into(None);
                    self.lose(number).await;
                }
            }
            Input::LegEnded(number) => self.lose(number).await,
        }
    }

    /// A leg goes by itself, if it is there.
    async fn lose(&mut self, number: usize) {
        if self.legs[number]["Status"] != "Connected" {
            return;
        }
        self.legs[number]["Status"] = json!("Disconnected");
        self.call.note(if number == 0 { "end LEG-A" } else { "lost" });
        if number == 0 {
            // What is said to nobody ends.
            self.cut_speech();
            self.list.clear();
        } else {
            self.media.take_if(|(leg, _)| *leg == number);
        }
        self.tell_hangup(number).await;
    }

    fn cut_speech(&mut self) {
        if self.under_way.take().is_some() && self.list.front().is_some_and(|action| action["Type"] == "Speak") {
            let now = Instant::now();
            self.call.caller.ear.put(|heard| heard.speech.iter_mut().for_each(|speech| speech.1 = speech.1.min(now)));
        }
    }

    async fn tell_hangup(&mut self, number: usize) {
        let leg = &self.legs[number];
        let parameters =
            json!({"SipResponseCode": 0, "CallId": leg["CallId"], "ParticipantTag": leg["ParticipantTag"]});
        self.tell("HANGUP", json!({"Type": "Hangup", "Parameters": parameters})).await;
    }

    /// The first action of the list begins; what takes no time is done.
    async fn begin(&mut self) {
        let action = self.list[0].clone();
        let parameters = &action["Parameters"];
        let now = Instant::now();
        match action["Type"].as_str().unwrap() {
            "Speak" => {
                let text = parameters["Text"].as_str().unwrap();
                let ms = text.chars().count() as u64 * 1_000 / u64::from(self.world.0.gateway.speaks);
                let until = now + Duration::from_millis(ms);
                self.legs[0]["Status"] = json!("Connected");
                self.call.note(format!("speak {text}"));
                self.call.caller.ear.put(|heard| heard.speech.push((now, until)));
                self.under_way = Some(until);
            }
            "Pause" => {
                let ms = parameters["DurationInMilliseconds"].as_str().unwrap();
                self.call.note(format!("pause {ms}"));
                self.under_way = Some(now + Duration::from_millis(ms.parse().unwrap()));
            }
            "SendDigits" => {
                self.call.note(format!("digits {}", parameters["Digits"].as_str().unwrap()));
                self.finish().await;
            }
            "Hangup" => self.hang_up(&action).await,
            "CallAndBridge" => self.bridge(&action).await,
            other => panic!("{other} is none of the actions of this application"),
        }
    }

    async fn finish(&mut self) {
        self.under_way = None;
        let Some(action) = self.list.pop_front() else { return };
        self.succeeded(action).await;
    }

    /// Success is told once the list is done.
    async fn succeeded(&mut self, action: Value) {
        if self.list.is_empty() {
            self.tell("ACTION_SUCCESSFUL", action).await;
        }
    }

    async fn fail(&mut self, mut action: Value, error: &Value) {
        self.list.clear();
        action.as_object_mut().unwrap().extend(error.as_object().unwrap().clone());
        self.tell("ACTION_FAILED", action).await;
    }

    async fn hang_up(&mut self, action: &Value) {
        let id = &action["Parameters"]["CallId"];
        let number = self.legs.iter().position(|leg| leg["CallId"] == *id).unwrap();
        if self.legs[number]["Status"] == "Disconnected" {
            return self.fail(action.clone(), &json!({"ErrorType": "InvalidActionParameter"})).await;
        }
        self.legs[number]["Status"] = json!("Disconnected");
        self.call.note(format!("end {}", self.legs[number]["ParticipantTag"].as_str().unwrap()));
        // The gateway gets a BYE, and passes it on.
        if let Some((_, leg)) = self.media.as_ref().filter(|(leg, _)| *leg == number) {
            leg.stop();
        }
        self.list.pop_front();
        self.succeeded(action.clone()).await;
        self.tell_hangup(number).await;
    }

    async fn bridge(&mut self, action: &Value) {
        let endpoint = &action["Parameters"]["Endpoints"][0];
        let uri = endpoint["Uri"].as_str().unwrap();
        self.call.note(format!("dial {uri}"));
        let number = self.legs.len();
        if endpoint["BridgeEndpointType"] == "PSTN" {
            self.bridged(action).await;
            return;
        }
        assert_eq!(endpoint["Arn"], VOICE_CONNECTOR);
        let headers = action["Parameters"]["SipHeaders"].clone();
        self.call.note(format!("headers {headers}"));
        let gateway = self.world.0.gateway;
        let query = query(&headers, number, gateway);
        let inbox = self.call.inbox.clone();
        let ended = move || drop(inbox.send(Input::LegEnded(number)));
        let answers = (number, gateway.answers_marks);
        match Leg::open(self.world.0.media, &query, &self.call.caller, answers, ended).await {
            Ok(leg) => {
                if let Some(metadata) = headers["X-Trunkline-Metadata"].as_str() {
                    let json = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(metadata).unwrap();
                    let metadata: Value = serde_json::from_slice(&json).unwrap();
                    leg.send(&json!({"type": "start", "metadata": metadata}));
                }
                self.media = Some((number, leg));
                self.bridged(action).await;
            }
            Err(error) => {
                // A gateway's SIP answers to what it meets.
                let sip = match error {
                    NoLeg::Refused(410) => 603,
                    NoLeg::Refused(_) => 503,
                    NoLeg::Unreachable => 480,
                };
                self.call.note(format!("refused {sip}"));
                let error = json!({"ErrorType": "CallNotAnswered", "ErrorMessage": "Call not answered",
                    "SipResponseCode": sip.to_string()});
                self.fail(action.clone(), &error).await;
            }
        }
    }

    async fn bridged(&mut self, action: &Value) {
        self.legs[0]["Status"] = json!("Connected");
        let number = self.legs.len();
        self.legs.push(json!({
            "CallId": format!("leg-b-{number}"), "ParticipantTag": "LEG-B", "Direction": "Outbound",
            "To": self.legs[0]["To"], "From": self.legs[0]["From"],
            "StartTimeInMilliseconds": "1795187045321", "Status": "Connected",
        }));
        self.call.note("bridged");
        self.list.pop_front();
        self.succeeded(action.clone()).await;
    }

    /// Invokes the function, and what follows from its answer.
    async fn tell(&mut self, kind: &str, data: Value) {
        let mut next = Some((kind.to_owned(), data));
        while let Some((kind, data)) = next.take() {
            self.call.note(format!("event {kind}"));
            let actions = self.invoke(&kind, data).await;
            let ignored = ["NEW_OUTBOUND_CALL", "RINGING", "ACTION_INTERRUPTED"].contains(&&*kind)
                || kind == "HANGUP" && !self.legs.iter().any(|leg| leg["Status"] == "Connected");
            if actions.is_empty() || ignored {
                continue;
            }
            // A pause is interrupted; what else is under way ends first.
            let first = self.list.front().filter(|_| self.under_way.is_some()).cloned();
            let (interrupted, first) = match first {
                Some(action) if action["Type"] == "Pause" => (Some(action), None),
                first => (None, first),
            };
            self.under_way = self.under_way.filter(|_| first.is_some());
            self.list = first.into_iter().chain(actions).collect();
            next = interrupted.map(|action| ("ACTION_INTERRUPTED".to_owned(), action));
        }
    }

    async fn invoke(&mut self, kind: &str, data: Value) -> Vec<Value> {
        self.sequence += 1;
        let mut event = json!({
            "SchemaVersion": "1.0", "Sequence": self.sequence, "InvocationEventType": kind, "ActionData": data,
            "CallDetails": {
                "TransactionId": self.call.transaction, "AwsAccountId": "111122223333", "AwsRegion": "us-east-1",
                "SipMediaApplicationId": APPLICATION, "Participants": self.legs,
            },
        });
        if !self.attributes.is_null() {
            event["CallDetails"]["TransactionAttributes"] = self.attributes.clone();
        }
        let authorization = format!("Bearer {WEBHOOK_SECRET}");
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        let asked = Instant::now();
        let answer = loop {
            let body = event.to_string();
            let answer = http::try_send(self.world.0.function, "POST", "/sma/events", &headers, body.as_bytes()).await;
            match answer {
                Ok(answer) => break answer,
                Err(_) if asked.elapsed() < NO_ANSWER => tokio::time::sleep(Duration::from_millis(250)).await,
                Err(error) => panic!("the function did not answer {kind}: {error}"),
            }
        };
        assert_eq!(answer.status, 200, "{answer:?}");
        let response = answer.json();
        assert_eq!(response["SchemaVersion"], "1.0", "{response}");
        if let Some(attributes) = response.get("TransactionAttributes") {
            self.attributes = attributes.clone();
        }
        response["Actions"].as_array().unwrap().clone()
    }
}

/// What a gateway makes of a call's headers.
fn query(headers: &Value, number: usize, gateway: Gateway) -> String {
    let header = |name: &str| {
        let found = headers.as_object().unwrap().iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str().unwrap().to_owned())
    };
    let transaction = header("x-trunkline-transaction").unwrap();
    let own = format!("gw-{number}-{}", &transaction[24..]);
    let call_id = header("x-trunkline-call-id").filter(|_| gateway.takes_call_ids).unwrap_or(own);
    let mut query = format!("callId={call_id}&smaTransactionId={transaction}&fill=none");
    for (key, name) in [("from", "x-trunkline-from"), ("to", "x-trunkline-to"), ("route", "x-trunkline-route")] {
        query.extend(header(name).map(|value| format!("&{key}={}", value.replace('+', "%2B"))));
    }
    query
}
