//! The loudspeaker of the telephone: plays what arrives on its own 20 ms clock and keeps what was heard.

use std::collections::VecDeque;

use trunkline_media::FRAME_SAMPLES;

/// Frames that have to wait before a silent telephone begins to play: what a telephone holds back
/// so that a frame that comes a little late does not tear the sound.
const PREROLL_FRAMES: usize = 2;

/// Plays one frame a tick. Time is the tick: 20 ms each, counted by the owner's clock.
#[derive(Debug, Default)]
pub struct Playback {
    queue: VecDeque<Entry>,
    /// Samples of `queue` that are audio.
    waiting: usize,
    playing: bool,
    /// Ticks since audio began to wait; the pre-roll ends with them also when no second frame comes.
    held: usize,
    heard: Vec<i16>,
    /// Ticks in which audio was expected (no mark closed it) and nothing was there.
    gaps: u64,
    /// Whether a mark or clear closed what was played last: silence after it is no gap.
    closed: bool,
}

#[derive(Debug)]
enum Entry {
    Audio(VecDeque<i16>),
    Mark(String),
}

impl Playback {
    /// Audio came: any number of 8 kHz samples.
    pub fn audio(&mut self, samples: &[i16]) {
        if samples.is_empty() {
            return;
        }
        self.waiting += samples.len();
        match self.queue.back_mut() {
            Some(Entry::Audio(audio)) => audio.extend(samples),
            _ => self.queue.push_back(Entry::Audio(samples.iter().copied().collect())),
        }
    }

    /// A mark came: it is reached when all audio before it has been heard.
    pub fn mark(&mut self, name: String) {
        self.queue.push_back(Entry::Mark(name));
    }

    /// The peer took back what has not been played. Its marks go unanswered. Returns the samples dropped.
    pub fn clear(&mut self) -> usize {
        self.queue.clear();
        self.playing = false;
        self.held = 0;
        self.closed = true;
        std::mem::take(&mut self.waiting)
    }

    /// The next 20 ms. Returns what is heard in them and the marks that were reached before.
    pub fn tick(&mut self) -> ([i16; FRAME_SAMPLES], Vec<String>) {
        let mut reached = Vec::new();
        self.take_marks(&mut reached);
        let mut frame = [0; FRAME_SAMPLES];
        if !self.playing && self.waiting > 0 {
            self.held += 1;
            let begins = self.waiting >= PREROLL_FRAMES * FRAME_SAMPLES || self.held > PREROLL_FRAMES;
            self.playing = begins;
        }
        if self.playing {
            let filled = self.fill(&mut frame, &mut reached);
            if filled > 0 {
                self.closed = false;
            }
            if filled < FRAME_SAMPLES {
                if filled == 0 && !self.closed {
                    self.gaps += 1;
                }
                self.playing = false;
                self.held = 0;
            }
        }
        self.heard.extend_from_slice(&frame);
        (frame, reached)
    }

    /// Everything heard since the start, silence included: 8 kHz, 160 samples a tick.
    #[must_use]
    pub fn heard(&self) -> &[i16] {
        &self.heard
    }

    /// Gives the recording away.
    #[must_use]
    pub fn into_heard(self) -> Vec<i16> {
        self.heard
    }

    /// How often the sound broke off without a mark or clear.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Milliseconds that wait to be played.
    #[must_use]
    pub fn waiting_ms(&self) -> usize {
        self.waiting / 8
    }

    fn take_marks(&mut self, reached: &mut Vec<String>) {
        while let Some(Entry::Mark(_)) = self.queue.front() {
            if let Some(Entry::Mark(name)) = self.queue.pop_front() {
                reached.push(name);
                self.closed = true;
            }
        }
    }

    /// Fills a frame from the queue; marks inside it count as reached with it.
    fn fill(&mut self, frame: &mut [i16], reached: &mut Vec<String>) -> usize {
        let mut filled = 0;
        while filled < frame.len() {
            match self.queue.front_mut() {
                None => break,
                Some(Entry::Mark(_)) => {
                    // A mark at the end of the audio waits for the next tick: its frame has yet to sound.
                    if self.waiting == 0 {
                        break;
                    }
                    self.take_marks(reached);
                }
                Some(Entry::Audio(audio)) => {
                    for slot in frame.iter_mut().skip(filled) {
                        let Some(sample) = audio.pop_front() else {
                            break;
                        };
                        *slot = sample;
                        filled += 1;
                        self.waiting -= 1;
                    }
                    if audio.is_empty() {
                        self.queue.pop_front();
                    }
                }
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [i16; FRAME_SAMPLES] = [7; FRAME_SAMPLES];
    const SILENCE: [i16; FRAME_SAMPLES] = [0; FRAME_SAMPLES];

    #[test]
    fn a_silent_line_is_recorded_as_silence() {
        let mut playback = Playback::default();
        for _ in 0..50 {
            assert_eq!(playback.tick(), (SILENCE, Vec::new()));
        }
        assert_eq!((playback.heard().len(), playback.gaps()), (8_000, 0));
    }

    #[test]
    fn frames_that_come_a_little_late_do_not_tear_the_sound() {
        let mut playback = Playback::default();
        playback.audio(&FRAME);
        assert_eq!(playback.tick().0, SILENCE, "held back");
        playback.audio(&FRAME);
        assert_eq!(playback.tick().0, FRAME);
        // The third frame comes only now, just too late for a telephone without pre-roll.
        assert_eq!(playback.tick().0, FRAME);
        playback.audio(&FRAME);
        assert_eq!(playback.tick().0, FRAME);
        assert_eq!(playback.gaps(), 0);
        assert_eq!(playback.tick().0, SILENCE);
        assert_eq!(playback.gaps(), 1, "broke off without a mark");
        assert_eq!(playback.tick().0, SILENCE);
        assert_eq!(playback.gaps(), 1, "counted once");
    }

    #[test]
    fn a_single_frame_is_played_in_the_end() {
        let mut playback = Playback::default();
        playback.audio(&FRAME);
        let heard: Vec<i16> = (0..4).map(|_| playback.tick().0[0]).collect();
        assert_eq!(heard, [0, 0, 7, 0]);
    }

    #[test]
    fn a_mark_is_reached_when_its_last_frame_has_sounded() {
        let mut playback = Playback::default();
        playback.audio(&FRAME);
        playback.audio(&FRAME);
        playback.mark("a".to_owned());
        assert_eq!(playback.tick(), (FRAME, Vec::new()));
        assert_eq!(playback.tick(), (FRAME, Vec::new()));
        assert_eq!(playback.tick(), (SILENCE, vec!["a".to_owned()]));
        assert_eq!(playback.gaps(), 0, "an item that was closed leaves no gap");
        playback.mark("empty".to_owned());
        assert_eq!(playback.tick().1, ["empty"], "a mark with nothing before it is reached at once");
    }

    #[test]
    fn marks_between_items_keep_their_order() {
        let mut playback = Playback::default();
        playback.audio(&[1; 200]);
        playback.mark("a".to_owned());
        playback.audio(&[2; 280]);
        playback.mark("b".to_owned());
        let ticks: Vec<_> = (0..4).map(|_| playback.tick()).collect();
        let marks: Vec<&[String]> = ticks.iter().map(|(_, marks)| marks.as_slice()).collect();
        assert_eq!(marks, [&[] as &[String], &["a".to_owned()], &[], &["b".to_owned()]]);
        let heard = playback.into_heard();
        assert_eq!(heard.iter().filter(|s| **s == 1).count(), 200);
        assert_eq!(heard.iter().filter(|s| **s == 2).count(), 280);
    }

    #[test]
    fn clear_silences_at_once_and_forgets_marks() {
        let mut playback = Playback::default();
        for _ in 0..10 {
            playback.audio(&FRAME);
        }
        playback.mark("a".to_owned());
        assert_eq!(playback.tick().0, FRAME);
        assert_eq!(playback.clear(), 9 * FRAME_SAMPLES);
        assert_eq!((playback.tick(), playback.waiting_ms()), ((SILENCE, Vec::new()), 0));
        assert_eq!(playback.gaps(), 0);
        playback.audio(&FRAME);
        playback.audio(&FRAME);
        assert_eq!(playback.tick().0, FRAME, "what comes after is played");
    }
}
