//! `trunkline call sip:…`: the command-line telephone calls a service by SIP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use support::PATIENCE;
use support::process::{Process, Service, finish, scratch};
use support::sound;
use trunkline_media::LineCodec;

/// Speech of 4 to 9 s, and the caller's patience behind it.
const CALL: Duration = Duration::from_secs(60);

const SPEECH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/speech/librivox_austen_0880_16k.wav");

const ROUTES: &str = "[[routes]]\nmatch = \"6001\"\nkind = \"echo\"\n\
                      [[routes]]\nmatch = \"6009\"\nkind = \"reject\"\n\
                      [[routes]]\nmatch = \"*\"\nkind = \"model\"\n";

const SIP: &[(&str, &str)] =
    &[("TRUNKLINE__SIP__LISTEN", "127.0.0.1:0"), ("TRUNKLINE__SIP__ALLOWED_NETWORKS", "127.0.0.0/8")];

/// A service that takes calls by SIP, and where.
async fn service(env: &[(&str, &str)]) -> (Service, SocketAddr) {
    let config = scratch("trunkline.toml");
    std::fs::write(&config, ROUTES).unwrap();
    let mut all = vec![("TRUNKLINE__MEDIA__LISTEN", "127.0.0.1:0"), ("TRUNKLINE__ADMIN__LISTEN", "127.0.0.1:0")];
    all.extend_from_slice(env);
    let mut process = Process::start(&["serve", "--config", config.to_str().unwrap()], &all);
    let found = process.listening(&["sim", "media", "admin", "sip"]).await;
    (Service { process, media: found["media"], admin: found["admin"] }, found["sip"])
}

/// What a telephone told of its call.
struct Called {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    heard: Vec<i16>,
}

/// Calls, says `SPEECH` and stays until the end.
async fn call(address: &str, id: &str, env: &[(&str, &str)]) -> Called {
    let out = scratch("heard.wav");
    let arguments = ["call", address, "--call-id", id, "--wav", SPEECH, "--out", out.to_str().unwrap()];
    let mut phone = Process::start(&arguments, env);
    let code = phone.exit(CALL).await.code();
    Called { code, stdout: phone.stdout(), stderr: phone.stderr(), heard: read(&out) }
}

fn read(path: &PathBuf) -> Vec<i16> {
    let Ok(reader) = hound::WavReader::open(path) else { return Vec::new() };
    assert_eq!((reader.spec().sample_rate, reader.spec().channels), (8_000, 1));
    reader.into_samples().map(Result::unwrap).collect()
}

/// How alike the loudness of what was said and what was heard is over time, at the delay where it is most: -1.0 to 1.0.
fn likeness(said: &[i16], heard: &[i16]) -> f64 {
    let loudness = |samples: &[i16]| -> Vec<f64> { samples.chunks(160).map(sound::level).collect() };
    let (said, heard) = (loudness(said), loudness(heard));
    let delays = 0..heard.len().saturating_sub(said.len()).max(1);
    delays.map(|delay| correlation(&said, &heard[delay..])).fold(-1.0, f64::max)
}

fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let count = one.len().min(other.len()) as f64;
    let mean = |values: &[f64]| values.iter().take(count as usize).sum::<f64>() / count;
    let (mean_one, mean_other) = (mean(one), mean(other));
    let (mut both, mut square_one, mut square_other) = (0.0, 0.0, 0.0);
    for (one, other) in one.iter().zip(other) {
        let (one, other) = (one - mean_one, other - mean_other);
        both += one * other;
        square_one += one * one;
        square_other += other * other;
    }
    both / (square_one * square_other).sqrt().max(1.0)
}

fn said() -> Vec<i16> {
    sound::decode(LineCodec::Pcmu, &sound::speech())
}

fn row<'a>(table: &'a str, name: &str) -> &'a str {
    let found = table.lines().find(|line| line.trim_start().starts_with(name));
    found.unwrap_or_else(|| panic!("no row {name} in {table}"))
}

/// The service's record of a call by SIP that went well.
fn check_record(call: &Value) {
    assert_eq!((&call["link"], &call["endReason"]), (&"sip".into(), &"caller_hangup".into()), "{call:#}");
    assert!(call["rtp"]["packets"].as_u64() > Some(100), "{call:#}");
    assert_eq!(call["rtp"]["lost"], 0, "{call:#}");
}

#[tokio::test]
async fn a_telephone_hears_itself_over_udp() {
    let (service, sip) = service(SIP).await;
    let called = call(&format!("sip:6001@{sip}"), "echo-udp", &[]).await;
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    check_record(&service.ended("echo-udp").await);
    let likeness = likeness(&said(), &called.heard);
    assert!(likeness > 0.8, "heard something else: {likeness}");
    let rtp = row(&called.stdout, "rtp");
    assert!(rtp.contains(" RTP,") && rtp.contains(" 0 lost,") && rtp.contains(" MOS "), "{rtp}");
    assert!(row(&called.stdout, "call").contains("echo-udp (pcmu)"), "{}", called.stdout);
}

#[tokio::test]
async fn a_telephone_hears_the_parrot_over_tcp() {
    let (service, sip) = service(SIP).await;
    let called = call(&format!("sip:6002@{sip};transport=tcp"), "parrot-tcp", &[]).await;
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    let record = service.ended("parrot-tcp").await;
    check_record(&record);
    assert!(record["model"]["responses"].as_u64() >= Some(1), "{record:#}");
    assert!(!row(&called.stdout, "first reply").contains(" - after"), "{}", called.stdout);
    assert!(sound::level(&called.heard) > 100.0, "a reply was heard");
}

#[tokio::test]
async fn keys_of_srtp_travel_over_tls() {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (scratch("sip.pem"), scratch("sip.key"));
    std::fs::write(&cert, signed.cert.pem()).unwrap();
    std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    let env = [
        ("TRUNKLINE__SIP__ALLOWED_NETWORKS", "127.0.0.0/8"),
        ("TRUNKLINE__SIP__TLS__LISTEN", "127.0.0.1:0"),
        ("TRUNKLINE__SIP__TLS__CERT_FILE", cert.to_str().unwrap()),
        ("TRUNKLINE__SIP__TLS__KEY_FILE", key.to_str().unwrap()),
        ("TRUNKLINE__SIP__REQUIRE_SRTP", "true"),
    ];
    let (service, sip) = service(&env).await;
    let address = format!("sips:6001@localhost:{}", sip.port());
    let trusted = [("SSL_CERT_FILE", cert.to_str().unwrap())];
    let called = call(&address, "echo-tls", &trusted).await;
    assert_eq!(called.code, Some(0), "{}", called.stderr);
    check_record(&service.ended("echo-tls").await);
    let likeness = likeness(&said(), &called.heard);
    assert!(likeness > 0.8, "heard something else: {likeness}");
    assert!(row(&called.stdout, "rtp").contains(" SRTP,"), "{}", called.stdout);

    // Whoever nobody vouches for is not called.
    let (code, _, stderr) = finish(&["call", &address], &[]);
    assert!(code == 1 && stderr.contains("cannot connect") && stderr.contains("certificate"), "{code} {stderr}");
}

#[tokio::test]
async fn a_refusal_is_told_as_it_was_said() {
    let (_service, sip) = service(SIP).await;
    for transport in ["udp", "tcp"] {
        let called = call(&format!("sip:6009@{sip};transport={transport}"), "refused", &[]).await;
        assert_eq!(called.code, Some(1), "{}", called.stderr);
        assert!(called.stderr.contains("SIP 603 Decline"), "{transport}: {}", called.stderr);
    }
}

#[tokio::test]
async fn a_password_is_asked_for_where_one_is_set() {
    let mut env = SIP.to_vec();
    env.extend([("TRUNKLINE__SIP__USERNAME", "phone"), ("TRUNKLINE__SIP__PASSWORD", "s3cret")]);
    let (_service, sip) = service(&env).await;
    let known = [("TRUNKLINE_SIP_USERNAME", "phone"), ("TRUNKLINE_SIP_PASSWORD", "s3cret")];
    let wrong = [("TRUNKLINE_SIP_USERNAME", "phone"), ("TRUNKLINE_SIP_PASSWORD", "guessed")];
    // Who is let in hears what this route says.
    for (account, told) in [(&known[..], "SIP 603 Decline"), (&wrong[..], "SIP 401"), (&[], "SIP 401")] {
        let called = call(&format!("sip:6009@{sip}"), "password", account).await;
        assert!(called.stderr.contains(told), "{account:?}: {}", called.stderr);
        assert!(!called.stderr.contains("guessed"), "{}", called.stderr);
    }
    let half = call(&format!("sip:6009@{sip}"), "half", &known[..1]).await;
    assert_eq!(half.code, Some(2), "{}", half.stderr);
}

#[tokio::test]
async fn ctrl_c_hangs_up() {
    let (service, sip) = service(SIP).await;
    let mut phone = Process::start(&["call", &format!("sip:6001@{sip}"), "--call-id", "cut", "--wav", SPEECH], &[]);
    let is_heard = |call: &Value| call["down"]["frames"].as_u64() > Some(100);
    // It is listed once it is answered.
    let listed = async {
        while service.get("/admin/calls/cut").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    support::within(PATIENCE, "the call", listed).await;
    service.call_when("cut", "heard", is_heard).await;
    phone.signal("INT");
    assert_eq!(phone.exit(PATIENCE).await.code(), Some(0), "{}", phone.stderr());
    assert_eq!(service.ended("cut").await["endReason"], "caller_hangup");
    assert!(row(&phone.stdout(), "call").contains("the caller hung up"), "{}", phone.stdout());
}

#[test]
fn what_cannot_be_called_is_told_apart_from_wrong_usage() {
    let (code, _, stderr) = finish(&["call", "sip:6001@127.0.0.1;transport=sctp"], &[]);
    assert!(code == 2 && stderr.contains("transport=sctp") && stderr.contains("udp|tcp|tls"), "{code} {stderr}");
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, _, stderr) = finish(&["call", &format!("sip:6001@{free};transport=tcp")], &[]);
    assert!(code == 1 && stderr.contains("cannot connect") && stderr.contains("refused"), "{code} {stderr}");
}
