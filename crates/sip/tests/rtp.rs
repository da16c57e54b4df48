//! Packets, stamps and the checks of RFC 3550 A.1, A.3 and A.8.
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
use trunkline_sip::rtp::{Header, NotRtp, Packet, Receiver, Refused, Sender};

fn at(ms: u64) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_millis(ms)
}

const fn header(sequence: u16, timestamp: u32) -> Header {
    Header { marker: false, payload_type: 0, sequence, timestamp, ssrc: 7 }
}

/// Takes a packet that is due every 20 ms at its moment.
fn take(receiver: &mut Receiver, sequence: u16) -> Result<u64, Refused> {
    let timestamp = u32::from(sequence) * 160;
    receiver.take(at(u64::from(sequence) * 20), &header(sequence, timestamp)).map(|place| place.sequence)
}

#[test]
fn a_packet_is_read_as_it_is_laid_out() {
    let fixed = [0x80, 0x80 | 101, 0x12, 0x34, 0, 0, 0, 160, 0xDE, 0xAD, 0xBE, 0xEF];
    let packet = Packet::parse(&fixed).unwrap();
    let expected = Header { marker: true, payload_type: 101, sequence: 0x1234, timestamp: 160, ssrc: 0xDEAD_BEEF };
    assert_eq!((packet.header, packet.payload), (expected, &[][..]));

    // padding, one extension of a word, two sources
    let mut full = vec![0x80 | 0x20 | 0x10 | 2, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    full.extend([1, 1, 1, 1, 2, 2, 2, 2, 0xBE, 0xDE, 0, 1, 9, 9, 9, 9, b'h', b'i', 0, 0, 3]);
    assert_eq!(Packet::parse(&full).unwrap().payload, b"hi");
}

#[test]
fn what_is_no_packet_is_told_apart() {
    let begin = |layout: u8, rest: &[u8]| [&[layout, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3], rest].concat();
    let table = [
        (vec![0x80; 11], NotRtp::Short(11), "11 bytes are less than the 12 of an RTP header"),
        (begin(0x40, &[]), NotRtp::Version(1), "version 1 is not 2"),
        (begin(0x82, &[0; 7]), NotRtp::Sources(2), "2 contributing sources do not fit in the packet"),
        (begin(0x90, &[0, 0, 0]), NotRtp::Extension, "the header extension does not fit in the packet"),
        (begin(0x90, &[0, 0, 0, 1, 5]), NotRtp::Extension, "the header extension does not fit in the packet"),
        (begin(0xA0, &[1, 0]), NotRtp::Padding(0), "padding of 0 bytes does not fit in the packet"),
        (begin(0xA0, &[1, 3]), NotRtp::Padding(3), "padding of 3 bytes does not fit in the packet"),
        (begin(0xA0, &[]), NotRtp::Padding(0), "padding of 0 bytes does not fit in the packet"),
    ];
    for (bytes, error, text) in table {
        assert_eq!(Packet::parse(&bytes), Err(error), "{bytes:?}");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn what_is_sent_counts_on_through_wraps_silence_and_keys() {
    let mut sender = Sender::starting_at(7, 65_534, u32::MAX - 159);
    let mut out = BytesMut::new();
    let mut sent = Vec::new();
    for step in 0..8 {
        out.clear();
        match step {
            2 => sender.skip(at(40)),
            4 => sender.event(at(80), 101, true, &[1, 10, 0, 160], &mut out),
            5 => sender.event(at(100), 101, false, &[1, 138, 1, 64], &mut out),
            _ => sender.frame(at(step * 20), 0, &[0x55; 160], &mut out),
        }
        if !out.is_empty() {
            let Header { marker, payload_type, sequence, timestamp, ssrc } = Packet::parse(&out).unwrap().header;
            assert_eq!(ssrc, 7);
            sent.push((marker, payload_type, sequence, timestamp));
        }
    }
    let expected = [
        (true, 0, 65_534, u32::MAX - 159),
        (false, 0, 65_535, 0),
        (true, 0, 0, 320),
        (true, 101, 1, 480),
        (false, 101, 2, 480),
        (true, 0, 3, 800),
        (false, 0, 4, 960),
    ];
    assert_eq!(sent, expected);
    assert_eq!(sender.sent(), (7, 5 * 160 + 2 * 4));
    assert_eq!(sender.timestamp_at(at(145)), 960 + 40);
}

#[test]
fn sequence_numbers_go_on_through_the_wrap() {
    let mut receiver = Receiver::new();
    let places: Vec<u64> = (65_530..65_542_u32)
        .map(|n| receiver.take(at(u64::from(n) * 20), &header(n as u16, n.wrapping_mul(160))).unwrap().sequence)
        .collect();
    assert_eq!(places, (65_536 + 65_530..65_536 + 65_542).collect::<Vec<u64>>());
    assert_eq!(receiver.report().unwrap().highest_sequence, 65_541);
    assert_eq!(receiver.stats().lost, 0);
}

#[test]
fn late_and_repeated_packets_are_told_apart_from_lost_ones() {
    let mut receiver = Receiver::new();
    for sequence in [100, 101, 104, 103, 104, 99] {
        let taken = take(&mut receiver, sequence);
        assert_eq!(taken.is_err(), sequence == 104 && receiver.stats().duplicates == 1, "{sequence}: {taken:?}");
    }
    let stats = receiver.stats();
    assert_eq!((stats.packets, stats.late, stats.duplicates, stats.lost), (5, 2, 1, 1));
}

#[test]
fn a_stray_packet_changes_nothing_and_two_in_a_row_are_a_new_stream() {
    let mut receiver = Receiver::new();
    assert_eq!(receiver.take(at(0), &header(10, 0)).unwrap().stream, 1, "the first words count");
    let stranger = |sequence| Header { ssrc: 8, ..header(sequence, 0) };
    assert_eq!(receiver.take(at(5), &stranger(500)), Err(Refused::Unproven));
    assert_eq!(receiver.take(at(20), &header(11, 160)).unwrap().stream, 1);
    // two at once: the first goes on
    assert_eq!(receiver.take(at(25), &stranger(501)), Err(Refused::Unproven));
    assert_eq!(receiver.take(at(40), &header(12, 320)).unwrap().stream, 1);
    assert_eq!(receiver.take(at(45), &stranger(502)), Err(Refused::Unproven));
    assert_eq!(receiver.take(at(65), &stranger(503)).unwrap().stream, 2);
    assert_eq!(receiver.ssrc(), Some(8));
    // the same source after a jump of its numbers
    assert_eq!(receiver.take(at(80), &stranger(9_000)), Err(Refused::Unproven));
    let place = receiver.take(at(100), &stranger(9_001)).unwrap();
    assert_eq!((place.stream, place.sequence), (3, 65_536 + 9_001));
    assert_eq!(receiver.stats().unproven, 4);
    assert_eq!(receiver.stats().lost, 0);
}

#[test]
fn loss_is_told_per_interval_in_parts_of_256() {
    let mut receiver = Receiver::new();
    assert_eq!(receiver.report(), None);
    (0..100).filter(|n| n % 4 != 3).for_each(|n| _ = take(&mut receiver, n));
    take(&mut receiver, 100).unwrap();
    let block = receiver.report().unwrap();
    // 25 of 101
    assert_eq!((block.ssrc, block.fraction_lost, block.lost, block.highest_sequence), (7, 63, 25, 100));
    assert_eq!(receiver.report(), None, "nothing came since");
    (101..201).for_each(|n| _ = take(&mut receiver, n));
    let block = receiver.report().unwrap();
    assert_eq!((block.fraction_lost, block.lost), (0, 25));
    // twice the same hides a loss from the peer, as the RFC wants it, but not from us
    [201, 201, 203].into_iter().for_each(|n| _ = take(&mut receiver, n));
    assert_eq!(receiver.report().unwrap().lost, 25);
    assert_eq!(receiver.stats().lost, 26);
}

#[test]
fn jitter_follows_the_rfc() {
    let mut receiver = Receiver::new();
    // every second packet 10 ms late: |D| is 80 units from one to the next
    for n in 0..400_u16 {
        let late = u64::from(n % 2) * 10;
        receiver.take(at(u64::from(n) * 20 + late), &header(n, u32::from(n) * 160)).unwrap();
        // the packets of an event share a timestamp and do not count
        let key = Header { payload_type: 101, ..header(n, u32::from(n) * 160) };
        assert!(receiver.take(at(u64::from(n) * 20 + 15), &key).is_err());
    }
    let jitter = receiver.report().unwrap().jitter;
    assert!((78..=80).contains(&jitter), "{jitter}");
    assert_eq!(receiver.stats().jitter_us / 1_000, 9);
}

#[test]
fn a_key_held_between_words_is_no_jitter() {
    let mut receiver = Receiver::new();
    receiver.set_events(Some(101));
    (0..10).for_each(|n| _ = take(&mut receiver, n));
    // Audio goes on between the packets of the event, all of which say when it began.
    for n in (10..60_u16).step_by(2) {
        let now = at(u64::from(n) * 20);
        receiver.take(now, &Header { payload_type: 101, ..header(n, 1_600) }).unwrap();
        receiver.take(now, &header(n + 1, u32::from(n) * 160)).unwrap();
    }
    (60..70).for_each(|n| _ = take(&mut receiver, n));
    assert_eq!(receiver.report().unwrap().jitter, 0);
}

proptest! {
    #[test]
    fn any_bytes_are_a_packet_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut().filter(|_| version) {
            *first = *first & 0x3F | 0x80;
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            prop_assert!(packet.payload.len() + 12 <= bytes.len());
            let mut out = BytesMut::new();
            packet.write(&mut out);
            prop_assert_eq!(Packet::parse(&out), Ok(packet));
        }
    }

    #[test]
    fn whatever_comes_is_counted_once(
        packets in prop::collection::vec((any::<u16>(), 0..60_u16, any::<u32>(), 0..2_u32, 0..50_u64), 0..300),
        wild in any::<bool>(),
    ) {
        let mut receiver = Receiver::new();
        let (mut now, mut taken, mut seen) = (0, 0, std::collections::HashSet::new());
        for (index, (anything, near, timestamp, ssrc, wait)) in packets.iter().enumerate() {
            now += wait;
            let sequence = if wild { *anything } else { (index as u16).wrapping_add(65_500).wrapping_add(*near) };
            let ssrc = if wild { *ssrc } else { 0 };
            if let Ok(place) = receiver.take(at(now), &Header { ssrc, ..header(sequence, *timestamp) }) {
                taken += 1;
                prop_assert_eq!(place.sequence as u16, sequence);
                prop_assert!(seen.insert((place.stream, place.sequence)), "taken twice");
            }
            if wait % 7 == 0 {
                receiver.report();
            }
        }
        let stats = receiver.stats();
        prop_assert_eq!(stats.packets, taken);
        prop_assert_eq!(stats.packets + stats.duplicates + stats.unproven, packets.len() as u64);
        if !wild {
            let span = seen.iter().map(|(_, n)| n).max().map_or(0, |max| max - seen.iter().map(|(_, n)| n).min().unwrap() + 1);
            prop_assert_eq!(stats.lost, span - taken);
        }
    }
}
