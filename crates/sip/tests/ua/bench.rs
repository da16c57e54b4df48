//! An agent on a table: what it is told, what it says, in virtual time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trunkline_sip::message::{Message, Name};
use trunkline_sip::ua::{Action, CallKey, Ended, Flow, Transport, Ua, UaEvent, UaSettings};

pub const TRUNK: &str = "3.80.16.44:5060";
pub const OFFER: &str = "v=0\r\no=Sonus_UAC 412345 271828 IN IP4 3.80.17.77\r\ns=-\r\nc=IN IP4 3.80.17.77\r\nt=0 0\r\nm=audio 30120 RTP/AVP 0 101\r\n";
pub const ANSWER: &str =
    "v=0\r\no=- 1 1 IN IP4 203.0.113.10\r\ns=-\r\nc=IN IP4 203.0.113.10\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0 101\r\n";

pub struct Bench {
    pub ua: Ua,
    pub now: Instant,
    /// Where messages come from.
    pub flow: Flow,
    /// What it did and the test has not taken.
    pub did: Vec<Action>,
    /// What it sent, ever.
    pub sent: Vec<(Flow, Message)>,
    /// What it told, ever.
    pub told: Vec<UaEvent>,
}

pub fn settings() -> UaSettings {
    UaSettings::new("203.0.113.10:5060")
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the beginning of virtual time may be any moment")]
pub fn beginning() -> Instant {
    Instant::now()
}

impl Bench {
    pub fn new() -> Self {
        Self::with(settings())
    }

    pub fn with(settings: UaSettings) -> Self {
        let ua = Ua::new(settings, fastrand::Rng::with_seed(7));
        Self { ua, now: beginning(), flow: Flow::udp(address(TRUNK)), did: vec![], sent: vec![], told: vec![] }
    }

    /// The same, spoken to over a connection.
    pub fn over(transport: Transport, connection: u64) -> Self {
        let mut bench = Self::new();
        bench.flow = Flow { transport, peer: address("3.80.16.44:40112"), connection: Some(connection) };
        bench
    }

    /// Does something with the agent and notes what it did.
    pub fn act<T>(&mut self, act: impl FnOnce(&mut Ua, Instant, &mut Vec<Action>) -> T) -> T {
        let mut out = vec![];
        let result = act(&mut self.ua, self.now, &mut out);
        self.note(out);
        result
    }

    fn note(&mut self, out: Vec<Action>) {
        for action in &out {
            match action {
                Action::Send { flow, bytes } => {
                    self.sent.push((*flow, Message::parse(bytes).expect("it says only what it could read")));
                }
                Action::Event(event) => self.told.push(event.clone()),
            }
        }
        self.did.extend(out);
    }

    pub fn receive(&mut self, text: &str) -> Vec<String> {
        self.receive_from(self.flow, text)
    }

    pub fn receive_from(&mut self, flow: Flow, text: &str) -> Vec<String> {
        self.receive_message(flow, Message::parse(&Bytes::copy_from_slice(text.as_bytes())).expect(text))
    }

    pub fn receive_message(&mut self, flow: Flow, message: Message) -> Vec<String> {
        self.act(|ua, now, out| ua.receive(now, flow, message, out));
        self.take()
    }

    /// A datagram as it is.
    pub fn datagram(&mut self, bytes: &[u8]) -> Vec<String> {
        let (flow, bytes) = (self.flow, Bytes::copy_from_slice(bytes));
        self.act(|ua, now, out| drop(ua.receive_datagram(now, flow.peer, &bytes, out)));
        self.take()
    }

    /// What it did since this was last asked, in words.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.did).iter().map(words).collect()
    }

    /// Lets time pass; what happens with its moment in ms since `from`.
    pub fn run(&mut self, ms: u64) -> Vec<(u64, String)> {
        let (from, end) = (self.now, self.now + Duration::from_millis(ms));
        let mut log = vec![];
        while let Some(at) = self.ua.next_timer().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            let before = self.now;
            self.act(Ua::on_timer);
            assert!(self.ua.next_timer().is_none_or(|next| next > before), "it wants what it was given");
            let at = u64::try_from((self.now - from).as_millis()).unwrap();
            log.extend(self.take().into_iter().map(|word| (at, word)));
        }
        self.now = end;
        log
    }

    /// The newest message sent that these words describe.
    pub fn last(&self, words: &str) -> &Message {
        let found = self.sent.iter().rev().find(|(_, message)| describe(message) == words);
        &found.unwrap_or_else(|| panic!("no {words} was sent")).1
    }

    pub fn last_flow(&self, words: &str) -> Flow {
        let found = self.sent.iter().rev().find(|(_, message)| describe(message) == words);
        found.unwrap_or_else(|| panic!("no {words} was sent")).0
    }

    /// The call that came or was placed last.
    pub fn call(&self) -> CallKey {
        let calls = self.told.iter().rev().filter_map(|event| match event {
            UaEvent::Incoming { call, .. } => Some(*call),
            _ => None,
        });
        calls.into_iter().next().expect("no call came")
    }

    /// A call that came in is taken.
    pub fn accept(&mut self, call: CallKey) -> Vec<String> {
        self.act(|ua, now, out| ua.accept(now, call, Bytes::from_static(ANSWER.as_bytes()), out));
        self.take()
    }

    pub fn bye(&mut self, call: CallKey) -> Vec<String> {
        self.act(|ua, now, out| ua.bye(now, call, None, out));
        self.take()
    }

    /// An INVITE of the trunk that is answered and acknowledged.
    pub fn up(&mut self) -> (CallKey, Trunk) {
        let mut trunk = Trunk::new(self.flow.transport);
        self.receive(&trunk.invite());
        let call = self.call();
        self.accept(call);
        trunk.answered(self.last("200 INVITE"));
        self.receive(&trunk.ack());
        self.take();
        (call, trunk)
    }

    /// Nothing is left, and nothing is waited for.
    pub fn assert_empty(&mut self) {
        self.run(200_000);
        assert_eq!((self.ua.calls(), self.ua.transactions(), self.ua.next_timer()), (0, 0, None));
    }
}

/// `200 INVITE`, `BYE`, `Ended Bye`.
fn words(action: &Action) -> String {
    match action {
        Action::Send { bytes, .. } => describe(&Message::parse(bytes).unwrap()),
        Action::Event(event) => match event {
            UaEvent::Incoming { .. } => "Incoming".to_owned(),
            UaEvent::Confirmed { .. } => "Confirmed".to_owned(),
            UaEvent::Changed { sdp, .. } => format!("Changed {}", sdp.is_some()),
            UaEvent::Info { content_type, .. } => format!("Info {content_type}"),
            UaEvent::Ringing { .. } => "Ringing".to_owned(),
            UaEvent::Answered { sdp, .. } => format!("Answered {}", sdp.is_some()),
            UaEvent::Ended { why, .. } => ended(*why),
            UaEvent::Transferred { result, .. } => format!("Transferred {result:?}"),
            UaEvent::Options { alive, .. } => format!("Options {alive}"),
        },
    }
}

pub fn ended(why: Ended) -> String {
    format!("Ended {why:?}")
}

pub fn describe(message: &Message) -> String {
    let (_, method) = message.cseq().unwrap();
    message.code().map_or_else(|| method.to_string(), |code| format!("{code} {method}"))
}

/// Another header's value as text.
pub fn text(message: &Message, name: Name) -> String {
    message.values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>().join(", ")
}

/// The far end of one call as a Voice Connector writes it.
#[derive(Clone)]
pub struct Trunk {
    pub transport: Transport,
    pub call_id: String,
    pub tag: String,
    /// Our tag, once it is known.
    pub to_tag: Option<String>,
    pub cseq: u32,
    pub branch: u32,
    pub record_route: &'static str,
    pub contact: &'static str,
    /// Further headers of the next requests, each with its line end.
    pub headers: String,
}

impl Trunk {
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            call_id: "2b7d2b60-3c0f-47b5-9f58-0f1d7f8a9c3e".to_owned(),
            tag: "Kx7pQ2vN".to_owned(),
            to_tag: None,
            cseq: 1001,
            branch: 1,
            record_route: "<sip:3.80.16.44;lr;ftag=Kx7pQ2vN;did=1a2.b3c4;nat=yes>",
            contact: "<sip:10.0.77.12:5060;alias=10.0.77.12~5060~1>",
            headers: String::new(),
        }
    }

    pub fn with(mut self, headers: &str) -> Self {
        self.headers = headers.to_owned();
        self
    }

    pub fn answered(&mut self, response: &Message) {
        self.to_tag = response.to_tag();
    }

    /// A request with a new branch, and a new number unless it acknowledges or takes back.
    pub fn request(&mut self, method: &str, body: &str) -> String {
        self.branch += 1;
        if !matches!(method, "ACK" | "CANCEL") {
            self.cseq += 1;
        }
        self.write(method, body)
    }

    /// The same with what the last one had.
    pub fn write(&self, method: &str, body: &str) -> String {
        let Self { call_id, tag, cseq, branch, record_route, contact, headers, .. } = self;
        let to_tag = self.to_tag.as_ref().map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let transport = self.transport.as_str();
        let record_route =
            if record_route.is_empty() { String::new() } else { format!("Record-Route: {record_route}\r\n") };
        let contact = if contact.is_empty() { String::new() } else { format!("Contact: {contact}\r\n") };
        let content_type = if body.starts_with("v=") { "Content-Type: application/sdp\r\n" } else { "" };
        format!(
            "{method} sip:+15550199002@203.0.113.10:5060;transport=UDP SIP/2.0\r\n{record_route}\
             Via: SIP/2.0/{transport} 3.80.16.44:5060;branch=z9hG4bK1f2e.{branch}\r\n\
             Via: SIP/2.0/UDP 10.0.77.12;received=10.0.77.12;rport=5060;branch=z9hG4bKabc123XYZ\r\n\
             Max-Forwards: 69\r\nFrom: <sip:+15550100001@10.0.77.12:5060>;tag={tag}\r\n\
             To: <sip:+15550199002@203.0.113.10:5060>;transport=UDP{to_tag}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\n{contact}{content_type}{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    pub fn invite(&mut self) -> String {
        self.request("INVITE", OFFER)
    }

    /// Of a 2xx: a request with a branch of its own.
    pub fn ack(&mut self) -> String {
        self.request("ACK", "")
    }

    pub fn bye(&mut self) -> String {
        self.request("BYE", "")
    }
}

/// What a far end answers to a request of ours.
pub fn answer(request: &Message, code: u16, headers: &str, body: &str) -> String {
    let mut response = Message::response_to(request, code, "");
    response.add_to_tag("theirs");
    for line in headers.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response.push_named(name, value).unwrap();
    }
    if !body.is_empty() {
        response.push(Name::ContentType, "application/sdp");
        response.body = Bytes::copy_from_slice(body.as_bytes());
    }
    String::from_utf8(response.to_bytes().to_vec()).unwrap()
}
