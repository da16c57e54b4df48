//! ITU-T G.711 companding, bit exact with the ITU-T G.191 software tool library.
//!
//! Codes are as on the wire: mu-law inverted, A-law with its even bits toggled. Linear samples use the full 16 bits.
//! Functions on slices append to `out`.

use audio_codec_algorithms::{convert_alaw_to_ulaw, convert_ulaw_to_alaw};
pub use audio_codec_algorithms::{decode_alaw, decode_ulaw, encode_alaw, encode_ulaw};
use bytes::BytesMut;

use crate::LineCodec;
use crate::format::Encoding;

/// Appends the samples of `payload`. Half a sample at the end of an L16 payload is left out.
pub fn decode(codec: LineCodec, payload: &[u8], out: &mut Vec<i16>) {
    match codec {
        LineCodec::Pcmu => out.extend(payload.iter().map(|code| decode_ulaw(*code))),
        LineCodec::Pcma => out.extend(payload.iter().map(|code| decode_alaw(*code))),
        LineCodec::L16 => out.extend(payload.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair))),
    }
}

/// Appends the codes of `samples`, [`LineCodec::bytes_per_sample`] bytes each.
pub fn encode(codec: LineCodec, samples: &[i16], out: &mut Vec<u8>) {
    match codec {
        LineCodec::Pcmu => out.extend(samples.iter().map(|sample| encode_ulaw(*sample))),
        LineCodec::Pcma => out.extend(samples.iter().map(|sample| encode_alaw(*sample))),
        LineCodec::L16 => out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
    }
}

/// Appends `payload` in another codec of the same rate.
///
/// Between the two laws this follows tables 3 and 4 of G.711, which come back to the same code after mu-A-mu
/// wherever that is possible; decoding and encoding again would not.
pub fn convert(from: LineCodec, to: LineCodec, payload: &[u8], out: &mut BytesMut) {
    recode(from.encoding(), to.encoding(), payload, out);
}

/// [`convert`] for any two encodings. Half a PCM sample at the end is left out unless nothing changes.
pub(crate) fn recode(from: Encoding, to: Encoding, payload: &[u8], out: &mut BytesMut) {
    match (from, to) {
        (Encoding::Ulaw, Encoding::Ulaw) | (Encoding::Alaw, Encoding::Alaw) | (Encoding::Pcm16, Encoding::Pcm16) => {
            out.extend_from_slice(payload);
        }
        (Encoding::Ulaw, Encoding::Alaw) => by_byte(payload, out, convert_ulaw_to_alaw),
        (Encoding::Alaw, Encoding::Ulaw) => by_byte(payload, out, convert_alaw_to_ulaw),
        (Encoding::Ulaw, Encoding::Pcm16) => expand(payload, out, decode_ulaw),
        (Encoding::Alaw, Encoding::Pcm16) => expand(payload, out, decode_alaw),
        (Encoding::Pcm16, Encoding::Ulaw) => compress(payload, out, encode_ulaw),
        (Encoding::Pcm16, Encoding::Alaw) => compress(payload, out, encode_alaw),
    }
}

fn by_byte(payload: &[u8], out: &mut BytesMut, law: impl Fn(u8) -> u8) {
    for (to, code) in grow(out, payload.len()).iter_mut().zip(payload) {
        *to = law(*code);
    }
}

fn expand(payload: &[u8], out: &mut BytesMut, law: impl Fn(u8) -> i16) {
    for (to, code) in grow(out, payload.len() * 2).as_chunks_mut().0.iter_mut().zip(payload) {
        *to = law(*code).to_le_bytes();
    }
}

fn compress(payload: &[u8], out: &mut BytesMut, law: impl Fn(i16) -> u8) {
    let samples = payload.as_chunks().0;
    for (to, pair) in grow(out, samples.len()).iter_mut().zip(samples) {
        *to = law(i16::from_le_bytes(*pair));
    }
}

/// Makes `out` longer by `bytes` zeros and gives that part.
pub(crate) fn grow(out: &mut BytesMut, bytes: usize) -> &mut [u8] {
    let at = out.len();
    out.resize(at + bytes, 0);
    out.get_mut(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [LineCodec; 3] = [LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16];

    #[test]
    fn silence_stays_silence() {
        for codec in CODECS {
            let mut samples = Vec::new();
            decode(codec, &vec![codec.silence(); codec.frame_bytes()], &mut samples);
            assert_eq!(samples.len(), crate::FRAME_SAMPLES);
            // A-law has no zero: its quietest value is 8 of 32,768
            assert!(samples.iter().all(|sample| sample.abs() <= 8), "{codec}");
            let mut back = Vec::new();
            encode(codec, &samples, &mut back);
            assert!(back.iter().all(|byte| *byte == codec.silence()), "{codec}");
        }
    }

    #[test]
    fn converting_to_linear_equals_decoding() {
        let codes: Vec<u8> = (0..=255).collect();
        for codec in [LineCodec::Pcmu, LineCodec::Pcma] {
            let mut linear = BytesMut::new();
            convert(codec, LineCodec::L16, &codes, &mut linear);
            let mut samples = Vec::new();
            decode(codec, &codes, &mut samples);
            let mut bytes = Vec::new();
            encode(LineCodec::L16, &samples, &mut bytes);
            assert_eq!(linear, bytes);
            let mut again = BytesMut::new();
            convert(LineCodec::L16, codec, &linear, &mut again);
            let changed: Vec<usize> = (0..256).filter(|code| again[*code] != codes[*code]).collect();
            // 0x7F is mu-law's negative zero
            assert_eq!(changed, if codec == LineCodec::Pcmu { vec![0x7F] } else { vec![] });
        }
    }

    #[test]
    fn between_the_laws_a_second_pass_changes_nothing_more() {
        let codes: Vec<u8> = (0..=255).collect();
        for (from, to) in [(LineCodec::Pcmu, LineCodec::Pcma), (LineCodec::Pcma, LineCodec::Pcmu)] {
            let pass = |from, to, input: &[u8]| {
                let mut out = BytesMut::new();
                convert(from, to, input, &mut out);
                out
            };
            let there = pass(from, to, &codes);
            let back = pass(to, from, &there);
            assert_eq!(pass(from, to, &back), there);
            // one quantisation step at most: the companded magnitude moves by 1 or not at all
            let moved = back.iter().zip(&codes).filter(|(a, b)| a != b).count();
            assert!(moved < 60, "{moved} of 256 codes changed by {from}-{to}-{from}");
        }
    }

    #[test]
    fn half_a_sample_is_left_out() {
        let mut samples = Vec::new();
        decode(LineCodec::L16, &[1, 0, 2], &mut samples);
        assert_eq!(samples, [1]);
        let mut out = BytesMut::new();
        convert(LineCodec::L16, LineCodec::Pcmu, &[0, 0, 2], &mut out);
        assert_eq!(out[..], [0xFF]);
    }
}
