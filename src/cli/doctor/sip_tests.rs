use std::path::PathBuf;

use super::*;
use crate::aws::inspect::{OriginationSeen, StreamingSeen};
use crate::aws::{AwsFailure, FailureClass};
use crate::settings::{Secret, SipAccount, SipTls};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

/// As a host behind a Voice Connector: UDP and TCP at `listen`, TLS at `tls`, either may be empty.
fn sip(listen: &str, tls: &str) -> SipSettings {
    let tls = tls.parse().ok().map(|listen| SipTls { listen, cert_file: PathBuf::new(), key_file: PathBuf::new() });
    SipSettings { listen: listen.parse().ok(), tls, advertised: Some(HERE), ..Settings::embedded().unwrap().sip }
}

fn line_of_address(sip: &SipSettings, is_ours: bool) -> String {
    address(sip, seen_as(sip).unwrap(), |_| is_ours).to_string()
}

#[test]
fn an_address_is_this_machines_and_seen_by_those_who_call() {
    let seen_as = |advertised: &str, networks: &[&str]| SipSettings {
        advertised: advertised.parse().ok(),
        networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        ..sip("192.0.2.1:5060", "")
    };
    let (chime, home) = (&["3.80.16.0/23"][..], &["10.0.0.0/8", "127.0.0.0/8"][..]);
    let table = [
        (seen_as("203.0.113.7", chime), "ok    sip address: listens at 192.0.2.1:5060, seen as 203.0.113.7"),
        (seen_as("", chime), "ok    sip address: listens at 192.0.2.1:5060, seen as 192.0.2.1"),
        (seen_as("10.1.2.3", home), "ok    sip address: "),
        (seen_as("10.1.2.3", &[]), "ok    sip address: "),
        (seen_as("10.1.2.3", chime), "warn  sip address: peers are told to send to 10.1.2.3"),
        (seen_as("172.31.255.1", chime), "warn  sip address: "),
        (seen_as("100.127.0.1", chime), "warn  sip address: "),
        (seen_as("100.128.0.1", chime), "ok    sip address: "),
        (seen_as("127.0.0.1", chime), "warn  sip address: "),
        (seen_as("fd00::1", chime), "warn  sip address: "),
        (sip("0.0.0.0:5060", "0.0.0.0:5061"), "ok    sip address: listens at 0.0.0.0:5060 and 0.0.0.0:5061, seen as"),
        (sip("0.0.0.0:0", ""), "warn  sip address: port 0"),
    ];
    for (settings, expected) in table {
        let line = line_of_address(&settings, true);
        assert!(line.starts_with(expected), "{expected:?}: {line}");
    }
    let line = line_of_address(&sip("192.0.2.1:5060", ""), false);
    assert!(line.starts_with("FAIL  sip address: 192.0.2.1:5060 is no address of this machine's; cure: "), "{line}");
    assert!(is_ours("127.0.0.1".parse().unwrap()) && is_ours("0.0.0.0".parse().unwrap()));
    assert!(!is_ours("203.0.113.7".parse().unwrap()), "a documentation address is nobody's");
}

#[test]
fn there_are_ports_for_as_many_calls_as_are_let_in() {
    let settings = SipSettings { rtp_ports: 10_000..=10_019, ..sip("0.0.0.0:5060", "") };
    let table = [
        (None, "ok    sip ports: UDP 10000 to 10019 carries 10 calls"),
        (Some(10), "ok    sip ports: "),
        (Some(11), "warn  sip ports: UDP 10000 to 10019 carries 10 calls, and calls.max is 11"),
    ];
    for (max, expected) in table {
        let line = ports(&settings, max).to_string();
        assert!(line.starts_with(expected), "{expected:?}: {line}");
    }
}

#[test]
fn a_port_that_answers_everybody_is_warned_of() {
    let line = |networks: &[&str], account: Option<SipAccount>| {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        networks_line(&SipSettings { networks, account, ..sip("0.0.0.0:5060", "") })
    };
    fn networks_line(settings: &SipSettings) -> Option<String> {
        networks(settings).map(|finding| finding.to_string())
    }
    let account = || Some(SipAccount { username: "voice".to_owned(), password: Secret::new("hunter2") });
    assert_eq!(line(&["10.0.0.0/8", "::1/128"], None).unwrap(), "ok    sip networks: 2 are answered, and nobody else");
    assert!(line(&["10.0.0.0/8", "0.0.0.0/0"], None).unwrap().starts_with("warn  sip networks: everybody"));
    assert!(line(&["::/0"], None).unwrap().contains("cure: name whom calls come from"));
    assert!(line(&["0.0.0.0/0"], account()).unwrap().starts_with("ok  "), "a password keeps strangers out");
    assert_eq!(line(&[], None), None, "the configuration warns of it");
}

#[test]
fn a_trunk_is_resolved_and_can_be_asked() {
    let of = |transport| SipTrunk { address: "abc.example:5060".to_owned(), transport };
    let (udp, tls) = (of(SipTransport::Udp), of(SipTransport::Tls));
    let found = || Ok(vec![HERE, "203.0.113.8".parse().unwrap()]);
    let table = [
        (trunk(&udp, true, found()), "ok    sip trunk abc.example:5060: is 203.0.113.7, 203.0.113.8"),
        (trunk(&tls, false, found()), "ok  "),
        (trunk(&udp, false, found()), "FAIL  sip trunk abc.example:5060: is asked by UDP, and sip.listen is empty"),
        (
            trunk(&udp, true, Err("no such name".to_owned())),
            "FAIL  sip trunk abc.example:5060: cannot be resolved (no such name); cure: correct the host",
        ),
    ];
    for (finding, expected) in table {
        assert!(finding.to_string().starts_with(expected), "{expected:?}: {finding}");
    }
}

/// `routes`: host, port, protocol, and the address of the host.
fn routes(routes: &[(&str, u16, &str, &str)]) -> Vec<(RouteSeen, Vec<IpAddr>)> {
    let read = |(host, port, protocol, address): &(&str, u16, &str, &str)| {
        let route = RouteSeen { host: (*host).to_owned(), port: *port, protocol: (*protocol).to_owned() };
        (route, address.parse().into_iter().collect())
    };
    routes.iter().map(read).collect()
}

fn connector(requires_encryption: Result<bool, AwsFailure>) -> ConnectorSeen {
    let origination = Ok(OriginationSeen { enabled: true, routes: Vec::new() });
    let streaming = Ok(StreamingSeen::default());
    ConnectorSeen { id: "vc1".to_owned(), streaming, origination, requires_encryption }
}

#[test]
fn routes_lead_to_where_calls_are_taken() {
    let both = sip("0.0.0.0:5060", "0.0.0.0:5061");
    let (plain, secret) = (sip("0.0.0.0:5060", ""), sip("", "0.0.0.0:5061"));
    let strict = SipSettings { require_srtp: true, ..both.clone() };
    let here = |port, protocol| routes(&[("203.0.113.7", port, protocol, "203.0.113.7")]);
    let named = routes(&[("sip.example.com", 5_060, "UDP", "203.0.113.7")]);
    let elsewhere = routes(&[("gw.example.com", 5_060, "UDP", "203.0.113.9")]);
    let table = [
        (&both, false, here(5_060, "UDP"), "ok    sip route of vc1: 203.0.113.7:5060 UDP leads here"),
        (&both, false, here(5_060, "TCP"), "ok  "),
        (&both, true, here(5_061, "TCP"), "ok    sip route of vc1: 203.0.113.7:5061 TCP leads here"),
        (&plain, false, named, "ok    sip route of vc1: sip.example.com:5060 UDP leads here"),
        (&strict, true, here(5_061, "TCP"), "ok  "),
        (&both, false, here(5_070, "UDP"), "FAIL  sip route of vc1: 203.0.113.7:5070 UDP is not where"),
        (&both, false, here(5_061, "TCP"), "FAIL  sip route of vc1: 203.0.113.7:5061 TCP is not where"),
        (&both, true, here(5_060, "TCP"), "FAIL  sip route of vc1: 203.0.113.7:5060 TCP is not where"),
        (&both, true, here(5_061, "UDP"), "FAIL  sip route of vc1: 203.0.113.7:5061 UDP is not where"),
        (&plain, true, here(5_061, "TCP"), "FAIL  sip route of vc1: it requires encryption, and sip.tls.listen"),
        (&secret, false, here(5_060, "UDP"), "FAIL  sip route of vc1: it sends without encryption, and sip.listen"),
        (&strict, false, here(5_060, "UDP"), "FAIL  sip route of vc1: it sends plain RTP, which sip.require_srtp"),
        (&plain, false, elsewhere, "FAIL  sip route of vc1: none leads to 203.0.113.7, but to gw.example.com:5060 UDP"),
    ];
    for (settings, is_encrypted, routes, expected) in table {
        let findings = route_judged(settings, HERE, &connector(Ok(is_encrypted)), &routes, true);
        let line = findings[0].to_string();
        assert!(findings.len() == 1 && line.starts_with(expected), "{expected:?}: {findings:?}");
        assert_eq!(line.contains("; cure: "), line.starts_with("FAIL"), "{line}");
    }

    // The cure is the route to give.
    let wrong = route_judged(&both, HERE, &connector(Ok(true)), &here(5_060, "TCP"), true);
    assert!(wrong[0].to_string().ends_with("cure: give it the route 203.0.113.7:5061 TCP"), "{wrong:?}");
}

#[test]
fn other_hosts_beside_this_one_are_no_fault() {
    let sip = sip("0.0.0.0:5060", "");
    let two = routes(&[
        ("203.0.113.7", 5_060, "UDP", "203.0.113.7"),
        ("203.0.113.8", 5_060, "UDP", "203.0.113.8"),
        ("gone.example.com", 5_060, "UDP", ""),
    ]);
    let findings = route_judged(&sip, HERE, &connector(Ok(false)), &two, true);
    assert!(findings.len() == 1 && findings[0].to_string().starts_with("ok  "), "{findings:?}");

    // One that the configuration does not name may be somebody else's.
    let others = routes(&[("203.0.113.8", 5_060, "UDP", "203.0.113.8")]);
    let findings = route_judged(&sip, HERE, &connector(Ok(false)), &others, false);
    assert!(findings[0].to_string().starts_with("warn  sip route of vc1: none leads to"), "{findings:?}");
    let denied = AwsFailure { class: FailureClass::Denied, status: Some(403), text: "not you".to_owned() };
    let findings = route_judged(&sip, HERE, &connector(Err(denied)), &two, true);
    assert!(findings[0].to_string().contains("allow chime:GetVoiceConnector to check it"), "{findings:?}");
}

#[actix_rt::test]
async fn names_are_looked_up_and_a_leg_that_is_off_is_not_judged() {
    let route = RouteSeen { host: "localhost".to_owned(), port: 5_060, protocol: "UDP".to_owned() };
    let seen = |enabled| ConnectorSeen {
        origination: Ok(OriginationSeen { enabled, routes: vec![route.clone()] }),
        ..connector(Ok(false))
    };
    let loopback = SipSettings { advertised: "127.0.0.1".parse().ok(), ..sip("0.0.0.0:5060", "") };
    let findings = super::route(&loopback, &seen(true), true).await;
    assert_eq!(findings, [Finding::ok("sip route of vc1", "localhost:5060 UDP leads here")]);
    assert_eq!(super::route(&loopback, &seen(false), true).await, []);
    assert_eq!(super::route(&sip("", ""), &seen(true), true).await, []);
}

#[actix_rt::test]
async fn everything_of_a_host_is_looked_at() {
    let mut settings = Settings::embedded().unwrap();
    settings.sip = SipSettings {
        advertised: None,
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        trunks: vec![SipTrunk { address: "localhost:5060".to_owned(), transport: SipTransport::Udp }],
        ..sip("127.0.0.1:5060", "127.0.0.1:5061")
    };
    let mut report = Report::default();
    check(&settings, &mut report).await;
    assert_eq!((report.checks, report.failed), (5, 1), "address, certificate (there is none), ports, networks, trunk");
}
