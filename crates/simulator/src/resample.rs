//! A small resampler for any pair of rates: windowed-sinc polyphase, linear phase, delay taken out.
//!
//! The product's own transcoders only go to and from the line's 8 kHz; the simulator also has to bring 24 kHz to its speech
//! detector's 16 kHz and a WAV of any rate to any format, and is better judge of the product with arithmetic of its own.

/// Zero crossings of the sinc on each side: flat to 0.85 of the lower band edge, images below -60 dB.
const CROSSINGS: usize = 16;

/// Streaming conversion; output n stands exactly at input n * from / to.
pub(crate) struct Resampler {
    /// Upsampling factor (number of filter phases).
    up: usize,
    /// Downsampling factor.
    down: usize,
    /// Input samples on each side of an output sample that shape it.
    half: usize,
    /// `up` filters of `2 * half` taps each.
    taps: Vec<f32>,
    /// Input not yet wholly used; begins `half` samples before the next output's place.
    history: Vec<f32>,
    /// Phase of the next output, 0..up.
    phase: usize,
}

impl Resampler {
    pub(crate) fn new(from: u32, to: u32) -> Self {
        let divisor = gcd(from.max(1), to.max(1));
        let (up, down) = ((to.max(1) / divisor) as usize, (from.max(1) / divisor) as usize);
        let cutoff = (up as f64 / down as f64).min(1.0);
        let half = (CROSSINGS as f64 / cutoff).ceil() as usize;
        let mut taps = Vec::with_capacity(up * 2 * half);
        for phase in 0..up {
            let fraction = phase as f64 / up as f64;
            let filter: Vec<f64> = (0..2 * half)
                .map(|tap| tap as f64 - (half as f64 - 1.0) - fraction)
                .map(|distance| cutoff * sinc(distance * cutoff) * window(distance / half as f64))
                .collect();
            // Every phase passes a constant unchanged, so that no tone at the phase rate appears.
            let sum: f64 = filter.iter().sum();
            taps.extend(filter.iter().map(|tap| (tap / sum) as f32));
        }
        Self { up, down, half, taps, history: vec![0.0; half.saturating_sub(1)], phase: 0 }
    }

    pub(crate) fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.history.extend(samples.iter().map(|sample| f32::from(*sample)));
        let width = 2 * self.half;
        let mut start = 0;
        while let Some(input) = self.history.get(start..start + width) {
            let filter = self.taps.get(self.phase * width..(self.phase + 1) * width).unwrap_or_default();
            let sum: f32 = input.iter().zip(filter).map(|(sample, tap)| sample * tap).sum();
            out.push(sum.round() as i16);
            self.phase += self.down;
            start += self.phase / self.up;
            self.phase %= self.up;
        }
        self.history.drain(..start.min(self.history.len()));
    }
}

/// A whole sound at another rate, of exactly the same length in time.
pub(crate) fn convert(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
    if from == to {
        return samples.to_vec();
    }
    let mut resampler = Resampler::new(from, to);
    let wanted = (samples.len() as u64 * u64::from(to)).div_ceil(u64::from(from.max(1))) as usize;
    let mut out = Vec::with_capacity(wanted + 1);
    resampler.push(samples, &mut out);
    resampler.push(&vec![0; resampler.half + 1], &mut out);
    out.resize(wanted, 0);
    out
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) }
}

/// Blackman, over -1..=1.
fn window(x: f64) -> f64 {
    if x.abs() > 1.0 {
        return 0.0;
    }
    let angle = std::f64::consts::PI * x;
    0.42 + 0.5 * angle.cos() + 0.08 * (2.0 * angle).cos()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hz: f64, ms: u32) -> Vec<i16> {
        let count = rate * ms / 1000;
        (0..count)
            .map(|n| (8000.0 * (std::f64::consts::TAU * hz * f64::from(n) / f64::from(rate)).sin()).round() as i16)
            .collect()
    }

    #[test]
    fn a_tone_stays_the_same_tone_in_the_same_place() {
        for (from, to) in
            [(24_000, 16_000), (8_000, 16_000), (8_000, 24_000), (24_000, 8_000), (44_100, 24_000), (16_000, 8_000)]
        {
            let got = convert(&tone(from, 1_000.0, 200), from, to);
            let wanted = tone(to, 1_000.0, 200);
            assert_eq!(got.len(), wanted.len(), "{from} to {to}");
            let edge = to as usize / 200;
            let worst = got.iter().zip(&wanted).skip(edge).take(wanted.len() - 2 * edge);
            let worst = worst.map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).max().unwrap();
            assert!(worst < 40, "{from} to {to}: off by {worst}");
        }
    }

    #[test]
    fn chunks_do_not_matter() {
        let input = tone(24_000, 440.0, 300);
        let mut whole = Vec::new();
        Resampler::new(24_000, 16_000).push(&input, &mut whole);
        for size in [1, 7, 480, 1_000] {
            let (mut resampler, mut parts) = (Resampler::new(24_000, 16_000), Vec::new());
            input.chunks(size).for_each(|chunk| resampler.push(chunk, &mut parts));
            assert_eq!(parts, whole, "chunks of {size}");
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_taken_out() {
        let got = convert(&tone(24_000, 7_000.0, 200), 24_000, 8_000);
        let worst = got.iter().skip(100).take(1_400).map(|s| i32::from(*s).abs()).max().unwrap();
        assert!(worst < 20, "alias of {worst}");
    }
}
