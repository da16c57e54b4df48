//! The SIP/RTP leg: can it be reached, does it have ports enough, and do the Voice Connectors' routes lead to it?
//!
//! The service may be running: its ports are not bound here.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use futures_util::future::join_all;
use rustls::pki_types::UnixTime;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::Report;
use super::certificate;
use super::events::{CONNECTOR_KEYS, unseen};
use super::finding::Finding;
use crate::aws::inspect::{ConnectorSeen, RouteSeen};
use crate::settings::{Settings, SipSettings, SipTransport, SipTrunk};

/// Longest time that finding a name's addresses takes.
const LOOKUP: Duration = Duration::from_secs(5);

/// What can be seen from this machine.
pub(super) async fn check(settings: &Settings, report: &mut Report) {
    let sip = &settings.sip;
    let Some(seen_as) = seen_as(sip) else {
        return report.take([Finding::ok("sip", "off (sip.listen and sip.tls.listen are empty)")]);
    };
    report.take([address(sip, seen_as, is_ours)]);
    report.take(
        sip.tls.as_ref().map(|tls| certificate::judged("sip.tls", &tls.cert_file, &tls.key_file, UnixTime::now())),
    );
    report.take([ports(sip, settings.calls.max)]);
    report.take(networks(sip));
    for it in &sip.trunks {
        report.take([trunk(it, sip.listen.is_some(), resolved(&it.address).await)]);
    }
}

/// The address that peers are told.
fn seen_as(sip: &SipSettings) -> Option<IpAddr> {
    let first = sip.listeners().next()?;
    Some(sip.advertised.unwrap_or(first.ip()))
}

/// Whether this machine has an address: some port of it can be bound, whoever has the one of the configuration.
fn is_ours(address: IpAddr) -> bool {
    !UdpSocket::bind((address, 0)).is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

fn address(sip: &SipSettings, seen_as: IpAddr, is_ours: impl Fn(IpAddr) -> bool) -> Finding {
    let what = "sip address";
    if let Some(foreign) = sip.listeners().find(|address| !is_ours(address.ip())) {
        let cure = "listen at 0.0.0.0, and set sip.advertised to the address that peers see";
        return Finding::fail(what, format!("{foreign} is no address of this machine's"), cure);
    }
    if sip.listeners().any(|address| address.port() == 0) {
        let cure = "set sip.listen to port 5060, sip.tls.listen to 5061";
        return Finding::warn(what, "port 0 is another one at each start: no route can lead to it", cure);
    }
    if is_private(seen_as) && sip.networks.iter().any(|network| !is_private(network.addr())) {
        return Finding::warn(
            what,
            format!("peers are told to send to {seen_as}, which those on the internet cannot reach"),
            "set sip.advertised to the public address of this host; narrow sip.allowed_networks if all peers are near",
        );
    }
    let listeners: Vec<String> = sip.listeners().map(|address| address.to_string()).collect();
    Finding::ok(what, format!("listens at {}, seen as {seen_as}", listeners.join(" and ")))
}

/// Whether an address means nothing on the internet (RFC 1918, 6598, 3927, 4193, loopback).
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let is_shared = address.to_bits() >> 22 == 0x6440_0000 >> 22;
            address.is_private() || address.is_loopback() || address.is_link_local() || is_shared
        }
        IpAddr::V6(address) => address.is_unique_local() || address.is_loopback() || address.is_unicast_link_local(),
    }
}

fn ports(sip: &SipSettings, max_calls: Option<usize>) -> Finding {
    let what = "sip ports";
    let (low, high, pairs) = (sip.rtp_ports.start(), sip.rtp_ports.end(), sip.port_pairs());
    match max_calls {
        Some(max) if max > pairs => Finding::warn(
            what,
            format!("UDP {low} to {high} carries {pairs} calls, and calls.max is {max}: the rest is refused as busy"),
            "widen sip.rtp_ports, and the firewall with it, to two ports for each call",
        ),
        _ => Finding::ok(what, format!("UDP {low} to {high} carries {pairs} calls at a time")),
    }
}

/// Nobody at all is a warning of the configuration.
fn networks(sip: &SipSettings) -> Option<Finding> {
    let what = "sip networks";
    if sip.networks.iter().any(|network| network.prefix_len() == 0) && sip.account.is_none() {
        let cure = "name whom calls come from in sip.allowed_networks; \"chime\" is Amazon's Voice Connectors";
        return Some(Finding::warn(what, "everybody is answered: an open SIP port is found within minutes", cure));
    }
    let count = sip.networks.len();
    (count > 0).then(|| Finding::ok(what, format!("{count} are answered, and nobody else")))
}

fn trunk(trunk: &SipTrunk, has_udp: bool, found: Result<Vec<IpAddr>, String>) -> Finding {
    let what = format!("sip trunk {}", trunk.address);
    if trunk.transport == SipTransport::Udp && !has_udp {
        let cure = "set sip.listen, or add \";transport=tls\" to the trunk";
        return Finding::fail(what, "is asked by UDP, and sip.listen is empty", cure);
    }
    match found {
        Ok(addresses) => Finding::ok(what, format!("is {}", listed(&addresses))),
        Err(why) => Finding::fail(what, format!("cannot be resolved ({why})"), "correct the host in sip.trunks"),
    }
}

/// Whether a Voice Connector's routes lead here; `is_named`: the configuration says that this one is meant.
pub(super) async fn route(sip: &SipSettings, connector: &ConnectorSeen, is_named: bool) -> Vec<Finding> {
    let (Some(seen_as), Ok(origination)) = (seen_as(sip), &connector.origination) else { return Vec::new() };
    if !origination.enabled || origination.routes.is_empty() {
        // Said with the routes themselves.
        return Vec::new();
    }
    let hosts = join_all(origination.routes.iter().map(|route| async move {
        let found = match route.host.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => resolved(&format!("{}:{}", route.host, route.port)).await,
        };
        (route.clone(), found.unwrap_or_default())
    }));
    route_judged(sip, seen_as, connector, &hosts.await, is_named)
}

/// `routes`: each with the addresses of its host.
fn route_judged(
    sip: &SipSettings,
    seen_as: IpAddr,
    connector: &ConnectorSeen,
    routes: &[(RouteSeen, Vec<IpAddr>)],
    is_named: bool,
) -> Vec<Finding> {
    let id = &connector.id;
    let what = format!("sip route of {id}");
    let is_encrypted = match &connector.requires_encryption {
        Ok(is_encrypted) => *is_encrypted,
        Err(failure) => {
            return vec![unseen(&format!("encryption of {id}"), failure, "chime:GetVoiceConnector", CONNECTOR_KEYS)];
        }
    };
    let wanted = match (is_encrypted, sip.listen, sip.tls.as_ref()) {
        (true, _, Some(tls)) => Wanted { address: SocketAddr::new(seen_as, tls.listen.port()), protocols: &["TCP"] },
        (true, _, None) => {
            let cure = "set sip.tls (and use port 5061 in the route), or turn encryption off for the Voice Connector";
            return vec![Finding::fail(what, "it requires encryption, and sip.tls.listen is empty", cure)];
        }
        (false, _, _) if sip.require_srtp => {
            let cure = "require encryption of the Voice Connector, or set sip.require_srtp = false";
            return vec![Finding::fail(what, "it sends plain RTP, which sip.require_srtp refuses", cure)];
        }
        (false, Some(listen), _) => {
            Wanted { address: SocketAddr::new(seen_as, listen.port()), protocols: &["UDP", "TCP"] }
        }
        (false, None, _) => {
            let cure = "set sip.listen, or require encryption of the Voice Connector";
            return vec![Finding::fail(what, "it sends without encryption, and sip.listen is empty", cure)];
        }
    };
    let cure = format!("give it the route {} {}", wanted.address, wanted.protocols.join(" or "));
    let here: Vec<&RouteSeen> =
        routes.iter().filter(|(_, addresses)| addresses.contains(&seen_as)).map(|(route, _)| route).collect();
    if here.is_empty() {
        let elsewhere: Vec<&RouteSeen> = routes.iter().map(|(route, _)| route).collect();
        let found = format!("none leads to {seen_as}, but to {}", listed(&elsewhere));
        return vec![if is_named { Finding::fail(what, found, cure) } else { Finding::warn(what, found, cure) }];
    }
    let judge = |route: &RouteSeen| {
        if route.port == wanted.address.port() && wanted.protocols.contains(&route.protocol.as_str()) {
            Finding::ok(&what, format!("{route} leads here"))
        } else {
            Finding::fail(&what, format!("{route} is not where calls are taken"), &cure)
        }
    };
    here.into_iter().map(judge).collect()
}

/// What a route has to be.
struct Wanted {
    address: SocketAddr,
    protocols: &'static [&'static str],
}

/// The addresses of `HOST:PORT`.
async fn resolved(address: &str) -> Result<Vec<IpAddr>, String> {
    match timeout(LOOKUP, lookup_host(address)).await {
        Ok(Ok(found)) => Ok(found.map(|address| address.ip()).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LOOKUP.as_secs())),
    }
}

fn listed(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "sip_tests.rs"]
mod tests;
