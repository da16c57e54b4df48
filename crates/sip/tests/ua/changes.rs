//! What happens within a call: other media, signs of life, keys.

use bytes::Bytes;
use trunkline_sip::message::{Message, Name};
use trunkline_sip::ua::{Ended, Flow, Transport, UaEvent};

use crate::bench::{ANSWER, Bench, OFFER, Trunk, address, ended, text};

fn answer_change(bench: &mut Bench, answer: Result<&'static str, u16>) -> Vec<String> {
    let call = bench.call();
    let answer = answer.map(|sdp| Bytes::from_static(sdp.as_bytes()));
    bench.act(|ua, now, out| ua.answer_change(now, call, answer, out));
    bench.take()
}

#[test]
fn a_reinvite_is_answered_by_the_application_and_acknowledged() {
    let mut bench = Bench::new();
    let (_, mut trunk) = bench.up();
    let hold = OFFER.replace("m=audio", "a=sendonly\r\nm=audio");
    assert_eq!(bench.receive(&trunk.request("INVITE", &hold)), ["100 INVITE", "Changed true"]);
    let Some(UaEvent::Changed { sdp, .. }) = bench.told.last() else { panic!("nothing changed") };
    assert_eq!(sdp.as_deref(), Some(hold.as_bytes()));
    assert_eq!(answer_change(&mut bench, Ok(ANSWER)), ["200 INVITE"]);
    assert_eq!(bench.run(1_000), [(500, "200 INVITE".to_owned())]);
    assert_eq!(bench.receive(&trunk.ack()), [""; 0], "confirmed it was before");
    // What was agreed on last is what may be repeated from elsewhere.
    let elsewhere = Flow::udp(address("3.80.16.44:5070"));
    assert_eq!(bench.receive_from(elsewhere, &trunk.request("UPDATE", OFFER)), ["403 UPDATE"]);
    assert_eq!(bench.receive_from(elsewhere, &trunk.request("UPDATE", &hold)), ["200 UPDATE"]);
    assert_eq!(bench.run(60_000), []);
    assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Ended Bye"]);
    bench.assert_empty();
}

#[test]
fn a_refused_or_unanswered_change_leaves_the_call_as_it_was() {
    let mut bench = Bench::new();
    let (_, mut trunk) = bench.up();
    bench.receive(&trunk.invite());
    assert_eq!(answer_change(&mut bench, Err(488)), ["488 INVITE"]);
    bench.receive(&trunk.write("ACK", ""));
    let refused = OFFER.replace("30120", "30122");
    bench.receive(&trunk.request("UPDATE", &refused));
    assert_eq!(answer_change(&mut bench, Err(488)), ["488 UPDATE"]);
    let elsewhere = Flow::udp(address("3.80.16.44:5070"));
    assert_eq!(bench.receive_from(elsewhere, &trunk.request("UPDATE", &refused)), ["403 UPDATE"]);
    assert_eq!(bench.receive_from(elsewhere, &trunk.request("UPDATE", OFFER)), ["200 UPDATE"]);
    bench.receive(&trunk.invite());
    assert_eq!(bench.run(5_000), [(5_000, "500 INVITE".to_owned())]);
    bench.receive(&trunk.write("ACK", ""));
    assert_eq!(answer_change(&mut bench, Ok(ANSWER)), [""; 0], "too late");
    assert_eq!(bench.run(60_000), []);
    assert_eq!(bench.ua.calls(), 1);
    assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Ended Bye"]);
}

#[test]
fn a_change_that_is_taken_back_or_overtaken_by_a_bye_is_answered_487() {
    let mut bench = Bench::new();
    let (_, mut trunk) = bench.up();
    bench.receive(&trunk.invite());
    assert_eq!(bench.receive(&trunk.write("CANCEL", "")), ["200 CANCEL", "487 INVITE"]);
    bench.receive(&trunk.write("ACK", ""));
    assert_eq!(bench.ua.calls(), 1);
    bench.receive(&trunk.invite());
    assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "487 INVITE", "Ended Bye"]);
    bench.assert_empty();
    // The same when we hang up.
    let mut bench = Bench::new();
    let (call, mut trunk) = bench.up();
    bench.receive(&trunk.invite());
    assert_eq!(bench.bye(call), ["Ended HungUp", "487 INVITE", "BYE"]);
    bench.assert_empty();
}

#[test]
fn a_reinvite_whose_200_is_never_acknowledged_ends_the_call() {
    let mut bench = Bench::new();
    let (_, mut trunk) = bench.up();
    bench.receive(&trunk.invite());
    answer_change(&mut bench, Ok(ANSWER));
    let log = bench.run(32_000);
    assert_eq!(log[log.len() - 2..], [(32_000, ended(Ended::NoAck)), (32_000, "BYE".to_owned())]);
    bench.assert_empty();
}

#[test]
fn reinvites_before_the_ack_are_put_off_and_leave_nothing_behind() {
    let mut bench = Bench::new();
    for n in 0..50 {
        let mut trunk = Trunk::new(Transport::Udp);
        (trunk.call_id, trunk.branch) = (format!("call-{n}"), n * 100);
        bench.receive(&trunk.invite());
        let call = bench.call();
        // While it is not answered, and while its answer is not acknowledged.
        bench.act(|ua, _, out| ua.ring(call, out));
        assert_eq!(bench.take(), ["180 INVITE"]);
        trunk.answered(bench.last("180 INVITE"));
        let first = trunk.cseq;
        assert_eq!(bench.receive(&trunk.invite()), ["500 INVITE"]);
        bench.receive(&trunk.write("ACK", ""));
        bench.accept(call);
        assert_eq!(bench.receive(&trunk.invite()), ["500 INVITE"]);
        let seconds: u32 = text(bench.last("500 INVITE"), Name::RetryAfter).parse().unwrap();
        assert!(seconds <= 10);
        bench.receive(&trunk.write("ACK", ""));
        let last = std::mem::replace(&mut trunk.cseq, first);
        assert_eq!(bench.receive(&trunk.ack()), ["Confirmed"]);
        trunk.cseq = last;
        assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Ended Bye"]);
    }
    bench.assert_empty();
}

#[test]
fn an_update_refreshes_at_once_and_an_offer_in_it_is_asked_about() {
    let mut bench = Bench::new();
    let (_, mut trunk) = bench.up();
    assert_eq!(bench.receive(&trunk.request("UPDATE", "")), ["200 UPDATE"]);
    assert!(bench.last("200 UPDATE").body.is_empty());
    assert_eq!(bench.receive(&trunk.request("UPDATE", OFFER)), ["Changed true"]);
    assert_eq!(bench.receive(&trunk.request("UPDATE", OFFER)), ["500 UPDATE"], "one at a time");
    assert_eq!(answer_change(&mut bench, Ok(ANSWER)), ["200 UPDATE"]);
    assert_eq!(bench.last("200 UPDATE").body, ANSWER.as_bytes());
    assert_eq!(bench.run(40_000), []);
    assert_eq!(bench.receive(&trunk.request("UPDATE", OFFER)), ["Changed true"]);
    assert_eq!(answer_change(&mut bench, Err(488)), ["488 UPDATE"]);
    bench.receive(&trunk.bye());
    bench.assert_empty();
}

#[test]
fn an_update_before_the_ack_or_the_answer_is_no_trouble() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    bench.receive(&trunk.invite());
    let (call, first) = (bench.call(), trunk.cseq);
    bench.act(|ua, _, out| ua.ring(call, out));
    assert_eq!(bench.take(), ["180 INVITE"]);
    trunk.answered(bench.last("180 INVITE"));
    assert_eq!(bench.receive(&trunk.request("UPDATE", OFFER)), ["500 UPDATE"], "the first offer is not answered");
    assert_eq!(bench.receive(&trunk.request("UPDATE", "")), ["200 UPDATE"]);
    bench.accept(call);
    assert_eq!(bench.receive(&trunk.request("UPDATE", "")), ["200 UPDATE"]);
    assert_eq!(bench.receive(&trunk.request("UPDATE", OFFER)), ["Changed true"]);
    assert_eq!(answer_change(&mut bench, Ok(ANSWER)), ["200 UPDATE"]);
    trunk.cseq = first;
    assert_eq!(bench.receive(&trunk.ack()), ["Confirmed"]);
    bench.bye(call);
    bench.assert_empty();
}

#[test]
fn an_invite_without_an_offer_is_answered_by_ours_and_its_answer_comes_with_the_ack() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    bench.receive(&trunk.request("INVITE", ""));
    let Some(UaEvent::Incoming { invite, .. }) = bench.told.last() else { panic!("nothing came") };
    assert_eq!(invite.sdp, None);
    let call = bench.call();
    bench.accept(call);
    trunk.answered(bench.last("200 INVITE"));
    assert_eq!(bench.receive(&trunk.request("UPDATE", OFFER)), ["500 UPDATE"], "our offer is not answered");
    trunk.cseq -= 1;
    assert_eq!(bench.receive(&trunk.request("ACK", OFFER)), ["Confirmed", "Answered true"]);
    trunk.cseq += 1;
    assert_eq!(bench.receive(&trunk.request("INVITE", "")), ["100 INVITE", "Changed false"]);
    assert_eq!(answer_change(&mut bench, Ok(ANSWER)), ["200 INVITE"]);
    assert_eq!(bench.receive(&trunk.request("ACK", OFFER)), ["Answered true"]);
}

#[test]
fn requests_within_a_call_get_their_answers() {
    let table: &[(&str, &str, &[&str])] = &[
        ("OPTIONS", "", &["200 OPTIONS"]),
        ("INFO", "Signal=5\r\nDuration=160\r\n", &["200 INFO", "Info application/dtmf-relay"]),
        ("NOTIFY", "", &["481 NOTIFY"]),
        ("REFER", "", &["603 REFER"]),
        ("MESSAGE", "hello", &["405 MESSAGE"]),
        ("PRACK", "", &["405 PRACK"]),
        ("FOO", "", &["405 FOO"]),
        ("SUBSCRIBE", "", &["405 SUBSCRIBE"]),
    ];
    for &(method, body, answers) in table {
        let mut bench = Bench::new();
        let (_, mut trunk) = bench.up();
        if method == "INFO" {
            trunk.headers = "Content-Type: Application/DTMF-Relay; x=y\r\n".to_owned();
        }
        let request = trunk.request(method, body);
        assert_eq!(bench.receive(&request), answers, "{method}");
        assert_eq!(bench.receive(&request), answers[..1], "{method}: its answer was lost");
        trunk.headers.clear();
        assert_eq!(bench.receive(&trunk.request("OPTIONS", "")), ["200 OPTIONS"]);
        trunk.cseq -= 1;
        trunk.branch += 1;
        assert_eq!(bench.receive(&trunk.write("OPTIONS", "")), ["500 OPTIONS"], "out of order");
        trunk.cseq += 1;
        trunk.headers = "Require: x\r\n".to_owned();
        assert_eq!(bench.receive(&trunk.request("INFO", "")), ["420 INFO"]);
        trunk.headers.clear();
        assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Ended Bye"], "{method}");
        bench.assert_empty();
    }
}

#[test]
fn another_source_is_answered_but_moves_nothing() {
    let stranger = Flow::udp(address("198.51.100.66:5060"));
    let another_port = Flow::udp(address("3.80.16.44:5070"));
    for source in [stranger, another_port] {
        let mut bench = Bench::new();
        let (call, mut trunk) = bench.up();
        trunk.contact = "<sip:198.51.100.66:5060>";
        trunk.record_route = "<sip:198.51.100.66;lr>";
        let moved = OFFER.replace("3.80.17.77", "198.51.100.66");
        for method in ["INVITE", "UPDATE"] {
            let forbidden = [format!("403 {method}")];
            assert_eq!(bench.receive_from(source, &trunk.request(method, &moved)), forbidden);
            assert_eq!(bench.last_flow(&forbidden[0]), source);
            bench.receive_from(source, &trunk.write("ACK", ""));
        }
        // What changes nothing is as good from there: an address may be translated anew.
        assert_eq!(bench.receive_from(source, &trunk.request("UPDATE", "")), ["200 UPDATE"]);
        assert_eq!(bench.receive_from(source, &trunk.request("UPDATE", OFFER)), ["200 UPDATE"]);
        assert_eq!(bench.receive_from(source, &trunk.invite()), ["100 INVITE", "200 INVITE"]);
        assert_eq!(bench.last("200 INVITE").body, ANSWER.as_bytes());
        bench.receive_from(source, &trunk.ack());
        assert_eq!(bench.run(1_000), []);
        bench.bye(call);
        assert_eq!(bench.last_flow("BYE"), bench.flow, "the route is what it was");
        assert_eq!(bench.last("BYE").request_uri().unwrap().as_bytes(), b"sip:10.0.77.12:5060;alias=10.0.77.12~5060~1");
        bench.assert_empty();
    }
}

#[test]
fn a_strangers_answer_to_our_offer_does_not_count() {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp);
    bench.receive(&trunk.request("INVITE", ""));
    let call = bench.call();
    bench.accept(call);
    trunk.answered(bench.last("200 INVITE"));
    let stranger = Flow::udp(address("198.51.100.66:5060"));
    assert_eq!(bench.receive_from(stranger, &trunk.request("ACK", OFFER)), [""; 0]);
    assert_eq!(bench.run(500), [(500, "200 INVITE".to_owned())]);
    assert_eq!(bench.receive(&trunk.request("ACK", OFFER)), ["Confirmed", "Answered true"]);
}

#[test]
fn the_far_end_may_speak_from_its_route_its_contact_or_another_connection() {
    let table = [
        (Transport::Udp, "198.51.100.7:33000", "3.80.16.44:5060"),
        (Transport::Udp, "198.51.100.7:33000", "198.51.100.9:5070"),
        (Transport::Udp, "198.51.100.7:33000", "198.51.100.7:33000"),
        (Transport::Tls, "198.51.100.7:33000", "198.51.100.7:33999"),
    ];
    for (transport, first, next) in table {
        let mut bench = Bench::new();
        let flow = |peer, connection: u64| Flow {
            transport,
            peer: address(peer),
            connection: transport.is_reliable().then_some(connection),
        };
        bench.flow = flow(first, 1);
        let mut trunk = Trunk::new(transport);
        trunk.contact = "<sip:198.51.100.9:5070>";
        bench.receive(&trunk.invite());
        let call = bench.call();
        bench.accept(call);
        trunk.answered(bench.last("200 INVITE"));
        bench.receive(&trunk.ack());
        let moved = OFFER.replace("30120", "30122");
        assert_eq!(bench.receive_from(flow(next, 2), &trunk.request("UPDATE", &moved)), ["Changed true"], "{next}");
    }
}

#[test]
fn a_request_with_our_tag_but_of_another_call_is_of_no_call() {
    let mut bench = Bench::new();
    let (_, trunk) = bench.up();
    let strange = [
        Trunk { call_id: "another".to_owned(), ..trunk.clone() }.bye(),
        Trunk { tag: "another".to_owned(), ..trunk.clone() }.bye(),
        Trunk { to_tag: Some("another".to_owned()), ..trunk }.bye(),
    ];
    for bye in strange {
        assert_eq!(bench.receive(&bye), ["481 BYE"]);
    }
    assert_eq!(bench.ua.calls(), 1);
}

#[test]
fn over_a_connection_an_answer_is_not_kept() {
    let mut bench = Bench::over(Transport::Tcp, 1);
    let (_, mut trunk) = bench.up();
    let before = bench.ua.transactions();
    for _ in 0..10 {
        assert_eq!(bench.receive(&trunk.request("OPTIONS", "")), ["200 OPTIONS"]);
    }
    assert_eq!(bench.ua.transactions(), before);
}

#[test]
fn without_a_route_requests_go_back_where_the_call_came_from() {
    let mut bench = Bench::new();
    bench.flow = Flow::udp(address("198.51.100.7:33000"));
    let mut trunk = Trunk::new(Transport::Udp);
    trunk.record_route = "";
    bench.receive(&trunk.invite());
    let call = bench.call();
    bench.accept(call);
    trunk.answered(bench.last("200 INVITE"));
    bench.receive(&trunk.ack());
    bench.bye(call);
    assert_eq!(bench.last_flow("BYE"), bench.flow);
    assert_eq!(bench.last("BYE").value(Name::Route), None);
}

#[test]
fn a_bye_of_ours_is_sent_until_it_is_answered_and_crosses_theirs() {
    let mut bench = Bench::new();
    let (call, mut trunk) = bench.up();
    assert_eq!(bench.bye(call), ["Ended HungUp", "BYE"]);
    assert_eq!(bench.run(2_000), [(500, "BYE".to_owned()), (1_500, "BYE".to_owned())]);
    assert_eq!(bench.receive(&trunk.request("INFO", "")), ["481 INFO"], "it is over");
    assert_eq!(bench.receive(&trunk.bye()), ["200 BYE"]);
    assert_eq!(bench.ua.calls(), 0);
    let bye = bench.last("BYE").clone();
    bench.receive_message(bench.flow, Message::response_to(&bye, 481, ""));
    assert_eq!(bench.run(2_000), []);
    bench.assert_empty();
}
