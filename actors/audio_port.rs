//! The one way audio travels between actors.

use actix::dev::{MessageResponse, SendError, ToEnvelope};
use actix::{Actor, Addr, Handler, Message, Recipient};

/// A bounded way to another actor's mailbox.
///
/// The address is kept, never cloned per message: a bounded actix mailbox is bounded only for a producer that keeps one
/// stored address and uses `try_send` (actix/actix#329).
pub struct AudioPort<M>(Recipient<M>)
where
    M: Message + Send + 'static,
    M::Result: Send;

impl<M> AudioPort<M>
where
    M: Message<Result = ()> + Send + 'static,
{
    /// A port into `actor`'s mailbox.
    pub fn to<A>(actor: &Addr<A>) -> Self
    where
        A: Actor + Handler<M>,
        A::Context: ToEnvelope<A, M>,
        (): MessageResponse<A, M>,
    {
        Self(actor.clone().recipient())
    }

    /// Hands `message` over without waiting. An actor that is gone takes everything: it was shut down because nobody
    /// wants its audio any more (a model that is given up), and what nobody wants is no loss.
    ///
    /// # Errors
    /// The message itself, when the mailbox is full: it stays with its sender, who counts what it drops.
    pub fn push(&self, message: M) -> Result<(), M> {
        match self.0.try_send(message) {
            Ok(()) | Err(SendError::Closed(_)) => Ok(()),
            Err(SendError::Full(message)) => Err(message),
        }
    }
}
