//! Where speech begins and ends on the session's own audio clock.
//!
//! Frames of 16 ms at 16 kHz are judged by earshot, a small neural net; a frame that is loud and stands clearly out of the noise
//! counts as well, so that tones and other test sounds make turns.

use earshot::Detector;

use crate::format::WireFormat;
use crate::resample::Resampler;

/// Samples of a judged frame, at 16 kHz.
const FRAME: usize = 256;
/// Milliseconds of a judged frame.
const FRAME_MS: u64 = 16;
/// Speech begins when this many of the last [`WINDOW`] frames are voice.
const NEEDED: u32 = 4;
const WINDOW: u32 = 6;
/// Quieter than this nothing is speech, whatever the net says (digital silence and line noise), dB below full scale.
const QUIET_DB: f32 = -60.0;
/// How far above the noise floor a loud frame must stand to count without the net.
const ABOVE_NOISE_DB: f32 = 15.0;

/// What the session asks of the detector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct VadSettings {
    /// 0..=1, higher wants clearer and louder speech.
    pub threshold: f32,
    /// A turn ends after this much silence, in ms.
    pub silence_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VadEvent {
    /// The first voiced ms, without padding.
    Started { voice_ms: u64 },
    /// The end of the turn, with the silence that made it one.
    Stopped { end_ms: u64 },
}

pub(crate) struct Vad {
    format: WireFormat,
    resampler: Option<Resampler>,
    pending: Vec<i16>,
    detector: Box<Detector>,
    /// Tracked loudness of what is not speech, dB.
    noise_db: f32,
    /// Newest frame in the lowest bit.
    recent: u32,
    /// End of the last judged frame on the session's clock, in ms.
    clock_ms: u64,
    /// End of the last voiced frame while in speech.
    speech: Option<u64>,
}

impl Vad {
    pub(crate) fn new(format: WireFormat, clock_ms: u64) -> Self {
        Self {
            format,
            resampler: (format.rate() != 16_000).then(|| Resampler::new(format.rate(), 16_000)),
            pending: Vec::with_capacity(FRAME * 2),
            detector: Detector::default_boxed(),
            noise_db: -70.0,
            recent: 0,
            clock_ms,
            speech: None,
        }
    }

    pub(crate) fn is_speech(&self) -> bool {
        self.speech.is_some()
    }

    /// Forgets the turn under way (its audio was committed or cleared by the client).
    pub(crate) fn end_turn(&mut self) {
        self.speech = None;
        self.recent = 0;
    }

    pub(crate) fn push(&mut self, bytes: &[u8], settings: VadSettings, events: &mut Vec<VadEvent>) {
        let samples = self.format.decode(bytes);
        match &mut self.resampler {
            Some(resampler) => resampler.push(&samples, &mut self.pending),
            None => self.pending.extend_from_slice(&samples),
        }
        let pending = std::mem::take(&mut self.pending);
        let (frames, rest) = pending.as_chunks::<FRAME>();
        for frame in frames {
            self.judge(frame, settings, events);
        }
        self.pending.extend_from_slice(rest);
    }

    fn judge(&mut self, frame: &[i16; FRAME], settings: VadSettings, events: &mut Vec<VadEvent>) {
        self.clock_ms += FRAME_MS;
        let voiced = self.is_voice(frame, settings.threshold);
        self.recent = (self.recent << 1 | u32::from(voiced)) & ((1 << WINDOW) - 1);
        match &mut self.speech {
            Some(last_voice) => {
                if voiced {
                    *last_voice = self.clock_ms;
                } else if self.clock_ms >= *last_voice + settings.silence_ms {
                    let end_ms = *last_voice + settings.silence_ms;
                    self.end_turn();
                    events.push(VadEvent::Stopped { end_ms });
                }
            }
            None => {
                if self.recent.count_ones() >= NEEDED {
                    let frames_back = u64::from(u32::BITS - self.recent.leading_zeros());
                    self.speech = Some(self.clock_ms);
                    events.push(VadEvent::Started { voice_ms: self.clock_ms.saturating_sub(frames_back * FRAME_MS) });
                }
            }
        }
    }

    fn is_voice(&mut self, frame: &[i16; FRAME], threshold: f32) -> bool {
        let power: f32 = frame.iter().map(|sample| f32::from(*sample) / 32_768.0).map(|x| x * x).sum();
        let loudness = 10.0 * (power / FRAME as f32).max(1e-12).log10();
        let stands_out = loudness > -45.0 + 20.0 * threshold && loudness > self.noise_db + ABOVE_NOISE_DB;
        // The floor falls at once and rises by 1.5 dB a second, so that speech does not become noise within a turn.
        self.noise_db = if loudness < self.noise_db { loudness.max(-90.0) } else { self.noise_db + 0.024 };
        if loudness < QUIET_DB {
            return false;
        }
        self.detector.predict_i16(frame) >= threshold || stands_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: VadSettings = VadSettings { threshold: 0.5, silence_ms: 500 };

    fn tone(ms: usize) -> Vec<u8> {
        let samples: Vec<i16> = (0..ms * 24)
            .map(|n| (9000.0 * (std::f64::consts::TAU * 440.0 * n as f64 / 24_000.0).sin()) as i16)
            .collect();
        WireFormat::Pcm24k.encode(&samples)
    }

    #[test]
    fn a_sound_between_silences_is_one_turn_in_its_place() {
        let mut vad = Vad::new(WireFormat::Pcm24k, 0);
        let mut events = Vec::new();
        for part in [vec![0; 48 * 1_000], tone(800), vec![0; 48 * 1_000]] {
            for packet in part.chunks(960) {
                vad.push(packet, SETTINGS, &mut events);
            }
        }
        let [VadEvent::Started { voice_ms }, VadEvent::Stopped { end_ms }] = events[..] else { panic!("{events:?}") };
        assert!(voice_ms.abs_diff(1_000) <= 20, "{voice_ms}");
        assert!(end_ms.abs_diff(2_300) <= 40, "{end_ms}");
    }

    #[test]
    fn a_click_and_quiet_noise_are_no_turn() {
        let mut vad = Vad::new(WireFormat::Pcm24k, 0);
        let mut events = Vec::new();
        vad.push(&vec![0; 48 * 500], SETTINGS, &mut events);
        vad.push(&tone(30), SETTINGS, &mut events);
        let mut rng = fastrand::Rng::with_seed(7);
        let noise: Vec<i16> = (0..24_000 * 3).map(|_| rng.i16(-60..60)).collect();
        vad.push(&WireFormat::Pcm24k.encode(&noise), SETTINGS, &mut events);
        assert_eq!(events, []);
    }
}
