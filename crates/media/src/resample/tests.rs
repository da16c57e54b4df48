//! What the resampler does to tones, measured on the `f32` core before any quantisation.

use std::f64::consts::TAU;

use super::Resampler;

/// Full scale of 16 bits, as on the real path.
const FULL_SCALE: f64 = 32_767.0;
const PAIRS: [(u32, u32); 4] = [(8_000, 24_000), (8_000, 16_000), (24_000, 8_000), (16_000, 8_000)];

/// `seconds` of a full-scale tone through a fresh resampler; the first 100 ms of output are cut off.
fn tone_through(from: u32, to: u32, hz: f64, seconds: u32) -> Vec<f64> {
    let mut resampler = Resampler::new(from, to).unwrap();
    let tone = (0..from * seconds).map(|n| (FULL_SCALE * (TAU * hz * f64::from(n) / f64::from(from)).sin()) as f32);
    let mut out = Vec::new();
    resampler.push(tone, |block| out.extend(block.iter().map(|sample| f64::from(*sample))));
    out.split_off(to as usize / 10)
}

/// Fits a tone of known frequency: its amplitude, and the RMS of everything that is not the tone.
fn fit(samples: &[f64], hz: f64, rate: u32) -> (f64, f64) {
    let basis = |n: usize| (TAU * hz * n as f64 / f64::from(rate)).sin_cos();
    // normal equations of a least-squares fit to a*sin + b*cos
    let (mut ss, mut cc, mut sc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, x) in samples.iter().enumerate() {
        let (s, c) = basis(n);
        ss += s * s;
        cc += c * c;
        sc += s * c;
        xs += x * s;
        xc += x * c;
    }
    let det = ss * cc - sc * sc;
    let (a, b) = ((xs * cc - xc * sc) / det, (xc * ss - xs * sc) / det);
    let rest: f64 = samples
        .iter()
        .enumerate()
        .map(|(n, x)| {
            let (s, c) = basis(n);
            (x - a * s - b * c).powi(2)
        })
        .sum();
    (a.hypot(b), (rest / samples.len() as f64).sqrt())
}

fn db(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-12).log10()
}

/// Level of an RMS value against the input tone, in dB.
fn dbc(rms: f64) -> f64 {
    db(rms / (FULL_SCALE / 2.0_f64.sqrt()))
}

fn rms(samples: &[f64]) -> f64 {
    (samples.iter().map(|x| x * x).sum::<f64>() / samples.len() as f64).sqrt()
}

#[test]
fn the_telephone_band_is_flat_and_clean() {
    for (from, to) in PAIRS {
        let (mut least, mut most, mut dirt) = (f64::MAX, f64::MIN, f64::MIN);
        // 123.7 Hz apart: never on the 50 Hz grid of the blocks, where their artefacts would cancel out
        for hz in (0..28).map(|n| 47.3 + 123.7 * f64::from(n)).chain([3_300.7, 3_399.7]) {
            let (amplitude, rest) = fit(&tone_through(from, to, hz, 2), hz, to);
            let gain = db(amplitude / FULL_SCALE);
            assert!(gain.abs() <= 0.1, "{from} to {to}: {gain:.3} dB at {hz} Hz");
            assert!(dbc(rest) < -90.0, "{from} to {to}: artefacts {:.1} dBc at {hz} Hz", dbc(rest));
            (least, most, dirt) = (least.min(gain), most.max(gain), dirt.max(dbc(rest)));
        }
        println!("{from} to {to}: {least:+.3}..{most:+.3} dB to 3.4 kHz, artefacts at most {dirt:.1} dBc");
    }
}

#[test]
fn aliases_are_gone_on_the_way_down() {
    for (from, to) in [(24_000, 8_000), (16_000, 8_000)] {
        let mut worst = f64::MIN;
        let nyquist = f64::from(from) / 2.0;
        for hz in (0..64).map(|n| 4_103.3 + 131.3 * f64::from(n)).filter(|hz| *hz < nyquist - 50.0) {
            let level = dbc(rms(&tone_through(from, to, hz, 1)));
            assert!(level < -90.0, "{from} to {to}: alias {level:.1} dBc from {hz} Hz");
            worst = worst.max(level);
        }
        println!("{from} to {to}: aliases at most {worst:.1} dBc");
    }
}

#[test]
fn images_are_gone_on_the_way_up() {
    for (from, to) in [(8_000, 24_000), (8_000, 16_000)] {
        let mut worst = f64::MIN;
        // up to the edge: the image of 3.9 kHz lies at 4.1 kHz
        for hz in [203.3, 1_003.7, 2_517.9, 3_399.7, 3_601.3, 3_803.3, 3_903.7] {
            let (_, rest) = fit(&tone_through(from, to, hz, 2), hz, to);
            assert!(dbc(rest) < -90.0, "{from} to {to}: images {:.1} dBc of {hz} Hz", dbc(rest));
            worst = worst.max(dbc(rest));
        }
        println!("{from} to {to}: images at most {worst:.1} dBc");
    }
}

#[test]
fn the_delay_is_five_milliseconds() {
    for (from, to) in PAIRS {
        let mut resampler = Resampler::new(from, to).unwrap();
        assert_eq!(resampler.delay(), to as usize / 200, "{from} to {to}");
        // 120 ms into the stream, a whole sample at both rates, off the grid of blocks
        let at = from as usize * 127 / 1_000;
        let impulse = (0..from as usize).map(|n| if n == at { 1.0 } else { 0.0 });
        let mut out = Vec::new();
        resampler.push(impulse, |block| out.extend_from_slice(block));
        let peak = (0..out.len()).max_by(|a, b| out[*a].abs().total_cmp(&out[*b].abs())).unwrap();
        assert_eq!(peak, to as usize * 127 / 1_000 + resampler.delay(), "{from} to {to}");
    }
}

#[test]
fn blocks_are_always_whole() {
    for (from, to) in PAIRS {
        let mut resampler = Resampler::new(from, to).unwrap();
        for _ in 0..1_000 {
            let due = resampler.output_for(from as usize / 50);
            let mut given = 0;
            resampler.push(std::iter::repeat_n(1.0, from as usize / 50), |block| given += block.len());
            assert_eq!((given, due), (to as usize / 50, to as usize / 50));
        }
    }
}

#[test]
fn other_rates_are_refused_with_their_numbers() {
    let error = Resampler::new(0, 8_000).unwrap_err();
    assert!(error.to_string().starts_with("no resampler from 0 Hz to 8000 Hz"), "{error}");
}
