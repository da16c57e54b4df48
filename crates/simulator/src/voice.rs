//! What an answer sounds like.

use crate::conversation::Content;
use crate::format::{WireFormat, convert};
use crate::options::Reply;
use crate::resample;

/// What is being answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prompt<'a> {
    /// An item of the conversation.
    Item(&'a Content),
    /// Nothing the caller said: a greeting.
    Greeting,
    /// The idle timeout.
    Idle,
    /// Words before a tool call in the same response.
    Goodbye,
}

/// An answer: its words and its sound, as bytes in the asked format.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Utterance {
    pub transcript: String,
    pub audio: Vec<u8>,
}

const REST: (u32, u32) = (0, 60);

pub(crate) fn answer(reply: &Reply, prompt: Prompt<'_>, format: WireFormat) -> Utterance {
    Utterance { transcript: words(prompt), audio: sound(reply, prompt, format) }
}

fn words(prompt: Prompt<'_>) -> String {
    match prompt {
        Prompt::Item(Content::CallerAudio { turn, ms, .. }) => format!("answer to caller turn {turn}, {ms} ms"),
        Prompt::Item(Content::CallerText(text)) => format!("you wrote: {}", short(text)),
        Prompt::Item(Content::CallOutput(output)) => format!("the tool said: {}", short(output)),
        Prompt::Item(_) | Prompt::Greeting => "hello, this is the simulator".to_owned(),
        Prompt::Idle => "are you still there?".to_owned(),
        Prompt::Goodbye => "thank you for calling, goodbye".to_owned(),
    }
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

fn sound(reply: &Reply, prompt: Prompt<'_>, format: WireFormat) -> Vec<u8> {
    match (reply, prompt) {
        (Reply::Silent, _) => format.encode(&vec![0; format.rate() as usize / 2]),
        (Reply::Wav(samples, rate), _) => format.encode(&resample::convert(samples, *rate, format.rate())),
        (Reply::Parrot, Prompt::Item(Content::CallerAudio { bytes, format: spoken, .. })) if !bytes.is_empty() => {
            convert(bytes, *spoken, format)
        }
        (_, Prompt::Item(Content::CallerAudio { .. })) => {
            tones(&[(523, 300), REST, (659, 300), REST, (784, 400)], format)
        }
        (_, Prompt::Item(Content::CallOutput(_))) => tones(&[(784, 200), REST, (659, 200), REST, (523, 300)], format),
        (_, Prompt::Item(_)) => tones(&[(440, 200), REST, (554, 200), REST, (659, 200)], format),
        (_, Prompt::Greeting) => tones(&[(587, 600)], format),
        (_, Prompt::Idle) => tones(&[(494, 200), REST, (494, 200)], format),
        (_, Prompt::Goodbye) => tones(&[(659, 300), REST, (523, 300), REST, (392, 500)], format),
    }
}

/// Tones of (Hz, ms) one after the other, with 5 ms ramps so that they do not click; 0 Hz is silence.
fn tones(sequence: &[(u32, u32)], format: WireFormat) -> Vec<u8> {
    let rate = format.rate();
    let ramp = f64::from(rate) * 0.005;
    let mut samples = Vec::new();
    for (hz, ms) in sequence {
        let count = rate / 1_000 * ms;
        samples.extend((0..count).map(|n| {
            let (n, left) = (f64::from(n), f64::from(count - n));
            let level = (n / ramp).min(left / ramp).min(1.0) * 9_000.0;
            (level * (std::f64::consts::TAU * f64::from(*hz) * n / f64::from(rate)).sin()) as i16
        }));
    }
    format.encode(&samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parrot_keeps_every_byte() {
        let bytes: Vec<u8> = (0..8_000u32).map(|n| (n * 31 % 251) as u8).collect();
        let turn = Content::CallerAudio { turn: 2, ms: 1_000, format: WireFormat::Pcmu, bytes: bytes.clone() };
        let said = answer(&Reply::Parrot, Prompt::Item(&turn), WireFormat::Pcmu);
        assert_eq!(said.audio, bytes);
        assert_eq!(said.transcript, "answer to caller turn 2, 1000 ms");
        assert_eq!(answer(&Reply::Parrot, Prompt::Item(&turn), WireFormat::Pcm24k).audio.len(), 48_000);
    }

    #[test]
    fn lengths_of_the_other_voices() {
        let ms = |reply: &Reply, prompt, format: WireFormat| {
            answer(reply, prompt, format).audio.len() / format.bytes_per_ms()
        };
        for format in [WireFormat::Pcm24k, WireFormat::Pcm16k, WireFormat::Pcm8k, WireFormat::Pcmu, WireFormat::Pcma] {
            assert_eq!(ms(&Reply::Silent, Prompt::Greeting, format), 500);
            assert_eq!(ms(&Reply::Parrot, Prompt::Greeting, format), 600);
            let wav = Reply::Wav(vec![0; 11_025].into(), 22_050);
            assert_eq!(ms(&wav, Prompt::Greeting, format), 500);
        }
        let silent = answer(&Reply::Silent, Prompt::Greeting, WireFormat::Pcmu).audio;
        assert!(silent.iter().all(|byte| *byte == 0xFF));
    }
}
