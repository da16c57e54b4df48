//! The telephone against a scripted service, over a real socket and in real time.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use actix_ws::{AggregatedMessage, CloseCode, Session};

use super::*;

/// What the service saw.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }
}

/// Answers the caller's words with a burst of `reply` frames, a mark, and more that it takes back.
async fn service(
    request: HttpRequest,
    body: web::Payload,
    seen: Seen,
    reply: usize,
) -> actix_web::Result<HttpResponse> {
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    seen.note(format!("{} {:?}", request.uri(), header));
    if header != Some("Bearer sesame") {
        return Ok(HttpResponse::Unauthorized().finish());
    }
    let (response, session, stream) = actix_ws::handle(&request, body)?;
    let stream = stream.aggregate_continuations();
    actix_rt::spawn(converse(session, stream, seen, reply));
    Ok(response)
}

async fn converse(mut session: Session, mut stream: actix_ws::AggregatedMessageStream, seen: Seen, reply: usize) {
    let ready = json!({ "type": "ready", "callId": "t", "codec": "pcmu", "frameMs": 20 });
    session.text(ready.to_string()).await.unwrap();
    let mut frames = 0;
    let mut sizes = Vec::new();
    while let Some(Ok(message)) = stream.next().await {
        match message {
            AggregatedMessage::Binary(frame) => {
                frames += 1;
                sizes.push(frame.len());
                // The words (0.3 s) and the lead-in (0.1 s) are over: answer.
                if frames == 30 {
                    for _ in 0..reply {
                        session.binary(vec![0x80_u8; 160]).await.unwrap();
                    }
                    session.text(json!({ "type": "mark", "mark": "m1" }).to_string()).await.unwrap();
                }
                if frames == 50 {
                    for _ in 0..50 {
                        session.binary(vec![0x80_u8; 160]).await.unwrap();
                    }
                    session.text(json!({ "type": "mark", "mark": "taken back" }).to_string()).await.unwrap();
                    session.ping(b"hello").await.unwrap();
                }
                if frames == 56 {
                    session.text(json!({ "type": "clear" }).to_string()).await.unwrap();
                }
            }
            AggregatedMessage::Text(text) => {
                seen.note(text.to_string());
                if text.contains("\"stop\"") {
                    session.text(json!({ "type": "stop", "reason": "caller_hangup" }).to_string()).await.unwrap();
                    session.close(Some(CloseCode::Normal.into())).await.unwrap();
                    break;
                }
            }
            AggregatedMessage::Pong(payload) => seen.note(format!("pong {}", payload.len())),
            _ => break,
        }
    }
    seen.note(format!("frames of {:?} bytes", sizes.iter().collect::<std::collections::BTreeSet<_>>()));
}

fn options(url: String, secret: &str) -> PhoneOptions {
    let second = Duration::from_secs(1);
    PhoneOptions {
        url,
        call_id: Some("t".to_owned()),
        secret: Some(Secret::new(secret)),
        account: None,
        ca_file: None,
        words: vec![2_000; 2_400],
        patience: Patience {
            lead_in: Duration::from_millis(100),
            quiet_after_reply: second / 2,
            no_reply: second,
            longest: second * 10,
        },
        progress: Box::new(|_| ()),
    }
}

/// Runs the telephone against the scripted service. One worker, in this thread's system.
fn call(secret: &'static str, reply: usize) -> (Result<PhoneReport, PhoneError>, Vec<String>) {
    actix_rt::System::new().block_on(async move {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let at_service = seen.clone();
        let server = HttpServer::new(move || {
            let seen = at_service.clone();
            App::new().default_service(web::to(move |request, body| service(request, body, seen.clone(), reply)))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        let serving = actix_rt::spawn(server);
        let result = place_call(options(format!("ws://{address}"), secret)).await;
        handle.stop(true).await;
        serving.await.unwrap().unwrap();
        let seen = std::mem::take(&mut *seen.0.lock().unwrap());
        (result, seen)
    })
}

#[test]
fn a_call_from_ready_to_stop() {
    let (report, seen) = call("sesame", 12);
    let report = report.unwrap();
    assert_eq!(seen[0], "/ingest?callId=t Some(\"Bearer sesame\")");
    assert!(seen.contains(&"frames of {160} bytes".to_owned()), "{seen:?}");
    assert!(seen.contains(&"pong 5".to_owned()), "{seen:?}");
    let played: Vec<&String> = seen.iter().filter(|text| text.contains("played")).collect();
    assert_eq!(played, [r#"{"mark":"m1","type":"played"}"#], "the mark that was taken back is not answered");
    assert!(seen.iter().any(|text| text.contains(r#""type":"stop""#)), "{seen:?}");

    assert!(report.reply_heard && report.hung_up);
    assert_eq!(report.stop_reason.as_deref(), Some("caller_hangup"));
    assert_eq!(
        (report.frames_in, report.odd_frames, report.clears, report.marks, report.marks_answered),
        (62, 0, 1, 2, 1)
    );
    assert_eq!(report.frames_unsent, 0);
    assert!(report.cleared_ms > 500, "{}", report.cleared_ms);
    assert_eq!(
        report.heard.len(),
        usize::try_from(report.frames_out).unwrap() * 160,
        "the recording is a real-time line"
    );
    let sound = report.heard.iter().filter(|sample| **sample != 0).count() / 160;
    assert!((13..=19).contains(&sound), "{sound} frames of sound: m1 whole, the rest cut by clear");
    // 20 ms a frame on an absolute clock.
    let paced = Duration::from_millis(20) * u32::try_from(report.frames_out).unwrap();
    assert!(report.duration.abs_diff(paced) < Duration::from_millis(200), "{:?} for {paced:?}", report.duration);
    let first_reply = report.first_reply.unwrap();
    assert!(first_reply > Duration::from_millis(100) && first_reply < Duration::from_millis(600), "{first_reply:?}");
    let table = report.to_string();
    assert!(table.contains("62 frames") && table.contains("2 received, 1 answered"), "{table}");
}

#[test]
fn nobody_answers_and_the_caller_hangs_up() {
    let (report, _) = call("sesame", 0);
    let report = report.unwrap();
    assert!(report.hung_up);
    // Sound came at frame 50, and was taken back 120 ms later: no reply.
    assert!(!report.reply_heard);
}

#[test]
fn a_wrong_secret_is_named() {
    let (report, _) = call("open", 1);
    let error = report.unwrap_err();
    assert!(matches!(error, PhoneError::Refused { status: 401, .. }), "{error}");
    assert!(error.to_string().contains("TRUNKLINE_SECRET"), "{error}");
}

#[test]
fn nobody_there_is_an_error() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = actix_rt::System::new().block_on(place_call(options(format!("ws://{address}"), "x")));
    let error = report.unwrap_err().to_string();
    assert!(error.contains("cannot connect") && error.contains("refused"), "{error}");
}
