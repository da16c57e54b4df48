use std::collections::VecDeque;

use super::{KEYS, TelephoneEvent};

/// Most keys and pauses that wait to be sent.
pub const MAX_WAITING_KEYS: usize = 64;

/// Ticks of 20 ms: a tone of 100 ms, a gap of 60 ms, a pause of 500 ms.
const TONE: u8 = 5;
const GAP: u8 = 3;
const PAUSE: u8 = 25;
/// The last packet is sent three times (RFC 4733 section 2.5.1.4): with the last tick of the tone and the two after.
const ENDS: u8 = 3;
const TICK_UNITS: u16 = 160;
/// -10 dBm0: the middle of what receivers must take (0 to -36).
const VOLUME: u8 = 10;

/// Sends keys as telephone events: one step is 20 ms.
#[derive(Clone, Debug, Default)]
pub struct KeySender {
    waiting: VecDeque<char>,
    /// What is sent now and how many of its ticks are over.
    now: Option<(char, u8)>,
}

/// What goes out in the next 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStep {
    /// This event, in the place of audio: see [`crate::rtp::Sender::event`].
    Event {
        /// Whether it is the event's first packet.
        first: bool,
        /// The payload.
        payload: [u8; TelephoneEvent::BYTES],
    },
    /// Silence: the gap between keys, or a pause.
    Silence,
}

/// The text cannot be sent as keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    /// A character that is neither key nor pause.
    #[error("{0:?} is no key: 0-9, *, #, A-D and a comma for a pause of 500 ms are allowed")]
    NotAKey(char),
    /// More than can wait.
    #[error("{0} keys are more than the {MAX_WAITING_KEYS} that can wait")]
    TooMany(usize),
}

impl KeySender {
    /// Nothing is to be sent.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends keys: `0-9`, `*`, `#`, `A-D` in either case, and `,` for 500 ms of pause.
    ///
    /// # Errors
    /// If there is anything else in it or there are too many; then none is appended.
    pub fn push(&mut self, keys: &str) -> Result<(), BadKeys> {
        if let Some(other) = keys.chars().find(|key| *key != ',' && code(*key).is_none()) {
            return Err(BadKeys::NotAKey(other));
        }
        let count = self.waiting.len() + keys.len();
        if count > MAX_WAITING_KEYS {
            return Err(BadKeys::TooMany(count));
        }
        self.waiting.extend(keys.chars());
        Ok(())
    }

    /// Whether nothing is being sent: audio may go out.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.now.is_none() && self.waiting.is_empty()
    }

    /// What goes out in the next 20 ms; `None` when idle.
    pub fn step(&mut self) -> Option<KeyStep> {
        let (key, tick) = match self.now.take() {
            Some(now) => now,
            None => (self.waiting.pop_front()?, 0),
        };
        let code = code(key);
        let ticks = if code.is_some() { TONE + GAP } else { PAUSE };
        self.now = Some((key, tick + 1)).filter(|_| tick + 1 < ticks);
        let event = code.filter(|_| tick < TONE - 1 + ENDS).map(|code| TelephoneEvent {
            code,
            end: tick >= TONE - 1,
            volume: VOLUME,
            duration: TICK_UNITS * u16::from((tick + 1).min(TONE)),
        });
        Some(event.map_or(KeyStep::Silence, |event| KeyStep::Event { first: tick == 0, payload: event.to_bytes() }))
    }

    /// Drops what waits. The key being sent is sent to its end: a tone without an end would go on at the peer.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

fn code(key: char) -> Option<u8> {
    KEYS.iter().position(|known| *known == key.to_ascii_uppercase()).map(|code| code as u8)
}
