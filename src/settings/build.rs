//! Reads each section and checks what one value demands of another.

#[cfg(test)]
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use actix_web::http::Uri;
use trunkline_call::FallbackChannel;

use super::reader::Reader;
use super::sections::*;
use super::sources::{self, Sources};
use super::{Loaded, SettingsError};
use super::{aws, model, routes, sip, tools};

/// Longest text of the action Speak, in characters.
const SPEAKABLE: usize = 1_000;

/// Reads, merges and checks.
pub(super) fn load(sources: &Sources) -> Result<Loaded, SettingsError> {
    let leaves = sources::read(sources)?;
    let mut reader = Reader::new(&leaves);
    let mut warnings = Vec::new();
    let settings = settings(&mut reader, &mut warnings);
    let Reader { entries, problems, .. } = reader;
    if !problems.is_empty() {
        return Err(SettingsError { problems });
    }
    Ok(Loaded { settings, entries, warnings })
}

/// Every key that is ever asked for, to be held against `default.toml`.
#[cfg(test)]
pub(super) fn asked_keys() -> BTreeSet<String> {
    let leaves = sources::read(&Sources::default()).unwrap();
    let mut reader = Reader::new(&leaves);
    settings(&mut reader, &mut Vec::new());
    reader.asked
}

fn settings(r: &mut Reader<'_>, warnings: &mut Vec<String>) -> Settings {
    let media = MediaSettings { listen: r.address("media.listen"), tls: tls(r) };
    let admin = AdminSettings { listen: r.address("admin.listen"), token: r.secret("admin.token") };
    let ingest = ingest(r);
    let calls = calls(r);
    let sip = sip::read(r, warnings);
    let listeners: Vec<_> = [media.listen, admin.listen].into_iter().chain(sip.listeners()).collect();
    let realtime = model::read(r, &listeners, warnings);
    let events = aws::events(r);
    let sma = aws::sma(r);
    let fallback = fallback(r, sma.application_id.is_some(), warnings);
    let tools = tools::read(r);
    let routes = routes::read(r, &realtime, &routes::Offer::new(&tools, &sma.allowed_destinations));
    let log = log(r);

    if !media.listen.ip().is_loopback() && ingest.secret.is_none() {
        r.complain(
            "media.listen",
            &format!(
                "= {} is beyond loopback and needs a secret: set ingest.secret (or ingest.secret_file)",
                media.listen
            ),
        );
    }
    if !admin.listen.ip().is_loopback() && admin.token.is_none() {
        r.complain(
            "admin.listen",
            &format!("= {} is beyond loopback and needs a token: set admin.token (or admin.token_file)", admin.listen),
        );
    }
    if media.listen == admin.listen && media.listen.port() != 0 {
        r.complain("admin.listen", &format!("= {} is also media.listen; give each its own", admin.listen));
    }
    Settings { media, admin, ingest, calls, realtime, sip, events, sma, fallback, tools, routes, log }
}

fn tls(r: &mut Reader<'_>) -> Option<TlsSettings> {
    let cert_file = r.path("media.tls.cert_file");
    let key_file = r.path("media.tls.key_file");
    for (key, path) in [("media.tls.cert_file", &cert_file), ("media.tls.key_file", &key_file)] {
        readable(r, key, path.as_deref());
    }
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some(TlsSettings { cert_file, key_file }),
        (None, None) => None,
        (Some(_), None) => {
            r.complain("media.tls.cert_file", "is given without media.tls.key_file");
            None
        }
        (None, Some(_)) => {
            r.complain("media.tls.key_file", "is given without media.tls.cert_file");
            None
        }
    }
}

pub(super) fn readable(r: &mut Reader<'_>, key: &str, path: Option<&Path>) {
    if let Some(Err(error)) = path.map(std::fs::File::open) {
        r.refuse(key, &format!("a readable file: {error}"));
    }
}

fn ingest(r: &mut Reader<'_>) -> IngestSettings {
    let ingest = IngestSettings {
        secret: r.secret("ingest.secret"),
        allowed_origins: r.list("ingest.allowed_origins"),
        heartbeat: r.duration("ingest.heartbeat", "100ms", "1h"),
        heartbeat_timeout: r.duration("ingest.heartbeat_timeout", "100ms", "1h"),
        reattach_grace: r.duration("ingest.reattach_grace", "0s", "10m"),
        twilio: TwilioSettings {
            auth_token: r.secret("ingest.twilio.auth_token"),
            lead: r.duration("ingest.twilio.lead", "0s", "200ms"),
        },
    };
    longer(r, ("ingest.heartbeat_timeout", ingest.heartbeat_timeout), ("ingest.heartbeat", ingest.heartbeat));
    for origin in &ingest.allowed_origins {
        let is_origin = origin.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.path() == "/");
        if !is_origin || origin.ends_with('/') {
            r.refuse(
                "ingest.allowed_origins",
                "origins as browsers send them: \"https://console.example.com\", without a path",
            );
            break;
        }
    }
    ingest
}

pub(super) fn longer(r: &mut Reader<'_>, (key, value): (&str, Duration), (other, than): (&str, Duration)) {
    if value <= than && value > Duration::ZERO {
        let than = humantime::format_duration(than);
        r.refuse(key, &format!("more than {other}, which is {than}"));
    }
}

fn calls(r: &mut Reader<'_>) -> CallSettings {
    CallSettings {
        max: Some(r.whole("calls.max", 0..=1_000_000)).filter(|max: &usize| *max > 0),
        no_media_timeout: r.duration("calls.no_media_timeout", "100ms", "1day"),
        media_timeout: r.duration("calls.media_timeout", "100ms", "1day"),
        max_duration: r.duration("calls.max_duration", "1s", "7days"),
        drain_timeout: r.duration("calls.drain_timeout", "0s", "1day"),
        upstream_buffer: r.duration("calls.upstream_buffer", "20ms", "1m"),
        playout_buffer: r.duration("calls.playout_buffer", "1s", "1h"),
        history: r.duration("calls.history", "0s", "7days"),
        history_max: r.whole("calls.history_max", 0..=1_000_000),
    }
}

fn fallback(r: &mut Reader<'_>, has_application: bool, warnings: &mut Vec<String>) -> FallbackSettings {
    let channel = r.choice(
        "fallback.channel",
        ("auto", FallbackChannel::Auto),
        &[("sma", FallbackChannel::Sma), ("media", FallbackChannel::Media)],
    );
    let fallback = FallbackSettings {
        channel,
        prompts: r.list("fallback.prompts"),
        goodbye: r.text("fallback.goodbye"),
        prompt_files: r.list("fallback.prompt_files").into_iter().map(Into::into).collect(),
        goodbye_file: r.path("fallback.goodbye_file"),
        pause: r.duration("fallback.pause", "0s", "1m"),
        max_duration: r.duration("fallback.max_duration", "1s", "1h"),
    };
    if fallback.prompts.iter().all(|text| text.trim().is_empty()) {
        r.refuse("fallback.prompts", "at least one text");
    }
    if fallback.goodbye.trim().is_empty() {
        r.refuse("fallback.goodbye", "a text");
    }
    let spoken = [
        ("fallback.prompts", fallback.prompts.as_slice()),
        ("fallback.goodbye", std::slice::from_ref(&fallback.goodbye)),
    ];
    for (key, texts) in spoken {
        if has_application && texts.iter().any(|text| text.chars().count() > SPEAKABLE) {
            r.complain(
                key,
                &format!("holds more than the {SPEAKABLE} characters that the SIP media application speaks"),
            );
        }
    }
    for path in &fallback.prompt_files {
        readable(r, "fallback.prompt_files", Some(path));
    }
    readable(r, "fallback.goodbye_file", fallback.goodbye_file.as_deref());
    let (texts, files) = (fallback.prompts.len(), fallback.prompt_files.len());
    if files > 0 && files != texts {
        r.complain(
            "fallback.prompt_files",
            &format!("has {files} files for {texts} texts of fallback.prompts; give one each"),
        );
    }
    if channel == FallbackChannel::Sma {
        // Texts alone are enough where an application speaks them.
        if !has_application {
            warnings.push(
                "fallback.channel is \"sma\" without sma.application_id: recordings are played into the call's own media"
                    .to_owned(),
            );
        }
        return fallback;
    }
    let bundled = super::defaults_of_fallback();
    if files == 0 && fallback.prompts != bundled.0 {
        r.complain(
            "fallback.prompts",
            "were changed, but the bundled recordings say the default texts: give fallback.prompt_files, one WAV each",
        );
    }
    if fallback.goodbye_file.is_none() && fallback.goodbye != bundled.1 {
        r.complain(
            "fallback.goodbye",
            "was changed, but the bundled recording says the default text: give fallback.goodbye_file",
        );
    }
    fallback
}

fn log(r: &mut Reader<'_>) -> LogSettings {
    let format = r.choice("log.format", ("pretty", LogFormat::Pretty), &[("json", LogFormat::Json)]);
    let filter = r.text("log.filter");
    if let Err(error) = crate::telemetry::parse_filter(&filter) {
        r.refuse("log.filter", &error.to_string());
    }
    LogSettings { format, filter, otlp_endpoint: otlp_endpoint(r), mask_numbers: r.flag("log.mask_numbers") }
}

fn otlp_endpoint(r: &mut Reader<'_>) -> Option<String> {
    const KEY: &str = "log.otlp_endpoint";
    let url = Some(model::address_text(r, KEY)).filter(|url| !url.is_empty())?;
    if model::carries_key(&url) {
        r.complain(
            KEY,
            "carries a key or password in the address; put it into the variable OTEL_EXPORTER_OTLP_HEADERS",
        );
    } else if !aws::is_http(&url, |_| true) {
        r.refuse(KEY, "an http:// or https:// address, as in http://127.0.0.1:4318");
    } else if !cfg!(feature = "otlp") {
        r.complain(
            KEY,
            "is set, but this build sends no traces (feature `otlp`); leave it empty or use a build that does",
        );
    }
    Some(url)
}
