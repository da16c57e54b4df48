//! As much of RTP and RTCP packets as SRTP needs to know.

use super::MAX_PACKET_BYTES;

/// The beginning of an RTP packet (RFC 3550, section 5.1), which is signed and not encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RtpHead {
    pub sequence: u16,
    pub ssrc: u32,
    /// Bytes up to the payload, with contributing sources and extension.
    pub length: usize,
}

impl RtpHead {
    /// `None` if that is no RTP packet, or its head is not all there.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let [first, _, s0, s1, _, _, _, _, r0, r1, r2, r3] = *packet.first_chunk()?;
        if first >> 6 != 2 || packet.len() > MAX_PACKET_BYTES {
            return None;
        }
        let mut length = 12 + 4 * usize::from(first & 0x0F);
        if first & 0x10 != 0 {
            let [_, _, w0, w1] = *packet.get(length..)?.first_chunk()?;
            length += 4 + 4 * usize::from(u16::from_be_bytes([w0, w1]));
        }
        let head = Self { sequence: u16::from_be_bytes([s0, s1]), ssrc: u32::from_be_bytes([r0, r1, r2, r3]), length };
        (length <= packet.len()).then_some(head)
    }
}

/// The beginning of an RTCP packet (RFC 3550, section 6.4), which is signed and not encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RtcpHead {
    pub ssrc: u32,
}

impl RtcpHead {
    pub const BYTES: usize = 8;

    /// `None` if that is no RTCP packet.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let [first, _, _, _, r0, r1, r2, r3] = *packet.first_chunk()?;
        let is_rtcp = first >> 6 == 2 && packet.len() <= MAX_PACKET_BYTES;
        is_rtcp.then_some(Self { ssrc: u32::from_be_bytes([r0, r1, r2, r3]) })
    }
}
