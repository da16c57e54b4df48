use std::fmt;

/// A crypto suite of SDES: cipher, its key's length, and the length of the tag.
///
/// Those of RFC 6188 with 192 bits are left out: libsrtp 2.5 derives their session keys in another way than the RFC, so
/// that whichever way ours went, it would be noise to half of the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80` (RFC 4568), which everyone has.
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32` (RFC 4568).
    AesCm128HmacSha1_32,
    /// `AES_256_CM_HMAC_SHA1_80` (RFC 6188).
    AesCm256HmacSha1_80,
    /// `AES_256_CM_HMAC_SHA1_32` (RFC 6188).
    AesCm256HmacSha1_32,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 4] =
        [Self::AesCm128HmacSha1_80, Self::AesCm128HmacSha1_32, Self::AesCm256HmacSha1_80, Self::AesCm256HmacSha1_32];

    /// Bytes of the master salt, the same for all.
    pub const SALT_BYTES: usize = 14;

    /// The name in SDP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AesCm256HmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::AesCm256HmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
        }
    }

    /// The name that the drafts before RFC 6188 had, which some peers still write.
    #[must_use]
    pub const fn draft_name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => self.name(),
            Self::AesCm256HmacSha1_80 => "AES_CM_256_HMAC_SHA1_80",
            Self::AesCm256HmacSha1_32 => "AES_CM_256_HMAC_SHA1_32",
        }
    }

    /// Bytes of the master key: 16 or 32.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 16,
            Self::AesCm256HmacSha1_80 | Self::AesCm256HmacSha1_32 => 32,
        }
    }

    /// Bytes of an SRTP tag: 10 or 4.
    #[must_use]
    pub const fn rtp_tag_bytes(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm256HmacSha1_80 => 10,
            Self::AesCm128HmacSha1_32 | Self::AesCm256HmacSha1_32 => 4,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
