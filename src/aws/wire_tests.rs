//! SQS and the SIP media application as they look on the wire.

use std::collections::BTreeMap;

use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use serde_json::{Value, json};
use trunkline_actors::ports::{CallControl as _, ControlError, OutgoingCall};

use super::chime_voice::ChimeVoice;
use super::failure::FailureClass;
use super::queue::EventQueue as _;
use super::sqs::Sqs;
use super::stand_in::{self, Reply, StandIn};

const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111122223333/vc-events";
const APPLICATION: &str = "2f9d7c1a-6f3e-4b7d-9c55-7a1e3f0b8d21";
const TRANSACTION: &str = "e2b7a9c4-1d35-4f86-a0b9-c7d8e9f01234";

macro_rules! sqs {
    ($name:literal) => {
        include_str!(concat!("../../crates/chime/tests/fixtures/aws/sqs/", $name, ".json"))
    };
}

macro_rules! api {
    ($name:literal) => {
        include_str!(concat!("../../tests/fixtures/aws-api/", $name, ".json"))
    };
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn arguments(of: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(of.clone()).unwrap()
}

#[actix_rt::test]
async fn a_receive_asks_for_ten_and_waits_long() {
    let aws = StandIn::start(|_| Some(Reply::ok(sqs!("receive-redelivered-started")))).await;
    let received = Sqs::new(&aws.config().await, QUEUE).receive().await.unwrap();
    let fixture = &parsed(sqs!("receive-redelivered-started"))["Messages"][0];
    assert_eq!(received.len(), 1);
    assert_eq!((received[0].id.as_str(), received[0].deliveries), (fixture["MessageId"].as_str().unwrap(), 4));
    assert_eq!(received[0].receipt, fixture["ReceiptHandle"]);
    assert_eq!(received[0].body, fixture["Body"]);

    let asked = aws.asked();
    assert_eq!((asked[0].line.as_str(), asked[0].action()), ("POST /", "ReceiveMessage"));
    let mut expected = parsed(sqs!("request-receive"));
    expected["MessageSystemAttributeNames"] = json!(["ApproximateReceiveCount"]);
    assert_eq!(asked[0].body, expected);
    assert!(asked[0].header("authorization").contains("/us-east-1/sqs/aws4_request"));
}

#[actix_rt::test]
async fn ten_messages_and_none_are_received() {
    let aws = StandIn::start(|_| Some(Reply::ok(sqs!("receive-mixed-batch-of-10")))).await;
    let received = Sqs::new(&aws.config().await, QUEUE).receive().await.unwrap();
    assert_eq!(received.len(), 10);
    let aws = StandIn::start(|_| Some(Reply::ok(sqs!("receive-empty")))).await;
    assert_eq!(Sqs::new(&aws.config().await, QUEUE).receive().await.unwrap(), []);
}

#[actix_rt::test]
async fn a_delete_tells_what_was_left() {
    let aws = StandIn::start(|_| Some(Reply::ok(sqs!("response-delete-batch-partial")))).await;
    let queue = Sqs::new(&aws.config().await, QUEUE);
    let receipts = vec!["AQEBfake0==".to_owned(), "AQEBfake1==".to_owned()];
    assert_eq!(queue.delete_batch(receipts).await.unwrap(), ["AQEBfake1=="]);
    let asked = aws.asked();
    assert_eq!((asked[0].action(), &asked[0].body), ("DeleteMessageBatch", &parsed(sqs!("request-delete-batch"))));
}

#[actix_rt::test]
async fn given_back_is_visible_at_once() {
    let aws = StandIn::start(|_| Some(Reply::ok(json!({ "Successful": [{ "Id": "0" }], "Failed": [] })))).await;
    Sqs::new(&aws.config().await, QUEUE).make_visible(vec!["r".to_owned()]).await.unwrap();
    let asked = aws.asked();
    assert_eq!(asked[0].action(), "ChangeMessageVisibilityBatch");
    let entries = json!([{ "Id": "0", "ReceiptHandle": "r", "VisibilityTimeout": 0 }]);
    assert_eq!(asked[0].body, json!({ "QueueUrl": QUEUE, "Entries": entries }));
}

#[actix_rt::test]
async fn failures_of_the_queue_have_their_class_and_are_not_retried() {
    let missing = |code: &str| Reply::new(400, sqs!("error-queue-does-not-exist")).with("x-amzn-query-error", code);
    let table: [(fn() -> Reply, FailureClass); 4] = [
        (|| Reply::new(400, sqs!("error-throttled")), FailureClass::Throttled),
        (|| Reply::new(400, sqs!("error-queue-does-not-exist")), FailureClass::NotFound),
        (
            || Reply::new(403, json!({ "__type": "InvalidClientTokenId", "message": "bad key" })),
            FailureClass::Unidentified,
        ),
        (|| Reply::new(500, "<html>"), FailureClass::Unavailable),
    ];
    for (reply, class) in table {
        let aws = StandIn::start(move |_| Some(reply())).await;
        let failure = Sqs::new(&aws.config().await, QUEUE).receive().await.unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
        assert_eq!(aws.asked().len(), 1, "{failure}");
    }
    let aws = StandIn::start(move |_| Some(missing("AWS.SimpleQueueService.NonExistentQueue;Sender"))).await;
    let failure = Sqs::new(&aws.config().await, QUEUE).receive().await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotFound, "{failure}");

    // TLS is spoken where the address says so; the stand-in does not know it.
    let url = aws.url.replace("http://", "https://");
    let deaf = Sqs::new(&stand_in::config(&url).await, QUEUE).receive().await.unwrap_err();
    assert_eq!((deaf.class, deaf.status), (FailureClass::Unavailable, None), "{deaf}");

    let nobody = Sqs::new(&stand_in::config("http://127.0.0.1:1").await, QUEUE).receive().await.unwrap_err();
    assert_eq!(nobody.class, FailureClass::Unavailable, "{nobody}");
    assert!(nobody.text.contains("refused"), "{nobody}");
}

#[actix_rt::test]
async fn without_credentials_nothing_is_asked() {
    let aws = StandIn::start(|_| Some(Reply::ok(sqs!("receive-empty")))).await;
    let nobody = SharedCredentialsProvider::new(provide_credentials_fn(|| async {
        Err(CredentialsError::not_loaded("nothing in environment, profile, container, instance"))
    }));
    let config = aws.config().await.into_builder().credentials_provider(nobody).build();
    let failure = Sqs::new(&config, QUEUE).receive().await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NoCredentials, "{failure}");
    assert!(failure.text.contains("nothing in environment"), "{failure}");
    assert!(aws.asked().is_empty());
}

#[actix_rt::test]
async fn an_update_carries_its_arguments() {
    let aws = StandIn::start(|_| Some(Reply::new(202, api!("update-call.response-202")))).await;
    let fixture = parsed(api!("update-call.request-keepalive"));
    let voice = ChimeVoice::new(&aws.config().await, APPLICATION);
    assert_eq!(voice.update(TRANSACTION, arguments(&fixture["body"]["Arguments"])).await, Ok(()));
    let asked = aws.asked();
    assert_eq!(asked[0].line, fixture["_http"]);
    assert_eq!(asked[0].body, fixture["body"]);
    assert!(asked[0].header("authorization").contains("/us-east-1/chime/aws4_request"));
}

fn outgoing(fixture: &Value) -> OutgoingCall {
    let text = |name: &str| fixture["body"][name].as_str().unwrap().to_owned();
    OutgoingCall {
        from: text("FromPhoneNumber"),
        to: text("ToPhoneNumber"),
        arguments: arguments(&fixture["body"]["ArgumentsMap"]),
    }
}

#[actix_rt::test]
async fn a_call_is_placed_and_named() {
    let aws = StandIn::start(|_| Some(Reply::new(201, api!("create-call.response-201")))).await;
    let mut fixture = parsed(api!("create-call.request"));
    let voice = ChimeVoice::new(&aws.config().await, APPLICATION);
    assert_eq!(voice.create(outgoing(&fixture)).await, Ok(TRANSACTION.to_owned()));
    let asked = aws.asked();
    assert_eq!(asked[0].line, fixture["_http"]);
    // The headers would go to the callee, and the application would not see them.
    fixture["body"].as_object_mut().unwrap().remove("SipHeaders");
    assert_eq!(asked[0].body, fixture["body"]);
}

/// What kind of error it is, without its text.
fn kind(error: &ControlError) -> &'static str {
    match error {
        ControlError::Throttled => "throttled",
        ControlError::Unavailable(_) => "unavailable",
        ControlError::Gone => "gone",
        ControlError::Refused(_) => "refused",
    }
}

#[actix_rt::test]
async fn refusals_of_the_application_are_told_apart_and_nothing_is_sent_twice() {
    let table = [
        (api!("error-400-BadRequestException"), "refused", "refused"),
        (api!("error-400-ResourceLimitExceededException"), "refused", "refused"),
        (api!("error-401-UnauthorizedClientException"), "refused", "refused"),
        (api!("error-403-AccessDeniedException"), "refused", "refused"),
        (api!("error-403-ForbiddenException"), "refused", "refused"),
        (api!("error-404-NotFoundException"), "gone", "refused"),
        (api!("error-429-ThrottledClientException"), "throttled", "throttled"),
        (api!("error-500-ServiceFailureException"), "unavailable", "unavailable"),
        (api!("error-503-ServiceUnavailableException"), "unavailable", "unavailable"),
    ];
    let request = parsed(api!("create-call.request"));
    for (fixture, of_update, of_create) in table {
        let aws = StandIn::start(move |_| Some(Reply::of_fixture(fixture))).await;
        let voice = ChimeVoice::new(&aws.config().await, APPLICATION);
        let error = voice.update(TRANSACTION, BTreeMap::new()).await.unwrap_err();
        assert_eq!(kind(&error), of_update, "{fixture}");
        let error = voice.create(outgoing(&request)).await.unwrap_err();
        assert_eq!(kind(&error), of_create, "{fixture}");
        assert_eq!(aws.asked().len(), 2, "{fixture}");
    }
}

#[actix_rt::test]
async fn any_2xx_is_a_yes() {
    let request = parsed(api!("create-call.request"));
    for body in ["", "{}", "<html>"] {
        let aws = StandIn::start(move |_| Some(Reply::ok(body))).await;
        let voice = ChimeVoice::new(&aws.config().await, APPLICATION);
        assert_eq!(voice.update(TRANSACTION, BTreeMap::new()).await, Ok(()), "{body:?}");
        // Nobody knows how the call is named: it may ring, and must not be placed again.
        let error = voice.create(outgoing(&request)).await.unwrap_err();
        assert_eq!(kind(&error), "unavailable", "{body:?}: {error}");
    }
}

#[actix_rt::test]
async fn an_application_that_does_not_answer_is_unavailable() {
    let aws = StandIn::start(|_| None).await;
    let voice = ChimeVoice::new(&aws.config().await, APPLICATION);
    // From here on, waiting costs nothing.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let error = voice.update(TRANSACTION, BTreeMap::new()).await.unwrap_err();
    assert_eq!(error, ControlError::Unavailable("no answer within 2s".to_owned()));
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[actix_rt::test]
async fn what_aws_says_of_a_number_is_masked() {
    let aws =
        StandIn::start(|_| Some(Reply::error(403, "ForbiddenException", "Caller Id +15550199002 is not valid"))).await;
    let voice = ChimeVoice::new(&aws.config().await, APPLICATION);
    let error = voice.create(outgoing(&parsed(api!("create-call.request")))).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the SIP media application refused: ForbiddenException: Caller Id +***9002 is not valid"
    );
}
