//! Does the session speak the format it was asked for?
//!
//! An account was seen where mu-law was accepted and PCM came back. Played as mu-law that is loud noise, so the echo of
//! `session.updated` decides before any audio flows.

use serde_json::Value;
use trunkline_media::ModelFormat;

use super::{Api, wire};
use crate::event::{SessionObject, StreamSettings};

/// # Errors
/// What was asked for and what was echoed.
pub(crate) fn check_echo(api: Api, asked: ModelFormat, session: &SessionObject) -> Result<(), (String, String)> {
    let audio = session.audio.value();
    let (input, output) = match audio {
        Some(audio) => (nested(audio.input.value()), nested(audio.output.value())),
        None => (
            flat(
                session.input_audio_format.text(),
                session.input_audio_sampling_rate.value().and_then(|rate| rate.as_u64()),
            ),
            flat(session.output_audio_format.text(), None),
        ),
    };
    match [input, output].into_iter().find(|got| *got != Ok(asked)) {
        None => Ok(()),
        Some(got) => Err((name(api, asked), got.map_or_else(|other| other, |format| name(api, format)))),
    }
}

/// What is not named is the default of every API: PCM at 24 kHz.
fn nested(stream: Option<&StreamSettings>) -> Result<ModelFormat, String> {
    let Some(format) = stream.and_then(|stream| stream.format.value()) else { return Ok(ModelFormat::Pcm24k) };
    let rate = format.get("rate").and_then(Value::as_u64);
    match (format.get("type").and_then(Value::as_str), rate) {
        (Some("audio/pcm"), None | Some(24_000)) => Ok(ModelFormat::Pcm24k),
        (Some("audio/pcm"), Some(16_000)) => Ok(ModelFormat::Pcm16k),
        (Some("audio/pcmu"), _) => Ok(ModelFormat::Pcmu),
        (Some("audio/pcma"), _) => Ok(ModelFormat::Pcma),
        _ => Err(format.to_string()),
    }
}

fn flat(format: Option<&str>, rate: Option<u64>) -> Result<ModelFormat, String> {
    match (format, rate) {
        (None | Some("pcm16"), None | Some(24_000)) => Ok(ModelFormat::Pcm24k),
        (None | Some("pcm16"), Some(16_000)) | (Some("pcm16_16000hz"), _) => Ok(ModelFormat::Pcm16k),
        (Some("g711_ulaw"), _) => Ok(ModelFormat::Pcmu),
        (Some("g711_alaw"), _) => Ok(ModelFormat::Pcma),
        (format, Some(rate)) => Err(format!("{} at {rate} hz", format.unwrap_or("pcm16"))),
        (format, None) => Err(format.unwrap_or_default().to_owned()),
    }
}

fn name(api: Api, format: ModelFormat) -> String {
    match api {
        Api::Ga => wire::ga_format(format).to_string(),
        Api::Preview | Api::VoiceLive => wire::flat_formats(format).1.to_owned(),
    }
}
