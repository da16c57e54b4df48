//! Answers to client events that are wrong: the codes and words of the service.

use serde_json::{Value, json};

/// One `error` event to be. `code` null is real: the service leaves it out for some refusals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub kind: &'static str,
    pub code: Option<&'static str>,
    pub message: String,
    pub param: Option<String>,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: "invalid_request_error", code: Some(code), message: message.into(), param: None }
    }

    pub(crate) fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn without_code(message: &str) -> Self {
        Self { kind: "invalid_request_error", code: None, message: message.to_owned(), param: None }
    }

    pub(crate) fn missing(param: &str) -> Self {
        Self::new("missing_required_parameter", format!("Missing required parameter: '{param}'.")).at(param)
    }

    pub(crate) fn unknown(param: &str) -> Self {
        Self::new("unknown_parameter", format!("Unknown parameter: '{param}'.")).at(param)
    }

    pub(crate) fn value(param: &str, got: &Value, allowed: &str) -> Self {
        let got = got.as_str().map_or_else(|| got.to_string(), |text| format!("'{text}'"));
        Self::new("invalid_value", format!("Invalid value: {got}. {allowed}")).at(param)
    }

    pub(crate) fn kind_of(param: &str, got: &Value, wanted: &str) -> Self {
        let got = match got {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        Self::new("invalid_type", format!("Invalid type for '{param}': expected {wanted}, but got {got} instead."))
            .at(param)
    }

    pub(crate) fn no_item(doing: &str, code: &'static str, item_id: &str) -> Self {
        Self::new(code, format!("Error {doing} item: the item with id '{item_id}' does not exist."))
    }

    /// The `error` member of the event; `event_id` is the client's.
    pub(crate) fn body(&self, event_id: Option<&str>) -> Value {
        json!({"type": self.kind, "code": self.code, "message": self.message, "param": self.param, "event_id": event_id})
    }
}
