//! WAV in and out: whatever a recording is, the line wants 8 kHz mono.

use std::path::{Path, PathBuf};

use audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};
use trunkline_media::{LINE_RATE, LineCodec, g711};

/// A recording that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file as given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a WAV of a kind we take.
    #[error("{path}: {what}; allowed: WAV with 16-bit PCM, mu-law or A-law, 8000 to 48000 Hz")]
    Shape {
        /// The file as given.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file cannot be written as WAV.
    #[error("{path}: {source}")]
    Write {
        /// The file as given.
        path: PathBuf,
        /// Why.
        source: hound::Error,
    },
}

/// Reads a file as 8 kHz mono samples: several channels are averaged, other rates resampled.
///
/// # Errors
/// [`WavError`] names the file and what is wrong with it.
pub fn read(path: &Path) -> Result<Vec<i16>, WavError> {
    let bytes = std::fs::read(path).map_err(|source| WavError::File { path: path.to_owned(), source })?;
    decode(&bytes).map_err(|what| WavError::Shape { path: path.to_owned(), what })
}

/// Writes 8 kHz mono samples as a 16-bit PCM WAV.
///
/// # Errors
/// [`WavError`] names the file.
pub fn write(path: &Path, samples: &[i16]) -> Result<(), WavError> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: LINE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let all = || {
        let mut writer = hound::WavWriter::create(path, spec)?;
        for sample in samples {
            writer.write_sample(*sample)?;
        }
        writer.finalize()
    };
    all().map_err(|source| WavError::Write { path: path.to_owned(), source })
}

/// Reads a WAV held in memory, see [`read`]; the error is the text of what is wrong.
pub(in crate::cli) fn decode(bytes: &[u8]) -> Result<Vec<i16>, String> {
    let (format, data) = chunks(bytes)?;
    let (codec, sample_bytes) = match (format.tag, format.bits) {
        (1, 16) => (LineCodec::L16, 2),
        (7, 8) => (LineCodec::Pcmu, 1),
        (6, 8) => (LineCodec::Pcma, 1),
        (tag, bits) => return Err(format!("format {tag} with {bits} bits")),
    };
    if !(1..=8).contains(&format.channels) {
        return Err(format!("{} channels", format.channels));
    }
    if !(8_000..=48_000).contains(&format.rate) {
        return Err(format!("{} Hz", format.rate));
    }
    let channels = usize::from(format.channels);
    let whole = data.len() - data.len() % (channels * sample_bytes);
    let mut interleaved = Vec::new();
    g711::decode(codec, data.get(..whole).unwrap_or_default(), &mut interleaved);
    let mono: Vec<i16> = interleaved
        .chunks_exact(channels)
        .map(|at_once| {
            let sum: i32 = at_once.iter().map(|sample| i32::from(*sample)).sum();
            i16::try_from(sum / i32::from(format.channels)).unwrap_or_default()
        })
        .collect();
    if mono.is_empty() {
        return Err("no samples".to_owned());
    }
    resample(mono, format.rate)
}

struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    bits: u16,
}

/// Walks the RIFF chunks to `fmt ` and `data`. Lengths are not trusted: a recorder that was cut off leaves wrong ones.
fn chunks(bytes: &[u8]) -> Result<(Format, &[u8]), String> {
    let (riff, mut rest) = bytes.split_at_checked(12).ok_or("too short")?;
    if !riff.starts_with(b"RIFF") || !riff.ends_with(b"WAVE") {
        return Err("no RIFF/WAVE header".to_owned());
    }
    let mut format = None;
    while let Some((header, body)) = rest.split_at_checked(8) {
        let length = usize::try_from(u32_at(header, 4).unwrap_or_default()).unwrap_or(usize::MAX);
        let content = body.get(..length).unwrap_or(body);
        if header.starts_with(b"fmt ") {
            format = Some(format_of(content).ok_or("a short fmt chunk")?);
        } else if header.starts_with(b"data") {
            return Ok((format.ok_or("data before fmt")?, content));
        }
        // Chunks are padded to even length.
        rest = body.get(length.saturating_add(length % 2)..).unwrap_or_default();
    }
    Err("no data chunk".to_owned())
}

fn format_of(chunk: &[u8]) -> Option<Format> {
    let tag = u16_at(chunk, 0)?;
    Some(Format {
        // WAVE_FORMAT_EXTENSIBLE hides the real format in its sub-format GUID.
        tag: if tag == 0xFFFE { u16_at(chunk, 24)? } else { tag },
        channels: u16_at(chunk, 2)?,
        rate: u32_at(chunk, 4)?,
        bits: u16_at(chunk, 14)?,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let found = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*found))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let found = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*found))
}

/// The whole recording at once, so that neither start-up delay nor tail is lost.
fn resample(mono: Vec<i16>, rate: u32) -> Result<Vec<i16>, String> {
    if rate == LINE_RATE {
        return Ok(mono);
    }
    let failed = |error: &dyn std::fmt::Display| format!("cannot resample from {rate} Hz: {error}");
    let (from, to) = (rate as usize, LINE_RATE as usize);
    let input: Vec<f32> = mono.iter().map(|sample| f32::from(*sample)).collect();
    // 80 ms are an even number of samples at every usual rate, also 11025 Hz: then the delay, half of it, is whole
    // and can be trimmed.
    let mut fft = Fft::new_custom(from, to, from * 2 / 25, 1, 1, WindowFunction::Blackman, FixedSync::Input)
        .map_err(|error| failed(&error))?;
    let adapter = SequentialSlice::new(&input, 1, input.len()).map_err(|error| failed(&error))?;
    let output = fft.process_all(&adapter, input.len(), None).map_err(|error| failed(&error))?;
    let clamp = |sample: f32| sample.round().clamp(f32::from(i16::MIN), f32::from(i16::MAX));
    #[expect(clippy::cast_possible_truncation, reason = "clamped to i16")]
    let samples = output.take_data().into_iter().map(|sample| clamp(sample) as i16);
    Ok(samples.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WAVE".to_vec();
        // A chunk of odd length in front must be stepped over with its padding.
        out.extend(b"LIST\x03\0\0\0abc\0fmt \x10\0\0\0");
        out.extend(tag.to_le_bytes());
        out.extend(channels.to_le_bytes());
        out.extend(rate.to_le_bytes());
        let block = channels * bits / 8;
        out.extend((rate * u32::from(block)).to_le_bytes());
        out.extend(block.to_le_bytes());
        out.extend(bits.to_le_bytes());
        out.extend(b"data");
        out.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        out.extend(data);
        out
    }

    fn tone(rate: u32, hz: f64, seconds: f64) -> Vec<i16> {
        let samples = (f64::from(rate) * seconds) as u32;
        (0..samples)
            .map(|n| (8_000.0 * (f64::from(n) * hz * std::f64::consts::TAU / f64::from(rate)).sin()) as i16)
            .collect()
    }

    fn bytes(samples: &[i16]) -> Vec<u8> {
        samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
    }

    #[test]
    fn every_rate_becomes_the_same_tone_at_8_khz() {
        let expected = tone(8_000, 440.0, 0.5);
        for rate in [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000] {
            let got = decode(&wav(1, 1, rate, 16, &bytes(&tone(rate, 440.0, 0.5)))).unwrap();
            assert!(got.len().abs_diff(expected.len()) <= 1, "{rate}: {} samples", got.len());
            // Away from the edges, where the tone begins and ends within the filter.
            let worst = (200..3_700).map(|n| (i32::from(got[n]) - i32::from(expected[n])).abs()).max();
            assert!(worst.unwrap() < 80, "{rate} Hz is off by {worst:?} of 8000");
        }
    }

    #[test]
    fn channels_are_averaged() {
        let stereo: Vec<i16> = [(1_000, 3_000), (-32_768, -32_768), (32_767, -1)]
            .iter()
            .flat_map(|(left, right)| [*left, *right])
            .collect();
        assert_eq!(decode(&wav(1, 2, 8_000, 16, &bytes(&stereo))).unwrap(), [2_000, -32_768, 16_383]);
    }

    #[test]
    fn g711_files_are_read() {
        assert_eq!(decode(&wav(7, 1, 8_000, 8, &[0xFF, 0x80, 0x00])).unwrap(), [0, 32_124, -32_124]);
        assert_eq!(decode(&wav(6, 1, 8_000, 8, &[0xD5, 0xAA])).unwrap(), [8, 32_256]);
        assert_eq!(
            decode(&wav(7, 2, 8_000, 8, &[0xFF, 0x80, 0x00])).unwrap(),
            [16_062],
            "a torn last sample is left out"
        );
    }

    #[test]
    fn extensible_and_cut_off_files_are_read() {
        let mut file = b"RIFF\xFF\xFF\xFF\xFFWAVEfmt \x28\0\0\0".to_vec();
        file.extend([0xFE, 0xFF, 1, 0]);
        file.extend(8_000_u32.to_le_bytes());
        file.extend(16_000_u32.to_le_bytes());
        file.extend([2, 0, 16, 0, 22, 0, 16, 0, 0, 0, 0, 0, 1, 0]);
        file.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
        file.extend(b"data\xFF\xFF\xFF\xFF");
        file.extend([1, 0, 2, 0, 3]);
        assert_eq!(decode(&file).unwrap(), [1, 2]);
    }

    #[test]
    fn others_are_refused_with_their_reason() {
        let table: [(Vec<u8>, &str); 8] = [
            (Vec::new(), "too short"),
            (b"OggS0123456789".to_vec(), "RIFF"),
            (b"RIFF\0\0\0\0WAVE".to_vec(), "no data"),
            (b"RIFF\0\0\0\0WAVEdata\0\0\0\0".to_vec(), "before fmt"),
            (wav(3, 1, 8_000, 32, &[0; 8]), "format 3 with 32 bits"),
            (wav(1, 1, 8_000, 8, &[0; 8]), "format 1 with 8 bits"),
            (wav(1, 1, 96_000, 16, &[0; 8]), "96000 Hz"),
            (wav(1, 1, 8_000, 16, &[]), "no samples"),
        ];
        for (file, reason) in table {
            let error = decode(&file).unwrap_err();
            assert!(error.contains(reason), "{error} for {reason}");
        }
        let error = read(Path::new("/absent/hello.wav")).unwrap_err().to_string();
        assert!(error.contains("/absent/hello.wav"), "{error}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let path = std::env::temp_dir().join(format!("trunkline-wav-{}.wav", std::process::id()));
        let samples = tone(8_000, 300.0, 0.1);
        write(&path, &samples).unwrap();
        let back = read(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(back.unwrap(), samples);
    }
}
