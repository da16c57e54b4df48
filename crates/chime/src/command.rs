//! What the service asks of the SIP media application, and what it sends along with a call that it places.
//!
//! Both travel as string maps of at most 20 entries through the Amazon Chime SDK Voice API: a [`Command`] in `Arguments`
//! of `UpdateSipMediaApplicationCall`, an [`OutboundCall`] in `ArgumentsMap` of `CreateSipMediaApplicationCall`. They may
//! hold a number or what a caller is told: never log them.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

mod outbound;

pub use outbound::{BadOutboundCall, MAX_CALL_ID_LEN, MAX_METADATA_LEN, MAX_ROUTE_LEN, OutboundCall};

/// Longest text of one `Speak` action, in characters.
pub const MAX_TEXT_CHARS: usize = 1000;

/// Most keys of one `SendDigits` action.
pub const MAX_DIGITS: usize = 50;

/// Longest pause that is asked for, in milliseconds. AWS documents no maximum; a longer one is cut to this.
pub const MAX_PAUSE_MS: u64 = 60_000;

/// Characters that a synthesised voice speaks in a second, about.
const CHARS_PER_SECOND: u64 = 15;

/// Longest piece of a stranger's value that an error shows, in characters.
const SHOWN_CHARS: usize = 32;

/// The keys of the map.
pub(crate) mod key {
    pub(crate) const COMMAND: &str = "command";
    pub(crate) const TEXT: &str = "text";
    pub(crate) const PAUSE_MS: &str = "pauseMs";
    pub(crate) const TO: &str = "to";
    pub(crate) const DIGITS: &str = "digits";
    pub(crate) const REQUEST_ID: &str = "requestId";
}

/// What the service asks of the SIP media application for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Speak to the caller, then be quiet: the model is away.
    KeepAlive {
        /// What is spoken; at most [`MAX_TEXT_CHARS`] of it.
        text: String,
        /// Quiet after it, in milliseconds; 0 for none, at most [`MAX_PAUSE_MS`].
        pause_ms: u64,
    },
    /// The next loss of the service's leg is on purpose: do not bridge again.
    Ending,
    /// End the call.
    HangUp {
        /// Spoken before.
        text: Option<String>,
    },
    /// Take the service's leg away and bridge the caller to a telephone number.
    Transfer {
        /// E.164, see [`is_e164`].
        to: String,
        /// Spoken before it rings there.
        text: Option<String>,
    },
    /// Press keys towards the far party.
    Dtmf {
        /// See [`is_digits`].
        digits: String,
    },
    /// The model is back: what is left of a prompt is dropped, and a planned end is called off.
    Resume,
}

/// A map that is no [`Command`]. Neither number nor digits are shown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadCommand {
    /// No such command.
    #[error("command {command:?} is none of keepalive, ending, hangup, transfer, dtmf, resume")]
    Unknown {
        /// What was asked, cut.
        command: String,
    },
    /// A key that the command needs is absent or blank.
    #[error("{key:?} is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// Not a number of milliseconds.
    #[error("\"pauseMs\" = {value:?} is not a whole number of milliseconds")]
    PauseMs {
        /// What was given, cut.
        value: String,
    },
    /// Not a telephone number that can be called.
    #[error("\"to\" is not a number in E.164 (+ and 2 to 15 digits)")]
    To,
    /// Not keys of a telephone.
    #[error("\"digits\" must be 1 to 50 of 0-9, *, #, A-D and comma (half a second's wait)")]
    Digits,
}

impl Command {
    /// The name that stands under `command`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::KeepAlive { .. } => "keepalive",
            Self::Ending => "ending",
            Self::HangUp { .. } => "hangup",
            Self::Transfer { .. } => "transfer",
            Self::Dtmf { .. } => "dtmf",
            Self::Resume => "resume",
        }
    }

    /// The map to send. `request_id` names this request: repeated, it is carried out once.
    ///
    /// Texts are cut as by [`speakable`], pauses to [`MAX_PAUSE_MS`]. Number and digits are sent as they are: the other
    /// side refuses bad ones, so whoever lets a model choose them asks [`is_e164`] and [`is_digits`] first.
    #[must_use]
    pub fn to_arguments(&self, request_id: &str) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        let mut put = |key: &str, value: String| {
            map.insert(key.to_owned(), value);
        };
        put(key::COMMAND, self.name().to_owned());
        put(key::REQUEST_ID, request_id.to_owned());
        match self {
            Self::KeepAlive { text, pause_ms } => {
                put(key::TEXT, speakable(text));
                put(key::PAUSE_MS, pause_ms.min(&MAX_PAUSE_MS).to_string());
            }
            Self::Transfer { to, .. } => put(key::TO, to.clone()),
            Self::Dtmf { digits } => put(key::DIGITS, digits.clone()),
            Self::Ending | Self::HangUp { .. } | Self::Resume => {}
        }
        if let Self::HangUp { text: Some(text) } | Self::Transfer { text: Some(text), .. } = self {
            put(key::TEXT, speakable(text));
        }
        map
    }

    /// Reads a map. Unknown keys are ignored, so are keys that the command does not use.
    ///
    /// # Errors
    ///
    /// [`BadCommand`]: an unknown command, or one without a valid value that it needs.
    pub fn from_arguments(map: &BTreeMap<String, String>) -> Result<Self, BadCommand> {
        let text = || map.get(key::TEXT).map(|text| speakable(text)).filter(|text| !text.is_empty());
        let needed = |key| map.get(key).filter(|value| !value.trim().is_empty()).ok_or(BadCommand::Missing { key });
        match needed(key::COMMAND)?.as_str() {
            "keepalive" => Ok(Self::KeepAlive {
                text: text().ok_or(BadCommand::Missing { key: key::TEXT })?,
                pause_ms: pause_ms(map.get(key::PAUSE_MS))?,
            }),
            "ending" => Ok(Self::Ending),
            "hangup" => Ok(Self::HangUp { text: text() }),
            "transfer" => {
                let to = needed(key::TO)?.trim();
                if !is_e164(to) {
                    return Err(BadCommand::To);
                }
                Ok(Self::Transfer { to: to.to_owned(), text: text() })
            }
            "dtmf" => {
                let digits = needed(key::DIGITS)?.trim().to_ascii_uppercase();
                if is_digits(&digits) { Ok(Self::Dtmf { digits }) } else { Err(BadCommand::Digits) }
            }
            "resume" => Ok(Self::Resume),
            other => Err(BadCommand::Unknown { command: shown(other) }),
        }
    }
}

fn pause_ms(value: Option<&String>) -> Result<u64, BadCommand> {
    let Some(value) = value else { return Ok(0) };
    let pause_ms: u64 = value.trim().parse().map_err(|_| BadCommand::PauseMs { value: shown(value) })?;
    Ok(pause_ms.min(MAX_PAUSE_MS))
}

/// How long a voice takes to speak `text`: its characters at 15 a second.
#[must_use]
pub fn speech_time(text: &str) -> Duration {
    let chars = text.chars().count() as u64;
    Duration::from_millis((chars * 1000).div_ceil(CHARS_PER_SECOND))
}

/// `text` as a `Speak` action takes it: white space and control characters are single blanks, and it ends after the last
/// word within [`MAX_TEXT_CHARS`]. Empty if there is nothing to say.
#[must_use]
pub fn speakable(text: &str) -> String {
    let mut spoken = String::new();
    let mut left = MAX_TEXT_CHARS;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let blank = usize::from(!spoken.is_empty());
        let chars = word.chars().count();
        if chars + blank > left {
            // A word that alone is too long has no better place to be cut.
            if spoken.is_empty() {
                spoken.extend(word.chars().take(left));
            }
            break;
        }
        if blank > 0 {
            spoken.push(' ');
        }
        spoken.push_str(word);
        left -= chars + blank;
    }
    spoken
}

/// Whether this is a telephone number in E.164 as AWS takes it: `+`, then 2 to 15 digits, of which the first is not 0.
#[must_use]
pub fn is_e164(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else { return false };
    (2..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0')
}

/// Whether a `SendDigits` action takes this: 1 to [`MAX_DIGITS`] of `0-9 * # A-D` and comma, a wait of half a second.
#[must_use]
pub fn is_digits(digits: &str) -> bool {
    (1..=MAX_DIGITS).contains(&digits.len())
        && digits.bytes().all(|key| matches!(key, b'0'..=b'9' | b'*' | b'#' | b'A'..=b'D' | b','))
}

/// The beginning of a value that a stranger sent; to be escaped by `{:?}`.
pub(crate) fn shown(value: &str) -> String {
    value.chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_command_is_read_back_as_it_was_sent() {
        let text = || Some("Goodbye.".to_owned());
        let to = || "+15550100077".to_owned();
        let cases = [
            (
                Command::KeepAlive { text: "One moment.".to_owned(), pause_ms: 4_000 },
                map(&[("command", "keepalive"), ("text", "One moment."), ("pauseMs", "4000"), ("requestId", "r-1")]),
            ),
            (Command::Ending, map(&[("command", "ending"), ("requestId", "r-1")])),
            (Command::HangUp { text: None }, map(&[("command", "hangup"), ("requestId", "r-1")])),
            (
                Command::HangUp { text: text() },
                map(&[("command", "hangup"), ("text", "Goodbye."), ("requestId", "r-1")]),
            ),
            (
                Command::Transfer { to: to(), text: None },
                map(&[("command", "transfer"), ("to", "+15550100077"), ("requestId", "r-1")]),
            ),
            (
                Command::Transfer { to: to(), text: text() },
                map(&[("command", "transfer"), ("to", "+15550100077"), ("text", "Goodbye."), ("requestId", "r-1")]),
            ),
            (
                Command::Dtmf { digits: ",,1234#".to_owned() },
                map(&[("command", "dtmf"), ("digits", ",,1234#"), ("requestId", "r-1")]),
            ),
            (Command::Resume, map(&[("command", "resume"), ("requestId", "r-1")])),
        ];
        for (command, expected) in cases {
            let sent = command.to_arguments("r-1");
            assert_eq!(sent, expected);
            assert_eq!(Command::from_arguments(&sent), Ok(command));
        }
    }

    #[test]
    fn a_bad_command_is_named_without_number_or_digits() {
        let long = "x".repeat(5_000);
        let cases = [
            (map(&[]), "\"command\" is missing"),
            (map(&[("command", "  ")]), "\"command\" is missing"),
            (
                map(&[("command", "dance\n")]),
                "command \"dance\\n\" is none of keepalive, ending, hangup, transfer, dtmf, resume",
            ),
            (map(&[("command", "keepalive"), ("text", " \t")]), "\"text\" is missing"),
            (
                map(&[("command", "keepalive"), ("text", "hello"), ("pauseMs", "-1")]),
                "\"pauseMs\" = \"-1\" is not a whole number of milliseconds",
            ),
            (map(&[("command", "transfer")]), "\"to\" is missing"),
            (
                map(&[("command", "transfer"), ("to", "015550100077")]),
                "\"to\" is not a number in E.164 (+ and 2 to 15 digits)",
            ),
            (
                map(&[("command", "dtmf"), ("digits", "12w4")]),
                "\"digits\" must be 1 to 50 of 0-9, *, #, A-D and comma (half a second's wait)",
            ),
        ];
        for (arguments, message) in cases {
            assert_eq!(Command::from_arguments(&arguments).unwrap_err().to_string(), message);
        }
        let message = Command::from_arguments(&map(&[("command", &long)])).unwrap_err().to_string();
        assert!(message.len() < 150, "{message}");
    }

    #[test]
    fn what_is_odd_but_meant_well_is_taken() {
        let arguments = map(&[("command", "keepalive"), ("text", "Hello"), ("colour", "blue")]);
        let expected = Command::KeepAlive { text: "Hello".to_owned(), pause_ms: 0 };
        assert_eq!(Command::from_arguments(&arguments), Ok(expected));
        let arguments = map(&[("command", "keepalive"), ("text", "Hello"), ("pauseMs", " 999999999 ")]);
        let expected = Command::KeepAlive { text: "Hello".to_owned(), pause_ms: MAX_PAUSE_MS };
        assert_eq!(Command::from_arguments(&arguments), Ok(expected));
        let arguments = map(&[("command", "dtmf"), ("digits", "12ab")]);
        assert_eq!(Command::from_arguments(&arguments), Ok(Command::Dtmf { digits: "12AB".to_owned() }));
    }

    #[test]
    fn a_text_is_cut_at_a_word() {
        assert_eq!(speakable("  One\tmoment,\r\n please.\0 "), "One moment, please.");
        assert_eq!(speakable(" \n "), "");
        let fits = format!("{} {}", "a".repeat(499), "b".repeat(500));
        assert_eq!(speakable(&fits), fits);
        assert_eq!(speakable(&format!("{fits} c")), fits);
        assert_eq!(speakable(&format!("{} {}", "a".repeat(499), "b".repeat(501))), "a".repeat(499));
        // Characters are counted, not bytes.
        assert_eq!(speakable(&"ü".repeat(2_000)), "ü".repeat(1_000));
    }

    #[test]
    fn speech_takes_a_second_for_fifteen_characters() {
        assert_eq!(speech_time(""), Duration::ZERO);
        assert_eq!(speech_time("123456789012345"), Duration::from_secs(1));
        assert_eq!(speech_time("ü"), Duration::from_millis(67));
    }

    #[test]
    fn numbers_and_keys_are_those_that_aws_takes() {
        for good in ["+15550100077", "+49", "+123456789012345"] {
            assert!(is_e164(good), "{good}");
        }
        for bad in ["", "+", "+1", "15550100077", "+05550100077", "+1234567890123456", "+1555 010", "+1555０"] {
            assert!(!is_e164(bad), "{bad}");
        }
        assert!(is_digits("0123456789*#ABCD,") && is_digits(&"1".repeat(50)));
        for bad in ["", "a", "E", "1 2", "1\u{661}", &"1".repeat(51)] {
            assert!(!is_digits(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_that_speak_takes(text in any::<String>(), words in "[a-zé ]{0,3000}") {
            for text in [text, words] {
                let spoken = speakable(&text);
                prop_assert!(spoken.chars().count() <= MAX_TEXT_CHARS);
                prop_assert_eq!(speakable(&spoken), spoken);
            }
        }
    }
}
