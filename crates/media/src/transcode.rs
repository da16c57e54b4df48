//! Line audio to model audio and back.

use audio_codec_algorithms::{decode_alaw, decode_ulaw, encode_alaw, encode_ulaw};
use bytes::BytesMut;

use crate::format::Encoding;
use crate::g711::{grow, recode};
use crate::resample::{Resampler, ResamplerError};
use crate::{FRAME_SAMPLES, LINE_RATE, LineCodec, ModelFormat};

/// Caller to model: continuous over a whole call.
///
/// Where line and model agree the bytes pass untouched; between the G.711 laws they follow the tables of G.711;
/// otherwise they are resampled in blocks of 20 ms, 5.0 ms later, exactly as long as what came in.
#[derive(Debug)]
pub struct UpTranscoder {
    lane: Lane,
}

impl UpTranscoder {
    /// A transcoder for one call.
    ///
    /// # Errors
    /// If there is no resampler between the two rates; there is one for every pair these types can name.
    pub fn new(from: LineCodec, to: ModelFormat) -> Result<Self, ResamplerError> {
        Ok(Self { lane: Lane::new((from.encoding(), LINE_RATE), (to.encoding(), to.rate()))? })
    }

    /// Takes line audio of any length and appends model audio. What does not fill a block of 20 ms waits for more.
    pub fn push(&mut self, payload: &[u8], out: &mut BytesMut) {
        let Lane { from, to, .. } = self.lane;
        self.lane.push(payload, out, |block, out| write(to, block, out), |bytes, out| recode(from, to, bytes, out));
    }

    /// Forgets everything heard so far.
    pub fn reset(&mut self) {
        self.lane.reset();
    }
}

/// Model to line: one item after the other.
///
/// The resampler's delay is trimmed at an item's start and its tail flushed at the end, so that N ms of model audio
/// are exactly ceil(N / 20) frames of 20 ms with the first and the last sample in them.
#[derive(Debug)]
pub struct DownTranscoder {
    lane: Lane,
    model_rate: u32,
    item: ItemLength,
}

impl DownTranscoder {
    /// A transcoder for one call.
    ///
    /// # Errors
    /// If there is no resampler between the two rates; there is one for every pair these types can name.
    pub fn new(from: ModelFormat, to: LineCodec) -> Result<Self, ResamplerError> {
        let lane = Lane::new((from.encoding(), from.rate()), (to.encoding(), LINE_RATE))?;
        let item = ItemLength::start(&lane);
        Ok(Self { lane, model_rate: from.rate(), item })
    }

    /// Takes model audio of any length, appends line audio: whole samples, not whole frames. Half a PCM sample at
    /// the end waits for its other half.
    pub fn push(&mut self, payload: &[u8], out: &mut BytesMut) {
        let Self { lane, item, .. } = self;
        let (from, to) = (lane.from, lane.to);
        let samples = lane.push(
            payload,
            out,
            |block, out| write(to, item.trim(block), out),
            |bytes, out| recode(from, to, bytes, out),
        );
        item.taken += samples as u64;
        if self.lane.resampler.is_none() {
            self.item.given = self.item.taken;
        }
    }

    /// Ends the item: appends what is still inside and pads with silence to whole frames of 20 ms. An item without
    /// audio gives nothing. Half a sample that never got its other half is dropped. Ready for the next item.
    pub fn finish(&mut self, out: &mut BytesMut) {
        let Self { lane, item, model_rate } = self;
        let to = lane.to;
        let length = (item.taken * u64::from(LINE_RATE)).div_ceil(u64::from(*model_rate));
        while let Some(resampler) = lane.resampler.as_mut().filter(|_| item.given < length) {
            resampler.flush_block(|block| {
                let block = item.trim(block);
                // a flush is under 20 ms plus the delay: the cast can't lose anything
                let over = item.given.saturating_sub(length) as usize;
                write(to, block.get(..block.len() - over).unwrap_or_default(), out);
                item.given -= over as u64;
            });
        }
        let padding = item.given.next_multiple_of(FRAME_SAMPLES as u64) - item.given;
        let silence = padding as usize * to.bytes_per_sample();
        out.resize(out.len() + silence, to.silence());
        self.reset();
    }

    /// Drops the item: nothing is flushed. Ready for the next one.
    pub fn reset(&mut self) {
        self.lane.reset();
        self.item = ItemLength::start(&self.lane);
    }
}

/// How much of an item went in and came out, in samples of either side.
#[derive(Debug)]
struct ItemLength {
    /// Start-up delay still to be cut off, in line samples.
    skip: usize,
    taken: u64,
    given: u64,
}

impl ItemLength {
    fn start(lane: &Lane) -> Self {
        Self { skip: lane.resampler.as_ref().map_or(0, |resampler| resampler.delay()), taken: 0, given: 0 }
    }

    /// Cuts the start-up delay off a block and counts the rest as given.
    fn trim<'a>(&mut self, block: &'a [f32]) -> &'a [f32] {
        let (cut, rest) = block.split_at_checked(self.skip).unwrap_or((block, &[]));
        self.skip -= cut.len();
        self.given += rest.len() as u64;
        rest
    }
}

/// What both directions share: decoding, resampling where the rates differ, a carried odd byte.
#[derive(Debug)]
struct Lane {
    from: Encoding,
    to: Encoding,
    /// First half of a PCM sample whose second half has not come yet.
    odd: Option<u8>,
    resampler: Option<Box<Resampler>>,
}

impl Lane {
    fn new((from, from_rate): (Encoding, u32), (to, to_rate): (Encoding, u32)) -> Result<Self, ResamplerError> {
        let resampler = if from_rate == to_rate { None } else { Some(Box::new(Resampler::new(from_rate, to_rate)?)) };
        Ok(Self { from, to, odd: None, resampler })
    }

    /// Takes bytes, hands resampled blocks to `block` or, at equal rates, the bytes of whole samples to `same_rate`.
    /// Returns the number of whole samples taken.
    fn push(
        &mut self,
        payload: &[u8],
        out: &mut BytesMut,
        mut block: impl FnMut(&[f32], &mut BytesMut),
        mut same_rate: impl FnMut(&[u8], &mut BytesMut),
    ) -> usize {
        let (joined, payload) = self.whole_samples(payload);
        let parts = [joined.as_ref().map_or(&[][..], |pair| &pair[..]), payload];
        let samples = parts.iter().map(|part| part.len()).sum::<usize>() / self.from.bytes_per_sample();
        match &mut self.resampler {
            None => parts.into_iter().for_each(|part| same_rate(part, out)),
            Some(resampler) => {
                out.reserve(resampler.output_for(samples) * self.to.bytes_per_sample());
                for part in parts {
                    read(self.from, part, resampler, |samples| block(samples, out));
                }
            }
        }
        samples
    }

    /// Splits off what is not a whole sample: a sample joined from the last call's odd byte, then whole samples.
    fn whole_samples<'a>(&mut self, payload: &'a [u8]) -> (Option<[u8; 2]>, &'a [u8]) {
        if self.from.bytes_per_sample() == 1 {
            return (None, payload);
        }
        let (joined, rest) = match (self.odd, payload.split_first()) {
            (Some(low), Some((high, rest))) => (Some([low, *high]), rest),
            (Some(_), None) => return (None, payload),
            (None, _) => (None, payload),
        };
        let (whole, odd) = rest.split_at(rest.len() / 2 * 2);
        self.odd = odd.first().copied();
        (joined, whole)
    }

    fn reset(&mut self) {
        self.odd = None;
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
    }
}

/// Feeds the samples of `bytes` to the resampler, at the scale of 16 bits.
fn read(from: Encoding, bytes: &[u8], resampler: &mut Resampler, block: impl FnMut(&[f32])) {
    match from {
        Encoding::Ulaw => resampler.push(bytes.iter().map(|code| f32::from(decode_ulaw(*code))), block),
        Encoding::Alaw => resampler.push(bytes.iter().map(|code| f32::from(decode_alaw(*code))), block),
        Encoding::Pcm16 => {
            resampler.push(bytes.as_chunks().0.iter().map(|pair| f32::from(i16::from_le_bytes(*pair))), block);
        }
    }
}

/// Appends a block of samples in `to`.
fn write(to: Encoding, block: &[f32], out: &mut BytesMut) {
    let bytes = grow(out, block.len() * to.bytes_per_sample());
    match to {
        Encoding::Ulaw => bytes.iter_mut().zip(block).for_each(|(code, sample)| *code = encode_ulaw(rounded(*sample))),
        Encoding::Alaw => bytes.iter_mut().zip(block).for_each(|(code, sample)| *code = encode_alaw(rounded(*sample))),
        Encoding::Pcm16 => bytes
            .as_chunks_mut()
            .0
            .iter_mut()
            .zip(block)
            .for_each(|(pair, sample)| *pair = rounded(*sample).to_le_bytes()),
    }
}

/// The nearest 16 bit value, clipped: resampling overshoots full scale.
fn rounded(sample: f32) -> i16 {
    (sample + 0.5_f32.copysign(sample)) as i16
}
