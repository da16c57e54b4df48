//! The session object of each dialect: what it starts as, what an update may say, and what it means for the session.
//!
//! The object itself is kept as JSON, in the shape in which it is echoed; updates are applied to a copy that replaces it only when
//! all of it was right.

pub(crate) mod beta;
pub(crate) mod ga;
pub(crate) mod vl;

use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::format::WireFormat;
use crate::refusal::Refusal;
use crate::vad::VadSettings;

/// What a session object means, whatever its shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub input: WireFormat,
    pub output: WireFormat,
    pub turns: Option<Turns>,
    /// The transcription model, when the caller's turns are to be written down.
    pub transcription: Option<String>,
    pub text_only: bool,
    pub instructions: String,
    pub voice: Value,
    pub tools: Vec<Value>,
    pub tool_choice: Value,
    /// `None` is `"inf"`.
    pub max_output_tokens: Option<u64>,
}

/// Server-side turn detection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turns {
    pub vad: VadSettings,
    pub prefix_ms: u64,
    pub idle_timeout_ms: Option<u64>,
    pub create_response: bool,
    pub interrupt_response: bool,
    /// Voice Live truncates for the client.
    pub auto_truncate: bool,
}

/// The object of a new session.
pub(crate) fn initial(dialect: Dialect, id: &str, model: &str, expires_at: u64) -> Value {
    match dialect {
        Dialect::AzureGa | Dialect::OpenAiGa => ga::initial(id, model, expires_at),
        Dialect::Preview => beta::initial(id, model, expires_at),
        Dialect::VoiceLive => vl::initial(id, model, expires_at),
    }
}

/// The object after an update, or what is wrong with the update.
pub(crate) fn updated(dialect: Dialect, session: &Value, update: &Value) -> Result<Value, Refusal> {
    let Some(update) = update.as_object() else {
        return Err(if update.is_null() {
            Refusal::missing("session")
        } else {
            Refusal::kind_of("session", update, "an object")
        });
    };
    let mut next = session.clone();
    match dialect {
        Dialect::AzureGa | Dialect::OpenAiGa => ga::apply(&mut next, update)?,
        Dialect::Preview => beta::apply(&mut next, update)?,
        Dialect::VoiceLive => vl::apply(&mut next, update)?,
    }
    Ok(next)
}

/// What the object means.
pub(crate) fn settings(dialect: Dialect, session: &Value) -> Settings {
    match dialect {
        Dialect::AzureGa | Dialect::OpenAiGa => ga::settings(session),
        Dialect::Preview | Dialect::VoiceLive => beta::settings(session),
    }
}

/// Refuses the first member that is not in the list.
pub(crate) fn known(object: &Map<String, Value>, at: &str, allowed: &[&str]) -> Result<(), Refusal> {
    match object.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(Refusal::unknown(&format!("{at}.{key}"))),
        None => Ok(()),
    }
}

pub(crate) fn object<'a>(value: &'a Value, at: &str) -> Result<&'a Map<String, Value>, Refusal> {
    value.as_object().ok_or_else(|| Refusal::kind_of(at, value, "an object"))
}

pub(crate) fn set(target: &mut Value, key: &str, value: Value) {
    if let Some(object) = target.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

pub(crate) fn number_within(value: &Value, at: &str, low: f64, high: f64) -> Result<(), Refusal> {
    match value.as_f64() {
        None => Err(Refusal::kind_of(at, value, "a number")),
        Some(number) if number < low || number > high => {
            Err(Refusal::value(at, value, &format!("Expected a value between {low} and {high}.")))
        }
        Some(_) => Ok(()),
    }
}

pub(crate) fn one_of(value: &Value, at: &str, allowed: &[&str]) -> Result<(), Refusal> {
    match value.as_str() {
        None => Err(Refusal::kind_of(at, value, "a string")),
        Some(text) if !allowed.contains(&text) => {
            Err(Refusal::value(at, value, &format!("Supported values are: '{}'.", allowed.join("', '"))))
        }
        Some(_) => Ok(()),
    }
}

/// A token limit: `"inf"` or 1 to 4096.
pub(crate) fn token_limit(value: &Value, at: &str) -> Result<(), Refusal> {
    if value.as_str() == Some("inf") { Ok(()) } else { number_within(value, at, 1.0, 4096.0) }
}

/// Tools as the Realtime API wants them: flat, no nested `function` object.
pub(crate) fn check_tools(value: &Value, at: &str) -> Result<(), Refusal> {
    let tools = value.as_array().ok_or_else(|| Refusal::kind_of(at, value, "an array of objects"))?;
    for (index, tool) in tools.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let tool = object(tool, &at)?;
        match tool.get("type").and_then(Value::as_str) {
            None => return Err(Refusal::missing(&format!("{at}.type"))),
            Some("function") if tool.get("name").and_then(Value::as_str).is_none_or(str::is_empty) => {
                return Err(Refusal::missing(&format!("{at}.name")));
            }
            Some("function") => known(tool, &at, &["type", "name", "description", "parameters", "strict"])?,
            Some(_) => {}
        }
    }
    Ok(())
}

/// An update of `turn_detection`: members left out come back from `defaults`, of the named kind.
pub(crate) fn turn_detection(
    value: &Value,
    at: &str,
    kinds: &[(&str, Value)],
    refuse_unknown: bool,
) -> Result<Value, Refusal> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let update = object(value, at)?;
    let kind = update.get("type").unwrap_or(&Value::Null);
    if kind.is_null() {
        return Err(Refusal::missing(&format!("{at}.type")));
    }
    let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
    one_of(kind, &format!("{at}.type"), &names)?;
    let mut full =
        kinds.iter().find(|(name, _)| kind == name).map(|(_, defaults)| defaults.clone()).unwrap_or_default();
    for (key, value) in update {
        let at = format!("{at}.{key}");
        if refuse_unknown && full.get(key).is_none() {
            return Err(Refusal::unknown(&at));
        }
        match key.as_str() {
            "threshold" if !value.is_null() => number_within(value, &at, 0.0, 1.0)?,
            "prefix_padding_ms" | "silence_duration_ms" => number_within(value, &at, 0.0, 60_000.0)?,
            "idle_timeout_ms" if !value.is_null() => number_within(value, &at, 5_000.0, 30_000.0)?,
            "eagerness" => one_of(value, &at, &["low", "medium", "high", "auto"])?,
            "create_response" | "interrupt_response" if !value.is_boolean() => {
                return Err(Refusal::kind_of(&at, value, "a boolean"));
            }
            _ => {}
        }
        set(&mut full, key, value.clone());
    }
    Ok(full)
}

/// What a full `turn_detection` object means.
pub(crate) fn turns(value: &Value) -> Option<Turns> {
    let kind = value.get("type")?.as_str()?;
    let number = |key: &str| value.get(key).and_then(Value::as_f64);
    let flag = |key: &str, default: bool| value.get(key).and_then(Value::as_bool).unwrap_or(default);
    let silence_ms = if kind == "semantic_vad" {
        match value.get("eagerness").and_then(Value::as_str) {
            Some("high") => 400,
            Some("low") => 2_000,
            _ => 1_000,
        }
    } else {
        number("silence_duration_ms").map_or(500, |ms| ms as u64)
    };
    Some(Turns {
        vad: VadSettings { threshold: number("threshold").unwrap_or(0.5) as f32, silence_ms },
        prefix_ms: number("prefix_padding_ms").map_or(300, |ms| ms as u64),
        idle_timeout_ms: number("idle_timeout_ms").map(|ms| ms as u64),
        create_response: flag("create_response", true),
        interrupt_response: flag("interrupt_response", true),
        auto_truncate: flag("auto_truncate", false),
    })
}

/// `{model, language, prompt}` with nulls made explicit, or null.
pub(crate) fn transcription(value: &Value, at: &str) -> Result<Value, Refusal> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let update = object(value, at)?;
    if update.get("model").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Refusal::missing(&format!("{at}.model")));
    }
    let mut full = json!({"model": null, "language": null, "prompt": null});
    for (key, value) in update {
        set(&mut full, key, value.clone());
    }
    Ok(full)
}
