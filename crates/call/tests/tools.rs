//! The model's tools: what it may ask for, and what it is told when it may not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_call::{BuiltIns, Glob, MAX_TOOL_ARGUMENTS, ToolAction, ToolError, Toolbox};
use trunkline_realtime::{SessionProfile, ToolSpec};

fn globs(patterns: &[&str]) -> Vec<Glob> {
    patterns.iter().map(|pattern| Glob::parse(pattern).unwrap()).collect()
}

fn lookup() -> ToolSpec {
    ToolSpec {
        name: "lookup_order".to_owned(),
        description: "Looks up an order.".to_owned(),
        parameters: json!({ "type": "object", "properties": { "id": { "type": "string" } } }),
    }
}

fn toolbox() -> Toolbox {
    Toolbox::new(BuiltIns::among(BuiltIns::NAMES), globs(&["+1206*", "60??"]), vec![lookup()])
}

fn names(toolbox: &Toolbox) -> Vec<String> {
    toolbox.specs().into_iter().map(|tool| tool.name).collect()
}

#[test]
fn the_session_takes_what_is_offered() {
    let tools = toolbox().specs();
    let offered: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(offered, ["hang_up", "transfer_call", "send_dtmf", "lookup_order"]);
    for tool in &tools {
        assert_eq!(tool.parameters["type"], "object", "{}", tool.name);
        assert!(!tool.description.contains("  "), "{}", tool.description);
    }
    assert_eq!(tools[1].parameters["required"], json!(["to"]));
    assert_eq!(SessionProfile { tools, ..SessionProfile::default() }.check(), Ok(()));
}

#[test]
fn only_what_the_route_has_is_offered_and_taken() {
    let none = Toolbox::default();
    assert!(none.specs().is_empty());
    assert!(none.read("hang_up", "").unwrap_err().to_string().ends_with("allowed: none"));

    let some = Toolbox::new(BuiltIns::among(["send_dtmf", "lookup_order"]), globs(&["*"]), Vec::new());
    assert_eq!(names(&some), ["send_dtmf"]);
    for absent in ["hang_up", "transfer_call", "lookup_order", "", "SEND_DTMF"] {
        let error = some.read(absent, r#"{"to":"+12065550100"}"#).unwrap_err();
        assert!(matches!(&error, ToolError::Unknown { offered, .. } if offered == "send_dtmf"), "{absent}: {error}");
    }
}

#[test]
fn without_a_destination_there_is_no_transfer() {
    let toolbox = Toolbox::new(BuiltIns::among(BuiltIns::NAMES), Vec::new(), Vec::new());
    assert_eq!(names(&toolbox), ["hang_up", "send_dtmf"]);
    let error = toolbox.read("transfer_call", r#"{"to":"+12065550100"}"#).unwrap_err();
    assert!(matches!(error, ToolError::Unknown { .. }), "{error}");
}

#[test]
fn a_hang_up_needs_no_reason_and_takes_any() {
    let long = "ü".repeat(150);
    let table = [
        ("", None),
        (" \n", None),
        ("{}", None),
        (r#"{"reason":null}"#, None),
        (r#"{"reason":7}"#, None),
        (r#"{"reason":"  \n "}"#, None),
        (r#"{"reason":"caller said\n\n goodbye\u0000","mood":"good"}"#, Some("caller said goodbye")),
        (&format!(r#"{{"reason":"{long}"}}"#), Some(&long[..200])),
    ];
    for (arguments, reason) in table {
        let expected = ToolAction::HangUp { reason: reason.map(str::to_owned) };
        assert_eq!(toolbox().read("hang_up", arguments), Ok(expected), "{arguments}");
    }
}

#[test]
fn transfers_go_where_the_allow_list_says() {
    let taken = [
        (r#"{"to":"+12065550100"}"#, "+12065550100"),
        (r#"{"to":"+1 (206) 555-0100"}"#, "+12065550100"),
        (r#"{"to":"+1.206.555\u20110100"}"#, "+12065550100"),
        (r#"{"destination":"6001"}"#, "6001"),
        (r#"{"number":6001}"#, "6001"),
        (r#"{"phone_number":" 60-99 ","reason":"asked"}"#, "6099"),
        (r#"{"to":null,"number":"6002"}"#, "6002"),
        (r#"{"destination":"+13035550100","to":"6001"}"#, "6001"),
    ];
    for (arguments, to) in taken {
        let expected = ToolAction::Transfer { to: to.to_owned() };
        assert_eq!(toolbox().read("transfer_call", arguments), Ok(expected), "{arguments}");
    }
    let refused = [
        (r#"{"to":"+13035550100"}"#, "transfer to ***0100 is not allowed"),
        // The pattern has to match the whole number.
        (r#"{"to":"60010"}"#, "transfer to ***0010 is not allowed"),
        (r#"{"to":"+13035550100","destination":"6001"}"#, "not allowed"),
        ("", "to is missing; allowed: a telephone number"),
        (r#"{"too":"6001"}"#, "to is missing"),
        (r#"{"to":["6001"]}"#, "to is a list"),
        (r#"{"to":6001.5}"#, "to is a number"),
        (r#"{"to":-6001}"#, "to is a number"),
        (r#"{"to":""}"#, "to is no telephone number"),
        (r#"{"to":"+"}"#, "no telephone number"),
        (r#"{"to":"+1"}"#, "no telephone number"),
        (r#"{"to":"+02065550100"}"#, "no telephone number"),
        (r#"{"to":"+1206555010012345"}"#, "no telephone number (***2345)"),
        (r#"{"to":"12065550100"}"#, "no telephone number"),
        (r#"{"to":"60*1"}"#, "no telephone number"),
        (r#"{"to":"++6001"}"#, "no telephone number"),
        (r#"{"to":"sip:6001@evil.example"}"#, "no telephone number"),
        (r#"{"to":"the front desk"}"#, "no telephone number (***)"),
        (r#"{"to":"٦٠٠١"}"#, "no telephone number"),
    ];
    for (arguments, text) in refused {
        let error = toolbox().read("transfer_call", arguments).unwrap_err();
        assert!(error.to_string().contains(text), "{arguments}: {error}");
    }
}

#[test]
fn keys_are_those_of_a_telephone() {
    let fifty = "1".repeat(50);
    let taken = [
        (r#"{"digits":"1"}"#, "1"),
        (r#"{"digits":"0123456789*#ABCD,"}"#, "0123456789*#ABCD,"),
        (r#"{"digits":"1,,2 3-4#"}"#, "1,,234#"),
        (r#"{"digits":"d"}"#, "D"),
        (r#"{"digits":42}"#, "42"),
        (&format!(r#"{{"digits":"{fifty}"}}"#), &fifty),
    ];
    for (arguments, digits) in taken {
        let expected = ToolAction::SendDtmf { digits: digits.to_owned() };
        assert_eq!(toolbox().read("send_dtmf", arguments), Ok(expected), "{arguments}");
    }
    let refused = [
        ("{}", "digits is missing; allowed: a text of 1 to 50"),
        (r#"{"digits":""}"#, "digits has 0 keys"),
        (r#"{"digits":" - "}"#, "digits has 0 keys"),
        (&format!(r#"{{"digits":"{fifty}1"}}"#), "digits has 51 keys"),
        (r#"{"digits":"12E4"}"#, "digits holds 'E'"),
        (r#"{"digits":"12w"}"#, "digits holds 'W'"),
        (r#"{"digits":"1\u00002"}"#, r"digits holds '\0'"),
        (r#"{"digits":true}"#, "digits is true or false"),
        (r#"{"digits":{}}"#, "digits is an object"),
    ];
    for (arguments, text) in refused {
        let error = toolbox().read("send_dtmf", arguments).unwrap_err();
        assert!(error.to_string().contains(text), "{arguments}: {error}");
    }
}

#[test]
fn http_tools_get_a_compact_object() {
    let table = [
        ("", "{}"),
        ("{ }", "{}"),
        ("{ \"id\" : \"4711\",\n \"more\": [1, null, {\"a\": 0.5}] }", r#"{"id":"4711","more":[1,null,{"a":0.5}]}"#),
        (r#"{"id":"a","id":"b"}"#, r#"{"id":"b"}"#),
        (r#"{"id":"\u0000 ü"}"#, "{\"id\":\"\\u0000 ü\"}"),
    ];
    for (given, arguments) in table {
        let expected = ToolAction::Http { name: "lookup_order".to_owned(), arguments: arguments.to_owned() };
        assert_eq!(toolbox().read("lookup_order", given), Ok(expected), "{given}");
    }
}

#[test]
fn what_is_no_object_is_refused_for_every_tool() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    let all = [BuiltIns::NAMES.as_slice(), &["lookup_order"]].concat();
    for name in all {
        for bad in ["null", "[]", "\"6001\"", "6001", "{", "{}{}", "{\"to\":\"60", "goodbye", "{'to':'6001'}", &deep] {
            assert_eq!(toolbox().read(name, bad), Err(ToolError::NotJson), "{name} {bad}");
        }
        let blanks = " ".repeat(MAX_TOOL_ARGUMENTS - 2);
        assert_ne!(toolbox().read(name, &format!("{{{blanks}}}")), Err(ToolError::NotJson), "{name}");
        let error = toolbox().read(name, &format!("{{{blanks} }}")).unwrap_err();
        assert_eq!(error, ToolError::TooLong { length: MAX_TOOL_ARGUMENTS + 1 }, "{name}");
    }
}

#[test]
fn the_model_is_told_in_json() {
    let long = format!("\"\n{}", "x".repeat(500));
    let told = toolbox().read(&long, "").unwrap_err().for_model();
    assert!(told.len() < 300 && !told.contains('\n'), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let error = told["error"].as_str().unwrap();
    assert!(error.ends_with("allowed: hang_up, transfer_call, send_dtmf, lookup_order"), "{error}");
    let told = toolbox().read("transfer_call", r#"{"to":"+13035550100"}"#).unwrap_err().for_model();
    let expected =
        r#"{"error":"a transfer to ***0100 is not allowed; use only a number that your instructions give you"}"#;
    assert_eq!(told, expected);
}

#[test]
fn what_may_be_logged_shows_no_number_key_or_argument() {
    let toolbox = toolbox();
    let calls = [
        ("transfer_call", r#"{"to":"+12065550177"}"#, "20655501"),
        ("transfer_call", r#"{"to":"+99920655501778"}"#, "20655501"),
        ("transfer_call", r#"{"to":"+9992065550177812345"}"#, "20655501"),
        ("send_dtmf", r#"{"digits":"4711#"}"#, "4711"),
        ("send_dtmf", r#"{"digits":"4711x"}"#, "4711"),
        ("lookup_order", r#"{"id":"hunter2"}"#, "hunter2"),
    ];
    for (name, arguments, hidden) in calls {
        let shown = format!("{:?}", toolbox.read(name, arguments));
        assert!(!shown.contains(hidden), "{shown}");
    }
}

/// Arguments as a model, or somebody who talked it into them, may write them.
fn arguments() -> impl Strategy<Value = String> {
    let value = prop_oneof!["[0-9+*#A-Da-d,() .-]{0,60}", "\\+[0-9]{1,18}", "60[0-9]{2}", any::<String>()];
    let member = prop_oneof!["to", "destination", "number", "phone_number", "digits", "reason", "id", any::<String>()];
    let object = prop::collection::btree_map(member, value, 0..4).prop_map(|map| json!(map).to_string());
    prop_oneof![3 => object, 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_fits(name in prop_oneof![
        4 => prop::sample::select(vec!["hang_up", "transfer_call", "send_dtmf", "lookup_order"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ], arguments in arguments()) {
        match toolbox().read(&name, &arguments) {
            Ok(ToolAction::HangUp { reason }) => {
                let reason = reason.unwrap_or_else(|| "-".to_owned());
                prop_assert!((1..=200).contains(&reason.len()) && !reason.contains(char::is_control));
            }
            Ok(ToolAction::Transfer { to }) => {
                let digits = to.strip_prefix('+').unwrap_or(&to);
                prop_assert!(digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit()));
                prop_assert!(to.starts_with("+1206") || (to.starts_with("60") && to.len() == 4));
            }
            Ok(ToolAction::SendDtmf { digits }) => {
                prop_assert!((1..=50).contains(&digits.len()) && digits.chars().all(|c| "0123456789*#ABCD,".contains(c)));
            }
            Ok(ToolAction::Http { name, arguments }) => {
                prop_assert_eq!(name, "lookup_order");
                prop_assert!(serde_json::from_str::<Value>(&arguments).unwrap().is_object());
            }
            Err(error) => {
                prop_assert!(serde_json::from_str::<Value>(&error.for_model()).unwrap()["error"].is_string());
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
