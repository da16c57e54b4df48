//! The buffer that makes an even stream of packets: one frame of 20 ms at every tick.

mod adapt;
mod delay;
mod play;
mod queue;
mod timeline;

use std::time::Instant;

use trunkline_media::{Concealer, LineCodec};

use crate::jitter::adapt::Adaptation;
use crate::jitter::delay::Delay;
use crate::jitter::queue::Queue;
use crate::jitter::timeline::Timeline;
use crate::rtp::{Place, Seen, Sighting, ticks};

/// Packets that wait at most; the oldest gives way.
pub const MAX_PACKETS: usize = 64;
/// Samples of a packet at most: 200 ms, more than one datagram on Ethernet holds.
pub const MAX_SAMPLES: usize = 1_600;

const TICKS_PER_MS: i64 = 8;
/// Ticks, and samples, of a frame.
const FRAME: i64 = 20 * TICKS_PER_MS;
/// Frames are played at least so long after the fastest packets, ...
const MIN_TARGET: i64 = 20 * TICKS_PER_MS;
/// ... and are waited for no longer than that.
const MAX_TARGET: i64 = 200 * TICKS_PER_MS;
/// Sooner than this before its time no packet comes: the sender's clock has jumped.
const TOO_EARLY: i64 = 500 * TICKS_PER_MS;
/// If nothing but packets later than can be waited for came for so long, the sender's clock has jumped.
const LATE_FOR: i64 = 100 * TICKS_PER_MS;
/// A late packet counts as so many: two of them in 10 s are too many.
const LATE_WEIGHT: f32 = 3.0;

/// An adaptive jitter buffer with loss concealment, for G.711 in packets of any length.
///
/// Packets are put in order by sequence number and on a time of their own by timestamp; [`JitterBuffer::pull`] walks
/// along it, 20 ms at each tick. How far it walks behind the fastest packets is its depth, which follows what the packets'
/// delay asks for (20 to 200 ms, 99 % of the packets in time):
///
/// - too little: where audio is missing the walk halts and lets the late packet catch up; where the line is quiet a frame
///   is stretched
/// - too much for half a second: where the line is quiet two frames are played as one; far too much: anywhere, and in the
///   end by a jump. So clocks that differ cost a frame now and then and never more than that.
///
/// A gap in timestamps without one in sequence numbers is silence, any other is loss. A new stream, or timestamps that
/// jump, go on where the last packet ended. In steady state nothing is allocated.
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    codec: LineCodec,
    concealer: Concealer,
    queue: Queue,
    timeline: Option<Timeline>,
    seen: Seen,
    delay: Delay,
    adaptation: Adaptation,
    /// The beginning of time.
    origin: Option<Instant>,
    /// When the first audio came.
    first: Option<i64>,
    /// The next sample to be played; `None` before the first frame.
    cursor: Option<i64>,
    /// Since when nothing but hopelessly late packets came.
    late_since: Option<i64>,
    /// The next sequence number expected to be played, counted from 0, and how many of those before came.
    next: i64,
    came: i64,
    /// A telephone event was the last that was not audio's turn: what is missing now is meant to be.
    in_event: bool,
    /// Something made up was heard last.
    fading: bool,
    frame: Vec<u8>,
    peeked: Vec<u8>,
    stats: JitterStats,
}

/// What is heard in the next 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled<'a> {
    /// Audio that came: [`LineCodec::frame_bytes`] bytes.
    Frame(&'a [u8]),
    /// Audio of which at least a part is made up, as long.
    Concealed(&'a [u8]),
    /// Nothing.
    Silence,
}

/// What became of the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Packets with audio that were pushed.
    pub received: u64,
    /// Of these, packets of which at least a part was played,
    pub played: u64,
    /// that came when their time had passed,
    pub late: u64,
    /// that came before,
    pub duplicate: u64,
    /// that were dropped to catch up, or too long,
    pub dropped: u64,
    /// and that wait.
    pub waiting: u64,
    /// Packets that never came, or have not yet when it was their turn.
    pub lost: u64,
    /// Milliseconds made up in the place of missing audio.
    pub concealed_ms: u64,
    /// Milliseconds put in to gain depth.
    pub stretched_ms: u64,
    /// Milliseconds left out to lose depth.
    pub skipped_ms: u64,
    /// New streams, jumps of a sender's clock and jumps to catch up.
    pub resets: u64,
    /// Time between the fastest packets and their playing, at the last pull.
    pub depth_ms: u64,
    /// What it should be.
    pub target_ms: u64,
}

impl JitterBuffer {
    /// An empty buffer for `codec`, a G.711 law.
    #[must_use]
    pub fn new(codec: LineCodec) -> Self {
        Self {
            codec,
            concealer: Concealer::new(codec),
            queue: Queue::new(),
            timeline: None,
            seen: Seen::default(),
            delay: Delay::default(),
            adaptation: Adaptation::default(),
            origin: None,
            first: None,
            cursor: None,
            late_since: None,
            next: 0,
            came: 0,
            in_event: false,
            fading: false,
            frame: Vec::with_capacity(2 * codec.frame_bytes()),
            peeked: Vec::with_capacity(2 * codec.frame_bytes()),
            stats: JitterStats::default(),
        }
    }

    /// Takes a packet of audio. Half a sample at its end is left out.
    pub fn push(&mut self, now: Instant, place: &Place, payload: &[u8]) {
        let length = (payload.len() / self.codec.bytes_per_sample()) as i64;
        if length == 0 {
            return self.push_event(now, place);
        }
        self.stats.received += 1;
        if length > MAX_SAMPLES as i64 {
            self.stats.dropped += 1;
            return;
        }
        let arrival = self.ticks(now);
        let (sequence, begin) = self.put(arrival, place);
        let late = self.is_over(sequence, begin + length);
        match self.seen.note(sequence) {
            Sighting::Again => {
                self.stats.duplicate += 1;
                return;
            }
            Sighting::Forgotten => {
                self.stats.late += 1;
                return;
            }
            Sighting::First => {}
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.follow(place, sequence, Some(begin));
        }
        // a frame is made up whole: what begins within one is due at its beginning
        let early = (begin - self.cursor.unwrap_or(begin)).rem_euclid(FRAME);
        self.delay.observe(arrival, arrival - begin, early, if late { LATE_WEIGHT } else { 1.0 });
        if late {
            self.stats.late += 1;
            self.settle(sequence);
            self.late_since.get_or_insert(arrival);
            return;
        }
        self.late_since = None;
        self.first.get_or_insert(arrival);
        self.make_room();
        self.queue.insert(sequence, begin, length, payload);
    }

    /// Takes a packet that carries no audio, a telephone event for one: its sequence number is not missing.
    pub fn push_event(&mut self, now: Instant, place: &Place) {
        let arrival = self.ticks(now);
        let sequence = match self.timeline.and_then(|timeline| timeline.find(place)) {
            Some((sequence, _)) => sequence,
            None => self.restart(arrival, place, None).0,
        };
        if self.seen.note(sequence) != Sighting::First {
            return;
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.follow(place, sequence, None);
        }
        if self.is_over(sequence, i64::MAX) {
            return self.settle(sequence);
        }
        self.make_room();
        self.queue.insert(sequence, 0, 0, &[]);
    }

    /// The next 20 ms; to be called at every tick of a 20 ms clock, `now` being the tick's own time.
    pub fn pull(&mut self, now: Instant) -> Pulled<'_> {
        let now = self.ticks(now);
        self.frame.clear();
        if !self.begun(now) {
            return Pulled::Silence;
        }
        let heard = self.next_frame(now);
        let was_fading = std::mem::replace(&mut self.fading, heard.made_up > 0);
        match heard {
            // the end of what was made up may be blended into the silence
            _ if heard.silent >= FRAME && !was_fading => Pulled::Silence,
            _ if heard.made_up > 0 || heard.silent >= FRAME => Pulled::Concealed(&self.frame),
            _ => Pulled::Frame(&self.frame),
        }
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn stats(&self) -> JitterStats {
        JitterStats {
            waiting: self.queue.audio().count() as u64,
            lost: u64::try_from(self.next - self.came).unwrap_or_default(),
            concealed_ms: self.stats.concealed_ms / TICKS_PER_MS as u64,
            target_ms: (self.delay.target() / TICKS_PER_MS) as u64,
            ..self.stats
        }
    }

    fn ticks(&mut self, now: Instant) -> i64 {
        let origin = *self.origin.get_or_insert(now);
        i64::try_from(ticks(now.saturating_duration_since(origin))).unwrap_or(i64::MAX / 4)
    }

    /// Sequence number and time of a packet, on a line of its own if it does not fit on ours.
    fn put(&mut self, arrival: i64, place: &Place) -> (i64, i64) {
        let found = self.timeline.and_then(|timeline| Some((timeline.newest(), timeline.find(place)?)));
        let Some((newest, (sequence, begin))) = found else {
            return self.restart(arrival, place, None);
        };
        let late = self.delay.base().map_or(0, |base| arrival - begin - base);
        let for_long = self.late_since.is_some_and(|since| arrival - since >= LATE_FOR);
        let jumped = late < -TOO_EARLY || (late > MAX_TARGET && sequence > newest && (place.marker || for_long));
        if jumped { self.restart(arrival, place, Some(sequence)) } else { (sequence, begin) }
    }

    /// Puts a packet where it plays in its turn and as if it had come as fast as any, behind what waits.
    fn restart(&mut self, arrival: i64, place: &Place, sequence: Option<i64>) -> (i64, i64) {
        let next = self.timeline.map_or(0, |timeline| timeline.newest() + 1);
        let next = next.max(self.queue.newest().map_or(0, |newest| newest + 1));
        let sequence = sequence.map_or(next, |sequence| sequence.max(next));
        let begin = self.delay.base().map_or(0, |base| arrival - base);
        let begin = begin.max(self.queue.end().unwrap_or(begin)).max(self.cursor.unwrap_or(begin));
        self.stats.resets += u64::from(self.timeline.is_some());
        self.timeline = Some(Timeline::starting(place, sequence, begin));
        self.late_since = None;
        (sequence, begin)
    }

    /// Whether the turn of a packet is over.
    fn is_over(&self, sequence: i64, end: i64) -> bool {
        self.cursor.is_some_and(|cursor| sequence < self.next || end <= cursor)
    }

    /// A packet's turn is over, and it had come.
    fn settle(&mut self, sequence: i64) {
        // what was sent before the very first that came is not asked for
        if sequence >= 0 {
            self.next = self.next.max(sequence + 1);
            self.came += 1;
        }
    }

    /// Lets the oldest go where there is no room for one more.
    fn make_room(&mut self) {
        if self.queue.is_full() {
            self.drop_front();
            let next = self.queue.audio().next().map(|slot| slot.begin);
            self.cursor = self.cursor.map(|cursor| next.unwrap_or(cursor).max(cursor));
        }
    }

    fn drop_front(&mut self) {
        if let Some((sequence, audio)) = self.queue.pop() {
            self.settle(sequence);
            self.stats.dropped += u64::from(audio);
        }
    }
}
