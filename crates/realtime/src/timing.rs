//! The patience of a session, and when it should be renewed.

use std::time::{Duration, Instant};

/// How long before a session's end a successor must take over, silent or not.
const FORCED_BEFORE: Duration = Duration::from_secs(30);

/// A moment in the future, at most a year away: a foolish number from a peer or a file must not overflow the clock.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    now + wait.min(Duration::from_secs(365 * 86_400))
}

/// How patient a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the start of connecting to `session.updated`.
    pub connect_timeout: Duration,
    /// Neither a frame nor a pong for this long: the session is dead.
    pub stall_timeout: Duration,
    /// Between our pings.
    pub ping: Duration,
    /// From the end of the caller's turn to the first sign of an answer: then one retry, then the session is dead.
    pub response_timeout: Duration,
    /// How long before its end a session asks for a successor.
    pub renew_before: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(8),
            stall_timeout: Duration::from_secs(8),
            ping: Duration::from_secs(3),
            response_timeout: Duration::from_secs(6),
            renew_before: Duration::from_secs(300),
        }
    }
}

/// When a session of a known length asks for its successor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Renewal {
    pub soft: Option<Instant>,
    pub forced: Option<Instant>,
}

impl Renewal {
    /// A session that began at `now` and lives for `life` is renewed at the later of its end minus `renew_before` and half
    /// of its life, and by force 30 s before the end. A life too short for that (under two minutes) is forced at three quarters.
    pub fn plan(now: Instant, life: Duration, renew_before: Duration) -> Self {
        let soft = after(now, life.saturating_sub(renew_before).max(life / 2));
        let forced = after(now, life.saturating_sub(FORCED_BEFORE.min(life / 4)));
        Self { soft: Some(soft), forced: Some(forced.max(soft)) }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any moment will do to count from")]
mod tests {
    use super::*;

    #[test]
    fn is_planned_at_the_later_of_both_rules() {
        let now = Instant::now();
        let plan = |life, before| {
            let plan = Renewal::plan(now, Duration::from_secs(life), Duration::from_secs(before));
            (plan.soft.unwrap() - now, plan.forced.unwrap() - now)
        };
        let seconds = |soft: f64, forced: f64| (Duration::from_secs_f64(soft), Duration::from_secs_f64(forced));
        assert_eq!(plan(3_600, 300), seconds(3_300.0, 3_570.0));
        assert_eq!(plan(3_600, 3_000), seconds(1_800.0, 3_570.0), "half of the life is later");
        assert_eq!(plan(3_600, 10), seconds(3_590.0, 3_590.0), "forced never comes before the request");
        assert_eq!(plan(120, 300), seconds(60.0, 90.0));
        assert_eq!(plan(10, 300), seconds(5.0, 7.5));
    }
}
