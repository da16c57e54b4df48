//! SRTP and SRTCP (RFC 3711) with keys from SDP (SDES, RFC 4568): AES in counter mode, HMAC-SHA1 tags of 80 or 32 bits,
//! keys of 128 bits and of 256 (RFC 6188).
//!
//! The cryptography is RustCrypto's; what stands here is the packet's: indices, replay, key derivation. Each way of a
//! call has a master key of its own: [`Protect`] takes ours, [`Unprotect`] the peer's.
//!
//! ```
//! use bytes::BytesMut;
//! use trunkline_sip::srtp::{FreshKey, Protect, Sdes, Suite, Unprotect};
//!
//! let fresh = FreshKey::new([7; 32], [9; 14]); // in earnest: the operating system's randomness
//! let sdes = Sdes::generate(Suite::AesCm128HmacSha1_80, &fresh);
//! let mut packet = BytesMut::from(&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9, 0xFF, 0xFF][..]);
//! Protect::new(&sdes).protect_rtp(&mut packet)?;
//! assert_eq!(packet.len(), 14 + 10);
//! Unprotect::new(&sdes).unprotect_rtp(&mut packet)?;
//! assert_eq!(packet.get(12..), Some(&[0xFF, 0xFF][..]));
//! # Ok::<(), trunkline_sip::srtp::SrtpError>(())
//! ```

mod keys;
mod packet;
mod sdes;
mod streams;
mod suite;

use bytes::{BufMut, BytesMut};

use keys::{Label, SessionKeys};
use packet::{RtcpHead, RtpHead};
pub use sdes::{BadSdes, FreshKey, Sdes};
use streams::Streams;
pub use streams::{MAX_SOURCES, WINDOW};
pub use suite::Suite;

/// Longest packet that is taken, in bytes: what a UDP datagram can hold.
pub const MAX_PACKET_BYTES: usize = 65_535;

/// Bytes of an SRTCP tag. The suites whose SRTP tag has 32 bits have 80 here too (RFC 4568, section 6.2.2).
const RTCP_TAG_BYTES: usize = 10;

/// Bytes of the E bit and the SRTCP index, which stand before the tag.
const RTCP_INDEX_BYTES: usize = 4;

/// In the SRTCP index: the report is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// Why a packet is not passed on. It is left as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// No packet of that protocol.
    #[error("{length} bytes are no {protocol} packet")]
    Malformed {
        /// `RTP`, `RTCP`, `SRTP` or `SRTCP`.
        protocol: &'static str,
        /// Bytes given.
        length: usize,
    },
    /// Not written with this key, or changed on its way.
    #[error("the tag does not fit the packet")]
    Forged,
    /// Received before; when sending: protecting two packets at one index would give both away.
    #[error("packet {index} was there before")]
    Replayed {
        /// Rollover counter and sequence number, or the SRTCP index.
        index: u64,
    },
    /// Too far behind the newest one to tell whether it was there before.
    #[error("packet {index} is {WINDOW} or more behind the newest")]
    TooOld {
        /// Rollover counter and sequence number, or the SRTCP index.
        index: u64,
    },
    /// A report that says it is not encrypted: nobody agreed to that.
    #[error("the report is not encrypted")]
    NotEncrypted,
    /// One more SSRC than a key is used for.
    #[error("a source too many, allowed are {MAX_SOURCES} with a key")]
    TooManySources,
    /// 2^48 packets or 2^31 reports: the key has to be replaced.
    #[error("the key is used up")]
    KeyExhausted,
}

/// Encrypts and signs what we send.
///
/// It has to live as long as its key: one made anew would use indices a second time, and with them the key stream.
/// A stream's sequence numbers should begin below 2^15, or a peer that misses the first packets can't tell how often
/// they have wrapped (RFC 3711, section 3.3.1).
#[derive(Debug)]
pub struct Protect {
    suite: Suite,
    rtp: SessionKeys,
    rtcp: SessionKeys,
    sent: Streams,
    /// Index of the next report, below 2^31. One count for all sources: the key stream depends on the source too.
    next_report: u32,
}

impl Protect {
    /// With our key.
    #[must_use]
    pub fn new(sdes: &Sdes) -> Self {
        Self {
            suite: sdes.suite(),
            rtp: SessionKeys::derive(sdes, Label::RTP),
            rtcp: SessionKeys::derive(sdes, Label::RTCP),
            sent: Streams::default(),
            next_report: 0,
        }
    }

    /// Makes an SRTP packet of an RTP packet: 10 or 4 bytes longer.
    ///
    /// # Errors
    /// The packet is no RTP, its index was used before, or there can be no index for it.
    pub fn protect_rtp(&mut self, packet: &mut BytesMut) -> Result<(), SrtpError> {
        let length = packet.len();
        let malformed = SrtpError::Malformed { protocol: "RTP", length };
        let head = RtpHead::read(packet).ok_or(malformed)?;
        let index = self.sent.of(head.ssrc)?.index(head.sequence).ok_or(SrtpError::KeyExhausted)?;
        self.sent.of(head.ssrc)?.check(index)?;
        let payload = packet.get_mut(head.length..).ok_or(malformed)?;
        self.rtp.apply_key_stream(head.ssrc, index, payload);
        let tag = self.rtp.tag(packet, rollovers(index));
        packet.put(tag.get(..self.suite.rtp_tag_bytes()).unwrap_or(&tag));
        self.sent.note(head.ssrc, index);
        Ok(())
    }

    /// Makes an SRTCP packet of a (compound) RTCP packet: 14 bytes longer.
    ///
    /// # Errors
    /// The packet is no RTCP, or 2^31 were sent.
    pub fn protect_rtcp(&mut self, packet: &mut BytesMut) -> Result<(), SrtpError> {
        let length = packet.len();
        let malformed = SrtpError::Malformed { protocol: "RTCP", length };
        let head = RtcpHead::read(packet).ok_or(malformed)?;
        let index = self.next_report;
        if index >= ENCRYPTED {
            return Err(SrtpError::KeyExhausted);
        }
        let report = packet.get_mut(RtcpHead::BYTES..).ok_or(malformed)?;
        self.rtcp.apply_key_stream(head.ssrc, u64::from(index), report);
        let trailer = ENCRYPTED | index;
        let tag = self.rtcp.tag(packet, trailer);
        packet.put_u32(trailer);
        packet.put(tag.get(..RTCP_TAG_BYTES).unwrap_or(&tag));
        self.next_report += 1;
        Ok(())
    }
}

/// Checks and decrypts what the peer sends. It has to live as long as its key, or forgets what it has seen.
#[derive(Debug)]
pub struct Unprotect {
    suite: Suite,
    rtp: SessionKeys,
    rtcp: SessionKeys,
    received: Streams,
    reports: Streams,
}

impl Unprotect {
    /// With the peer's key.
    #[must_use]
    pub fn new(sdes: &Sdes) -> Self {
        Self {
            suite: sdes.suite(),
            rtp: SessionKeys::derive(sdes, Label::RTP),
            rtcp: SessionKeys::derive(sdes, Label::RTCP),
            received: Streams::default(),
            reports: Streams::default(),
        }
    }

    /// Makes the RTP packet of an SRTP packet.
    ///
    /// # Errors
    /// The packet is no SRTP, is not the peer's, or was there before. It is as it was then.
    pub fn unprotect_rtp(&mut self, packet: &mut BytesMut) -> Result<(), SrtpError> {
        let malformed = SrtpError::Malformed { protocol: "SRTP", length: packet.len() };
        let end = packet.len().checked_sub(self.suite.rtp_tag_bytes()).ok_or(malformed)?;
        let (body, tag) = packet.split_at_mut_checked(end).ok_or(malformed)?;
        let head = RtpHead::read(body).ok_or(malformed)?;
        let stream = self.received.of(head.ssrc)?;
        let mut index = stream.index(head.sequence).ok_or(SrtpError::KeyExhausted)?;
        stream.check(index)?;
        if !self.rtp.verify(body, rollovers(index), tag) {
            // Sequence numbers begin anywhere: the first packet that arrives may be one from after the first wrap.
            let wrapped = index + (1 << 16);
            if !stream.is_new() || !self.rtp.verify(body, rollovers(wrapped), tag) {
                return Err(SrtpError::Forged);
            }
            index = wrapped;
        }
        let payload = body.get_mut(head.length..).ok_or(malformed)?;
        self.rtp.apply_key_stream(head.ssrc, index, payload);
        packet.truncate(end);
        self.received.note(head.ssrc, index);
        Ok(())
    }

    /// Makes the RTCP packet of an SRTCP packet.
    ///
    /// # Errors
    /// The packet is no SRTCP, is not the peer's, or was there before. It is as it was then.
    pub fn unprotect_rtcp(&mut self, packet: &mut BytesMut) -> Result<(), SrtpError> {
        let malformed = SrtpError::Malformed { protocol: "SRTCP", length: packet.len() };
        let end = packet.len().checked_sub(RTCP_INDEX_BYTES + RTCP_TAG_BYTES).ok_or(malformed)?;
        let (body, rest) = packet.split_at_mut_checked(end).ok_or(malformed)?;
        let (trailer, tag) = rest.split_first_chunk().ok_or(malformed)?;
        let head = RtcpHead::read(body).ok_or(malformed)?;
        let trailer = u32::from_be_bytes(*trailer);
        if trailer & ENCRYPTED == 0 {
            return Err(SrtpError::NotEncrypted);
        }
        let index = u64::from(trailer & !ENCRYPTED);
        self.reports.of(head.ssrc)?.check(index)?;
        if !self.rtcp.verify(body, trailer, tag) {
            return Err(SrtpError::Forged);
        }
        let report = body.get_mut(RtcpHead::BYTES..).ok_or(malformed)?;
        self.rtcp.apply_key_stream(head.ssrc, index, report);
        packet.truncate(end);
        self.reports.note(head.ssrc, index);
        Ok(())
    }
}

/// The rollover counter: how often the sequence number has wrapped.
const fn rollovers(index: u64) -> u32 {
    (index >> 16) as u32
}
