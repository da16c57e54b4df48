//! SDP (RFC 8866) as far as a telephone call needs it, and the offer/answer model (RFC 3264) with SDES keys (RFC 4568).
//!
//! [`read`] takes the peer's offer, [`answer`] decides what the call will be, and [`Answer::description`] is what we say to
//! that. For calls of ours, and for a re-INVITE without an offer, [`offer`] and [`read_answer`] do the same the other way
//! round. Either way the outcome is [`Agreed`].
//!
//! The reader is tolerant where it costs nothing, because a refused SDP is a refused call: it looks at the lines it needs
//! and at no others. (The `sdp-types` crate, kept and well made, is strict by design: it refuses a whole body for a session
//! name in Latin-1, a second `s=`, a bandwidth with a fraction, a session version beyond 64 bits, or a NUL at the end. All
//! of these come from real telephones, and none concerns us.)
//!
//! ```
//! use trunkline_sip::sdp::{Codec, LocalMedia, answer, read};
//! use trunkline_sip::srtp::FreshKey;
//!
//! let offer = read(b"v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n")?;
//! let local = LocalMedia {
//!     address: "198.51.100.1".parse()?,
//!     port: 20_000,
//!     session_id: 42,
//!     require_srtp: false,
//!     fresh_key: FreshKey::new([7; 32], [9; 14]), // in earnest: the operating system's randomness
//! };
//! let answer = answer(&offer, &local, None)?;
//! assert_eq!(answer.agreed.codec, Codec::Pcmu);
//! assert_eq!(answer.agreed.rtp, Some("192.0.2.7:4000".parse()?));
//! assert!(answer.description.to_sdp().contains("m=audio 20000 RTP/AVP 0\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agreement;
mod body;
mod crypto;
mod description;
mod error;
mod negotiate;
mod offer;

use trunkline_media::LineCodec;

pub use agreement::{Agreement, BadOffer};
pub use crypto::{BadCrypto, Crypto};
pub use description::Description;
pub use error::{BadAnswer, BadSdp, NoCommonMedia};
pub use negotiate::{Agreed, Answer, Keys, LocalMedia, answer, offer, read_answer};
pub use offer::{Offer, Origin, read};

/// Longest body that is read, in bytes: what a SIP message over UDP can carry.
pub const MAX_BODY_BYTES: usize = 65_535;

/// How many `m=` lines there may be: each has to be answered.
pub const MAX_MEDIA: usize = 16;

/// Packet time that we send and ask for, in ms.
pub const PTIME_MS: u16 = 20;

/// A codec of ours, as RTP names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 mu-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl Codec {
    /// The codecs, the better one first: a Voice Connector speaks mu-law.
    pub const ALL: [Self; 2] = [Self::Pcmu, Self::Pcma];

    /// The encoding name of `a=rtpmap`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// The payload type that RFC 3551 gives it: 0 or 8.
    #[must_use]
    pub const fn static_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// What travels on the line with it.
    #[must_use]
    pub const fn line(self) -> LineCodec {
        match self {
            Self::Pcmu => LineCodec::Pcmu,
            Self::Pcma => LineCodec::Pcma,
        }
    }
}

/// The numbers that a stream's formats go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PayloadTypes {
    /// Of the codec.
    pub audio: u8,
    /// Of keys as events (RFC 4733), if they are sent so.
    pub telephone_event: Option<u8>,
}

/// Which way audio flows, as seen by who says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// The other side is on hold, and hears something.
    SendOnly,
    /// Nothing is sent.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// By its parts.
    #[must_use]
    pub const fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether who says so sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether who says so wants to be sent to.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same, seen from the other side.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// The attribute.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.name().eq_ignore_ascii_case(name))
    }
}

/// How RTP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `RTP/AVP`.
    Avp,
    /// `RTP/SAVP`: as SRTP.
    Savp,
}

impl Profile {
    /// As in an `m=` line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avp => "RTP/AVP",
            Self::Savp => "RTP/SAVP",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Avp, Self::Savp].into_iter().find(|profile| profile.name().eq_ignore_ascii_case(name))
    }
}
