//! Messages that RFC 4475 thought up to torture parsers, composed anew: each has the oddity that its section describes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use trunkline_sip::message::{
    BadMessage, Framed, Message, Method, Name, NameAddr, Scheme, StreamFramer, Uri, Via, ViaTransport,
};

/// With CRLF at every line's end, as it travels.
fn datagram(text: &str) -> Bytes {
    Bytes::from(text.trim_start_matches('\n').replace('\n', "\r\n").into_bytes())
}

fn read(text: &str) -> Message {
    Message::parse(&datagram(text)).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

/// A request with these lines in the place of, or besides, the usual ones.
fn options(lines: &str) -> String {
    let usual = [
        ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKusual"),
        ("From", "<sip:caller@example.net>;tag=f1"),
        ("To", "<sip:user@example.com>"),
        ("Call-ID", "usual@192.0.2.1"),
        ("CSeq", "7 OPTIONS"),
        ("Max-Forwards", "70"),
    ];
    let is_given = |name: &str| lines.lines().any(|line| line.split(':').next() == Some(name));
    let missing = usual.iter().filter(|(name, _)| !is_given(name));
    let usual: String = missing.map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("OPTIONS sip:user@example.com SIP/2.0\n{usual}{lines}\n\n")
}

#[test]
fn a_short_tortuous_invite_is_read() {
    // 3.1.1.1
    let invite = read(
        r#"
INVITE sip:vivekg@chair.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 8
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \"\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

v=0
s=-
"#,
    );
    assert_eq!(invite.method(), Some(&Method::Invite));
    assert!(invite.request_uri().unwrap().params.has("unknownparam"));
    let to = invite.to().unwrap();
    assert_eq!(
        (to.uri.as_bytes(), to.tag(), to.display.as_deref()),
        (&b"sip:vivekg@chair.example.com"[..], Some("1918181833n"), None)
    );
    let from = invite.from().unwrap();
    assert_eq!((from.display.as_deref(), from.tag()), (Some("J Rosenberg \\\""), Some("98asjd8")));
    assert_eq!(invite.max_forwards(), Ok(Some(68)));
    assert_eq!(invite.cseq(), Ok((9, Method::Invite)));
    assert_eq!(invite.body, "v=0\r\ns=-");
    assert_eq!(invite.named("newFANGLEDheader"), Some(&b"newfangled value continued newfangled value"[..]));
    assert_eq!(invite.named("UnknownHeaderWithUnusualValue"), Some(&b";;,,;;,;"[..]));
    assert_eq!(invite.value(Name::Subject), Some(&b""[..]));
    let via = invite.via().unwrap();
    assert_eq!((via.transport, via.branch.as_deref()), (ViaTransport::Udp, Some("390skdjuw")));
    let vias: Vec<_> = invite.values(Name::Via).map(|value| Via::parse(value).unwrap()).collect();
    let hosts: Vec<_> = vias.iter().map(|via| via.host.to_string()).collect();
    assert_eq!(hosts, ["192.0.2.2", "spindle.example.com", "192.168.255.111"]);
    assert_eq!(vias[2].branch.as_deref(), Some("z9hG4bK30239"));
    let contact = invite.contact().unwrap().unwrap();
    assert_eq!(contact.display.as_deref(), Some("Quoted string \"\""));
    assert_eq!((contact.params.value("newparam"), contact.params.value("q")), (Some("newvalue"), Some("0.33")));
    assert!(contact.params.has("secondparam"));
    assert!(invite.routes(Name::Route).unwrap()[0].uri.lr());
}

#[test]
fn every_character_that_is_allowed_is_read() {
    // 3.1.1.2
    let message = r#"
!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0
Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~
To: "BEL:\<7> NUL:\<0> DEL:\<127>" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>
From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%="работающий";tag=_token~1'+`*%!-.
Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{
CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~
Max-Forwards: 255
extensionHeader-!.%*+_`'~:大停電
Content-Length: 0

"#;
    let message = read(&message.replace("<7>", "\x07").replace("<0>", "\0").replace("<127>", "\x7f"));
    assert_eq!(message.to().unwrap().display.as_deref(), Some("BEL: NUL: DEL:"), "what a telephone can show");
    assert!(matches!(message.method(), Some(Method::Other(name)) if name.starts_with("!interesting")));
    assert_eq!(message.request_uri().unwrap().user.unwrap(), "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
    let from = message.from().unwrap();
    assert_eq!(from.display.as_deref(), Some("token1~` token2'+_ token3*%!.-"));
    assert_eq!(from.params.value("fromParam''~+*_!.-%"), Some("работающий"));
    assert_eq!(from.tag(), Some("_token~1'+`*%!-."));
    assert_eq!(message.call_id(), br#"intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{"#);
    assert_eq!(message.named("extensionHeader-!.%*+_`'~"), Some("大停電".as_bytes()));
}

#[test]
fn escapes_are_resolved_but_for_control_characters() {
    // 3.1.1.3 to 3.1.1.5
    let table = [
        ("sip:sips%3Auser%40example.com@example.net", "sips:user@example.com", "example.net"),
        ("sip:%75se%72@example.com", "user", "example.com"),
        ("sip:I%20have%20spaces@example.net", "I have spaces", "example.net"),
        ("sip:null-%00-null@example.com", "null-%00-null", "example.com"),
        ("sip:%41%00@example.com", "A%00", "example.com"),
        ("sip:%00%00@host5.example.com", "%00%00", "host5.example.com"),
        ("sip:100%25zap@example.com", "100%zap", "example.com"),
        ("sip:%Z%45@example.com", "%ZE", "example.com"),
        ("sip:caf%C3%A9@example.com", "café", "example.com"),
        ("sip:latin%E9@example.com", "latin%E9", "example.com"),
        ("sip:c1%C2%85@example.com", "c1%C2%85", "example.com"),
    ];
    for (uri, user, host) in table {
        let read = Uri::parse(uri.as_bytes()).unwrap();
        assert_eq!((read.user.as_deref(), read.host.unwrap().to_string().as_str()), (Some(user), host), "{uri}");
    }
    let message = read(&options("RE%47IST%45R: is another header").replace("OPTIONS", "RE%47IST%45R"));
    assert_eq!(message.method(), Some(&Method::Other("RE%47IST%45R".into())), "a method has no escapes");
}

#[test]
fn other_valid_oddities_are_read() {
    // 3.1.1.6: nothing between display name and bracket
    assert_eq!(
        read(&options("From: caller<sip:caller@example.com>;tag=323")).from().unwrap().display.unwrap(),
        "caller"
    );
    // 3.1.1.7: long values
    let long = "a-very-long-one.".repeat(200);
    let message = read(&options(&format!("To: <sip:{long}@example.com>\nCall-ID: {long}\nX-Long: {long}")));
    assert_eq!(message.to().unwrap().uri.user.as_deref(), Some(long.as_str()));
    assert_eq!((message.call_id(), message.named("x-long")), (long.as_bytes(), Some(long.as_bytes())));
    // 3.1.1.8: octets behind the message
    let twice = options("Content-Length: 0") + &options("Content-Length: 0");
    assert_eq!(read(&twice).body, "");
    // 3.1.1.9: a semicolon in the user part is the user's
    let uri = Uri::parse(b"sip:user;par=u%40example.net@example.com").unwrap();
    assert_eq!((uri.user.as_deref(), uri.params.has("par")), (Some("user;par=u@example.net"), false));
    // 3.1.1.10: transports
    for (name, transport) in [("UDP", ViaTransport::Udp), ("tls", ViaTransport::Tls), ("SCTP", ViaTransport::Other)] {
        let via = read(&options(&format!("Via: SIP/2.0/{name} t1.example.com;branch=z9hG4bKkdjuw"))).via().unwrap();
        assert_eq!(via.transport, transport, "{name}");
    }
    // 3.1.1.12 and 3.1.1.13: a reason phrase in Russian, and none
    for (phrase, text) in [(" = 2**3 * 5**2 но сто", "= 2**3 * 5**2 но сто"), (" ", ""), ("", "")] {
        let response = options("").replacen("OPTIONS sip:user@example.com SIP/2.0", &format!("SIP/2.0 200{phrase}"), 1);
        let response = read(&response);
        assert_eq!(response.code(), Some(200));
        let start = format!("{:?}", response.start);
        assert!(start.contains(&format!("reason: {text:?}")), "{start}");
    }
}

#[test]
fn a_body_may_hold_anything() {
    // 3.1.1.11: multipart with a binary part
    let body: Vec<u8> = b"--7a9cbec02ceef655\r\n\r\n".iter().copied().chain(0..=255).collect();
    let mut bytes =
        datagram(&options(&format!("Content-Type: multipart/mixed;boundary=\"7a9cbec02ceef655\"\nl: {}", body.len())));
    bytes = [&bytes[..], &body].concat().into();
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.body, body);
    assert!(message.is_content_type("Multipart/Mixed"));
    assert_eq!(message.to_bytes().len(), bytes.len() + "Content-Length".len() - 1, "only l: is written out");
}

#[test]
fn what_is_no_message_is_refused() {
    let invite = |line: &str| options("").replacen("OPTIONS sip:user@example.com SIP/2.0", line, 1);
    let table = [
        ("3.1.2.1 extraneous separators", options("Via: SIP/2.0/UDP 192.0.2.15;;,;,,"), 400),
        ("3.1.2.2 Content-Length larger than message", options("Content-Length: 9999"), 400),
        ("3.1.2.3 negative Content-Length", options("Content-Length: -999"), 400),
        ("3.1.2.4 CSeq past 32 bits", options("CSeq: 36893488147419103232 OPTIONS"), 400),
        ("3.1.2.4 CSeq past 31 bits", options("CSeq: 2147483648 OPTIONS"), 400),
        ("3.1.2.4 Max-Forwards past 8 bits", options("Max-Forwards: 300"), 400),
        ("3.1.2.6 unterminated quote", options("To: \"Mr. J. User <sip:j.user@example.com>"), 400),
        ("3.1.2.7 brackets around the Request-URI", invite("OPTIONS <sip:user@example.com> SIP/2.0"), 400),
        ("3.1.2.8 space within the Request-URI", invite("OPTIONS sip:user@example.com; lr SIP/2.0"), 400),
        ("3.1.2.9 several spaces in the start line", invite("OPTIONS  sip:user@example.com  SIP/2.0"), 400),
        ("3.1.2.10 space behind the start line", invite("OPTIONS sip:user@example.com SIP/2.0 "), 400),
        ("3.1.2.16 unknown version", invite("OPTIONS sip:user@example.com SIP/7.0"), 505),
        ("3.1.2.17 CSeq of another method", options("CSeq: 8 INVITE"), 400),
        ("3.1.2.18 the same, unknown", options("").replace("OPTIONS sip:", "NEWMETHOD sip:"), 400),
        (
            "3.3.8 several values where one is allowed",
            options("From: <sip:other@example.com>;tag=2\nFrom: <sip:a@b>"),
            400,
        ),
        ("3.3.8 the same with a compact name", options("CSeq: 5 OPTIONS\nCSeq: 59 OPTIONS"), 400),
        ("3.3.9 several Content-Length", options("Content-Length: 0\nl: 5"), 400),
        ("a header without a colon", options("no header"), 400),
        ("a header without a name", options(": nameless"), 400),
        ("a Request-URI that is none", invite("OPTIONS user SIP/2.0"), 400),
        ("no space between the addresses", options("To: <sip:a@example.com>junk"), 400),
    ];
    for (what, text, status) in table {
        let bytes = datagram(&text);
        let why = Message::parse(&bytes).expect_err(what);
        assert_eq!(why.status(), Some(status), "{what}: {why}");
        let refusal = why.refusal(&bytes).unwrap_or_else(|| panic!("{what}: no answer"));
        assert_eq!(refusal.code(), Some(status), "{what}");
        assert_eq!(refusal.call_id(), b"usual@192.0.2.1", "{what}");
        assert!(refusal.value(Name::Via).unwrap().starts_with(b"SIP/2.0/UDP 192.0.2.1"), "{what}");
    }
}

#[test]
fn what_cannot_be_answered_is_not() {
    let response =
        |code: &str| options("").replacen("OPTIONS sip:user@example.com SIP/2.0", &format!("SIP/2.0 {code}"), 1);
    let table = [
        (
            "3.1.2.5 response with numbers too large",
            response("503 Full").replace("CSeq: 7", "CSeq: 9292394834772304023312"),
        ),
        ("3.1.2.19 status past three digits", response("4294967301 better not break the receiver")),
        ("a status below 100", response("099 Low")),
        ("a status of four digits", response("0200 OK")),
        ("a status past 699", response("700 High")),
        ("a response of another version", response("200 OK").replace("SIP/2.0 200", "SIP/3.0 200")),
        (
            "3.3.1 no Call-ID, From or To",
            "OPTIONS sip:a@b SIP/2.0\nVia: SIP/2.0/UDP 1.2.3.4\nCSeq: 1 OPTIONS\n\n".to_owned(),
        ),
        ("an ACK is never answered", options("CSeq: 8 ACK").replacen("OPTIONS", "ACK", 1).replace("To: <", "To: \"<")),
        ("no SIP", "GET / HTTP/1.1\nHost: example.com\n\n".to_owned()),
        ("nothing", "\n\n".to_owned()),
    ];
    for (what, text) in table {
        let bytes = datagram(&text);
        let why = Message::parse(&bytes).expect_err(what);
        assert_eq!(why.refusal(&bytes), None, "{what}: {why}");
    }
}

#[test]
fn what_a_liberal_element_may_read_is_read() {
    // 3.1.2.11: headers in the Request-URI, which are left alone
    let text = options("").replace("sip:user@example.com SIP", "sip:user@example.com?Route=%3Csip:example.com%3E SIP");
    assert_eq!(read(&text).request_uri().unwrap().user.as_deref(), Some("user"));
    // 3.1.2.12: a date in another zone, which nobody asks for
    read(&options("Date: Fri, 01 Jan 2010 16:00:00 EST"));
    // 3.1.2.14: spaces around the address
    let to = read(&options("To: \"Watson, Thomas\" < sip:t.watson@example.org >")).to().unwrap();
    assert_eq!((to.display.as_deref(), to.uri.as_bytes()), (Some("Watson, Thomas"), &b"sip:t.watson@example.org"[..]));
    // 3.1.2.15: a comma in a display name without quotes
    let from = read(&options("From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43")).from().unwrap();
    assert_eq!((from.display.as_deref(), from.tag()), (Some("Bell, Alexander"), Some("43")));
    // 3.3.15: what RFC 2543 sent: no branch, no tag
    let old = read(&options("Via: SIP/2.0/UDP iftgw.example.com\nFrom: <sip:+13035551111@ift.example.net;user=phone>"));
    assert_eq!((old.via().unwrap().branch, old.from_tag()), (None, None));
}

#[test]
fn an_address_without_brackets_has_no_headers() {
    // 3.1.2.13
    let message = read(&options("Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E"));
    assert!(matches!(message.contact(), Err(BadMessage::BadValue { name: "Contact", .. })));
    let message = read(&options("Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>"));
    assert_eq!(message.contact().unwrap().unwrap().uri.user.as_deref(), Some("user"));
}

#[test]
fn what_only_the_endpoint_can_judge_is_read() {
    // 3.2.1: a branch that is nothing but the cookie
    let via = read(&options("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK")).via().unwrap();
    assert_eq!(via.branch.as_deref(), Some(Via::MAGIC));
    // 3.3.2 and 3.3.3: schemes in the Request-URI
    for scheme in ["nobodyKnowsThisScheme:totallyopaquecontent", "soap.beep://192.0.2.103:3002"] {
        let message = read(&options("").replace("sip:user@example.com SIP/2.0", &format!("{scheme} SIP/2.0")));
        assert_eq!(message.request_uri().unwrap().scheme, Scheme::Other, "{scheme}");
    }
    // 3.3.4: schemes elsewhere
    let message =
        read(&options("To: isbn:2983792873\nFrom: <http://www.example.com>;tag=3234233\nContact: <name:John_Smith>"));
    assert_eq!(message.to().unwrap().uri.as_bytes(), b"isbn:2983792873");
    assert_eq!(message.from_tag().as_deref(), Some("3234233"));
    // 3.3.5: required extensions
    let message =
        read(&options("Require: nothingSupportsThis, nothingSupportsThisEither\nProxy-Require: noProxiesSupportThis"));
    let required: Vec<_> = message.values(Name::Require).collect();
    assert_eq!(required, [&b"nothingSupportsThis"[..], b"nothingSupportsThisEither"]);
    // 3.3.6: a body of an unknown type
    assert!(!read(&options("Content-Type: application/unknownformat")).is_content_type("application/sdp"));
    // 3.3.11: no hops left
    assert_eq!(read(&options("Max-Forwards: 0")).max_forwards(), Ok(Some(0)));
    // 3.3.10, and parameters of the Contact against those of its URI: 3.3.12 and 3.3.13
    let contact = |value: &str| NameAddr::parse(value.as_bytes()).unwrap();
    let outside = contact("sip:+19725552222@gw1.example.net;unknownparam");
    assert!(outside.params.has("unknownparam") && !outside.uri.params.has("unknownparam"));
    let inside = contact("<sip:+19725552222@gw1.example.net;unknownparam>");
    assert!(inside.uri.params.has("unknownparam") && !inside.params.has("unknownparam"));
    // 3.3.14: escaped headers within brackets stay with the URI
    let value = "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>";
    assert_eq!(contact(value).uri.as_bytes(), &value.as_bytes()[1..value.len() - 1]);
}

#[test]
fn on_a_stream_the_rules_are_the_same() {
    let mut framer = StreamFramer::new();
    // 3.1.1.8 on a stream: the second one is a message too
    framer.push(&datagram(
        &(options("Content-Length: 0") + &options("Content-Length: 0").replace("7 OPTIONS", "8 OPTIONS")),
    ));
    for number in [7, 8] {
        let Some(Framed::Message(message)) = framer.next() else { panic!("no message") };
        assert_eq!(message.cseq().unwrap().0, number);
    }
    assert_eq!(framer.next(), None);
}
