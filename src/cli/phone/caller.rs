//! The person at the telephone: speaks, listens, and knows when the call is over.

use std::time::Duration;

use trunkline_media::{FRAME_MS, FRAME_SAMPLES};

/// RMS of a 20 ms frame, of 32768, above which it counts as sound: -45 dBFS.
const SOUND_RMS: f64 = 184.0;

/// Frames of sound that make a reply: 200 ms, more than a click.
const REPLY_FRAMES: u64 = 10;

/// Quiet ticks after which a sound is over: 200 ms, longer than the gaps between words.
const PAUSE: u64 = 10;

/// Whether 20 ms hold sound that a caller would notice.
#[must_use]
pub fn is_sound(frame: &[i16]) -> bool {
    let energy: f64 = frame.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    !frame.is_empty() && (energy / frame.len() as f64).sqrt() > SOUND_RMS
}

/// How patient the caller is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Silence before the first word.
    pub lead_in: Duration,
    /// The line has to be quiet this long after a reply.
    pub quiet_after_reply: Duration,
    /// Without any reply the caller hangs up this long after his last word.
    pub no_reply: Duration,
    /// No call is longer, counted from the caller's last word.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            lead_in: Duration::from_millis(500),
            quiet_after_reply: Duration::from_secs(2),
            no_reply: Duration::from_secs(20),
            longest: Duration::from_secs(120),
        }
    }
}

/// What the caller is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Says his words (or takes the breath before them).
    Speaking,
    /// Has said everything and hears nothing.
    Waiting,
    /// Hears a reply.
    Listening,
    /// Has heard enough, or lost patience.
    Done,
}

/// One caller with something to say. A pure machine: a call of [`Caller::tick`] is 20 ms.
#[derive(Debug)]
pub struct Caller {
    patience: Patience,
    words: Vec<i16>,
    /// Frames until the last one that holds sound.
    spoken_by: u64,
    tick: u64,
    /// Sound heard before the last word was said: an echo, a greeting, a reply that was talked over.
    early: u64,
    /// Sound heard after it.
    reply: u64,
    last_sound: Option<u64>,
    /// Prompts tell the caller to wait.
    told_to_wait: bool,
    /// What sounds is a prompt, also its end after the model is back.
    prompt_sounds: bool,
}

impl Caller {
    /// `words`: 8 kHz samples.
    #[must_use]
    pub fn new(words: Vec<i16>, patience: Patience) -> Self {
        let lead_in = ticks(patience.lead_in);
        let last = words.chunks(FRAME_SAMPLES).rposition(is_sound).map_or(0, |frame| frame as u64 + 1);
        Self {
            patience,
            words,
            spoken_by: lead_in + last,
            tick: 0,
            early: 0,
            reply: 0,
            last_sound: None,
            told_to_wait: false,
            prompt_sounds: false,
        }
    }

    /// What goes into the microphone in the 20 ms to come.
    #[must_use]
    pub fn speak(&self) -> [i16; FRAME_SAMPLES] {
        let mut frame = [0; FRAME_SAMPLES];
        let lead_in = ticks(self.patience.lead_in);
        let at = self.tick.checked_sub(lead_in).and_then(|frames| usize::try_from(frames).ok());
        let words = at.and_then(|at| self.words.get(at.saturating_mul(FRAME_SAMPLES)..));
        for (slot, sample) in frame.iter_mut().zip(words.unwrap_or_default()) {
            *slot = *sample;
        }
        frame
    }

    /// Another 20 ms are over, and this was heard in them.
    pub fn tick(&mut self, heard: &[i16]) -> Doing {
        self.tick += 1;
        if is_sound(heard) {
            self.last_sound = Some(self.tick);
            if self.has_spoken() && !self.prompt_sounds {
                self.reply += 1;
            } else {
                self.early += 1;
            }
        } else if self.quiet() >= PAUSE {
            self.prompt_sounds = self.told_to_wait;
        }
        self.doing()
    }

    /// Whether prompts tell the caller to wait: then he does, up to [`Patience::longest`]. A prompt is no reply.
    pub fn told_to_wait(&mut self, wait: bool) {
        self.told_to_wait = wait;
        self.prompt_sounds |= wait;
    }

    /// What the caller is doing now.
    #[must_use]
    pub fn doing(&self) -> Doing {
        if !self.has_spoken() {
            return Doing::Speaking;
        }
        let since_words = self.tick - self.spoken_by;
        let quiet = self.quiet();
        let patience = &self.patience;
        let replied = self.heard_reply();
        let enough = if self.told_to_wait {
            false
        } else if replied {
            quiet >= ticks(patience.quiet_after_reply)
        } else if self.early >= REPLY_FRAMES {
            // Heard something while speaking; a model may still think about the last words.
            quiet >= ticks(patience.no_reply) / 3
        } else {
            since_words >= ticks(patience.no_reply)
        };
        if enough || since_words >= ticks(patience.longest) {
            Doing::Done
        } else if quiet < PAUSE && self.last_sound > Some(self.spoken_by) {
            Doing::Listening
        } else {
            Doing::Waiting
        }
    }

    /// Ticks since the line was last heard, or the last word said.
    fn quiet(&self) -> u64 {
        self.tick.saturating_sub(self.last_sound.unwrap_or(0).max(self.spoken_by))
    }

    /// Whether the last word has been said.
    #[must_use]
    pub fn has_spoken(&self) -> bool {
        self.tick >= self.spoken_by
    }

    /// Whether at least 200 ms of sound came after the last word.
    #[must_use]
    pub fn heard_reply(&self) -> bool {
        self.reply >= REPLY_FRAMES
    }

    /// Milliseconds of sound heard in the whole call.
    #[must_use]
    pub fn sound_ms(&self) -> u64 {
        (self.early + self.reply) * u64::from(FRAME_MS)
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / u128::from(FRAME_MS)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOUD: [i16; FRAME_SAMPLES] = [1_000; FRAME_SAMPLES];
    const QUIET: [i16; FRAME_SAMPLES] = [0; FRAME_SAMPLES];

    /// 1 s of words and half a second of silence behind them.
    fn caller() -> Caller {
        let mut words = vec![1_000; 8_000];
        words.extend([0; 4_000]);
        Caller::new(words, Patience::default())
    }

    /// Ticks until the state is `wanted`.
    fn until(caller: &mut Caller, wanted: Doing, heard: &[i16]) -> u64 {
        for ticks in 1..20_000 {
            if caller.tick(heard) == wanted {
                return ticks;
            }
        }
        panic!("never {wanted:?}: {caller:?}")
    }

    #[test]
    fn says_his_words_once_after_the_lead_in() {
        let mut caller = caller();
        let mut said = Vec::new();
        for _ in 0..200 {
            said.extend(caller.speak());
            caller.tick(&QUIET);
        }
        assert_eq!(said.iter().position(|s| *s != 0), Some(4_000));
        assert_eq!(said.iter().filter(|s| **s == 1_000).count(), 8_000);
    }

    #[test]
    fn hangs_up_two_seconds_after_the_reply() {
        let mut caller = caller();
        assert_eq!(until(&mut caller, Doing::Waiting, &QUIET), 75, "0.5 s lead-in and 1 s of words");
        for _ in 0..60 {
            caller.tick(&QUIET);
        }
        assert_eq!(until(&mut caller, Doing::Listening, &LOUD), 1);
        for _ in 0..99 {
            assert_eq!(caller.tick(&LOUD), Doing::Listening);
        }
        assert_eq!(until(&mut caller, Doing::Done, &QUIET), 100);
        assert!(caller.heard_reply());
        assert_eq!(caller.sound_ms(), 2_000);
    }

    #[test]
    fn a_pause_within_the_reply_is_not_its_end() {
        let mut caller = caller();
        until(&mut caller, Doing::Waiting, &QUIET);
        for _ in 0..20 {
            caller.tick(&LOUD);
        }
        for _ in 0..90 {
            assert_ne!(caller.tick(&QUIET), Doing::Done);
        }
        assert_eq!(caller.tick(&LOUD), Doing::Listening);
        assert_eq!(until(&mut caller, Doing::Done, &QUIET), 100);
    }

    #[test]
    fn a_click_or_an_early_greeting_is_no_reply() {
        let mut caller = caller();
        for _ in 0..40 {
            caller.tick(&LOUD);
        }
        until(&mut caller, Doing::Waiting, &QUIET);
        for _ in 0..9 {
            caller.tick(&LOUD);
        }
        assert!(!caller.heard_reply());
        until(&mut caller, Doing::Done, &QUIET);
        assert!(!caller.heard_reply());
    }

    #[test]
    fn loses_patience_when_nobody_answers() {
        let mut caller = caller();
        until(&mut caller, Doing::Waiting, &QUIET);
        assert_eq!(until(&mut caller, Doing::Done, &QUIET), 1_000, "20 s");
        assert!(!caller.heard_reply());
    }

    #[test]
    fn waits_longer_when_told_to_but_not_for_ever() {
        let mut caller = caller();
        caller.told_to_wait(true);
        until(&mut caller, Doing::Waiting, &QUIET);
        assert_eq!(until(&mut caller, Doing::Done, &QUIET), 6_000, "2 min");
    }

    #[test]
    fn a_prompt_is_no_reply_and_neither_is_its_end() {
        let mut caller = caller();
        until(&mut caller, Doing::Waiting, &QUIET);
        caller.told_to_wait(true);
        for _ in 0..50 {
            caller.tick(&LOUD);
        }
        caller.told_to_wait(false);
        for _ in 0..50 {
            caller.tick(&LOUD);
        }
        assert!(!caller.heard_reply());
        for _ in 0..15 {
            caller.tick(&QUIET);
        }
        for _ in 0..20 {
            caller.tick(&LOUD);
        }
        assert!(caller.heard_reply());
    }

    #[test]
    fn soft_noise_is_no_sound() {
        assert!(!is_sound(&[150; FRAME_SAMPLES]));
        assert!(is_sound(&[200; FRAME_SAMPLES]));
        assert!(!is_sound(&[]));
    }
}
