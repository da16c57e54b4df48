//! The timed conversations: the server's rows are fed at their times, what the session sends is compared with the
//! client's rows, as far as they are a session's to send.

use serde_json::Value;
use trunkline_realtime::{
    Api, Effect, Entry, ItemId, Ledger, Loss, ModelFormat, SessionProfile, Speaker, ToolSpec, TurnDetection,
};

use crate::rig::{Rig, contains, fixtures, plain};

struct Row {
    at_ms: u64,
    dir: String,
    event: Value,
}

fn rows(name: &str) -> Vec<Row> {
    let (_, text) = fixtures("sequences").into_iter().find(|(path, _)| path.to_string_lossy().contains(name)).unwrap();
    let text = String::from_utf8(text).unwrap();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let event = row.get("event").unwrap_or(&row).clone();
        Row { at_ms: row["at_ms"].as_u64().unwrap(), dir: row["dir"].as_str().unwrap().to_owned(), event }
    };
    text.lines().map(row).collect()
}

/// The settings the conversation's own `session.update` asks for.
fn profile(rows: &[Row]) -> SessionProfile {
    let update = rows.iter().find(|row| row.event["type"] == "session.update").map(|row| &row.event["session"]);
    let Some(session) = update else { return SessionProfile::default() };
    let api = if session["type"] == "realtime" { Api::Ga } else { Api::Preview };
    let format = match session["audio"]["input"]["format"]["type"].as_str() {
        Some("audio/pcmu") => ModelFormat::Pcmu,
        _ => ModelFormat::Pcm24k,
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let turns = &session["audio"]["input"]["turn_detection"];
    let tools = session["tools"].as_array().cloned().unwrap_or_default();
    SessionProfile {
        api,
        format,
        voice: text(&session["audio"]["output"]["voice"]),
        instructions: text(&session["instructions"]),
        transcription_model: text(&session["audio"]["input"]["transcription"]["model"]),
        turn_detection: TurnDetection::ServerVad {
            threshold: turns["threshold"].as_f64().unwrap_or(0.5),
            prefix_padding_ms: 300,
            silence_duration_ms: 500,
            idle_timeout_ms: turns["idle_timeout_ms"].as_u64().map(|ms| u32::try_from(ms).unwrap()),
            create_response: true,
            interrupt_response: true,
        },
        tools: tools
            .iter()
            .map(|tool| ToolSpec {
                name: text(&tool["name"]).unwrap(),
                description: text(&tool["description"]).unwrap(),
                parameters: tool["parameters"].clone(),
            })
            .collect(),
        ..SessionProfile::default()
    }
}

/// Plays a conversation. `acts` are what the owner does, at their times, before the server's rows of that time.
fn play(rows: &[Row], profile: SessionProfile, ledger: Ledger, mut acts: Vec<(u64, Act<'_>)>) -> Rig {
    let mut rig = Rig::new(profile);
    let mut ledger = Some(ledger);
    for row in rows {
        while acts.first().is_some_and(|(at, _)| *at < row.at_ms) {
            let (at, act) = acts.remove(0);
            rig.at(at);
            act(&mut rig);
        }
        rig.at(row.at_ms);
        match row.dir.as_str() {
            "server" => rig.server(row.event.clone()),
            "close" => {
                let code = row.event["code"].as_u64().map(|code| u16::try_from(code).unwrap());
                let loss = rig.session.on_closed(code, row.event["reason"].as_str().unwrap());
                assert_eq!(rig.loss().unwrap().1, loss, "the close says the same as the error before it");
            }
            _ => {}
        }
        if rig.session.is_configured() && !rig.session.is_live() {
            rig.adopt(ledger.take().unwrap_or_default(), true);
        }
    }
    for (at, act) in acts {
        rig.at(at);
        act(&mut rig);
    }
    rig
}

type Act<'a> = Box<dyn FnOnce(&mut Rig) + 'a>;

fn client(rows: &[Row], kind: &str) -> Vec<Value> {
    let of_kind = rows.iter().filter(|row| row.dir == "client" && row.event["type"] == kind);
    of_kind.map(|row| plain(row.event.clone())).collect()
}

fn sent(rig: &Rig, kind: &str) -> Vec<Value> {
    let of_kind = rig.sent.iter().filter(|(_, event)| event["type"] == kind);
    of_kind.map(|(_, event)| plain(event.clone())).collect()
}

/// The first frame is the row's `session.update`, and nothing else was sent but `then`.
fn check_sent(rig: &Rig, rows: &[Row], then: &[&str]) {
    let update = &client(rows, "session.update")[0];
    assert!(contains(&rig.sent[0].1, update), "{} lacks some of {update}", rig.sent[0].1);
    let types: Vec<&str> = rig.sent.iter().skip(1).map(|(_, event)| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, then);
}

/// Every byte the server sent of its items was handed out, and every item ended.
fn check_audio(rig: &Rig, rows: &[Row]) {
    let mut items: Vec<(String, usize)> = Vec::new();
    for row in rows.iter().filter(|row| row.event["type"].as_str().is_some_and(|kind| kind.ends_with("audio.delta"))) {
        let (id, delta) = (row.event["item_id"].as_str().unwrap(), row.event["delta"].as_str().unwrap());
        let bytes = base64_simd::STANDARD.decode_to_vec(delta).unwrap().len();
        match items.iter_mut().find(|(known, _)| known == id) {
            Some((_, sum)) => *sum += bytes,
            None => items.push((id.to_owned(), bytes)),
        }
    }
    assert!(!items.is_empty());
    for (id, bytes) in items {
        assert_eq!(rig.audio_bytes(&id), bytes);
        let ended = Effect::ItemEnded { item: ItemId::new(&id) };
        assert_eq!(rig.effects.iter().filter(|(_, effect)| *effect == ended).count(), 1, "{id}");
    }
}

fn first_audio(rig: &Rig) -> Vec<u128> {
    let latency = |effect: &Effect| match effect {
        Effect::FirstAudio { latency } => Some(latency.as_millis()),
        _ => None,
    };
    rig.effects.iter().filter_map(|(_, effect)| latency(effect)).collect()
}

fn said(rig: &Rig) -> Vec<String> {
    let text = |effect: &Effect| match effect {
        Effect::Transcript { speaker: Speaker::Model, text } => Some(text.clone()),
        _ => None,
    };
    rig.effects.iter().filter_map(|(_, effect)| text(effect)).collect()
}

fn count(rig: &Rig, wanted: impl Fn(&Effect) -> bool) -> usize {
    rig.effects.iter().filter(|(_, effect)| wanted(effect)).count()
}

#[test]
fn a_turn_in_every_format() {
    for name in ["01_", "02_", "20_"] {
        let rows = rows(name);
        let mut profile = profile(&rows);
        if name == "20_" {
            assert_eq!(profile.api, Api::Preview);
            profile.turn_detection = TurnDetection::default();
        }
        let rig = play(&rows, profile, Ledger::default(), vec![]);
        check_sent(&rig, &rows, &[]);
        check_audio(&rig, &rows);
        assert_eq!(said(&rig), ["Thanks for calling Northgate. How can I help?"]);
        let stopped = rows.iter().find(|row| row.event["type"] == "input_audio_buffer.speech_stopped").unwrap().at_ms;
        let audio =
            rows.iter().find(|row| row.event["type"].as_str().is_some_and(|kind| kind.ends_with("audio.delta")));
        assert_eq!(first_audio(&rig), [u128::from(audio.unwrap().at_ms - stopped)], "{name}");
        assert_eq!(count(&rig, |effect| *effect == Effect::ResponseDone { status: "completed".into() }), 1);
        assert!(rig.session.is_quiet() && rig.loss().is_none());
        assert!(!rig.session.ledger().waiting_for_answer());
        let configured = Effect::Configured {
            session_id: "sess_wk59pfKL0jFi2YYvLBpEG".into(),
            lives_for: Some(std::time::Duration::from_millis(3_600_000 - 252)),
        };
        assert_eq!(count(&rig, |effect| *effect == configured), 1);
    }
}

#[test]
fn barge_in_truncates_to_what_was_played() {
    for (name, at_ms, played, cut_words) in
        [("03_", 3_716, 640, "Thanks for calling"), ("04_", 3_943, 900, "Thanks for calling")]
    {
        let rows = rows(name);
        let truncate = client(&rows, "conversation.item.truncate");
        let item = truncate[0]["item_id"].as_str().unwrap().to_owned();
        let clear = item.clone();
        let act: Act<'_> = Box::new(move |rig| rig.cleared(&[(&clear, played)]));
        let rig = play(&rows, profile(&rows), Ledger::default(), vec![(at_ms, act)]);
        check_sent(&rig, &rows, &["conversation.item.truncate"]);
        assert_eq!(sent(&rig, "conversation.item.truncate"), truncate);
        let speech =
            |effect: &Effect| matches!(effect, Effect::SpeechStarted { active } if *active == [ItemId::new(&item)]);
        assert_eq!(count(&rig, speech), 1);
        let words = rig.session.ledger().entries().find(|entry| entry.id() == item).and_then(Entry::words);
        assert!(words.unwrap().starts_with(cut_words) && !words.unwrap().ends_with('?'), "{words:?}");
    }
}

#[test]
fn a_cancel_that_comes_too_late_is_harmless() {
    let rows = rows("05_");
    let act: Act<'_> = Box::new(|rig| rig.act(|session, now, out| session.interrupt(now, out)));
    let again: Act<'_> = Box::new(|rig| rig.act(|session, now, out| session.interrupt(now, out)));
    let rig = play(&rows, profile(&rows), Ledger::default(), vec![(3_098, act), (3_165, again)]);
    // The second cancel of the sample is never sent: the session knows that nothing is active.
    check_sent(&rig, &rows, &["response.cancel"]);
    assert_eq!(sent(&rig, "response.cancel"), client(&rows, "response.cancel")[..1]);
    let notice =
        |effect: &Effect| matches!(effect, Effect::Notice { code, .. } if code == "response_cancel_not_active");
    assert_eq!(count(&rig, notice), 1);
    assert!(rig.session.is_quiet() && rig.loss().is_none());
}

#[test]
fn a_tool_is_called_once_and_its_answer_goes_on() {
    let rows = rows("06_");
    let output = client(&rows, "conversation.item.create").remove(0);
    let text = output["item"]["output"].as_str().unwrap().to_owned();
    let call_id = output["item"]["call_id"].as_str().unwrap().to_owned();
    let call = call_id.clone();
    let act: Act<'_> =
        Box::new(move |rig| rig.act(|session, now, out| session.tool_output(now, &call, &text, true, out)));
    let rig = play(&rows, profile(&rows), Ledger::default(), vec![(3_149, act)]);
    check_sent(&rig, &rows, &["conversation.item.create", "response.create"]);
    let mut expected = output.clone();
    expected["item"].as_object_mut().unwrap().remove("id");
    assert!(contains(&sent(&rig, "conversation.item.create")[0], &expected));
    let called = Effect::ToolCall {
        call_id,
        name: "transfer_call".into(),
        arguments: r#"{"destination":"front-desk","summary":"Wants to move an appointment."}"#.into(),
    };
    assert_eq!(count(&rig, |effect| *effect == called), 1);
    check_audio(&rig, &rows);
    assert!(rig.session.is_quiet());
}

#[test]
fn a_failed_response_is_asked_for_again() {
    let rows = rows("07_");
    let rig = play(&rows, profile(&rows), Ledger::default(), vec![]);
    check_sent(&rig, &rows, &["response.create"]);
    assert_eq!(rig.sent[1].0, 2_884 + 500);
    assert_eq!(sent(&rig, "response.create"), client(&rows, "response.create"));
    check_audio(&rig, &rows);
    assert!(rig.session.is_quiet() && rig.loss().is_none());
}

#[test]
fn a_second_response_waits_for_the_first() {
    let rows = rows("08_");
    let act: Act<'_> = Box::new(|rig| rig.act(|session, now, out| session.user_text(now, "1", out)));
    let rig = play(&rows, profile(&rows), Ledger::default(), vec![(3_056, act)]);
    check_sent(&rig, &rows, &["conversation.item.create", "response.create"]);
    assert_eq!((rig.sent[1].0, rig.sent[2].0), (3_056, 3_104), "the request waits for response.done");
    let notice = |effect: &Effect| matches!(effect, Effect::Notice { code, .. } if code == "conversation_already_has_active_response");
    assert_eq!(count(&rig, notice), 1);
}

#[test]
fn expiry_is_a_loss_that_a_new_session_cures() {
    let rows = rows("09_");
    let rig = play(&rows, profile(&rows), Ledger::default(), vec![]);
    assert_eq!(rig.loss(), Some((3_600_000, Loss::Expired)));
    let renew: Vec<u64> =
        rig.effects.iter().filter(|(_, effect)| *effect == Effect::Renew).map(|(at, _)| *at).collect();
    let force: Vec<u64> =
        rig.effects.iter().filter(|(_, effect)| *effect == Effect::RenewNow).map(|(at, _)| *at).collect();
    assert_eq!((renew, force), (vec![3_300_000], vec![3_570_000]), "asked for long before");
}

#[test]
fn the_beta_refusal_is_a_refused_set_up() {
    let rows = rows("10_");
    let rig = play(&rows, profile(&rows), Ledger::default(), vec![]);
    let (at, loss) = rig.loss().unwrap();
    assert_eq!(at, 90);
    assert!(matches!(&loss, Loss::SetupRefused { code, .. } if code == "beta_api_shape_disabled"));
    assert!(loss.is_permanent() && rig.sent.is_empty());
}

#[test]
fn the_model_asks_a_silent_caller() {
    let rows = rows("11_");
    let rig = play(&rows, profile(&rows), Ledger::default(), vec![]);
    check_sent(&rig, &rows, &[]);
    check_audio(&rig, &rows);
    assert_eq!(said(&rig)[1], "Are you still there?");
    assert_eq!(first_audio(&rig).len(), 2);
    assert!(rig.session.is_quiet() && rig.loss().is_none());
}

#[test]
fn a_turn_the_server_does_not_answer_by_itself_is_asked_for() {
    let rows = rows("12_");
    let mut profile = profile(&rows);
    let TurnDetection::ServerVad { create_response, .. } = &mut profile.turn_detection else { panic!("other turns") };
    *create_response = false;
    let rig = play(&rows, profile, Ledger::default(), vec![]);
    assert_eq!(sent(&rig, "response.create"), client(&rows, "response.create"));
    assert_eq!((rig.sent.len(), rig.sent[1].0), (2, 413));
    check_audio(&rig, &rows);
}

#[test]
fn the_greeting_comes_first() {
    let rows = rows("13_");
    let profile = SessionProfile { greeting: Some("Greet the caller.".into()), ..profile(&rows) };
    let rig = play(&rows, profile, Ledger::default(), vec![]);
    check_sent(&rig, &rows, &["response.create"]);
    assert_eq!(sent(&rig, "response.create"), client(&rows, "response.create"));
    assert_eq!(first_audio(&rig), [546 - 252]);
    check_audio(&rig, &rows);
}

#[test]
fn a_new_session_is_told_the_conversation() {
    let rows = rows("14_");
    let told = client(&rows, "conversation.item.create");
    let mut old = Rig::live(profile(&rows));
    old.caller_turn(told[0]["item"]["id"].as_str().unwrap());
    old.transcribed(told[0]["item"]["id"].as_str().unwrap(), "I would like to move my appointment.");
    old.answer("resp_1", told[1]["item"]["id"].as_str().unwrap(), "Which day suits you?", 1_200);
    let ledger = old.session.take_ledger();

    let profile = SessionProfile { greeting: Some("Greet the caller.".into()), ..profile(&rows) };
    let rig = play(&rows, profile, ledger, vec![]);
    check_sent(&rig, &rows, &["conversation.item.create"; 3]);
    let sent = sent(&rig, "conversation.item.create");
    assert_eq!(sent[..2], told[..2]);
    let mut system = told[2].clone();
    system["item"].as_object_mut().unwrap().remove("id");
    assert!(contains(&sent[2], &system));
    assert!(rig.session.is_quiet(), "nobody was waiting, so nothing is asked for");
}
