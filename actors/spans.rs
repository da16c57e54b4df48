//! A call's spans: what a trace shows of it. `tracing` spans of the target [`TARGET`], which the log leaves alone and an
//! exporter of traces listens to; without one they cost a comparison.
//!
//! `call` is the root, or the child of whoever brought the call. Below it stand `connect` (one try for a session with the
//! model), `turn` (from the end of the caller's speech until the answer was heard or cut off), `tool` and `outage`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::Span;
use tracing::field::Empty;
use trunkline_call::{CallRecord, Direction, EndReason, MAX_NOTE_BYTES, Termination, TraceContext};

use crate::uplink::millis;

/// The target of all spans of calls and of the events in them.
pub const TARGET: &str = "trunkline::trace";

/// Ties the spans to the distributed trace that a call is part of.
pub trait Tracer: Send + Sync {
    /// Begins `span`, as a child of `parent`, or else of the span it was made in. Gives what those are to be told who are
    /// called from within it; `None` if nobody records it.
    fn begin(&self, span: &Span, parent: Option<&TraceContext>) -> Option<TraceContext>;
}

/// The span of one call, shared by its actors. It begins as soon as it is known whose trace it is in.
#[derive(Clone)]
pub struct CallSpan {
    span: Arc<OnceLock<Span>>,
    tracer: Option<Arc<dyn Tracer>>,
}

impl CallSpan {
    /// The span of a call of which nothing is known yet.
    #[must_use]
    pub fn new(tracer: Option<Arc<dyn Tracer>>) -> Self {
        Self { span: Arc::default(), tracer }
    }

    /// Begins the span in the trace that the record names, or in a new one, which the record names from then on. Later
    /// calls change nothing.
    pub(crate) fn open(&self, record: &CallRecord) {
        self.span.get_or_init(|| {
            let span = tracing::info_span!(
                target: TARGET,
                parent: None,
                "call",
                otel.kind = "server",
                call = %record.id,
                link = Empty,
                route = Empty,
                direction = Empty,
                reason = Empty,
                result = Empty,
                duration_ms = Empty,
                responses = Empty,
                interruptions = Empty,
                reconnects = Empty,
                up_dropped = Empty,
                down_dropped = Empty,
                underruns = Empty,
                prompts = Empty,
            );
            let parent = record.update(|facts| facts.trace.clone());
            let own = self.tracer.as_ref().and_then(|tracer| tracer.begin(&span, parent.as_deref()));
            record.update(|facts| {
                facts.trace = own.map(Box::new).or_else(|| facts.trace.take());
                facts.in_trace();
            });
            span
        });
    }

    /// The span, for those below it; a disabled one before [`CallSpan::open`].
    pub(crate) fn get(&self) -> Span {
        self.span.get().cloned().unwrap_or_else(Span::none)
    }

    /// What somebody is to be told who is called within `span`, which is below this one.
    pub(crate) fn context(&self, span: &Span, record: &CallRecord) -> TraceContext {
        let own = self.tracer.as_ref().and_then(|tracer| tracer.begin(span, None));
        own.unwrap_or_else(|| record.update(|facts| facts.in_trace().child()))
    }

    /// Something happened in the call, and took so long if that is the point of it. The words are for whoever looks at its
    /// trace: no secret, and none of the talk.
    pub(crate) fn event(&self, kind: &str, text: Option<&str>, took: Option<Duration>) {
        if let Some(span) = self.span.get() {
            let ms = took.map(|took| number(millis(took)));
            tracing::info!(target: TARGET, parent: span, text = text.map(bounded), ms, "{kind}");
        }
    }

    /// The call is over, `duration` after its start (its span may have begun later: when it was known whose trace it is in).
    /// The span ends when the last actor of the call lets go of it.
    pub(crate) fn end(&self, record: &CallRecord, reason: EndReason, duration: Duration) {
        self.open(record);
        let span = self.get();
        if span.is_disabled() {
            return;
        }
        let facts = record.facts();
        span.record("link", facts.link);
        span.record("route", facts.route);
        span.record("direction", facts.direction.map(Direction::as_str));
        span.record("reason", reason.as_str());
        span.record("result", Termination::from(reason).result.as_str());
        for (field, count) in [
            ("duration_ms", millis(duration)),
            ("responses", record.model.responses()),
            ("interruptions", record.model.interruptions()),
            ("reconnects", record.model.reconnects()),
            ("up_dropped", record.up.dropped()),
            ("down_dropped", record.down.dropped()),
            ("underruns", record.down.underruns()),
            ("prompts", record.fallback.prompts()),
        ] {
            span.record(field, number(count));
        }
    }

    /// One try for a session with the model.
    pub(crate) fn connect(&self, purpose: &'static str) -> Span {
        let call = self.get();
        tracing::info_span!(target: TARGET, parent: &call, "connect", otel.kind = "client", purpose, loss = Empty, otel.status_code = Empty)
    }

    /// One call of the tool `name`.
    pub(crate) fn tool(&self, name: &str) -> Span {
        let call = self.get();
        tracing::info_span!(target: TARGET, parent: &call, "tool", otel.kind = "client", name, otel.status_code = Empty)
    }

    /// The model is away.
    pub(crate) fn outage(&self, reason: &str) -> Span {
        let call = self.get();
        tracing::info_span!(target: TARGET, parent: &call, "outage", reason = bounded(reason), end = Empty)
    }

    /// The caller has spoken, or the model begins by itself.
    pub(crate) fn turn(&self) -> Turn {
        let call = self.get();
        let span = tracing::info_span!(
            target: TARGET,
            parent: &call,
            "turn",
            first_audio_ms = Empty,
            status = Empty,
            heard_ms = Empty,
        );
        Turn { span, first_audio: None, status: None, heard_ms: None }
    }
}

/// The span of a turn of the caller's and of what answers it. What is told of it is written at its end, once: an exporter
/// keeps every value of a field.
pub(crate) struct Turn {
    span: Span,
    first_audio: Option<Duration>,
    status: Option<String>,
    heard_ms: Option<u64>,
}

impl Turn {
    /// The answer is heard so long after the turn. The first one counts.
    pub(crate) fn first_audio(&mut self, latency: Duration) {
        self.first_audio.get_or_insert(latency);
    }

    /// How its response ended; the last one counts.
    pub(crate) fn status(&mut self, status: &str) {
        self.status = Some(bounded(status).to_owned());
    }

    /// It was cut off after so much of the answer.
    pub(crate) fn heard(&mut self, ms: u64) {
        self.heard_ms = Some(ms);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.span.record("first_audio_ms", self.first_audio.map(|latency| number(millis(latency))));
        self.span.record("status", self.status.take());
        self.span.record("heard_ms", self.heard_ms.map(number));
    }
}

/// As much of a text as a timeline's entry may have: a model may send megabytes.
fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_NOTE_BYTES)).unwrap_or_default()
}

/// A number as OpenTelemetry knows it: of what has 64 bits without a sign exporters make text.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use trunkline_call::CallId;

    use super::*;

    const BROUGHT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const OWN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01";

    /// Says `OWN` of every span, and remembers whose child it was to be.
    #[derive(Default)]
    struct Notes(Mutex<Vec<Option<String>>>);

    impl Tracer for Notes {
        fn begin(&self, _: &Span, parent: Option<&TraceContext>) -> Option<TraceContext> {
            self.0.lock().unwrap().push(parent.map(ToString::to_string));
            TraceContext::parse(OWN, None)
        }
    }

    fn call(trace: Option<&str>) -> CallRecord {
        let record = CallRecord::new(CallId::parse("a").unwrap(), 0);
        let trace = trace.and_then(|trace| TraceContext::parse(trace, None)).map(Box::new);
        record.update(|facts| facts.trace = trace);
        record
    }

    fn trace_of(record: &CallRecord) -> String {
        record.facts().trace.unwrap().to_string()
    }

    #[test]
    fn a_call_continues_what_it_came_in_and_hands_on_its_own_spans() {
        let notes = Arc::new(Notes::default());
        let span = CallSpan::new(Some(Arc::clone(&notes) as Arc<dyn Tracer>));
        let record = call(Some(BROUGHT));
        span.open(&record);
        span.open(&record);
        assert_eq!(trace_of(&record), OWN, "what comes later is below our span");
        assert_eq!(span.context(&span.tool("lookup_order"), &record).to_string(), OWN);
        assert_eq!(
            *notes.0.lock().unwrap(),
            [Some(BROUGHT.to_owned()), None],
            "begun once; the tool is the call's child"
        );
    }

    #[test]
    fn what_a_model_writes_is_cut_between_characters() {
        assert_eq!(bounded("busy"), "busy");
        let long = "é".repeat(MAX_NOTE_BYTES);
        assert_eq!(bounded(&long).len(), MAX_NOTE_BYTES);
        assert_eq!(bounded(&format!("x{long}")).len(), MAX_NOTE_BYTES - 1);
    }

    #[test]
    fn without_an_exporter_a_call_is_in_a_trace_all_the_same() {
        for (brought, expected) in [(Some(BROUGHT), Some(BROUGHT)), (None, None)] {
            let span = CallSpan::new(None);
            let record = call(brought);
            // As of a call that nobody answered.
            span.end(&record, EndReason::NoMedia, Duration::from_secs(60));
            let trace = trace_of(&record);
            assert!(expected.is_none_or(|expected| trace == expected), "{trace}");
            let told = span.context(&span.tool("x"), &record).to_string();
            assert_eq!(told.split('-').nth(1), trace.split('-').nth(1));
            assert_ne!(told, trace, "whoever is called has a parent of its own");
        }
    }
}
