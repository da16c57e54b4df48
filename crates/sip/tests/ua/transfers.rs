//! Transfers by REFER.

use trunkline_sip::message::Name;
use trunkline_sip::ua::CallKey;

use crate::bench::{Bench, Trunk, answer, text};

fn refer(bench: &mut Bench, call: CallKey, to: &str) -> Vec<String> {
    bench.act(|ua, now, out| ua.refer(now, call, to, out));
    bench.take()
}

fn notify(trunk: &mut Trunk, state: &str, fragment: &str) -> String {
    trunk.headers = format!("Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\n");
    trunk.request("NOTIFY", fragment)
}

#[test]
fn a_transfer_tells_what_became_of_it() {
    type Notes = &'static [(&'static str, &'static str)];
    let table: &[(Notes, Result<(), u16>)] = &[
        (&[("active;expires=60", "SIP/2.0 100 Trying"), ("terminated;reason=noresource", "SIP/2.0 200 OK")], Ok(())),
        (&[("terminated", "SIP/2.0 486 Busy Here\r\n")], Err(486)),
        (&[("active", "SIP/2.0 180 Ringing"), ("terminated", "SIP/2.0 180 Ringing")], Err(408)),
        (&[("terminated", "")], Err(408)),
    ];
    for (notes, result) in table {
        let mut bench = Bench::new();
        let (call, mut trunk) = bench.up();
        assert_eq!(refer(&mut bench, call, "sip:+15550100777@3.80.16.44"), ["REFER"]);
        let request = bench.last("REFER").clone();
        assert_eq!(text(&request, Name::ReferTo), "<sip:+15550100777@3.80.16.44>");
        assert_eq!(text(&request, Name::ReferredBy), "<sip:+15550199002@203.0.113.10:5060>");
        assert_eq!(refer(&mut bench, call, "sip:x@y"), ["Transferred Err(491)"], "one at a time");
        bench.receive(&answer(&request, 202, "", ""));
        let mut told = vec![];
        for (state, fragment) in *notes {
            told.extend(bench.receive(&notify(&mut trunk, state, fragment)));
        }
        assert_eq!(told.pop(), Some(format!("Transferred {result:?}")));
        assert!(told.iter().all(|word| word == "200 NOTIFY"), "{told:?}");
        assert_eq!(bench.receive(&notify(&mut trunk, "active", "SIP/2.0 200 OK")), ["481 NOTIFY"]);
        trunk.headers.clear();
        assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Ended Bye"]);
        bench.assert_empty();
    }
}

#[test]
fn a_transfer_may_be_refused_unheard_of_or_end_the_call() {
    let begun = || {
        let mut bench = Bench::new();
        let (call, trunk) = bench.up();
        refer(&mut bench, call, "sip:+15550100777@3.80.16.44");
        let request = bench.last("REFER").clone();
        (bench, trunk, request)
    };
    let (mut bench, _, request) = begun();
    assert_eq!(bench.receive(&answer(&request, 603, "", "")), ["Transferred Err(603)"]);
    let (mut bench, ..) = begun();
    assert_eq!(bench.run(32_000).last(), Some(&(32_000, "Transferred Err(408)".to_owned())));
    let (mut bench, _, request) = begun();
    bench.receive(&answer(&request, 202, "", ""));
    assert_eq!(bench.run(70_000), [(60_000, "Transferred Err(408)".to_owned())]);
    let (mut bench, _, request) = begun();
    bench.run(20_000);
    bench.receive(&answer(&request, 202, "", ""));
    assert_eq!(bench.run(70_000), [(60_000, "Transferred Err(408)".to_owned())], "from when it was taken on");
    // Taken, and gone: that is how many a gateway does it.
    let (mut bench, mut trunk, request) = begun();
    bench.receive(&answer(&request, 202, "", ""));
    assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Transferred Ok(())", "Ended Bye"]);
    let (mut bench, mut trunk, _) = begun();
    assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Transferred Err(487)", "Ended Bye"]);
    let mut bench = Bench::new();
    let (call, _) = bench.up();
    assert_eq!(refer(&mut bench, call, "+1555\r\nEvil: x"), ["Transferred Err(400)"]);
    bench.bye(call);
    assert_eq!(refer(&mut bench, call, "sip:x@y"), [""; 0], "it is over");
    bench.assert_empty();
}
