//! Keys in and out, after RFC 4733.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use trunkline_sip::dtmf::{BadKeys, KeySender, KeyStep, Keys, MAX_WAITING_KEYS, TelephoneEvent};
use trunkline_sip::rtp::Place;

const fn place(timestamp: u32) -> Place {
    Place { stream: 1, sequence: 0, timestamp, marker: false }
}

const fn event(code: u8, end: bool, duration: u16) -> [u8; 4] {
    TelephoneEvent { code, end, volume: 10, duration }.to_bytes()
}

/// The keys that these packets tell of.
fn keys(packets: &[(u32, [u8; 4])]) -> String {
    let mut keys = Keys::new();
    let mut pressed = String::new();
    packets.iter().for_each(|(timestamp, payload)| keys.push(&place(*timestamp), payload, |key| pressed.push(key)));
    pressed
}

/// All packets of one key of so many ms, its end three times.
fn press(timestamp: u32, code: u8, ms: u16) -> Vec<(u32, [u8; 4])> {
    let mut packets: Vec<_> = (1..ms / 20).map(|n| (timestamp, event(code, false, n * 160))).collect();
    packets.extend([(timestamp, event(code, true, ms * 8)); 3]);
    packets
}

#[test]
fn events_are_read_and_written() {
    let bytes = [11, 0x80 | 0x40 | 7, 0x03, 0x20];
    let read: Vec<_> = TelephoneEvent::parse(&bytes).collect();
    assert_eq!(read, [TelephoneEvent { code: 11, end: true, volume: 7, duration: 800 }]);
    assert_eq!(read[0].to_bytes(), [11, 0x87, 0x03, 0x20], "the reserved bit is sent as 0");
    let name = |code| TelephoneEvent { code, end: false, volume: 0, duration: 0 }.key();
    assert_eq!((0..=15).filter_map(name).collect::<String>(), "0123456789*#ABCD");
    assert_eq!([16, 32, 255].map(name), [None; 3]);
}

#[test]
fn the_dialling_of_911_gives_three_keys() {
    // the times of RFC 2833 section 3.14: 9 for 200 ms at 0, 1 for 250 ms at 0.8 s, 1 at 1.4 s
    let packets = [press(0, 9, 200), press(6_400, 1, 250), press(11_200, 1, 100)].concat();
    assert_eq!(keys(&packets), "911");
}

#[test]
fn a_key_is_told_at_once_and_once() {
    let five = press(800, 5, 100);
    assert_eq!(keys(&five[..1]), "5", "at first sight");
    assert_eq!(keys(&five[4..]), "5", "all but the end was lost");
    assert_eq!(keys(&five[..4]), "5", "the end was lost");
    assert_eq!(keys(&five.iter().rev().copied().collect::<Vec<_>>()), "5", "in any order");
    let six = press(2_400, 6, 100);
    let mixed = [&five[..2], &six[..1], &five[2..], &six[1..]].concat();
    assert_eq!(keys(&mixed), "56", "late packets of the key before are no new key");
}

#[test]
fn the_same_key_again_is_a_new_key_even_without_the_end_of_the_first() {
    let table = [
        (vec![press(0, 5, 100), press(1_280, 5, 100)], "55"),
        (vec![press(0, 5, 100)[..2].to_vec(), press(1_280, 5, 40)], "55"),
    ];
    for (packets, expected) in table {
        assert_eq!(keys(&packets.concat()), expected);
    }
}

#[test]
fn a_key_held_for_long_is_one_key() {
    // 20 s in segments of at most 65,535 units
    let mut packets = Vec::new();
    let (mut begin, mut duration) = (4_000_000_000_u32, 0_u32);
    for _ in 0..1_000 {
        duration += 160;
        if duration > 65_535 {
            packets.push((begin, event(1, false, 65_535)));
            begin = begin.wrapping_add(65_535);
            duration -= 65_535;
        }
        packets.push((begin, event(1, false, duration as u16)));
    }
    packets.push((begin, event(1, true, duration as u16)));
    assert_eq!(keys(&packets), "1");
    packets.extend(press(begin.wrapping_add(8_000), 1, 100));
    assert_eq!(keys(&packets), "11");
}

#[test]
fn several_short_events_in_one_packet_are_all_told() {
    let mut pressed = String::new();
    let mut keys = Keys::new();
    let packed = [event(1, true, 400), event(1, true, 400), event(2, true, 400)].concat();
    keys.push(&place(0), &packed, |key| pressed.push(key));
    keys.push(&place(0), &packed, |key| pressed.push(key));
    assert_eq!(pressed, "112");
}

#[test]
fn a_new_stream_begins_anew_and_what_is_no_key_is_passed_over() {
    let mut keys = Keys::new();
    let mut pressed = String::new();
    let mut push = |stream, payload: &[u8]| keys.push(&Place { stream, ..place(0) }, payload, |key| pressed.push(key));
    push(1, &event(7, true, 400));
    push(1, &event(16, true, 400));
    push(1, &[7, 0, 0]);
    push(1, &[]);
    push(2, &event(7, true, 400));
    assert_eq!(pressed, "77");
}

#[test]
fn a_key_is_sent_as_100_ms_of_tone_and_60_ms_of_gap() {
    let mut sender = KeySender::new();
    sender.push("#").unwrap();
    let steps: Vec<_> = std::iter::from_fn(|| sender.step()).collect();
    let expected = [(true, false, 160), (false, false, 320), (false, false, 480), (false, false, 640)]
        .into_iter()
        .chain([(false, true, 800); 3])
        .map(|(first, end, duration)| KeyStep::Event { first, payload: event(11, end, duration) })
        .chain([KeyStep::Silence])
        .collect::<Vec<_>>();
    assert_eq!(steps, expected);
    assert!(sender.is_idle());
}

#[test]
fn a_comma_is_half_a_second_of_silence() {
    let mut sender = KeySender::new();
    sender.push(",").unwrap();
    assert_eq!(std::iter::from_fn(|| sender.step()).collect::<Vec<_>>(), [KeyStep::Silence; 25]);
}

#[test]
fn what_cannot_be_sent_is_refused_as_a_whole() {
    let mut sender = KeySender::new();
    assert_eq!(sender.push("12x"), Err(BadKeys::NotAKey('x')));
    let text = "'x' is no key: 0-9, *, #, A-D and a comma for a pause of 500 ms are allowed";
    assert_eq!(BadKeys::NotAKey('x').to_string(), text);
    sender.push("1").unwrap();
    assert_eq!(sender.push(&"2".repeat(MAX_WAITING_KEYS)), Err(BadKeys::TooMany(MAX_WAITING_KEYS + 1)));
    let steps = std::iter::from_fn(|| sender.step()).count();
    assert_eq!(steps, 8, "the 1 alone");
}

#[test]
fn a_clear_ends_the_tone_that_sounds() {
    let mut sender = KeySender::new();
    sender.push("12").unwrap();
    sender.step();
    sender.clear();
    let rest: Vec<_> = std::iter::from_fn(|| sender.step()).collect();
    assert_eq!(rest.len(), 7);
    assert_eq!(rest[5], KeyStep::Event { first: false, payload: event(1, true, 800) });
}

proptest! {
    #[test]
    fn any_bytes_give_keys_or_nothing(packets in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..20)), 0..50)) {
        let mut keys = Keys::new();
        for (timestamp, payload) in packets {
            let mut told = 0;
            keys.push(&place(timestamp), &payload, |key| {
                assert!("0123456789*#ABCD".contains(key));
                told += 1;
            });
            prop_assert!(told <= payload.len() / 4);
        }
    }

    #[test]
    fn what_is_sent_is_what_is_understood(
        text in "[0-9*#A-D,]{0,20}",
        kept in 0_usize..3,
        start in any::<u32>(),
    ) {
        let mut sender = KeySender::new();
        sender.push(&text).unwrap();
        let (mut timestamp, mut began) = (start, start);
        let mut packets = Vec::new();
        while let Some(step) = sender.step() {
            if let KeyStep::Event { first, payload } = step {
                began = if first { timestamp } else { began };
                packets.push((began, payload));
            }
            timestamp = timestamp.wrapping_add(160);
        }
        // any one packet of a key is enough: lose all but one in three
        let kept: Vec<_> = packets.iter().enumerate().filter(|(n, _)| n % 3 == kept).map(|(_, p)| *p).collect();
        prop_assert_eq!(keys(&kept), text.replace(',', ""));
    }
}
