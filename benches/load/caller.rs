//! One telephone: a frame every 20 ms on an absolute clock, whatever comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::time::{self, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::board::Board;
use crate::carrier::{Carrier, Heard};
use crate::script::{self, Sounds, TICK, Tick};
use crate::tls::{self, Connection};

/// How long the bridge may take over answering a call, and over ending it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where, when and what.
pub struct Order {
    pub bridge: SocketAddr,
    pub carrier: Carrier,
    pub number: u32,
    pub barges: bool,
    pub start: time::Instant,
    pub end: time::Instant,
    /// Hang up after this long and call again.
    pub redial: Option<Duration>,
    pub tls: Option<TlsConnector>,
    pub board: Arc<Board>,
    pub sounds: Arc<Sounds>,
}

/// Calls, speaks until the end, hangs up. Why it was no good, if it was none. A bridge that is full may say so.
pub async fn call(order: Order) -> Result<(), String> {
    time::sleep_until(order.start).await;
    loop {
        let socket = match timeout(PATIENCE, dial(&order)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(Refusal::Full)) => {
                order.board.counts.turned_away.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Ok(Err(Refusal::Failed(why))) => return Err(why),
            Err(_) => return Err("the call was not answered in 10 s".to_owned()),
        };
        let end = order.redial.map_or(order.end, |after| order.end.min(time::Instant::now() + after));
        let mut caller = Caller { socket, heard: order.carrier.ear(), order: &order, answer_ms: None, last: None };
        caller.talk(end).await?;
        timeout(PATIENCE, caller.hang_up()).await.map_err(|_| "no close within 10 s of hanging up".to_owned())?;
        order.board.count(&order.board.counts.calls, 1);
        if time::Instant::now() >= order.end {
            return Ok(());
        }
    }
}

/// Why there is no call.
enum Refusal {
    /// HTTP 503.
    Full,
    Failed(String),
}

async fn dial(order: &Order) -> Result<WebSocketStream<Connection>, Refusal> {
    let failed = |what: &str, error: &dyn std::fmt::Display| Refusal::Failed(format!("{what}: {error}"));
    let socket = tls::connect(order.bridge, order.tls.as_ref()).await.map_err(|error| failed("connect", &error))?;
    // To the WebSocket client encryption is none of its business.
    let url = format!("ws://{}{}", order.bridge, order.carrier.path(order.number));
    let mut socket = match tokio_tungstenite::client_async(url, socket).await {
        Ok((socket, _)) => socket,
        Err(Error::Http(answer)) if answer.status() == 503 => return Err(Refusal::Full),
        Err(error) => return Err(failed("upgrade", &error)),
    };
    for text in order.carrier.greeting(order.number) {
        socket.send(Message::text(text)).await.map_err(|error| failed("greeting", &error))?;
    }
    Ok(socket)
}

struct Caller<'a> {
    order: &'a Order,
    socket: WebSocketStream<Connection>,
    heard: Box<dyn Heard>,
    /// What was heard of the answer to the last turn; `None` once it was interrupted, and before the first.
    answer_ms: Option<u64>,
    /// When the last frame of the answer came.
    last: Option<Instant>,
}

impl Caller<'_> {
    async fn talk(&mut self, end: time::Instant) -> Result<(), String> {
        let started = time::Instant::now();
        let mut due = started;
        let mut clock = Box::pin(time::sleep_until(due));
        for tick in 0_u32.. {
            if due >= end {
                return Ok(());
            }
            clock.as_mut().reset(due);
            loop {
                let answer = self.heard.next();
                tokio::select! {
                    biased;
                    () = &mut clock => break,
                    () = wait(answer), if answer.is_some() => {
                        if let Some(message) = self.heard.due(Instant::now()) {
                            self.socket.send(message).await.map_err(|error| format!("cut off: {error}"))?;
                        }
                    }
                    message = self.socket.next() => self.message(message).await?,
                }
            }
            self.speak(tick, due.into_std()).await?;
            due = started + TICK * (tick + 1);
        }
        Ok(())
    }

    async fn speak(&mut self, tick: u32, due: Instant) -> Result<(), String> {
        let Order { number, board, sounds, carrier, .. } = self.order;
        let now = Instant::now();
        board.ticked(now.saturating_duration_since(due));
        let tick = (tick, script::at(*number, tick, self.order.barges));
        if let Tick::Onset { barge } = tick.1 {
            if !barge && let Some(heard_ms) = self.answer_ms {
                board.completed(heard_ms);
            }
            board.speaks(*number, due, barge);
        }
        let frame = carrier.frame(*number, tick.0, sounds.frame(tick.1));
        self.socket.send(frame).await.map_err(|error| format!("cut off: {error}"))
    }

    async fn message(&mut self, message: Option<Result<Message, Error>>) -> Result<(), String> {
        let now = Instant::now();
        let Order { number, board, .. } = self.order;
        match message {
            Some(Ok(message @ (Message::Binary(_) | Message::Text(_)))) => {
                let Some(event) = self.heard.message(&message, now)? else { return Ok(()) };
                match event {
                    Event::Sound { ms, is_loud: true } => {
                        if board.hears(*number, now) {
                            (self.answer_ms, self.last) = (Some(0), None);
                        }
                        if let Some(heard) = &mut self.answer_ms {
                            *heard += ms;
                        }
                        if let Some(last) = self.last.replace(now) {
                            board.record(&board.measures.spacing, now.saturating_duration_since(last));
                        }
                    }
                    Event::Sound { .. } => {}
                    Event::Clear { unheard_ms } => {
                        let heard_ms = self.answer_ms.unwrap_or_default().saturating_sub(unheard_ms);
                        board.cleared(*number, now, heard_ms);
                        (self.answer_ms, self.last) = (None, None);
                    }
                    Event::Over => return Err("ended by the bridge".to_owned()),
                }
                Ok(())
            }
            Some(Ok(Message::Close(_))) | None => Err("hung up on by the bridge".to_owned()),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(format!("broken line: {error}")),
        }
    }

    async fn hang_up(&mut self) {
        for text in self.order.carrier.farewell(self.order.number) {
            let _ = self.socket.send(Message::text(text)).await;
        }
        if self.order.carrier.closes_itself() {
            let _ = self.socket.close(None).await;
        }
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

/// Waits for a moment, if there is one.
async fn wait(until: Option<Instant>) {
    if let Some(until) = until {
        time::sleep_until(time::Instant::from_std(until)).await;
    }
}

/// What a message of the bridge's is to a caller.
pub enum Event {
    /// So much sound.
    Sound { ms: u64, is_loud: bool },
    /// Forget what is queued; so much of what came was not heard yet.
    Clear { unheard_ms: u64 },
    /// The bridge says goodbye.
    Over,
}

/// A frame as bytes that several messages share.
pub fn binary(frame: &[u8]) -> Message {
    Message::Binary(Bytes::copy_from_slice(frame))
}
