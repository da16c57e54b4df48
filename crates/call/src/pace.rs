use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Waits between attempts of one call: doubling from `first` to `max`, each cut by chance to 50 to 100 %,
/// so that calls which failed together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    current: Duration,
    rng: fastrand::Rng,
}

impl Backoff {
    /// Starts at `first` and never waits longer than `max`.
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        Self::with_rng(first, max, fastrand::Rng::new())
    }

    /// Like [`Backoff::new`] with a given source of chance, for runs that must repeat.
    #[must_use]
    pub fn with_rng(first: Duration, max: Duration, rng: fastrand::Rng) -> Self {
        Self { first, max, current: first.min(max), rng }
    }

    /// How long to wait before the next attempt.
    #[expect(clippy::should_implement_trait, reason = "it never ends, so an Option would be a lie")]
    pub fn next(&mut self) -> Duration {
        let share = 0.5 + self.rng.f64() / 2.0;
        let wait = Duration::try_from_secs_f64(self.current.as_secs_f64() * share).unwrap_or(self.current);
        self.current = self.current.saturating_mul(2).min(self.max);
        wait.min(self.max)
    }

    /// An attempt succeeded: the next failure starts over at `first`.
    pub fn reset(&mut self) {
        self.current = self.first.min(self.max);
    }
}

/// The rate at which all calls together may open connections: one every `1/per_second`, with a small burst
/// (`per_second / 10`, at least 1) after a quiet time. In any window of `t` seconds at most
/// `t * per_second + burst` connects start. Lock-free; every thread shares one.
#[derive(Debug)]
pub struct ConnectGate {
    epoch: Instant,
    interval_ns: u64,
    /// How far a connect may start ahead of its even spacing.
    burst_ns: u64,
    /// Where the next connect would stand at even spacing, in ns since `epoch`.
    next_ns: AtomicU64,
}

impl ConnectGate {
    /// `per_second` connects a second (0 counts as 1); `epoch` is any moment not after the first `reserve`.
    #[must_use]
    pub fn new(per_second: u32, epoch: Instant) -> Self {
        let per_second = u64::from(per_second.max(1));
        let interval_ns = 1_000_000_000_u64.div_ceil(per_second);
        let burst = (per_second / 10).max(1);
        Self { epoch, interval_ns, burst_ns: interval_ns * (burst - 1), next_ns: AtomicU64::new(0) }
    }

    /// Takes the next place in the queue: when this connect may start, never before `now`.
    /// A place taken is used up, whether the connect happens or not.
    pub fn reserve(&self, now: Instant) -> Instant {
        let now_ns = u64::try_from(now.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX);
        let after = |next: u64| next.max(now_ns).saturating_add(self.interval_ns);
        let taken = self.next_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| Some(after(next)));
        let place = taken.unwrap_or_else(|unchanged| unchanged);
        let wait_ns = place.saturating_sub(self.burst_ns).saturating_sub(now_ns);
        now.checked_add(Duration::from_nanos(wait_ns)).unwrap_or(now)
    }
}
