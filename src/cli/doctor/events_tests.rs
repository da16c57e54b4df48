use super::*;
use crate::aws::inspect::RouteSeen;
use crate::cli::doctor::finding::Verdict;

const ARN: &str = "arn:aws:sqs:us-east-1:111122223333:vc-events";
const POLICY_FIXTURE: &str = include_str!("../../../crates/chime/tests/fixtures/aws/sqs/queue-policy.json");
const REDRIVE_FIXTURE: &str = include_str!("../../../crates/chime/tests/fixtures/aws/sqs/redrive-policy.json");

fn failure(class: FailureClass) -> AwsFailure {
    AwsFailure { class, status: None, text: "as it says".to_owned() }
}

fn with_policy(policy: &str) -> QueueSeen {
    QueueSeen { arn: ARN.to_owned(), policy: Some(policy.to_owned()), ..QueueSeen::default() }
}

/// One statement, with `change` in the place of a part of the good one.
fn policy(part: &str, change: &str) -> String {
    let good = r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"arn:aws:sqs:us-east-1:111122223333:vc-events","Condition":{"ArnEquals":{"aws:SourceArn":"arn:r"}}}}"#;
    assert!(good.contains(part), "{part}");
    good.replace(part, change)
}

#[test]
fn a_good_queue_has_nothing_but_ok() {
    let seen = QueueSeen { redrive_policy: Some(REDRIVE_FIXTURE.to_owned()), ..with_policy(POLICY_FIXTURE) };
    let findings = queue(&Ok(seen));
    assert_eq!(findings.len(), 3);
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:?}");
}

#[test]
fn eventbridge_needs_leave_to_send() {
    use Verdict::{Fail, Ok, Warn};
    let table = [
        (policy("sqs:SendMessage", "SQS:SendMessage"), Ok),
        (policy("\"sqs:SendMessage\"", "[\"sqs:ReceiveMessage\",\"sqs:*\"]"), Ok),
        (policy("\"sqs:SendMessage\"", "\"*\""), Ok),
        (policy("\"events.amazonaws.com\"", "[\"sns.amazonaws.com\",\"events.amazonaws.com\"]"), Ok),
        (policy("{\"Service\":\"events.amazonaws.com\"}", "\"*\""), Ok),
        (policy("{\"Service\":\"events.amazonaws.com\"}", "{\"AWS\":\"*\"}"), Ok),
        (policy("\"arn:aws:sqs:us-east-1:111122223333:vc-events\"", "\"*\""), Ok),
        (policy("events.amazonaws.com", "sns.amazonaws.com"), Ok),
        (policy(",\"Condition\":{\"ArnEquals\":{\"aws:SourceArn\":\"arn:r\"}}", ""), Warn),
        (policy("Allow", "Deny"), Fail),
        (policy("sqs:SendMessage", "sqs:ReceiveMessage"), Fail),
        (policy("events.amazonaws.com", "lambda.amazonaws.com"), Fail),
        (policy("vc-events", "another"), Fail),
        ("{\"Statement\":[]}".to_owned(), Fail),
        ("{}".to_owned(), Fail),
        ("[]".to_owned(), Fail),
        ("no json".to_owned(), Fail),
    ];
    for (policy, verdict) in table {
        let finding = sender(&with_policy(&policy));
        assert_eq!(finding.verdict, verdict, "{finding}\n{policy}");
        assert!(verdict == Ok || finding.to_string().contains("cure: add "), "{finding}");
    }
    assert_eq!(sender(&QueueSeen::default()).verdict, Fail, "no policy at all");
}

#[test]
fn a_queue_without_dead_letter_queue_or_with_a_key_of_its_own_is_warned_of() {
    let bare = with_policy(POLICY_FIXTURE);
    assert_eq!(queue(&Ok(bare.clone()))[2].verdict, Verdict::Warn);
    let broken = QueueSeen { redrive_policy: Some("{}".to_owned()), ..bare.clone() };
    assert_eq!(queue(&Ok(broken))[2].verdict, Verdict::Warn);
    let keyed = QueueSeen { kms_key: Some("alias/aws/sqs".to_owned()), ..bare };
    let findings = queue(&Ok(keyed));
    assert!(findings[3].to_string().starts_with("warn  events queue encryption: "), "{findings:?}");
}

#[test]
fn what_cannot_be_seen_tells_why_and_what_to_do() {
    let table = [
        (FailureClass::NotFound, "FAIL", "there is none (as it says); cure: correct events.queue_url"),
        (FailureClass::Denied, "warn", "may not be looked at (as it says); cure: allow sqs:GetQueueAttributes"),
        (FailureClass::Throttled, "warn", "try again later"),
        (FailureClass::NoCredentials, "FAIL", "AWS_ACCESS_KEY_ID"),
        (FailureClass::Unidentified, "FAIL", "not accepted"),
        (FailureClass::Refused, "FAIL", "correct events.queue_url"),
        (FailureClass::Unavailable, "FAIL", "by HTTPS"),
    ];
    for (class, verdict, part) in table {
        let findings = queue(&Err(failure(class)));
        let line = findings[0].to_string();
        assert!(findings.len() == 1 && line.starts_with(verdict) && line.contains(part), "{class:?}: {line}");
    }
}

#[test]
fn a_voice_connector_streams_tells_eventbridge_and_sends_calls() {
    let streaming = |enabled: bool, targets: &[&str]| StreamingSeen {
        enabled,
        targets: targets.iter().map(ToString::to_string).collect(),
    };
    let origination = |enabled: bool, routes: usize| {
        let route = RouteSeen { host: "gw.example.com".to_owned(), port: 5_060, protocol: "UDP".to_owned() };
        OriginationSeen { enabled, routes: vec![route; routes] }
    };
    let table = [
        (streaming(true, &["EventBridge"]), origination(true, 2), ["ok  ", "ok  "]),
        (streaming(true, &["SNS", "EventBridge"]), origination(true, 1), ["ok  ", "ok  "]),
        (streaming(false, &["EventBridge"]), origination(true, 0), ["FAIL", "FAIL"]),
        (streaming(true, &["SQS"]), origination(false, 1), ["FAIL", "FAIL"]),
        (streaming(true, &[]), origination(true, 1), ["FAIL", "ok  "]),
    ];
    for (streaming, origination, verdicts) in table {
        let seen = ConnectorSeen {
            id: "fx7q".to_owned(),
            streaming: Ok(streaming),
            origination: Ok(origination),
            requires_encryption: Ok(false),
        };
        let lines: Vec<String> =
            connectors(std::slice::from_ref(&seen), true).iter().map(ToString::to_string).collect();
        let found: Vec<&str> = lines.iter().map(|line| &line[..4]).collect();
        assert_eq!(found, verdicts, "{lines:?}");
        assert!(lines[0].contains("streaming of fx7q") && lines[1].contains("routes of fx7q"));
        assert_eq!(connectors(&[seen], false).len(), 1, "streaming matters to events alone");
    }
    let denied = ConnectorSeen {
        id: "fx7q".to_owned(),
        streaming: Err(failure(FailureClass::Denied)),
        origination: Err(failure(FailureClass::NotFound)),
        requires_encryption: Err(failure(FailureClass::NotFound)),
    };
    let lines: Vec<String> = connectors(&[denied], true).iter().map(ToString::to_string).collect();
    assert!(lines[0].contains("allow chime:GetVoiceConnectorStreamingConfiguration"), "{lines:?}");
    assert!(lines[1].starts_with("FAIL  routes of fx7q: there is none"), "{lines:?}");
}
