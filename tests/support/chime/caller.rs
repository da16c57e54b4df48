use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::super::{PATIENCE, within};
use super::timeline::Timeline;

/// A frame of PCMU: 20 ms.
const FRAME: usize = 160;

/// What a caller heard, with the times.
#[derive(Default)]
pub struct Heard {
    /// By the media socket.
    pub frames: Vec<(Instant, Bytes)>,
    /// From when to when the SIP media application spoke.
    pub speech: Vec<(Instant, Instant)>,
    /// What the gateway was told, by leg.
    pub texts: Vec<(Instant, usize, Value)>,
    /// Legs that ended, with the close code.
    pub closed: Vec<(Instant, usize, Option<u16>)>,
}

impl Heard {
    /// When the message `kind` number `number` (from 0) came, and what it said.
    pub fn text(&self, kind: &str, number: usize) -> Option<(Instant, Value)> {
        let mut texts = self.texts.iter().filter(|(_, _, text)| text["type"] == kind);
        texts.nth(number).map(|(at, _, text)| (*at, text.clone()))
    }

    /// When the fallback came to a state, for the `number`th time.
    pub fn fallback(&self, state: &str, number: usize) -> Option<Instant> {
        let mut texts = self.texts.iter().filter(|(_, _, text)| text["type"] == "fallback" && text["state"] == state);
        texts.nth(number).map(|(at, ..)| *at)
    }

    /// Without the sounds.
    pub fn summary(&self) -> String {
        let texts: Vec<String> = self.texts.iter().map(|(_, leg, text)| format!("{leg}: {text}")).collect();
        format!(
            "{} frames, {} times spoken to, told [{}], closed {:?}",
            self.frames.len(),
            self.speech.len(),
            texts.join(", "),
            self.closed.iter().map(|(_, leg, code)| (leg, code)).collect::<Vec<_>>()
        )
    }
}

/// A caller's ear: one, whoever speaks and by whichever leg.
#[derive(Clone, Default)]
pub struct Ear(Arc<(Mutex<Heard>, Notify)>);

impl Ear {
    pub(super) fn put(&self, put: impl FnOnce(&mut Heard)) {
        put(&mut self.0.0.lock().unwrap());
        self.0.1.notify_waiters();
    }

    pub fn look<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.0.0.lock().unwrap())
    }

    /// Waits until `find` finds something.
    pub async fn when<T>(&self, what: &str, find: impl FnMut(&Heard) -> Option<T>) -> T {
        self.when_within(PATIENCE, what, find).await
    }

    pub async fn when_within<T>(&self, limit: Duration, what: &str, mut find: impl FnMut(&Heard) -> Option<T>) -> T {
        let deadline = Instant::now() + limit;
        loop {
            let news = self.0.1.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if let Some(found) = self.look(&mut find) {
                return found;
            }
            if tokio::time::timeout_at(deadline, news).await.is_err() {
                panic!("waited {limit:?} in vain for {what}; heard: {}", self.look(Heard::summary));
            }
        }
    }

    pub fn timeline(&self) -> Timeline {
        self.look(Timeline::of)
    }
}

/// A caller's mouth: a frame every 20 ms to whichever leg there is, of speech or of silence.
#[derive(Clone)]
pub struct Mouth(Arc<Mutex<Mouthful>>);

struct Mouthful {
    leg: Option<mpsc::UnboundedSender<Message>>,
    frames: VecDeque<Bytes>,
    /// Begins anew when all is said.
    again: Vec<Bytes>,
    /// Frames that left late, and by how much: whatever is late then is this machine's fault.
    late: Vec<(Instant, Duration)>,
}

impl Mouth {
    fn open() -> Self {
        let mouth = Mouthful { leg: None, frames: VecDeque::new(), again: Vec::new(), late: Vec::new() };
        let mouth = Arc::new(Mutex::new(mouth));
        let weak = Arc::downgrade(&mouth);
        tokio::spawn(async move {
            let mut clock = tokio::time::interval(Duration::from_millis(20));
            clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
            loop {
                let due = clock.tick().await;
                let Some(mouth) = weak.upgrade() else { return };
                mouth.lock().unwrap().tick(due);
            }
        });
        Self(mouth)
    }

    /// Says this once, after what is being said.
    pub fn say(&self, payload: &[u8]) {
        self.0.lock().unwrap().frames.extend(frames(payload));
    }

    /// Says this again and again.
    pub fn keep_saying(&self, payload: &[u8]) {
        self.0.lock().unwrap().again = frames(payload).collect();
    }

    /// Says no more.
    pub fn hush(&self) {
        let mut mouth = self.0.lock().unwrap();
        mouth.again.clear();
        mouth.frames.clear();
    }

    /// Into which leg is spoken.
    pub fn speak_into(&self, leg: Option<&Leg>) {
        self.0.lock().unwrap().leg = leg.map(|leg| leg.out.clone());
    }

    /// By how much this machine was late between two moments, at worst.
    pub fn lateness(&self, from: Instant, to: Instant) -> Duration {
        let mouth = self.0.lock().unwrap();
        let late = mouth.late.iter().filter(|(at, late)| *at >= from && *at - *late <= to).map(|(_, late)| *late);
        late.max().unwrap_or_default()
    }
}

impl Mouthful {
    fn tick(&mut self, due: Instant) {
        let now = Instant::now();
        if now - due > Duration::from_millis(20) {
            self.late.push((now, now - due));
        }
        if self.frames.is_empty() {
            self.frames.extend(self.again.iter().cloned());
        }
        let frame = self.frames.pop_front().unwrap_or_else(|| Bytes::from_static(&[0xff; FRAME]));
        if let Some(leg) = &self.leg {
            let _ = leg.send(Message::Binary(frame));
        }
    }
}

fn frames(payload: &[u8]) -> impl Iterator<Item = Bytes> + '_ {
    payload.chunks_exact(FRAME).map(Bytes::copy_from_slice)
}

/// Somebody on the telephone.
#[derive(Clone)]
pub struct Caller {
    pub ear: Ear,
    pub mouth: Mouth,
}

impl Caller {
    pub fn new() -> Self {
        Self { ear: Ear::default(), mouth: Mouth::open() }
    }
}

/// Why there is no media socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLeg {
    /// Refused with that HTTP status.
    Refused(u16),
    /// Nobody listens.
    Unreachable,
}

/// A gateway's media socket to `/ingest`. Closed without a word when dropped.
pub struct Leg {
    out: mpsc::UnboundedSender<Message>,
    tasks: [JoinHandle<()>; 2],
}

impl Leg {
    /// Leg `number` of `caller`'s. It answers marks if `answers`. `ended` is called once, unless the leg is dropped before.
    pub async fn open(
        media: SocketAddr,
        query: &str,
        caller: &Caller,
        (number, answers): (usize, bool),
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Self, NoLeg> {
        let Ok(socket) = TcpStream::connect(media).await else { return Err(NoLeg::Unreachable) };
        socket.set_nodelay(true).unwrap();
        let url = format!("ws://{media}/ingest?{query}");
        let socket = match within(PATIENCE, "the upgrade", tokio_tungstenite::client_async(url, socket)).await {
            Ok((socket, _)) => socket,
            Err(Error::Http(answer)) => return Err(NoLeg::Refused(answer.status().as_u16())),
            Err(_) => return Err(NoLeg::Unreachable),
        };
        let (mut sink, mut stream) = socket.split();
        let (out, mut outbox) = mpsc::unbounded_channel::<Message>();
        let writer = tokio::spawn(async move {
            while let Some(message) = outbox.recv().await {
                if sink.send(message).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        });
        let (ear, back) = (caller.ear.clone(), out.clone());
        let reader = tokio::spawn(async move {
            let mut code = None;
            while let Some(Ok(message)) = stream.next().await {
                let now = Instant::now();
                match message {
                    Message::Binary(frame) => ear.put(|heard| heard.frames.push((now, frame))),
                    Message::Text(text) => {
                        let text: Value = serde_json::from_str(&text).unwrap();
                        if answers && text["type"] == "mark" {
                            let _ = back.send(played(&text["mark"]));
                        }
                        ear.put(|heard| heard.texts.push((now, number, text)));
                    }
                    Message::Close(frame) => code = frame.map(|frame| u16::from(frame.code)),
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                }
            }
            ear.put(|heard| heard.closed.push((Instant::now(), number, code)));
            ended();
        });
        let leg = Self { out, tasks: [reader, writer] };
        caller.mouth.speak_into(Some(&leg));
        Ok(leg)
    }

    pub fn send(&self, message: &Value) {
        let _ = self.out.send(Message::Text(message.to_string().into()));
    }

    /// Waits until the service has closed.
    pub async fn closed(mut self) {
        within(PATIENCE, "the service to close a media socket", &mut self.tasks[0]).await.unwrap();
    }

    /// The caller's side hangs up.
    pub fn stop(&self) {
        self.send(&json!({"type": "stop"}));
    }
}

fn played(mark: &Value) -> Message {
    Message::Text(json!({"type": "played", "mark": mark}).to_string().into())
}

impl Drop for Leg {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
