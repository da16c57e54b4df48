//! What a simulator does: its replies, its pace and its faults.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

/// How one simulator behaves. `Default` is a healthy server that says every turn back.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// The only key let in; `None` accepts any key, but still wants one.
    pub key: Option<String>,
    /// What answers sound like.
    pub reply: Reply,
    /// What goes wrong.
    pub faults: Faults,
    /// Start of every random choice: ids, padding, extra events, garbage. The same seed and the same input give the same session.
    pub seed: u64,
    /// How much faster than real time answers are sent (the service is seen at about 4). Held to 0.1..=1000.
    pub speed: f64,
    /// Length of a session in seconds; `expires_at` tells it.
    pub session_seconds: u64,
    /// From the end of a turn to the first audio of its answer, when [`Faults::delay`] asks for no more.
    pub latency: Duration,
    /// Tool calls made on the caller's spoken turns, which hold no text to trigger one.
    pub script: Vec<ScriptedCall>,
    /// How many received client events (appends are only counted) the server keeps for tests.
    pub log_limit: usize,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            key: None,
            reply: Reply::Parrot,
            faults: Faults::default(),
            seed: 1,
            speed: 4.0,
            session_seconds: 3_600,
            latency: Duration::from_millis(300),
            script: Vec::new(),
            log_limit: 2_000,
        }
    }
}

/// A tool call made in answer to the caller's spoken turn number `turn` (the first is 1), if the session declares the tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedCall {
    /// Number of the spoken turn within the session, from 1.
    pub turn: u32,
    /// Name of the tool.
    pub name: String,
    /// Its arguments, a JSON text.
    pub arguments: String,
}

/// What the answers sound like.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The committed turn comes back, sample for sample, from `audio_start_ms` to `audio_end_ms`. Text is answered with tones.
    Parrot,
    /// A sequence of tones.
    Tone,
    /// 500 ms of digital silence.
    Silent,
    /// These mono samples at this rate in Hz.
    Wav(Arc<[i16]>, u32),
}

/// A `--reply` that cannot be used.
#[derive(Debug, Error)]
pub enum BadReply {
    /// Not one of the known words.
    #[error("reply {0:?}: allowed are parrot, tone, silent, wav:FILE")]
    Unknown(String),
    /// The file cannot be read as a WAV.
    #[error("reply wav:{path}: {source}")]
    Wav {
        /// The file as given.
        path: String,
        /// Why.
        source: hound::Error,
    },
    /// A WAV of another kind than 16-bit mono.
    #[error("reply wav:{path}: {channels} channels of {bits} bits, allowed is mono 16-bit PCM")]
    Shape {
        /// The file as given.
        path: String,
        /// Channels found.
        channels: u16,
        /// Bits a sample found.
        bits: u16,
    },
}

impl Reply {
    /// Reads a 16-bit mono WAV, any rate.
    ///
    /// # Errors
    /// [`BadReply`] names the file and what is wrong with it.
    pub fn from_wav(path: impl AsRef<Path>) -> Result<Self, BadReply> {
        let name = || path.as_ref().display().to_string();
        let reader = hound::WavReader::open(path.as_ref()).map_err(|source| BadReply::Wav { path: name(), source })?;
        let spec = reader.spec();
        if spec.channels != 1 || spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int {
            return Err(BadReply::Shape { path: name(), channels: spec.channels, bits: spec.bits_per_sample });
        }
        let samples: Result<Vec<i16>, _> = reader.into_samples::<i16>().collect();
        let samples = samples.map_err(|source| BadReply::Wav { path: name(), source })?;
        Ok(Self::Wav(samples.into(), spec.sample_rate))
    }
}

impl FromStr for Reply {
    type Err = BadReply;

    fn from_str(text: &str) -> Result<Self, BadReply> {
        match text {
            "parrot" => Ok(Self::Parrot),
            "tone" => Ok(Self::Tone),
            "silent" => Ok(Self::Silent),
            other => match other.strip_prefix("wav:") {
                Some(path) => Self::from_wav(path),
                None => Err(BadReply::Unknown(other.to_owned())),
            },
        }
    }
}

/// What goes wrong, per session.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// Upgrades are refused with this HTTP status.
    pub refuse: Option<u16>,
    /// Only the first this many upgrades are refused; `None` refuses all.
    pub refuse_first: Option<u32>,
    /// A session dies this long after it was opened.
    pub die_after: Option<Duration>,
    /// Only the first this many sessions are ill: `die_after`, `fail_responses` and `garbage` spare the later ones.
    pub die_sessions: Option<u32>,
    /// How it dies.
    pub die_mode: DieMode,
    /// Close code of [`DieMode::Close`].
    pub close_code: u16,
    /// Every response ends at once as failed with this code.
    pub fail_responses: Option<String>,
    /// The server reads no faster than this many bytes a second.
    pub slow: Option<u64>,
    /// The first audio of an answer comes no sooner than this after the end of the turn.
    pub delay: Duration,
    /// How likely, 0 to 1, an undecodable frame goes out in the place of an event.
    /// `session.created` and `session.updated` are spared: the fault is about sessions that run.
    pub garbage: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            refuse: None,
            refuse_first: None,
            die_after: None,
            die_sessions: None,
            die_mode: DieMode::Close,
            close_code: 1011,
            fail_responses: None,
            slow: None,
            delay: Duration::ZERO,
            garbage: 0.0,
        }
    }
}

impl Faults {
    /// The faults of session number `number` (the first is 1): later ones than `die_sessions` are well.
    #[must_use]
    pub fn of_session(&self, number: u32) -> Self {
        let mut faults = self.clone();
        if self.die_sessions.is_some_and(|ill| number > ill) {
            faults.die_after = None;
            faults.fail_responses = None;
            faults.garbage = 0.0;
        }
        faults
    }
}

/// How a session dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DieMode {
    /// A close frame with [`Faults::close_code`].
    Close,
    /// The TCP connection ends without a close frame.
    Abort,
    /// `error session_expired`, then close 1001; `expires_at` says so from the start.
    Expire,
    /// Neither frames nor pongs any more, the socket stays open.
    Stall,
    /// Pings are answered, speech is heard and committed, but no response produces anything.
    Mute,
}

/// A `--die-mode` that does not exist.
#[derive(Debug, Error)]
#[error("die mode {0:?}: allowed are close, abort, expire, stall, mute")]
pub struct BadDieMode(String);

impl FromStr for DieMode {
    type Err = BadDieMode;

    fn from_str(text: &str) -> Result<Self, BadDieMode> {
        match text {
            "close" => Ok(Self::Close),
            "abort" => Ok(Self::Abort),
            "expire" => Ok(Self::Expire),
            "stall" => Ok(Self::Stall),
            "mute" => Ok(Self::Mute),
            other => Err(BadDieMode(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_wrong_ones_named() {
        assert_eq!("parrot".parse::<Reply>().unwrap(), Reply::Parrot);
        assert_eq!("silent".parse::<Reply>().unwrap(), Reply::Silent);
        let error = "song".parse::<Reply>().unwrap_err().to_string();
        assert!(error.contains("song") && error.contains("parrot"), "{error}");
        assert!("wav:/no/such/file.wav".parse::<Reply>().unwrap_err().to_string().contains("/no/such/file.wav"));
        assert_eq!("mute".parse::<DieMode>().unwrap(), DieMode::Mute);
        assert!("sulk".parse::<DieMode>().unwrap_err().to_string().contains("sulk"));
    }

    #[test]
    fn only_the_first_sessions_are_ill() {
        let faults = Faults {
            die_after: Some(Duration::from_secs(1)),
            die_sessions: Some(2),
            fail_responses: Some("server_error".into()),
            garbage: 0.5,
            delay: Duration::from_secs(3),
            ..Faults::default()
        };
        assert_eq!(faults.of_session(2), faults);
        let well = faults.of_session(3);
        assert_eq!((well.die_after, well.fail_responses, well.garbage), (None, None, 0.0));
        assert_eq!(well.delay, Duration::from_secs(3));
    }
}
