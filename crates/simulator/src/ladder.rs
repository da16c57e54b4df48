//! The order and the times in which an answer is told.
//!
//! From captures: created, 240 ms of thinking, item, part, three words, then audio in deltas of 100, 150, 250 and 500 ms with words
//! between them, faster than they are to be played; then everything is closed from the inside out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::format::WireFormat;

/// One thing said by the server about a response. Outputs are the entries of its plan, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Created,
    /// `response.output_item.added` and `conversation.item.added` of the next output.
    ItemAdded(usize),
    PartAdded,
    Words(String),
    /// This byte range of the output's audio.
    Audio(usize, usize),
    Arguments(String),
    AudioDone,
    TextDone,
    PartDone,
    ArgumentsDone,
    ItemDone,
    /// An event no client knows.
    Unknown,
    /// Here an answer was cut off: what is open gets closed.
    Tail,
    Done,
}

/// One entry of a response's output.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    Speech { audio: Vec<u8>, transcript: String },
    Text(String),
    Call { name: String, call_id: String, arguments: String },
}

/// How it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Completed,
    /// `turn_detected` or `client_cancelled`.
    Cancelled(&'static str),
    /// `max_output_tokens` or `content_filter`.
    Incomplete(String),
    Failed(String),
}

pub(crate) struct Pace {
    /// From the start to the first audio.
    pub latency: Duration,
    /// Times real time.
    pub speed: f64,
    /// Sizes of deltas.
    pub format: WireFormat,
}

/// Lead of the item and its first words over its first audio.
const LEAD: Duration = Duration::from_millis(48);
/// Durations of the first deltas; the last one repeats.
const BURSTS_MS: [usize; 4] = [100, 150, 250, 500];

pub(crate) struct Ladder {
    steps: VecDeque<(Instant, Step)>,
    at: Instant,
}

impl Ladder {
    fn say(&mut self, after_ms: u64, step: Step) {
        self.at += Duration::from_millis(after_ms);
        self.steps.push_back((self.at, step));
    }

    fn not_before(&mut self, at: Instant) {
        self.at = self.at.max(at);
    }
}

pub(crate) fn ladder(
    outputs: &[Output],
    failed: bool,
    start: Instant,
    pace: &Pace,
    extra: bool,
) -> VecDeque<(Instant, Step)> {
    let mut ladder = Ladder { steps: VecDeque::new(), at: start };
    ladder.say(0, Step::Created);
    if failed {
        ladder.say(120, Step::Done);
        return ladder.steps;
    }
    ladder.not_before(start + pace.latency.saturating_sub(LEAD));
    for (index, output) in outputs.iter().enumerate() {
        ladder.say(1, Step::ItemAdded(index));
        match output {
            Output::Speech { audio, transcript } => {
                ladder.say(4, Step::PartAdded);
                speech(&mut ladder, audio.len(), transcript, pace);
                ladder.say(10, Step::AudioDone);
                ladder.say(1, Step::TextDone);
                ladder.say(1, Step::PartDone);
            }
            Output::Text(text) => {
                ladder.say(4, Step::PartAdded);
                words(text).into_iter().for_each(|word| ladder.say(6, Step::Words(word)));
                ladder.say(2, Step::TextDone);
                ladder.say(1, Step::PartDone);
            }
            Output::Call { arguments, .. } => {
                pieces(arguments).into_iter().for_each(|piece| ladder.say(7, Step::Arguments(piece)));
                ladder.say(5, Step::ArgumentsDone);
            }
        }
        ladder.say(1, Step::ItemDone);
    }
    if extra {
        ladder.say(0, Step::Unknown);
    }
    ladder.say(3, Step::Done);
    ladder.steps
}

fn speech(ladder: &mut Ladder, length: usize, transcript: &str, pace: &Pace) {
    let mut words: VecDeque<String> = words(transcript).into();
    let mut say_words = |ladder: &mut Ladder, count: usize| {
        for word in words.drain(..count.min(words.len())) {
            ladder.say(6, Step::Words(word));
        }
    };
    say_words(ladder, 3);
    ladder.at += Duration::from_millis(25);
    let first = ladder.at;
    let mut from = 0;
    for burst in 0.. {
        if from >= length {
            break;
        }
        let burst_ms = BURSTS_MS.get(burst).or(BURSTS_MS.last()).copied().unwrap_or(100);
        let to = (from + burst_ms * pace.format.bytes_per_ms()).min(length);
        let sound_before = Duration::from_millis((from / pace.format.bytes_per_ms()) as u64);
        ladder.not_before(first + sound_before.div_f64(pace.speed));
        ladder.say(0, Step::Audio(from, to));
        from = to;
        say_words(ladder, 2);
    }
    say_words(ladder, usize::MAX);
}

/// What is still said of a response that ends early. `open` is its unfinished output, `part` whether its content was begun.
pub(crate) fn tail(open: Option<&Output>, part: bool, at: Instant) -> VecDeque<(Instant, Step)> {
    let mut ladder = Ladder { steps: VecDeque::new(), at };
    match open {
        Some(Output::Speech { .. }) if part => {
            ladder.say(0, Step::AudioDone);
            ladder.say(1, Step::TextDone);
            ladder.say(1, Step::PartDone);
        }
        Some(Output::Text(_)) if part => {
            ladder.say(0, Step::TextDone);
            ladder.say(1, Step::PartDone);
        }
        Some(Output::Call { .. }) => ladder.say(0, Step::ArgumentsDone),
        _ => {}
    }
    if open.is_some() {
        ladder.say(1, Step::ItemDone);
    }
    ladder.say(3, Step::Done);
    ladder.steps
}

/// Words with the space before them, as they are sent.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ')
        .scan(false, |space_before, word| {
            let trimmed = word.trim_end_matches(' ');
            let said = if *space_before { format!(" {trimmed}") } else { trimmed.to_owned() };
            *space_before = word.ends_with(' ');
            Some(said)
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// Arguments in pieces of up to six characters.
fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(6).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(speed: f64) -> Pace {
        Pace { latency: Duration::from_millis(300), speed, format: WireFormat::Pcm24k }
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs a beginning of time")]
    fn beginning() -> Instant {
        Instant::now()
    }

    #[test]
    fn deltas_grow_and_come_at_the_asked_speed() {
        let start = beginning();
        let speech =
            Output::Speech { audio: vec![0; 48 * 2_000], transcript: "one two three four five six seven eight".into() };
        let steps = ladder(&[speech], false, start, &pace(4.0), false);
        let audio: Vec<_> = steps
            .iter()
            .filter_map(|(at, step)| match step {
                Step::Audio(from, to) => Some(((*at - start).as_millis(), (to - from) / 48)),
                _ => None,
            })
            .collect();
        assert_eq!(audio.iter().map(|(_, ms)| *ms).collect::<Vec<_>>(), [100, 150, 250, 500, 500, 500]);
        assert_eq!(audio[0].0, 300);
        assert!(audio[5].0.abs_diff(300 + 1_500 / 4) < 40, "{audio:?}");
        assert!(steps.iter().zip(steps.iter().skip(1)).all(|(a, b)| a.0 <= b.0), "times go forward");
        let said: String = steps
            .iter()
            .filter_map(|(_, step)| if let Step::Words(w) = step { Some(w.as_str()) } else { None })
            .collect();
        assert_eq!(said, "one two three four five six seven eight");
        assert_eq!(steps.back().unwrap().1, Step::Done);
    }

    #[test]
    fn a_failure_says_little_and_a_tail_closes_what_was_opened() {
        let at = beginning();
        let kinds = |steps: VecDeque<(Instant, Step)>| steps.into_iter().map(|(_, step)| step).collect::<Vec<_>>();
        assert_eq!(kinds(ladder(&[], true, at, &pace(4.0), false)), [Step::Created, Step::Done]);
        let speech = Output::Speech { audio: vec![], transcript: String::new() };
        assert_eq!(kinds(tail(None, false, at)), [Step::Done]);
        assert_eq!(
            kinds(tail(Some(&speech), true, at)),
            [Step::AudioDone, Step::TextDone, Step::PartDone, Step::ItemDone, Step::Done]
        );
        assert_eq!(kinds(tail(Some(&speech), false, at)), [Step::ItemDone, Step::Done]);
    }
}
