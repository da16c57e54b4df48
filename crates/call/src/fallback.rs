use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A goodbye that is not reported as done by then is taken as done.
pub const GOODBYE_GUARD: Duration = Duration::from_secs(10);

/// A prompt that is not reported as done by then is taken as done: the report may have been lost with its channel.
pub const PROMPT_GUARD: Duration = Duration::from_secs(30);

/// Longer than any call; keeps sums of moments and durations within what an `Instant` can hold.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What the fallback goes by (configuration section `fallback`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackSettings {
    /// How many keep-alive prompts there are to cycle through; with 0 the caller waits in silence.
    pub prompts: usize,
    /// Quiet between two prompts.
    pub pause: Duration,
    /// After this long without a session the call is given up.
    pub max_duration: Duration,
    /// A first connect may take this long before the caller is kept company.
    pub first_connect_grace: Duration,
}

impl Default for FallbackSettings {
    fn default() -> Self {
        Self {
            prompts: 3,
            pause: Duration::from_secs(3),
            max_duration: Duration::from_secs(60),
            first_connect_grace: Duration::from_secs(2),
        }
    }
}

/// Where a call's fallback stands, as in CALL's `fallback.state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackState {
    /// The model has the call.
    #[default]
    Idle,
    /// Prompts are spoken by the SIP media application.
    Sma,
    /// Prompts are played into the call's own media.
    Media,
    /// The model did not come back: goodbye and end.
    GaveUp,
}

impl FallbackState {
    /// The state as it stands in JSON and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Sma => "sma",
            Self::Media => "media",
            Self::GaveUp => "gave_up",
        }
    }
}

/// What the policy is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FallbackInput {
    /// The call's first connect to the model began.
    Connecting,
    /// A session is there and has the call.
    Ready,
    /// The session is lost, or an attempt to get one failed.
    Lost {
        /// Trying again is of no use.
        permanent: bool,
        /// For log, peer and operators.
        reason: String,
    },
    /// The prompt on the air ended, or was cut.
    PromptDone,
    /// The goodbye ended.
    GoodbyeDone,
    /// The call ends for another reason: nothing more is to be done.
    CallEnding,
}

/// What the policy wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FallbackAction {
    /// The outage began: tell the peer, count it.
    Entered {
        /// What was lost.
        reason: String,
    },
    /// The session is back: tell the peer.
    Recovered,
    /// No session will come: tell the peer.
    GaveUp {
        /// What was lost last.
        reason: String,
    },
    /// Play this prompt; answered by [`FallbackInput::PromptDone`].
    PlayPrompt {
        /// Which text, `0..prompts`.
        index: usize,
    },
    /// The prompt on the air may end its sentence (and is still answered), no further one comes.
    StopPrompts,
    /// Cut the prompt on the air, if any, and say goodbye; answered by [`FallbackInput::GoodbyeDone`].
    PlayGoodbye,
    /// End the call.
    EndCall,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Nothing is wrong.
    Idle,
    /// The first connect is under way; at `until` the caller has waited long enough.
    Connecting { until: Instant },
    /// No session; given up at `until`.
    Outage { reason: String, until: Instant },
    /// The goodbye is on the air; over at `until` at the latest.
    Goodbye { until: Instant },
    /// Nothing more comes.
    Over,
}

/// Decides what a caller hears while the model is away, and when to give up.
///
/// From the loss until the first prompt, and between two prompts, the line is never quiet for longer than the pause.
/// Prompts never overlap, also not across two outages; they cycle through the texts over the whole call.
#[derive(Clone, Debug)]
pub struct FallbackPolicy {
    settings: FallbackSettings,
    phase: Phase,
    state: FallbackState,
    ever_ready: bool,
    next_prompt: usize,
    /// Until when the prompt on the air is waited for; `None` while none is.
    prompt_guard: Option<Instant>,
    /// When the next prompt may start (only during an outage).
    prompt_due: Option<Instant>,
}

impl FallbackPolicy {
    /// The policy of a call that has not begun to connect.
    #[must_use]
    pub fn new(settings: FallbackSettings) -> Self {
        let FallbackSettings { prompts, pause, max_duration, first_connect_grace } = settings;
        Self {
            settings: FallbackSettings {
                prompts,
                pause: pause.min(FOREVER),
                max_duration: max_duration.min(FOREVER),
                first_connect_grace: first_connect_grace.min(FOREVER),
            },
            phase: Phase::Idle,
            state: FallbackState::Idle,
            ever_ready: false,
            next_prompt: 0,
            prompt_guard: None,
            prompt_due: None,
        }
    }

    /// Where the fallback stands. After the call's end it stays as it was.
    #[must_use]
    pub const fn state(&self) -> FallbackState {
        self.state
    }

    /// Takes one input and appends what is to be done.
    pub fn input(&mut self, now: Instant, input: FallbackInput, out: &mut Vec<FallbackAction>) {
        match input {
            FallbackInput::Connecting => {
                if matches!(self.phase, Phase::Idle) && !self.ever_ready {
                    self.phase = Phase::Connecting { until: now + self.settings.first_connect_grace };
                }
            }
            FallbackInput::Ready => self.ready(out),
            FallbackInput::Lost { permanent, reason } => self.lost(now, permanent, reason, out),
            FallbackInput::PromptDone => {
                if self.prompt_guard.take().is_some() {
                    self.prompt_due = Some(now + self.settings.pause);
                }
            }
            FallbackInput::GoodbyeDone => {
                if matches!(self.phase, Phase::Goodbye { .. }) {
                    self.over(out);
                }
            }
            FallbackInput::CallEnding => self.phase = Phase::Over,
        }
        self.on_timer(now, out);
    }

    /// When [`FallbackPolicy::on_timer`] wants to be called.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle | Phase::Over => None,
            Phase::Connecting { until } | Phase::Goodbye { until } => Some(until),
            Phase::Outage { until, .. } => {
                let prompt = self.prompt_guard.or(self.prompt_due);
                Some(prompt.map_or(until, |prompt| prompt.min(until)))
            }
        }
    }

    /// Does what is due at `now`; called early it does nothing.
    pub fn on_timer(&mut self, now: Instant, out: &mut Vec<FallbackAction>) {
        if self.prompt_guard.is_some_and(|guard| now >= guard) {
            self.prompt_guard = None;
            self.prompt_due = Some(now);
        }
        match self.phase {
            Phase::Connecting { until } if now >= until => self.enter(now, "connecting".to_owned(), out),
            Phase::Goodbye { until } if now >= until => return self.over(out),
            _ => {}
        }
        if let Phase::Outage { until, .. } = self.phase {
            if now >= until {
                self.give_up(now, out);
            } else {
                self.prompt_if_due(now, out);
            }
        }
    }

    fn ready(&mut self, out: &mut Vec<FallbackAction>) {
        match self.phase {
            Phase::Idle | Phase::Connecting { .. } => {}
            Phase::Outage { .. } => out.extend([FallbackAction::StopPrompts, FallbackAction::Recovered]),
            // The caller has been told goodbye: too late.
            Phase::Goodbye { .. } | Phase::Over => return,
        }
        self.ever_ready = true;
        self.phase = Phase::Idle;
        self.state = FallbackState::Idle;
    }

    fn lost(&mut self, now: Instant, permanent: bool, reason: String, out: &mut Vec<FallbackAction>) {
        match &mut self.phase {
            Phase::Idle | Phase::Connecting { .. } => self.enter(now, reason, out),
            Phase::Outage { reason: last, .. } => *last = reason,
            Phase::Goodbye { .. } | Phase::Over => return,
        }
        if permanent {
            self.give_up(now, out);
        }
    }

    fn enter(&mut self, now: Instant, reason: String, out: &mut Vec<FallbackAction>) {
        out.push(FallbackAction::Entered { reason: reason.clone() });
        self.phase = Phase::Outage { reason, until: now + self.settings.max_duration };
        self.state = FallbackState::Media;
        // One of the last outage may still be ending its sentence: then the pause follows it, as ever.
        self.prompt_due = Some(now).filter(|_| self.prompt_guard.is_none());
    }

    fn prompt_if_due(&mut self, now: Instant, out: &mut Vec<FallbackAction>) {
        let due = self.prompt_guard.is_none() && self.prompt_due.is_some_and(|due| now >= due);
        if !due {
            return;
        }
        self.prompt_due = None;
        if self.settings.prompts == 0 {
            return;
        }
        let index = self.next_prompt % self.settings.prompts;
        self.next_prompt = (index + 1) % self.settings.prompts;
        self.prompt_guard = Some(now + PROMPT_GUARD);
        out.push(FallbackAction::PlayPrompt { index });
    }

    fn give_up(&mut self, now: Instant, out: &mut Vec<FallbackAction>) {
        let goodbye = Phase::Goodbye { until: now + GOODBYE_GUARD };
        if let Phase::Outage { reason, .. } = std::mem::replace(&mut self.phase, goodbye) {
            self.state = FallbackState::GaveUp;
            self.prompt_guard = None;
            self.prompt_due = None;
            out.extend([FallbackAction::GaveUp { reason }, FallbackAction::PlayGoodbye]);
        }
    }

    fn over(&mut self, out: &mut Vec<FallbackAction>) {
        self.phase = Phase::Over;
        out.push(FallbackAction::EndCall);
    }
}
