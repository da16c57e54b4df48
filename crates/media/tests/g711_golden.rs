//! Every G.711 code and every sample, against the ITU-T G.191 vectors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use trunkline_media::{LineCodec, g711};

const ULAW_ENCODE: &[u8] = include_bytes!("golden/ulaw_encode_all65536_itu.bin");
const ALAW_ENCODE: &[u8] = include_bytes!("golden/alaw_encode_all65536_itu.bin");
const ULAW_DECODE: &[u8] = include_bytes!("golden/ulaw_decode_256_itu.s16le");
const ALAW_DECODE: &[u8] = include_bytes!("golden/alaw_decode_256_itu.s16le");

type PerSample = (fn(i16) -> u8, fn(u8) -> i16);

const LAWS: [(LineCodec, &[u8], &[u8], PerSample); 2] = [
    (LineCodec::Pcmu, ULAW_ENCODE, ULAW_DECODE, (g711::encode_ulaw, g711::decode_ulaw)),
    (LineCodec::Pcma, ALAW_ENCODE, ALAW_DECODE, (g711::encode_alaw, g711::decode_alaw)),
];

#[test]
fn every_sample_encodes_as_the_vectors_say() {
    for (codec, golden, _, (encode, _)) in LAWS {
        assert_eq!(golden.len(), 65_536);
        let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let mut codes = Vec::new();
        g711::encode(codec, &samples, &mut codes);
        for (index, sample) in samples.iter().enumerate() {
            assert_eq!(codes[index], golden[index], "{codec} of {sample}");
            assert_eq!(encode(*sample), golden[index], "{codec} of {sample}");
        }
    }
}

#[test]
fn every_code_decodes_as_the_vectors_say() {
    for (codec, _, golden, (_, decode)) in LAWS {
        assert_eq!(golden.len(), 512);
        let codes: Vec<u8> = (0..=255).collect();
        let mut samples = Vec::new();
        g711::decode(codec, &codes, &mut samples);
        for (code, pair) in golden.as_chunks().0.iter().enumerate() {
            let expected = i16::from_le_bytes(*pair);
            assert_eq!(samples[code], expected, "{codec} code {code}");
            assert_eq!(decode(code as u8), expected, "{codec} code {code}");
        }
    }
}

#[test]
fn silence_codes_are_the_quietest() {
    assert_eq!(g711::encode_ulaw(0), LineCodec::Pcmu.silence());
    assert_eq!(g711::encode_alaw(0), LineCodec::Pcma.silence());
    assert_eq!(g711::decode_ulaw(LineCodec::Pcmu.silence()), 0);
    assert_eq!(g711::decode_alaw(LineCodec::Pcma.silence()), 8);
}
