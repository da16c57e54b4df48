//! What networks do, by a seed: loss, delay, reordering, copies.

use fastrand::Rng;
use trunkline_sip::rtp::Place;

use super::{Heard, Line, at_us, count, numbers};

/// A way through a network.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub loss: f64,
    pub copies: f64,
    /// Delay by chance, up to so much, on top of what is always there.
    pub jitter_ms: f64,
    /// Now and then a packet takes so much longer.
    pub spike_ms: f64,
    pub spikes: f64,
}

pub const EVEN: Way = Way { loss: 0.0, copies: 0.0, jitter_ms: 0.0, spike_ms: 0.0, spikes: 0.0 };

/// When which of `count` packets come, in microseconds, in this order.
pub fn arrivals(rng: &mut Rng, count: u64, way: Way) -> Vec<(u64, u64)> {
    let mut arrivals = Vec::new();
    for n in 0..count {
        let times = if rng.f64() < way.loss { 0 } else { 1 + u64::from(rng.f64() < way.copies) };
        for _ in 0..times {
            let spike = if rng.f64() < way.spikes { way.spike_ms } else { 0.0 };
            let delay = 40.0 + rng.f64() * way.jitter_ms + spike;
            arrivals.push((n * 20_000 + (delay * 1_000.0) as u64, n));
        }
    }
    arrivals.sort_unstable();
    arrivals
}

/// Plays what comes, to its end; tells what was heard.
fn carry(seed: u64, count: u64, way: Way) -> Line {
    let arrivals = arrivals(&mut Rng::with_seed(seed), count, way);
    let mut packets = arrivals.into_iter().peekable();
    let mut line = Line::new();
    for tick in 0..count + 40 {
        let now = tick * 20_000 + 3_000;
        while let Some((when, n)) = packets.next_if(|(when, _)| *when <= now) {
            line.push(at_us(when), n);
        }
        line.pull(at_us(now));
    }
    line
}

/// The longest run of pulls that gave no audio that came.
fn longest_gap(heard: &[Heard]) -> usize {
    heard.split(|heard| matches!(heard, Heard::Frame(_))).map(<[_]>::len).max().unwrap_or(0)
}

#[test]
fn with_one_percent_loss_and_30_ms_of_jitter_no_gap_is_longer_than_60_ms() {
    for seed in 0..20 {
        let way = Way { loss: 0.01, jitter_ms: 30.0, ..EVEN };
        let line = carry(seed, 3_000, way);
        let stats = line.stats();
        let begun = line.heard.iter().position(|heard| *heard != Heard::Silence).unwrap();
        let heard = &line.heard[begun..2_990];
        assert!(longest_gap(heard) <= 3, "seed {seed}: {}", longest_gap(heard));
        assert_eq!(count(heard, Heard::Silence), 0, "seed {seed}");
        let concealed = count(heard, Heard::Concealed) as f64 / heard.len() as f64;
        assert!(concealed < 0.025, "seed {seed}: {concealed}, {stats:?}");
        assert!(stats.late < 30 && stats.depth_ms < 80, "seed {seed}: {stats:?}");
    }
}

#[test]
fn frames_keep_their_order_and_none_is_heard_twice() {
    for seed in 0..20 {
        let way = Way { loss: 0.05, copies: 0.05, jitter_ms: 90.0, spike_ms: 120.0, spikes: 0.02 };
        let line = carry(seed, 2_000, way);
        let mut last: Option<u64> = None;
        for n in numbers(&line.heard) {
            // numbers come again after 100: less than half of that is forward
            assert!(last.is_none_or(|last| (1..50).contains(&((n + 100 - last) % 100))), "seed {seed}: {last:?}, {n}");
            last = Some(n);
        }
    }
}

#[test]
fn what_is_lost_is_what_the_network_lost() {
    for seed in 0..20 {
        let way = Way { loss: 0.1, copies: 0.1, jitter_ms: 60.0, spike_ms: 300.0, spikes: 0.01 };
        let line = carry(seed, 1_000, way);
        let arrivals = arrivals(&mut Rng::with_seed(seed), 1_000, way);
        let mut came: Vec<u64> = arrivals.iter().map(|(_, n)| *n).collect();
        let pushed = came.len() as u64;
        came.sort_unstable();
        came.dedup();
        let (first, last) = (came[0], came[came.len() - 1]);
        let stats = line.stats();
        assert_eq!(stats.received, pushed, "seed {seed}");
        assert_eq!(stats.duplicate, pushed - came.len() as u64, "seed {seed}");
        // packets from before the first one played are late and nothing more
        let lost = last - first + 1 - came.len() as u64;
        assert!(stats.lost <= lost && stats.lost + 5 >= lost, "seed {seed}: {lost} lost, {stats:?}");
        assert_eq!(stats.waiting, 0, "seed {seed}");
    }
}

#[test]
fn depth_follows_the_jitter_up_at_once_and_down_slowly() {
    let mut rng = Rng::with_seed(5);
    let mut line = Line::new();
    let mut packets = Vec::new();
    for (phase, jitter) in [0.0, 80.0, 5.0].into_iter().enumerate() {
        for n in 0..3_000 {
            let n = phase as u64 * 3_000 + n;
            packets.push((n * 20_000 + (rng.f64() * jitter * 1_000.0) as u64, n));
        }
    }
    packets.sort_unstable();
    let mut packets = packets.into_iter().peekable();
    let mut depths = Vec::new();
    for tick in 0..9_000_u64 {
        let now = tick * 20_000 + 3_000;
        while let Some((when, n)) = packets.next_if(|(when, _)| *when <= now) {
            // pauses of 200 ms in every second, so that depth can be put right
            let payload = if n % 50 < 10 { [0xFE; 160] } else { super::frame(n) };
            line.buffer.push(at_us(when), &super::place(n), &payload);
        }
        line.pull(at_us(now));
        depths.push(line.stats().depth_ms);
    }
    assert!(depths[10..3_000].iter().all(|depth| *depth < 45), "even");
    let grown = (3_000..6_000).find(|tick| depths[*tick] >= 70).unwrap() - 3_000;
    assert!(grown <= 50, "one second: {grown}");
    assert!(depths[3_100..6_000].iter().all(|depth| (60..150).contains(depth)), "jitter");
    let held = (6_000..9_000).find(|tick| depths[*tick] < 60).unwrap() - 6_000;
    assert!(held >= 250, "it is not forgotten within 5 s: {held}");
    assert!(depths[8_900..].iter().all(|depth| *depth < 60), "{:?}", &depths[8_900..]);
}

#[test]
fn a_stall_of_two_seconds_leaves_no_delay_behind() {
    let mut line = Line::new();
    for tick in 0..1_000_u64 {
        let now = tick * 20_000;
        match tick {
            300..400 => {}
            // all of it at once
            400 => (300..=400).for_each(|n| line.push(at_us(now), n)),
            n => line.push(at_us(now), n),
        }
        line.pull(at_us(now + 3_000));
    }
    let stats = line.stats();
    assert!(stats.depth_ms <= 80 && stats.target_ms <= 60, "one stall is no reason to wait: {stats:?}");
    let after = &line.heard[410..];
    assert_eq!(count(after, Heard::Silence) + count(after, Heard::Concealed), 0, "{stats:?}");
}

#[test]
fn a_way_that_becomes_longer_is_followed_within_half_a_second() {
    for longer in [60, 150, 400, 3_000_u64] {
        let mut line = Line::new();
        for tick in 0..2_000_u64 {
            let now = tick * 20_000;
            let on_time = tick < 500;
            if on_time {
                line.push(at_us(now), tick);
            } else if let Some(n) = tick.checked_sub(longer / 20).filter(|n| *n >= 500) {
                line.push(at_us(now), n);
            }
            line.pull(at_us(now + 3_000));
        }
        let resumed = 500 + longer as usize / 20 + 25;
        let after = &line.heard[resumed..];
        let missing: Vec<_> = (0..after.len()).filter(|n| !matches!(after[*n], Heard::Frame(_))).collect();
        assert_eq!(missing, [], "{longer} ms: {:?}", line.stats());
        assert_eq!(line.stats().target_ms, 20, "{longer} ms: a longer way alone is no jitter");
    }
}

#[test]
fn short_packets_are_waited_for_from_the_frame_that_needs_them() {
    // two of 10 ms make a frame: the second is due 10 ms before its own time
    for phase_ms in 0..20 {
        let mut rng = Rng::with_seed(3);
        let mut packets: Vec<(u64, u64)> = (0..6_000).map(|n| (n * 10_000 + rng.u64(0..40_000), n)).collect();
        packets.sort_unstable();
        let mut packets = packets.into_iter().peekable();
        let mut line = Line::new();
        for tick in 0..3_010_u64 {
            let now = tick * 20_000 + phase_ms * 1_000;
            while let Some((when, n)) = packets.next_if(|(when, _)| *when <= now) {
                let place = Place { timestamp: n as u32 * 80, ..super::place(n) };
                line.buffer.push(at_us(when), &place, &[0x20; 80]);
            }
            line.pull(at_us(now));
        }
        let stats = line.stats();
        assert!(stats.late < 10 && stats.depth_ms < 75, "{phase_ms} ms: {stats:?}");
    }
}
