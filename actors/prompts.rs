//! The prompts' audio, ready for every line codec.

use bytes::{Bytes, BytesMut};
use trunkline_media::{LineCodec, g711};

use crate::messages::Prompt;

/// Keep-alive prompts and the goodbye, encoded once for all calls.
#[derive(Debug, Default)]
pub struct PromptAudio {
    keepalive: Vec<[Bytes; 3]>,
    goodbye: [Bytes; 3],
}

impl PromptAudio {
    /// From 8 kHz mono linear samples.
    #[must_use]
    pub fn new(keepalive: &[Vec<i16>], goodbye: &[i16]) -> Self {
        Self { keepalive: keepalive.iter().map(|samples| encode_all(samples)).collect(), goodbye: encode_all(goodbye) }
    }

    /// How many keep-alive prompts there are.
    #[must_use]
    pub fn keepalive_prompts(&self) -> usize {
        self.keepalive.len()
    }

    /// A prompt's payload at 8 kHz; empty if there is no such prompt.
    #[must_use]
    pub fn payload(&self, prompt: Prompt, codec: LineCodec) -> Bytes {
        let encoded = match prompt {
            Prompt::KeepAlive(index) => self.keepalive.get(index),
            Prompt::Goodbye => Some(&self.goodbye),
        };
        let [pcmu, pcma, l16] = encoded.cloned().unwrap_or_default();
        match codec {
            LineCodec::Pcmu => pcmu,
            LineCodec::Pcma => pcma,
            LineCodec::L16 => l16,
        }
    }
}

fn encode_all(samples: &[i16]) -> [Bytes; 3] {
    let linear: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let to = |codec| {
        let mut out = BytesMut::new();
        g711::convert(LineCodec::L16, codec, &linear, &mut out);
        out.freeze()
    };
    [to(LineCodec::Pcmu), to(LineCodec::Pcma), Bytes::from(linear)]
}
