//! Anything at all: no panic, bounded depth, true accounts.

use proptest::prelude::*;
use trunkline_media::LineCodec;
use trunkline_sip::jitter::{JitterBuffer, JitterStats, MAX_PACKETS, Pulled};
use trunkline_sip::rtp::Place;

use super::at_us;

#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    Pull,
    /// Stream, sequence, timestamp, marker, bytes.
    Wild(u32, u64, u32, bool, usize),
    /// The next of an even stream, so much off in sequence and timestamp.
    Next(u64, u32, usize),
    Event(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0_u64..40_000).prop_map(Op::Wait),
        1 => (0_u64..5_000_000).prop_map(Op::Wait),
        8 => Just(Op::Pull),
        2 => (0_u32..3, any::<u64>(), any::<u32>(), any::<bool>(), 0_usize..2_000)
            .prop_map(|(stream, sequence, timestamp, marker, bytes)| Op::Wild(stream, sequence, timestamp, marker, bytes)),
        8 => (0_u64..6, 0_u32..800, prop::sample::select(vec![160_usize, 160, 160, 80, 240, 480, 1, 1_500]))
            .prop_map(|(sequence, timestamp, bytes)| Op::Next(sequence, timestamp, bytes)),
        1 => (0_u64..6).prop_map(Op::Event),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_packets_at_any_time_give_a_frame_a_pull(
        ops in prop::collection::vec(op(), 0..300),
        codec in prop::sample::select(vec![LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16]),
    ) {
        let mut buffer = JitterBuffer::new(codec);
        let (mut now, mut next, mut received) = (0, 0_u64, 0);
        for op in ops {
            match op {
                Op::Wait(us) => now += us,
                Op::Pull => match buffer.pull(at_us(now)) {
                    Pulled::Frame(payload) | Pulled::Concealed(payload) => {
                        prop_assert_eq!(payload.len(), codec.frame_bytes());
                    }
                    Pulled::Silence => {}
                },
                Op::Wild(stream, sequence, timestamp, marker, bytes) => {
                    received += u64::from(bytes >= codec.bytes_per_sample());
                    let place = Place { stream, sequence, timestamp, marker };
                    buffer.push(at_us(now), &place, &vec![bytes as u8; bytes]);
                }
                Op::Next(sequence, timestamp, bytes) => {
                    next += 1;
                    received += u64::from(bytes >= codec.bytes_per_sample());
                    let timestamp = (next as u32 * 160).wrapping_add(timestamp);
                    let place = Place { stream: 1, sequence: 70_000 + next + sequence, timestamp, marker: false };
                    buffer.push(at_us(now), &place, &vec![bytes as u8; bytes]);
                }
                Op::Event(sequence) => {
                    next += 1;
                    let place = Place { stream: 1, sequence: 70_000 + next + sequence, timestamp: 0, marker: false };
                    buffer.push_event(at_us(now), &place);
                }
            }
            let stats = buffer.stats();
            let JitterStats { played, late, duplicate, dropped, waiting, .. } = stats;
            prop_assert_eq!(stats.received, received);
            prop_assert_eq!(received, played + late + duplicate + dropped + waiting, "{:?}", stats);
            prop_assert!(waiting <= MAX_PACKETS as u64);
            prop_assert!(stats.depth_ms <= 420, "{:?}", stats);
            prop_assert!((20..=200).contains(&stats.target_ms));
        }
    }
}
