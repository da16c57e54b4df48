//! One frame from what waits.

use super::{FRAME, JitterBuffer};

/// What a frame consists of besides audio that came, in samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    pub(super) made_up: i64,
    pub(super) silent: i64,
}

/// What comes at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// Audio, for so long.
    Audio(i64),
    /// For so long the sender said nothing.
    Silence(i64),
    /// For so long nothing came that should have.
    Lost(i64),
    /// Nothing waits: it is late, or lost, or nobody speaks.
    Nothing,
}

impl JitterBuffer {
    /// Whether frames are played; begins if it is time to.
    pub(super) fn begun(&mut self, now: i64) -> bool {
        if self.cursor.is_some() {
            return true;
        }
        let due = self.first.is_some_and(|first| now - first >= self.delay.target());
        let begin = self.queue.audio().next().map(|slot| slot.begin);
        self.cursor = begin.filter(|_| due);
        self.cursor.is_some()
    }

    /// Walks 20 ms on from the cursor, or less or more where the depth asks for it.
    pub(super) fn next_frame(&mut self, now: i64) -> Heard {
        let cursor = self.cursor.unwrap_or_default();
        let depth = now - cursor - self.delay.base().unwrap_or_default();
        let depth = depth - self.catch_up(depth);
        self.stats.depth_ms = u64::try_from(depth / super::TICKS_PER_MS).unwrap_or_default();
        let heard = self.adapted(depth).unwrap_or_else(|| self.play());
        self.stats.concealed_ms += heard.made_up.unsigned_abs();
        self.adaptation.note(self.codec, &self.frame, heard.silent + heard.made_up > 0);
        heard
    }

    /// A frame as it is, missing parts made up.
    fn play(&mut self) -> Heard {
        let mut heard = Heard::default();
        let mut left = FRAME;
        while left > 0 {
            let part = match self.ahead() {
                Ahead::Audio(length) => self.take(length.min(left)),
                Ahead::Silence(length) => self.be_silent(length.min(left), &mut heard),
                Ahead::Lost(length) => self.make_up(length.min(left), &mut heard),
                Ahead::Nothing if self.in_event => self.be_silent(left, &mut heard),
                Ahead::Nothing => self.make_up(left, &mut heard),
            };
            self.advance(part);
            left -= part;
        }
        heard
    }

    /// What comes at the cursor, once what is over is gone.
    pub(super) fn ahead(&mut self) -> Ahead {
        let cursor = self.cursor.unwrap_or_default();
        let (sequence, begin, end) = loop {
            while self.queue.front().is_some_and(|slot| slot.length == 0 && slot.sequence <= self.next) {
                self.in_event = true;
                self.drop_front();
            }
            let first = self.queue.audio().next().map(|slot| (slot.sequence, slot.begin, slot.end()));
            match first {
                None => return Ahead::Nothing,
                Some(slot @ (_, _, end)) if end > cursor => break slot,
                // it, or an event before it whose turn has not come
                Some(_) => self.drop_front(),
            }
        };
        match begin - cursor {
            ..=0 => Ahead::Audio(end - cursor),
            // events before it in the queue wait for what is missing: so it is not next
            gap if sequence <= self.next => Ahead::Silence(gap),
            gap => Ahead::Lost(gap),
        }
    }

    /// Plays `length` ticks of the first packet with audio. Events before it, whose turn has not come, go.
    fn take(&mut self, length: i64) -> i64 {
        while self.queue.front().is_some_and(|slot| slot.length == 0) {
            self.drop_front();
        }
        self.in_event = false;
        let cursor = self.cursor.unwrap_or_default();
        let Some(slot) = self.queue.front() else {
            return length;
        };
        let width = self.codec.bytes_per_sample();
        let from = usize::try_from(cursor - slot.begin).unwrap_or_default() * width;
        let bytes = usize::try_from(length).unwrap_or_default() * width;
        self.concealer.good(slot.payload.get(from..from + bytes).unwrap_or_default(), &mut self.frame);
        self.settle_played(cursor + length);
        length
    }

    /// Packets with audio that are played by `cursor`.
    pub(super) fn settle_played(&mut self, cursor: i64) {
        while self.queue.front().is_some_and(|slot| slot.length > 0 && slot.end() <= cursor)
            && let Some((sequence, _)) = self.queue.pop()
        {
            self.settle(sequence);
            self.stats.played += 1;
        }
    }

    pub(super) fn be_silent(&mut self, length: i64, heard: &mut Heard) -> i64 {
        heard.silent += length;
        let bytes = usize::try_from(length).unwrap_or_default() * self.codec.bytes_per_sample();
        self.peeked.clear();
        self.peeked.resize(bytes, self.codec.silence());
        self.concealer.good(&self.peeked, &mut self.frame);
        length
    }

    pub(super) fn make_up(&mut self, length: i64, heard: &mut Heard) -> i64 {
        let silent = self.concealer.is_silent();
        *(if silent { &mut heard.silent } else { &mut heard.made_up }) += length;
        self.concealer.conceal(usize::try_from(length).unwrap_or_default(), &mut self.frame);
        length
    }

    pub(super) fn advance(&mut self, by: i64) {
        self.cursor = self.cursor.map(|cursor| cursor + by);
    }
}
