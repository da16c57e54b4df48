//! Is the other side still there, and still making sense?

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::timing::after;

const GARBAGE_LIMIT: usize = 20;
const GARBAGE_WINDOW: Duration = Duration::from_secs(5);

/// Pings and stalls of one connection. Counts from the first frame on.
#[derive(Debug)]
pub(crate) struct Liveness {
    last_seen: Option<Instant>,
    next_ping: Option<Instant>,
    garbage: VecDeque<Instant>,
}

impl Liveness {
    pub fn new() -> Self {
        Self { last_seen: None, next_ping: None, garbage: VecDeque::with_capacity(GARBAGE_LIMIT) }
    }

    /// Any frame, pongs included.
    pub fn seen(&mut self, now: Instant, ping: Duration) {
        self.last_seen = Some(now);
        self.next_ping.get_or_insert(after(now, ping));
    }

    /// When the silence counts as a stall.
    pub fn stalls_at(&self, stall_timeout: Duration) -> Option<Instant> {
        self.last_seen.map(|seen| after(seen, stall_timeout))
    }

    pub fn next_ping(&self) -> Option<Instant> {
        self.next_ping
    }

    /// Whether a ping is due; the next one counts from now, so that a late timer does not send several.
    pub fn take_ping(&mut self, now: Instant, ping: Duration) -> bool {
        let due = self.next_ping.is_some_and(|at| at <= now);
        if due {
            self.next_ping = Some(after(now, ping.max(Duration::from_millis(1))));
        }
        due
    }

    /// One more frame that cannot be read; true when that makes 20 within 5 s.
    pub fn garbage(&mut self, now: Instant) -> bool {
        self.garbage.push_back(now);
        while self.garbage.front().is_some_and(|first| now.duration_since(*first) > GARBAGE_WINDOW) {
            self.garbage.pop_front();
        }
        self.garbage.len() >= GARBAGE_LIMIT
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any moment will do to count from")]
mod tests {
    use super::*;

    #[test]
    fn twenty_unreadable_frames_count_only_within_five_seconds() {
        let now = Instant::now();
        let mut slow = Liveness::new();
        assert!((0..200).all(|i| !slow.garbage(now + Duration::from_millis(i * 264))), "19 in 5 s is tolerated");
        let mut fast = Liveness::new();
        let counted: Vec<bool> = (0..20).map(|i| fast.garbage(now + Duration::from_millis(i * 263))).collect();
        assert_eq!(counted.iter().position(|dead| *dead), Some(19));
    }

    #[test]
    fn a_late_timer_pings_once() {
        let now = Instant::now();
        let ping = Duration::from_secs(3);
        let mut live = Liveness::new();
        assert!(!live.take_ping(now, ping), "nothing is pinged before the first frame");
        live.seen(now, ping);
        assert!(!live.take_ping(now + Duration::from_secs(2), ping));
        assert!(live.take_ping(now + Duration::from_secs(20), ping));
        assert!(!live.take_ping(now + Duration::from_secs(20), ping));
        assert_eq!(live.next_ping(), Some(now + Duration::from_secs(23)));
    }
}
