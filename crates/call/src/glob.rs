use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest pattern taken, in bytes.
const MAX_LENGTH: usize = 256;

/// A pattern for numbers: `*` is any run of characters (also none), `?` is one character, the rest is literal.
///
/// Matching takes at most pattern x text steps, whatever the pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    text: String,
    chars: Vec<char>,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadGlob {
    /// Nothing given.
    #[error("pattern is empty, allowed are numbers with * (any run) and ? (one character)")]
    Empty,
    /// More than 256 bytes.
    #[error("pattern has {length} bytes, allowed are up to {MAX_LENGTH}")]
    TooLong {
        /// Bytes given.
        length: usize,
    },
    /// A blank or control character, which no number has: surely a typing error.
    #[error("pattern {value:?} contains {found:?}, allowed are numbers with * (any run) and ? (one character)")]
    BadCharacter {
        /// The whole pattern as given (never longer than 256 bytes).
        value: String,
        /// The first character that is not allowed.
        found: char,
    },
}

impl Glob {
    /// Checks `text` and makes it a pattern.
    ///
    /// # Errors
    /// [`BadGlob`] when it is empty, longer than 256 bytes or holds a blank or control character.
    pub fn parse(text: &str) -> Result<Self, BadGlob> {
        if text.is_empty() {
            return Err(BadGlob::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(BadGlob::TooLong { length: text.len() });
        }
        if let Some(found) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return Err(BadGlob::BadCharacter { value: text.to_owned(), found });
        }
        Ok(Self { text: text.to_owned(), chars: text.chars().collect() })
    }

    /// The pattern `*`.
    #[must_use]
    pub fn any() -> Self {
        Self { text: "*".to_owned(), chars: vec!['*'] }
    }

    /// Whether the pattern matches the whole of `text`, case and all.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut pattern = self.chars.iter();
        let mut rest = text.chars();
        // Where to go on when the last `*` must swallow one character more.
        let mut retry = None;
        loop {
            let at_wildcard = (pattern.clone(), rest.clone());
            match (pattern.next(), rest.clone().next()) {
                (Some('*'), _) => {
                    retry = Some((pattern.clone(), at_wildcard.1));
                    continue;
                }
                (Some(&p), Some(c)) if p == '?' || p == c => {
                    rest.next();
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after_star, mut from)) = retry.take() else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            pattern = after_star.clone();
            rest = from.clone();
            retry = Some((after_star, from));
        }
    }

    /// Whether every text matches, so that a call without any number does too.
    #[must_use]
    pub fn matches_everything(&self) -> bool {
        self.chars.iter().all(|&c| c == '*')
    }

    /// The pattern as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Glob {
    type Err = BadGlob;

    fn from_str(text: &str) -> Result<Self, BadGlob> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Glob {
    type Error = BadGlob;

    fn try_from(text: String) -> Result<Self, BadGlob> {
        Self::parse(&text)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_table() {
        let table = [
            ("6001", "6001", true),
            ("6001", "60011", false),
            ("6001", "600", false),
            ("6001", "", false),
            ("*", "", true),
            ("*", "+15551234567", true),
            ("+1*", "+15551234567", true),
            ("+1*", "15551234567", false),
            ("*4567", "+15551234567", true),
            ("*4567", "45674567", true),
            ("*4567", "4567x", false),
            ("60??", "6042", true),
            ("60??", "604", false),
            ("60??", "60423", false),
            ("?", "", false),
            ("?*", "", false),
            ("?*", "1", true),
            ("*?", "1", true),
            ("**", "", true),
            ("+1*00*", "+1800555", true),
            ("+1*00*", "+1805550", false),
            ("*a*b*c", "xxaxxbxxbc", true),
            ("*a*b*c", "xxaxxcxxb", false),
            ("+49*", "+49 30 1", true),
            (".", "x", false),
            ("[0-9]", "5", false),
            ("A", "a", false),
            ("?", "ü", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Glob::parse(pattern).unwrap().matches(text), expected, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn a_nasty_pattern_ends_soon() {
        let glob = Glob::parse(&format!("{}b", "*a".repeat(100))).unwrap();
        assert!(!glob.matches(&"a".repeat(20_000)));
    }

    #[test]
    fn refuses_and_says_why() {
        assert_eq!(Glob::parse(""), Err(BadGlob::Empty));
        assert_eq!(Glob::parse(&"1".repeat(257)), Err(BadGlob::TooLong { length: 257 }));
        for bad in [" ", "60 01", "6001\n", "\u{7f}"] {
            assert!(matches!(Glob::parse(bad), Err(BadGlob::BadCharacter { .. })), "{bad:?}");
        }
        assert!(serde_json::from_str::<Glob>(r#""""#).is_err());
        assert_eq!(serde_json::from_str::<Glob>(r#""+1*""#).unwrap().to_string(), "+1*");
    }

    #[test]
    fn only_stars_match_everything() {
        for (pattern, expected) in [("*", true), ("***", true), ("?*", false), ("*1", false), ("6001", false)] {
            assert_eq!(Glob::parse(pattern).unwrap().matches_everything(), expected, "{pattern}");
        }
        assert!(Glob::any().matches_everything());
    }
}
