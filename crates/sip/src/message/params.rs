use super::scan;

/// The parameters behind a header's value or within a URI: `;name=value;name`. Names are compared in any capitalisation,
/// of several with one name the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// Reads what follows a value: nothing, or `;` and parameters. Quoted values lose their quotes.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = scan::trim(bytes);
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let params = bytes.strip_prefix(b";")?;
        scan::split(params, Some(b';')).map(param).collect::<Option<_>>().map(Self)
    }

    /// Whether there is one of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Its value; nothing if there is none of that name, or it has no value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.find(name)?.1.as_deref()
    }

    /// All in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    fn find(&self, name: &str) -> Option<&(String, Option<String>)> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

fn param(bytes: &[u8]) -> Option<(String, Option<String>)> {
    let (name, value) = match scan::split_once(bytes, b'=') {
        Some((name, value)) => (scan::trim(name), Some(scan::trim(value))),
        None => (bytes, None),
    };
    if name.is_empty() || !name.iter().all(|&byte| is_plain(byte)) {
        return None;
    }
    let value = match value {
        None => None,
        Some(value) if value.starts_with(b"\"") => {
            let (said, rest) = scan::quoted(value)?;
            Some(scan::text(&said)).filter(|_| rest.is_empty()).map(Some)?
        }
        Some(value) => Some(scan::text(value)).filter(|_| value.iter().all(|&byte| is_plain(byte))).map(Some)?,
    };
    Some((scan::text(name), value))
}

/// Whether a byte can stand in a parameter without quotes.
const fn is_plain(byte: u8) -> bool {
    !matches!(byte, 0..=b' ' | 0x7f | b'"' | b'<' | b'>' | b',' | b';')
}
