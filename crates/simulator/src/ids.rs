//! Identifiers and other random choices of one session, all from its seed.

use fastrand::Rng;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Source of a session's ids (`item_` and 21 characters of base62, as the service makes them) and dice.
pub(crate) struct Ids {
    rng: Rng,
}

impl Ids {
    pub(crate) fn new(seed: u64, session: u32) -> Self {
        // A plain sum would give session 2 of seed 1 what session 1 of seed 2 has.
        let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(session).wrapping_mul(0xD1B5_4A32_D192_ED03);
        Self { rng: Rng::with_seed(mixed) }
    }

    fn random(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(*self.rng.choice(BASE62).unwrap_or(&b'0'))).collect()
    }

    pub(crate) fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}_{}", self.random(21))
    }

    pub(crate) fn call_id(&mut self) -> String {
        format!("call_{}", self.random(16))
    }

    /// The padding the service puts on text-like deltas, 6 to 15 characters.
    pub(crate) fn obfuscation(&mut self) -> String {
        let length = self.rng.usize(6..16);
        self.random(length)
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.f64() < probability
    }
}
