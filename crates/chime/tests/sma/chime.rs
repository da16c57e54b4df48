//! A tiny Amazon Chime: carries out what the application answers and tells it what came of that.

use std::collections::VecDeque;

use serde_json::{Value, json};
use trunkline_chime::sma::SmaSettings;

use crate::{respond, settings};

pub const CALLER: &str = "leg-a";
pub const TRANSACTION: &str = "e2b7a9c4-1d35-4f86-a0b9-c7d8e9f01234";

/// What becomes of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bridge {
    Answered,
    NotAnswered,
    Declined,
}

/// One call at Amazon Chime.
pub struct Chime {
    settings: SmaSettings,
    legs: Vec<Value>,
    attributes: Value,
    /// What is to be done yet; the first may be `under_way`.
    list: VecDeque<Value>,
    under_way: bool,
    sequence: u64,
    /// What becomes of the next bridges; then all are answered.
    pub bridges: VecDeque<Bridge>,
    /// Whether success is told after each action and not after the list: AWS says the one, and code in public expects
    /// the other.
    pub tells_each: bool,
    /// Whether a leg's end is told before the success of the action that ended it.
    pub tells_end_first: bool,
    /// Whether the voice works.
    pub polly: bool,
    /// What happened, in order: `speak TEXT`, `pause MS`, `digits D`, `dial URI`, `end LEG`.
    pub heard: Vec<String>,
    /// The headers of every bridge to the Voice Connector.
    pub headers: Vec<Value>,
}

impl Chime {
    /// A call that comes in.
    pub fn inbound() -> Self {
        let mut chime = Self::new(settings(), "Inbound", "+15550100001", "+15550199002");
        chime.invoke("NEW_INBOUND_CALL", Value::Null);
        chime
    }

    /// A call that goes out, ringing.
    pub fn outbound(arguments: Value) -> Self {
        let mut chime = Self::new(settings(), "Outbound", "+15550199002", "+15550100042");
        let data = json!({ "Type": "CallCreateRequest", "Parameters": { "Arguments": arguments } });
        chime.invoke("NEW_OUTBOUND_CALL", data);
        chime.invoke("RINGING", Value::Null);
        chime
    }

    fn new(settings: SmaSettings, direction: &str, from: &str, to: &str) -> Self {
        let caller = json!({
            "CallId": CALLER, "ParticipantTag": "LEG-A", "To": to, "From": from, "Direction": direction,
            "StartTimeInMilliseconds": "1795187043210",
        });
        Self {
            settings,
            legs: vec![caller],
            attributes: Value::Null,
            list: VecDeque::new(),
            under_way: false,
            sequence: 0,
            bridges: VecDeque::new(),
            tells_each: false,
            tells_end_first: false,
            polly: true,
            heard: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The called party answers.
    pub fn answer(&mut self) {
        self.legs[0]["Status"] = json!("Connected");
        self.invoke("CALL_ANSWERED", Value::Null);
    }

    /// The service asks for something.
    pub fn command(&mut self, arguments: Value) {
        self.invoke(
            "CALL_UPDATE_REQUESTED",
            json!({ "Type": "CallUpdateRequest", "Parameters": { "Arguments": arguments } }),
        );
    }

    /// A leg goes by itself, if it is there.
    pub fn lose(&mut self, caller: bool, code: u16) {
        let is_it = |leg: &&mut Value| (leg["CallId"] == CALLER) == caller && leg["Status"] == "Connected";
        let Some(leg) = self.legs.iter_mut().find(is_it) else { return };
        leg["Status"] = json!("Disconnected");
        let leg = leg.clone();
        if caller && self.list.front().is_some_and(|action| action["Type"] != "CallAndBridge") {
            self.list.clear();
            self.under_way = false;
        }
        self.tell_hangup(&leg, code);
    }

    fn tell_hangup(&mut self, leg: &Value, code: u16) {
        let parameters = json!({
            "SipResponseCode": code, "CallId": leg["CallId"], "ParticipantTag": leg["ParticipantTag"],
        });
        self.invoke("HANGUP", json!({ "Type": "Hangup", "Parameters": parameters }));
    }

    /// Whether a leg is there: the caller's, or another.
    pub fn is_there(&self, caller: bool) -> bool {
        self.legs.iter().any(|leg| (leg["CallId"] == CALLER) == caller && leg["Status"] == "Connected")
    }

    /// Everything that is under way ends.
    pub fn settle(&mut self) {
        for _ in 0..1_000 {
            if self.list.is_empty() {
                return;
            }
            self.step();
        }
        panic!("it never ends: {:?}", self.heard);
    }

    /// The next action begins, or ends if it takes time.
    pub fn step(&mut self) {
        let Some(action) = self.list.front().cloned() else { return };
        let parameters = &action["Parameters"];
        let kind = action["Type"].as_str().unwrap();
        let takes_time = matches!(kind, "Speak" | "Pause" | "CallAndBridge");
        if takes_time && !self.under_way {
            if kind == "Speak" {
                if !self.polly {
                    return self.fail(&action, json!({ "ErrorType": "ActionExecutionThrottled" }));
                }
                self.legs[0]["Status"] = json!("Connected");
            }
            self.under_way = true;
            self.heard.extend(match kind {
                "Speak" => Some(format!("speak {}", parameters["Text"].as_str().unwrap())),
                "Pause" => Some(format!("pause {}", parameters["DurationInMilliseconds"].as_str().unwrap())),
                _ => Some(format!("dial {}", parameters["Endpoints"][0]["Uri"].as_str().unwrap())),
            });
            self.headers.extend(parameters.get("SipHeaders").cloned());
            return;
        }
        self.under_way = false;
        match kind {
            "CallAndBridge" => return self.bridged(&action),
            "Hangup" => return self.hung_up(&action),
            "SendDigits" => self.heard.push(format!("digits {}", parameters["Digits"].as_str().unwrap())),
            _ => {}
        }
        self.done(&action);
    }

    /// The action at the head is done.
    fn done(&mut self, action: &Value) {
        self.list.pop_front();
        self.succeeded(action);
    }

    fn succeeded(&mut self, action: &Value) {
        if self.tells_each || self.list.is_empty() {
            self.invoke("ACTION_SUCCESSFUL", action.clone());
        }
    }

    fn fail(&mut self, action: &Value, error: Value) {
        self.list.clear();
        let mut data = action.clone();
        data.as_object_mut().unwrap().extend(error.as_object().unwrap().clone());
        self.invoke("ACTION_FAILED", data);
    }

    fn bridged(&mut self, action: &Value) {
        if !self.is_there(true) && self.legs[0]["Status"] == "Disconnected" {
            return self.fail(action, json!({ "ErrorType": "CallNotAnswered" }));
        }
        match self.bridges.pop_front().unwrap_or(Bridge::Answered) {
            Bridge::Answered => {
                self.legs[0]["Status"] = json!("Connected");
                let number = self.legs.len();
                self.legs.push(json!({
                    "CallId": format!("leg-b-{number}"), "ParticipantTag": "LEG-B", "Direction": "Outbound",
                    "To": self.legs[0]["To"], "From": self.legs[0]["From"],
                    "StartTimeInMilliseconds": "1795187045321", "Status": "Connected",
                }));
                self.done(action);
            }
            Bridge::NotAnswered => self.fail(action, json!({ "ErrorType": "CallNotAnswered" })),
            Bridge::Declined => {
                self.fail(action, json!({ "ErrorType": "CallNotAnswered", "ErrorMessage": "SIP response 603" }));
            }
        }
    }

    fn hung_up(&mut self, action: &Value) {
        let id = &action["Parameters"]["CallId"];
        let leg = self.legs.iter_mut().find(|leg| leg["CallId"] == *id).unwrap();
        if leg["Status"] == "Disconnected" {
            return self.fail(action, json!({ "ErrorType": "InvalidActionParameter" }));
        }
        leg["Status"] = json!("Disconnected");
        let leg = leg.clone();
        self.heard.push(format!("end {}", leg["CallId"].as_str().unwrap()));
        self.list.pop_front();
        if self.tells_end_first {
            self.tell_hangup(&leg, 0);
            self.succeeded(action);
        } else {
            self.succeeded(action);
            self.tell_hangup(&leg, 0);
        }
    }

    fn invoke(&mut self, kind: &str, data: Value) {
        self.sequence += 1;
        assert!(self.sequence < 1_000, "AWS invokes a call's function 1000 times at most");
        let mut event = json!({
            "SchemaVersion": "1.0", "Sequence": self.sequence, "InvocationEventType": kind, "ActionData": data,
            "CallDetails": {
                "TransactionId": TRANSACTION, "AwsAccountId": "111122223333", "AwsRegion": "us-east-1",
                "SipMediaApplicationId": "2f9d7c1a-6f3e-4b7d-9c55-7a1e3f0b8d21", "Participants": self.legs,
            },
        });
        if !self.attributes.is_null() {
            event["CallDetails"]["TransactionAttributes"] = self.attributes.clone();
        }
        let response = respond(&self.settings, &event);
        if let Some(attributes) = response.get("TransactionAttributes") {
            self.attributes = attributes.clone();
        }
        let actions = response["Actions"].as_array().unwrap();
        let takes_actions = match kind {
            "NEW_OUTBOUND_CALL" | "RINGING" | "ACTION_INTERRUPTED" => false,
            "HANGUP" => self.is_there(true) || self.is_there(false),
            _ => true,
        };
        if actions.is_empty() || !takes_actions {
            return;
        }
        // A pause is interrupted; what else is under way ends first.
        let interrupted = self.list.front().filter(|action| self.under_way && action["Type"] == "Pause").cloned();
        let first = self.list.front().filter(|_| self.under_way && interrupted.is_none()).cloned();
        self.under_way = first.is_some();
        self.list = first.into_iter().chain(actions.iter().cloned()).collect();
        if let Some(interrupted) = interrupted {
            self.invoke("ACTION_INTERRUPTED", interrupted);
        }
    }
}
