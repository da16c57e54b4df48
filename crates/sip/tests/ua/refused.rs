//! What is refused, and leaves nothing behind.

use std::time::Duration;

use trunkline_sip::message::Name;
use trunkline_sip::ua::{Flow, OutgoingInvite, Transport, UaSettings};

use crate::bench::{Bench, OFFER, Trunk, address, settings, text};

/// An INVITE that differs in a piece of its text.
fn invite_with(from: &str, to: &str) -> String {
    let invite = Trunk::new(Transport::Udp).invite();
    assert!(invite.contains(from), "{from:?} is not in {invite}");
    invite.replace(from, to)
}

fn options() -> String {
    Trunk::new(Transport::Udp).request("OPTIONS", "")
}

#[test]
fn requests_outside_of_a_call_are_answered_and_forgotten() {
    let mut trunk = Trunk::new(Transport::Udp);
    trunk.to_tag = Some("nobody".to_owned());
    let strange = trunk.clone().request("BYE", "");
    let table = [
        (options(), "200 OPTIONS"),
        (options().replace("Max-Forwards: 69", "Max-Forwards: 0"), "200 OPTIONS"),
        (options().replace("OPTIONS", "FOO"), "405 FOO"),
        (options().replace("OPTIONS", "REGISTER"), "405 REGISTER"),
        (options().replace("OPTIONS", "SUBSCRIBE"), "405 SUBSCRIBE"),
        (options().replace("OPTIONS", "REFER"), "405 REFER"),
        (options().replace("OPTIONS", "MESSAGE"), "405 MESSAGE"),
        (options().replace("OPTIONS", "PRACK"), "405 PRACK"),
        (options().replace("OPTIONS", "BYE"), "481 BYE"),
        (options().replace("OPTIONS", "UPDATE"), "481 UPDATE"),
        (options().replace("OPTIONS", "INFO"), "481 INFO"),
        (options().replace("OPTIONS", "NOTIFY"), "481 NOTIFY"),
        (options().replace("OPTIONS", "CANCEL"), "481 CANCEL"),
        (strange.clone(), "481 BYE"),
        (strange.replace("BYE", "INVITE"), "481 INVITE"),
        (strange.replace("BYE", "OPTIONS"), "481 OPTIONS"),
        (strange.replace("BYE", "FOO"), "481 FOO"),
        (invite_with("Max-Forwards", "Require: 100rel, x, timer\r\nMax-Forwards"), "420 INVITE"),
        (options().replace("Max-Forwards", "Require: x\r\nMax-Forwards"), "420 OPTIONS"),
        (invite_with("Contact: <sip:10.0.77.12:5060;alias=10.0.77.12~5060~1>\r\n", ""), "400 INVITE"),
        (invite_with("Record-Route: <sip:3.80.16.44;lr", "Record-Route: sip 3.80.16.44;lr"), "400 INVITE"),
        (invite_with("application/sdp", "application/isup"), "415 INVITE"),
        (invite_with("Content-Type", "Content-Encoding: gzip\r\nContent-Type"), "415 INVITE"),
        (invite_with("Max-Forwards", "Session-Expires: 60\r\nMax-Forwards"), "422 INVITE"),
    ];
    for (request, answer) in table {
        let mut bench = Bench::new();
        assert_eq!(bench.receive(&request), [answer], "{request}");
        assert_eq!((bench.ua.calls(), bench.ua.transactions(), bench.ua.next_timer()), (0, 0, None), "{request}");
        let first = bench.last(answer).clone();
        assert!(first.to_tag().is_some(), "{request}");
        assert_eq!(bench.receive(&request), [answer]);
        assert_eq!(*bench.last(answer), first, "asked again the answer is the same");
    }
}

#[test]
fn refusals_say_what_would_be_taken() {
    let mut bench = Bench::new();
    bench.receive(&options().replace("OPTIONS", "FOO"));
    assert_eq!(text(bench.last("405 FOO"), Name::Allow), "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, NOTIFY");
    bench.receive(&invite_with("Max-Forwards", "Require: 100rel, x, timer\r\nMax-Forwards"));
    assert_eq!(text(bench.last("420 INVITE"), Name::Unsupported), "100rel, x");
    bench.receive(&invite_with("Max-Forwards", "Session-Expires: 60\r\nMax-Forwards"));
    assert_eq!(text(bench.last("422 INVITE"), Name::MinSe), "90");
    bench.receive(&invite_with("application/sdp", "application/isup"));
    assert_eq!(text(bench.last("415 INVITE"), Name::Accept), "application/sdp");
    bench.receive(&options());
    let ok = bench.last("200 OPTIONS");
    assert_eq!(text(ok, Name::Accept), "application/sdp");
    assert!(ok.lists(Name::Allow, "INVITE") && ok.lists(Name::Supported, "timer"));
}

#[test]
fn what_cannot_be_read_is_refused_where_it_can_be() {
    let cut = options().replace("Content-Length: 0", "Content-Length: 18446744073709551615");
    let table = [
        (options().replace("SIP/2.0\r\nRecord", "SIP/7.0\r\nRecord"), vec!["505 OPTIONS"]),
        (options().replace("Content-Length: 0", "Content-Length: -999"), vec!["400 OPTIONS"]),
        (options().replace("Content-Length: 0", "Content-Length: 9999"), vec!["400 OPTIONS"]),
        (cut, vec!["400 OPTIONS"]),
        (options().replace("Max-Forwards: 69", "Max-Forwards: 300"), vec!["400 OPTIONS"]),
        (options().replace("CSeq: 1002 OPTIONS", "CSeq: 1002 BYE"), vec!["400 BYE"]),
        ("\r\n\r\n".to_owned(), vec![]),
        ("GARBAGE\r\n\r\n".to_owned(), vec![]),
        ("SIP/2.0 200 OK\r\n\r\n".to_owned(), vec![]),
        (Trunk::new(Transport::Udp).request("ACK", "").replace("Content-Length: 0", "Content-Length: -1"), vec![]),
    ];
    for (datagram, answers) in table {
        let mut bench = Bench::new();
        assert_eq!(bench.datagram(datagram.as_bytes()), answers, "{datagram}");
        for (_, sent) in &bench.sent {
            assert!(sent.to_tag().is_some() && sent.value(Name::Server).is_some());
        }
        assert_eq!((bench.ua.calls(), bench.ua.transactions()), (0, 0), "{datagram}");
    }
}

#[test]
fn a_stray_ack_or_response_is_never_answered() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    assert_eq!(bench.receive(&trunk.ack()), [""; 0]);
    trunk.to_tag = Some("nobody".to_owned());
    assert_eq!(bench.receive(&trunk.ack()), [""; 0]);
    let response =
        options().replacen("OPTIONS sip:+15550199002@203.0.113.10:5060;transport=UDP SIP/2.0", "SIP/2.0 200 OK", 1);
    assert_eq!(bench.receive(&response), [""; 0]);
    let (_, mut trunk) = bench.up();
    trunk.cseq = 7;
    assert_eq!(bench.receive(&trunk.ack()), [""; 0], "of no INVITE");
}

#[test]
fn a_refusal_of_the_application_is_sent_until_it_is_acknowledged() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    bench.receive(&trunk.invite());
    let call = bench.call();
    bench.act(|ua, now, out| ua.reject(now, call, 486, "Busy Here", Some(30), out));
    assert_eq!(bench.take(), ["486 INVITE", "Ended Refused(486)"]);
    assert_eq!(text(bench.last("486 INVITE"), Name::RetryAfter), "30");
    assert_eq!(bench.ua.calls(), 0);
    let copies = [500, 1_500, 3_500, 7_500].map(|at| (at, "486 INVITE".to_owned()));
    assert_eq!(bench.run(8_000), copies);
    trunk.answered(bench.last("486 INVITE"));
    assert_eq!(bench.receive(&trunk.write("INVITE", OFFER)), ["486 INVITE"], "the answer was lost");
    assert_eq!(bench.receive(&trunk.write("ACK", "")), [""; 0]);
    assert_eq!(bench.receive(&trunk.write("ACK", "")), [""; 0]);
    assert_eq!(bench.ua.transactions(), 1);
    assert_eq!(bench.run(5_000), []);
    assert_eq!(bench.ua.transactions(), 0);
}

#[test]
fn what_is_no_refusal_is_none_of_the_applications() {
    for (code, sent) in [(200, 500), (100, 500), (0, 500), (700, 500), (699, 699), (300, 300)] {
        let mut bench = Bench::new();
        bench.receive(&Trunk::new(Transport::Udp).invite());
        let call = bench.call();
        bench.act(|ua, now, out| ua.reject(now, call, code, "No", None, out));
        assert_eq!(bench.take(), [format!("{sent} INVITE"), format!("Ended Refused({sent})")]);
    }
}

#[test]
fn over_a_connection_a_refusal_is_sent_once() {
    let mut bench = Bench::over(Transport::Tcp, 3);
    let mut trunk = Trunk::new(Transport::Tcp);
    bench.receive(&trunk.invite());
    let call = bench.call();
    bench.act(|ua, now, out| ua.reject(now, call, 488, "Not Acceptable Here", None, out));
    assert_eq!(bench.take(), ["488 INVITE", "Ended Refused(488)"]);
    assert_eq!(bench.run(10_000), []);
    trunk.answered(bench.last("488 INVITE"));
    bench.receive(&trunk.write("ACK", ""));
    assert_eq!(bench.ua.transactions(), 0);
}

#[test]
fn what_the_application_does_not_answer_is_answered_500() {
    let mut bench = Bench::new();
    bench.receive(&Trunk::new(Transport::Udp).invite());
    assert_eq!(bench.run(30_000), [(30_000, "500 INVITE".to_owned()), (30_000, "Ended Failed".to_owned())]);
    bench.assert_empty();
}

#[test]
fn a_request_of_rfc_2543_without_a_magic_branch_is_one_transaction_too() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    let old = |request: String| request.replace(";branch=z9hG4bK1f2e.2", ";branch=390skdjuw");
    let invite = old(trunk.invite());
    assert_eq!(bench.receive(&invite), ["100 INVITE", "Incoming"]);
    assert_eq!(bench.receive(&invite), ["100 INVITE"]);
    assert_eq!(bench.receive(&old(trunk.write("CANCEL", ""))), ["200 CANCEL", "487 INVITE", "Ended Cancelled"]);
    trunk.answered(bench.last("487 INVITE"));
    assert_eq!(bench.receive(&old(trunk.write("ACK", ""))), [""; 0]);
    assert_eq!(bench.run(6_000), [], "it is acknowledged");
    bench.assert_empty();
}

#[test]
fn answers_go_back_where_the_request_came_from() {
    // The Via says 5060 of another host; NAT says 33000.
    let mut bench = Bench::new();
    let flow = Flow::udp(address("198.51.100.7:33000"));
    bench.receive_from(flow, &options());
    assert_eq!(bench.last_flow("200 OPTIONS"), flow);
    let via = bench.last("200 OPTIONS").via().unwrap();
    assert_eq!(via.received, Some(flow.peer.ip()));
    bench.receive_from(flow, &options().replace("branch=z9hG4bK1f2e.2", "branch=z9hG4bK1f2e.2;rport"));
    assert!(text(bench.last("200 OPTIONS"), Name::Via).contains(";rport=33000"));
}

fn small() -> UaSettings {
    UaSettings { max_dialogs: 20, max_per_source: 15, max_transactions: 60, ..settings() }
}

#[test]
fn a_flood_of_invites_takes_bounded_memory() {
    let mut bench = Bench::with(small());
    let mut refused = 0;
    for n in 0..4_000u32 {
        let flow = Flow::udp(address(&format!("198.51.100.{}:5060", n % 3)));
        let mut trunk = Trunk::new(Transport::Udp);
        (trunk.call_id, trunk.branch) = (format!("flood-{n}"), n);
        let did = bench.receive_from(flow, &trunk.invite());
        refused += u32::from(did == ["503 INVITE"]);
        if n % 7 == 0 && did.contains(&"Incoming".to_owned()) {
            let call = bench.call();
            bench.act(|ua, now, out| ua.reject(now, call, 503, "Service Unavailable", None, out));
            bench.take();
        }
        assert!(bench.ua.calls() <= 20 && bench.ua.transactions() <= 60, "after {n}");
        bench.sent.clear();
        bench.told.truncate(1);
    }
    assert!(refused > 3_800, "{refused}");
    bench.now += Duration::from_secs(1);
    bench.assert_empty();
}

#[test]
fn one_source_cannot_take_the_room_of_another() {
    let mut bench = Bench::with(small());
    let mut invite = |n: u32, source: &str| {
        let mut trunk = Trunk::new(Transport::Udp);
        (trunk.call_id, trunk.branch) = (format!("call-{n}"), n);
        bench.receive_from(Flow::udp(address(source)), &trunk.invite())
    };
    let answers: Vec<_> = (0..16).map(|n| invite(n, "198.51.100.1:5060").pop().unwrap()).collect();
    assert_eq!(answers[14..], ["Incoming", "503 INVITE"]);
    assert_eq!(invite(20, "198.51.100.2:5060"), ["100 INVITE", "Incoming"]);
    // Calls of ours to an address count for it too.
    let mut bench = Bench::with(UaSettings { max_per_source: 1, ..small() });
    let target = OutgoingInvite {
        uri: "sip:3.80.16.44".to_owned(),
        flow: bench.flow,
        from: "sip:203.0.113.10".to_owned(),
        headers: vec![],
        sdp: OFFER.into(),
    };
    bench.act(|ua, now, out| ua.invite(now, target, out));
    bench.take();
    assert_eq!(bench.receive(&Trunk::new(Transport::Udp).invite()), ["503 INVITE"]);
}

#[test]
fn calls_that_ended_make_room() {
    let mut bench = Bench::with(UaSettings { max_transactions: 1_000, ..small() });
    for n in 0..100 {
        let mut trunk = Trunk::new(Transport::Udp);
        (trunk.call_id, trunk.branch) = (format!("call-{n}"), n);
        assert_eq!(bench.receive(&trunk.invite()), ["100 INVITE", "Incoming"], "{n}");
        bench.receive(&trunk.write("CANCEL", ""));
    }
}

#[test]
fn one_source_cannot_take_the_transactions_of_another() {
    let mut bench = Bench::with(UaSettings { max_transactions_per_source: 10, ..small() });
    let mut come_and_go = |n: u32, source: &str| {
        let mut trunk = Trunk::new(Transport::Udp);
        (trunk.call_id, trunk.branch) = (format!("call-{n}"), n);
        let flow = Flow::udp(address(source));
        let did = bench.receive_from(flow, &trunk.invite());
        bench.receive_from(flow, &trunk.write("CANCEL", ""));
        did.last().unwrap().clone()
    };
    let answers: Vec<_> = (0..11).map(|n| come_and_go(n, "198.51.100.1:5060")).collect();
    assert_eq!(answers[9..], ["Incoming", "503 INVITE"]);
    assert_eq!(come_and_go(20, "198.51.100.2:5060"), "Incoming");
    bench.run(33_000);
    assert_eq!(
        bench.receive_from(Flow::udp(address("198.51.100.1:5060")), &Trunk::new(Transport::Udp).invite()).len(),
        2
    );
}

#[test]
fn a_flood_within_a_call_is_bounded_and_does_not_hold_up_its_bye() {
    let mut bench = Bench::with(small());
    let (_, mut trunk) = bench.up();
    for _ in 0..5_000 {
        let did = bench.receive(&trunk.request("OPTIONS", ""));
        assert!(matches!(&*did[0], "200 OPTIONS" | "503 OPTIONS"));
        bench.sent.clear();
    }
    assert!(bench.ua.transactions() <= 120, "{}", bench.ua.transactions());
    assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Ended Bye"]);
    bench.assert_empty();
}
