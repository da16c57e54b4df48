use trunkline_sip::message::{Host, Scheme, Uri};
use trunkline_sip::ua::Transport;

use crate::cli::phone::PhoneError;

/// Whom to call by SIP, and over what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// As given; what the INVITE asks for.
    pub uri: String,
    pub host: Host,
    pub port: u16,
    pub transport: Transport,
}

impl Address {
    /// `sip:[NUMBER@]HOST[:PORT][;transport=udp|tcp|tls]`; `sips:` is TLS.
    pub fn parse(text: &str) -> Result<Self, PhoneError> {
        let bad = |what: String| PhoneError::BadUrl { what };
        let uri = Uri::parse(text.as_bytes()).map_err(|error| bad(error.to_string()))?;
        let (Scheme::Sip | Scheme::Sips, Some(host)) = (uri.scheme, &uri.host) else {
            return Err(bad(format!("{text:?} is no sip: or sips: address")));
        };
        if text.contains('?') {
            return Err(bad(format!("{text:?} has headers behind a `?`")));
        }
        let named = uri.transport().map(str::to_ascii_lowercase);
        let transport = match (uri.scheme, named.as_deref()) {
            // A secure address says what TLS itself runs over (RFC 3261 section 26.2.2).
            (Scheme::Sips, None | Some("tcp" | "tls")) | (_, Some("tls")) => Transport::Tls,
            (Scheme::Sip, None | Some("udp")) => Transport::Udp,
            (Scheme::Sip, Some("tcp")) => Transport::Tcp,
            (_, other) => return Err(bad(format!("transport={}", other.unwrap_or_default()))),
        };
        let port = uri.port.unwrap_or(transport.default_port());
        Ok(Self { uri: text.to_owned(), host: host.clone(), port, transport })
    }

    /// Whether keys may travel in SDP: only where nobody else reads it.
    pub const fn is_secure(&self) -> bool {
        matches!(self.transport, Transport::Tls)
    }

    /// For the resolver: IPv6 without brackets.
    pub fn host_name(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::V4(address) => address.to_string(),
            Host::V6(address) => address.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_where_and_how() {
        let table = [
            ("sip:6001@127.0.0.1", "127.0.0.1", 5060, Transport::Udp),
            ("sip:+15550100042@pbx.example:5070", "pbx.example", 5070, Transport::Udp),
            ("sip:a@h;transport=TCP", "h", 5060, Transport::Tcp),
            ("sip:a@h:5071;transport=tls", "h", 5071, Transport::Tls),
            ("sips:a@h", "h", 5061, Transport::Tls),
            ("SIPS:a@h;transport=tcp", "h", 5061, Transport::Tls),
            ("sip:[2001:db8::1]:5062", "2001:db8::1", 5062, Transport::Udp),
        ];
        for (text, host, port, transport) in table {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.host_name().as_str(), address.port, address.transport),
                (host, port, transport),
                "{text}"
            );
            assert_eq!((address.uri.as_str(), address.is_secure()), (text, transport == Transport::Tls), "{text}");
        }
    }

    #[test]
    fn bad_addresses_say_why() {
        for (text, part) in [
            ("sip:", "sip:"),
            ("sip:a@h:99999", "99999"),
            ("sip:a@h;transport=sctp", "transport=sctp"),
            ("sips:a@h;transport=udp", "transport=udp"),
            ("sip:a@h?Subject=x", "?"),
            ("tel:+15550100042", "tel:"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("sip:NUMBER@HOST"), "{error}");
        }
    }
}
