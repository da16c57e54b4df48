//! The loop that empties the queue of call events.
//!
//! A message is deleted once it had its effect, or is known to be none of ours. One that cannot be read is left to the
//! queue's dead-letter queue, where somebody can look at it. Losing the queue costs no call anything: events announce and
//! clean up, the media tell the truth.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use trunkline_call::Backoff;
use trunkline_chime::announcements::Outcome;
use trunkline_chime::event::{Message, read};

use super::event_stats::{EventStats, SourceHealth};
use super::failure::AwsFailure;
use super::queue::{EventQueue, Received};

/// First and longest wait after a receive that failed.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A queue that comes back empty sooner does no long polling: it is asked no more often than this.
const SHORTEST_POLL: Duration = Duration::from_secs(1);
/// A poll under way when the end is near may bring messages for this long; dropped, they would hide until they come again.
const LAST_POLL: Duration = Duration::from_secs(2);
/// What was received by then may take this long to have its effect.
const LAST_BATCH: Duration = Duration::from_secs(2);
/// Unreadable messages remembered by name, so that each is told of once although it is delivered several times.
const POISON_REMEMBERED: usize = 1_000;

/// Who gives messages their effect.
pub trait EventHandler {
    /// What became of a message that could be read; `None` if there is nobody to take it, so that it has to come again.
    fn apply(&self, message: Message) -> LocalBoxFuture<'_, Option<Outcome>>;
}

/// Takes messages from a queue to a handler, one after the other.
pub struct Consumer<Q, H> {
    queue: Q,
    handler: H,
    stats: Arc<EventStats>,
    health: Arc<SourceHealth>,
    backoff: Backoff,
    poison: Recent,
}

/// A consumer at work. Dropping it stops the consumer too, without waiting.
#[derive(Debug)]
pub struct ConsumerHandle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl ConsumerHandle {
    /// Takes no new messages, finishes what was taken, gives back what could not be finished. Done in about five seconds at
    /// the latest, plus two requests to the queue.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // A consumer that panicked has stopped as well.
        let _ended = self.task.await;
    }
}

/// What is to be done with a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delete,
    /// It goes to the dead-letter queue once it was delivered often enough.
    Leave,
    /// It had no effect yet.
    Unhandled,
}

impl<Q: EventQueue + 'static, H: EventHandler + 'static> Consumer<Q, H> {
    /// A consumer that has not begun.
    #[must_use]
    pub fn new(queue: Q, handler: H, stats: Arc<EventStats>, health: Arc<SourceHealth>) -> Self {
        let backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        Self { queue, handler, stats, health, backoff, poison: Recent::default() }
    }

    /// Begins, on the current thread's executor.
    #[must_use]
    pub fn start(self) -> ConsumerHandle {
        let (stop, asked) = watch::channel(false);
        ConsumerHandle { stop, task: actix_rt::spawn(self.run(Stop(asked))) }
    }

    async fn run(mut self, mut stop: Stop) {
        while !stop.is_asked() {
            let began = Instant::now();
            let pause_until = match self.poll(&mut stop).await {
                None => break,
                Some(Ok(batch)) => {
                    self.answered();
                    let came_empty = batch.is_empty();
                    self.work_off(batch, &stop).await;
                    if came_empty { began + SHORTEST_POLL } else { began }
                }
                Some(Err(failure)) => {
                    let wait = self.backoff.next();
                    self.failed(failure, wait);
                    Instant::now() + wait
                }
            };
            tokio::select! {
                () = stop.asked() => {}
                () = sleep_until(pause_until) => {}
            }
        }
        tracing::info!("no more call events are taken");
    }

    /// One receive; `None` if the end came first.
    async fn poll(&self, stop: &mut Stop) -> Option<Result<Vec<Received>, AwsFailure>> {
        let mut receiving = self.queue.receive();
        tokio::select! {
            received = &mut receiving => Some(received),
            () = stop.asked() => timeout(LAST_POLL, receiving).await.ok(),
        }
    }

    fn answered(&mut self) {
        self.backoff.reset();
        if self.health.answered() {
            tracing::info!("the queue of call events answers again");
        }
    }

    fn failed(&self, failure: AwsFailure, wait: Duration) {
        if self.health.failed(failure.clone()) {
            tracing::warn!(%failure, ?wait, "call events cannot be received; calls go on without them");
        } else {
            tracing::debug!(%failure, ?wait, "call events can still not be received");
        }
    }

    /// Gives each message its effect, in order, and deletes what had it in one batch.
    async fn work_off(&mut self, batch: Vec<Received>, stop: &Stop) {
        let late = stop.clone().asked_and(LAST_BATCH);
        tokio::pin!(late);
        let mut is_late = false;
        let (mut done, mut unhandled) = (Vec::new(), Vec::new());
        for message in batch {
            let mut fate = Fate::Unhandled;
            if !is_late {
                tokio::select! {
                    biased;
                    given = self.take(&message) => fate = given,
                    () = &mut late => is_late = true,
                }
            }
            match fate {
                Fate::Delete => done.push(message.receipt),
                Fate::Leave => {}
                Fate::Unhandled => unhandled.push(message.receipt),
            }
        }
        self.delete(done).await;
        // While we go on, what nobody takes comes back by itself; at once, it would go round as fast as the queue can.
        if stop.is_asked() && !unhandled.is_empty() {
            let count = unhandled.len();
            match self.queue.make_visible(unhandled).await {
                Ok(()) => tracing::info!(count, "call events given back to the queue"),
                Err(failure) => tracing::warn!(%failure, count, "call events come again only after a while"),
            }
        }
    }

    async fn take(&mut self, message: &Received) -> Fate {
        if self.poison.contains(&message.id) {
            return Fate::Leave;
        }
        let outcome = match read(message.body.as_bytes()) {
            Message::Poison(poison) => {
                self.stats.count_poison(&poison);
                self.poison.insert(message.id.clone());
                // Its value is escaped and cut; the message's name finds the rest in the dead-letter queue.
                tracing::warn!(%poison, message_id = %message.id, "a call event cannot be read; it is left to the dead-letter queue");
                return Fate::Leave;
            }
            readable => self.handler.apply(readable).await,
        };
        match outcome {
            None => Fate::Unhandled,
            Some(outcome) => {
                self.stats.count(outcome);
                tracing::debug!(outcome = outcome.as_str(), deliveries = message.deliveries, "call event");
                if outcome == Outcome::Poison { Fate::Leave } else { Fate::Delete }
            }
        }
    }

    /// What cannot be deleted at the second try comes again, and is a duplicate then.
    async fn delete(&self, mut receipts: Vec<String>) {
        for _ in 0..2 {
            if receipts.is_empty() {
                return;
            }
            match self.queue.delete_batch(receipts.clone()).await {
                Ok(failed) => receipts = failed,
                Err(failure) => tracing::debug!(%failure, "call events cannot be deleted"),
            }
        }
        if !receipts.is_empty() {
            tracing::warn!(count = receipts.len(), "call events could not be deleted; they will come again");
        }
    }
}

/// The wish to end. A handle that was dropped wishes so too.
#[derive(Clone)]
struct Stop(watch::Receiver<bool>);

impl Stop {
    fn is_asked(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    async fn asked(&mut self) {
        let _asked_or_dropped = self.0.wait_for(|asked| *asked).await;
    }

    async fn asked_and(mut self, later: Duration) {
        self.asked().await;
        sleep(later).await;
    }
}

/// The names last put in, up to a bound.
#[derive(Default)]
struct Recent {
    order: VecDeque<String>,
    names: HashSet<String>,
}

impl Recent {
    fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    fn insert(&mut self, name: String) {
        if self.names.insert(name.clone()) {
            self.order.push_back(name);
        }
        if self.order.len() > POISON_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}
