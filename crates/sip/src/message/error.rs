use bytes::Bytes;

use super::read;
use super::{MAX_HEADERS, MAX_LINE_BYTES, MAX_MESSAGE_BYTES, Message, Name};

/// Longest piece of a stranger's message that an error repeats, in characters.
const MAX_SHOWN: usize = 64;

/// Digits from which on a value could hold a telephone number.
const MANY_DIGITS: usize = 7;

/// Why a message, or a part of it, cannot be read.
///
/// Every `value` is what was found, escaped to ASCII and cut to 64 characters, digits hidden where they could be a
/// telephone number: fit for a log line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Nothing but line ends: what keeps a way through a NAT open.
    #[error("the message is empty")]
    Empty,
    /// Larger than it may be.
    #[error("the message is longer than {MAX_MESSAGE_BYTES} bytes")]
    TooLarge,
    /// More headers than it may have.
    #[error("the message has more than {MAX_HEADERS} headers")]
    TooManyHeaders,
    /// A header, or the start line, is longer than it may be.
    #[error("a header is longer than {MAX_LINE_BYTES} bytes: {value}")]
    LineTooLong {
        /// How it begins.
        value: String,
    },
    /// It ends before its headers do.
    #[error("the message ends within its headers")]
    Cut,
    /// The first line is neither a request's nor a response's.
    #[error("the start line is {value}")]
    BadStartLine {
        /// What was found.
        value: String,
    },
    /// Another version than SIP/2.0.
    #[error("the version is {value}, spoken is SIP/2.0")]
    BadVersion {
        /// What was found.
        value: String,
    },
    /// A line among the headers is none.
    #[error("a header line is {value}")]
    BadHeader {
        /// What was found.
        value: String,
    },
    /// A header that every message has is missing.
    #[error("{name} is missing")]
    Missing {
        /// Which one.
        name: &'static str,
    },
    /// A header that may stand once stands there several times: which of them is meant?
    #[error("{name} is given several times")]
    Repeated {
        /// Which one.
        name: &'static str,
    },
    /// A header's value cannot be read.
    #[error("{name} is {value}")]
    BadValue {
        /// Which header.
        name: &'static str,
        /// What was found.
        value: String,
    },
    /// Not a URI.
    #[error("the URI is {value}")]
    BadUri {
        /// What was found.
        value: String,
    },
    /// The CSeq speaks of another method than the request.
    #[error("CSeq names {value}, which is not the request's method")]
    OtherMethod {
        /// What the CSeq names.
        value: String,
    },
    /// The Content-Length says more than there is.
    #[error("Content-Length is {announced}, {given} bytes follow")]
    BodyCut {
        /// Bytes announced.
        announced: usize,
        /// Bytes there.
        given: usize,
    },
}

impl BadMessage {
    /// The status that tells the sender of a request about it; none where there is nothing to answer.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Empty => None,
            Self::BadVersion { .. } => Some(505),
            Self::TooLarge | Self::TooManyHeaders | Self::LineTooLong { .. } => Some(513),
            _ => Some(400),
        }
    }

    /// The answer to the datagram that this was found in: nothing if it is a response, an ACK, or lacks what an answer has
    /// to echo.
    #[must_use]
    pub fn refusal(&self, datagram: &Bytes) -> Option<Message> {
        let code = self.status()?;
        let reason = match code {
            505 => "Version Not Supported",
            513 => "Message Too Large",
            _ => "Bad Request",
        };
        read::salvage(datagram).map(|request| Message::response_to(&request, code, reason))
    }

    /// A short name for a metric label.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::TooManyHeaders => "too_many_headers",
            Self::LineTooLong { .. } => "line_too_long",
            Self::Cut => "cut",
            Self::BadStartLine { .. } => "bad_start_line",
            Self::BadVersion { .. } => "bad_version",
            Self::BadHeader { .. } => "bad_header",
            Self::Missing { .. } => "missing",
            Self::Repeated { .. } => "repeated",
            Self::BadValue { .. } => "bad_value",
            Self::BadUri { .. } => "bad_uri",
            Self::OtherMethod { .. } => "other_method",
            Self::BodyCut { .. } => "body_cut",
        }
    }

    pub(super) fn bad(name: Name, value: &[u8]) -> Self {
        Self::BadValue { name: name.as_str(), value: shown(value) }
    }
}

/// What a stranger sent, fit for a log line: ASCII, 64 characters, no telephone number.
pub(super) fn shown(value: &[u8]) -> String {
    let hides_digits = value.iter().filter(|byte| byte.is_ascii_digit()).count() >= MANY_DIGITS;
    let mut out = String::with_capacity(MAX_SHOWN);
    out.push('"');
    for &byte in value {
        let next = if hides_digits && byte.is_ascii_digit() { "#".to_owned() } else { byte.escape_ascii().to_string() };
        if out.len() + next.len() > MAX_SHOWN {
            out.push_str("...");
            break;
        }
        out.push_str(&next);
    }
    out.push('"');
    out
}
