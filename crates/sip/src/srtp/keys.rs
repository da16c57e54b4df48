//! From a master key to the keys of one direction's SRTP or SRTCP, and what they do (RFC 3711, sections 4.1 to 4.3).

use std::fmt;

use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use aes::{Aes128Enc, Aes256Enc};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use hmac::{Hmac, Mac};
use sha1::Sha1;

use super::Suite;
use super::sdes::{MasterKey, Sdes};

/// Bytes of an HMAC-SHA1, before it is cut to the suite's length.
const MAC_BYTES: usize = 20;

/// Bytes of HMAC-SHA1's block: a shorter key means the same with zeros behind it.
const MAC_BLOCK_BYTES: usize = 64;

/// What keys are derived for (section 4.3.2). The MAC's and the salt's label follow the cipher's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label(u8);

impl Label {
    pub const RTP: Self = Self(0);
    pub const RTCP: Self = Self(3);
}

/// The session keys of SRTP or of SRTCP, in one direction.
pub(super) struct SessionKeys {
    cipher: Cipher,
    /// 112 bits, where they stand in an initial counter.
    salt: u128,
    mac: Hmac<Sha1>,
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(…)")
    }
}

impl SessionKeys {
    /// Key derivation rate 0, as SDES has it unless it says otherwise: once, for all packets.
    pub fn derive(sdes: &Sdes, Label(label): Label) -> Self {
        let master = Master { cipher: Cipher::new(sdes.key()), salt: in_counter(sdes.salt()) };
        let cipher = match sdes.key() {
            MasterKey::Aes128(_) => Cipher::new(&MasterKey::Aes128(master.derive(label))),
            MasterKey::Aes256(_) => Cipher::new(&MasterKey::Aes256(master.derive(label))),
        };
        let mut mac_key = [0; MAC_BLOCK_BYTES];
        let derived: [u8; MAC_BYTES] = master.derive(label + 1);
        for (to, from) in mac_key.iter_mut().zip(derived) {
            *to = from;
        }
        Self { cipher, salt: in_counter(&master.derive(label + 2)), mac: Hmac::new(&mac_key.into()) }
    }

    /// Encrypts or decrypts a packet's payload. `index` has 48 bits at most.
    pub fn apply_key_stream(&self, ssrc: u32, index: u64, payload: &mut [u8]) {
        let counter = self.salt ^ u128::from(ssrc) << 64 ^ u128::from(index) << 16;
        self.cipher.apply_key_stream(counter, payload);
    }

    /// The tag of a packet up to there, uncut. `trailer` is the rollover counter, or SRTCP's E bit and index.
    pub fn tag(&self, packet: &[u8], trailer: u32) -> [u8; MAC_BYTES] {
        self.mac_of(packet, trailer).finalize().into_bytes().into()
    }

    /// Whether a packet's tag, of whatever length, is ours. In constant time.
    pub fn verify(&self, packet: &[u8], trailer: u32, tag: &[u8]) -> bool {
        self.mac_of(packet, trailer).verify_truncated_left(tag).is_ok()
    }

    fn mac_of(&self, packet: &[u8], trailer: u32) -> Hmac<Sha1> {
        self.mac.clone().chain_update(packet).chain_update(trailer.to_be_bytes())
    }
}

/// A salt where it stands in an initial counter: its 112 bits above the 16 that count a packet's blocks.
fn in_counter(salt: &[u8; Suite::SALT_BYTES]) -> u128 {
    salt.iter().fold(0, |salt, &byte| salt << 8 | u128::from(byte)) << 16
}

struct Master {
    cipher: Cipher,
    salt: u128,
}

impl Master {
    fn derive<const N: usize>(&self, label: u8) -> [u8; N] {
        let mut derived = [0; N];
        // The label stands above an index of 48 bits, which is 0 at a rate of 0.
        self.cipher.apply_key_stream(self.salt ^ u128::from(label) << (48 + 16), &mut derived);
        derived
    }
}

/// AES in counter mode.
enum Cipher {
    Aes128(Box<Aes128Enc>),
    Aes256(Box<Aes256Enc>),
}

type KeyStream<'a, C> = StreamCipherCoreWrapper<CtrCore<&'a C, Ctr128BE>>;

impl Cipher {
    fn new(key: &MasterKey) -> Self {
        match key {
            MasterKey::Aes128(key) => Self::Aes128(Box::new(KeyInit::new(key.into()))),
            MasterKey::Aes256(key) => Self::Aes256(Box::new(KeyInit::new(key.into()))),
        }
    }

    fn apply_key_stream(&self, counter: u128, data: &mut [u8]) {
        let counter = counter.to_be_bytes().into();
        match self {
            Self::Aes128(cipher) => {
                KeyStream::from_core(CtrCore::inner_iv_init(&**cipher, &counter)).apply_keystream(data)
            }
            Self::Aes256(cipher) => {
                KeyStream::from_core(CtrCore::inner_iv_init(&**cipher, &counter)).apply_keystream(data)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn array<const N: usize>(text: &str) -> [u8; N] {
        hex(text).try_into().unwrap()
    }

    fn key(text: &str) -> MasterKey {
        match hex(text).len() {
            16 => MasterKey::Aes128(array(text)),
            _ => MasterKey::Aes256(array(text)),
        }
    }

    /// RFC 3711, appendix B.2; RFC 6188, section 7.1. Both with the same salt, at SSRC 0 and index 0.
    #[test]
    fn the_key_stream_is_that_of_the_rfcs() {
        let salt = in_counter(&array("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"));
        let cases = [
            (
                "2B7E151628AED2A6ABF7158809CF4F3C",
                "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0",
                "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44",
            ),
            (
                "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
                "92bdd28a93c3f52511c677d08b5515a4 9da71b2378a854f67050756ded165bac 63c4868b7096d88421b563b8c94c9a31",
                "cea518c90fd91ced9cbb18c078a54711 3dbc4814f4da5f00a08772b63c6a046d 6eb246913062a16891433e97dd01a57f",
            ),
        ];
        for (name, first, last) in cases {
            let mut stream = vec![0; 0xFF02 * 16];
            Cipher::new(&key(name)).apply_key_stream(salt, &mut stream);
            assert_eq!(stream[..48], hex(first), "{name}");
            assert_eq!(stream[0xFEFF * 16..], hex(last), "{name}");
        }
    }

    /// RFC 3711, appendix B.3; RFC 6188, section 7.2.
    #[test]
    fn session_keys_are_those_of_the_rfcs() {
        let cases = [
            [
                "E1F97A0D3E018BE0D64FA32C06DE4139",
                "0EC675AD498AFEEBB6960B3AABE6",
                "C61E7A93744F39EE10734AFE3FF7A087",
                "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4",
                "30CBBC08863D8C85D49DB34A9AE1",
            ],
            [
                "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
                "3b04803de51ee7c96423ab5b78d2",
                "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
                "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05",
                "fa31791685ca444a9e07c6c64e93",
            ],
        ];
        for [master_key, master_salt, cipher_key, mac_key, salt] in cases {
            let master = Master { cipher: Cipher::new(&key(master_key)), salt: in_counter(&array(master_salt)) };
            let derived: [u8; 32] = master.derive(0);
            assert!(derived.starts_with(&hex(cipher_key)), "{master_key}: {derived:02x?}");
            assert_eq!(master.derive(1), array::<MAC_BYTES>(mac_key), "{master_key}");
            assert_eq!(master.derive(2), array::<14>(salt), "{master_key}");
        }
    }

    #[test]
    fn keys_are_not_shown() {
        let sdes = Sdes::generate(Suite::AesCm128HmacSha1_80, &super::super::FreshKey::new([0xA7; 32], [0xA7; 14]));
        assert_eq!(format!("{:?}", SessionKeys::derive(&sdes, Label::RTP)), "SessionKeys(…)");
    }
}
