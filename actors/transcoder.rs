//! Between the line's G.711 and the model's format, both ways. Keeps no audio: what it is given goes on or is dropped and counted.

use actix::{Actor, ActorContext, Addr, Context, Handler, Message, ResponseFuture};
use bytes::BytesMut;
use trunkline_call::DropPlace;
use trunkline_media::{DownTranscoder, FRAME_MS, UpTranscoder};

use crate::audio_port::AudioPort;
use crate::azure_session::AzureSessionActor;
use crate::call_supervisor::Call;
use crate::messages::{EchoAudio, LineChunk, LineSpeech, ModelChunk, ModelSpeech, Role, Shutdown};
use crate::vc_stream::VcStreamActor;

/// The caller hears himself: what goes up comes straight down again. From `VcStreamActor` on an echo route.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SetEcho;

/// See the module.
pub struct TranscoderActor {
    call: Call,
    up: UpTranscoder,
    down: DownTranscoder,
    generation: u64,
    echo: bool,
    session: AudioPort<ModelChunk>,
    echoes: AudioPort<EchoAudio>,
    line: Addr<VcStreamActor>,
    up_buffer: BytesMut,
    down_buffer: BytesMut,
}

impl TranscoderActor {
    /// Between the line's frames and the format of the call's model.
    pub fn new(
        call: Call,
        (up, down): (UpTranscoder, DownTranscoder),
        line: Addr<VcStreamActor>,
        session: &Addr<AzureSessionActor>,
    ) -> Self {
        let full = &call.settings.vitals.full;
        let (session, echoes) = (AudioPort::to(session, &full.session), AudioPort::to(&line, &full.line));
        Self {
            call,
            up,
            down,
            generation: 0,
            echo: false,
            session,
            echoes,
            line,
            up_buffer: BytesMut::new(),
            down_buffer: BytesMut::new(),
        }
    }
}

impl Actor for TranscoderActor {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.call.child_stopped(Role::Transcoder);
    }
}

impl Handler<LineChunk> for TranscoderActor {
    type Result = ();

    fn handle(&mut self, chunk: LineChunk, _: &mut Self::Context) {
        self.up.push(&chunk.payload, &mut self.up_buffer);
        let payload = self.up_buffer.split().freeze();
        let lost = if self.echo {
            self.down.push(&payload, &mut self.down_buffer);
            self.echoes.push(EchoAudio { payload: self.down_buffer.split().freeze() }).is_err()
        } else {
            let ms = chunk.frames * FRAME_MS;
            self.session.push(ModelChunk { payload, ms, at: chunk.at }).is_err()
        };
        if lost {
            self.call.record.up.add_dropped(DropPlace::Mailbox, u64::from(chunk.frames));
        }
    }
}

impl Handler<ModelSpeech> for TranscoderActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, speech: ModelSpeech, _: &mut Self::Context) -> Self::Result {
        if speech.generation < self.generation {
            return Box::pin(std::future::ready(()));
        }
        if speech.generation > self.generation {
            self.generation = speech.generation;
            self.down.reset();
        }
        let end = speech.audio.is_none();
        match &speech.audio {
            Some(audio) => self.down.push(audio, &mut self.down_buffer),
            None => self.down.finish(&mut self.down_buffer),
        }
        let payload = self.down_buffer.split().freeze();
        let to_line = LineSpeech { generation: speech.generation, item: speech.item, payload, end, at: speech.at };
        // Waiting for the line to take it is what keeps one chunk under way and mailboxes near empty.
        let taken = self.line.send(to_line);
        Box::pin(async move {
            // A line that is gone takes the whole call with it; nobody is left to hear this.
            let _ = taken.await;
        })
    }
}

impl Handler<SetEcho> for TranscoderActor {
    type Result = ();

    fn handle(&mut self, _: SetEcho, _: &mut Self::Context) {
        self.echo = true;
    }
}

impl Handler<Shutdown> for TranscoderActor {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// A panic on purpose, to prove that it ends one call alone.
#[cfg(test)]
#[derive(Message)]
#[rtype(result = "()")]
pub struct Panic;

#[cfg(test)]
impl Handler<Panic> for TranscoderActor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("on purpose");
    }
}
