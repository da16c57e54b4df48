use super::{Params, Uri, scan};

/// Who a From, To, Contact, Route or Refer-To names: `"Display" <uri>;params`, or `uri;params`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// What a telephone would show, without quotes and control characters; nothing if it is empty.
    pub display: Option<String>,
    /// The address.
    pub uri: Uri,
    /// The parameters of the header, not those of the URI. Without angle brackets all are the header's.
    pub params: Params,
}

impl NameAddr {
    /// Reads one value; nothing if it is none.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = scan::trim(value);
        let (display, rest) = if value.starts_with(b"\"") {
            let (said, rest) = scan::quoted(value)?;
            (said, scan::trim(rest))
        } else if let Some(at) = value.iter().position(|&byte| byte == b'<') {
            let (said, rest) = value.split_at_checked(at)?;
            // A quote in the middle is one that was not closed.
            (Some(scan::trim(said)).filter(|said| !said.contains(&b'"'))?.to_vec(), rest)
        } else {
            return Self::bare(value);
        };
        let (uri, params) = scan::split_once(rest.strip_prefix(b"<")?, b'>')?;
        let display = Some(scan::text(&display)).filter(|display| !display.is_empty());
        Some(Self { display, uri: Uri::parse(scan::trim(uri)).ok()?, params: Params::parse(params)? })
    }

    /// A URI without brackets has neither `,` nor `?` (RFC 3261, section 20.10).
    fn bare(value: &[u8]) -> Option<Self> {
        let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
        let (uri, params) = value.split_at_checked(end)?;
        let uri = Some(scan::trim(uri)).filter(|uri| !uri.iter().any(|byte| matches!(byte, b',' | b'?')))?;
        Some(Self { display: None, uri: Uri::parse(uri).ok()?, params: Params::parse(params)? })
    }

    /// The tag: with the Call-ID it names a dialog.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }
}
