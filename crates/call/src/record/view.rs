use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use trunkline_media::LatencyHistogram;
use utoipa::ToSchema;

use super::{
    CallRecord, CallState, Cold, Direction, DropPlace, LegStats, ModelStats, ModelStatus, RtpReading, SeriesView,
    TimelineEntry,
};
use crate::{CallId, CallResult, EndReason, FallbackState, mask_number};

/// The last moment RFC 3339 can write, in ms since 1970: 9999-12-31T23:59:59.999Z.
const LAST_RFC3339_MS: u64 = 253_402_300_799_999;

/// CALL, as the admin listener gives it. Every key is always there, `null` where unknown.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallView {
    /// The call.
    pub call_id: CallId,
    /// The Voice Connector's transaction.
    #[schema(required)]
    pub transaction_id: Option<String>,
    /// The SIP media application's transaction.
    #[schema(required)]
    pub sma_transaction_id: Option<String>,
    /// Where the call stands.
    pub state: CallState,
    /// Who called whom.
    #[schema(required)]
    pub direction: Option<Direction>,
    /// Calling number, masked unless revealed.
    #[schema(required)]
    pub from: Option<String>,
    /// Called number, masked unless revealed.
    #[schema(required)]
    pub to: Option<String>,
    /// The route's pattern.
    #[schema(required)]
    pub route: Option<String>,
    /// How the media comes.
    #[schema(required)]
    pub link: Option<String>,
    /// RFC 3339, UTC, with milliseconds.
    pub started_at: String,
    /// Age of the call, or its length once ended.
    pub duration_ms: u64,
    /// Why it ended.
    #[schema(required)]
    pub end_reason: Option<EndReason>,
    /// Caller to model.
    pub up: UpView,
    /// Model to caller.
    pub down: DownView,
    /// The model's session.
    pub model: ModelView,
    /// Our own share of latency.
    pub bridge: BridgeView,
    /// Outages.
    pub fallback: FallbackView,
    /// Packets, where the call comes by them (SIP).
    #[schema(required)]
    pub rtp: Option<RtpView>,
}

/// Packets of a call's own media.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtpView {
    /// Packets received.
    pub packets: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Those, of all that should have come, in percent.
    pub loss_percent: f64,
    /// Packets that came too late to be played, or twice.
    pub late: u64,
    /// Audio made up in their place.
    pub concealed_ms: u64,
    /// Interarrival jitter, in ms.
    pub jitter_ms: f64,
    /// Depth of the jitter buffer.
    pub depth_ms: u64,
    /// Round trip by RTCP, in ms.
    #[schema(required)]
    pub round_trip_ms: Option<f64>,
    /// Estimated mean opinion score, 1.0 to 4.5.
    #[schema(required)]
    pub mos: Option<f64>,
}

/// Caller to model. Frames are 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpView {
    /// Frames taken from the caller.
    pub frames: u64,
    /// Frames a second, lately.
    pub fps: f64,
    /// Frames lost.
    pub dropped: u64,
    /// Audio that waits, in ms.
    pub queued_ms: u64,
}

/// Model to caller. Frames are 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DownView {
    /// Frames played to the caller.
    pub frames: u64,
    /// Frames a second, lately.
    pub fps: f64,
    /// Frames lost.
    pub dropped: u64,
    /// Audio that waits, in ms.
    pub queued_ms: u64,
    /// Due ticks with an unfinished item and nothing queued.
    pub underruns: u64,
}

/// The model's session.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelView {
    /// Where it stands.
    pub state: ModelStatus,
    /// Its id.
    #[schema(required)]
    pub session_id: Option<String>,
    /// Sessions opened in the place of lost ones.
    pub reconnects: u64,
    /// Responses begun.
    pub responses: u64,
    /// Responses the caller interrupted.
    pub interruptions: u64,
    /// End of the caller's turn to first audio, in ms.
    pub response_latency_ms: LatencyView,
}

/// Latencies in ms, to a thousandth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct LatencyView {
    /// The latest.
    #[schema(required)]
    pub last: Option<f64>,
    /// Median.
    #[schema(required)]
    pub p50: Option<f64>,
    /// 95 % are below.
    #[schema(required)]
    pub p95: Option<f64>,
    /// 99 % are below.
    #[schema(required)]
    pub p99: Option<f64>,
}

/// Our own share of latency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BridgeView {
    /// Socket in to model socket out.
    pub up_ms: QuantilesView,
    /// Model socket in to ready for playout.
    pub down_ms: QuantilesView,
}

/// Latencies in ms, to a thousandth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct QuantilesView {
    /// Median.
    #[schema(required)]
    pub p50: Option<f64>,
    /// 99 % are below.
    #[schema(required)]
    pub p99: Option<f64>,
}

/// Outages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FallbackView {
    /// Where the fallback stands.
    pub state: FallbackState,
    /// Outages so far.
    pub entered: u64,
    /// Prompts played so far.
    pub prompts: u64,
}

/// CALL with all that is kept of it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallDetail {
    /// CALL.
    #[serde(flatten)]
    pub call: CallView,
    /// The trace that the call is part of: 32 hex digits.
    #[schema(required)]
    pub trace_id: Option<String>,
    /// From the choice of the route to the model's first session, in ms.
    #[schema(required)]
    pub setup_ms: Option<f64>,
    /// Whose side failed, once ended.
    #[schema(required)]
    pub result: Option<CallResult>,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// Entries left out because the timeline was full.
    pub timeline_dropped: u64,
    /// Latencies.
    pub histograms: HistogramsView,
    /// Frames lost, by place.
    pub drops: DropsView,
    /// The line over time.
    pub series: SeriesView,
}

/// Latencies as pairs of a bucket's upper bound in ms and what fell into it; empty buckets are left out.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistogramsView {
    /// Socket in to model socket out.
    #[schema(value_type = Vec<Vec<f64>>)]
    pub up_ms: Vec<(f64, u64)>,
    /// Model socket in to ready for playout.
    #[schema(value_type = Vec<Vec<f64>>)]
    pub down_ms: Vec<(f64, u64)>,
    /// End of the caller's turn to first audio.
    #[schema(value_type = Vec<Vec<f64>>)]
    pub response_latency_ms: Vec<(f64, u64)>,
}

/// Frames lost, by [`DropPlace::name`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DropsView {
    /// Caller to model.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub up: BTreeMap<&'static str, u64>,
    /// Model to caller.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub down: BTreeMap<&'static str, u64>,
}

impl CallView {
    pub(super) fn of(record: &CallRecord, cold: &Cold, age: Duration, reveal_numbers: bool) -> Self {
        let show = |number: &Option<String>| {
            number.as_deref().map(|number| if reveal_numbers { number.to_owned() } else { mask_number(number) })
        };
        let facts = &cold.facts;
        let over = cold.end.is_some();
        let started = Duration::from_millis(cold.started_unix_ms.min(LAST_RFC3339_MS));
        Self {
            call_id: record.id.clone(),
            transaction_id: facts.transaction_id.clone(),
            sma_transaction_id: facts.sma_transaction_id.clone(),
            state: cold.state,
            direction: facts.direction,
            from: show(&facts.from),
            to: show(&facts.to),
            route: facts.route.clone(),
            link: facts.link.clone(),
            started_at: humantime::format_rfc3339_millis(UNIX_EPOCH + started).to_string(),
            duration_ms: whole_ms(cold.end.map_or(age, |(_, duration)| duration)),
            end_reason: cold.end.map(|(termination, _)| termination.reason),
            up: UpView::of(&record.up, over),
            down: DownView::of(&record.down, over),
            model: ModelView::of(&record.model, facts.session_id.clone(), over),
            bridge: BridgeView {
                up_ms: QuantilesView::of(&record.bridge.up),
                down_ms: QuantilesView::of(&record.bridge.down),
            },
            fallback: FallbackView {
                state: record.fallback.state(),
                entered: record.fallback.entered(),
                prompts: record.fallback.prompts(),
            },
            rtp: record.rtp.get().map(RtpView::of),
        }
    }
}

impl RtpView {
    fn of(reading: RtpReading) -> Self {
        let expected = (reading.received + reading.lost).max(1);
        Self {
            packets: reading.received,
            lost: reading.lost,
            loss_percent: (reading.lost as f64 * 10_000.0 / expected as f64).round() / 100.0,
            late: reading.late,
            concealed_ms: reading.concealed_ms,
            jitter_ms: millis(reading.jitter),
            depth_ms: reading.depth_ms,
            round_trip_ms: reading.round_trip.map(millis),
            mos: Some(reading.mos).filter(|mos| *mos > 0.0),
        }
    }
}

impl UpView {
    // Rate and queue are of the moment: an ended call has none, even if its writer could not say so any more.
    fn of(leg: &LegStats, over: bool) -> Self {
        let (fps, queued_ms) = if over { (0.0, 0) } else { (leg.fps(), leg.queued_ms()) };
        Self { frames: leg.frames(), fps, dropped: leg.dropped(), queued_ms }
    }
}

impl DownView {
    fn of(leg: &LegStats, over: bool) -> Self {
        let UpView { frames, fps, dropped, queued_ms } = UpView::of(leg, over);
        Self { frames, fps, dropped, queued_ms, underruns: leg.underruns() }
    }
}

impl ModelView {
    fn of(model: &ModelStats, session_id: Option<String>, over: bool) -> Self {
        let state = match model.state() {
            ModelStatus::Lost => ModelStatus::Lost,
            _ if over => ModelStatus::Off,
            state => state,
        };
        let quantile = |q| model.response_latency.quantile(q).map(millis);
        Self {
            state,
            session_id,
            reconnects: model.reconnects(),
            responses: model.responses(),
            interruptions: model.interruptions(),
            response_latency_ms: LatencyView {
                last: model.last_latency().map(millis),
                p50: quantile(0.5),
                p95: quantile(0.95),
                p99: quantile(0.99),
            },
        }
    }
}

impl QuantilesView {
    fn of(histogram: &LatencyHistogram) -> Self {
        Self { p50: histogram.quantile(0.5).map(millis), p99: histogram.quantile(0.99).map(millis) }
    }
}

impl CallDetail {
    pub(super) fn of(record: &CallRecord, cold: &Cold, age: Duration, reveal_numbers: bool) -> Self {
        Self {
            call: CallView::of(record, cold, age, reveal_numbers),
            trace_id: cold.facts.trace.as_ref().map(|trace| trace.trace_id()),
            setup_ms: record.model.setup().map(millis),
            result: cold.end.map(|(termination, _)| termination.result),
            timeline: cold.timeline.clone(),
            timeline_dropped: cold.timeline_dropped,
            histograms: HistogramsView {
                up_ms: buckets(&record.bridge.up),
                down_ms: buckets(&record.bridge.down),
                response_latency_ms: buckets(&record.model.response_latency),
            },
            drops: DropsView { up: drops(&record.up), down: drops(&record.down) },
            series: SeriesView::of(&cold.series),
        }
    }
}

fn buckets(histogram: &LatencyHistogram) -> Vec<(f64, u64)> {
    histogram.buckets().into_iter().map(|(upper, count)| (millis(upper), count)).collect()
}

fn drops(leg: &LegStats) -> BTreeMap<&'static str, u64> {
    DropPlace::ALL.into_iter().map(|place| (place.name(), leg.dropped_at(place))).collect()
}

pub(super) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Ms to a thousandth: finer than the histograms are, and short in JSON.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
