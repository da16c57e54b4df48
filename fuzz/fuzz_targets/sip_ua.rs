//! A SIP user agent told anything in any order, in virtual time: each call ends once, nothing stays, memory is bounded.
#![no_main]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline_sip::message::{Message, Method, Name};
use trunkline_sip::ua::{
    Action, CallKey, DigestAccount, Flow, OptionsTarget, OutgoingInvite, Transport, Ua, UaEvent, UaSettings,
};

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 203.0.113.10\r\ns=-\r\nc=IN IP4 203.0.113.10\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0\r\n";

const METHODS: [&str; 12] =
    ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "INFO", "NOTIFY", "REFER", "PRACK", "REGISTER", "FOO"];

const HEADERS: [&str; 16] = [
    "",
    "Session-Expires: 90;refresher=uac\r\nSupported: timer\r\n",
    "Session-Expires: 120;refresher=uas\r\nSupported: timer\r\nAllow: UPDATE\r\n",
    "Session-Expires: 4294967295\r\n",
    "Session-Expires: 1\r\nMin-SE: 4294967295\r\n",
    "Supported: timer\r\nMin-SE: 4294967295\r\n",
    "Record-Route: <sip:3.80.16.44;lr>\r\n",
    "Record-Route: <sip:[::1]:7;lr>, <sip:10.0.0.1;transport=tls>, <sip:x.example.com>\r\n",
    "Require: 100rel\r\n",
    "Event: refer\r\nSubscription-State: terminated\r\n",
    "Event: refer\r\nSubscription-State: active\r\n",
    "Min-SE: 300\r\n",
    "WWW-Authenticate: Digest realm=\"vc\", nonce=\"n\", qop=\"auth\"\r\n",
    "Proxy-Authenticate: Digest realm=\"vc\", nonce=\"n\"\r\n",
    "Retry-After: 5\r\nReason: Q.850;cause=16\r\n",
    "Content-Encoding: gzip\r\n",
];

#[derive(Arbitrary, Debug)]
enum Step {
    Raw(Vec<u8>),
    /// A request of the far end, in the call whose INVITE had this number.
    Ask {
        method: u8,
        call: u8,
        branch: u8,
        cseq: u8,
        tagged: bool,
        body: u8,
        headers: u8,
        flow: u8,
    },
    /// An answer to one of the last requests of the agent.
    Answer {
        which: u8,
        code: u16,
        tag: u8,
        body: bool,
        headers: u8,
        contact: bool,
    },
    Wait {
        ms: u32,
    },
    Accept {
        call: u8,
    },
    Reject {
        call: u8,
        code: u16,
    },
    Ring {
        call: u8,
    },
    Change {
        call: u8,
        code: Option<u16>,
    },
    Bye {
        call: u8,
    },
    Refer {
        call: u8,
    },
    Invite {
        flow: u8,
    },
    Options {
        flow: u8,
    },
    Close {
        connection: u8,
    },
    Unreachable {
        flow: u8,
    },
}

struct Run {
    ua: Ua,
    now: Instant,
    out: Vec<Action>,
    calls: Vec<CallKey>,
    ended: BTreeMap<CallKey, bool>,
    /// The agent's requests, newest last.
    requests: Vec<Message>,
    /// The agent's tags by Call-ID.
    tags: BTreeMap<Vec<u8>, String>,
}

fuzz_target!(|steps: Vec<Step>| {
    let mut settings = UaSettings::new("203.0.113.10:5060");
    settings.max_dialogs = 8;
    settings.max_per_source = 6;
    settings.max_transactions = 24;
    settings.digest = Some(DigestAccount { username: "u".into(), password: "p".into(), realm: None });
    let mut run = Run {
        ua: Ua::new(settings, fastrand::Rng::with_seed(1)),
        now: Instant::now(),
        out: vec![],
        calls: vec![],
        ended: BTreeMap::new(),
        requests: vec![],
        tags: BTreeMap::new(),
    };
    for step in steps {
        let can_echo_anything = matches!(step, Step::Raw(_));
        run.step(step);
        run.look(can_echo_anything);
    }
    // The application hangs up everything, and nobody answers any more.
    for call in run.calls.clone() {
        run.ua.bye(run.now, call, None, &mut run.out);
        run.look(false);
    }
    run.wait(Duration::from_secs(3_600));
    assert_eq!((run.ua.calls(), run.ua.transactions(), run.ua.next_timer()), (0, 0, None), "something stays");
    assert!(run.ended.values().all(|&ended| ended), "a call has no end");
});

impl Run {
    fn step(&mut self, step: Step) {
        let (now, ua) = (self.now, &mut self.ua);
        let key = |call: u8| self.calls.get(usize::from(call)).copied().or(self.calls.last().copied());
        match step {
            Step::Raw(bytes) => drop(ua.receive_datagram(now, flow(0).peer, &bytes.into(), &mut self.out)),
            Step::Ask { method, call, branch, cseq, tagged, body, headers, flow: way } => {
                let call_id = format!("call-{}", call % 8);
                let tag = self.tags.get(call_id.as_bytes()).filter(|_| tagged);
                let tag = tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
                let method = METHODS[usize::from(method) % METHODS.len()];
                let headers = HEADERS[usize::from(headers) % HEADERS.len()];
                let body = ["", SDP, "SIP/2.0 200 OK", "SIP/2.0 486 Busy"][usize::from(body) % 4];
                let media_type = if body == SDP { "Content-Type: application/sdp\r\n" } else { "" };
                let request = format!(
                    "{method} sip:b@203.0.113.10 SIP/2.0\r\nVia: SIP/2.0/UDP 3.80.16.44;branch=z9hG4bK{branch}\r\n\
                     From: <sip:a@3.80.16.44>;tag=a\r\nTo: <sip:b@203.0.113.10>{tag}\r\nCall-ID: {call_id}\r\n\
                     CSeq: {cseq} {method}\r\nContact: <sip:a@10.0.0.9>\r\n{headers}{media_type}\r\n{body}"
                );
                let message = Message::parse(&request.into()).unwrap();
                ua.receive(now, flow(way), message, &mut self.out);
            }
            Step::Answer { which, code, tag, body, headers, contact } => {
                let Some(request) = self.requests.iter().rev().nth(usize::from(which)) else { return };
                let code = 100 + code % 600;
                let mut response = Message::response_to(request, code, "");
                response.add_to_tag(&format!("t{}", tag % 8));
                for line in HEADERS[usize::from(headers) % HEADERS.len()].lines() {
                    let (name, value) = line.split_once(": ").unwrap();
                    response.push_named(name, value).unwrap();
                }
                if contact {
                    response.push(Name::Contact, "<sip:a@10.0.0.9;transport=tcp>");
                }
                if body {
                    response.push(Name::ContentType, "application/sdp");
                    response.body = Bytes::from_static(SDP.as_bytes());
                }
                ua.receive(now, flow(tag), response, &mut self.out);
            }
            Step::Wait { ms } => self.wait(Duration::from_millis(u64::from(ms % 200_000))),
            Step::Accept { call } => {
                if let Some(call) = key(call) {
                    ua.accept(now, call, Bytes::from_static(SDP.as_bytes()), &mut self.out);
                }
            }
            Step::Reject { call, code } => {
                if let Some(call) = key(call) {
                    ua.reject(now, call, code, "No\r\nEvil: 1", Some(7), &mut self.out);
                }
            }
            Step::Ring { call } => {
                if let Some(call) = key(call) {
                    ua.ring(call, &mut self.out);
                }
            }
            Step::Change { call, code } => {
                if let Some(call) = key(call) {
                    let sdp = code.map_or(Ok(Bytes::from_static(SDP.as_bytes())), Err);
                    ua.answer_change(now, call, sdp, &mut self.out);
                }
            }
            Step::Bye { call } => {
                if let Some(call) = key(call) {
                    ua.bye(now, call, Some("Q.850;cause=16\r\nEvil: 1"), &mut self.out);
                }
            }
            Step::Refer { call } => {
                if let Some(call) = key(call) {
                    ua.refer(now, call, "sip:+15550100777@3.80.16.44", &mut self.out);
                }
            }
            Step::Invite { flow: way } if self.calls.len() < 64 => {
                let target = OutgoingInvite {
                    uri: "sip:a@3.80.16.44".into(),
                    flow: flow(way),
                    from: "sip:b@203.0.113.10".into(),
                    headers: vec![],
                    sdp: Bytes::from_static(SDP.as_bytes()),
                };
                let call = ua.invite(now, target, &mut self.out);
                self.calls.push(call);
                assert_eq!(self.ended.insert(call, false), None, "a key given twice");
            }
            Step::Options { flow: way } => {
                let target = OptionsTarget { uri: "sip:3.80.16.44".into(), flow: flow(way) };
                ua.options(now, target, &mut self.out);
            }
            Step::Close { connection } => ua.connection_closed(now, u64::from(connection % 3), &mut self.out),
            Step::Unreachable { flow: way } => ua.unreachable(now, flow(way), &mut self.out),
            Step::Invite { .. } => {}
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.ua.next_timer().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.ua.on_timer(self.now, &mut self.out);
            assert!(self.ua.next_timer().is_none_or(|next| next > self.now), "it wants what it was given");
            self.look(false);
        }
        self.now = end;
    }

    /// Checks what it did.
    fn look(&mut self, can_echo_anything: bool) {
        for action in std::mem::take(&mut self.out) {
            match action {
                Action::Send { bytes, .. } => {
                    assert!(!bytes.windows(7).any(|window| window == b"\r\nEvil:"), "a header was smuggled in");
                    let message = match Message::parse(&bytes) {
                        Ok(message) => message,
                        Err(_) if can_echo_anything => continue,
                        Err(why) => panic!("it says what it could not read: {why}"),
                    };
                    if message.code().is_some() {
                        if let Some(tag) = message.to_tag() {
                            self.tags.insert(message.call_id().to_vec(), tag);
                        }
                    } else if *message.method().unwrap() != Method::Ack {
                        self.requests.push(message);
                    }
                }
                Action::Event(event) => self.hear(&event),
            }
        }
        let from_us = self.requests.len() + self.calls.len();
        assert!(self.ua.transactions() <= 48 + 64 + from_us, "{} transactions", self.ua.transactions());
    }

    fn hear(&mut self, event: &UaEvent) {
        let call = match event {
            UaEvent::Incoming { call, .. } => {
                self.calls.push(*call);
                assert_eq!(self.ended.insert(*call, false), None, "a key given twice");
                return;
            }
            UaEvent::Ended { call, .. } => {
                assert_eq!(self.ended.insert(*call, true), Some(false), "it ended twice, or never began");
                return;
            }
            UaEvent::Options { .. } => return,
            UaEvent::Confirmed { call }
            | UaEvent::Changed { call, .. }
            | UaEvent::Info { call, .. }
            | UaEvent::Ringing { call }
            | UaEvent::Answered { call, .. }
            | UaEvent::Transferred { call, .. } => call,
        };
        assert_eq!(self.ended.get(call), Some(&false), "{event:?} after its end");
    }
}

/// Four ways here: two of datagrams, two connections.
fn flow(way: u8) -> Flow {
    let peer = |text: &str| text.parse::<SocketAddr>().unwrap();
    match way % 4 {
        0 => Flow::udp(peer("3.80.16.44:5060")),
        1 => Flow::udp(peer("198.51.100.7:33000")),
        2 => Flow { transport: Transport::Tcp, peer: peer("3.80.16.44:40000"), connection: Some(1) },
        _ => Flow { transport: Transport::Tls, peer: peer("198.51.100.8:40000"), connection: Some(2) },
    }
}
