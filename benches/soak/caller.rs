//! One telephone: a frame every 20 ms on an absolute clock, whatever comes back.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use trunkline_media::{FRAME_MS, LineCodec, g711};

use crate::measures::{Measures, VERY_LATE};

pub const TICK: Duration = Duration::from_millis(FRAME_MS as u64);
/// How long the service may take over answering a call, and over ending it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Two frames of the same item further apart than this: the caller heard a hole.
const HOLE: Duration = Duration::from_millis(45);
/// RMS of 20 ms, of 32768, above which they are sound: -45 dBFS.
const SOUND_RMS: f64 = 184.0;
/// Frames of sound that make an answer: 200 ms, more than a click.
const ANSWER_FRAMES: u32 = 10;

type Socket = WebSocketStream<TcpStream>;

/// What every caller says, over and over: words, then silence in which to be answered.
#[derive(Clone, Debug)]
pub struct Script {
    /// PCMU, whole frames.
    words: Bytes,
    silence: Bytes,
    turn: u32,
    cycle: u32,
    /// Answers come while the caller still speaks (echo).
    echo: bool,
}

impl Script {
    /// `words` in PCMU, cut to `longest`. A parrot takes as long as the caller; 2 s more for it to notice the end of the turn.
    pub fn new(words: &[u8], longest: Duration, echo: bool) -> Self {
        let frame = LineCodec::Pcmu.frame_bytes();
        let most = usize::try_from(longest.as_millis()).unwrap_or(usize::MAX) / TICK.as_millis() as usize;
        let turn = (words.len() / frame).min(most).max(1);
        let words = Bytes::copy_from_slice(words.get(..turn * frame).unwrap_or_default());
        let turn = u32::try_from(turn).unwrap_or(u32::MAX);
        let silence = Bytes::from(vec![LineCodec::Pcmu.silence(); frame]);
        Self { words, silence, turn, cycle: 2 * turn + 100, echo }
    }

    pub fn turn(&self) -> Duration {
        TICK * self.turn
    }

    pub fn cycle(&self) -> Duration {
        TICK * self.cycle
    }

    fn frame(&self, tick: u32) -> Bytes {
        let frame = self.silence.len();
        let at = (tick % self.cycle) as usize * frame;
        if at < self.words.len() { self.words.slice(at..at + frame) } else { self.silence.clone() }
    }

    /// Whether sound heard at this tick is an answer to the words of its cycle.
    fn is_answer(&self, tick: u32) -> bool {
        self.echo || tick % self.cycle > self.turn
    }
}

/// Where, when and what.
pub struct Order {
    pub media: SocketAddr,
    pub call_id: String,
    pub number: &'static str,
    pub script: Script,
    pub start: Instant,
    pub end: Instant,
    pub measures: Arc<Measures>,
}

/// What one caller saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub call_id: String,
    pub sent: u64,
    pub received: u64,
    /// Turns whose words were all said.
    pub turns: u32,
    /// Turns after which at least 200 ms of sound came.
    pub answered: u32,
    /// Items that came to their end.
    pub marks: u64,
    pub clears: u64,
    /// Outages the caller was told of.
    pub fallbacks: u64,
    /// Gaps over 45 ms within an item: when they ended, and how long they were.
    pub holes: Vec<(Instant, Duration)>,
    /// Why the call was no good.
    pub failure: Option<String>,
}

/// Calls, speaks until the end, hangs up.
pub async fn call(order: Order) -> Seen {
    let mut seen = Seen { call_id: order.call_id.clone(), ..Seen::default() };
    sleep_until(order.start).await;
    let socket = match timeout(PATIENCE, dial(&order)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(what)) => return Seen { failure: Some(what), ..seen },
        Err(_) => return Seen { failure: Some("the call was not answered in 10 s".to_owned()), ..seen },
    };
    let (sink, stream) = socket.split();
    let heard = Rc::new(RefCell::new(Heard::default()));
    let started = Instant::now();
    let ear =
        Ear { started, script: order.script.clone(), measures: Arc::clone(&order.measures), heard: Rc::clone(&heard) };
    let listener = tokio::task::spawn_local(ear.listen(stream));
    let spoken = speak(sink, started, &order).await;
    heard.borrow_mut().hung_up = true;
    let ended = timeout(PATIENCE, listener).await;
    let heard = heard.take();
    seen.sent = spoken.frames;
    seen.received = heard.frames;
    seen.marks = heard.marks;
    seen.clears = heard.clears;
    seen.fallbacks = heard.fallbacks;
    seen.holes = heard.holes;
    let ticks = u32::try_from(spoken.frames).unwrap_or(u32::MAX);
    seen.turns = (ticks + order.script.cycle - order.script.turn) / order.script.cycle;
    seen.answered =
        u32::try_from(heard.answers.iter().filter(|frames| **frames >= ANSWER_FRAMES).count()).unwrap_or(u32::MAX);
    seen.failure =
        heard.failure.or(spoken.failure).or(ended.is_err().then(|| "no close within 10 s of hanging up".to_owned()));
    if seen.failure.is_none() && seen.answered == 0 {
        seen.failure = Some(format!("no answer in {} frames", spoken.frames));
    }
    seen
}

async fn dial(order: &Order) -> Result<Socket, String> {
    let Order { media, call_id, number, .. } = order;
    let socket = TcpStream::connect(media).await.map_err(|error| format!("connect: {error}"))?;
    socket.set_nodelay(true).map_err(|error| format!("connect: {error}"))?;
    let url = format!("ws://{media}/ingest?callId={call_id}&to={number}");
    let upgraded = tokio_tungstenite::client_async(url, socket).await;
    Ok(upgraded.map_err(|error| format!("upgrade: {error}"))?.0)
}

#[derive(Default)]
struct Spoken {
    frames: u64,
    failure: Option<String>,
}

/// A frame at every tick, late or not, until the end; then `stop`.
async fn speak(mut sink: SplitSink<Socket, Message>, started: Instant, order: &Order) -> Spoken {
    let mut spoken = Spoken::default();
    let mut free = started;
    for tick in 0_u32.. {
        let due = started + TICK * tick;
        if due >= order.end {
            break;
        }
        sleep_until(due).await;
        let woken = Instant::now();
        // Time that the last frame spent waiting for the service is not our lateness.
        order.measures.ticked(woken.saturating_duration_since(due.max(free)));
        if let Err(error) = sink.send(Message::Binary(order.script.frame(tick))).await {
            spoken.failure = Some(format!("cut off after {} frames: {error}", spoken.frames));
            return spoken;
        }
        free = Instant::now();
        if free - woken > VERY_LATE {
            order.measures.blocked.fetch_add(1, Ordering::Relaxed);
        }
        spoken.frames += 1;
    }
    if let Err(error) = sink.send(Message::Text(r#"{"type":"stop","reason":"soak"}"#.into())).await {
        spoken.failure = Some(format!("cut off at the end: {error}"));
    }
    spoken
}

#[derive(Default)]
struct Heard {
    frames: u64,
    marks: u64,
    clears: u64,
    fallbacks: u64,
    holes: Vec<(Instant, Duration)>,
    /// Frames of sound in answer to each turn.
    answers: Vec<u32>,
    /// The caller has said `stop`: the service may.
    hung_up: bool,
    failure: Option<String>,
}

struct Ear {
    started: Instant,
    script: Script,
    measures: Arc<Measures>,
    heard: Rc<RefCell<Heard>>,
}

impl Ear {
    async fn listen(self, mut stream: SplitStream<Socket>) {
        let mut last = None;
        let mut stopped = false;
        while let Some(message) = stream.next().await {
            match message {
                Ok(Message::Binary(frame)) => last = Some(self.frame(&frame, last)),
                Ok(Message::Text(text)) => {
                    // An item's end or a barge-in: what comes next may come any time.
                    match self.told(&text).as_deref() {
                        Some("mark" | "clear") => last = None,
                        Some("stop") => stopped = true,
                        _ => {}
                    }
                }
                Ok(_) => {}
                Err(_) if stopped => return,
                Err(error) => {
                    self.heard.borrow_mut().failure.get_or_insert(format!("broken line: {error}"));
                    return;
                }
            }
        }
    }

    fn frame(&self, payload: &[u8], last: Option<Instant>) -> Instant {
        let now = Instant::now();
        let mut heard = self.heard.borrow_mut();
        heard.frames += 1;
        if payload.len() != LineCodec::Pcmu.frame_bytes() {
            heard.failure.get_or_insert(format!("a frame of {} bytes", payload.len()));
        }
        if let Some(last) = last {
            let gap = now - last;
            self.measures.spacing.record(gap);
            if gap > HOLE {
                heard.holes.push((now, gap));
            }
        }
        let tick = u32::try_from((now - self.started).as_millis() / TICK.as_millis()).unwrap_or(u32::MAX);
        if self.script.is_answer(tick) && is_sound(payload) {
            let turn = (tick / self.script.cycle) as usize;
            if heard.answers.len() <= turn {
                heard.answers.resize(turn + 1, 0);
            }
            if let Some(frames) = heard.answers.get_mut(turn) {
                *frames += 1;
            }
        }
        now
    }

    /// Type of a text message.
    fn told(&self, text: &str) -> Option<String> {
        let message: Value = serde_json::from_str(text).ok()?;
        let kind = message.get("type")?.as_str()?.to_owned();
        let mut heard = self.heard.borrow_mut();
        match kind.as_str() {
            "mark" => heard.marks += 1,
            "clear" => heard.clears += 1,
            "fallback" if message.get("state").is_some_and(|state| state == "entered") => heard.fallbacks += 1,
            "stop" if !heard.hung_up => _ = heard.failure.get_or_insert(format!("ended by the service: {text}")),
            "error" => _ = heard.failure.get_or_insert(format!("told of an error: {text}")),
            _ => {}
        }
        Some(kind)
    }
}

fn is_sound(payload: &[u8]) -> bool {
    let energy: f64 = payload.iter().map(|code| f64::from(g711::decode_ulaw(*code)).powi(2)).sum();
    !payload.is_empty() && (energy / payload.len() as f64).sqrt() > SOUND_RMS
}
