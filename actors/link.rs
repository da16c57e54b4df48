//! The line towards a caller's socket: a control lane ahead of a short audio lane, both bounded.
//!
//! `VcStreamActor` holds the [`LinkSender`], the socket's writer task (perhaps on another worker) the [`LinkReceiver`].

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use trunkline_media::{FRAME_MS, LineCodec};

/// Frames and marks between the playout clock and the socket's writer: enough for a frame made up after a stall and its
/// mark, little enough that a stalled peer shows as drops within 120 ms. A lead has room beside them.
const AUDIO_LANE: usize = 6;
/// Control messages waiting for the writer. A socket that lets this many pile up is not read by anybody.
const CONTROL_LANE: usize = 64;

/// What the far side of a link does and can do. The default is one that plays frames as they come and takes every
/// control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// It wants a frame every 20 ms even when nothing plays.
    pub fill: bool,
    /// It has a queue, and is sent audio this long before it is to be heard. `None`: it plays frames as they come.
    pub lead: Option<Duration>,
    /// It answers every mark; of another one that is known once it answered one.
    pub answers_marks: bool,
    /// Whether it presses keys ([`LinkControl::Dtmf`]).
    pub presses_keys: bool,
    /// What it does with a [`LinkControl::Transfer`].
    pub transfers: Transfers,
}

/// What a caller's side does with a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfers {
    /// It sees to it, and says nothing.
    Silently,
    /// It says with [`CallerEvent::Transferred`](crate::messages::CallerEvent::Transferred) what became of it.
    AndTells,
    /// It cannot.
    Never,
}

impl Default for Peer {
    fn default() -> Self {
        Self { fill: false, lead: None, answers_marks: false, presses_keys: true, transfers: Transfers::Silently }
    }
}

/// What the caller's side is told, in the words of the call; each dialect has its own wire form.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkControl {
    /// The call's actors run.
    Ready,
    /// Barge-in: forget what is queued. Audio of an older generation must not follow.
    Clear {
        /// The first generation still wanted.
        generation: u64,
    },
    /// The model is gone, back, or given up.
    Fallback {
        /// `entered`, `recovered`, `gave_up`.
        state: &'static str,
        /// Why, for people.
        reason: String,
    },
    /// The model presses keys, and no SIP media application does it.
    Dtmf {
        /// `0-9*#A-D`, a comma is a pause.
        digits: String,
    },
    /// The caller is to go on at this number, and no SIP media application sees to it.
    Transfer {
        /// The number.
        to: String,
    },
    /// A message of the caller's side was wrong; the call goes on.
    Error {
        /// Machine-readable, `bad_audio`.
        code: &'static str,
        /// What was wrong and what is allowed.
        message: String,
    },
    /// The call is over (or this socket's part in it): say `stop` if a reason is given, then close with `code`.
    Close {
        /// Reason of a `stop` message.
        stop: Option<&'static str>,
        /// WebSocket close code.
        code: u16,
    },
}

/// What the audio lane carries, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkAudio {
    /// Exactly one 20 ms frame in the link's codec.
    Frame(Bytes),
    /// Everything of this item has been sent.
    Mark(String),
}

/// What the writer takes next.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkOut {
    /// From the control lane.
    Control(LinkControl),
    /// From the audio lane.
    Audio(LinkAudio),
}

/// The socket took nothing for so long that its lane is full, or it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneError {
    /// Full: the frame is dropped, time goes on.
    Full,
    /// The writer has ended.
    Gone,
}

/// The call's end of a link.
#[derive(Debug)]
pub struct LinkSender {
    codec: LineCodec,
    peer: Peer,
    generation: u64,
    control: mpsc::Sender<LinkControl>,
    audio: mpsc::Sender<(u64, LinkAudio)>,
}

/// The socket's end of a link.
#[derive(Debug)]
pub struct LinkReceiver {
    generation: u64,
    control: mpsc::Receiver<LinkControl>,
    audio: mpsc::Receiver<(u64, LinkAudio)>,
}

/// A fresh link whose socket speaks `codec` with a [`Peer`] as they mostly are.
#[must_use]
pub fn link(codec: LineCodec) -> (LinkSender, LinkReceiver) {
    link_to(Peer::default(), codec)
}

/// A fresh link whose socket speaks `codec` with this peer.
#[must_use]
pub fn link_to(peer: Peer, codec: LineCodec) -> (LinkSender, LinkReceiver) {
    let lead = peer.lead.unwrap_or_default().as_millis() / u128::from(FRAME_MS);
    let (control_tx, control) = mpsc::channel(CONTROL_LANE);
    let (audio_tx, audio) = mpsc::channel(AUDIO_LANE.saturating_add(usize::try_from(lead).unwrap_or_default()));
    let sender = LinkSender { codec, peer, generation: 0, control: control_tx, audio: audio_tx };
    (sender, LinkReceiver { generation: 0, control, audio })
}

impl LinkSender {
    /// What the socket speaks.
    #[must_use]
    pub fn codec(&self) -> LineCodec {
        self.codec
    }

    /// Whom it speaks with.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Hands over a frame or mark without waiting.
    ///
    /// # Errors
    /// [`LaneError::Full`] when the peer does not take them in real time.
    pub fn audio(&self, audio: LinkAudio) -> Result<(), LaneError> {
        self.audio.try_send((self.generation, audio)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LaneError::Full,
            mpsc::error::TrySendError::Closed(_) => LaneError::Gone,
        })
    }

    /// Hands over a control message without waiting; it overtakes audio.
    ///
    /// # Errors
    /// [`LaneError`]; a link whose control lane is full is as good as gone.
    pub fn control(&self, control: LinkControl) -> Result<(), LaneError> {
        self.control.try_send(control).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LaneError::Full,
            mpsc::error::TrySendError::Closed(_) => LaneError::Gone,
        })
    }

    /// Barge-in: what is still in the audio lane is void, and the peer is told to forget what it holds.
    ///
    /// # Errors
    /// [`LaneError`] of the control lane.
    pub fn clear(&mut self) -> Result<(), LaneError> {
        self.generation += 1;
        self.control(LinkControl::Clear { generation: self.generation })
    }
}

impl LinkReceiver {
    /// The next thing to write, control first; `None` when the call let go of the link.
    pub async fn next(&mut self) -> Option<LinkOut> {
        loop {
            tokio::select! {
                biased;
                control = self.control.recv() => {
                    let control = control?;
                    if let LinkControl::Clear { generation } = control {
                        self.generation = generation;
                    }
                    return Some(LinkOut::Control(control));
                }
                audio = self.audio.recv() => match audio? {
                    (generation, audio) if generation >= self.generation => return Some(LinkOut::Audio(audio)),
                    _ => {}
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(byte: u8) -> LinkAudio {
        LinkAudio::Frame(Bytes::from(vec![byte; 160]))
    }

    #[tokio::test]
    async fn control_overtakes_audio_and_clear_voids_what_is_older() {
        let (mut sender, mut receiver) = link(LineCodec::Pcmu);
        sender.audio(frame(1)).unwrap();
        sender.audio(LinkAudio::Mark("a".into())).unwrap();
        sender.clear().unwrap();
        sender.audio(frame(2)).unwrap();
        assert_eq!(receiver.next().await, Some(LinkOut::Control(LinkControl::Clear { generation: 1 })));
        assert_eq!(receiver.next().await, Some(LinkOut::Audio(frame(2))));
        drop(sender);
        assert_eq!(receiver.next().await, None);
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_fills_the_lane_and_no_more() {
        let (sender, receiver) = link(LineCodec::Pcmu);
        for _ in 0..AUDIO_LANE {
            sender.audio(frame(0)).unwrap();
        }
        assert_eq!(sender.audio(frame(0)), Err(LaneError::Full));
        drop(receiver);
        assert_eq!(sender.audio(frame(0)), Err(LaneError::Gone));
    }
}
