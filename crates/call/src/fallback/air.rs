use std::time::{Duration, Instant};

use super::{FallbackAction, FallbackChannel, FallbackSettings, SmaPrompt};

/// A prompt that is not reported as done by then is taken as done: the report may have been lost with its channel.
pub const PROMPT_GUARD: Duration = Duration::from_secs(30);

/// Our line may end its sentence for part of this time before the SIP media application speaks; then it is silent.
pub const HUSH_GUARD: Duration = Duration::from_secs(1);

/// An update of the SIP media application that is not accepted by then has failed for the caller who waits.
pub const ACCEPT_GUARD: Duration = Duration::from_secs(1);

/// What is being said.
#[derive(Clone, Copy, Debug)]
enum On {
    Nothing,
    /// Our line was asked to fall silent, so that the application can speak.
    Hushing {
        guard: Instant,
    },
    /// The application was asked to speak.
    Asking {
        what: SmaPrompt,
        deadline: Instant,
    },
    /// It speaks until `said`, and leaves a pause until `until`.
    Sma {
        said: Instant,
        until: Instant,
    },
    /// A prompt of ours is on the air; taken as done at `guard`.
    Media {
        guard: Instant,
    },
}

/// The one voice a caller hears besides the model's: a prompt at a time, by one channel at a time.
#[derive(Clone, Debug)]
pub(super) struct Air {
    on: On,
    /// Our line is silent by our order.
    hushed: bool,
    /// When the next prompt may start.
    due: Option<Instant>,
    next_prompt: usize,
    /// The call has a transaction that the application can be asked about.
    sma: bool,
    /// In this outage the application was no help.
    sma_failed: bool,
    /// Until when the application speaks, as far as is known.
    spoken_until: Option<Instant>,
}

impl Air {
    pub(super) const fn new() -> Self {
        Self {
            on: On::Nothing,
            hushed: false,
            due: None,
            next_prompt: 0,
            sma: false,
            sma_failed: false,
            spoken_until: None,
        }
    }

    pub(super) const fn set_sma(&mut self, known: bool) {
        self.sma = known;
    }

    /// Whether the next prompt is the application's to speak.
    pub(super) fn uses_sma(&self, channel: FallbackChannel) -> bool {
        self.sma && channel != FallbackChannel::Media && !self.sma_failed
    }

    /// An outage begins. What the last one left on the air ends its sentence, and the pause follows it, as ever.
    pub(super) fn open(&mut self, now: Instant) {
        self.sma_failed = false;
        self.due = Some(now).filter(|_| matches!(self.on, On::Nothing));
    }

    /// The outage is over: no further prompt; the one on the air ends its sentence.
    pub(super) fn close(&mut self, now: Instant, out: &mut Vec<FallbackAction>) {
        match self.on {
            On::Hushing { .. } => self.fall_silent(out),
            On::Asking { .. } => {
                out.push(FallbackAction::WithdrawSma);
                self.fall_silent(out);
            }
            On::Sma { until, .. } if now < until => out.push(FallbackAction::ResumeSma),
            On::Nothing => self.release(out),
            On::Sma { .. } | On::Media { .. } => {}
        }
    }

    /// The line has fallen silent.
    pub(super) fn hushed(&mut self, now: Instant, in_outage: bool, out: &mut Vec<FallbackAction>) {
        if matches!(self.on, On::Hushing { .. }) {
            if in_outage {
                self.ask(now, SmaPrompt::KeepAlive(self.next_prompt), out);
            } else {
                self.fall_silent(out);
            }
        }
    }

    /// Our prompt ended.
    pub(super) fn played(&mut self, now: Instant, settings: &FallbackSettings) {
        if matches!(self.on, On::Media { .. }) {
            self.on = On::Nothing;
            self.due = Some(now + settings.pause);
        }
    }

    /// The application speaks, perhaps later than we waited for: two voices at once are worse than a cut sentence. With
    /// `is_back` a model speaks again, whose words are not to be lost.
    pub(super) fn accepted(
        &mut self,
        now: Instant,
        index: usize,
        settings: &FallbackSettings,
        is_back: bool,
        out: &mut Vec<FallbackAction>,
    ) {
        if !matches!(self.on, On::Asking { .. }) {
            out.push(if is_back { FallbackAction::Hold } else { FallbackAction::Hush { at_once: true } });
        } else if settings.prompts > 0 {
            self.next_prompt = (index + 1) % settings.prompts;
        }
        self.hushed = true;
        self.due = None;
        let said = now + settings.speech.get(index).copied().unwrap_or_default();
        self.spoken_until = Some(said);
        self.on = On::Sma { said, until: said + settings.pause };
    }

    /// When the application comes to the end of its sentence, if it is in the middle of one.
    pub(super) fn speaks_until(&self, now: Instant) -> Option<Instant> {
        self.spoken_until.filter(|until| *until > now)
    }

    /// The application does not speak: we do. True if it was waited for.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        settings: &FallbackSettings,
        in_outage: bool,
        out: &mut Vec<FallbackAction>,
    ) -> bool {
        let On::Asking { what: SmaPrompt::KeepAlive(index), .. } = self.on else { return false };
        self.sma_failed |= settings.channel == FallbackChannel::Auto;
        self.fall_silent(out);
        if in_outage {
            self.play(now, index, settings, out);
        }
        true
    }

    /// Asks the application for the last word.
    pub(super) fn ask_goodbye(&mut self, now: Instant, out: &mut Vec<FallbackAction>) {
        if !self.hushed {
            self.hushed = true;
            out.push(FallbackAction::Hush { at_once: true });
        }
        self.ask(now, SmaPrompt::Goodbye, out);
    }

    /// Whether the application was asked for the last word and has not answered.
    pub(super) const fn asks_goodbye(&self) -> bool {
        matches!(self.on, On::Asking { what: SmaPrompt::Goodbye, .. })
    }

    /// Nothing of ours is on the air any more, and nothing is due.
    pub(super) fn fall_silent(&mut self, out: &mut Vec<FallbackAction>) {
        self.on = On::Nothing;
        self.due = None;
        self.release(out);
    }

    /// When time has something to do here.
    pub(super) fn next_timer(&self, in_outage: bool) -> Option<Instant> {
        match self.on {
            On::Nothing => self.due.filter(|_| in_outage),
            On::Hushing { guard } => Some(guard),
            On::Media { guard } => Some(guard).filter(|_| in_outage),
            On::Asking { deadline, .. } => Some(deadline),
            On::Sma { said, until } => Some(if in_outage { until } else { said }),
        }
    }

    /// Does what is due; a goodbye's deadline is the policy's.
    pub(super) fn on_timer(
        &mut self,
        now: Instant,
        settings: &FallbackSettings,
        in_outage: bool,
        out: &mut Vec<FallbackAction>,
    ) {
        match self.on {
            On::Media { guard } if now >= guard => {
                self.on = On::Nothing;
                self.due = Some(now);
            }
            On::Hushing { guard } if now >= guard => self.hushed(now, in_outage, out),
            On::Asking { deadline, .. } if now >= deadline => {
                self.refused(now, settings, in_outage, out);
            }
            On::Sma { until, .. } if in_outage && now >= until => {
                self.on = On::Nothing;
                self.due = Some(now);
            }
            On::Sma { said, .. } if !in_outage && now >= said => self.fall_silent(out),
            _ => {}
        }
        if in_outage {
            self.speak_if_due(now, settings, out);
        }
    }

    fn speak_if_due(&mut self, now: Instant, settings: &FallbackSettings, out: &mut Vec<FallbackAction>) {
        if !matches!(self.on, On::Nothing) || self.due.is_none_or(|due| now < due) {
            return;
        }
        self.due = None;
        if settings.prompts == 0 {
            return;
        }
        let index = self.next_prompt % settings.prompts;
        if !self.uses_sma(settings.channel) {
            self.release(out);
            self.play(now, index, settings, out);
        } else if self.hushed {
            self.ask(now, SmaPrompt::KeepAlive(index), out);
        } else {
            self.hushed = true;
            self.on = On::Hushing { guard: now + HUSH_GUARD };
            out.push(FallbackAction::Hush { at_once: false });
        }
    }

    fn ask(&mut self, now: Instant, what: SmaPrompt, out: &mut Vec<FallbackAction>) {
        let deadline = now + ACCEPT_GUARD;
        self.on = On::Asking { what, deadline };
        out.push(FallbackAction::AskSma { what, until: deadline });
    }

    fn play(&mut self, now: Instant, index: usize, settings: &FallbackSettings, out: &mut Vec<FallbackAction>) {
        self.next_prompt = (index + 1) % settings.prompts.max(1);
        self.on = On::Media { guard: now + PROMPT_GUARD };
        out.push(FallbackAction::PlayPrompt { index });
    }

    fn release(&mut self, out: &mut Vec<FallbackAction>) {
        if std::mem::take(&mut self.hushed) {
            out.push(FallbackAction::Release);
        }
    }
}
