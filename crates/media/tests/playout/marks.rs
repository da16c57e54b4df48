//! Items in order, and a mark after each.

use trunkline_media::{LineCodec, Playout};

use super::{at, audio, names, play_until, poll_all};

fn played(playout: &mut Playout<u32>, until: u64) -> Vec<String> {
    names(&play_until(playout, until).into_iter().map(|(_, what)| what).collect::<Vec<_>>())
}

#[test]
fn a_mark_follows_the_last_frame_at_once() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.push(at(0), &1, audio(40));
    playout.end(at(0), &1);
    playout.push(at(0), &2, audio(25));
    playout.end(at(0), &2);
    let came = play_until(&mut playout, 1_000);
    assert_eq!(came.iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [0, 20, 20, 40, 60, 60]);
    assert_eq!(
        names(&came.into_iter().map(|(_, what)| what).collect::<Vec<_>>()),
        ["F1", "F1", "M1", "F2", "F2", "M2"]
    );
    assert!(playout.is_idle());
}

#[test]
fn an_item_without_audio_yields_its_mark_in_its_turn() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.push(at(0), &1, audio(20));
    playout.end(at(0), &2);
    playout.end(at(0), &3);
    playout.push(at(0), &4, audio(20));
    assert_eq!(played(&mut playout, 10), ["F1"]);
    playout.end(at(10), &1);
    assert_eq!(playout.next_due(), Some(at(10)));
    assert_eq!(played(&mut playout, 1_000)[..4], ["M1", "M2", "M3", "F4"]);

    let mut alone = Playout::new(LineCodec::Pcmu);
    alone.end(at(5), &9);
    assert!(!alone.is_idle());
    assert_eq!(alone.next_due(), Some(at(5)));
    assert_eq!(names(&poll_all(&mut alone, at(5))), ["M9"]);
    assert!(alone.is_idle());
}

#[test]
fn audio_goes_to_its_item_even_behind_a_newer_one() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.push(at(0), &1, audio(20));
    playout.push(at(1), &2, audio(20));
    playout.push(at(2), &1, audio(20));
    playout.end(at(3), &2);
    playout.end(at(4), &1);
    assert_eq!(played(&mut playout, 1_000), ["F1", "F1", "M1", "F2", "M2"]);
}

#[test]
fn ending_twice_gives_one_mark() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.push(at(0), &1, audio(20));
    playout.end(at(0), &1);
    playout.end(at(0), &1);
    assert_eq!(played(&mut playout, 100), ["F1", "M1"]);
    playout.end(at(200), &1);
    assert_eq!(played(&mut playout, 300), Vec::<String>::new());
    assert!(playout.is_idle());
}

#[test]
fn more_audio_after_the_end_is_a_new_item() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.push(at(0), &1, audio(20));
    playout.end(at(0), &1);
    playout.push(at(1), &1, audio(20));
    playout.end(at(1), &1);
    assert_eq!(played(&mut playout, 100), ["F1", "M1", "F1", "M1"]);
}

#[test]
fn a_push_without_bytes_opens_the_item() {
    let mut playout = Playout::new(LineCodec::Pcmu);
    playout.push(at(0), &1, audio(0));
    playout.push(at(0), &2, audio(20));
    assert!(!playout.is_idle());
    assert_eq!(playout.next_due(), None);
    playout.end(at(3), &1);
    assert_eq!(played(&mut playout, 3), ["M1", "F2"]);
}
