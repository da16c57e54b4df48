//! SRTP as libsrtp writes and reads it, and what is never taken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use base64_simd::STANDARD;
use bytes::BytesMut;
use proptest::prelude::*;
use trunkline_sip::srtp::{BadSdes, FreshKey, MAX_SOURCES, Protect, Sdes, SrtpError, Suite, Unprotect, WINDOW};

const PACKETS: &str = include_str!("fixtures/srtp/packets.txt");
const DELIVERIES: &str = include_str!("fixtures/srtp/deliveries.txt");

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn sdes(suite: Suite) -> Sdes {
    Sdes::generate(suite, &FreshKey::new([0x5A; 32], [0xC3; 14]))
}

fn pair(suite: Suite) -> (Protect, Unprotect) {
    (Protect::new(&sdes(suite)), Unprotect::new(&sdes(suite)))
}

/// Packet number `n` of a source: `n` mod 65,536 is its sequence number, 4 bytes its payload.
fn rtp(ssrc: u32, n: u64) -> BytesMut {
    let mut packet = BytesMut::from(&[0x80, 0][..]);
    packet.extend_from_slice(&(n as u16).to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&(n as u32).to_be_bytes());
    packet
}

fn report(ssrc: u32) -> BytesMut {
    let mut packet = BytesMut::from(&[0x80, 201, 0, 1][..]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet
}

#[test]
fn packets_are_those_of_libsrtp() {
    let mut suites = 0;
    let mut state = None;
    for line in PACKETS.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [kind, first, second] = fields[..] else { panic!("{line}") };
        if kind == "suite" {
            let suite = Suite::ALL.into_iter().find(|suite| suite.name() == first).unwrap();
            let sdes = Sdes::parse(suite, &format!("inline:{}", STANDARD.encode_to_string(hex(second)))).unwrap();
            let mut protect = Protect::new(&sdes);
            // Our reports count from 0, as RFC 3711 has it, libsrtp's from 1.
            protect.protect_rtcp(&mut report(1)).unwrap();
            state = Some((protect, Unprotect::new(&sdes)));
            suites += 1;
            continue;
        }
        let (protect, unprotect) = state.as_mut().unwrap();
        let (plain, protected) = (hex(first), hex(second));
        let mut packet = BytesMut::from(&plain[..]);
        let mut received = BytesMut::from(&protected[..]);
        if kind == "rtp" {
            assert_eq!(protect.protect_rtp(&mut packet), Ok(()), "{line}");
            assert_eq!(unprotect.unprotect_rtp(&mut received), Ok(()), "{line}");
        } else {
            assert_eq!(protect.protect_rtcp(&mut packet), Ok(()), "{line}");
            assert_eq!(unprotect.unprotect_rtcp(&mut received), Ok(()), "{line}");
        }
        assert_eq!(packet[..], protected, "{line}");
        assert_eq!(received[..], plain, "{line}");
    }
    assert_eq!(suites, Suite::ALL.len());
}

#[test]
fn a_disturbed_stream_is_judged_as_libsrtp_judges_it() {
    let mut deliveries: Vec<(u64, &str)> = Vec::new();
    for line in DELIVERIES.lines() {
        let (number, verdict) = line.split_once(' ').unwrap();
        deliveries.push((number.parse().unwrap(), verdict));
    }
    let mut numbers: Vec<u64> = deliveries.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let (mut protect, mut unprotect) = pair(Suite::AesCm128HmacSha1_32);
    let mut sent = std::collections::HashMap::new();
    for number in numbers {
        let mut packet = rtp(7, number);
        protect.protect_rtp(&mut packet).unwrap();
        sent.insert(number, packet);
    }
    for (at, (number, verdict)) in deliveries.iter().enumerate() {
        let mut packet = sent[number].clone();
        let ours = match unprotect.unprotect_rtp(&mut packet) {
            Ok(()) => "ok",
            Err(SrtpError::Replayed { index }) if index == *number => "replayed",
            Err(SrtpError::TooOld { index }) if index == *number => "old",
            Err(other) => panic!("delivery {at}, packet {number}: {other}"),
        };
        assert_eq!(ours, *verdict, "delivery {at}, packet {number}");
        if ours == "ok" {
            assert_eq!(packet, rtp(7, *number));
        }
    }
}

#[test]
fn the_window_ends_where_it_says() {
    let (mut protect, mut unprotect) = pair(Suite::AesCm128HmacSha1_80);
    let mut packets: Vec<BytesMut> = (0..=WINDOW).map(|n| rtp(1, n)).collect();
    packets.iter_mut().for_each(|packet| protect.protect_rtp(packet).unwrap());
    unprotect.unprotect_rtp(&mut packets[WINDOW as usize].clone()).unwrap();
    unprotect.unprotect_rtp(&mut packets[1].clone()).unwrap();
    assert_eq!(unprotect.unprotect_rtp(&mut packets[1].clone()), Err(SrtpError::Replayed { index: 1 }));
    assert_eq!(unprotect.unprotect_rtp(&mut packets[0].clone()), Err(SrtpError::TooOld { index: 0 }));
}

#[test]
fn a_peer_whose_first_packets_were_missed_is_understood_after_the_wrap() {
    let (mut protect, mut unprotect) = pair(Suite::AesCm128HmacSha1_80);
    for n in 65_530..65_540 {
        let mut packet = rtp(1, n);
        protect.protect_rtp(&mut packet).unwrap();
        if n >= 65_537 {
            unprotect.unprotect_rtp(&mut packet).unwrap();
            assert_eq!(packet, rtp(1, n));
        }
    }
}

#[test]
fn only_a_new_source_may_have_wrapped_unseen() {
    let (mut protect, mut unprotect) = pair(Suite::AesCm128HmacSha1_80);
    for n in [10, 30_000, 60_000, 65_550] {
        let mut packet = rtp(1, n);
        protect.protect_rtp(&mut packet).unwrap();
        match n {
            10 => assert_eq!(unprotect.unprotect_rtp(&mut packet), Ok(())),
            65_550 => assert_eq!(unprotect.unprotect_rtp(&mut packet), Err(SrtpError::Forged), "no second guess"),
            _ => {} // lost
        }
    }
}

#[test]
fn no_index_is_used_twice() {
    let (mut protect, _) = pair(Suite::AesCm128HmacSha1_80);
    protect.protect_rtp(&mut rtp(1, 500)).unwrap();
    let mut again = rtp(1, 500);
    assert_eq!(protect.protect_rtp(&mut again), Err(SrtpError::Replayed { index: 500 }));
    assert_eq!(again, rtp(1, 500), "and it did not leave in clear with a tag");
    protect.protect_rtp(&mut rtp(2, 500)).unwrap();
}

#[test]
fn each_source_has_a_count_of_its_own_and_there_are_not_too_many() {
    let (mut protect, mut unprotect) = pair(Suite::AesCm128HmacSha1_80);
    let sources = u32::try_from(MAX_SOURCES).unwrap();
    for ssrc in 0..sources {
        for n in [65_535, 65_536] {
            let mut packet = rtp(ssrc, n - u64::from(ssrc));
            protect.protect_rtp(&mut packet).unwrap();
            unprotect.unprotect_rtp(&mut packet).unwrap();
        }
    }
    assert_eq!(protect.protect_rtp(&mut rtp(sources, 1)), Err(SrtpError::TooManySources));
    let mut another = rtp(sources, 1);
    Protect::new(&sdes(Suite::AesCm128HmacSha1_80)).protect_rtp(&mut another).unwrap();
    assert_eq!(unprotect.unprotect_rtp(&mut another), Err(SrtpError::TooManySources));
    let mut known = rtp(3, 65_600);
    protect.protect_rtp(&mut known).unwrap();
    unprotect.unprotect_rtp(&mut known).unwrap();
}

#[test]
fn reports_are_told_apart_too() {
    for suite in Suite::ALL {
        let (mut protect, mut unprotect) = pair(suite);
        let mut packet = report(9);
        protect.protect_rtcp(&mut packet).unwrap();
        assert_eq!(packet.len(), 8 + 4 + 10, "the tag of a report is never short");
        let mut received = packet.clone();
        unprotect.unprotect_rtcp(&mut received).unwrap();
        assert_eq!(received, report(9));
        assert_eq!(unprotect.unprotect_rtcp(&mut packet.clone()), Err(SrtpError::Replayed { index: 0 }));
        let mut clear = packet.clone();
        clear[8] &= 0x7F;
        assert_eq!(unprotect.unprotect_rtcp(&mut clear), Err(SrtpError::NotEncrypted));
        let mut other_index = packet.clone();
        other_index[11] ^= 1;
        assert_eq!(unprotect.unprotect_rtcp(&mut other_index), Err(SrtpError::Forged));
    }
}

#[test]
fn what_is_no_packet_is_named_as_such() {
    let (mut protect, mut unprotect) = pair(Suite::AesCm128HmacSha1_80);
    let rtp_cases: [&[u8]; 6] = [
        &[],
        &[0x80; 11],
        &[0x40, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1],                // version 1
        &[0x81, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1],                // a contributing source that is not there
        &[0x90, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xBE, 0xDE, 0], // half an extension
        &[0x90, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xBE, 0xDE, 0xFF, 0xFF],
    ];
    for case in rtp_cases {
        let length = case.len();
        let packet = protect.protect_rtp(&mut BytesMut::from(case));
        assert_eq!(packet, Err(SrtpError::Malformed { protocol: "RTP", length }), "{case:?}");
        // With room for a tag it is still none.
        let mut tagged = BytesMut::from(case);
        tagged.extend_from_slice(&[0; 10]);
        let packet = unprotect.unprotect_rtp(&mut tagged);
        assert_eq!(packet, Err(SrtpError::Malformed { protocol: "SRTP", length: length + 10 }), "{case:?}");
    }
    let mut giant = BytesMut::from(&vec![0x80; 65_536][..]);
    assert_eq!(protect.protect_rtp(&mut giant), Err(SrtpError::Malformed { protocol: "RTP", length: 65_536 }));
    for case in [&[][..], &[0x80, 201, 0, 1, 0, 0, 0], &[0, 201, 0, 1, 0, 0, 0, 9]] {
        let length = case.len();
        let packet = protect.protect_rtcp(&mut BytesMut::from(case));
        assert_eq!(packet, Err(SrtpError::Malformed { protocol: "RTCP", length }), "{case:?}");
        let mut tagged = BytesMut::from(case);
        tagged.extend_from_slice(&[0x80; 14]);
        let packet = unprotect.unprotect_rtcp(&mut tagged);
        let is_as_it_is = packet == Err(SrtpError::Malformed { protocol: "SRTCP", length: length + 14 });
        assert!(is_as_it_is, "{case:?}: {packet:?}");
    }
}

#[test]
fn keys_are_read_as_rfc_4568_writes_them() {
    use Suite::{AesCm128HmacSha1_80 as Aes128, AesCm256HmacSha1_80 as Aes256};
    let key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let long = STANDARD.encode_to_string([7; 46]);
    let good = [
        (Aes128, format!("inline:{key}")),
        (Aes128, format!("INLINE:{key}")),
        (Aes128, format!("inline:{key}|2^20")),
        (Aes128, format!("inline:{key}|1048576")),
        (Aes128, format!("inline:{key}|2^48")),
        (Aes256, format!("inline:{long}")),
        (Aes256, format!("inline:{}|2^31", long.trim_end_matches('='))),
    ];
    for (suite, text) in good {
        let sdes = Sdes::parse(suite, &text).unwrap_or_else(|bad| panic!("{text}: {bad}"));
        let mut written = String::new();
        sdes.write_inline(&mut written);
        let wanted = if suite == Aes128 { key } else { &long };
        assert_eq!(written, format!("inline:{wanted}"), "{text}");
    }
    let bad = [
        (String::new(), BadSdes::NotInline),
        (key.to_owned(), BadSdes::NotInline),
        ("inline:".to_owned(), BadSdes::BadLength { length: 0, suite: Aes128, wanted: 30 }),
        (format!("inline:{key}AAAA"), BadSdes::BadLength { length: 33, suite: Aes128, wanted: 30 }),
        (format!("inline:{}", &key[..38]), BadSdes::NotBase64),
        (format!("inline:{}!", &key[..39]), BadSdes::NotBase64),
        (format!("inline:{}", "A".repeat(60_000)), BadSdes::NotBase64),
        (format!("inline:{key}|2^49"), BadSdes::BadLifetime),
        (format!("inline:{key}|0"), BadSdes::BadLifetime),
        (format!("inline:{key}|+5"), BadSdes::BadLifetime),
        (format!("inline:{key}|2^"), BadSdes::BadLifetime),
        (format!("inline:{key}|"), BadSdes::BadLifetime),
        (format!("inline:{key}|281474976710657"), BadSdes::BadLifetime),
        (format!("inline:{key}|1:4"), BadSdes::MasterKeyIdentifier),
        (format!("inline:{key}|2^20|1:4"), BadSdes::MasterKeyIdentifier),
        (format!("inline:{key}|2^20;inline:{key}|2^20"), BadSdes::SeveralKeys),
    ];
    for (text, why) in bad {
        let found = Sdes::parse(Aes128, &text).unwrap_err();
        assert_eq!(found, why, "{text}");
        assert!(!format!("{found} {found:?}").contains(&key[..8]), "{found}");
    }
}

#[test]
fn a_key_of_ours_is_the_bytes_it_was_given() {
    let fresh = FreshKey::new(std::array::from_fn(|at| at as u8), std::array::from_fn(|at| 100 + at as u8));
    for suite in Suite::ALL {
        let mut written = String::new();
        Sdes::generate(suite, &fresh).write_inline(&mut written);
        let bytes = STANDARD.decode_to_vec(&written["inline:".len()..]).unwrap();
        let wanted: Vec<u8> = (0..suite.key_bytes() as u8).chain(100..114).collect();
        assert_eq!(bytes, wanted, "{suite}");
        assert_eq!(Sdes::parse(suite, &written).unwrap(), Sdes::generate(suite, &fresh));
        assert_eq!(format!("{:?}", Sdes::generate(suite, &fresh)), format!("Sdes({suite}, …)"));
    }
    assert_eq!(format!("{fresh:?}"), "FreshKey(…)");
}

fn any_suite() -> impl Strategy<Value = Suite> {
    prop::sample::select(&Suite::ALL)
}

proptest! {
    #[test]
    fn any_bytes_are_refused_and_left_alone(suite in any_suite(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut unprotect) = pair(suite);
        let mut packet = BytesMut::from(&bytes[..]);
        prop_assert!(unprotect.unprotect_rtp(&mut packet).is_err());
        prop_assert!(unprotect.unprotect_rtcp(&mut packet).is_err());
        prop_assert_eq!(&packet[..], &bytes[..]);
    }

    #[test]
    fn one_changed_bit_is_noticed(
        suite in any_suite(),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        bit in 0_u32..8,
    ) {
        let (mut protect, mut unprotect) = pair(suite);
        let mut packet = rtp(1, 1);
        packet.extend_from_slice(&payload);
        let mut report = report(1);
        report.extend_from_slice(&payload);
        for (packet, is_report) in [(&mut packet, false), (&mut report, true)] {
            let plain = packet.clone();
            if is_report { protect.protect_rtcp(packet).unwrap() } else { protect.protect_rtp(packet).unwrap() }
            let mut changed = packet.clone();
            let at = at.index(changed.len());
            changed[at] ^= 1_u8 << bit;
            let as_it_was = changed.clone();
            let judged =
                if is_report { unprotect.unprotect_rtcp(&mut changed) } else { unprotect.unprotect_rtp(&mut changed) };
            prop_assert!(judged.is_err());
            prop_assert_eq!(changed, as_it_was);
            if is_report { unprotect.unprotect_rtcp(packet).unwrap() } else { unprotect.unprotect_rtp(packet).unwrap() }
            prop_assert_eq!(&plain, packet);
        }
    }

    /// Each packet is taken at most once, unchanged, and taken at all if it is not late.
    #[test]
    fn a_stream_in_any_order_is_taken_once(
        suite in any_suite(),
        first in 0_u64..=0xFFFF,
        gaps in prop::collection::vec(prop_oneof![9 => Just(1_u64), 1 => 1_u64..30_000], 1..80),
        deliveries in prop::collection::vec(any::<prop::sample::Index>(), 0..160),
    ) {
        let (mut protect, mut unprotect) = pair(suite);
        let mut sent = Vec::new();
        let mut number = first;
        for gap in gaps {
            let mut packet = rtp(5, number);
            protect.protect_rtp(&mut packet).unwrap();
            sent.push((number, packet));
            number += gap;
        }
        // The first packet arrives: after that there is a newest.
        unprotect.unprotect_rtp(&mut sent[0].1.clone()).unwrap();
        let (mut newest, mut taken) = (first, std::collections::HashSet::from([first]));
        for at in deliveries {
            let (number, packet) = at.get(&sent);
            // Half of the sequence numbers further on, nobody can tell ahead from behind.
            if number.abs_diff(newest) >= 0x8000 {
                continue;
            }
            let mut packet = packet.clone();
            match unprotect.unprotect_rtp(&mut packet) {
                Ok(()) => {
                    prop_assert!(taken.insert(*number));
                    prop_assert_eq!(packet, rtp(5, *number));
                }
                Err(SrtpError::Replayed { .. }) => prop_assert!(taken.contains(number)),
                Err(SrtpError::TooOld { .. }) => prop_assert!(number + WINDOW <= newest),
                Err(other) => prop_assert!(false, "{}", other),
            }
            newest = newest.max(*number);
        }
    }
}
