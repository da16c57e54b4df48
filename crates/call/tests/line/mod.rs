//! A fallback policy on a clock of its own.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::time::{Duration, Instant};

use trunkline_call::{
    FallbackAction as Act, FallbackChannel, FallbackInput as In, FallbackPolicy, FallbackSettings, FallbackState,
    SmaPrompt,
};

const PAUSE_MS: u64 = 3_000;
const MAX_MS: u64 = 60_000;
const GRACE_MS: u64 = 2_000;

/// A policy on a clock of its own, and what it wanted so far.
pub struct Line {
    pub start: Instant,
    pub now_ms: u64,
    pub policy: FallbackPolicy,
    pub log: Vec<(u64, Act)>,
    /// Prompts and goodbyes report their end this long after their start; `None` = never.
    pub prompt_ms: Option<u64>,
    pub goodbye_ms: Option<u64>,
    pub ends: Option<(u64, In)>,
    /// Our line falls silent this long after it is asked to.
    pub hush_ms: u64,
    /// How the SIP media application answers, one request after the other, again and again: after so many ms it takes
    /// the request or not; `None` = no answer.
    pub answers: Vec<Option<(u64, bool)>>,
    asked: usize,
    pending: Vec<(u64, In)>,
    /// Until when the application speaks.
    pub spoken_until: u64,
    /// What was heard of either voice: from, until.
    pub heard: Vec<(u64, u64)>,
    speech: Vec<Duration>,
}

impl Line {
    pub fn new(settings: FallbackSettings) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "some moment to start from; the test's own clock goes on from it"
        )]
        let start = Instant::now();
        let speech = settings.speech.clone();
        let policy = FallbackPolicy::new(settings);
        Self {
            start,
            now_ms: 0,
            policy,
            log: vec![],
            prompt_ms: Some(2_000),
            goodbye_ms: Some(4_000),
            ends: None,
            hush_ms: 200,
            answers: vec![None],
            asked: 0,
            pending: vec![],
            spoken_until: 0,
            heard: vec![],
            speech,
        }
    }

    fn alone(&self, what: &Act) {
        assert!(self.now_ms >= self.spoken_until, "{what:?} at {} ms while the application speaks", self.now_ms);
    }

    pub fn input(&mut self, input: In) {
        self.step(|policy, now, out| policy.input(now, input, out));
    }

    pub fn step(&mut self, call: impl FnOnce(&mut FallbackPolicy, Instant, &mut Vec<Act>)) {
        let now = self.start + Duration::from_millis(self.now_ms);
        let mut out = vec![];
        call(&mut self.policy, now, &mut out);
        assert!(self.policy.next_timer().is_none_or(|timer| timer > now), "a due timer was left undone: {out:?}");
        for action in out {
            match action {
                Act::PlayPrompt { .. } => {
                    assert!(self.ends.is_none(), "{action:?} at {} ms while a prompt is on the air", self.now_ms);
                    self.alone(&action);
                    self.ends = self.prompt_ms.map(|ms| (self.now_ms + ms, In::PromptDone));
                    self.heard.extend(self.prompt_ms.map(|ms| (self.now_ms, self.now_ms + ms)));
                }
                Act::PlayGoodbye => {
                    self.alone(&action);
                    self.ends = self.goodbye_ms.map(|ms| (self.now_ms + ms, In::GoodbyeDone));
                }
                Act::Release => self.alone(&action),
                Act::Hush { at_once } => {
                    if self.ends.take().is_some() {
                        assert!(at_once, "a prompt is cut for nothing at {} ms", self.now_ms);
                    }
                    self.pending.push((self.now_ms + if at_once { 0 } else { self.hush_ms }, In::Hushed));
                }
                Act::Hold => {
                    self.ends = None;
                    self.pending.push((self.now_ms, In::Hushed));
                }
                Act::AskSma { what, .. } => {
                    if let Some((ms, taken)) = self.answers[self.asked % self.answers.len()] {
                        let answer = if taken { In::SmaAccepted(what) } else { In::SmaRefused(what) };
                        self.pending.push((self.now_ms + ms, answer));
                    }
                    self.asked += 1;
                }
                _ => {}
            }
            self.log.push((self.now_ms, action));
        }
    }

    /// Lets time go by, with timers and ends of prompts in their order.
    pub fn run_to(&mut self, to_ms: u64) {
        loop {
            let timer = self.policy.next_timer().map(|at| (at - self.start).as_millis() as u64);
            let end = self.ends.as_ref().map(|&(at, _)| at);
            let answer = self.pending.iter().map(|&(at, _)| at).min();
            let Some(next) = [timer, end, answer].into_iter().flatten().min().filter(|&at| at <= to_ms) else {
                break;
            };
            self.now_ms = next;
            if answer == Some(next) {
                let at = self.pending.iter().position(|&(at, _)| at == next).unwrap();
                let (_, input) = self.pending.remove(at);
                self.answered(input);
                continue;
            }
            match self.ends.take_if(|&mut (at, _)| at == next) {
                Some((_, input)) => self.input(input),
                None => self.step(|policy, now, out| policy.on_timer(now, out)),
            }
        }
        self.now_ms = to_ms;
    }

    fn answered(&mut self, input: In) {
        let taken = if let In::SmaAccepted(what) = input { Some(what) } else { None };
        let said = self.log.len();
        self.input(input);
        let Some(SmaPrompt::KeepAlive(index)) = taken else { return };
        let over = self.policy.next_timer().is_none() && self.log.len() == said;
        let silences = |act: &Act| matches!(act, Act::Hush { at_once: true } | Act::Hold);
        let cut = self.log[said..].iter().any(|(at, act)| *at == self.now_ms && silences(act));
        let goodbye = self.log.iter().any(|(_, act)| matches!(act, Act::GaveUp { .. }));
        assert!(cut || self.ends.is_none() || goodbye || over, "two voices from {} ms", self.now_ms);
        if !goodbye {
            self.spoken_until = self.now_ms + self.speech[index].as_millis() as u64;
            self.heard.push((self.now_ms, self.spoken_until));
        }
    }

    pub fn at(&mut self, ms: u64, input: In) -> &mut Self {
        self.run_to(ms);
        self.input(input);
        self
    }

    pub fn take(&mut self, until_ms: u64) -> Vec<(u64, Act)> {
        self.run_to(until_ms);
        std::mem::take(&mut self.log)
    }
}

pub fn settings() -> FallbackSettings {
    FallbackSettings {
        prompts: 3,
        pause: Duration::from_millis(PAUSE_MS),
        max_duration: Duration::from_millis(MAX_MS),
        first_connect_grace: Duration::from_millis(GRACE_MS),
        speech: vec![Duration::from_millis(1_000), Duration::from_millis(3_000), Duration::from_millis(2_000)],
        goodbye_speech: Duration::from_millis(5_000),
        ..FallbackSettings::default()
    }
}

/// A call that has a session, and a transaction of the SIP media application, which answers like this.
pub fn talking_by(channel: FallbackChannel, answers: &[Option<(u64, bool)>]) -> Line {
    let mut line = Line::new(FallbackSettings { channel, ..settings() });
    line.policy.set_sma(true);
    line.answers = answers.to_vec();
    line.at(0, In::Connecting).at(300, In::Ready);
    line.log.clear();
    line
}

/// What is asked of the application at `at`, for a second.
pub fn ask(line: &Line, at: u64, what: SmaPrompt) -> (u64, Act) {
    (at, Act::AskSma { what, until: line.start + Duration::from_millis(at + 1_000) })
}

/// A call that has a session.
pub fn talking() -> Line {
    let mut line = Line::new(settings());
    line.at(0, In::Connecting).at(300, In::Ready);
    assert_eq!(line.take(1_000), []);
    assert_eq!(line.policy.state(), FallbackState::Idle);
    line
}

pub fn lost(reason: &str) -> In {
    In::Lost { permanent: false, reason: reason.to_owned() }
}

pub fn refused() -> In {
    In::Lost { permanent: true, reason: "401".to_owned() }
}

pub fn entered(reason: &str) -> Act {
    Act::Entered { reason: reason.to_owned() }
}

pub fn gave_up(reason: &str) -> Act {
    Act::GaveUp { reason: reason.to_owned() }
}

pub const fn prompt(index: usize) -> Act {
    Act::PlayPrompt { index }
}
