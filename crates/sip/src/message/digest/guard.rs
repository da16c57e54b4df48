use std::fmt;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{Account, Algorithm, Challenge, Credentials, hex, is_hex};
use crate::message::{Message, Name, Uri};

/// For how many seconds a nonce may be answered.
pub const NONCE_SECONDS: u64 = 60;

/// Bytes of a nonce's signature: half of the HMAC.
const SIGNATURE_BYTES: usize = 16;

/// Hexadecimal digits of a nonce's last second, which stands before its signature.
const TIME_DIGITS: usize = 16;

/// Asks for a password and checks the answers, without remembering whom it asked: a nonce carries its end and a signature
/// over it and the asker's address.
///
/// An answer that was overheard is good for the same request from the same address until its nonce ends.
#[derive(Clone)]
pub struct DigestGuard {
    realm: String,
    mac: Hmac<Sha256>,
    algorithms: Vec<Algorithm>,
    accounts: Vec<Account>,
}

impl fmt::Debug for DigestGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestGuard")
            .field("realm", &self.realm)
            .field("algorithms", &self.algorithms)
            .field("accounts", &self.accounts)
            .finish_non_exhaustive()
    }
}

/// What came of checking a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One of the accounts sent it.
    Accepted {
        /// Which one.
        username: String,
    },
    /// It has no answer of ours: ask.
    Missing,
    /// It knows the password, its nonce is over: ask again and say so.
    Stale,
    /// Its answer is wrong.
    Refused,
}

impl DigestGuard {
    /// Lets these accounts in. `key` is fresh randomness: with another one all nonces are over. The algorithms are
    /// offered in that order.
    #[must_use]
    pub fn new(realm: &str, key: [u8; 32], algorithms: &[Algorithm], accounts: Vec<Account>) -> Self {
        // HMAC fills a short key up with zeros to a block of its hash (RFC 2104).
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte = key);
        let mac = Hmac::new(&block.into());
        Self { realm: realm.to_owned(), mac, algorithms: algorithms.to_vec(), accounts }
    }

    /// The values of the WWW-Authenticate headers of a 401 to `source`, one an algorithm. `now_s` counts seconds from any
    /// moment, the same one for all calls.
    pub fn challenges(&self, source: IpAddr, now_s: u64, stale: bool) -> impl Iterator<Item = Challenge> {
        let nonce = self.nonce(source, now_s.saturating_add(NONCE_SECONDS));
        self.algorithms.iter().map(move |&algorithm| Challenge {
            realm: self.realm.clone(),
            nonce: nonce.clone(),
            algorithm,
            has_qop: true,
            opaque: None,
            stale,
        })
    }

    /// Looks for an account behind a request from `source`.
    #[must_use]
    pub fn check(&self, request: &Message, source: IpAddr, now_s: u64) -> Verdict {
        let credentials = request.values(Name::Authorization).filter_map(Credentials::read);
        let Some(credentials) = credentials.into_iter().find(|credentials| credentials.realm == self.realm) else {
            return Verdict::Missing;
        };
        let is_asked = credentials.qop.is_some() && self.algorithms.contains(&credentials.algorithm);
        let Some(method) = request.method().filter(|_| is_asked && is_same_target(request, &credentials)) else {
            return Verdict::Refused;
        };
        let account = self.accounts.iter().find(|account| account.username == credentials.username);
        // An unknown name takes as long as a wrong password.
        let password = account.map_or("", |account| account.password.as_str());
        let expected = credentials.compute(method, password);
        let is_right: bool = expected.as_bytes().ct_eq(credentials.response.to_ascii_lowercase().as_bytes()).into();
        match (account, self.nonce_end(source, &credentials.nonce)) {
            (Some(account), Some(end)) if is_right && now_s <= end => {
                Verdict::Accepted { username: account.username.clone() }
            }
            // A nonce that is not ours may be from before a restart.
            (Some(_), _) if is_right => Verdict::Stale,
            _ => Verdict::Refused,
        }
    }

    fn nonce(&self, source: IpAddr, end_s: u64) -> String {
        let mut mac = self.mac.clone();
        mac.update(&end_s.to_be_bytes());
        match source {
            IpAddr::V4(address) => mac.update(&address.octets()),
            IpAddr::V6(address) => mac.update(&address.octets()),
        }
        mac.update(self.realm.as_bytes());
        let signature = mac.finalize().into_bytes();
        format!("{end_s:016x}{}", hex(signature.split_at(SIGNATURE_BYTES).0))
    }

    /// The last second of a nonce of ours.
    fn nonce_end(&self, source: IpAddr, nonce: &str) -> Option<u64> {
        let (end, _) = nonce.split_at_checked(TIME_DIGITS)?;
        let end = u64::from_str_radix(end, 16).ok().filter(|_| is_hex(end))?;
        let is_ours: bool = self.nonce(source, end).as_bytes().ct_eq(nonce.as_bytes()).into();
        is_ours.then_some(end)
    }
}

/// Whether the answer is for the request's target. Host and parameters may be changed on the way (RFC 3261, section 22.4).
fn is_same_target(request: &Message, credentials: &Credentials) -> bool {
    let asked = request.request_uri().map(|uri| uri.user);
    let answered = Uri::parse(credentials.uri.as_bytes()).map(|uri| uri.user);
    asked.is_ok() && asked == answered
}
