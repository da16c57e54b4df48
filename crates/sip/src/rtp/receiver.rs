use std::time::Instant;

use super::{CLOCK_RATE, Header, Seen, Sighting, ticks};
use crate::rtcp::ReportBlock;

/// A gap up to this is loss (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3_000;
/// A packet up to this far behind is late (RFC 3550 A.1).
const MAX_MISORDER: u16 = 100;

/// Takes the packets of one source at a time, after RFC 3550 A.1.
///
/// The first packet of all is taken at once: the first words count, and whose packets come here at all is decided
/// before. Another source, or the same after a jump, is taken with its second packet in a row, so that a stray one
/// changes nothing, and that of two who speak at once the first goes on.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    stream: Option<Stream>,
    /// Source and next sequence number of what may become the new stream.
    candidate: Option<(u32, u16)>,
    origin: Option<Instant>,
    streams: u32,
    stats: ReceiverStats,
    /// Packets lost in earlier streams.
    lost_before: u64,
    /// Payload type of telephone events.
    events: Option<u8>,
}

/// Where a packet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which stream, counted from 1: timestamps and sequence numbers of two streams have nothing in common.
    pub stream: u32,
    /// The sequence number without wrapping; not below 65,436.
    pub sequence: u64,
    /// As on the wire.
    pub timestamp: u32,
    /// As on the wire.
    pub marker: bool,
}

/// Why a packet is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It came before.
    Duplicate,
    /// A second packet in a row would make this the new stream.
    Unproven,
}

/// What came so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStats {
    /// Packets taken.
    pub packets: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets taken that came after a later one.
    pub late: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets of what did not prove to be a stream.
    pub unproven: u64,
    /// Streams taken.
    pub streams: u32,
    /// Interarrival jitter (RFC 3550 A.8) in microseconds.
    pub jitter_us: u64,
}

#[derive(Clone, Debug)]
struct Stream {
    ssrc: u32,
    first: u64,
    highest: u64,
    seen: Seen,
    /// Packets taken, and copies of them.
    taken: u64,
    copies: u64,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// In 1/16 timestamp units.
    jitter: u64,
    /// Transit time of the packet before.
    before: Option<u32>,
}

impl Receiver {
    /// A receiver that waits for its first packet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Packets of that payload type are telephone events: their timestamps are when a key went down, and say nothing about
    /// the way.
    pub fn set_events(&mut self, payload_type: Option<u8>) {
        self.events = payload_type;
    }

    /// Takes one packet.
    ///
    /// # Errors
    /// If it belongs to no stream or came before, see [`Refused`].
    pub fn take(&mut self, now: Instant, header: &Header) -> Result<Place, Refused> {
        let origin = *self.origin.get_or_insert(now);
        let arrival = ticks(now.saturating_duration_since(origin)) as u32;
        let sequence = match self.stream.as_mut().filter(|stream| stream.ssrc == header.ssrc) {
            Some(stream) => stream.extend(header.sequence),
            None => None,
        };
        let (Some(stream), Some(sequence)) = (&mut self.stream, sequence) else {
            return self.consider(header, arrival);
        };
        self.candidate = None;
        match stream.seen.note(sequence as i64) {
            Sighting::First => {}
            Sighting::Again | Sighting::Forgotten => {
                stream.copies += 1;
                self.stats.duplicates += 1;
                return Err(Refused::Duplicate);
            }
        }
        self.stats.packets += 1;
        self.stats.late += u64::from(sequence < stream.highest);
        stream.count(sequence);
        if self.events != Some(header.payload_type) {
            stream.time(arrival, header.timestamp);
        }
        let Header { timestamp, marker, .. } = *header;
        Ok(Place { stream: self.streams, sequence, timestamp, marker })
    }

    /// What came so far.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        let stream = self.stream.as_ref();
        ReceiverStats {
            lost: self.lost_before + stream.map_or(0, Stream::lost),
            streams: self.streams,
            jitter_us: stream.map_or(0, |stream| stream.jitter * 1_000_000 / 16 / u64::from(CLOCK_RATE)),
            ..self.stats
        }
    }

    /// Whose packets are taken.
    #[must_use]
    pub fn ssrc(&self) -> Option<u32> {
        self.stream.as_ref().map(|stream| stream.ssrc)
    }

    /// What to report about the source, and begins the next interval (RFC 3550 A.3). `None` if nothing came since the
    /// last report. `last_sr` and `delay` are left 0.
    pub fn report(&mut self) -> Option<ReportBlock> {
        let stream = self.stream.as_mut()?;
        let (expected, received) = (stream.expected(), stream.taken + stream.copies);
        let (expected_before, received_before) = stream.reported;
        if received == received_before {
            return None;
        }
        stream.reported = (expected, received);
        let expected_now = expected.saturating_sub(expected_before);
        let lost_now = expected_now.saturating_sub(received - received_before);
        let fraction = (lost_now << 8).checked_div(expected_now).unwrap_or(0).min(255);
        let lost = (expected as i64 - received as i64).clamp(-0x80_0000, 0x7F_FFFF);
        Some(ReportBlock {
            ssrc: stream.ssrc,
            fraction_lost: fraction as u8,
            lost: lost as i32,
            highest_sequence: (stream.highest - CYCLE) as u32,
            jitter: (stream.jitter >> 4) as u32,
            last_sr: 0,
            delay: 0,
        })
    }

    fn consider(&mut self, header: &Header, arrival: u32) -> Result<Place, Refused> {
        let Header { ssrc, sequence, timestamp, marker, .. } = *header;
        let proven = self.candidate.take() == Some((ssrc, sequence));
        if self.stream.is_some() && !proven {
            self.candidate = Some((ssrc, sequence.wrapping_add(1)));
            self.stats.unproven += 1;
            return Err(Refused::Unproven);
        }
        self.lost_before += self.stream.as_ref().map_or(0, Stream::lost);
        let mut stream = Stream::new(ssrc, sequence);
        stream.count(stream.first);
        if self.events != Some(header.payload_type) {
            stream.time(arrival, timestamp);
        }
        let sequence = stream.first;
        self.stream = Some(stream);
        self.streams = self.streams.saturating_add(1);
        self.stats.packets += 1;
        Ok(Place { stream: self.streams, sequence, timestamp, marker })
    }
}

/// Sequence numbers start a cycle up, so that packets from before the first have one too.
const CYCLE: u64 = 1 << 16;

impl Stream {
    fn new(ssrc: u32, sequence: u16) -> Self {
        let first = CYCLE + u64::from(sequence);
        let mut seen = Seen::default();
        seen.note(first as i64);
        Self { ssrc, first, highest: first, seen, taken: 0, copies: 0, reported: (0, 0), jitter: 0, before: None }
    }

    /// The sequence number without wrapping; `None` if it is no continuation.
    fn extend(&self, sequence: u16) -> Option<u64> {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        let behind = 0_u16.wrapping_sub(ahead);
        if ahead < MAX_DROPOUT {
            Some(self.highest + u64::from(ahead))
        } else if behind < MAX_MISORDER {
            Some(self.highest - u64::from(behind))
        } else {
            None
        }
    }

    fn count(&mut self, sequence: u64) {
        self.taken += 1;
        self.first = self.first.min(sequence);
        self.highest = self.highest.max(sequence);
    }

    fn time(&mut self, arrival: u32, timestamp: u32) {
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(transit_before) = self.before.replace(transit) {
            let difference = u64::from((transit.wrapping_sub(transit_before) as i32).unsigned_abs());
            // a talkspurt with a clock of its own is no jitter
            if difference < u64::from(CLOCK_RATE) {
                self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
            }
        }
    }

    fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }

    fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.taken)
    }
}
