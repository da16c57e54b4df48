//! Any sequence of what happens to a playout, in virtual time: no burst, no lost or invented audio, true accounts.
#![no_main]

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline_media::{Due, LineCodec, Playout};

#[derive(Arbitrary, Debug)]
enum Step {
    Push {
        item: u8,
        bytes: u16,
        live: bool,
    },
    End {
        item: u8,
    },
    /// Time goes on to the next due moment, and by this many ms more.
    PlayLate {
        ms: u8,
    },
    /// Time goes on by so much without a poll.
    Wait {
        ms: u16,
    },
    Clear,
    Refuse,
    PeerPlayed {
        item: u8,
    },
    Hold(bool),
    Hush(bool),
    Fill(bool),
}

#[derive(Arbitrary, Debug)]
struct Input {
    codec: u8,
    /// Of a peer with a queue, in frames.
    lead: Option<u8>,
    steps: Vec<Step>,
}

struct Run {
    playout: Playout<u8>,
    codec: LineCodec,
    lead: Option<u64>,
    begin: Instant,
    now: Instant,
    /// Bytes pushed and bytes that came out, since the last clear.
    pushed: u64,
    came_out: u64,
    frames: u64,
    /// How often the peer may have begun anew with nothing in its queue.
    emptied: u64,
}

fuzz_target!(|input: Input| {
    let codec = [LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16][usize::from(input.codec) % 3];
    let begin = Instant::now();
    let lead = input.lead.map(|lead| u64::from(lead % 11));
    let mut playout = Playout::new(codec);
    playout.set_queue(begin, lead.map(|lead| Duration::from_millis(lead * 20)));
    let mut run = Run { playout, codec, lead, begin, now: begin, pushed: 0, came_out: 0, frames: 0, emptied: 1 };
    for step in &input.steps {
        run.step(step);
    }
    run.finish();
});

impl Run {
    fn step(&mut self, step: &Step) {
        let Self { playout, now, .. } = self;
        match *step {
            Step::Push { item, bytes, live } => {
                let payload = Bytes::from(vec![item; usize::from(bytes)]);
                self.pushed += u64::from(bytes);
                if live {
                    playout.push_live(*now, &(item % 4), payload);
                } else {
                    playout.push(*now, &(item % 4), payload);
                }
            }
            Step::End { item } => playout.end(*now, &(item % 4)),
            Step::Wait { ms } => *now += Duration::from_millis(ms.into()),
            Step::PlayLate { ms } => {
                if let Some(due) = playout.next_due() {
                    *now = due.max(*now) + Duration::from_millis(ms.into());
                }
                self.poll();
            }
            Step::Clear => {
                let accounts = playout.clear(*now);
                for account in &accounts {
                    assert!(account.played_ms <= account.received_ms, "{account:?}");
                }
                let received: u64 = accounts.iter().map(|account| account.received_ms).sum();
                assert!(received <= self.pushed, "audio was invented: {accounts:?}");
                assert_eq!(playout.queued_ms(), 0);
                assert!(playout.is_idle());
                (self.pushed, self.came_out) = (0, 0);
                self.emptied += 1;
            }
            Step::Refuse => playout.refused(),
            Step::PeerPlayed { item } => playout.peer_played(*now, &(item % 4)),
            Step::Hold(held) => {
                playout.hold(*now, held);
                self.emptied += 1;
            }
            Step::Hush(hushed) => playout.hush(*now, hushed),
            Step::Fill(on) => playout.set_fill(*now, on),
        }
    }

    fn poll(&mut self) {
        let mut frames = 0;
        while let Some(due) = self.playout.poll(self.now) {
            match due {
                Due::Frame { payload, .. } => {
                    assert_eq!(payload.len(), self.codec.frame_bytes());
                    frames += 1;
                    self.came_out += payload.len() as u64;
                }
                Due::Fill(payload) => {
                    assert_eq!(payload.len(), self.codec.frame_bytes());
                    assert!(payload.iter().all(|byte| *byte == self.codec.silence()));
                    frames += 1;
                }
                Due::Mark(_) => {}
            }
        }
        let lead = self.lead.unwrap_or_default();
        assert!(frames <= 2 + lead, "a burst of {frames} frames");
        // No lag over 5 s is believed.
        let most = self.lead.map_or(0, |lead| lead * 20 + 5_000);
        assert!(self.playout.ahead(self.now).as_millis() as u64 <= most, "further ahead than the lead");
        self.frames += frames;
        // Never faster than real time: a frame for each 20 ms since the beginning, and one for the beginning itself.
        // A lead is given again to a peer that lost its queue, together with the frame it was just playing.
        let given = self.lead.map_or(0, |lead| (lead + 1) * self.emptied);
        let ticks = (self.now - self.begin).as_millis() as u64 / 20 + 1 + given;
        assert!(self.frames <= ticks, "{} frames in {ticks} ticks", self.frames);
        if let Some(due) = self.playout.next_due() {
            assert!(due > self.now, "a poll left something due");
        }
    }

    /// Everything that is not held back comes out in the end, and no more than was pushed (and padded).
    fn finish(mut self) {
        self.playout.hold(self.now, false);
        self.emptied += 1;
        self.playout.hush(self.now, false);
        self.playout.set_fill(self.now, false);
        for item in 0..4 {
            self.playout.end(self.now, &item);
        }
        let mut polls = 0;
        while let Some(due) = self.playout.next_due() {
            self.now = due.max(self.now);
            self.poll();
            polls += 1;
            assert!(polls < 1_000_000, "it never ends");
        }
        assert!(self.playout.is_idle(), "something was left behind");
        assert_eq!(self.playout.queued_ms(), 0);
        assert!(self.came_out >= self.pushed, "{} of {} bytes came out", self.came_out, self.pushed);
    }
}
