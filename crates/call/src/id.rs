use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest call id taken, in bytes (all allowed characters are one byte).
const MAX_LENGTH: usize = 128;

/// What a call is known by on every surface: 1 to 128 of `A-Za-z0-9._:@-`.
///
/// The alphabet keeps it safe in URLs, log lines, file names and metric labels. Cloning copies a pointer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[A-Za-z0-9._:@-]{1,128}$")]
pub struct CallId(Arc<str>);

/// Why a text is not a call id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCallId {
    /// Nothing given.
    #[error("call id is empty, allowed are 1 to {MAX_LENGTH} of A-Za-z0-9._:@-")]
    Empty,
    /// More than 128 bytes.
    #[error("call id has {length} bytes, allowed are 1 to {MAX_LENGTH} of A-Za-z0-9._:@-")]
    TooLong {
        /// Bytes given.
        length: usize,
    },
    /// A character outside the alphabet.
    #[error("call id {value:?} contains {found:?}, allowed are 1 to {MAX_LENGTH} of A-Za-z0-9._:@-")]
    BadCharacter {
        /// The whole id as given (never longer than 128 bytes).
        value: String,
        /// The first character that is not allowed.
        found: char,
    },
}

impl CallId {
    /// Checks `text` and makes it a call id.
    ///
    /// # Errors
    /// [`BadCallId`] when it is empty, longer than 128 bytes or holds a character outside `A-Za-z0-9._:@-`.
    pub fn parse(text: &str) -> Result<Self, BadCallId> {
        if text.is_empty() {
            return Err(BadCallId::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(BadCallId::TooLong { length: text.len() });
        }
        match text.chars().find(|&c| !is_allowed(c)) {
            Some(found) => Err(BadCallId::BadCharacter { value: text.to_owned(), found }),
            None => Ok(Self(text.into())),
        }
    }

    /// A fresh id in the shape of a version 4 UUID. Unique, not secret: it grants nothing.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_random(fastrand::u128(..))
    }

    /// The id that 128 random bits make (122 of them are used), for callers with their own source of chance.
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        let bits = bits & !(0xF << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
        let text = format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            bits >> 80 & 0xFFFF,
            bits >> 64 & 0xFFFF,
            bits >> 48 & 0xFFFF,
            bits & 0xFFFF_FFFF_FFFF,
        );
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '@' | '-')
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for CallId {
    type Err = BadCallId;

    fn from_str(text: &str) -> Result<Self, BadCallId> {
        Self::parse(text)
    }
}

impl TryFrom<String> for CallId {
    type Error = BadCallId;

    fn try_from(text: String) -> Result<Self, BadCallId> {
        Self::parse(&text)
    }
}

impl From<CallId> for String {
    fn from(id: CallId) -> Self {
        id.as_str().to_owned()
    }
}

impl AsRef<str> for CallId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for CallId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn takes_every_allowed_character_and_length() {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-";
        assert_eq!(CallId::parse(alphabet).unwrap().as_str(), alphabet);
        assert_eq!(CallId::parse(&"x".repeat(128)).unwrap().as_str().len(), 128);
        assert_eq!(CallId::parse("7").unwrap().to_string(), "7");
    }

    #[test]
    fn refuses_and_says_why() {
        assert_eq!(CallId::parse(""), Err(BadCallId::Empty));
        assert_eq!(CallId::parse(&"x".repeat(129)), Err(BadCallId::TooLong { length: 129 }));
        for bad in ["a b", "a/b", "a|b", "ä", "a\n", "a%20", "a+b", "\u{0}"] {
            let error = CallId::parse(bad).unwrap_err();
            assert!(matches!(error, BadCallId::BadCharacter { .. }), "{bad:?}: {error}");
        }
        let text = CallId::parse("a\nb").unwrap_err().to_string();
        assert!(text.contains(r#""a\nb""#) && text.contains("A-Za-z0-9._:@-"), "{text}");
        assert!(!text.contains('\n'), "a line break in an id must not break the log line");
    }

    #[test]
    fn generated_ids_are_valid_and_differ() {
        let ids: HashSet<_> = (0..1_000).map(|_| CallId::generate()).collect();
        assert_eq!(ids.len(), 1_000);
        for id in &ids {
            assert_eq!(&CallId::parse(id.as_str()).unwrap(), id);
        }
        assert_eq!(CallId::from_random(0).as_str(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(CallId::from_random(u128::MAX).as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn is_found_by_its_text_and_survives_json() {
        let id = CallId::parse("call:1@host").unwrap();
        let map = HashMap::from([(id.clone(), 1)]);
        assert_eq!(map.get("call:1@host"), Some(&1));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, r#""call:1@host""#);
        assert_eq!(serde_json::from_str::<CallId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<CallId>(r#""no way""#).is_err());
    }
}
