//! The media of a call: two legs that speak with each other, in made-up time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use trunkline_media::{LineCodec, g711};
use trunkline_sip::leg::Leg;
use trunkline_sip::sdp::{self, Agreed, Codec, Direction, LocalMedia};
use trunkline_sip::srtp::FreshKey;

const FRAME: Duration = Duration::from_millis(20);

fn at(ms: u64) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_millis(ms)
}

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

/// The two ends of a call.
struct Call {
    now_ms: u64,
    ours: Leg,
    theirs: Leg,
    /// Keys that we were told of.
    keys: Vec<char>,
    /// What we heard, tick by tick.
    heard: Vec<Option<Vec<u8>>>,
}

const OURS: u8 = 1;
const THEIRS: u8 = 2;

fn local(host: u8, port: u16, require_srtp: bool) -> LocalMedia {
    let fresh_key = FreshKey::new([host; 32], [host; 14]);
    let address = address(host, 0).ip();
    LocalMedia { address, port, session_id: u64::from(host), require_srtp, fresh_key }
}

/// What both sides make of an offer of theirs.
fn agreed(secure: bool) -> (Agreed, Agreed) {
    let offered = sdp::offer(&local(THEIRS, 4_000, secure), None);
    let offer = sdp::read(offered.to_sdp().as_bytes()).unwrap();
    let answer = sdp::answer(&offer, &local(OURS, 20_000, secure), None).unwrap();
    let theirs = sdp::read_answer(answer.description.to_sdp().as_bytes(), &offered).unwrap();
    (answer.agreed, theirs)
}

fn leg(agreed: &Agreed, seed: u64) -> Leg {
    Leg::new(at(0), Duration::from_secs(1_700_000_000), agreed, fastrand::Rng::with_seed(seed))
}

impl Call {
    fn start(secure: bool) -> Self {
        let (ours, theirs) = agreed(secure);
        let (ours, theirs) = (leg(&ours, 1), leg(&theirs, 2));
        Self { now_ms: 0, ours, theirs, keys: Vec::new(), heard: Vec::new() }
    }

    fn now(&self) -> Instant {
        at(self.now_ms)
    }

    /// 20 ms in which they say `frame`; `from` is where it comes from.
    fn tick_from(&mut self, from: SocketAddr, frame: &[u8]) {
        let now = self.now();
        let mut packet = BytesMut::new();
        if let Some(to) = self.theirs.frame(now, frame, &mut packet) {
            assert_eq!(to, address(OURS, 20_000));
            let keys = &mut self.keys;
            self.ours.packet(now, from, &mut packet, |key| keys.push(key));
        }
        self.now_ms += FRAME.as_millis() as u64;
        let heard = self.ours.pull(self.now()).map(|frame| frame.to_vec());
        self.heard.push(heard);
    }

    fn tick(&mut self, frame: &[u8]) {
        self.tick_from(address(THEIRS, 4_000), frame);
    }

    fn heard_frames(&self) -> Vec<Vec<u8>> {
        self.heard.iter().flatten().cloned().collect()
    }
}

/// A frame that is told from others.
fn frame(number: u8) -> Vec<u8> {
    (0..160).map(|n| 0x80 | (number.wrapping_mul(31).wrapping_add(n) & 0x3F)).collect()
}

#[test]
fn what_is_said_is_heard_byte_for_byte_with_and_without_srtp() {
    for secure in [false, true] {
        let mut call = Call::start(secure);
        (0..100).for_each(|n| call.tick(&frame(n)));
        let heard = call.heard_frames();
        assert!(heard.len() >= 95, "{} frames", heard.len());
        for (n, heard) in heard.iter().enumerate() {
            assert_eq!(*heard, frame(n as u8), "frame {n}, srtp {secure}");
        }
        let fares = call.ours.fares();
        assert_eq!((fares.received, fares.lost, fares.late, fares.foreign), (100, 0, 0, 0));
        assert!(fares.mos > 4.3, "{}", fares.mos);
    }
}

#[test]
fn the_other_way_goes_to_where_the_peer_says_it_is_or_speaks_from() {
    let mut call = Call::start(false);
    let mut packet = BytesMut::new();
    assert_eq!(call.ours.frame(at(0), &frame(0), &mut packet), Some(address(THEIRS, 4_000)));
    // Behind a router, in the same network.
    call.tick_from(address(99, 61_000), &frame(1));
    packet.clear();
    assert_eq!(call.ours.frame(at(20), &frame(0), &mut packet), Some(address(99, 61_000)));
}

#[test]
fn a_stranger_is_not_heard_and_draws_nothing_to_himself() {
    let mut call = Call::start(false);
    let stranger = SocketAddr::from(([203, 0, 113, 9], 4_000));
    (0..10).for_each(|n| call.tick_from(stranger, &frame(n)));
    assert!(call.heard_frames().is_empty());
    assert_eq!(call.ours.fares().foreign, 10);
    // In the middle of a call not even a neighbour.
    (0..10).for_each(|n| call.tick(&frame(n)));
    let before = call.ours.fares();
    let mut packet = BytesMut::new();
    call.theirs.frame(call.now(), &frame(0), &mut packet);
    let now = call.now();
    call.ours.packet(now, address(77, 4_000), &mut packet, |_| {});
    assert_eq!(call.ours.fares().received, before.received);
    packet.clear();
    assert_eq!(call.ours.frame(now, &frame(0), &mut packet), Some(address(THEIRS, 4_000)));
}

#[test]
fn forged_packets_change_nothing_where_there_is_srtp() {
    let mut call = Call::start(true);
    (0..5).for_each(|n| call.tick(&frame(n)));
    let mut plain = BytesMut::new();
    Call::start(false).theirs.frame(at(0), &frame(9), &mut plain);
    let now = call.now();
    call.ours.packet(now, address(THEIRS, 4_000), &mut plain, |_| {});
    assert_eq!(call.ours.fares().foreign, 1);
    assert_eq!(call.ours.fares().received, 5);
}

#[test]
fn keys_are_told_once_each_and_are_no_loss() {
    let mut call = Call::start(false);
    (0..10).for_each(|n| call.tick(&frame(n)));
    call.theirs.press("12#").unwrap();
    (0..60).for_each(|n| call.tick(&frame(n)));
    assert_eq!(call.keys, ['1', '2', '#']);
    assert_eq!(call.ours.fares().lost, 0);
    assert!(call.ours.press("x").is_err());
}

#[test]
fn on_hold_nothing_is_sent_and_afterwards_it_goes_on() {
    let mut call = Call::start(false);
    let (ours, _) = agreed(false);
    let mut packet = BytesMut::new();
    call.ours.change(&Agreed { direction: Direction::RecvOnly, ..ours.clone() });
    assert_eq!(call.ours.frame(at(0), &frame(0), &mut packet), None);
    call.ours.change(&Agreed { rtp: None, rtcp: None, ..ours.clone() });
    assert_eq!(call.ours.frame(at(20), &frame(0), &mut packet), None);
    assert!(packet.is_empty());
    call.ours.change(&ours);
    assert_eq!(call.ours.frame(at(40), &frame(0), &mut packet), Some(address(THEIRS, 4_000)));
}

#[test]
fn another_codec_is_spoken_and_the_call_goes_on_in_its_own() {
    let (ours, theirs) = agreed(false);
    let to_pcma = |agreed: &Agreed| {
        let mut agreed = agreed.clone();
        agreed.codec = Codec::Pcma;
        agreed.sends.audio = 8;
        agreed.receives.audio = 8;
        agreed
    };
    let mut call = Call::start(false);
    assert_eq!(call.ours.codec(), LineCodec::Pcmu);
    call.ours.change(&to_pcma(&ours));
    call.theirs.change(&to_pcma(&theirs));
    (0..20).for_each(|n| call.tick(&frame(n)));
    let heard = call.heard_frames();
    // Through A-law and back: what a second law leaves of it.
    let mut expected = BytesMut::new();
    let mut alaw = BytesMut::new();
    g711::convert(LineCodec::Pcmu, LineCodec::Pcma, &frame(0), &mut alaw);
    g711::convert(LineCodec::Pcma, LineCodec::Pcmu, &alaw, &mut expected);
    assert_eq!(heard[0], expected);
}

#[test]
fn reports_tell_each_side_how_the_other_fares() {
    for secure in [false, true] {
        let mut call = Call::start(secure);
        for n in 0..800_u32 {
            call.tick(&frame(n as u8));
            let now = call.now();
            let mut packet = BytesMut::new();
            call.ours.frame(now, &frame(n as u8), &mut packet);
            call.theirs.packet(now, address(OURS, 20_000), &mut packet, |_| {});
            let mut report = BytesMut::new();
            if call.ours.report_due() <= now {
                let to = call.ours.report(now, &mut report).unwrap();
                assert_eq!(to, address(THEIRS, 4_001));
                call.theirs.report_packet(now, address(OURS, 20_001), &mut report);
            }
            report.clear();
            if call.theirs.report_due() <= now {
                call.theirs.report(now, &mut report).unwrap();
                // Ten milliseconds on the way.
                call.ours.report_packet(now + Duration::from_millis(10), address(THEIRS, 4_001), &mut report);
            }
        }
        let round_trip = call.ours.fares().round_trip.unwrap();
        assert!((5..=30).contains(&round_trip.as_millis()), "{round_trip:?}, srtp {secure}");
        assert_eq!(call.ours.fares().foreign, 0);
    }
}

#[test]
fn any_bytes_change_nothing() {
    let mut call = Call::start(false);
    let mut rng = fastrand::Rng::with_seed(7);
    (0..5).for_each(|n| call.tick(&frame(n)));
    let before = call.ours.fares().received;
    for _ in 0..2_000 {
        let length = rng.usize(..200);
        let mut bytes = BytesMut::from_iter((0..length).map(|_| rng.u8(..)));
        let now = call.now();
        call.ours.packet(now, address(THEIRS, 4_000), &mut bytes.clone(), |_| {});
        call.ours.report_packet(now, address(THEIRS, 4_001), &mut bytes);
    }
    assert!(call.ours.fares().received <= before + 20, "chance makes no stream");
    (5..60).for_each(|n| call.tick(&frame(n)));
    let last = call.heard_frames().pop().unwrap();
    assert!((50..60).any(|n| last == frame(n)), "and the call goes on");
}
