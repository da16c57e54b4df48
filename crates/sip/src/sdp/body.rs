//! The lines of a body, sorted by what they belong to. Reads no meaning into them yet.

use super::error::excerpt;
use super::{BadSdp, Direction, MAX_BODY_BYTES, MAX_MEDIA};

/// Longest token of an `m=` line, in bytes: it has to be repeated in the answer.
const MAX_TOKEN_BYTES: usize = 32;

/// How many formats of an `m=` line, `rtpmap` and `crypto` lines are looked at.
const MAX_LISTED: usize = 64;

/// A body's session part and its media.
#[derive(Debug, Default)]
pub(super) struct Body<'a> {
    pub origin: Option<&'a str>,
    pub connection: Option<&'a str>,
    pub direction: Option<Direction>,
    pub media: Vec<Section<'a>>,
}

/// An `m=` line and what follows it.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub kind: &'a str,
    pub port: u16,
    pub protocol: &'a str,
    pub formats: Vec<&'a str>,
    pub connection: Option<&'a str>,
    pub direction: Option<Direction>,
    pub rtcp: Option<&'a str>,
    pub ptime: Option<&'a str>,
    pub maxptime: Option<&'a str>,
    pub rtpmaps: Vec<&'a str>,
    pub cryptos: Vec<&'a str>,
}

/// The bytes as text: what is not UTF-8 was not meant for us.
pub(super) fn text(body: &[u8]) -> Result<std::borrow::Cow<'_, str>, BadSdp> {
    if body.len() > MAX_BODY_BYTES {
        return Err(BadSdp::TooLong { length: body.len() });
    }
    Ok(String::from_utf8_lossy(body))
}

impl<'a> Body<'a> {
    pub fn read(text: &'a str) -> Result<Self, BadSdp> {
        let mut lines = text.split(['\r', '\n', '\0']).map(str::trim_end).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        if first.strip_prefix("v=").map(str::trim) != Some("0") {
            return Err(BadSdp::NotSdp { value: excerpt(first) });
        }
        let mut body = Self::default();
        for line in lines {
            let Some((name, value)) = line.split_once('=') else { continue };
            if name == "m" {
                let section = Section::read(value).ok_or_else(|| BadSdp::BadMedia { value: excerpt(value) })?;
                if body.media.len() == MAX_MEDIA {
                    return Err(BadSdp::TooManyMedia);
                }
                body.media.push(section);
                continue;
            }
            match (name, body.media.last_mut()) {
                ("o", None) => body.origin = body.origin.or(Some(value)),
                ("c", None) => body.connection = body.connection.or(Some(value)),
                // Of several, which are layers of a multicast, the first.
                ("c", Some(section)) => section.connection = section.connection.or(Some(value)),
                ("a", None) => body.direction = Direction::named(value.trim()).or(body.direction),
                ("a", Some(section)) => section.attribute(value),
                _ => {}
            }
        }
        Ok(body)
    }
}

impl<'a> Section<'a> {
    /// `audio 49170/2 RTP/AVP 0 101`
    fn read(line: &'a str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let (kind, port, protocol) = (fields.next()?, fields.next()?, fields.next()?);
        // With a count behind it, the first of several ports.
        let port = port.split_once('/').map_or(port, |(port, _)| port);
        if !is_token(kind) || !protocol.split('/').all(is_token) || protocol.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let formats: Vec<&str> = fields.take(MAX_LISTED).collect();
        formats.iter().all(|format| is_token(format)).then_some(())?;
        Some(Self {
            kind,
            port: number(port)?,
            protocol,
            formats,
            connection: None,
            direction: None,
            rtcp: None,
            ptime: None,
            maxptime: None,
            rtpmaps: Vec::new(),
            cryptos: Vec::new(),
        })
    }

    fn attribute(&mut self, attribute: &'a str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name.trim() {
            "rtpmap" if self.rtpmaps.len() < MAX_LISTED => self.rtpmaps.push(value.trim_start()),
            "crypto" if self.cryptos.len() < MAX_LISTED => self.cryptos.push(value),
            "rtcp" => self.rtcp = self.rtcp.or(Some(value)),
            "ptime" => self.ptime = self.ptime.or(Some(value)),
            "maxptime" => self.maxptime = self.maxptime.or(Some(value)),
            name => self.direction = Direction::named(name).or(self.direction),
        }
    }
}

/// Decimal digits and nothing else: `parse` alone takes a sign too.
pub(super) fn number(digits: &str) -> Option<u16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// A token of RFC 8866, section 9: what it lets through may be written into a body of ours.
fn is_token(text: &str) -> bool {
    let is_short = (1..=MAX_TOKEN_BYTES).contains(&text.len());
    is_short && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte))
}
