//! Whatever the model sends and the owner does, in any order.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_realtime::{Effect, Ledger, SessionProfile, TurnDetection};

use crate::rig::{EXPIRES_AT, Rig, fixtures};

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Event(Value),
    Raw(Vec<u8>),
    Sample(prop::sample::Index),
    Adopt(bool),
    Text,
    Tool(u8, bool),
    Clear(u8, u64),
    Interrupt,
    CancelResponse,
    Heard(u8),
    TakeLedger,
    Close,
}

fn id(kind: &'static str) -> impl Strategy<Value = String> {
    (0..4_u8).prop_map(move |n| format!("{kind}_{n}"))
}

fn status() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["completed", "cancelled", "incomplete", "failed", "odd"]).prop_map(str::to_owned)
}

fn event() -> impl Strategy<Value = Value> {
    let buffer = prop::sample::select(vec!["speech_started", "speech_stopped", "committed", "timeout_triggered"]);
    let code = prop::sample::select(vec![
        "conversation_already_has_active_response",
        "response_cancel_not_active",
        "rate_limit_exceeded",
        "invalid_value",
        "cannot_update_voice",
    ]);
    prop_oneof![
        1 => Just(json!({"type":"session.created","session":{"id":"sess_1","expires_at":EXPIRES_AT}})),
        1 => Just(json!({"type":"session.updated","session":{"id":"sess_1"}})),
        6 => (buffer, id("item_u")).prop_map(|(kind, item)| json!({"type":format!("input_audio_buffer.{kind}"),"item_id":item})),
        4 => id("resp").prop_map(|id| json!({"type":"response.created","response":{"id":id}})),
        4 => (id("resp"), status(), id("item")).prop_map(|(id, status, item)| json!({"type":"response.done","response":
            {"id":id,"status":status,"output":[{"id":item,"type":"message"}]}})),
        6 => (id("resp"), id("item"), prop::collection::vec(any::<u8>(), 0..2_000)).prop_map(|(response, item, bytes)| {
            let delta = base64_simd::STANDARD.encode_to_string(&bytes);
            json!({"type":"response.output_audio.delta","response_id":response,"item_id":item,"delta":delta})
        }),
        2 => (id("resp"), id("item")).prop_map(|(response, item)|
            json!({"type":"response.output_audio.done","response_id":response,"item_id":item})),
        2 => (id("item"), "[a-zé ]{0,20}").prop_map(|(item, words)|
            json!({"type":"response.output_audio_transcript.done","item_id":item,"transcript":words})),
        2 => (id("resp"), id("call")).prop_map(|(response, call)| json!({"type":"response.output_item.done","response_id":response,
            "item":{"id":format!("item_{call}"),"type":"function_call","call_id":call,"name":"t","arguments":"{}"}})),
        1 => code.prop_map(|code| json!({"type":"error","error":{"code":code}})),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::sample::select(vec![1, 20, 300, 600, 2_500, 7_000]).prop_map(Step::Wait),
        30 => event().prop_map(Step::Event),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Raw),
        2 => any::<prop::sample::Index>().prop_map(Step::Sample),
        3 => any::<bool>().prop_map(Step::Adopt),
        3 => Just(Step::Text),
        3 => (0..4_u8, any::<bool>()).prop_map(|(call, respond)| Step::Tool(call, respond)),
        4 => (0..4_u8, 0..60_u64).prop_map(|(item, ms)| Step::Clear(item, ms)),
        1 => Just(Step::Interrupt),
        1 => Just(Step::CancelResponse),
        1 => (0..4_u8).prop_map(Step::Heard),
        1 => Just(Step::TakeLedger),
        1 => Just(Step::Close),
    ]
}

/// What must hold, kept by a second, simpler book.
#[derive(Default)]
struct Book {
    received: HashMap<String, u64>,
    ended: Vec<String>,
    called: Vec<String>,
    asked_at: Option<u64>,
    active: Option<String>,
    dead: bool,
    closed: bool,
}

impl Book {
    fn before(&mut self, event: &Value) {
        let id = || event["response"]["id"].as_str().map(str::to_owned);
        match event["type"].as_str() {
            Some("response.created") => {
                self.asked_at = None;
                self.active = id();
            }
            Some("response.done") => {
                if self.active == id() {
                    self.active = None;
                }
                if event["response"]["status"] == "failed" {
                    self.asked_at = None;
                }
            }
            Some("error") => {
                self.asked_at = None;
                self.active = None;
            }
            _ => {}
        }
    }

    fn check(&mut self, rig: &mut Rig) -> Result<(), TestCaseError> {
        let sent = std::mem::take(&mut rig.sent);
        prop_assert!(!(self.dead || self.closed) || sent.is_empty(), "sent after the end: {:?}", sent);
        for (_, effect) in std::mem::take(&mut rig.effects) {
            let over = self.dead || self.closed;
            prop_assert!(!over || matches!(effect, Effect::Notice { .. }), "{:?} after the end", effect);
            match effect {
                Effect::Dead(_) => self.dead = true,
                Effect::Audio { item, audio } => {
                    prop_assert!(audio.len() % 2 == 0 && !audio.is_empty());
                    prop_assert!(!self.ended.contains(&item.as_str().to_owned()), "audio after the end of its item");
                    *self.received.entry(item.as_str().to_owned()).or_default() += audio.len() as u64;
                }
                Effect::ItemEnded { item } => {
                    prop_assert!(!self.ended.contains(&item.as_str().to_owned()), "ended twice");
                    self.ended.push(item.as_str().to_owned());
                }
                Effect::ToolCall { call_id, .. } => {
                    prop_assert!(!self.called.contains(&call_id), "called twice");
                    self.called.push(call_id);
                }
                _ => {}
            }
        }
        for (at, event) in sent {
            match event["type"].as_str() {
                Some("response.create") => {
                    // The one exception is the retry of a request that was not answered in time.
                    let overdue = self.asked_at.is_none_or(|asked| at >= asked + 6_000);
                    prop_assert!(overdue, "two requests outstanding: {:?} and {}", self.asked_at, at);
                    prop_assert!(self.active.is_none(), "asked while {:?} is active", self.active);
                    self.asked_at = Some(at);
                }
                Some("conversation.item.truncate") => {
                    let ms = event["audio_end_ms"].as_u64();
                    let received = self.received.get(event["item_id"].as_str().unwrap()).copied().unwrap_or(0);
                    prop_assert!(ms.is_some_and(|ms| ms > 0 && ms * 48 <= received), "{} of {} bytes", event, received);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn run(steps: Vec<Step>, profile: SessionProfile, live: bool) -> Result<(), TestCaseError> {
    static SAMPLES: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| fixtures("ga/server"));
    let mut rig = if live { Rig::live(profile) } else { Rig::new(profile) };
    let mut book = Book::default();
    book.check(&mut rig)?;
    for step in steps {
        match step {
            Step::Wait(ms) => rig.at(rig.at_ms + ms),
            Step::Event(event) => {
                // A session that stands by follows no responses.
                if rig.session.is_live() {
                    book.before(&event);
                }
                rig.server(event);
            }
            Step::Raw(bytes) => rig.raw(&bytes),
            Step::Sample(index) => {
                let (_, text) = index.get(&SAMPLES);
                if rig.session.is_live() {
                    book.before(&serde_json::from_slice(text).unwrap());
                }
                rig.raw(text);
            }
            Step::Adopt(resume) => {
                rig.act(|session, now, out| session.adopt(now, Ledger::default(), resume, out));
            }
            Step::Text => rig.act(|session, now, out| session.user_text(now, "1", out)),
            Step::Tool(call, respond) => {
                rig.act(|session, now, out| session.tool_output(now, &format!("call_{call}"), "x", respond, out));
            }
            Step::Clear(item, ms) => rig.cleared(&[(&format!("item_{item}"), ms)]),
            Step::Interrupt => rig.act(|session, now, out| session.interrupt(now, out)),
            Step::CancelResponse => rig.act(|session, _, out| session.cancel_response(out)),
            Step::Heard(item) => rig.session.heard(&trunkline_realtime::ItemId::new(&format!("item_{item}"))),
            Step::TakeLedger => drop(rig.session.take_ledger()),
            Step::Close => {
                let loss = rig.session.on_closed(Some(1006), "");
                prop_assert_eq!(&loss, &rig.session.on_closed(None, "again"), "one loss, told the same each time");
                book.check(&mut rig)?;
                book.closed = true;
            }
        }
        book.check(&mut rig)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hold_in_a_live_session(steps in prop::collection::vec(step(), 1..120), create in any::<bool>(), interrupt in any::<bool>()) {
        let turn_detection = TurnDetection::SemanticVad {
            eagerness: "auto".into(), create_response: create, interrupt_response: interrupt,
        };
        run(steps, SessionProfile { turn_detection, ..SessionProfile::default() }, true)?;
    }

    #[test]
    fn hold_from_the_very_start(steps in prop::collection::vec(step(), 1..120)) {
        run(steps, SessionProfile { greeting: Some("Greet.".into()), ..SessionProfile::default() }, false)?;
    }
}
