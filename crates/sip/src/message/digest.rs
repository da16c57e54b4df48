//! Digest authentication (RFC 7616, for SIP RFC 3261 section 22 and RFC 8760): MD5 and SHA-256, `qop=auth`.
//!
//! [`DigestGuard`] asks and checks; [`Challenge::answer`] is the other side's part.

mod guard;

use std::fmt::{self, Write as _};

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::{BadMessage, Message, Method, Name, scan};

pub use guard::{DigestGuard, NONCE_SECONDS, Verdict};

const SCHEME: &[u8] = b"Digest";

/// What is computed over the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Broken as a hash, and all that many telephones know.
    Md5,
    /// Of RFC 8760.
    Sha256,
}

impl Algorithm {
    /// As it travels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// Where it is left out MD5 is meant. The session variants are not supported.
    fn parse(name: Option<&str>) -> Option<Self> {
        let Some(name) = name else { return Some(Self::Md5) };
        [Self::Md5, Self::Sha256].into_iter().find(|known| name.eq_ignore_ascii_case(known.as_str()))
    }

    /// The hash of these with colons between, in lower-case hexadecimal.
    fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

/// Who calls, and the word for it. `Debug` does not show the word.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub username: String,
    /// The secret.
    pub password: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What a WWW-Authenticate or Proxy-Authenticate asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// For whom the password is.
    pub realm: String,
    /// What the answer is computed over.
    pub nonce: String,
    /// How it is computed.
    pub algorithm: Algorithm,
    /// Whether `qop=auth` is offered; what came before it (RFC 2069) is answered too.
    pub has_qop: bool,
    /// To be sent back as it is.
    pub opaque: Option<String>,
    /// Whether nothing but the nonce was wrong with the last answer.
    pub stale: bool,
}

impl Challenge {
    /// Reads a header's value.
    ///
    /// # Errors
    /// It is no Digest challenge, or of a kind that is not supported.
    pub fn parse(name: Name, value: &[u8]) -> Result<Self, BadMessage> {
        Self::read(value).ok_or_else(|| BadMessage::bad(name, value))
    }

    /// The first challenge of a 401 or 407 that can be answered (RFC 8760, section 2.4), and the header to answer in.
    #[must_use]
    pub fn first_of(response: &Message) -> Option<(Name, Self)> {
        let headers =
            [(Name::WwwAuthenticate, Name::Authorization), (Name::ProxyAuthenticate, Name::ProxyAuthorization)];
        headers.into_iter().find_map(|(asked, answered)| {
            response.values(asked).find_map(Self::read).map(|challenge| (answered, challenge))
        })
    }

    /// The answer of `account` for a request. `cnonce` is fresh randomness in hexadecimal; `count` is 1 for the first
    /// request with this nonce, 2 for the next.
    #[must_use]
    pub fn answer(&self, account: &Account, method: &Method, uri: &str, cnonce: &str, count: u32) -> Credentials {
        let mut credentials = Credentials {
            username: account.username.clone(),
            realm: self.realm.clone(),
            nonce: self.nonce.clone(),
            uri: uri.to_owned(),
            algorithm: self.algorithm,
            qop: self.has_qop.then(|| Qop { cnonce: cnonce.to_owned(), count: format!("{count:08x}") }),
            opaque: self.opaque.clone(),
            response: String::new(),
        };
        credentials.response = credentials.compute(method, &account.password);
        credentials
    }

    fn read(value: &[u8]) -> Option<Self> {
        let fields = Fields::read(value)?;
        let qop = fields.value("qop");
        let has_qop = qop.is_some_and(|offered| offered.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")));
        // `auth-int` alone, which would cover the body.
        if qop.is_some() && !has_qop {
            return None;
        }
        Some(Self {
            realm: fields.owned("realm")?,
            nonce: fields.owned("nonce")?,
            algorithm: Algorithm::parse(fields.value("algorithm"))?,
            has_qop,
            opaque: fields.owned("opaque"),
            stale: fields.value("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }
}

/// The value of the header.
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm={}, nonce={}", Quoted(&self.realm), Quoted(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", Quoted(opaque))?;
        }
        if self.stale {
            f.write_str(", stale=true")?;
        }
        write!(f, ", algorithm={}", self.algorithm.as_str())?;
        if self.has_qop { f.write_str(", qop=\"auth\"") } else { Ok(()) }
    }
}

/// The answer to a [`Challenge`], as an Authorization or Proxy-Authorization has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    username: String,
    realm: String,
    nonce: String,
    uri: String,
    algorithm: Algorithm,
    qop: Option<Qop>,
    opaque: Option<String>,
    response: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Qop {
    cnonce: String,
    /// Eight hexadecimal digits.
    count: String,
}

impl Credentials {
    /// Reads a header's value.
    ///
    /// # Errors
    /// It is no Digest answer, or of a kind that is not supported.
    pub fn parse(name: Name, value: &[u8]) -> Result<Self, BadMessage> {
        Self::read(value).ok_or_else(|| BadMessage::bad(name, value))
    }

    /// Who answers.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    fn read(value: &[u8]) -> Option<Self> {
        let fields = Fields::read(value)?;
        let qop = match fields.value("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let count = fields.owned("nc").filter(|count| count.len() == 8 && is_hex(count))?;
                Some(Qop { cnonce: fields.owned("cnonce")?, count })
            }
            Some(_) => return None,
        };
        Some(Self {
            username: fields.owned("username")?,
            realm: fields.owned("realm")?,
            nonce: fields.owned("nonce")?,
            uri: fields.owned("uri")?,
            algorithm: Algorithm::parse(fields.value("algorithm"))?,
            qop,
            opaque: fields.owned("opaque"),
            response: fields.owned("response")?,
        })
    }

    /// What `response` has to be (RFC 7616, section 3.4.1; without qop RFC 2069).
    fn compute(&self, method: &Method, password: &str) -> String {
        let hash = |parts: &[&str]| self.algorithm.hash(parts);
        let who = hash(&[&self.username, &self.realm, password]);
        let what = hash(&[method.as_str(), &self.uri]);
        match &self.qop {
            Some(Qop { cnonce, count }) => hash(&[&who, &self.nonce, count, cnonce, "auth", &what]),
            None => hash(&[&who, &self.nonce, &what]),
        }
    }
}

/// The value of the header.
impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest username={}, realm={}", Quoted(&self.username), Quoted(&self.realm))?;
        write!(f, ", nonce={}, uri={}", Quoted(&self.nonce), Quoted(&self.uri))?;
        write!(f, ", response={}, algorithm={}", Quoted(&self.response), self.algorithm.as_str())?;
        if let Some(Qop { cnonce, count }) = &self.qop {
            write!(f, ", qop=auth, nc={count}, cnonce={}", Quoted(cnonce))?;
        }
        match &self.opaque {
            Some(opaque) => write!(f, ", opaque={}", Quoted(opaque)),
            None => Ok(()),
        }
    }
}

/// `name=value` with commas between, behind the scheme.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(value: &[u8]) -> Option<Self> {
        let (scheme, rest) = scan::split_once(value, b' ')?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let field = |piece| {
            let (name, value) = scan::split_once(piece, b'=')?;
            let value = scan::trim(value);
            let value = match scan::quoted(value) {
                Some((said, rest)) => Some(said).filter(|_| rest.is_empty())?,
                None => Some(value).filter(|value| !value.contains(&b'"'))?.to_vec(),
            };
            Some((scan::text(scan::trim(name)), String::from_utf8(value).ok()?))
        };
        scan::split(rest, Some(b',')).filter(|piece| !piece.is_empty()).map(field).collect::<Option<_>>().map(Self)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.value(name).map(str::to_owned)
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
