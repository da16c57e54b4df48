use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use super::error::shown;
use super::{BadMessage, Params, scan};

/// Most bytes of a host name (RFC 1035).
const MAX_HOST_BYTES: usize = 255;

/// What kind of URI it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`, to be reached over TLS.
    Sips,
    /// `tel:`, a telephone number (RFC 3966).
    Tel,
    /// Another one, of which nothing but its bytes is known.
    Other,
}

/// Where a URI or a Via points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name to be resolved.
    Domain(String),
    /// An address.
    V4(Ipv4Addr),
    /// An address, in brackets where it is written.
    V6(Ipv6Addr),
}

impl Host {
    /// Reads a name or an address, an IPv6 address in brackets.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']')?.parse().ok().map(Self::V6);
        }
        if let Ok(address) = text.parse() {
            return Some(Self::V4(address));
        }
        let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let is_name = is_name && (1..=MAX_HOST_BYTES).contains(&text.len()) && !text.starts_with('.');
        is_name.then(|| Self::Domain(text.to_owned()))
    }

    /// The address, unless it is a name.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Domain(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::V4(address) => write!(f, "{address}"),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// A SIP, SIPS or tel URI taken apart, or any other as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    raw: Bytes,
    /// What kind it is.
    pub scheme: Scheme,
    /// The part before `@` without a password, the number of a `tel:`. Escapes are resolved, but for those of control
    /// characters.
    pub user: Option<String>,
    /// Where it points; only `sip:` and `sips:` say so.
    pub host: Option<Host>,
    /// Its port, if it names one.
    pub port: Option<u16>,
    /// Its own parameters.
    pub params: Params,
}

impl Uri {
    /// Reads a URI.
    ///
    /// # Errors
    /// It is none, or a SIP URI with a part that cannot be read.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadMessage> {
        Self::read(bytes).ok_or_else(|| BadMessage::BadUri { value: shown(bytes) })
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let is_plain = |&byte: &u8| !matches!(byte, 0..=b' ' | 0x7f | b'"' | b'<' | b'>');
        if !bytes.iter().all(is_plain) {
            return None;
        }
        let (scheme, rest) = scan::split_once(bytes, b':')?;
        let is_scheme = |&byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !scheme.iter().all(is_scheme) || rest.is_empty() {
            return None;
        }
        let raw = Bytes::copy_from_slice(bytes);
        if scheme.eq_ignore_ascii_case(b"tel") {
            let (number, params) = cut(rest, b";");
            let params = Params::parse(params)?;
            let user = Some(unescape(number)).filter(|number| !number.is_empty())?;
            return Some(Self { raw, scheme: Scheme::Tel, user: Some(user), host: None, port: None, params });
        }
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case(b"sip") => Scheme::Sip,
            _ if scheme.eq_ignore_ascii_case(b"sips") => Scheme::Sips,
            _ => {
                let params = Params::default();
                return Some(Self { raw, scheme: Scheme::Other, user: None, host: None, port: None, params });
            }
        };
        // The user may hold `;` and `?`, what comes behind it no `@`.
        let (user, rest) = match scan::split_once(rest, b'@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let user = match user.map(|user| cut(user, b":").0) {
            Some([]) => return None,
            user => user.map(unescape),
        };
        let (place, rest) = cut(rest, b";?");
        let (params, headers) = cut(rest, b"?");
        if headers.contains(&b'@') || params.contains(&b'@') {
            return None;
        }
        let (host, port) = host_and_port(place)?;
        Some(Self { raw, scheme, user, host: Some(host), port, params: Params::parse(params)? })
    }

    /// As it was written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// Over what it wants to be reached, as written: `UDP`, `tcp`.
    #[must_use]
    pub fn transport(&self) -> Option<&str> {
        self.params.value("transport")
    }

    /// Whether this route is a loose one (RFC 3261, section 16.4): the Request-URI stays what it is.
    #[must_use]
    pub fn lr(&self) -> bool {
        self.params.has("lr")
    }
}

/// Up to the first of these bytes, and from there on.
fn cut<'a>(bytes: &'a [u8], ends: &[u8]) -> (&'a [u8], &'a [u8]) {
    let at = bytes.iter().position(|byte| ends.contains(byte)).unwrap_or(bytes.len());
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}

/// `host`, `host:port`, `[address]:port`; spaces around the colon as a Via may have them.
pub(super) fn host_and_port(bytes: &[u8]) -> Option<(Host, Option<u16>)> {
    let from = if bytes.starts_with(b"[") { bytes.iter().position(|&byte| byte == b']')? } else { 0 };
    let colon = bytes.iter().skip(from).position(|&byte| byte == b':').map(|at| at + from);
    let Some((host, port)) = colon.and_then(|at| bytes.split_at_checked(at)) else {
        return Some((Host::parse(scan::trim(bytes))?, None));
    };
    let port = scan::number::<u16>(scan::trim(port.get(1..)?)).filter(|&port| port != 0)?;
    Some((Host::parse(scan::trim(host))?, Some(port)))
}

/// Resolves `%41`. An escape of a control character, or of what is no UTF-8, stays as it is.
fn unescape(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        let (byte, behind) = escaped(rest).unwrap_or((*first, behind));
        out.push(byte);
        rest = behind;
    }
    match String::from_utf8(out) {
        Ok(text) if !text.contains(char::is_control) => text,
        _ => scan::text(bytes),
    }
}

/// An escape at the beginning, and what is behind it.
fn escaped(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, behind @ ..] = bytes else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let byte = digit(*high)? << 4 | digit(*low)?;
    (!byte.is_ascii_control()).then_some((byte, behind))
}
