use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

/// Longest id that is taken, in bytes; AWS's have 36.
const MAX_ID_LEN: usize = 128;

/// What an SMA is invoked with. Only what decides is kept; everything that may be absent may be odd, and is then absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmaEvent {
    /// What happened.
    pub invocation: Invocation,
    /// The call, for AWS.
    pub transaction_id: String,
    /// What the last response left there.
    pub attributes: BTreeMap<String, String>,
    /// The legs of the call: those that have an id.
    pub participants: Vec<Participant>,
    /// The action or request that this is about.
    pub action: ActionData,
}

/// `InvocationEventType`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "AWS's names")]
pub enum Invocation {
    NewInboundCall,
    NewOutboundCall,
    Ringing,
    CallAnswered,
    ActionSuccessful,
    ActionFailed,
    ActionInterrupted,
    CallUpdateRequested,
    DigitsReceived,
    Hangup,
    InvalidLambdaResponse,
    /// One that came after this was written; cut.
    Unknown(String),
}

/// A leg of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// The leg's id.
    pub call_id: String,
    /// `LEG-A` (the far party: who called, or was called), `LEG-B` (whom it is bridged to); in capitals.
    pub tag: String,
    /// The number called.
    pub to: String,
    /// The number calling.
    pub from: String,
    /// Whether this leg was called by us.
    pub outbound: bool,
    /// Whether it is connected; `None` if nothing is told, as on a call's first events.
    pub connected: Option<bool>,
}

/// `ActionData`, with the error that may stand beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionData {
    /// Such as `CallAndBridge`; empty if nothing is told.
    pub kind: String,
    /// The action's or request's own.
    pub parameters: Map<String, Value>,
    /// `SipResponseCode` beside the parameters, where one stands there.
    pub sip_response_code: Option<Value>,
    /// Such as `CallNotAnswered`; empty if nothing is told.
    pub error_type: String,
    /// For people.
    pub error_message: String,
}

/// No event of an SMA.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadSmaEvent {
    /// Not JSON.
    #[error("not JSON: error at line {line}, column {column}")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// What is needed is absent or not a text.
    #[error("{0} is missing or no text of 1 to {MAX_ID_LEN} bytes")]
    Missing(&'static str),
}

impl SmaEvent {
    /// Reads what a Lambda function is invoked with.
    ///
    /// # Errors
    ///
    /// [`BadSmaEvent`]: not JSON, or without the names of event and call.
    pub fn from_slice(body: &[u8]) -> Result<Self, BadSmaEvent> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| BadSmaEvent::NotJson { line: error.line(), column: error.column() })?;
        Self::from_value(&value)
    }

    /// [`SmaEvent::from_slice`] of parsed JSON.
    ///
    /// # Errors
    ///
    /// [`BadSmaEvent::Missing`].
    pub fn from_value(event: &Value) -> Result<Self, BadSmaEvent> {
        let details = event.get("CallDetails");
        let invocation = id(event.get("InvocationEventType")).ok_or(BadSmaEvent::Missing("InvocationEventType"))?;
        let transaction_id = id(details.and_then(|details| details.get("TransactionId")))
            .ok_or(BadSmaEvent::Missing("CallDetails.TransactionId"))?;
        let participants = details.and_then(|details| details.get("Participants")).and_then(Value::as_array);
        Ok(Self {
            invocation: Invocation::from_name(invocation),
            transaction_id: transaction_id.to_owned(),
            attributes: strings(details.and_then(|details| details.get("TransactionAttributes"))),
            participants: participants.into_iter().flatten().filter_map(Participant::from_value).collect(),
            action: ActionData::from_event(event),
        })
    }

    /// Leg A: who called, or was called.
    #[must_use]
    pub fn caller(&self) -> Option<&Participant> {
        self.participants.iter().find(|leg| leg.tag == "LEG-A")
    }

    /// Every other leg that is connected.
    pub fn others(&self) -> impl Iterator<Item = &Participant> {
        self.participants.iter().filter(|leg| leg.tag != "LEG-A" && leg.connected == Some(true))
    }

    /// The leg whose loss a `HANGUP` tells.
    pub(super) fn lost(&self) -> Lost<'_> {
        let Some(caller) = self.caller() else { return Lost::Caller };
        // Other kinds of action stand here too, and then name their own leg.
        let named = Some(&self.action.parameters).filter(|_| self.action.kind == "Hangup");
        let call_id = named.and_then(|named| id(named.get("CallId")));
        let tag = named.and_then(|named| named.get("ParticipantTag")?.as_str());
        let is_caller = match call_id {
            Some(call_id) => call_id == caller.call_id,
            None => tag.is_some_and(|tag| tag.eq_ignore_ascii_case("LEG-A")),
        };
        if is_caller || caller.connected == Some(false) {
            return Lost::Caller;
        }
        let gone = |leg: &&Participant| leg.tag != "LEG-A" && leg.connected == Some(false);
        Lost::Other(call_id.or_else(|| Some(self.participants.iter().rfind(gone)?.call_id.as_str())))
    }

    /// The leg that the action names.
    pub(super) fn action_leg(&self) -> Option<&str> {
        id(self.action.parameters.get("CallId"))
    }
}

/// Whose leg was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost<'a> {
    Caller,
    Other(Option<&'a str>),
}

impl Invocation {
    const ALL: [(Self, &'static str); 11] = [
        (Self::NewInboundCall, "NEW_INBOUND_CALL"),
        (Self::NewOutboundCall, "NEW_OUTBOUND_CALL"),
        (Self::Ringing, "RINGING"),
        (Self::CallAnswered, "CALL_ANSWERED"),
        (Self::ActionSuccessful, "ACTION_SUCCESSFUL"),
        (Self::ActionFailed, "ACTION_FAILED"),
        (Self::ActionInterrupted, "ACTION_INTERRUPTED"),
        (Self::CallUpdateRequested, "CALL_UPDATE_REQUESTED"),
        (Self::DigitsReceived, "DIGITS_RECEIVED"),
        (Self::Hangup, "HANGUP"),
        (Self::InvalidLambdaResponse, "INVALID_LAMBDA_RESPONSE"),
    ];

    fn from_name(name: &str) -> Self {
        let known = Self::ALL.into_iter().find(|(_, known)| *known == name);
        known.map_or_else(|| Self::Unknown(name.to_owned()), |(invocation, _)| invocation)
    }

    /// AWS's name.
    #[must_use]
    pub fn name(&self) -> &str {
        if let Self::Unknown(name) = self {
            return name;
        }
        Self::ALL.iter().find(|(known, _)| known == self).map_or("", |(_, name)| name)
    }
}

impl Participant {
    fn from_value(leg: &Value) -> Option<Self> {
        let text = |key| leg.get(key).and_then(Value::as_str).unwrap_or_default();
        Some(Self {
            call_id: id(leg.get("CallId"))?.to_owned(),
            // "Leg-A" in places.
            tag: text("ParticipantTag").to_ascii_uppercase(),
            to: text("To").to_owned(),
            from: text("From").to_owned(),
            outbound: text("Direction").eq_ignore_ascii_case("outbound"),
            connected: match text("Status") {
                "Connected" => Some(true),
                "Disconnected" => Some(false),
                _ => None,
            },
        })
    }

    /// Whether a prompt can be heard: a call that came in is answered by speaking, one that goes out is not.
    pub(super) fn can_hear(&self) -> bool {
        self.connected.unwrap_or(!self.outbound)
    }

    /// Our side's number of a call whose leg A this is.
    pub(super) fn own_number(&self) -> &str {
        if self.outbound { &self.from } else { &self.to }
    }
}

impl ActionData {
    fn from_event(event: &Value) -> Self {
        let data = event.get("ActionData");
        let get = |key| data.and_then(|data| data.get(key));
        // An invalid response's error stands beside the data.
        let text = |key| get(key).or_else(|| event.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            kind: get("Type").and_then(Value::as_str).unwrap_or_default().to_owned(),
            parameters: get("Parameters").and_then(Value::as_object).cloned().unwrap_or_default(),
            sip_response_code: get("SipResponseCode").cloned(),
            error_type: text("ErrorType"),
            error_message: text("ErrorMessage"),
        }
    }

    /// `Arguments` of a call that was created or updated.
    pub(super) fn arguments(&self) -> BTreeMap<String, String> {
        strings(self.parameters.get("Arguments"))
    }

    /// Whether the SIP answer of a leg was 603; see the module's documentation.
    pub(super) fn declined(&self) -> bool {
        let code = |value: &Value| value.as_u64() == Some(603) || value.as_str().map(str::trim) == Some("603");
        let codes = [self.sip_response_code.as_ref(), self.parameters.get("SipResponseCode")];
        if codes.into_iter().flatten().any(code) {
            return true;
        }
        // Not as a part of a telephone number, such as 603-555-0100.
        let words: Vec<&str> =
            self.error_message.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let number = |word: Option<&&str>| word.is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        let before = std::iter::once(None).chain(words.iter().map(Some));
        let after = words.iter().map(Some).skip(1).chain([None]);
        words
            .iter()
            .zip(before)
            .zip(after)
            .any(|((word, before), after)| *word == "603" && !number(before) && !number(after))
    }

    /// Whether a bridge went to a telephone number; `None` if nothing tells.
    pub(super) fn to_telephone(&self) -> Option<bool> {
        let endpoint = self.parameters.get("Endpoints")?.get(0)?;
        Some(endpoint.get("BridgeEndpointType")?.as_str()? == "PSTN")
    }

    /// A SIP header of a bridge.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.parameters.get("SipHeaders")?.as_object()?;
        headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
    }
}

/// A text that can be an id.
fn id(value: Option<&Value>) -> Option<&str> {
    value?.as_str().filter(|id| (1..=MAX_ID_LEN).contains(&id.len()))
}

/// An object's texts, numbers and booleans as texts.
fn strings(value: Option<&Value>) -> BTreeMap<String, String> {
    let object = value.and_then(Value::as_object);
    let string = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    object.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), string(value)?))).collect()
}
