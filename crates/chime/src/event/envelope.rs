//! What a body may be wrapped in, and the members that are read of it; the others are skipped unseen.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::Poison;
use super::member::{Member, quoted};

/// The outermost object: an EventBridge event, an SNS message, what a Lambda is given, or somebody else's.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) source: Member<'a>,
    #[serde(borrow, rename = "detail-type")]
    pub(super) detail_type: Member<'a>,
    #[serde(borrow)]
    pub(super) time: Member<'a>,
    #[serde(borrow)]
    pub(super) detail: Member<'a, Detail<'a>>,
    #[serde(borrow, rename = "Type")]
    sns_type: Member<'a>,
    #[serde(borrow, rename = "Message")]
    sns_message: Member<'a>,
}

/// The `detail` of a streaming status event.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Detail<'a> {
    #[serde(borrow)]
    pub(super) streaming_status: Member<'a>,
    #[serde(borrow)]
    pub(super) call_id: Member<'a>,
    #[serde(borrow)]
    pub(super) transaction_id: Member<'a>,
    #[serde(borrow)]
    pub(super) voice_connector_id: Member<'a>,
    #[serde(borrow)]
    pub(super) is_caller: Member<'a>,
    #[serde(borrow)]
    pub(super) direction: Member<'a>,
    #[serde(borrow)]
    pub(super) from_number: Member<'a>,
    #[serde(borrow)]
    pub(super) to_number: Member<'a>,
    #[serde(borrow)]
    pub(super) stream_arn: Member<'a>,
    #[serde(borrow)]
    pub(super) failure_reason: Member<'a>,
}

impl<'a> Envelope<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Poison> {
        match serde_json::from_str::<Member<'a, Self>>(text) {
            Ok(Member::Object(envelope)) => Ok(envelope),
            Ok(other) => Err(Poison::NotAnObject { value: other.shown() }),
            // Every member takes any value: all that the data, once it is JSON, can have wrong is a member too many.
            Err(error) if error.classify() == Category::Data => {
                Err(Poison::DuplicateMember { error: error.to_string() })
            }
            Err(error) => Err(Poison::NotJson { error: error.to_string(), value: quoted(text) }),
        }
    }

    /// Whether it has the members by which EventBridge marks its events.
    pub(super) const fn is_event(&self) -> bool {
        !self.source.is_absent() && !self.detail_type.is_absent()
    }

    /// What an SNS message carries; `None` if this is none.
    ///
    /// # Errors
    /// [`Poison::SnsWrapper`] if it is one, but no notification with a text.
    pub(super) fn sns_message(&self) -> Result<Option<&str>, Poison> {
        let of_sns = ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"];
        let Some(kind) = self.sns_type.as_text().filter(|kind| !self.is_event() && of_sns.contains(kind)) else {
            return Ok(None);
        };
        if kind != "Notification" {
            return Err(Poison::SnsWrapper { what: "its Type is", value: self.sns_type.shown() });
        }
        match self.sns_message.as_text() {
            Some(message) => Ok(Some(message)),
            None => Err(Poison::SnsWrapper { what: "its Message is", value: self.sns_message.shown() }),
        }
    }
}

/// Whether `text` is what a Lambda is given for messages of SQS or SNS. S3's notifications have `Records` as well.
pub(super) fn is_lambda_wrapper(text: &str) -> bool {
    serde_json::from_str::<LambdaInput>(text)
        .is_ok_and(|input| input.records.iter().any(|record| record.body.is_some() || record.sns.is_some()))
}

#[derive(Deserialize)]
struct LambdaInput {
    #[serde(rename = "Records")]
    records: Vec<LambdaRecord>,
}

#[derive(Deserialize)]
struct LambdaRecord {
    body: Option<IgnoredAny>,
    #[serde(rename = "Sns")]
    sns: Option<IgnoredAny>,
}
