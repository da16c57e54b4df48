//! What the service sends to the API is what the samples of it hold.

use std::collections::BTreeMap;

use serde_json::Value;
use trunkline_chime::command::{Command, OutboundCall};

use crate::samples;

fn map(value: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn the_samples_of_updates_are_commands() {
    let samples = samples("api");
    let keep_alive = Command::KeepAlive { text: "One moment please, I am still here.".to_owned(), pause_ms: 4_000 };
    let hang_up = Command::HangUp { text: Some("Sorry, we lost the connection. Please call again.".to_owned()) };
    let cases =
        [("update-call.request-keepalive", keep_alive, "ka-1"), ("update-call.request-hangup", hang_up, "ka-9")];
    for (sample, command, request_id) in cases {
        let arguments = map(&samples[sample]["body"]["Arguments"]);
        assert_eq!(command.to_arguments(request_id), arguments, "{sample}");
        assert_eq!(Command::from_arguments(&arguments), Ok(command), "{sample}");
    }
}

#[test]
fn a_call_that_somebody_else_placed_is_none_of_ours() {
    let arguments = map(&samples("api")["create-call.request"]["body"]["ArgumentsMap"]);
    assert!(OutboundCall::from_arguments(&arguments).is_err());
}
