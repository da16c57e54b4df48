use std::time::Instant;

use bytes::Bytes;

use super::event::Action;
use super::schedule::{Backoff, T2, T4, TIMEOUT, earliest};
use super::settings::Flow;

/// A request of the far end and our answer to it (RFC 3261 section 17.2, RFC 6026 section 7.1).
#[derive(Debug)]
pub(super) struct ServerTransaction {
    /// Where the answer goes.
    flow: Flow,
    /// Where it goes when the connection of the request is gone: the port of its Via (RFC 3261 section 18.2.2).
    fallback: Flow,
    invite: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not answered yet; the last provisional answer is repeated to who asks again.
    Proceeding {
        provisional: Option<Bytes>,
    },
    /// Answered 2xx, which the call repeats until it is acknowledged; copies of the INVITE are swallowed.
    Accepted {
        until: Instant,
    },
    /// Answered; the answer is repeated to who asks again, and to an INVITE unasked until it is acknowledged.
    Completed {
        response: Bytes,
        until: Instant,
        again: Option<Backoff>,
    },
    /// Acknowledged; copies of the ACK are swallowed.
    Confirmed {
        until: Instant,
    },
    Over,
}

impl ServerTransaction {
    pub(super) const fn new(flow: Flow, fallback: Flow, invite: bool) -> Self {
        Self { flow, fallback, invite, state: State::Proceeding { provisional: None } }
    }

    pub(super) const fn flow(&self) -> Flow {
        self.flow
    }

    /// The connection of the request is gone.
    pub(super) const fn reroute(&mut self) -> Flow {
        self.flow = self.fallback;
        self.flow
    }

    pub(super) const fn is_pending(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    pub(super) fn provisional(&mut self, response: Bytes, out: &mut Vec<Action>) {
        if let State::Proceeding { provisional } = &mut self.state {
            out.push(Action::Send { flow: self.flow, bytes: response.clone() });
            *provisional = Some(response);
        }
    }

    pub(super) fn finish(&mut self, now: Instant, code: u16, response: Bytes, out: &mut Vec<Action>) {
        if !self.is_pending() {
            return;
        }
        out.push(Action::Send { flow: self.flow, bytes: response.clone() });
        let reliable = self.flow.transport.is_reliable();
        let until = now + TIMEOUT;
        self.state = match (self.invite, code) {
            (true, 200..=299) => State::Accepted { until },
            (true, _) => State::Completed { response, until, again: (!reliable).then(|| Backoff::new(now, T2)) },
            (false, _) if reliable => State::Over,
            (false, _) => State::Completed { response, until, again: None },
        };
    }

    /// The request came once more.
    pub(super) fn again(&self, out: &mut Vec<Action>) {
        let response = match &self.state {
            State::Proceeding { provisional } => provisional.as_ref(),
            State::Completed { response, .. } => Some(response),
            State::Accepted { .. } | State::Confirmed { .. } | State::Over => None,
        };
        out.extend(response.map(|bytes| Action::Send { flow: self.flow, bytes: bytes.clone() }));
    }

    /// An ACK of this branch. False if it is not for this transaction: that of a 2xx belongs to the call.
    pub(super) fn ack(&mut self, now: Instant) -> bool {
        match self.state {
            State::Completed { .. } if self.invite => {
                let reliable = self.flow.transport.is_reliable();
                self.state = if reliable { State::Over } else { State::Confirmed { until: now + T4 } };
                true
            }
            State::Confirmed { .. } | State::Completed { .. } => true,
            State::Proceeding { .. } | State::Accepted { .. } | State::Over => false,
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Accepted { until } | State::Confirmed { until } => Some(*until),
            State::Completed { until, again, .. } => earliest([Some(*until), again.as_ref().map(Backoff::at)]),
            State::Proceeding { .. } | State::Over => None,
        }
    }

    pub(super) fn on_timer(&mut self, now: Instant, out: &mut Vec<Action>) {
        if let State::Accepted { until } | State::Confirmed { until } | State::Completed { until, .. } = &self.state
            && now >= *until
        {
            self.state = State::Over;
        }
        if let State::Completed { response, again: Some(again), .. } = &mut self.state
            && again.fire(now)
        {
            out.push(Action::Send { flow: self.flow, bytes: response.clone() });
        }
    }
}
