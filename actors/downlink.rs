//! From the model towards the caller's socket: the playout, its marks, and our own prompts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use trunkline_call::{CallRecord, DropPlace};
use trunkline_media::{Due, LineCodec, Playout, g711, level};
use trunkline_realtime::{ItemId, Played};

use crate::link::{LaneError, LinkAudio, LinkControl, LinkSender, Peer};
use crate::messages::Prompt;
use crate::prompts::PromptAudio;

/// A prompt waits this long for the model's last words to be played before it cuts in: the caller is never left alone
/// for 2 s.
const PROMPT_PATIENCE: Duration = Duration::from_millis(1_500);
/// Another voice waits this long for them.
const HUSH_PATIENCE: Duration = Duration::from_millis(700);
/// Marks the peer may still answer.
const MARKS: usize = 64;

/// Whose audio waits to be played.
#[derive(Clone, Debug, PartialEq)]
pub enum Voice {
    /// An item of the model.
    Model(ItemId),
    /// A prompt of ours; the number tells two plays of the same prompt apart.
    Ours(Prompt, u64),
    /// The caller himself (echo route).
    Echo,
}

/// What the fallback wants of the line as soon as it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Play(Prompt),
    /// Another voice will speak.
    Hush,
    /// It speaks already, and what is being said waits for its end.
    Hold,
}

/// The model's half of a call.
pub struct Downlink {
    codec: LineCodec,
    record: Arc<CallRecord>,
    prompts: Arc<PromptAudio>,
    playout: Playout<Voice>,
    link: Option<LinkSender>,
    marks: VecDeque<(String, Voice)>,
    /// The peer answers marks: then an item counts as heard when it says so.
    peer_answers: bool,
    /// Its control lane took nothing any more.
    link_gone: bool,
    /// Granted at that moment whatever is being said.
    wish: Option<(Wish, Instant)>,
    prompt_on_air: Option<Prompt>,
    prompts_played: u64,
    scratch: BytesMut,
}

/// What running the clock brought about; kept and reused, for the clock runs 50 times a second.
#[derive(Debug, Default)]
pub struct Ran {
    /// The frames that were due, for listeners.
    pub frames: Vec<Bytes>,
    /// Items of the model that came to their end.
    pub played: Vec<ItemId>,
    /// A prompt began.
    pub begun: Option<Prompt>,
    /// A prompt came to its end.
    pub finished: Option<Prompt>,
    /// The line fell silent, as the fallback wished.
    pub hushed: bool,
    /// The model's items that a prompt cut off, with what was heard of them.
    pub cut: Vec<Played>,
    /// The link is gone.
    pub link_gone: bool,
}

impl Downlink {
    /// A half that plays frames of `codec`.
    pub fn new(codec: LineCodec, record: Arc<CallRecord>, prompts: Arc<PromptAudio>) -> Self {
        Self {
            codec,
            record,
            prompts,
            playout: Playout::new(codec),
            link: None,
            marks: VecDeque::with_capacity(MARKS),
            peer_answers: false,
            link_gone: false,
            wish: None,
            prompt_on_air: None,
            prompts_played: 0,
            scratch: BytesMut::new(),
        }
    }

    /// A socket takes over; the one before, if any, is returned.
    pub fn attach(&mut self, now: Instant, link: LinkSender) -> Option<LinkSender> {
        let peer = link.peer();
        let before = self.link.replace(link);
        self.peer_answers = peer.answers_marks;
        self.link_gone = false;
        self.playout.set_queue(now.into_std(), peer.lead);
        self.playout.set_fill(now.into_std(), peer.fill);
        self.playout.hold(now.into_std(), false);
        before
    }

    /// The socket is gone: what waits is kept for the next one.
    pub fn detach(&mut self, now: Instant) {
        self.link = None;
        self.playout.hold(now.into_std(), true);
    }

    /// Whether a socket is attached.
    pub fn is_attached(&self) -> bool {
        self.link.is_some()
    }

    /// What the attached socket speaks.
    pub fn link_codec(&self) -> Option<LineCodec> {
        self.link.as_ref().map(LinkSender::codec)
    }

    /// Whom the attached socket speaks with.
    pub fn peer(&self) -> Option<Peer> {
        self.link.as_ref().map(LinkSender::peer)
    }

    /// How long the peer will still be playing what it was sent ahead of time.
    pub fn ahead(&self, now: Instant) -> Duration {
        self.playout.ahead(now.into_std())
    }

    /// Tells the caller's side something; false when its socket is as good as gone.
    pub fn control(&mut self, control: LinkControl) -> bool {
        self.link.as_ref().is_none_or(|link| link.control(control).is_ok())
    }

    /// Audio of the model.
    pub fn speech(&mut self, now: Instant, item: ItemId, payload: Bytes, end: bool) {
        let voice = Voice::Model(item);
        if !payload.is_empty() {
            self.playout.push(now.into_std(), &voice, payload);
        }
        if end {
            self.playout.end(now.into_std(), &voice);
        }
        self.gauge();
    }

    /// The caller's own audio. While he has no socket it is not kept: he would hear himself that much later ever after.
    pub fn echo(&mut self, now: Instant, payload: Bytes) {
        if !self.is_attached() {
            return;
        }
        self.playout.push_live(now.into_std(), &Voice::Echo, payload);
        self.gauge();
    }

    /// Barge-in: empties the playout and tells the peer. What was heard of the model's items, and our prompt if one was on.
    pub fn clear(&mut self, now: Instant) -> (Vec<Played>, Option<Prompt>) {
        let accounts = self.playout.clear(now.into_std());
        self.link_gone |= self.link.as_mut().is_some_and(|link| link.clear().is_err());
        // The accounts are settled. A peer that answers the marks it flushes says nothing about what was heard.
        self.marks.clear();
        self.gauge();
        let played = accounts
            .into_iter()
            .filter_map(|account| match account.item {
                Voice::Model(item) => Some(Played { item, played_ms: account.played_ms }),
                Voice::Ours(..) | Voice::Echo => None,
            })
            .collect();
        (played, self.prompt_on_air.take())
    }

    /// Plays a prompt as soon as the line is free, or after [`PROMPT_PATIENCE`] whatever is on; a goodbye cuts a
    /// keep-alive prompt off at once.
    pub fn play(&mut self, now: Instant, prompt: Prompt) {
        let cuts_in = prompt == Prompt::Goodbye && self.prompt_on_air.is_some();
        self.wish = Some((Wish::Play(prompt), if cuts_in { now } else { now + PROMPT_PATIENCE }));
    }

    /// Falls silent as soon as the line is free, at the latest after [`HUSH_PATIENCE`], or at once. A line without a socket
    /// is free. With `keep` what waits is said after [`Self::release`].
    pub fn hush(&mut self, now: Instant, at_once: bool, keep: bool) {
        let patience = if at_once || !self.is_attached() { now } else { now + HUSH_PATIENCE };
        self.wish = Some((if keep { Wish::Hold } else { Wish::Hush }, patience));
    }

    /// The line may speak again.
    pub fn release(&mut self, now: Instant) {
        self.wish.take_if(|(wish, _)| !matches!(wish, Wish::Play(_)));
        self.playout.hush(now.into_std(), false);
    }

    /// Whether the peer may still answer a mark of the model's.
    pub fn awaits_answers(&self) -> bool {
        self.marks.iter().any(|(_, voice)| matches!(voice, Voice::Model(_)))
    }

    /// Whether nothing waits to be played.
    pub fn is_idle(&self) -> bool {
        self.playout.is_idle()
    }

    /// No further prompt; the one on the air may end its sentence. Returns the one that waited.
    pub fn forget_prompt(&mut self) -> Option<Prompt> {
        match self.wish {
            Some((Wish::Play(prompt), _)) => {
                self.wish = None;
                Some(prompt)
            }
            _ => None,
        }
    }

    /// The peer has heard everything before that mark. Gives the model's items among it.
    pub fn peer_played(&mut self, now: Instant, mark: &str) -> Vec<ItemId> {
        let Some(at) = self.marks.iter().position(|(name, _)| name == mark) else { return Vec::new() };
        self.peer_answers = true;
        if let Some((_, voice)) = self.marks.get(at) {
            self.playout.peer_played(now.into_std(), voice);
        }
        let heard = self.marks.drain(..=at);
        heard.filter_map(|(_, voice)| if let Voice::Model(item) = voice { Some(item) } else { None }).collect()
    }

    /// Counts audio that there is no room for.
    pub fn count_too_much(&self, payload: &Bytes) {
        let frames = payload.len().div_ceil(self.codec.frame_bytes());
        self.record.down.add_dropped(DropPlace::PlayoutLimit, frames as u64);
    }

    /// Milliseconds waiting.
    pub fn queued_ms(&self) -> u64 {
        self.playout.queued_ms()
    }

    /// When [`Self::run`] is due.
    pub fn due(&self) -> Option<Instant> {
        let playout = self.playout.next_due().map(Instant::from_std);
        // Without a socket a prompt waits, whatever the time.
        let wish = self.wish.filter(|(wish, _)| self.is_attached() || !matches!(wish, Wish::Play(_)));
        [playout, wish.map(|(_, patience)| patience)].into_iter().flatten().min()
    }

    /// Does what the clock says is due.
    pub fn run(&mut self, now: Instant, ran: &mut Ran) {
        self.grant_wish(now, ran);
        while let Some(due) = self.playout.poll(now.into_std()) {
            match due {
                Due::Frame { payload, .. } | Due::Fill(payload) => {
                    ran.frames.push(payload.clone());
                    self.send_frame(payload, ran);
                }
                Due::Mark(voice) => self.finish(voice, ran),
            }
        }
        // The line may just have fallen silent.
        self.grant_wish(now, ran);
        ran.link_gone |= std::mem::take(&mut self.link_gone);
        self.gauge();
    }

    fn grant_wish(&mut self, now: Instant, ran: &mut Ran) {
        let Some((wish, patience)) = self.wish else { return };
        if !self.is_attached() && matches!(wish, Wish::Play(_)) {
            return;
        }
        if !self.playout.is_idle() && wish != Wish::Hold {
            if now < patience {
                return;
            }
            ran.cut.extend(self.clear(now).0);
        }
        self.wish = None;
        let Wish::Play(prompt) = wish else {
            self.playout.hush(now.into_std(), true);
            ran.hushed = true;
            return;
        };
        self.prompt_on_air = Some(prompt);
        ran.begun = Some(prompt);
        self.prompts_played += 1;
        let voice = Voice::Ours(prompt, self.prompts_played);
        self.playout.push(now.into_std(), &voice, self.prompts.payload(prompt, self.codec));
        self.playout.end(now.into_std(), &voice);
    }

    fn send_frame(&mut self, payload: Bytes, ran: &mut Ran) {
        let Some(link) = &self.link else {
            self.playout.refused();
            return;
        };
        let payload = if link.codec() == self.codec {
            payload
        } else {
            g711::convert(self.codec, link.codec(), &payload, &mut self.scratch);
            self.scratch.split().freeze()
        };
        let peak = level::peak(link.codec(), &payload);
        match link.audio(LinkAudio::Frame(payload)) {
            Ok(()) => {
                self.record.down.add_frames(1);
                self.record.down.add_peak(peak);
            }
            Err(error) => {
                self.playout.refused();
                self.record.down.add_dropped(DropPlace::Socket, 1);
                ran.link_gone |= error == LaneError::Gone;
            }
        }
    }

    fn finish(&mut self, voice: Voice, ran: &mut Ran) {
        let name = match &voice {
            Voice::Model(item) => {
                if !self.peer_answers {
                    ran.played.push(item.clone());
                }
                item.to_string()
            }
            Voice::Ours(prompt, serial) => {
                ran.finished = Some(*prompt);
                self.prompt_on_air = None;
                format!("prompt-{serial}")
            }
            Voice::Echo => return,
        };
        if let Some(link) = &self.link
            && link.audio(LinkAudio::Mark(name.clone())).is_ok()
        {
            if self.marks.len() == MARKS {
                self.marks.pop_front();
            }
            self.marks.push_back((name, voice));
        }
    }

    fn gauge(&self) {
        self.record.down.set_queued_ms(self.playout.queued_ms());
        self.record.down.set_underruns(self.playout.underruns());
        self.record.down.set_late_ticks(self.playout.late_ticks());
    }
}
