//! The one way audio travels between actors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::dev::{MessageResponse, SendError, ToEnvelope};
use actix::{Actor, Addr, Handler, Message, Recipient};

/// A bounded way to another actor's mailbox.
///
/// The address is kept, never cloned per message: a bounded actix mailbox is bounded only for a producer that keeps one
/// stored address and uses `try_send` (actix/actix#329).
pub struct AudioPort<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    to: Recipient<M>,
    full: Arc<AtomicU64>,
}

impl<M> AudioPort<M>
where
    M: Message<Result = ()> + Send + 'static,
{
    /// A port into `actor`'s mailbox; how often that was full is counted by `full`.
    pub fn to<A>(actor: &Addr<A>, full: &Arc<AtomicU64>) -> Self
    where
        A: Actor + Handler<M>,
        A::Context: ToEnvelope<A, M>,
        (): MessageResponse<A, M>,
    {
        Self { to: actor.clone().recipient(), full: Arc::clone(full) }
    }

    /// Hands `message` over without waiting. An actor that is gone takes everything: it was shut down because nobody
    /// wants its audio any more (a model that is given up), and what nobody wants is no loss.
    ///
    /// # Errors
    /// The message itself, when the mailbox is full: it stays with its sender, who counts what it drops.
    pub fn push(&self, message: M) -> Result<(), M> {
        match self.to.try_send(message) {
            Ok(()) | Err(SendError::Closed(_)) => Ok(()),
            Err(SendError::Full(message)) => {
                self.full.fetch_add(1, Ordering::Relaxed);
                Err(message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix::{AsyncContext, Context};

    use super::*;

    struct Sleeper;

    impl Actor for Sleeper {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Frame(usize);

    impl Handler<Frame> for Sleeper {
        type Result = ();

        fn handle(&mut self, _: Frame, _: &mut Self::Context) {}
    }

    #[actix_rt::test]
    async fn what_a_full_mailbox_refuses_comes_back_and_is_counted() {
        let mut context = Context::<Sleeper>::new();
        context.set_mailbox_capacity(2);
        let full = Arc::default();
        let port = AudioPort::to(&context.address(), &full);
        let refused = (0..10).find_map(|number| port.push(Frame(number)).err()).unwrap();
        assert!((2..=4).contains(&refused.0), "about two fit: {}", refused.0);
        assert_eq!(full.load(Ordering::Relaxed), 1);
        // One that is gone takes everything.
        drop(context);
        assert!(port.push(refused).is_ok());
        assert_eq!(full.load(Ordering::Relaxed), 1);
    }
}
