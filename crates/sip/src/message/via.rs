use std::net::{IpAddr, SocketAddr};

use super::uri::host_and_port;
use super::{Host, Message, Name, Params, scan};

/// Over what a message came or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViaTransport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream within TLS.
    Tls,
    /// Another one, SCTP for example.
    Other,
}

/// What a Via says about the port to answer to (RFC 3581).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rport {
    /// Nothing: the port of the Via is meant.
    Absent,
    /// That the port it came from is meant.
    Asked,
    /// The port it came from.
    Filled(u16),
}

/// The topmost Via: which way an answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Over what it was sent.
    pub transport: ViaTransport,
    /// Whose it is.
    pub host: Host,
    /// Its port, if it names one.
    pub port: Option<u16>,
    /// Which transaction it is; RFC 3261's begin with `z9hG4bK`.
    pub branch: Option<String>,
    /// Whether the port is to be the one it came from.
    pub rport: Rport,
    /// Where it came from, where that is not its host.
    pub received: Option<IpAddr>,
    /// All parameters.
    pub params: Params,
}

impl Via {
    /// What the branch of an element that follows RFC 3261 begins with.
    pub const MAGIC: &str = "z9hG4bK";

    /// Reads one value: `SIP/2.0/UDP host:port;branch=…`; nothing if it is none.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = scan::trim(value);
        let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
        let (sent, params) = value.split_at_checked(end)?;
        let (protocol, rest) = scan::split_once(sent, b'/')?;
        let (version, rest) = scan::split_once(rest, b'/')?;
        if !scan::trim(protocol).eq_ignore_ascii_case(b"SIP") || scan::trim(version) != b"2.0" {
            return None;
        }
        let rest = scan::trim(rest);
        let gap = rest.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
        let (transport, sent_by) = rest.split_at_checked(gap)?;
        let transport = match transport {
            _ if transport.eq_ignore_ascii_case(b"UDP") => ViaTransport::Udp,
            _ if transport.eq_ignore_ascii_case(b"TCP") => ViaTransport::Tcp,
            _ if transport.eq_ignore_ascii_case(b"TLS") => ViaTransport::Tls,
            _ if scan::is_token(transport) => ViaTransport::Other,
            _ => return None,
        };
        let (host, port) = host_and_port(scan::trim(sent_by))?;
        let params = Params::parse(params)?;
        let rport = match params.value("rport") {
            Some(port) => Rport::Filled(scan::number(port.as_bytes())?),
            None if params.has("rport") => Rport::Asked,
            None => Rport::Absent,
        };
        let received = params.value("received").map(|text| text.trim_matches(['[', ']']).parse());
        let received = received.transpose().ok()?;
        let branch = params.value("branch").map(str::to_owned);
        Some(Self { transport, host, port, branch, rport, received, params })
    }
}

impl Message {
    /// Notes in the topmost Via where the message came from (RFC 3261, section 18.2.1, and RFC 3581, section 4): `received`
    /// if its host says something else or the port was asked for, and that port. The rest of it stays byte for byte.
    pub fn note_source(&mut self, source: SocketAddr) {
        let Ok(via) = self.via() else { return };
        let Some(line) = self.first_mut(Name::Via) else { return };
        let is_from_there = via.host.address() == Some(source.ip());
        if is_from_there && via.rport == Rport::Absent && via.received.is_none() {
            return;
        }
        let value = line.value();
        let end = scan::find_bare(value, b',').unwrap_or(value.len());
        let Some((top, others)) = value.split_at_checked(end) else { return };
        let mut noted = Vec::with_capacity(value.len() + 64);
        for (at, piece) in scan::split(top, Some(b';')).enumerate() {
            let name = scan::split_once(piece, b'=').map_or(piece, |(name, _)| scan::trim(name));
            // What a stranger claims about this is no better than its absence.
            let is_ours = at > 0 && [&b"received"[..], b"rport"].iter().any(|ours| name.eq_ignore_ascii_case(ours));
            if is_ours {
                continue;
            }
            if at > 0 {
                noted.push(b';');
            }
            noted.extend_from_slice(piece);
        }
        noted.extend_from_slice(format!(";received={}", source.ip()).as_bytes());
        if via.rport != Rport::Absent {
            noted.extend_from_slice(format!(";rport={}", source.port()).as_bytes());
        }
        noted.extend_from_slice(others);
        line.replace_value(&noted);
    }
}
