//! Keys as telephone events (RFC 4733).

mod keys;
mod sender;

pub use keys::Keys;
pub use sender::{BadKeys, KeySender, KeyStep, MAX_WAITING_KEYS};

/// The name in SDP: `a=rtpmap:101 telephone-event/8000`.
pub const ENCODING_NAME: &str = "telephone-event";
/// The 16 keys in the order of their event codes (RFC 4733 section 3.2).
const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// The four bytes that say how far an event is (RFC 4733 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Which event: 0 to 15 are keys.
    pub code: u8,
    /// It is over.
    pub end: bool,
    /// Level in -dBm0, 0 to 63.
    pub volume: u8,
    /// Since its timestamp, in units of 1/8,000 s.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Bytes on the wire.
    pub const BYTES: usize = 4;

    /// The events in a payload: one, or several short ones of which each begins where the one before ends (RFC 4733
    /// section 2.5.1.5). What is left of fewer than four bytes is passed over.
    pub fn parse(payload: &[u8]) -> impl Iterator<Item = Self> + '_ {
        payload.as_chunks::<{ Self::BYTES }>().0.iter().map(|[code, flags, high, low]| Self {
            code: *code,
            end: flags & 0x80 != 0,
            volume: flags & 0x3F,
            duration: u16::from_be_bytes([*high, *low]),
        })
    }

    /// The event's four bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, self.volume & 0x3F | if self.end { 0x80 } else { 0 }, high, low]
    }

    /// The key: `0-9`, `*`, `#`, `A-D`. Other events (flash, fax, tones) are none.
    #[must_use]
    pub fn key(self) -> Option<char> {
        KEYS.get(usize::from(self.code)).copied()
    }
}
