use bytes::{Buf, Bytes, BytesMut};

use super::read::{Head, find};
use super::{BadMessage, MAX_MESSAGE_BYTES, Message};

const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a stream brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framed {
    /// A message.
    Message(Message),
    /// Two line ends between messages: a keep-alive, to be answered with one (RFC 5626, section 4.4.1).
    Ping,
    /// One line end between messages: the answer to our keep-alive. Told when something follows it, for it could be half a
    /// ping: a sign of life is that bytes came at all.
    Pong,
    /// A message that cannot be read.
    Bad {
        /// What is wrong with it.
        why: BadMessage,
        /// The answer to it, if there may be one.
        refusal: Option<Message>,
        /// Whether it is unknown where the next message begins: the stream has to be closed, nothing more comes of it.
        is_lost: bool,
    },
}

/// Finds the messages in a stream (TCP, TLS), however it is cut: RFC 3261, section 18.3.
///
/// Holds one message and what was pushed last, never more: whoever pushes takes everything out before the next push.
#[derive(Debug, Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// Up to here the end of the headers was looked for in vain.
    searched: usize,
    /// What was read of a message whose body is not there yet.
    waiting: Option<Waiting>,
    is_lost: bool,
}

#[derive(Debug)]
struct Waiting {
    head: Head,
    head_bytes: usize,
    whole_bytes: usize,
}

impl StreamFramer {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what the stream brought. After [`Framed::Bad`] with `is_lost` it is thrown away.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.is_lost {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next message or keep-alive; nothing until more is pushed.
    #[expect(clippy::should_implement_trait, reason = "not over when it returns nothing")]
    pub fn next(&mut self) -> Option<Framed> {
        if self.is_lost {
            return None;
        }
        match *self.buffer {
            [b'\r', b'\n', b'\r', b'\n', ..] => {
                self.buffer.advance(HEAD_END.len());
                return Some(Framed::Ping);
            }
            // The second half of a ping may be on its way.
            [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] | [] => return None,
            [b'\r', b'\n', ..] => {
                self.buffer.advance(2);
                return Some(Framed::Pong);
            }
            _ => {}
        }
        let waiting = match self.waiting.take() {
            Some(waiting) => waiting,
            None => match self.head()? {
                Ok(waiting) => waiting,
                Err(why) => return Some(self.lose(why)),
            },
        };
        if self.buffer.len() < waiting.whole_bytes {
            self.waiting = Some(waiting);
            return None;
        }
        let bytes = self.buffer.split_to(waiting.whole_bytes).freeze();
        self.searched = 0;
        Some(match waiting.head.with_body(bytes.slice(waiting.head_bytes..)) {
            Ok(message) => Framed::Message(message),
            Err(why) => Framed::Bad { refusal: why.refusal(&bytes), why, is_lost: false },
        })
    }

    /// The headers of the next message, once they are there.
    fn head(&mut self) -> Option<Result<Waiting, BadMessage>> {
        let Some(end) = find(&self.buffer, HEAD_END, self.searched) else {
            self.searched = self.buffer.len().saturating_sub(HEAD_END.len() - 1);
            return (self.buffer.len() > MAX_MESSAGE_BYTES).then_some(Err(BadMessage::TooLarge));
        };
        let head = Bytes::copy_from_slice(self.buffer.get(..end)?);
        Some(Head::read(&head).and_then(|head| {
            let head_bytes = end + HEAD_END.len();
            let length = head.length.ok_or(BadMessage::Missing { name: "Content-Length" })?;
            let whole_bytes = head_bytes.checked_add(length).filter(|&whole| whole <= MAX_MESSAGE_BYTES);
            Ok(Waiting { head, head_bytes, whole_bytes: whole_bytes.ok_or(BadMessage::TooLarge)? })
        }))
    }

    fn lose(&mut self, why: BadMessage) -> Framed {
        self.is_lost = true;
        let bytes = std::mem::take(&mut self.buffer).freeze();
        Framed::Bad { refusal: why.refusal(&bytes), why, is_lost: true }
    }
}
