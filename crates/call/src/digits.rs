use std::time::{Duration, Instant};

/// After this much quiet the keys pressed so far are handed on.
pub const KEY_QUIET: Duration = Duration::from_secs(2);

/// Most keys kept: with the last of these they are handed on without waiting, so that a stuck key cannot fill memory.
pub const MAX_KEYS: usize = 64;

/// Collects a caller's keys until `#` or two seconds of quiet, so that the model gets "4711" and not four turns.
#[derive(Clone, Debug, Default)]
pub struct DigitCollector {
    keys: String,
    due: Option<Instant>,
}

impl DigitCollector {
    /// An empty collector.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `digit` is a telephone key: `0-9`, `*`, `#`, `A-D` in either case (the 16 of ITU-T Q.23).
    #[must_use]
    pub const fn is_key(digit: char) -> bool {
        matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D' | 'a'..='d')
    }

    /// One key. Returns the keys collected when this one completes them: `#` does and is left out of them,
    /// unless it is the only one. What is not a key changes nothing.
    pub fn push(&mut self, now: Instant, digit: char) -> Option<String> {
        if !Self::is_key(digit) {
            return None;
        }
        let alone = self.keys.is_empty();
        if digit != '#' || alone {
            self.keys.push(digit.to_ascii_uppercase());
        }
        if digit == '#' || self.keys.len() >= MAX_KEYS {
            return self.take();
        }
        self.due = Some(now + KEY_QUIET);
        None
    }

    /// When [`DigitCollector::on_timer`] wants to be called.
    #[must_use]
    pub const fn next_timer(&self) -> Option<Instant> {
        self.due
    }

    /// The keys collected, if two seconds have passed since the last one.
    pub fn on_timer(&mut self, now: Instant) -> Option<String> {
        self.due.filter(|&due| now >= due)?;
        self.take()
    }

    fn take(&mut self) -> Option<String> {
        self.due = None;
        Some(std::mem::take(&mut self.keys)).filter(|keys| !keys.is_empty())
    }
}
