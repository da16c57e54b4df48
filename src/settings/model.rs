//! The speech model's section, `realtime.*`.

use std::net::SocketAddr;

use actix_web::http::Uri;
use trunkline_media::ModelFormat;
use trunkline_realtime::{Api, TurnDetection};

use super::build::longer;
use super::reader::Reader;
use super::sections::{ModelAuth, RealtimeSettings, RouteOverrides};

/// The word for `realtime.url` that asks for the embedded simulator on purpose.
const SIMULATOR: &str = "simulator";

pub(super) fn read(r: &mut Reader<'_>, listeners: &[SocketAddr], warnings: &mut Vec<String>) -> RealtimeSettings {
    let urls = model_urls(r, listeners);
    let api = r.choice("realtime.api", ("ga", Api::Ga), &[("preview", Api::Preview), ("voice-live", Api::VoiceLive)]);
    let api_key = r.secret("realtime.api_key");
    if api_key.as_ref().is_some_and(|key| !key.expose().bytes().all(|b| (0x21..0x7F).contains(&b))) {
        r.complain(
            "realtime.api_key",
            "holds a character that cannot be sent in a header; allowed: printable ASCII without blanks",
        );
    }
    let auth = r.choice(
        "realtime.auth",
        ("api-key", ModelAuth::ApiKey),
        &[("bearer", ModelAuth::Bearer), ("entra", ModelAuth::Entra)],
    );
    if auth == ModelAuth::Entra && !cfg!(feature = "entra") {
        r.complain(
            "realtime.auth",
            "= \"entra\" is not carried by this build (feature `entra`); use \"api-key\" or \"bearer\"",
        );
    }
    let pcm = r.choice("realtime.audio", ("pcm16", true), &[("pcmu", false)]);
    let rate: u32 = r.whole("realtime.sample_rate", 8_000..=48_000);
    let format = match (pcm, rate) {
        (_, 16_000) if api != Api::VoiceLive => {
            r.refuse("realtime.sample_rate", "24000; 16000 is taken by realtime.api = \"voice-live\" only");
            ModelFormat::Pcm24k
        }
        (true, 16_000) => ModelFormat::Pcm16k,
        (true, 24_000) => ModelFormat::Pcm24k,
        (false, 16_000 | 24_000) => ModelFormat::Pcmu,
        _ => {
            r.refuse("realtime.sample_rate", "24000, or 16000 with realtime.api = \"voice-live\"");
            ModelFormat::Pcm24k
        }
    };
    let realtime = RealtimeSettings {
        urls,
        api,
        api_key,
        auth,
        format,
        voice: r.optional("realtime.voice"),
        instructions: r.optional("realtime.instructions"),
        greeting: r.optional("realtime.greeting"),
        transcription_model: r.optional("realtime.transcription_model"),
        turn_detection: turn_detection(r),
        connect_timeout: r.duration("realtime.connect_timeout", "100ms", "1m"),
        stall_timeout: r.duration("realtime.stall_timeout", "100ms", "5m"),
        ping: r.duration("realtime.ping", "100ms", "1m"),
        response_timeout: r.duration("realtime.response_timeout", "100ms", "5m"),
        reconnect_first: r.duration("realtime.reconnect.first", "10ms", "1m"),
        reconnect_max: r.duration("realtime.reconnect.max", "10ms", "10m"),
        connects_per_second: r.whole("realtime.connects_per_second", 1..=100_000),
        renew_before: r.duration("realtime.renew_before", "30s", "1day"),
        warm_sessions: r.whole("realtime.warm_sessions", 0..=1_000),
    };
    longer(r, ("realtime.stall_timeout", realtime.stall_timeout), ("realtime.ping", realtime.ping));
    if realtime.reconnect_max < realtime.reconnect_first {
        r.refuse("realtime.reconnect.max", "no less than realtime.reconnect.first");
    }
    if let Err(error) = realtime.profile(&RouteOverrides::default(), Vec::new()).check() {
        r.complain("realtime.api", &format!("and the session's settings do not fit: {error}"));
    }
    match (&realtime.api_key, realtime.auth) {
        (Some(_), ModelAuth::Entra) => {
            warnings.push("realtime.api_key is not used with realtime.auth = \"entra\"".to_owned());
        }
        (None, ModelAuth::ApiKey | ModelAuth::Bearer) if !realtime.urls.is_empty() => {
            warnings.push("realtime.url is set without realtime.api_key: connecting without a key".to_owned());
        }
        _ => {}
    }
    realtime
}

/// Addresses to try, in order; none means the embedded simulator.
fn model_urls(r: &mut Reader<'_>, listeners: &[SocketAddr]) -> Vec<String> {
    let url = address_text(r, "realtime.url");
    let backups = r.list("realtime.backup_urls");
    match (url.as_str(), way_in(r, listeners)) {
        ("", Some(way_in)) => r.complain(
            "realtime.url",
            &format!(
                "is empty although {way_in}: a real caller would meet the simulator. \
                 Give the model's ws:// or wss:// address, or \"{SIMULATOR}\" if that is meant"
            ),
        ),
        ("" | SIMULATOR, _) => {
            if !backups.is_empty() {
                r.complain("realtime.backup_urls", "needs realtime.url to be an address of its own");
            }
            return Vec::new();
        }
        _ => {}
    }
    let mut urls = Vec::new();
    let first = std::iter::once(("realtime.url", url));
    for (key, url) in first.chain(backups.into_iter().map(|url| ("realtime.backup_urls", url))) {
        if url.is_empty() {
            continue;
        }
        match check_model_url(&url) {
            Ok(()) => urls.push(url),
            Err(what) => r.complain(key, &what),
        }
    }
    urls
}

/// How a real caller could come in.
fn way_in(r: &mut Reader<'_>, listeners: &[SocketAddr]) -> Option<String> {
    if let Some(open) = listeners.iter().find(|address| !address.ip().is_loopback()) {
        return Some(format!("{open} listens beyond loopback"));
    }
    let key = ["events.queue_url", "sma.application_id"].into_iter().find(|key| r.is_set(key))?;
    Some(format!("{key} is set"))
}

/// The text is kept off the screen if it may carry a key.
/// An address. One that carries a key is not shown.
pub(super) fn address_text(r: &mut Reader<'_>, key: &str) -> String {
    let text = r.text(key).trim().to_owned();
    if let Some(entry) = r.entries.last_mut().filter(|_| carries_key(&text)) {
        entry.shown = format!("\"{}\"", super::REDACTED);
    }
    text
}

fn check_model_url(url: &str) -> Result<(), String> {
    if carries_key(url) {
        return Err("carries a key or password in the address; put it into realtime.api_key".to_owned());
    }
    let uri = url.parse::<Uri>().ok();
    let fits =
        |uri: &Uri| matches!(uri.scheme_str(), Some("ws" | "wss")) && uri.host().is_some_and(|host| !host.is_empty());
    if uri.as_ref().is_some_and(fits) {
        return Ok(());
    }
    Err(format!(
        "= {url:?} is no model address; allowed: ws://HOST[:PORT]/PATH?QUERY or wss://..., or the word \"{SIMULATOR}\" alone as realtime.url"
    ))
}

pub(super) fn carries_key(url: &str) -> bool {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let in_query = query.split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
        matches!(name.as_str(), "api-key" | "api_key" | "apikey" | "key" | "token" | "access_token")
    });
    let authority = address.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    in_query || authority.contains('@')
}

fn turn_detection(r: &mut Reader<'_>) -> TurnDetection {
    let key = |name: &str| format!("realtime.turn_detection.{name}");
    let server = r.choice(&key("type"), ("server_vad", true), &[("semantic_vad", false)]);
    let threshold = r.real(&key("threshold"), 0.0..=1.0);
    let prefix_padding_ms = r.whole(&key("prefix_padding_ms"), 0..=5_000);
    let silence_duration_ms = r.whole(&key("silence_duration_ms"), 10..=10_000);
    let idle: u32 = r.whole(&key("idle_timeout_ms"), 0..=30_000);
    if (1..5_000).contains(&idle) {
        r.refuse(&key("idle_timeout_ms"), "0 (off), or 5000 to 30000");
    }
    let eagerness =
        r.choice(&key("eagerness"), ("auto", "auto"), &[("low", "low"), ("medium", "medium"), ("high", "high")]);
    let create_response = r.flag(&key("create_response"));
    let interrupt_response = r.flag(&key("interrupt_response"));
    if server {
        TurnDetection::ServerVad {
            threshold,
            prefix_padding_ms,
            silence_duration_ms,
            idle_timeout_ms: Some(idle).filter(|ms| *ms > 0),
            create_response,
            interrupt_response,
        }
    } else {
        TurnDetection::SemanticVad { eagerness: eagerness.to_owned(), create_response, interrupt_response }
    }
}
