//! `GET /metrics` in the Prometheus text format, version 0.0.4.

mod histogram;
mod process;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::{HttpResponse, web};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use trunkline_actors::registry::Seen;
use trunkline_actors::totals::Totals;
use trunkline_call::{CallRecord, CallState, EndReason, FallbackState, ModelStatus};
use trunkline_realtime::Loss;

use super::Shared;
use super::openapi::NotLetIn;
use crate::telemetry;
use histogram::{Buckets, ByWorker, MODEL, OWN};

type Labels<const N: usize> = [(&'static str, String); N];

/// Gathers what the calls counted. Everything is read, nothing is kept: the calls' own counters are the truth.
#[utoipa::path(
    get, path = "/metrics",
    responses(
        (status = 200, description = "Prometheus text format 0.0.4", body = String, content_type = "text/plain"),
        NotLetIn,
    )
)]
pub(crate) async fn metrics(shared: web::Data<Shared>) -> HttpResponse {
    let mut text = String::new();
    match encode(&mut text, &gather(&shared)) {
        Ok(()) => HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(classic(&text)),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

/// The encoder writes OpenMetrics, where a counter's family lacks the `_total` of its samples. In the format that every
/// Prometheus and `promtool` read they have one name.
fn classic(open_metrics: &str) -> String {
    let counter = |line: &str| line.strip_prefix("# TYPE ")?.strip_suffix(" counter").map(str::to_owned);
    let counters: HashSet<String> = open_metrics.lines().filter_map(counter).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind), Some(name), Some(rest)) if counters.contains(name) => {
                text.extend(["# ", kind, " ", name, "_total ", rest, "\n"]);
            }
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

fn gather(shared: &Shared) -> Registry {
    let mut registry = Registry::with_prefix("trunkline");
    let build = Family::<Labels<3>, Gauge>::default();
    let words = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("commit", option_env!("TRUNKLINE_COMMIT").unwrap_or("unknown").to_owned()),
        ("features", features()),
    ];
    build.get_or_create(&words).set(1);
    registry.register("build_info", "The version that runs", build);

    let live = shared.registry.calls();
    gather_states(&live, &mut registry);
    registry.register(
        "calls_max",
        "Most calls that are taken (calls.max); 0: no limit",
        gauge(shared.max_calls as u64),
    );
    registry.register("draining", "1 while no new calls are taken", gauge(shared.lifecycle.is_draining().into()));

    let ended = Family::<Labels<1>, Counter>::default();
    let by_reason = shared.registry.ended_by_reason();
    for reason in EndReason::ALL {
        let count = by_reason.get(reason.as_str()).copied().unwrap_or_default();
        ended.get_or_create(&[("reason", reason.as_str().to_owned())]).inc_by(count);
    }
    registry.register("calls_ended", "Calls ended, by reason", ended);
    registry.register("calls_started", "Calls started", ConstCounter::new(shared.registry.started()));

    let totals = shared.registry.totals();
    let frames = Family::<Labels<1>, Counter>::default();
    frames.get_or_create(&[("direction", "up".to_owned())]).inc_by(totals.up_frames);
    frames.get_or_create(&[("direction", "down".to_owned())]).inc_by(totals.down_frames);
    registry.register("frames", "Frames of 20 ms carried", frames);
    let dropped = Family::<Labels<2>, Counter>::default();
    for (direction, place, count) in totals.dropped() {
        dropped.get_or_create(&[("direction", direction.to_owned()), ("place", place.to_owned())]).inc_by(count);
    }
    registry.register("frames_dropped", "Frames of 20 ms lost, by place", dropped);
    registry.register(
        "underruns",
        "Due ticks with an unfinished item and nothing queued",
        ConstCounter::new(totals.underruns),
    );
    registry.register(
        "late_ticks",
        "Ticks of playout clocks that came late by more than one",
        ConstCounter::new(totals.late_ticks),
    );
    registry.register("model_responses", "Responses of the model", ConstCounter::new(totals.responses));
    registry.register("model_interruptions", "Responses a caller interrupted", ConstCounter::new(totals.interruptions));
    registry.register(
        "model_reconnects",
        "Sessions opened in the place of another",
        ConstCounter::new(totals.reconnects),
    );
    registry.register(
        "fallback_entered",
        "Outages of a call's model session",
        ConstCounter::new(totals.fallback_entered),
    );
    registry.register("fallback_prompts", "Keep-alive prompts played", ConstCounter::new(totals.prompts));
    registry.register(
        "malformed_messages",
        "Messages of carriers that could not be read, and were passed over",
        ConstCounter::new(shared.malformed.load(Ordering::Relaxed)),
    );
    gather_aws(shared, &mut registry);
    gather_sip(shared, &mut registry);
    gather_rtp(&totals, &live, &mut registry);
    gather_vitals(shared, &mut registry);
    process::gather(&mut registry);
    #[cfg(feature = "otlp")]
    gather_spans(&mut registry);
    registry.register("viewers", "Operators who watch the live calls", gauge(shared.viewers.taken() as u64));
    registry.register("panics", "Panics, each of which ended at most one call", ConstCounter::new(telemetry::panics()));
    registry
}

/// The features that this build has, as in `entra,otlp`.
fn features() -> String {
    let all = [("entra", cfg!(feature = "entra")), ("otlp", cfg!(feature = "otlp"))];
    all.into_iter().filter_map(|(name, is_on)| is_on.then_some(name)).collect::<Vec<_>>().join(",")
}

/// Those that ended and are in neither count were dropped, or are about to be sent.
#[cfg(feature = "otlp")]
fn gather_spans(registry: &mut Registry) {
    let [ended, sent, failed] = telemetry::otlp::counts();
    registry.register("spans_ended", "Spans of calls that ended and are to be sent", ConstCounter::new(ended));
    let spans = Family::<Labels<1>, Counter>::default();
    spans.get_or_create(&[("outcome", "sent".to_owned())]).inc_by(sent);
    spans.get_or_create(&[("outcome", "failed".to_owned())]).inc_by(failed);
    registry.register("spans", "Spans of calls, by what became of them at the collector", spans);
}

fn gauge(value: u64) -> Gauge {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    gauge
}

/// Live calls by where they stand: the call, its model, its fallback.
fn gather_states(live: &[Seen], registry: &mut Registry) {
    let count = |states: &[&'static str], of: &dyn Fn(&CallRecord) -> &'static str| {
        let family = Family::<Labels<1>, Gauge>::default();
        for state in states {
            family.get_or_create(&[("state", (*state).to_owned())]).set(0);
        }
        for seen in live {
            family.get_or_create(&[("state", of(&seen.record).to_owned())]).inc();
        }
        family
    };
    let calls = count(&CallState::UNENDED.map(CallState::as_str), &|call| call.state().as_str());
    let models = count(&ModelStatus::ALL.map(ModelStatus::as_str), &|call| call.model.state().as_str());
    let fallbacks = count(&FallbackState::ALL.map(FallbackState::as_str), &|call| call.fallback.state().as_str());
    registry.register("calls", "Calls by state", calls);
    registry.register("calls_by_model_state", "Calls by the state of their model's session", models);
    registry.register("calls_by_fallback_state", "Calls by the state of their fallback", fallbacks);
}

/// What is measured over all calls.
fn gather_vitals(shared: &Shared, registry: &mut Registry) {
    let vitals = &shared.bridge.vitals;
    let latencies = shared.registry.latencies();
    let histograms = [
        ("bridge_up_seconds", "Caller's socket in to model's socket out", Buckets::of_sum(&latencies.up, &OWN)),
        ("bridge_down_seconds", "Model's socket in to ready for playout", Buckets::of_sum(&latencies.down, &OWN)),
        (
            "response_latency_seconds",
            "End of the caller's turn to first audio of the model's answer",
            Buckets::of_sum(&latencies.response, &MODEL),
        ),
        ("barge_in_seconds", "Model's speech_started to an empty playout", Buckets::of(&vitals.barge_in, &OWN)),
        ("setup_seconds", "Choice of a call's route to the model's first session", Buckets::of(&vitals.setup, &MODEL)),
    ];
    for (name, help, buckets) in histograms {
        registry.register(name, help, buckets);
    }
    let lags = vitals.lags().iter().map(|lag| Buckets::of(lag, &OWN)).collect();
    registry.register("arbiter_lag_seconds", "How late a worker's tasks are run, sampled", ByWorker(lags));
    registry.register("model_sessions", "Sessions of the model set up", ConstCounter::new(vitals.sessions()));
    let renewals = ConstCounter::new(vitals.renewals());
    registry.register("model_renewals", "Fresh sessions that took over before the old one expired", renewals);
    let losses = Family::<Labels<1>, Counter>::default();
    let happened = vitals.losses();
    for reason in Loss::NAMES {
        let count = happened.get(reason).copied().unwrap_or_default();
        losses.get_or_create(&[("reason", reason.to_owned())]).inc_by(count);
    }
    registry.register("model_losses", "Sessions of the model, and tries to open one, that were lost", losses);
    let full = Family::<Labels<1>, Counter>::default();
    for (actor, count) in vitals.full.counts() {
        full.get_or_create(&[("actor", actor.to_owned())]).inc_by(count);
    }
    registry.register("mailbox_full", "Messages of audio that found an actor's mailbox full", full);
}

fn gather_sip(shared: &Shared, registry: &mut Registry) {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let sip = &shared.sip;
    for (name, help, count) in [
        ("sip_dialogs", "SIP dialogs", read(&sip.dialogs)),
        ("sip_transactions", "SIP transactions that are remembered", read(&sip.transactions)),
        ("sip_trunks_alive", "Trunks that answered the last OPTIONS", read(&sip.trunks_alive)),
        ("sip_ports_free", "Pairs of media ports that are free", sip.free_ports() as u64),
    ] {
        registry.register(name, help, gauge(count));
    }
    registry.register(
        "sip_invites",
        "Calls that came in by SIP and were to be answered or refused for what they are",
        ConstCounter::new(read(&sip.invites)),
    );
    registry.register("sip_refused", "Of those, calls that were refused", ConstCounter::new(read(&sip.refused)));
}

fn gather_rtp(totals: &Totals, live: &[Seen], registry: &mut Registry) {
    let packets = Family::<Labels<1>, Counter>::default();
    for (fate, count) in [("received", totals.rtp_received), ("lost", totals.rtp_lost), ("late", totals.rtp_late)] {
        packets.get_or_create(&[("fate", fate.to_owned())]).inc_by(count);
    }
    registry.register("rtp_packets", "RTP packets of callers, by what became of them", packets);
    let concealed = ConstCounter::new(totals.concealed_ms as f64 / 1_000.0);
    registry.register("rtp_concealed_seconds", "Audio made up in place of lost packets", concealed);
    let readings = || live.iter().filter_map(|seen| seen.record.rtp.get());
    let jitter = readings().map(|rtp| rtp.jitter.as_secs_f64()).fold(0.0, f64::max);
    registry.register(
        "rtp_worst_jitter_seconds",
        "Largest interarrival jitter of a live call",
        ConstGauge::new(jitter),
    );
    if let Some(mos) = readings().map(|rtp| rtp.mos).reduce(f64::min) {
        registry.register("rtp_worst_mos", "Lowest estimated mean opinion score of a live call", ConstGauge::new(mos));
    }
}

fn gather_aws(shared: &Shared, registry: &mut Registry) {
    let events = Family::<Labels<1>, Counter>::default();
    for (outcome, count) in shared.events.outcomes() {
        events.get_or_create(&[("outcome", outcome.as_str().to_owned())]).inc_by(count);
    }
    registry.register("events", "Call events, by what became of them", events);
    let poison = Family::<Labels<1>, Counter>::default();
    for (reason, count) in shared.events.poison() {
        poison.get_or_create(&[("reason", reason.to_owned())]).inc_by(count);
    }
    registry.register("events_poison", "Call events that could not be read, by reason", poison);
    if let Some(source) = &shared.event_source {
        let last = gauge(source.last_success_unix_ms().unwrap_or(0) / 1_000);
        registry.register(
            "events_queue_answered_timestamp_seconds",
            "When the queue last answered; 0: never yet",
            last,
        );
    }
    if let Some(health) = &shared.control_health {
        let requests = Family::<Labels<1>, Counter>::default();
        for (result, count) in std::iter::once(("taken", health.taken())).chain(health.failed()) {
            requests.get_or_create(&[("result", result.to_owned())]).inc_by(count);
        }
        registry.register("sma_requests", "Requests to the SIP media application, by result", requests);
        let waiting = gauge(health.waiting());
        registry.register("sma_waiting", "Requests that wait for their share of the quota", waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counters_family_has_the_name_of_its_samples() {
        let mut registry = Registry::with_prefix("trunkline");
        registry.register("panics", "Panics", ConstCounter::new(3_u64));
        registry.register("calls", "Calls", Gauge::<i64>::default());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert_eq!(
            classic(&text),
            "# HELP trunkline_panics_total Panics.\n# TYPE trunkline_panics_total counter\ntrunkline_panics_total 3\n\
             # HELP trunkline_calls Calls.\n# TYPE trunkline_calls gauge\ntrunkline_calls 0\n"
        );
    }
}
