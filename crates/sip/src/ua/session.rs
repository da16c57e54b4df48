//! Session timers (RFC 4028): a call whose far end is gone without a BYE does not stay for ever.

use std::time::{Duration, Instant};

use super::schedule::{FOREVER, earliest};
use crate::message::{Message, Name, Refresher, SessionExpires};

/// A session's interval and who refreshes it, in the roles of the transaction that agreed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) interval: Duration,
    pub(super) refresher: Refresher,
}

impl Agreed {
    /// As a Session-Expires.
    pub(super) fn to_header(self) -> String {
        let role = match self.refresher {
            Refresher::Uac => "uac",
            Refresher::Uas => "uas",
        };
        format!("{};refresher={role}", self.interval.as_secs())
    }
}

/// What a request says about session timers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SessionRequest {
    pub(super) expires: Option<SessionExpires>,
    /// Its Min-SE.
    pub(super) min_se: Option<Duration>,
    /// `timer` is in its Supported.
    pub(super) supported: bool,
}

impl SessionRequest {
    /// What cannot be read is taken as not there.
    pub(super) fn of(message: &Message) -> Self {
        Self {
            expires: message.session_expires().ok().flatten(),
            min_se: message.min_se().ok().flatten().map(seconds),
            supported: message.lists(Name::Supported, "timer") || message.lists(Name::Require, "timer"),
        }
    }

    pub(super) fn is_too_small(&self, min_se: Duration) -> bool {
        self.expires.is_some_and(|asked| seconds(asked.seconds) < min_se)
    }

    /// What the 2xx says (RFC 4028 section 9): the far end's interval; ours if it can but did not ask. It refreshes if
    /// it can and did not say who shall; a session that only we want is ours to refresh.
    pub(super) fn agree(&self, ours: Duration) -> Option<Agreed> {
        let Some(asked) = self.expires else {
            let interval = ours.max(self.min_se.unwrap_or_default()).min(FOREVER);
            return self.supported.then_some(Agreed { interval, refresher: Refresher::Uas });
        };
        // A proxy asked: who does not know timers does not refresh.
        let theirs = if self.supported { Refresher::Uac } else { Refresher::Uas };
        let refresher = asked.refresher.filter(|_| self.supported).unwrap_or(theirs);
        Some(Agreed { interval: seconds(asked.seconds), refresher })
    }
}

/// What the far end's 2xx to a request of ours agreed on; without a Session-Expires nobody refreshes.
pub(super) fn agreed(response: &Message) -> Option<Agreed> {
    let SessionExpires { seconds: interval, refresher } = response.session_expires().ok().flatten()?;
    Some(Agreed { interval: seconds(interval), refresher: refresher.unwrap_or(Refresher::Uac) })
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into()).min(FOREVER)
}

/// The session's life until the next refresh.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionTimer {
    pub(super) interval: Duration,
    /// When we are to refresh.
    refresh: Option<Instant>,
    /// When we give the call up.
    end: Instant,
}

impl SessionTimer {
    pub(super) fn new(now: Instant, interval: Duration, we_refresh: bool) -> Self {
        // RFC 4028 section 10: a third of the interval before its end, or 32 s if that is less.
        let end = now + interval - (interval / 3).min(Duration::from_secs(32));
        Self { interval, refresh: we_refresh.then(|| now + interval / 2), end }
    }

    pub(super) const fn we_refresh_at(&self) -> Option<Instant> {
        self.refresh
    }

    /// A refresh is under way.
    pub(super) const fn refreshing(&mut self) {
        self.refresh = None;
    }

    /// The refresh failed, but not for good.
    pub(super) fn retry_at(&mut self, at: Instant) {
        self.refresh = Some(at);
    }

    /// Halfway between `now` and the end, for a refresh that failed without saying when to try again.
    pub(super) fn retry(&mut self, now: Instant) {
        let left = self.end.saturating_duration_since(now);
        if left >= Duration::from_secs(10) {
            self.refresh = Some(now + left / 2);
        }
    }

    pub(super) const fn end(&self) -> Instant {
        self.end
    }

    pub(super) fn due(&self) -> Option<Instant> {
        earliest([self.refresh, Some(self.end)])
    }
}
