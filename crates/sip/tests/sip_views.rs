//! What is inside the values of headers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::net::IpAddr;

use trunkline_sip::message::{
    BadMessage, Host, Message, Method, Name, NameAddr, Reason, Refresher, Rport, Scheme, SessionExpires, Uri, Via,
    ViaTransport,
};

fn with(name: Name, value: &str) -> Message {
    let mut message = Message::request(Method::Invite, "sip:a@b");
    message.push(name, value);
    message
}

#[test]
fn addresses_are_taken_apart() {
    // value; display name, URI, tag, parameters of the header
    let table = [
        ("\"\" <sip:a@b>;tag=x", None, "sip:a@b", Some("x"), 1),
        ("<sip:a@b>;tag=x", None, "sip:a@b", Some("x"), 1),
        ("<sip:a@b;tag=uri>", None, "sip:a@b;tag=uri", None, 0),
        ("sip:a@b;tag=x", None, "sip:a@b", Some("x"), 1),
        ("sip:a@b", None, "sip:a@b", None, 0),
        ("<sip:+1@10.0.0.1:5060>;transport=UDP;tag=x", None, "sip:+1@10.0.0.1:5060", Some("x"), 2),
        ("Alice <sip:a@b>", Some("Alice"), "sip:a@b", None, 0),
        ("Alice Jones<sip:a@b> ; TAG = x", Some("Alice Jones"), "sip:a@b", Some("x"), 1),
        (
            "\"Jones, Alice <a@b>; tag=no\" <sip:a@b>;tag=yes",
            Some("Jones, Alice <a@b>; tag=no"),
            "sip:a@b",
            Some("yes"),
            1,
        ),
        (r#""\"Al\" \\" <sip:a@b>"#, Some("\"Al\" \\"), "sip:a@b", None, 0),
        ("\"A\"<sip:a@b>;tag=\"q;x\"", Some("A"), "sip:a@b", Some("q;x"), 1),
        ("<sip:a@b>;tag=x;tag=y", None, "sip:a@b", Some("x"), 2),
        ("<sip:a@b>;flag;tag", None, "sip:a@b", None, 2),
        ("<tel:+1555>;tag=x", None, "tel:+1555", Some("x"), 1),
        ("tel:+1555;phone-context=example.com", None, "tel:+1555", None, 1),
        ("  <sip:a@b>  ", None, "sip:a@b", None, 0),
    ];
    for (value, display, uri, tag, params) in table {
        let read = NameAddr::parse(value.as_bytes()).unwrap_or_else(|| panic!("{value}"));
        assert_eq!(read.display.as_deref(), display, "{value}");
        assert_eq!(read.uri.as_bytes(), uri.as_bytes(), "{value}");
        assert_eq!((read.tag(), read.params.iter().count()), (tag, params), "{value}");
    }
    for value in [
        "",
        "*",
        "<",
        ">",
        "<>",
        "<sip:a@b",
        "sip:a@b>",
        "\"A <sip:a@b>",
        "\"A\" sip:a@b",
        "A\" <sip:a@b>",
        "<sip:a@b>tag=x",
        "<sip:a@b>;",
        "<sip:a@b>;;tag=x",
        "<sip:a@b>;=x",
        "<sip:a@b>;a b=x",
        "<sip:a@b>;tag=\"x",
        "<sip:a@b>;tag=\"x\"y",
        "a@b",
        "<sip:a b@c>",
        "sip:a@b?x=y",
        "<<sip:a@b>>",
        "\"A\\\" <sip:a@b>",
        "Alice",
    ] {
        assert_eq!(NameAddr::parse(value.as_bytes()), None, "{value}");
    }
}

#[test]
fn uris_are_taken_apart() {
    let v6 = || Host::V6("2001:db8::9".parse().unwrap());
    let v4 = || Host::V4([192, 0, 2, 1].into());
    let domain = |name: &str| Host::Domain(name.to_owned());
    let table = [
        ("sip:a@example.com", Scheme::Sip, Some("a"), Some(domain("example.com")), None),
        ("SIPS:a@example.com:5061", Scheme::Sips, Some("a"), Some(domain("example.com")), Some(5061)),
        ("sip:192.0.2.1", Scheme::Sip, None, Some(v4()), None),
        ("sip:a@192.0.2.1:1;lr", Scheme::Sip, Some("a"), Some(v4()), Some(1)),
        ("sip:[2001:db8::9]", Scheme::Sip, None, Some(v6()), None),
        ("sip:a@[2001:db8::9]:65535;transport=tls", Scheme::Sip, Some("a"), Some(v6()), Some(65535)),
        ("sip:a:secret@example.com", Scheme::Sip, Some("a"), Some(domain("example.com")), None),
        ("sip:a;x=y?z@example.com?subject=s", Scheme::Sip, Some("a;x=y?z"), Some(domain("example.com")), None),
        ("sip:example.com;a=b?c=d", Scheme::Sip, None, Some(domain("example.com")), None),
        ("sip:my_host.", Scheme::Sip, None, Some(domain("my_host.")), None),
        ("sip:1.2.3.4.5", Scheme::Sip, None, Some(domain("1.2.3.4.5")), None),
        ("tel:+1-555-010-0001;ext=2", Scheme::Tel, Some("+1-555-010-0001"), None, None),
        ("TEL:*31%23", Scheme::Tel, Some("*31#"), None, None),
        ("mailto:a@b", Scheme::Other, None, None, None),
        ("urn:service:sos", Scheme::Other, None, None, None),
    ];
    for (text, scheme, user, host, port) in table {
        let uri = Uri::parse(text.as_bytes()).unwrap();
        assert_eq!((uri.scheme, uri.user.as_deref(), &uri.host, uri.port), (scheme, user, &host, port), "{text}");
        assert_eq!(uri.as_bytes(), text.as_bytes());
    }
    for text in [
        "",
        "sip",
        ":",
        "sip:",
        "sip:@a",
        "sip::p@a",
        "sip:a@",
        "sip:a@b@c",
        "sip:a@b:",
        "sip:a@b:0",
        "sip:a@b:65536",
        "sip:a@b:x",
        "sip:a@[::1",
        "sip:a@::1",
        "sip:a@[::1]x",
        "sip:a@[::1]:",
        "sip:a@[1.2.3.4]",
        "sip:a@b c",
        "sip:a@b\"",
        "sip:<a@b>",
        "sip:a@b;",
        "sip:a@b;;x",
        "1sip:a@b",
        "s/p:a@b",
        "tel:",
        "tel:;x",
        "sip:a@exa/mple",
        "sip:a@.b",
        "sip:a@b;x=@",
        "sip:a\u{7f}@b",
        "sip:a@b%41",
        "sip:bücher.example",
    ] {
        assert!(matches!(Uri::parse(text.as_bytes()), Err(BadMessage::BadUri { .. })), "{text}");
    }
    assert!(Uri::parse(format!("sip:{}", "a".repeat(255)).as_bytes()).is_ok());
    assert!(Uri::parse(format!("sip:{}", "a".repeat(256)).as_bytes()).is_err());
    assert_eq!(
        Uri::parse(b"sip:a;Transport=tcp;LR").map(|uri| (uri.transport() == Some("tcp"), uri.lr())),
        Ok((true, true))
    );
    assert_eq!(v6().to_string(), "[2001:db8::9]");
}

#[test]
fn vias_are_taken_apart() {
    let table = [
        ("SIP/2.0/UDP 192.0.2.1", ViaTransport::Udp, "192.0.2.1", None, None, Rport::Absent, None),
        (
            "sip/2.0/tcp a.example.com:5070;branch=z9hG4bK1",
            ViaTransport::Tcp,
            "a.example.com",
            Some(5070),
            Some("z9hG4bK1"),
            Rport::Absent,
            None,
        ),
        (
            "SIP / 2.0 / TLS  [2001:db8::9] : 5061 ;rport ; branch = x",
            ViaTransport::Tls,
            "[2001:db8::9]",
            Some(5061),
            Some("x"),
            Rport::Asked,
            None,
        ),
        (
            "SIP/2.0/WSS a;rport=9;received=192.0.2.7",
            ViaTransport::Other,
            "a",
            None,
            None,
            Rport::Filled(9),
            Some("192.0.2.7"),
        ),
        ("SIP/2.0/UDP a;RECEIVED=2001:db8::9", ViaTransport::Udp, "a", None, None, Rport::Absent, Some("2001:db8::9")),
        (
            "SIP/2.0/UDP a;received=[2001:db8::9];rport",
            ViaTransport::Udp,
            "a",
            None,
            None,
            Rport::Asked,
            Some("2001:db8::9"),
        ),
        ("SIP/2.0/UDP\ta;keep;ttl=1;maddr=224.2.0.1", ViaTransport::Udp, "a", None, None, Rport::Absent, None),
    ];
    for (value, transport, host, port, branch, rport, received) in table {
        let via = Via::parse(value.as_bytes()).unwrap_or_else(|| panic!("{value}"));
        assert_eq!((via.transport, via.host.to_string().as_str(), via.port), (transport, host, port), "{value}");
        let received = received.map(|address| address.parse::<IpAddr>().unwrap());
        assert_eq!((via.branch.as_deref(), via.rport, via.received), (branch, rport, received), "{value}");
    }
    for value in [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0 a",
        "SIP/3.0/UDP a",
        "HTTP/2.0/UDP a",
        "SIP/2.0/U/DP a",
        "SIP/2.0/UDP a b",
        "SIP/2.0/UDP a:0",
        "SIP/2.0/UDP a:70000",
        "SIP/2.0/UDP a;",
        "SIP/2.0/UDP a;rport=x",
        "SIP/2.0/UDP a;rport=",
        "SIP/2.0/UDP a;rport=65536",
        "SIP/2.0/UDP a;received=here",
        "SIP/2.0/UDP ;branch=x",
        "SIP/2.0/UDP 2001:db8::9",
    ] {
        assert_eq!(Via::parse(value.as_bytes()), None, "{value}");
    }
}

#[test]
fn numbers_have_bounds() {
    let cseq = |value: &str| with(Name::CSeq, value).cseq().ok();
    assert_eq!(cseq("2147483647 INVITE"), Some((2_147_483_647, Method::Invite)));
    assert_eq!(cseq("0\t  invite"), Some((0, Method::Other("invite".into()))));
    for bad in [
        "2147483648 INVITE",
        "1",
        "INVITE",
        "1INVITE",
        "-1 INVITE",
        "1 INVITE BYE",
        "1  ",
        "4294967297 INVITE",
        "1 a,b",
    ] {
        assert_eq!(cseq(bad), None, "{bad}");
    }
    let hops = |value: &str| with(Name::MaxForwards, value).max_forwards();
    assert_eq!((hops("0070"), hops("255")), (Ok(Some(70)), Ok(Some(255))));
    assert!([" ", "256", "-1", "7 0", "70;x"].iter().all(|bad| hops(bad).is_err()));
    let expires = |value: &str| with(Name::Expires, value).expires();
    assert_eq!(expires("4294967295"), Ok(Some(u32::MAX)));
    assert!(expires("4294967296").is_err() && expires("1e3").is_err());
    let empty = Message::request(Method::Invite, "sip:a");
    assert_eq!(
        (empty.max_forwards(), empty.expires(), empty.min_se(), empty.session_expires()),
        (Ok(None), Ok(None), Ok(None), Ok(None))
    );
    assert_eq!(empty.cseq(), Err(BadMessage::Missing { name: "CSeq" }));
    assert_eq!((empty.call_id(), empty.from_tag(), empty.contact()), (&b""[..], None, Ok(None)));
}

#[test]
fn session_timers_are_read() {
    let timer = |value: &str| with(Name::SessionExpires, value).session_expires().ok().flatten();
    let table = [
        ("1800", 1_800, None),
        ("90;refresher=uac", 90, Some(Refresher::Uac)),
        ("90 ; x ; Refresher = UAS", 90, Some(Refresher::Uas)),
    ];
    for (value, seconds, refresher) in table {
        assert_eq!(timer(value), Some(SessionExpires { seconds, refresher }), "{value}");
    }
    for bad in ["", "x", "90;refresher=both", "90;", "4294967296", "90,91", "-90"] {
        assert!(with(Name::SessionExpires, bad).session_expires().is_err(), "{bad}");
    }
    assert_eq!(with(Name::MinSe, "90;x=y").min_se(), Ok(Some(90)));
    assert!(with(Name::MinSe, "90 s").min_se().is_err());
    let wait = |value: &str| with(Name::RetryAfter, value).retry_after();
    assert_eq!([wait("120"), wait("5 (in a meeting);duration=3"), wait("soon")], [Some(120), Some(5), None]);
}

#[test]
fn reasons_and_targets_are_read() {
    let reason = |protocol: &str, cause, text: Option<&str>| {
        Some(Reason { protocol: protocol.to_owned(), cause, text: text.map(str::to_owned) })
    };
    let table = [
        (
            "SIP ;cause=200 ;text=\"Call completed elsewhere\"",
            reason("SIP", Some(200), Some("Call completed elsewhere")),
        ),
        ("Q.850;cause=16, SIP;cause=200", reason("Q.850", Some(16), None)),
        (";;, SIP", reason("SIP", None, None)),
        ("SIP;cause=x", reason("SIP", None, None)),
        ("SIP;cause=99999", reason("SIP", None, None)),
        ("a b", None),
    ];
    for (value, expected) in table {
        assert_eq!(with(Name::Reason, value).reason(), expected, "{value}");
    }
    let target =
        with(Name::ReferTo, "<sip:c@d?Replaces=x%40y%3Bto-tag%3D1>;method=INVITE").refer_to().unwrap().unwrap();
    assert_eq!((target.uri.user.as_deref(), target.params.value("method")), (Some("c"), Some("INVITE")));
    assert!(with(Name::ReferTo, "nowhere").refer_to().is_err());
    assert_eq!(with(Name::Contact, "*").contact(), Ok(None));
    assert_eq!(with(Name::Contact, "").contact(), Ok(None));
}

#[test]
fn content_types_are_compared_without_parameters() {
    let is_sdp = |value: &str| with(Name::ContentType, value).is_content_type("application/sdp");
    assert!(is_sdp("application/sdp") && is_sdp("Application/SDP ;charset=utf-8"));
    assert!(!is_sdp("application/sdpx") && !is_sdp("") && !is_sdp("x;application/sdp"));
}

#[test]
fn names_are_known_in_any_form() {
    for name in Name::ALL {
        let text = name.as_str();
        assert_eq!(Name::parse(text.as_bytes()), Some(*name));
        assert_eq!(Name::parse(text.to_uppercase().as_bytes()), Some(*name));
    }
    let compact = "iIvVfFtTmMkKcCeEsSxXrRbBuUoO".bytes().filter(|byte| Name::parse(&[*byte]).is_some());
    assert_eq!(compact.count(), 28);
    assert_eq!([Name::parse(b""), Name::parse(b"l"), Name::parse(b"X-A")], [None; 3]);
    for method in [
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "UPDATE",
        "REFER",
        "NOTIFY",
        "INFO",
        "PRACK",
        "REGISTER",
        "SUBSCRIBE",
        "MESSAGE",
        "PUBLISH",
    ] {
        let read = Method::parse(method.as_bytes()).unwrap();
        assert!(!matches!(read, Method::Other(_)) && read.as_str() == method, "{method}");
        assert!(matches!(Method::parse(method.to_lowercase().as_bytes()), Some(Method::Other(_))), "{method}");
    }
    assert_eq!([Method::parse(b""), Method::parse(b"A B"), Method::parse(b"\xff")], [None, None, None]);
}
