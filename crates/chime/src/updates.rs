//! The quota of UpdateSipMediaApplicationCall, which all calls of an account share.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// By up to this share of the distance between two requests the next one comes later, so that several instances do not
/// ask in step.
const JITTER: f64 = 0.1;

/// How pressing a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A hang-up, a transfer, keys: goes before every prompt and never expires.
    Control,
    /// A prompt that is of no use to anybody after this moment.
    Prompt {
        /// Not sent any more from then on.
        until: Instant,
    },
}

/// What comes out of the queue.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// Send it now.
    Send(T),
    /// It waited too long; it was not sent and used up no quota.
    Expired(T),
}

/// Requests waiting for their turn, at most `per_second` of them sent in any second: control before prompts, each kind
/// in the order it came.
#[derive(Debug)]
pub struct UpdateQueue<T> {
    distance: Duration,
    /// Nothing is sent before.
    free_at: Option<Instant>,
    /// With the moment before which each is not to be sent.
    control: VecDeque<(Instant, T)>,
    /// With the moment from which each is not to be sent.
    prompts: VecDeque<(Instant, T)>,
    chance: fastrand::Rng,
}

impl<T> UpdateQueue<T> {
    /// An empty queue that lets `per_second` requests pass; a rate that is not above zero counts as one in a thousand
    /// seconds. `seed` begins the jitter.
    #[must_use]
    pub fn new(per_second: f64, seed: u64) -> Self {
        let distance = Duration::from_secs_f64(1.0 / per_second.max(0.001));
        let chance = fastrand::Rng::with_seed(seed);
        Self { distance, free_at: None, control: VecDeque::new(), prompts: VecDeque::new(), chance }
    }

    /// Adds a request.
    pub fn push(&mut self, now: Instant, urgency: Urgency, request: T) {
        match urgency {
            Urgency::Control => self.control.push_back((now, request)),
            Urgency::Prompt { until } => self.prompts.push_back((until, request)),
        }
    }

    /// Puts a control request back that failed for the time being: it is sent again, not before `not_before`.
    pub fn again(&mut self, not_before: Instant, request: T) {
        self.control.push_back((not_before, request));
    }

    /// Forgets the requests that nobody wants any more.
    pub fn retain(&mut self, mut wanted: impl FnMut(&T) -> bool) {
        self.control.retain(|(_, request)| wanted(request));
        self.prompts.retain(|(_, request)| wanted(request));
    }

    /// Requests that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.control.len() + self.prompts.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is to be done now; call it until it gives `None`.
    pub fn poll(&mut self, now: Instant) -> Option<Next<T>> {
        if let Some(at) = self.prompts.iter().position(|(until, _)| *until <= now) {
            return self.prompts.remove(at).map(|(_, request)| Next::Expired(request));
        }
        if self.free_at.is_some_and(|free| free > now) {
            return None;
        }
        let ready = self.control.iter().position(|(not_before, _)| *not_before <= now);
        let (_, request) = match ready {
            Some(at) => self.control.remove(at),
            None => self.prompts.pop_front(),
        }?;
        self.free_at = Some(now + self.distance.mul_f64(1.0 + JITTER * self.chance.f64()));
        Some(Next::Send(request))
    }

    /// When [`UpdateQueue::poll`] has something to give again.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        let expiry = self.prompts.iter().map(|(until, _)| *until).min();
        let ready = self.control.iter().map(|(not_before, _)| *not_before).min();
        let ready = if self.prompts.is_empty() { ready } else { self.free_at.or(expiry) };
        let send = ready.map(|ready| self.free_at.map_or(ready, |free| free.max(ready)));
        [expiry, send].into_iter().flatten().min()
    }
}
