//! Those who listen to a call: caller and model mixed on a 20 ms clock of their own.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use trunkline_media::{FRAME_MS, FRAME_SAMPLES, LineCodec, g711, mix};

use crate::link::{LaneError, LinkAudio, LinkControl, LinkSender};

/// Listeners of one call.
const MAX_LISTENERS: usize = 8;
/// Frames of the model that may wait for the mixing clock: 100 ms, to ride out jitter.
const MAX_MODEL: usize = 5;
/// Frames of the caller that may wait: the largest message is 50 of them.
const MAX_CALLER: usize = 55;
/// Once a second the caller's frames that were never needed in all of it are dropped, down to this lead.
const LEAD: usize = 2;
const TICKS_PER_SECOND: u32 = 1_000 / FRAME_MS;
const FRAME: Duration = Duration::from_millis(FRAME_MS as u64);

/// Everybody who listens to one call.
pub struct Listeners {
    codec: LineCodec,
    links: Vec<LinkSender>,
    caller: VecDeque<Bytes>,
    model: VecDeque<Bytes>,
    /// Frames that the caller's side is sent ahead of time: a listener hears them when the caller does.
    ahead: usize,
    due: Option<Instant>,
    /// Ticks of this second, and the fewest frames of the caller that waited at any of them.
    ticks: u32,
    fewest: usize,
    caller_samples: Vec<i16>,
    model_samples: Vec<i16>,
    mixed: Vec<i16>,
}

impl Listeners {
    /// Nobody yet; the call's frames are of `codec`.
    pub fn new(codec: LineCodec) -> Self {
        Self {
            codec,
            links: Vec::new(),
            caller: VecDeque::new(),
            model: VecDeque::new(),
            ahead: 0,
            due: None,
            ticks: 0,
            fewest: usize::MAX,
            caller_samples: Vec::with_capacity(FRAME_SAMPLES),
            model_samples: Vec::with_capacity(FRAME_SAMPLES),
            mixed: Vec::with_capacity(FRAME_SAMPLES),
        }
    }

    /// Lets one in; false when there are enough.
    pub fn add(&mut self, now: Instant, link: LinkSender) -> bool {
        if self.links.len() >= MAX_LISTENERS || link.control(LinkControl::Ready).is_err() {
            return false;
        }
        self.links.push(link);
        self.due.get_or_insert(now + FRAME);
        true
    }

    /// The caller's side is sent audio so long ahead of time.
    pub fn set_lead(&mut self, lead: Duration) {
        self.ahead = usize::try_from(lead.as_millis() / FRAME.as_millis()).unwrap_or_default();
    }

    /// The caller's side throws away what it was sent ahead of time: nobody hears it.
    pub fn clear(&mut self) {
        if self.ahead > 0 {
            self.model.clear();
        }
    }

    /// Whole frames of the caller.
    pub fn caller(&mut self, frames: &Bytes) {
        if self.due.is_some() {
            let frame_bytes = self.codec.frame_bytes();
            for at in (0..frames.len()).step_by(frame_bytes) {
                push_bounded(&mut self.caller, MAX_CALLER, frames.slice(at..(at + frame_bytes).min(frames.len())));
            }
        }
    }

    /// The frame that was just played.
    pub fn model(&mut self, frame: &Bytes) {
        if self.due.is_some() {
            push_bounded(&mut self.model, MAX_MODEL + self.ahead, frame.clone());
        }
    }

    /// When [`Self::run`] is due; `None` while nobody listens.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Mixes and sends the frame that is due. A listener who does not keep up misses frames.
    pub fn run(&mut self, now: Instant) {
        let Some(due) = self.due.filter(|due| *due <= now) else { return };
        // Late by a frame and more: nobody needs a burst of mixed audio.
        self.due = Some(if now - due > FRAME { now + FRAME } else { due + FRAME });
        self.catch_up();
        take(self.codec, &mut self.caller, &mut self.caller_samples);
        take(self.codec, &mut self.model, &mut self.model_samples);
        self.mixed.clear();
        mix(&self.caller_samples, &self.model_samples, &mut self.mixed);
        let mixed = &self.mixed;
        self.links.retain(|link| {
            let mut payload = Vec::with_capacity(link.codec().frame_bytes());
            g711::encode(link.codec(), mixed, &mut payload);
            link.audio(LinkAudio::Frame(payload.into())) != Err(LaneError::Gone)
        });
        if self.links.is_empty() {
            self.due = None;
            self.caller.clear();
            self.model.clear();
        }
    }

    /// A burst leaves a lag behind that nothing else would take away again.
    fn catch_up(&mut self) {
        self.fewest = self.fewest.min(self.caller.len());
        self.ticks += 1;
        if self.ticks == TICKS_PER_SECOND {
            self.caller.drain(..self.fewest.saturating_sub(LEAD));
            (self.ticks, self.fewest) = (0, usize::MAX);
        }
    }

    /// The call is over.
    pub fn close(&mut self, stop: &'static str, code: u16) {
        for link in self.links.drain(..) {
            // A listener whose lane is full finds its socket closed anyway.
            let _ = link.control(LinkControl::Close { stop: Some(stop), code });
        }
        self.due = None;
    }
}

fn push_bounded(queue: &mut VecDeque<Bytes>, most: usize, frame: Bytes) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(frame);
}

/// Decodes the next frame, or 20 ms of silence.
fn take(codec: LineCodec, queue: &mut VecDeque<Bytes>, samples: &mut Vec<i16>) {
    samples.clear();
    if let Some(frame) = queue.pop_front() {
        g711::decode(codec, &frame, samples);
    }
    samples.resize(FRAME_SAMPLES, 0);
}
