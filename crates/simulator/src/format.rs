//! Audio as it is written in events: raw bytes of one of five formats.

use trunkline_media::LineCodec;
use trunkline_media::g711;

use crate::resample;

/// What bytes of audio mean on the wire. Mono; PCM is signed 16-bit little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireFormat {
    Pcm24k,
    /// Voice Live only.
    Pcm16k,
    /// Voice Live only.
    Pcm8k,
    Pcmu,
    Pcma,
}

impl WireFormat {
    /// Samples a second.
    pub(crate) const fn rate(self) -> u32 {
        match self {
            Self::Pcm24k => 24_000,
            Self::Pcm16k => 16_000,
            Self::Pcm8k | Self::Pcmu | Self::Pcma => 8_000,
        }
    }

    pub(crate) const fn bytes_per_ms(self) -> usize {
        match self {
            Self::Pcm24k => 48,
            Self::Pcm16k => 32,
            Self::Pcm8k => 16,
            Self::Pcmu | Self::Pcma => 8,
        }
    }

    pub(crate) const fn bytes_per_sample(self) -> usize {
        match self {
            Self::Pcm24k | Self::Pcm16k | Self::Pcm8k => 2,
            Self::Pcmu | Self::Pcma => 1,
        }
    }

    /// How the service words the format in its messages.
    pub(crate) const fn wording(self) -> &'static str {
        match self {
            Self::Pcm24k => "mono PCM16 at 24kHz",
            Self::Pcm16k => "mono PCM16 at 16kHz",
            Self::Pcm8k => "mono PCM16 at 8kHz",
            Self::Pcmu => "mono G.711 mu-law at 8kHz",
            Self::Pcma => "mono G.711 A-law at 8kHz",
        }
    }

    /// Whole samples only; an odd last byte of PCM is ignored.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<i16> {
        let mut samples = Vec::with_capacity(bytes.len() / self.bytes_per_sample());
        match self {
            Self::Pcmu => g711::decode(LineCodec::Pcmu, bytes, &mut samples),
            Self::Pcma => g711::decode(LineCodec::Pcma, bytes, &mut samples),
            Self::Pcm24k | Self::Pcm16k | Self::Pcm8k => {
                samples.extend(bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)));
            }
        }
        samples
    }

    pub(crate) fn encode(self, samples: &[i16]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(samples.len() * self.bytes_per_sample());
        match self {
            Self::Pcmu => g711::encode(LineCodec::Pcmu, samples, &mut bytes),
            Self::Pcma => g711::encode(LineCodec::Pcma, samples, &mut bytes),
            Self::Pcm24k | Self::Pcm16k | Self::Pcm8k => bytes.extend(samples.iter().flat_map(|s| s.to_le_bytes())),
        }
        bytes
    }
}

/// The same sound in another format; untouched bytes when the formats are equal.
pub(crate) fn convert(bytes: &[u8], from: WireFormat, to: WireFormat) -> Vec<u8> {
    if from == to {
        return bytes.to_vec();
    }
    to.encode(&resample::convert(&from.decode(bytes), from.rate(), to.rate()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_formats_keep_every_byte() {
        let bytes: Vec<u8> = (0..=255).collect();
        for format in [WireFormat::Pcm24k, WireFormat::Pcmu, WireFormat::Pcma] {
            assert_eq!(convert(&bytes, format, format), bytes);
        }
    }

    #[test]
    fn lengths_follow_the_rates() {
        let second = vec![0u8; 8_000];
        assert_eq!(convert(&second, WireFormat::Pcmu, WireFormat::Pcm24k).len(), 48_000);
        assert_eq!(convert(&second, WireFormat::Pcmu, WireFormat::Pcma).len(), 8_000);
        assert_eq!(convert(&second, WireFormat::Pcmu, WireFormat::Pcm16k).len(), 32_000);
    }
}
