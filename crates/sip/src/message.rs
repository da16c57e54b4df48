//! SIP messages (RFC 3261) as they travel: read from a datagram or a stream, written, and looked into.
//!
//! Headers are kept in order as the sender wrote them, so that what has to be echoed (Via, From, To, Call-ID, CSeq,
//! Record-Route) is echoed byte for byte. What is inside a value is read only when asked for: [`Uri`], [`NameAddr`],
//! [`Via`] and so on are views, made when they are needed.
//!
//! Read leniently: compact names, any capitalisation, folded lines, unknown methods, schemes and headers, and bytes that
//! are not UTF-8. Strict where leniency would be guessing: lines end with CRLF, what may stand once stands once, numbers
//! have bounds.

pub mod digest;
mod error;
mod framer;
mod headers;
mod method;
mod name;
mod name_addr;
mod params;
mod read;
mod scan;
mod uri;
mod via;
mod views;

use bytes::{BufMut, Bytes, BytesMut};

pub use error::BadMessage;
pub use framer::{Framed, StreamFramer};
pub use headers::Header;
pub use method::Method;
pub use name::Name;
pub use name_addr::NameAddr;
pub use params::Params;
pub use uri::{Host, Scheme, Uri};
pub use via::{Rport, Via, ViaTransport};
pub use views::{Reason, Refresher, SessionExpires};

/// Most bytes of a message, body and all: what a datagram holds.
pub const MAX_MESSAGE_BYTES: usize = 65_536;

/// Most headers of a message.
pub const MAX_HEADERS: usize = 128;

/// Most bytes of one header, its name and folded lines included, and of the start line.
pub const MAX_LINE_BYTES: usize = 8_192;

/// The first line of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Of a request.
    Request {
        /// What is asked for.
        method: Method,
        /// The Request-URI as written; [`Message::request_uri`] looks into it.
        uri: Bytes,
    },
    /// Of a response.
    Response {
        /// 100 to 699.
        code: u16,
        /// For people, often empty.
        reason: String,
    },
}

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its first line.
    pub start: Start,
    /// All but Content-Length, which is the body's own.
    headers: Vec<Header>,
    /// What follows the headers, for example SDP. [`Message::write`] says its length.
    pub body: Bytes,
}

impl Message {
    /// Reads a datagram. Empty lines before the message are skipped, bytes behind its Content-Length are cut off.
    ///
    /// A message that was read has a Via, From, To, Call-ID and CSeq which can be read too; a request has a Request-URI,
    /// and its CSeq names its method.
    ///
    /// # Errors
    /// It is no SIP, or breaks its rules. [`BadMessage::refusal`] makes the answer where there may be one.
    pub fn parse(datagram: &Bytes) -> Result<Self, BadMessage> {
        read::datagram(datagram)
    }

    /// A request without headers.
    #[must_use]
    pub fn request(method: Method, uri: impl AsRef<[u8]>) -> Self {
        let start = Start::Request { method, uri: Bytes::copy_from_slice(uri.as_ref()) };
        Self { start, headers: Vec::new(), body: Bytes::new() }
    }

    /// A response to `request` with what has to be echoed: every Via, From, To, Call-ID and CSeq (RFC 3261, section
    /// 8.2.6.2). A tag for the To is the caller's matter ([`Message::add_to_tag`]), as is the Record-Route of a response
    /// that makes a dialog ([`Message::copy`]).
    #[must_use]
    pub fn response_to(request: &Self, code: u16, reason: &str) -> Self {
        let start = Start::Response { code, reason: reason.to_owned() };
        let mut response = Self { start, headers: Vec::new(), body: Bytes::new() };
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            response.copy(request, name);
        }
        response
    }

    /// Appends the message as it travels, with the Content-Length of its body.
    pub fn write(&self, out: &mut BytesMut) {
        match &self.start {
            Start::Request { method, uri } => {
                out.put_slice(method.as_str().as_bytes());
                out.put_u8(b' ');
                put_line(out, uri);
                out.put_slice(b" SIP/2.0\r\n");
            }
            Start::Response { code, reason } => {
                out.put_slice(format!("SIP/2.0 {code} ").as_bytes());
                put_line(out, reason.as_bytes());
                out.put_slice(b"\r\n");
            }
        }
        for header in &self.headers {
            out.put_slice(header.name_bytes());
            out.put_slice(b": ");
            out.put_slice(header.value());
            out.put_slice(b"\r\n");
        }
        out.put_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        out.put_slice(&self.body);
    }

    /// The message as it travels.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(1_024 + self.body.len());
        self.write(&mut out);
        out.freeze()
    }

    /// What a request asks for; nothing for a response.
    #[must_use]
    pub const fn method(&self) -> Option<&Method> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The status of a response, 100 to 699; nothing for a request.
    #[must_use]
    pub const fn code(&self) -> Option<u16> {
        match self.start {
            Start::Request { .. } => None,
            Start::Response { code, .. } => Some(code),
        }
    }
}

/// A line end in what strangers say would begin a header of their own.
fn put_line(out: &mut BytesMut, text: &[u8]) {
    out.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
}
