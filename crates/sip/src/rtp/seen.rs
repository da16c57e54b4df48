/// Which of the last 128 sequence numbers have come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    highest: i64,
    /// Bit n: `highest - n` has come.
    window: u128,
}

/// What a sequence number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// It had not come.
    First,
    /// It had.
    Again,
    /// Too far behind to know.
    Forgotten,
}

impl Seen {
    pub(crate) fn note(&mut self, sequence: i64) -> Sighting {
        let ahead = sequence.saturating_sub(self.highest);
        if self.window == 0 || ahead > 0 {
            let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
            self.window = self.window.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = sequence;
            return Sighting::First;
        }
        let Some(bit) = u32::try_from(ahead.unsigned_abs()).ok().and_then(|behind| 1_u128.checked_shl(behind)) else {
            return Sighting::Forgotten;
        };
        let again = self.window & bit != 0;
        self.window |= bit;
        if again { Sighting::Again } else { Sighting::First }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_last_128() {
        let mut seen = Seen::default();
        let table = [
            (1_000, Sighting::First),
            (1_000, Sighting::Again),
            (998, Sighting::First),
            (998, Sighting::Again),
            (1_002, Sighting::First),
            (1_001, Sighting::First),
            (1_000, Sighting::Again),
            (1_125, Sighting::First),
            (998, Sighting::Again),
            (997, Sighting::Forgotten),
            (5_000, Sighting::First),
            (4_999, Sighting::First),
            (5_000, Sighting::Again),
            (1_125, Sighting::Forgotten),
        ];
        for (step, (sequence, expected)) in table.into_iter().enumerate() {
            assert_eq!(seen.note(sequence), expected, "step {step}: {sequence}");
        }
    }
}
