mod air;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::air::Air;
pub use self::air::{ACCEPT_GUARD, HUSH_GUARD, PROMPT_GUARD};

/// A goodbye that is not reported as done by then is taken as done.
pub const GOODBYE_GUARD: Duration = Duration::from_secs(10);

/// Longer than any call; keeps sums of moments and durations within what an `Instant` can hold.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How the caller is spoken to while the model is away (`fallback.channel`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FallbackChannel {
    /// By the SIP media application where the call has a transaction and the application takes the request in time,
    /// otherwise by the call's own media for the rest of that outage.
    #[default]
    Auto,
    /// By the SIP media application. A prompt that it does not take is played into the call's own media: silence would
    /// be worse.
    Sma,
    /// By the call's own media.
    Media,
}

impl FallbackChannel {
    /// As in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Sma => "sma",
            Self::Media => "media",
        }
    }
}

/// What the fallback goes by (configuration section `fallback`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackSettings {
    /// How the caller is spoken to.
    pub channel: FallbackChannel,
    /// How many keep-alive prompts there are to cycle through; with 0 the caller waits in silence.
    pub prompts: usize,
    /// How long the SIP media application speaks each of them.
    pub speech: Vec<Duration>,
    /// How long it speaks the goodbye.
    pub goodbye_speech: Duration,
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
            channel: FallbackChannel::Auto,
            prompts: 3,
            speech: Vec::new(),
            goodbye_speech: Duration::from_secs(5),
            pause: Duration::from_secs(3),
            max_duration: Duration::from_secs(60),
            first_connect_grace: Duration::from_secs(2),
        }
    }
}

/// Where a call's fallback stands, as in CALL's `fallback.state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
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
    /// Every state, in the order of their values.
    pub const ALL: [Self; 4] = [Self::Idle, Self::Sma, Self::Media, Self::GaveUp];

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
    /// Our line has fallen silent; answers [`FallbackAction::Hush`].
    Hushed,
    /// The SIP media application took the request: it speaks. Answers [`FallbackAction::AskSma`], perhaps late.
    SmaAccepted(SmaPrompt),
    /// It did not, or the request expired.
    SmaRefused(SmaPrompt),
    /// The call ends for another reason: nothing more is to be done.
    CallEnding,
}

/// What the SIP media application is asked to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmaPrompt {
    /// One of the keep-alive texts, and a pause after it.
    KeepAlive(usize),
    /// The last word, and then to hang up.
    Goodbye,
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
    /// Let our line fall silent, within part of [`HUSH_GUARD`] or at once; answered by [`FallbackInput::Hushed`]. What
    /// comes for it waits.
    Hush {
        /// Whatever is being said is cut.
        at_once: bool,
    },
    /// Let our line fall silent at once and lose nothing: the model that is back says the rest after [`Self::Release`].
    Hold,
    /// Our line may speak again.
    Release,
    /// Ask the SIP media application to speak; answered by [`FallbackInput::SmaAccepted`] or
    /// [`FallbackInput::SmaRefused`].
    AskSma {
        /// What to say.
        what: SmaPrompt,
        /// Of no use if it is not asked by then.
        until: Instant,
    },
    /// What the application was asked for is not wanted any more, if it is not on its way yet.
    WithdrawSma,
    /// The application need not finish its pause.
    ResumeSma,
    /// The application says goodbye and hangs up: the call ends when that took effect, or after `wait`.
    LeaveToSma {
        /// How long that may take.
        wait: Duration,
    },
}

#[derive(Clone, Debug)]
enum Phase {
    /// Nothing is wrong.
    Idle,
    /// The first connect is under way; at `until` the caller has waited long enough.
    Connecting { until: Instant },
    /// No session; given up at `until`.
    Outage { reason: String, until: Instant },
    /// The goodbye is on the air, or asked for; over at `until` at the latest.
    Goodbye { until: Instant },
    /// The goodbye is ours to say as soon as the application has ended its sentence.
    BeforeGoodbye { at: Instant },
    /// Nothing more comes.
    Over,
}

/// What hanging up by the application takes beyond its words.
const SMA_HANG_UP: Duration = Duration::from_secs(2);

/// Decides what a caller hears while the model is away, by which channel, and when to give up.
///
/// From the loss until the first prompt, and between two prompts, the line is never quiet for longer than the pause and
/// what the SIP media application takes to be asked. Prompts never overlap, also not across two outages or two channels;
/// they cycle through the texts over the whole call.
#[derive(Clone, Debug)]
pub struct FallbackPolicy {
    settings: FallbackSettings,
    phase: Phase,
    state: FallbackState,
    ever_ready: bool,
    air: Air,
}

impl FallbackPolicy {
    /// The policy of a call that has not begun to connect.
    #[must_use]
    pub fn new(mut settings: FallbackSettings) -> Self {
        settings.pause = settings.pause.min(FOREVER);
        settings.max_duration = settings.max_duration.min(FOREVER);
        settings.first_connect_grace = settings.first_connect_grace.min(FOREVER);
        Self { settings, phase: Phase::Idle, state: FallbackState::Idle, ever_ready: false, air: Air::new() }
    }

    /// Whether the call has a transaction that the SIP media application can be asked about. May become known late.
    pub const fn set_sma(&mut self, known: bool) {
        self.air.set_sma(known);
    }

    /// Where the fallback stands. After the call's end it stays as it was.
    #[must_use]
    pub const fn state(&self) -> FallbackState {
        self.state
    }

    /// Takes one input and appends what is to be done.
    pub fn input(&mut self, now: Instant, input: FallbackInput, out: &mut Vec<FallbackAction>) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        match input {
            FallbackInput::Connecting => {
                if matches!(self.phase, Phase::Idle) && !self.ever_ready {
                    self.phase = Phase::Connecting { until: now + self.settings.first_connect_grace };
                }
            }
            FallbackInput::Ready => self.ready(now, out),
            FallbackInput::Lost { permanent, reason } => self.lost(now, permanent, reason, out),
            FallbackInput::PromptDone => self.air.played(now, &self.settings),
            FallbackInput::GoodbyeDone => {
                if matches!(self.phase, Phase::Goodbye { .. }) && !self.air.asks_goodbye() {
                    self.over(out);
                }
            }
            FallbackInput::Hushed => self.air.hushed(now, self.in_outage(), out),
            FallbackInput::SmaAccepted(what) => self.sma_accepted(now, what, out),
            FallbackInput::SmaRefused(what) => self.sma_refused(now, what, out),
            FallbackInput::CallEnding => self.phase = Phase::Over,
        }
        self.on_timer(now, out);
    }

    /// When [`FallbackPolicy::on_timer`] wants to be called.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        let air = self.air.next_timer(self.in_outage());
        match self.phase {
            Phase::Over => None,
            Phase::Idle => air,
            Phase::Goodbye { until } | Phase::BeforeGoodbye { at: until } => Some(until),
            Phase::Connecting { until } | Phase::Outage { until, .. } => Some(air.map_or(until, |air| air.min(until))),
        }
    }

    /// Does what is due at `now`; called early it does nothing.
    pub fn on_timer(&mut self, now: Instant, out: &mut Vec<FallbackAction>) {
        match self.phase {
            Phase::Connecting { until } if now >= until => self.enter(now, "connecting".to_owned(), out),
            Phase::BeforeGoodbye { at } if now >= at => self.play_goodbye(now, out),
            Phase::Goodbye { until } if now >= until => {
                if self.air.asks_goodbye() {
                    self.play_goodbye(now, out);
                } else {
                    self.over(out);
                }
            }
            _ => {}
        }
        if let Phase::Outage { until, .. } = self.phase
            && now >= until
        {
            self.give_up(now, out);
        }
        if matches!(self.phase, Phase::Idle | Phase::Connecting { .. } | Phase::Outage { .. }) {
            self.air.on_timer(now, &self.settings, self.in_outage(), out);
            self.note_channel();
        }
    }

    fn in_outage(&self) -> bool {
        matches!(self.phase, Phase::Outage { .. })
    }

    /// Keeps the state's word for the channel in step with the channel.
    fn note_channel(&mut self) {
        if self.in_outage() {
            let sma = self.air.uses_sma(self.settings.channel);
            self.state = if sma { FallbackState::Sma } else { FallbackState::Media };
        }
    }

    fn ready(&mut self, now: Instant, out: &mut Vec<FallbackAction>) {
        match self.phase {
            Phase::Idle | Phase::Connecting { .. } => {}
            Phase::Outage { .. } => {
                out.push(FallbackAction::StopPrompts);
                self.air.close(now, out);
                out.push(FallbackAction::Recovered);
            }
            // The caller has been told goodbye: too late.
            Phase::Goodbye { .. } | Phase::BeforeGoodbye { .. } | Phase::Over => return,
        }
        self.ever_ready = true;
        self.phase = Phase::Idle;
        self.state = FallbackState::Idle;
    }

    fn lost(&mut self, now: Instant, permanent: bool, reason: String, out: &mut Vec<FallbackAction>) {
        match &mut self.phase {
            Phase::Idle | Phase::Connecting { .. } => self.enter(now, reason, out),
            Phase::Outage { reason: last, .. } => *last = reason,
            Phase::Goodbye { .. } | Phase::BeforeGoodbye { .. } | Phase::Over => return,
        }
        if permanent {
            self.give_up(now, out);
        }
    }

    fn enter(&mut self, now: Instant, reason: String, out: &mut Vec<FallbackAction>) {
        out.push(FallbackAction::Entered { reason: reason.clone() });
        self.phase = Phase::Outage { reason, until: now + self.settings.max_duration };
        self.air.open(now);
        self.note_channel();
    }

    fn sma_accepted(&mut self, now: Instant, what: SmaPrompt, out: &mut Vec<FallbackAction>) {
        match (what, &self.phase) {
            (SmaPrompt::Goodbye, _) => {
                // Late or not: it speaks and hangs up, and a goodbye of ours would be the second voice.
                self.phase = Phase::Over;
                out.push(FallbackAction::LeaveToSma { wait: self.settings.goodbye_speech + SMA_HANG_UP });
            }
            (SmaPrompt::KeepAlive(index), Phase::Idle | Phase::Connecting { .. } | Phase::Outage { .. }) => {
                let is_back = matches!(self.phase, Phase::Idle);
                self.air.accepted(now, index, &self.settings, is_back, out);
            }
            (SmaPrompt::KeepAlive(_), Phase::Goodbye { .. } | Phase::BeforeGoodbye { .. } | Phase::Over) => {}
        }
    }

    fn sma_refused(&mut self, now: Instant, what: SmaPrompt, out: &mut Vec<FallbackAction>) {
        match what {
            SmaPrompt::KeepAlive(_) => {
                self.air.refused(now, &self.settings, self.in_outage(), out);
            }
            SmaPrompt::Goodbye => {
                if matches!(self.phase, Phase::Goodbye { .. }) && self.air.asks_goodbye() {
                    self.play_goodbye(now, out);
                }
            }
        }
    }

    fn give_up(&mut self, now: Instant, out: &mut Vec<FallbackAction>) {
        let by_sma = self.air.uses_sma(self.settings.channel);
        let until = now + if by_sma { ACCEPT_GUARD } else { GOODBYE_GUARD };
        if let Phase::Outage { reason, .. } = std::mem::replace(&mut self.phase, Phase::Goodbye { until }) {
            self.state = FallbackState::GaveUp;
            out.push(FallbackAction::GaveUp { reason });
            if by_sma {
                self.air.ask_goodbye(now, out);
            } else {
                self.play_goodbye(now, out);
            }
        }
    }

    fn play_goodbye(&mut self, now: Instant, out: &mut Vec<FallbackAction>) {
        if let Some(at) = self.air.speaks_until(now) {
            self.phase = Phase::BeforeGoodbye { at };
            return;
        }
        self.phase = Phase::Goodbye { until: now + GOODBYE_GUARD };
        self.air.fall_silent(out);
        out.push(FallbackAction::PlayGoodbye);
    }

    fn over(&mut self, out: &mut Vec<FallbackAction>) {
        self.phase = Phase::Over;
        out.push(FallbackAction::EndCall);
    }
}
