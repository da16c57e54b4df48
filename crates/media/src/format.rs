//! What audio looks like on a call's line and towards a model.

use std::fmt;
use std::str::FromStr;

use crate::{FRAME_SAMPLES, LINE_RATE};

/// What travels on a call's line: 8 kHz mono.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineCodec {
    /// G.711 mu-law, one byte a sample.
    Pcmu,
    /// G.711 A-law, one byte a sample.
    Pcma,
    /// Linear PCM, 16 bits, little-endian.
    L16,
}

/// The text is not the name of a line codec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown codec {value:?}: pcmu, pcma or l16 is allowed")]
pub struct UnknownCodec {
    /// The text as it was given.
    pub value: String,
}

impl LineCodec {
    /// Bytes of one 20 ms frame: 160, or 320 for [`LineCodec::L16`].
    pub const fn frame_bytes(self) -> usize {
        FRAME_SAMPLES * self.bytes_per_sample()
    }

    /// Bytes of one sample: 1, or 2 for [`LineCodec::L16`].
    pub const fn bytes_per_sample(self) -> usize {
        self.encoding().bytes_per_sample()
    }

    /// Bytes of one millisecond: 8, or 16 for [`LineCodec::L16`].
    pub const fn bytes_per_ms(self) -> usize {
        LINE_RATE as usize / 1_000 * self.bytes_per_sample()
    }

    /// The byte that silence is made of. Not 0x00 in G.711: there that is nearly full scale.
    pub const fn silence(self) -> u8 {
        self.encoding().silence()
    }

    /// The name used in addresses, settings and messages: `pcmu`, `pcma`, `l16`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
            Self::L16 => "l16",
        }
    }

    pub(crate) const fn encoding(self) -> Encoding {
        match self {
            Self::Pcmu => Encoding::Ulaw,
            Self::Pcma => Encoding::Alaw,
            Self::L16 => Encoding::Pcm16,
        }
    }
}

impl fmt::Display for LineCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LineCodec {
    type Err = UnknownCodec;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pcmu" => Ok(Self::Pcmu),
            "pcma" => Ok(Self::Pcma),
            "l16" => Ok(Self::L16),
            other => Err(UnknownCodec { value: other.to_owned() }),
        }
    }
}

/// What a speech model hears and speaks, mono.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelFormat {
    /// Linear PCM, 24 kHz, 16 bits, little-endian (`audio/pcm`).
    Pcm24k,
    /// Linear PCM, 16 kHz, 16 bits, little-endian.
    Pcm16k,
    /// G.711 mu-law, 8 kHz (`audio/pcmu`).
    Pcmu,
    /// G.711 A-law, 8 kHz (`audio/pcma`).
    Pcma,
}

impl ModelFormat {
    /// Sample rate in Hz.
    pub const fn rate(self) -> u32 {
        match self {
            Self::Pcm24k => 24_000,
            Self::Pcm16k => 16_000,
            Self::Pcmu | Self::Pcma => LINE_RATE,
        }
    }

    /// Bytes of one sample: 2 for PCM, 1 for G.711.
    pub const fn bytes_per_sample(self) -> usize {
        self.encoding().bytes_per_sample()
    }

    /// Bytes of one millisecond: 48, 32, 8, 8.
    pub const fn bytes_per_ms(self) -> usize {
        self.rate() as usize / 1_000 * self.bytes_per_sample()
    }

    /// The byte that silence is made of.
    pub const fn silence(self) -> u8 {
        self.encoding().silence()
    }

    /// A short name for logs: `pcm24k`, `pcm16k`, `pcmu`, `pcma`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcm24k => "pcm24k",
            Self::Pcm16k => "pcm16k",
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
        }
    }

    pub(crate) const fn encoding(self) -> Encoding {
        match self {
            Self::Pcm24k | Self::Pcm16k => Encoding::Pcm16,
            Self::Pcmu => Encoding::Ulaw,
            Self::Pcma => Encoding::Alaw,
        }
    }
}

impl fmt::Display for ModelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How one sample is written down, whatever the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Ulaw,
    Alaw,
    Pcm16,
}

impl Encoding {
    pub(crate) const fn bytes_per_sample(self) -> usize {
        match self {
            Self::Ulaw | Self::Alaw => 1,
            Self::Pcm16 => 2,
        }
    }

    pub(crate) const fn silence(self) -> u8 {
        match self {
            Self::Ulaw => 0xFF,
            Self::Alaw => 0xD5,
            Self::Pcm16 => 0x00,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_line_codecs() {
        let table = [
            (LineCodec::Pcmu, 160, 1, 8, 0xFF, "pcmu"),
            (LineCodec::Pcma, 160, 1, 8, 0xD5, "pcma"),
            (LineCodec::L16, 320, 2, 16, 0x00, "l16"),
        ];
        for (codec, frame, sample, ms, silence, name) in table {
            assert_eq!(codec.frame_bytes(), frame);
            assert_eq!(codec.bytes_per_sample(), sample);
            assert_eq!(codec.bytes_per_ms(), ms);
            assert_eq!(codec.silence(), silence);
            assert_eq!(codec.to_string(), name);
            assert_eq!(name.parse(), Ok(codec));
        }
    }

    #[test]
    fn sizes_of_model_formats() {
        let table = [
            (ModelFormat::Pcm24k, 24_000, 2, 48, 0x00),
            (ModelFormat::Pcm16k, 16_000, 2, 32, 0x00),
            (ModelFormat::Pcmu, 8_000, 1, 8, 0xFF),
            (ModelFormat::Pcma, 8_000, 1, 8, 0xD5),
        ];
        for (format, rate, sample, ms, silence) in table {
            assert_eq!(format.rate(), rate);
            assert_eq!(format.bytes_per_sample(), sample);
            assert_eq!(format.bytes_per_ms(), ms);
            assert_eq!(format.silence(), silence);
        }
    }

    #[test]
    fn unknown_codec_names_the_value_and_the_choice() {
        let error = "PCMU".parse::<LineCodec>().unwrap_err();
        assert_eq!(error.to_string(), r#"unknown codec "PCMU": pcmu, pcma or l16 is allowed"#);
    }
}
