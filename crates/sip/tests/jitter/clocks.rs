//! Clocks that differ, and pulls that come at odd times.

use super::{Heard, Line, at, at_us, count, frame, numbers, place};

/// Ten minutes with a sender whose clock is off by so many millionths.
fn skewed(ppm: i64, payload: impl Fn(u64) -> [u8; 160]) -> Line {
    let mut line = Line::new();
    let step = (20_000 - ppm / 50) as u64;
    let mut n = 0;
    for tick in 0..30_000_u64 {
        let now = tick * 20_000;
        while n * step <= now {
            line.buffer.push(at_us(n * step), &place(n), &payload(n));
            n += 1;
        }
        line.pull(at_us(now));
        let depth = line.buffer.stats().depth_ms;
        assert!(depth <= 130, "{depth} ms deep at {} s, {ppm} ppm", now / 1_000_000);
    }
    line
}

#[test]
fn clocks_that_differ_cost_a_frame_now_and_then() {
    // 500 ppm over 600 s are 300 ms: 15 frames
    for ppm in [500, 100, -100, -500] {
        let stats = skewed(ppm, frame).stats();
        let frames = ppm.unsigned_abs() * 600 / 20_000;
        assert_eq!((stats.late, stats.lost, stats.dropped), (0, 0, 0), "{ppm} ppm: {stats:?}");
        let (skipped, stretched) = (stats.skipped_ms / 20, stats.stretched_ms / 20);
        let (with, against) = if ppm > 0 { (skipped, stretched) } else { (stretched, skipped) };
        assert!(with <= frames + 2 && with + 5 >= frames, "{ppm} ppm: {stats:?}");
        assert!(against <= 1, "{ppm} ppm: {stats:?}");
        assert!(stats.concealed_ms <= (frames + 2) * 20, "{ppm} ppm: {stats:?}");
    }
}

#[test]
fn where_there_are_pauses_clocks_that_differ_are_not_heard() {
    // every second 300 ms are quiet
    let quiet = |n: u64| if n % 50 < 15 { [0xFD; 160] } else { frame(n) };
    for ppm in [500, -500] {
        let line = skewed(ppm, quiet);
        let stats = line.stats();
        assert_eq!((stats.late, stats.lost, stats.dropped), (0, 0, 0), "{ppm} ppm: {stats:?}");
        assert!(stats.skipped_ms + stats.stretched_ms >= 200, "{stats:?}");
        assert!(stats.concealed_ms <= 60, "{ppm} ppm: {stats:?}");
        // no loud frame is missing
        let loud = numbers(&line.heard).len();
        assert!(loud as i64 >= 30_000 * 7 / 10 - 20, "{loud}");
    }
}

#[test]
fn pulls_that_come_a_little_late_change_nothing() {
    let mut line = Line::new();
    for n in 0..2_000_u64 {
        line.push(at(n * 20), n);
        line.pull(at_us(n * 20_000 + 5_000 + n * 7_919 % 4_000));
    }
    let stats = line.stats();
    assert_eq!((stats.skipped_ms, stats.stretched_ms, stats.concealed_ms), (0, 0, 0), "{stats:?}");
}

#[test]
fn a_reader_that_stood_still_catches_up_at_once() {
    let mut line = Line::new();
    line.run(0..1_000, |line, now| line.push(at(now), now / 20));
    // one second without a pull, packets are taken all the same
    (50..100).for_each(|n| line.push(at(n * 20), n));
    let heard = line.run(2_000..4_000, |line, now| line.push(at(now), now / 20));
    let stats = line.stats();
    assert!(stats.depth_ms <= 60, "{stats:?}");
    assert_eq!(stats.resets, 1);
    assert_eq!(stats.dropped + stats.played + stats.waiting, 200);
    assert_eq!(count(&heard, Heard::Silence) + count(&heard, Heard::Concealed), 0);
}

#[test]
fn without_any_pull_memory_stays_bounded() {
    let mut line = Line::new();
    (0..10_000).for_each(|n| line.push(at(n * 20), n));
    assert_eq!(line.stats().waiting, 64);
    let heard = line.run(200_000..201_000, |line, now| line.push(at(now), now / 20));
    assert!(numbers(&heard).len() >= 48, "{heard:?}");
    assert!(line.stats().depth_ms <= 60);
}
