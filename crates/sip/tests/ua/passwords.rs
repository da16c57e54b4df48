//! Callers who have to know a password.

use trunkline_sip::message::digest::{Account, Algorithm, Challenge, DigestGuard, NONCE_SECONDS};
use trunkline_sip::message::{Method, Name};
use trunkline_sip::ua::Transport;

use crate::bench::{Bench, Trunk};

const URI: &str = "sip:+15550199002@203.0.113.10:5060;transport=UDP";

fn account(password: &str) -> Account {
    Account { username: "trunk".to_owned(), password: password.to_owned() }
}

fn asking() -> Bench {
    let mut bench = Bench::new();
    let guard = DigestGuard::new("trunkline", [7; 32], &[Algorithm::Sha256, Algorithm::Md5], vec![account("s3cret")]);
    bench.act(|ua, now, _| ua.ask_for_password(now, guard));
    bench
}

/// The challenge of the last 401 for that algorithm.
fn asked(bench: &Bench, algorithm: Algorithm) -> Challenge {
    let challenges = bench.last("401 INVITE").values(Name::WwwAuthenticate);
    let mut read = challenges.map(|value| Challenge::parse(Name::WwwAuthenticate, value).unwrap());
    read.find(|challenge| challenge.algorithm == algorithm).unwrap()
}

fn answering(challenge: &Challenge, password: &str) -> String {
    let answer = challenge.answer(&account(password), &Method::Invite, URI, "0a4f113b", 1);
    format!("Authorization: {answer}\r\n")
}

#[test]
fn who_knows_it_is_let_in_by_either_algorithm() {
    for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
        let mut bench = asking();
        let mut trunk = Trunk::new(Transport::Udp);
        assert_eq!(bench.receive(&trunk.invite()), ["401 INVITE"]);
        assert_eq!(bench.receive(&trunk.write("ACK", "")), Vec::<String>::new());
        trunk.headers = answering(&asked(&bench, algorithm), "s3cret");
        assert_eq!(bench.receive(&trunk.invite()), ["100 INVITE", "Incoming"]);
        let call = bench.call();
        bench.accept(call);
        trunk.answered(bench.last("200 INVITE"));
        assert_eq!(bench.receive(&trunk.ack()), ["Confirmed"]);
        trunk.headers.clear();
        assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Ended Bye"], "a dialog has shown itself already");
    }
}

#[test]
fn who_does_not_is_asked_again_and_nothing_is_kept() {
    let mut bench = asking();
    let mut trunk = Trunk::new(Transport::Udp);
    bench.receive(&trunk.invite());
    trunk.headers = answering(&asked(&bench, Algorithm::Md5), "guessed");
    assert_eq!(bench.receive(&trunk.invite()), ["401 INVITE"]);
    assert!(!asked(&bench, Algorithm::Md5).stale);
    bench.assert_empty();
}

#[test]
fn an_old_nonce_is_told_to_be_stale() {
    let mut bench = asking();
    let mut trunk = Trunk::new(Transport::Udp);
    bench.receive(&trunk.invite());
    trunk.headers = answering(&asked(&bench, Algorithm::Sha256), "s3cret");
    bench.run((NONCE_SECONDS + 1) * 1_000);
    assert_eq!(bench.receive(&trunk.invite()), ["401 INVITE"]);
    let again = asked(&bench, Algorithm::Sha256);
    assert!(again.stale, "a telephone need not ask its user");
    trunk.headers = answering(&again, "s3cret");
    assert_eq!(bench.receive(&trunk.invite()), ["100 INVITE", "Incoming"]);
}
