//! Calls that we place, keep-alives, transfers, credentials, connections.

use bytes::Bytes;
use trunkline_sip::message::{Message, Name};
use trunkline_sip::ua::{
    CallKey, DigestAccount, Ended, Flow, OptionsTarget, OutgoingInvite, Transport, UaEvent, UaSettings,
};

use crate::bench::{ANSWER, Bench, OFFER, TRUNK, address, answer, ended, settings, text};

fn invite(bench: &mut Bench) -> CallKey {
    let target = OutgoingInvite {
        uri: "sip:+15550100001@3.80.16.44".to_owned(),
        flow: bench.flow,
        from: "sip:+15550199002@203.0.113.10".to_owned(),
        headers: vec![("X-Tag".to_owned(), "a\r\nEvil: b".to_owned()), ("Bad Name".to_owned(), "c".to_owned())],
        sdp: Bytes::from_static(OFFER.as_bytes()),
    };
    let call = bench.act(|ua, now, out| ua.invite(now, target, out));
    assert_eq!(bench.take(), ["INVITE"]);
    call
}

/// A call of ours that is up.
fn up(bench: &mut Bench) -> CallKey {
    let call = invite(bench);
    let ok = answer(bench.last("INVITE"), 200, "Contact: <sip:10.0.77.12>\nRecord-Route: <sip:3.80.16.44;lr>", ANSWER);
    assert_eq!(bench.receive(&ok), ["ACK", "Answered true"]);
    call
}

fn with_account(realm: Option<&str>) -> UaSettings {
    let (username, password) = ("bridge".to_owned(), "secret".to_owned());
    UaSettings { digest: Some(DigestAccount { username, password, realm: realm.map(str::to_owned) }), ..settings() }
}

#[test]
fn a_call_of_ours_rings_is_answered_and_hung_up() {
    let mut bench = Bench::new();
    let call = invite(&mut bench);
    let first = bench.last("INVITE").clone();
    assert_eq!(first.request_uri().unwrap().as_bytes(), b"sip:+15550100001@3.80.16.44");
    assert_eq!(first.named("X-Tag"), Some(&b"a  Evil: b"[..]));
    assert_eq!(text(&first, Name::SessionExpires), "1800");
    assert_eq!(bench.run(2_000), [(500, "INVITE".to_owned()), (1_500, "INVITE".to_owned())]);
    assert_eq!(bench.receive(&answer(&first, 100, "", "")), [""; 0]);
    assert_eq!(bench.run(10_000), []);
    assert_eq!(bench.receive(&answer(&first, 180, "", "")), ["Ringing"]);
    assert_eq!(bench.receive(&answer(&first, 180, "", "")), [""; 0]);
    let routes = "Record-Route: <sip:3.80.16.45;lr>, <sip:3.80.16.44;lr>\nContact: <sip:10.0.77.12:5060>";
    let ok = answer(&first, 200, routes, ANSWER);
    assert_eq!(bench.receive(&ok), ["ACK", "Answered true"]);
    assert_eq!(bench.receive(&ok), ["ACK"], "the ACK was lost");
    let ack = bench.last("ACK");
    assert_eq!(ack.request_uri().unwrap().as_bytes(), b"sip:10.0.77.12:5060");
    assert_eq!(text(ack, Name::Route), "<sip:3.80.16.44;lr>, <sip:3.80.16.45;lr>");
    assert_eq!(text(ack, Name::CSeq), "1 ACK");
    let keys = |message: &Message| (message.call_id().to_vec(), message.from_tag(), message.to_tag());
    assert_eq!(keys(ack), (first.call_id().to_vec(), first.from_tag(), Some("theirs".to_owned())));
    assert_eq!(bench.bye(call), ["Ended HungUp", "BYE"]);
    assert_eq!(text(bench.last("BYE"), Name::CSeq), "2 BYE");
    bench.receive(&answer(&bench.last("BYE").clone(), 200, "", ""));
    bench.assert_empty();
}

#[test]
fn a_refusal_is_acknowledged_and_ends_the_call() {
    for code in [300, 403, 486, 503, 603] {
        let mut bench = Bench::new();
        invite(&mut bench);
        let refusal = answer(bench.last("INVITE"), code, "", "");
        assert_eq!(bench.receive(&refusal), ["ACK".to_owned(), ended(Ended::Refused(code))]);
        assert_eq!(bench.receive(&refusal), ["ACK"], "the ACK was lost");
        assert_eq!(text(bench.last("ACK"), Name::Via), text(bench.last("INVITE"), Name::Via));
        assert_eq!(bench.last("ACK").to_tag().as_deref(), Some("theirs"));
        bench.assert_empty();
    }
}

#[test]
fn who_does_not_answer_is_given_up() {
    let mut bench = Bench::new();
    invite(&mut bench);
    let log = bench.run(40_000);
    assert_eq!(log.last(), Some(&(32_000, ended(Ended::Failed))));
    let copies: Vec<_> = log.iter().filter(|(_, word)| word == "INVITE").map(|(at, _)| *at).collect();
    assert_eq!(copies, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    bench.assert_empty();
    // Ringing for ever is no better.
    let mut bench = Bench::new();
    invite(&mut bench);
    bench.receive(&answer(&bench.last("INVITE").clone(), 180, "", ""));
    let log = bench.run(180_000);
    assert_eq!(log, [(180_000, ended(Ended::Failed)), (180_000, "CANCEL".to_owned())]);
    bench.assert_empty();
}

#[test]
fn hanging_up_while_it_rings_cancels() {
    let mut bench = Bench::new();
    let call = invite(&mut bench);
    let first = bench.last("INVITE").clone();
    bench.receive(&answer(&first, 180, "", ""));
    assert_eq!(bench.bye(call), ["Ended HungUp", "CANCEL"]);
    let cancel = bench.last("CANCEL").clone();
    assert_eq!(text(&cancel, Name::Via), text(&first, Name::Via));
    assert_eq!((cancel.to_tag(), text(&cancel, Name::CSeq)), (None, "1 CANCEL".to_owned()));
    bench.receive(&answer(&cancel, 200, "", ""));
    assert_eq!(bench.receive(&answer(&first, 487, "", "")), ["ACK"]);
    assert_eq!(bench.ua.calls(), 0);
    bench.assert_empty();
}

#[test]
fn a_cancel_waits_for_the_first_answer() {
    let mut bench = Bench::new();
    let call = invite(&mut bench);
    let first = bench.last("INVITE").clone();
    assert_eq!(bench.bye(call), ["Ended HungUp"]);
    assert_eq!(bench.receive(&answer(&first, 100, "", "")), ["CANCEL"]);
    assert_eq!(bench.receive(&answer(&first, 180, "", "")), [""; 0]);
    assert_eq!(bench.ua.calls(), 1);
    bench.run(32_000);
    assert_eq!(bench.ua.calls(), 0, "with no answer by then there will be none");
    bench.assert_empty();
}

#[test]
fn an_answer_that_crosses_our_cancel_is_acknowledged_and_hung_up() {
    let mut bench = Bench::new();
    let call = invite(&mut bench);
    let first = bench.last("INVITE").clone();
    bench.receive(&answer(&first, 180, "", ""));
    bench.act(|ua, now, out| ua.bye(now, call, Some("Q.850;cause=16"), out));
    assert_eq!(bench.take(), ["Ended HungUp", "CANCEL"]);
    assert_eq!(bench.receive(&answer(&first, 200, "", ANSWER)), ["ACK", "BYE"]);
    assert_eq!(text(bench.last("BYE"), Name::Reason), "Q.850;cause=16");
    bench.assert_empty();
}

#[test]
fn a_second_answer_of_a_fork_is_acknowledged_and_hung_up() {
    let mut bench = Bench::new();
    up(&mut bench);
    let second = answer(bench.last("INVITE"), 200, "Contact: <sip:10.0.77.99>", ANSWER).replace("theirs", "another");
    assert_eq!(bench.receive(&second), ["ACK", "BYE"]);
    assert_eq!(bench.last("BYE").to_tag().as_deref(), Some("another"));
    assert_eq!(bench.receive(&second), ["ACK"]);
    assert_eq!(bench.ua.calls(), 1);
    // A fork of more is not a telephone call.
    let more = (3..9).map(|n| second.replace("another", &format!("fork-{n}")));
    let answers: Vec<_> = more.map(|answer| bench.receive(&answer).len()).collect();
    assert_eq!(answers, [2, 2, 0, 0, 0, 0]);
}

#[test]
fn a_challenge_is_answered_once() {
    let challenge = |request: &Message, header: &str, code| {
        answer(request, code, &format!("{header}: Digest realm=\"vc\", nonce=\"n1\", algorithm=MD5, qop=\"auth\""), "")
    };
    let mut bench = Bench::with(with_account(None));
    invite(&mut bench);
    let first = bench.last("INVITE").clone();
    assert_eq!(bench.receive(&challenge(&first, "Proxy-Authenticate", 407)), ["ACK", "INVITE"]);
    let second = bench.last("INVITE").clone();
    assert!(text(&second, Name::ProxyAuthorization).contains("username=\"bridge\""));
    assert_eq!(second.cseq().unwrap().0, 2);
    assert_ne!(second.via().unwrap().branch, first.via().unwrap().branch);
    assert_eq!(second.body, OFFER.as_bytes());
    let mut refused = Bench::with(with_account(None));
    std::mem::swap(&mut refused.ua, &mut bench.ua);
    assert_eq!(refused.receive(&challenge(&second, "Proxy-Authenticate", 407)), ["ACK", "Ended Refused(407)"]);
    refused.assert_empty();

    let mut bench = Bench::with(with_account(None));
    invite(&mut bench);
    bench.receive(&challenge(&bench.last("INVITE").clone(), "Proxy-Authenticate", 407));
    let ok = answer(&bench.last("INVITE").clone(), 200, "Contact: <sip:10.0.77.12>", ANSWER);
    assert_eq!(bench.receive(&ok), ["ACK", "Answered true"]);
    let credentials = |words| text(bench.last(words), Name::ProxyAuthorization);
    assert_eq!(credentials("ACK"), credentials("INVITE"));

    for settings in [settings(), with_account(Some("another"))] {
        let mut bench = Bench::with(settings);
        invite(&mut bench);
        let refusal = challenge(&bench.last("INVITE").clone(), "WWW-Authenticate", 401);
        assert_eq!(bench.receive(&refusal), ["ACK", "Ended Refused(401)"]);
        bench.assert_empty();
    }

    let mut bench = Bench::with(with_account(Some("vc")));
    let call = up(&mut bench);
    bench.bye(call);
    let bye = bench.last("BYE").clone();
    assert_eq!(bench.receive(&challenge(&bye, "WWW-Authenticate", 401)), ["BYE"]);
    assert!(text(bench.last("BYE"), Name::Authorization).contains("realm=\"vc\""));
    bench.receive(&answer(&bench.last("BYE").clone(), 200, "", ""));
    assert_eq!(bench.ua.calls(), 0);
    bench.assert_empty();
}

#[test]
fn the_password_is_not_shown() {
    assert!(!format!("{:?}", with_account(None)).contains("secret"));
}

#[test]
fn a_longer_session_is_taken_where_the_far_end_wants_one() {
    let mut bench = Bench::with(UaSettings { session_expires: std::time::Duration::from_secs(120), ..settings() });
    invite(&mut bench);
    let first = bench.last("INVITE").clone();
    assert_eq!(bench.receive(&answer(&first, 422, "Min-SE: 600", "")), ["ACK", "INVITE"]);
    let second = bench.last("INVITE").clone();
    assert_eq!((text(&second, Name::SessionExpires), text(&second, Name::MinSe)), ("600".to_owned(), "600".to_owned()));
    let ok = answer(&second, 200, "Session-Expires: 600;refresher=uac\nRequire: timer\nAllow: UPDATE", ANSWER);
    assert_eq!(bench.receive(&ok), ["ACK", "Answered true"]);
    assert_eq!(bench.run(300_000), [(300_000, "UPDATE".to_owned())]);
}

#[test]
fn a_keep_alive_tells_whether_the_trunk_answers() {
    let target = OptionsTarget { uri: "sip:3.80.16.44".to_owned(), flow: Flow::udp(address(TRUNK)) };
    for (code, alive) in [(200, true), (404, true), (405, true), (503, false), (408, false)] {
        let mut bench = Bench::new();
        bench.act(|ua, now, out| ua.options(now, target.clone(), out));
        assert_eq!(bench.take(), ["OPTIONS"]);
        let reply = answer(bench.last("OPTIONS"), code, "", "");
        assert_eq!(bench.receive(&reply), [format!("Options {alive}")]);
        assert_eq!(bench.receive(&reply), [""; 0]);
        bench.assert_empty();
    }
    let mut bench = Bench::new();
    bench.act(|ua, now, out| ua.options(now, target, out));
    bench.take();
    let log = bench.run(40_000);
    assert_eq!(log.last(), Some(&(32_000, "Options false".to_owned())));
    let copies: Vec<_> = log.iter().map(|(at, _)| *at).take(6).collect();
    assert_eq!(copies, [500, 1_500, 3_500, 7_500, 11_500, 15_500]);
    bench.assert_empty();
    // Who is at work is asked less often.
    let target = OptionsTarget { uri: "sip:3.80.16.44".to_owned(), flow: bench.flow };
    bench.act(|ua, now, out| ua.options(now, target, out));
    let trying = answer(bench.last("OPTIONS"), 100, "", "");
    bench.receive(&trying);
    assert_eq!(bench.run(10_000), [500, 4_500, 8_500].map(|at| (at, "OPTIONS".to_owned())));
}

#[test]
fn what_cannot_be_sent_has_failed() {
    let mut bench = Bench::new();
    bench.flow = Flow { transport: Transport::Tcp, peer: address(TRUNK), connection: None };
    let flow = bench.flow;
    invite(&mut bench);
    bench.act(|ua, now, out| ua.unreachable(now, flow, out));
    assert_eq!(bench.take(), ["Ended TransportLost"]);
    bench.assert_empty();
    let target = OptionsTarget { uri: "sip:3.80.16.44".to_owned(), flow };
    bench.act(|ua, now, out| ua.options(now, target, out));
    bench.act(|ua, now, out| ua.unreachable(now, flow, out));
    assert_eq!(bench.take(), ["OPTIONS", "Options false"]);
    bench.assert_empty();
    let ended: Vec<_> = bench.told.iter().filter(|event| matches!(event, UaEvent::Ended { .. })).collect();
    assert_eq!(ended.len(), 1);
}
