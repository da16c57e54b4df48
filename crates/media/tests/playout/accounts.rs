//! What was heard of every item when the caller interrupts.

use trunkline_media::{ItemAccount, LineCodec, Playout};

use super::{at, audio, play_until, poll_all};

type Row = (u32, u64, u64, bool);

fn rows(accounts: Vec<ItemAccount<u32>>) -> Vec<Row> {
    accounts.into_iter().map(|a| (a.item, a.played_ms, a.received_ms, a.ended)).collect()
}

/// Items of the given lengths, all ended, pushed at 0.
fn with_items(items: &[(u32, usize)]) -> Playout<u32> {
    let mut playout = Playout::new(LineCodec::Pcmu);
    for (item, ms) in items {
        playout.push(at(0), item, audio(*ms));
        playout.end(at(0), item);
    }
    playout
}

#[test]
fn every_item_that_was_not_heard_to_its_end() {
    let mut playout = with_items(&[(1, 100), (2, 200), (3, 150)]);
    playout.push(at(0), &4, audio(70));
    play_until(&mut playout, 145);
    assert_eq!(rows(playout.clear(at(150))), [(2, 60, 200, true), (3, 0, 150, true), (4, 0, 70, false)]);
    assert_eq!((playout.queued_ms(), playout.is_idle(), playout.next_due()), (0, true, None));
    assert_eq!(rows(playout.clear(at(151))), [], "told once");
}

#[test]
fn nothing_of_a_cleared_item_comes_after_it() {
    let mut playout = with_items(&[(1, 500)]);
    play_until(&mut playout, 90);
    playout.clear(at(95));
    assert!(poll_all(&mut playout, at(5_000)).is_empty());
    // a late push for a cleared key opens a new item with an account of its own
    playout.push(at(5_000), &1, audio(40));
    poll_all(&mut playout, at(5_000));
    assert_eq!(rows(playout.clear(at(5_001))), [(1, 20, 40, false)]);
}

#[test]
fn padding_is_neither_received_nor_played() {
    // (polls at 20 ms, account)
    let table = [(0, Some((1, 0, 45, true))), (1, Some((1, 20, 45, true))), (2, Some((1, 40, 45, true))), (3, None)];
    for (frames, expected) in table {
        let mut playout = with_items(&[(1, 45)]);
        (0..frames).for_each(|tick| drop(poll_all(&mut playout, at(tick * 20))));
        assert_eq!(rows(playout.clear(at(300))), expected.into_iter().collect::<Vec<_>>(), "{frames} frames");
    }
}

#[test]
fn an_open_item_is_told_even_if_all_it_has_was_played() {
    let mut playout = Playout::new(LineCodec::L16);
    playout.push(at(0), &1, bytes::Bytes::from(vec![0; 320 * 2 + 32]));
    play_until(&mut playout, 30);
    assert_eq!(rows(playout.clear(at(30))), [(1, 40, 42, false)]);
}

#[test]
fn an_item_without_audio_has_no_account() {
    let mut playout = with_items(&[(1, 20), (2, 0), (3, 20)]);
    poll_all(&mut playout, at(0));
    assert_eq!(rows(playout.clear(at(1))), [(3, 0, 20, true)]);
}

#[test]
fn refused_frames_do_not_count_as_played() {
    let mut playout = with_items(&[(1, 100)]);
    for tick in 0..3 {
        assert!(playout.poll(at(tick * 20)).is_some());
        if tick != 1 {
            playout.refused();
            playout.refused();
        }
    }
    assert_eq!(rows(playout.clear(at(60))), [(1, 20, 100, true)]);
    playout.refused();

    // also after the item's mark, and for its padded last frame
    let mut playout = with_items(&[(1, 30)]);
    assert!(playout.poll(at(0)).is_some());
    assert_eq!(poll_all(&mut playout, at(20)).len(), 2);
    playout.refused();
    assert_eq!(rows(playout.clear(at(40))), [(1, 20, 30, true)]);
}

#[test]
fn a_refused_silence_takes_nothing_from_an_item() {
    let mut playout = with_items(&[(1, 20)]);
    playout.set_fill(at(0), true);
    assert_eq!(poll_all(&mut playout, at(0)).len(), 2);
    assert!(playout.poll(at(20)).is_some());
    playout.refused();
    assert_eq!(rows(playout.clear(at(40))), []);
}

/// Item 1 of 100 ms is played and its mark (out at 80 ms) answered after `lag` ms; then item 2 of 20 s plays.
fn with_lag(lag: u64) -> Playout<u32> {
    let mut playout = with_items(&[(1, 100), (2, 20_000)]);
    play_until(&mut playout, 80 + lag);
    playout.peer_played(at(80 + lag), &1);
    playout
}

#[test]
fn the_peers_lag_is_not_heard_yet() {
    // (lag, clear at, played of item 2, which began at 100 ms)
    let table = [
        (0, 1_000, 920),
        (1, 1_000, 900),
        (20, 1_000, 900),
        (300, 1_000, 620),
        (300, 1_015, 620),
        (300, 1_019, 620),
        (900, 1_000, 20),
        (5_000, 5_200, 120),
        (9_000, 9_200, 4_120),
    ];
    for (lag, clear, played) in table {
        let mut playout = with_lag(lag);
        play_until(&mut playout, clear);
        assert_eq!(rows(playout.clear(at(clear))), [(2, played, 20_000, true)], "lag {lag}, clear at {clear}");
    }
}

#[test]
fn a_finished_item_may_still_be_unheard() {
    let mut playout = with_items(&[(1, 100), (2, 400), (3, 200)]);
    play_until(&mut playout, 380);
    playout.peer_played(at(380), &1); // 300 ms behind
    play_until(&mut playout, 700);
    // item 2 ended at 480: at 700 its frames up to 400 are heard; item 3 began at 500: none of it
    assert_eq!(rows(playout.clear(at(700))), [(2, 320, 400, true), (3, 0, 200, true)]);

    let mut playout = with_items(&[(1, 100), (2, 400)]);
    play_until(&mut playout, 380);
    playout.peer_played(at(380), &1);
    play_until(&mut playout, 700);
    assert_eq!(rows(playout.clear(at(779))), [(2, 380, 400, true)]);

    let mut playout = with_items(&[(1, 100), (2, 400)]);
    play_until(&mut playout, 380);
    playout.peer_played(at(380), &1);
    play_until(&mut playout, 700);
    assert_eq!(rows(playout.clear(at(780))), [], "300 ms after its mark all of it is heard");
}

#[test]
fn refused_frames_are_not_taken_off_twice() {
    let mut playout = with_lag(300);
    for tick in 0..10 {
        assert!(playout.poll(at(400 + tick * 20)).is_some());
        if tick >= 8 {
            playout.refused();
        }
    }
    // 100 to 580 ms is out, 560 and 580 were refused, 300 and later are not heard yet
    assert_eq!(rows(playout.clear(at(590))), [(2, 200, 20_000, true)]);
}

#[test]
fn nobody_is_further_behind_than_five_seconds() {
    let mut playout = with_items(&[(1, 100), (2, 10_000)]);
    play_until(&mut playout, 9_080);
    playout.peer_played(at(9_080), &1);
    play_until(&mut playout, 20_000);
    // the mark of item 2 went out at 10,080 ms
    assert_eq!(rows(playout.clear(at(15_081))), []);
}

#[test]
fn an_answer_settles_everything_before_it() {
    let mut playout = with_items(&[(1, 100), (2, 100), (3, 100)]);
    play_until(&mut playout, 1_000);
    playout.peer_played(at(1_000), &1); // 920 ms behind
    playout.peer_played(at(1_010), &3); // 730 ms behind, all heard
    assert_eq!(rows(playout.clear(at(1_011))), []);

    // without the second answer only time settles: frames are heard 920 ms after they went out
    let table: [(u64, &[Row]); 4] = [
        (1_011, &[(2, 0, 100, true), (3, 0, 100, true)]),
        (1_090, &[(2, 80, 100, true), (3, 0, 100, true)]),
        (1_130, &[(3, 20, 100, true)]),
        (1_200, &[]),
    ];
    for (clear, expected) in table {
        let mut playout = with_items(&[(1, 100), (2, 100), (3, 100)]);
        play_until(&mut playout, 1_000);
        playout.peer_played(at(1_000), &1);
        assert_eq!(rows(playout.clear(at(clear))), expected, "clear at {clear}");
    }
}

#[test]
fn unknown_and_stale_answers_are_ignored() {
    let mut playout = with_lag(300);
    playout.peer_played(at(900), &77);
    playout.peer_played(at(900), &1); // a second answer for the same mark
    playout.peer_played(at(900), &2); // its mark is not out yet
    play_until(&mut playout, 1_000);
    assert_eq!(rows(playout.clear(at(1_000))), [(2, 620, 20_000, true)]);

    // an answer that a later one has overtaken
    let mut playout = with_items(&[(1, 100), (2, 100), (3, 1_000)]);
    play_until(&mut playout, 380);
    playout.peer_played(at(380), &2); // 200 ms behind
    playout.peer_played(at(390), &1);
    play_until(&mut playout, 600);
    assert_eq!(rows(playout.clear(at(600))), [(3, 220, 1_000, true)]);

    // an answer to a mark that a clear has flushed
    let mut playout = with_items(&[(1, 100)]);
    play_until(&mut playout, 500);
    playout.clear(at(500));
    playout.peer_played(at(4_000), &1);
    playout.push(at(4_000), &2, audio(100));
    playout.end(at(4_000), &2);
    play_until(&mut playout, 4_500);
    assert_eq!(rows(playout.clear(at(4_500))), [], "the lag is still unknown");
}

#[test]
fn the_lag_outlives_a_clear() {
    let mut playout = with_lag(300);
    playout.clear(at(400));
    playout.push(at(1_000), &3, audio(1_000));
    play_until(&mut playout, 1_500);
    assert_eq!(rows(playout.clear(at(1_500))), [(3, 220, 1_000, false)]);
}

#[test]
fn thousands_of_items_are_not_remembered() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    let mut now = 0;
    for item in 0..5_000 {
        playout.push(at(now), &item, audio(20));
        playout.end(at(now), &item);
        assert_eq!(poll_all(&mut playout, at(now)).len(), 2);
        playout.refused();
        now += 20;
    }
    let accounts = rows(playout.clear(at(now)));
    assert_eq!(accounts.len(), 64, "what was refused is told, but not from the beginning of the call");
    assert_eq!(accounts[63], (4_999, 0, 20, true));
}
