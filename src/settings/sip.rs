//! The SIP/RTP leg, `sip.*`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::reader::Reader;
use super::sections::{SipAccount, SipSettings, SipTls, SipTransport, SipTrunk};

/// The word for the networks of Amazon Chime's Voice Connectors.
const CHIME: &str = "chime";

/// Signalling and media of Voice Connectors, by region (Amazon Chime SDK Administration Guide, "Configuring your network").
const CHIME_NETWORKS: [&str; 11] = [
    "3.80.16.0/23",
    "99.77.253.0/24",
    "99.77.242.0/24",
    "99.77.240.0/24",
    "99.77.239.0/24",
    "99.77.244.0/24",
    "99.77.233.0/24",
    "99.77.247.0/24",
    "99.77.250.0/24",
    "99.77.249.0/24",
    "2600:f0f0:c040::/42",
];

pub(super) fn read(r: &mut Reader<'_>, warnings: &mut Vec<String>) -> SipSettings {
    let listen = address(r, "sip.listen");
    let tls = tls(r);
    let sip = SipSettings {
        listen,
        advertised: optional(r, "sip.advertised", "an IP address, as in 203.0.113.7", |text| text.parse().ok()),
        networks: networks(r),
        rtp_ports: ports(r),
        require_srtp: r.flag("sip.require_srtp"),
        account: account(r),
        session_expires: r.duration("sip.session_expires", "90s", "1day"),
        trunks: trunks(r),
        options_interval: r.duration("sip.options_interval", "5s", "10m"),
        tls,
    };
    if let Some(address) = sip.listeners().find(|address| sip.advertised.is_none() && address.ip().is_unspecified()) {
        r.complain(
            "sip.advertised",
            &format!("is empty, and peers cannot send anything to {}: give the address they see", address.ip()),
        );
    }
    if sip.networks.is_empty()
        && let Some(open) = sip.listeners().find(|address| !address.ip().is_loopback())
    {
        warnings.push(format!("sip.allowed_networks is empty: nobody who calls at {open} is answered"));
    }
    if sip.advertised.is_some_and(|ip| ip.is_unspecified()) {
        r.refuse("sip.advertised", "the address that peers see");
    }
    if sip.tls.is_none() && sip.require_srtp && sip.listen.is_some() {
        r.complain("sip.require_srtp", "needs sip.tls.listen: keys of SRTP sent in the clear protect nothing");
    }
    sip
}

fn optional<T>(r: &mut Reader<'_>, key: &str, allowed: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    let text = r.optional(key)?;
    let value = parse(text.trim());
    if value.is_none() {
        r.refuse(key, allowed);
    }
    value
}

fn address(r: &mut Reader<'_>, key: &str) -> Option<SocketAddr> {
    optional(r, key, "IP:PORT, as in 0.0.0.0:5060 (port 0 picks a free one), or empty", |text| text.parse().ok())
}

fn tls(r: &mut Reader<'_>) -> Option<SipTls> {
    let listen = address(r, "sip.tls.listen");
    let cert_file = r.path("sip.tls.cert_file");
    let key_file = r.path("sip.tls.key_file");
    for (key, path) in [("sip.tls.cert_file", &cert_file), ("sip.tls.key_file", &key_file)] {
        super::build::readable(r, key, path.as_deref());
    }
    match (listen, cert_file, key_file) {
        (Some(listen), Some(cert_file), Some(key_file)) => Some(SipTls { listen, cert_file, key_file }),
        (None, None, None) => None,
        _ => {
            r.complain("sip.tls.listen", "sip.tls.cert_file and sip.tls.key_file go together: all of them or none");
            None
        }
    }
}

fn networks(r: &mut Reader<'_>) -> Vec<IpNet> {
    const KEY: &str = "sip.allowed_networks";
    let mut networks = Vec::new();
    for text in r.list(KEY) {
        let text = text.trim();
        if text == CHIME {
            networks.extend(CHIME_NETWORKS.iter().filter_map(|network| network.parse::<IpNet>().ok()));
        } else if let Some(network) = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)) {
            networks.push(network);
        } else {
            r.refuse(KEY, "networks, as in \"203.0.113.0/24\", single addresses, or the word \"chime\"");
            break;
        }
    }
    networks
}

fn ports(r: &mut Reader<'_>) -> RangeInclusive<u16> {
    let parse = |text: &str| {
        let (low, high) = text.split_once('-')?;
        let (low, high): (u16, u16) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
        // The first pair: RTP at an even port, RTCP at the next.
        let pair = low.checked_next_multiple_of(2)?.checked_add(1)?;
        (low >= 1_024 && pair <= high).then_some(low..=high)
    };
    let allowed =
        "LOW-HIGH from 1024 to 65535, an even port and the next for each call at a time, as in \"10000-19999\"";
    r.parsed("sip.rtp_ports", allowed, parse).unwrap_or(10_000..=19_999)
}

fn account(r: &mut Reader<'_>) -> Option<SipAccount> {
    let username = r.optional("sip.username");
    let password = r.secret("sip.password");
    match (username, password) {
        (Some(username), Some(password)) => Some(SipAccount { username, password }),
        (None, None) => None,
        _ => {
            r.complain("sip.username", "and sip.password (or sip.password_file) go together: both or neither");
            None
        }
    }
}

/// `HOST:PORT[;transport=udp|tcp|tls]`
fn trunks(r: &mut Reader<'_>) -> Vec<SipTrunk> {
    const KEY: &str = "sip.trunks";
    let parse = |text: &str| {
        let (address, transport) = match text.split_once(";transport=") {
            None => (text, SipTransport::Udp),
            Some((address, "udp")) => (address, SipTransport::Udp),
            Some((address, "tcp")) => (address, SipTransport::Tcp),
            Some((address, "tls")) => (address, SipTransport::Tls),
            Some(_) => return None,
        };
        let (host, port) = address.rsplit_once(':')?;
        let host_fits = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)),
        };
        (host_fits && port.parse::<u16>().is_ok()).then(|| SipTrunk { address: address.to_owned(), transport })
    };
    let texts = r.list(KEY);
    let trunks: Option<Vec<SipTrunk>> = texts.iter().map(|text| parse(text.trim())).collect();
    trunks.unwrap_or_else(|| {
        r.refuse(KEY, "hosts, as in \"abc.voiceconnector.chime.aws:5060\" or \"HOST:5061;transport=tls\"");
        Vec::new()
    })
}
