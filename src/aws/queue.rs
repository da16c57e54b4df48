//! The queue of call events as the consumer sees it, and its twin in memory.

use futures_util::future::LocalBoxFuture;

use super::failure::AwsFailure;

/// One message taken from the queue. It comes again unless it is deleted in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The message's own name, the same at each delivery.
    pub id: String,
    /// Names this delivery: what it is deleted by.
    pub receipt: String,
    /// The event, as it was sent.
    pub body: String,
    /// How often it was delivered, this time included; 0 where the queue does not say.
    pub deliveries: u32,
}

/// A queue that delivers at least once and in any order. Futures may be dropped at any time: what was taken meanwhile comes
/// again.
pub trait EventQueue {
    /// Up to ten messages. Waits for the first one, up to 20 s, then gives none.
    fn receive(&self) -> LocalBoxFuture<'_, Result<Vec<Received>, AwsFailure>>;

    /// Deletes up to ten deliveries by their receipts; gives those that could not be.
    fn delete_batch(&self, receipts: Vec<String>) -> LocalBoxFuture<'_, Result<Vec<String>, AwsFailure>>;

    /// Lets up to ten deliveries come again at once, here or elsewhere.
    fn make_visible(&self, receipts: Vec<String>) -> LocalBoxFuture<'_, Result<(), AwsFailure>>;
}

#[cfg(test)]
pub(super) mod memory {
    //! No socket and no wall clock: the same every time under paused time.

    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::rc::Rc;
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::sync::Notify;
    use tokio::time::Instant;

    use super::*;

    /// How long an empty queue keeps the asker.
    pub const LONG_POLL: Duration = Duration::from_secs(20);

    #[derive(Default)]
    struct State {
        waiting: VecDeque<Received>,
        in_flight: Vec<Received>,
        /// When each receive began.
        asked_at: Vec<Instant>,
        /// What the next receives fail with.
        failures: VecDeque<AwsFailure>,
        /// How many of the next deletes fail as a whole.
        failing_deletes: usize,
        /// Receipts that cannot be deleted, and how often yet.
        stubborn: Vec<(String, usize)>,
        /// Without long polling.
        impatient: bool,
        deletes: Vec<Vec<String>>,
        made_visible: Vec<String>,
    }

    /// Clones are the same queue.
    #[derive(Clone, Default)]
    pub struct MemoryQueue(Rc<(RefCell<State>, Notify)>);

    impl MemoryQueue {
        /// Puts a message in; its receipt is `receipt-ID`.
        pub fn send(&self, id: &str, body: &str) {
            let (id, receipt, body) = (id.to_owned(), format!("receipt-{id}"), body.to_owned());
            self.0.0.borrow_mut().waiting.push_back(Received { id, receipt, body, deliveries: 1 });
            self.0.1.notify_one();
        }

        /// The next `times` receives fail at once.
        pub fn fail(&self, times: usize, failure: &AwsFailure) {
            self.0.0.borrow_mut().failures.extend(std::iter::repeat_n(failure.clone(), times));
        }

        /// The next `times` deletes do not reach the queue.
        pub fn fail_deletes(&self, times: usize) {
            self.0.0.borrow_mut().failing_deletes = times;
        }

        /// The next `times` deletes answer that `id` could not be deleted.
        pub fn refuse_to_delete(&self, id: &str, times: usize) {
            self.0.0.borrow_mut().stubborn.push((format!("receipt-{id}"), times));
        }

        /// What was taken and not deleted comes again, as after the visibility timeout.
        pub fn redeliver(&self) {
            let mut state = self.0.0.borrow_mut();
            for mut message in std::mem::take(&mut state.in_flight) {
                message.deliveries += 1;
                state.waiting.push_back(message);
            }
            drop(state);
            self.0.1.notify_one();
        }

        /// From now on an empty queue says so at once.
        pub fn answer_at_once(&self) {
            self.0.0.borrow_mut().impatient = true;
        }

        pub fn asked_at(&self) -> Vec<Instant> {
            self.0.0.borrow().asked_at.clone()
        }

        /// Receipts of each delete, in order.
        pub fn deletes(&self) -> Vec<Vec<String>> {
            self.0.0.borrow().deletes.clone()
        }

        pub fn made_visible(&self) -> Vec<String> {
            self.0.0.borrow().made_visible.clone()
        }

        /// Ids that were taken and neither deleted nor given back.
        pub fn in_flight(&self) -> Vec<String> {
            self.0.0.borrow().in_flight.iter().map(|message| message.id.clone()).collect()
        }

        fn take(&self) -> Vec<Received> {
            let mut state = self.0.0.borrow_mut();
            let count = state.waiting.len().min(10);
            let taken: Vec<Received> = state.waiting.drain(..count).collect();
            state.in_flight.extend(taken.iter().cloned());
            taken
        }
    }

    impl EventQueue for MemoryQueue {
        fn receive(&self) -> LocalBoxFuture<'_, Result<Vec<Received>, AwsFailure>> {
            async move {
                self.0.0.borrow_mut().asked_at.push(Instant::now());
                if let Some(failure) = self.0.0.borrow_mut().failures.pop_front() {
                    return Err(failure);
                }
                let poll = if self.0.0.borrow().impatient { Duration::ZERO } else { LONG_POLL };
                let until = Instant::now() + poll;
                loop {
                    let taken = self.take();
                    if !taken.is_empty() || tokio::time::timeout_at(until, self.0.1.notified()).await.is_err() {
                        return Ok(taken);
                    }
                }
            }
            .boxed_local()
        }

        fn delete_batch(&self, receipts: Vec<String>) -> LocalBoxFuture<'_, Result<Vec<String>, AwsFailure>> {
            async move {
                let mut state = self.0.0.borrow_mut();
                state.deletes.push(receipts.clone());
                if state.failing_deletes > 0 {
                    state.failing_deletes -= 1;
                    return Err(AwsFailure::timed_out(Duration::from_secs(5)));
                }
                let mut failed = Vec::new();
                for receipt in receipts {
                    match state.stubborn.iter_mut().find(|(stubborn, times)| *stubborn == receipt && *times > 0) {
                        Some((_, times)) => {
                            *times -= 1;
                            failed.push(receipt);
                        }
                        None => state.in_flight.retain(|message| message.receipt != receipt),
                    }
                }
                Ok(failed)
            }
            .boxed_local()
        }

        fn make_visible(&self, receipts: Vec<String>) -> LocalBoxFuture<'_, Result<(), AwsFailure>> {
            async move {
                let mut state = self.0.0.borrow_mut();
                state.in_flight.retain(|message| !receipts.contains(&message.receipt));
                state.made_visible.extend(receipts);
                Ok(())
            }
            .boxed_local()
        }
    }
}
