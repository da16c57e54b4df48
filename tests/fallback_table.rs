//! For each way a model dies and each way to speak with the caller then: how soon he hears a prompt, how long the line is
//! silent at most, and how it ends. Measured in what the caller hears. README.md shows the table that this prints.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use support::chime::api::{Api, Reply};
use support::chime::caller::{Caller, Ear, Heard, Leg};
use support::chime::relay::relay;
use support::chime::timeline::Timeline;
use support::chime::world::{SmaCall, World};
use support::chime::{OWN_NUMBER, env};
use support::process::{Service, Sim};
use support::sound;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use trunkline_media::LineCodec;

/// `fallback.pause`, as it is by default.
const PAUSE: Duration = Duration::from_secs(3);
/// What the first prompt may take, and what the line may be silent beyond the pause.
const BOUND: Duration = Duration::from_secs(2);
/// So long the model's address is dead after a session that died, in the rows where it comes back.
const AWAY: Duration = Duration::from_secs(5);
const CELLS_AT_ONCE: usize = 8;
/// Longest anything in a cell is waited for.
const LIMIT: Duration = Duration::from_secs(45);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Recovered,
    Goodbye,
}

/// A way to die.
struct Row {
    name: &'static str,
    faults: &'static [&'static str],
    /// The call's first connect fails: the session is dead from the moment it is asked for.
    at_first: bool,
    away: bool,
    outcome: Outcome,
}

const fn row(name: &'static str, faults: &'static [&'static str], at_first: bool, outcome: Outcome) -> Row {
    Row { name, faults, at_first, away: !at_first && matches!(outcome, Outcome::Recovered), outcome }
}

static ROWS: [Row; 10] = [
    row("refused, 401", &["--refuse", "401"], true, Outcome::Goodbye),
    row("refused, 429, three times", &["--refuse", "429", "--refuse-first", "3"], true, Outcome::Recovered),
    row("refused, 503, three times", &["--refuse", "503", "--refuse-first", "3"], true, Outcome::Recovered),
    row("closed", &["--die-after", "3s", "--die-mode", "close", "--die-sessions", "1"], false, Outcome::Recovered),
    row("TCP abort", &["--die-after", "3s", "--die-mode", "abort", "--die-sessions", "1"], false, Outcome::Recovered),
    row("stalls", &["--die-after", "3s", "--die-mode", "stall", "--die-sessions", "1"], false, Outcome::Recovered),
    row("mute", &["--die-after", "1s", "--die-mode", "mute", "--die-sessions", "1"], false, Outcome::Recovered),
    row(
        "`session_expired`, no renewal",
        &["--die-after", "5s", "--die-mode", "expire", "--die-sessions", "1"],
        false,
        Outcome::Recovered,
    ),
    row("every response fails", &["--fail-responses", "server_error"], false, Outcome::Goodbye),
    row("garbage", &["--garbage", "1", "--die-sessions", "1"], false, Outcome::Recovered),
];

/// A way to speak with the caller.
struct Column {
    name: &'static str,
    channel: &'static str,
    /// The call has a transaction.
    bridged: bool,
    api: Endpoint,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Works,
    Refuses,
    Throttles,
}

static COLUMNS: [Column; 5] = [
    Column { name: "`sma`", channel: "sma", bridged: true, api: Endpoint::Works },
    Column { name: "`media`", channel: "media", bridged: true, api: Endpoint::Works },
    Column { name: "`auto`, no transaction", channel: "auto", bridged: false, api: Endpoint::Works },
    Column { name: "`auto`, SMA down", channel: "auto", bridged: true, api: Endpoint::Refuses },
    Column { name: "`auto`, SMA throttled", channel: "auto", bridged: true, api: Endpoint::Throttles },
];

/// What one cell came to.
struct Measured {
    first_prompt: Duration,
    /// Beyond the pause.
    dead_air: Duration,
    prompts: usize,
    /// The longest time that the application and anything of ours were heard at once.
    two_voices: Duration,
    /// What this machine was late with meanwhile, as the caller's own clock shows.
    late: Duration,
}

#[tokio::test]
async fn however_a_model_dies_the_caller_is_kept_company_and_no_call_is_lost() {
    let started = Instant::now();
    let prompts = Arc::new(Prompts::load());
    let places = Arc::new(Semaphore::new(CELLS_AT_ONCE));
    let mut cells = JoinSet::new();
    // The longest first, so that the last ones are short.
    let mut order: Vec<usize> = (0..ROWS.len()).collect();
    order.sort_by_key(|row| ROWS[*row].at_first);
    for (row, column) in order.into_iter().flat_map(|row| (0..COLUMNS.len()).map(move |column| (row, column))) {
        let (prompts, places) = (Arc::clone(&prompts), Arc::clone(&places));
        cells.spawn(async move {
            let _place = places.acquire().await.unwrap();
            (row, column, Box::pin(cell(&ROWS[row], &COLUMNS[column], prompts)).await)
        });
    }
    let mut table: Vec<Vec<Option<Measured>>> = ROWS.iter().map(|_| COLUMNS.iter().map(|_| None).collect()).collect();
    while let Some(done) = cells.join_next().await {
        let (row, column, measured) = done.expect("a cell failed; what it says stands above");
        table[row][column] = Some(measured);
    }
    let text = markdown(&table);
    println!("{text}\n{} cells in {:.0?}", ROWS.len() * COLUMNS.len(), started.elapsed());
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/fallback-table.md"), &text).unwrap();
    for (row, cells) in ROWS.iter().zip(&table) {
        for (column, cell) in COLUMNS.iter().zip(cells) {
            check(&format!("{}, {}", row.name, column.name), cell.as_ref().unwrap());
        }
    }
}

fn check(cell: &str, measured: &Measured) {
    let late = measured.late;
    for (what, time) in [("the first prompt", measured.first_prompt), ("dead air", measured.dead_air)] {
        if time > BOUND {
            println!("{cell}: {what} {time:?}, of which this machine was late by {late:?}");
        }
        assert!(time.saturating_sub(late) <= BOUND, "{cell}: {what} took {time:?} (this machine was late by {late:?})");
    }
    let two = measured.two_voices.saturating_sub(late);
    assert!(two.is_zero(), "{cell}: the application was spoken over for {two:?}");
    assert!(measured.prompts >= 1, "{cell}");
}

fn markdown(table: &[Vec<Option<Measured>>]) -> String {
    let columns: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    let mut text =
        format!("| the session is | {} | ends |\n|{}\n", columns.join(" | "), " --- |".repeat(columns.len() + 2));
    for (row, cells) in ROWS.iter().zip(table) {
        let cells: Vec<String> = cells.iter().flatten().map(Measured::shown).collect();
        let end = if row.outcome == Outcome::Recovered { "recovered" } else { "goodbye" };
        text.push_str(&format!("| {} | {} | {end} |\n", row.name, cells.join(" | ")));
    }
    text
}

impl Measured {
    fn shown(&self) -> String {
        format!("{:.2} s, {:.2} s", self.first_prompt.as_secs_f64(), self.dead_air.as_secs_f64())
    }
}

/// What a caller says again and again: a second and a half of speech, and a pause in which he can be answered.
fn utterance() -> (Vec<u8>, Vec<u8>) {
    let speech = sound::speech();
    let from = (0..speech.len()).step_by(160).find(|at| level(&speech[*at..*at + 160]) > 300.0).unwrap();
    let speech = speech[from..from + 8 * 1_500].to_vec();
    let said = [speech.clone(), vec![0xff; 8 * 3_500]].concat();
    (speech, said)
}

fn level(frame: &[u8]) -> f64 {
    sound::level(&sound::decode(LineCodec::Pcmu, frame))
}

/// A caller, and how he hangs up.
enum Line {
    Bridged(SmaCall),
    Direct(Leg),
}

async fn cell(row: &'static Row, column: &'static Column, prompts: Arc<Prompts>) -> Measured {
    let name = format!("{}, {}", row.name, column.name);
    let sim = Sim::start(row.faults).await;
    let model = if row.away { relay(sim.addr, AWAY).await } else { sim.addr };
    let model = format!("ws://{model}/openai/v1/realtime?model=gpt-realtime");
    let api = if column.api == Endpoint::Refuses { Api::refusing() } else { Api::start().await };
    if column.api == Endpoint::Throttles {
        api.every_update(Reply::Fail(429));
    }
    // Refused ones come back in their own time, the others when their address does.
    let reconnect = if row.at_first { ("1s", "4s") } else { ("250ms", "1s") };
    let mut environment = env(&api.url).to_vec();
    environment.extend([
        ("TRUNKLINE__FALLBACK__CHANNEL", column.channel),
        ("TRUNKLINE__FALLBACK__MAX_DURATION", "15s"),
        ("TRUNKLINE__REALTIME__PING", "1s"),
        ("TRUNKLINE__REALTIME__STALL_TIMEOUT", "3s"),
        ("TRUNKLINE__REALTIME__RESPONSE_TIMEOUT", "3s"),
        ("TRUNKLINE__REALTIME__RECONNECT__FIRST", reconnect.0),
        ("TRUNKLINE__REALTIME__RECONNECT__MAX", reconnect.1),
    ]);
    let service = Service::with_model(&model, &environment).await;
    let world = World::new(&api, &service);
    let (caller, line) = if column.bridged {
        let call = world.inbound();
        (call.caller.clone(), Line::Bridged(call))
    } else {
        let caller = Caller::new();
        let query = format!("callId=direct&to={}", OWN_NUMBER.replace('+', "%2B"));
        let leg = Leg::open(service.media, &query, &caller, (1, false), || {}).await.unwrap();
        (caller, Line::Direct(leg))
    };
    let (speech, said) = utterance();
    caller.mouth.keep_saying(&said);

    let ear = &caller.ear;
    let ready = ear.when(&format!("{name}: ready"), |heard| heard.text("ready", 0)).await.0;
    let entered = ear.when_within(LIMIT, &format!("{name}: the outage"), |heard| heard.fallback("entered", 0)).await;
    let dead = if row.at_first { ready } else { entered };
    let end = match row.outcome {
        Outcome::Recovered => {
            let what = format!("{name}: the model");
            let recovered = ear.when_within(LIMIT, &what, |heard| heard.fallback("recovered", 0)).await;
            answered(&name, ear, recovered, &speech).await;
            assert!(
                ear.look(|heard| heard.closed.is_empty() && heard.text("stop", 0).is_none()),
                "{name}: the call is lost"
            );
            caller.mouth.hush();
            match &line {
                Line::Bridged(call) => call.hang_up(),
                Line::Direct(leg) => leg.stop(),
            }
            recovered
        }
        Outcome::Goodbye => {
            ear.when_within(LIMIT, &format!("{name}: the end"), |heard| heard.fallback("gave_up", 0)).await;
            ear.when(&format!("{name}: the close"), |heard| heard.closed.first().copied()).await.0
        }
    };
    let (_, code) =
        ear.when(&format!("{name}: the close"), |heard| heard.closed.first().map(|(at, _, code)| (*at, *code))).await;
    let stop = ear
        .look(|heard| heard.text("stop", 0))
        .unwrap_or_else(|| panic!("{name}: cut off without a word; heard: {}", ear.look(Heard::summary)));
    let reason = if row.outcome == Outcome::Recovered { "caller_hangup" } else { "fallback_exhausted" };
    assert_eq!((&stop.1["reason"], code), (&reason.into(), Some(1000)), "{name}");
    if let Line::Bridged(call) = &line {
        // Nobody who was said goodbye to is connected again, and nobody is left alone.
        call.when("over", 1).await;
        assert_eq!(call.all("bridged").len(), 1, "{name}: {:?}", call.log());
    }
    // Sums that would hold up the other cells' clocks.
    tokio::task::spawn_blocking(move || measure(&name, row, column, &prompts, (dead, end), &caller)).await.unwrap()
}

/// Waits until the model, after that moment, has said back what the caller says.
async fn answered(name: &str, ear: &Ear, since: Instant, speech: &[u8]) {
    let (mut seen, mut from) = (0, since);
    loop {
        let what = format!("{name}: an answer after the outage");
        let mark = |heard: &Heard| {
            let mut marks = heard.texts.iter().filter(|(at, _, text)| *at > since && text["type"] == "mark");
            marks.nth(seen).map(|(at, _, text)| (*at, text["mark"].as_str().unwrap().starts_with("item_")))
        };
        let (at, is_model) = ear.when_within(LIMIT, &what, mark).await;
        let answer: Vec<f64> = ear.look(|heard| {
            let frames = heard.frames.iter().filter(|(came, _)| *came > from && *came <= at);
            frames.map(|(_, frame)| level(frame)).collect()
        });
        if is_model && says_back(&answer, speech) {
            return;
        }
        (seen, from) = (seen + 1, at);
    }
}

/// Compares loudness over time, which neither codec nor resampler changes.
fn says_back(answer: &[f64], speech: &[u8]) -> bool {
    let speech: Vec<f64> = speech.chunks_exact(160).map(level).collect();
    answer.windows(speech.len()).any(|answer| correlation(answer, &speech) > 0.9)
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut power_a, mut power_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        both += (a - mean_a) * (b - mean_b);
        power_a += (a - mean_a).powi(2);
        power_b += (b - mean_b).powi(2);
    }
    both / (power_a * power_b).sqrt().max(1.0)
}

/// The bundled recordings as they sound on a PCMU line.
struct Prompts {
    keepalive: Vec<Vec<i16>>,
    goodbye: Vec<i16>,
}

/// A prompt that was heard.
struct Span {
    from: Instant,
    to: Instant,
    /// To its last sample.
    whole: bool,
}

impl Prompts {
    fn load() -> Self {
        let load = |name: &str| {
            let path = format!("{}/config/prompts/{name}.wav", env!("CARGO_MANIFEST_DIR"));
            let samples: Vec<i16> = hound::WavReader::open(path).unwrap().samples().map(Result::unwrap).collect();
            sound::decode(LineCodec::Pcmu, &sound::encode(LineCodec::Pcmu, &samples))
        };
        Self { keepalive: ["keepalive-1", "keepalive-2", "keepalive-3"].map(load).to_vec(), goodbye: load("goodbye") }
    }
}

/// Wherever a recording begins in what came.
fn find(frames: &[(Instant, Bytes)], recording: &[i16]) -> Vec<Span> {
    let heard: Vec<Vec<i16>> = frames.iter().map(|(_, frame)| sound::decode(LineCodec::Pcmu, frame)).collect();
    let recording: Vec<&[i16]> = recording.chunks(160).collect();
    let first = recording.iter().position(|frame| sound::level(frame) > 300.0).unwrap();
    let last = recording.iter().rposition(|frame| sound::level(frame) > 300.0).unwrap();
    let alike = |at: usize, frame: usize| {
        let wanted = recording[frame];
        sound::level(wanted) <= 300.0 || heard.get(at).is_some_and(|heard| is_same(heard, wanted))
    };
    let begins = |at: &usize| (0..10).all(|frame| alike(at + frame, first + frame));
    let mut spans = Vec::new();
    for at in (0..heard.len()).filter(begins) {
        let said = (first..=last).take_while(|frame| alike(at + frame - first, *frame)).count();
        let end = (at + said).min(frames.len()) - 1;
        let whole = first + said == last + 1;
        spans.push(Span { from: frames[at].0, to: frames[end].0 + Duration::from_millis(20), whole });
    }
    spans
}

fn is_same(heard: &[i16], wanted: &[i16]) -> bool {
    let as_floats = |samples: &[i16]| samples.iter().map(|sample| f64::from(*sample)).collect::<Vec<_>>();
    correlation(&as_floats(&heard[..wanted.len()]), &as_floats(wanted)) > 0.95
}

fn measure(
    name: &str,
    row: &Row,
    column: &Column,
    prompts: &Prompts,
    (dead, end): (Instant, Instant),
    caller: &Caller,
) -> Measured {
    let ear = &caller.ear;
    let spans = |recording: &[i16]| ear.look(|heard| find(&heard.frames, recording));
    let mut ours: Vec<Span> = prompts.keepalive.iter().flat_map(|prompt| spans(prompt)).collect();
    let goodbye = spans(&prompts.goodbye);
    // What the application says once our leg is gone is no prompt.
    let close = ear.look(|heard| heard.closed[0].0);
    let theirs = ear.look(|heard| heard.speech.iter().filter(|(from, _)| *from < close).copied().collect::<Vec<_>>());
    // Which voice speaks is the channel's choice, and it is one alone.
    let by_sma = column.channel == "sma";
    assert_eq!(ours.is_empty(), by_sma || row.outcome == Outcome::Goodbye && row.at_first, "{name}: our own prompts");
    assert_eq!(theirs.is_empty(), !by_sma, "{name}: the application's prompts");
    if row.outcome == Outcome::Goodbye && !by_sma {
        assert!(goodbye.len() == 1 && goodbye[0].whole, "{name}: the goodbye is heard to its end");
    }
    ours.extend(goodbye);
    for span in &ours {
        let both = theirs.iter().any(|(from, until)| *from < span.to && span.from < *until);
        assert!(!both, "{name}: two prompts at once");
    }
    let first = ours.iter().map(|span| span.from).chain(theirs.iter().map(|(from, _)| *from)).min();
    let first = first.unwrap_or_else(|| panic!("{name}: no prompt"));
    // A goodbye is the end of the outage; what follows it is the hang-up.
    let last_word = ours.iter().map(|span| span.to).chain(theirs.iter().map(|(_, until)| *until)).max().unwrap();
    let until = if row.outcome == Outcome::Goodbye { last_word.min(end) } else { end };
    let timeline = ear.timeline();
    let (from, to) = (timeline.sample_at(first), timeline.sample_at(until));
    let (quiet_from, quiet) = Timeline::longest_quiet(&timeline.mixed(), from, to.max(from));
    let (both_at, both) = timeline.longest_overlap();
    let length = |samples: usize| Duration::from_micros(samples as u64 * 125);
    let late = caller
        .mouth
        .lateness(dead, first)
        .max(caller.mouth.lateness(timeline.time_of(quiet_from), timeline.time_of(quiet_from + quiet)));
    let measured = Measured {
        first_prompt: first.saturating_duration_since(dead),
        dead_air: length(quiet).saturating_sub(PAUSE),
        prompts: ours.len() + theirs.len(),
        two_voices: length(both),
        late,
    };
    println!(
        "{name}: prompt after {:.2?}, quiet {:.2?} at most, outage {:.2?}, {} prompts, two voices {:.2?} at {:.2?}, late {late:.0?}",
        measured.first_prompt,
        length(quiet),
        end - dead,
        measured.prompts,
        measured.two_voices,
        timeline.time_of(both_at).saturating_duration_since(dead),
    );
    measured
}
