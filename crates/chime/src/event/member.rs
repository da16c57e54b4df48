//! Members of a JSON object that a stranger wrote: each may be anything.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// Longest piece of a stranger's text that is shown, in characters, quotation marks not counted.
const MAX_SHOWN: usize = 64;

/// From this many digits on a run of them may be somebody's number.
const NUMBER_DIGITS: usize = 7;

/// What stands in a member. Of a wrong kind it is no error of the whole: the reader decides what is needed.
///
/// Text borrows from the body where it has no escapes. The content of arrays, and of objects where `T` is `IgnoredAny`, is
/// skipped without recursion and without a copy.
#[derive(Debug, Default)]
pub(super) enum Member<'a, T = IgnoredAny> {
    #[default]
    Absent,
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Array,
    Object(T),
}

impl<'a, T> Member<'a, T> {
    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text, if it has 1 to `max_bytes` bytes and no control character.
    pub(super) fn into_line(self, max_bytes: usize) -> Option<String> {
        match self {
            Self::Text(text) if (1..=max_bytes).contains(&text.len()) && !text.chars().any(char::is_control) => {
                Some(text.into_owned())
            }
            _ => None,
        }
    }

    /// What stands here, for a log line.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Absent => "missing".to_owned(),
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => format!("the number {}", cut(&number.to_string())),
            Self::Text(text) => quoted(text),
            Self::Array => "an array".to_owned(),
            Self::Object(_) => "an object".to_owned(),
        }
    }
}

/// A stranger's text in quotation marks: cut, escaped, and with its whole length where it was cut.
pub(super) fn quoted(text: &str) -> String {
    if text.len() > MAX_SHOWN {
        format!("\"{}\" ({} bytes)", cut(text), text.len())
    } else {
        format!("\"{}\"", cut(text))
    }
}

/// At most [`MAX_SHOWN`] characters of a stranger's text, escaped to ASCII. Of a run of digits that could be a number only
/// the last four are kept.
pub(super) fn cut(text: &str) -> String {
    const ELLIPSIS: &str = "...";
    let mut shown = String::new();
    // Up to where the pieces leave room for an ellipsis.
    let mut whole = 0;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (piece, used) = if digits >= NUMBER_DIGITS {
            let last = rest.get(digits - 4..digits).unwrap_or_default();
            (format!("***{last}"), digits)
        } else {
            (next.escape_default().to_string(), next.len_utf8())
        };
        rest = rest.get(used..).unwrap_or_default();
        shown.push_str(&piece);
        if shown.len() > MAX_SHOWN {
            shown.truncate(whole);
            shown.push_str(ELLIPSIS);
            break;
        }
        if shown.len() + ELLIPSIS.len() <= MAX_SHOWN {
            whole = shown.len();
        }
    }
    shown
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Member<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor(PhantomData))
    }
}

struct MemberVisitor<'a, T>(PhantomData<(&'a str, T)>);

impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for MemberVisitor<'a, T> {
    type Value = Member<'a, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Member::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Member::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Member::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(value).map_or(Member::Null, Member::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::Array)
    }

    // A derived reader would take an array for a struct as well; this way only an object is one.
    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Member::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_short_and_plain() {
        for (text, shown) in [
            ("", ""),
            ("5f0c1b1e", "5f0c1b1e"),
            ("a\nb\u{0}\"\u{202e}ä", r#"a\nb\u{0}\"\u{202e}\u{e4}"#),
            ("123456", "123456"),
            ("sip:+15550100001@pbx", "sip:+***0001@pbx"),
            ("+15550100001 and 15550199002", "+***0001 and ***9002"),
        ] {
            assert_eq!(cut(text), shown);
        }
        assert_eq!(cut(&"x".repeat(64)), "x".repeat(64));
        assert_eq!(cut(&"x".repeat(65)), format!("{}...", "x".repeat(61)));
        assert_eq!(cut(&"7".repeat(1_000_000)), "***7777");
        // An escape is shown whole or not at all.
        assert_eq!(cut(&format!("{}\u{202e}zzzz", "x".repeat(60))), format!("{}...", "x".repeat(60)));
        assert_eq!(quoted(&"x".repeat(65)), format!("\"{}...\" (65 bytes)", "x".repeat(61)));
    }

    #[test]
    fn any_kind_is_told_and_skipped() {
        for (json, shown) in [
            ("null", "null"),
            ("true", "true"),
            ("12345", "the number 12345"),
            ("-1", "the number -1"),
            ("1.5", "the number 1.5"),
            ("15550100001", "the number ***0001"),
            (r#""a""#, r#""a""#),
            (r#""\u0041""#, r#""A""#),
            (r#"[1,[2,{"a":[]}]]"#, "an array"),
            (r#"{"a":{"b":[1]}}"#, "an object"),
        ] {
            let member: Member<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(member.shown(), shown, "{json}");
        }
        assert_eq!(Member::<IgnoredAny>::default().shown(), "missing");
    }
}
