use std::time::Instant;

use bytes::Bytes;

use super::event::{Action, OptionsTarget};
use super::schedule::{Backoff, T2, T4, TIMEOUT, earliest};
use super::settings::Flow;
use crate::message::{Message, Method};

/// Most answers of one INVITE's branches that are acknowledged: a fork of more is not a telephone call.
const MAX_FORKS: usize = 4;

/// What a request of ours is about.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// Places a call.
    Invite(u64),
    /// Refreshes the session.
    Refresh(u64),
    /// Ends a call.
    Bye(u64),
    /// Transfers a call.
    Refer(u64),
    /// Keeps a trunk alive.
    Options(OptionsTarget),
    /// Nobody waits for the answer.
    Orphan,
}

/// What an answer is to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The user should look at it.
    News,
    /// Dealt with.
    Known,
}

/// A request of ours and its answers (RFC 3261 section 17.1, RFC 6026 section 7.2).
#[derive(Debug)]
pub(super) struct ClientTransaction {
    pub(super) purpose: Purpose,
    pub(super) request: Message,
    pub(super) flow: Flow,
    /// How often it was asked for, and whether with credentials.
    pub(super) tries: u8,
    pub(super) authorised: bool,
    invite: bool,
    bytes: Bytes,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing came back yet.
    Trying {
        again: Option<Backoff>,
        until: Instant,
    },
    /// The far end is at work. An INVITE is waited for as long as its call wants.
    Proceeding {
        again: Option<Backoff>,
        until: Option<Instant>,
    },
    /// An INVITE answered 2xx: each copy is acknowledged with the ACK that belongs to its To tag.
    Accepted {
        until: Instant,
        acks: Vec<Ack>,
    },
    /// Answered; copies of the answer to an INVITE are acknowledged.
    Completed {
        until: Instant,
        ack: Option<Bytes>,
    },
    Over,
}

#[derive(Debug)]
struct Ack {
    tag: String,
    flow: Flow,
    bytes: Bytes,
}

impl ClientTransaction {
    /// Sends the request.
    pub(super) fn new(now: Instant, purpose: Purpose, request: Message, flow: Flow, out: &mut Vec<Action>) -> Self {
        let bytes = request.to_bytes();
        let is_invite = request.method() == Some(&Method::Invite);
        out.push(Action::Send { flow, bytes: bytes.clone() });
        let limit = if is_invite { TIMEOUT } else { T2 };
        let again = (!flow.transport.is_reliable()).then(|| Backoff::new(now, limit));
        let state = State::Trying { again, until: now + TIMEOUT };
        Self { purpose, request, flow, tries: 1, authorised: false, invite: is_invite, bytes, state }
    }

    pub(super) const fn is_invite(&self) -> bool {
        self.invite
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// No final answer yet.
    pub(super) const fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }

    /// A provisional answer came and no other: only now may an INVITE be cancelled (RFC 3261 section 9.1).
    pub(super) const fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// Nobody waits any more.
    pub(super) fn abandon(&mut self) {
        self.state = State::Over;
    }

    /// An answer with this status and To tag.
    pub(super) fn response(&mut self, now: Instant, code: u16, to_tag: &str, out: &mut Vec<Action>) -> Verdict {
        let reliable = self.flow.transport.is_reliable();
        match &mut self.state {
            State::Trying { again, until } if code < 200 => {
                let mut again = again.take().filter(|_| !self.invite);
                if let Some(again) = &mut again {
                    again.slow_down();
                }
                self.state = State::Proceeding { again, until: (!self.invite).then_some(*until) };
                Verdict::News
            }
            State::Proceeding { .. } if code < 200 => Verdict::News,
            State::Trying { .. } | State::Proceeding { .. } => {
                self.state = match (self.invite, code) {
                    (true, 200..=299) => State::Accepted { until: now + TIMEOUT, acks: Vec::new() },
                    (true, _) => State::Completed { until: now + TIMEOUT, ack: None },
                    (false, _) if reliable => State::Over,
                    (false, _) => State::Completed { until: now + T4, ack: None },
                };
                Verdict::News
            }
            State::Accepted { acks, .. } => {
                if !(200..=299).contains(&code) {
                    return Verdict::Known;
                }
                if let Some(ack) = acks.iter().find(|ack| ack.tag == to_tag) {
                    out.push(Action::Send { flow: ack.flow, bytes: ack.bytes.clone() });
                    return Verdict::Known;
                }
                if acks.len() < MAX_FORKS { Verdict::News } else { Verdict::Known }
            }
            State::Completed { ack, .. } => {
                if code >= 300 {
                    out.extend(ack.iter().map(|ack| Action::Send { flow: self.flow, bytes: ack.clone() }));
                }
                Verdict::Known
            }
            State::Over => Verdict::Known,
        }
    }

    /// The ACK of a final answer other than 2xx; copies of that answer are answered with it.
    pub(super) fn acknowledge(&mut self, bytes: Bytes, out: &mut Vec<Action>) {
        if let State::Completed { ack, .. } = &mut self.state {
            out.push(Action::Send { flow: self.flow, bytes: bytes.clone() });
            *ack = Some(bytes);
            if self.flow.transport.is_reliable() {
                self.state = State::Over;
            }
        }
    }

    /// The ACK of a 2xx with this To tag.
    pub(super) fn acknowledge_success(&mut self, tag: &str, flow: Flow, bytes: Bytes, out: &mut Vec<Action>) {
        if let State::Accepted { acks, .. } = &mut self.state {
            out.push(Action::Send { flow, bytes: bytes.clone() });
            acks.push(Ack { tag: tag.to_owned(), flow, bytes });
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Trying { again, until } => earliest([Some(*until), again.as_ref().map(Backoff::at)]),
            State::Proceeding { again, until } => earliest([*until, again.as_ref().map(Backoff::at)]),
            State::Accepted { until, .. } | State::Completed { until, .. } => Some(*until),
            State::Over => None,
        }
    }

    /// Returns whether the far end was waited for in vain.
    pub(super) fn on_timer(&mut self, now: Instant, out: &mut Vec<Action>) -> bool {
        let again = match &mut self.state {
            State::Trying { until, .. } | State::Proceeding { until: Some(until), .. } if now >= *until => {
                self.state = State::Over;
                return true;
            }
            State::Accepted { until, .. } | State::Completed { until, .. } if now >= *until => {
                self.state = State::Over;
                None
            }
            State::Trying { again, .. } | State::Proceeding { again, .. } => again.as_mut(),
            State::Accepted { .. } | State::Completed { .. } | State::Over => None,
        };
        if again.is_some_and(|again| again.fire(now)) {
            out.push(Action::Send { flow: self.flow, bytes: self.bytes.clone() });
        }
        false
    }
}
