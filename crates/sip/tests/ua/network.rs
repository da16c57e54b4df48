//! Two agents and a network that loses, doubles and reorders what they say, in virtual time.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use trunkline_sip::ua::{Action, CallKey, Flow, OptionsTarget, OutgoingInvite, Transport, Ua, UaEvent};

use crate::bench::{ANSWER, OFFER, address, beginning, settings};

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
struct Weather {
    transport: Transport,
    loss: f64,
    doubled: f64,
    /// Longest way of a message.
    delay_ms: u64,
    /// From then on nothing gets through.
    cut: Option<u64>,
}

/// What someone does some time after a call began.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Bye,
    Refer,
}

#[derive(Clone, Copy, Debug)]
struct Deed {
    at_ms: u64,
    by_caller: bool,
    doing: Doing,
}

/// A call that one of the two places, and what becomes of it.
#[derive(Clone, Debug)]
struct Plan {
    at_ms: u64,
    caller: usize,
    /// The callee takes it after so long, or never, or refuses it then.
    answer_ms: Option<u64>,
    accepts: bool,
    rings: bool,
    deeds: Vec<Deed>,
}

enum Due {
    Message { to: usize, flow: Flow, bytes: Bytes },
    Call(Plan),
    Answer { who: usize, call: CallKey, accepts: bool },
    Deed { who: usize, call: CallKey, doing: Doing },
    Change { who: usize, call: CallKey, accepts: bool },
}

struct World {
    weather: Weather,
    rng: fastrand::Rng,
    start: Instant,
    now: Instant,
    agents: [Ua; 2],
    queue: BTreeMap<(Instant, u64), Due>,
    count: u64,
    /// What becomes of a call, by the number in its headers.
    plans: HashMap<u64, Plan>,
    incoming: HashMap<String, usize>,
    /// Per agent and call: whether it ended.
    ended: [HashMap<CallKey, bool>; 2],
    confirmed: usize,
    transferred: usize,
    sent: usize,
}

const WHO: [&str; 2] = ["198.51.100.1:5060", "198.51.100.2:5060"];

impl World {
    fn new(weather: Weather, seed: u64, plans: Vec<Plan>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let start = beginning();
        let agents = WHO.map(|host| {
            let mut settings = settings();
            settings.contact_host.udp = host.to_owned();
            settings.contact_host.tcp = host.to_owned();
            settings.session_expires = Duration::from_secs(90);
            settings.ring_for = Duration::from_secs(60);
            Ua::new(settings, fastrand::Rng::with_seed(rng.u64(..)))
        });
        let mut world = Self {
            weather,
            rng,
            start,
            now: start,
            agents,
            queue: BTreeMap::new(),
            count: 0,
            plans: HashMap::new(),
            incoming: HashMap::new(),
            ended: Default::default(),
            confirmed: 0,
            transferred: 0,
            sent: 0,
        };
        for plan in plans {
            world.later(plan.at_ms, Due::Call(plan));
        }
        world
    }

    fn later(&mut self, ms: u64, due: Due) {
        self.count += 1;
        self.queue.insert((self.now + Duration::from_millis(ms), self.count), due);
    }

    fn act<T>(&mut self, who: usize, act: impl FnOnce(&mut Ua, Instant, &mut Vec<Action>) -> T) -> T {
        let mut out = vec![];
        let result = act(&mut self.agents[who], self.now, &mut out);
        self.follow(who, out);
        result
    }

    fn follow(&mut self, who: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { flow, bytes } => self.carry(who, flow, &bytes),
                Action::Event(event) => self.hear(who, event),
            }
        }
    }

    fn carry(&mut self, who: usize, flow: Flow, bytes: &Bytes) {
        self.sent += 1;
        let to = 1 - who;
        assert_eq!(flow.peer, address(WHO[to]), "sent to where nobody is");
        let Weather { transport, loss, doubled, delay_ms, cut } = self.weather;
        let since = u64::try_from((self.now - self.start).as_millis()).unwrap();
        let copies = 1 + usize::from(self.rng.f64() < doubled);
        for _ in 0..copies {
            if self.rng.f64() < loss || cut.is_some_and(|cut| since >= cut) {
                continue;
            }
            let peer: SocketAddr = address(WHO[who]);
            let flow = Flow { transport, peer, connection: transport.is_reliable().then_some(1) };
            let ms = if transport.is_reliable() { delay_ms } else { self.rng.u64(0..=delay_ms) };
            self.later(ms, Due::Message { to, flow, bytes: bytes.clone() });
        }
    }

    fn hear(&mut self, who: usize, event: UaEvent) {
        let call = match &event {
            UaEvent::Incoming { call, invite } => {
                let times = self.incoming.entry(invite.call_id.clone()).or_default();
                *times += 1;
                assert_eq!(*times, 1, "one INVITE came twice");
                self.ended[who].insert(*call, false);
                let number: u64 = invite.headers[0].1.parse().unwrap();
                self.came(who, *call, number);
                *call
            }
            UaEvent::Confirmed { call } => {
                self.confirmed += 1;
                *call
            }
            UaEvent::Changed { call, .. } => {
                let accepts = self.rng.u8(0..4) > 0;
                let ms = self.rng.u64(0..6_000);
                self.later(ms, Due::Change { who, call: *call, accepts });
                *call
            }
            UaEvent::Ended { call, .. } => {
                let before = self.ended[who].insert(*call, true);
                assert_eq!(before, Some(false), "{call:?} ended twice, or never began");
                return;
            }
            UaEvent::Transferred { call, .. } => {
                self.transferred += 1;
                *call
            }
            UaEvent::Info { call, .. } | UaEvent::Ringing { call } | UaEvent::Answered { call, .. } => *call,
            UaEvent::Options { .. } => return,
        };
        assert_eq!(self.ended[who].get(&call), Some(&false), "{event:?} after its end");
    }

    fn came(&mut self, who: usize, call: CallKey, number: u64) {
        let plan = self.plans[&number].clone();
        if plan.rings {
            // Not within the event: the agent is at work.
            self.later(0, Due::Deed { who, call, doing: Doing::Refer });
        }
        if let Some(ms) = plan.answer_ms {
            self.later(ms, Due::Answer { who, call, accepts: plan.accepts });
        }
        for deed in plan.deeds.iter().filter(|deed| !deed.by_caller) {
            self.later(deed.at_ms, Due::Deed { who, call, doing: deed.doing });
        }
    }

    fn run(&mut self) {
        let end = self.start + Duration::from_secs(3_600);
        loop {
            let timers = [0, 1].map(|who| self.agents[who].next_timer());
            let queued = self.queue.first_key_value().map(|(&(at, _), _)| at);
            let Some(next) = timers.into_iter().chain([queued]).flatten().min() else { return };
            assert!(
                next < end,
                "it never comes to rest: {} and {} calls",
                self.agents[0].calls(),
                self.agents[1].calls()
            );
            self.now = self.now.max(next);
            if queued == Some(next) {
                let (_, due) = self.queue.pop_first().unwrap();
                self.happen(due);
            } else {
                for who in [0, 1] {
                    self.act(who, Ua::on_timer);
                }
            }
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Message { to, flow, bytes } => {
                self.act(to, |ua, now, out| {
                    let message = trunkline_sip::message::Message::parse(&bytes).expect("they understand each other");
                    ua.receive(now, flow, message, out);
                });
            }
            Due::Call(plan) => {
                let who = plan.caller;
                let number = u64::try_from(self.plans.len()).unwrap();
                self.plans.insert(number, plan.clone());
                let flow = Flow { transport: self.weather.transport, peer: address(WHO[1 - who]), connection: None };
                let target = OutgoingInvite {
                    uri: format!("sip:callee@{}", WHO[1 - who]),
                    flow,
                    from: format!("sip:caller@{}", WHO[who]),
                    headers: vec![("X-Plan".to_owned(), number.to_string())],
                    sdp: Bytes::from_static(OFFER.as_bytes()),
                };
                let call = self.act(who, |ua, now, out| ua.invite(now, target, out));
                self.ended[who].insert(call, false);
                for deed in plan.deeds.iter().filter(|deed| deed.by_caller) {
                    self.later(deed.at_ms, Due::Deed { who, call, doing: deed.doing });
                }
                let target = OptionsTarget { uri: format!("sip:{}", WHO[1 - who]), flow };
                self.act(who, |ua, now, out| ua.options(now, target, out));
            }
            Due::Answer { who, call, accepts: true } => {
                self.act(who, |ua, now, out| ua.accept(now, call, Bytes::from_static(ANSWER.as_bytes()), out));
            }
            Due::Answer { who, call, accepts: false } => {
                self.act(who, |ua, now, out| ua.reject(now, call, 486, "Busy Here", None, out));
            }
            Due::Change { who, call, accepts } => {
                let sdp = if accepts { Ok(Bytes::from_static(ANSWER.as_bytes())) } else { Err(488) };
                self.act(who, |ua, now, out| ua.answer_change(now, call, sdp, out));
            }
            Due::Deed { who, call, doing: Doing::Bye } => self.act(who, |ua, now, out| ua.bye(now, call, None, out)),
            Due::Deed { who, call, doing: Doing::Refer } => {
                self.act(who, |ua, _, out| ua.ring(call, out));
                self.act(who, |ua, now, out| ua.refer(now, call, "sip:+15550100777@198.51.100.9", out));
            }
        }
    }

    fn check(&self) {
        for who in [0, 1] {
            let agent = &self.agents[who];
            assert_eq!((agent.calls(), agent.transactions()), (0, 0), "agent {who} remembers");
            assert!(self.ended[who].values().all(|&ended| ended), "agent {who} has calls without an end");
        }
    }
}

fn weather() -> impl Strategy<Value = Weather> {
    let udp = (0.0..0.4f64, 0.0..0.3f64, 0..1_500u64, prop::option::weighted(0.2, 0..200_000u64));
    let udp = udp.prop_map(|(loss, doubled, delay_ms, cut)| Weather {
        transport: Transport::Udp,
        loss,
        doubled,
        delay_ms,
        cut,
    });
    let tcp = (0..500u64, prop::option::weighted(0.2, 0..200_000u64)).prop_map(|(delay_ms, cut)| Weather {
        transport: Transport::Tcp,
        loss: 0.0,
        doubled: 0.0,
        delay_ms,
        cut,
    });
    prop_oneof![4 => udp, 1 => tcp]
}

fn plan() -> impl Strategy<Value = Plan> {
    let doing = prop_oneof![3 => Just(Doing::Bye), 1 => Just(Doing::Refer)];
    let deed =
        (0..150_000u64, any::<bool>(), doing).prop_map(|(at_ms, by_caller, doing)| Deed { at_ms, by_caller, doing });
    let last = (100_000..250_000u64, any::<bool>()).prop_map(|(at_ms, by_caller)| Deed {
        at_ms,
        by_caller,
        doing: Doing::Bye,
    });
    let answer = prop::option::weighted(0.9, 0..8_000u64);
    let deeds = prop::collection::vec(deed, 0..3);
    (0..60_000u64, 0..2usize, answer, prop::bool::weighted(0.9), any::<bool>(), deeds, last).prop_map(
        |(at_ms, caller, answer_ms, accepts, rings, mut deeds, last)| {
            deeds.push(last);
            Plan { at_ms, caller, answer_ms, accepts, rings, deeds }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is lost and whoever hangs up, even if nothing gets through any more: each call ends once on both sides, is
    /// told of once, and leaves nothing.
    #[test]
    fn every_call_ends_on_both_sides_and_leaves_nothing(
        weather in weather(),
        seed in any::<u64>(),
        plans in prop::collection::vec(plan(), 1..6),
    ) {
        let mut world = World::new(weather, seed, plans);
        world.run();
        world.check();
    }
}

#[test]
fn over_a_good_network_every_answered_call_is_confirmed() {
    let plan = |n: u64| Plan {
        at_ms: n * 200,
        caller: usize::from(n.is_multiple_of(2)),
        answer_ms: Some(n % 3 * 1_000),
        accepts: true,
        rings: true,
        deeds: vec![Deed { at_ms: 120_000, by_caller: n % 4 < 2, doing: Doing::Bye }],
    };
    for transport in [Transport::Udp, Transport::Tcp] {
        let weather = Weather { transport, loss: 0.0, doubled: 0.0, delay_ms: 50, cut: None };
        let mut world = World::new(weather, 1, (0..50).map(plan).collect());
        world.run();
        world.check();
        assert_eq!((world.confirmed, world.incoming.len()), (50, 50));
        assert!(world.sent < 50 * 30, "{} messages for 50 calls", world.sent);
    }
}
