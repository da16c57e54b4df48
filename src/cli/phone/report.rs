use std::fmt;
use std::time::Duration;

use trunkline_media::{LatencyHistogram, LineCodec};
use trunkline_sip::leg::Fares;

/// Longer than this and two frames do not belong to one stretch of sound.
const STRETCH: Duration = Duration::from_millis(500);

/// How the packets of a call fared, as the telephone received them.
#[derive(Clone, Copy, Debug)]
pub struct RtpReport {
    /// Counted and measured.
    pub fares: Fares,
    /// SRTP.
    pub is_encrypted: bool,
}

impl fmt::Display for RtpReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fares { received, lost, late, concealed_ms, jitter, mos, .. } = self.fares;
        let jitter = jitter.as_secs_f64() * 1_000.0;
        let kind = if self.is_encrypted { "SRTP" } else { "RTP" };
        write!(
            f,
            "{kind}, {received} packets, {lost} lost, {late} late, jitter {jitter:.1} ms, {concealed_ms} ms concealed, MOS {mos:.2}"
        )
    }
}

/// What a call was like at the telephone. Displays as a table.
#[derive(Debug)]
pub struct PhoneReport {
    /// The call's id at the service.
    pub call_id: String,
    /// Codec of the line.
    pub codec: LineCodec,
    /// From `ready`, or the answer, to the end.
    pub duration: Duration,
    /// 20 ms frames sent.
    pub frames_out: u64,
    /// Frames that the socket did not take in time.
    pub frames_unsent: u64,
    /// Binary messages, or packets of RTP, received.
    pub frames_in: u64,
    /// Those that were not exactly 20 ms, and fragments.
    pub odd_frames: u64,
    /// Distances between frames of one stretch of sound.
    pub gaps: LatencyHistogram,
    /// From the caller's last word to the arrival of the first sound of the answer.
    pub first_reply: Option<Duration>,
    /// `clear` messages.
    pub clears: u64,
    /// Audio they took back before it was played, in milliseconds.
    pub cleared_ms: u64,
    /// `mark` messages.
    pub marks: u64,
    /// Marks answered with `played`.
    pub marks_answered: u64,
    /// Breaks in the sound without a mark or clear, as played.
    pub playback_gaps: u64,
    /// `fallback` messages: state and reason.
    pub fallback: Vec<String>,
    /// Errors, keys, transfers and whatever else was said.
    pub notes: Vec<String>,
    /// Reason of the service's `stop` or BYE, if one came.
    pub stop_reason: Option<String>,
    /// We hung up, not the service.
    pub hung_up: bool,
    /// At least 200 ms of sound came after the caller's last word, prompts not counted.
    pub reply_heard: bool,
    /// Sound heard in all, in milliseconds.
    pub sound_ms: u64,
    /// How the packets fared, of a call by SIP.
    pub rtp: Option<RtpReport>,
    /// What the caller heard, on a real-time line: 8 kHz mono.
    pub heard: Vec<i16>,
}

impl PhoneReport {
    pub(super) fn new(call_id: String, codec: LineCodec) -> Self {
        Self {
            call_id,
            codec,
            duration: Duration::ZERO,
            frames_out: 0,
            frames_unsent: 0,
            frames_in: 0,
            odd_frames: 0,
            gaps: LatencyHistogram::new(),
            first_reply: None,
            clears: 0,
            cleared_ms: 0,
            marks: 0,
            marks_answered: 0,
            playback_gaps: 0,
            fallback: Vec::new(),
            notes: Vec::new(),
            stop_reason: None,
            hung_up: false,
            reply_heard: false,
            sound_ms: 0,
            rtp: None,
            heard: Vec::new(),
        }
    }

    /// Two frames came this far apart.
    pub(super) fn gap(&self, distance: Duration) {
        if distance < STRETCH {
            self.gaps.record(distance);
        }
    }
}

impl fmt::Display for PhoneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Option<Duration>| match time {
            Some(time) => format!("{:.1} ms", time.as_secs_f64() * 1_000.0),
            None => "-".to_owned(),
        };
        let end = match (&self.stop_reason, self.hung_up) {
            (_, true) => "the caller hung up".to_owned(),
            (Some(reason), false) => format!("the service hung up: {reason}"),
            (None, false) => "the line was closed".to_owned(),
        };
        let mut row = |name: &str, value: String| writeln!(f, "  {name:<18}{value}");
        row("call", format!("{} ({}), {:.1} s, {end}", self.call_id, self.codec.name(), self.duration.as_secs_f64()))?;
        row("sent", format!("{} frames of 20 ms, {} not taken by the socket", self.frames_out, self.frames_unsent))?;
        row(
            "received",
            format!(
                "{} frames, {} of odd length, {:.1} s of sound",
                self.frames_in,
                self.odd_frames,
                self.sound_ms as f64 / 1_000.0
            ),
        )?;
        row(
            "frame distance",
            format!(
                "p50 {}, p99 {}, max {}",
                ms(self.gaps.quantile(0.5)),
                ms(self.gaps.quantile(0.99)),
                ms(Some(self.gaps.max()))
            ),
        )?;
        row("first reply", format!("{} after the last word", ms(self.first_reply)))?;
        row("marks", format!("{} received, {} answered", self.marks, self.marks_answered))?;
        row("clears", format!("{}, {} ms taken back", self.clears, self.cleared_ms))?;
        row("breaks in sound", self.playback_gaps.to_string())?;
        if let Some(rtp) = &self.rtp {
            row("rtp", rtp.to_string())?;
        }
        for fallback in &self.fallback {
            row("fallback", fallback.clone())?;
        }
        for note in &self.notes {
            row("note", note.clone())?;
        }
        Ok(())
    }
}
