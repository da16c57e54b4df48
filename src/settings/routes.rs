//! The `[[routes]]` tables.

use config::{Map, Value, ValueKind};
use trunkline_call::{BuiltIns, Glob};
use trunkline_realtime::TurnDetection;

use super::reader::{Reader, text_of, toml_like};
use super::sections::{RealtimeSettings, RouteKind, RouteOverrides, RouteSettings};
use super::tools::HttpToolSettings;

const KEY: &str = "routes";

/// The tools that a route may offer.
pub(super) struct Offer<'a> {
    http: &'a [HttpToolSettings],
    transfers: bool,
}

impl<'a> Offer<'a> {
    pub fn new(http: &'a [HttpToolSettings], destinations: &[Glob]) -> Self {
        Self { http, transfers: !destinations.is_empty() }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        BuiltIns::NAMES.into_iter().chain(self.http.iter().map(|tool| tool.spec.name.as_str()))
    }
}

pub(super) fn read(r: &mut Reader<'_>, realtime: &RealtimeSettings, offer: &Offer<'_>) -> Vec<RouteSettings> {
    let tables = r.tables(KEY);
    let mut shown = Vec::new();
    let mut routes = Vec::new();
    for (index, table) in tables.into_iter().enumerate() {
        shown.push(toml_like(&Value::new(None, ValueKind::Table(table.clone()))));
        match route(table, realtime, offer) {
            Ok(route) => routes.push(route),
            Err(what) => r.complain(&format!("{KEY}[{index}]"), &what),
        }
    }
    if shown.is_empty() {
        r.refuse(KEY, "at least one route");
    }
    r.show(KEY, format!("[{}]", shown.join(", ")));
    routes
}

fn route(
    mut table: Map<String, Value>,
    realtime: &RealtimeSettings,
    offer: &Offer<'_>,
) -> Result<RouteSettings, String> {
    let name = text(&mut table, "match")?.ok_or("has no `match`; allowed: a number, or a pattern with * and ?")?;
    let pattern = Glob::parse(&name).map_err(|error| format!("has a bad `match`: {error}"))?;
    let kind = text(&mut table, "kind")?.ok_or("has no `kind`; allowed: model, echo, reject")?;
    let kind = match kind.as_str() {
        "model" => RouteKind::Model(Box::new(overrides(&mut table, realtime, offer)?)),
        "echo" => RouteKind::Echo,
        "reject" => RouteKind::Reject,
        "conference" => {
            return Err(
                "has kind = \"conference\", which this build does not carry; allowed: model, echo, reject".to_owned()
            );
        }
        other => return Err(format!("has kind = {other:?}; allowed: model, echo, reject")),
    };
    let mut left: Vec<&str> = table.keys().map(String::as_str).collect();
    left.sort_unstable();
    if let Some(key) = left.first() {
        return Err(match kind {
            RouteKind::Model(_) => format!(
                "has an unknown key {key}; allowed: match, kind, voice, instructions, greeting, transcription_model, turn_detection, tools"
            ),
            _ => format!("has a key {key} that its kind does not take; allowed: match, kind"),
        });
    }
    Ok(RouteSettings { name, pattern, kind })
}

fn overrides(
    table: &mut Map<String, Value>,
    realtime: &RealtimeSettings,
    offer: &Offer<'_>,
) -> Result<RouteOverrides, String> {
    let overrides = RouteOverrides {
        voice: text(table, "voice")?,
        instructions: text(table, "instructions")?,
        greeting: text(table, "greeting")?,
        transcription_model: text(table, "transcription_model")?,
        turn_detection: match table.remove("turn_detection") {
            Some(value) => Some(turn_detection(value, &realtime.turn_detection)?),
            None => None,
        },
        tools: tools(table, offer)?,
    };
    match realtime.profile(&overrides, Vec::new()).check() {
        Ok(()) => Ok(overrides),
        Err(error) => Err(format!("does not fit realtime.api: {error}")),
    }
}

fn text(table: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match table.remove(key) {
        None => Ok(None),
        Some(value) => match text_of(value) {
            Some(text) => Ok(Some(text)),
            None => Err(format!("has a {key} that is no single value")),
        },
    }
}

/// Names of the route's tools; all there are unless it says otherwise.
fn tools(table: &mut Map<String, Value>, offer: &Offer<'_>) -> Result<Vec<String>, String> {
    let Some(given) = table.remove("tools") else {
        return Ok(offer.names().map(str::to_owned).collect());
    };
    let names = match given.kind {
        ValueKind::Array(items) => items.into_iter().map(text_of).collect::<Option<Vec<String>>>(),
        _ => None,
    };
    let names = names.ok_or("has `tools` that are no list of names, as in [\"hang_up\"]")?;
    for (index, name) in names.iter().enumerate() {
        if !offer.names().any(|known| known == name) {
            let known: Vec<&str> = offer.names().collect();
            return Err(format!("has a tool {name:?} that does not exist; allowed: {}", known.join(", ")));
        }
        if names.iter().take(index).any(|before| before == name) {
            return Err(format!("has the tool {name:?} twice"));
        }
    }
    if !offer.transfers && names.iter().any(|name| name == "transfer_call") {
        return Err("has the tool \"transfer_call\", but sma.allowed_destinations is empty".to_owned());
    }
    Ok(names)
}

/// What a route says of turn detection, on top of the default's members where the type stays the same.
fn turn_detection(value: Value, default: &TurnDetection) -> Result<TurnDetection, String> {
    let ValueKind::Table(mut table) = value.kind else {
        return Err("has a turn_detection that is no table".to_owned());
    };
    let default_kind = match default {
        TurnDetection::ServerVad { .. } => "server_vad",
        TurnDetection::SemanticVad { .. } => "semantic_vad",
    };
    let kind = text(&mut table, "type")?.unwrap_or_else(|| default_kind.to_owned());
    let (create, interrupt) = match default {
        TurnDetection::ServerVad { create_response, interrupt_response, .. }
        | TurnDetection::SemanticVad { create_response, interrupt_response, .. } => {
            (*create_response, *interrupt_response)
        }
    };
    let create_response = flag(&mut table, "create_response", create)?;
    let interrupt_response = flag(&mut table, "interrupt_response", interrupt)?;
    let result = match kind.as_str() {
        "server_vad" => {
            let (at, padding, silence, idle) = match default {
                TurnDetection::ServerVad {
                    threshold, prefix_padding_ms, silence_duration_ms, idle_timeout_ms, ..
                } => (*threshold, *prefix_padding_ms, *silence_duration_ms, idle_timeout_ms.unwrap_or(0)),
                TurnDetection::SemanticVad { .. } => (0.5, 300, 500, 0),
            };
            let threshold = match table.remove("threshold") {
                None => at,
                Some(value) => value
                    .into_float()
                    .ok()
                    .filter(|x| (0.0..=1.0).contains(x))
                    .ok_or("has a turn_detection.threshold outside 0.0 to 1.0")?,
            };
            let idle = millis(&mut table, "idle_timeout_ms", idle, 30_000)?;
            if (1..5_000).contains(&idle) {
                return Err("has a turn_detection.idle_timeout_ms that is neither 0 nor 5000 to 30000".to_owned());
            }
            TurnDetection::ServerVad {
                threshold,
                prefix_padding_ms: millis(&mut table, "prefix_padding_ms", padding, 5_000)?,
                silence_duration_ms: millis(&mut table, "silence_duration_ms", silence, 10_000)?,
                idle_timeout_ms: Some(idle).filter(|ms| *ms > 0),
                create_response,
                interrupt_response,
            }
        }
        "semantic_vad" => {
            let default = match default {
                TurnDetection::SemanticVad { eagerness, .. } => eagerness.clone(),
                TurnDetection::ServerVad { .. } => "auto".to_owned(),
            };
            let eagerness = text(&mut table, "eagerness")?.unwrap_or(default);
            if !["low", "medium", "high", "auto"].contains(&eagerness.as_str()) {
                return Err(format!("has turn_detection.eagerness = {eagerness:?}; allowed: low, medium, high, auto"));
            }
            TurnDetection::SemanticVad { eagerness, create_response, interrupt_response }
        }
        other => {
            return Err(format!("has turn_detection.type = {other:?}; allowed: server_vad, semantic_vad"));
        }
    };
    match table.keys().min() {
        Some(key) => Err(format!("has turn_detection.{key}, which {kind} does not have")),
        None => Ok(result),
    }
}

fn flag(table: &mut Map<String, Value>, key: &str, default: bool) -> Result<bool, String> {
    table.remove(key).map_or(Ok(default), |value| {
        value.into_bool().map_err(|_| format!("has turn_detection.{key} that is neither true nor false"))
    })
}

fn millis(table: &mut Map<String, Value>, key: &str, default: u32, high: u32) -> Result<u32, String> {
    let Some(value) = table.remove(key) else {
        return Ok(default);
    };
    let ms = value.into_int().ok().and_then(|ms| u32::try_from(ms).ok());
    ms.filter(|ms| *ms <= high).ok_or_else(|| format!("has turn_detection.{key} outside 0 to {high}"))
}
