use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// RFC 3261 section 17: an estimate of the round trip.
pub(super) const T1: Duration = Duration::from_millis(500);
/// The longest interval between two copies of a request other than INVITE, and of an answer to an INVITE.
pub(super) const T2: Duration = Duration::from_secs(4);
/// How long a message stays in the network.
pub(super) const T4: Duration = Duration::from_secs(5);
/// How long the far end is waited for.
pub(super) const TIMEOUT: Duration = Duration::from_secs(32);

/// Longer than any call; keeps sums of moments and durations within what an `Instant` can hold.
pub(super) const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Who has something due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Owner {
    Server(u64),
    Client(u64),
    Call(u64),
}

/// When whoever has something due wants to be called: one moment an owner.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    queue: BTreeSet<(Instant, Owner)>,
    due: HashMap<Owner, Instant>,
}

impl Schedule {
    pub(super) fn set(&mut self, owner: Owner, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.due.insert(owner, at),
            None => self.due.remove(&owner),
        };
        if let Some(before) = before {
            self.queue.remove(&(before, owner));
        }
        if let Some(at) = at {
            self.queue.insert((at, owner));
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|&(at, _)| at)
    }

    /// Who is due at `now`; it is up to them to set their next moment.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Owner> {
        let &(at, owner) = self.queue.first().filter(|&&(at, _)| at <= now)?;
        self.queue.remove(&(at, owner));
        self.due.remove(&owner);
        Some(owner)
    }
}

/// Sends again at intervals that double up to a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    at: Instant,
    interval: Duration,
    limit: Duration,
}

impl Backoff {
    /// First after [`T1`].
    pub(super) fn new(now: Instant, limit: Duration) -> Self {
        Self { at: now + T1, interval: T1, limit }
    }

    pub(super) const fn at(&self) -> Instant {
        self.at
    }

    /// Goes on at the limit: the far end is known to be at work.
    pub(super) fn slow_down(&mut self) {
        self.interval = self.limit;
    }

    /// Whether a copy is due. A late call is owed one copy, not all that were missed.
    pub(super) fn fire(&mut self, now: Instant) -> bool {
        if now < self.at {
            return false;
        }
        self.interval = (self.interval * 2).min(self.limit);
        self.at = now + self.interval;
        true
    }
}

/// The earlier of two moments that may not come.
pub(super) fn earliest(moments: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    moments.into_iter().flatten().min()
}
