//! What waits to be played, when it is due, and what has been played.

mod heard;
mod item;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::playout::heard::Heard;
use crate::playout::item::{Item, Tally};
use crate::{FRAME_MS, LineCodec};

const TICK: Duration = Duration::from_millis(FRAME_MS as u64);

/// The playout of one call: audio in items, an absolute 20 ms clock, and exact accounts. `K` names an item.
///
/// - An idle playout starts with the first whole frame, though never less than 20 ms after the last one sent. From
///   then on frame n is played at start + n * 20 ms, which is its tick.
/// - Audio is due at its tick, or a lead before it for a peer with a queue ([`Playout::set_queue`]); silence at its
///   tick.
/// - A poll that is one whole tick late makes the missed frame up. If it is later, the clock slips by the missed
///   ticks: no burst, nothing lost, [`Playout::late_ticks`] counts them. With a queue a poll is late when the lead is
///   used up, and then the clock slips at once: the peer has been silent meanwhile.
/// - A due tick at which the item playing is unfinished and has no whole frame is an underrun; the clock starts anew
///   when audio comes. With `fill` the clock never stops: silence goes out where nothing plays.
/// - An item is closed by [`Playout::end`] only; items behind an open one wait.
#[derive(Debug)]
pub struct Playout<K: Clone + PartialEq> {
    codec: LineCodec,
    items: VecDeque<Item<K>>,
    heard: Heard<K>,
    silence: Bytes,
    fill: bool,
    /// How long before its tick a frame of audio is sent, to a peer that has a queue.
    queue_lead: Option<Duration>,
    held: bool,
    hushed: bool,
    /// The next tick; `None` while the clock stands.
    next: Option<Instant>,
    /// The tick of the last frame sent.
    last: Option<Instant>,
    /// Serial and bytes of audio of the frame polled last, until its fate is known.
    polled: Option<(u64, u64)>,
    serial: u64,
    queued_bytes: u64,
    underruns: u64,
    late_ticks: u64,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due<K> {
    /// Send this frame.
    Frame {
        /// The item it belongs to.
        item: K,
        /// Exactly [`LineCodec::frame_bytes`] bytes.
        payload: Bytes,
    },
    /// Send this frame of silence: only with fill.
    Fill(Bytes),
    /// The last frame of this item is out.
    Mark(K),
}

/// How far an item got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemAccount<K> {
    /// The item.
    pub item: K,
    /// Milliseconds of it that were heard, rounded down; never more than `received_ms`.
    pub played_ms: u64,
    /// Milliseconds of it that were pushed, rounded down, padding not counted.
    pub received_ms: u64,
    /// Whether it was ended.
    pub ended: bool,
}

impl<K: Clone + PartialEq> Playout<K> {
    /// An empty playout whose clock stands.
    pub fn new(codec: LineCodec) -> Self {
        Self {
            codec,
            items: VecDeque::new(),
            heard: Heard::new(),
            silence: Bytes::from(vec![codec.silence(); codec.frame_bytes()]),
            fill: false,
            queue_lead: None,
            held: false,
            hushed: false,
            next: None,
            last: None,
            polled: None,
            serial: 0,
            queued_bytes: 0,
            underruns: 0,
            late_ticks: 0,
        }
    }

    /// With `on` a frame goes out at every tick, silence where nothing plays.
    pub fn set_fill(&mut self, now: Instant, on: bool) {
        self.fill = on;
        self.set_clock(now);
    }

    /// A peer takes over. One that has a queue is sent audio `lead` before it is to be played: what is late by less
    /// than that leaves no gap there. It plays a frame from its tick on, to the millisecond, so that is how the
    /// accounts are kept. Of one without (`None`) a frame counts as played once it is sent.
    ///
    /// What the peer before had queued is gone with it, and does not count as played.
    pub fn set_queue(&mut self, now: Instant, lead: Option<Duration>) {
        self.queue_lost(now);
        self.peer_emptied(now);
        if lead != self.queue_lead {
            self.queue_lead = lead;
            self.heard.set_queueing(lead.is_some());
        }
    }

    /// How long a peer with a queue will still be playing what it was sent: the lead, the frame after it and the peer's
    /// lag at most. Zero for a peer without.
    pub fn ahead(&self, now: Instant) -> Duration {
        let last = self.last.filter(|_| self.queue_lead.is_some());
        last.map_or(Duration::ZERO, |last| self.heard.played_at(last).saturating_duration_since(now))
    }

    /// Appends line audio of any length to an item; a new key opens a new item behind the others. What does not fill
    /// a frame waits for more, or for the item's end.
    pub fn push(&mut self, now: Instant, item: &K, payload: Bytes) {
        self.supply(now, item, payload, false);
    }

    /// Like [`Playout::push`], for a source that speaks in real time: gaps of an item it opens are no underruns.
    pub fn push_live(&mut self, now: Instant, item: &K, payload: Bytes) {
        self.supply(now, item, payload, true);
    }

    /// No more audio for an item: its last frame is padded with silence. An item without audio still yields its mark,
    /// in its turn. Ending an item twice changes nothing.
    pub fn end(&mut self, now: Instant, item: &K) {
        let known = self.heard.is_done(item) || self.items.iter().any(|open| open.key == *item);
        let was_starved = self.is_starved();
        let codec = self.codec;
        match self.open_item(item) {
            Some(open) => self.queued_bytes += open.end(codec, now) as u64,
            None if known => return,
            None => {
                let mut empty = self.new_item(item);
                empty.end(codec, now);
                self.items.push_back(empty);
            }
        }
        self.supplied(now, was_starved);
    }

    /// When [`Playout::poll`] wants to be called next; may lie in the past. `None`: nothing to do until something is
    /// pushed, ended or released.
    pub fn next_due(&self) -> Option<Instant> {
        if self.held {
            return None;
        }
        let mark = self.items.front().filter(|item| !self.hushed && item.is_over()).and_then(|item| item.ended_at);
        mark.into_iter().chain(self.next.map(|tick| self.due(tick))).min()
    }

    /// What is due; call it until it gives `None`. At most one frame comes for a tick.
    pub fn poll(&mut self, now: Instant) -> Option<Due<K>> {
        if self.held {
            return None;
        }
        let hushed = self.hushed;
        if let Some(item) = self.items.pop_front_if(|item| !hushed && item.is_over()) {
            let played_at = self.last.map_or(now, |tick| tick.max(now));
            self.heard.marked(played_at, item.key.clone(), item.serial, item.tally);
            return Some(Due::Mark(item.key));
        }
        let tick = self.next.filter(|tick| self.due(*tick) <= now)?;
        let missed = whole_ticks(now.saturating_duration_since(tick));
        // One missed tick is made up by the next poll; more would be a burst. A queue ran dry meanwhile.
        let made_up = u32::from(self.queue_lead.is_none());
        let slip = if missed > made_up { missed } else { 0 };
        if !self.is_starved() {
            self.late_ticks += u64::from(slip);
        } else if self.fill {
            self.underruns += u64::from(slip) + 1;
        } else {
            self.underruns += u64::from(missed) + 1;
            self.next = Some(tick + TICK * (missed + 1));
            return None;
        }
        let tick = tick + TICK * slip;
        let frame = self.next_frame(now, tick);
        if frame.is_some() {
            self.last = Some(tick);
        }
        self.next = self.wants_ticks().then_some(tick + TICK);
        frame
    }

    /// The frame polled last was not taken by the socket: it does not count as played, and it is gone, for real time
    /// goes on. Filling silence counts for nothing, whether it was taken or not.
    pub fn refused(&mut self) {
        let Some((serial, audio)) = self.polled.take() else {
            return;
        };
        self.heard.unsent();
        if let Some(tally) = self.tally_mut(serial) {
            tally.played -= audio;
            tally.refused += audio;
        }
    }

    /// The peer answered the mark of `item`: everything up to it was heard, and the time since the mark (with a
    /// queue: since the tick of the frame before it) is the peer's lag, 5 s at most. An unknown or stale answer is
    /// ignored.
    pub fn peer_played(&mut self, now: Instant, item: &K) {
        self.heard.answered(now, item);
    }

    /// Empties the playout, and tells of every item pushed since the last clear that is not known to be wholly heard,
    /// in order. Frames sent within the peer's lag count as unheard; an item without any audio is not told of. What
    /// comes next is due 20 ms after the last frame sent at the earliest, or at once to a peer with a queue, which
    /// is empty then. A later push for one of these keys opens a new item.
    pub fn clear(&mut self, now: Instant) -> Vec<ItemAccount<K>> {
        let per_ms = self.codec.bytes_per_ms() as u64;
        let account = |item: K, tally: Tally, unheard: u64, ended: bool| ItemAccount {
            item,
            played_ms: tally.played.saturating_sub(unheard) / per_ms,
            received_ms: tally.received / per_ms,
            ended,
        };
        let done: Vec<_> = self.heard.drain_open(now).collect();
        let mut accounts = Vec::with_capacity(done.len() + self.items.len());
        for item in done {
            let unheard = self.heard.unheard_of(now, &item);
            accounts.push(account(item.key, item.tally, unheard, true));
        }
        for item in self.items.drain(..) {
            let unheard = self.heard.unheard(now, item.serial);
            accounts.push(account(item.key, item.tally, unheard, item.ended_at.is_some()));
        }
        accounts.retain(|account| account.received_ms > 0);
        self.queued_bytes = 0;
        self.polled = None;
        self.peer_emptied(now);
        if !self.fill {
            self.next = None;
        }
        accounts
    }

    /// Stops the clock while no socket is attached: nothing is due, and nothing is lost but what a peer's queue held,
    /// which does not count as played. On release it starts anew.
    pub fn hold(&mut self, now: Instant, held: bool) {
        if held == self.held {
            return;
        }
        self.held = held;
        self.queue_lost(now);
        self.peer_emptied(now);
        self.next = (!held && self.wants_ticks()).then(|| self.earliest(now));
    }

    /// While hushed nothing that waits is played, and nothing is lost: another voice speaks. With fill, silence goes out.
    pub fn hush(&mut self, now: Instant, hushed: bool) {
        self.hushed = hushed;
        self.set_clock(now);
    }

    /// Milliseconds that wait to be played, the started frame included, rounded up.
    pub fn queued_ms(&self) -> u64 {
        self.queued_bytes.div_ceil(self.codec.bytes_per_ms() as u64)
    }

    /// Whether nothing waits and no item is open.
    pub fn is_idle(&self) -> bool {
        self.items.is_empty()
    }

    /// Due ticks at which an unfinished item had nothing to play, so far.
    pub fn underruns(&self) -> u64 {
        self.underruns
    }

    /// Ticks by which the clock slipped because polls came too late, so far.
    pub fn late_ticks(&self) -> u64 {
        self.late_ticks
    }

    /// When the frame of that tick is sent: audio a lead before it, silence (or nothing) at it.
    fn due(&self, tick: Instant) -> Instant {
        let has_audio = !self.hushed && self.items.iter().find(|item| !item.is_over()).is_some_and(Item::has_frame);
        let lead = self.queue_lead.filter(|_| has_audio).unwrap_or_default();
        tick.checked_sub(lead).unwrap_or(tick)
    }

    /// The peer's queue is gone, if it had one: what it held was refused after all.
    fn queue_lost(&mut self, now: Instant) {
        if self.queue_lead.is_none() {
            return;
        }
        self.polled = None;
        while let Some((serial, audio)) = self.heard.lost(now) {
            if let Some(tally) = self.tally_mut(serial) {
                tally.played -= audio;
                tally.refused += audio;
            }
        }
    }

    /// The peer's queue, if it has one, is empty: the next frame is played as soon as it comes.
    fn peer_emptied(&mut self, now: Instant) {
        if self.queue_lead.is_some() {
            self.last = None;
            self.next = self.next.map(|tick| tick.min(now));
        }
    }

    /// The clock stands if nothing wants a tick, and starts if something does.
    fn set_clock(&mut self, now: Instant) {
        if self.held {
            return;
        }
        if !self.wants_ticks() {
            self.next = None;
        } else if self.next.is_none() {
            self.next = Some(self.earliest(now));
        }
    }

    fn supply(&mut self, now: Instant, key: &K, payload: Bytes, live: bool) {
        let was_starved = self.is_starved();
        self.queued_bytes += payload.len() as u64;
        let codec = self.codec;
        if let Some(open) = self.open_item(key) {
            open.notice_gap(now);
            open.push(codec, payload);
        } else {
            let mut item = self.new_item(key);
            if live {
                item.set_live();
            }
            item.push(codec, payload);
            self.items.push_back(item);
        }
        self.supplied(now, was_starved);
    }

    /// Audio or an end came: the clock may start, and a gap may be over.
    fn supplied(&mut self, now: Instant, was_starved: bool) {
        if self.held || self.fill {
            return;
        }
        if was_starved && !self.is_starved() {
            // Ticks that passed unpolled were underruns too; one at this very moment is served in time.
            if let Some(passed) = self.next.take().map(|tick| now.saturating_duration_since(tick)) {
                self.underruns += passed.as_nanos().div_ceil(TICK.as_nanos()) as u64;
            }
        }
        if self.next.is_none() && self.wants_ticks() {
            self.next = Some(self.earliest(now));
        }
    }

    /// Takes the frame for this tick.
    fn next_frame(&mut self, now: Instant, tick: Instant) -> Option<Due<K>> {
        let codec = self.codec;
        self.polled = None;
        if let Some(item) = self.items.front_mut().filter(|_| !self.hushed)
            && let Some((payload, audio)) = item.pop_frame(codec)
        {
            item.begun = true;
            item.last = Some(tick);
            item.tally.played += audio;
            let (key, serial) = (item.key.clone(), item.serial);
            self.queued_bytes -= payload.len() as u64;
            self.heard.sent(tick.max(now), serial, audio);
            self.polled = Some((serial, audio));
            return Some(Due::Frame { item: key, payload });
        }
        self.fill.then(|| Due::Fill(self.silence.clone()))
    }

    /// Whether the clock has to run: something is to be sent or an underrun to be counted at the next tick.
    fn wants_ticks(&self) -> bool {
        let playing = self.items.iter().find(|item| !item.is_over());
        self.fill || (!self.hushed && playing.is_some_and(|item| item.has_frame() || item.is_starved()))
    }

    fn is_starved(&self) -> bool {
        !self.hushed && self.items.front().is_some_and(Item::is_starved)
    }

    /// When a standing clock may start.
    fn earliest(&self, now: Instant) -> Instant {
        self.last.map_or(now, |last| now.max(last + TICK))
    }

    fn open_item(&mut self, key: &K) -> Option<&mut Item<K>> {
        self.items.iter_mut().rev().find(|item| item.ended_at.is_none() && item.key == *key)
    }

    fn new_item(&mut self, key: &K) -> Item<K> {
        self.serial += 1;
        Item::new(key.clone(), self.serial)
    }

    fn tally_mut(&mut self, serial: u64) -> Option<&mut Tally> {
        let Self { items, heard, .. } = self;
        let open = items.iter_mut().find(|item| item.serial == serial).map(|item| &mut item.tally);
        open.or_else(|| heard.done_mut(serial).map(|item| &mut item.tally))
    }
}

/// Whole ticks in a duration; more than fit a `u32` would be 994 days.
fn whole_ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos() / TICK.as_nanos()).unwrap_or(u32::MAX)
}
