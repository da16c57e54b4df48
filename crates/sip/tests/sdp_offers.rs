//! What is read from an offer, and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use trunkline_sip::sdp::{
    BadCrypto, BadSdp, Codec, Direction, MAX_BODY_BYTES, MAX_MEDIA, Offer, Origin, Profile, read,
};
use trunkline_sip::srtp::{BadSdes, Suite};

const KEY: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const LONG_KEY: &str = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9kZWZnaGlqa2xtbm9wcQ==";

/// A body with these lines after `t=`.
fn with(lines: &str) -> String {
    let lines = lines.trim().lines().map(str::trim).collect::<Vec<_>>().join("\r\n");
    format!("v=0\r\no=PBX 17 4 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n{lines}\r\n")
}

fn offered(lines: &str) -> Offer {
    read(with(lines).as_bytes()).unwrap_or_else(|why| panic!("{lines}: {why}"))
}

fn refused(lines: &str) -> BadSdp {
    read(with(lines).as_bytes()).expect_err(lines)
}

fn body_of(message: &str) -> &str {
    message.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn a_voice_connectors_offer_is_read() {
    let invites = [
        include_str!("fixtures/sip/invite-number-on-vc.sip"),
        include_str!("fixtures/sip/invite-from-sma-callandbridge.sip"),
        include_str!("fixtures/sip/invite-empty-display-name.sip"),
    ];
    for invite in invites {
        let offer = read(body_of(invite).as_bytes()).unwrap();
        assert_eq!(offer.origin, Some(Origin { id: "412345".to_owned(), version: "271828".to_owned() }));
        assert_eq!(offer.rtp(), Some("3.80.17.77:30120".parse().unwrap()));
        assert_eq!(offer.rtcp, Some("3.80.17.77:30121".parse().unwrap()));
        assert_eq!(offer.codecs, [(Codec::Pcmu, 0)]);
        assert_eq!(offer.telephone_event, Some(101));
        assert_eq!((offer.ptime_ms, offer.maxptime_ms), (Some(20), None));
        assert_eq!(offer.direction, Direction::SendRecv);
        assert_eq!((offer.profile, offer.position), (Profile::Avp, 0));
        assert!(offer.crypto.is_empty());
    }
    assert!(read(body_of(include_str!("fixtures/sip/answer-200.sip")).as_bytes()).is_ok());
}

#[test]
fn sloppy_bodies_are_read_all_the_same() {
    let m = "m=audio 30120 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000";
    let strict = with(m);
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("line feeds alone", strict.replace("\r\n", "\n").into()),
        ("no end of line at the end", strict.trim_end().into()),
        ("empty lines, and one at the beginning", format!("\r\n{}", strict.replace("\r\n", "\r\n\r\n")).into()),
        ("spaces at the ends of lines", strict.replace("\r\n", " \t\r\n").into()),
        ("a NUL at the end", format!("{strict}\0").into()),
        ("a session name in Latin-1", {
            let mut bytes = strict.clone().into_bytes();
            let at = bytes.windows(3).position(|window| window == b"s=-").unwrap();
            bytes[at + 2] = 0xE9;
            bytes
        }),
        ("two session names", strict.replace("s=-", "s=a\r\ns=b").into()),
        ("no session name and no time", strict.replace("s=-\r\n", "").replace("t=0 0\r\n", "").into()),
        ("half a time", strict.replace("t=0 0", "t=0").into()),
        ("a bandwidth with a fraction", strict.replace("t=0 0", "b=AS:64.5\r\nt=0 0").into()),
        ("unknown lines", strict.replace("t=0 0", "y=1\r\nnonsense\r\n=\r\nt=0 0").into()),
        ("a name with spaces", strict.replace("o=PBX", "o=Jo Doe").into()),
        ("a port count", strict.replace("30120", "30120/2").into()),
        ("a time to live", strict.replace("c=IN IP4 192.0.2.7", "c=IN IP4 192.0.2.7/127").into()),
        ("lower case", strict.replace("c=IN IP4", "c=in ip4").replace("RTP/AVP", "rtp/avp").into()),
    ];
    let wanted = read(strict.as_bytes()).unwrap();
    assert_eq!(wanted.origin, Some(Origin { id: "17".to_owned(), version: "4".to_owned() }));
    for (what, body) in bodies {
        let offer = read(&body).unwrap_or_else(|why| panic!("{what}: {why}"));
        // What has to be repeated in the answer stays as it was.
        assert_eq!(format!("{offer:?}").replace("rtp/avp", "RTP/AVP"), format!("{wanted:?}"), "{what}");
    }
    let without_origin = strict.replace("o=PBX 17 4 IN IP4 192.0.2.7\r\n", "");
    assert_eq!(read(without_origin.as_bytes()).unwrap().origin, None);
    let beyond_64_bits = strict.replace(" 17 4 ", " 17 99999999999999999999999 ");
    let origin = read(beyond_64_bits.as_bytes()).unwrap().origin.unwrap();
    assert_eq!(origin.version, "99999999999999999999999");
}

#[test]
fn formats_are_what_rtpmap_says() {
    type Case = (&'static str, &'static str, &'static [(Codec, u8)], Option<u8>);
    let cases: &[Case] = &[
        ("0 8", "", &[(Codec::Pcmu, 0), (Codec::Pcma, 8)], None),
        ("8 0", "", &[(Codec::Pcma, 8), (Codec::Pcmu, 0)], None),
        ("8", "", &[(Codec::Pcma, 8)], None),
        ("96", "a=rtpmap:96 PCMU/8000", &[(Codec::Pcmu, 96)], None),
        ("96", "a=rtpmap: 96  pcmu/8000/1", &[(Codec::Pcmu, 96)], None),
        ("0 96", "a=rtpmap:96 telephone-event/8000", &[(Codec::Pcmu, 0)], Some(96)),
        ("0 101", "", &[(Codec::Pcmu, 0)], None), // 101 means nothing by itself
        ("0 101", "a=rtpmap:101 telephone-event/48000", &[(Codec::Pcmu, 0)], None),
        (
            "0 96 97",
            "a=rtpmap:96 telephone-event/48000\na=rtpmap:97 telephone-event/8000",
            &[(Codec::Pcmu, 0)],
            Some(97),
        ),
        ("0", "a=rtpmap:101 telephone-event/8000", &[(Codec::Pcmu, 0)], None), // not among the formats
        ("0 8", "a=rtpmap:0 G722/8000", &[(Codec::Pcma, 8)], None),
        ("9 18 111 0", "a=rtpmap:111 opus/48000/2\na=rtpmap:18 G729/8000", &[(Codec::Pcmu, 0)], None),
        ("0 128 300 -1 +8 x", "", &[(Codec::Pcmu, 0)], None),
        ("0", "a=rtpmap:0", &[(Codec::Pcmu, 0)], None),
    ];
    for (formats, attributes, codecs, telephone_event) in cases {
        let offer = offered(&format!("m=audio 4000 RTP/AVP {formats}\n{attributes}"));
        assert_eq!(offer.codecs, *codecs, "{formats} {attributes}");
        assert_eq!(offer.telephone_event, *telephone_event, "{formats} {attributes}");
    }
    for (formats, attributes) in [
        ("9 18 3", ""),
        ("101", "a=rtpmap:101 telephone-event/8000"),
        ("96", "a=rtpmap:96 PCMU/16000"),
        ("96", "a=rtpmap:96 PCMU/8000/2"),
        ("96", "a=rtpmap:97 PCMU/8000"),
        ("96", ""),
        ("", ""),
    ] {
        let why = refused(&format!("m=audio 4000 RTP/AVP {formats}\n{attributes}"));
        assert_eq!(why, BadSdp::NoCodec { value: formats.to_owned() }, "{formats} {attributes}");
        assert_eq!(why.status(), 488);
    }
}

#[test]
fn the_address_is_the_medias_before_the_sessions() {
    let cases = [
        ("", Ok("192.0.2.7")),
        ("c=IN IP4 198.51.100.9", Ok("198.51.100.9")),
        ("c=IN IP4 198.51.100.9\nc=IN IP4 198.51.100.10", Ok("198.51.100.9")),
        ("c=IN IP6 2001:db8::9", Ok("2001:db8::9")),
        ("c=IN IP4 10.1.2.3", Ok("10.1.2.3")),
        ("c=IN IP4 pbx.example.com", Err("HostName")),
        ("c=IN IP4 localhost", Err("HostName")),
        ("c=IN IP6 pbx.example.com", Err("HostName")),
        ("c=IN IP4 224.2.36.42/127", Err("NotUnicast")),
        ("c=IN IP4 255.255.255.255", Err("NotUnicast")),
        ("c=IN IP6 ff15::101/3", Err("NotUnicast")),
        ("c=IN IP4 2001:db8::9", Err("BadConnection")),
        ("c=IN IP6 192.0.2.7", Err("BadConnection")),
        ("c=IN IP6 fe80::1%eth0", Err("BadConnection")),
        ("c=IN IP4 192.0.2", Err("BadConnection")),
        ("c=IN IP4 192.0.2.256", Err("BadConnection")),
        ("c=IN IP4", Err("BadConnection")),
        ("c=IN E164 192.0.2.1", Err("BadConnection")),
        ("c=ATM IP4 192.0.2.1", Err("BadConnection")),
        ("c=", Err("BadConnection")),
    ];
    for (line, wanted) in cases {
        match (read(with(&format!("m=audio 4000 RTP/AVP 0\n{line}")).as_bytes()), wanted) {
            (Ok(offer), Ok(address)) => assert_eq!(offer.address.to_string(), address, "{line}"),
            (Err(why), Err(kind)) => assert!(format!("{why:?}").starts_with(kind), "{line}: {why:?}"),
            (found, wanted) => panic!("{line}: {found:?}, not {wanted:?}"),
        }
    }
    let nowhere = with("m=audio 4000 RTP/AVP 0").replace("c=IN IP4 192.0.2.7\r\n", "");
    assert_eq!(read(nowhere.as_bytes()), Err(BadSdp::NoConnection));
    let why = refused("m=audio 4000 RTP/AVP 0\nc=IN IP4 pbx.example.com").to_string();
    assert_eq!(why, "the line c=IN IP4 pbx.example.com names a host, only an address is taken");
}

#[test]
fn reports_go_to_the_next_port_or_where_rtcp_says() {
    let cases = [
        ("4000", "", Some("192.0.2.7:4001")),
        ("4000", "a=rtcp:53020", Some("192.0.2.7:53020")),
        ("4000", "a=rtcp:53020 IN IP4 198.51.100.4", Some("198.51.100.4:53020")),
        ("4000", "a=rtcp:53020 IN IP6 2001:db8::4", Some("[2001:db8::4]:53020")),
        ("4000", "a=rtcp:53020 IN IP4 pbx.example.com", Some("192.0.2.7:53020")),
        ("4000", "a=rtcp:x", Some("192.0.2.7:4001")),
        ("4000", "a=rtcp:0", None),
        ("65535", "", None),
        ("4000", "c=IN IP4 0.0.0.0", None),
    ];
    for (port, attribute, wanted) in cases {
        let offer = offered(&format!("m=audio {port} RTP/AVP 0\n{attribute}"));
        assert_eq!(offer.rtcp.map(|rtcp| rtcp.to_string()).as_deref(), wanted, "{port} {attribute}");
    }
}

#[test]
fn hold_is_read_from_direction_and_address() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let cases = [
        ("", "", SendRecv),
        ("", "a=sendonly", SendOnly),
        ("", "a=inactive", Inactive),
        ("", "a=recvonly", RecvOnly),
        ("a=sendonly\n", "", SendOnly),
        ("a=sendonly\n", "a=sendrecv", SendRecv),
        ("", "c=IN IP4 0.0.0.0", SendOnly),
        ("", "c=IN IP4 0.0.0.0\na=sendrecv", SendOnly),
        ("", "c=IN IP4 0.0.0.0\na=recvonly", Inactive),
        ("", "c=IN IP6 ::\na=inactive", Inactive),
    ];
    for (session, media, wanted) in cases {
        let offer = offered(&format!("{session}m=audio 4000 RTP/AVP 0\n{media}"));
        assert_eq!(offer.direction, wanted, "{session}{media}");
        assert_eq!(offer.rtp().is_none(), media.contains("0.0.0.0") || media.contains("::"), "{session}{media}");
    }
}

#[test]
fn of_several_streams_the_first_that_can_be_taken_is() {
    let crypto = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}");
    let cases = [
        ("m=video 4002 RTP/AVP 31\nm=audio 4000 RTP/AVP 0".to_owned(), 1, 4000),
        ("m=audio 0 RTP/AVP 0\nm=audio 4000 RTP/AVP 0".to_owned(), 1, 4000),
        ("m=audio 5000 RTP/AVP 0\nm=audio 4000 RTP/AVP 0".to_owned(), 0, 5000),
        ("m=audio 5000 RTP/AVP 9\nm=audio 4000 RTP/AVP 0".to_owned(), 1, 4000),
        ("m=audio 5000 UDP/TLS/RTP/SAVPF 0\nm=audio 4000 RTP/AVP 0".to_owned(), 1, 4000),
        ("m=audio 5000 RTP/AVP 0\nc=IN IP4 a.example\nm=audio 4000 RTP/AVP 0".to_owned(), 1, 4000),
        (format!("m=audio 4000 RTP/AVP 0\nm=audio 5000 RTP/SAVP 0\n{crypto}"), 1, 5000),
        (format!("m=audio 5000 RTP/SAVP 0\n{crypto}\nm=audio 4000 RTP/AVP 0"), 0, 5000),
        ("m=audio 5000 RTP/SAVP 0\nm=audio 4000 RTP/AVP 0".to_owned(), 1, 4000),
        ("m=image 4002 udptl t38\nm=AUDIO 4000 RTP/AVP 0\nm=message 0 TCP/MSRP *".to_owned(), 1, 4000),
    ];
    for (lines, position, port) in cases {
        let offer = offered(&lines);
        assert_eq!((offer.position, offer.port), (position, port), "{lines}");
    }
}

#[test]
fn keys_of_srtp_are_taken_in_the_offers_order() {
    let m = "m=audio 4000 RTP/SAVP 0";
    type Keys = Vec<(u32, Suite)>;
    let cases: [(Vec<String>, Keys); 4] = [
        (vec![format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}")], vec![(1, Suite::AesCm128HmacSha1_80)]),
        (
            vec![
                format!("1 AEAD_AES_256_GCM {KEY}"),
                format!("2 AES_256_CM_HMAC_SHA1_80 {LONG_KEY}"),
                format!("3 AES_CM_128_HMAC_SHA1_32 {KEY}|2^31"),
            ],
            vec![(2, Suite::AesCm256HmacSha1_80), (3, Suite::AesCm128HmacSha1_32)],
        ),
        (
            vec![
                format!("7 AES_CM_128_HMAC_SHA1_80 {KEY}|2^20|1:4"),
                format!("8 AES_CM_128_HMAC_SHA1_80 {KEY} UNENCRYPTED_SRTP"),
                format!("999999999 AES_CM_128_HMAC_SHA1_80 {KEY} WSH=128 -X=1"),
            ],
            vec![(999_999_999, Suite::AesCm128HmacSha1_80)],
        ),
        (vec![format!(" 1  AES_CM_256_HMAC_SHA1_80  {LONG_KEY} ")], vec![(1, Suite::AesCm256HmacSha1_80)]),
    ];
    for (lines, wanted) in cases {
        let lines: Vec<String> = lines.iter().map(|line| format!("a=crypto:{line}")).collect();
        let offer = offered(&format!("{m}\n{}", lines.join("\n")));
        assert_eq!(offer.profile, Profile::Savp);
        let found: Vec<(u32, Suite)> = offer.crypto.iter().map(|crypto| (crypto.tag, crypto.sdes.suite())).collect();
        assert_eq!(found, wanted, "{lines:?}");
        assert!(!format!("{offer:?}").contains("WVNf"), "a key is shown: {offer:?}");
    }
}

#[test]
fn srtp_without_a_key_that_can_be_used_is_refused() {
    let cases = [
        (String::new(), BadCrypto::Missing),
        (format!("a=crypto:1 AEAD_AES_256_GCM {KEY}"), BadCrypto::UnknownSuite { name: "AEAD_AES_256_GCM".to_owned() }),
        (format!("a=crypto:1 {KEY} x"), BadCrypto::UnknownSuite { name: "?".to_owned() }),
        (format!("a=crypto:1 Some_Text {KEY}"), BadCrypto::UnknownSuite { name: "?".to_owned() }),
        (format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY} KDR=1"), BadCrypto::SessionParameter),
        (format!("a=crypto:x AES_CM_128_HMAC_SHA1_80 {KEY}"), BadCrypto::Malformed),
        (format!("a=crypto:1234567890 AES_CM_128_HMAC_SHA1_80 {KEY}"), BadCrypto::Malformed),
        (format!("a=crypto:AES_CM_128_HMAC_SHA1_80 {KEY}"), BadCrypto::Malformed),
        ("a=crypto:".to_owned(), BadCrypto::Malformed),
        (format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}|1:4"), BadCrypto::Key(BadSdes::MasterKeyIdentifier)),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 uri:x".to_owned(), BadCrypto::Key(BadSdes::NotInline)),
    ];
    for (line, why) in cases {
        let found = refused(&format!("m=audio 4000 RTP/SAVP 0\n{line}"));
        assert_eq!(found, BadSdp::NoCrypto { why }, "{line}");
        assert!(!format!("{found} {found:?}").contains("WVNf"), "{found}");
        assert_eq!(found.status(), 488);
    }
}

#[test]
fn what_can_not_be_answered_is_refused() {
    let value = |text: &str| text.to_owned();
    let cases = [
        ("", BadSdp::NoAudio, 488),
        ("m=video 4000 RTP/AVP 0", BadSdp::NoAudio, 488),
        ("m=audio 0 RTP/AVP 0", BadSdp::NoPort, 488),
        ("m=audio 4000 RTP/AVPF 0", BadSdp::BadProfile { value: value("RTP/AVPF") }, 488),
        ("m=audio 4000 udp 0", BadSdp::BadProfile { value: value("udp") }, 488),
        ("m=audio", BadSdp::BadMedia { value: value("audio") }, 400),
        ("m=audio 4000", BadSdp::BadMedia { value: value("audio 4000") }, 400),
        ("m=audio 65536 RTP/AVP 0", BadSdp::BadMedia { value: value("audio 65536 RTP/AVP 0") }, 400),
        ("m=audio -1 RTP/AVP 0", BadSdp::BadMedia { value: value("audio -1 RTP/AVP 0") }, 400),
        ("m=audio +1 RTP/AVP 0", BadSdp::BadMedia { value: value("audio +1 RTP/AVP 0") }, 400),
        ("m=audio 4000 RTP//AVP 0", BadSdp::BadMedia { value: value("audio 4000 RTP//AVP 0") }, 400),
        ("m=audio 1 RTP/AVP 0\nm=a(b 1 x 0", BadSdp::BadMedia { value: value("a(b 1 x 0") }, 400),
        ("m=audio 1 RTP/AVP \u{e9}", BadSdp::BadMedia { value: value("audio 1 RTP/AVP \\u{e9}") }, 400),
    ];
    for (lines, why, status) in cases {
        let found = refused(lines);
        assert_eq!(found.status(), status, "{lines}: {found}");
        assert_eq!(found, why, "{lines}");
    }
    for (body, value) in [
        ("", ""),
        ("\r\n\r\n", ""),
        ("v=1\r\nm=audio 4000 RTP/AVP 0\r\n", "v=1"),
        ("{\"v\":0}", "{\\\"v\\\":0}"),
        ("o=- 1 1 IN IP4 192.0.2.7", "o=- 1 1 IN IP4 192.0.2.7"),
    ] {
        let why = read(body.as_bytes()).unwrap_err();
        assert_eq!(why, BadSdp::NotSdp { value: value.to_owned() });
        assert_eq!(why.status(), 400);
    }
}

#[test]
fn what_is_read_has_bounds() {
    let mut longest = with("m=audio 4000 RTP/AVP 0");
    longest.push_str(&"\n".repeat(MAX_BODY_BYTES - longest.len()));
    assert!(read(longest.as_bytes()).is_ok());
    longest.push('\n');
    assert_eq!(read(longest.as_bytes()), Err(BadSdp::TooLong { length: MAX_BODY_BYTES + 1 }));

    let lines = |count| "m=audio 4000 RTP/AVP 0\n".repeat(count);
    assert!(read(with(&lines(MAX_MEDIA)).as_bytes()).is_ok());
    assert_eq!(refused(&lines(MAX_MEDIA + 1)), BadSdp::TooManyMedia);

    let formats = "9 ".repeat(10_000);
    let why = refused(&format!("m=audio 4000 RTP/AVP {formats}"));
    assert!(why.to_string().len() < 200, "{why}");
    let crypto = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}\n").repeat(200);
    assert!(offered(&format!("m=audio 4000 RTP/SAVP 0\n{crypto}")).crypto.len() <= 64);
    let origin = with("m=audio 4000 RTP/AVP 0").replace(" 17 ", &format!(" {} ", "1".repeat(65)));
    assert_eq!(read(origin.as_bytes()).unwrap().origin, None);
}
