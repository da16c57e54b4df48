use std::fmt::Write;

use crate::srtp::{BadSdes, Sdes, Suite};

/// Longest name of a suite that is repeated in a message, in bytes.
const MAX_SUITE_NAME_BYTES: usize = 40;

/// A `crypto` attribute (RFC 4568): one side's key for what it sends. `Debug` does not show the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// What the attribute is referred to by, up to nine digits.
    pub tag: u32,
    /// Suite and key.
    pub sdes: Sdes,
    /// The suite as its peer calls it.
    name: &'static str,
}

/// Why a `crypto` attribute is not taken. Of its text only the name of a suite is kept: the rest may be a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCrypto {
    /// There is none.
    #[error("there is none")]
    Missing,
    /// Not a tag, a suite and a key.
    #[error("it is not TAG SUITE inline:KEY")]
    Malformed,
    /// A suite that we don't have, or `?` if what stands there does not look like one.
    #[error("the suite {name} is not supported")]
    UnknownSuite {
        /// Its name.
        name: String,
    },
    /// A key that can't be used.
    #[error(transparent)]
    Key(#[from] BadSdes),
    /// A session parameter that changes what the packets look like, or may.
    #[error("a session parameter is not supported")]
    SessionParameter,
}

impl Crypto {
    /// A line of ours.
    #[must_use]
    pub const fn new(tag: u32, sdes: Sdes) -> Self {
        let name = sdes.suite().name();
        Self { tag, sdes, name }
    }

    /// The same tag and suite, with a key of ours for that suite.
    pub(super) const fn with_key(&self, sdes: Sdes) -> Self {
        Self { tag: self.tag, sdes, name: self.name }
    }

    /// Reads the attribute's value.
    ///
    /// # Errors
    /// It is none, or asks for what we don't have.
    pub fn read(value: &str) -> Result<Self, BadCrypto> {
        let mut fields = value.split_ascii_whitespace();
        let (Some(tag), Some(name), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(BadCrypto::Malformed);
        };
        if tag.len() > 9 || !tag.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadCrypto::Malformed);
        }
        let tag = tag.parse().map_err(|_| BadCrypto::Malformed)?;
        let (suite, name) = suite_named(name).ok_or_else(|| BadCrypto::UnknownSuite { name: name_for_logs(name) })?;
        // What one may ignore begins with `-` (section 6.3.7); the size of the replay window is a hint to the receiver.
        if fields.any(|parameter| !parameter.starts_with('-') && !parameter.starts_with("WSH=")) {
            return Err(BadCrypto::SessionParameter);
        }
        Ok(Self { tag, sdes: Sdes::parse(suite, key)?, name })
    }

    /// Appends the attribute's value.
    pub fn write(&self, out: &mut String) {
        // Writing to a String does not fail.
        let _ = write!(out, "{} {} ", self.tag, self.name);
        self.sdes.write_inline(out);
    }
}

fn suite_named(name: &str) -> Option<(Suite, &'static str)> {
    let names = Suite::ALL.into_iter().flat_map(|suite| [(suite, suite.name()), (suite, suite.draft_name())]);
    names.into_iter().find(|(_, known)| known.eq_ignore_ascii_case(name))
}

/// Base64 has no underscore and mostly lower-case letters: that is no key.
fn name_for_logs(name: &str) -> String {
    let is_name = name.len() <= MAX_SUITE_NAME_BYTES && name.contains('_');
    let is_plain = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if is_name && is_plain { name.to_owned() } else { "?".to_owned() }
}
