//! Whole messages: read, built, written, refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;

use bytes::Bytes;
use proptest::prelude::*;
use trunkline_sip::message::{
    BadMessage, MAX_HEADERS, MAX_LINE_BYTES, MAX_MESSAGE_BYTES, Message, Method, Name, NameAddr, Start, Uri, Via,
};

const FIXTURES: [(&str, &[u8]); 5] = [
    ("answer-200", include_bytes!("fixtures/sip/answer-200.sip")),
    ("bye-from-vc", include_bytes!("fixtures/sip/bye-from-vc.sip")),
    ("invite-empty-display-name", include_bytes!("fixtures/sip/invite-empty-display-name.sip")),
    ("invite-from-sma-callandbridge", include_bytes!("fixtures/sip/invite-from-sma-callandbridge.sip")),
    ("invite-number-on-vc", include_bytes!("fixtures/sip/invite-number-on-vc.sip")),
];

fn fixture(name: &str) -> Message {
    let (_, bytes) = FIXTURES.iter().find(|(known, _)| *known == name).unwrap();
    Message::parse(&Bytes::from_static(bytes)).unwrap()
}

fn parse(text: &str) -> Result<Message, BadMessage> {
    Message::parse(&Bytes::copy_from_slice(text.as_bytes()))
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8(bytes.as_ref().to_vec()).unwrap()
}

fn written(message: &Message) -> String {
    text(message.to_bytes())
}

/// An OPTIONS with these lines, each with its CRLF.
fn options(lines: &str, body: &str) -> String {
    format!(
        "OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:b@example.com>;tag=1\r\n\
         To: <sip:a@example.com>\r\nCall-ID: c@192.0.2.1\r\nCSeq: 1 OPTIONS\r\n{lines}\r\n{body}"
    )
}

#[test]
fn what_a_voice_connector_sends_is_written_back_byte_for_byte() {
    for (name, bytes) in FIXTURES {
        assert_eq!(written(&fixture(name)), text(bytes), "{name}");
    }
}

#[test]
fn what_a_voice_connector_says_is_understood() {
    let invite = fixture("invite-from-sma-callandbridge");
    let transaction = "e2b7a9c4-1d35-4f86-a0b9-c7d8e9f01234";
    assert_eq!(invite.request_uri().unwrap().user.as_deref(), Some(transaction));
    assert_eq!(invite.request_uri().unwrap().transport(), Some("UDP"));
    for name in ["X-Sma-Transaction-Id", "x-sma-transaction-id", "X-SMA-TRANSACTION-ID"] {
        assert_eq!(invite.named(name), Some(transaction.as_bytes()), "{name}");
    }
    let to = invite.to().unwrap();
    assert_eq!((to.params.value("transport"), to.uri.transport(), to.tag()), (Some("UDP"), None, None));
    let route = &invite.routes(Name::RecordRoute).unwrap()[0].uri;
    assert!(route.lr() && route.params.value("ftag") == Some("Kx7pQ2vN"));
    let contact = invite.contact().unwrap().unwrap().uri;
    assert_eq!((contact.user, contact.port), (None, Some(5060)));
    assert_eq!(contact.params.value("alias"), Some("10.0.77.12~5060~1"));
    assert_eq!(invite.values(Name::Via).count(), 2);

    let named = fixture("invite-empty-display-name");
    let from = named.from().unwrap();
    assert_eq!((from.display, from.uri.user.as_deref()), (None, Some("+15550100001")));
    assert_eq!(named.from_tag().as_deref(), Some("Kx7pQ2vN"));

    let reason = fixture("bye-from-vc").reason().unwrap();
    assert_eq!((reason.protocol.as_str(), reason.cause), ("Q.850", Some(16)));
    assert_eq!(reason.text.as_deref(), Some("NORMAL_CLEARING"));
}

#[test]
fn an_answer_echoes_what_it_has_to() {
    let invite = fixture("invite-from-sma-callandbridge");
    let mut answer = Message::response_to(&invite, 200, "OK");
    answer.add_to_tag("us-5f3a");
    answer.copy(&invite, Name::RecordRoute);
    answer.push(Name::Contact, "<sip:bridge@203.0.113.10:5060>");
    answer.push(Name::ContentType, "application/sdp");
    answer.body = Bytes::from_static(b"v=0\r\n");
    assert_eq!(
        written(&answer),
        "SIP/2.0 200 OK\r\n\
         Via: SIP/2.0/UDP 3.80.16.44:5060;branch=z9hG4bK1f2e.0a1b2c3d4e5f60718293a4b5c6d7e8f9.0\r\n\
         Via: SIP/2.0/UDP 10.0.77.12;received=10.0.77.12;rport=5060;branch=z9hG4bKabc123XYZ\r\n\
         From: <sip:+15550100001@10.0.77.12:5060>;tag=Kx7pQ2vN\r\n\
         To: <sip:e2b7a9c4-1d35-4f86-a0b9-c7d8e9f01234@203.0.113.10:5060>;transport=UDP;tag=us-5f3a\r\n\
         Call-ID: 2b7d2b60-3c0f-47b5-9f58-0f1d7f8a9c3e\r\n\
         CSeq: 1001 INVITE\r\n\
         Record-Route: <sip:3.80.16.44;lr;ftag=Kx7pQ2vN;did=1a2.b3c4;nat=yes>\r\n\
         Contact: <sip:bridge@203.0.113.10:5060>\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: 5\r\n\r\nv=0\r\n"
    );
    answer.add_to_tag("another");
    assert_eq!(answer.to_tag().as_deref(), Some("us-5f3a"), "a tag is given once");
}

#[test]
fn the_topmost_via_notes_where_a_message_came_from() {
    let table = [
        ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", "192.0.2.1:5060", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
        ("SIP/2.0/UDP 192.0.2.1", "192.0.2.9:4", "SIP/2.0/UDP 192.0.2.1;received=192.0.2.9"),
        ("SIP/2.0/UDP 192.0.2.1;received=1.1.1.1", "192.0.2.1:4", "SIP/2.0/UDP 192.0.2.1;received=192.0.2.1"),
        (
            "SIP/2.0/UDP pc.example.com;branch=b",
            "192.0.2.9:4",
            "SIP/2.0/UDP pc.example.com;branch=b;received=192.0.2.9",
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;rport;branch=b",
            "192.0.2.1:4",
            "SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.1;rport=4",
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;branch=b;RPORT=9;received=1.1.1.1",
            "192.0.2.9:4",
            "SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.9;rport=4",
        ),
        (
            "SIP/2.0/UDP [2001:db8::1]:5061;branch=b",
            "[2001:db8::2]:5",
            "SIP/2.0/UDP [2001:db8::1]:5061;branch=b;received=2001:db8::2",
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;branch=b , SIP/2.0/UDP  10.0.0.1",
            "192.0.2.9:4",
            "SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.9, SIP/2.0/UDP  10.0.0.1",
        ),
    ];
    for (before, source, after) in table {
        let mut message = parse(&options("", "").replace("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", before)).unwrap();
        message.push(Name::Via, "SIP/2.0/UDP 10.0.0.2");
        let source: SocketAddr = source.parse().unwrap();
        message.note_source(source);
        assert_eq!(text(message.value(Name::Via).unwrap()), after);
        assert_eq!(message.values(Name::Via).last(), Some(&b"SIP/2.0/UDP 10.0.0.2"[..]));
        let via = message.via().unwrap();
        assert_eq!(via.received.or(via.host.address()), Some(source.ip()), "{after}");
    }
}

#[test]
fn a_list_of_vias_begins_with_one() {
    for value in ["", ",SIP/2.0/UDP 192.0.2.1", "\r\nVia: SIP/2.0/UDP 192.0.2.1"] {
        let why = parse(&options("", "").replace("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", value)).unwrap_err();
        assert_eq!(why, BadMessage::BadValue { name: "Via", value: "\"\"".to_owned() }, "{value:?}");
    }
}

#[test]
fn headers_are_found_added_and_replaced() {
    let mut message = parse(&options(
        "m: <sip:1@a>, \"2, <x>\" <sip:2@a>\r\nRoute: <sip:r1;lr>,<sip:r2;lr>\r\nroute: <sip:r3>\r\nk: timer\r\n",
        "",
    ))
    .unwrap();
    let contacts: Vec<_> = message.values(Name::Contact).map(text).collect();
    assert_eq!(contacts, ["<sip:1@a>", "\"2, <x>\" <sip:2@a>"]);
    let routes: Vec<_> = message.values(Name::Route).map(text).collect();
    assert_eq!(routes, ["<sip:r1;lr>", "<sip:r2;lr>", "<sip:r3>"]);
    assert!(message.lists(Name::Supported, "TIMER") && !message.lists(Name::Supported, "100rel"));
    assert_eq!(message.named("supported"), Some(&b"timer"[..]), "the long name finds the compact one");

    message.set(Name::Route, "<sip:only>");
    message.set(Name::UserAgent, "Trunkline");
    message.remove(Name::Contact);
    message.push_front(Name::Via, "SIP/2.0/TLS 192.0.2.2;branch=z9hG4bK2");
    message.push_named("X-Trunkline-Call", "7").unwrap();
    let rest = written(&message).split_once("CSeq: 1 OPTIONS\r\n").unwrap().1.to_owned();
    assert_eq!(
        rest,
        "Route: <sip:only>\r\nk: timer\r\nUser-Agent: Trunkline\r\nX-Trunkline-Call: 7\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(message.via().unwrap().branch.as_deref(), Some("z9hG4bK2"));
    for name in ["", "X Y", "X:", "X\r\nY", "content-length", "L"] {
        assert!(message.push_named(name, "1").is_err(), "{name:?}");
    }
}

#[test]
fn a_value_cannot_begin_a_header_of_its_own() {
    let mut message = Message::request(Method::Refer, "sip:a@b\r\nX-Evil: 1");
    message.push(Name::Subject, "hello\r\nX-Evil: 1\r\n\r\nBYE sip:a@b SIP/2.0");
    message.push_named("X-Said", "\nX-Evil: 1").unwrap();
    message.set(Name::To, "<sip:a@b>\rX-Evil: 1");
    assert!(
        !written(&message).contains("\nX-Evil") && !written(&message).contains("\rX-Evil"),
        "{}",
        written(&message)
    );
    let mut response = Message::response_to(&message, 200, "OK\r\nX-Evil: 1");
    response.push(Name::Server, b"\xff\n X");
    assert!(!String::from_utf8_lossy(&response.to_bytes()).contains("\nX-Evil"));
    for line in ["Subject: a\nX-Evil: 1\r\n", "Subject: a\rX-Evil: 1\r\n", "X\n: 1\r\n"] {
        assert!(matches!(parse(&options(line, "")), Err(BadMessage::BadHeader { .. })), "{line:?}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_kept() {
    let bytes = options("Subject: ol?\r\n", "").replace("From: <", "From: \"Jos?\" <").into_bytes();
    let bytes: Vec<u8> = bytes.into_iter().map(|byte| if byte == b'?' { 0xe9 } else { byte }).collect();
    let message = Message::parse(&bytes.clone().into()).unwrap();
    assert_eq!(message.value(Name::Subject), Some(&b"ol\xe9"[..]));
    assert_eq!(message.from().unwrap().display.as_deref(), Some("Jos\u{fffd}"));
    assert!(message.to_bytes().starts_with(&bytes[..bytes.len() - 2]), "written back as it came");
}

#[test]
fn the_body_is_as_long_as_it_says() {
    let table = [
        ("", "abc", Ok("abc")),
        ("Content-Length: 2\r\n", "abc", Ok("ab")),
        ("l : 0\r\n", "abc", Ok("")),
        ("L: 03\r\n", "abc", Ok("abc")),
    ];
    for (line, body, expected) in table {
        assert_eq!(
            parse(&options(line, body)).map(|message| text(message.body)),
            expected.map(str::to_owned),
            "{line:?}"
        );
    }
    let cut = parse(&options("Content-Length: 4\r\n", "abc")).unwrap_err();
    assert_eq!(cut, BadMessage::BodyCut { announced: 4, given: 3 });
    assert_eq!(cut.to_string(), "Content-Length is 4, 3 bytes follow");
    for length in ["", "-1", "+1", "0x1", "1 2", "1,2", "18446744073709551616", "99999999999999999999999999"] {
        let why = parse(&options(&format!("Content-Length: {length}\r\n"), "abc")).unwrap_err();
        assert!(matches!(why, BadMessage::BadValue { name: "Content-Length", .. }), "{length}: {why}");
    }
    let why = parse(&options("Content-Length: 18446744073709551615\r\n", "abc")).unwrap_err();
    assert!(matches!(why, BadMessage::BodyCut { .. }), "{why}");
}

#[test]
fn bounds_are_kept() {
    let headers = |count: usize| "Y: 1\r\n".repeat(count - 5);
    assert!(parse(&options(&headers(MAX_HEADERS), "")).is_ok());
    assert_eq!(parse(&options(&headers(MAX_HEADERS + 1), "")), Err(BadMessage::TooManyHeaders));
    let line = |length: usize| format!("Y: {}\r\n", "x".repeat(length - 3));
    assert!(parse(&options(&line(MAX_LINE_BYTES), "")).is_ok());
    assert!(matches!(parse(&options(&line(MAX_LINE_BYTES + 1), "")), Err(BadMessage::LineTooLong { .. })));
    let folded = format!("Y: 1\r\n{}", " x\r\n".repeat(MAX_LINE_BYTES / 4));
    assert!(matches!(parse(&options(&folded, "")), Err(BadMessage::LineTooLong { .. })), "folded lines are one");
    let start = options("", "").replace("sip:a@example.com SIP", &format!("sip:{} SIP", "a".repeat(MAX_LINE_BYTES)));
    assert!(matches!(parse(&start), Err(BadMessage::LineTooLong { .. })));
    let body = "b".repeat(MAX_MESSAGE_BYTES - options("", "").len());
    assert!(parse(&options("", &body)).is_ok());
    let large = options("", &(body + "b"));
    let why = parse(&large).unwrap_err();
    assert_eq!(why, BadMessage::TooLarge);
    assert_eq!(why.refusal(&Bytes::from(large)).unwrap().code(), Some(513));
}

#[test]
fn what_is_missing_or_half_there_is_named() {
    let whole = options("", "");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let without: String =
            whole.split_inclusive("\r\n").filter(|line| !line.starts_with(&format!("{name}:"))).collect();
        assert_eq!(parse(&without), Err(BadMessage::Missing { name }), "{name}");
        assert_eq!(parse(&without).unwrap_err().refusal(&without.clone().into()), None, "{name}");
    }
    assert_eq!(parse(""), Err(BadMessage::Empty));
    assert_eq!(parse("\r\n\r\n"), Err(BadMessage::Empty));
    assert!(parse(&format!("\r\n\r\n{whole}")).is_ok(), "line ends before a message are skipped");
    let cut = &whole[..whole.len() - 2];
    assert_eq!(parse(cut), Err(BadMessage::Cut));
    let refusal = BadMessage::Cut.refusal(&Bytes::copy_from_slice(cut.as_bytes()));
    assert_eq!(refusal.unwrap().code(), Some(400));
    let short = &whole[..whole.len() - 6];
    assert_eq!(BadMessage::Cut.refusal(&Bytes::copy_from_slice(short.as_bytes())), None, "half a CSeq is none");
}

#[test]
fn errors_hide_numbers_and_show_no_raw_bytes() {
    let bad = |value: &str| {
        parse(&options("", "").replace("<sip:a@example.com>\r\nCall", &format!("{value}\r\nCall"))).unwrap_err()
    };
    let why = bad("\"+15550100001 <sip:+15550100001@example.com>").to_string();
    assert_eq!(why, r#"To is "\"+########### <sip:+###########@example.com>""#);
    assert_eq!(bad("\"\u{7}\u{e9}\\").to_string(), r#"To is "\"\x07\xc3\xa9\\""#);
    let long = bad(&format!("\"{}", "x".repeat(1_000))).to_string();
    assert!(long.len() < 100 && long.ends_with("...\""), "{long}");
    let version = parse(&options("", "").replacen(" SIP/2.0", " SIP/3.0", 1)).unwrap_err();
    assert_eq!(version.to_string(), "the version is \"SIP/3.0\", spoken is SIP/2.0");
}

/// Bytes that look like SIP: pieces of it, put together at random.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "INVITE ", "sip:a@b", " SIP/2.0", "SIP/2.0 200 OK", "\r\n", "\r\n\r\n", "\r\n ", "Via: SIP/2.0/UDP a;branch=z9hG4bK",
            "From: ", "To: ", "Call-ID: x", "CSeq: 1 INVITE", "Content-Length: ", "l: 3", "\"", "<", ">", ";", ",", "=", ":", "@",
            "[", "]", "%41", "\\", "tag=", "lr", "tel:+1", "rport", "received=", "4294967296", "Digest ", "nonce=\"",
        ]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9.!%*_+`'~-]{1,12}"
}

/// A value that survives: no line ends, trimmed.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let fits = |byte: u8| if matches!(byte, b'\r' | b'\n') { b'.' } else { byte };
    prop::collection::vec(any::<u8>().prop_map(fits), 0..40).prop_map(|bytes| {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let from = bytes.iter().position(|byte| !is_blank(byte)).unwrap_or(bytes.len());
        let to = bytes.iter().rposition(|byte| !is_blank(byte)).map_or(from, |at| at + 1);
        bytes[from..to].to_vec()
    })
}

prop_compose! {
    fn message()(
        method in token(), number in 0_u32..1 << 31, code in prop::option::of(100_u16..700), tag in token(), call_id in token(),
        others in prop::collection::vec((token(), value()), 0..12), body in prop::collection::vec(any::<u8>(), 0..200),
    ) -> Message {
        let mut message = Message::request(Method::parse(method.as_bytes()).unwrap(), "sip:a@b;lr");
        if let Some(code) = code {
            message.start = Start::Response { code, reason: "So".to_owned() };
        }
        message.push(Name::Via, "SIP/2.0/TCP a.example.com:5070;branch=z9hG4bKx, SIP/2.0/UDP 10.0.0.1");
        message.push(Name::From, format!("\"\\\"<;,\" <sip:a@b>;tag={tag}"));
        message.push(Name::To, "sip:b@c;x=\",\"");
        message.push(Name::CallId, call_id);
        message.push(Name::CSeq, format!("{number} {method}"));
        for (name, value) in others {
            // What is known may not be repeated or has a shape of its own.
            if Name::parse(name.as_bytes()).is_none() && !name.eq_ignore_ascii_case("l") {
                message.push_named(&name, value).unwrap();
            }
        }
        message.body = body.into();
        message
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_as_it_was(message in message()) {
        let bytes = message.to_bytes();
        let read = Message::parse(&bytes);
        prop_assert_eq!(read.as_ref(), Ok(&message));
        prop_assert_eq!(read.unwrap().to_bytes(), bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(soup in soup(), is_within in any::<bool>()) {
        // Alone, or among the headers of a message that is good but for it.
        let bytes = if is_within { options("X-Soup: \r\n", "").into_bytes() } else { Vec::new() };
        let at = bytes.len().saturating_sub(4);
        let bytes = Bytes::from([&bytes[..at], &soup, &bytes[at..]].concat());
        match Message::parse(&bytes) {
            Ok(message) => {
                let again = Message::parse(&message.to_bytes());
                prop_assert_eq!(again.as_ref(), Ok(&message), "written back");
                prop_assert!(message.via().is_ok() && message.from().is_ok() && message.to().is_ok() && message.cseq().is_ok());
            }
            Err(why) => {
                let shown = why.to_string();
                prop_assert!(shown.len() <= 200 && shown.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}", shown);
                if let Some(refusal) = why.refusal(&bytes) {
                    prop_assert_eq!(refusal.code(), why.status());
                }
            }
        }
    }

    #[test]
    fn any_value_has_a_view_or_none(bytes in soup()) {
        let _ = (Uri::parse(&bytes), NameAddr::parse(&bytes), Via::parse(&bytes));
        let mut message = Message::request(Method::Options, &bytes);
        Name::ALL.iter().for_each(|&name| message.push(name, &bytes));
        let _ = (message.request_uri(), message.via(), message.cseq(), message.from_tag(), message.to_tag(), message.contact());
        let _ = (message.routes(Name::Route), message.refer_to(), message.max_forwards(), message.expires(), message.reason());
        let _ = (message.session_expires(), message.min_se(), message.retry_after(), message.is_content_type("a/b"));
        message.note_source(([192, 0, 2, 1], 5060).into());
        message.add_to_tag("t");
        prop_assert!(!message.to_bytes().is_empty());
    }

    #[test]
    fn every_value_is_given_out_whole(parts in prop::collection::vec("[a-z]{1,5}|\"[a-z,<\\\\\"]{0,5}\"|<[a-z,;\"]{0,5}>", 1..6)) {
        let parts: Vec<_> = parts.into_iter().map(|part| part.replace('\\', "\\\\")).collect();
        let is_closed = |part: &String| !part.starts_with('"') || part[1..part.len() - 1].matches('"').count() == 0;
        prop_assume!(parts.iter().all(is_closed));
        let mut message = Message::request(Method::Options, "sip:a");
        message.push(Name::Contact, parts.join(" , "));
        let values: Vec<_> = message.values(Name::Contact).map(text).collect();
        prop_assert_eq!(values, parts);
    }
}
