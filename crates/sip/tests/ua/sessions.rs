//! Session timers: who refreshes, and what becomes of a call whose far end is gone.

use trunkline_sip::message::Name;
use trunkline_sip::ua::{CallKey, Ended, Transport, UaEvent};

use crate::bench::{ANSWER, Bench, OFFER, Trunk, answer, ended, text};

/// A call whose INVITE had these headers.
fn up_with(headers: &str) -> (Bench, CallKey, Trunk) {
    let mut bench = Bench::new();
    let mut trunk = Trunk::new(Transport::Udp).with(headers);
    bench.receive(&trunk.invite());
    let call = bench.call();
    bench.accept(call);
    trunk.answered(bench.last("200 INVITE"));
    trunk.headers.clear();
    bench.receive(&trunk.ack());
    bench.take();
    (bench, call, trunk)
}

#[test]
fn the_200_says_who_refreshes() {
    let table = [
        ("", "", ""),
        ("Session-Expires: 1800\r\nSupported: timer\r\n", "1800;refresher=uac", "timer"),
        ("Session-Expires: 1800;refresher=uac\r\nSupported: timer\r\n", "1800;refresher=uac", "timer"),
        ("Session-Expires: 600;refresher=uas\r\nSupported: timer\r\n", "600;refresher=uas", ""),
        // A proxy asked; the far end itself knows nothing of it.
        ("Session-Expires: 600\r\n", "600;refresher=uas", ""),
        ("Session-Expires: 600;refresher=uac\r\n", "600;refresher=uas", ""),
        // It can, and does not ask: we do.
        ("Supported: timer\r\n", "1800;refresher=uas", ""),
        ("Supported: timer\r\nMin-SE: 3600\r\n", "3600;refresher=uas", ""),
        ("Session-Expires: soon\r\nSupported: 100rel\r\n", "", ""),
        ("x: 90\r\nk: timer\r\n", "90;refresher=uac", "timer"),
    ];
    for (asked, expires, require) in table {
        let (bench, ..) = up_with(asked);
        let ok = bench.last("200 INVITE");
        assert_eq!(
            (text(ok, Name::SessionExpires).as_str(), text(ok, Name::Require).as_str()),
            (expires, require),
            "{asked}"
        );
    }
}

#[test]
fn a_far_end_that_does_not_refresh_is_hung_up_on_before_the_session_ends() {
    for (interval, end) in [(1_800, 1_768_000), (90, 60_000)] {
        let (mut bench, ..) = up_with(&format!("Session-Expires: {interval};refresher=uac\r\nSupported: timer\r\n"));
        let log = bench.run(end);
        assert_eq!(log, [(end, ended(Ended::SessionExpired)), (end, "BYE".to_owned())]);
        bench.assert_empty();
    }
}

#[test]
fn a_refresh_of_theirs_starts_the_session_anew() {
    let headers = "Session-Expires: 90;refresher=uac\r\nSupported: timer\r\n";
    let (mut bench, _, mut trunk) = up_with(headers);
    trunk.headers = headers.to_owned();
    for _ in 0..20 {
        assert_eq!(bench.run(45_000), []);
        assert_eq!(bench.receive(&trunk.request("UPDATE", "")), ["200 UPDATE"]);
        assert_eq!(text(bench.last("200 UPDATE"), Name::SessionExpires), "90;refresher=uac");
    }
    // With a re-INVITE it is the application's answer that counts.
    bench.receive(&trunk.invite());
    let call = bench.call();
    bench.act(|ua, now, out| ua.answer_change(now, call, Ok(ANSWER.into()), out));
    bench.take();
    bench.receive(&trunk.ack());
    assert_eq!(bench.run(59_000), []);
    trunk.headers = "Session-Expires: 60\r\n".to_owned();
    assert_eq!(bench.receive(&trunk.request("UPDATE", "")), ["422 UPDATE"]);
    assert_eq!(text(bench.last("422 UPDATE"), Name::MinSe), "90");
    assert!(bench.run(2_000).contains(&(1_000, "BYE".to_owned())));
}

#[test]
fn we_refresh_by_update_at_half_the_interval_where_the_far_end_takes_it() {
    let headers = "Session-Expires: 600;refresher=uas\r\nSupported: timer\r\nAllow: INVITE, UPDATE\r\n";
    let (mut bench, _, mut trunk) = up_with(headers);
    for _ in 0..5 {
        assert_eq!(bench.run(300_000), [(300_000, "UPDATE".to_owned())]);
        let update = bench.last("UPDATE").clone();
        assert_eq!(text(&update, Name::SessionExpires), "600;refresher=uac");
        assert!(update.body.is_empty());
        assert_eq!(bench.receive(&trunk.request("UPDATE", OFFER)), ["491 UPDATE"], "ours is under way");
        let ok = answer(&update, 200, "Session-Expires: 600;refresher=uac\nSupported: timer", "");
        assert_eq!(bench.receive(&ok), [""; 0]);
    }
    assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Ended Bye"]);
    bench.assert_empty();
}

#[test]
fn we_refresh_by_invite_otherwise_and_acknowledge_each_answer() {
    let (mut bench, _, mut trunk) = up_with("Session-Expires: 600;refresher=uas\r\nSupported: timer\r\n");
    assert_eq!(bench.run(300_000), [(300_000, "INVITE".to_owned())]);
    let invite = bench.last("INVITE").clone();
    assert_eq!(invite.body, ANSWER.as_bytes());
    assert_eq!(text(&invite, Name::Route), trunk.record_route);
    bench.receive(&answer(&invite, 100, "", ""));
    assert_eq!(bench.run(5_000), [], "an INVITE is not sent again once it is at work");
    // The same media as before; the Contact may be another.
    let ok = answer(&invite, 200, "Session-Expires: 600;refresher=uac\nContact: <sip:10.0.77.13>", OFFER);
    assert_eq!(bench.receive(&ok), ["ACK"]);
    assert_eq!(bench.receive(&ok), ["ACK"], "the ACK was lost");
    let ack = bench.last("ACK");
    assert_eq!(ack.cseq().unwrap().0, invite.cseq().unwrap().0);
    assert_eq!(text(ack, Name::Route), trunk.record_route);
    assert_ne!(text(ack, Name::Via), text(&invite, Name::Via));
    // Other media is news.
    assert_eq!(bench.run(300_000), [(300_000, "INVITE".to_owned())]);
    let invite = bench.last("INVITE").clone();
    assert_eq!(invite.request_uri().unwrap().as_bytes(), b"sip:10.0.77.13");
    let ok = answer(&invite, 200, "Session-Expires: 600;refresher=uac", &OFFER.replace("30120", "30122"));
    assert_eq!(bench.receive(&ok), ["ACK", "Answered true"]);
    assert_eq!(bench.receive(&trunk.bye()), ["200 BYE", "Ended Bye"]);
    bench.assert_empty();
}

#[test]
fn what_the_far_end_takes_may_change() {
    let headers = "Session-Expires: 600;refresher=uas\r\nSupported: timer\r\n";
    for (first, then, refresh) in [("UPDATE", "INVITE, BYE", "INVITE"), ("INVITE, BYE", "UPDATE", "UPDATE")] {
        let (mut bench, _, mut trunk) = up_with(&format!("{headers}Allow: {first}\r\n"));
        trunk.headers = format!("{headers}Allow: {then}\r\n").replace("uas", "uac");
        bench.receive(&trunk.request("UPDATE", ""));
        trunk.headers = format!("{headers}Allow: {then}\r\n");
        bench.receive(&trunk.request("UPDATE", ""));
        assert_eq!(bench.run(300_000), [(300_000, refresh.to_owned())]);
    }
}

#[test]
fn a_refresh_whose_connection_is_lost_is_tried_again_on_another() {
    let mut bench = Bench::over(Transport::Tcp, 7);
    let headers = "Session-Expires: 600;refresher=uas\r\nSupported: timer\r\nAllow: UPDATE\r\n";
    let mut trunk = Trunk::new(Transport::Tcp).with(headers);
    bench.receive(&trunk.invite());
    let call = bench.call();
    bench.accept(call);
    trunk.answered(bench.last("200 INVITE"));
    bench.receive(&trunk.ack());
    assert_eq!(bench.run(300_000), [(300_000, "UPDATE".to_owned())]);
    bench.act(|ua, now, out| ua.connection_closed(now, 7, out));
    assert_eq!(bench.take(), [""; 0]);
    // Halfway to the end of the session, which is 568 s after its beginning.
    assert_eq!(bench.run(140_000), [(134_000, "UPDATE".to_owned())]);
    assert_eq!(bench.last_flow("UPDATE").connection, None);
}

#[test]
fn a_refresh_waits_for_what_the_far_end_asked_for() {
    let headers = "Session-Expires: 90;refresher=uas\r\nSupported: timer\r\nAllow: UPDATE\r\n";
    let (mut bench, call, mut trunk) = up_with(headers);
    assert_eq!(bench.run(44_000), []);
    bench.receive(&trunk.request("UPDATE", OFFER));
    assert_eq!(bench.run(2_500), []);
    bench.act(|ua, now, out| ua.answer_change(now, call, Err(488), out));
    bench.take();
    assert_eq!(bench.run(600), [(500, "UPDATE".to_owned())]);
}

#[test]
fn an_answer_does_not_make_us_refresh_all_the_time() {
    let headers = "Session-Expires: 600;refresher=uas\r\nSupported: timer\r\nAllow: UPDATE\r\n";
    for seconds in [0, 1, 89] {
        let (mut bench, ..) = up_with(headers);
        bench.run(300_000);
        let ok = answer(bench.last("UPDATE"), 200, &format!("Session-Expires: {seconds};refresher=uac"), "");
        bench.receive(&ok);
        assert_eq!(bench.run(45_000), [(45_000, "UPDATE".to_owned())], "{seconds}");
    }
}

#[test]
fn a_refresh_that_fails_for_good_ends_the_call_and_another_is_tried_again() {
    let headers = "Session-Expires: 600;refresher=uas\r\nSupported: timer\r\nAllow: UPDATE\r\n";
    let at_refresh = || {
        let (mut bench, ..) = up_with(headers);
        bench.run(300_000);
        let update = bench.last("UPDATE").clone();
        (bench, update)
    };
    for code in [408, 481] {
        let (mut bench, update) = at_refresh();
        assert_eq!(bench.receive(&answer(&update, code, "", "")), ["Ended SessionExpired", "BYE"]);
        bench.assert_empty();
    }
    let (mut bench, _) = at_refresh();
    assert_eq!(bench.run(32_000).last(), Some(&(32_000, "BYE".to_owned())), "nobody answers");
    bench.assert_empty();

    let (mut bench, update) = at_refresh();
    assert_eq!(bench.receive(&answer(&update, 491, "", "")), [""; 0]);
    let log = bench.run(2_000);
    assert!(matches!(&*log, [(100..=2_000, word), ..] if word == "UPDATE"), "{log:?}");

    let (mut bench, update) = at_refresh();
    bench.receive(&answer(&update, 405, "", ""));
    assert_eq!(bench.run(10), [(0, "INVITE".to_owned())], "it has no UPDATE");
    let invite = bench.last("INVITE").clone();
    assert_eq!(bench.receive(&answer(&invite, 488, "", "")), ["ACK"]);
    assert_eq!(bench.run(135_000).first().map(|(_, word)| word.as_str()), Some("INVITE"), "halfway to the end");

    let (mut bench, update) = at_refresh();
    bench.receive(&answer(&update, 422, "Min-SE: 900", ""));
    let longer = bench.last("UPDATE").clone();
    assert_eq!(text(&longer, Name::SessionExpires), "900;refresher=uac");
    assert_eq!(longer.cseq().unwrap().0, update.cseq().unwrap().0 + 1);
    bench.receive(&answer(&longer, 200, "", ""));
    assert_eq!(bench.run(3_600_000), [], "the far end wants no timer any more");
    assert!(!bench.told.iter().any(|event| matches!(event, UaEvent::Ended { .. })));
}
