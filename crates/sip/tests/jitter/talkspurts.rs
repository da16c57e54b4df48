//! Senders that fall silent, change, or send keys.

use trunkline_sip::rtp::Place;

use super::{Heard, Line, at, count, frame, numbers, place};

#[test]
fn a_gap_in_timestamps_alone_is_silence_and_no_loss() {
    let mut line = Line::new();
    // 1 s of speech, 2 s of nothing, 1 s of speech: sequence numbers go on, timestamps as time does
    let heard = line.run(0..4_100, |line, now| {
        let (n, speaks) = (now / 20, !(1_000..3_000).contains(&now) && now < 4_000);
        if speaks {
            let sequence = if n < 50 { n } else { n - 100 };
            let place = Place { sequence: 70_000 + sequence, marker: n == 0 || n == 150, ..place(n) };
            line.buffer.push(at(now), &place, &frame(n));
        }
    });
    let spoken: Vec<u64> = (0..50).chain((150..200).map(|n| n % 100)).collect();
    assert_eq!(numbers(&heard), spoken);
    let stats = line.stats();
    assert_eq!((stats.lost, stats.late, stats.resets), (0, 0, 0));
    assert!(stats.concealed_ms <= 120, "each end of speech is a loss until the fade is over: {stats:?}");
    assert!(count(&heard, Heard::Silence) >= 95);
}

#[test]
fn a_key_is_no_loss() {
    let mut line = Line::new();
    // 7 packets of an event in the place of audio
    let heard = line.run(0..2_000, |line, now| {
        let n = now / 20;
        if (40..47).contains(&n) {
            let event = Place { timestamp: 40 * 160, ..place(n) };
            line.buffer.push_event(at(now), &event);
        } else {
            line.push(at(now), n);
        }
    });
    let expected: Vec<u64> = (0..40).chain(47..98).collect();
    assert_eq!(numbers(&heard)[..expected.len()], expected);
    let stats = line.stats();
    assert_eq!((stats.lost, stats.late, stats.concealed_ms, stats.received), (0, 0, 0, 93));
    assert_eq!(count(&heard[20..80], Heard::Silence), 7);
}

#[test]
fn a_lost_packet_of_a_key_is_counted_and_a_key_that_nobody_heard_before_is_found() {
    let mut line = Line::new();
    line.run(0..2_000, |line, now| match now / 20 {
        42 => {}
        n @ 40..47 => line.buffer.push_event(at(now), &Place { timestamp: 40 * 160, ..place(n) }),
        n => line.push(at(now), n),
    });
    assert_eq!(line.stats().lost, 1);
    let mut line = Line::new();
    line.buffer.push_event(at(0), &place(0));
    let heard = line.run(20..500, |line, now| line.push(at(now), now / 20));
    assert_eq!(numbers(&heard)[..20], (1..21).collect::<Vec<u64>>());
    assert_eq!(line.stats().lost, 0);
}

#[test]
fn a_new_stream_goes_on_where_the_last_one_ended() {
    let mut line = Line::new();
    let heard = line.run(0..2_000, |line, now| {
        let n = now / 20;
        let other = Place {
            stream: 2,
            sequence: 5 + n,
            timestamp: (n as u32).wrapping_mul(160).wrapping_add(4_000_000_000),
            marker: false,
        };
        line.buffer.push(at(now), &if n < 50 { place(n) } else { other }, &frame(n));
    });
    let heard: Vec<_> = heard.into_iter().skip_while(|heard| *heard == Heard::Silence).collect();
    assert_eq!(numbers(&heard), (0..heard.len() as u64).collect::<Vec<_>>(), "nothing is missing");
    let stats = line.stats();
    assert_eq!((stats.resets, stats.lost, stats.late, stats.concealed_ms), (1, 0, 0, 0));
}

#[test]
fn timestamps_that_jump_are_put_on_the_line_of_time() {
    for jump in [3_000_000_000_u32, 8_000 * 60, 8_000 * 3_600, 100_000_u32.wrapping_neg()] {
        let mut line = Line::new();
        let heard = line.run(0..4_000, |line, now| {
            let n = now / 20;
            let marker = n == 100;
            let timestamp = (n as u32 * 160).wrapping_add(if n < 100 { 0 } else { jump });
            line.buffer.push(at(now), &Place { timestamp, marker, ..place(n) }, &frame(n));
        });
        let heard: Vec<_> = heard.into_iter().skip_while(|heard| *heard == Heard::Silence).collect();
        let expected: Vec<u64> = (0..heard.len() as u64).map(|n| n % 100).collect();
        assert_eq!(numbers(&heard), expected, "jump by {jump}: nothing is missing");
        let stats = line.stats();
        assert_eq!((stats.resets, stats.lost, stats.late, stats.concealed_ms), (1, 0, 0, 0), "jump by {jump}");
    }
}

#[test]
fn a_clock_that_stood_while_nothing_was_sent_is_followed_within_200_ms() {
    // a call taken off hold: sequence numbers and timestamps go on as if no time had passed; no marker says so
    let mut line = Line::new();
    let heard = line.run(0..10_000, |line, now| match now / 20 {
        n @ 0..100 => line.push(at(now), n),
        100..300 => {}
        n => line.push(at(now), n - 200),
    });
    assert_eq!(numbers(&heard[312..]).len(), heard.len() - 312);
    let stats = line.stats();
    assert_eq!(stats.resets, 1);
    assert!(stats.late <= 8 && stats.depth_ms < 60, "{stats:?}");
}
