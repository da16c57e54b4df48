use std::fmt;

use super::scan;

/// What a request asks for. Methods are case-sensitive: `invite` is another one than `INVITE`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the RFCs")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Update,
    Refer,
    Notify,
    Info,
    Prack,
    Register,
    Subscribe,
    Message,
    Publish,
    /// Any other.
    Other(Box<str>),
}

impl Method {
    /// Reads a method; nothing if it is no token.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"OPTIONS" => Self::Options,
            b"UPDATE" => Self::Update,
            b"REFER" => Self::Refer,
            b"NOTIFY" => Self::Notify,
            b"INFO" => Self::Info,
            b"PRACK" => Self::Prack,
            b"REGISTER" => Self::Register,
            b"SUBSCRIBE" => Self::Subscribe,
            b"MESSAGE" => Self::Message,
            b"PUBLISH" => Self::Publish,
            _ => Self::Other(std::str::from_utf8(name).ok().filter(|_| scan::is_token(name))?.into()),
        })
    }

    /// As it travels.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Update => "UPDATE",
            Self::Refer => "REFER",
            Self::Notify => "NOTIFY",
            Self::Info => "INFO",
            Self::Prack => "PRACK",
            Self::Register => "REGISTER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
