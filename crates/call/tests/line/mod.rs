//! A fallback policy on a clock of its own.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::time::{Duration, Instant};

use trunkline_call::{FallbackAction as Act, FallbackInput as In, FallbackPolicy, FallbackSettings, FallbackState};

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
}

impl Line {
    pub fn new(settings: FallbackSettings) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "some moment to start from; the test's own clock goes on from it"
        )]
        let start = Instant::now();
        let policy = FallbackPolicy::new(settings);
        Self { start, now_ms: 0, policy, log: vec![], prompt_ms: Some(2_000), goodbye_ms: Some(4_000), ends: None }
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
                    self.ends = self.prompt_ms.map(|ms| (self.now_ms + ms, In::PromptDone));
                }
                Act::PlayGoodbye => self.ends = self.goodbye_ms.map(|ms| (self.now_ms + ms, In::GoodbyeDone)),
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
            let Some(next) = [timer, end].into_iter().flatten().min().filter(|&at| at <= to_ms) else {
                break;
            };
            self.now_ms = next;
            match self.ends.take_if(|&mut (at, _)| at == next) {
                Some((_, input)) => self.input(input),
                None => self.step(|policy, now, out| policy.on_timer(now, out)),
            }
        }
        self.now_ms = to_ms;
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
    }
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
