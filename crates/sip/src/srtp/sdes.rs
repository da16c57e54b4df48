//! A master key as it travels in SDP (RFC 4568, sections 6.1 and 9.2).

use std::fmt;

use base64_simd::{STANDARD, STANDARD_NO_PAD};

use super::Suite;

const INLINE: &str = "inline:";

/// Longest key parameter that is read, in bytes: twice what one of ours takes.
const MAX_INLINE_BYTES: usize = 192;

/// The longest life that a key can be given, in packets: 2^48.
const MAX_LIFETIME_LOG2: u32 = 48;

/// What the operating system's randomness gave for a key of ours. Good for one key only.
#[derive(Clone)]
pub struct FreshKey {
    key: [u8; 32],
    salt: [u8; Suite::SALT_BYTES],
}

impl FreshKey {
    /// These bytes. A suite with a shorter key takes the first of them.
    #[must_use]
    pub const fn new(key: [u8; 32], salt: [u8; Suite::SALT_BYTES]) -> Self {
        Self { key, salt }
    }
}

impl fmt::Debug for FreshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FreshKey(…)")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MasterKey {
    Aes128([u8; 16]),
    Aes256([u8; 32]),
}

/// The master key and salt of one direction, and the suite that they are for. `Debug` names the suite alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Sdes {
    suite: Suite,
    key: MasterKey,
    salt: [u8; Suite::SALT_BYTES],
}

impl fmt::Debug for Sdes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sdes({}, …)", self.suite)
    }
}

/// Why a key parameter is not taken. Nothing of it is kept: it may be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSdes {
    /// Another key method than `inline:`, or nothing.
    #[error("the key is not given as inline:")]
    NotInline,
    /// Several keys, which only a master key identifier could tell apart.
    #[error("several keys are given, one is taken")]
    SeveralKeys,
    /// Not Base64, or too long to be a key.
    #[error("the key is not base64")]
    NotBase64,
    /// Not a key and salt of that suite.
    #[error("key and salt have {length} bytes, {suite} takes {wanted}")]
    BadLength {
        /// Bytes given.
        length: usize,
        /// Of which suite it should be.
        suite: Suite,
        /// What that takes.
        wanted: usize,
    },
    /// Not a number of packets between 1 and 2^48.
    #[error("the key's lifetime is not between 1 and 2^48 packets")]
    BadLifetime,
    /// Every packet would carry the identifier of its key.
    #[error("a master key identifier (MKI) is asked for, none is supported")]
    MasterKeyIdentifier,
}

impl Sdes {
    /// A key of ours.
    #[must_use]
    pub fn generate(suite: Suite, fresh: &FreshKey) -> Self {
        let key = match suite.key_bytes() {
            16 => {
                let [key @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = fresh.key;
                MasterKey::Aes128(key)
            }
            _ => MasterKey::Aes256(fresh.key),
        };
        Self { suite, key, salt: fresh.salt }
    }

    /// Reads `inline:KEY||SALT`, with a lifetime or without. A lifetime is longer than any call: it is looked at and
    /// forgotten.
    ///
    /// # Errors
    /// It is none, is not of that suite, or wants what is not supported.
    pub fn parse(suite: Suite, text: &str) -> Result<Self, BadSdes> {
        let is_inline = text.get(..INLINE.len()).is_some_and(|method| method.eq_ignore_ascii_case(INLINE));
        let inline = text.get(INLINE.len()..).filter(|_| is_inline).ok_or(BadSdes::NotInline)?;
        if inline.contains(';') {
            return Err(BadSdes::SeveralKeys);
        }
        let (key, rest) = inline.split_once('|').map_or((inline, None), |(key, rest)| (key, Some(rest)));
        if let Some(rest) = rest {
            // An identifier is `VALUE:LENGTH`, and may stand without a lifetime before it.
            if rest.contains([':', '|']) {
                return Err(BadSdes::MasterKeyIdentifier);
            }
            check_lifetime(rest)?;
        }
        // Padding is forgotten often enough.
        let key = key.trim_end_matches('=').as_bytes();
        let is_too_long = key.len() > MAX_INLINE_BYTES;
        let bytes = STANDARD_NO_PAD.decode_to_vec(key).ok().filter(|_| !is_too_long).ok_or(BadSdes::NotBase64)?;
        Self::from_bytes(suite, &bytes)
    }

    /// Appends `inline:` and the key: what must go into SDP and nowhere else.
    pub fn write_inline(&self, out: &mut String) {
        let mut bytes = Vec::with_capacity(32 + Suite::SALT_BYTES);
        match &self.key {
            MasterKey::Aes128(key) => bytes.extend_from_slice(key),
            MasterKey::Aes256(key) => bytes.extend_from_slice(key),
        }
        bytes.extend_from_slice(&self.salt);
        out.push_str(INLINE);
        out.push_str(&STANDARD.encode_to_string(bytes));
    }

    /// What the key is for.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    pub(super) const fn key(&self) -> &MasterKey {
        &self.key
    }

    pub(super) const fn salt(&self) -> &[u8; Suite::SALT_BYTES] {
        &self.salt
    }

    /// Key, then salt.
    fn from_bytes(suite: Suite, bytes: &[u8]) -> Result<Self, BadSdes> {
        let wanted = suite.key_bytes() + Suite::SALT_BYTES;
        let bad_length = BadSdes::BadLength { length: bytes.len(), suite, wanted };
        let (key, salt) = bytes.split_last_chunk().filter(|_| bytes.len() == wanted).ok_or(bad_length)?;
        let key = match suite.key_bytes() {
            16 => key.try_into().map(MasterKey::Aes128),
            _ => key.try_into().map(MasterKey::Aes256),
        };
        Ok(Self { suite, key: key.map_err(|_| bad_length)?, salt: *salt })
    }
}

/// `2^20`, or a number.
fn check_lifetime(text: &str) -> Result<(), BadSdes> {
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| is_number).ok_or(BadSdes::BadLifetime)
    };
    let fits = match text.strip_prefix("2^") {
        Some(exponent) => number(exponent)? <= u64::from(MAX_LIFETIME_LOG2),
        None => (1..=1 << MAX_LIFETIME_LOG2).contains(&number(text)?),
    };
    if fits { Ok(()) } else { Err(BadSdes::BadLifetime) }
}
