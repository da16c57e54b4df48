//! The way of call events: Voice Connector, EventBridge, queue. What was seen there, judged.

use serde_json::Value;
use trunkline_call::Glob;

use super::finding::Finding;
use crate::aws::inspect::{ConnectorSeen, OriginationSeen, QueueSeen, StreamingSeen};
use crate::aws::{AwsFailure, FailureClass};

const POLICY: &str = "add to the queue's policy: Effect Allow, Principal {\"Service\": \"events.amazonaws.com\"}, Action \
                      sqs:SendMessage, Resource the queue's ARN, Condition ArnEquals aws:SourceArn the rule's ARN";
const REDRIVE: &str =
    "give the queue a dead-letter queue with maxReceiveCount 5: events that cannot be read are left to it";
const STREAMING: &str = "turn on streaming to Kinesis Video Streams for the Voice Connector, with EventBridge as the target \
                         of its notifications";
const ORIGINATION: &str = "give the Voice Connector an origination route to sip.advertised and the port of sip.listen (or \
                           sip.tls.listen), or to the SIP gateway that brings calls here";

/// Why something of AWS could not be looked at, and what that means.
pub(super) fn unseen(what: &str, failure: &AwsFailure, permission: &str, address: &str) -> Finding {
    let found = |text: &str| format!("{text} ({failure})");
    match failure.class {
        FailureClass::NotFound => Finding::fail(what, found("there is none"), format!("correct {address}")),
        // A service needs no right to look; only its operator does.
        FailureClass::Denied => {
            Finding::warn(what, found("may not be looked at"), format!("allow {permission} to check it"))
        }
        FailureClass::Throttled => Finding::warn(what, found("cannot be looked at now"), "try again later"),
        FailureClass::NoCredentials => Finding::fail(
            what,
            found("no AWS credentials"),
            "give this process an AWS role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        ),
        FailureClass::Unidentified => Finding::fail(
            what,
            found("the AWS credentials are not accepted"),
            "renew them, and check this machine's clock",
        ),
        FailureClass::Refused => Finding::fail(what, found("AWS refuses to tell"), format!("correct {address}")),
        FailureClass::Unavailable => Finding::fail(
            what,
            found("AWS cannot be reached"),
            format!("let this machine out to AWS by HTTPS, and check {address}"),
        ),
    }
}

/// The queue of `events.queue_url`.
pub(super) fn queue(seen: &Result<QueueSeen, AwsFailure>) -> Vec<Finding> {
    let seen = match seen {
        Ok(seen) => seen,
        Err(failure) => {
            let address = "events.queue_url, events.region and events.endpoint_url";
            return vec![unseen("events queue", failure, "sqs:GetQueueAttributes", address)];
        }
    };
    let mut findings = vec![Finding::ok("events queue", format!("{} exists", seen.arn)), sender(seen), redrive(seen)];
    if let Some(key) = &seen.kms_key {
        findings.push(Finding::warn(
            "events queue encryption",
            format!("its messages are encrypted with the KMS key {key}"),
            "the key's policy has to allow events.amazonaws.com kms:GenerateDataKey and kms:Decrypt, which AWS's own key \
             (alias/aws/sqs) never does; SSE-SQS needs nothing",
        ));
    }
    findings
}

/// Whether EventBridge may send to the queue. Without leave it drops events and says so in a metric of the rule alone.
fn sender(seen: &QueueSeen) -> Finding {
    let what = "events queue policy";
    let Some(policy) = &seen.policy else {
        return Finding::fail(what, "there is none: EventBridge may not send", POLICY);
    };
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return Finding::fail(what, "it is not JSON", POLICY);
    };
    let allowing = |service: &'static str| {
        let arn = seen.arn.clone();
        move |statement: &&Value| allows_sending(statement, service, &arn)
    };
    let statements = list(policy.get("Statement"));
    if let Some(statement) = statements.iter().copied().find(|it| allowing("events.amazonaws.com")(it)) {
        return if statement.get("Condition").is_some_and(|condition| condition.to_string().contains("Source")) {
            Finding::ok(what, "EventBridge may send")
        } else {
            Finding::warn(
                what,
                "the rules of every account may send",
                "add the Condition ArnEquals aws:SourceArn with the rule's ARN",
            )
        };
    }
    if statements.iter().copied().any(|it| allowing("sns.amazonaws.com")(&it)) {
        return Finding::ok(what, "SNS may send (EventBridge itself may not)");
    }
    Finding::fail(what, "EventBridge may not send: events are lost before they reach the queue", POLICY)
}

/// One statement of a policy: `Allow`, to this service, to send, to this queue. Each member is a text or a list of them.
fn allows_sending(statement: &Value, service: &str, arn: &str) -> bool {
    let principal = statement.get("Principal");
    let everyone = principal.and_then(Value::as_str) == Some("*");
    let services = list(principal.and_then(|principal| principal.get("Service")));
    let accounts = list(principal.and_then(|principal| principal.get("AWS")));
    let is_let_in = everyone
        || services.iter().any(|name| matches!(name.as_str(), Some(name) if name == service || name == "*"))
        || accounts.iter().any(|account| account.as_str() == Some("*"));
    let fits = |member: &str, of: &str| {
        list(statement.get(member)).iter().filter_map(|value| value.as_str()).any(|pattern| {
            Glob::parse(&pattern.to_ascii_lowercase()).is_ok_and(|glob| glob.matches(&of.to_ascii_lowercase()))
        })
    };
    statement.get("Effect").and_then(Value::as_str) == Some("Allow")
        && is_let_in
        && fits("Action", "sqs:SendMessage")
        && fits("Resource", arn)
}

/// A member that may be one or a list of them.
fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}

fn redrive(seen: &QueueSeen) -> Finding {
    let what = "events dead-letter queue";
    let Some(policy) = &seen.redrive_policy else {
        return Finding::warn(what, "there is none: events that cannot be read come again for days", REDRIVE);
    };
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    match policy.get("deadLetterTargetArn").and_then(Value::as_str) {
        Some(arn) => Finding::ok(what, arn),
        None => Finding::warn(what, "the redrive policy names none", REDRIVE),
    }
}

/// The Voice Connectors whose events and calls are meant to come here.
pub(super) fn connectors(seen: &[ConnectorSeen], with_events: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for connector in seen {
        let id = &connector.id;
        if with_events {
            findings.push(match &connector.streaming {
                Ok(streaming) => self::streaming(id, streaming),
                Err(failure) => {
                    let permission = "chime:GetVoiceConnectorStreamingConfiguration";
                    unseen(&format!("streaming of {id}"), failure, permission, CONNECTOR_KEYS)
                }
            });
        }
        findings.push(match &connector.origination {
            Ok(origination) => self::origination(id, origination),
            Err(failure) => {
                unseen(&format!("routes of {id}"), failure, "chime:GetVoiceConnectorOrigination", CONNECTOR_KEYS)
            }
        });
    }
    findings
}

pub(super) const CONNECTOR_KEYS: &str = "events.voice_connector_ids, sma.voice_connector_arn and the region";

fn streaming(id: &str, streaming: &StreamingSeen) -> Finding {
    let what = format!("streaming of {id}");
    if !streaming.enabled {
        return Finding::fail(what, "it is off: no events are sent", STREAMING);
    }
    let targets = streaming.targets.join(", ");
    if streaming.targets.iter().any(|target| target == "EventBridge") {
        return Finding::ok(what, format!("on, {targets} is told"));
    }
    let found = if targets.is_empty() { "nobody is told" } else { &targets };
    Finding::fail(what, format!("it is on, but EventBridge is not among its targets ({found})"), STREAMING)
}

fn origination(id: &str, origination: &OriginationSeen) -> Finding {
    let what = format!("routes of {id}");
    match origination.routes.len() {
        _ if !origination.enabled => Finding::fail(what, "origination is off: calls go nowhere", ORIGINATION),
        0 => Finding::fail(what, "there are none: calls go nowhere", ORIGINATION),
        1 => Finding::ok(what, "1 origination route"),
        several => Finding::ok(what, format!("{several} origination routes")),
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
