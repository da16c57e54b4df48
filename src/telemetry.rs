//! Logging, traces, and what happens at a panic.

#[cfg(feature = "otlp")]
pub mod otlp;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};
use trunkline_actors::spans::{TARGET, Tracer};

use crate::settings::{LogFormat, LogSettings};

static PANICS: AtomicU64 = AtomicU64::new(0);

/// What listens to the process's lines and spans.
type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The filter that is in force, and its text.
static FILTER: OnceLock<(reload::Handle<EnvFilter, Registry>, Mutex<String>)> = OnceLock::new();

/// A `log.filter` that says nothing useful. Completes the sentence "allowed: ...".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// A part is neither a level nor TARGET=LEVEL.
    #[error("a level (off, error, warn, info, debug, trace) or TARGET=LEVEL, comma-separated; {0:?} is neither")]
    NoDirective(String),
    /// A part looks right and is not.
    #[error("a level (off, error, warn, info, debug, trace) or TARGET=LEVEL, comma-separated; {0}")]
    Unparsable(String),
    /// There is no log to change: another subscriber was there before ours.
    #[error("nothing, for this process does not log by us")]
    NoLog,
}

/// Reads a filter as `tracing` writes them, such as `warn,trunkline=debug`.
///
/// # Errors
/// [`BadFilter`]. A bare word that is no level is one: `tracing` takes it for a target, so that a
/// misspelt level would silence everything else.
pub fn parse_filter(text: &str) -> Result<EnvFilter, BadFilter> {
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    // Spans are none of the log's: a filter by them would match nothing.
    let is_directive = |part: &str| match part.split_once('=') {
        Some((target, level)) => !target.contains(['[', '{']) && !level.is_empty(),
        None => part.parse::<LevelFilter>().is_ok(),
    };
    if let Some(part) = parts.iter().find(|part| !is_directive(part)) {
        return Err(BadFilter::NoDirective((*part).to_owned()));
    }
    if parts.is_empty() {
        return Err(BadFilter::NoDirective(String::new()));
    }
    EnvFilter::builder()
        .with_regex(false)
        .parse(parts.join(","))
        .map_err(|error| BadFilter::Unparsable(error.to_string()))
}

/// Why the service cannot say what it does.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.filter` says nothing useful.
    #[error("log.filter: allowed: {0}")]
    Filter(#[from] BadFilter),
    /// `log.otlp_endpoint` cannot be sent to.
    #[cfg(feature = "otlp")]
    #[error("log.otlp_endpoint: {0}")]
    Export(#[from] otlp::ExportError),
}

/// Logs to stderr from here on, and logs and counts panics. Later calls change nothing.
///
/// # Errors
/// [`BadFilter`], see [`parse_filter`].
pub fn init(format: LogFormat, filter: &str) -> Result<(), BadFilter> {
    install(format, filter, None)
}

/// [`init`] for the service, which may also send its calls' spans somewhere. [`finish`] sends the last ones.
///
/// # Errors
/// [`TelemetryError`].
pub fn init_service(log: &LogSettings) -> Result<(), TelemetryError> {
    #[cfg(feature = "otlp")]
    let traces = log.otlp_endpoint.as_deref().map(otlp::start).transpose()?;
    #[cfg(not(feature = "otlp"))]
    let traces = None;
    Ok(install(log.format, &log.filter, traces)?)
}

fn install(format: LogFormat, filter: &str, traces: Option<BoxedLayer>) -> Result<(), BadFilter> {
    static ONCE: Once = Once::new();
    let text = filter.to_owned();
    let filter = parse_filter(filter)?;
    ONCE.call_once(|| {
        let (filter, handle) = reload::Layer::new(filter);
        let layer = fmt::layer().with_writer(std::io::stderr);
        let layer = match format {
            LogFormat::Pretty => {
                let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
                layer.with_ansi(ansi).boxed()
            }
            LogFormat::Json => layer.json().flatten_event(true).boxed(),
        };
        let log = layer.with_filter(filter.and(filter_fn(is_for_the_log))).boxed();
        let layers: Vec<BoxedLayer> = std::iter::once(log).chain(traces).collect();
        // A subscriber that a test installed before stays.
        if tracing_subscriber::registry().with(layers).try_init().is_ok() {
            let _first = FILTER.set((handle, Mutex::new(text)));
        }
        install_panic_hook();
    });
    Ok(())
}

/// What puts calls into distributed traces, where traces are sent somewhere.
#[must_use]
pub fn tracer() -> Option<Arc<dyn Tracer>> {
    #[cfg(feature = "otlp")]
    if otlp::is_on() {
        return Some(Arc::new(otlp::Export));
    }
    None
}

/// Sends the last spans, for a few seconds at most. Blocks.
pub fn finish() {
    #[cfg(feature = "otlp")]
    otlp::finish();
}

/// Below `info` the libraries beneath us write down requests, with their keys: no filter lets that out. And what happens in
/// calls has its own lines.
fn is_for_the_log(metadata: &Metadata<'_>) -> bool {
    let is_safe = *metadata.level() <= Level::INFO || metadata.target().starts_with("trunkline");
    is_safe && metadata.target() != TARGET
}

/// The filter that is in force.
#[must_use]
pub fn filter() -> String {
    let text = FILTER.get().map(|(_, text)| text.lock().unwrap_or_else(PoisonError::into_inner).clone());
    text.unwrap_or_default()
}

/// Logs by another filter from here on.
///
/// # Errors
/// [`BadFilter`]; what was in force stays so.
pub fn change_filter(text: &str) -> Result<(), BadFilter> {
    let filter = parse_filter(text)?;
    let (handle, current) = FILTER.get().ok_or(BadFilter::NoLog)?;
    // Told by the filter before, or the one that silences the log would silence this.
    tracing::info!(filter = text, "what is logged is changed");
    handle.reload(filter).map_err(|error| BadFilter::Unparsable(error.to_string()))?;
    text.clone_into(&mut current.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

/// Panics since start, in any thread; for the metrics.
#[must_use]
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        let message = info.payload_as_str().unwrap_or("(no text)");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(place, thread = thread.name(), %backtrace, "panic: {message}");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn useful_filters_are_taken() {
        for filter in ["info", "WARN", "off", "warn,trunkline=debug", " info , actix_server=warn "] {
            assert!(parse_filter(filter).is_ok(), "{filter:?}: {:?}", parse_filter(filter).err());
        }
    }

    #[test]
    fn bad_filters_say_which_part_is_bad() {
        for (filter, part) in [
            ("", "\"\""),
            ("verbose", "\"verbose\""),
            ("info,trunkline", "\"trunkline\""),
            ("trunkline=loud", "level"),
            ("trunkline=", "\"trunkline=\""),
            ("info,trunkline[call{id=a}]=trace", "\"trunkline[call{id=a}]=trace\""),
            ("[call]", "\"[call]\""),
        ] {
            let error = parse_filter(filter).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("TARGET=LEVEL"), "{filter:?}: {error}");
        }
    }

    #[test]
    fn panics_are_counted() {
        let before = panics();
        let usual = std::panic::take_hook();
        install_panic_hook();
        let ended = std::thread::spawn(|| panic!("of a test")).join();
        std::panic::set_hook(usual);
        assert!(ended.is_err());
        assert!(panics() > before);
    }
}
