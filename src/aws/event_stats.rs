//! What became of the messages, and how the queue is doing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use trunkline_chime::announcements::Outcome;
use trunkline_chime::event::Poison;

use super::failure::AwsFailure;

/// Counts messages by what became of them, from the queue and from operators alike.
#[derive(Debug, Default)]
pub struct EventStats {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    poison: Mutex<BTreeMap<&'static str, u64>>,
}

impl EventStats {
    /// One message that could be read.
    pub fn count(&self, outcome: Outcome) {
        let place = Outcome::ALL.iter().position(|known| *known == outcome);
        if let Some(counter) = place.and_then(|place| self.outcomes.get(place)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One message that could not be read: counted as [`Outcome::Poison`] too.
    pub fn count_poison(&self, poison: &Poison) {
        self.count(Outcome::Poison);
        *self.poison.lock().unwrap_or_else(PoisonError::into_inner).entry(poison.reason()).or_default() += 1;
    }

    /// Messages by outcome, all outcomes.
    pub fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        Outcome::ALL.into_iter().zip(self.outcomes.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }

    /// Poison by [`Poison::reason`], the reasons seen so far.
    #[must_use]
    pub fn poison(&self) -> Vec<(&'static str, u64)> {
        let poison = self.poison.lock().unwrap_or_else(PoisonError::into_inner);
        poison.iter().map(|(reason, count)| (*reason, *count)).collect()
    }
}

/// Whether the queue answers.
#[derive(Debug, Default)]
pub struct SourceHealth {
    degraded: AtomicBool,
    last_success_unix_ms: AtomicU64,
    last_error: Mutex<Option<AwsFailure>>,
}

impl SourceHealth {
    /// `ok`, or `degraded` from a failure until the next answer.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        if self.degraded.load(Ordering::Relaxed) { "degraded" } else { "ok" }
    }

    /// When the queue last answered, in ms since 1970; `None` if never.
    #[must_use]
    pub fn last_success_unix_ms(&self) -> Option<u64> {
        Some(self.last_success_unix_ms.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// The latest failure, also where the queue has answered since.
    #[must_use]
    pub fn last_error(&self) -> Option<AwsFailure> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The queue answered; whether it had failed before.
    pub(super) fn answered(&self) -> bool {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        self.last_success_unix_ms.store(now, Ordering::Relaxed);
        self.degraded.swap(false, Ordering::Relaxed)
    }

    /// It did not; whether it had answered before.
    pub(super) fn failed(&self, failure: AwsFailure) -> bool {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        !self.degraded.swap(true, Ordering::Relaxed)
    }
}
