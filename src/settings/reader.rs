//! Takes typed values out of the merged tree, and keeps what it took for `trunkline config` and
//! everything that was wrong with it: all mistakes are reported at once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use config::{Value, ValueKind};

use super::secret::{REDACTED, Secret};
use super::sources::{Leaves, Origin};

/// One key's effective value, for show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Dotted path, as in `media.listen`.
    pub key: String,
    /// The value in TOML's spelling; a secret shows as `"[redacted]"`.
    pub shown: String,
    /// Where it came from.
    pub origin: Origin,
}

pub(super) struct Reader<'a> {
    leaves: &'a Leaves,
    pub entries: Vec<Entry>,
    pub problems: Vec<String>,
    pub asked: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub fn new(leaves: &'a Leaves) -> Self {
        Self { leaves, entries: Vec::new(), problems: Vec::new(), asked: BTreeSet::new() }
    }

    /// A text; empty stays empty.
    pub fn text(&mut self, key: &str) -> String {
        let text = self.scalar(key).unwrap_or_default();
        self.show(key, quote(&text));
        text
    }

    /// Whether a text is given, without taking it.
    pub fn is_set(&mut self, key: &str) -> bool {
        self.leaf(key).and_then(text_of).is_some_and(|text| !text.is_empty())
    }

    /// A text; empty means "not set".
    pub fn optional(&mut self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.optional(key).map(PathBuf::from)
    }

    /// Anything with a `FromStr`; `allowed` completes "... is not".
    pub fn parsed<T>(&mut self, key: &str, allowed: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(key);
        let value = parse(text.trim());
        if value.is_none() {
            self.refuse(key, allowed);
        }
        value
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &str, first: (&str, T), others: &[(&str, T)]) -> T {
        let text = self.text(key);
        let all = || std::iter::once(&first).chain(others);
        if let Some((_, value)) = all().find(|(word, _)| *word == text) {
            return *value;
        }
        let words: Vec<String> = all().map(|(word, _)| quote(word)).collect();
        self.refuse(key, &format!("one of {}", words.join(", ")));
        first.1
    }

    pub fn flag(&mut self, key: &str) -> bool {
        let value = self.leaf(key).and_then(|value| value.into_bool().ok());
        if value.is_none() {
            self.refuse(key, "true or false");
        }
        let value = value.unwrap_or_default();
        self.show(key, value.to_string());
        value
    }

    pub fn whole<T>(&mut self, key: &str, range: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let value = self.leaf(key).and_then(|value| match value.kind {
            // A fraction is not rounded in silence.
            ValueKind::Float(_) => None,
            ValueKind::String(text) => text.trim().parse().ok(),
            _ => value.into_int().ok(),
        });
        let value = value.and_then(|value| T::try_from(value).ok());
        let (low, high) = (*range.start(), *range.end());
        let Some(value) = value.filter(|value| range.contains(value)) else {
            self.refuse(key, &format!("a whole number from {low} to {high}"));
            return low;
        };
        self.show(key, value.to_string());
        value
    }

    pub fn real(&mut self, key: &str, range: RangeInclusive<f64>) -> f64 {
        let value = self.leaf(key).and_then(|value| value.into_float().ok());
        let (low, high) = (*range.start(), *range.end());
        let Some(value) = value.filter(|value| range.contains(value)) else {
            self.refuse(key, &format!("a number from {low} to {high}"));
            return low;
        };
        self.show(key, value.to_string());
        value
    }

    pub fn duration(&mut self, key: &str, low: &str, high: &str) -> Duration {
        let text = self.scalar(key).unwrap_or_default();
        let bound = |text: &str| humantime::parse_duration(text).unwrap_or_default();
        let range = bound(low)..=bound(high);
        let value = humantime::parse_duration(text.trim()).ok();
        let Some(value) = value.filter(|value| range.contains(value)) else {
            self.refuse(
                key,
                &format!("a duration from {low} to {high}, written with its unit: \"250ms\", \"10s\", \"2m\""),
            );
            return *range.start();
        };
        self.show(key, quote(&humantime::format_duration(value).to_string()));
        value
    }

    /// IP:PORT, or localhost:PORT.
    pub fn address(&mut self, key: &str) -> SocketAddr {
        let parse = |text: &str| match text.strip_prefix("localhost:") {
            Some(port) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?))),
            None => text.parse().ok(),
        };
        self.parsed(key, "IP:PORT, as in 127.0.0.1:8080 or [::1]:8080 (port 0 picks a free one)", parse)
            .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// A list of texts: an array in a file, comma-separated in the environment.
    pub fn list(&mut self, key: &str) -> Vec<String> {
        let from_env = matches!(self.origin(key), Some(Origin::Env(_)));
        let list = match self.leaf(key).map(|value| value.kind) {
            Some(ValueKind::String(text)) if from_env => {
                let parts = text.split(',').map(|part| part.trim().to_owned());
                Some(parts.filter(|part| !part.is_empty()).collect())
            }
            Some(ValueKind::Array(items)) => items.into_iter().map(text_of).collect::<Option<Vec<String>>>(),
            _ => None,
        };
        let Some(list) = list else {
            self.refuse(key, "a list of texts, as in [\"one\", \"two\"] (in the environment: one,two)");
            return Vec::new();
        };
        let shown: Vec<String> = list.iter().map(|text| quote(text)).collect();
        self.show(key, format!("[{}]", shown.join(", ")));
        list
    }

    /// The key's secret, given by itself or in the file that KEY_file names.
    pub fn secret(&mut self, key: &str) -> Option<Secret> {
        let file_key = format!("{key}_file");
        let direct = self.scalar(key).filter(|text| !text.is_empty());
        let shown = if direct.is_some() { quote(REDACTED) } else { quote("") };
        self.show(key, shown);
        let file = self.path(&file_key);
        match (direct, file) {
            (Some(_), Some(_)) => {
                let origin = self.origin(&file_key).map(Origin::to_string).unwrap_or_default();
                self.complain(key, &format!("and {file_key} are both given (the second from {origin}); give one"));
                None
            }
            (Some(text), None) => Some(Secret::new(text)),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) if text.trim().is_empty() => {
                    self.refuse(&file_key, "a file that holds the secret; this one is empty");
                    None
                }
                Ok(text) => Some(Secret::new(text.trim())),
                Err(error) => {
                    self.refuse(&file_key, &format!("a readable file: {error}"));
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// A list of tables, as they came.
    pub fn tables(&mut self, key: &str) -> Vec<config::Map<String, Value>> {
        let tables = self.leaf(key).and_then(|value| match value.kind {
            ValueKind::Array(items) => items
                .into_iter()
                .map(|item| match item.kind {
                    ValueKind::Table(table) => Some(table),
                    _ => None,
                })
                .collect(),
            _ => None,
        });
        if tables.is_none() {
            self.refuse(key, &format!("[[{key}]] tables, which can be written in a file only"));
        }
        tables.unwrap_or_default()
    }

    /// Notes that the value of a key is wrong, with the value and what is allowed.
    pub fn refuse(&mut self, key: &str, allowed: &str) {
        let value = self.leaf(key).map(|value| toml_like(&value)).unwrap_or_default();
        self.complain(key, &format!("= {value} is not allowed here; allowed: {allowed}"));
    }

    /// Notes that something is wrong with a key, without its value.
    pub fn complain(&mut self, key: &str, what: &str) {
        let origin = match self.origin(key) {
            Some(Origin::Default) => "the default".to_owned(),
            Some(origin) => origin.to_string(),
            None => "nowhere".to_owned(),
        };
        self.problems.push(format!("{key} {what} (from {origin})"));
    }

    pub fn origin(&self, key: &str) -> Option<&Origin> {
        // An entry of a list, `routes[0]`, is from where its list is.
        let key = key.split('[').next().unwrap_or(key);
        self.leaves.get(key).map(|leaf| &leaf.origin)
    }

    pub fn show(&mut self, key: &str, shown: String) {
        if let Some(origin) = self.origin(key).cloned() {
            self.entries.push(Entry { key: key.to_owned(), shown, origin });
        }
    }

    /// A text, or a number or flag written without quotes.
    fn scalar(&mut self, key: &str) -> Option<String> {
        let text = self.leaf(key).and_then(text_of);
        if text.is_none() {
            self.complain(key, "takes a single value");
        }
        text
    }

    fn leaf(&mut self, key: &str) -> Option<Value> {
        self.asked.insert(key.to_owned());
        self.leaves.get(key).map(|leaf| leaf.value.clone())
    }
}

pub(super) fn text_of(value: Value) -> Option<String> {
    match value.kind {
        ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil => None,
        _ => value.into_string().ok(),
    }
}

/// A text in TOML's quotes (JSON's are a subset of them).
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A value in TOML's spelling.
pub(super) fn toml_like(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => quote(text),
        ValueKind::Array(items) => {
            let items: Vec<String> = items.iter().map(toml_like).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Table(table) => {
            let mut pairs: Vec<String> =
                table.iter().map(|(key, value)| format!("{key} = {}", toml_like(value))).collect();
            pairs.sort();
            format!("{{ {} }}", pairs.join(", "))
        }
        _ => value.to_string(),
    }
}
