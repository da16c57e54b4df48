use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::settings::Engine;

/// What an SMA answers: at most ten actions, and what to remember of the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmaResponse {
    /// Replace what is left of the actions under way; none leaves those be.
    pub actions: Vec<Action>,
    /// The whole of what is to be remembered; `None` keeps what is.
    pub attributes: Option<BTreeMap<String, String>>,
}

/// An action, in AWS's names. Every action but a bridge names its leg by `CallId`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "Type", content = "Parameters", rename_all_fields = "PascalCase")]
pub enum Action {
    /// Speaks a text by Amazon Polly; answers a call that is not answered yet.
    Speak {
        /// The leg.
        call_id: String,
        /// 1 to 1000 characters.
        text: String,
        /// How it is synthesised.
        engine: Engine,
        /// Such as `en-US`.
        language_code: String,
        /// `text`.
        text_type: &'static str,
        /// Such as `Joanna`.
        voice_id: String,
    },
    /// Quiet.
    Pause {
        /// The leg.
        call_id: String,
        /// Above 0.
        #[serde(serialize_with = "as_string")]
        duration_in_milliseconds: u64,
    },
    /// Ends a leg.
    Hangup {
        /// The leg.
        call_id: String,
        /// `0` (a normal end), `480` or `486`.
        sip_response_code: &'static str,
    },
    /// Presses keys towards a leg.
    SendDigits {
        /// The leg.
        call_id: String,
        /// 1 to 50 of `0-9 * # A-D ,`.
        digits: String,
        /// 50 to 24,000.
        tone_duration_in_milliseconds: u32,
    },
    /// Calls somebody and joins the two.
    CallAndBridge {
        /// 1 to 120.
        call_timeout_seconds: u32,
        /// The number shown: an own one, or the caller's.
        caller_id_number: String,
        /// Whom to call.
        endpoints: [BridgeEndpoint; 1],
        /// Headers of the INVITE, to a Voice Connector alone.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        sip_headers: BTreeMap<String, String>,
    },
}

/// Whom a bridge calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "BridgeEndpointType", rename_all_fields = "PascalCase")]
pub enum BridgeEndpoint {
    /// A Voice Connector.
    #[serde(rename = "AWS")]
    VoiceConnector {
        /// Its name for AWS.
        arn: String,
        /// User part of the Request-URI: 1 to 36 of ``a-zA-Z0-9&=+$/%-_!~*().``
        uri: String,
    },
    /// A telephone.
    #[serde(rename = "PSTN")]
    Telephone {
        /// Its number in E.164.
        uri: String,
    },
}

impl SmaResponse {
    /// The response as it is sent.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut response = json!({ "SchemaVersion": "1.0", "Actions": self.actions });
        if let (Some(object), Some(attributes)) = (response.as_object_mut(), &self.attributes) {
            object.insert("TransactionAttributes".to_owned(), json!(attributes));
        }
        response
    }
}

impl Action {
    /// AWS's name of it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Speak { .. } => "Speak",
            Self::Pause { .. } => "Pause",
            Self::Hangup { .. } => "Hangup",
            Self::SendDigits { .. } => "SendDigits",
            Self::CallAndBridge { .. } => "CallAndBridge",
        }
    }
}

/// AWS's samples have the pause as a text.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn as_string<S: serde::Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}
