//! Bounds what one incomplete frame may occupy.
//!
//! awc's `max_frame_size` refuses an oversized frame only when all of it has arrived and lies in memory: a peer that
//! announces 4 GiB gets 4 GiB. This counts the bytes read since the last whole frame and stops reading past the bound.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest WebSocket frame header a server sends, in bytes (RFC 6455 section 5.2, unmasked).
const HEADER: usize = 10;

/// Bytes read since the last whole frame.
#[derive(Clone)]
pub(super) struct Meter {
    read: Rc<Cell<usize>>,
    limit: usize,
}

impl Meter {
    /// For frames of at most `max_frame` bytes of payload.
    pub(super) fn new(max_frame: usize) -> Self {
        let read = Rc::new(Cell::new(0));
        let limit = max_frame.saturating_add(HEADER);
        Self { read, limit }
    }

    /// A whole frame was taken out.
    pub(super) fn reset(&self) {
        self.read.set(0);
    }

    /// Whether the frame under way is longer than allowed. Asked before a read, which happens only while it is incomplete.
    pub(super) fn is_over(&self) -> bool {
        self.read.get() >= self.limit
    }
}

/// A connection whose reads are metered.
pub(super) struct Metered<T> {
    pub(super) io: T,
    pub(super) meter: Meter,
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.meter.is_over() {
            return Poll::Ready(Err(io::Error::other("a frame over the size bound")));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before);
        self.meter.read.set(self.meter.read.get().saturating_add(read));
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
