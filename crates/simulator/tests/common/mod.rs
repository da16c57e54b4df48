//! A client of one session in virtual time.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkline_simulator::{Dialect, Out, Records, SessionStart, SimOptions, SimSession};

/// Unix time at which every session here is opened.
pub const OPENED: u64 = 1_795_449_600;

pub struct Client {
    pub session: SimSession,
    pub records: Records,
    pub opened: Instant,
    pub now: Instant,
    /// Milliseconds since the session was opened, and the event.
    pub events: Vec<(u64, Value)>,
    /// Everything that was no JSON text: garbage and endings.
    pub others: Vec<(u64, Out)>,
    out: Vec<Out>,
}

impl Client {
    pub fn new(dialect: Dialect, options: SimOptions) -> Self {
        Self::numbered(dialect, options, 1)
    }

    #[expect(clippy::disallowed_methods, reason = "virtual time needs a beginning")]
    pub fn numbered(dialect: Dialect, options: SimOptions, number: u32) -> Self {
        let now = Instant::now();
        let mut out = Vec::new();
        let records = Records::new(100);
        let start = SessionStart { dialect, model: "gpt-realtime".into(), number, beta_header: false };
        let session = SimSession::open(Arc::new(options), records.clone(), start, now, OPENED, &mut out);
        let mut client = Self { session, records, opened: now, now, events: Vec::new(), others: Vec::new(), out };
        client.take();
        client
    }

    pub fn ga(options: SimOptions) -> Self {
        Self::new(Dialect::AzureGa, options)
    }

    fn take(&mut self) {
        let at = (self.now - self.opened).as_millis() as u64;
        for out in std::mem::take(&mut self.out) {
            match &out {
                Out::Text(text) => match serde_json::from_str(text) {
                    Ok(event) => self.events.push((at, event)),
                    Err(_) => self.others.push((at, out)),
                },
                _ => self.others.push((at, out)),
            }
        }
    }

    pub fn send(&mut self, event: Value) {
        self.send_text(&event.to_string());
    }

    pub fn send_text(&mut self, text: &str) {
        self.session.handle_text(self.now, text, &mut self.out);
        self.take();
    }

    /// Lets time pass, stopping at every moment at which the session has something to say.
    pub fn run(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(due) = self.session.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.session.poll(self.now, &mut self.out);
            self.take();
        }
        self.now = until;
    }

    /// Appends in packets of 20 ms, in real time.
    pub fn speak(&mut self, bytes: &[u8], bytes_per_ms: usize) {
        for packet in bytes.chunks(20 * bytes_per_ms) {
            let audio = base64_simd::STANDARD.encode_to_string(packet);
            self.send(json!({"type": "input_audio_buffer.append", "audio": audio}));
            self.run(20);
        }
    }

    /// GA update of everything below `session`.
    pub fn update(&mut self, mut session: Value) {
        session["type"] = json!("realtime");
        self.send(json!({"type": "session.update", "session": session}));
    }

    pub fn user_text(&mut self, text: &str) {
        let content = json!([{"type": "input_text", "text": text}]);
        self.send(json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}));
    }

    pub fn respond(&mut self) {
        self.send(json!({"type": "response.create"}));
    }

    /// Types of all events so far, without the unknown one that comes now and then.
    pub fn types(&self) -> Vec<&str> {
        let types = self.events.iter().map(|(_, event)| event["type"].as_str().unwrap());
        types.filter(|kind| *kind != "response.inference_report").collect()
    }

    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().map(|(_, event)| event).filter(|event| event["type"] == kind).collect()
    }

    pub fn one(&self, kind: &str) -> &Value {
        let found = self.all(kind);
        assert_eq!(found.len(), 1, "{kind} in {:?}", self.types());
        found[0]
    }

    pub fn last(&self, kind: &str) -> &Value {
        self.all(kind).pop().unwrap_or_else(|| panic!("no {kind} in {:?}", self.types()))
    }

    pub fn at(&self, kind: &str) -> u64 {
        self.events.iter().find(|(_, event)| event["type"] == kind).unwrap_or_else(|| panic!("no {kind}")).0
    }

    /// All audio of the deltas of this type, decoded.
    pub fn audio(&self, kind: &str) -> Vec<u8> {
        let deltas = self.all(kind).into_iter();
        deltas
            .flat_map(|event| base64_simd::STANDARD.decode_to_vec(event["delta"].as_str().unwrap()).unwrap())
            .collect()
    }

    pub fn forget(&mut self) {
        self.events.clear();
    }
}

/// One of the recorded sentences at 24 kHz, as bytes. Read by the middle sample of the wanted place: good enough to be heard.
pub fn speech_24k(name: &str) -> Vec<u8> {
    let samples = speech(name);
    let count = samples.len() * 3 / 2;
    (0..count).flat_map(|n| samples[(n * 2 / 3).min(samples.len() - 1)].to_le_bytes()).collect()
}

/// One of the recorded sentences at 16 kHz.
pub fn speech(name: &str) -> Vec<i16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/speech").join(name);
    hound::WavReader::open(path).unwrap().samples::<i16>().map(Result::unwrap).collect()
}

/// A loud tone at 8 kHz in mu-law, as bytes.
pub fn tone_pcmu(ms: usize) -> Vec<u8> {
    let samples: Vec<i16> =
        (0..ms * 8).map(|n| (9_000.0 * (std::f64::consts::TAU * 440.0 * n as f64 / 8_000.0).sin()) as i16).collect();
    let mut bytes = Vec::new();
    trunkline_media::g711::encode(trunkline_media::LineCodec::Pcmu, &samples, &mut bytes);
    bytes
}

pub fn fixture(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
