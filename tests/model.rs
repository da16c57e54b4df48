//! The model's side, played by the test event by event: set-up, playout, barge-in, keys, the conversation's survival.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use support::model::{Model, Session};
use support::phone::{Heard, Phone};
use support::process::{Service, scratch};
use support::sound;
use tokio::time::Instant;
use trunkline_media::LineCodec;

/// Bytes of a millisecond of pcm16 at 24 kHz.
const MS: usize = 48;

/// A tone of the model's, pcm16 at 24 kHz.
fn pcm(hz: f64, ms: u32) -> Vec<u8> {
    sound::bytes(&sound::tone(24_000, hz, ms))
}

/// A service, a call on its model route, and that call's session.
async fn call(env: &[(&str, &str)]) -> (Service, Model, Phone, Session) {
    let mut model = Model::start().await;
    let service = Service::with_model(&model.url(), env).await;
    let phone = Phone::dial(&service, "callId=c-1").await;
    let session = model.session().await;
    service.call_when("c-1", "active", |call| call["state"] == "active").await;
    (service, model, phone, session)
}

fn ms(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no integer"))
}

#[tokio::test]
async fn each_api_is_set_up_in_its_own_shape() {
    let turns = json!({"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
        "create_response": true, "interrupt_response": true});
    let mut ga_turns = turns.clone();
    ga_turns["idle_timeout_ms"] = Value::Null;
    let ga = |format: Value| {
        json!({"type": "realtime", "output_modalities": ["audio"], "instructions": "Be brief.", "tools": [], "tool_choice": "auto",
            "audio": {"input": {"format": format, "turn_detection": ga_turns}, "output": {"format": format, "voice": "marin"}}})
    };
    let flat = |input: &str, output: &str, turns: &Value, voice: Value| {
        json!({"modalities": ["audio", "text"], "instructions": "Be brief.", "tools": [], "tool_choice": "auto", "voice": voice,
            "input_audio_format": input, "output_audio_format": output, "turn_detection": turns})
    };
    let mut live = flat("pcm16", "pcm16_16000hz", &ga_turns, json!({"type": "openai", "name": "marin"}));
    live["input_audio_sampling_rate"] = 16_000.into();
    let path = "/openai/v1/realtime?model=gpt-realtime";
    let key = ("api-key", "k-1");
    let bearer = ("authorization", "Bearer k-1");
    // api, audio, rate, auth, header, session, bytes of 20 ms
    let cases = [
        ("ga", "pcm16", "24000", "api-key", key, ga(json!({"type": "audio/pcm", "rate": 24_000})), 960),
        ("ga", "pcmu", "24000", "bearer", bearer, ga(json!({"type": "audio/pcmu"})), 160),
        ("preview", "pcm16", "24000", "api-key", key, flat("pcm16", "pcm16", &turns, json!("marin")), 960),
        ("preview", "pcmu", "24000", "api-key", key, flat("g711_ulaw", "g711_ulaw", &turns, json!("marin")), 160),
        ("voice-live", "pcm16", "16000", "api-key", key, live, 640),
    ];
    let runs = cases.into_iter().map(|(api, audio, rate, auth, (name, value), expected, frame)| async move {
        let mut model = Model::start().await;
        let env = [
            ("TRUNKLINE__REALTIME__API", api),
            ("TRUNKLINE__REALTIME__AUDIO", audio),
            ("TRUNKLINE__REALTIME__SAMPLE_RATE", rate),
            ("TRUNKLINE__REALTIME__AUTH", auth),
            ("TRUNKLINE__REALTIME__API_KEY", "k-1"),
            ("TRUNKLINE__REALTIME__VOICE", "marin"),
            ("TRUNKLINE__REALTIME__INSTRUCTIONS", "Be brief."),
        ];
        let service = Service::with_model(&model.url(), &env).await;
        let mut phone = Phone::dial(&service, "callId=c-1").await;
        let mut session = model.accept().await;
        assert_eq!((session.path.as_str(), session.header(name)), (path, Some(value)), "{api} {audio}");
        let other = if name == "api-key" { "authorization" } else { "api-key" };
        assert_eq!((session.header(other), session.header("openai-beta")), (None, None), "{api} {audio}");
        let mut update = session.set_up().await;
        // The built-in tools, flat in every shape.
        let tools = update["session"]["tools"].take();
        let named =
            |tool: &Value| (tool["type"].as_str().unwrap().to_owned(), tool["name"].as_str().unwrap().to_owned());
        let tools: Vec<_> = tools.as_array().unwrap().iter().map(named).collect();
        let expected_tools = ["hang_up", "transfer_call", "send_dtmf"].map(|name| ("function".into(), name.into()));
        assert_eq!(tools, expected_tools, "{api} {audio}");
        update["session"]["tools"] = json!([]);
        assert_eq!(update["session"], expected, "{api} {audio}");

        // Both directions carry sound in that format.
        let _speaking = phone.speak(sound::pcmu_tone(500.0, 300), 160);
        session.hear(frame * 10).await;
        assert_eq!(session.audio.len() % (frame / 160), 0, "whole samples");
        session.answer(1, &vec![0; frame * 5], &[frame]);
        phone.expect("mark").await;
        assert_eq!(phone.all_frames().len(), 5, "{api} {audio}");
    });
    join_all(runs).await;
}

#[tokio::test]
async fn the_caller_is_not_heard_before_the_session_is_set_up_and_then_from_his_first_word() {
    let mut model = Model::start().await;
    let service = Service::with_model(&model.url(), &[("TRUNKLINE__REALTIME__AUDIO", "pcmu")]).await;
    let phone = Phone::dial(&service, "callId=c-1").await;
    let spoken = sound::pattern(75 * 160);
    let _speaking = phone.speak(spoken.clone(), 160);
    let socket = model.knock().await;
    let frames = |count: u64| move |call: &Value| call["up"]["frames"].as_u64().unwrap() >= count;
    service.call_when("c-1", "speaking", frames(30)).await;

    let mut session = Session::open(socket).await;
    session.created();
    let update = session.expect("session.update").await;
    service.call_when("c-1", "still speaking", frames(60)).await;
    assert!(session.audio.is_empty(), "audio came before session.updated");
    session.updated(&update);
    session.hear(spoken.len()).await;
    assert_eq!(session.audio[..spoken.len()], spoken, "every byte from the first word on");
    let call = service.call("c-1").await;
    assert_eq!((&call["up"]["dropped"], &call["model"]["state"]), (&json!(0), &json!("ready")));
    assert_eq!((&call["model"]["sessionId"], &call["fallback"]["entered"]), (&json!("sess_outside"), &json!(0)));
}

#[tokio::test]
async fn two_seconds_of_the_model_are_100_frames_whatever_its_bursts() {
    let steady: &[usize] = &[4_800, 7_200, 12_000, 24_000];
    let odd: &[usize] = &[4_801, 7, 9_599, 333];
    let cases: [(&str, &str, &str, u32, &[usize]); 6] = [
        ("ga", "pcm16", "24000", 24_000, &[96_000]),
        ("ga", "pcm16", "24000", 24_000, steady),
        ("ga", "pcm16", "24000", 24_000, odd),
        ("voice-live", "pcm16", "16000", 16_000, odd),
        ("ga", "pcmu", "24000", 8_000, &[16_000]),
        ("ga", "pcmu", "24000", 8_000, &[801, 3, 1_597]),
    ];
    let runs = cases.into_iter().map(|(api, audio, rate, hz, pieces)| async move {
        let env = [
            ("TRUNKLINE__REALTIME__API", api),
            ("TRUNKLINE__REALTIME__AUDIO", audio),
            ("TRUNKLINE__REALTIME__SAMPLE_RATE", rate),
        ];
        let (service, _model, mut phone, session) = call(&env).await;
        let tone = sound::tone(hz, 1_000.0, 2_000);
        let said = if audio == "pcmu" { sound::encode(LineCodec::Pcmu, &tone) } else { sound::bytes(&tone) };
        session.answer(1, &said, pieces);
        assert_eq!(phone.expect("mark").await["mark"], "item_1");
        let frames = phone.all_frames();
        assert!(frames.iter().all(|frame| frame.len() == 160));
        assert_eq!(frames.len(), 100, "{api} {audio} {rate} {pieces:?}");

        // First and last sample included: the tone stands where it was said, to the sample.
        let heard = sound::decode(LineCodec::Pcmu, &frames.concat());
        let expected = sound::tone(8_000, 1_000.0, 2_000);
        let error: Vec<i16> = heard.iter().zip(&expected).map(|(heard, expected)| heard - expected).collect();
        let (edges, middle) = (error.len() - 32, &error[32..error.len() - 32]);
        assert!(sound::level(middle) < 200.0, "{api} {audio} {pieces:?}: error of {}", sound::level(middle));
        assert!(sound::level(&error[edges..]) < 2_000.0, "{api} {audio}: the end is cut off");
        assert!(sound::level(&error[..32]) < 2_000.0, "{api} {audio}: the beginning is cut off");

        let times: Vec<Instant> =
            phone.log.iter().filter(|(_, heard)| matches!(heard, Heard::Audio(_))).map(|(at, _)| *at).collect();
        let took = times[99] - times[0];
        // The first may have been looked at late by a busy machine; what is not paced comes in next to no time.
        assert!(took > Duration::from_millis(99 * 20 - 300), "a burst: {took:?}");
        let call = service.call("c-1").await;
        assert_eq!((&call["down"]["frames"], &call["down"]["dropped"]), (&json!(100), &json!(0)), "{call:#}");
        assert_eq!((&call["down"]["underruns"], &call["down"]["queuedMs"]), (&json!(0), &json!(0)), "{call:#}");
        assert_eq!(call["model"]["responses"], 1);
    });
    join_all(runs).await;
}

#[tokio::test]
async fn barge_in_empties_the_line_and_truncates_to_what_was_heard() {
    let (service, _model, mut phone, mut session) = call(&[]).await;
    session.begin_answer(1, &pcm(400.0, 3_000), &[24_000]);
    phone.frames(25).await;
    session.speech_started("item_u1");
    phone.expect("clear").await;
    let heard = phone.all_frames().len() as i64 * 20;
    let truncate = session.expect("conversation.item.truncate").await;
    assert_eq!((&truncate["item_id"], &truncate["content_index"]), (&json!("item_1"), &json!(0)));
    let end = ms(&truncate["audio_end_ms"]);
    assert!((end - heard).abs() <= 20, "truncated to {end} ms, heard {heard} ms");

    // Late audio of that item is nobody's; the next answer is heard, and nothing but it.
    let cleared = phone.position();
    session.audio_delta("resp_1", "item_1", &pcm(400.0, 500));
    session.audio_done("resp_1", "item_1");
    session.response_done("resp_1", "item_1", "cancelled");
    session.turn_over("item_u1");
    session.answer(2, &pcm(1_500.0, 200), &[9_600]);
    assert_eq!(phone.expect("mark").await["mark"], "item_2");
    let after = phone.frames_between(cleared, phone.position());
    assert_eq!(after.len(), 10, "200 ms: {}", phone.summary());
    let samples = sound::decode(LineCodec::Pcmu, &after.concat());
    assert!(sound::amplitude(&samples, 1_500.0) > 7_000.0 && sound::amplitude(&samples, 400.0) < 300.0);

    // An answer that was heard wholly needs no word to the model; the next thing it hears is the key.
    session.speech_started("item_u2");
    phone.expect("clear").await;
    session.turn_over("item_u2");
    session.answer(3, &pcm(400.0, 200), &[9_600]);
    assert_eq!(phone.expect("mark").await["mark"], "item_3");
    phone.send(json!({"type": "dtmf", "digit": "#"}));
    let item = session.expect("conversation.item.create").await;
    assert_eq!(item["item"]["role"], "user");
    let call = service.call("c-1").await;
    assert_eq!((&call["model"]["interruptions"], &call["down"]["underruns"]), (&json!(1), &json!(0)), "{call:#}");
}

#[tokio::test]
async fn what_was_not_heard_at_all_is_deleted() {
    let (_service, _model, mut phone, mut session) = call(&[]).await;
    session.answer(1, &pcm(400.0, 800), &[24_000]);
    session.begin_answer(2, &pcm(900.0, 1_000), &[24_000]);
    phone.frames(15).await;
    session.speech_started("item_u1");
    phone.expect("clear").await;
    let heard = phone.all_frames().len() as i64 * 20;
    let mut events = [session.event().await, session.event().await];
    events.sort_by_key(|event| event["type"].as_str().unwrap().to_owned());
    let [delete, truncate] = events;
    assert_eq!((&delete["type"], &delete["item_id"]), (&json!("conversation.item.delete"), &json!("item_2")));
    assert_eq!((&truncate["type"], &truncate["item_id"]), (&json!("conversation.item.truncate"), &json!("item_1")));
    assert!((ms(&truncate["audio_end_ms"]) - heard).abs() <= 20, "{truncate}, heard {heard} ms");
}

#[tokio::test]
async fn a_peer_that_answers_marks_late_has_heard_less() {
    let (_service, _model, mut phone, mut session) = call(&[]).await;
    session.answer(1, &pcm(400.0, 200), &[24_000]);
    let mark = phone.expect("mark").await["mark"].clone();
    // This peer plays 400 ms later than it takes: that is how late its answer is.
    let marked = phone.log[phone.position() - 1].0;
    tokio::time::sleep(Duration::from_millis(400)).await;
    phone.send(json!({"type": "played", "mark": "unknown"}));
    phone.send(json!({"type": "played", "mark": mark}));
    let lag = marked.elapsed().as_millis() as i64;
    phone.send(json!({"type": "played", "mark": mark}));
    let before = phone.all_frames().len();
    session.begin_answer(2, &pcm(900.0, 3_000), &[24_000]);
    phone.frames(45).await;
    session.speech_started("item_u1");
    phone.expect("clear").await;
    let taken = (phone.all_frames().len() - before) as i64 * 20;
    let truncate = session.expect("conversation.item.truncate").await;
    let end = ms(&truncate["audio_end_ms"]);
    assert_eq!(truncate["item_id"], "item_2");
    let off = (taken - lag - end).abs();
    assert!(off <= 140, "took {taken} ms, plays {lag} ms later, truncated to {end} ms");
    // Answers to a mark that the clear flushed are stale.
    phone.send(json!({"type": "played", "mark": "item_2"}));
    phone.text("?");
    phone.expect("error").await;
    assert_eq!(phone.kinds(), ["ready", "mark", "clear", "error"]);
}

#[tokio::test]
async fn keys_interrupt_and_become_a_turn_of_the_callers() {
    let (service, _model, mut phone, mut session) = call(&[]).await;
    session.begin_answer(1, &pcm(400.0, 3_000), &[24_000]);
    phone.frames(10).await;
    phone.send(json!({"type": "dtmf", "digit": "1", "durationMs": 80}));
    phone.expect("clear").await;
    let heard = phone.all_frames().len() as i64 * 20;
    let cancel = session.expect("response.cancel").await;
    assert!(cancel["response_id"] == "resp_1" || cancel["response_id"].is_null(), "{cancel}");
    let truncate = session.expect("conversation.item.truncate").await;
    assert!((ms(&truncate["audio_end_ms"]) - heard).abs() <= 20, "{truncate}, heard {heard} ms");
    session.response_done("resp_1", "item_1", "cancelled");
    service.call_when("c-1", "ready", |call| call["model"]["state"] == "ready").await;
    phone.send(json!({"type": "dtmf", "digit": "2"}));
    phone.send(json!({"type": "dtmf", "digit": "*"}));
    phone.send(json!({"type": "dtmf", "digit": "#"}));
    let turn = session.expect("conversation.item.create").await;
    assert_eq!((&turn["item"]["type"], &turn["item"]["role"]), (&json!("message"), &json!("user")));
    let content = &turn["item"]["content"];
    assert_eq!((content.as_array().unwrap().len(), &content[0]["type"]), (1, &json!("input_text")));
    assert!(content[0]["text"].as_str().unwrap().contains("12*"), "{turn}");
    session.expect("response.create").await;
    session.answer(2, &pcm(900.0, 100), &[4_800]);
    phone.expect("mark").await;

    // Without # two seconds of quiet end the collection.
    let pressed = Instant::now();
    phone.send(json!({"type": "dtmf", "digit": "7"}));
    let turn = session.expect("conversation.item.create").await;
    assert!(pressed.elapsed() > Duration::from_millis(1_900), "after {:?}", pressed.elapsed());
    assert!(turn["item"]["content"][0]["text"].as_str().unwrap().contains('7'), "{turn}");
    session.expect("response.create").await;
}

#[tokio::test]
async fn a_caller_who_pauses_is_heard_pausing() {
    let (service, _model, phone, mut session) = call(&[("TRUNKLINE__REALTIME__AUDIO", "pcmu")]).await;
    let spoken = sound::pattern(10 * 160);
    let started = Instant::now();
    phone.speak(spoken.clone(), 160).await.unwrap();
    session.hear(50 * 160).await;
    let took = started.elapsed();
    assert_eq!(session.audio[..1_600], spoken);
    assert!(session.audio[1_600..].iter().all(|byte| *byte == 0xff), "silence follows");
    assert!(took > Duration::from_millis(850) && took < Duration::from_millis(1_800), "in real time, not in {took:?}");
    assert_eq!(service.call("c-1").await["up"]["frames"], 10, "silence is none of the caller's frames");
}

fn text_of(event: &Value) -> (String, String) {
    let item = &event["item"];
    let part = &item["content"][0];
    (item["role"].as_str().unwrap().to_owned(), part["text"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_lost_session_is_replaced_by_one_that_knows_the_conversation() {
    let env =
        [("TRUNKLINE__REALTIME__GREETING", "Say hello."), ("TRUNKLINE__REALTIME__TRANSCRIPTION_MODEL", "whisper-1")];
    let (service, mut model, mut phone, mut session) = call(&env).await;
    let greeting = session.expect("response.create").await;
    assert_eq!(greeting["response"]["instructions"], "Say hello.");
    session.response_created("resp_1");
    session.item_added("resp_1", "item_1");
    session.words("resp_1", "item_1", "Hello, Northgate.");
    session.audio_delta("resp_1", "item_1", &pcm(400.0, 100));
    session.audio_done("resp_1", "item_1");
    session.response_done("resp_1", "item_1", "completed");
    phone.expect("mark").await;
    session.speech_started("item_u1");
    session.turn_over("item_u1");
    session.transcript_of_caller("item_u1", "I need a plumber.");
    session.response_created("resp_2");
    session.item_added("resp_2", "item_2");
    session.words("resp_2", "item_2", "Which street?");
    session.audio_delta("resp_2", "item_2", &pcm(400.0, 100));
    session.audio_done("resp_2", "item_2");
    session.response_done("resp_2", "item_2", "completed");
    phone.expect("mark").await;
    session.close(1011, "keepalive ping timeout");
    let entered = phone.expect("fallback").await;
    assert_eq!(entered["state"], "entered");
    assert!(entered["reason"].as_str().unwrap().contains("1011"), "{entered}");

    let mut session = model.session().await;
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(text_of(&session.expect("conversation.item.create").await));
    }
    let expected = [("assistant", "Hello, Northgate."), ("user", "I need a plumber."), ("assistant", "Which street?")];
    for ((role, text), (known, said)) in expected.iter().zip(&told) {
        assert_eq!((*role, *text), (known.as_str(), said.as_str()));
    }
    assert_eq!(told[3].0, "system");
    assert!(told[3].1.contains("greet"), "{}", told[3].1);
    assert_eq!(phone.expect("fallback").await["state"], "recovered");
    // Nobody waits for an answer: the next thing is the key.
    phone.send(json!({"type": "dtmf", "digit": "#"}));
    assert_eq!(text_of(&session.expect("conversation.item.create").await).0, "user");
    session.expect("response.create").await;
    session.answer(3, &pcm(900.0, 100), &[4_800]);

    // Now the caller waits: the new session takes the word.
    session.speech_started("item_u2");
    session.turn_over("item_u2");
    session.transcript_of_caller("item_u2", "Market Street.");
    service.call_when("c-1", "heard", |call| call["timeline"].to_string().contains("Market Street.")).await;
    session.drop_line();
    let mut session = model.session().await;
    let mut told = Vec::new();
    let create = loop {
        let event = session.event().await;
        if event["type"] != "conversation.item.create" {
            break event;
        }
        told.push(text_of(&event));
    };
    assert_eq!(create["type"], "response.create");
    assert!(create["response"]["instructions"].is_null(), "it does not greet again: {create}");
    assert!(told.contains(&("user".to_owned(), "Market Street.".to_owned())), "{told:?}");
    session.answer(4, &pcm(1_500.0, 200), &[4_800]);
    let call = service.call_when("c-1", "recovered", |call| call["fallback"]["state"] == "idle").await;
    assert_eq!((&call["model"]["reconnects"], &call["fallback"]["entered"]), (&json!(2), &json!(2)), "{call:#}");
    assert_eq!((&call["state"], &call["endReason"]), (&json!("active"), &Value::Null));
}

/// Short recordings of ours, each with a tone of its own.
pub fn short_prompts() -> (String, String) {
    let keepalive: Vec<String> = (0..3)
        .map(|_| sound::write_wav(&scratch("keepalive.wav"), &sound::tone(8_000, 700.0, 300)).display().to_string())
        .collect();
    let goodbye = sound::write_wav(&scratch("goodbye.wav"), &sound::tone(8_000, 1_100.0, 300));
    (keepalive.join(","), goodbye.display().to_string())
}

#[tokio::test]
async fn a_model_that_speaks_another_format_than_asked_is_never_heard() {
    let (keepalive, goodbye) = short_prompts();
    let env =
        [("TRUNKLINE__FALLBACK__PROMPT_FILES", keepalive.as_str()), ("TRUNKLINE__FALLBACK__GOODBYE_FILE", &goodbye)];
    let mut model = Model::start().await;
    let service = Service::with_model(&model.url(), &env).await;
    let mut phone = Phone::dial(&service, "callId=c-1").await;
    let mut session = model.accept().await;
    session.created();
    let mut update = session.expect("session.update").await;
    update["session"]["audio"]["output"]["format"] = json!({"type": "audio/pcmu"});
    session.updated(&update);
    session.answer(1, &sound::pattern(16_000), &[16_000]);
    assert_eq!(phone.expect("fallback").await["state"], "entered");
    assert_eq!(phone.expect("fallback").await["state"], "gave_up");
    assert_eq!(phone.expect("stop").await["reason"], "fallback_exhausted");
    assert_eq!(phone.closed().await, Some(1000));
    let heard = sound::decode(LineCodec::Pcmu, &phone.all_frames().concat());
    assert!(sound::amplitude(&heard, 1_100.0) > 3_000.0, "the goodbye: {}", phone.summary());
    assert!(sound::level(&heard) < 6_500.0, "and no noise");
    assert!(session.audio.is_empty(), "nor was the caller heard");
    assert_eq!(service.ended("c-1").await["fallback"]["state"], "gave_up");
}

#[tokio::test]
async fn a_backup_is_used_when_the_first_address_is_down_or_refuses() {
    let down = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("ws://{}/realtime", down.local_addr().unwrap());
    drop(down);
    let mut model = Model::start().await;
    let backup = model.url();
    let env = [("TRUNKLINE__REALTIME__BACKUP_URLS", backup.as_str())];
    let service = Service::with_model(&nobody, &env).await;
    let mut phone = Phone::dial(&service, "callId=down").await;
    let session = model.session().await;
    session.answer(1, &pcm(400.0, 200), &[4_800]);
    phone.expect("mark").await;

    // A wrong key there is no reason not to try here.
    let refuses = support::process::Sim::start(&["--refuse", "401"]).await;
    let service = Service::with_model(&refuses.url(), &env).await;
    let mut phone = Phone::dial(&service, "callId=refused").await;
    let session = model.session().await;
    session.answer(1, &pcm(400.0, 200), &[4_800]);
    phone.expect("mark").await;
    assert_eq!(service.call("refused").await["state"], "active");
}

#[tokio::test]
async fn a_warm_session_is_ready_before_it_is_needed() {
    let mut model = Model::start().await;
    // One on every worker: which of them gets the call is the kernel's choice.
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let warm = workers.to_string();
    let service = Service::with_model(&model.url(), &[("TRUNKLINE__REALTIME__WARM_SESSIONS", &warm)]).await;
    // Every connection is greeted; the one that answers with its settings carries the call.
    let (sender, mut carriers) = tokio::sync::mpsc::unbounded_channel();
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    tokio::spawn(async move {
        loop {
            let mut session = model.accept().await;
            count.fetch_add(1, Ordering::Relaxed);
            let (accepted, sender) = (Instant::now(), sender.clone());
            tokio::spawn(async move {
                session.created();
                let update = session.expect("session.update").await;
                session.updated(&update);
                let _ = sender.send((accepted, session));
            });
        }
    });
    let spares = |at_least: usize| {
        let opened = Arc::clone(&opened);
        support::within(support::PATIENCE, "a spare session", async move {
            while opened.load(Ordering::Relaxed) < at_least {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    spares(workers).await;
    let dialled = Instant::now();
    let mut phone = Phone::dial(&service, "callId=c-1").await;
    let (accepted, session) = carriers.recv().await.unwrap();
    assert!(accepted < dialled, "the session was there before the call");
    session.answer(1, &pcm(400.0, 200), &[4_800]);
    phone.expect("mark").await;
    assert_eq!(phone.all_frames().len(), 10, "the first reply works");

    // Another takes its place, and takes over when the session dies.
    spares(workers + 1).await;
    let died = Instant::now();
    session.close(1011, "");
    let (accepted, session) = carriers.recv().await.unwrap();
    assert!(accepted < died, "the session was there before it was needed");
    session.answer(2, &pcm(400.0, 200), &[4_800]);
    assert_eq!(phone.expect("fallback").await["state"], "entered");
    assert_eq!(phone.expect("fallback").await["state"], "recovered");
    while phone.expect("mark").await["mark"] != "item_2" {}
}

#[tokio::test]
async fn a_turn_without_an_answer_is_asked_for_again_then_the_session_is_dead() {
    let (service, mut model, mut phone, mut session) =
        call(&[("TRUNKLINE__REALTIME__RESPONSE_TIMEOUT", "500ms")]).await;
    session.speech_started("item_u1");
    session.turn_over("item_u1");
    let asked = Instant::now();
    session.expect("response.create").await;
    assert!(asked.elapsed() > Duration::from_millis(400), "{:?}", asked.elapsed());
    assert_eq!(phone.expect("fallback").await["state"], "entered");
    session.closed().await;
    let mut session = model.session().await;
    assert_eq!(text_of(&session.expect("conversation.item.create").await).0, "system");
    session.expect("response.create").await;
    session.answer(1, &pcm(400.0, 100), &[4_800]);
    assert_eq!(phone.expect("fallback").await["state"], "recovered");
    service.call_when("c-1", "active", |call| call["state"] == "active").await;
}

#[tokio::test]
async fn a_response_longer_than_the_playout_may_hold_is_cancelled_and_counted() {
    let (service, _model, mut phone, mut session) = call(&[("TRUNKLINE__CALLS__PLAYOUT_BUFFER", "1s")]).await;
    session.begin_answer(1, &pcm(400.0, 3_000), &[500 * MS]);
    session.expect("response.cancel").await;
    session.audio_done("resp_1", "item_1");
    session.response_done("resp_1", "item_1", "cancelled");
    session.answer(2, &pcm(1_500.0, 100), &[100 * MS]);
    loop {
        if phone.expect("mark").await["mark"] == "item_2" {
            break;
        }
    }
    let frames = phone.all_frames().len();
    assert!((50..=110).contains(&frames), "what was received before is heard: {frames} frames");
    let call = service.call("c-1").await;
    assert!(call["down"]["dropped"].as_u64().unwrap() > 0, "{call:#}");
    assert_eq!(call["state"], "active");
}
