use std::net::{IpAddr, SocketAddr};

use super::body::{Body, Section, number, text};
use super::crypto::{BadCrypto, Crypto};
use super::error::excerpt;
use super::{BadSdp, Codec, Direction, Profile};

/// Longest session id or version that is kept, in bytes.
const MAX_ORIGIN_BYTES: usize = 64;

/// Highest payload type.
const MAX_PAYLOAD_TYPE: u16 = 127;

/// What the peer says of its audio. Of several audio streams the first that can be taken, SRTP before RTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whose session, and which version of it. The same as before: nothing has changed.
    pub origin: Option<Origin>,
    /// Where the peer wants its audio; 0.0.0.0 or :: if nowhere, which is how a call was put on hold before RFC 3264.
    pub address: IpAddr,
    /// The port there.
    pub port: u16,
    /// Where the peer wants its reports: the next port, or what `a=rtcp` says (RFC 3605).
    pub rtcp: Option<SocketAddr>,
    /// The codecs of ours among the peer's, in its order, with their payload types. Not empty.
    pub codecs: Vec<(Codec, u8)>,
    /// Payload type of keys as events (RFC 4733).
    pub telephone_event: Option<u8>,
    /// Packet time that the peer would like, in ms.
    pub ptime_ms: Option<u16>,
    /// The longest that it takes, in ms.
    pub maxptime_ms: Option<u16>,
    /// As the peer sees it. On hold by its address, it does not receive.
    pub direction: Direction,
    /// RTP or SRTP.
    pub profile: Profile,
    /// The peer's keys that we can use, in its order; with [`Profile::Savp`] at least one.
    pub crypto: Vec<Crypto>,
    /// Which `m=` line this is, counted from 0.
    pub position: usize,
    /// All `m=` lines.
    pub(super) media: Vec<MediaLine>,
}

/// Who made a session, as far as it changes: `o=` without name and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its id, digits as a rule.
    pub id: String,
    /// Its version, digits as a rule.
    pub version: String,
}

/// An `m=` line that is answered with port 0: what of it has to be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaLine {
    pub kind: String,
    pub protocol: String,
    pub format: String,
}

/// Reads the peer's offer.
///
/// # Errors
/// It is no SDP, or has no audio that we could take; the reason is that of the first audio stream.
pub fn read(body: &[u8]) -> Result<Offer, BadSdp> {
    let text = text(body)?;
    let body = Body::read(&text)?;
    let mut plain = None;
    let mut refused = None;
    for (position, section) in body.media.iter().enumerate().filter(|(_, section)| is_audio(section)) {
        match Offer::of(&body, section, position) {
            Ok(offer) if offer.profile == Profile::Savp => return Ok(offer),
            Ok(offer) => plain = plain.or(Some(offer)),
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    plain.ok_or_else(|| refused.unwrap_or(BadSdp::NoAudio))
}

impl Offer {
    /// Where our audio goes, if the peer says.
    #[must_use]
    pub fn rtp(&self) -> Option<SocketAddr> {
        (!self.address.is_unspecified()).then_some(SocketAddr::new(self.address, self.port))
    }

    /// What one of a body's media says.
    pub(super) fn of(body: &Body<'_>, section: &Section<'_>, position: usize) -> Result<Self, BadSdp> {
        if !is_audio(section) {
            return Err(BadSdp::NoAudio);
        }
        if section.port == 0 {
            return Err(BadSdp::NoPort);
        }
        let bad_profile = || BadSdp::BadProfile { value: excerpt(section.protocol) };
        let profile = Profile::named(section.protocol).ok_or_else(bad_profile)?;
        let formats: Vec<_> = section.formats.iter().filter_map(|format| meaning(section, format)).collect();
        let codecs: Vec<(Codec, u8)> = formats.iter().filter_map(|&(format, number)| Some((format?, number))).collect();
        if codecs.is_empty() {
            return Err(BadSdp::NoCodec { value: excerpt(&section.formats.join(" ")) });
        }
        let address = connection(section.connection.or(body.connection).ok_or(BadSdp::NoConnection)?)?;
        let said = section.direction.or(body.direction).unwrap_or_default();
        Ok(Self {
            origin: body.origin.and_then(origin),
            address,
            port: section.port,
            rtcp: rtcp(section, address),
            codecs,
            telephone_event: formats.iter().find(|(format, _)| format.is_none()).map(|&(_, number)| number),
            ptime_ms: section.ptime.and_then(milliseconds),
            maxptime_ms: section.maxptime.and_then(milliseconds),
            direction: Direction::new(said.sends(), said.receives() && !address.is_unspecified()),
            profile,
            crypto: crypto(section, profile)?,
            position,
            media: body.media.iter().map(MediaLine::of).collect(),
        })
    }
}

impl MediaLine {
    fn of(section: &Section<'_>) -> Self {
        Self {
            kind: section.kind.to_owned(),
            protocol: section.protocol.to_owned(),
            format: section.formats.first().copied().unwrap_or("0").to_owned(),
        }
    }
}

fn is_audio(section: &Section<'_>) -> bool {
    section.kind.eq_ignore_ascii_case("audio")
}

/// What a payload type stands for: a codec of ours, or `None` for events. Others are no format of ours.
fn meaning(section: &Section<'_>, format: &str) -> Option<(Option<Codec>, u8)> {
    let number = payload_type(format)?;
    let encoding = section.rtpmaps.iter().find_map(|map| {
        let (of, encoding) = map.split_once(|c: char| c.is_ascii_whitespace())?;
        (payload_type(of)? == number).then_some(encoding.trim())
    });
    let Some(encoding) = encoding else {
        let codec = Codec::ALL.into_iter().find(|codec| codec.static_payload_type() == number)?;
        return Some((Some(codec), number));
    };
    let mut parts = encoding.split('/');
    let (name, rate, channels) = (parts.next()?, parts.next()?, parts.next().unwrap_or("1"));
    if rate != "8000" || channels != "1" {
        return None;
    }
    if name.eq_ignore_ascii_case("telephone-event") {
        return Some((None, number));
    }
    let codec = Codec::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))?;
    Some((Some(codec), number))
}

fn payload_type(text: &str) -> Option<u8> {
    number(text).filter(|&number| number <= MAX_PAYLOAD_TYPE)?.try_into().ok()
}

/// `IN IP4 192.0.2.1`. A time to live or a count behind the address belongs to multicast and is not read.
fn connection(value: &str) -> Result<IpAddr, BadSdp> {
    let bad = || BadSdp::BadConnection { value: excerpt(value) };
    let mut fields = value.split_ascii_whitespace();
    let (net, family, address) = (fields.next(), fields.next(), fields.next().ok_or_else(bad)?);
    let address = address.split_once('/').map_or(address, |(address, _)| address);
    let is_ip4 = family.is_some_and(|family| family.eq_ignore_ascii_case("IP4"));
    let is_ip6 = family.is_some_and(|family| family.eq_ignore_ascii_case("IP6"));
    if !net.is_some_and(|net| net.eq_ignore_ascii_case("IN")) || !(is_ip4 || is_ip6) {
        return Err(bad());
    }
    let is_name = |text: &str| text.contains(|c: char| c.is_ascii_alphabetic()) && !text.contains(':');
    let parsed = match address.parse::<IpAddr>() {
        Ok(parsed) => parsed,
        Err(_) if is_name(address) => return Err(BadSdp::HostName { value: excerpt(value) }),
        Err(_) => return Err(bad()),
    };
    let is_broadcast = matches!(parsed, IpAddr::V4(parsed) if parsed.is_broadcast());
    if parsed.is_multicast() || is_broadcast {
        return Err(BadSdp::NotUnicast { value: excerpt(value) });
    }
    if parsed.is_ipv4() == is_ip4 { Ok(parsed) } else { Err(bad()) }
}

/// `53020`, or `53020 IN IP4 192.0.2.1`. What can't be read counts as not there.
fn rtcp(section: &Section<'_>, address: IpAddr) -> Option<SocketAddr> {
    let next_port = || section.port.checked_add(1).map(|port| SocketAddr::new(address, port));
    let rtcp = match section.rtcp.map(|value| value.trim_start().split_once(' ').unwrap_or((value.trim(), ""))) {
        None => next_port()?,
        Some((port, "")) => number(port).map(|port| SocketAddr::new(address, port)).or_else(next_port)?,
        Some((port, rest)) => {
            let port = number(port).or_else(|| section.port.checked_add(1))?;
            SocketAddr::new(connection(rest).unwrap_or(address), port)
        }
    };
    (rtcp.port() != 0 && !rtcp.ip().is_unspecified() && !address.is_unspecified()).then_some(rtcp)
}

fn crypto(section: &Section<'_>, profile: Profile) -> Result<Vec<Crypto>, BadSdp> {
    let read: Vec<_> = section.cryptos.iter().map(|value| Crypto::read(value)).collect();
    let first_why = read.iter().find_map(|read| read.as_ref().err()).cloned();
    let usable: Vec<Crypto> = read.into_iter().flatten().collect();
    if profile == Profile::Savp && usable.is_empty() {
        return Err(BadSdp::NoCrypto { why: first_why.unwrap_or(BadCrypto::Missing) });
    }
    Ok(usable)
}

/// `NAME ID VERSION IN IP4 ADDRESS`, from the back: some names have spaces.
fn origin(value: &str) -> Option<Origin> {
    let mut fields = value.split_ascii_whitespace().rev().skip(3);
    let (version, id) = (fields.next()?, fields.next()?);
    let is_short = id.len() <= MAX_ORIGIN_BYTES && version.len() <= MAX_ORIGIN_BYTES;
    is_short.then(|| Origin { id: id.to_owned(), version: version.to_owned() })
}

fn milliseconds(value: &str) -> Option<u16> {
    number(value.trim()).filter(|&milliseconds| milliseconds > 0)
}
