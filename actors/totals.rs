//! Sums over calls, for the metrics.

use trunkline_call::{CallRecord, DropPlace};
use trunkline_media::LatencySum;

/// The latencies of all calls, ended ones included. Larger than [`Totals`], and asked for by the metrics alone.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// Our own share: socket in to model socket out.
    pub up: LatencySum,
    /// Our own share: model socket in to ready for playout.
    pub down: LatencySum,
    /// End of the caller's turn to first audio of the answer.
    pub response: LatencySum,
}

impl Latencies {
    /// Adds one call's.
    pub fn add(&mut self, record: &CallRecord) {
        self.up.add(&record.bridge.up);
        self.down.add(&record.bridge.down);
        self.response.add(&record.model.response_latency);
    }
}

/// What all calls counted, ended ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Caller to model, in frames of 20 ms.
    pub up_frames: u64,
    /// Model to caller, in frames of 20 ms.
    pub down_frames: u64,
    /// Due ticks with an unfinished item and nothing queued.
    pub underruns: u64,
    /// Playout ticks late by more than one.
    pub late_ticks: u64,
    /// Responses of models.
    pub responses: u64,
    /// Responses interrupted.
    pub interruptions: u64,
    /// Sessions replaced.
    pub reconnects: u64,
    /// Outages.
    pub fallback_entered: u64,
    /// Prompts played.
    pub prompts: u64,
    /// RTP packets received.
    pub rtp_received: u64,
    /// RTP packets that never came.
    pub rtp_lost: u64,
    /// RTP packets that came too late to be played, or twice.
    pub rtp_late: u64,
    /// Audio made up in place of lost packets, in ms.
    pub concealed_ms: u64,
    up_dropped: [u64; DropPlace::ALL.len()],
    down_dropped: [u64; DropPlace::ALL.len()],
}

impl Totals {
    /// Adds one call's counters.
    pub fn add(&mut self, record: &CallRecord) {
        self.up_frames += record.up.frames();
        self.down_frames += record.down.frames();
        self.underruns += record.down.underruns();
        self.late_ticks += record.down.late_ticks();
        self.responses += record.model.responses();
        self.interruptions += record.model.interruptions();
        self.reconnects += record.model.reconnects();
        self.fallback_entered += record.fallback.entered();
        self.prompts += record.fallback.prompts();
        if let Some(rtp) = record.rtp.get() {
            self.rtp_received += rtp.received;
            self.rtp_lost += record.rtp.most_lost();
            self.rtp_late += rtp.late;
            self.concealed_ms += rtp.concealed_ms;
        }
        for (place, (up, down)) in
            DropPlace::ALL.into_iter().zip(self.up_dropped.iter_mut().zip(self.down_dropped.iter_mut()))
        {
            *up += record.up.dropped_at(place);
            *down += record.down.dropped_at(place);
        }
    }

    /// Frames lost: direction, place, count.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
        let up = DropPlace::ALL.into_iter().zip(self.up_dropped).map(|(place, count)| ("up", place.name(), count));
        let down =
            DropPlace::ALL.into_iter().zip(self.down_dropped).map(|(place, count)| ("down", place.name(), count));
        up.chain(down)
    }
}
