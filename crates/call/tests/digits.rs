//! Keys of a caller.
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
use trunkline_call::{DigitCollector, KEY_QUIET, MAX_KEYS};

#[expect(clippy::disallowed_methods, reason = "some moment to start from")]
fn start() -> Instant {
    Instant::now()
}

/// Presses `keys` at once, one after the other; gives what came out on the way.
fn press(collector: &mut DigitCollector, now: Instant, keys: &str) -> Vec<String> {
    keys.chars().filter_map(|key| collector.push(now, key)).collect()
}

#[test]
fn a_hash_completes_the_keys() {
    let table: [(&str, &[&str]); 8] = [
        ("4711#", &["4711"]),
        ("#", &["#"]),
        ("##", &["#", "#"]),
        ("1#2#", &["1", "2"]),
        ("*1*2#", &["*1*2"]),
        ("aBcD#", &["ABCD"]),
        ("1x2 3e#", &["123"]),
        ("4711", &[]),
    ];
    for (keys, expected) in table {
        assert_eq!(press(&mut DigitCollector::new(), start(), keys), expected, "{keys}");
    }
}

#[test]
fn quiet_completes_the_keys() {
    let t0 = start();
    let mut collector = DigitCollector::new();
    assert_eq!(collector.next_timer(), None);
    assert_eq!(collector.push(t0, '4'), None);
    let t1 = t0 + Duration::from_millis(1_500);
    assert_eq!(collector.push(t1, '2'), None);
    assert_eq!(collector.next_timer(), Some(t1 + KEY_QUIET), "each key starts the quiet anew");
    assert_eq!(collector.on_timer(t1 + KEY_QUIET - Duration::from_millis(1)), None);
    assert_eq!(collector.on_timer(t1 + KEY_QUIET), Some("42".to_owned()));
    assert_eq!(collector.next_timer(), None);
    assert_eq!(collector.on_timer(t1 + KEY_QUIET * 2), None, "only once");
}

#[test]
fn a_hash_stops_the_timer() {
    let t0 = start();
    let mut collector = DigitCollector::new();
    collector.push(t0, '1');
    assert_eq!(collector.push(t0, '#'), Some("1".to_owned()));
    assert_eq!(collector.next_timer(), None);
    assert_eq!(collector.on_timer(t0 + KEY_QUIET), None);
}

#[test]
fn what_is_no_key_does_not_prolong_the_quiet() {
    let t0 = start();
    let mut collector = DigitCollector::new();
    collector.push(t0, '1');
    assert_eq!(collector.push(t0 + Duration::from_secs(1), 'x'), None);
    assert_eq!(collector.next_timer(), Some(t0 + KEY_QUIET));
}

#[test]
fn a_stuck_key_does_not_fill_memory() {
    let out = press(&mut DigitCollector::new(), start(), &"5".repeat(MAX_KEYS * 3));
    assert_eq!(out, vec!["5".repeat(MAX_KEYS); 3]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is pressed whenever: no key is lost, doubled or moved (hashes aside).
    #[test]
    fn no_key_is_lost(presses in prop::collection::vec((0..3_000_u64, prop::char::range(' ', 'h')), 0..200)) {
        let mut now = start();
        let mut collector = DigitCollector::new();
        let mut out = String::new();
        for &(after, key) in &presses {
            now += Duration::from_millis(after);
            if collector.next_timer().is_some_and(|due| due <= now) {
                let keys = collector.on_timer(now);
                prop_assert!(keys.as_ref().is_some_and(|keys| !keys.is_empty()));
                out.extend(keys);
            }
            out.extend(collector.push(now, key));
        }
        out.extend(collector.on_timer(now + KEY_QUIET));
        let pressed: String =
            presses.iter().map(|&(_, key)| key).filter(|&key| DigitCollector::is_key(key) && key != '#').collect();
        prop_assert_eq!(out.replace('#', ""), pressed.to_ascii_uppercase());
    }
}
