//! `trunkline demo`: the whole service in this process, and one real call through it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::phone::{self, Patience, PhoneOptions, wav};
use super::{Failure, call, print, say};
use crate::app;
use crate::settings::{LogFormat, Settings};
use crate::telemetry;

/// What the caller says when nobody brings a recording. Provenance: README.md beside the file.
const HELLO: &[u8] = include_bytes!("demo/hello_8k.wav");

const CALL_ID: &str = "demo";

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// What the caller says (16-bit PCM, mu-law or A-law WAV); without it a bundled sentence
    #[arg(long, value_name = "IN.wav")]
    wav: Option<PathBuf>,
    /// Where to write what the caller heard (8 kHz mono 16-bit WAV)
    #[arg(long, value_name = "HEARD.wav", default_value = "heard.wav")]
    out: PathBuf,
}

/// The bundled sentence as 8 kHz samples.
pub(super) fn bundled_words() -> Result<Vec<i16>, Failure> {
    wav::decode(HELLO).map_err(|what| Failure::Job(format!("bundled recording: {what}")))
}

pub(super) fn run(args: DemoArgs) -> Result<(), Failure> {
    telemetry::init(LogFormat::Pretty, "warn").map_err(Failure::job)?;
    let words = call::words(args.wav.as_deref())?;
    let settings = Settings::embedded()?;
    actix_rt::System::new().block_on(async move {
        let running = app::start_embedded(settings).await.map_err(Failure::job)?;
        let called = one_call(running.media_addr, running.admin_addr, words, &args.out).await;
        running.stop().await;
        called
    })
}

async fn one_call(media: SocketAddr, admin: SocketAddr, words: Vec<i16>, out: &std::path::Path) -> Result<(), Failure> {
    say(&format!("calling ws://{media}/ingest; the embedded simulator says everything back"));
    let options = PhoneOptions {
        url: format!("ws://{media}/ingest"),
        call_id: Some(CALL_ID.to_owned()),
        secret: None,
        account: None,
        ca_file: None,
        words,
        patience: Patience::default(),
        progress: Box::new(|progress| say(&call::progress_line(progress))),
    };
    let report = phone::place_call(options).await.map_err(Failure::job)?;
    call::show(&report, Some(out))?;
    let record = record_of(admin).await?;
    print("at the service").map_err(Failure::job)?;
    for (name, value) in rows(&record) {
        print(&format!("  {name:<18}{value}")).map_err(Failure::job)?;
    }
    if report.reply_heard { Ok(()) } else { Err(Failure::Job("the caller heard no reply".to_owned())) }
}

/// The service's own record of the call, once it has ended there.
async fn record_of(admin: SocketAddr) -> Result<Value, Failure> {
    let client = phone::client().map_err(Failure::job)?;
    let url = format!("http://{admin}/admin/calls/{CALL_ID}");
    let mut record = Value::Null;
    for _ in 0..20 {
        let mut answer = client.get(&url).send().await.map_err(|error| Failure::Job(format!("{url}: {error}")))?;
        let status = answer.status();
        let body = answer.body().limit(8 << 20).await;
        if !status.is_success() {
            return Err(Failure::Job(format!("{url}: HTTP {status}")));
        }
        let body = body.map_err(|error| Failure::Job(format!("{url}: {error}")))?;
        record = serde_json::from_slice(&body).map_err(|error| Failure::Job(format!("{url}: {error}")))?;
        if text(&record, "/state") == "ended" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(record)
}

/// The table of a CALL: frames, drops, latencies.
fn rows(call: &Value) -> Vec<(&'static str, String)> {
    let t = |path: &str| text(call, path);
    let leg = |leg: &str| {
        format!(
            "{} frames, {} dropped, {} ms queued",
            t(&format!("/{leg}/frames")),
            t(&format!("/{leg}/dropped")),
            t(&format!("/{leg}/queuedMs"))
        )
    };
    vec![
        ("call", format!("{}, {}, {} ms, ended by {}", t("/callId"), t("/state"), t("/durationMs"), t("/endReason"))),
        ("caller to model", leg("up")),
        ("model to caller", format!("{}, {} underruns", leg("down"), t("/down/underruns"))),
        (
            "model",
            format!(
                "{} responses, {} interruptions, {} reconnects",
                t("/model/responses"),
                t("/model/interruptions"),
                t("/model/reconnects")
            ),
        ),
        (
            "response latency",
            format!(
                "last {} ms, p50 {} ms, p99 {} ms",
                t("/model/responseLatencyMs/last"),
                t("/model/responseLatencyMs/p50"),
                t("/model/responseLatencyMs/p99")
            ),
        ),
        (
            "our share",
            format!(
                "up p50 {} p99 {} ms, down p50 {} p99 {} ms",
                t("/bridge/upMs/p50"),
                t("/bridge/upMs/p99"),
                t("/bridge/downMs/p50"),
                t("/bridge/downMs/p99")
            ),
        ),
        ("fallback", format!("entered {} times, {} prompts", t("/fallback/entered"), t("/fallback/prompts"))),
    ]
}

/// A value of the record for show; "-" where it is null or missing.
fn text(call: &Value, path: &str) -> String {
    match call.pointer(path) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if number.is_f64() => format!("{:.1}", number.as_f64().unwrap_or_default()),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bundled_sentence_is_speech() {
        let words = bundled_words().unwrap();
        assert_eq!(words.len(), 56_800, "7.1 s");
        let loud = words.chunks(160).filter(|frame| phone::is_sound(frame)).count();
        assert!(loud > 300, "{loud} frames of sound");
    }

    #[test]
    fn the_table_shows_the_record() {
        let call = json!({
            "callId": "demo", "state": "ended", "durationMs": 17_000, "endReason": "caller_hangup",
            "up": { "frames": 850, "dropped": 1, "queuedMs": 0 },
            "down": { "frames": 360, "dropped": 0, "queuedMs": 0, "underruns": 2 },
            "model": { "responses": 1, "interruptions": 0, "reconnects": 0, "responseLatencyMs": { "last": 310.456, "p50": null } },
        });
        let rows = rows(&call);
        let row = |name: &str| rows.iter().find(|(found, _)| *found == name).unwrap().1.clone();
        assert_eq!(row("call"), "demo, ended, 17000 ms, ended by caller_hangup");
        assert_eq!(row("caller to model"), "850 frames, 1 dropped, 0 ms queued");
        assert_eq!(row("model to caller"), "360 frames, 0 dropped, 0 ms queued, 2 underruns");
        assert_eq!(row("response latency"), "last 310.5 ms, p50 - ms, p99 - ms");
    }
}
