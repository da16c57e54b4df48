//! The SIP media application as an AWS Lambda function.
//!
//! It only carries events to [`trunkline_chime::sma::respond`] and answers back. It calls nobody and remembers nothing, so
//! it decides the same when the service is dead.

mod settings;

use std::io::Write;
use std::process::ExitCode;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};
use trunkline_chime::sma::{SmaEvent, SmaSettings, respond};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let settings = match settings::read(variable) {
        Ok(settings) => settings,
        Err(error) => return fail(&error.to_string()),
    };
    // The runtime would panic.
    let needed = [
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
    ];
    if let Some(missing) = needed.into_iter().find(|name| variable(name).is_none()) {
        return fail(&format!("{missing} is not set: this program is started by AWS Lambda"));
    }
    let settings = &settings;
    let service = service_fn(|event: LambdaEvent<Value>| async move { answer(settings, &event.payload) });
    match lambda_runtime::run(service).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

/// The answer to one event, and one line of log: what happened, to which call, what is done. Numbers, texts and arguments
/// are never logged.
fn answer(settings: &SmaSettings, event: &Value) -> Result<Value, Diagnostic> {
    match SmaEvent::from_value(event) {
        Ok(event) => {
            let response = respond(settings, &event);
            let actions: Vec<&str> = response.actions.iter().map(|action| action.name()).collect();
            log(&json!({
                "event": event.invocation.name(),
                "transactionId": event.transaction_id,
                "actions": actions,
            }));
            Ok(response.to_json())
        }
        Err(error) => {
            let error_message = error.to_string();
            log(&json!({ "error": error_message }));
            Err(Diagnostic { error_type: "BadSmaEvent".to_owned(), error_message })
        }
    }
}

/// Wrong usage or configuration.
fn fail(error: &str) -> ExitCode {
    log(&json!({ "error": error }));
    ExitCode::from(2)
}

/// Lambda keeps what a function writes.
fn log(line: &Value) {
    // Nobody is left to be told that this failed.
    let _ = writeln!(std::io::stderr(), "{line}");
}
