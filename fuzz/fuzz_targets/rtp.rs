//! The media side of a SIP call under any datagrams at any time: RTP, RTCP and keys in, one frame a tick out.
#![no_main]

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use trunkline_media::LineCodec;
use trunkline_sip::dtmf::{KeySender, KeyStep, Keys};
use trunkline_sip::jitter::{JitterBuffer, MAX_PACKETS, Pulled};
use trunkline_sip::quality::{MosInput, mos};
use trunkline_sip::rtcp::{Reporter, is_rtcp, parse};
use trunkline_sip::rtp::{Header, Packet, Receiver, Sender};

const EVENT: u8 = 101;

#[derive(Arbitrary, Debug)]
enum Step {
    /// Time goes on by so much without a tick.
    Wait {
        ms: u16,
    },
    /// So many ticks.
    Ticks {
        count: u8,
    },
    Datagram {
        bytes: Vec<u8>,
    },
    /// The next packet of a stream, so much off.
    Packet {
        source: bool,
        sequence: i8,
        timestamp: i16,
        marker: bool,
        event: bool,
        bytes: u16,
    },
    /// An even stream for so many ticks.
    Even {
        count: u8,
    },
    Press {
        keys: [u8; 3],
    },
}

struct Run {
    now: Instant,
    codec: LineCodec,
    receiver: Receiver,
    buffer: JitterBuffer,
    keys: Keys,
    sender: Sender,
    key_sender: KeySender,
    reporter: Reporter,
    next: u32,
    pushed: u64,
}

fuzz_target!(|input: (bool, Vec<Step>)| {
    let (mu, steps) = input;
    let codec = if mu { LineCodec::Pcmu } else { LineCodec::Pcma };
    let now = Instant::now();
    let unix_time = Duration::from_secs(1_800_000_000);
    let mut run = Run {
        now,
        codec,
        receiver: Receiver::new(),
        buffer: JitterBuffer::new(codec),
        keys: Keys::new(),
        sender: Sender::starting_at(7, 65_530, u32::MAX - 500),
        key_sender: KeySender::new(),
        reporter: Reporter::new(now, unix_time, "name".to_owned(), fastrand::Rng::with_seed(1)),
        next: 0,
        pushed: 0,
    };
    for step in steps.iter().take(500) {
        run.step(step);
    }
});

impl Run {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Wait { ms } => self.now += Duration::from_millis(ms.into()),
            Step::Ticks { count } => (0..count).for_each(|_| self.tick()),
            Step::Datagram { ref bytes } => self.datagram(bytes),
            Step::Packet { source, sequence, timestamp, marker, event, bytes } => {
                self.next = self.next.wrapping_add(1);
                let header = Header {
                    marker,
                    payload_type: if event { EVENT } else { 0 },
                    sequence: (self.next as u16).wrapping_add_signed(sequence.into()),
                    timestamp: (self.next * 160).wrapping_add_signed(timestamp.into()),
                    ssrc: u32::from(source),
                };
                let mut out = BytesMut::new();
                Packet { header, payload: &vec![bytes as u8; usize::from(bytes % 2_000)] }.write(&mut out);
                self.datagram(&out);
            }
            Step::Even { count } => {
                for _ in 0..count {
                    self.step(&Step::Packet {
                        source: true,
                        sequence: 0,
                        timestamp: 0,
                        marker: false,
                        event: false,
                        bytes: 160,
                    });
                    self.tick();
                }
            }
            Step::Press { keys } => {
                let keys: String = keys.iter().map(|key| char::from(*key)).collect();
                let was_idle = self.key_sender.is_idle();
                if self.key_sender.push(&keys).is_err() {
                    assert_eq!(self.key_sender.is_idle(), was_idle);
                }
            }
        }
        self.check();
    }

    fn datagram(&mut self, bytes: &[u8]) {
        if is_rtcp(bytes) {
            let _ = self.reporter.take(self.now, self.sender.ssrc(), bytes);
            assert!(self.reporter.round_trip().is_none_or(|trip| trip <= Duration::from_secs(10)));
        }
        assert!(parse(bytes).count() <= bytes.len() / 4 + 1);
        let Ok(packet) = Packet::parse(bytes) else { return };
        let Ok(place) = self.receiver.take(self.now, &packet.header) else { return };
        if packet.header.payload_type == EVENT {
            self.keys.push(&place, packet.payload, |key| assert!("0123456789*#ABCD".contains(key)));
            self.buffer.push_event(self.now, &place);
        } else {
            self.pushed += u64::from(!packet.payload.is_empty());
            self.buffer.push(self.now, &place, packet.payload);
        }
    }

    fn tick(&mut self) {
        self.now += Duration::from_millis(20);
        match self.buffer.pull(self.now) {
            Pulled::Frame(payload) | Pulled::Concealed(payload) => assert_eq!(payload.len(), self.codec.frame_bytes()),
            Pulled::Silence => {}
        }
        let mut out = BytesMut::new();
        match self.key_sender.step() {
            Some(KeyStep::Event { first, payload }) => self.sender.event(self.now, EVENT, first, &payload, &mut out),
            _ => self.sender.frame(self.now, 0, &[self.codec.silence(); 160], &mut out),
        }
        let sent = Packet::parse(&out).expect("what is sent can be read");
        assert!(sent.payload.len() == 4 || sent.payload.len() == 160);
        if self.reporter.next_due() <= self.now {
            out.clear();
            self.reporter.report(self.now, &self.sender, &mut self.receiver, &mut out);
            assert!(is_rtcp(&out) && parse(&out).all(|item| item.is_ok()), "what is reported can be read");
        }
    }

    fn check(&self) {
        let stats = self.buffer.stats();
        assert_eq!(stats.received, self.pushed);
        assert_eq!(stats.received, stats.played + stats.late + stats.duplicate + stats.dropped + stats.waiting);
        assert!(stats.waiting <= MAX_PACKETS as u64 && stats.depth_ms <= 420, "{stats:?}");
        let loss = stats.lost as f64 / (stats.lost + stats.received).max(1) as f64;
        let local_delay = Duration::from_millis(stats.depth_ms + 20);
        let score = mos(&MosInput { loss, burst_ratio: 1.0, round_trip: Duration::ZERO, local_delay });
        assert!((1.0..=4.5).contains(&score));
    }
}
