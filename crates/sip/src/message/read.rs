//! From bytes to a [`Message`].

use bytes::Bytes;

use super::error::shown;
use super::headers::is_content_length;
use super::{BadMessage, Header, MAX_HEADERS, MAX_LINE_BYTES, MAX_MESSAGE_BYTES, Message, Method, Name, Start, scan};

const LINE_END: &[u8] = b"\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Everything before the body.
#[derive(Debug)]
pub(super) struct Head {
    start: Start,
    headers: Vec<Header>,
    /// The Content-Length, where there is one.
    pub(super) length: Option<usize>,
}

impl Head {
    /// Reads the start line and headers, without the empty line at their end.
    pub(super) fn read(head: &Bytes) -> Result<Self, BadMessage> {
        let mut lines = Lines { rest: head.clone() };
        let start = start_line(&lines.next_line().ok_or(BadMessage::Cut)?)?;
        let (mut headers, mut length) = (Vec::new(), None);
        while let Some(line) = lines.next_folded() {
            if headers.len() >= MAX_HEADERS {
                return Err(BadMessage::TooManyHeaders);
            }
            let (name, value) = header_line(&line)?;
            if !is_content_length(&name) {
                headers.push(Header::from_parts(name, value));
            } else if length.is_none() {
                let bad = || BadMessage::BadValue { name: "Content-Length", value: shown(&value) };
                length = Some(scan::number(&value).ok_or_else(bad)?);
            } else {
                return Err(BadMessage::Repeated { name: "Content-Length" });
            }
        }
        Ok(Self { start, headers, length })
    }

    /// With its body, if it is a message by the rules.
    pub(super) fn with_body(self, body: Bytes) -> Result<Message, BadMessage> {
        let message = Message::from_headers(self.start, self.headers, body);
        check(&message)?;
        Ok(message)
    }
}

pub(super) fn datagram(datagram: &Bytes) -> Result<Message, BadMessage> {
    let datagram = skip_line_ends(datagram);
    if datagram.is_empty() {
        return Err(BadMessage::Empty);
    }
    if datagram.len() > MAX_MESSAGE_BYTES {
        return Err(BadMessage::TooLarge);
    }
    let end = find(&datagram, HEAD_END, 0).ok_or(BadMessage::Cut)?;
    let head = Head::read(&datagram.slice(..end))?;
    let body = datagram.slice(end + HEAD_END.len()..);
    let body = match head.length {
        None => body,
        Some(length) if length <= body.len() => body.slice(..length),
        Some(announced) => return Err(BadMessage::BodyCut { announced, given: body.len() }),
    };
    head.with_body(body)
}

/// Of a request that cannot be read, what an answer to it has to echo. Nothing for a response or an ACK, which are never
/// answered.
pub(super) fn salvage(datagram: &Bytes) -> Option<Message> {
    let datagram = skip_line_ends(datagram);
    let datagram = datagram.slice(..datagram.len().min(MAX_MESSAGE_BYTES));
    // What follows the last line end may be half a header.
    let end = find(&datagram, HEAD_END, 0).or_else(|| datagram.windows(2).rposition(|pair| pair == LINE_END))?;
    let mut lines = Lines { rest: datagram.slice(..end) };
    let line = lines.next_line()?;
    let (method, _) = scan::split_once(&line, b' ')?;
    let method = Method::parse(method).filter(|method| *method != Method::Ack)?;
    let mut request = Message::from_headers(Start::Request { method, uri: Bytes::new() }, Vec::new(), Bytes::new());
    for _ in 0..MAX_HEADERS {
        let Some(line) = lines.next_folded() else { break };
        let Ok((name, value)) = header_line(&line) else { continue };
        match Name::parse(&name) {
            Some(Name::Via) => request.push_header(Header::from_parts(name, value)),
            Some(known @ (Name::From | Name::To | Name::CallId | Name::CSeq)) if request.value(known).is_none() => {
                request.push_header(Header::from_parts(name, value));
            }
            _ => {}
        }
    }
    let needed = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq];
    needed.into_iter().all(|name| request.value(name).is_some()).then_some(request)
}

/// What every element of the network needs to be able to read.
fn check(message: &Message) -> Result<(), BadMessage> {
    for &name in Name::SINGLE {
        if message.headers().filter(|header| header.name() == Some(name)).count() > 1 {
            return Err(BadMessage::Repeated { name: name.as_str() });
        }
    }
    message.via()?;
    message.from()?;
    message.to()?;
    if message.call_id().is_empty() {
        return Err(BadMessage::Missing { name: Name::CallId.as_str() });
    }
    let (_, counted) = message.cseq()?;
    message.max_forwards()?;
    let Some(method) = message.method() else { return Ok(()) };
    message.request_uri()?;
    if counted == *method { Ok(()) } else { Err(BadMessage::OtherMethod { value: shown(counted.as_str().as_bytes()) }) }
}

fn start_line(line: &[u8]) -> Result<Start, BadMessage> {
    if line.len() > MAX_LINE_BYTES {
        return Err(BadMessage::LineTooLong { value: shown(line) });
    }
    let bad = || BadMessage::BadStartLine { value: shown(line) };
    if line.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return Err(bad());
    }
    let (first, rest) = scan::split_once(line, b' ').ok_or_else(bad)?;
    if first.get(..4).is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"SIP/")) {
        check_version(first)?;
        let (code, reason) = scan::split_once(rest, b' ').unwrap_or((rest, b""));
        let code = scan::number::<u16>(code).filter(|known| code.len() == 3 && (100..700).contains(known));
        return Ok(Start::Response { code: code.ok_or_else(bad)?, reason: scan::text(reason) });
    }
    let (uri, version) = scan::split_once(rest, b' ').ok_or_else(bad)?;
    let method = Method::parse(first).ok_or_else(bad)?;
    if !version.get(..4).is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"SIP/")) || version.contains(&b' ') {
        return Err(bad());
    }
    check_version(version)?;
    Ok(Start::Request { method, uri: Bytes::copy_from_slice(uri) })
}

fn check_version(version: &[u8]) -> Result<(), BadMessage> {
    let is_ours = version.eq_ignore_ascii_case(b"SIP/2.0");
    if is_ours { Ok(()) } else { Err(BadMessage::BadVersion { value: shown(version) }) }
}

/// Name and value of a header, folded lines joined by a space each.
fn header_line(line: &Bytes) -> Result<(Bytes, Bytes), BadMessage> {
    if line.len() > MAX_LINE_BYTES {
        return Err(BadMessage::LineTooLong { value: shown(line) });
    }
    let bad = || BadMessage::BadHeader { value: shown(line) };
    let (name, value) = scan::split_once(line, b':').ok_or_else(bad)?;
    let name = Some(scan::trim(name)).filter(|name| scan::is_token(name)).ok_or_else(bad)?;
    let value = unfold(line, value);
    // A lone line end would begin a header for whoever reads them leniently.
    if value.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return Err(bad());
    }
    Ok((line.slice_ref(name), value))
}

fn unfold(line: &Bytes, value: &[u8]) -> Bytes {
    if find(value, LINE_END, 0).is_none() {
        return line.slice_ref(scan::trim(value));
    }
    let mut whole = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((piece, behind)) = find(rest, LINE_END, 0).and_then(|at| rest.split_at_checked(at)) {
        whole.extend_from_slice(scan::trim(piece));
        whole.push(b' ');
        rest = behind.get(LINE_END.len()..).unwrap_or_default();
    }
    whole.extend_from_slice(scan::trim(rest));
    Bytes::copy_from_slice(scan::trim(&whole))
}

/// Where `wanted` first stands, looked for from `from` on.
pub(super) fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let at = bytes.get(from..)?.windows(wanted.len()).position(|window| window == wanted)?;
    Some(at + from)
}

/// Without the empty lines that may precede a message (RFC 3261, section 7.5).
pub(super) fn skip_line_ends(bytes: &Bytes) -> Bytes {
    let mut rest: &[u8] = bytes;
    while let Some(behind) = rest.strip_prefix(LINE_END) {
        rest = behind;
    }
    bytes.slice_ref(rest)
}

struct Lines {
    rest: Bytes,
}

impl Lines {
    /// Up to the next line end.
    fn next_line(&mut self) -> Option<Bytes> {
        self.take(|_| false)
    }

    /// The same, with the lines that continue it: those that begin with a space or a tab.
    fn next_folded(&mut self) -> Option<Bytes> {
        self.take(|behind| matches!(behind, [b' ' | b'\t', ..]))
    }

    fn take(&mut self, continues: impl Fn(&[u8]) -> bool) -> Option<Bytes> {
        if self.rest.is_empty() {
            return None;
        }
        let mut from = 0;
        while let Some(end) = find(&self.rest, LINE_END, from) {
            from = end + LINE_END.len();
            if !continues(self.rest.get(from..).unwrap_or_default()) {
                let line = self.rest.slice(..end);
                self.rest = self.rest.slice(from..);
                return Some(line);
            }
        }
        Some(std::mem::take(&mut self.rest))
    }
}
