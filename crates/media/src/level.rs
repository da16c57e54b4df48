//! How loud audio is.

use crate::{LineCodec, g711};

/// The level of silence in dBFS: below what 16 bits can hold.
pub const SILENCE_DBFS: i8 = -96;

/// The largest magnitude among the samples of `payload`, 0 to 32,768. G.711 is compared as it is, and one code decoded.
pub fn peak(codec: LineCodec, payload: &[u8]) -> u16 {
    let loudest = |magnitude: fn(u8) -> u8| payload.iter().map(|code| magnitude(*code)).max();
    match codec {
        // Under sign and inversion both laws are monotonous.
        LineCodec::Pcmu => loudest(|code| !code & 0x7F).map_or(0, |code| g711::decode_ulaw(!code).unsigned_abs()),
        LineCodec::Pcma => {
            loudest(|code| (code ^ 0x55) & 0x7F).map_or(0, |code| g711::decode_alaw(code ^ 0x55).unsigned_abs())
        }
        LineCodec::L16 => {
            let samples = payload.as_chunks().0.iter();
            samples.map(|pair| i16::from_le_bytes(*pair).unsigned_abs()).max().unwrap_or(0)
        }
    }
}

/// A peak in whole dB under full scale (32,768), [`SILENCE_DBFS`] to 0.
pub fn dbfs(peak: u16) -> i8 {
    let db = 20.0 * (f64::from(peak) / 32_768.0).log10();
    // Of -inf and of the loudest alike.
    db.clamp(f64::from(SILENCE_DBFS), 0.0).round() as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_the_decoded_samples() {
        let mut samples = Vec::new();
        for codec in [LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16] {
            for code in 0..=255 {
                for payload in [[code, code], [code, codec.silence()], [codec.silence(), code]] {
                    samples.clear();
                    g711::decode(codec, &payload, &mut samples);
                    let loudest = samples.iter().map(|sample| sample.unsigned_abs()).max();
                    assert_eq!(Some(peak(codec, &payload)), loudest, "{codec} {payload:?}");
                }
            }
            assert_eq!(peak(codec, &[]), 0);
        }
    }

    #[test]
    fn levels_are_under_full_scale() {
        for (peak, db) in [(0, -96), (1, -90), (328, -40), (3_277, -20), (16_384, -6), (32_767, 0), (32_768, 0)] {
            assert_eq!(dbfs(peak), db, "{peak}");
        }
    }
}
