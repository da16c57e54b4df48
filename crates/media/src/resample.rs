//! Changing the sample rate of one mono stream, block by block, in `f32`.
//!
//! Block convolution by FFT (`rubato`), 20 ms in two halves, Blackman window: flat to 3.4 kHz, aliases and images
//! below -90 dB, 5.0 ms of delay. The tests beside this file measure all three.

use audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use crate::FRAME_MS;

/// The resampler does not know how to go from one rate to the other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no resampler from {from} Hz to {to} Hz: {reason}; 8000, 16000 and 24000 Hz are allowed")]
pub struct ResamplerError {
    /// Rate of the input in Hz.
    pub from: u32,
    /// Rate of the output in Hz.
    pub to: u32,
    /// What the resampling library said.
    pub reason: String,
}

/// Halves of a block: each is one FFT. Two keep the delay at 5 ms; four would cost the top of the telephone band.
const SUB_CHUNKS: usize = 2;

/// Samples in, blocks of 20 ms out. Continuous until [`Resampler::reset`].
pub(crate) struct Resampler {
    fft: Fft<f32>,
    block: Box<[f32]>,
    /// Samples of `block` that are filled.
    filled: usize,
    output: Box<[f32]>,
}

impl Resampler {
    /// Rates in Hz; whole samples in 10 ms at both.
    pub(crate) fn new(from: u32, to: u32) -> Result<Self, ResamplerError> {
        let failed = |reason: String| ResamplerError { from, to, reason };
        let block = (from * FRAME_MS / 1_000) as usize;
        let output = (to * FRAME_MS / 1_000) as usize;
        let fft = Fft::new_custom(
            from as usize,
            to as usize,
            block,
            SUB_CHUNKS,
            1,
            WindowFunction::Blackman,
            FixedSync::Input,
        )
        .map_err(|error| failed(error.to_string()))?;
        if fft.output_frames_next() != output {
            return Err(failed(format!("a block of {block} gives {} samples", fft.output_frames_next())));
        }
        Ok(Self { fft, block: vec![0.0; block].into(), filled: 0, output: vec![0.0; output].into() })
    }

    /// Samples by which the output lags, at the output's rate.
    pub(crate) fn delay(&self) -> usize {
        self.fft.output_delay()
    }

    /// Samples that the next `samples` of input make due.
    pub(crate) fn output_for(&self, samples: usize) -> usize {
        (self.filled + samples) / self.block.len() * self.output.len()
    }

    /// Takes samples and hands every finished block to `sink`. The rest of the input waits for more.
    pub(crate) fn push(&mut self, samples: impl IntoIterator<Item = f32>, mut sink: impl FnMut(&[f32])) {
        for sample in samples {
            if let Some(slot) = self.block.get_mut(self.filled) {
                *slot = sample;
            }
            self.filled += 1;
            if self.filled == self.block.len() {
                self.process();
                sink(&self.output);
            }
        }
    }

    /// Fills the block under way with zeros and hands its output to `sink`.
    pub(crate) fn flush_block(&mut self, mut sink: impl FnMut(&[f32])) {
        if let Some(rest) = self.block.get_mut(self.filled..) {
            rest.fill(0.0);
        }
        self.process();
        sink(&self.output);
    }

    /// Forgets everything heard so far.
    pub(crate) fn reset(&mut self) {
        self.fft.reset();
        self.filled = 0;
    }

    fn process(&mut self) {
        self.filled = 0;
        let (from, to) = (self.block.len(), self.output.len());
        let done = match (SequentialSlice::new(&self.block, 1, from), SequentialSlice::new_mut(&mut self.output, 1, to))
        {
            (Ok(input), Ok(mut output)) => self.fft.process_into_buffer(&input, &mut output, None).is_ok(),
            _ => false,
        };
        // Only a buffer of the wrong size can fail, and both have the size the library asked for.
        debug_assert!(done, "resampling {from} to {to} samples failed");
        if !done {
            self.output.fill(0.0);
        }
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler")
            .field("block", &self.block.len())
            .field("filled", &self.filled)
            .field("output", &self.output.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
