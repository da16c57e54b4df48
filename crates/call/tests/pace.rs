//! How fast connects may come.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use trunkline_call::{Backoff, ConnectGate};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[expect(clippy::disallowed_methods, reason = "some moment to start from")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn backoff_doubles_to_its_ceiling_and_starts_over() {
    for seed in 0..200 {
        let mut backoff = Backoff::with_rng(ms(250), ms(8_000), fastrand::Rng::with_seed(seed));
        for round in 0..2 {
            for full in [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000].map(ms) {
                let wait = backoff.next();
                assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}, seed {seed}, round {round}");
            }
            backoff.reset();
        }
    }
}

#[test]
fn backoff_spreads_calls_that_failed_together() {
    let waits: Vec<_> = (0..1_000).map(|_| Backoff::new(ms(8_000), ms(8_000)).next()).collect();
    for tenth in 0..10 {
        let from = ms(4_000 + tenth * 400);
        let count = waits.iter().filter(|&&wait| wait >= from && wait < from + ms(400)).count();
        assert!((40..=180).contains(&count), "{count} of 1000 waits within {from:?} + 400 ms");
    }
}

#[test]
fn backoff_holds_with_odd_settings() {
    let mut longest = Backoff::new(Duration::MAX, Duration::MAX);
    assert!(longest.next() >= Duration::MAX / 3);
    longest.next();
    assert_eq!(Backoff::new(Duration::ZERO, ms(10)).next(), Duration::ZERO);
    assert!(Backoff::new(ms(500), ms(100)).next() <= ms(100), "the ceiling holds for the first one too");
}

#[test]
fn gate_spaces_connects_evenly_after_its_burst() {
    let t0 = start();
    let gate = ConnectGate::new(50, t0);
    let starts: Vec<_> = (0..10).map(|_| (gate.reserve(t0) - t0).as_millis()).collect();
    assert_eq!(starts, [0, 0, 0, 0, 0, 20, 40, 60, 80, 100]);
    // After a quiet time the burst is there again, and no more than that.
    let later = t0 + ms(60_000);
    let starts: Vec<_> = (0..7).map(|_| (gate.reserve(later) - later).as_millis()).collect();
    assert_eq!(starts, [0, 0, 0, 0, 0, 20, 40]);
}

#[test]
fn gate_takes_odd_arguments() {
    let t0 = start();
    let slowest = ConnectGate::new(0, t0);
    assert_eq!(slowest.reserve(t0), t0);
    assert_eq!(slowest.reserve(t0), t0 + ms(1_000));
    // A clock that stands before the epoch counts as the epoch.
    let gate = ConnectGate::new(1, t0 + ms(5_000));
    assert_eq!(gate.reserve(t0), t0);
    assert_eq!(gate.reserve(t0), t0 + ms(1_000));
    let fastest = ConnectGate::new(u32::MAX, t0);
    assert!((0..1_000).all(|_| fastest.reserve(t0) <= t0 + ms(1)));
}

/// No window holds more starts than its length at the rate, and the burst.
fn check_rate(mut starts: Vec<Duration>, per_second: u32) {
    starts.sort_unstable();
    let burst = u64::from((per_second / 10).max(1));
    for (first, from) in starts.iter().enumerate() {
        for (last, to) in starts.iter().enumerate().skip(first) {
            let count = (last - first + 1) as u64;
            let allowed = (to.saturating_sub(*from).as_secs_f64() * f64::from(per_second)).floor() as u64 + burst;
            assert!(count <= allowed, "{count} connects from {from:?} to {to:?}, allowed {allowed}");
        }
    }
}

#[test]
fn gate_keeps_its_rate_among_threads() {
    let t0 = start();
    let gate = ConnectGate::new(300, t0);
    let starts: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..100).map(|_| gate.reserve(t0) - t0).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(starts.len(), 800);
    let last = starts.iter().max().unwrap().as_secs_f64();
    assert!((last - 770.0 / 300.0).abs() < 0.001, "no place is lost and none is given twice: last at {last} s");
    check_rate(starts, 300);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gate_is_never_faster_than_its_rate_and_goes_forward(
        per_second in 1..200_u32,
        gaps in prop::collection::vec(prop_oneof![Just(0), 0..100_000_u64, 0..3_000_000_u64], 1..150),
    ) {
        let t0 = start();
        let gate = ConnectGate::new(per_second, t0);
        let mut now = t0;
        let mut starts: Vec<Duration> = vec![];
        for gap in gaps {
            now += Duration::from_micros(gap);
            let start = gate.reserve(now);
            prop_assert!(start >= now);
            prop_assert!(starts.last().is_none_or(|&last| start - t0 >= last), "went back");
            starts.push(start - t0);
        }
        check_rate(starts, per_second);
    }
}
