//! What is set up on AWS, as it looks on the wire.

use serde_json::{Value, json};

use super::failure::FailureClass;
use super::inspect::{self, ApplicationSeen, OriginationSeen, QueueSeen, RouteSeen, StreamingSeen, VoiceInspector};
use super::stand_in::{Reply, StandIn};

const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111122223333/vc-events";

#[actix_rt::test]
async fn a_queue_is_seen_by_its_attributes() {
    let policy = include_str!("../../crates/chime/tests/fixtures/aws/sqs/queue-policy.json");
    let redrive = include_str!("../../crates/chime/tests/fixtures/aws/sqs/redrive-policy.json");
    let arn = "arn:aws:sqs:us-east-1:111122223333:vc-events";
    let aws = StandIn::start(move |_| {
        Some(Reply::ok(json!({ "Attributes": { "QueueArn": arn, "Policy": policy, "RedrivePolicy": redrive } })))
    })
    .await;
    let seen = inspect::queue(&aws.config().await, QUEUE).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let expected =
        QueueSeen { arn: arn.to_owned(), policy: text(policy), redrive_policy: text(redrive), kms_key: None };
    assert_eq!(seen, expected);
    let asked = aws.asked();
    assert_eq!((asked[0].action(), &asked[0].body["QueueUrl"]), ("GetQueueAttributes", &json!(QUEUE)));

    // Nothing is set: the answer has no attributes at all.
    let aws = StandIn::start(|_| Some(Reply::ok("{}"))).await;
    assert_eq!(inspect::queue(&aws.config().await, QUEUE).await.unwrap(), QueueSeen::default());
    let missing = include_str!("../../crates/chime/tests/fixtures/aws/sqs/error-queue-does-not-exist.json");
    let aws = StandIn::start(move |_| Some(Reply::new(400, missing))).await;
    assert_eq!(inspect::queue(&aws.config().await, QUEUE).await.unwrap_err().class, FailureClass::NotFound);
}

fn answer(line: &str) -> Option<Value> {
    Some(match line {
        "GET /voice-connectors?max-results=99" => {
            json!({ "VoiceConnectors": [{ "VoiceConnectorId": "one" }, { "VoiceConnectorId": "two" }] })
        }
        "GET /voice-connectors/one/streaming-configuration" => json!({ "StreamingConfiguration": {
            "DataRetentionInHours": 1,
            "Disabled": false,
            "StreamingNotificationTargets": [{ "NotificationTarget": "EventBridge" }],
        }}),
        "GET /voice-connectors/one/origination" => json!({ "Origination": { "Disabled": false, "Routes": [
            { "Host": "gw1.example.com", "Port": 5060, "Protocol": "UDP", "Priority": 1, "Weight": 50 },
            { "Host": "203.0.113.7", "Protocol": "TCP", "Priority": 1, "Weight": 50 },
        ]}}),
        "GET /voice-connectors/one" => {
            json!({ "VoiceConnector": { "VoiceConnectorId": "one", "RequireEncryption": true } })
        }
        "GET /voice-connectors/two" => json!({ "VoiceConnector": { "VoiceConnectorId": "two" } }),
        "GET /voice-connectors/two/streaming-configuration" => {
            json!({ "StreamingConfiguration": { "DataRetentionInHours": 0, "Disabled": true } })
        }
        "GET /voice-connectors/two/origination" => json!({}),
        "GET /sip-media-applications/app" => json!({ "SipMediaApplication": {
            "Name": "phone",
            "Endpoints": [{ "LambdaArn": "arn:aws:lambda:us-east-1:111122223333:function:trunkline" }],
        }}),
        _ => return None,
    })
}

#[actix_rt::test]
async fn voice_connectors_and_application_are_seen() {
    let aws = StandIn::start(|request| {
        Some(match answer(&request.line) {
            Some(body) => Reply::ok(body),
            None if request.line.contains("denied") => Reply::error(403, "ForbiddenException", "not you"),
            None => Reply::error(404, "NotFoundException", "no such thing"),
        })
    })
    .await;
    let inspector = VoiceInspector::new(&aws.config().await);
    assert_eq!(inspector.connector_ids().await.unwrap(), ["one", "two"]);

    let one = inspector.connector("one").await;
    assert_eq!(one.streaming, Ok(StreamingSeen { enabled: true, targets: vec!["EventBridge".to_owned()] }));
    let route =
        |host: &str, protocol: &str| RouteSeen { host: host.to_owned(), port: 5_060, protocol: protocol.to_owned() };
    let routes = vec![route("gw1.example.com", "UDP"), route("203.0.113.7", "TCP")];
    assert_eq!(one.origination, Ok(OriginationSeen { enabled: true, routes }));
    assert_eq!(one.requires_encryption, Ok(true));
    let two = inspector.connector("two").await;
    assert_eq!(two.streaming, Ok(StreamingSeen { enabled: false, targets: Vec::new() }));
    assert_eq!(two.origination, Ok(OriginationSeen { enabled: false, routes: Vec::new() }));
    assert_eq!(two.requires_encryption, Ok(false));
    let three = inspector.connector("three").await;
    assert_eq!(three.streaming.unwrap_err().class, FailureClass::NotFound);
    let denied = inspector.connector("denied").await;
    assert_eq!(denied.origination.unwrap_err().class, FailureClass::Denied);

    let lambda = "arn:aws:lambda:us-east-1:111122223333:function:trunkline".to_owned();
    let expected = ApplicationSeen { name: "phone".to_owned(), lambdas: vec![lambda] };
    assert_eq!(inspector.application("app").await, Ok(expected));
    assert_eq!(inspector.application("other").await.unwrap_err().class, FailureClass::NotFound);
}

#[actix_rt::test]
async fn a_look_ends_after_five_seconds() {
    let aws = StandIn::start(|_| None).await;
    let config = aws.config().await;
    // From here on, waiting costs nothing.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let failure = inspect::queue(&config, QUEUE).await.unwrap_err();
    assert_eq!((failure.class, began.elapsed().as_secs()), (FailureClass::Unavailable, 5), "{failure}");
}
