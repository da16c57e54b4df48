//! Reports of both sides, and what they tell.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proptest::prelude::*;
use trunkline_sip::rtcp::{Item, NotRtcp, ReportBlock, Reporter, is_rtcp, parse};
use trunkline_sip::rtp::{Header, Receiver, Sender};

fn at(ms: u64) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_millis(ms)
}

fn reporter(unix_ms: u64, seed: u64) -> Reporter {
    Reporter::new(at(0), Duration::from_millis(unix_ms), "b4Zk".to_owned(), fastrand::Rng::with_seed(seed))
}

fn items(bytes: &[u8]) -> Vec<Item<'_>> {
    parse(bytes).collect::<Result<_, _>>().unwrap()
}

/// One side of a call: sends a frame every 20 ms.
struct Side {
    sender: Sender,
    receiver: Receiver,
    reporter: Reporter,
}

impl Side {
    fn new(ssrc: u32, unix_ms: u64) -> Self {
        let sender = Sender::starting_at(ssrc, 0, 0);
        Self { sender, receiver: Receiver::new(), reporter: reporter(unix_ms, 1) }
    }

    fn report(&mut self, ms: u64) -> BytesMut {
        let mut out = BytesMut::new();
        self.reporter.report(at(ms), &self.sender, &mut self.receiver, &mut out);
        out
    }

    fn send(&mut self, frames: u64) {
        (0..frames).for_each(|n| self.sender.frame(at(n * 20), 0, &[0; 160], &mut BytesMut::new()));
    }

    fn hear(&mut self, ssrc: u32, sequences: impl Iterator<Item = u16>) {
        for sequence in sequences {
            let timestamp = u32::from(sequence) * 160;
            let header = Header { marker: false, payload_type: 0, sequence, timestamp, ssrc };
            self.receiver.take(at(u64::from(sequence) * 20), &header).unwrap();
        }
    }
}

#[test]
fn a_listener_sends_receiver_reports_and_a_speaker_sender_reports() {
    let mut side = Side::new(7, 0);
    side.hear(9, 0..10);
    let out = side.report(1_000);
    let found = items(&out);
    assert!(matches!(found[0], Item::ReceiverReport { ssrc: 7, .. }), "{found:?}");
    assert_eq!(found[1], Item::Description { ssrc: 7, cname: b"b4Zk" });
    assert!(is_rtcp(&out));

    side.send(50);
    for ms in [2_000, 3_000] {
        let out = side.report(ms);
        let [Item::SenderReport { ssrc: 7, info, blocks }, Item::Description { .. }] = &items(&out)[..] else {
            panic!("{out:?}");
        };
        assert_eq!(info.ntp >> 32, 2_208_988_800 + ms / 1_000);
        assert_eq!((info.packets, info.octets), (50, 8_000));
        assert_eq!(u64::from(info.timestamp), ms * 8);
        assert_eq!(blocks.clone().count(), 0, "nothing came since");
    }
    assert!(matches!(items(&side.report(4_000))[0], Item::ReceiverReport { .. }), "nothing sent for two reports");
}

#[test]
fn a_goodbye_is_the_last_of_a_compound() {
    let mut side = Side::new(7, 0);
    let mut out = BytesMut::new();
    side.reporter.goodbye(at(0), &side.sender, &mut side.receiver, &mut out);
    assert_eq!(items(&out).last(), Some(&Item::Goodbye { ssrc: Some(7) }));
    let mut peer = reporter(0, 2);
    assert!(!peer.peer_left());
    peer.take(at(0), 1, &out).unwrap();
    assert!(peer.peer_left());
}

#[test]
fn the_round_trip_is_that_of_the_rfcs_figure() {
    // RFC 3550 figure 2: the report of b705.2000 comes back at b710.8000 after 5.25 s with the peer: 6.125 s
    let arrival = Duration::from_millis((0xB44D_B710 - 2_208_988_800) * 1_000 + 500);
    let mut ours = Reporter::new(at(0), arrival, String::new(), fastrand::Rng::with_seed(1));
    let mut bytes = vec![0x81, 201, 0, 7, 0, 0, 0, 9, 0, 0, 0, 7];
    bytes.extend([0; 12]);
    bytes.extend([0xB7, 0x05, 0x20, 0x00, 0x00, 0x05, 0x40, 0x00]);
    ours.take(at(0), 7, &bytes).unwrap();
    assert_eq!(ours.round_trip(), Some(Duration::from_millis(6_125)));
    let mut others = reporter(0, 1);
    others.take(at(0), 8, &bytes).unwrap();
    assert_eq!(others.round_trip(), None, "this is about somebody else");
    assert_eq!(others.about_us(), None);
}

#[test]
fn both_sides_learn_the_round_trip_and_how_they_are_heard() {
    // clocks that differ by years; 30 ms there, 50 ms back
    let (mut a, mut b) = (Side::new(1, 1_700_000_000_000), Side::new(2, 900_000_000_123));
    a.send(100);
    b.send(100);
    b.hear(1, (0..100).filter(|n| n % 10 != 5));
    a.hear(2, 0..100);
    let from_a = a.report(2_000);
    b.reporter.take(at(2_030), 2, &from_a).unwrap();
    let from_b = b.report(4_030);
    a.reporter.take(at(4_080), 1, &from_b).unwrap();
    let trip = a.reporter.round_trip().unwrap();
    assert!(trip.as_micros().abs_diff(80_000) < 50, "{trip:?}");
    let heard = a.reporter.about_us().unwrap();
    assert_eq!((heard.ssrc, heard.lost, heard.fraction_lost), (1, 10, 25));
    assert_eq!(b.reporter.round_trip(), None, "its report has not come back");
}

#[test]
fn a_quoted_report_that_is_not_ours_gives_no_round_trip() {
    let mut ours = reporter(1_700_000_000_000, 1);
    for quoted in [1_u32, 0x8000_0000] {
        let mut bytes = vec![0x81, 201, 0, 7, 0, 0, 0, 9, 0, 0, 0, 7];
        bytes.extend([0; 12]);
        bytes.extend(quoted.to_be_bytes());
        bytes.extend([0; 4]);
        ours.take(at(0), 7, &bytes).unwrap();
    }
    assert_eq!(ours.round_trip(), None);
}

#[test]
fn reports_come_every_five_seconds_give_or_take_a_half() {
    let mut side = Side::new(1, 0);
    let first = (side.reporter.next_due() - at(0)).as_millis();
    assert!((1_250..=3_750).contains(&first), "{first}");
    let mut waits = Vec::new();
    for _ in 0..200 {
        let due = side.reporter.next_due();
        side.reporter.report(due, &side.sender, &mut side.receiver, &mut BytesMut::new());
        waits.push((side.reporter.next_due() - due).as_millis());
    }
    assert!(waits.iter().all(|wait| (2_500..=7_500).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait < 3_500) && waits.iter().any(|wait| *wait > 6_500));
}

#[test]
fn negative_loss_keeps_its_sign() {
    let mut bytes = vec![0x81, 201, 0, 7, 0, 0, 0, 9, 0, 0, 0, 7, 255, 0xFF, 0xFF, 0xFE];
    bytes.extend([0; 16]);
    let [Item::ReceiverReport { blocks, .. }] = &items(&bytes)[..] else { panic!() };
    let block = blocks.clone().next().unwrap();
    assert_eq!(block, ReportBlock { ssrc: 7, fraction_lost: 255, lost: -2, ..ReportBlock::default() });
}

#[test]
fn what_is_no_compound_is_told_apart_and_its_good_part_is_used() {
    let table = [
        (&[][..], NotRtcp::Short(0), "0 bytes are less than the 4 of an RTCP header"),
        (&[0x80, 200, 0], NotRtcp::Short(3), "3 bytes are less than the 4 of an RTCP header"),
        (&[0x40, 200, 0, 0], NotRtcp::Version(1), "version 1 is not 2"),
        (&[0x80, 200, 0, 1], NotRtcp::Length(200), "a packet of type 200 does not fit its length"),
        (&[0x81, 201, 0, 1, 0, 0, 0, 7], NotRtcp::Length(201), "a packet of type 201 does not fit its length"),
        (&[0xA0, 203, 0, 1, 0, 0, 0, 5], NotRtcp::Padding(5), "padding of 5 bytes does not fit in the packet"),
    ];
    for (bytes, error, text) in table {
        assert_eq!(parse(bytes).next(), Some(Err(error)));
        assert_eq!(error.to_string(), text);
    }
    let tail = [0x80, 207, 0, 0, 0xA0, 203, 0, 1, 0, 0, 0, 4, 0x80, 200];
    let read: Vec<_> = parse(&tail).collect();
    assert_eq!(read, [Ok(Item::Other(207)), Ok(Item::Goodbye { ssrc: None }), Err(NotRtcp::Short(2))]);
    let mut ours = reporter(0, 1);
    assert_eq!(ours.take(at(0), 1, &tail), Err(NotRtcp::Short(2)));
    assert!(ours.peer_left());
}

#[test]
fn the_name_is_found_among_other_items() {
    let bytes = [0x81, 202, 0, 4, 0, 0, 0, 9, 2, 1, b'x', 1, 2, b'm', b'e', 0, 0, 0, 0, 0];
    assert_eq!(items(&bytes), [Item::Description { ssrc: 9, cname: b"me" }]);
    let nameless = [0x81, 202, 0, 2, 0, 0, 0, 9, 0, 1, 2, 3];
    assert_eq!(items(&nameless), [Item::Description { ssrc: 9, cname: b"" }]);
}

#[test]
fn rtp_is_not_taken_for_rtcp() {
    assert!(!is_rtcp(&[0x80, 0]) && !is_rtcp(&[0x80, 0x80 | 101]) && !is_rtcp(&[0x00, 200]) && !is_rtcp(&[0x80]));
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        kinds in prop::collection::vec((200_u8..208, 0_u8..4, 0_u8..12), 0..4),
    ) {
        let mut layout = Vec::new();
        for (kind, count, words) in kinds {
            layout.extend([0x80 | count, kind, 0, words]);
            layout.extend(bytes.iter().cycle().take(usize::from(words) * 4 * usize::from(!bytes.is_empty())));
        }
        for bytes in [&bytes, &layout] {
            let found: Vec<_> = parse(bytes).collect();
            prop_assert!(found.len() <= bytes.len() / 4 + 1);
            prop_assert!(found.iter().rev().skip(1).all(Result::is_ok));
            let _ = reporter(0, 1).take(at(1), 7, bytes);
        }
    }

    #[test]
    fn a_report_is_read_as_it_was_written(
        ssrc in any::<u32>(), frames in 0_u64..50, heard in 0_u16..50, name in ".{0,300}", unix_ms in 0_u64..5_000_000_000_000,
    ) {
        let mut side = Side::new(ssrc, unix_ms);
        side.reporter = Reporter::new(at(0), Duration::from_millis(unix_ms), name.clone(), fastrand::Rng::with_seed(1));
        side.send(frames);
        side.hear(9, 0..heard);
        let out = side.report(1_000);
        prop_assert_eq!(out.len() % 4, 0);
        let found = items(&out);
        let Item::Description { ssrc: named, cname } = found[1] else { panic!() };
        prop_assert_eq!((named, cname), (ssrc, &name.as_bytes()[..name.len().min(255)]));
        let blocks = match &found[0] {
            Item::SenderReport { blocks, .. } if frames > 0 => blocks,
            Item::ReceiverReport { blocks, .. } if frames == 0 => blocks,
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(blocks.clone().count(), usize::from(heard > 0));
    }
}
