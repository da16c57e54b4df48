//! `GET /metrics` in the Prometheus text format, version 0.0.4.

use std::collections::{BTreeMap, HashSet};
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
use trunkline_call::{CallState, EndReason};

use super::Shared;
use crate::telemetry;

type Labels<const N: usize> = [(&'static str, String); N];

/// Gathers what the calls counted. Everything is read, nothing is kept: the calls' own counters are the truth.
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
    let build = Family::<Labels<1>, Gauge>::default();
    build.get_or_create(&[("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
    registry.register("build_info", "The version that runs", build);

    let calls = Family::<Labels<1>, Gauge>::default();
    let mut by_state: BTreeMap<&str, i64> = BTreeMap::new();
    let live = shared.registry.calls();
    for seen in &live {
        *by_state.entry(seen.record.state().as_str()).or_default() += 1;
    }
    for state in
        [CallState::Announced, CallState::Connecting, CallState::Active, CallState::Fallback, CallState::Ending]
    {
        let count = by_state.get(state.as_str()).copied().unwrap_or_default();
        calls.get_or_create(&[("state", state.as_str().to_owned())]).set(count);
    }
    registry.register("calls", "Calls by state", calls);

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
    let viewers = Gauge::<i64>::default();
    viewers.set(i64::try_from(shared.viewers.taken()).unwrap_or(i64::MAX));
    registry.register("viewers", "Operators who watch the live calls", viewers);
    registry.register("panics", "Panics, each of which ended at most one call", ConstCounter::new(telemetry::panics()));
    registry
}

fn gather_sip(shared: &Shared, registry: &mut Registry) {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mut gauge = |name: &str, help: &str, count: u64| {
        let value = Gauge::<i64>::default();
        value.set(i64::try_from(count).unwrap_or(i64::MAX));
        registry.register(name, help, value);
    };
    let sip = &shared.sip;
    gauge("sip_dialogs", "SIP dialogs", read(&sip.dialogs));
    gauge("sip_transactions", "SIP transactions that are remembered", read(&sip.transactions));
    gauge("sip_trunks_alive", "Trunks that answered the last OPTIONS", read(&sip.trunks_alive));
    gauge("sip_ports_free", "Pairs of media ports that are free", sip.free_ports() as u64);
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
    if let Some(at) = shared.event_source.as_ref().and_then(|source| source.last_success_unix_ms()) {
        let last = Gauge::<i64>::default();
        last.set(i64::try_from(at / 1_000).unwrap_or(i64::MAX));
        registry.register("events_queue_answered_timestamp_seconds", "When the queue last answered", last);
    }
    if let Some(health) = &shared.control_health {
        let requests = Family::<Labels<1>, Counter>::default();
        for (result, count) in std::iter::once(("taken", health.taken())).chain(health.failed()) {
            requests.get_or_create(&[("result", result.to_owned())]).inc_by(count);
        }
        registry.register("sma_requests", "Requests to the SIP media application, by result", requests);
        let waiting = Gauge::<i64>::default();
        waiting.set(i64::try_from(health.waiting()).unwrap_or(i64::MAX));
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
