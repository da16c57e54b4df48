//! The headers of a [`Message`]: found, added, replaced.

use bytes::Bytes;

use super::{BadMessage, Message, Name, scan};

/// One header: its name as the sender wrote it, its value unfolded and trimmed.
#[derive(Clone, Debug)]
pub struct Header {
    known: Option<Name>,
    name: Bytes,
    value: Bytes,
}

/// Equal if they say the same: how a name is capitalised says nothing.
impl PartialEq for Header {
    fn eq(&self, other: &Self) -> bool {
        let is_same_name = match (self.known, other.known) {
            (None, None) => self.name.eq_ignore_ascii_case(&other.name),
            (one, another) => one == another,
        };
        is_same_name && self.value == other.value
    }
}

impl Eq for Header {}

impl Header {
    pub(super) fn from_parts(name: Bytes, value: Bytes) -> Self {
        Self { known: Name::parse(&name), name, value }
    }

    fn new(name: Name, value: &[u8]) -> Self {
        Self { known: Some(name), name: Bytes::from_static(name.as_str().as_bytes()), value: one_line(value) }
    }

    /// Which one it is, if it is known.
    #[must_use]
    pub const fn name(&self) -> Option<Name> {
        self.known
    }

    /// Its name as written.
    #[must_use]
    pub fn name_bytes(&self) -> &[u8] {
        &self.name
    }

    /// Its value, which may hold any bytes but line ends.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    pub(super) fn replace_value(&mut self, value: &[u8]) {
        self.value = one_line(value);
    }
}

impl Message {
    pub(super) fn from_headers(start: super::Start, headers: Vec<Header>, body: Bytes) -> Self {
        Self { start, headers, body }
    }

    /// All headers in order, without Content-Length.
    pub fn headers(&self) -> impl Iterator<Item = &Header> {
        self.headers.iter()
    }

    /// The value of the first header of that name, the whole line of it.
    #[must_use]
    pub fn value(&self, name: Name) -> Option<&[u8]> {
        self.headers.iter().find(|header| header.known == Some(name)).map(Header::value)
    }

    /// Every value of that name in order; lines that are lists are split at their commas.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let separator = name.is_list().then_some(b',');
        let lines = self.headers.iter().filter(move |header| header.known == Some(name));
        lines.flat_map(move |line| scan::split(line.value(), separator)).filter(|value| !value.is_empty())
    }

    /// The value of the first header with that name in any capitalisation: for `X-` headers.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&[u8]> {
        if let Some(known) = Name::parse(name.as_bytes()) {
            return self.value(known);
        }
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name.as_bytes())).map(Header::value)
    }

    /// Adds a header behind the others. A line end in the value becomes a space.
    pub fn push(&mut self, name: Name, value: impl AsRef<[u8]>) {
        self.headers.push(Header::new(name, value.as_ref()));
    }

    /// Adds a header before the others: a Via of ours.
    pub fn push_front(&mut self, name: Name, value: impl AsRef<[u8]>) {
        self.headers.insert(0, Header::new(name, value.as_ref()));
    }

    /// Adds a header that is not among the known names.
    ///
    /// # Errors
    /// The name is no token, or is Content-Length, which [`Message::write`] sets.
    pub fn push_named(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), BadMessage> {
        let is_name = scan::is_token(name.as_bytes()) && !is_content_length(name.as_bytes());
        if !is_name {
            return Err(BadMessage::BadHeader { value: super::error::shown(name.as_bytes()) });
        }
        self.headers.push(Header::from_parts(Bytes::copy_from_slice(name.as_bytes()), one_line(value.as_ref())));
        Ok(())
    }

    /// Makes this the only header of its name: in the place of the first one, or behind all.
    pub fn set(&mut self, name: Name, value: impl AsRef<[u8]>) {
        let mut new = Some(Header::new(name, value.as_ref()));
        self.headers.retain_mut(|header| {
            if header.known != Some(name) {
                return true;
            }
            new.take().is_some_and(|new| {
                *header = new;
                true
            })
        });
        self.headers.extend(new);
    }

    /// Takes away every header of that name.
    pub fn remove(&mut self, name: Name) {
        self.headers.retain(|header| header.known != Some(name));
    }

    /// Adds every header of that name from another message, byte for byte and in order.
    pub fn copy(&mut self, from: &Self, name: Name) {
        self.headers.extend(from.headers.iter().filter(|header| header.known == Some(name)).cloned());
    }

    pub(super) fn push_header(&mut self, header: Header) {
        self.headers.push(header);
    }

    pub(super) fn first_mut(&mut self, name: Name) -> Option<&mut Header> {
        self.headers.iter_mut().find(|header| header.known == Some(name))
    }
}

/// Whether a header of that name is the body's length.
pub(super) fn is_content_length(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l")
}

fn one_line(value: &[u8]) -> Bytes {
    let value = scan::trim(value);
    if !value.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return Bytes::copy_from_slice(value);
    }
    let line = value.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte });
    let line: Vec<u8> = line.collect();
    Bytes::copy_from_slice(scan::trim(&line))
}
