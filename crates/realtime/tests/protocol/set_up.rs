//! From connecting to standing by, and the ways this fails.

use serde_json::json;
use trunkline_realtime::{Effect, Ledger, Loss, ModelFormat, ModelState, SessionProfile, Timing};

use crate::rig::{EXPIRES_AT, Rig, plain};

fn voiced() -> SessionProfile {
    SessionProfile { voice: Some("marin".into()), greeting: Some("Greet.".into()), ..SessionProfile::default() }
}

fn created(rig: &mut Rig) {
    rig.server(json!({"type":"session.created","session":{"id":"sess_1","expires_at":EXPIRES_AT}}));
}

#[test]
fn says_nothing_until_created_and_hears_nothing_until_adopted() {
    let mut rig = Rig::new(voiced());
    assert_eq!(rig.session.state(), ModelState::Connecting);
    rig.at(100);
    assert!(rig.sent.is_empty());
    created(&mut rig);
    let update = plain(rig.sent[0].1.clone());
    assert_eq!(update, serde_json::from_str::<serde_json::Value>(&voiced().session_update()).unwrap());
    created(&mut rig);
    assert_eq!(rig.sent.len(), 1, "a repeated session.created changes nothing");
    rig.at(300);
    rig.server(json!({"type":"session.updated","session":update["session"]}));
    assert_eq!(rig.take_effects(), [Effect::Configured { session_id: "sess_1".into(), lives_for: None }]);
    assert_eq!((rig.session.session_id(), rig.session.state()), (Some("sess_1"), ModelState::Ready));

    rig.clear();
    rig.caller_turn("item_u");
    rig.response_created("resp_1");
    rig.audio("resp_1", "item_a", 100);
    rig.at(60_000);
    assert!(rig.sent.is_empty() && rig.effects.is_empty(), "a session that stands by keeps still: {:?}", rig.effects);
    rig.adopt(Ledger::default(), false);
    assert_eq!(rig.take_types(), ["response.create"], "the greeting");
}

#[test]
fn a_set_up_that_takes_too_long_is_given_up() {
    for reached in 0..2 {
        let mut rig = Rig::new(voiced());
        rig.at(100);
        if reached > 0 {
            created(&mut rig);
        }
        rig.at(20_000);
        assert_eq!(rig.loss(), Some((8_000, Loss::ConnectTimeout)));
        assert_eq!(rig.session.next_timer(), None);
    }
}

#[test]
fn an_error_before_session_created_refuses_the_set_up() {
    for (code, permanent) in [("invalid_api_key", true), ("model_not_found", true), ("rate_limit_exceeded", false)] {
        let mut rig = Rig::new(voiced());
        rig.error(code);
        let (_, loss) = rig.loss().unwrap();
        assert_eq!(loss, Loss::SetupRefused { code: code.into(), message: "no".into() });
        assert_eq!(loss.is_permanent(), permanent, "{code}");
        assert!(rig.sent.is_empty());
    }
}

#[test]
fn an_error_that_answers_our_settings_refuses_the_set_up() {
    let mut rig = Rig::new(voiced());
    created(&mut rig);
    rig.server(json!({"type":"error","error":{"type":"invalid_request_error","code":"invalid_value","message":"?","event_id":"somebody_else"}}));
    assert_eq!(rig.loss(), None, "an error about something else");
    let ours = rig.sent[0].1["event_id"].clone();
    rig.server(json!({"type":"error","error":{"type":"invalid_request_error","code":"unknown_parameter","message":"x","event_id":ours}}));
    assert_eq!(rig.loss().unwrap().1, Loss::SetupRefused { code: "unknown_parameter".into(), message: "x".into() });
}

#[test]
fn a_voice_that_may_not_change_is_left_out_once() {
    let mut rig = Rig::new(voiced());
    created(&mut rig);
    rig.error("cannot_update_voice");
    assert_eq!(rig.sent.len(), 2);
    assert_eq!(rig.sent[0].1["session"]["audio"]["output"]["voice"], "marin");
    assert!(rig.sent[1].1["session"]["audio"]["output"].get("voice").is_none());
    assert_ne!(rig.sent[0].1["event_id"], rig.sent[1].1["event_id"]);
    rig.error("cannot_update_voice");
    assert!(matches!(rig.loss(), Some((_, Loss::SetupRefused { .. }))));
}

#[test]
fn a_format_that_was_not_taken_is_found_out() {
    let mut rig = Rig::new(SessionProfile { format: ModelFormat::Pcmu, ..voiced() });
    created(&mut rig);
    rig.server(json!({"type":"session.updated","session":{"id":"sess_1","audio":{
        "input":{"format":{"type":"audio/pcmu"}},"output":{"format":{"type":"audio/pcm","rate":24000}}}}}));
    let (_, loss) = rig.loss().unwrap();
    assert!(loss.is_permanent());
    let Loss::FormatMismatch { asked, got } = loss else { panic!("{loss}") };
    assert!(asked.contains("audio/pcmu") && got.contains("24000"), "{asked} {got}");
    assert!(!rig.session.is_configured());
}

#[test]
fn what_a_close_means() {
    let close = |code, reason| Rig::new(voiced()).session.on_closed(code, reason);
    let closed = |code, reason: &str| Loss::Closed { code, reason: reason.into() };
    assert_eq!(close(Some(1001), "Your session hit the maximum duration of 60 minutes."), Loss::Expired);
    assert_eq!(close(Some(1001), "going away"), closed(Some(1001), "going away"));
    assert_eq!(close(None, ""), closed(None, ""));
    let refused = close(Some(4000), "invalid_request_error.beta_api_shape_disabled");
    assert!(
        matches!(&refused, Loss::SetupRefused { code, .. } if code == "beta_api_shape_disabled")
            && refused.is_permanent()
    );

    let mut rig = Rig::live(voiced());
    assert_eq!(rig.session.on_closed(Some(1011), "oops"), closed(Some(1011), "oops"));
    assert_eq!((rig.session.state(), rig.session.next_timer()), (ModelState::Lost, None));
    rig.clear();
    rig.server(json!({"type":"session.created","session":{}}));
    rig.at(100_000);
    assert!(rig.sent.is_empty() && rig.effects.is_empty(), "nothing comes after a close");
}

#[test]
fn tolerates_the_habits_of_other_servers() {
    let mut rig = Rig::with(SessionProfile::default(), Timing::default());
    rig.server(json!({"type":"conversation.created","conversation":{"id":"conv_1"}}));
    rig.server(json!({"type":"session.created","session":{"id":7,"expires_at":"soon"}}));
    assert!(rig.sent.is_empty(), "an id that is no text makes the event unknown");
    rig.server(json!({"type":"session.created","session":{"expires_at":0,"audio":null,"input_audio_format":null}}));
    rig.server(json!({"type":"rate_limits.updated","rate_limits":[]}));
    rig.server(json!({"type":"session.updated","session":{"expires_at":1e300,"output_audio_format":null}}));
    let configured = |effect: &Effect| matches!(effect, Effect::Configured { session_id, .. } if session_id.is_empty());
    assert!(rig.take_effects().iter().any(configured));
    rig.at(60_000);
    assert_eq!(rig.loss(), None);
}
