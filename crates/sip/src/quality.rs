//! What a listener would say of the line: the E-model of ITU-T G.107 for G.711 with loss concealment.

use std::time::Duration;

/// The rating of an undisturbed line with every other parameter at its default (G.107).
const R_DEFAULT: f64 = 93.2;
/// Impairment of G.711 itself, and its robustness against random loss with concealment after Appendix I (G.113, table
/// I.3).
const EQUIPMENT: f64 = 0.0;
const ROBUSTNESS: f64 = 25.1;
/// Beyond this much from mouth to ear, talking to each other suffers.
const DELAY_KNEE_MS: f64 = 177.3;

/// What is known of a call's way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MosInput {
    /// Share of 20 ms frames that were not there when they were due, 0.0 to 1.0: lost and late.
    pub loss: f64,
    /// How much longer losses last than by chance alone: 1.0 for random loss, above for bursts. Less counts as 1.0.
    pub burst_ratio: f64,
    /// There and back over the network, as RTCP measures it; zero if unknown.
    pub round_trip: Duration,
    /// Time that audio waits with us, the packet's own length included: jitter buffer and 20 ms.
    pub local_delay: Duration,
}

/// The mean opinion score that G.107 estimates, 1.0 (bad) to 4.5.
///
/// `R = 93.2 - Id - Ie,eff` with `Ie,eff = Ie + (95 - Ie) * Ppl / (Ppl / BurstR + Bpl)` (G.107 clause 7.5, Ppl in
/// percent), `Id = 0.024 d + 0.11 (d - 177.3) H(d - 177.3)` with d the milliseconds from mouth to ear (Cole and
/// Rosenbluth, "Voice over IP performance monitoring", 2001, an approximation of G.107 clause 7.4 for lines without
/// echo), and `MOS = 1 + 0.035 R + R (R - 60) (100 - R) 7e-6` (G.107 annex B).
#[must_use]
pub fn mos(input: &MosInput) -> f64 {
    let MosInput { loss, burst_ratio, round_trip, local_delay } = *input;
    let loss = 100.0 * if loss.is_nan() { 0.0 } else { loss.clamp(0.0, 1.0) };
    let burst_ratio = burst_ratio.max(1.0);
    let impairment = EQUIPMENT + (95.0 - EQUIPMENT) * loss / (loss / burst_ratio + ROBUSTNESS);
    let delay = (round_trip.as_secs_f64() / 2.0 + local_delay.as_secs_f64()) * 1_000.0;
    let delay = 0.024 * delay + 0.11 * (delay - DELAY_KNEE_MS).max(0.0);
    score(R_DEFAULT - delay - impairment)
}

fn score(rating: f64) -> f64 {
    let rating = rating.clamp(0.0, 100.0);
    // between 0 and 6.5 the polynomial dips below 1
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn input(loss: f64, round_trip_ms: u64, local_ms: u64) -> MosInput {
        let (round_trip, local_delay) = (Duration::from_millis(round_trip_ms), Duration::from_millis(local_ms));
        MosInput { loss, burst_ratio: 1.0, round_trip, local_delay }
    }

    #[test]
    fn scores_of_annex_b() {
        // G.107 annex B, table B.1: R and the score that goes with it
        for (rating, expected) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            assert!((score(rating) - expected).abs() < 0.01, "R {rating}: {}", score(rating));
        }
        assert_eq!([score(-5.0), score(0.0), score(3.0), score(100.0)], [1.0, 1.0, 1.0, 4.5]);
    }

    #[test]
    fn scores_of_lines() {
        let table = [
            (input(0.0, 0, 0), 4.41),
            (input(0.0, 100, 40), 4.36),
            (input(0.01, 100, 40), 4.27),
            (input(0.03, 100, 40), 4.06),
            (input(0.10, 100, 40), 3.30),
            (input(0.0, 600, 200), 2.35),
            (input(1.0, 0, 0), 1.18),
        ];
        for (line, expected) in table {
            assert!((mos(&line) - expected).abs() < 0.01, "{line:?}: {}", mos(&line));
        }
    }

    proptest! {
        #[test]
        fn worse_lines_never_score_better(
            loss in 0.0..1.0_f64, more in 0.0..1.0_f64, burst in 1.0..5.0_f64,
            round_trip in 0_u64..2_000, local in 0_u64..500, longer in 0_u64..500,
        ) {
            let line = MosInput { burst_ratio: burst, ..input(loss, round_trip, local) };
            let best = mos(&line);
            prop_assert!((1.0..=4.5).contains(&best));
            let worse = [
                MosInput { loss: loss + more, ..line },
                MosInput { burst_ratio: burst * 2.0, ..line },
                MosInput { local_delay: Duration::from_millis(local + longer), ..line },
            ];
            for line in worse {
                prop_assert!(mos(&line) <= best, "{:?}", line);
            }
        }

        #[test]
        fn any_numbers_give_a_score(loss in any::<f64>(), burst_ratio in any::<f64>(), seconds in any::<u32>()) {
            let round_trip = Duration::from_secs(seconds.into());
            let score = mos(&MosInput { loss, burst_ratio, round_trip, local_delay: round_trip });
            prop_assert!((1.0..=4.5).contains(&score));
        }
    }
}
