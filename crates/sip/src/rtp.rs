//! RTP (RFC 3550 section 5): packets as they are on the wire, what is sent, and what is taken from strangers.

mod receiver;
mod seen;
mod sender;

use std::time::Duration;

use bytes::{BufMut, BytesMut};

pub use receiver::{Place, Receiver, ReceiverStats, Refused};
pub(crate) use seen::{Seen, Sighting};
pub use sender::Sender;

/// Bytes of a header without contributing sources and extension.
pub const HEADER_BYTES: usize = 12;
/// Timestamp units in 20 ms, and bytes of G.711.
pub const FRAME_TICKS: u32 = 160;
/// RTP's clock for G.711 and its telephone events in Hz (RFC 3551 table 4).
pub const CLOCK_RATE: u32 = 8_000;

/// The first twelve bytes of a packet, without what only says how the rest is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// In audio: the first packet of a talkspurt; in telephone events: the first of an event.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// Counts packets, and wraps.
    pub sequence: u16,
    /// When the first sample was taken, in units of 1/8,000 s, and wraps.
    pub timestamp: u32,
    /// Who sent it (synchronisation source).
    pub ssrc: u32,
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its header.
    pub header: Header,
    /// What it carries, without padding; may be empty.
    pub payload: &'a [u8],
}

/// The bytes are not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRtp {
    /// Less than a header.
    #[error("{0} bytes are less than the 12 of an RTP header")]
    Short(usize),
    /// Another protocol, STUN for one.
    #[error("version {0} is not 2")]
    Version(u8),
    /// The packet ends within its contributing sources.
    #[error("{0} contributing sources do not fit in the packet")]
    Sources(u8),
    /// The packet ends within its header extension.
    #[error("the header extension does not fit in the packet")]
    Extension,
    /// The count of padding bytes is 0 or more than there is.
    #[error("padding of {0} bytes does not fit in the packet")]
    Padding(u8),
}

impl<'a> Packet<'a> {
    /// Reads a packet. Contributing sources, a header extension and padding are skipped.
    ///
    /// # Errors
    /// If the bytes are not RTP, see [`NotRtp`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NotRtp> {
        let Some((fixed, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(NotRtp::Short(bytes.len()));
        };
        let [layout, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if layout >> 6 != 2 {
            return Err(NotRtp::Version(layout >> 6));
        }
        let sources = layout & 0x0F;
        let mut payload = rest.get(usize::from(sources) * 4..).ok_or(NotRtp::Sources(sources))?;
        if layout & 0x10 != 0 {
            let ([_, _, high, low], after) = payload.split_first_chunk::<4>().ok_or(NotRtp::Extension)?;
            let words = usize::from(u16::from_be_bytes([*high, *low]));
            payload = after.get(words * 4..).ok_or(NotRtp::Extension)?;
        }
        if layout & 0x20 != 0 {
            let padding = payload.last().copied().unwrap_or_default();
            let kept = payload.len().checked_sub(padding.into()).filter(|_| padding > 0);
            payload = kept.and_then(|kept| payload.get(..kept)).ok_or(NotRtp::Padding(padding))?;
        }
        let header = Header {
            marker: kind & 0x80 != 0,
            payload_type: kind & 0x7F,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        };
        Ok(Self { header, payload })
    }

    /// Appends the packet.
    pub fn write(&self, out: &mut BytesMut) {
        let Header { marker, payload_type, sequence, timestamp, ssrc } = self.header;
        out.reserve(HEADER_BYTES + self.payload.len());
        out.put_u8(2 << 6);
        out.put_u8(payload_type & 0x7F | if marker { 0x80 } else { 0 });
        out.put_u16(sequence);
        out.put_u32(timestamp);
        out.put_u32(ssrc);
        out.put_slice(self.payload);
    }
}

/// A duration in timestamp units, rounded down.
pub(crate) fn ticks(duration: Duration) -> u64 {
    let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    us / 1_000_000 * u64::from(CLOCK_RATE) + us % 1_000_000 * u64::from(CLOCK_RATE) / 1_000_000
}
