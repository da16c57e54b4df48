//! Underruns: due ticks at which an unfinished item has nothing.

use trunkline_media::{LineCodec, Playout};

use super::{at, audio, frame_times, names, play_until, poll_all};

/// 60 ms of item 1, unfinished, played punctually.
fn starving() -> Playout<u32> {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.push(at(0), &1, audio(60));
    assert_eq!(frame_times(&play_until(&mut playout, 50)), [0, 20, 40]);
    assert_eq!(playout.next_due(), Some(at(60)));
    playout
}

#[test]
fn every_tick_of_a_gap_counts_once() {
    for polled in [true, false] {
        // (audio comes at, underruns, first frame after the gap)
        let table =
            [(55, 0, 60), (60, 0, 60), (61, 1, 61), (80, 1, 80), (81, 2, 81), (107, 3, 107), (1_000, 47, 1_000)];
        for (comes, underruns, restart) in table {
            let mut playout = starving();
            if polled {
                assert!(play_until(&mut playout, comes - 1).is_empty());
            }
            playout.push(at(comes), &1, audio(60));
            assert_eq!(playout.underruns(), underruns, "audio at {comes} ms, polled: {polled}");
            let times = frame_times(&play_until(&mut playout, restart + 50));
            assert_eq!(times, [restart, restart + 20, restart + 40], "audio at {comes} ms, polled: {polled}");
            assert_eq!(playout.late_ticks(), 0);
        }
    }
}

#[test]
fn a_late_poll_counts_every_tick_of_the_gap() {
    let mut playout = starving();
    assert_eq!(playout.poll(at(119)), None);
    assert_eq!(playout.underruns(), 3);
    assert_eq!(playout.next_due(), Some(at(120)));
    assert_eq!(playout.late_ticks(), 0, "no frame was late: there was none");
}

#[test]
fn part_of_a_frame_does_not_end_the_gap() {
    let mut playout = starving();
    playout.push(at(65), &1, audio(10));
    assert!(play_until(&mut playout, 85).is_empty());
    assert_eq!(playout.underruns(), 2);
    playout.end(at(90), &1);
    assert_eq!(playout.next_due(), Some(at(90)), "padded at the end, it is a frame");
    assert_eq!(names(&poll_all(&mut playout, at(90))), ["F1", "M1"]);
}

#[test]
fn the_end_of_the_item_ends_the_gap() {
    let mut playout = starving();
    playout.end(at(59), &1);
    assert_eq!(names(&poll_all(&mut playout, at(60))), ["M1"]);
    assert_eq!((playout.underruns(), playout.next_due()), (0, None));

    let mut playout = starving();
    assert!(play_until(&mut playout, 70).is_empty());
    playout.push(at(70), &2, audio(20));
    assert!(play_until(&mut playout, 90).is_empty(), "item 2 waits for the end of item 1");
    assert_eq!(playout.underruns(), 2);
    playout.end(at(95), &1);
    assert_eq!(names(&poll_all(&mut playout, at(95))), ["M1", "F2"]);
}

#[test]
fn between_items_there_is_no_gap() {
    let mut playout = starving();
    playout.end(at(45), &1);
    playout.push(at(46), &2, audio(10));
    let played: Vec<_> = play_until(&mut playout, 500).into_iter().map(|(_, what)| what).collect();
    assert_eq!(names(&played), ["M1"]);
    assert_eq!((playout.underruns(), playout.next_due()), (0, None), "item 2 has not begun");
    playout.push(at(500), &2, audio(10));
    assert_eq!(names(&poll_all(&mut playout, at(500))), ["F2"]);
}

#[test]
fn a_live_source_gets_a_lead_that_rides_out_its_jitter() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    let mut sent = Vec::new();
    for (arrives, n) in [0_u64, 22, 40, 99, 100, 101, 120].into_iter().zip(0..) {
        sent.extend(frame_times(&play_until(&mut playout, arrives - u64::from(n > 0))));
        playout.push_live(at(arrives), &"echo", audio(20));
    }
    sent.extend(frame_times(&play_until(&mut playout, 400)));
    assert_eq!(sent, [40, 60, 80, 100, 120, 140, 160], "three frames of lead, then no gap though one came 39 ms late");
    assert_eq!((playout.underruns(), playout.next_due()), (0, None));
    playout.push_live(at(500), &"echo", audio(20));
    assert_eq!(playout.next_due(), None, "run dry: a lead is gathered anew");
    playout.push_live(at(501), &"echo", audio(40));
    assert_eq!(frame_times(&play_until(&mut playout, 600)), [501, 521, 541]);
    assert_eq!(playout.underruns(), 0);
}

#[test]
fn fill_counts_underruns_and_keeps_the_grid() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.set_fill(at(0), true);
    playout.push(at(0), &1, audio(40));
    let played: Vec<_> = play_until(&mut playout, 80).into_iter().map(|(_, what)| what).collect();
    assert_eq!(names(&played), ["F1", "F1", "-", "-", "-"]);
    assert_eq!(playout.underruns(), 3);
    playout.push(at(93), &1, audio(20));
    assert_eq!(frame_times(&play_until(&mut playout, 100)), [100]);
    // a poll that slips over a gap counts its ticks as underruns, not as late
    assert_eq!(names(&poll_all(&mut playout, at(185))), ["-"]);
    assert_eq!((playout.underruns(), playout.late_ticks()), (7, 0));
}

#[test]
fn a_gap_is_not_counted_while_held_or_after_a_clear() {
    let mut playout = starving();
    playout.hold(at(50), true);
    assert_eq!(playout.poll(at(500)), None);
    playout.push(at(600), &1, audio(20));
    playout.hold(at(700), false);
    assert_eq!(frame_times(&play_until(&mut playout, 700)), [700]);
    assert_eq!(playout.underruns(), 0);
    playout.clear(at(705));
    assert_eq!((playout.poll(at(2_000)), playout.underruns()), (None, 0));
}
