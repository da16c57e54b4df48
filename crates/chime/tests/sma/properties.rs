//! Whatever comes in whatever order: answers that AWS takes, nobody left alone, no bridge too many.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_chime::sma;

use crate::chime::{Bridge, Chime};
use crate::{rules, samples, settings};

const MAX_REBRIDGES: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Command(&'static str, Option<&'static str>, u8),
    LoseService(u16),
    LoseCaller,
    Proceed(u8),
    Settle,
    Bridges(Bridge),
    Polly(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let command = prop::sample::select(vec!["keepalive", "ending", "hangup", "transfer", "dtmf", "resume", "nonsense"]);
    let text = prop::option::of(Just("Some words."));
    let bridge = prop::sample::select(vec![Bridge::Answered, Bridge::NotAnswered, Bridge::Declined]);
    prop_oneof![
        6 => (command, text, 0..6u8).prop_map(|(name, text, id)| Step::Command(name, text, id)),
        3 => prop::sample::select(vec![0, 480, 603]).prop_map(Step::LoseService),
        1 => Just(Step::LoseCaller),
        6 => (1..5u8).prop_map(Step::Proceed),
        3 => Just(Step::Settle),
        2 => bridge.prop_map(Step::Bridges),
        1 => any::<bool>().prop_map(Step::Polly),
    ]
}

fn take(chime: &mut Chime, step: &Step) {
    match *step {
        Step::Command(name, text, id) => {
            let mut arguments = json!({
                "command": name, "pauseMs": "2000", "to": "+15550100077", "digits": "12#", "requestId": id.to_string(),
            });
            if let Some(text) = text {
                arguments["text"] = json!(text);
            }
            chime.command(arguments);
        }
        Step::LoseService(code) => chime.lose(false, code),
        Step::LoseCaller => chime.lose(true, 0),
        Step::Proceed(steps) => (0..steps).for_each(|_| chime.step()),
        Step::Settle => chime.settle(),
        Step::Bridges(outcome) => chime.bridges.push_back(outcome),
        Step::Polly(works) => chime.polly = works,
    }
}

/// A sample with some of its values replaced.
fn event() -> impl Strategy<Value = Value> {
    let events: Vec<Value> = samples("sma/events").into_values().collect();
    let text = prop::sample::select(vec![
        "",
        "LEG-A",
        "LEG-B",
        "Connected",
        "Disconnected",
        "Outbound",
        "603",
        "-1",
        "Speak",
        "Hangup",
        "CallAndBridge",
        "CALL_UPDATE_REQUESTED",
        "ACTION_FAILED",
        "PSTN",
        "a\r\nb",
        "\u{0}ü",
        "+15550100077",
    ]);
    let value = prop_oneof![
        text.prop_map(|text| json!(text)),
        any::<String>().prop_map(|text| json!(text)),
        any::<i64>().prop_map(|number| json!(number)),
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!("x".repeat(5_000))),
    ];
    let attribute = (
        prop::sample::select(vec![
            "state",
            "attempt",
            "requestId",
            "transferTo",
            "transferText",
            "plain",
            "lostLeg",
            "callId",
            "route",
            "metadata",
            "other",
        ]),
        prop_oneof![
            prop::sample::select(vec![
                "rebridging",
                "returning",
                "ending",
                "hangup",
                "transferring",
                "dialling",
                "transferred",
                "2",
                "3",
                "true",
                "+15550100077",
                "{}",
                "d18f4a63-72c5-4e0b-b9d7-60f1e2d3c4b5",
            ])
            .prop_map(str::to_owned),
            any::<String>(),
            "[a-z ]{1000,3000}",
        ],
    );
    let arguments = (
        prop::sample::select(vec!["keepalive", "ending", "hangup", "transfer", "dtmf", "resume", ""]),
        "[a-z ü]{0,1500}",
        "[0-9*#A-Da-d,x]{0,60}",
    );
    let changes = vec((any::<prop::sample::Index>(), value), 0..4);
    (prop::sample::select(events), vec(attribute, 0..6), prop::option::of(arguments), changes).prop_map(
        |(mut event, attributes, arguments, changes)| {
            if !attributes.is_empty() {
                event["CallDetails"]["TransactionAttributes"] = attributes.into_iter().collect();
            }
            if let Some((command, text, digits)) = arguments {
                event["ActionData"]["Parameters"]["Arguments"] =
                    json!({ "command": command, "text": text, "digits": digits, "to": "+15550100077", "pauseMs": 7 });
            }
            for (index, value) in changes {
                let count = nodes(&mut event, usize::MAX, &value);
                nodes(&mut event, index.index(count), &value);
            }
            event
        },
    )
}

/// Replaces the node with this number by `value`; returns how many there are up to it.
fn nodes(node: &mut Value, number: usize, value: &Value) -> usize {
    if number == 0 {
        *node = value.clone();
        return 1;
    }
    let children: Vec<&mut Value> = match node {
        Value::Object(object) => object.values_mut().collect(),
        Value::Array(list) => list.iter_mut().collect(),
        _ => Vec::new(),
    };
    let mut count = 1;
    for child in children {
        if count > number {
            break;
        }
        count += nodes(child, number - count, value);
    }
    count
}

proptest! {
    #[test]
    fn whatever_happens_to_a_call_nobody_is_left_alone(
        steps in vec(step(), 0..40),
        outbound in any::<bool>(),
        tells_each in any::<bool>(),
        tells_end_first in any::<bool>(),
    ) {
        let mut chime = if outbound {
            let mut chime = Chime::outbound(json!({ "callId": "out-1" }));
            chime.answer();
            chime
        } else {
            Chime::inbound()
        };
        (chime.tells_each, chime.tells_end_first) = (tells_each, tells_end_first);
        for step in &steps {
            take(&mut chime, step);
        }
        chime.settle();
        // The caller has somebody, or is hung up; who spoke with the caller is, too.
        prop_assert_eq!(chime.is_there(true), chime.is_there(false), "{:?}", chime.heard);
        prop_assert!(chime.headers.len() <= 1 + MAX_REBRIDGES, "{:?}", chime.headers);
    }

    #[test]
    fn whatever_an_event_holds_the_answer_is_one_that_aws_takes(event in event()) {
        if let Ok(response) = sma::respond_to_json(&settings(), event.to_string().as_bytes()) {
            let verdict = rules::check(&event, &response);
            prop_assert!(verdict.is_ok(), "{:?}\n{:#}\n{:#}", verdict, event, response);
        }
    }

    #[test]
    fn whatever_bytes_come_nothing_panics(bytes in vec(any::<u8>(), 0..200)) {
        let _ = sma::respond_to_json(&settings(), &bytes);
    }
}
