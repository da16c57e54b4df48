//! How a session is to be: voice, format, instructions, turns, tools.

mod echo;
mod wire;

use std::str::FromStr;

use serde_json::Value;
use thiserror::Error;
use trunkline_media::ModelFormat;

pub(crate) use echo::check_echo;

/// The three shapes of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// Azure `/openai/v1/realtime` and OpenAI `/v1/realtime`.
    Ga,
    /// The older flat shape, retired at OpenAI and deprecated at Azure.
    Preview,
    /// Azure Voice Live.
    VoiceLive,
}

impl Api {
    /// The name used in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ga => "ga",
            Self::Preview => "preview",
            Self::VoiceLive => "voice-live",
        }
    }
}

/// A name that is none of the three.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("api {0:?} is not one of ga, preview, voice-live")]
pub struct BadApi(String);

impl FromStr for Api {
    type Err = BadApi;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Ga, Self::Preview, Self::VoiceLive]
            .into_iter()
            .find(|api| api.name() == name)
            .ok_or_else(|| BadApi(name.to_owned()))
    }
}

/// Who decides when a caller's turn begins and ends. Every member is always sent, as servers fill in what is left out
/// from sources of their own.
#[derive(Clone, Debug, PartialEq)]
pub enum TurnDetection {
    /// By energy and pauses.
    ServerVad {
        /// 0 to 1; telephone lines with echo want 0.6 to 0.8.
        threshold: f64,
        /// Milliseconds of sound before the start that count as speech.
        prefix_padding_ms: u32,
        /// Milliseconds of silence that end a turn.
        silence_duration_ms: u32,
        /// Milliseconds after which the model asks whether the caller is there (5,000 to 30,000); not in the preview.
        idle_timeout_ms: Option<u32>,
        /// Whether the server answers a turn by itself; otherwise the session asks for each response.
        create_response: bool,
        /// Whether the server stops its response when the caller speaks; otherwise the session cancels it.
        interrupt_response: bool,
    },
    /// By what was said.
    SemanticVad {
        /// `low`, `medium`, `high`, `auto`: the longest waits are about 8, 4 and 2 s.
        eagerness: String,
        /// As above.
        create_response: bool,
        /// As above.
        interrupt_response: bool,
    },
}

impl Default for TurnDetection {
    fn default() -> Self {
        Self::ServerVad {
            threshold: 0.5,
            prefix_padding_ms: 300,
            silence_duration_ms: 500,
            idle_timeout_ms: None,
            create_response: true,
            interrupt_response: true,
        }
    }
}

impl TurnDetection {
    pub(crate) const fn creates_response(&self) -> bool {
        let (Self::ServerVad { create_response, .. } | Self::SemanticVad { create_response, .. }) = self;
        *create_response
    }

    pub(crate) const fn interrupts_response(&self) -> bool {
        let (Self::ServerVad { interrupt_response, .. } | Self::SemanticVad { interrupt_response, .. }) = self;
        *interrupt_response
    }
}

/// A tool the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// 1 to 64 of `A-Za-z0-9_-`.
    pub name: String,
    /// What it does and when to use it, for the model.
    pub description: String,
    /// JSON schema of the arguments (an object).
    pub parameters: Value,
}

/// Everything a session is told when it is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionProfile {
    /// The protocol's shape.
    pub api: Api,
    /// The audio format, both ways.
    pub format: ModelFormat,
    /// A voice by name; the model's default otherwise.
    pub voice: Option<String>,
    /// The system prompt.
    pub instructions: Option<String>,
    /// What the model is told to do before the caller says anything, such as `Greet the caller.`; silent otherwise.
    pub greeting: Option<String>,
    /// Writes down the caller's words; on Azure the name of a deployment.
    pub transcription_model: Option<String>,
    /// `near_field`, `far_field`; Voice Live also `azure_deep_noise_suppression`.
    pub noise_reduction: Option<String>,
    /// Who decides about turns.
    pub turn_detection: TurnDetection,
    /// What the model may call.
    pub tools: Vec<ToolSpec>,
    /// 0.25 to 1.5 times normal speed.
    pub speed: Option<f64>,
    /// 1 to 4,096 tokens a response.
    pub max_output_tokens: Option<u32>,
}

impl Default for SessionProfile {
    fn default() -> Self {
        Self {
            api: Api::Ga,
            format: ModelFormat::Pcm24k,
            voice: None,
            instructions: None,
            greeting: None,
            transcription_model: None,
            noise_reduction: None,
            turn_detection: TurnDetection::default(),
            tools: Vec::new(),
            speed: None,
            max_output_tokens: None,
        }
    }
}

/// A setting the chosen API does not take.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// 16 kHz PCM exists in Voice Live alone.
    #[error("audio at 16000 hz is only offered by voice-live, not by {0}; allowed: 24000")]
    Rate(&'static str),
    /// A speed out of range.
    #[error("speed {0} is not within 0.25 to 1.5")]
    Speed(f64),
    /// A speed for one of OpenAI's voices in Voice Live, which has no such setting.
    #[error("speed is not offered by voice-live for voice {0:?}; allowed: an azure voice, or no speed")]
    SpeedOfVoice(String),
    /// Too few or too many tokens.
    #[error("max_output_tokens {0} is not within 1 to 4096")]
    MaxOutputTokens(u32),
    /// A VAD threshold out of range.
    #[error("turn detection threshold {0} is not within 0 to 1")]
    Threshold(f64),
    /// An idle timeout out of range.
    #[error("idle_timeout_ms {0} is not within 5000 to 30000")]
    IdleTimeout(u32),
    /// The preview has no idle timeout.
    #[error("idle_timeout_ms is not offered by preview; allowed: none")]
    IdleTimeoutInPreview,
    /// An unknown eagerness.
    #[error("eagerness {0:?} is not one of low, medium, high, auto")]
    Eagerness(String),
    /// An unknown noise reduction.
    #[error("noise_reduction {0:?} is not one of {1}")]
    NoiseReduction(String, &'static str),
    /// A tool name the API refuses.
    #[error("tool name {0:?} is not 1 to 64 of A-Za-z0-9_-")]
    ToolName(String),
    /// Two tools of one name.
    #[error("tool {0:?} is declared twice")]
    ToolTwice(String),
    /// A schema that is none.
    #[error("parameters of tool {0:?} are not a json schema object")]
    ToolParameters(String),
}

impl SessionProfile {
    /// Whether the chosen API takes these settings. Voice names are not checked: new ones appear all the time.
    ///
    /// # Errors
    /// The first setting it does not take.
    pub fn check(&self) -> Result<(), ProfileError> {
        if self.format == ModelFormat::Pcm16k && self.api != Api::VoiceLive {
            return Err(ProfileError::Rate(self.api.name()));
        }
        if let Some(speed) = self.speed {
            self.check_speed(speed)?;
        }
        if let Some(tokens) = self.max_output_tokens.filter(|tokens| !(1..=4_096).contains(tokens)) {
            return Err(ProfileError::MaxOutputTokens(tokens));
        }
        self.check_turns()?;
        let (known, named): (&[&str], _) = match self.api {
            Api::VoiceLive => (
                &["near_field", "far_field", "azure_deep_noise_suppression"],
                "near_field, far_field, azure_deep_noise_suppression",
            ),
            Api::Ga | Api::Preview => (&["near_field", "far_field"], "near_field, far_field"),
        };
        if let Some(kind) = self.noise_reduction.as_deref().filter(|kind| !known.contains(kind)) {
            return Err(ProfileError::NoiseReduction(kind.to_owned(), named));
        }
        self.check_tools()
    }

    fn check_speed(&self, speed: f64) -> Result<(), ProfileError> {
        if !(0.25..=1.5).contains(&speed) {
            return Err(ProfileError::Speed(speed));
        }
        if self.api == Api::VoiceLive && self.voice.as_deref().is_none_or(wire::is_openai_voice) {
            return Err(ProfileError::SpeedOfVoice(self.voice.clone().unwrap_or_default()));
        }
        Ok(())
    }

    fn check_turns(&self) -> Result<(), ProfileError> {
        match &self.turn_detection {
            TurnDetection::ServerVad { threshold, .. } if !(0.0..=1.0).contains(threshold) => {
                Err(ProfileError::Threshold(*threshold))
            }
            TurnDetection::ServerVad { idle_timeout_ms: Some(_), .. } if self.api == Api::Preview => {
                Err(ProfileError::IdleTimeoutInPreview)
            }
            TurnDetection::ServerVad { idle_timeout_ms: Some(wait), .. } if !(5_000..=30_000).contains(wait) => {
                Err(ProfileError::IdleTimeout(*wait))
            }
            TurnDetection::SemanticVad { eagerness, .. }
                if !["low", "medium", "high", "auto"].contains(&eagerness.as_str()) =>
            {
                Err(ProfileError::Eagerness(eagerness.clone()))
            }
            _ => Ok(()),
        }
    }

    fn check_tools(&self) -> Result<(), ProfileError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let mut names = Vec::with_capacity(self.tools.len());
        for ToolSpec { name, parameters, .. } in &self.tools {
            if !(1..=64).contains(&name.len()) || !name.bytes().all(allowed) {
                return Err(ProfileError::ToolName(name.clone()));
            }
            if names.contains(&name) {
                return Err(ProfileError::ToolTwice(name.clone()));
            }
            if !parameters.is_object() {
                return Err(ProfileError::ToolParameters(name.clone()));
            }
            names.push(name);
        }
        Ok(())
    }

    /// The `session.update` event for these settings, as JSON text.
    #[must_use]
    pub fn session_update(&self) -> String {
        self.update("", true)
    }

    /// The same with an `event_id` (none if empty), and with the voice left out if it may not change any more.
    pub(crate) fn update(&self, event_id: &str, with_voice: bool) -> String {
        wire::session_update(self, event_id, with_voice).to_string()
    }
}
