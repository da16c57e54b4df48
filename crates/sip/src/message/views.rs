//! What the headers of a [`Message`] say, read when asked for.

use super::{BadMessage, Message, Method, Name, NameAddr, Start, Uri, Via, scan};

/// Who sends the next refresh of a session (RFC 4028).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The one that sent the request.
    Uac,
    /// The one that answers it.
    Uas,
}

/// A Session-Expires (RFC 4028).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// After how many seconds without a refresh the session is over.
    pub seconds: u32,
    /// Who refreshes, if that is said.
    pub refresher: Option<Refresher>,
}

/// Why a call ended (RFC 3326).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `Q.850`, `SIP`.
    pub protocol: String,
    /// The protocol's number for it.
    pub cause: Option<u16>,
    /// The same for people.
    pub text: Option<String>,
}

impl Message {
    /// The Request-URI.
    ///
    /// # Errors
    /// It is no URI, or this is a response.
    pub fn request_uri(&self) -> Result<Uri, BadMessage> {
        match &self.start {
            Start::Request { uri, .. } => Uri::parse(uri),
            Start::Response { .. } => Err(BadMessage::Missing { name: "Request-URI" }),
        }
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn via(&self) -> Result<Via, BadMessage> {
        let line = self.value(Name::Via).ok_or(missing(Name::Via))?;
        let value = scan::split(line, Some(b',')).next().unwrap_or_default();
        Via::parse(value).ok_or_else(|| BadMessage::bad(Name::Via, value))
    }

    /// The sequence number and the method it counts.
    ///
    /// # Errors
    /// There is none, or it cannot be read; the number is below 2^31.
    pub fn cseq(&self) -> Result<(u32, Method), BadMessage> {
        let value = self.value(Name::CSeq).ok_or(missing(Name::CSeq))?;
        let read = || {
            let gap = value.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
            let (number, method) = value.split_at_checked(gap)?;
            let number = scan::number::<u32>(number).filter(|&number| number < 1 << 31)?;
            Some((number, Method::parse(scan::trim(method))?))
        };
        read().ok_or_else(|| BadMessage::bad(Name::CSeq, value))
    }

    /// The Call-ID, compared byte for byte; empty if there is none.
    #[must_use]
    pub fn call_id(&self) -> &[u8] {
        self.value(Name::CallId).unwrap_or_default()
    }

    /// Who calls.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn from(&self) -> Result<NameAddr, BadMessage> {
        self.required_address(Name::From)
    }

    /// Who is called.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn to(&self) -> Result<NameAddr, BadMessage> {
        self.required_address(Name::To)
    }

    /// The tag of From.
    #[must_use]
    pub fn from_tag(&self) -> Option<String> {
        self.from().ok()?.tag().map(str::to_owned)
    }

    /// The tag of To.
    #[must_use]
    pub fn to_tag(&self) -> Option<String> {
        self.to().ok()?.tag().map(str::to_owned)
    }

    /// Gives the To a tag behind what it says already, unless it has one.
    pub fn add_to_tag(&mut self, tag: &str) {
        if self.to_tag().is_some() {
            return;
        }
        if let Some(to) = self.first_mut(Name::To) {
            let tagged = [to.value(), b";tag=", tag.as_bytes()].concat();
            to.replace_value(&tagged);
        }
    }

    /// The first Contact; nothing if there is none, or it is `*`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn contact(&self) -> Result<Option<NameAddr>, BadMessage> {
        self.address(Name::Contact, self.values(Name::Contact).next().filter(|&value| value != b"*"))
    }

    /// Every value of Route or Record-Route in order.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn routes(&self, name: Name) -> Result<Vec<NameAddr>, BadMessage> {
        let read = |value| NameAddr::parse(value).ok_or_else(|| BadMessage::bad(name, value));
        self.values(name).map(read).collect()
    }

    /// Where a REFER points (RFC 3515).
    ///
    /// # Errors
    /// It cannot be read.
    pub fn refer_to(&self) -> Result<Option<NameAddr>, BadMessage> {
        self.address(Name::ReferTo, self.value(Name::ReferTo))
    }

    /// How many elements the request may still pass, 0 to 255.
    ///
    /// # Errors
    /// It is no such number.
    pub fn max_forwards(&self) -> Result<Option<u8>, BadMessage> {
        self.number(Name::MaxForwards)
    }

    /// After how many seconds it expires.
    ///
    /// # Errors
    /// It is no number below 2^32.
    pub fn expires(&self) -> Result<Option<u32>, BadMessage> {
        self.number(Name::Expires)
    }

    /// The Session-Expires (RFC 4028).
    ///
    /// # Errors
    /// It cannot be read.
    pub fn session_expires(&self) -> Result<Option<SessionExpires>, BadMessage> {
        let Some(value) = self.value(Name::SessionExpires) else { return Ok(None) };
        let read = || {
            let (seconds, params) = seconds_and_params(value)?;
            let refresher = match params.value("refresher") {
                Some(who) if who.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
                Some(who) if who.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
                Some(_) => return None,
                None => None,
            };
            Some(SessionExpires { seconds, refresher })
        };
        read().map(Some).ok_or_else(|| BadMessage::bad(Name::SessionExpires, value))
    }

    /// The shortest Session-Expires that is taken, in seconds (RFC 4028).
    ///
    /// # Errors
    /// It cannot be read.
    pub fn min_se(&self) -> Result<Option<u32>, BadMessage> {
        let Some(value) = self.value(Name::MinSe) else { return Ok(None) };
        let read = seconds_and_params(value).map(|(seconds, _)| Some(seconds));
        read.ok_or_else(|| BadMessage::bad(Name::MinSe, value))
    }

    /// After how many seconds to ask again.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        let value = self.value(Name::RetryAfter)?;
        let digits = value.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
        scan::number(value.get(..digits)?)
    }

    /// Whether an option tag, a method or a media type stands in that list, in any capitalisation.
    #[must_use]
    pub fn lists(&self, name: Name, wanted: &str) -> bool {
        self.values(name).any(|value| value.eq_ignore_ascii_case(wanted.as_bytes()))
    }

    /// Whether the body is of that type (`application/sdp`), its parameters aside.
    #[must_use]
    pub fn is_content_type(&self, wanted: &str) -> bool {
        let media_type = self.value(Name::ContentType).and_then(|value| scan::split(value, Some(b';')).next());
        media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(wanted.as_bytes()))
    }

    /// Why the call ended; of several reasons the first that can be read.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.values(Name::Reason).find_map(|value| {
            let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
            let (protocol, params) = value.split_at_checked(end)?;
            let protocol = Some(scan::trim(protocol)).filter(|protocol| scan::is_token(protocol)).map(scan::text)?;
            let params = super::Params::parse(params)?;
            let cause = params.value("cause").and_then(|cause| scan::number(cause.as_bytes()));
            Some(Reason { protocol, cause, text: params.value("text").map(str::to_owned) })
        })
    }

    fn required_address(&self, name: Name) -> Result<NameAddr, BadMessage> {
        self.address(name, self.value(name))?.ok_or(missing(name))
    }

    fn address(&self, name: Name, value: Option<&[u8]>) -> Result<Option<NameAddr>, BadMessage> {
        let read = |value| NameAddr::parse(value).ok_or_else(|| BadMessage::bad(name, value));
        value.map(read).transpose()
    }

    fn number<N: TryFrom<u64>>(&self, name: Name) -> Result<Option<N>, BadMessage> {
        let read = |value| scan::number(value).ok_or_else(|| BadMessage::bad(name, value));
        self.value(name).map(read).transpose()
    }
}

fn seconds_and_params(value: &[u8]) -> Option<(u32, super::Params)> {
    let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
    let (seconds, params) = value.split_at_checked(end)?;
    Some((scan::number(scan::trim(seconds))?, super::Params::parse(params)?))
}

const fn missing(name: Name) -> BadMessage {
    BadMessage::Missing { name: name.as_str() }
}
