use super::TelephoneEvent;
use crate::rtp::Place;

/// Events that are remembered, so that their late packets are no new keys.
const REMEMBERED: usize = 16;

/// Tells keys from the packets of telephone events: each once and at first sight, since a key interrupts what plays.
/// Whether its other packets come, in order or at all, changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    stream: u32,
    /// The last events, oldest first once all places are taken.
    events: [Option<Event>; REMEMBERED],
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    code: u8,
    timestamp: u32,
    /// The longest it is known to be.
    duration: u16,
    end: bool,
}

impl Keys {
    /// Nothing was pressed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the payload of one packet and hands each key that it is the first to tell of to `key`.
    pub fn push(&mut self, place: &Place, payload: &[u8], mut key: impl FnMut(char)) {
        if place.stream != self.stream {
            *self = Self { stream: place.stream, ..Self::default() };
        }
        let mut timestamp = place.timestamp;
        for event in TelephoneEvent::parse(payload) {
            if self.is_new(timestamp, event) {
                event.key().into_iter().for_each(&mut key);
            }
            timestamp = timestamp.wrapping_add(event.duration.into());
        }
    }

    fn is_new(&mut self, timestamp: u32, event: TelephoneEvent) -> bool {
        let TelephoneEvent { code, end, duration, .. } = event;
        let mut continues = false;
        for known in self.events.iter_mut().flatten().filter(|known| known.code == code) {
            if known.timestamp == timestamp {
                known.duration = known.duration.max(duration);
                known.end |= end;
                return false;
            }
            // pressed for longer than a duration can say (8 s), it goes on under a new timestamp (section 2.5.1.3)
            let full = known.timestamp.wrapping_add(u16::MAX.into());
            continues |= !known.end && timestamp.wrapping_sub(full) <= 1;
        }
        if let Some(place) = self.events.get_mut(self.next) {
            *place = Some(Event { code, timestamp, duration, end });
        }
        self.next = (self.next + 1) % REMEMBERED;
        !continues
    }
}
