//! What the actors need of the outside world, as traits: the service plugs in sockets, tests plug in memory.

use std::collections::BTreeMap;
use std::pin::Pin;

use actix::dev::{MessageResponse, ToEnvelope};
use actix::{Actor, Addr, Handler, Message};
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::Sink;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::LocalBoxStream;
use trunkline_call::{CallId, TraceContext};

/// Opens sockets to the model. One lives on each worker; what it returns never leaves that worker.
pub trait ModelTransport {
    /// Connects and upgrades. The future may be dropped at any time.
    ///
    /// # Errors
    /// [`ConnectError`], which never carries a key.
    fn connect(&self, url: &str) -> LocalBoxFuture<'static, Result<ModelSocket, ConnectError>>;
}

/// An open socket to the model.
pub struct ModelSocket {
    /// Towards the model. Each item is flushed.
    pub outgoing: Pin<Box<dyn Sink<Outgoing, Error = SocketError>>>,
    /// From the model; ends after [`Incoming::Closed`].
    pub incoming: LocalBoxStream<'static, Incoming>,
}

/// One WebSocket message to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// One JSON event.
    Text(ByteString),
    /// A liveness probe.
    Ping,
    /// The answer to the model's ping, with its payload.
    Pong(Bytes),
    /// The closing handshake (RFC 6455 section 7.4 codes).
    Close {
        /// Close code.
        code: u16,
    },
}

/// One WebSocket message from the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// One JSON event, UTF-8 not yet checked.
    Text(Bytes),
    /// The model's liveness probe.
    Ping(Bytes),
    /// The answer to ours.
    Pong,
    /// A binary message, or one over the size bound: nothing the protocol knows.
    Undecodable,
    /// The socket is gone; the last item.
    Closed {
        /// Close code, if the model sent one.
        code: Option<u16>,
        /// Its reason, or what broke.
        reason: String,
    },
}

/// Why no socket to the model came to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The upgrade was answered with another status than 101.
    #[error("the model refused the connection with HTTP {status}")]
    Refused {
        /// HTTP status.
        status: u16,
    },
    /// Name resolution, TCP, TLS or a time limit.
    #[error("the model cannot be reached: {what}")]
    Unreachable {
        /// What failed, without address query or key.
        what: String,
    },
}

/// A socket that takes no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the socket is closed: {0}")]
pub struct SocketError(pub String);

/// Asks the SIP media application's side of calls for things: the two calls of its API. One lives beside the supervisor.
pub trait CallControl {
    /// Asks the application to act on a live call (UpdateSipMediaApplicationCall). It is accepted, not done, when this
    /// returns. `arguments` must never be logged.
    ///
    /// # Errors
    /// [`ControlError`].
    fn update(
        &self,
        transaction_id: &str,
        arguments: BTreeMap<String, String>,
    ) -> LocalBoxFuture<'static, Result<(), ControlError>>;

    /// Rings somebody up (CreateSipMediaApplicationCall); gives the transaction id. Not idempotent: never sent twice, by
    /// the implementation neither.
    ///
    /// # Errors
    /// [`ControlError`]; after [`ControlError::Unavailable`] the telephone may ring all the same.
    fn create(&self, call: OutgoingCall) -> LocalBoxFuture<'static, Result<String, ControlError>>;
}

/// Whom to ring up.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingCall {
    /// Our number, E.164.
    pub from: String,
    /// Whom, E.164.
    pub to: String,
    /// For the application; must never be logged.
    pub arguments: BTreeMap<String, String>,
}

/// Why the application's side did not take a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The account's quota is used up: worth another try later.
    #[error("the SIP media application's quota is used up")]
    Throttled,
    /// No answer, or a fault over there: worth another try.
    #[error("the SIP media application cannot be reached: {0}")]
    Unavailable(String),
    /// The transaction is over.
    #[error("the SIP media application knows no such call any more")]
    Gone,
    /// It will never be taken: a wrong value, or no permission.
    #[error("the SIP media application refused: {0}")]
    Refused(String),
}

/// On whose behalf a tool is called.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// The tool's name.
    pub name: String,
    /// The JSON object that the model wrote, checked to be one.
    pub arguments: String,
    /// The call.
    pub call_id: CallId,
    /// Its trace, with a span of this tool's own as parent.
    pub trace: TraceContext,
}

/// Calls the HTTP tools of the configuration. One lives on each worker.
pub trait ToolCaller {
    /// Runs a tool. Gives what the model is to be told, already bounded in length; errors are told to it as well.
    ///
    /// # Errors
    /// A text for the model and the timeline, without address or secret.
    fn call(&self, call: ToolCall) -> LocalBoxFuture<'static, Result<String, String>>;
}

/// Sends a control message. Control is rare at its source (a key, a turn, an end), so that ignoring the mailbox bound
/// is safe, and it must arrive. Audio never goes this way.
pub fn tell<A, M>(actor: &Addr<A>, message: M)
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: MessageResponse<A, M> + Send,
{
    #[expect(clippy::disallowed_methods, reason = "the one door for control messages")]
    actor.do_send(message);
}
