use super::{FRAME, MAX_TARGET, MIN_TARGET, TICKS_PER_MS};

/// The fastest packet of this and the last window is what delays are measured from: 5 s each.
const WINDOW: i64 = 5_000 * TICKS_PER_MS;
/// Delays are told apart by 10 ms.
const BIN: i64 = 10 * TICKS_PER_MS;
const BINS: usize = (MAX_TARGET / BIN) as usize;
/// About so many packets are remembered: 10 s of 20 ms.
const MEMORY: f32 = 500.0;
/// So few of them may come later than what is waited for.
const MISSED: f32 = 0.01;

/// How much later than the fastest packets come, and how long it is therefore worth to wait.
///
/// A histogram with a fading memory: delay that was not there before counts within five packets, delay that is gone for
/// half a minute more.
#[derive(Clone, Debug, Default)]
pub(super) struct Delay {
    /// Smallest transit time (arrival less timestamp) of this window and of the one before, and when this one began.
    windows: Option<(i64, i64, i64)>,
    /// Shares of the packets by how late they came.
    bins: [f32; BINS],
    weight: f32,
    /// When the last packet came.
    arrival: Option<i64>,
}

impl Delay {
    /// Takes a packet that came at `arrival`, whose first sample is due `early` before its own time, being cut into
    /// frames. It counts as `weight` packets; those of a burst, what a stall leaves behind, hardly count for themselves.
    pub(super) fn observe(&mut self, arrival: i64, transit: i64, early: i64, weight: f32) {
        let before = self.base();
        let (mut this, mut last, mut since) = self.windows.unwrap_or((transit, transit, arrival));
        if arrival - since >= WINDOW {
            (this, last, since) = (transit, this, arrival);
        }
        self.windows = Some((this.min(transit), last, since));
        self.shift(before.map_or(0, |before| self.base().unwrap_or(before) - before));

        let since = arrival - self.arrival.replace(arrival).unwrap_or(arrival - FRAME);
        let weight = weight * (since as f32 / FRAME as f32).clamp(0.05, 1.0);
        let late = transit + early - self.base().unwrap_or(transit);
        if late > MAX_TARGET {
            // nobody would wait for it
            return;
        }
        let share = weight / (self.weight + weight);
        self.weight = (self.weight + weight).min(MEMORY);
        for (index, bin) in self.bins.iter_mut().enumerate() {
            let hit = index as i64 == (late / BIN).min(BINS as i64 - 1);
            *bin += share * (f32::from(u8::from(hit)) - *bin);
        }
    }

    /// The transit time of the fastest packets; `None` before the first.
    pub(super) fn base(&self) -> Option<i64> {
        self.windows.map(|(this, last, _)| this.min(last))
    }

    /// How long after the fastest packets frames should be played.
    pub(super) fn target(&self) -> i64 {
        let mut later = 0.0;
        let waited = self.bins.iter().rposition(|share| {
            later += share;
            later > MISSED
        });
        ((waited.unwrap_or(0) as i64 + 1) * BIN).clamp(MIN_TARGET, MAX_TARGET)
    }

    /// The base went up by so much: what is remembered is less late by that.
    fn shift(&mut self, up: i64) {
        let bins = (up + (BIN / 2) * up.signum()) / BIN;
        let places = usize::try_from(bins.unsigned_abs()).unwrap_or(BINS).min(BINS);
        if places == 0 {
            return;
        }
        // what is shifted over an edge stays there
        let mut moved = [0.0; BINS];
        for (index, share) in self.bins.iter().enumerate() {
            let to = if bins >= 0 { index.saturating_sub(places) } else { (index + places).min(BINS - 1) };
            if let Some(place) = moved.get_mut(to) {
                *place += share;
            }
        }
        self.bins = moved;
    }
}
