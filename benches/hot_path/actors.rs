//! Between the actors: one hop, the lane to the caller's socket, and the whole way of a frame.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, System};
use bytes::Bytes;
use criterion::{BatchSize, Criterion};
use futures_util::FutureExt;
use tokio::sync::Notify;
use trunkline_actors::audio_port::AudioPort;
use trunkline_actors::link::{LinkAudio, LinkOut, link};
use trunkline_actors::messages::{CallerAudio, ModelChunk};
use trunkline_media::{FRAME_MS, LineCodec, ModelFormat};

use crate::MODEL_FORMATS;
use crate::path::sound::{line_frame, model_audio};
use crate::path::{Call, Way};

/// One of two actors on one arbiter that throw audio to each other, as those of a call do.
struct Thrower {
    other: AudioPort<ModelChunk>,
    game: Rc<Game>,
}

#[derive(Default)]
struct Game {
    /// Throws that are still to follow.
    left: Cell<u64>,
    over: Notify,
}

impl Actor for Thrower {
    type Context = Context<Self>;
}

impl Handler<ModelChunk> for Thrower {
    type Result = ();

    fn handle(&mut self, chunk: ModelChunk, _: &mut Self::Context) {
        match self.game.left.get().checked_sub(1) {
            Some(left) => {
                self.game.left.set(left);
                assert!(self.other.push(chunk).is_ok(), "there is one chunk in the game");
            }
            None => self.game.over.notify_one(),
        }
    }
}

/// Takes audio and says so.
struct Taker;

impl Actor for Taker {
    type Context = Context<Self>;
}

impl Handler<CallerAudio> for Taker {
    type Result = ();

    fn handle(&mut self, audio: CallerAudio, _: &mut Self::Context) {
        black_box(audio);
    }
}

pub fn hopping(c: &mut Criterion) {
    let system = System::new();
    let mut group = c.benchmark_group("actor hop");
    group.bench_function("audio port", |b| {
        b.iter_custom(|hops| system.block_on(thrown(hops)));
    });
    // As a socket's reader does it, and the model's audio on its way to the line.
    group.bench_function("sent and answered", |b| {
        b.iter_custom(|hops| system.block_on(async { actix_rt::spawn(answered(hops)).await.unwrap() }));
    });
    group.finish();
}

async fn thrown(hops: u64) -> Duration {
    let game = Rc::new(Game::default());
    let first = Thrower::create(|ctx| {
        let second = Thrower { other: AudioPort::to(&ctx.address(), &Arc::default()), game: Rc::clone(&game) }.start();
        Thrower { other: AudioPort::to(&second, &Arc::default()), game: Rc::clone(&game) }
    });
    game.left.set(hops - 1);
    let payload = Bytes::from(model_audio(ModelFormat::Pcm24k, FRAME_MS as usize));
    let chunk = ModelChunk { payload, ms: FRAME_MS, at: tokio::time::Instant::now() };
    let port: AudioPort<ModelChunk> = AudioPort::to(&first, &Arc::default());
    let begun = Instant::now();
    assert!(port.push(chunk).is_ok(), "its mailbox is empty");
    game.over.notified().await;
    begun.elapsed()
}

async fn answered(hops: u64) -> Duration {
    let taker: Addr<Taker> = Taker.start();
    let payload = Bytes::from(line_frame(LineCodec::Pcmu));
    let at = tokio::time::Instant::now();
    let begun = Instant::now();
    for _ in 0..hops {
        taker.send(CallerAudio { epoch: 1, payload: payload.clone(), at }).await.unwrap();
    }
    begun.elapsed()
}

pub fn crossing(c: &mut Criterion) {
    let (sender, mut receiver) = link(LineCodec::Pcmu);
    let frame = Bytes::from(line_frame(LineCodec::Pcmu));
    c.bench_function("link lane hop", |b| {
        b.iter_batched(
            || LinkAudio::Frame(frame.clone()),
            |frame| {
                sender.audio(frame).unwrap();
                let next = receiver.next().now_or_never().flatten();
                assert!(matches!(next, Some(LinkOut::Audio(LinkAudio::Frame(_)))));
                next
            },
            BatchSize::SmallInput,
        );
    });
}

/// What a frame costs from the caller's payload to the event that the model's socket takes, and from the model's delta to
/// the frame that the caller's socket takes.
pub fn whole_way(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole way of 20 ms");
    for format in MODEL_FORMATS {
        for way in Way::ALL {
            let mut call = Call::new(format, way);
            group.bench_function(format!("{format} {way}"), |b| b.iter_custom(|frames| call.carry(frames)));
        }
    }
    group.finish();
}
