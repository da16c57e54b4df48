use std::time::Duration;

/// The limits every call lives under (configuration sections `calls` and `ingest`). The defaults are those of the
/// configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls at a time; 0 = no limit.
    pub max: usize,
    /// Announced without media: ended after this long.
    pub no_media_timeout: Duration,
    /// Media stopped coming: ended after this long.
    pub media_timeout: Duration,
    /// No call is longer.
    pub max_duration: Duration,
    /// A call outlives a lost media socket this long.
    pub reattach_grace: Duration,
    /// Live calls may finish for this long once the service is to stop.
    pub drain_timeout: Duration,
    /// Caller audio kept while the model is slow or away.
    pub upstream_buffer: Duration,
    /// Model audio that may wait to be played.
    pub playout_buffer: Duration,
    /// Ended calls are kept for the admin pages this long.
    pub history: Duration,
    /// At most this many ended calls are kept.
    pub history_max: usize,
}

impl CallLimits {
    /// Whether a call may be added to `live` ones.
    #[must_use]
    pub const fn admits(&self, live: usize) -> bool {
        self.max == 0 || live < self.max
    }
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            max: 0,
            no_media_timeout: Duration::from_secs(30),
            media_timeout: Duration::from_secs(60),
            max_duration: Duration::from_secs(2 * 3600),
            reattach_grace: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(5 * 60),
            upstream_buffer: Duration::from_secs(2),
            playout_buffer: Duration::from_secs(5 * 60),
            history: Duration::from_secs(15 * 60),
            history_max: 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CallLimits;

    #[test]
    fn zero_is_no_limit() {
        let mut limits = CallLimits::default();
        assert!(limits.admits(1_000_000));
        limits.max = 2;
        assert!(limits.admits(0) && limits.admits(1));
        assert!(!limits.admits(2) && !limits.admits(3));
    }
}
