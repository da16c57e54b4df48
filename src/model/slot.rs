//! The place of one spare socket: tended by its keeper task until a call takes it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _, stream};
use tokio::time::Instant;
use trunkline_actors::ports::{Incoming, ModelSocket, Outgoing};

use super::warm::WarmSettings;

/// What the model may say before anyone listens: `session.created` and little else.
const MAX_FRAMES: usize = 32;
const MAX_BYTES: usize = 256 << 10;

/// How long the close frame of an aged spare may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why a spare is no longer in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A call has it.
    Taken,
    /// It got too old.
    Aged,
    /// It died, or misbehaved.
    Lost,
}

#[derive(Default)]
pub(super) struct Slot(RefCell<State>);

#[derive(Default)]
struct State {
    spare: Option<Spare>,
    /// The keeper, to be told that its spare was taken.
    keeper: Option<Waker>,
}

struct Spare {
    socket: ModelSocket,
    /// What the model said so far, for the one who takes the socket.
    said: VecDeque<Incoming>,
    said_bytes: usize,
    /// The model's last unanswered ping.
    unanswered: Option<Bytes>,
    probe: bool,
    opened: Instant,
    heard: Instant,
    probed: Instant,
}

impl Slot {
    /// Since when a spare can be handed out: when it was opened, if the model has spoken.
    pub(super) fn ready_since(&self) -> Option<Instant> {
        let state = self.0.borrow();
        let spare = state.spare.as_ref()?;
        (!spare.said.is_empty()).then_some(spare.opened)
    }

    /// Hands the spare out, unless it turns out to be dead. Either way the slot is empty afterwards.
    pub(super) fn take(&self) -> Option<ModelSocket> {
        let mut state = self.0.borrow_mut();
        let mut spare = state.spare.take()?;
        if let Some(keeper) = state.keeper.take() {
            keeper.wake();
        }
        drop(state);
        // What has arrived but not been looked at yet, so that nobody gets a socket that was closed a moment ago.
        while spare.said.len() < MAX_FRAMES
            && let Some(incoming) = spare.socket.incoming.next().now_or_never()
        {
            match incoming {
                None | Some(Incoming::Closed { .. }) => return None,
                Some(incoming) => spare.said.push_back(incoming),
            }
        }
        // An unanswered ping is the new owner's to answer.
        spare.said.extend(spare.unanswered.map(Incoming::Ping));
        Some(ModelSocket {
            outgoing: spare.socket.outgoing,
            incoming: stream::iter(spare.said).chain(spare.socket.incoming).boxed_local(),
        })
    }

    /// Puts the socket into the slot and keeps it alive until it is taken, too old or lost.
    pub(super) async fn tend(&self, socket: ModelSocket, settings: &WarmSettings) -> End {
        let now = Instant::now();
        self.0.borrow_mut().spare = Some(Spare {
            socket,
            said: VecDeque::new(),
            said_bytes: 0,
            unanswered: None,
            probe: false,
            opened: now,
            heard: now,
            probed: now,
        });
        let end = loop {
            let due = match self.on_time(Instant::now(), settings) {
                Ok(due) => due,
                Err(end) => break end,
            };
            if let Ok(end) = tokio::time::timeout_at(due, poll_fn(|cx| self.poll(cx))).await {
                break end;
            }
        };
        let left = self.0.borrow_mut().spare.take();
        if end == End::Aged
            && let Some(mut spare) = left
        {
            // So that the model does not keep a session nobody uses. A peer that does not take it is dropped.
            let _ = tokio::time::timeout(GOODBYE, spare.socket.outgoing.close()).await;
        }
        end
    }

    /// Starts a probe if one is due. Returns when to look again.
    fn on_time(&self, now: Instant, settings: &WarmSettings) -> Result<Instant, End> {
        let mut state = self.0.borrow_mut();
        let Some(spare) = &mut state.spare else {
            return Err(End::Taken);
        };
        let stalls = spare.heard + settings.stall_timeout;
        let ages = spare.opened + settings.max_age;
        // A session that is never created helps nobody.
        let greets = spare.said.is_empty().then_some(spare.opened + settings.connect_timeout);
        if now >= stalls || greets.is_some_and(|greets| now >= greets) {
            return Err(End::Lost);
        }
        if now >= ages {
            return Err(End::Aged);
        }
        if now >= spare.probed + settings.ping {
            spare.probed = now;
            spare.probe = true;
        }
        let probes = spare.probed + settings.ping;
        Ok(stalls.min(ages).min(probes).min(greets.unwrap_or(ages)))
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<End> {
        let mut state = self.0.borrow_mut();
        let Some(spare) = &mut state.spare else {
            return Poll::Ready(End::Taken);
        };
        if spare.poll_read(cx).is_err() || spare.poll_write(cx).is_err() {
            return Poll::Ready(End::Lost);
        }
        state.keeper = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The spare is of no use any more.
struct Lost;

impl Spare {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<(), Lost> {
        while let Poll::Ready(incoming) = self.socket.incoming.poll_next_unpin(cx) {
            self.heard = Instant::now();
            match incoming {
                Some(Incoming::Text(text)) => {
                    self.said_bytes = self.said_bytes.saturating_add(text.len());
                    self.said.push_back(Incoming::Text(text));
                    if self.said.len() > MAX_FRAMES || self.said_bytes > MAX_BYTES {
                        return Err(Lost);
                    }
                }
                Some(Incoming::Ping(payload)) => self.unanswered = Some(payload),
                Some(Incoming::Pong) => {}
                Some(Incoming::Undecodable | Incoming::Closed { .. }) | None => return Err(Lost),
            }
        }
        Ok(())
    }

    /// Answers the model's ping, sends ours, and flushes.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Lost> {
        let outgoing = &mut self.socket.outgoing;
        while self.unanswered.is_some() || self.probe {
            match outgoing.as_mut().poll_ready(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(ready) => ready.map_err(|_| Lost)?,
            }
            let message = match self.unanswered.take() {
                Some(payload) => Outgoing::Pong(payload),
                None => {
                    self.probe = false;
                    Outgoing::Ping
                }
            };
            outgoing.as_mut().start_send(message).map_err(|_| Lost)?;
        }
        match outgoing.as_mut().poll_flush(cx) {
            Poll::Ready(Err(_)) => Err(Lost),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }
}
