//! Random use: whatever comes in whatever order, bytes and time add up.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use trunkline_media::{Due, LineCodec, Playout};

use super::{at, at_us};

#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    /// Poll when it asks for it, so many times.
    Punctual(usize),
    Poll,
    /// Key, bytes, live.
    Push(u32, usize, bool),
    End(u32),
    Refused,
    PeerPlayed(u32),
    Clear,
    Hold(bool),
    Hush(bool),
    Fill(bool),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0_u64..90_000).prop_map(Op::Wait),
        6 => (1_usize..30).prop_map(Op::Punctual),
        3 => Just(Op::Poll),
        8 => (0_u32..4, 0_usize..2_000, prop::bool::weighted(0.1)).prop_map(|(k, n, l)| Op::Push(k, n, l)),
        3 => (0_u32..4).prop_map(Op::End),
        1 => Just(Op::Refused),
        1 => (0_u32..4).prop_map(Op::PeerPlayed),
        1 => Just(Op::Clear),
        1 => any::<bool>().prop_map(Op::Hold),
        1 => any::<bool>().prop_map(Op::Hush),
        1 => any::<bool>().prop_map(Op::Fill),
    ];
    prop::collection::vec(op, 1..120)
}

/// An item as it must be: every byte pushed and how many of them are out.
#[derive(Debug)]
struct Expected {
    key: u32,
    bytes: Vec<u8>,
    out: usize,
    ended: bool,
    /// It may gather a lead before it plays.
    live: bool,
}

impl Expected {
    fn frames(&self, frame: usize) -> usize {
        self.bytes.len().saturating_sub(self.out) / frame
    }
}

/// The playout beside the plainest possible model of it.
struct Bench {
    playout: Playout<u32>,
    codec: LineCodec,
    lead: Option<Duration>,
    now: Instant,
    items: VecDeque<Expected>,
    /// Received and sent bytes of items whose mark is out since the last clear; the last of a key counts.
    done: Vec<(u32, u64)>,
    stamp: u8,
    held: bool,
    hushed: bool,
    fill: bool,
    /// When frames came, counted from the first, and the latest of (time - 20 ms * index).
    frames: u32,
    latest: Option<Instant>,
    last_frame: Option<(Instant, bool)>,
    punctual: bool,
    counters: (u64, u64),
}

impl Bench {
    fn new(codec: LineCodec, lead: Option<Duration>) -> Self {
        let mut playout = Playout::new(codec);
        playout.set_queue(at(0), lead);
        Self {
            playout,
            codec,
            lead,
            now: at(0),
            items: VecDeque::new(),
            done: Vec::new(),
            stamp: 0,
            held: false,
            hushed: false,
            fill: false,
            frames: 0,
            latest: None,
            last_frame: None,
            punctual: false,
            counters: (0, 0),
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Wait(us) => self.now += Duration::from_micros(us),
            Op::Punctual(times) => self.punctually(times),
            Op::Poll => self.poll(false),
            Op::Push(key, bytes, live) => self.push(key, bytes, live),
            Op::End(key) => self.end(key),
            Op::Refused => self.playout.refused(),
            Op::PeerPlayed(key) => self.playout.peer_played(self.now, &key),
            Op::Clear => self.clear(),
            Op::Hold(held) => {
                self.held = held;
                self.playout.hold(self.now, held);
            }
            Op::Hush(hushed) => {
                self.hushed = hushed;
                self.playout.hush(self.now, hushed);
            }
            Op::Fill(on) => {
                self.fill = on;
                self.playout.set_fill(self.now, on);
            }
        }
        self.check();
    }

    fn check(&mut self) {
        let frame = self.codec.frame_bytes();
        let padded = |item: &Expected| {
            if item.ended { item.bytes.len().next_multiple_of(frame) } else { item.bytes.len() }
        };
        let queued: usize = self.items.iter().map(|item| padded(item) - item.out.min(padded(item))).sum();
        assert_eq!(self.playout.queued_ms(), queued.div_ceil(self.codec.bytes_per_ms()) as u64);
        assert_eq!(self.playout.is_idle(), self.items.is_empty());
        // The frame at the lead's end plays for 20 ms, and no lag over 5 s is believed.
        let most = self.lead.map_or(Duration::ZERO, |lead| lead + Duration::from_secs(5));
        assert!(self.playout.ahead(self.now) <= most, "no further ahead than the lead and the peer's lag");
        let counters = (self.playout.underruns(), self.playout.late_ticks());
        assert!(counters.0 >= self.counters.0 && counters.1 >= self.counters.1);
        self.counters = counters;
        if self.held {
            assert_eq!(self.playout.next_due(), None);
        } else if self.fill || self.front_can_play() {
            assert!(self.playout.next_due().is_some(), "something is to be played");
        }
    }

    fn front_can_play(&self) -> bool {
        let frame = self.codec.frame_bytes();
        !self.hushed && self.items.front().is_some_and(|item| item.ended || (!item.live && item.frames(frame) > 0))
    }

    fn push(&mut self, key: u32, bytes: usize, live: bool) {
        // every push has its own value: whatever comes out tells where it is from
        self.stamp = self.stamp.wrapping_add(1);
        let payload = vec![self.stamp; bytes];
        match self.items.iter_mut().rev().find(|item| item.key == key && !item.ended) {
            Some(item) => item.bytes.extend_from_slice(&payload),
            None => {
                let bytes = payload.clone();
                self.items.push_back(Expected { key, bytes, out: 0, ended: false, live });
            }
        }
        let push = if live { Playout::push_live } else { Playout::push };
        push(&mut self.playout, self.now, &key, Bytes::from(payload));
    }

    fn end(&mut self, key: u32) {
        let known = self.items.iter().any(|item| item.key == key);
        match self.items.iter_mut().rev().find(|item| item.key == key && !item.ended) {
            Some(item) => item.ended = true,
            // whether an item whose mark is out is still known depends on its age: keep out of that
            None if !known && self.done.iter().any(|(done, _)| *done == key) => return,
            None if known => {}
            None => self.items.push_back(Expected { key, bytes: Vec::new(), out: 0, ended: true, live: false }),
        }
        self.playout.end(self.now, &key);
    }

    fn punctually(&mut self, times: usize) {
        for _ in 0..times {
            let Some(due) = self.playout.next_due() else {
                return;
            };
            let on_time = due >= self.now;
            self.now = self.now.max(due);
            self.poll(on_time && self.punctual);
            self.punctual = on_time;
        }
        self.punctual = false;
    }

    fn poll(&mut self, punctual: bool) {
        let mut at_this_poll = 0;
        while let Some(due) = self.playout.poll(self.now) {
            assert!(!self.held);
            assert!(!self.hushed || matches!(due, Due::Fill(_)), "{due:?} while hushed");
            match due {
                Due::Mark(key) => {
                    let item = self.items.pop_front().expect("a mark has an item");
                    assert!(item.key == key && item.ended && item.out >= item.bytes.len());
                    self.done.push((key, item.bytes.len() as u64));
                    continue;
                }
                Due::Fill(payload) => {
                    assert!(self.fill && payload.len() == self.codec.frame_bytes());
                    assert!(payload.iter().all(|byte| *byte == self.codec.silence()));
                    assert!(!self.front_can_play(), "silence although there is audio");
                }
                Due::Frame { item: key, payload } => {
                    let item = self.items.front_mut().expect("a frame has an item");
                    assert_eq!(item.key, key);
                    assert_eq!(payload.len(), self.codec.frame_bytes());
                    let expected = &item.bytes[item.out..(item.out + payload.len()).min(item.bytes.len())];
                    assert_eq!(&payload[..expected.len()], expected);
                    assert!(expected.len() == payload.len() || item.ended);
                    assert!(payload[expected.len()..].iter().all(|byte| *byte == self.codec.silence()));
                    item.out += payload.len();
                }
            }
            at_this_poll += 1;
            self.timing(punctual);
        }
        let ahead = self.lead.unwrap_or_default().as_millis() as usize / 20;
        assert!(at_this_poll <= 2 + ahead, "{at_this_poll} frames at one poll");
    }

    /// Ticks are 20 ms apart, and a frame comes at most two ticks after its own: so no frame may come earlier than
    /// 20 ms each after any frame before it, less two ticks. If polls are punctual, not even that much. With a queue,
    /// `ahead` says it all.
    fn timing(&mut self, punctual: bool) {
        if self.lead.is_some() {
            return;
        }
        let tick = Duration::from_millis(20);
        let ideal = self.now - tick * self.frames + Duration::from_secs(3_600);
        if let Some(latest) = self.latest {
            assert!(ideal + 2 * tick > latest, "a burst at frame {}", self.frames);
        }
        if let Some((last, true)) = self.last_frame.filter(|_| punctual) {
            assert!(self.now >= last + tick, "{:?} after the last frame", self.now - last);
        }
        self.latest = self.latest.max(Some(ideal));
        self.frames += 1;
        self.last_frame = Some((self.now, punctual));
    }

    fn clear(&mut self) {
        let per_ms = self.codec.bytes_per_ms() as u64;
        let accounts = self.playout.clear(self.now);
        let mut told = accounts.iter().peekable();
        // items whose mark is out come first, some of them, in order
        for (key, received) in self.done.drain(..) {
            if let Some(account) = told.next_if(|a| a.ended && a.item == key && a.received_ms == received / per_ms) {
                assert!(account.played_ms <= account.received_ms);
            }
        }
        let mut left: Vec<_> = told.collect();
        for item in self.items.drain(..).rev() {
            let received = item.bytes.len() as u64 / per_ms;
            if received == 0 {
                continue;
            }
            let account = left.pop().expect("every item that waits is told of");
            assert_eq!((account.item, account.received_ms, account.ended), (item.key, received, item.ended));
            assert!(account.played_ms <= received);
            assert!(account.played_ms <= item.out as u64 / per_ms);
        }
        assert!(left.is_empty(), "nothing else is told of: {left:?}");
        assert_eq!(self.playout.queued_ms(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn everything_adds_up(
        ops in ops(),
        codec in prop::sample::select(vec![LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16]),
        lead in prop::sample::select(vec![None, None, Some(0_u64), Some(20), Some(100), Some(200)]),
    ) {
        let mut bench = Bench::new(codec, lead.map(Duration::from_millis));
        ops.into_iter().for_each(|op| bench.run(op));
        // whatever happened, what is left can be played to its end
        bench.run(Op::Hold(false));
        bench.run(Op::Hush(false));
        bench.run(Op::Fill(false));
        for key in 0..4 {
            while bench.items.iter().any(|item| item.key == key && !item.ended) {
                bench.run(Op::End(key));
            }
        }
        bench.run(Op::Punctual(10_000));
        prop_assert!(bench.playout.is_idle());
        prop_assert_eq!(bench.playout.next_due(), None);
    }

    #[test]
    fn without_a_peers_answer_played_is_what_was_taken(
        sizes in prop::collection::vec(1_usize..3_000, 1..8),
        refused in prop::collection::vec(any::<bool>(), 60),
        ticks in 0_usize..60,
    ) {
        let mut playout = Playout::new(LineCodec::Pcmu);
        for (key, size) in sizes.iter().enumerate() {
            playout.push(at(0), &key, Bytes::from(vec![1; *size]));
            playout.end(at(0), &key);
        }
        let mut taken: HashMap<usize, u64> = HashMap::new();
        let mut lost: HashMap<usize, u64> = HashMap::new();
        for (tick, refuse) in refused.iter().enumerate().take(ticks) {
            while let Some(due) = playout.poll(at_us(tick as u64 * 20_000)) {
                let Due::Frame { item, .. } = due else { continue };
                let out = taken.get(&item).copied().unwrap_or(0) + lost.get(&item).copied().unwrap_or(0);
                let bytes = 160.min(sizes[item] as u64 - out);
                *(if *refuse { &mut lost } else { &mut taken }).entry(item).or_default() += bytes;
                if *refuse {
                    playout.refused();
                }
            }
        }
        let accounts = playout.clear(at_us(ticks as u64 * 20_000));
        let expected: Vec<_> = (0..sizes.len())
            .filter(|key| taken.get(key).copied().unwrap_or(0) < sizes[*key] as u64 && sizes[*key] >= 8)
            .map(|key| (key, taken.get(&key).copied().unwrap_or(0) / 8, sizes[key] as u64 / 8))
            .collect();
        let told: Vec<_> = accounts.into_iter().map(|a| (a.item, a.played_ms, a.received_ms)).collect();
        prop_assert_eq!(told, expected);
    }
}
