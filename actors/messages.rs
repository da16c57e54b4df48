//! What the actors say to each other. Audio carries the chunk as it arrived together with the moment it arrived.

use std::sync::Arc;

use actix::{Addr, Message};
use actix_rt::ArbiterHandle;
use bytes::Bytes;
use tokio::time::Instant;
use trunkline_call::{CallFacts, CallId, CallRecord, EndReason, Toolbox};
use trunkline_chime::announcements::Outcome;
use trunkline_chime::event::Message as CallMessage;
use trunkline_media::LineCodec;
use trunkline_realtime::{ItemId, Played, SessionProfile};

use crate::link::LinkSender;
use crate::vc_stream::{Siblings, VcStreamActor};

// === the caller's socket -> VcStreamActor ===

/// A media socket takes the call (newest wins). Answered with the link's epoch, which the reader puts on all it sends.
#[derive(Message)]
#[rtype(result = "u64")]
pub struct Attach {
    /// The socket's lanes.
    pub link: LinkSender,
    /// What its request told.
    pub facts: CallFacts,
}

/// A socket that hears caller and model mixed. Answered with false when the call has listeners enough.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct AddListener {
    /// The socket's lanes.
    pub link: LinkSender,
}

/// Audio from the caller's socket, any length, in the link's codec.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CallerAudio {
    /// Epoch of the link.
    pub epoch: u64,
    /// 8 kHz mono payload.
    pub payload: Bytes,
    /// When the socket gave it.
    pub at: Instant,
}

/// Anything but audio from the caller's socket.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CallerSays {
    /// Epoch of the link.
    pub epoch: u64,
    /// What.
    pub event: CallerEvent,
}

/// What a caller's side can say.
#[derive(Clone, Debug, PartialEq)]
pub enum CallerEvent {
    /// More is known of the call.
    Start(CallFacts),
    /// A DTMF key, `0-9 * # A-D`.
    Key(char),
    /// Everything before this mark has been heard.
    Played(String),
    /// The caller hung up.
    Stop,
    /// The caller goes on elsewhere, or cannot for this reason.
    Transferred(Result<(), String>),
    /// A message that was wrong; answered with `error`, changes nothing.
    Bad {
        /// Machine-readable.
        code: &'static str,
        /// What was wrong and what is allowed.
        message: String,
        /// Milliseconds of audio it cost.
        lost_ms: u64,
    },
    /// The socket is gone without `stop`.
    Lost,
}

// === VcStreamActor -> TranscoderActor -> AzureSessionActor (caller to model) ===

/// Whole 20 ms frames of the caller in the call's line codec. From `VcStreamActor`, as they are cut.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LineChunk {
    /// `frames` x the codec's frame size.
    pub payload: Bytes,
    /// 20 ms each.
    pub frames: u32,
    /// When the socket gave the newest of it.
    pub at: Instant,
}

/// The same, in the model's format. From `TranscoderActor`.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct ModelChunk {
    /// Whole samples of the model's format.
    pub payload: Bytes,
    /// Duration.
    pub ms: u32,
    /// When the caller's socket gave it.
    pub at: Instant,
}

/// Digits of the caller, collected until `#` or 2 s of quiet. From `VcStreamActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CallerDigits(pub String);

/// A key was pressed: it interrupts the model like speech does. From `VcStreamActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct KeyPressed;

/// The route is known: open the model's session. From `VcStreamActor`, once.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct OpenSession {
    /// What the session is told.
    pub profile: Arc<SessionProfile>,
    /// What the model may ask for.
    pub tools: Arc<Toolbox>,
}

// === AzureSessionActor -> TranscoderActor -> VcStreamActor (model to caller) ===

/// Part of an item of the model, or its end. One at a time is under way: it is answered when it waits in the playout.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ModelSpeech {
    /// Older generations are void.
    pub generation: u64,
    /// Whose audio.
    pub item: ItemId,
    /// Bytes in the model's format; `None` ends the item.
    pub audio: Option<Bytes>,
    /// When the model's socket gave it.
    pub at: Instant,
}

/// The same, in the call's line codec.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LineSpeech {
    /// Older generations are void.
    pub generation: u64,
    /// Whose audio.
    pub item: ItemId,
    /// 8 kHz payload, whole samples.
    pub payload: Bytes,
    /// No more of this item.
    pub end: bool,
    /// When the model's socket gave it.
    pub at: Instant,
}

/// The caller's own audio on its way back (echo route). From `TranscoderActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct EchoAudio {
    /// 8 kHz payload in the call's line codec.
    pub payload: Bytes,
}

/// The caller takes the word: empty the playout, tell the peer, and answer with [`Cleared`]. From `AzureSessionActor`
/// straight to `VcStreamActor`, in the same turn of the loop as the model's `speech_started`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Clear {
    /// The first generation still wanted.
    pub generation: u64,
    /// When the caller was found to speak.
    pub at: Instant,
}

/// What was played of each item that the caller did not hear in full. Answers [`Clear`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct Cleared {
    /// Per item, in order.
    pub played: Vec<Played>,
}

/// An item of the model was sent to its end, mark included. From `VcStreamActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ItemPlayed(pub ItemId);

/// The playout's ceiling is reached: cancel the response. From `VcStreamActor`, once an item.
#[derive(Message)]
#[rtype(result = "()")]
pub struct PlayoutFull;

// === the model leaves ===

/// How the model ends its part of a call.
#[derive(Clone, PartialEq, Eq)]
pub enum Leave {
    /// It hangs up.
    HangUp,
    /// It gives the caller to somebody else.
    Transfer {
        /// The number, on the allow-list.
        to: String,
    },
}

/// The model has said its last word: leave when the caller has heard it. From `AzureSessionActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LeaveWhenHeard(pub Leave);

/// The caller took the word before: stay. From `AzureSessionActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StayOn;

/// Keys for the far end, where no SIP media application presses them. Answered with whether the caller's side was
/// told to press them. From `AzureSessionActor`.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct PressKeys(pub String);

/// The transfer did not come about; the call goes on. From `VcStreamActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TransferFailed {
    /// Why, for the model.
    pub why: String,
}

// === FallbackActor ===

/// How the model's session fares. From `AzureSessionActor`.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub enum ModelHealth {
    /// The first connect of the call began.
    Connecting,
    /// The session is set up and hears the caller.
    Ready,
    /// It is gone (or could not be reached).
    Lost {
        /// Retrying is of no use.
        permanent: bool,
        /// Why, for people.
        reason: String,
    },
}

/// A prompt of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// One of the keep-alive texts.
    KeepAlive(usize),
    /// The last word.
    Goodbye,
}

/// Play a prompt into the call. From `FallbackActor`; answered with [`PromptPlayed`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct PlayPrompt(pub Prompt);

/// The prompt was played to its end. From `VcStreamActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct PromptPlayed(pub Prompt);

/// Fall silent as soon as the line is free, or at once: another voice will speak. From `FallbackActor`; answered with
/// [`Hushed`]. What comes meanwhile waits.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Hush {
    /// Whatever is being said is cut.
    pub at_once: bool,
    /// And nothing is lost: it goes on after [`Release`].
    pub keep: bool,
}

/// The line is silent. From `VcStreamActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Hushed;

/// The line may speak again. From `FallbackActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Release;

/// Tell the caller's side how the fallback stands. From `FallbackActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FallbackChanged {
    /// `entered`, `recovered`, `gave_up`.
    pub state: &'static str,
    /// Why, for people.
    pub reason: String,
}

// === CallSupervisor ===

/// Let a media socket in: a call that lives is joined, else one is born on `arbiter`. From the HTTP handler, before the
/// upgrade.
#[derive(Message)]
#[rtype(result = "Result<Admission, Refusal>")]
pub struct Admit {
    /// Which call.
    pub call_id: CallId,
    /// The SIP media application's transaction, if the connecting side knows one: it joins the socket to a call that goes
    /// by another id.
    pub sma_transaction_id: Option<String>,
    /// What events call this leg, if it is not `call_id`.
    pub leg: Option<CallId>,
    /// What its line will speak, if it is born now.
    pub codec: LineCodec,
    /// Name of the way in (`ingest`).
    pub link: &'static str,
    /// The worker that accepted the socket.
    pub arbiter: ArbiterHandle,
}

impl Admit {
    /// What events call this leg.
    pub(crate) fn leg(&self) -> &CallId {
        self.leg.as_ref().unwrap_or(&self.call_id)
    }
}

/// The way into a call.
#[derive(Clone)]
pub struct Admission {
    /// The call's line.
    pub line: Addr<VcStreamActor>,
    /// Its record.
    pub record: Arc<CallRecord>,
}

/// Why a new call is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The service is about to stop.
    #[error("the service is draining and takes no new calls; try another instance")]
    Draining,
    /// `calls.max` is reached.
    #[error("the service carries as many calls as calls.max allows; try again later")]
    AtCapacity,
    /// The transaction ended on purpose: its caller is about to be hung up on (SIP 603).
    #[error("the call of this transaction is over; hang up on the caller")]
    Over,
    /// A fault of ours; the log says which.
    #[error("the call could not be started")]
    Internal,
}

/// How a call's end is told to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Not at all.
    Nothing,
    /// By our recorded goodbye.
    Goodbye,
    /// The caller goes on elsewhere, or somebody else says goodbye and hangs up: our leg goes when that took effect, or
    /// after `wait`.
    Elsewhere {
        /// How long that may take.
        wait: std::time::Duration,
    },
}

/// End a call, once; the first reason stands, but a later order without a goodbye cuts a goodbye short. From anybody who
/// has cause.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct EndCall {
    /// Which.
    pub call_id: CallId,
    /// The record of the call that is meant, where its id may have come back meanwhile; `None` means whatever call has
    /// that id.
    pub of: Option<Arc<CallRecord>>,
    /// Why.
    pub reason: EndReason,
    /// What the caller hears.
    pub farewell: Farewell,
}

/// Say `stop` and go. From the supervisor to `VcStreamActor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseLine {
    /// Why.
    pub reason: EndReason,
    /// What the caller hears first.
    pub farewell: Farewell,
    /// Have the SIP media application hang up on the caller before our leg goes.
    pub hang_up: bool,
    /// Close code for the socket.
    pub code: u16,
}

/// The call is over: release what you hold. From the supervisor to the other three.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Shutdown;

/// The rest of a call's actors run. From the arbiter where they were started.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ChildrenStarted {
    /// Whose.
    pub record: Arc<CallRecord>,
    /// They.
    pub siblings: Siblings,
}

/// Which of a call's actors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `VcStreamActor`.
    Line,
    /// `TranscoderActor`.
    Transcoder,
    /// `AzureSessionActor`.
    Session,
    /// `FallbackActor`.
    Fallback,
}

/// An actor of a call has ended, in order or by a panic. From its `stopped()`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ChildStopped {
    /// Whose.
    pub record: Arc<CallRecord>,
    /// Which.
    pub role: Role,
    /// It panicked.
    pub panicked: bool,
}

/// Take no new calls; answered when none is left, or `timeout` passed and the rest were sent home with a goodbye.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// How long live calls may go on.
    pub timeout: std::time::Duration,
}

/// Take no new calls and end every live one now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct EndAll {
    /// What the callers hear.
    pub farewell: Farewell,
}

/// A message about a call, as read. From the queue's consumer and the operators.
#[derive(Message)]
#[rtype(result = "Outcome")]
pub struct CallNews(pub CallMessage);

/// A call is about to be placed: list it, and join the media to it when that comes. From the HTTP handler.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Announce {
    /// What it is called from now on.
    pub call_id: CallId,
    /// What is known; a route here is asked for.
    pub facts: CallFacts,
    /// How long its media may take.
    pub patience: std::time::Duration,
}

/// What became of a call that was placed: its transaction, or that it will not come. From the HTTP handler.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Placed {
    /// Which.
    pub call_id: CallId,
    /// `None`: nobody's telephone rings.
    pub transaction_id: Option<String>,
}
