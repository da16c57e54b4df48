use std::fmt;

use trunkline_chime::command::MAX_TEXT_CHARS;
use trunkline_chime::sma::SmaSettings;

/// Most attempts that may be asked for: AWS invokes the function 1000 times in a call at most.
const MAX_REBRIDGES: u32 = 100;

/// A variable of the environment that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadVariable {
    name: &'static str,
    reason: String,
}

impl fmt::Display for BadVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.reason)
    }
}

/// Reads `TRUNKLINE_…`: what is not set has its default, and only the Voice Connector has none.
pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<SmaSettings, BadVariable> {
    let name = "TRUNKLINE_VOICE_CONNECTOR_ARN";
    let bad = |name, reason: &dyn fmt::Display| BadVariable { name, reason: reason.to_string() };
    let arn = variable(name).filter(|arn| !arn.is_empty()).ok_or_else(|| {
        bad(name, &"is not set: where calls are to be bridged to, arn:aws:chime:REGION:ACCOUNT:vc/ID")
    })?;
    let mut settings = SmaSettings::new(&arn).map_err(|error| bad(name, &format!("= {error}")))?;

    let name = "TRUNKLINE_ENGINE";
    if let Some(engine) = variable(name) {
        settings.voice.engine = engine.parse().map_err(|error| bad(name, &format!("is wrong: {error}")))?;
    }
    for (name, member) in
        [("TRUNKLINE_VOICE_ID", &mut settings.voice.voice_id), ("TRUNKLINE_LANGUAGE", &mut settings.voice.language)]
    {
        let Some(word) = variable(name) else { continue };
        let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !plain || !(2..=32).contains(&word.len()) {
            return Err(bad(name, &format!("= {word:?} must be 2 to 32 letters, digits and -")));
        }
        *member = word;
    }
    for (name, member) in
        [("TRUNKLINE_RECONNECTING_TEXT", &mut settings.reconnecting), ("TRUNKLINE_APOLOGY_TEXT", &mut settings.apology)]
    {
        let Some(text) = variable(name) else { continue };
        let chars = text.chars().count();
        if chars > MAX_TEXT_CHARS {
            return Err(bad(name, &format!("has {chars} characters, at most {MAX_TEXT_CHARS} can be spoken")));
        }
        *member = text;
    }
    let name = "TRUNKLINE_MAX_REBRIDGES";
    if let Some(count) = variable(name) {
        let number = count.parse().ok().filter(|number| *number <= MAX_REBRIDGES);
        settings.max_rebridges =
            number.ok_or_else(|| bad(name, &format!("= {count:?} must be a number from 0 to {MAX_REBRIDGES}")))?;
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use trunkline_chime::sma::{Engine, Voice};

    use super::*;

    const ARN: (&str, &str) =
        ("TRUNKLINE_VOICE_CONNECTOR_ARN", "arn:aws:chime:us-east-1:111122223333:vc/fx7q2mvbd9k3htn5wz1rgy");

    fn read_from(variables: &[(&str, &str)]) -> Result<SmaSettings, String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        read(variable).map_err(|error| error.to_string())
    }

    #[test]
    fn all_but_the_voice_connector_has_a_default() {
        assert_eq!(read_from(&[ARN]).unwrap(), SmaSettings::new(ARN.1).unwrap());
    }

    #[test]
    fn every_variable_is_read() {
        let settings = read_from(&[
            ARN,
            ("TRUNKLINE_VOICE_ID", "Vicki"),
            ("TRUNKLINE_LANGUAGE", "de-DE"),
            ("TRUNKLINE_ENGINE", "standard"),
            ("TRUNKLINE_RECONNECTING_TEXT", "Einen Moment bitte."),
            ("TRUNKLINE_APOLOGY_TEXT", ""),
            ("TRUNKLINE_MAX_REBRIDGES", "0"),
        ])
        .unwrap();
        let voice = Voice { engine: Engine::Standard, language: "de-DE".to_owned(), voice_id: "Vicki".to_owned() };
        let expected = SmaSettings {
            voice,
            reconnecting: "Einen Moment bitte.".to_owned(),
            apology: String::new(),
            max_rebridges: 0,
            ..SmaSettings::new(ARN.1).unwrap()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        let long = "x".repeat(1001);
        let cases = [
            (
                vec![],
                "TRUNKLINE_VOICE_CONNECTOR_ARN is not set: where calls are to be bridged to, \
                 arn:aws:chime:REGION:ACCOUNT:vc/ID",
            ),
            (
                vec![("TRUNKLINE_VOICE_CONNECTOR_ARN", "fx7q2mvbd9k3htn5wz1rgy")],
                "TRUNKLINE_VOICE_CONNECTOR_ARN = \"fx7q2mvbd9k3htn5wz1rgy\" is not the ARN of a Voice Connector \
                 (arn:aws:chime:REGION:ACCOUNT:vc/ID)",
            ),
            (
                vec![ARN, ("TRUNKLINE_ENGINE", "loud")],
                "TRUNKLINE_ENGINE is wrong: engine \"loud\" is neither standard nor neural",
            ),
            (vec![ARN, ("TRUNKLINE_VOICE_ID", "")], "TRUNKLINE_VOICE_ID = \"\" must be 2 to 32 letters, digits and -"),
            (
                vec![ARN, ("TRUNKLINE_LANGUAGE", "en_US")],
                "TRUNKLINE_LANGUAGE = \"en_US\" must be 2 to 32 letters, digits and -",
            ),
            (
                vec![ARN, ("TRUNKLINE_APOLOGY_TEXT", long.as_str())],
                "TRUNKLINE_APOLOGY_TEXT has 1001 characters, at most 1000 can be spoken",
            ),
            (
                vec![ARN, ("TRUNKLINE_MAX_REBRIDGES", "101")],
                "TRUNKLINE_MAX_REBRIDGES = \"101\" must be a number from 0 to 100",
            ),
        ];
        for (variables, message) in cases {
            assert_eq!(read_from(&variables).unwrap_err(), message);
        }
    }
}
