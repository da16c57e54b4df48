//! Calls over connections, and what becomes of them when one is closed.

use trunkline_sip::ua::{Flow, Transport};

use crate::bench::{Bench, Trunk, address};

#[test]
fn a_call_outlives_its_connection_where_there_is_another_way() {
    let trunk_with = |record_route, contact| {
        let mut bench = Bench::over(Transport::Tcp, 7);
        let mut trunk = Trunk::new(Transport::Tcp);
        (trunk.record_route, trunk.contact) = (record_route, contact);
        bench.receive(&trunk.invite());
        let call = bench.call();
        bench.accept(call);
        trunk.answered(bench.last("200 INVITE"));
        bench.receive(&trunk.ack());
        (bench, trunk, call)
    };
    let close = |bench: &mut Bench| {
        bench.act(|ua, now, out| ua.connection_closed(now, 7, out));
        bench.take()
    };
    let table = [
        ("<sip:3.80.16.44;transport=tcp;lr>", "<sip:10.0.77.12>", Some("3.80.16.44:5060")),
        ("<sip:3.80.16.44:5080;lr>", "<sip:10.0.77.12>", Some("3.80.16.44:5080")),
        ("", "<sip:3.80.16.45:5070>", Some("3.80.16.45:5070")),
        // Nobody can be called back there.
        ("", "<sip:10.0.77.12>", None),
        ("<sip:proxy.example.com;lr>", "<sip:10.0.77.12>", None),
    ];
    for (record_route, contact, way) in table {
        let (mut bench, _, call) = trunk_with(record_route, contact);
        let Some(way) = way else {
            assert_eq!(close(&mut bench), ["Ended TransportLost"], "{record_route} {contact}");
            bench.assert_empty();
            continue;
        };
        assert_eq!(close(&mut bench), [""; 0]);
        bench.bye(call);
        let flow = Flow { transport: Transport::Tcp, peer: address(way), connection: None };
        assert_eq!(bench.last_flow("BYE"), flow, "{record_route} {contact}");
        bench.assert_empty();
    }
    // While the connection is there it is used; a new one of the same far end takes its place.
    let (mut bench, _, call) = trunk_with("<sip:3.80.16.44;transport=tcp;lr>", "<sip:10.0.77.12>");
    bench.bye(call);
    assert_eq!(bench.last_flow("BYE"), bench.flow);
    let (mut bench, mut trunk, call) = trunk_with("<sip:3.80.16.44;transport=tcp;lr>", "<sip:10.0.77.12>");
    close(&mut bench);
    let next = Flow { peer: address("3.80.16.44:40999"), connection: Some(8), ..bench.flow };
    assert_eq!(bench.receive_from(next, &trunk.request("OPTIONS", "")), ["200 OPTIONS"]);
    bench.bye(call);
    assert_eq!(bench.last_flow("BYE").connection, Some(8));
}

#[test]
fn an_answer_whose_connection_is_gone_goes_to_the_port_of_the_via() {
    let mut bench = Bench::over(Transport::Tcp, 7);
    let mut trunk = Trunk::new(Transport::Tcp);
    bench.receive(&trunk.invite());
    let call = bench.call();
    bench.act(|ua, now, out| ua.connection_closed(now, 7, out));
    bench.accept(call);
    let flow = Flow { transport: Transport::Tcp, peer: address("3.80.16.44:5060"), connection: None };
    assert_eq!(bench.last_flow("200 INVITE"), flow);
}

#[test]
fn a_200_that_waits_for_its_ack_goes_on_although_its_connection_is_gone() {
    let mut bench = Bench::over(Transport::Tcp, 7);
    bench.receive(&Trunk::new(Transport::Tcp).invite());
    let call = bench.call();
    bench.accept(call);
    bench.act(|ua, now, out| ua.connection_closed(now, 7, out));
    assert_eq!(bench.run(500), [(500, "200 INVITE".to_owned())]);
    let flow = Flow { transport: Transport::Tcp, peer: address("3.80.16.44:5060"), connection: None };
    assert_eq!(bench.last_flow("200 INVITE"), flow);
}
