use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use crate::command::shown;

/// What the SMA application goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmaSettings {
    /// Where calls are bridged to: a Voice Connector, `arn:aws:chime:REGION:ACCOUNT:vc/ID`, or a group of them.
    pub voice_connector_arn: String,
    /// How long a bridge to the Voice Connector may ring, in seconds; AWS takes 1 to 120. 20.
    pub bridge_timeout_s: u32,
    /// How long a transfer may ring, in seconds; AWS takes 1 to 120. 30.
    pub transfer_timeout_s: u32,
    /// Who speaks. Joanna, neural, en-US.
    pub voice: Voice,
    /// Said before a bridge is tried again; at most 1000 characters, empty for nothing.
    pub reconnecting: String,
    /// Said before a caller who cannot be bridged is hung up; at most 1000 characters, empty for nothing.
    pub apology: String,
    /// How often a call is bridged again, over its whole life. 3.
    pub max_rebridges: u32,
}

/// A voice of Amazon Polly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// How it is synthesised.
    pub engine: Engine,
    /// Language, such as `en-US`.
    pub language: String,
    /// Polly's name of it, such as `Joanna`.
    pub voice_id: String,
}

/// How Amazon Polly synthesises: the two that a `Speak` action takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Concatenated speech; AWS's default.
    Standard,
    /// Better, and not every voice has it.
    #[default]
    Neural,
}

/// No [`Engine`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("engine {value:?} is neither standard nor neural")]
pub struct UnknownEngine {
    /// What was given, cut.
    pub value: String,
}

/// No address of a Voice Connector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{value:?} is not the ARN of a Voice Connector (arn:aws:chime:REGION:ACCOUNT:vc/ID)")]
pub struct BadVoiceConnectorArn {
    /// What was given.
    pub value: String,
}

impl SmaSettings {
    /// The defaults, for this Voice Connector.
    ///
    /// # Errors
    ///
    /// [`BadVoiceConnectorArn`], unless it is an ARN of Chime with region, account and resource.
    pub fn new(voice_connector_arn: &str) -> Result<Self, BadVoiceConnectorArn> {
        let parts: Vec<&str> = voice_connector_arn.splitn(6, ':').collect();
        let graphic = voice_connector_arn.bytes().all(|byte| byte.is_ascii_graphic());
        match parts.as_slice() {
            ["arn", partition, "chime", region, account, resource]
                if graphic
                    && ![partition, region, account].iter().any(|part| part.is_empty())
                    // "vc/ID"; how the ARN of a group is spelled is not documented.
                    && resource.split_once('/').is_some_and(|(kind, id)| kind.starts_with("vc") && !id.is_empty()) => {}
            _ => return Err(BadVoiceConnectorArn { value: voice_connector_arn.chars().take(128).collect() }),
        }
        Ok(Self {
            voice_connector_arn: voice_connector_arn.to_owned(),
            bridge_timeout_s: 20,
            transfer_timeout_s: 30,
            voice: Voice::default(),
            reconnecting: "One moment please, I am reconnecting you.".to_owned(),
            apology: "I am sorry, we have a technical problem. Please call again later. Goodbye.".to_owned(),
            max_rebridges: 3,
        })
    }
}

impl Default for Voice {
    fn default() -> Self {
        Self { engine: Engine::default(), language: "en-US".to_owned(), voice_id: "Joanna".to_owned() }
    }
}

impl FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        match value {
            "standard" => Ok(Self::Standard),
            "neural" => Ok(Self::Neural),
            _ => Err(UnknownEngine { value: shown(value) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_arn_of_a_voice_connector_is_taken() {
        for good in [
            "arn:aws:chime:us-east-1:111122223333:vc/fx7q2mvbd9k3htn5wz1rgy",
            "arn:aws:chime:eu-central-1:111122223333:vcg/1f0a0c52-5f4e-4d0b-9d55-0d0f0a1b2c3d",
        ] {
            assert_eq!(SmaSettings::new(good).unwrap().voice_connector_arn, good);
        }
        for bad in [
            "",
            "fx7q2mvbd9k3htn5wz1rgy",
            "arn:aws:chime:us-east-1:111122223333:vc/",
            "arn:aws:chime:us-east-1::vc/fx7q2mvbd9k3htn5wz1rgy",
            "arn:aws:chime:us-east-1:111122223333:sma/2f9d7c1a-6f3e-4b7d-9c55-7a1e3f0b8d21",
            "arn:aws:sqs:us-east-1:111122223333:calls",
            "arn:aws:chime:us-east-1:111122223333:vc/fx7q2mvbd9k3htn5wz1rgy\n",
        ] {
            let error = SmaSettings::new(bad).unwrap_err().to_string();
            assert!(error.ends_with("(arn:aws:chime:REGION:ACCOUNT:vc/ID)"), "{error}");
        }
    }

    #[test]
    fn engines_are_those_of_speak() {
        assert_eq!("neural".parse(), Ok(Engine::Neural));
        assert_eq!("standard".parse(), Ok(Engine::Standard));
        let error = "generative".parse::<Engine>().unwrap_err();
        assert_eq!(error.to_string(), "engine \"generative\" is neither standard nor neural");
    }
}
