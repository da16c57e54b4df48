//! `trunkline doctor` against the simulator and an AWS made of threads.

#![cfg(test)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use support::process::{Process, finish, scratch};

const QUEUE: &str = r#"{"Attributes":{"QueueArn":"arn:aws:sqs:us-east-1:111122223333:vc-events",
    "Policy":"{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"events.amazonaws.com\"},\"Action\":\"sqs:SendMessage\",\"Resource\":\"*\",\"Condition\":{\"ArnEquals\":{\"aws:SourceArn\":\"arn\"}}}}",
    "RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:111122223333:vc-events-dlq\",\"maxReceiveCount\":5}"}}"#;
const STREAMING: &str = r#"{"StreamingConfiguration":{"DataRetentionInHours":1,"Disabled":false,
    "StreamingNotificationTargets":[{"NotificationTarget":"EventBridge"}]}}"#;
const ORIGINATION: &str = r#"{"Origination":{"Disabled":false,
    "Routes":[{"Host":"127.0.0.1","Port":5060,"Protocol":"UDP","Priority":1,"Weight":1}]}}"#;
const APPLICATION: &str = r#"{"SipMediaApplication":{"Name":"phone",
    "Endpoints":[{"LambdaArn":"arn:aws:lambda:us-east-1:111122223333:function:trunkline"}]}}"#;

/// Answers by the request's first line; gives its address. Lives as long as the test.
fn aws(answer: fn(&str) -> (u16, &'static str)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = Vec::new();
            while head.last().is_none_or(|line: &String| !line.trim().is_empty()) {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
                head.push(line.to_lowercase());
            }
            let length = head.iter().find_map(|line| line.strip_prefix("content-length:"));
            let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
            let Some(line) = head.first().filter(|_| stream.read_exact(&mut body).is_ok()) else { continue };
            let (status, text) = answer(line);
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
            stream.get_mut().write_all(format!("{head}{text}").as_bytes()).unwrap();
        }
    });
    url
}

fn well(line: &str) -> (u16, &'static str) {
    match line.split(' ').nth(1).unwrap() {
        "/" => (200, QUEUE),
        "/voice-connectors/vc1/streaming-configuration" => (200, STREAMING),
        "/voice-connectors/vc1/origination" => (200, ORIGINATION),
        "/voice-connectors/vc1" => (200, r#"{"VoiceConnector":{"VoiceConnectorId":"vc1","RequireEncryption":false}}"#),
        "/sip-media-applications/app1" => (200, APPLICATION),
        other => panic!("nobody asks for {other}"),
    }
}

/// Lists one Voice Connector, which streams nothing; the rest is gone.
fn ill(line: &str) -> (u16, &'static str) {
    match line.split(' ').nth(1).unwrap() {
        "/voice-connectors?max-results=99" => (200, r#"{"VoiceConnectors":[{"VoiceConnectorId":"vc9"}]}"#),
        "/voice-connectors/vc9/streaming-configuration" => {
            (200, r#"{"StreamingConfiguration":{"DataRetentionInHours":0,"Disabled":true}}"#)
        }
        "/" => (400, r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"it does not exist"}"#),
        _ => (403, r#"{"Code":"Forbidden","Message":"not you"}"#),
    }
}

fn configuration(aws: &str, model: &str, more: &str) -> PathBuf {
    let path = scratch("doctor.toml");
    let text = format!(
        "[realtime]\nurl = \"{model}\"\ntranscription_model = \"whisper\"\n\
         [events]\nqueue_url = \"{aws}/111122223333/vc-events\"\n\
         [sma]\napplication_id = \"app1\"\nendpoint_url = \"{aws}\"\n{more}\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// Exit code and lines of the report; what is told on stderr must not be more than how many failed.
async fn doctor(file: PathBuf, key: &'static str) -> (i32, Vec<String>) {
    let run = move || {
        let aws = [
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
            ("AWS_REGION", "us-east-1"),
        ];
        let env = [aws.as_slice(), &[("TRUNKLINE__REALTIME__API_KEY", key)]].concat();
        finish(&["doctor", "--config", file.to_str().unwrap()], &env)
    };
    let (code, report, told) = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(!format!("{report}{told}").contains(key), "{report}{told}");
    assert_eq!(told.contains("checks failed"), code == 1, "{told}");
    (code, report.lines().map(str::to_owned).collect())
}

async fn simulator() -> (Process, String) {
    let mut process = Process::start(&["sim", "--listen", "127.0.0.1:0", "--key", "sesame-open"], &[]);
    let addr = process.listening(&["sim"]).await["sim"];
    (process, format!("ws://{addr}/openai/v1/realtime?model=gpt-realtime"))
}

#[tokio::test]
async fn a_deployment_that_is_well_has_nothing_but_ok() {
    let (_simulator, model) = simulator().await;
    let more = "from_number = \"+15550199002\"\nvoice_connector_arn = \"arn:aws:chime:us-east-1:111122223333:vc/vc1\"\n\
                [sip]\nlisten = \"127.0.0.1:5060\"\nallowed_networks = [\"127.0.0.1\"]";
    let (code, lines) = doctor(configuration(&aws(well), &model, more), "sesame-open").await;
    assert!(lines.iter().all(|line| line.starts_with("ok    ")), "{lines:#?}");
    assert_eq!(code, 0);
    let expected = [
        "configuration: ",
        "prompts: 3 and the goodbye",
        "model 127.0.0.1, route *: session sess_",
        "transcription: ",
        "sip address: listens at 127.0.0.1:5060, seen as 127.0.0.1",
        "sip ports: UDP 10000 to 19999 carries 5000 calls at a time",
        "sip networks: 1 are answered, and nobody else",
        "events queue: arn:aws:sqs:us-east-1:111122223333:vc-events exists",
        "events queue policy: EventBridge may send",
        "events dead-letter queue: arn:aws:sqs:us-east-1:111122223333:vc-events-dlq",
        "streaming of vc1: on, EventBridge is told",
        "routes of vc1: 1 origination route",
        "sip route of vc1: 127.0.0.1:5060 UDP leads here",
        "sma application: \"phone\" calls arn:aws:lambda:us-east-1:111122223333:function:trunkline",
        "sma outbound: calls are placed from ***9002",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, part) in lines.iter().zip(expected) {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
}

#[tokio::test]
async fn a_deployment_that_is_ill_is_told_its_cures() {
    let (_simulator, model) = simulator().await;
    let (code, lines) = doctor(configuration(&aws(ill), &model, ""), "wrong-key-given").await;
    assert_eq!(code, 1);
    for expected in [
        "FAIL  model 127.0.0.1, route *: model refused the connection with http status 401; cure: set realtime.api_key",
        "FAIL  events queue: there is none (QueueDoesNotExist: it does not exist); cure: correct events.queue_url",
        "FAIL  streaming of vc9: it is off: no events are sent; cure: turn on streaming",
        "warn  routes of vc9: may not be looked at (HTTP 403); cure: allow chime:GetVoiceConnectorOrigination",
        "warn  sma application: may not be looked at (HTTP 403); cure: allow chime:GetSipMediaApplication",
        "warn  sma outbound: sma.from_number is empty",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected:?} is not in {lines:#?}");
    }
}

#[tokio::test]
async fn a_broken_configuration_is_a_finding() {
    let path = scratch("broken.toml");
    std::fs::write(&path, "[calls]\nmax = \"many\"\n[events]\nqueue_url = \"here\"\n").unwrap();
    let (code, lines) = doctor(path, "sesame-open").await;
    assert_eq!(code, 1);
    let keys = ["events.queue_url", "calls.max"];
    for key in keys {
        let start = format!("FAIL  configuration: {key} = ");
        assert!(lines.iter().any(|line| line.starts_with(&start)), "{key}: {lines:#?}");
    }
}
