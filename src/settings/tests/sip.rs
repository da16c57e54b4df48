//! The SIP/RTP leg: what is allowed, and what goes together.

use std::net::IpAddr;

use super::*;

const LISTEN: (&str, &str) = ("TRUNKLINE__SIP__LISTEN", "127.0.0.1:5060");
const OPEN: (&str, &str) = ("TRUNKLINE__SIP__LISTEN", "0.0.0.0:5060");
const ADVERTISED: (&str, &str) = ("TRUNKLINE__SIP__ADVERTISED", "203.0.113.7");
const MODEL: (&str, &str) = ("TRUNKLINE__REALTIME__URL", "simulator");

#[test]
fn bad_values_are_named_with_what_is_allowed() {
    let table: &[(&str, &str, &[&str])] = &[
        ("LISTEN", "5060", &["sip.listen = \"5060\"", "IP:PORT"]),
        ("LISTEN", "sip.example.com:5060", &["sip.listen", "IP:PORT"]),
        ("ADVERTISED", "sip.example.com", &["sip.advertised = \"sip.example.com\"", "IP address"]),
        ("ADVERTISED", "203.0.113.7:5060", &["sip.advertised", "IP address"]),
        ("ADVERTISED", "0.0.0.0", &["sip.advertised = \"0.0.0.0\"", "that peers see"]),
        ("ALLOWED_NETWORKS", "amazon", &["sip.allowed_networks = \"amazon\"", "networks", "\"chime\""]),
        ("ALLOWED_NETWORKS", "chime,203.0.113.0/33", &["sip.allowed_networks", "networks"]),
        ("RTP_PORTS", "10000", &["sip.rtp_ports = \"10000\"", "LOW-HIGH"]),
        ("RTP_PORTS", "20000-10000", &["sip.rtp_ports", "LOW-HIGH"]),
        ("RTP_PORTS", "1000-2000", &["sip.rtp_ports", "from 1024 to 65535"]),
        ("RTP_PORTS", "60000-70000", &["sip.rtp_ports", "from 1024 to 65535"]),
        ("RTP_PORTS", "10000-10000", &["sip.rtp_ports", "an even port and the next"]),
        ("RTP_PORTS", "10001-10002", &["sip.rtp_ports", "an even port and the next"]),
        ("REQUIRE_SRTP", "maybe", &["sip.require_srtp", "true or false"]),
        ("USERNAME", "vc", &["sip.username", "sip.password", "both or neither"]),
        ("PASSWORD_FILE", "/absent/password", &["sip.password_file", "/absent/password", "readable file"]),
        ("SESSION_EXPIRES", "30s", &["sip.session_expires = \"30s\"", "from 90s"]),
        ("SESSION_EXPIRES", "0s", &["sip.session_expires"]),
        ("TRUNKS", "abc.voiceconnector.chime.aws", &["sip.trunks", "voiceconnector.chime.aws:5060"]),
        ("TRUNKS", "abc.example:5060;transport=ws", &["sip.trunks", ";transport=tls"]),
        ("TRUNKS", "sip:abc.example:5060", &["sip.trunks"]),
        ("TRUNKS", "abc.example:99999", &["sip.trunks"]),
        ("TRUNKS", ":5060", &["sip.trunks"]),
        ("OPTIONS_INTERVAL", "1s", &["sip.options_interval = \"1s\"", "from 5s to 10m"]),
        ("TLS__LISTEN", "5061", &["sip.tls.listen = \"5061\"", "IP:PORT"]),
        ("TLS__CERT_FILE", "/absent/cert", &["sip.tls.cert_file", "/absent/cert", "readable file"]),
    ];
    for (name, value, parts) in table {
        let name = format!("TRUNKLINE__SIP__{name}");
        env_refusal(&[(&name, value)], &[*parts, &[name.as_str()]].concat());
    }
}

#[test]
fn it_is_off_by_default_and_ready_for_a_voice_connector() {
    let s = load(&Sources::default()).sip;
    assert!(s.listen.is_none() && s.tls.is_none() && s.listeners().next().is_none());
    assert!(s.advertised.is_none() && s.account.is_none() && s.trunks.is_empty() && !s.require_srtp);
    assert_eq!((s.rtp_ports.clone(), s.port_pairs()), (10_000..=19_999, 5_000));
    assert_eq!((s.session_expires, s.options_interval), (Duration::from_secs(1_800), Duration::from_secs(45)));
    assert!(admits(&s, "3.80.17.255") && !admits(&s, "203.0.113.9"));
}

fn admits(settings: &SipSettings, address: &str) -> bool {
    let address: IpAddr = address.parse().unwrap();
    settings.networks.iter().any(|network| network.contains(&address))
}

#[test]
fn the_word_chime_is_the_networks_of_voice_connectors() {
    let networks = |text: &str| load(&env(&[("TRUNKLINE__SIP__ALLOWED_NETWORKS", text)])).sip;
    let s = networks("chime, 203.0.113.9, 198.51.100.0/24, 2001:db8::/32");
    // One address of each region, and its neighbours outside.
    for inside in [
        "3.80.16.0",
        "99.77.253.1",
        "99.77.242.1",
        "99.77.240.1",
        "99.77.239.1",
        "99.77.244.1",
        "99.77.233.1",
        "99.77.247.1",
        "99.77.250.1",
        "99.77.249.255",
        "2600:f0f0:c07f::1",
        "203.0.113.9",
        "198.51.100.200",
        "2001:db8::9",
    ] {
        assert!(admits(&s, inside), "{inside}");
    }
    for outside in ["3.80.15.255", "3.80.18.0", "99.77.254.1", "203.0.113.10", "2600:f0f0:c080::1", "10.0.0.1"] {
        assert!(!admits(&s, outside), "{outside}");
    }
    assert!(!admits(&networks("127.0.0.1"), "3.80.16.1"), "a list replaces the default's");
    assert!(networks("").networks.is_empty());
}

#[test]
fn an_address_that_says_nothing_needs_one_that_peers_see() {
    let parts = ["sip.advertised", "is empty", "0.0.0.0"];
    env_refusal(&[OPEN, MODEL], &parts);
    let s = load(&env(&[OPEN, ADVERTISED, MODEL])).sip;
    assert_eq!((s.listen.unwrap().port(), s.advertised.unwrap().to_string()), (5_060, "203.0.113.7".to_owned()));
    assert!(load(&env(&[LISTEN])).sip.advertised.is_none(), "the address itself can be said");

    let dir = Dir::new("sip-unspecified");
    let (cert, key) = tls_files(&dir);
    let tls = ("TRUNKLINE__SIP__TLS__LISTEN", "[::]:5061");
    let files = [("TRUNKLINE__SIP__TLS__CERT_FILE", cert.as_str()), ("TRUNKLINE__SIP__TLS__KEY_FILE", key.as_str())];
    env_refusal(&[LISTEN, tls, files[0], files[1], MODEL], &["sip.advertised", "::"]);
}

fn tls_files(dir: &Dir) -> (String, String) {
    let file = |name: &str| dir.file(name, "-----").to_str().unwrap().to_owned();
    (file("cert.pem"), file("key.pem"))
}

#[test]
fn tls_is_given_whole_or_not_at_all() {
    let dir = Dir::new("sip-tls");
    let (cert, key) = tls_files(&dir);
    let all = [
        ("TRUNKLINE__SIP__TLS__LISTEN", "127.0.0.1:5061"),
        ("TRUNKLINE__SIP__TLS__CERT_FILE", cert.as_str()),
        ("TRUNKLINE__SIP__TLS__KEY_FILE", key.as_str()),
    ];
    for missing in all {
        let given: Vec<_> = all.into_iter().filter(|pair| *pair != missing).collect();
        env_refusal(&given, &["sip.tls.listen", "sip.tls.cert_file", "sip.tls.key_file", "all of them or none"]);
    }
    let s = load(&env(&all)).sip;
    let listeners: Vec<String> = s.listeners().map(|address| address.to_string()).collect();
    assert_eq!(listeners, ["127.0.0.1:5061"], "TLS alone is enough");

    let srtp = ("TRUNKLINE__SIP__REQUIRE_SRTP", "true");
    env_refusal(&[LISTEN, srtp], &["sip.require_srtp", "sip.tls.listen"]);
    assert!(load(&env(&[LISTEN, srtp, all[0], all[1], all[2]])).sip.require_srtp);
}

#[test]
fn user_and_password_go_together_and_the_password_is_not_shown() {
    let username = ("TRUNKLINE__SIP__USERNAME", "voice");
    let password = ("TRUNKLINE__SIP__PASSWORD", "hunter2");
    env_refusal(&[password], &["sip.username", "both or neither"]);
    let loaded = Loaded::from_sources(&env(&[username, password])).unwrap();
    let account = loaded.settings.sip.account.as_ref().unwrap();
    assert_eq!((account.username.as_str(), account.password.expose()), ("voice", "hunter2"));
    let shown = |key: &str| loaded.entries.iter().find(|entry| entry.key == key).unwrap().shown.clone();
    assert_eq!((shown("sip.username"), shown("sip.password")), ("\"voice\"".to_owned(), "\"[redacted]\"".to_owned()));
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert!(!refusal(&env(&[password])).contains("hunter2"));
}

#[test]
fn trunks_say_how_they_are_asked() {
    let text = "abc.voiceconnector.chime.aws:5060,abc.example:5060;transport=udp,192.0.2.1:5060;transport=tcp,[2001:db8::1]:5061;transport=tls";
    let trunks = load(&env(&[("TRUNKLINE__SIP__TRUNKS", text)])).sip.trunks;
    let found: Vec<_> = trunks.iter().map(|trunk| (trunk.address.as_str(), trunk.transport)).collect();
    let expected = [
        ("abc.voiceconnector.chime.aws:5060", SipTransport::Udp),
        ("abc.example:5060", SipTransport::Udp),
        ("192.0.2.1:5060", SipTransport::Tcp),
        ("[2001:db8::1]:5061", SipTransport::Tls),
    ];
    assert_eq!(found, expected);
}

#[test]
fn beyond_loopback_needs_a_model_and_somebody_to_answer() {
    env_refusal(&[OPEN, ADVERTISED], &["realtime.url", "0.0.0.0:5060 listens beyond loopback", "simulator"]);
    assert!(load(&env(&[OPEN, ADVERTISED, MODEL])).realtime.urls.is_empty());
    assert!(load(&env(&[LISTEN])).realtime.urls.is_empty(), "on loopback the simulator answers");

    let dir = Dir::new("sip-beyond");
    let (cert, key) = tls_files(&dir);
    let tls = [
        ("TRUNKLINE__SIP__TLS__LISTEN", "203.0.113.7:5061"),
        ("TRUNKLINE__SIP__TLS__CERT_FILE", cert.as_str()),
        ("TRUNKLINE__SIP__TLS__KEY_FILE", key.as_str()),
    ];
    env_refusal(&tls, &["realtime.url", "203.0.113.7:5061 listens beyond loopback"]);

    let warnings = |pairs: &[(&str, &str)]| Loaded::from_sources(&env(pairs)).unwrap().warnings;
    let nobody = ("TRUNKLINE__SIP__ALLOWED_NETWORKS", "");
    let found = warnings(&[OPEN, ADVERTISED, MODEL, nobody]);
    assert!(found.len() == 1 && found[0].starts_with("sip.allowed_networks is empty: nobody"), "{found:?}");
    for well in [&[OPEN, ADVERTISED, MODEL][..], &[LISTEN, nobody], &[nobody]] {
        assert_eq!(warnings(well), Vec::<String>::new());
    }
}
