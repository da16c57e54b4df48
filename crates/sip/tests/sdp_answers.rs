//! What we answer, what we offer, and what comes of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use trunkline_sip::sdp::{
    Agreed, Agreement, Answer, BadAnswer, BadOffer, BadSdp, Codec, Description, Direction, LocalMedia, NoCommonMedia,
    Offer, PayloadTypes, Profile, answer, offer, read, read_answer,
};
use trunkline_sip::srtp::{FreshKey, Suite};

const KEY: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const OTHER_KEY: &str = "inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";
/// Of [`local`]: 30 bytes of 0x5A.
const OUR_KEY: &str = "inline:WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa";

fn local() -> LocalMedia {
    LocalMedia {
        address: "203.0.113.10".parse().unwrap(),
        port: 20_000,
        session_id: 4711,
        require_srtp: false,
        fresh_key: FreshKey::new([0x5A; 32], [0x5A; 14]),
    }
}

/// The next time that a key is asked for it is another one.
fn local_later() -> LocalMedia {
    LocalMedia { fresh_key: FreshKey::new([0x77; 32], [0x77; 14]), ..local() }
}

fn strict() -> LocalMedia {
    LocalMedia { require_srtp: true, ..local() }
}

fn body(lines: &str) -> String {
    let lines = lines.trim().lines().map(str::trim).collect::<Vec<_>>().join("\r\n");
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n{lines}\r\n")
}

fn offered(lines: &str) -> Offer {
    read(body(lines).as_bytes()).unwrap_or_else(|why| panic!("{lines}: {why}"))
}

fn answered(lines: &str) -> Answer {
    answer(&offered(lines), &local(), None).unwrap_or_else(|why| panic!("{lines}: {why}"))
}

/// The lines of an SDP from the first `m=` on.
fn media(description: &Description) -> Vec<String> {
    description.to_sdp().lines().skip_while(|line| !line.starts_with("m=")).map(str::to_owned).collect()
}

#[test]
fn a_voice_connector_is_answered_as_it_is_documented() {
    let invite = include_str!("fixtures/sip/invite-number-on-vc.sip");
    let offer = read(invite.split_once("\r\n\r\n").unwrap().1.as_bytes()).unwrap();
    let answer = answer(&offer, &LocalMedia { session_id: 1, ..local() }, None).unwrap();
    let documented = include_str!("fixtures/sip/answer-200.sip").split_once("\r\n\r\n").unwrap().1;
    assert_eq!(answer.description.to_sdp(), documented);
    assert_eq!(answer.agreed.rtp, Some("3.80.17.77:30120".parse().unwrap()));
    assert_eq!(answer.agreed.rtcp, Some("3.80.17.77:30121".parse().unwrap()));
    assert_eq!(answer.agreed.codec, Codec::Pcmu);
    let payload_types = PayloadTypes { audio: 0, telephone_event: Some(101) };
    assert_eq!((answer.agreed.sends, answer.agreed.receives), (payload_types, payload_types));
    assert_eq!((answer.agreed.direction, answer.agreed.keys), (Direction::SendRecv, None));
}

#[test]
fn one_codec_is_answered_mu_law_if_there_is_a_choice() {
    let cases = [
        ("m=audio 4000 RTP/AVP 8 0 9", vec!["m=audio 20000 RTP/AVP 0", "a=rtpmap:0 PCMU/8000"]),
        ("m=audio 4000 RTP/AVP 9 8", vec!["m=audio 20000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000"]),
        ("m=audio 4000 RTP/AVP 8 96\na=rtpmap:96 PCMU/8000", vec!["m=audio 20000 RTP/AVP 96", "a=rtpmap:96 PCMU/8000"]),
        (
            "m=audio 4000 RTP/AVP 8 99\na=rtpmap:99 telephone-event/8000\na=fmtp:99 0-11",
            vec![
                "m=audio 20000 RTP/AVP 8 99",
                "a=rtpmap:8 PCMA/8000",
                "a=rtpmap:99 telephone-event/8000",
                "a=fmtp:99 0-15",
            ],
        ),
    ];
    for (offer, mut wanted) in cases {
        wanted.extend(["a=ptime:20", "a=sendrecv"]);
        assert_eq!(media(&answered(offer).description), wanted, "{offer}");
    }
}

#[test]
fn a_call_keeps_the_codec_it_has() {
    let first = answered("m=audio 4000 RTP/AVP 8");
    let both = offered("m=audio 4000 RTP/AVP 0 8");
    assert_eq!(answer(&both, &local(), Some(&first.description)).unwrap().agreed.codec, Codec::Pcma);
    let other = offered("m=audio 4000 RTP/AVP 0");
    assert_eq!(answer(&other, &local(), Some(&first.description)).unwrap().agreed.codec, Codec::Pcmu);
}

#[test]
fn other_media_are_refused_in_their_place() {
    let crypto = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}");
    let cases = [
        (
            "m=video 4002 RTP/AVP 31 32\nm=audio 4000 RTP/AVP 0".to_owned(),
            vec!["m=video 0 RTP/AVP 31", "m=audio 20000 RTP/AVP 0"],
        ),
        (
            "m=audio 4000 RTP/AVP 0\nm=audio 5000 RTP/AVP 0 8\nm=image 4004 udptl t38".to_owned(),
            vec!["m=audio 20000 RTP/AVP 0", "m=audio 0 RTP/AVP 0", "m=image 0 udptl t38"],
        ),
        (
            format!("m=audio 4000 RTP/AVP 8\nm=audio 5000 RTP/SAVP 0\n{crypto}"),
            vec!["m=audio 0 RTP/AVP 8", "m=audio 20000 RTP/SAVP 0"],
        ),
        (
            "m=application 0 TCP/TLS/BFCP\nm=audio 4000 RTP/AVP 0".to_owned(),
            vec!["m=application 0 TCP/TLS/BFCP 0", "m=audio 20000 RTP/AVP 0"],
        ),
    ];
    for (offer, wanted) in cases {
        let mut lines = media(&answered(&offer).description);
        lines.retain(|line| line.starts_with("m="));
        assert_eq!(lines, wanted, "{offer}");
    }
}

#[test]
fn hold_is_answered_by_its_mirror_image() {
    let cases = [
        ("a=sendrecv", "a=sendrecv", true),
        ("a=sendonly", "a=recvonly", true),
        ("a=recvonly", "a=sendonly", true),
        ("a=inactive", "a=inactive", true),
        ("c=IN IP4 0.0.0.0", "a=recvonly", false),
        ("c=IN IP4 0.0.0.0\na=inactive", "a=inactive", false),
    ];
    for (attribute, wanted, is_sent_to) in cases {
        let answer = answered(&format!("m=audio 4000 RTP/AVP 0\n{attribute}"));
        assert!(
            media(&answer.description).contains(&wanted.to_owned()),
            "{attribute}: {:?}",
            media(&answer.description)
        );
        assert_eq!(format!("a={}", answer.agreed.direction.name()), wanted, "{attribute}");
        assert_eq!(
            (answer.agreed.rtp.is_some(), answer.agreed.rtcp.is_some()),
            (is_sent_to, is_sent_to),
            "{attribute}"
        );
    }
}

#[test]
fn the_version_goes_up_only_when_something_changed() {
    let talk = offered("m=audio 4000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000");
    let hold = offered("m=audio 4000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\na=sendonly");
    let moved = offered("m=audio 6000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000");
    let mut previous = answer(&talk, &local(), None).unwrap().description;
    assert_eq!(previous.version(), 1);
    // A refresh, a move of the peer's port (which is not in our answer), hold, hold again, back, our own port.
    let other_port = LocalMedia { port: 20_002, ..local() };
    let steps = [
        (&talk, local(), 1),
        (&moved, local(), 1),
        (&hold, local(), 2),
        (&hold, local(), 2),
        (&talk, local(), 3),
        (&talk, other_port, 4),
    ];
    for (offer, mut local, version) in steps {
        local.session_id = 9_999; // the session's id is that of its first description
        previous = answer(offer, &local, Some(&previous)).unwrap().description;
        assert!(previous.to_sdp().contains(&format!("\r\no=- 4711 {version} IN IP4 203.0.113.10\r\n")), "{previous:?}");
    }
}

#[test]
fn addresses_of_both_families_are_written_and_not_mixed() {
    let ip6 = LocalMedia { address: "2001:db8::1".parse().unwrap(), ..local() };
    let ours = answer(&offered("m=audio 4000 RTP/AVP 0\nc=IN IP6 2001:db8::7"), &ip6, None).unwrap();
    let sdp = ours.description.to_sdp();
    assert!(sdp.contains("o=- 4711 1 IN IP6 2001:db8::1\r\n") && sdp.contains("c=IN IP6 2001:db8::1\r\n"), "{sdp}");
    assert_eq!(ours.agreed.rtp, Some("[2001:db8::7]:4000".parse().unwrap()));
    let mixed = NoCommonMedia::AddressFamily { ours: "IP6", theirs: "IP4" };
    assert_eq!(answer(&offered("m=audio 4000 RTP/AVP 0"), &ip6, None), Err(mixed.clone()));
    assert!(answer(&offered("m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0"), &ip6, None).is_ok());
    let sent = offer(&ip6, None);
    assert_eq!(read_answer(body("m=audio 4000 RTP/AVP 0").as_bytes(), &sent), Err(mixed.into()));
}

#[test]
fn srtp_is_answered_with_the_tag_of_the_first_suite_we_have_and_a_key_of_ours() {
    let offer = format!(
        "m=audio 4000 RTP/SAVP 0\na=crypto:3 AEAD_AES_128_GCM {KEY}\na=crypto:5 AES_CM_128_HMAC_SHA1_32 {KEY}|2^31\n\
         a=crypto:6 AES_CM_128_HMAC_SHA1_80 {OTHER_KEY}"
    );
    let answer = answered(&offer);
    let wanted = format!("a=crypto:5 AES_CM_128_HMAC_SHA1_32 {OUR_KEY}");
    let lines = media(&answer.description);
    assert_eq!(lines.iter().filter(|line| line.starts_with("a=crypto")).collect::<Vec<_>>(), [&wanted]);
    assert!(lines[0].contains("RTP/SAVP"), "{lines:?}");
    let keys = answer.agreed.keys.clone().unwrap();
    let written = |sdes: &trunkline_sip::srtp::Sdes| {
        let mut out = String::new();
        sdes.write_inline(&mut out);
        out
    };
    assert_eq!((written(&keys.ours).as_str(), written(&keys.theirs).as_str()), (OUR_KEY, KEY));
    assert_eq!(keys.theirs.suite(), Suite::AesCm128HmacSha1_32);
    assert!(!format!("{answer:?}").contains(OUR_KEY), "a key is shown");

    // The name of the draft is answered by the name of the draft.
    let long = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9kZWZnaGlqa2xtbm9wcQ==";
    let answer = answered(&format!("m=audio 4000 RTP/SAVP 0\na=crypto:1 AES_CM_256_HMAC_SHA1_80 {long}"));
    assert!(
        media(&answer.description).iter().any(|line| line.starts_with("a=crypto:1 AES_CM_256_HMAC_SHA1_80 inline:"))
    );
}

#[test]
fn our_key_stays_as_long_as_its_suite() {
    let line = |suite: &str, key: &str| format!("m=audio 4000 RTP/SAVP 0\na=crypto:1 {suite} {key}");
    let first = answered(&line("AES_CM_128_HMAC_SHA1_80", KEY));
    let rekeyed = offered(&line("AES_CM_128_HMAC_SHA1_80", OTHER_KEY));
    let second = answer(&rekeyed, &local_later(), Some(&first.description)).unwrap();
    let (before, after) = (first.agreed.keys.unwrap(), second.agreed.keys.unwrap());
    assert_eq!(before.ours, after.ours);
    assert_ne!(before.theirs, after.theirs);
    assert_eq!(second.description.version(), 1, "what we say has not changed");
    let other_suite = offered(&line("AES_CM_128_HMAC_SHA1_32", OTHER_KEY));
    let third = answer(&other_suite, &local_later(), Some(&second.description)).unwrap();
    let keys = third.agreed.keys.unwrap();
    let mut written = String::new();
    keys.ours.write_inline(&mut written);
    assert!(written.contains(":d3d3"), "a new key");
    assert_eq!(third.description.version(), 2);
}

#[test]
fn plain_rtp_is_a_matter_of_policy() {
    let plain = offered("m=audio 4000 RTP/AVP 0");
    assert_eq!(answer(&plain, &strict(), None), Err(NoCommonMedia::SrtpRequired));
    let with_keys = offered(&format!("m=audio 4000 RTP/AVP 0\na=crypto:2 AES_CM_128_HMAC_SHA1_80 {KEY}"));
    let lax = answer(&with_keys, &local(), None).unwrap();
    assert_eq!(lax.agreed.keys, None);
    assert!(!lax.description.to_sdp().contains("crypto"));
    let secure = answer(&with_keys, &strict(), None).unwrap();
    assert!(secure.agreed.keys.is_some());
    let lines = media(&secure.description);
    assert!(lines[0].contains("RTP/AVP") && lines.contains(&format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 {OUR_KEY}")));
}

#[test]
fn our_offer_has_both_codecs_and_keys_as_events() {
    let sent = offer(&local(), None);
    assert_eq!(
        sent.to_sdp(),
        "v=0\r\no=- 4711 1 IN IP4 203.0.113.10\r\ns=-\r\nc=IN IP4 203.0.113.10\r\nt=0 0\r\n\
         m=audio 20000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
    let secure = media(&offer(&strict(), None));
    assert!(secure[0].starts_with("m=audio 20000 RTP/SAVP "), "{secure:?}");
    assert_eq!(secure.last().unwrap(), &format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {OUR_KEY}"));
}

#[test]
fn an_offer_within_a_call_keeps_what_the_call_has() {
    let first = answered(&format!(
        "m=video 4002 RTP/AVP 31\nm=audio 4000 RTP/SAVP 101 96 0\na=rtpmap:101 PCMU/8000\na=rtpmap:96 telephone-event/8000\n\
         a=rtpmap:0 G722/8000\na=crypto:4 AES_CM_128_HMAC_SHA1_32 {KEY}\na=sendonly"
    ));
    let again = offer(&local_later(), Some(&first.description));
    assert_eq!(
        media(&again),
        [
            "m=video 0 RTP/AVP 31",
            "m=audio 20000 RTP/SAVP 101 8 96",
            "a=rtpmap:101 PCMU/8000",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:96 telephone-event/8000",
            "a=fmtp:96 0-15",
            "a=ptime:20",
            "a=sendrecv",
            &format!("a=crypto:4 AES_CM_128_HMAC_SHA1_32 {OUR_KEY}"),
        ]
    );
    assert_eq!(again.version(), 2);
    assert_eq!(offer(&local_later(), Some(&again)), again, "nothing has changed");
    // 101 is PCMU in this call: events get another number.
    let without_events = answered("m=audio 4000 RTP/AVP 101\na=rtpmap:101 PCMU/8000");
    assert!(media(&offer(&local(), Some(&without_events.description)))[0].ends_with("RTP/AVP 101 8 102"));
}

#[test]
fn an_answer_to_our_offer_is_taken_at_its_numbers() {
    let sent = offer(&local(), None);
    let agreed =
        |lines: &str| read_answer(body(lines).as_bytes(), &sent).unwrap_or_else(|why| panic!("{lines}: {why}"));
    let pcma = agreed("m=audio 4000 RTP/AVP 8 97\na=rtpmap:97 telephone-event/8000");
    assert_eq!((pcma.codec, pcma.direction), (Codec::Pcma, Direction::SendRecv));
    assert_eq!(pcma.sends, PayloadTypes { audio: 8, telephone_event: Some(97) });
    assert_eq!(pcma.receives, PayloadTypes { audio: 8, telephone_event: Some(101) });
    assert_eq!(pcma.rtp, Some("192.0.2.7:4000".parse().unwrap()));
    let both = agreed("m=audio 4000 RTP/AVP 8 0\na=sendonly");
    assert_eq!((both.codec, both.direction), (Codec::Pcma, Direction::RecvOnly));
    assert_eq!(both.receives.telephone_event, None);
    assert_eq!(agreed("m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0").rtp, None);

    let refused = |lines: &str| read_answer(body(lines).as_bytes(), &sent).expect_err(lines);
    assert_eq!(refused("m=audio 0 RTP/AVP 0"), BadAnswer::Sdp(BadSdp::NoPort));
    assert_eq!(refused("m=video 4000 RTP/AVP 0"), BadAnswer::Sdp(BadSdp::NoAudio));
    assert_eq!(refused(""), BadAnswer::Missing { found: 0, wanted: 1 });
    let savp = format!("m=audio 4000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}");
    assert_eq!(refused(&savp), BadAnswer::OtherProfile { found: "RTP/SAVP", offered: "RTP/AVP" });
    let first = answered("m=audio 4000 RTP/AVP 101\na=rtpmap:101 PCMU/8000").description;
    assert_eq!(read_answer(body("m=audio 4000 RTP/AVP 8").as_bytes(), &first), Err(BadAnswer::OtherCodec));
}

#[test]
fn an_answer_has_to_fit_the_key_we_offered() {
    let sent = offer(&strict(), None);
    let answer = |crypto: &str| read_answer(body(&format!("m=audio 4000 RTP/SAVP 0\n{crypto}")).as_bytes(), &sent);
    let agreed = answer(&format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}")).unwrap();
    assert!(agreed.keys.is_some_and(|keys| keys.ours != keys.theirs));
    for other in [format!("2 AES_CM_128_HMAC_SHA1_80 {KEY}"), format!("1 AES_CM_128_HMAC_SHA1_32 {KEY}")] {
        assert_eq!(answer(&format!("a=crypto:{other}")), Err(BadAnswer::OtherCrypto), "{other}");
    }
    assert!(matches!(answer(""), Err(BadAnswer::Sdp(BadSdp::NoCrypto { .. }))));
    let plain = read_answer(body("m=audio 4000 RTP/AVP 0").as_bytes(), &sent);
    assert_eq!(plain, Err(BadAnswer::OtherProfile { found: "RTP/AVP", offered: "RTP/SAVP" }));
}

/// Lines that occur, lines that should not, and lines of chance, in any order.
fn any_body() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => "m=(audio|video|image) (0|4000|65535|4000/2) RTP/S?AVP( (0|8|9|96|97|101)){0,5}",
        3 => "a=rtpmap:(0|8|96|97|101) (PCMU|PCMA|telephone-event|G722|opus)/(8000|48000)(/1|/2)?",
        2 => "a=(sendrecv|sendonly|recvonly|inactive)",
        2 => "c=IN (IP4|IP6) (192\\.0\\.2\\.7|0\\.0\\.0\\.0|2001:db8::7|::|a\\.example|224\\.1\\.1\\.1)",
        2 => Just(format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}")),
        1 => Just(format!("a=crypto:2 AES_CM_128_HMAC_SHA1_32 {OTHER_KEY}|2^20 WSH=64")),
        1 => "a=crypto:[0-9]{0,3} [A-Z_0-9]{0,12} inline:[A-Za-z0-9+/=]{0,50}",
        1 => "a=(rtcp|ptime|maxptime):[0-9]{0,6}",
        1 => "[a-z]=.{0,30}",
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| {
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\nc=IN IP4 192.0.2.7\r\n{}\r\n", lines.join("\r\n"))
    })
}

/// What must hold of the answer to any offer that we take.
fn check_answer(body: &[u8], local: &LocalMedia, previous: Option<&Description>) -> Option<Description> {
    let fits_a_log = |why: &BadSdp| assert!(why.to_string().is_ascii() && why.to_string().len() < 300, "{why}");
    let offer = read(body).inspect_err(fits_a_log).ok()?;
    let Answer { description, agreed } = answer(&offer, local, previous).ok()?;
    let sdp = description.to_sdp();
    // It can be read, and says the same as was agreed.
    let ours = read(sdp.as_bytes()).unwrap_or_else(|why| panic!("{why} in our own answer: {sdp}"));
    assert_eq!((ours.address, ours.port), (local.address, local.port));
    assert_eq!(ours.codecs, [(agreed.codec, agreed.receives.audio)]);
    assert_eq!(ours.telephone_event, agreed.receives.telephone_event);
    assert_eq!((ours.direction, ours.position), (agreed.direction, offer.position));
    // Nothing is answered that was not offered.
    assert!(offer.codecs.contains(&ours.codecs[0]));
    assert_eq!(ours.telephone_event, offer.telephone_event);
    assert_eq!(ours.profile, offer.profile);
    let lines = |sdp: &str| sdp.split(['\r', '\n', '\0']).filter(|line| line.starts_with("m=")).count();
    assert_eq!(lines(&sdp), lines(&String::from_utf8_lossy(body)), "{sdp}");
    let is_secure = ours.profile == Profile::Savp || local.require_srtp;
    assert_eq!((agreed.keys.is_some(), ours.crypto.len()), (is_secure, usize::from(is_secure)));
    if let (Some(keys), [ours]) = (&agreed.keys, &ours.crypto[..]) {
        let theirs = offer.crypto.iter().find(|theirs| theirs.tag == ours.tag && theirs.sdes == keys.theirs);
        assert_eq!(theirs.unwrap().sdes.suite(), ours.sdes.suite());
        assert_eq!(ours.sdes, keys.ours);
    }
    // The same offer again changes nothing.
    assert_eq!(answer_again(&offer, local, &description), description);
    Some(description)
}

fn answer_again(offer: &Offer, local: &LocalMedia, previous: &Description) -> Description {
    answer(offer, local, Some(previous)).unwrap().description
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), text in ".{0,300}") {
        let sent = offer(&strict(), None);
        for body in [bytes.clone(), text.clone().into_bytes(), [b"v=0\n", &bytes[..]].concat(), format!("v=0\n{text}").into_bytes()] {
            check_answer(&body, &local(), None);
            let _ = read_answer(&body, &sent);
        }
    }

    #[test]
    fn what_is_answered_was_offered(first in any_body(), second in any_body(), require_srtp in any::<bool>()) {
        let local = LocalMedia { require_srtp, ..local() };
        let previous = check_answer(first.as_bytes(), &local, None);
        check_answer(second.as_bytes(), &local, previous.as_ref());
    }

    /// Offer and answer both ours: the two sides must come to the same.
    #[test]
    fn two_of_us_agree(secure in any::<bool>(), first in any_body()) {
        let (us, they) = (LocalMedia { require_srtp: secure, ..local() }, LocalMedia { require_srtp: secure, ..local_later() });
        let previous = check_answer(first.as_bytes(), &us, None);
        let sent = offer(&us, previous.as_ref());
        let received = read(sent.to_sdp().as_bytes()).unwrap();
        let theirs = answer(&received, &they, None).unwrap();
        let ours = read_answer(theirs.description.to_sdp().as_bytes(), &sent).unwrap();
        prop_assert_eq!(ours.codec, theirs.agreed.codec);
        prop_assert_eq!(ours.sends, theirs.agreed.receives);
        prop_assert_eq!(ours.receives, theirs.agreed.sends);
        prop_assert_eq!(ours.direction, theirs.agreed.direction.mirrored());
        let crossed = ours.keys.map(|keys| (keys.theirs, keys.ours));
        prop_assert_eq!(crossed, theirs.agreed.keys.map(|keys| (keys.ours, keys.theirs)));
    }

    #[test]
    fn no_error_shows_a_key(suite in "[A-Za-z_0-9]{0,30}", rest in "[ -~]{0,20}") {
        let secret = KEY.trim_start_matches("inline:");
        let lines = format!("m=audio 4000 RTP/SAVP 0\na=crypto:1 {suite} {secret}{rest}\na=crypto:{secret} {rest} {suite}");
        if let Err(why) = read(body(&lines).as_bytes()) {
            prop_assert!(!format!("{why} {why:?}").contains(&secret[..12]), "{}", why);
        }
    }
}

const SECURE: &str = "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80";

fn agreement(lines: &str) -> (Agreement, Agreed) {
    Agreement::answering(&offered(lines), local()).unwrap()
}

/// Our key is one that was made later.
fn begins_anew(agreement: &Agreement) -> bool {
    !agreement.to_sdp().contains(OUR_KEY)
}

#[test]
fn our_key_stays_as_long_as_the_peers_does() {
    let (mut agreement, agreed) = agreement(&format!("{SECURE} {KEY}"));
    let later = || local_later().fresh_key;
    let again = agreement.changed(body(&format!("{SECURE} {KEY}\r\na=sendonly")).as_bytes(), later()).unwrap();
    assert_eq!(again.keys, agreed.keys);
    assert!(!begins_anew(&agreement), "a hold is no new machine");
    let moved = agreement.changed(body(&format!("{SECURE} {OTHER_KEY}")).as_bytes(), later()).unwrap();
    assert!(begins_anew(&agreement));
    assert_ne!(moved.keys.unwrap().ours, agreed.keys.unwrap().ours);
}

#[test]
fn a_hold_is_lifted_by_an_offer_that_the_peer_asks_for() {
    let (mut agreement, _) = agreement("m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000");
    let held = agreement.changed(body("m=audio 4000 RTP/AVP 8\r\na=inactive").as_bytes(), local().fresh_key).unwrap();
    assert_eq!(held.direction, Direction::Inactive);
    agreement.offer_again(local().fresh_key);
    assert!(agreement.to_sdp().contains("a=sendrecv"), "{}", agreement.to_sdp());
    let agreed = agreement.answered(body("m=audio 4004 RTP/AVP 8").as_bytes()).unwrap();
    assert_eq!((agreed.direction, agreed.codec), (Direction::SendRecv, Codec::Pcma));
    assert_eq!(agreed.rtp, Some("192.0.2.7:4004".parse().unwrap()));
}

#[test]
fn what_cannot_be_changes_nothing() {
    let (mut agreement, _) = agreement("m=audio 4000 RTP/AVP 0");
    let before = agreement.to_sdp();
    let fresh = || local().fresh_key;
    let unreadable = agreement.changed(body("m=audio 4000 RTP/AVP 18").as_bytes(), fresh()).unwrap_err();
    assert!(matches!(unreadable, BadOffer::Unreadable(_)), "{unreadable}");
    let elsewhere = body("m=audio 4000 RTP/AVP 0").replace("IP4 192.0.2.7", "IP6 2001:db8::7");
    let refused = agreement.changed(elsewhere.as_bytes(), fresh()).unwrap_err();
    assert!(matches!(refused, BadOffer::NothingCommon(NoCommonMedia::AddressFamily { .. })), "{refused}");
    assert!(agreement.answered(body("m=audio 4000 RTP/AVP 18").as_bytes()).is_err());
    assert_eq!(agreement.to_sdp(), before);
}
