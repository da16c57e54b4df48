//! A model session fed with plausible, late, repeated and senseless events, in virtual time.
#![no_main]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use trunkline_realtime::{Api, Effect, ItemId, Ledger, Played, Session, SessionProfile, Timing};

#[derive(Arbitrary, Debug)]
enum Step {
    Raw(Vec<u8>),
    Created { lives_for_s: u16 },
    Updated { rate: bool },
    SpeechStarted,
    SpeechStopped { item: u8 },
    Committed { item: u8 },
    CallerItem { item: u8, transcript: String },
    ResponseCreated { response: u8 },
    OutputItem { response: u8, item: u8, tool: bool },
    Audio { response: u8, item: u8, bytes: u16 },
    AudioDone { response: u8, item: u8 },
    Transcript { response: u8, item: u8, text: String },
    ToolCall { response: u8, item: u8, arguments: String },
    ResponseDone { response: u8, status: u8 },
    Error { code: u8 },
    Activity,
    Timer,
    Wait { ms: u16 },
    Adopt { keep: bool, resume: bool },
    Cleared { item: u8, played_ms: u16 },
    Interrupt,
    UserText(String),
    ToolOutput { call: u8, respond: bool },
    CancelResponse,
}

#[derive(Arbitrary, Debug)]
struct Input {
    api: u8,
    greeting: bool,
    /// Begin with a session that already carries the call.
    live: bool,
    steps: Vec<Step>,
}

struct Run {
    session: Session,
    ledger: Ledger,
    now: Instant,
    unix_ms: u64,
    dead: bool,
    out: Vec<Effect>,
}

fuzz_target!(|input: Input| {
    let api = [Api::Ga, Api::Preview, Api::VoiceLive][usize::from(input.api) % 3];
    let profile =
        SessionProfile { api, greeting: input.greeting.then(|| "Good day.".to_owned()), ..SessionProfile::default() };
    let now = Instant::now();
    let session = Session::new(Arc::new(profile), Timing::default(), now);
    let ledger = Ledger::default();
    let mut run = Run { session, ledger, now, unix_ms: 1_700_000_000_000, dead: false, out: Vec::new() };
    let opening = [
        Step::Created { lives_for_s: 1_800 },
        Step::Updated { rate: true },
        Step::Adopt { keep: false, resume: false },
    ];
    let opening = if input.live { &opening[..] } else { &[] };
    for step in opening.iter().chain(&input.steps) {
        run.step(step);
        run.check();
    }
});

impl Run {
    fn step(&mut self, step: &Step) {
        if let Some(event) = self.event(step) {
            self.text(event.to_string().as_bytes());
            return;
        }
        let Self { session, now, out, .. } = self;
        match step {
            Step::Raw(text) => self.text(text),
            Step::Activity => session.on_activity(*now),
            Step::Timer => self.timer(),
            Step::Wait { ms } => self.pass(Duration::from_millis((*ms).into())),
            Step::Adopt { keep, resume } => {
                let ledger = if *keep { std::mem::take(&mut self.ledger) } else { Ledger::default() };
                if session.is_configured() && !session.is_live() {
                    session.adopt(*now, ledger, *resume, out);
                }
            }
            Step::Cleared { item, played_ms } => {
                let played = Played { item: ItemId::new(&name("item", *item)), played_ms: (*played_ms).into() };
                session.cleared(*now, &[played], out);
            }
            Step::Interrupt => session.interrupt(*now, out),
            Step::UserText(text) => session.user_text(*now, text, out),
            Step::ToolOutput { call, respond } => {
                session.tool_output(*now, &name("call", *call), "{}", *respond, out);
            }
            Step::CancelResponse => session.cancel_response(out),
            _ => unreachable!("events were handled above"),
        }
    }

    /// The event of the model that this step stands for, if it is one.
    fn event(&self, step: &Step) -> Option<Value> {
        let response_of = |response: &u8| name("resp", *response);
        let item_of = |item: &u8| name("item", *item);
        Some(match step {
            Step::Created { lives_for_s } => json!({"type": "session.created", "session": {
                "id": "sess_1", "expires_at": self.unix_ms / 1000 + u64::from(*lives_for_s)}}),
            Step::Updated { rate } => {
                let format = json!({"type": "audio/pcm", "rate": if *rate { 24_000 } else { 8_000 }});
                json!({"type": "session.updated", "session": {
                    "id": "sess_1",
                    "audio": {"input": {"format": format}, "output": {"format": format}},
                    "input_audio_format": "pcm16", "output_audio_format": "pcm16"}})
            }
            Step::SpeechStarted => json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0}),
            Step::SpeechStopped { item } => {
                json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 0, "item_id": item_of(item)})
            }
            Step::Committed { item } => json!({"type": "input_audio_buffer.committed", "item_id": item_of(item)}),
            Step::CallerItem { item, transcript } => json!({
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": item_of(item), "content_index": 0, "transcript": transcript}),
            Step::ResponseCreated { response } => {
                json!({"type": "response.created", "response": {"id": response_of(response), "status": "in_progress"}})
            }
            Step::OutputItem { response, item, tool } => json!({
                "type": "response.output_item.added", "response_id": response_of(response), "output_index": 0,
                "item": {"id": item_of(item), "type": if *tool { "function_call" } else { "message" },
                    "role": "assistant", "content": []}}),
            Step::Audio { response, item, bytes } => json!({
                "type": "response.output_audio.delta", "response_id": response_of(response), "item_id": item_of(item),
                // 4 characters of base64 are 3 bytes
                "content_index": 0, "delta": "AAAA".repeat(usize::from(*bytes % 4096))}),
            Step::AudioDone { response, item } => json!({
                "type": "response.output_audio.done", "response_id": response_of(response), "item_id": item_of(item)}),
            Step::Transcript { response, item, text } => json!({
                "type": "response.output_audio_transcript.done", "response_id": response_of(response),
                "item_id": item_of(item), "transcript": text}),
            Step::ToolCall { response, item, arguments } => json!({
                "type": "response.function_call_arguments.done", "response_id": response_of(response),
                "item_id": item_of(item), "call_id": name("call", *item), "name": "hang_up", "arguments": arguments}),
            Step::ResponseDone { response, status } => {
                let status = ["completed", "cancelled", "failed", "incomplete", "new"][usize::from(*status) % 5];
                json!({"type": "response.done", "response": {"id": response_of(response), "status": status,
                    "status_details": {"error": {"code": "server_error"}}, "output": []}})
            }
            Step::Error { code } => {
                let codes = [
                    "session_expired",
                    "response_cancel_not_active",
                    "conversation_already_has_active_response",
                    "item_truncate_invalid_item_id",
                    "cannot_update_voice",
                    "server_error",
                ];
                let code = codes[usize::from(*code) % codes.len()];
                json!({"type": "error", "error": {"type": "invalid_request_error", "code": code, "message": ""}})
            }
            _ => return None,
        })
    }

    fn text(&mut self, text: &[u8]) {
        self.session.on_text(self.now, self.unix_ms, text, &mut self.out);
    }

    /// Goes to the next timer, if it lies within an hour, and lets it ring.
    fn timer(&mut self) {
        if let Some(at) = self.session.next_timer() {
            let wait = at.saturating_duration_since(self.now).min(Duration::from_secs(3600));
            self.now += wait;
            self.unix_ms += wait.as_millis() as u64;
            self.session.on_timer(self.now, &mut self.out);
        }
    }

    /// Time passes, with every timer served at its moment. They come to rest.
    fn pass(&mut self, wait: Duration) {
        let until = self.now + wait;
        let mut rings = 0;
        while self.session.next_timer().is_some_and(|at| at <= until) {
            self.timer();
            rings += 1;
            assert!(rings < 10_000, "a timer rings without end");
        }
        self.unix_ms += (until.max(self.now) - self.now).as_millis() as u64;
        self.now = until.max(self.now);
    }

    fn check(&mut self) {
        for effect in self.out.drain(..) {
            assert!(!self.dead, "after its end: {effect:?}");
            match effect {
                Effect::Send(text) => {
                    let sent: Value = serde_json::from_str(&text).expect("what is sent is JSON");
                    assert!(sent["type"].is_string(), "{text}");
                    if sent["type"] == "conversation.item.truncate" {
                        assert!(sent["audio_end_ms"].is_u64(), "{text}");
                    }
                }
                Effect::Audio { audio, .. } => assert_eq!(audio.len() % 2, 0, "half a sample"),
                Effect::Dead(_) => {
                    self.dead = true;
                    self.ledger = self.session.take_ledger();
                }
                _ => {}
            }
        }
    }
}

fn name(kind: &str, number: u8) -> String {
    format!("{kind}_{}", number % 4)
}
