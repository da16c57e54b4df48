//! RTCP (RFC 3550 section 6): reports about what is sent and received, and the round trip they give.

mod packet;
mod reporter;

pub use packet::{Item, Items, NotRtcp, ReportBlock, ReportBlocks, SenderInfo, parse};
pub use reporter::Reporter;

/// Whether a datagram on a port that carries both is RTCP and not RTP (RFC 5761 section 4).
#[must_use]
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [layout, 192..=223, ..] if layout >> 6 == 2)
}
