//! When frames are due.

use std::time::Duration;

use trunkline_media::{Due, LineCodec, Playout};

use super::{at, at_us, audio, frame_times, names, play_until, poll_all};

#[test]
fn ten_minutes_without_drift() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    let (mut frames, mut pushed_ms, mut seed) = (0_u64, 0_u64, 1_u64);
    let mut random = |below: u64| {
        // Knuth's MMIX generator: the top bits are good enough for jitter
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut now = at(0);
    while frames < 30_000 {
        // bursts of 100 to 500 ms, half a second ahead of what is heard
        while pushed_ms < 600_000 && pushed_ms < frames * 20 + 500 {
            let burst = (100 + random(401)).min(600_000 - pushed_ms);
            playout.push(now, &1, audio(burst as usize));
            pushed_ms += burst;
        }
        let due = playout.next_due().unwrap();
        assert_eq!(due, at(frames * 20), "frame {frames} is due on the grid");
        now = now.max(due + Duration::from_micros(random(20_000)));
        for what in poll_all(&mut playout, now) {
            assert!(matches!(what, Due::Frame { item: 1, .. }));
            let late = now - at(frames * 20);
            assert!(late < Duration::from_millis(20), "frame {frames} came {late:?} late");
            frames += 1;
        }
    }
    assert_eq!((playout.underruns(), playout.late_ticks(), playout.queued_ms()), (0, 0, 0));
}

#[test]
fn an_idle_playout_starts_with_the_first_whole_frame() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    assert_eq!(playout.next_due(), None);
    assert_eq!(playout.poll(at(5)), None);
    playout.push(at(7), &1, audio(19));
    assert_eq!(playout.next_due(), None, "19 ms are no frame");
    assert_eq!(playout.queued_ms(), 19);
    playout.push(at(11), &1, audio(1));
    assert_eq!(playout.next_due(), Some(at(11)));
    assert_eq!(names(&poll_all(&mut playout, at(11))), ["F1"]);
    assert_eq!(playout.queued_ms(), 0);
}

#[test]
fn never_sooner_than_twenty_milliseconds_after_the_last_frame() {
    for (pushed_at, due) in [(1, 20), (19, 20), (20, 20), (21, 21), (500, 500)] {
        let mut playout = Playout::new(LineCodec::Pcmu);
        playout.push(at(0), &1, audio(20));
        playout.end(at(0), &1);
        assert_eq!(names(&poll_all(&mut playout, at(0))), ["F1", "M1"]);
        assert_eq!(playout.next_due(), None);
        playout.push(at(pushed_at), &2, audio(20));
        assert_eq!(playout.next_due(), Some(at(due)), "pushed at {pushed_at} ms");
        // the same after a clear
        playout.clear(at(pushed_at));
        assert_eq!(playout.next_due(), None);
        playout.push(at(pushed_at), &3, audio(20));
        assert_eq!(playout.next_due(), Some(at(due)), "pushed after a clear at {pushed_at} ms");
    }
}

#[test]
fn late_polls() {
    // (late by ms, frames at this poll, ticks slipped, next tick)
    let table = [
        (0, 1, 0, 40),
        (19, 1, 0, 40),
        (20, 2, 0, 60),
        (39, 2, 0, 60),
        (40, 1, 2, 80),
        (59, 1, 2, 80),
        (60, 1, 3, 100),
        (1_000, 1, 50, 1_040),
        (3_600_000, 1, 180_000, 3_600_040),
    ];
    for (late, frames, slipped, next) in table {
        let mut playout = Playout::new(LineCodec::Pcmu);
        playout.push(at(0), &1, audio(2_000));
        playout.end(at(0), &1);
        assert_eq!(poll_all(&mut playout, at(0)).len(), 1);
        assert_eq!(poll_all(&mut playout, at(20 + late)).len(), frames, "{late} ms late");
        assert_eq!(playout.late_ticks(), slipped, "{late} ms late");
        assert_eq!(playout.next_due(), Some(at(next)), "{late} ms late");
        // nothing is lost, and the rest is on the grid
        let rest = frame_times(&play_until(&mut playout, 4_000_000));
        assert_eq!(rest.len(), 99 - frames);
        assert!(rest.iter().zip(0..).all(|(ms, n)| *ms == next + n * 20), "{late} ms late");
        assert_eq!(playout.underruns(), 0);
    }
}

#[test]
fn frames_carry_the_bytes_in_order() {
    for codec in [LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16] {
        let bytes: Vec<u8> = (0..10_007_usize).map(|i| (i * 7 % 253) as u8).collect();
        for portion in [1, 159, 160, 161, 319, 320, 321, 1_000, 10_007] {
            let mut playout = Playout::new(codec);
            for part in bytes.chunks(portion) {
                playout.push(at(0), &1, bytes::Bytes::copy_from_slice(part));
            }
            playout.end(at(0), &1);
            let mut joined = Vec::new();
            for (_, what) in play_until(&mut playout, 10_000) {
                if let Due::Frame { payload, .. } = what {
                    assert_eq!(payload.len(), codec.frame_bytes());
                    joined.extend_from_slice(&payload);
                }
            }
            let (sound, padding) = joined.split_at(bytes.len());
            assert_eq!(sound, bytes, "{codec} in {portion}");
            assert!(padding.len() < codec.frame_bytes());
            assert!(padding.iter().all(|byte| *byte == codec.silence()), "{codec} in {portion}");
        }
    }
}

#[test]
fn fill_sends_a_frame_at_every_tick() {
    let mut playout = Playout::new(LineCodec::Pcma);
    playout.set_fill(at(3), true);
    assert_eq!(playout.next_due(), Some(at(3)));
    let silence = poll_all(&mut playout, at(3));
    assert!(matches!(&silence[..], [Due::Fill(frame)] if frame.len() == 160 && frame.iter().all(|b| *b == 0xD5)));
    // audio waits for the tick instead of starting a clock of its own
    playout.push(at(10), &1, audio(40));
    playout.end(at(10), &1);
    let played = play_until(&mut playout, 103);
    let times: Vec<u64> = played.iter().map(|(ms, _)| *ms).collect();
    let what: Vec<_> = played.into_iter().map(|(_, what)| what).collect();
    assert_eq!(names(&what), ["F1", "F1", "M1", "-", "-", "-"]);
    assert_eq!(times, [23, 43, 43, 63, 83, 103]);
    // one late tick is made up with silence too, more are not
    assert_eq!(names(&poll_all(&mut playout, at(143))), ["-", "-"]);
    assert_eq!(names(&poll_all(&mut playout, at(999))), ["-"]);
    assert_eq!(playout.late_ticks(), 41);
    playout.set_fill(at(1_000), false);
    assert_eq!(playout.next_due(), None);
    assert_eq!(playout.underruns(), 0);
}

#[test]
fn while_held_nothing_is_due() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.hold(at(0), true);
    playout.push(at(0), &1, audio(60));
    playout.end(at(0), &2);
    assert_eq!(playout.next_due(), None);
    assert_eq!(playout.poll(at(1_000)), None);
    playout.hold(at(1_000), false);
    assert_eq!(playout.next_due(), Some(at(1_000)));
    assert_eq!(frame_times(&play_until(&mut playout, 1_020)), [1_000, 1_020]);
    // the socket is lost in the middle and comes back: no burst, no underrun, nothing lost
    playout.hold(at(1_025), true);
    assert_eq!(playout.next_due(), None);
    playout.end(at(1_030), &1);
    playout.hold(at(1_035), true);
    playout.hold(at(1_035), false);
    assert_eq!(playout.next_due(), Some(at(1_040)), "20 ms after the last frame");
    assert_eq!(names(&poll_all(&mut playout, at(1_040))), ["F1", "M1", "M2"]);
    assert_eq!((playout.underruns(), playout.late_ticks()), (0, 0));
    assert!(playout.is_idle());
}

#[test]
fn releasing_what_is_not_held_leaves_the_clock_alone() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.push(at(0), &1, audio(100));
    assert_eq!(poll_all(&mut playout, at(0)).len(), 1);
    playout.hold(at(25), false);
    assert_eq!(playout.next_due(), Some(at(20)));
}

#[test]
fn holding_stops_fill_too() {
    let mut playout: Playout<u32> = Playout::new(LineCodec::Pcmu);
    playout.hold(at(0), true);
    playout.set_fill(at(0), true);
    assert_eq!(playout.next_due(), None);
    playout.hold(at(50), false);
    assert_eq!(playout.next_due(), Some(at(50)));
    assert_eq!(names(&poll_all(&mut playout, at(50))), ["-"]);
    playout.hold(at(55), true);
    playout.hold(at_us(900_500), false);
    assert_eq!(playout.next_due(), Some(at_us(900_500)), "the clock starts anew");
}

#[test]
fn while_hushed_nothing_is_played_and_nothing_is_lost() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.hush(at(0), true);
    playout.push(at(0), &1, audio(40));
    playout.end(at(0), &1);
    assert_eq!(playout.next_due(), None);
    assert_eq!(playout.poll(at(500)), None);
    playout.hush(at(1_000), false);
    assert_eq!(names(&poll_all(&mut playout, at(1_000))), ["F1"]);
    assert_eq!(names(&poll_all(&mut playout, at(1_020))), ["F1", "M1"]);
    // In the middle of an item, and released by the next socket as well.
    playout.push(at(2_000), &2, audio(60));
    assert_eq!(poll_all(&mut playout, at(2_000)).len(), 1);
    playout.hush(at(2_010), true);
    playout.hold(at(2_010), true);
    playout.hold(at(2_100), false);
    assert_eq!(playout.next_due(), None, "a new socket does not give the word back");
    playout.hush(at(3_000), false);
    assert_eq!(frame_times(&play_until(&mut playout, 3_020)), [3_000, 3_020]);
    assert_eq!((playout.underruns(), playout.late_ticks()), (0, 0));
}

#[test]
fn while_hushed_a_line_that_wants_frames_gets_silence() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.set_fill(at(0), true);
    playout.push(at(0), &1, audio(40));
    assert_eq!(names(&poll_all(&mut playout, at(0))), ["F1"]);
    playout.hush(at(10), true);
    assert_eq!(names(&poll_all(&mut playout, at(20))), ["-"]);
    playout.hush(at(30), false);
    assert_eq!(names(&poll_all(&mut playout, at(40))), ["F1"]);
    assert_eq!(playout.underruns(), 0);
}
