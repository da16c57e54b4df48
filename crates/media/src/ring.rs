//! Audio that waits for a slow reader, newest kept.

use std::collections::VecDeque;

/// A queue of chunks bounded in milliseconds: what does not fit pushes the oldest out.
///
/// It holds at most its limit, or one single chunk if that alone is longer: a limit below the chunk size must not
/// silence a call.
#[derive(Debug)]
pub struct AudioRing<T> {
    chunks: VecDeque<(T, u32)>,
    queued_ms: u64,
    limit_ms: u64,
}

impl<T> AudioRing<T> {
    /// An empty ring for at most `limit_ms` milliseconds.
    pub fn new(limit_ms: u64) -> Self {
        Self { chunks: VecDeque::new(), queued_ms: 0, limit_ms }
    }

    /// Changes the limit; returns the milliseconds of oldest audio dropped for it.
    pub fn set_limit(&mut self, limit_ms: u64) -> u64 {
        self.limit_ms = limit_ms;
        self.trim()
    }

    /// Appends a chunk of `ms` milliseconds; returns the milliseconds of oldest audio dropped to make room.
    pub fn push(&mut self, chunk: T, ms: u32) -> u64 {
        self.chunks.push_back((chunk, ms));
        self.queued_ms += u64::from(ms);
        self.trim()
    }

    /// Takes the oldest chunk.
    pub fn pop(&mut self) -> Option<T> {
        let (chunk, ms) = self.chunks.pop_front()?;
        self.queued_ms -= u64::from(ms);
        Some(chunk)
    }

    /// Puts a chunk back that was popped and could not be delivered. Never drops: the next push does.
    pub fn push_front(&mut self, chunk: T, ms: u32) {
        self.chunks.push_front((chunk, ms));
        self.queued_ms += u64::from(ms);
    }

    /// The oldest chunk.
    pub fn front(&self) -> Option<&T> {
        self.chunks.front().map(|(chunk, _)| chunk)
    }

    /// Milliseconds of audio that wait.
    pub fn queued_ms(&self) -> u64 {
        self.queued_ms
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Drops everything; returns the milliseconds dropped.
    pub fn clear(&mut self) -> u64 {
        self.chunks.clear();
        std::mem::take(&mut self.queued_ms)
    }

    fn trim(&mut self) -> u64 {
        let before = self.queued_ms;
        while self.queued_ms > self.limit_ms && self.chunks.len() > 1 {
            self.pop();
        }
        before - self.queued_ms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let mut ring = AudioRing::new(60);
        assert_eq!([ring.push('a', 20), ring.push('b', 20), ring.push('c', 20)], [0, 0, 0]);
        assert_eq!(ring.push('d', 30), 40);
        assert_eq!(ring.queued_ms(), 50);
        assert_eq!(ring.front(), Some(&'c'));
        assert_eq!(ring.pop(), Some('c'));
        ring.push_front('c', 20);
        assert_eq!([ring.pop(), ring.pop(), ring.pop()], [Some('c'), Some('d'), None]);
        assert!(ring.is_empty());
    }

    #[test]
    fn a_chunk_longer_than_the_limit_is_kept_alone() {
        let mut ring = AudioRing::new(10);
        assert_eq!(ring.push(1, 500), 0);
        assert_eq!(ring.push(2, 500), 500);
        assert_eq!(ring.pop(), Some(2));
    }

    #[test]
    fn a_lower_limit_drops_at_once() {
        let mut ring = AudioRing::new(8_000);
        (0..100).for_each(|i| assert_eq!(ring.push(i, 20), 0));
        assert_eq!(ring.set_limit(500), 1_500);
        assert_eq!(ring.front(), Some(&75));
        assert_eq!(ring.clear(), 500);
        assert_eq!(ring.queued_ms(), 0);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_uncounted(
            limit in 0_u64..3_000,
            chunks in prop::collection::vec((1_u32..500, any::<bool>()), 0..100),
        ) {
            let mut ring = AudioRing::new(limit);
            let (mut pushed, mut dropped, mut popped) = (0_u64, 0_u64, 0_u64);
            let mut last_popped = None;
            for (index, (ms, pop)) in chunks.into_iter().enumerate() {
                dropped += ring.push((index, ms), ms);
                pushed += u64::from(ms);
                prop_assert!(ring.queued_ms() <= limit.max(u64::from(ms)));
                if pop && let Some((index, ms)) = ring.pop() {
                    popped += u64::from(ms);
                    prop_assert!(last_popped < Some(index), "in order");
                    last_popped = Some(index);
                }
                prop_assert_eq!(pushed, dropped + popped + ring.queued_ms());
            }
        }
    }
}
