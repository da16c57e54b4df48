use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use trunkline_media::{FRAME_MS, LatencyHistogram};
use utoipa::ToSchema;

use crate::FallbackState;

/// Where audio was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropPlace {
    /// Caller audio that waited for the transcoder.
    VcRing,
    /// Caller audio that waited for the model.
    SessionRing,
    /// A frame the socket did not take in its tick.
    Socket,
    /// Model audio over the ceiling of what may wait to be played.
    PlayoutLimit,
    /// Audio that could not be used: over size, undecodable.
    BadAudio,
    /// A hop inside the process that was full.
    Mailbox,
}

impl DropPlace {
    /// Every place.
    pub const ALL: [Self; 6] =
        [Self::VcRing, Self::SessionRing, Self::Socket, Self::PlayoutLimit, Self::BadAudio, Self::Mailbox];

    /// The place as it stands in JSON and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VcRing => "vc_ring",
            Self::SessionRing => "session_ring",
            Self::Socket => "socket",
            Self::PlayoutLimit => "playout_limit",
            Self::BadAudio => "bad_audio",
            Self::Mailbox => "mailbox",
        }
    }
}

/// Counters of one direction. A frame is 20 ms.
#[derive(Debug, Default)]
pub struct LegStats {
    frames: AtomicU64,
    frames_at_last_rate: AtomicU64,
    fps_x10: AtomicU64,
    dropped: [AtomicU64; DropPlace::ALL.len()],
    queued_ms: AtomicU64,
    underruns: AtomicU64,
    silence: AtomicU64,
    peak: AtomicU16,
    late_ticks: AtomicU64,
}

impl LegStats {
    /// Counts frames carried.
    pub fn add_frames(&self, frames: u64) {
        self.frames.fetch_add(frames, Relaxed);
    }

    /// Frames carried so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    /// Takes in how loud a frame was: its largest magnitude, 0 to 32,768.
    pub fn add_peak(&self, peak: u16) {
        self.peak.fetch_max(peak, Relaxed);
    }

    /// How loud it was at most since this was last asked. Called about once a second by one owner.
    pub fn take_peak(&self) -> u16 {
        self.peak.swap(0, Relaxed)
    }

    /// Takes the rate of the time since it was last taken, `over` that long. Called about once a second by one owner.
    pub fn measure_rate(&self, over: Duration) {
        let frames = self.frames();
        let before = self.frames_at_last_rate.swap(frames, Relaxed);
        let Some(ms) = u64::try_from(over.as_millis()).ok().filter(|&ms| ms > 0) else {
            return;
        };
        let tenths = frames.saturating_sub(before).saturating_mul(10_000).saturating_add(ms / 2) / ms;
        self.fps_x10.store(tenths, Relaxed);
    }

    /// Frames a second when last measured.
    #[must_use]
    pub fn fps(&self) -> f64 {
        let tenths = u32::try_from(self.fps_x10.load(Relaxed)).unwrap_or(u32::MAX);
        f64::from(tenths) / 10.0
    }

    /// Counts frames lost at `place`.
    pub fn add_dropped(&self, place: DropPlace, frames: u64) {
        if let Some(counter) = self.dropped.get(place as usize) {
            counter.fetch_add(frames, Relaxed);
        }
    }

    /// Counts lost audio by its length; a part of a frame counts as a frame.
    pub fn add_dropped_ms(&self, place: DropPlace, ms: u64) {
        self.add_dropped(place, ms.div_ceil(u64::from(FRAME_MS)));
    }

    /// Frames lost, all places together.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().map(|counter| counter.load(Relaxed)).sum()
    }

    /// Frames lost at `place`.
    #[must_use]
    pub fn dropped_at(&self, place: DropPlace) -> u64 {
        self.dropped.get(place as usize).map_or(0, |counter| counter.load(Relaxed))
    }

    /// Says how much audio waits now, in ms.
    pub fn set_queued_ms(&self, ms: u64) {
        self.queued_ms.store(ms, Relaxed);
    }

    /// Audio that waits, in ms.
    #[must_use]
    pub fn queued_ms(&self) -> u64 {
        self.queued_ms.load(Relaxed)
    }

    /// Says how many underruns there have been in the whole call (downwards only).
    pub fn set_underruns(&self, total: u64) {
        self.underruns.store(total, Relaxed);
    }

    /// Due ticks with an unfinished item and nothing queued.
    #[must_use]
    pub fn underruns(&self) -> u64 {
        self.underruns.load(Relaxed)
    }

    /// Counts frames of silence put in the place of frames that did not come (upwards only).
    pub fn add_silence(&self, frames: u64) {
        self.silence.fetch_add(frames, Relaxed);
    }

    /// Frames of silence put in.
    #[must_use]
    pub fn silence(&self) -> u64 {
        self.silence.load(Relaxed)
    }

    /// Says how many ticks of the playout clock came late by more than one in the whole call (downwards only).
    pub fn set_late_ticks(&self, total: u64) {
        self.late_ticks.store(total, Relaxed);
    }

    /// Ticks that came late.
    #[must_use]
    pub fn late_ticks(&self) -> u64 {
        self.late_ticks.load(Relaxed)
    }
}

/// Where the model's session stands, as in CALL's `model.state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelStatus {
    /// The call has no model (echo), or none yet.
    #[default]
    Off,
    /// A session is being opened.
    Connecting,
    /// It listens.
    Ready,
    /// A response is under way.
    Speaking,
    /// It is lost.
    Lost,
}

impl ModelStatus {
    /// Every state, in the order of their values.
    pub const ALL: [Self; 5] = [Self::Off, Self::Connecting, Self::Ready, Self::Speaking, Self::Lost];

    /// The state as it stands in JSON and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Connecting => "connecting",
            Self::Ready => "ready",
            Self::Speaking => "speaking",
            Self::Lost => "lost",
        }
    }
}

/// Counters of the model's sessions.
pub struct ModelStats {
    state: AtomicU8,
    reconnects: AtomicU64,
    responses: AtomicU64,
    interruptions: AtomicU64,
    /// End of the caller's turn to first audio of the answer.
    pub response_latency: LatencyHistogram,
    /// In us; `NEVER` before the first.
    last_latency_us: AtomicU64,
    /// In us; `NEVER` before the first session.
    setup_us: AtomicU64,
}

/// No latency measured yet.
const NEVER: u64 = u64::MAX;

impl Default for ModelStats {
    fn default() -> Self {
        Self {
            state: AtomicU8::default(),
            reconnects: AtomicU64::default(),
            responses: AtomicU64::default(),
            interruptions: AtomicU64::default(),
            response_latency: LatencyHistogram::new(),
            last_latency_us: AtomicU64::new(NEVER),
            setup_us: AtomicU64::new(NEVER),
        }
    }
}

impl ModelStats {
    /// Says where the session stands.
    pub fn set_state(&self, state: ModelStatus) {
        self.state.store(state as u8, Relaxed);
    }

    /// Where the session stands.
    #[must_use]
    pub fn state(&self) -> ModelStatus {
        ModelStatus::ALL.get(usize::from(self.state.load(Relaxed))).copied().unwrap_or_default()
    }

    /// Counts a session opened in the place of a lost one.
    pub fn add_reconnect(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    /// Sessions opened in the place of lost ones.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    /// Counts a response.
    pub fn add_response(&self) {
        self.responses.fetch_add(1, Relaxed);
    }

    /// Responses begun.
    #[must_use]
    pub fn responses(&self) -> u64 {
        self.responses.load(Relaxed)
    }

    /// Counts a response the caller interrupted.
    pub fn add_interruption(&self) {
        self.interruptions.fetch_add(1, Relaxed);
    }

    /// Responses the caller interrupted.
    #[must_use]
    pub fn interruptions(&self) -> u64 {
        self.interruptions.load(Relaxed)
    }

    /// Takes one response's latency.
    pub fn record_latency(&self, latency: Duration) {
        self.response_latency.record(latency);
        self.last_latency_us.store(whole_us(latency), Relaxed);
    }

    /// Says how long the first session took to be set up.
    pub fn set_setup(&self, took: Duration) {
        self.setup_us.store(whole_us(took), Relaxed);
    }

    /// From the choice of the route to the first session.
    #[must_use]
    pub fn setup(&self) -> Option<Duration> {
        measured(&self.setup_us)
    }

    /// The latest response's latency.
    #[must_use]
    pub fn last_latency(&self) -> Option<Duration> {
        measured(&self.last_latency_us)
    }
}

fn whole_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(NEVER).min(NEVER - 1)
}

fn measured(us: &AtomicU64) -> Option<Duration> {
    let us = us.load(Relaxed);
    (us != NEVER).then(|| Duration::from_micros(us))
}

/// Our own share of latency.
pub struct BridgeStats {
    /// Socket in to model socket out.
    pub up: LatencyHistogram,
    /// Model socket in to ready for playout.
    pub down: LatencyHistogram,
}

impl Default for BridgeStats {
    fn default() -> Self {
        Self { up: LatencyHistogram::new(), down: LatencyHistogram::new() }
    }
}

/// Counters of the outages.
#[derive(Debug, Default)]
pub struct FallbackStats {
    state: AtomicU8,
    entered: AtomicU64,
    prompts: AtomicU64,
}

impl FallbackStats {
    /// Says where the fallback stands.
    pub fn set_state(&self, state: FallbackState) {
        self.state.store(state as u8, Relaxed);
    }

    /// Where the fallback stands.
    #[must_use]
    pub fn state(&self) -> FallbackState {
        FallbackState::ALL.get(usize::from(self.state.load(Relaxed))).copied().unwrap_or_default()
    }

    /// Counts an outage.
    pub fn add_entered(&self) {
        self.entered.fetch_add(1, Relaxed);
    }

    /// Outages so far.
    #[must_use]
    pub fn entered(&self) -> u64 {
        self.entered.load(Relaxed)
    }

    /// Counts a prompt played.
    pub fn add_prompt(&self) {
        self.prompts.fetch_add(1, Relaxed);
    }

    /// Prompts played so far.
    #[must_use]
    pub fn prompts(&self) -> u64 {
        self.prompts.load(Relaxed)
    }
}

/// How the packets of a call's own media fare, where it has any (SIP): written by the leg, about once a second.
#[derive(Debug, Default)]
pub struct RtpStats {
    /// Packets received; 0: the call has no RTP.
    received: AtomicU64,
    lost: AtomicU64,
    most_lost: AtomicU64,
    late: AtomicU64,
    concealed_ms: AtomicU64,
    jitter_us: AtomicU64,
    depth_ms: AtomicU64,
    /// Plus one; 0: not known.
    round_trip_us: AtomicU64,
    mos_x1000: AtomicU64,
}

/// One reading of [`RtpStats`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RtpReading {
    /// Packets received.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late to be played, or twice.
    pub late: u64,
    /// Audio made up in their place, in ms.
    pub concealed_ms: u64,
    /// Interarrival jitter (RFC 3550 section 6.4.1).
    pub jitter: Duration,
    /// Depth of the jitter buffer, in ms.
    pub depth_ms: u64,
    /// Round trip by RTCP, where the peer's reports gave one. On a fast line it may be zero.
    pub round_trip: Option<Duration>,
    /// Estimated mean opinion score, 1.0 to 4.5 (ITU-T G.107); zero where it is not known.
    pub mos: f64,
}

impl RtpStats {
    /// Takes a reading in.
    pub fn set(&self, reading: &RtpReading) {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.received.store(reading.received, Relaxed);
        self.lost.store(reading.lost, Relaxed);
        self.most_lost.fetch_max(reading.lost, Relaxed);
        self.late.store(reading.late, Relaxed);
        self.concealed_ms.store(reading.concealed_ms, Relaxed);
        self.jitter_us.store(us(reading.jitter), Relaxed);
        self.depth_ms.store(reading.depth_ms, Relaxed);
        let round_trip = reading.round_trip.map_or(0, |time| us(time).saturating_add(1));
        self.round_trip_us.store(round_trip, Relaxed);
        self.mos_x1000.store((reading.mos * 1_000.0).round() as u64, Relaxed);
    }

    /// The most packets that ever counted as lost. One that comes late is lost no more: a sum over calls would go back.
    #[must_use]
    pub fn most_lost(&self) -> u64 {
        self.most_lost.load(Relaxed)
    }

    /// The latest reading; `None` where no packet ever came.
    #[must_use]
    pub fn get(&self) -> Option<RtpReading> {
        let received = self.received.load(Relaxed);
        (received > 0).then(|| RtpReading {
            received,
            lost: self.lost.load(Relaxed),
            late: self.late.load(Relaxed),
            concealed_ms: self.concealed_ms.load(Relaxed),
            jitter: Duration::from_micros(self.jitter_us.load(Relaxed)),
            depth_ms: self.depth_ms.load(Relaxed),
            round_trip: self.round_trip_us.load(Relaxed).checked_sub(1).map(Duration::from_micros),
            mos: self.mos_x1000.load(Relaxed) as f64 / 1_000.0,
        })
    }
}
