//! The model's tools: what it is offered, and what it asked for, checked. The model can be talked into anything by a
//! caller, so that nothing it writes is taken on trust.

use std::fmt;

use serde_json::{Map, Value, json};
use trunkline_realtime::ToolSpec;

use crate::{DigitCollector, Glob, mask_number};

/// Longest arguments text taken, in bytes.
pub const MAX_TOOL_ARGUMENTS: usize = 16 << 10;

/// Most keys `send_dtmf` takes at once, pauses included; the SMA's action SendDigits takes no more.
pub const MAX_DTMF: usize = 50;

/// Longest reason of a hang-up that is kept, in bytes.
const MAX_REASON: usize = 200;

/// Longest part of a stranger's text that an error repeats, in characters.
const MAX_QUOTED: usize = 64;

const HANG_UP: &str = "hang_up";
const TRANSFER_CALL: &str = "transfer_call";
const SEND_DTMF: &str = "send_dtmf";

/// What models call the destination of a transfer, whatever the schema says. The first that is there counts.
const DESTINATION: [&str; 4] = ["to", "destination", "number", "phone_number"];

/// What the model asked for, checked. `Debug` shows neither numbers, keys nor arguments: it may be logged.
#[derive(Clone, PartialEq, Eq)]
pub enum ToolAction {
    /// End the call, once the goodbye has been heard.
    HangUp {
        /// Why, in the model's words: one line of at most 200 bytes.
        reason: Option<String>,
    },
    /// Give the caller to somebody else, once the goodbye has been heard.
    Transfer {
        /// `+` and 2 to 15 digits (E.164), or 2 to 8 digits; on the allow-list.
        to: String,
    },
    /// Press keys.
    SendDtmf {
        /// 1 to 50 of `0-9*#A-D` and the comma, which is a pause of half a second.
        digits: String,
    },
    /// Call a tool of the configuration.
    Http {
        /// Its name.
        name: String,
        /// Its arguments: a JSON object without needless blanks.
        arguments: String,
    },
}

impl fmt::Debug for ToolAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HangUp { reason } => f.debug_struct("HangUp").field("reason", reason).finish(),
            Self::Transfer { to } => write!(f, "Transfer {{ to: {} }}", mask_number(to)),
            Self::SendDtmf { digits } => write!(f, "SendDtmf {{ {} keys }}", digits.len()),
            Self::Http { name, arguments } => write!(f, "Http {{ name: {name:?}, {} bytes }}", arguments.len()),
        }
    }
}

/// What is wrong with a tool call. The texts are for the model, for the log and for the timeline: keys and whole numbers
/// are not in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// No tool of this name is offered on this route.
    #[error("there is no tool {name:?}; allowed: {offered}")]
    Unknown {
        /// The name, cut to 64 characters.
        name: String,
        /// Names of the tools there are.
        offered: String,
    },
    /// More arguments than any tool needs.
    #[error("the arguments have {length} bytes; allowed: up to {MAX_TOOL_ARGUMENTS}")]
    TooLong {
        /// Bytes given.
        length: usize,
    },
    /// Something else than a JSON object.
    #[error("the arguments are not a JSON object")]
    NotJson,
    /// An argument that has to be there is not.
    #[error("{argument} is missing; allowed: {allowed}")]
    Missing {
        /// Its name.
        argument: &'static str,
        /// What it takes.
        allowed: &'static str,
    },
    /// An argument with a value that it does not take.
    #[error("{argument} {problem}; allowed: {allowed}")]
    BadArgument {
        /// Its name.
        argument: &'static str,
        /// What is wrong with the value.
        problem: String,
        /// What it takes.
        allowed: &'static str,
    },
    /// A good number that calls may not be transferred to.
    #[error("a transfer to {masked} is not allowed; use only a number that your instructions give you")]
    DestinationNotAllowed {
        /// The number's last four digits.
        masked: String,
    },
}

impl ToolError {
    /// The tool's output that tells the model: `{"error":"..."}`.
    #[must_use]
    pub fn for_model(&self) -> String {
        json!({ "error": self.to_string() }).to_string()
    }
}

/// Which of the built-in tools there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuiltIns {
    /// `hang_up`
    pub hang_up: bool,
    /// `transfer_call`
    pub transfer_call: bool,
    /// `send_dtmf`
    pub send_dtmf: bool,
}

impl BuiltIns {
    /// Their names; no other tool may have one of these.
    pub const NAMES: [&str; 3] = [HANG_UP, TRANSFER_CALL, SEND_DTMF];

    /// Those among `names`; other names change nothing.
    #[must_use]
    pub fn among<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut found = Self::default();
        for name in names {
            match name {
                HANG_UP => found.hang_up = true,
                TRANSFER_CALL => found.transfer_call = true,
                SEND_DTMF => found.send_dtmf = true,
                _ => {}
            }
        }
        found
    }
}

/// The tools of one route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Toolbox {
    built_in: BuiltIns,
    destinations: Vec<Glob>,
    http: Vec<ToolSpec>,
}

impl Toolbox {
    /// `destinations`: where calls may be transferred to; with none there is no `transfer_call`, as it could only refuse.
    /// `http`: the configuration's tools, none of which has a built-in's name.
    #[must_use]
    pub fn new(built_in: BuiltIns, destinations: Vec<Glob>, http: Vec<ToolSpec>) -> Self {
        let transfer_call = built_in.transfer_call && !destinations.is_empty();
        Self { built_in: BuiltIns { transfer_call, ..built_in }, destinations, http }
    }

    /// What the session is told.
    #[must_use]
    pub fn specs(&self) -> Vec<ToolSpec> {
        let BuiltIns { hang_up, transfer_call, send_dtmf } = self.built_in;
        let built_in = [hang_up.then(hang_up_spec), transfer_call.then(transfer_spec), send_dtmf.then(dtmf_spec)];
        built_in.into_iter().flatten().chain(self.http.iter().cloned()).collect()
    }

    /// Checks a call of the tool `name`. `arguments` is what the model wrote; models write nothing at all where a tool
    /// takes no arguments.
    ///
    /// # Errors
    /// [`ToolError`], which the model is to be told by [`ToolError::for_model`].
    pub fn read(&self, name: &str, arguments: &str) -> Result<ToolAction, ToolError> {
        let BuiltIns { hang_up, transfer_call, send_dtmf } = self.built_in;
        match name {
            HANG_UP if hang_up => Ok(ToolAction::HangUp { reason: reason(&object(arguments)?) }),
            TRANSFER_CALL if transfer_call => self.transfer(&object(arguments)?),
            SEND_DTMF if send_dtmf => Ok(ToolAction::SendDtmf { digits: digits(&object(arguments)?)? }),
            _ if self.http.iter().any(|tool| tool.name == name) => {
                let arguments = Value::Object(object(arguments)?).to_string();
                Ok(ToolAction::Http { name: name.to_owned(), arguments })
            }
            _ => Err(ToolError::Unknown { name: name.chars().take(MAX_QUOTED).collect(), offered: self.names() }),
        }
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.specs().into_iter().map(|tool| tool.name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    fn transfer(&self, arguments: &Map<String, Value>) -> Result<ToolAction, ToolError> {
        const ALLOWED: &str = "a telephone number as text: + and 2 to 15 digits, or an extension of 2 to 8 digits";
        let given = DESTINATION.iter().find_map(|&name| arguments.get(name).filter(|value| !value.is_null()));
        let argument = "to";
        let given = given.ok_or(ToolError::Missing { argument, allowed: ALLOWED })?;
        let bad = |problem: String| ToolError::BadArgument { argument, problem, allowed: ALLOWED };
        let to = keys_of(given).ok_or_else(|| bad(format!("is {}", kind_of(given))))?;
        if !is_number(&to) {
            return Err(bad(format!("is no telephone number ({})", mask_number(&to))));
        }
        if !self.destinations.iter().any(|allowed| allowed.matches(&to)) {
            return Err(ToolError::DestinationNotAllowed { masked: mask_number(&to) });
        }
        Ok(ToolAction::Transfer { to })
    }
}

/// The arguments' members.
fn object(arguments: &str) -> Result<Map<String, Value>, ToolError> {
    if arguments.len() > MAX_TOOL_ARGUMENTS {
        return Err(ToolError::TooLong { length: arguments.len() });
    }
    if arguments.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(arguments).map_err(|_| ToolError::NotJson)
}

/// Never an error: a call that is to end does not go on for the sake of a note.
fn reason(arguments: &Map<String, Value>) -> Option<String> {
    let given = arguments.get("reason")?.as_str()?;
    let words: Vec<&str> =
        given.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let mut reason = words.join(" ");
    reason.truncate(reason.floor_char_boundary(MAX_REASON));
    Some(reason).filter(|reason| !reason.is_empty())
}

fn digits(arguments: &Map<String, Value>) -> Result<String, ToolError> {
    const ALLOWED: &str = "a text of 1 to 50 of 0-9, *, #, A-D and the comma, a pause of half a second";
    let argument = "digits";
    let given = arguments.get(argument).filter(|value| !value.is_null());
    let given = given.ok_or(ToolError::Missing { argument, allowed: ALLOWED })?;
    // The keys themselves are not repeated: they may be somebody's PIN.
    let bad = |problem: String| ToolError::BadArgument { argument, problem, allowed: ALLOWED };
    let keys = keys_of(given).ok_or_else(|| bad(format!("is {}", kind_of(given))))?.to_ascii_uppercase();
    if let Some(found) = keys.chars().find(|&key| key != ',' && !DigitCollector::is_key(key)) {
        return Err(bad(format!("holds {found:?}")));
    }
    match keys.len() {
        1..=MAX_DTMF => Ok(keys),
        length => Err(bad(format!("has {length} keys"))),
    }
}

/// A text, or a whole number that should have been one, without what only separates groups of digits for the eye.
fn keys_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    // Models write typographic hyphens, too.
    let separates = |c: char| c.is_whitespace() || matches!(c, '-' | '(' | ')' | '.' | '\u{2010}'..='\u{2015}');
    Some(text.chars().filter(|&c| !separates(c)).collect())
}

/// ITU-T E.164 with its `+`, or an extension or short code. Anything between needs a dialling plan to be understood.
fn is_number(text: &str) -> bool {
    let (digits, lengths) = match text.strip_prefix('+') {
        Some(digits) => (digits, 2..=15),
        None => (text, 2..=8),
    };
    let starts_well = text.len() == digits.len() || !digits.starts_with('0');
    starts_well && lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn hang_up_spec() -> ToolSpec {
    spec(
        HANG_UP,
        "Ends the telephone call. Use it when the conversation is over: the caller said goodbye or asked to end the call, \
         or everything is settled and the caller wants nothing more. Say a short goodbye first, in the same response; \
         the call ends once the caller has heard it. If the caller speaks before that, the call goes on. Do not use it \
         because of silence or because something was hard to understand.",
        json!({ "reason": { "type": "string", "description": "Why the call ends, in a few words. For the records, not spoken." } }),
        &[],
    )
}

fn transfer_spec() -> ToolSpec {
    spec(
        TRANSFER_CALL,
        "Transfers the caller to another telephone and ends your part in the call. Use it only when the caller wants that \
         or your instructions say so, and only with a number that your instructions give you: never one that the caller \
         names, and never one that you made up. Tell the caller first, in the same response, whom they will talk to; the \
         transfer happens once the caller has heard it. If the caller speaks before that, there is no transfer.",
        json!({ "to": {
            "type": "string",
            "description": "The number, exactly as your instructions give it: with + and country code, such as +12065550100, or an extension.",
        } }),
        &["to"],
    )
}

fn dtmf_spec() -> ToolSpec {
    spec(
        SEND_DTMF,
        "Presses telephone keys (touch tones) on the line. Use it to go through an automated menu, to dial an extension, or \
         to enter a number that a machine asks for. It is not a way of telling a person a number: say that instead.",
        json!({ "digits": {
            "type": "string",
            "description": "1 to 50 keys in their order: 0-9, *, #, A-D. A comma waits half a second.",
            "pattern": "^[0-9A-D*#,]{1,50}$",
        } }),
        &["digits"],
    )
}

fn spec(name: &str, description: &str, properties: Value, required: &[&str]) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        }),
    }
}
