//! Streams that come as they were sent.

use proptest::prelude::*;
use trunkline_media::LineCodec;
use trunkline_sip::jitter::{JitterBuffer, JitterStats, MAX_SAMPLES, Pulled};
use trunkline_sip::rtp::Place;

use super::{Heard, Line, at, at_us, numbers, place};

#[test]
fn an_even_stream_is_passed_20_to_40_ms_later_and_never_touched() {
    for phase in [0, 1, 7, 13, 19] {
        let mut line = Line::new();
        for n in 0..3_000_u64 {
            line.push(at(n * 20), n);
            line.pull(at(n * 20 + phase));
        }
        let first = line.heard.iter().position(|heard| *heard != Heard::Silence).unwrap() as u64;
        let delay = first * 20 + phase;
        assert!((20..40).contains(&delay), "{delay} ms");
        let expected: Vec<u64> = (0..3_000 - first).map(|n| n % 100).collect();
        assert_eq!(numbers(&line.heard), expected);
        let stats = line.stats();
        let clean = JitterStats {
            received: 3_000,
            played: 3_000 - first,
            waiting: first,
            depth_ms: delay,
            target_ms: 20,
            ..JitterStats::default()
        };
        assert_eq!(stats, clean);
    }
}

#[test]
fn nothing_is_silence() {
    let mut line = Line::new();
    assert_eq!(line.pull_on(0, 50), [Heard::Silence; 50]);
    assert_eq!(line.stats(), JitterStats { target_ms: 20, ..JitterStats::default() });
}

#[test]
fn order_and_copies_are_put_right() {
    let mut line = Line::new();
    let mut heard = line.run(0..400, |line, now| {
        // the second of each two comes with the first of the next two, before it, and each comes twice
        let n = now / 20;
        let pair = if n.is_multiple_of(2) { [n, n] } else { [n, n - 1] };
        pair.into_iter().for_each(|n| line.push(at(now), n));
    });
    heard.retain(|heard| *heard != Heard::Silence);
    assert_eq!(numbers(&heard), (0..heard.len() as u64).collect::<Vec<_>>());
    let stats = line.stats();
    assert_eq!((stats.received, stats.duplicate, stats.late, stats.lost), (40, 20, 0, 0));
}

#[test]
fn sequence_numbers_and_timestamps_wrap_unheard() {
    let mut buffer = JitterBuffer::new(LineCodec::Pcma);
    let mut frames = 0;
    for n in 0..200_u32 {
        let timestamp = (u32::MAX - 5_000).wrapping_add(n * 160);
        let place = Place { stream: 1, sequence: 131_000 + u64::from(n), timestamp, marker: false };
        buffer.push(at(u64::from(n) * 20), &place, &[n as u8; 160]);
        if let Pulled::Frame(payload) = buffer.pull(at(u64::from(n) * 20 + 5)) {
            assert_eq!(payload, [frames; 160]);
            frames += 1;
        }
    }
    assert!(frames >= 198, "{frames}");
    assert_eq!(buffer.stats().concealed_ms, 0);
}

#[test]
fn what_is_too_long_or_empty_is_not_played() {
    let mut buffer = JitterBuffer::new(LineCodec::Pcmu);
    buffer.push(at(0), &place(0), &vec![1; MAX_SAMPLES + 1]);
    buffer.push(at(0), &place(1), &[]);
    assert_eq!(buffer.pull(at(100)), Pulled::Silence);
    let stats = buffer.stats();
    assert_eq!((stats.received, stats.dropped, stats.waiting), (1, 1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever the packets' length, all that was sent is heard, bit exact and in one piece.
    #[test]
    fn packets_of_any_length_are_cut_anew(samples in 40_usize..=480, phase_us in 0_u64..20_000, seed in any::<u8>()) {
        let mut buffer = JitterBuffer::new(LineCodec::Pcmu);
        let sent: Vec<u8> = (0..8_000 * 6_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect();
        let packet_us = samples as u64 * 125;
        let mut packets = sent.chunks_exact(samples).enumerate().peekable();
        let mut heard = Vec::new();
        for tick in 0..290_u64 {
            let now = tick * 20_000 + phase_us;
            // a packet comes when its last sample was taken
            while let Some((n, payload)) = packets.next_if(|(n, _)| (*n as u64 + 1) * packet_us <= now) {
                let place = Place { stream: 1, sequence: 70_000 + n as u64, timestamp: (n * samples) as u32, marker: false };
                buffer.push(at_us((n as u64 + 1) * packet_us), &place, payload);
            }
            match buffer.pull(at_us(now)) {
                Pulled::Frame(payload) => heard.extend_from_slice(payload),
                Pulled::Concealed(_) => prop_assert!(heard.len() < 8_000, "something was missing at {} ms", now / 1_000),
                Pulled::Silence => prop_assert!(heard.is_empty(), "silence at {} ms", now / 1_000),
            }
        }
        // the first second may have been needed to learn that a packet is needed before its own time
        let stats = buffer.stats();
        prop_assert!(stats.late == 0 && stats.lost == 0 && stats.duplicate == 0, "{:?}", stats);
        prop_assert!(stats.depth_ms < 80, "{:?}", stats);
        let tail = &heard[heard.len() - 16_000..];
        prop_assert!(sent.windows(16_000).any(|window| window == tail));
    }
}
