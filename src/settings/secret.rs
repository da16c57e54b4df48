use std::fmt;

use serde::{Serialize, Serializer};

/// A secret from the configuration. It compares and clones, and never prints: `Debug`, `Display`
/// and `Serialize` give a fixed word.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

impl Secret {
    /// Wraps the text of a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself. For the place that sends or compares it, nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}
