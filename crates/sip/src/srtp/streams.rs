//! Which packets were there already: indices and replay (RFC 3711, section 3.3).

use super::SrtpError;

/// How many packets behind the newest one are still told apart.
pub const WINDOW: u64 = 128;

/// How many sources (SSRC) may speak with one key. A session border controller may change its own at each hold; only who
/// has the key can.
pub const MAX_SOURCES: usize = 64;

/// Highest index: 32 bits of rollover counter, 16 of sequence number.
const MAX_INDEX: u64 = (1 << 48) - 1;

/// The packets of one source: the newest, and which of those before it were there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stream {
    newest: Option<u64>,
    /// Bit n: the packet n before the newest was there.
    seen: u128,
}

impl Stream {
    pub const fn is_new(&self) -> bool {
        self.newest.is_none()
    }

    /// The index that this sequence number most likely stands for: the one nearest to the newest (appendix A).
    pub fn index(&self, sequence: u16) -> Option<u64> {
        let Some(newest) = self.newest else { return Some(u64::from(sequence)) };
        let here = newest & !0xFFFF | u64::from(sequence);
        // In two's complement: how far it is ahead of the newest by the shortest way.
        let ahead = sequence.wrapping_sub(newest as u16).cast_signed();
        let nearest = newest.checked_add_signed(i64::from(ahead)).unwrap_or(here);
        (nearest <= MAX_INDEX).then_some(nearest)
    }

    /// Whether a packet of this index may be taken.
    pub fn check(&self, index: u64) -> Result<(), SrtpError> {
        let Some(behind) = self.newest.and_then(|newest| newest.checked_sub(index)) else { return Ok(()) };
        if behind >= WINDOW {
            return Err(SrtpError::TooOld { index });
        }
        if self.seen >> behind & 1 == 1 {
            return Err(SrtpError::Replayed { index });
        }
        Ok(())
    }

    fn note(&mut self, index: u64) {
        let newest = self.newest.map_or(index, |newest| newest.max(index));
        let ahead = newest - self.newest.unwrap_or(newest);
        self.seen = u32::try_from(ahead).ok().and_then(|ahead| self.seen.checked_shl(ahead)).unwrap_or(0);
        self.seen |= u32::try_from(newest - index).ok().and_then(|behind| 1_u128.checked_shl(behind)).unwrap_or(0);
        self.newest = Some(newest);
    }
}

/// The sources that have used a key. Few: looked through from the beginning.
#[derive(Debug, Default)]
pub(super) struct Streams(Vec<(u32, Stream)>);

impl Streams {
    /// What is known of a source.
    pub fn of(&self, ssrc: u32) -> Result<Stream, SrtpError> {
        match self.0.iter().find(|(known, _)| *known == ssrc) {
            Some((_, stream)) => Ok(*stream),
            None if self.0.len() < MAX_SOURCES => Ok(Stream::default()),
            None => Err(SrtpError::TooManySources),
        }
    }

    /// A packet of a source was taken.
    pub fn note(&mut self, ssrc: u32, index: u64) {
        if let Some((_, stream)) = self.0.iter_mut().find(|(known, _)| *known == ssrc) {
            stream.note(index);
        } else if self.0.len() < MAX_SOURCES {
            let mut stream = Stream::default();
            stream.note(index);
            self.0.push((ssrc, stream));
        }
    }
}
