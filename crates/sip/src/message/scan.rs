//! What the grammar of RFC 3261, section 25.1, has in common: tokens, quoted strings, lists.

/// Without spaces and tabs at both ends.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether this is a `token`: at least one letter, digit or one of ``-.!%*_+`'~``.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(fits)
}

/// At the first such byte: what is before and what is behind it.
pub(super) fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.get(1..)?))
}

/// Splits at the separator wherever it stands outside of quotes and angle brackets; each piece is trimmed.
pub(super) fn split(bytes: &[u8], separator: Option<u8>) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let all = rest?;
        let Some(at) = separator.and_then(|separator| find_bare(all, separator)) else {
            rest = None;
            return Some(trim(all));
        };
        let (piece, behind) = all.split_at_checked(at)?;
        rest = behind.get(1..);
        Some(trim(piece))
    })
}

/// Where that byte first stands outside of quotes and angle brackets.
pub(super) fn find_bare(bytes: &[u8], wanted: u8) -> Option<usize> {
    let (mut is_quoted, mut is_escaped, mut is_bracketed) = (false, false, false);
    for (at, &byte) in bytes.iter().enumerate() {
        if is_quoted {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_quoted = false,
                _ => {}
            }
            continue;
        }
        if byte == wanted && !is_bracketed {
            return Some(at);
        }
        match byte {
            b'"' if !is_bracketed => is_quoted = true,
            b'<' => is_bracketed = true,
            b'>' => is_bracketed = false,
            _ => {}
        }
    }
    None
}

/// Reads a quoted string at the beginning: what it says, and what is behind it.
pub(super) fn quoted(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = bytes.strip_prefix(b"\"")?;
    let mut text = Vec::new();
    loop {
        match rest {
            [b'"', behind @ ..] => return Some((text, behind)),
            [b'\\', escaped, behind @ ..] => {
                text.push(*escaped);
                rest = behind;
            }
            [byte, behind @ ..] if *byte != b'\\' => {
                text.push(*byte);
                rest = behind;
            }
            _ => return None,
        }
    }
}

/// As text for people and comparisons: what is no UTF-8 is replaced, control characters are left out.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect()
}

/// A number of decimal digits and nothing else.
pub(super) fn number<N: TryFrom<u64>>(bytes: &[u8]) -> Option<N> {
    let mut value = 0_u64;
    for byte in bytes {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    if bytes.is_empty() { None } else { value.try_into().ok() }
}
