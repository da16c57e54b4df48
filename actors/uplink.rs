//! From the caller's socket towards the model: re-cutting, the drop-oldest ring, and silence for a caller whose frames stop.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use trunkline_call::{CallRecord, DropPlace};
use trunkline_media::{AudioRing, FRAME_MS, LineCodec, Recutter, g711, level};

use crate::audio_port::AudioPort;
use crate::messages::LineChunk;

const FRAME: Duration = Duration::from_millis(FRAME_MS as u64);
/// Audio late by up to this is jitter: with frames of 20 ms silence begins 60 ms after the last one.
const JITTER: Duration = Duration::from_millis(40);

/// The caller's half of a call.
pub struct Uplink {
    codec: LineCodec,
    record: Arc<CallRecord>,
    next: AudioPort<LineChunk>,
    recut: Recutter,
    ring: AudioRing<LineChunk>,
    scratch: BytesMut,
    silence: Bytes,
    /// When the next frame of silence is due if the caller stays away; `None` before his first frame.
    silence_due: Option<Instant>,
    last_audio: Option<Instant>,
    /// Audio waits here until the route is known.
    open: bool,
}

impl Uplink {
    /// A half that passes frames of `codec` to `next` and keeps at most `buffer` of what it can't pass.
    pub fn new(codec: LineCodec, record: Arc<CallRecord>, next: AudioPort<LineChunk>, buffer: Duration) -> Self {
        Self {
            codec,
            record,
            next,
            recut: Recutter::new(codec),
            ring: AudioRing::new(millis(buffer)),
            scratch: BytesMut::new(),
            silence: Bytes::from(vec![codec.silence(); codec.frame_bytes()]),
            silence_due: None,
            last_audio: None,
            open: false,
        }
    }

    /// The route is known: what waited goes on its way.
    pub fn open(&mut self) {
        self.open = true;
        self.flush();
    }

    /// Audio of any length from a socket that speaks `from`. Returns whole frames of the call's codec, for listeners.
    pub fn caller_audio(&mut self, from: LineCodec, payload: Bytes, at: Instant) -> Bytes {
        let payload = if from == self.codec {
            payload
        } else {
            g711::convert(from, self.codec, &payload, &mut self.scratch);
            self.scratch.split().freeze()
        };
        let frame_bytes = self.codec.frame_bytes();
        let lasts = FRAME.mul_f64(payload.len() as f64 / frame_bytes as f64);
        self.last_audio = Some(at);
        self.silence_due = Some(at + lasts.max(FRAME) + JITTER);
        let whole = if self.recut.pending_bytes() == 0 && payload.len().is_multiple_of(frame_bytes) {
            payload
        } else {
            let scratch = &mut self.scratch;
            self.recut.push(&payload, |frame| scratch.extend_from_slice(frame));
            self.scratch.split().freeze()
        };
        let frames = whole.len() / frame_bytes;
        if frames > 0 {
            self.record.up.add_frames(frames as u64);
            self.record.up.add_peak(level::peak(self.codec, &whole));
            self.pass(whole.clone(), frames as u32, at);
        }
        whole
    }

    /// When [`Self::on_timer`] wants to run.
    pub fn due(&self) -> Option<Instant> {
        self.silence_due
    }

    /// Appends the silence that is due, in real time, so that the model's turn detection sees the pause.
    pub fn on_timer(&mut self, now: Instant) {
        while let Some(due) = self.silence_due
            && due <= now
        {
            self.record.up.add_silence(1);
            self.pass(self.silence.clone(), 1, now);
            // After a stall of ours the caller's own frames will come in a burst: do not lengthen the gap as well.
            self.silence_due = Some(if now - due > JITTER { now + FRAME } else { due + FRAME });
        }
    }

    /// When the caller was last heard.
    pub fn last_audio(&self) -> Option<Instant> {
        self.last_audio
    }

    /// Offers the ring to the transcoder.
    pub fn flush(&mut self) {
        if !self.open {
            self.record.up.set_queued_ms(self.ring.queued_ms());
            return;
        }
        while let Some(chunk) = self.ring.pop() {
            if let Err(chunk) = self.next.push(chunk) {
                let ms = chunk.frames * FRAME_MS;
                self.ring.push_front(chunk, ms);
                break;
            }
        }
    }

    fn pass(&mut self, payload: Bytes, frames: u32, at: Instant) {
        let dropped = self.ring.push(LineChunk { payload, frames, at }, frames * FRAME_MS);
        if dropped > 0 {
            self.record.up.add_dropped_ms(DropPlace::VcRing, dropped);
        }
        self.flush();
    }
}

/// Whole milliseconds of a duration.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
