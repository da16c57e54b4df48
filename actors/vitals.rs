//! What the process measures that no single call owns, for the metrics. Written rarely: never once a frame.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use trunkline_media::LatencyHistogram;

/// How often a worker's lag is measured.
const LAG_EVERY: Duration = Duration::from_millis(250);

/// Shared by all calls.
#[derive(Default)]
pub struct Vitals {
    /// From the choice of a call's route to its model's first session.
    pub setup: LatencyHistogram,
    /// From the model's `speech_started` to an empty playout and a `clear` on its way to the caller's side.
    pub barge_in: LatencyHistogram,
    /// Sessions of models set up.
    sessions: AtomicU64,
    /// Of those, fresh ones that took over before the one in use expired.
    renewals: AtomicU64,
    losses: Mutex<BTreeMap<&'static str, u64>>,
    /// Audio that found a mailbox full.
    pub full: FullMailboxes,
    lags: Mutex<Vec<Arc<LatencyHistogram>>>,
}

/// Messages of audio that found a mailbox full, by whose it was. They waited, or were dropped and counted by their call.
#[derive(Default)]
pub struct FullMailboxes {
    pub(crate) transcoder: Arc<AtomicU64>,
    pub(crate) session: Arc<AtomicU64>,
    pub(crate) line: Arc<AtomicU64>,
}

impl FullMailboxes {
    /// The counts, by the name of the actor.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        [("transcoder", &self.transcoder), ("session", &self.session), ("line", &self.line)]
            .map(|(name, count)| (name, count.load(Relaxed)))
    }
}

impl Vitals {
    pub(crate) fn add_session(&self) {
        self.sessions.fetch_add(1, Relaxed);
    }

    /// Sessions of models set up.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Relaxed)
    }

    pub(crate) fn add_renewal(&self) {
        self.renewals.fetch_add(1, Relaxed);
    }

    /// Fresh sessions that took over before the one in use expired.
    #[must_use]
    pub fn renewals(&self) -> u64 {
        self.renewals.load(Relaxed)
    }

    /// Counts a session, or a connect, that was lost for a reason out of a fixed list.
    pub(crate) fn add_loss(&self, reason: &'static str) {
        *self.losses.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    /// Losses by reason, those that happened.
    #[must_use]
    pub fn losses(&self) -> BTreeMap<&'static str, u64> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Measures how late this thread's tasks are run, for as long as the process lives. Called once on each worker.
    pub fn watch_worker(&self) {
        let lag = Arc::new(LatencyHistogram::new());
        self.lags.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&lag));
        actix_rt::spawn(async move {
            loop {
                let due = Instant::now() + LAG_EVERY;
                tokio::time::sleep_until(due).await;
                lag.record(due.elapsed());
            }
        });
    }

    /// How late the tasks of each worker were run, by the order in which the workers came.
    #[must_use]
    pub fn lags(&self) -> Vec<Arc<LatencyHistogram>> {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_by_reason() {
        let vitals = Vitals::default();
        vitals.add_loss("closed");
        vitals.add_loss("stalled");
        vitals.add_loss("closed");
        assert_eq!(vitals.losses(), BTreeMap::from([("closed", 2), ("stalled", 1)]));
    }

    #[actix_rt::test]
    async fn a_worker_that_is_held_up_is_late() {
        tokio::time::pause();
        let vitals = Vitals::default();
        vitals.watch_worker();
        tokio::task::yield_now().await;
        // The clock jumps past the task's turn, as for one that is held up.
        tokio::time::advance(LAG_EVERY + Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
        let lags = vitals.lags();
        assert_eq!(lags.len(), 1);
        assert!(lags[0].max() >= Duration::from_millis(90), "{:?}", lags[0]);
    }
}
