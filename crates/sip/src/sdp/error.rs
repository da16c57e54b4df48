use super::{MAX_BODY_BYTES, MAX_MEDIA};

/// Longest excerpt of a stranger's text in a message, in characters.
const EXCERPT_CHARS: usize = 64;

/// What a stranger wrote, fit for a log line: ASCII, and cut. Never to be used on a `crypto` line.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().flat_map(char::escape_default).take(EXCERPT_CHARS).collect()
}

/// Why a body is not taken. [`BadSdp::status`] says how SIP answers it.
///
/// Every `value` is what was found, escaped to ASCII and cut to 64 characters: fit for a log line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSdp {
    /// Longer than any SDP.
    #[error("the body has {length} bytes, allowed are {MAX_BODY_BYTES}")]
    TooLong {
        /// Bytes given.
        length: usize,
    },
    /// Something else, or nothing.
    #[error("the body begins with {value:?}, SDP with v=0")]
    NotSdp {
        /// Its first line.
        value: String,
    },
    /// An `m=` line that can't be read, and so can't be answered.
    #[error("the line m={value} is not MEDIA PORT PROTOCOL FORMATS")]
    BadMedia {
        /// The line's value.
        value: String,
    },
    /// More media than a call has.
    #[error("there are more than {MAX_MEDIA} m= lines")]
    TooManyMedia,
    /// No `m=audio`.
    #[error("no audio is offered")]
    NoAudio,
    /// `m=audio` with port 0: a stream that is not, or no more.
    #[error("the audio stream has port 0")]
    NoPort,
    /// Neither RTP nor SRTP with keys in SDP.
    #[error("the audio stream is {value}, allowed are RTP/AVP and RTP/SAVP")]
    BadProfile {
        /// The protocol.
        value: String,
    },
    /// No codec of ours.
    #[error("the audio stream has the formats {value}, none is PCMU or PCMA at 8000 Hz")]
    NoCodec {
        /// Its payload types.
        value: String,
    },
    /// Where to is not said.
    #[error("there is no c= line for the audio stream")]
    NoConnection,
    /// Not an address.
    #[error("the line c={value} is not IN IP4 ADDRESS or IN IP6 ADDRESS")]
    BadConnection {
        /// The line's value.
        value: String,
    },
    /// A name in the place of an address: resolving it would send media wherever a stranger's name server likes.
    #[error("the line c={value} names a host, only an address is taken")]
    HostName {
        /// The line's value.
        value: String,
    },
    /// Nobody's address.
    #[error("the line c={value} is not the address of one host")]
    NotUnicast {
        /// The line's value.
        value: String,
    },
    /// SRTP without a key that we can use.
    #[error("the audio stream is RTP/SAVP without a usable crypto line: {why}")]
    NoCrypto {
        /// About the first of them.
        why: super::BadCrypto,
    },
}

impl BadSdp {
    /// The SIP status of the refusal: 488 (Not Acceptable Here) where it was understood, else 400.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::TooLong { .. } | Self::NotSdp { .. } | Self::BadMedia { .. } | Self::TooManyMedia => 400,
            Self::NoConnection | Self::BadConnection { .. } => 400,
            Self::NoAudio | Self::NoPort | Self::BadProfile { .. } | Self::NoCodec { .. } => 488,
            Self::HostName { .. } | Self::NotUnicast { .. } | Self::NoCrypto { .. } => 488,
        }
    }
}

/// Why an offer that was read can't become a call: SIP answers 488 (Not Acceptable Here).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCommonMedia {
    /// No codec of ours.
    #[error("there is no codec in common")]
    NoCodec,
    /// Required by our configuration, and no key is offered.
    #[error("SRTP is required, and none is offered")]
    SrtpRequired,
    /// One of us has an IPv4 address, the other an IPv6 one.
    #[error("our address is {ours}, theirs {theirs}")]
    AddressFamily {
        /// `IP4` or `IP6`.
        ours: &'static str,
        /// The other one.
        theirs: &'static str,
    },
}

/// Why an answer does not fit what we offered: the call ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It can't be read, or the stream was refused (port 0).
    #[error(transparent)]
    Sdp(#[from] BadSdp),
    /// It can be read, and there can be no call all the same.
    #[error(transparent)]
    NoCommonMedia(#[from] NoCommonMedia),
    /// It does not speak of what was offered.
    #[error("the answer has {found} m= lines, its audio should be number {wanted}")]
    Missing {
        /// How many there are.
        found: usize,
        /// Which was offered, counted from 1.
        wanted: usize,
    },
    /// Plain RTP in the place of SRTP, or the other way round.
    #[error("the answer is {found}, offered was {offered}")]
    OtherProfile {
        /// The answer's.
        found: &'static str,
        /// Ours.
        offered: &'static str,
    },
    /// A codec that was not offered.
    #[error("the answer has no codec that was offered")]
    OtherCodec,
    /// A key for another tag or suite than was offered.
    #[error("the answer has no key for the crypto line that was offered")]
    OtherCrypto,
}
