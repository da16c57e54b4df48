//! Events of calls in any order, any number of times, at any age: what is news and what is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use samples::{body, json, names};
use trunkline_chime::announcements::{AnnouncementSettings, Announcements, News, Outcome};
use trunkline_chime::event::{CallEvent, Direction, Message, Poison, Status, read};

/// The time of the first STARTED in the samples: 2026-11-20T15:04:06Z.
const BEGIN_MS: u64 = 1_795_187_046_000;

const CONNECTOR: &str = "fx7q2mvbd9k3htn5wz1rgy";

fn two_minutes() -> AnnouncementSettings {
    AnnouncementSettings { max_age: Some(Duration::from_secs(120)), voice_connector_ids: vec![CONNECTOR.to_owned()] }
}

/// What became of a message, in short: its outcome and the kind of its news.
fn told((outcome, news): (Outcome, Option<News>)) -> String {
    let news = match news {
        None => "",
        Some(News::Started(_)) => " started",
        Some(News::Leg(_)) => " leg",
        Some(News::Ended { first: true, .. }) => " first end",
        Some(News::Ended { first: false, .. }) => " other end",
    };
    format!("{}{news}", outcome.as_str())
}

fn event(status: Status, call_id: &str, leg: u8) -> CallEvent {
    CallEvent {
        status,
        call_id: call_id.to_owned(),
        transaction_id: "transaction".to_owned(),
        voice_connector_id: CONNECTOR.to_owned(),
        is_caller: Some(leg.is_multiple_of(2)),
        direction: Some(Direction::Inbound),
        from: None,
        to: None,
        stream_arn: Some(format!("stream-{leg}")),
        at_unix_ms: Some(BEGIN_MS),
        failure_reason: None,
    }
}

fn started(call_id: &str, leg: u8) -> CallEvent {
    event(Status::Started, call_id, leg)
}

fn ended(call_id: &str, leg: u8) -> CallEvent {
    event(Status::Ended, call_id, leg)
}

/// What becomes of `events`, each arriving `after_ms` after it was written.
fn all_told(settings: AnnouncementSettings, after_ms: u64, events: impl IntoIterator<Item = CallEvent>) -> Vec<String> {
    let mut announcements = Announcements::new(settings);
    let apply = |event: CallEvent| {
        let now = event.at_unix_ms.unwrap_or(BEGIN_MS) + after_ms;
        told(announcements.apply(now, Message::Call(event)))
    };
    events.into_iter().map(apply).collect()
}

#[test]
fn every_scenario_leads_to_the_calls_that_happened() {
    // Each delivery arrives 2 s after it was written, or 2 s after the latest before it.
    let table: [(&str, &[&str]); 10] = [
        ("01-normal.json", &["applied started", "applied leg", "applied first end", "applied other end"]),
        ("02-reordered-legs.json", &["applied started", "applied leg", "applied first end", "applied other end"]),
        ("03-duplicate-started.json", &["applied started", "duplicate", "duplicate", "applied first end"]),
        ("04-ended-before-started.json", &["applied first end", "stale", "stale", "applied other end"]),
        (
            "05-late-duplicate-started-after-end.json",
            &["applied started", "applied leg", "applied first end", "applied other end", "duplicate"],
        ),
        ("06-one-leg-only.json", &["applied started"]),
        ("07-no-ended.json", &["applied started", "applied leg"]),
        ("08-same-callid-new-transaction.json", &["applied started", "applied first end", "applied started"]),
        (
            "09-failed-mid-call.json",
            &["applied started", "applied leg", "ignored", "applied first end", "applied other end"],
        ),
        ("10-updated.json", &["applied started", "ignored", "applied first end"]),
    ];
    let tested: Vec<_> = table.iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(tested, names("scenarios"));
    for (name, expected) in table {
        let scenario = json(&format!("scenarios/{name}"));
        let mut announcements = Announcements::new(AnnouncementSettings { max_age: None, ..two_minutes() });
        let mut punctual = Announcements::new(two_minutes());
        let mut now = 0;
        let deliveries = scenario["deliveries"].as_array().unwrap();
        for (delivery, expected) in deliveries.iter().zip(expected) {
            let message = read(delivery.to_string().as_bytes());
            let Message::Call(event) = &message else { panic!("{name}: {message:?}") };
            let at = event.at_unix_ms.unwrap();
            now = now.max(at + 2_000);
            assert_eq!(told(announcements.apply(now, message.clone())), *expected, "{name} {}", scenario["expect"]);
            // With a limit of age the same comes out as long as events come in time.
            assert_eq!(told(punctual.apply(at + 2_000, message)), *expected, "{name} {}", scenario["expect"]);
        }
        assert_eq!(deliveries.len(), expected.len(), "{name}");
    }
}

#[test]
fn news_hold_the_event_and_ends_name_the_call() {
    let mut announcements = Announcements::new(two_minutes());
    let first = started("a", 0);
    let news = announcements.apply(BEGIN_MS, Message::Call(first.clone()));
    assert_eq!(news, (Outcome::Applied, Some(News::Started(first))));
    let second = CallEvent { to: Some("88001".to_owned()), ..started("a", 1) };
    let news = announcements.apply(BEGIN_MS, Message::Call(second.clone()));
    assert_eq!(news, (Outcome::Applied, Some(News::Leg(second))));
    let news = announcements.apply(BEGIN_MS, Message::Call(ended("a", 1)));
    let (call_id, transaction_id) = ("a".to_owned(), "transaction".to_owned());
    assert_eq!(news, (Outcome::Applied, Some(News::Ended { call_id, transaction_id, first: true })));
    assert_eq!((announcements.len(), announcements.is_empty()), (1, false));
}

#[test]
fn a_leg_is_told_by_its_side_or_its_stream() {
    let other_side = CallEvent { is_caller: Some(false), ..started("a", 0) };
    let no_side = CallEvent { is_caller: None, ..started("a", 0) };
    let other_stream = CallEvent { stream_arn: Some("other".to_owned()), ..started("a", 0) };
    let no_stream = CallEvent { stream_arn: None, ..started("a", 0) };
    for leg in [other_side, no_side, other_stream, no_stream] {
        let same = CallEvent { from: Some("4021".to_owned()), at_unix_ms: None, ..leg.clone() };
        let end = CallEvent { status: Status::Ended, ..leg.clone() };
        let events = [started("a", 0), leg, same, end.clone(), end, ended("a", 0), ended("a", 0)];
        let expected = [
            "applied started",
            "applied leg",
            "duplicate",
            "applied first end",
            "duplicate",
            "applied other end",
            "duplicate",
        ];
        assert_eq!(all_told(two_minutes(), 0, events), expected);
    }
}

#[test]
fn after_a_leg_ended_nothing_begins_any_more() {
    let events = [started("a", 0), ended("a", 0), started("a", 1), started("a", 0), ended("a", 1)];
    let expected = ["applied started", "applied first end", "duplicate", "duplicate", "applied other end"];
    assert_eq!(all_told(two_minutes(), 0, events), expected);
}

#[test]
fn an_old_started_announces_no_call_but_may_add_a_leg() {
    for (after_ms, first) in [(0, "applied started"), (120_000, "applied started"), (120_001, "stale")] {
        assert_eq!(all_told(two_minutes(), after_ms, [started("a", 0)]), [first], "{after_ms}");
    }
    let mut announcements = Announcements::new(two_minutes());
    announcements.apply(BEGIN_MS, Message::Call(started("a", 0)));
    let late = announcements.apply(BEGIN_MS + 3_600_000, Message::Call(started("a", 1)));
    assert_eq!(told(late), "applied leg");

    // What was stale is not remembered: an end that follows is heard as the first news of that call.
    let events = [started("b", 0), started("b", 0), ended("b", 0)];
    assert_eq!(all_told(two_minutes(), 7_200_000, events), ["stale", "stale", "applied first end"]);
}

#[test]
fn an_event_without_a_time_or_of_the_future_is_not_old() {
    let undated = CallEvent { at_unix_ms: None, ..started("a", 0) };
    assert_eq!(all_told(two_minutes(), u64::MAX - BEGIN_MS, [undated]), ["applied started"]);
    let mut announcements = Announcements::new(two_minutes());
    let early = announcements.apply(BEGIN_MS - 3_600_000, Message::Call(started("a", 0)));
    assert_eq!(told(early), "applied started");
}

#[test]
fn any_age_is_taken_where_none_is_set() {
    let settings = AnnouncementSettings { max_age: None, ..two_minutes() };
    assert_eq!(all_told(settings, 10_000_000_000, [started("a", 0)]), ["applied started"]);
}

#[test]
fn an_end_counts_however_late() {
    let hours = 10 * 3_600_000;
    assert_eq!(all_told(two_minutes(), hours, [ended("a", 0), ended("a", 0)]), ["applied first end", "duplicate"]);
    // It leaves no ghost, also where a STARTED of any age would be taken.
    let settings = AnnouncementSettings { max_age: None, ..two_minutes() };
    let events = [ended("a", 0), started("a", 0), started("a", 1), ended("a", 1)];
    assert_eq!(all_told(settings, hours, events), ["applied first end", "stale", "stale", "applied other end"]);
}

#[test]
fn updated_and_failed_neither_begin_nor_end() {
    let (updated, failed) = (event(Status::Updated, "a", 0), event(Status::Failed, "a", 0));
    let events = [updated.clone(), failed.clone(), started("a", 0), updated, failed, started("a", 1), ended("a", 0)];
    let expected = ["ignored", "ignored", "applied started", "ignored", "ignored", "applied leg", "applied first end"];
    assert_eq!(all_told(two_minutes(), 0, events), expected);
}

#[test]
fn other_voice_connectors_change_nothing() {
    let foreign =
        |status| CallEvent { voice_connector_id: "zzzzzzzzzzzzzzzzzzzzzz".to_owned(), ..event(status, "a", 0) };
    let events = [foreign(Status::Started), foreign(Status::Ended), foreign(Status::Failed), started("a", 0)];
    let expected = ["foreign", "foreign", "foreign", "applied started"];
    assert_eq!(all_told(two_minutes(), 0, events), expected);
    let all = AnnouncementSettings { voice_connector_ids: vec![], ..two_minutes() };
    assert_eq!(all_told(all, 0, [foreign(Status::Started)]), ["applied started"]);
}

#[test]
fn bad_bodies_have_the_outcome_of_their_table() {
    for (name, expected) in [
        ("not-json.txt", "poison"),
        ("s3-test-event.json", "foreign"),
        ("wrong-source.json", "foreign"),
        ("other-voice-connector.json", "foreign"),
        ("unknown-streaming-status.json", "ignored"),
        ("missing-streaming-status.json", "ignored"),
        ("stale-started-days-old.json", "stale"),
        ("sns-wrapped.json", "applied started"),
        ("no-id.json", "applied started"),
    ] {
        let mut announcements = Announcements::new(two_minutes());
        let message = read(&body(&format!("bad/{name}")));
        assert_eq!(told(announcements.apply(BEGIN_MS + 2_000, message)), expected, "{name}");
        assert_eq!(announcements.len(), usize::from(expected == "applied started"), "{name}");
    }
}

#[test]
fn outcomes_are_named_as_the_page_says() {
    let names = Outcome::ALL.map(Outcome::as_str);
    assert_eq!(names, ["applied", "duplicate", "stale", "foreign", "ignored", "poison"]);
}

fn any_message() -> impl Strategy<Value = (u64, Message)> {
    let status =
        prop::sample::select(vec![Status::Started, Status::Started, Status::Ended, Status::Updated, Status::Failed]);
    let call = (status, 0_u8..4, 0_u8..3, 0_u8..3, any::<bool>(), 0_u64..200_000).prop_map(
        |(status, call, transaction, leg, dated, late_ms)| {
            let transaction_id = transaction.to_string();
            let at_unix_ms = dated.then_some(BEGIN_MS);
            let event = CallEvent { transaction_id, at_unix_ms, ..event(status, &call.to_string(), leg) };
            (BEGIN_MS + late_ms, Message::Call(event))
        },
    );
    let other = prop::sample::select(vec![
        Message::Foreign("source"),
        Message::Ignored("unknown_status"),
        Message::Poison(Poison::Empty),
    ]);
    prop_oneof![9 => call, 1 => other.prop_map(|message| (BEGIN_MS, message))]
}

proptest! {
    #[test]
    fn a_call_begins_once_at_most_and_never_after_its_end(
        messages in prop::collection::vec(any_message(), 0..120),
        max_age in prop::option::of(0_u64..200),
    ) {
        let max_age = max_age.map(Duration::from_secs);
        let mut announcements = Announcements::new(AnnouncementSettings { max_age, ..two_minutes() });
        let (mut begun, mut over, mut legs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut ends: BTreeMap<_, usize> = BTreeMap::new();
        for (now, message) in messages {
            let (outcome, news) = announcements.apply(now, message.clone());
            prop_assert_eq!(outcome == Outcome::Applied, news.is_some());
            match news {
                Some(News::Started(event)) => {
                    let key = (event.call_id.clone(), event.transaction_id.clone());
                    prop_assert!(!over.contains(&key), "began after its end: {key:?}");
                    prop_assert!(begun.insert(key.clone()), "began twice: {key:?}");
                    legs.insert((key, event.stream_arn));
                }
                Some(News::Leg(event)) => {
                    let key = (event.call_id.clone(), event.transaction_id.clone());
                    prop_assert!(begun.contains(&key) && !over.contains(&key));
                    prop_assert!(legs.insert((key, event.stream_arn)), "a leg began twice");
                }
                Some(News::Ended { call_id, transaction_id, first }) => {
                    let key = (call_id, transaction_id);
                    prop_assert_eq!(over.insert(key.clone()), first);
                    *ends.entry(key).or_default() += 1;
                }
                None => {}
            }
            // The very same again, at once or later, is never news.
            prop_assert_eq!(announcements.apply(now + 1, message).1, None);
        }
        prop_assert!(ends.values().all(|&ends| ends <= 3), "more ends than legs: {ends:?}");
        prop_assert_eq!(announcements.len(), begun.union(&over).count());
    }
}
