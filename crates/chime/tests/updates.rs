//! How often the SIP media application is asked, and in which order.
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
use trunkline_chime::updates::{Next, UpdateQueue, Urgency};

const SECOND: Duration = Duration::from_secs(1);

/// Some moment to start from; the tests' own clocks go on from it.
fn beginning() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
    Instant::now()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Runs the queue dry: what was sent or expired, and when (ms after `start`).
fn run(queue: &mut UpdateQueue<u32>, start: Instant) -> Vec<(u64, Next<u32>)> {
    let mut now = start;
    let mut out = Vec::new();
    loop {
        while let Some(next) = queue.poll(now) {
            out.push((u64::try_from((now - start).as_millis()).unwrap(), next));
        }
        let Some(due) = queue.next_timer() else { return out };
        assert!(due > now, "a timer that is due already brings nothing");
        now = due;
    }
}

#[test]
fn a_hundred_prompts_at_once_keep_to_the_quota_and_the_rest_expire_in_time() {
    let start = beginning();
    let mut queue = UpdateQueue::new(5.0, 7);
    for n in 0..100 {
        queue.push(start, Urgency::Prompt { until: start + SECOND }, n);
    }
    let out = run(&mut queue, start);
    let sent: Vec<u64> = out.iter().filter(|(_, next)| matches!(next, Next::Send(_))).map(|(at, _)| *at).collect();
    assert_eq!(sent.len(), 5, "{sent:?}");
    assert_eq!(sent[0], 0, "an idle queue does not wait");
    assert!(out.iter().filter(|(_, next)| matches!(next, Next::Expired(_))).all(|(at, _)| *at == 1_000));
    assert_eq!(out.len(), 100, "everybody is answered");
}

#[test]
fn control_goes_before_prompts_and_never_expires() {
    let start = beginning();
    let mut queue = UpdateQueue::new(1.0, 1);
    queue.push(start, Urgency::Prompt { until: start + SECOND * 30 }, 1);
    queue.push(start, Urgency::Prompt { until: start + SECOND * 30 }, 2);
    queue.push(start, Urgency::Control, 10);
    queue.push(start, Urgency::Control, 11);
    let order: Vec<_> = run(&mut queue, start).into_iter().map(|(_, next)| next).collect();
    assert_eq!(order, [Next::Send(10), Next::Send(11), Next::Send(1), Next::Send(2)]);
    for n in 0..60 {
        queue.push(start, Urgency::Control, n);
    }
    let sent = run(&mut queue, start + SECOND * 3_600);
    assert_eq!(sent.len(), 60, "a minute of them: none is lost");
}

#[test]
fn what_failed_is_sent_again_no_sooner_than_told_and_holds_nobody_up() {
    let start = beginning();
    let mut queue = UpdateQueue::new(10.0, 3);
    queue.again(start + ms(500), 1);
    queue.push(start, Urgency::Control, 2);
    queue.push(start, Urgency::Prompt { until: start + SECOND }, 3);
    let out = run(&mut queue, start);
    assert_eq!(out[0], (0, Next::Send(2)));
    assert!(matches!(out[1], (100..=110, Next::Send(3))), "{out:?}");
    assert_eq!(out[2], (500, Next::Send(1)));
}

#[test]
fn what_nobody_wants_any_more_uses_up_no_quota() {
    let start = beginning();
    let mut queue = UpdateQueue::new(1.0, 3);
    for n in 0..4 {
        queue.push(start, Urgency::Prompt { until: start + SECOND * 9 }, n);
    }
    queue.retain(|n| n % 2 == 1);
    assert_eq!(queue.len(), 2);
    let out = run(&mut queue, start);
    assert_eq!((out[0].0, &out[0].1), (0, &Next::Send(1)));
    assert!(out[1].0 <= 1_100 && out[1].1 == Next::Send(3), "{out:?}");
    assert!(queue.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_second_sees_more_than_the_quota(
        per_second in 1_u32..20,
        seed in any::<u64>(),
        pushes in prop::collection::vec((0_u64..5_000, prop::option::of(1_u64..3_000)), 1..80),
    ) {
        let start = beginning();
        let mut queue = UpdateQueue::new(f64::from(per_second), seed);
        let mut sorted = pushes.clone();
        sorted.sort_unstable();
        let (mut sent, mut expired) = (Vec::new(), 0);
        for at in 0..120_000 {
            let now = start + ms(at);
            while let Some((_, wait)) = sorted.first().copied().filter(|(due, _)| *due <= at) {
                sorted.remove(0);
                let urgency = wait.map_or(Urgency::Control, |wait| Urgency::Prompt { until: now + ms(wait) });
                queue.push(now, urgency, wait.map(|wait| at + wait));
            }
            while let Some(next) = queue.poll(now) {
                match next {
                    Next::Send(until) => {
                        prop_assert!(until.is_none_or(|until| at < until), "sent at {at} though it expired at {until:?}");
                        sent.push(at);
                    }
                    Next::Expired(until) => {
                        prop_assert_eq!(until, Some(at));
                        expired += 1;
                    }
                }
            }
        }
        prop_assert_eq!(sent.len() + expired, pushes.len());
        for window in sent.windows(per_second as usize + 1) {
            prop_assert!(window[per_second as usize] - window[0] >= 999, "{:?}", window);
        }
    }
}
