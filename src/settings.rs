//! The configuration: three layers (`config/default.toml`, a file, the environment) read into typed, checked sections.
//!
//! Nothing is taken on trust: an unknown key, a value of the wrong kind or out of bounds, or two
//! values that do not fit is an error that names the key, the value, what is allowed and where the
//! value came from. All errors are reported together.

mod aws;
mod build;
mod model;
mod reader;
mod routes;
mod secret;
mod sections;
mod sip;
mod sources;
#[cfg(test)]
mod tests;
mod tools;

use std::fmt;
use std::path::PathBuf;

use trunkline_call::{CallLimits, Route, RouteTable};
use trunkline_realtime::{SessionProfile, Timing, ToolSpec};

pub use reader::Entry;
pub use secret::{REDACTED, Secret};
pub use sections::*;
pub use sources::{DEFAULT_TOML, LOCAL_FILE, Origin, Sources};
pub use tools::{HttpToolSettings, ToolUrl};

/// A configuration that cannot be used. One line a mistake.
#[derive(Debug, thiserror::Error)]
pub struct SettingsError {
    /// What is wrong, each with its key and origin.
    pub problems: Vec<String>,
}

impl SettingsError {
    fn one(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()] }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration: {}", self.problems.join("\nconfiguration: "))
    }
}

/// A usable configuration and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to run with.
    pub settings: Settings,
    /// Every key's effective value and origin, in the order of the sections, for `trunkline config`.
    pub entries: Vec<Entry>,
    /// What is allowed but probably not meant; for the log at start-up.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Reads the layers that `sources` names.
    ///
    /// # Errors
    /// [`SettingsError`] with every mistake found.
    pub fn from_sources(sources: &Sources) -> Result<Self, SettingsError> {
        build::load(sources)
    }

    /// Reads this process's configuration: `file` if given, else `config/local.toml` if it exists, and the environment.
    ///
    /// # Errors
    /// As [`Loaded::from_sources`].
    pub fn of_process(file: Option<PathBuf>) -> Result<Self, SettingsError> {
        build::load(&Sources::of_process(file)?)
    }
}

impl Settings {
    /// The defaults with both listeners on free loopback ports and the embedded simulator: what
    /// `trunkline demo` and tests run. Files and environment are left out.
    ///
    /// # Errors
    /// None but a broken `config/default.toml`, which a test forbids.
    pub fn embedded() -> Result<Self, SettingsError> {
        let mut settings = build::load(&Sources::default())?.settings;
        settings.media.listen.set_port(0);
        settings.admin.listen.set_port(0);
        Ok(settings)
    }

    /// The routes as the dial plan of the calls; places in the table are those in `routes`.
    #[must_use]
    pub fn route_table(&self) -> RouteTable {
        let route = |route: &RouteSettings| Route {
            pattern: route.pattern.clone(),
            kind: match &route.kind {
                RouteKind::Model(_) => trunkline_call::RouteKind::Model,
                RouteKind::Echo => trunkline_call::RouteKind::Echo,
                RouteKind::Reject => trunkline_call::RouteKind::Reject,
            },
        };
        RouteTable(self.routes.iter().map(route).collect())
    }

    /// The limits every call lives under.
    #[must_use]
    pub fn call_limits(&self) -> CallLimits {
        let calls = &self.calls;
        CallLimits {
            max: calls.max.unwrap_or(0),
            no_media_timeout: calls.no_media_timeout,
            media_timeout: calls.media_timeout,
            max_duration: calls.max_duration,
            reattach_grace: self.ingest.reattach_grace,
            drain_timeout: calls.drain_timeout,
            upstream_buffer: calls.upstream_buffer,
            playout_buffer: calls.playout_buffer,
            history: calls.history,
            history_max: calls.history_max,
        }
    }
}

impl RealtimeSettings {
    /// The session that a route asks for: these defaults under the route's own wishes.
    #[must_use]
    pub fn profile(&self, route: &RouteOverrides, tools: Vec<ToolSpec>) -> SessionProfile {
        let pick = |own: &Option<String>, default: &Option<String>| {
            own.clone().or_else(|| default.clone()).filter(|text| !text.is_empty())
        };
        SessionProfile {
            api: self.api,
            format: self.format,
            voice: pick(&route.voice, &self.voice),
            instructions: pick(&route.instructions, &self.instructions),
            greeting: pick(&route.greeting, &self.greeting),
            transcription_model: pick(&route.transcription_model, &self.transcription_model),
            noise_reduction: None,
            turn_detection: route.turn_detection.clone().unwrap_or_else(|| self.turn_detection.clone()),
            tools,
            speed: None,
            max_output_tokens: None,
        }
    }

    /// How long a session may take for what.
    #[must_use]
    pub fn timing(&self) -> Timing {
        Timing {
            connect_timeout: self.connect_timeout,
            stall_timeout: self.stall_timeout,
            ping: self.ping,
            response_timeout: self.response_timeout,
            renew_before: self.renew_before,
        }
    }
}

/// Texts that the bundled recordings say: prompts, goodbye.
fn defaults_of_fallback() -> (Vec<String>, String) {
    let defaults =
        config::Config::builder().add_source(config::File::from_str(DEFAULT_TOML, config::FileFormat::Toml)).build();
    let Ok(defaults) = defaults else {
        return (Vec::new(), String::new());
    };
    let prompts = defaults.get("fallback.prompts").unwrap_or_default();
    (prompts, defaults.get_string("fallback.goodbye").unwrap_or_default())
}
