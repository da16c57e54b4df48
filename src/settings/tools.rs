//! The `[[tools]]` tables: the model's HTTP tools; and each route's toolbox.

use std::fmt;
use std::time::Duration;

use actix_web::http::Uri;
use config::{Map, Value, ValueKind};
use serde_json::{Value as Json, json};
use trunkline_call::{BuiltIns, Toolbox};
use trunkline_realtime::ToolSpec;

use super::reader::{Reader, quote, text_of};
use super::secret::{REDACTED, Secret};
use super::sections::{RouteKind, Settings};

const KEY: &str = "tools";
const KEYS: &str = "name, description, parameters, url, timeout, token_file";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(120);

/// One `[[tools]]` table.
#[derive(Clone, Debug)]
pub struct HttpToolSettings {
    /// What the model knows of it: its name is no built-in's, its parameters are a JSON schema of type `object`.
    pub spec: ToolSpec,
    /// Where its calls are posted.
    pub url: ToolUrl,
    /// How long a call may take, answer included.
    pub timeout: Duration,
    /// Bearer token, fit for a header.
    pub token: Option<Secret>,
}

/// The `http` or `https` address of a tool. What follows its `?` may be a key: it is sent, and shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolUrl(Uri);

impl ToolUrl {
    fn parse(text: &str) -> Result<Self, String> {
        const ALLOWED: &str = "allowed: http://HOST[:PORT]/PATH?QUERY or https://...";
        let shown = text.split('?').next().unwrap_or_default();
        if shown.contains('@') {
            return Err(format!("has a url with a user or password in it; use token_file; {ALLOWED}"));
        }
        let fits = |uri: &Uri| {
            let host = uri.host().unwrap_or_default();
            // A port beyond 65535 is parsed, and then there is none.
            let port = uri.authority().is_some_and(|whole| whole.as_str() == host || whole.port_u16().is_some());
            matches!(uri.scheme_str(), Some("http" | "https")) && !host.is_empty() && port
        };
        let uri = text.parse().ok().filter(fits);
        uri.map(Self).ok_or_else(|| format!("has url = {}, which is none; {ALLOWED}", quote(shown)))
    }

    /// The whole address. For the place that calls it, nowhere else.
    #[must_use]
    pub const fn expose(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for ToolUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(uri) = self;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}{}", uri.scheme_str().unwrap_or_default(), uri.path())?;
        uri.query().map_or(Ok(()), |_| write!(f, "?{REDACTED}"))
    }
}

impl fmt::Debug for ToolUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Settings {
    /// The tools of each route, in the places of `routes`; `None` where there is no model to use them.
    #[must_use]
    pub fn toolboxes(&self) -> Vec<Option<Toolbox>> {
        let toolbox = |names: &[String]| {
            let http = self.tools.iter().map(|tool| &tool.spec).filter(|spec| names.contains(&spec.name));
            let built_in = BuiltIns::among(names.iter().map(String::as_str));
            Toolbox::new(built_in, self.sma.allowed_destinations.clone(), http.cloned().collect())
        };
        let of_route = |kind: &RouteKind| match kind {
            RouteKind::Model(own) => Some(toolbox(&own.tools)),
            RouteKind::Echo | RouteKind::Reject => None,
        };
        self.routes.iter().map(|route| of_route(&route.kind)).collect()
    }
}

pub(super) fn read(r: &mut Reader<'_>) -> Vec<HttpToolSettings> {
    let mut shown = Vec::new();
    let mut tools: Vec<HttpToolSettings> = Vec::new();
    for (index, table) in r.tables(KEY).into_iter().enumerate() {
        let twice = |name: &str| tools.iter().any(|tool| tool.spec.name == name);
        match tool(table, twice) {
            Ok((tool, line)) => {
                tools.push(tool);
                shown.push(line);
            }
            Err(what) => r.complain(&format!("{KEY}[{index}]"), &what),
        }
    }
    r.show(KEY, format!("[{}]", shown.join(", ")));
    tools
}

/// One table, and how it is shown.
fn tool(mut table: Map<String, Value>, is_taken: impl Fn(&str) -> bool) -> Result<(HttpToolSettings, String), String> {
    if table.contains_key("token") {
        return Err("has a `token`; put the secret into a file of its own and name that by token_file".to_owned());
    }
    let name = text(&mut table, "name")?.ok_or("has no `name`; allowed: 1 to 64 of A-Za-z0-9_-")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !(1..=64).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err(format!("has name = {}; allowed: 1 to 64 of A-Za-z0-9_-", quote(&name)));
    }
    if BuiltIns::NAMES.contains(&name.as_str()) || is_taken(&name) {
        return Err(format!("has name = {}, which another tool has", quote(&name)));
    }
    let description = text(&mut table, "description")?.filter(|text| !text.trim().is_empty());
    let description = description.ok_or("has no `description`: the model goes by it")?;
    let parameters = parameters(table.remove("parameters"))?;
    let url = text(&mut table, "url")?.ok_or("has no `url`; allowed: http:// or https:// addresses")?;
    let url = ToolUrl::parse(url.trim())?;
    let timeout = timeout(text(&mut table, "timeout")?)?;
    let token_file = text(&mut table, "token_file")?.filter(|path| !path.is_empty());
    let token = token_file.as_deref().map(token).transpose()?;
    if let Some(key) = table.keys().min() {
        return Err(format!("has an unknown key {key}; allowed: {KEYS}"));
    }
    let mut line = format!(
        "{{ name = {}, description = {}, parameters = {}, url = {}, timeout = {}",
        quote(&name),
        quote(&description),
        quote(&parameters.to_string()),
        quote(&url.to_string()),
        quote(&humantime::format_duration(timeout).to_string()),
    );
    if let Some(path) = token_file {
        line = format!("{line}, token_file = {}", quote(&path));
    }
    let spec = ToolSpec { name, description, parameters };
    Ok((HttpToolSettings { spec, url, timeout, token }, format!("{line} }}")))
}

fn text(table: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    let text = |value| text_of(value).ok_or_else(|| format!("has a {key} that is no text"));
    table.remove(key).map(text).transpose()
}

fn timeout(given: Option<String>) -> Result<Duration, String> {
    let Some(text) = given else {
        return Ok(DEFAULT_TIMEOUT);
    };
    let timeout = humantime::parse_duration(text.trim()).ok().filter(|timeout| TIMEOUTS.contains(timeout));
    let bad = || format!("has timeout = {}; allowed: 100ms to 2m, written with its unit: \"10s\"", quote(&text));
    timeout.ok_or_else(bad)
}

fn token(path: &str) -> Result<Secret, String> {
    let bad = |what: &str| format!("has token_file = {}, {what}", quote(path));
    let text = std::fs::read_to_string(path).map_err(|error| bad(&format!("which cannot be read: {error}")))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(bad("which is empty"));
    }
    if !token.bytes().all(|byte| (0x21..0x7F).contains(&byte)) {
        return Err(bad("which holds more than one word of printable ASCII and cannot be sent in a header"));
    }
    Ok(Secret::new(token))
}

/// A JSON schema of type `object`, from a table or from a text of JSON; without one the tool takes no arguments.
fn parameters(given: Option<Value>) -> Result<Json, String> {
    let bad = |what: &str| {
        format!("has parameters {what}; allowed: a JSON schema with type = \"object\", as a table or as a text of JSON")
    };
    let schema = match given.map(|value| value.kind) {
        None => json!({ "type": "object" }),
        Some(ValueKind::String(text)) => {
            serde_json::from_str(&text).map_err(|error| bad(&format!("that are no JSON ({error})")))?
        }
        Some(ValueKind::Table(table)) => {
            json_of(ValueKind::Table(table)).ok_or_else(|| bad("that JSON cannot hold"))?
        }
        Some(_) => return Err(bad("that are neither")),
    };
    let Json::Object(mut schema) = schema else {
        return Err(bad("that are no object"));
    };
    if schema.get("type").and_then(Json::as_str) != Some("object") {
        return Err(bad("whose type is another"));
    }
    // Without this member the API refuses the whole session.
    if !schema.entry("properties").or_insert_with(|| json!({})).is_object() {
        return Err(bad("whose properties are no table"));
    }
    if !schema.get("required").is_none_or(|list| list.as_array().is_some_and(|list| list.iter().all(Json::is_string))) {
        return Err(bad("whose required is no list of names"));
    }
    Ok(Json::Object(schema))
}

/// The same value in JSON; `None` for numbers that it does not have.
fn json_of(value: ValueKind) -> Option<Json> {
    Some(match value {
        ValueKind::Nil => Json::Null,
        ValueKind::Boolean(flag) => flag.into(),
        ValueKind::I64(number) => number.into(),
        ValueKind::U64(number) => number.into(),
        ValueKind::I128(number) => i64::try_from(number).ok()?.into(),
        ValueKind::U128(number) => u64::try_from(number).ok()?.into(),
        ValueKind::Float(number) => serde_json::Number::from_f64(number)?.into(),
        ValueKind::String(text) => text.into(),
        ValueKind::Array(items) => items.into_iter().map(|item| json_of(item.kind)).collect::<Option<_>>()?,
        ValueKind::Table(table) => {
            let members = table.into_iter().map(|(name, value)| Some((name, json_of(value.kind)?)));
            Json::Object(members.collect::<Option<_>>()?)
        }
    })
}
