//! Who has the word: the caller's turns, the responses that answer them, and what is owed.
//!
//! Pure bookkeeping. At most one `response.create` of ours is outstanding, none while a response is active, while the
//! caller speaks, or while the server is about to answer by itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::timing::after;

/// Waits before a failed response is asked for again.
const RETRIES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Turns in a row without any sign of an answer, when the caller does not even wait for the time to run out.
const STRIKES: u32 = 3;

/// Cut-off responses remembered for their late audio.
const REMEMBERED: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Silent,
    Speaking,
    /// Stopped, but the turn is not committed yet.
    Closing,
}

#[derive(Debug)]
struct Active {
    id: String,
    cut: bool,
    /// There was a sign of an answer in it.
    answered: bool,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// It had been cut off.
    pub cut: bool,
    /// It had neither sound nor a tool's call, as far as it was ours to hear.
    pub silent: bool,
}

/// Waiting for the model: for the first sign of an answer, then for the answer to go on.
#[derive(Debug)]
struct Watch {
    deadline: Instant,
    /// The response that answers, once there is one.
    response: Option<String>,
    answering: bool,
}

/// What to do about a model that does not answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Stop this response; the next attempt follows its end.
    Cancel(String),
    /// Ask again now.
    Ask,
    /// It was asked again before.
    Mute,
}

/// What to do about a failed response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Asked again later, or not needed any more.
    Handled,
    /// The retries are used up.
    GiveUp,
}

#[derive(Debug)]
pub(crate) struct Turns {
    /// Waits from a turn's end to the first sign of an answer; the answer itself may pause twice as long.
    patience: Duration,
    server_creates: bool,
    caller: Caller,
    active: Option<Active>,
    /// The event id of our outstanding `response.create`.
    asked: Option<String>,
    /// A response is wanted as soon as one can be asked for.
    owed: bool,
    /// The server will answer the committed turn by itself.
    server_owes: bool,
    /// The response to come is not wanted.
    cancel_next: bool,
    /// Items of ours the server has not confirmed yet.
    unconfirmed: Vec<String>,
    cut: VecDeque<String>,
    watch: Option<Watch>,
    /// Turns without a sign of an answer.
    strikes: u32,
    failures: usize,
    /// An answer to this turn was empty, and was asked for again.
    was_empty: bool,
    retry_at: Option<Instant>,
    turn_end: Option<Instant>,
}

impl Turns {
    pub fn new(patience: Duration, server_creates: bool) -> Self {
        Self {
            patience,
            server_creates,
            caller: Caller::Silent,
            active: None,
            asked: None,
            owed: false,
            server_owes: false,
            cancel_next: false,
            unconfirmed: Vec::new(),
            cut: VecDeque::new(),
            watch: None,
            strikes: 0,
            failures: 0,
            was_empty: false,
            retry_at: None,
            turn_end: None,
        }
    }

    // The caller.

    /// True when the model has now left too many turns without any sign of an answer.
    pub fn speech_started(&mut self) -> bool {
        let ignored = self.watch.take().is_some_and(|watch| watch.response.is_none());
        if ignored {
            self.strikes += 1;
        }
        self.caller = Caller::Speaking;
        self.server_owes = false;
        self.retry_at = None;
        self.turn_end = None;
        self.was_empty = false;
        // An answer that is still to begin would talk over the caller.
        self.cancel_next = self.asked.is_some();
        ignored && self.strikes >= STRIKES
    }

    pub fn speech_stopped(&mut self, now: Instant) {
        self.caller = Caller::Closing;
        self.turn_end = Some(now);
    }

    pub fn committed(&mut self, now: Instant) {
        self.caller = Caller::Silent;
        self.turn_end.get_or_insert(now);
        // What begins from here on has heard this turn, whoever asked for it.
        self.cancel_next = false;
        if self.server_creates {
            self.asked = None;
            self.server_owes = true;
            self.watch_first(now);
        } else {
            self.owed = true;
        }
    }

    pub fn caller_speaks(&self) -> bool {
        self.caller != Caller::Silent
    }

    // Responses.

    /// True when this response is not wanted and is to be cancelled.
    pub fn created(&mut self, now: Instant, id: &str) -> bool {
        self.server_owes = false;
        self.asked = None;
        self.retry_at = None;
        if self.caller == Caller::Closing {
            self.caller = Caller::Silent;
        }
        // A response covers every item before it; what the server had not seen yet needs one of its own.
        if self.unconfirmed.is_empty() {
            self.owed = false;
        }
        let deadline = after(now, self.patience);
        let watch = self.watch.get_or_insert(Watch { deadline, response: None, answering: false });
        watch.response.get_or_insert_with(|| id.to_owned());
        self.active = Some(Active { id: id.to_owned(), cut: false, answered: false });
        std::mem::take(&mut self.cancel_next)
    }

    /// A sign of an answer (audio, a tool call) from a response that is not cut off. Gives the caller's waiting time once.
    pub fn answering(&mut self, now: Instant) -> Option<Duration> {
        self.strikes = 0;
        self.failures = 0;
        self.was_empty = false;
        if let Some(active) = self.active.as_mut() {
            active.answered = true;
        }
        let deadline = after(now, self.patience * 2);
        if let Some(watch) = self.watch.as_mut() {
            watch.answering = true;
            watch.deadline = deadline;
        }
        self.turn_end.take().map(|end| now.saturating_duration_since(end))
    }

    /// The model calls a tool: it answers, though the caller hears nothing yet.
    pub fn starts_tool(&mut self, now: Instant) {
        let heard = self.turn_end;
        let _ = self.answering(now);
        self.turn_end = heard;
    }

    /// Any further frame of an answer that has begun.
    pub fn goes_on(&mut self, now: Instant) {
        let deadline = after(now, self.patience * 2);
        if let Some(watch) = self.watch.as_mut().filter(|watch| watch.answering) {
            watch.deadline = deadline;
        }
    }

    /// The response ended.
    pub fn done(&mut self, id: &str) -> Ended {
        let same = |active: &Active| active.id == id || active.id.is_empty() || id.is_empty();
        let was = self.active.take_if(|active| same(active));
        if self.watch.as_ref().is_some_and(|watch| watch.response.as_deref().is_some_and(|of| of == id)) {
            self.watch = None;
        }
        if self.active.is_none() {
            self.unconfirmed.clear();
            self.watch.take_if(|watch| watch.answering);
        }
        let unknown = || Ended { cut: self.is_cut(id), silent: false };
        was.map_or_else(unknown, |active| Ended { cut: active.cut, silent: !active.cut && !active.answered })
    }

    /// The response failed: asked for again after a while, unless the caller has the word or it was not wanted.
    pub fn failed(&mut self, now: Instant, was_cut: bool) -> Failure {
        // Nothing comes of what was asked for: what begins next is another answer.
        self.asked = None;
        self.cancel_next = false;
        if was_cut || self.caller_speaks() {
            return Failure::Handled;
        }
        let Some(wait) = RETRIES.get(self.failures) else { return Failure::GiveUp };
        self.failures += 1;
        self.watch = None;
        self.server_owes = false;
        self.owed = true;
        self.retry_at = Some(after(now, *wait));
        Failure::Handled
    }

    /// The answer had nothing to be heard. It is asked for once more; a model that stays silent may mean it.
    pub fn empty(&mut self) {
        if !self.caller_speaks() && !std::mem::replace(&mut self.was_empty, true) {
            self.owed = true;
        }
    }

    /// Whether the response under way is cut off already, and so has been cancelled or will end by itself.
    pub fn is_active_cut(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.cut)
    }

    /// The response under way is not to be heard any further. Gives its id if there is one.
    pub fn cut_active(&mut self) -> Option<String> {
        let active = self.active.as_mut()?;
        if !active.cut {
            active.cut = true;
            self.cut.push_back(active.id.clone());
            if self.cut.len() > REMEMBERED {
                self.cut.pop_front();
            }
        }
        Some(active.id.clone())
    }

    /// The response that is asked for but has not begun is not wanted.
    pub fn cut_next(&mut self) {
        self.cancel_next = self.active.is_none() && (self.asked.is_some() || self.server_owes);
        self.retry_at = None;
    }

    pub fn is_cut(&self, response_id: &str) -> bool {
        match &self.active {
            Some(active) if response_id.is_empty() || active.id == response_id => active.cut,
            _ => self.cut.iter().any(|cut| cut == response_id),
        }
    }

    pub fn active(&self) -> Option<&str> {
        self.active.as_ref().map(|active| active.id.as_str())
    }

    /// The server says that the response we cancelled is not active.
    pub fn none_to_cancel(&mut self) {
        self.active.take_if(|active| active.cut);
    }

    // Asking for a response.

    pub fn owe(&mut self, now: Instant) {
        self.owed = true;
        self.turn_end.get_or_insert(now);
    }

    pub fn sent_item(&mut self, id: &str) {
        self.unconfirmed.push(id.to_owned());
    }

    pub fn confirmed_item(&mut self, id: &str) {
        self.unconfirmed.retain(|sent| sent != id);
    }

    /// Whether a response is wanted and can be asked for now.
    pub fn can_ask(&self) -> bool {
        self.owed
            && self.active.is_none()
            && self.asked.is_none()
            && self.retry_at.is_none()
            && !self.server_owes
            && !self.caller_speaks()
    }

    pub fn asked(&mut self, now: Instant, event_id: String) {
        self.owed = false;
        self.asked = Some(event_id);
        self.cancel_next = false;
        self.turn_end.get_or_insert(now);
        self.watch_first(now);
    }

    /// Whether an error with this `event_id` may answer our outstanding `response.create`.
    pub fn is_about_asking(&self, event_id: Option<&str>) -> bool {
        self.asked.as_deref().is_some_and(|asked| event_id.is_none_or(|id| id == asked))
    }

    /// Our `response.create` came while another response was active: it is owed until that one is done.
    pub fn conflicted(&mut self, now: Instant) -> Failure {
        self.asked = None;
        self.cancel_next = false;
        self.owed = true;
        if self.active.is_some() { Failure::Handled } else { self.failed(now, false) }
    }

    pub fn server_owes(&self) -> bool {
        self.server_owes
    }

    pub fn owes(&self) -> bool {
        self.owed || self.asked.is_some() || self.server_owes
    }

    pub fn is_quiet(&self) -> bool {
        !self.caller_speaks() && self.active.is_none() && !self.owes() && self.retry_at.is_none()
    }

    // Time.

    pub fn next_timer(&self) -> Option<Instant> {
        self.watch.as_ref().map(|watch| watch.deadline).into_iter().chain(self.retry_at).min()
    }

    /// A failed response may be asked for again.
    pub fn retry_due(&mut self, now: Instant) {
        self.retry_at.take_if(|at| *at <= now);
    }

    pub fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        self.watch.take_if(|watch| watch.deadline <= now)?;
        self.strikes += 1;
        if self.strikes >= 2 {
            return Some(Overdue::Mute);
        }
        self.server_owes = false;
        self.asked = None;
        self.owed = true;
        self.watch_first(now);
        Some(self.cut_active().map_or(Overdue::Ask, Overdue::Cancel))
    }

    fn watch_first(&mut self, now: Instant) {
        let deadline = after(now, self.patience);
        self.watch = Some(Watch { deadline, response: None, answering: false });
    }
}
