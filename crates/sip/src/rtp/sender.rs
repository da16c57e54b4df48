use std::time::Instant;

use bytes::BytesMut;

use super::{FRAME_TICKS, Header, Packet, ticks};

/// Stamps what goes out: one call per 20 ms, whatever goes out in them.
#[derive(Clone, Debug)]
pub struct Sender {
    ssrc: u32,
    sequence: u16,
    /// Of the 20 ms to come.
    timestamp: u32,
    /// The one of the event under way.
    event: u32,
    /// Whether the last 20 ms were audio.
    talking: bool,
    stamped: Option<Instant>,
    packets: u32,
    octets: u32,
}

impl Sender {
    /// A sender with a source, a first sequence number and a first timestamp by chance (RFC 3550 section 5.1).
    #[must_use]
    pub fn new(rng: &mut fastrand::Rng) -> Self {
        Self::starting_at(rng.u32(..), rng.u16(..), rng.u32(..))
    }

    /// A sender with given numbers.
    #[must_use]
    pub const fn starting_at(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self { ssrc, sequence, timestamp, event: timestamp, talking: false, stamped: None, packets: 0, octets: 0 }
    }

    /// Appends the packet of 20 ms of audio to `out`: 160 bytes of G.711. The first after anything else has the marker.
    pub fn frame(&mut self, now: Instant, payload_type: u8, payload: &[u8], out: &mut BytesMut) {
        let marker = !self.talking;
        let timestamp = self.timestamp;
        self.pass(now, true);
        self.packet(marker, payload_type, timestamp, payload, out);
    }

    /// Appends a packet of a telephone event to `out`, in the place of 20 ms of audio. The timestamp is that of the
    /// event's `first` packet, which has the marker (RFC 4733 section 2.3.3).
    pub fn event(&mut self, now: Instant, payload_type: u8, first: bool, payload: &[u8], out: &mut BytesMut) {
        if first {
            self.event = self.timestamp;
        }
        self.pass(now, false);
        self.packet(first, payload_type, self.event, payload, out);
    }

    /// 20 ms go by without a packet.
    pub const fn skip(&mut self, now: Instant) {
        self.pass(now, false);
    }

    /// Who we are.
    #[must_use]
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Packets and payload bytes sent so far; both wrap (RFC 3550 section 6.4.1).
    #[must_use]
    pub const fn sent(&self) -> (u32, u32) {
        (self.packets, self.octets)
    }

    /// The timestamp that `now` has.
    #[must_use]
    pub fn timestamp_at(&self, now: Instant) -> u32 {
        let Some(stamped) = self.stamped else {
            return self.timestamp;
        };
        let since = ticks(now.saturating_duration_since(stamped)) as u32;
        self.timestamp.wrapping_sub(FRAME_TICKS).wrapping_add(since)
    }

    const fn pass(&mut self, now: Instant, talking: bool) {
        self.timestamp = self.timestamp.wrapping_add(FRAME_TICKS);
        self.talking = talking;
        self.stamped = Some(now);
    }

    fn packet(&mut self, marker: bool, payload_type: u8, timestamp: u32, payload: &[u8], out: &mut BytesMut) {
        let header = Header { marker, payload_type, sequence: self.sequence, timestamp, ssrc: self.ssrc };
        Packet { header, payload }.write(out);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
    }
}
