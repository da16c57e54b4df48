//! A peer with a queue is sent a short lead; what it has heard is known all the same.

use std::time::Duration;

use trunkline_media::{Due, LineCodec, Playout};

use super::{at, audio, frame_times, names, poll_all};

fn with_lead(ms: u64) -> Playout<u32> {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.set_queue(at(0), Some(Duration::from_millis(ms)));
    playout
}

/// Plays punctually from one moment to another: when each frame and mark came, in milliseconds.
fn play(playout: &mut Playout<u32>, from: u64, until: u64) -> Vec<(u64, Due<u32>)> {
    let mut played = Vec::new();
    let mut now = at(from);
    while let Some(due) = playout.next_due().filter(|due| *due <= at(until)) {
        now = now.max(due);
        let ms = (now - at(0)).as_millis() as u64;
        played.extend(poll_all(playout, now).into_iter().map(|what| (ms, what)));
    }
    played
}

/// What was heard of each item.
fn heard(playout: &mut Playout<u32>, now: u64) -> Vec<(u32, u64)> {
    playout.clear(at(now)).into_iter().map(|account| (account.item, account.played_ms)).collect()
}

#[test]
fn the_lead_goes_out_at_once_and_then_a_frame_every_tick() {
    for (lead, at_once) in [(0, 1), (19, 1), (20, 2), (50, 3), (100, 6), (200, 11)] {
        let mut playout = with_lead(lead);
        playout.push(at(1_000), &1, audio(2_000));
        playout.end(at(1_000), &1);
        assert_eq!(poll_all(&mut playout, at(1_000)).len(), at_once, "lead {lead}");
        // The last one plays for 20 ms.
        assert_eq!(playout.ahead(at(1_000)), Duration::from_millis(lead / 20 * 20 + 20));
        let rest = frame_times(&play(&mut playout, 1_000, 4_000));
        let due: Vec<u64> = (at_once as u64..100).map(|frame| 1_000 + frame * 20 - lead).collect();
        assert_eq!(rest, due, "lead {lead}");
        assert_eq!((playout.underruns(), playout.late_ticks()), (0, 0));
    }
}

#[test]
fn what_was_heard_is_known_to_the_millisecond() {
    for lead in [0, 20, 100, 200] {
        for now in [0, 1, 19, 20, 21, 55, 499, 999] {
            let mut playout = with_lead(lead);
            playout.push(at(0), &1, audio(1_000));
            playout.end(at(0), &1);
            play(&mut playout, 0, now);
            assert_eq!(heard(&mut playout, now), [(1, now)], "lead {lead}, after {now} ms");
        }
        let mut playout = with_lead(lead);
        playout.push(at(0), &1, audio(1_000));
        playout.end(at(0), &1);
        play(&mut playout, 0, 1_000);
        assert_eq!(heard(&mut playout, 1_000), [], "all of it");
    }
}

#[test]
fn an_item_whose_mark_is_out_may_still_be_in_the_peers_queue() {
    let mut playout = with_lead(100);
    playout.push(at(0), &1, audio(100));
    playout.end(at(0), &1);
    playout.push(at(0), &2, audio(100));
    playout.end(at(0), &2);
    assert_eq!(names(&poll_all(&mut playout, at(0))), ["F1", "F1", "F1", "F1", "F1", "M1", "F2"]);
    play(&mut playout, 0, 90);
    assert!(playout.is_idle(), "item 2 has been sent");
    assert_eq!(heard(&mut playout, 95), [(1, 95), (2, 0)]);
}

#[test]
fn marks_say_how_far_the_peer_is_behind() {
    // (answered so long after the mark's frame was to be played, heard of item 2 after 500 ms of it)
    for (lag, expected) in [(20, 500), (21, 499), (60, 460), (400, 120)] {
        let mut playout = with_lead(100);
        playout.push(at(0), &1, audio(100));
        playout.end(at(0), &1);
        play(&mut playout, 0, 500);
        // Item 1's last frame has the tick at 80 ms.
        playout.peer_played(at(80 + lag), &1);
        playout.push(at(1_000), &2, audio(2_000));
        play(&mut playout, 1_000, 1_500);
        assert_eq!(heard(&mut playout, 1_500), [(2, expected)], "lag {lag}");
    }
}

#[test]
fn an_answer_to_a_mark_that_was_flushed_teaches_nothing() {
    let mut playout = with_lead(200);
    playout.push(at(0), &1, audio(200));
    playout.end(at(0), &1);
    assert_eq!(poll_all(&mut playout, at(0)).len(), 11, "the mark is out at once");
    assert_eq!(heard(&mut playout, 50), [(1, 50)]);
    playout.peer_played(at(51), &1);
    playout.push(at(100), &2, audio(500));
    play(&mut playout, 100, 300);
    assert_eq!(heard(&mut playout, 300), [(2, 200)]);
}

#[test]
fn after_a_clear_the_peer_has_nothing_and_the_next_item_begins_at_once() {
    let mut playout = with_lead(100);
    playout.push(at(0), &1, audio(1_000));
    play(&mut playout, 0, 500);
    playout.clear(at(507));
    assert_eq!(playout.ahead(at(507)), Duration::ZERO);
    playout.push(at(507), &2, audio(1_000));
    assert_eq!(frame_times(&play(&mut playout, 507, 530)), [507, 507, 507, 507, 507, 507, 527]);
    assert_eq!(heard(&mut playout, 600), [(2, 93)]);
}

#[test]
fn lateness_within_the_lead_is_made_up_and_beyond_it_the_clock_slips() {
    // (polled late by ms, frames then, ticks slipped)
    for (late, frames, slipped) in
        [(0, 1, 0), (60, 4, 0), (99, 5, 0), (100, 6, 0), (119, 6, 0), (140, 6, 2), (1_000, 6, 45)]
    {
        let mut playout = with_lead(100);
        playout.push(at(0), &1, audio(3_000));
        assert_eq!(poll_all(&mut playout, at(0)).len(), 6);
        // The next frame is due at 20 ms, with its tick at 120.
        assert_eq!(playout.next_due(), Some(at(20)));
        assert_eq!(poll_all(&mut playout, at(20 + late)).len(), frames, "{late} ms late");
        assert_eq!(playout.late_ticks(), slipped, "{late} ms late");
        let played = 20 + late - slipped * 20;
        assert_eq!(heard(&mut playout, 20 + late), [(1, played.min(120))], "{late} ms late");
    }
}

#[test]
fn a_gap_of_the_model_shorter_than_the_lead_is_no_underrun() {
    let mut playout = with_lead(100);
    playout.push(at(0), &1, audio(100));
    assert_eq!(frame_times(&play(&mut playout, 0, 60)), [0; 5]);
    playout.push(at(90), &1, audio(100));
    assert_eq!(playout.underruns(), 0);
    assert_eq!(frame_times(&play(&mut playout, 90, 100)), [90; 5], "their ticks are 100 to 180");
    // 20 ms and more without anything in the peer's queue are told.
    assert!(play(&mut playout, 100, 210).is_empty());
    playout.push(at(230), &1, audio(20));
    assert_eq!(playout.underruns(), 2);
    assert_eq!(frame_times(&play(&mut playout, 230, 230)), [230]);
}

#[test]
fn a_live_source_has_its_cushion_at_the_peer() {
    let mut playout = with_lead(100);
    let mut sent = Vec::new();
    for arrives in [0, 22, 40, 99, 100, 101, 120] {
        playout.push_live(at(arrives), &1, audio(20));
        sent.extend(frame_times(&play(&mut playout, arrives, arrives)));
    }
    assert_eq!(sent, [40, 40, 40, 99, 100, 101, 120], "each as it comes, once three are there");
    assert_eq!(playout.underruns(), 0);
}

#[test]
fn a_socket_that_takes_over_gets_a_lead_of_its_own() {
    let mut playout = with_lead(100);
    playout.push(at(0), &1, audio(1_000));
    play(&mut playout, 0, 200);
    playout.hold(at(210), true);
    assert_eq!(playout.next_due(), None);
    playout.hold(at(250), false);
    assert_eq!(frame_times(&play(&mut playout, 250, 260)), [250; 6]);
    // The newest socket wins, whether the one before is gone or not.
    playout.set_queue(at(290), Some(Duration::from_millis(100)));
    assert_eq!(frame_times(&play(&mut playout, 290, 300)), [290; 6]);
    // Of 320 ms sent to the first one 210 were heard, of 120 ms to the second one 40: what was queued there is lost.
    let mut told = with_lead(100);
    told.push(at(0), &1, audio(1_000));
    play(&mut told, 0, 200);
    told.hold(at(210), true);
    told.hold(at(250), false);
    play(&mut told, 250, 260);
    told.set_queue(at(290), Some(Duration::from_millis(100)));
    assert_eq!(heard(&mut told, 290), [(1, 210 + 40)]);
    playout.set_queue(at(305), None);
    assert_eq!(frame_times(&play(&mut playout, 305, 350)), [305, 325, 345], "this one plays frames as they come");
}

#[test]
fn with_fill_silence_is_not_sent_ahead_and_audio_is() {
    let mut playout = with_lead(40);
    playout.set_fill(at(0), true);
    assert_eq!(names(&poll_all(&mut playout, at(0))), ["-"]);
    assert_eq!(playout.next_due(), Some(at(20)));
    playout.push(at(10), &1, audio(100));
    playout.end(at(10), &1);
    assert_eq!(names(&poll_all(&mut playout, at(10))), ["F1", "F1"]);
    let played: Vec<_> = play(&mut playout, 10, 140).into_iter().map(|(_, what)| what).collect();
    assert_eq!(names(&played), ["F1", "F1", "F1", "M1", "-", "-"]);
}
