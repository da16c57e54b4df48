//! Pings, stalls, garbage, expiry and renewal.

use std::time::Duration;

use serde_json::json;
use trunkline_realtime::{Effect, ItemId, Ledger, Loss, SessionProfile, Timing};

use crate::rig::{EXPIRES_AT, Rig};

fn times(rig: &Rig, wanted: &Effect) -> Vec<u64> {
    rig.effects.iter().filter(|(_, effect)| effect == wanted).map(|(at, _)| *at).collect()
}

#[test]
fn pings_while_it_lives() {
    let mut rig = Rig::live(SessionProfile::default());
    rig.at(3_600_000 - 1_000);
    assert_eq!(rig.loss(), None, "pongs keep an idle session alive for its whole hour");

    let mut deaf = Rig::live(SessionProfile::default());
    deaf.pongs = false;
    deaf.at(30_000);
    assert_eq!(times(&deaf, &Effect::Ping), [3_180, 6_180]);
    assert_eq!(deaf.loss(), Some((8_250, Loss::Stalled)), "8 s after the last frame");
}

#[test]
fn any_frame_counts_as_life() {
    let mut rig = Rig::live(SessionProfile::default());
    rig.pongs = false;
    for n in 1..20 {
        rig.at(n * 5_000);
        rig.server(json!({"type":"rate_limits.updated","rate_limits":[]}));
    }
    assert_eq!(rig.loss(), None);
    rig.at(200_000);
    assert_eq!(rig.loss(), Some((103_000, Loss::Stalled)));
}

#[test]
fn garbage_ends_it_at_twenty_in_five_seconds() {
    let mut rig = Rig::live(SessionProfile::default());
    rig.response_created("resp_1");
    let junk: [&[u8]; 5] = [
        b"\xff\x00",
        b"{\"type\":",
        b"[1,2]",
        b"{}",
        br#"{"type":"response.output_audio.delta","item_id":"i","delta":"!!"}"#,
    ];
    for n in 0..20 {
        assert_eq!(rig.loss(), None);
        rig.at(1_000 + n * 250);
        rig.raw(junk[usize::try_from(n).unwrap() % junk.len()]);
    }
    assert_eq!(rig.loss(), Some((5_750, Loss::Garbage)));
    let mut slow = Rig::live(SessionProfile::default());
    for n in 0..100 {
        slow.at(1_000 + n * 300);
        slow.raw(b"garbage");
    }
    assert_eq!(slow.loss(), None);
    slow.act(|session, now, out| session.on_unreadable(now, "binary frame", out));
    assert!(matches!(slow.effects.last(), Some((_, Effect::Notice { code, .. })) if code == "unreadable_frame"));
}

#[test]
fn a_loss_ends_the_item_being_spoken() {
    let mut rig = Rig::live(SessionProfile::default());
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 100);
    assert_eq!(rig.session.open_item(), Some(&ItemId::new("item_a")));
    rig.error("session_expired");
    let effects = rig.take_effects();
    let end = &effects[effects.len() - 2..];
    assert_eq!(end, [Effect::ItemEnded { item: ItemId::new("item_a") }, Effect::Dead(Loss::Expired)]);
}

#[test]
fn renewal_is_asked_for_once_and_then_forced() {
    for (life, before, soft, forced) in
        [(3_600, 300, 3_300, 3_570), (3_600, 3_000, 1_800, 3_570), (1_800, 300, 1_500, 1_770), (60, 300, 30, 45)]
    {
        let timing = Timing { renew_before: Duration::from_secs(before), ..Timing::default() };
        let mut rig = Rig::with(SessionProfile::default(), timing);
        let unix_ms = EXPIRES_AT * 1_000 - 3_600_000;
        rig.server(json!({"type":"session.created","session":{"id":"s","expires_at":unix_ms / 1_000 + life}}));
        rig.server(json!({"type":"session.updated","session":{}}));
        rig.adopt(Ledger::default(), false);
        rig.at(life * 1_000 + 60_000);
        assert_eq!(times(&rig, &Effect::Renew), [soft * 1_000], "{life} {before}");
        assert_eq!(times(&rig, &Effect::RenewNow), [forced * 1_000], "{life} {before}");
        assert_eq!(rig.loss(), None, "the server ends it, not our clock");
    }
}

#[test]
fn without_a_known_end_nothing_is_renewed() {
    let mut rig = Rig::with(SessionProfile::default(), Timing::default());
    rig.server(json!({"type":"session.created","session":{"id":"s","expires_at":1}}));
    rig.server(json!({"type":"session.updated","session":{}}));
    let configured = Effect::Configured { session_id: "s".into(), lives_for: None };
    assert_eq!(rig.effects.last().map(|(_, effect)| effect.clone()), Some(configured));
    rig.adopt(Ledger::default(), false);
    rig.at(8_000_000);
    assert!(times(&rig, &Effect::Renew).is_empty() && rig.loss().is_none());
}

#[test]
fn foolish_durations_do_not_overflow_the_clock() {
    let forever = Duration::MAX;
    let timing = Timing {
        connect_timeout: forever,
        stall_timeout: forever,
        ping: forever,
        response_timeout: Duration::from_secs(u64::MAX / 4),
        renew_before: forever,
    };
    let mut rig = Rig::with(SessionProfile::default(), timing);
    rig.server(json!({"type":"session.created","session":{"id":"s","expires_at":u64::MAX}}));
    rig.server(json!({"type":"session.updated","session":{}}));
    rig.adopt(Ledger::default(), false);
    rig.caller_turn("item_u");
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 20);
    assert_eq!(rig.loss(), None);
}
