//! The caller's end of a call.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use bytes::Bytes;
use tokio::time::Instant;
use trunkline_actors::link::{LinkAudio, LinkControl, LinkOut, LinkReceiver, Peer, link, link_to};
use trunkline_actors::messages::{AddListener, Attach, CallerAudio, CallerEvent, CallerSays};
use trunkline_actors::vc_stream::VcStreamActor;
use trunkline_call::{CallFacts, CallRecord};
use trunkline_media::LineCodec;

use super::{Bench, now_ms};

/// What came out of a link, with its virtual time.
#[derive(Clone, Default)]
pub struct Heard {
    log: Rc<RefCell<Vec<(u64, LinkOut)>>>,
    over: Rc<Cell<bool>>,
}

impl Heard {
    fn listen(&self, mut receiver: LinkReceiver) {
        let heard = self.clone();
        actix_rt::spawn(async move {
            while let Some(out) = receiver.next().await {
                heard.log.borrow_mut().push((now_ms(), out));
            }
            heard.over.set(true);
        });
    }

    /// The call let go of the link.
    pub fn is_over(&self) -> bool {
        self.over.get()
    }

    pub fn all(&self) -> Vec<(u64, LinkOut)> {
        self.log.borrow().clone()
    }

    /// Frames with their times.
    pub fn frames(&self) -> Vec<(u64, Bytes)> {
        let log = self.log.borrow();
        let frame = |(at, out): &(u64, LinkOut)| match out {
            LinkOut::Audio(LinkAudio::Frame(frame)) => Some((*at, frame.clone())),
            _ => None,
        };
        log.iter().filter_map(frame).collect()
    }

    pub fn frame_count(&self) -> usize {
        let is_frame = |(_, out): &&(u64, LinkOut)| matches!(out, LinkOut::Audio(LinkAudio::Frame(_)));
        self.log.borrow().iter().filter(is_frame).count()
    }

    pub fn payload(&self) -> Vec<u8> {
        self.frames().into_iter().flat_map(|(_, frame)| frame).collect()
    }

    /// Marks with the number of frames before each.
    pub fn marks(&self) -> Vec<(usize, String)> {
        let mut frames = 0;
        let mut marks = Vec::new();
        for (_, out) in self.log.borrow().iter() {
            match out {
                LinkOut::Audio(LinkAudio::Frame(_)) => frames += 1,
                LinkOut::Audio(LinkAudio::Mark(mark)) => marks.push((frames, mark.clone())),
                LinkOut::Control(_) => {}
            }
        }
        marks
    }

    pub fn controls(&self) -> Vec<(u64, LinkControl)> {
        let log = self.log.borrow();
        let control = |(at, out): &(u64, LinkOut)| match out {
            LinkOut::Control(control) => Some((*at, control.clone())),
            LinkOut::Audio(_) => None,
        };
        log.iter().filter_map(control).collect()
    }

    /// Times of the `clear`s.
    pub fn clears(&self) -> Vec<u64> {
        let clear = |(at, control)| matches!(control, LinkControl::Clear { .. }).then_some(at);
        self.controls().into_iter().filter_map(clear).collect()
    }

    /// Fallback states with their times.
    pub fn fallbacks(&self) -> Vec<(u64, &'static str)> {
        let state = |(at, control)| match control {
            LinkControl::Fallback { state, .. } => Some((at, state)),
            _ => None,
        };
        self.controls().into_iter().filter_map(state).collect()
    }

    /// Reason and code of the end.
    pub fn close(&self) -> Option<(Option<&'static str>, u16)> {
        self.controls().into_iter().find_map(|(_, control)| match control {
            LinkControl::Close { stop, code } => Some((stop, code)),
            _ => None,
        })
    }

    /// What was heard, as stretches of one pitch: begin, pitch, frames.
    pub fn stretches(&self) -> Vec<(u64, u32, usize)> {
        let mut stretches: Vec<(u64, u32, usize)> = Vec::new();
        for (at, frame) in self.frames() {
            let pitch = super::sound::pitch(&frame);
            match stretches.last_mut() {
                Some((begin, last, frames)) if *last == pitch && at == *begin + 20 * *frames as u64 => *frames += 1,
                _ => stretches.push((at, pitch, 1)),
            }
        }
        stretches
    }

    pub fn clear_log(&self) {
        self.log.borrow_mut().clear();
    }

    /// Panics unless the frames from the `from`th on are exactly 20 ms apart.
    pub fn assert_even(&self, from: usize) {
        let frames = self.frames();
        for pair in frames[from..].windows(2) {
            assert_eq!(pair[1].0 - pair[0].0, 20, "frames at {} and {}", pair[0].0, pair[1].0);
        }
    }
}

/// How a caller's socket is attached.
#[derive(Clone)]
pub struct Dial {
    pub codec: LineCodec,
    pub peer: Peer,
    pub facts: CallFacts,
    /// Whether the socket takes anything.
    pub reads: bool,
}

impl Default for Dial {
    fn default() -> Self {
        let facts = CallFacts { to: Some("100".to_owned()), ..CallFacts::default() };
        Self { codec: LineCodec::Pcmu, peer: Peer::default(), facts, reads: true }
    }
}

impl Dial {
    pub fn to(number: &str) -> Self {
        Self { facts: CallFacts { to: Some(number.to_owned()), ..CallFacts::default() }, ..Self::default() }
    }

    /// A call that the SIP media application bridged to us.
    pub fn bridged(transaction: &str) -> Self {
        let mut dial = Self::default();
        dial.facts.sma_transaction_id = Some(transaction.to_owned());
        dial
    }

    pub fn unknown() -> Self {
        Self { facts: CallFacts::default(), ..Self::default() }
    }
}

pub struct Caller {
    pub line: Addr<VcStreamActor>,
    pub record: Arc<CallRecord>,
    pub epoch: u64,
    pub heard: Heard,
    /// Kept unread when the socket takes nothing.
    pub unread: Option<LinkReceiver>,
}

impl Caller {
    pub async fn call(bench: &Bench, id: &str) -> Self {
        Self::dial(bench, id, Dial::default()).await
    }

    pub async fn dial(bench: &Bench, id: &str, dial: Dial) -> Self {
        let admission = bench.admit_with(id, dial.codec, dial.facts.sma_transaction_id.clone()).await.unwrap();
        let (sender, receiver) = link_to(dial.peer, dial.codec);
        let heard = Heard::default();
        let mut unread = None;
        if dial.reads {
            heard.listen(receiver);
        } else {
            unread = Some(receiver);
        }
        let attach = Attach { link: sender, facts: dial.facts };
        let epoch = admission.line.send(attach).await.unwrap();
        Self { line: admission.line, record: admission.record, epoch, heard, unread }
    }

    /// Starts to read what was left unread.
    pub fn read(&mut self) {
        if let Some(receiver) = self.unread.take() {
            self.heard.listen(receiver);
        }
    }

    pub async fn listener(&self, codec: LineCodec) -> Heard {
        let (sender, receiver) = link(codec);
        let heard = Heard::default();
        heard.listen(receiver);
        assert!(self.line.send(AddListener { link: sender }).await.unwrap());
        heard
    }

    pub async fn send(&self, payload: Bytes) {
        let audio = CallerAudio { epoch: self.epoch, payload, at: Instant::now() };
        let _ = self.line.send(audio).await;
    }

    /// Speaks in frames of 20 ms, one every 20 ms.
    pub async fn speak(&self, payload: &Bytes) {
        self.speak_in(payload, 20).await;
    }

    /// Speaks in chunks of `ms`, each when it has been said.
    pub async fn speak_in(&self, payload: &Bytes, ms: usize) {
        let began = Instant::now();
        for (n, at) in (0..payload.len()).step_by(ms * 8).enumerate() {
            tokio::time::sleep_until(began + Duration::from_millis((n * ms) as u64)).await;
            self.send(payload.slice(at..payload.len().min(at + ms * 8))).await;
        }
        tokio::time::sleep(Duration::from_millis(ms as u64)).await;
    }

    pub async fn say(&self, event: CallerEvent) {
        let _ = self.line.send(CallerSays { epoch: self.epoch, event }).await;
    }

    pub async fn stop(&self) {
        self.say(CallerEvent::Stop).await;
    }
}
