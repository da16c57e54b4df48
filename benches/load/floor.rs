//! The floor: what a bridge costs that does nothing but carry. One task a call; the same sockets, message sizes, counts and
//! pacing as the service, no parsing beyond finding the payload, no transcoding, no actors. Towards a model of PCM16 each
//! byte of the caller's becomes six (and one of six comes back), which keeps the sizes and loud from quiet, and nothing else.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::thread;

use base64_simd::STANDARD;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::carrier::{Carrier, found};
use crate::script::TICK;
use crate::tls::{self, Certificate, SendStream};

/// 20 ms of PCMU.
const FRAME: usize = 160;
/// Bytes of PCM16 at 24 kHz for one of PCMU.
const WIDENED: usize = 6;

/// What is carried.
#[derive(Clone)]
pub struct Kind {
    pub carrier: Carrier,
    pub widens: bool,
    pub tls: Option<Certificate>,
}

/// Serves calls until the process is told to end; `model` is its Realtime address. A thread for each core, as the service
/// has.
pub fn run(kind: &Kind, model: SocketAddr) -> io::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("listening media {}", listener.local_addr()?);
    let mut threads = Vec::new();
    for _ in 0..thread::available_parallelism()?.get() {
        let listener = listener.try_clone()?;
        let kind = kind.clone();
        threads.push(thread::spawn(move || serve(listener, &kind, model)));
    }
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a thread broke"))??;
    }
    Ok(())
}

fn serve(listener: std::net::TcpListener, kind: &Kind, model: SocketAddr) -> io::Result<()> {
    let tls = kind.tls.as_ref().map(Certificate::acceptor).transpose()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            let (kind, tls) = (kind.clone(), tls.clone());
            tokio::spawn(async move {
                let Ok(socket) = tls::accept(socket, tls.as_ref()).await else { return };
                if let Err(error) = Box::pin(call(socket, kind, model)).await
                    && !matches!(error, Error::ConnectionClosed | Error::Protocol(_))
                {
                    eprintln!("floor: {error}");
                }
            });
        }
    })
}

async fn call(socket: Box<dyn SendStream>, kind: Kind, model: SocketAddr) -> Result<(), Error> {
    let caller = tokio_tungstenite::accept_async(socket).await?;
    let socket = TcpStream::connect(model).await?;
    socket.set_nodelay(true)?;
    let (mut model, _) =
        tokio_tungstenite::client_async(format!("ws://{model}/openai/v1/realtime?model=floor"), socket).await?;
    let format = if kind.widens { r#"{"type":"audio/pcm","rate":24000}"# } else { r#"{"type":"audio/pcmu"}"# };
    let audio = format!(r#"{{"input":{{"format":{format}}},"output":{{"format":{format}}}}}"#);
    let update = format!(r#"{{"type":"session.update","session":{{"type":"realtime","audio":{audio}}}}}"#);
    model.send(Message::text(update)).await?;
    let relay = Relay {
        kind,
        caller,
        model,
        stream: String::new(),
        wide: Vec::new(),
        queue: VecDeque::new(),
        item_ends: false,
    };
    relay.run().await
}

struct Relay {
    kind: Kind,
    caller: WebSocketStream<Box<dyn SendStream>>,
    model: WebSocketStream<TcpStream>,
    /// The carrier's word for this call.
    stream: String,
    wide: Vec<u8>,
    /// What waits to be played.
    queue: VecDeque<u8>,
    item_ends: bool,
}

impl Relay {
    async fn run(mut self) -> Result<(), Error> {
        let mut clock = Box::pin(sleep_until(Instant::now()));
        loop {
            let plays = !self.queue.is_empty();
            tokio::select! {
                biased;
                () = &mut clock, if plays => {
                    self.play().await?;
                    let due = clock.deadline() + TICK;
                    clock.as_mut().reset(due);
                }
                message = self.caller.next() => match message.transpose()? {
                    Some(message) if self.up(&message).await? => {}
                    _ => return self.end().await,
                },
                message = self.model.next() => match message.transpose()? {
                    Some(Message::Text(text)) => {
                        self.down(&text).await?;
                        // The first frame of an answer need not wait for a timer.
                        if !plays && !self.queue.is_empty() {
                            self.play().await?;
                            clock.as_mut().reset(Instant::now() + TICK);
                        }
                    }
                    Some(_) => {}
                    None => return self.end().await,
                },
            }
        }
    }

    /// False when the caller is done.
    async fn up(&mut self, message: &Message) -> Result<bool, Error> {
        let append = match (message, self.kind.carrier) {
            (Message::Binary(frame), Carrier::Native) => self.append(frame),
            (Message::Text(text), Carrier::Twilio) => match found(text, "\"payload\"") {
                Some(payload) if !self.kind.widens => append(payload),
                Some(payload) => {
                    let frame = STANDARD.decode_to_vec(payload).unwrap_or_default();
                    self.append(&frame)
                }
                None => {
                    if let Some(stream) = found(text, "\"streamSid\"") {
                        self.stream = stream.to_owned();
                    }
                    return Ok(!text.contains("\"stop\""));
                }
            },
            (Message::Text(text), Carrier::Native) => return Ok(!text.contains("\"stop\"")),
            (Message::Close(_), _) => return Ok(false),
            _ => return Ok(true),
        };
        self.model.send(Message::text(append)).await?;
        Ok(true)
    }

    fn append(&mut self, frame: &[u8]) -> String {
        if !self.kind.widens {
            return append(&STANDARD.encode_to_string(frame));
        }
        self.wide.clear();
        self.wide.extend(frame.iter().flat_map(|byte| [*byte; WIDENED]));
        append(&STANDARD.encode_to_string(&self.wide))
    }

    async fn down(&mut self, text: &str) -> Result<(), Error> {
        if let Some(delta) = found(text, "\"delta\"") {
            let audio = STANDARD.decode_to_vec(delta).unwrap_or_default();
            let step = if self.kind.widens { WIDENED } else { 1 };
            self.queue.extend(audio.into_iter().skip(step - 1).step_by(step));
        } else if text.contains("\"input_audio_buffer.speech_started\"") {
            self.queue.clear();
            self.item_ends = false;
            let clear = match self.kind.carrier {
                Carrier::Native => r#"{"type":"clear"}"#.to_owned(),
                Carrier::Twilio => format!(r#"{{"event":"clear","streamSid":"{}"}}"#, self.stream),
            };
            self.caller.send(Message::text(clear)).await?;
        } else if text.contains("\"response.output_audio.done\"") {
            self.item_ends = true;
        }
        Ok(())
    }

    async fn play(&mut self) -> Result<(), Error> {
        let frame: Vec<u8> = self.queue.drain(..FRAME.min(self.queue.len())).collect();
        let message = match self.kind.carrier {
            Carrier::Native => Message::binary(frame),
            Carrier::Twilio => Message::text(format!(
                r#"{{"event":"media","streamSid":"{}","media":{{"payload":"{}"}}}}"#,
                self.stream,
                STANDARD.encode_to_string(&frame)
            )),
        };
        self.caller.send(message).await?;
        if self.queue.is_empty() && self.item_ends {
            self.item_ends = false;
            let mark = match self.kind.carrier {
                Carrier::Native => r#"{"type":"mark","mark":"item"}"#.to_owned(),
                Carrier::Twilio => {
                    format!(r#"{{"event":"mark","streamSid":"{}","mark":{{"name":"item"}}}}"#, self.stream)
                }
            };
            self.caller.send(Message::text(mark)).await?;
        }
        Ok(())
    }

    async fn end(mut self) -> Result<(), Error> {
        let _ = self.model.close(None).await;
        let _ = self.caller.close(None).await;
        while self.caller.next().await.transpose()?.is_some() {}
        Ok(())
    }
}

fn append(base64: &str) -> String {
    format!(r#"{{"type":"input_audio_buffer.append","audio":"{base64}"}}"#)
}
