//! The prompts' recordings: bundled, or the operator's own.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use trunkline_actors::prompts::PromptAudio;
use trunkline_media::LINE_RATE;

use crate::settings::FallbackSettings;

const KEEPALIVE: [&[u8]; 3] = [
    include_bytes!("../config/prompts/keepalive-1.wav"),
    include_bytes!("../config/prompts/keepalive-2.wav"),
    include_bytes!("../config/prompts/keepalive-3.wav"),
];
const GOODBYE: &[u8] = include_bytes!("../config/prompts/goodbye.wav");

/// A recording that cannot be played.
#[derive(Debug, thiserror::Error)]
#[error("{key} = {}: {problem}; needed: a WAV file, 8000 Hz, mono, 16-bit PCM", path.display())]
pub struct PromptError {
    key: &'static str,
    path: PathBuf,
    problem: String,
}

/// Reads what the configuration names, the bundled recordings where it names none.
///
/// # Errors
/// [`PromptError`] naming key and file.
pub fn load(settings: &FallbackSettings) -> Result<PromptAudio, PromptError> {
    let keepalive = if settings.prompt_files.is_empty() {
        KEEPALIVE.iter().map(|wav| bundled(wav)).collect::<Result<Vec<_>, _>>()
    } else {
        settings.prompt_files.iter().map(|path| file("fallback.prompt_files", path)).collect()
    };
    let goodbye = match &settings.goodbye_file {
        None => bundled(GOODBYE),
        Some(path) => file("fallback.goodbye_file", path),
    };
    Ok(PromptAudio::new(&keepalive?, &goodbye?))
}

fn file(key: &'static str, path: &Path) -> Result<Vec<i16>, PromptError> {
    let read = || {
        let wav = std::fs::read(path).map_err(|error| error.to_string())?;
        samples(Cursor::new(wav))
    };
    read().map_err(|problem| PromptError { key, path: path.to_owned(), problem })
}

fn bundled(wav: &'static [u8]) -> Result<Vec<i16>, PromptError> {
    samples(wav).map_err(|problem| PromptError { key: "fallback", path: "(bundled)".into(), problem })
}

fn samples(wav: impl Read) -> Result<Vec<i16>, String> {
    let reader = hound::WavReader::new(wav).map_err(|error| error.to_string())?;
    let spec = reader.spec();
    let format = hound::WavSpec {
        channels: 1,
        sample_rate: LINE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    if spec != format {
        return Err(format!("{} Hz, {} channels, {} bit", spec.sample_rate, spec.channels, spec.bits_per_sample));
    }
    reader.into_samples().collect::<Result<_, _>>().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_prompts_are_short_and_audible() {
        for wav in KEEPALIVE.iter().chain([&GOODBYE]) {
            let samples = bundled(wav).unwrap();
            let seconds = samples.len() / LINE_RATE as usize;
            let loudest = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
            assert!(seconds < 7 && loudest > 3_000, "{seconds} s, peak {loudest}");
        }
    }
}
