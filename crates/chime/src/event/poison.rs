use super::{MAX_BODY_BYTES, MAX_ID_LENGTH};

/// Why a body cannot be read as an event: it is left to the queue's dead-letter queue.
///
/// Every `value` is what was found, escaped to ASCII and cut to 64 characters: fit for a log line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Poison {
    /// Nothing, or nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// Larger than a message of the queue can be.
    #[error("the body has {length} bytes, allowed are {MAX_BODY_BYTES}")]
    TooLarge {
        /// Bytes given.
        length: usize,
    },
    /// Not text.
    #[error("the body is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Where it stops to be, counted from 0.
        at: usize,
    },
    /// Text, but not JSON.
    #[error("the body is not JSON ({error}): {value}")]
    NotJson {
        /// What the parser says.
        error: String,
        /// How the body begins.
        value: String,
    },
    /// A member that is needed stands there twice: which of them is meant?
    #[error("the body is ambiguous: {error}")]
    DuplicateMember {
        /// Which one, and where.
        error: String,
    },
    /// JSON, but not an object.
    #[error("the body is {value}, an event is an object")]
    NotAnObject {
        /// What was found.
        value: String,
    },
    /// An SNS envelope that does not hold one event.
    #[error("the body is an SNS message that holds no event ({what} {value}): enable raw delivery on the subscription")]
    SnsWrapper {
        /// What about it is wrong.
        what: &'static str,
        /// What was found.
        value: String,
    },
    /// `Records[].body` or `Records[].Sns`.
    #[error("the body is a Lambda-style wrapper (Records): let the EventBridge rule send to the queue itself")]
    LambdaWrapper,
    /// No `detail`, or not an object.
    #[error("detail is {value}, not an object: the EventBridge rule must not transform its input")]
    BadDetail {
        /// What was found.
        value: String,
    },
    /// An id that is needed is missing, or cannot be one.
    #[error("{member} is {value}, allowed are 1 to {MAX_ID_LENGTH} of A-Za-z0-9._:@-")]
    BadId {
        /// `callId`, `transactionId` or `voiceConnectorId`.
        member: &'static str,
        /// What was found.
        value: String,
    },
}

impl Poison {
    /// A short name for a metric label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge { .. } => "too_large",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::NotJson { .. } => "not_json",
            Self::DuplicateMember { .. } => "duplicate_member",
            Self::NotAnObject { .. } => "not_an_object",
            Self::SnsWrapper { .. } => "sns_wrapper",
            Self::LambdaWrapper => "lambda_wrapper",
            Self::BadDetail { .. } => "bad_detail",
            Self::BadId { member: "callId", .. } => "bad_call_id",
            Self::BadId { member: "transactionId", .. } => "bad_transaction_id",
            Self::BadId { .. } => "bad_voice_connector_id",
        }
    }
}
