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
    /// One line end between messages: the answer to our keep-alive.
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
    is_lost: bool,
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
        let Some(end) = find(&self.buffer, HEAD_END, self.searched) else {
            self.searched = self.buffer.len().saturating_sub(HEAD_END.len() - 1);
            let is_endless = self.buffer.len() > MAX_MESSAGE_BYTES;
            return is_endless.then(|| self.lose(BadMessage::TooLarge));
        };
        self.searched = end;
        let head_bytes = end + HEAD_END.len();
        // Not split off before the body is there: a partial message is found here again.
        let head = match Head::read(&Bytes::copy_from_slice(self.buffer.get(..end)?)) {
            Ok(head) => head,
            Err(why) => return Some(self.lose(why)),
        };
        let Some(length) = head.length else {
            return Some(self.lose(BadMessage::Missing { name: "Content-Length" }));
        };
        let Some(whole) = head_bytes.checked_add(length).filter(|&whole| whole <= MAX_MESSAGE_BYTES) else {
            return Some(self.lose(BadMessage::TooLarge));
        };
        if self.buffer.len() < whole {
            return None;
        }
        let bytes = self.buffer.split_to(whole).freeze();
        self.searched = 0;
        Some(match head.with_body(bytes.slice(head_bytes..)) {
            Ok(message) => Framed::Message(message),
            Err(why) => Framed::Bad { refusal: why.refusal(&bytes), why, is_lost: false },
        })
    }

    fn lose(&mut self, why: BadMessage) -> Framed {
        self.is_lost = true;
        let bytes = std::mem::take(&mut self.buffer).freeze();
        Framed::Bad { refusal: why.refusal(&bytes), why, is_lost: true }
    }
}
