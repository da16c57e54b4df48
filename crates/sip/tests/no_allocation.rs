//! Steady state allocates nothing: 50 packets a second and direction would show.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use allocation_counter::measure;
use bytes::BytesMut;
use trunkline_media::LineCodec;
use trunkline_sip::jitter::{JitterBuffer, Pulled};
use trunkline_sip::rtp::{Header, Packet, Receiver, Sender};

#[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![1_u8; 100]))).count_total, 1);
}

#[test]
fn receiving() {
    for (samples, delay) in [(160, 0), (80, 25), (480, 90)] {
        let (start, mut rng) = (start(), fastrand::Rng::with_seed(1));
        let (mut receiver, mut buffer) = (Receiver::new(), JitterBuffer::new(LineCodec::Pcmu));
        let (mut wire, payload) = (BytesMut::with_capacity(600), vec![0x55; samples]);
        let packet_us = samples as u64 * 125;
        let mut n = 0;
        let mut frames = 0;
        let mut run = |from: u64, to: u64| {
            for tick in from..to {
                let now = tick * 20_000;
                while n * packet_us <= now {
                    // some late, some lost, some twice
                    let header = Header {
                        marker: false,
                        payload_type: 0,
                        sequence: n as u16,
                        timestamp: (n * samples as u64) as u32,
                        ssrc: 7,
                    };
                    wire.clear();
                    Packet { header, payload: &payload }.write(&mut wire);
                    let packet = Packet::parse(&wire).unwrap();
                    let came = start + Duration::from_micros(n * packet_us) + Duration::from_millis(rng.u64(0..=delay));
                    let copies = match rng.u32(..100) {
                        0 => 0,
                        1 => 2,
                        _ => 1,
                    };
                    for _ in 0..copies {
                        if let Ok(place) = receiver.take(came, &packet.header) {
                            buffer.push(came, &place, packet.payload);
                        }
                    }
                    n += 1;
                }
                frames += u32::from(buffer.pull(start + Duration::from_micros(now)) != Pulled::Silence);
            }
        };
        // until then the memory of a few packets that wait is gathered
        run(0, 500);
        let used = measure(|| run(500, 5_000));
        assert_eq!(used.count_total, 0, "{samples} samples, {delay} ms");
        assert!(frames > 4_900, "{frames}");
    }
}

#[test]
fn sending() {
    let mut sender = Sender::starting_at(1, 2, 3);
    let mut out = BytesMut::with_capacity(200);
    let now = start();
    let used = measure(|| {
        for n in 0..500 {
            out.clear();
            match n % 50 {
                48 => sender.skip(now),
                49 => sender.event(now, 101, true, &[1, 10, 0, 160], &mut out),
                _ => sender.frame(now, 0, &[0x55; 160], &mut out),
            }
        }
    });
    assert_eq!(used.count_total, 0);
}
