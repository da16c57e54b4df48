//! Adding two voices.

/// Appends the sum of two streams, clipped at full scale. Where one is shorter, the other is heard alone.
pub fn mix(samples_a: &[i16], b: &[i16], out: &mut Vec<i16>) {
    let (long, short) = if samples_a.len() < b.len() { (b, samples_a) } else { (samples_a, b) };
    let rest = long.get(short.len()..).unwrap_or_default();
    out.extend(long.iter().zip(short).map(|(x, y)| x.saturating_add(*y)));
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_clips_and_keeps_the_longer_tail() {
        let mut out = vec![7];
        mix(&[1, 30_000, -30_000], &[2, 30_000, -30_000, 5], &mut out);
        assert_eq!(out, [7, 3, i16::MAX, i16::MIN, 5]);
        out.clear();
        mix(&[9, 8], &[], &mut out);
        assert_eq!(out, [9, 8]);
    }
}
