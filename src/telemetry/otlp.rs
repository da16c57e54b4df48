//! Calls' spans, sent to an OpenTelemetry collector (OTLP over HTTP, <https://opentelemetry.io/docs/specs/otlp/>).
//!
//! The SDK's own thread gathers and sends them; its queue is bounded, and what does not fit is left out. What the service
//! counts shows it: spans that ended are neither sent nor failed then.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use trunkline_actors::spans::{TARGET, Tracer};
use trunkline_call::{MAX_TIMELINE_ENTRIES, TraceContext};

use super::BoxedLayer;
use crate::model::{TlsSetupError, client_config};

/// How long the collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the last spans may hold up the end.
const LAST_SPANS: Duration = Duration::from_secs(3);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
static ENDED: AtomicU64 = AtomicU64::new(0);
static SENT: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// Spans that ended, that a collector took, and that it did not take; since start.
#[must_use]
pub fn counts() -> [u64; 3] {
    [&ENDED, &SENT, &FAILED].map(|count| count.load(Ordering::Relaxed))
}

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file that OTEL_EXPORTER_OTLP_CERTIFICATE names.
    #[error("{0}")]
    Tls(#[from] TlsSetupError),
    /// The HTTP client.
    #[error("{0}")]
    Client(#[from] reqwest::Error),
    /// The exporter, such as headers that are none.
    #[error("{0}")]
    Exporter(#[from] ExporterBuildError),
}

/// Begins to send to the collector at `endpoint`, `http(s)://HOST[:PORT][/PATH]`; `/v1/traces` is added. Headers, a private
/// authority's certificate, sampling and the resource are taken from OpenTelemetry's own environment variables. Blocks.
///
/// # Errors
/// [`ExportError`].
pub(super) fn start(endpoint: &str) -> Result<BoxedLayer, ExportError> {
    let authority =
        std::env::var_os("OTEL_EXPORTER_OTLP_CERTIFICATE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let tls = client_config(authority.as_deref())?;
    let client = reqwest::blocking::Client::builder()
        .tls_backend_preconfigured((*tls).clone())
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()?;
    let provider = SdkTracerProvider::builder()
        // As the timeline is bounded; the first ones stay.
        .with_max_events_per_span(MAX_TIMELINE_ENTRIES as u32)
        .with_resource(resource())
        .with_span_processor(Counted(BatchSpanProcessor::builder(Counting(exporter)).build()))
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("trunkline"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|metadata| metadata.target() == TARGET));
    let _first = PROVIDER.set(provider);
    Ok(layer.boxed())
}

/// Who we are, as far as the environment says nothing else.
fn resource() -> Resource {
    let ours = [("service.name", "trunkline"), ("service.version", env!("CARGO_PKG_VERSION"))];
    let resource = Resource::builder_empty()
        .with_attributes(ours.map(|(key, value)| KeyValue::new(key, value)))
        .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())]);
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => resource.with_service_name(name).build(),
        _ => resource.build(),
    }
}

/// Whether spans are sent.
pub(super) fn is_on() -> bool {
    PROVIDER.get().is_some()
}

/// Sends what is left, for a few seconds at most. Blocks.
pub(super) fn finish() {
    if let Some(Err(error)) = PROVIDER.get().map(|provider| provider.shutdown_with_timeout(LAST_SPANS)) {
        tracing::warn!(%error, "the last spans were not sent");
    }
}

/// Puts calls into the traces of those who brought them.
pub(super) struct Export;

impl Tracer for Export {
    fn begin(&self, span: &tracing::Span, parent: Option<&TraceContext>) -> Option<TraceContext> {
        let propagator = TraceContextPropagator::new();
        if let Some(parent) = parent {
            let state = parent.state().map(|state| ("tracestate".to_owned(), state.to_owned()));
            let headers = std::iter::once(("traceparent".to_owned(), parent.to_string())).chain(state);
            let context = propagator.extract_with_context(&Context::new(), &headers.collect::<HashMap<_, _>>());
            span.set_parent(context).ok()?;
        }
        let context = span.context();
        if !context.span().span_context().is_valid() {
            return None;
        }
        let mut headers = HashMap::new();
        propagator.inject_context(&context, &mut headers);
        TraceContext::parse(headers.get("traceparent")?, headers.get("tracestate").map(String::as_str))
    }
}

/// Counts what ends.
#[derive(Debug)]
struct Counted(BatchSpanProcessor);

impl SpanProcessor for Counted {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        ENDED.fetch_add(1, Ordering::Relaxed);
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Counts what became of it.
#[derive(Debug)]
struct Counting<E>(E);

impl<E: SpanExporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.0.export(batch).await;
        let count = if result.is_ok() { &SENT } else { &FAILED };
        count.fetch_add(spans, Ordering::Relaxed);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
