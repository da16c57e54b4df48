//! A session with a clock and a script for its model.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkline_realtime::{Effect, ItemId, Ledger, Loss, Played, Session, SessionProfile, Timing};

/// The samples' sessions end at this moment; ours begin an hour before.
pub const EXPIRES_AT: u64 = 1_795_453_200;

pub struct Rig {
    pub session: Session,
    pub start: Instant,
    pub at_ms: u64,
    /// Whether pings are answered.
    pub pongs: bool,
    out: Vec<Effect>,
    /// Every frame sent, with its time.
    pub sent: Vec<(u64, Value)>,
    /// Everything else, with its time.
    pub effects: Vec<(u64, Effect)>,
}

impl Rig {
    pub fn new(profile: SessionProfile) -> Self {
        Self::with(profile, Timing::default())
    }

    pub fn with(profile: SessionProfile, timing: Timing) -> Self {
        let start = Instant::now();
        let session = Session::new(Arc::new(profile), timing, start);
        Self { session, start, at_ms: 0, pongs: true, out: Vec::new(), sent: Vec::new(), effects: Vec::new() }
    }

    /// Set up and adopted with nothing said so far, at 250 ms.
    pub fn live(profile: SessionProfile) -> Self {
        Self::live_with(profile, Timing::default(), Ledger::default(), false)
    }

    pub fn live_with(profile: SessionProfile, timing: Timing, ledger: Ledger, resume: bool) -> Self {
        let mut rig = Self::configured(profile, timing);
        rig.adopt(ledger, resume);
        rig
    }

    pub fn configured(profile: SessionProfile, timing: Timing) -> Self {
        let asked: Value = serde_json::from_str(&profile.session_update()).unwrap();
        let mut rig = Self::with(profile, timing);
        rig.at(180);
        rig.server(json!({"type":"session.created","session":{"id":"sess_1","expires_at":EXPIRES_AT}}));
        rig.at(250);
        let mut session = asked["session"].clone();
        session["id"] = json!("sess_1");
        session["expires_at"] = json!(EXPIRES_AT);
        rig.server(json!({"type":"session.updated","session":session}));
        assert!(rig.session.is_configured() && !rig.session.is_live());
        rig.clear();
        rig
    }

    pub fn adopt(&mut self, ledger: Ledger, resume: bool) {
        let now = self.now();
        self.session.adopt(now, ledger, resume, &mut self.out);
        self.collect();
        assert!(self.session.is_live());
    }

    pub fn clear(&mut self) {
        self.sent.clear();
        self.effects.clear();
    }

    pub fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.at_ms)
    }

    /// Lets time pass until `ms`, with every timer at its time.
    pub fn at(&mut self, ms: u64) {
        assert!(ms >= self.at_ms, "time does not go back");
        let until = self.start + Duration::from_millis(ms);
        while let Some(due) = self.session.next_timer().filter(|due| *due <= until) {
            self.at_ms = self.at_ms.max(u64::try_from((due - self.start).as_millis()).unwrap());
            self.session.on_timer(due, &mut self.out);
            assert!(self.session.next_timer().is_none_or(|next| next > due), "a timer that stays due");
            self.collect();
        }
        self.at_ms = ms;
    }

    pub fn server(&mut self, event: Value) {
        self.raw(event.to_string().as_bytes());
    }

    pub fn raw(&mut self, text: &[u8]) {
        let unix_ms = EXPIRES_AT * 1_000 - 3_600_000 + self.at_ms;
        self.session.on_text(self.now(), unix_ms, text, &mut self.out);
        self.collect();
    }

    /// Calls the session as its owner would.
    pub fn act(&mut self, act: impl FnOnce(&mut Session, Instant, &mut Vec<Effect>)) {
        let now = self.now();
        act(&mut self.session, now, &mut self.out);
        self.collect();
    }

    pub fn cleared(&mut self, played: &[(&str, u64)]) {
        let played: Vec<Played> =
            played.iter().map(|(item, played_ms)| Played { item: ItemId::new(item), played_ms: *played_ms }).collect();
        self.act(|session, now, out| session.cleared(now, &played, out));
    }

    fn collect(&mut self) {
        for effect in std::mem::take(&mut self.out) {
            match effect {
                Effect::Send(text) => self.sent.push((self.at_ms, serde_json::from_str(&text).unwrap())),
                Effect::Ping if self.pongs => self.session.on_activity(self.now()),
                effect => self.effects.push((self.at_ms, effect)),
            }
        }
    }

    /// What was sent since the last look, without our event ids.
    pub fn take_sent(&mut self) -> Vec<Value> {
        let sent = std::mem::take(&mut self.sent);
        sent.into_iter().map(|(_, event)| plain(event)).collect()
    }

    /// The types of what was sent since the last look.
    pub fn take_types(&mut self) -> Vec<String> {
        self.take_sent().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects).into_iter().map(|(_, effect)| effect).collect()
    }

    /// The loss and when it came.
    pub fn loss(&self) -> Option<(u64, Loss)> {
        let mut dead = self.effects.iter().filter_map(|(at, effect)| match effect {
            Effect::Dead(loss) => Some((*at, loss.clone())),
            _ => None,
        });
        let first = dead.next();
        assert!(dead.next().is_none(), "dead twice");
        first
    }

    pub fn audio_bytes(&self, of: &str) -> usize {
        let bytes = self.effects.iter().filter_map(|(_, effect)| match effect {
            Effect::Audio { item, audio } if item.as_str() == of => Some(audio.len()),
            _ => None,
        });
        bytes.sum()
    }

    // The model's side.

    /// A caller's turn without any answer yet.
    pub fn caller_turn(&mut self, item: &str) {
        self.server(json!({"type":"input_audio_buffer.speech_started","audio_start_ms":0,"item_id":item}));
        self.server(json!({"type":"input_audio_buffer.speech_stopped","audio_end_ms":900,"item_id":item}));
        self.server(json!({"type":"input_audio_buffer.committed","previous_item_id":null,"item_id":item}));
    }

    pub fn transcribed(&mut self, item: &str, words: &str) {
        self.server(json!({
            "type":"conversation.item.input_audio_transcription.completed",
            "item_id":item,"content_index":0,"transcript":words,
        }));
    }

    pub fn response_created(&mut self, id: &str) {
        self.server(json!({"type":"response.created","response":{"id":id,"status":"in_progress","output":[]}}));
    }

    /// `ms` of speech in PCM at 24 kHz.
    pub fn audio(&mut self, response: &str, item: &str, ms: usize) {
        self.audio_of(response, item, &vec![1_u8; ms * 48]);
    }

    pub fn audio_of(&mut self, response: &str, item: &str, bytes: &[u8]) {
        let delta = base64_simd::STANDARD.encode_to_string(bytes);
        self.server(json!({
            "type":"response.output_audio.delta","response_id":response,"item_id":item,
            "output_index":0,"content_index":0,"delta":delta,
        }));
    }

    pub fn words(&mut self, response: &str, item: &str, words: &str) {
        self.server(json!({
            "type":"response.output_audio_transcript.done","response_id":response,"item_id":item,"transcript":words,
        }));
    }

    pub fn audio_done(&mut self, response: &str, item: &str) {
        self.server(json!({"type":"response.output_audio.done","response_id":response,"item_id":item}));
    }

    pub fn done(&mut self, id: &str, status: &str) {
        self.server(json!({"type":"response.done","response":{"id":id,"status":status,"output":[]}}));
    }

    pub fn failed(&mut self, id: &str) {
        self.server(json!({"type":"response.done","response":{"id":id,"status":"failed","output":[],
            "status_details":{"type":"failed","error":{"type":"server_error","code":null,"message":"sorry"}}}}));
    }

    pub fn error(&mut self, code: &str) {
        self.server(json!({"type":"error","error":
            {"type":"invalid_request_error","code":code,"message":"no","param":null,"event_id":null}}));
    }

    /// A whole answer, said and done.
    pub fn answer(&mut self, response: &str, item: &str, words: &str, ms: usize) {
        self.response_created(response);
        self.audio(response, item, ms);
        self.words(response, item, words);
        self.audio_done(response, item);
        self.done(response, "completed");
    }
}

/// Without the `event_id` of ours.
pub fn plain(mut event: Value) -> Value {
    event.as_object_mut().unwrap().remove("event_id");
    event
}

pub fn fixtures(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no samples in {}", folder.display());
    files
}

/// Whether `part` is contained in `whole`: every member with its value, lists in full.
pub fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|found| contains(found, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        _ => whole == part,
    }
}
