//! Calls that come in, to their end.

use trunkline_sip::message::{Message, Name};
use trunkline_sip::ua::{Ended, Flow, Transport, UaEvent};

use crate::bench::{ANSWER, Bench, OFFER, TRUNK, Trunk, address, ended, text};

#[test]
fn a_call_is_answered_and_hung_up_by_the_caller() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp).with("X-VoiceConnector-ID: fx7q2mvbd9k3htn5wz1rgy\r\n");
    assert_eq!(bench.receive(&trunk.invite()), ["100 INVITE", "Incoming"]);
    let call = bench.call();
    let Some(UaEvent::Incoming { invite, .. }) = bench.told.last() else { panic!("nothing came") };
    assert_eq!(invite.request_user.as_deref(), Some("+15550199002"));
    assert_eq!(invite.from.user.as_deref(), Some("+15550100001"));
    assert_eq!(invite.headers, [("x-voiceconnector-id".to_owned(), "fx7q2mvbd9k3htn5wz1rgy".to_owned())]);
    assert_eq!(invite.sdp.as_deref(), Some(OFFER.as_bytes()));
    assert_eq!((invite.source, invite.transport), (address(TRUNK), Transport::Udp));

    assert_eq!(bench.accept(call), ["200 INVITE"]);
    trunk.answered(bench.last("200 INVITE"));
    assert_eq!(bench.receive(&trunk.ack()), ["Confirmed"]);
    assert_eq!(bench.run(10_000), []);
    trunk.headers = "Reason: Q.850;cause=16;text=\"NORMAL_CLEARING\"\r\n".to_owned();
    assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Ended Bye"]);
    let Some(UaEvent::Ended { reason_header, .. }) = bench.told.last() else { panic!("it has not ended") };
    assert_eq!(reason_header.as_deref(), Some("Q.850;cause=16;text=\"NORMAL_CLEARING\""));
    assert_eq!(bench.receive(&trunk.write("BYE", "")), ["200 BYE"], "the answer was lost");
    bench.assert_empty();
}

const FIXTURES: [&str; 3] = [
    include_str!("../fixtures/sip/invite-number-on-vc.sip"),
    include_str!("../fixtures/sip/invite-from-sma-callandbridge.sip"),
    include_str!("../fixtures/sip/invite-empty-display-name.sip"),
];

#[test]
fn the_invites_of_a_voice_connector_are_taken_and_its_bye_ends_them() {
    let expected = Message::parse(&include_str!("../fixtures/sip/answer-200.sip").into()).unwrap();
    let bye = include_str!("../fixtures/sip/bye-from-vc.sip");
    for fixture in FIXTURES {
        let mut bench = Bench::new();
        assert_eq!(bench.datagram(fixture.as_bytes()), ["100 INVITE", "Incoming"]);
        let Some(UaEvent::Incoming { call, invite }) = bench.told.last().cloned() else { panic!("nothing came") };
        let is_bridged = fixture.contains("X-Sma-Transaction-Id");
        let user = if is_bridged { "e2b7a9c4-1d35-4f86-a0b9-c7d8e9f01234" } else { "+15550199002" };
        assert_eq!(invite.request_user.as_deref(), Some(user));
        assert_eq!((invite.from.user.as_deref(), invite.from.display), (Some("+15550100001"), None));
        let transaction = invite.headers.iter().find(|(name, _)| name == "x-sma-transaction-id");
        assert_eq!(transaction.map(|(_, id)| id.as_str()), is_bridged.then_some(user));
        bench.accept(call);
        let ok = bench.last("200 INVITE");
        for name in [Name::Via, Name::RecordRoute, Name::CallId, Name::CSeq] {
            assert_eq!(text(ok, name), text(&expected, name));
        }
        assert!(text(ok, Name::From).ends_with(&text(&expected, Name::From)));
        let tag = ok.to_tag().unwrap();
        let fields = |head: &str| fixture.lines().find(|line| line.starts_with(head)).unwrap().to_owned();
        let to = format!("{};tag={tag}", fields("To:"));
        let ack = format!(
            "ACK sip:trunkline@203.0.113.10:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 3.80.16.44:5060;branch=z9hG4bK9c8b.0\r\n\
             {}\r\n{to}\r\n{}\r\nCSeq: 1001 ACK\r\nContent-Length: 0\r\n\r\n",
            fields("From:"),
            fields("Call-ID:"),
        );
        assert_eq!(bench.datagram(ack.as_bytes()), ["Confirmed"]);
        assert_eq!(bench.datagram(bye.replace("us-5f3a", &tag).as_bytes()), ["200 BYE", "Ended Bye"]);
        bench.assert_empty();
    }
}

#[test]
fn the_200_echoes_what_a_voice_connector_needs_to_find_its_way() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    bench.receive(&trunk.invite());
    let call = bench.call();
    bench.accept(call);
    let ok = bench.last("200 INVITE");
    let tag = ok.to_tag().unwrap();
    assert_eq!(text(ok, Name::RecordRoute), trunk.record_route);
    assert_eq!(ok.values(Name::Via).count(), 2);
    assert_eq!(text(ok, Name::To), format!("<sip:+15550199002@203.0.113.10:5060>;transport=UDP;tag={tag}"));
    assert_eq!(text(ok, Name::Contact), "<sip:trunkline@203.0.113.10:5060>");
    assert_eq!(text(ok, Name::Supported), "timer");
    assert_eq!(text(ok, Name::Server), "Trunkline");
    assert!(ok.lists(Name::Allow, "UPDATE") && ok.lists(Name::Allow, "BYE"));
    assert_eq!((text(ok, Name::ContentType).as_str(), &*ok.body), ("application/sdp", ANSWER.as_bytes()));
    assert_eq!(text(ok, Name::SessionExpires), "", "it did not ask for one");
}

#[test]
fn a_copy_of_an_invite_is_the_same_call() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    let invite = trunk.invite();
    bench.receive(&invite);
    assert_eq!(bench.receive(&invite), ["100 INVITE"]);
    let call = bench.call();
    bench.accept(call);
    assert_eq!(bench.receive(&invite), [""; 0], "the 200 is sent again by the clock");
    trunk.branch += 1;
    assert_eq!(bench.receive(&trunk.write("INVITE", OFFER)), ["482 INVITE"], "the same on another way");
}

#[test]
fn the_200_is_sent_until_it_is_acknowledged() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut bench = if transport == Transport::Udp { Bench::new() } else { Bench::over(transport, 1) };
        let mut trunk = Trunk::new(transport);
        bench.receive(&trunk.invite());
        let call = bench.call();
        bench.accept(call);
        let copies = [500, 1_500, 3_500, 7_500, 11_500].map(|at| (at, "200 INVITE".to_owned()));
        assert_eq!(bench.run(12_000), copies, "{transport:?}");
        trunk.answered(bench.last("200 INVITE"));
        assert_eq!(bench.receive(&trunk.ack()), ["Confirmed"]);
        assert_eq!(bench.receive(&trunk.ack()), [""; 0]);
        assert_eq!(bench.run(20_000), []);
    }
}

#[test]
fn a_200_that_is_never_acknowledged_ends_the_call_after_32_s() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    bench.receive(&trunk.invite());
    let call = bench.call();
    bench.accept(call);
    let log = bench.run(32_000);
    let end: Vec<_> = log.iter().filter(|(_, word)| word != "200 INVITE").collect();
    assert_eq!(end, [&(32_000, ended(Ended::NoAck)), &(32_000, "BYE".to_owned())]);
    bench.assert_empty();
}

#[test]
fn a_bye_of_ours_waits_for_the_ack() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    bench.receive(&trunk.invite());
    let call = bench.call();
    bench.accept(call);
    trunk.answered(bench.last("200 INVITE"));
    assert_eq!(bench.bye(call), ["Ended HungUp"]);
    assert_eq!(bench.run(400), []);
    assert_eq!(bench.receive(&trunk.ack()), ["BYE"]);
    assert_eq!(bench.bye(call), [""; 0]);
    bench.assert_empty();
}

#[test]
fn a_bye_of_ours_goes_out_although_nothing_is_ever_acknowledged() {
    let mut bench = Bench::new();
    bench.receive(&Trunk::new(Transport::Udp).invite());
    let call = bench.call();
    bench.accept(call);
    assert_eq!(bench.bye(call), ["Ended HungUp"]);
    let log = bench.run(32_000);
    assert_eq!(log.last(), Some(&(32_000, "BYE".to_owned())));
    bench.assert_empty();
}

#[test]
fn an_ack_of_another_invite_confirms_nothing() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    bench.receive(&trunk.invite());
    let call = bench.call();
    bench.accept(call);
    trunk.answered(bench.last("200 INVITE"));
    trunk.cseq += 1;
    assert_eq!(bench.receive(&trunk.ack()), [""; 0]);
    assert_eq!(bench.run(500), [(500, "200 INVITE".to_owned())]);
}

#[test]
fn a_call_that_was_refused_may_come_again() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    for _ in 0..3 {
        assert_eq!(bench.receive(&trunk.invite()), ["100 INVITE", "Incoming"]);
        let call = bench.call();
        bench.act(|ua, now, out| ua.reject(now, call, 503, "Service Unavailable", None, out));
        bench.take();
        bench.receive(&trunk.write("ACK", ""));
    }
    bench.assert_empty();
}

#[test]
fn a_bye_goes_along_the_record_route_and_never_to_the_private_contact() {
    let mut bench = Bench::new();
    bench.flow = Flow::udp(address("3.80.16.99:33000"));
    let (call, _) = bench.up();
    assert_eq!(bench.bye(call), ["Ended HungUp", "BYE"]);
    let bye = bench.last("BYE");
    assert_eq!(bye.request_uri().unwrap().as_bytes(), b"sip:10.0.77.12:5060;alias=10.0.77.12~5060~1");
    assert_eq!(text(bye, Name::Route), "<sip:3.80.16.44;lr;ftag=Kx7pQ2vN;did=1a2.b3c4;nat=yes>");
    assert_eq!(bench.last_flow("BYE"), Flow::udp(address(TRUNK)));
    bench.assert_empty();
}

#[test]
fn a_caller_that_gives_up_is_answered_487() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    bench.receive(&trunk.invite());
    assert_eq!(bench.receive(&trunk.write("CANCEL", "")), ["200 CANCEL", "487 INVITE", "Ended Cancelled"]);
    assert_eq!(bench.receive(&trunk.write("CANCEL", "")), ["200 CANCEL"]);
    trunk.answered(bench.last("487 INVITE"));
    assert_eq!(bench.receive(&trunk.write("ACK", "")), [""; 0]);
    assert_eq!(bench.run(4_000), []);
    bench.assert_empty();
    assert_eq!(bench.receive(&trunk.write("CANCEL", "")), ["481 CANCEL"]);
}
