use std::fmt;

/// Declares the headers that are known: variant, name as we write it, compact form, whether its value is a list.
macro_rules! names {
    ($($variant:ident $name:literal $compact:literal $list:literal,)*) => {
        /// A header that Trunkline asks for or writes. Any other is reached by its text: [`Message::named`](super::Message::named).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are those of the RFCs")]
        pub enum Name {
            $($variant,)*
        }

        impl Name {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Its one-letter form (RFC 3261, section 7.3.3), or nothing.
            const fn compact(self) -> &'static str {
                match self {
                    $(Self::$variant => $compact,)*
                }
            }

            /// Whether several values may stand in one line, with commas between.
            pub(super) const fn is_list(self) -> bool {
                match self {
                    $(Self::$variant => $list,)*
                }
            }
        }
    };
}

names! {
    Accept "Accept" "" true,
    Allow "Allow" "" true,
    AllowEvents "Allow-Events" "u" true,
    Authorization "Authorization" "" false,
    CallId "Call-ID" "i" false,
    Contact "Contact" "m" true,
    ContentEncoding "Content-Encoding" "e" true,
    ContentType "Content-Type" "c" false,
    CSeq "CSeq" "" false,
    Date "Date" "" false,
    Event "Event" "o" false,
    Expires "Expires" "" false,
    From "From" "f" false,
    MaxForwards "Max-Forwards" "" false,
    MinSe "Min-SE" "" false,
    PAssertedIdentity "P-Asserted-Identity" "" true,
    ProxyAuthenticate "Proxy-Authenticate" "" false,
    ProxyAuthorization "Proxy-Authorization" "" false,
    ProxyRequire "Proxy-Require" "" true,
    Reason "Reason" "" true,
    RecordRoute "Record-Route" "" true,
    ReferTo "Refer-To" "r" false,
    ReferredBy "Referred-By" "b" false,
    Replaces "Replaces" "" false,
    Require "Require" "" true,
    RetryAfter "Retry-After" "" false,
    Route "Route" "" true,
    Server "Server" "" false,
    SessionExpires "Session-Expires" "x" false,
    Subject "Subject" "s" false,
    SubscriptionState "Subscription-State" "" false,
    Supported "Supported" "k" true,
    To "To" "t" false,
    Unsupported "Unsupported" "" true,
    UserAgent "User-Agent" "" false,
    Via "Via" "v" true,
    Warning "Warning" "" true,
    WwwAuthenticate "WWW-Authenticate" "" false,
}

impl Name {
    /// What may stand in a message once only.
    pub(super) const SINGLE: &[Self] = &[
        Self::From,
        Self::To,
        Self::CallId,
        Self::CSeq,
        Self::MaxForwards,
        Self::ContentType,
        Self::Expires,
        Self::MinSe,
        Self::ReferTo,
        Self::SessionExpires,
    ];

    /// Reads a name in any capitalisation, or its compact form.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        let is_it = |known: &Self| {
            known.as_str().as_bytes().eq_ignore_ascii_case(name)
                || (!name.is_empty() && known.compact().as_bytes().eq_ignore_ascii_case(name))
        };
        Self::ALL.iter().copied().find(is_it)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
