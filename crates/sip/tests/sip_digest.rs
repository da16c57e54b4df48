//! Passwords: asked for, answered, checked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::net::IpAddr;

use proptest::prelude::*;
use trunkline_sip::message::digest::{Account, Algorithm, Challenge, Credentials, DigestGuard, NONCE_SECONDS, Verdict};
use trunkline_sip::message::{Message, Method, Name};

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const URI: &str = "sip:+15550199002@192.0.2.10";

fn account(username: &str, password: &str) -> Account {
    Account { username: username.to_owned(), password: password.to_owned() }
}

fn guard() -> DigestGuard {
    let accounts = vec![account("trunk", "s3cret"), account("other", "word")];
    DigestGuard::new("trunkline", [7; 32], &[Algorithm::Sha256, Algorithm::Md5], accounts)
}

fn challenge(now_s: u64, algorithm: Algorithm) -> Challenge {
    guard().challenges(SOURCE, now_s, false).find(|challenge| challenge.algorithm == algorithm).unwrap()
}

/// An INVITE with that answer.
fn invite(credentials: &Credentials) -> Message {
    let mut invite = Message::request(Method::Invite, URI);
    invite.push(Name::Authorization, credentials.to_string());
    invite
}

fn answer(challenge: &Challenge, account: &Account) -> Credentials {
    challenge.answer(account, &Method::Invite, URI, "0a4f113b", 1)
}

fn accepted(username: &str) -> Verdict {
    Verdict::Accepted { username: username.to_owned() }
}

/// The `response` of an answer to that challenge.
fn response(challenge: &str, account: &Account, method: &str, uri: &str, cnonce: &str) -> String {
    let challenge = Challenge::parse(Name::WwwAuthenticate, challenge.as_bytes()).unwrap();
    let method = Method::parse(method.as_bytes()).unwrap();
    let text = challenge.answer(account, &method, uri, cnonce, 1).to_string();
    text.split("response=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[test]
fn the_examples_of_the_rfcs_give_their_answers() {
    // RFC 2617, section 3.5
    let challenge = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
                     nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    let mufasa = account("Mufasa", "Circle Of Life");
    assert_eq!(response(challenge, &mufasa, "GET", "/dir/index.html", "0a4f113b"), "6629fae49393a05397450978507c4ef1");
    // RFC 7616, section 3.9.1
    let mufasa = account("Mufasa", "Circle of Life");
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    for (algorithm, expected) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let challenge = format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        assert_eq!(response(&challenge, &mufasa, "GET", "/dir/index.html", cnonce), expected, "{algorithm}");
    }
    // RFC 2069, as MD5(MD5(u:r:p):nonce:MD5(m:uri)) gives it
    let old = "Digest realm=\"biloxi.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
    assert_eq!(
        response(old, &account("bob", "zanzibar"), "INVITE", "sip:bob@biloxi.com", ""),
        "bf57e4e0d0bffc0fbaedce64d59add5e"
    );
}

#[test]
fn who_knows_the_password_is_let_in() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        for (name, word) in [("trunk", "s3cret"), ("other", "word")] {
            let request = invite(&answer(&challenge(1_000, algorithm), &account(name, word)));
            assert_eq!(guard().check(&request, SOURCE, 1_000 + NONCE_SECONDS), accepted(name), "{algorithm:?}");
        }
    }
}

#[test]
fn who_does_not_is_refused() {
    let good = answer(&challenge(0, Algorithm::Md5), &account("trunk", "s3cret"));
    let check = |message: &Message| guard().check(message, SOURCE, 1);
    assert_eq!(check(&invite(&good)), accepted("trunk"));
    for wrong in [
        account("trunk", "s3creT"),
        account("trunk", ""),
        account("nobody", "s3cret"),
        account("nobody", ""),
        account("", ""),
    ] {
        assert_eq!(check(&invite(&answer(&challenge(0, Algorithm::Md5), &wrong))), Verdict::Refused, "{wrong:?}");
    }
    let changed = |from: &str, to: &str| {
        let text = good.to_string();
        assert!(text.contains(from), "{text}");
        let mut request = Message::request(Method::Invite, URI);
        request.push(Name::Authorization, text.replace(from, to));
        check(&request)
    };
    assert_eq!(changed("username=\"trunk\"", "username=\"other\""), Verdict::Refused);
    assert_eq!(changed("nc=00000001", "nc=00000002"), Verdict::Refused, "everything is signed");
    assert_eq!(changed("cnonce=\"0a", "cnonce=\"0b"), Verdict::Refused);
    assert_eq!(changed("algorithm=MD5", "algorithm=SHA-256"), Verdict::Refused);
    assert_eq!(changed("response=\"", "response=\"0"), Verdict::Refused);
    assert_eq!(changed("realm=\"trunkline\"", "realm=\"elsewhere\""), Verdict::Missing, "not for us");
    for unread in [
        ("algorithm=MD5", "algorithm=MD5-sess"),
        ("nc=00000001", "nc=1"),
        ("qop=auth", "qop=auth-int"),
        ("Digest", "Basic"),
    ] {
        assert_eq!(changed(unread.0, unread.1), Verdict::Missing, "{unread:?}");
    }
    assert_eq!(check(&Message::request(Method::Invite, URI)), Verdict::Missing);

    let mut other = invite(&good);
    other.start = Message::request(Method::Bye, URI).start;
    assert_eq!(check(&other), Verdict::Refused, "an answer is good for its method");
    other.start = Message::request(Method::Invite, "sip:+15550199003@192.0.2.10").start;
    assert_eq!(check(&other), Verdict::Refused, "and for whom it calls");
    other.start = Message::request(Method::Invite, "sip:+15550199002@203.0.113.1:5060;transport=UDP").start;
    assert_eq!(check(&other), accepted("trunk"), "whose host a proxy may change");
}

#[test]
fn an_answer_without_qop_is_not_taken() {
    let mut old = challenge(0, Algorithm::Md5);
    old.has_qop = false;
    assert_eq!(guard().check(&invite(&answer(&old, &account("trunk", "s3cret"))), SOURCE, 1), Verdict::Refused);
}

#[test]
fn a_nonce_ends_and_belongs_to_its_asker() {
    let trunk = account("trunk", "s3cret");
    let fresh = challenge(1_000, Algorithm::Sha256);
    let request = invite(&answer(&fresh, &trunk));
    assert_eq!(guard().check(&request, SOURCE, 1_000 + NONCE_SECONDS + 1), Verdict::Stale);
    assert_eq!(guard().check(&request, [192, 0, 2, 2].into(), 1_000), Verdict::Stale, "from another address");
    let restarted = DigestGuard::new("trunkline", [8; 32], &[Algorithm::Sha256], vec![trunk.clone()]);
    assert_eq!(restarted.check(&request, SOURCE, 1_000), Verdict::Stale, "another key");
    let stranger = invite(&answer(&fresh, &account("trunk", "guess")));
    assert_eq!(guard().check(&stranger, SOURCE, 5_000), Verdict::Refused, "stale is said to who knows the password");
    for forged in [
        "",
        "ffffffffffffffff",
        &format!("ffffffffffffffff{}", &fresh.nonce[16..]),
        &fresh.nonce[..47],
        &format!("{}0", fresh.nonce),
    ] {
        let forged = Challenge { nonce: forged.to_owned(), ..fresh.clone() };
        assert_eq!(guard().check(&invite(&answer(&forged, &trunk)), SOURCE, 1_000), Verdict::Stale, "{}", forged.nonce);
    }
    assert!(guard().challenges(SOURCE, 1, true).all(|challenge| challenge.to_string().contains("stale=true")));
}

#[test]
fn the_first_challenge_that_can_be_answered_is() {
    let mut response =
        Message::response_to(&Message::request(Method::Invite, URI), 407, "Proxy Authentication Required");
    assert_eq!(Challenge::first_of(&response), None);
    response.push(Name::ProxyAuthenticate, "Bearer realm=\"r\"");
    response.push(Name::ProxyAuthenticate, "Digest realm=\"r\", nonce=\"1\", algorithm=SHA-512-256");
    response.push(Name::ProxyAuthenticate, "Digest realm=\"r\", nonce=\"2\", qop=\"auth-int\"");
    assert_eq!(Challenge::first_of(&response), None);
    response.push(
        Name::ProxyAuthenticate,
        "digest Nonce = \"3\" , REALM=\"a \\\"b\\\", c\",algorithm=sha-256, stale=TRUE,qop=\"auth\"",
    );
    response.push(Name::ProxyAuthenticate, "Digest realm=\"r\", nonce=\"4\"");
    let (header, challenge) = Challenge::first_of(&response).unwrap();
    assert_eq!(header, Name::ProxyAuthorization);
    let expected = Challenge {
        realm: "a \"b\", c".to_owned(),
        nonce: "3".to_owned(),
        algorithm: Algorithm::Sha256,
        has_qop: true,
        opaque: None,
        stale: true,
    };
    assert_eq!(challenge, expected);
    for bad in [
        "Digest",
        "Digest ",
        "Digest realm=\"r\"",
        "Digest nonce=\"n\"",
        "Digest realm=\"r, nonce=\"n\"",
        "Digest realm=\"r\" nonce=\"n\"",
        "Digest realm=r\"x, nonce=n",
        "Digest realm=r\"x\", nonce=n",
    ] {
        assert!(Challenge::parse(Name::WwwAuthenticate, bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_password_is_not_shown() {
    let shown = format!("{:?} {:?}", account("trunk", "s3cret"), guard());
    assert!(
        shown.contains("trunk") && !shown.contains("s3cret") && !shown.contains("word\"") && !shown.contains("[7"),
        "{shown}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_asked_and_answered_is_read_as_it_was(
        realm in "[^\\p{C}]{0,20}", nonce in "[^\\p{C}]{0,20}", username in "[^\\p{C}]{0,20}", opaque in prop::option::of("[^\\p{C}]{0,9}"),
        is_sha in any::<bool>(), has_qop in any::<bool>(), stale in any::<bool>(), count in any::<u32>(),
    ) {
        let algorithm = if is_sha { Algorithm::Sha256 } else { Algorithm::Md5 };
        let challenge = Challenge { realm, nonce, algorithm, has_qop, opaque, stale };
        prop_assert_eq!(Challenge::parse(Name::WwwAuthenticate, challenge.to_string().as_bytes()), Ok(challenge.clone()));
        let credentials = challenge.answer(&account(&username, "word"), &Method::Bye, URI, "c", count);
        prop_assert_eq!(Credentials::parse(Name::Authorization, credentials.to_string().as_bytes()), Ok(credentials));
    }

    #[test]
    fn any_bytes_are_no_way_in(bytes in prop::collection::vec(any::<u8>(), 0..100), fields in "(Digest )?([a-z]{1,8}=\"?[a-z0-9\\\\]{0,8}\"?, ?){0,8}") {
        for value in [bytes.as_slice(), fields.as_bytes()] {
            let mut request = Message::request(Method::Invite, URI);
            request.push(Name::Authorization, value);
            let is_in = matches!(guard().check(&request, SOURCE, 0), Verdict::Accepted { .. });
            prop_assert!(!is_in);
            let _ = Challenge::parse(Name::WwwAuthenticate, value);
        }
    }
}
