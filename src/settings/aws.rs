//! What AWS does for us: call events, `events.*`, and the SIP media application, `sma.*`.

use actix_web::http::Uri;
use trunkline_call::{Glob, mask_number};
use trunkline_chime::sma::SmaSettings as Application;

use super::reader::Reader;
use super::sections::{EventSettings, SmaSettings};

/// Longest name of a thing of AWS's taken, in bytes.
const MAX_NAME: usize = 128;

pub(super) fn events(r: &mut Reader<'_>) -> EventSettings {
    let events = EventSettings {
        queue_url: r.optional("events.queue_url"),
        region: region(r, "events.region"),
        endpoint_url: endpoint(r, "events.endpoint_url"),
        voice_connector_ids: r.list("events.voice_connector_ids"),
        max_age: Some(r.duration("events.max_age", "0s", "14days")).filter(|age| !age.is_zero()),
    };
    if events.queue_url.as_deref().is_some_and(|url| !is_http(url, |path| !path.trim_matches('/').is_empty())) {
        r.refuse(
            "events.queue_url",
            "a queue's address, as in https://sqs.us-east-1.amazonaws.com/111122223333/vc-events",
        );
    }
    if !events.voice_connector_ids.iter().all(|id| is_name(id)) {
        r.refuse(
            "events.voice_connector_ids",
            "ids of Voice Connectors, as in \"fx7q2mvbd9k3htn5wz1rgy\" (not their ARNs)",
        );
    }
    events
}

pub(super) fn sma(r: &mut Reader<'_>) -> SmaSettings {
    let sma = SmaSettings {
        application_id: r.optional("sma.application_id"),
        region: region(r, "sma.region"),
        endpoint_url: endpoint(r, "sma.endpoint_url"),
        voice_connector_arn: r.optional("sma.voice_connector_arn"),
        from_number: r.optional("sma.from_number"),
        updates_per_second: r.real("sma.updates_per_second", 0.1..=1_000.0),
        creates_per_second: r.real("sma.creates_per_second", 0.1..=1_000.0),
        ring_timeout: r.duration("sma.ring_timeout", "1s", "1h"),
        allowed_destinations: globs(r, "sma.allowed_destinations"),
        webhook_secret: r.secret("sma.webhook_secret"),
    };
    if sma.application_id.as_deref().is_some_and(|id| !is_name(id)) {
        r.refuse(
            "sma.application_id",
            "the application's id, as in 2f9d7c1a-6f3e-4b7d-9c55-7a1e3f0b8d21 (not its ARN)",
        );
    }
    if sma.voice_connector_arn.as_deref().is_some_and(|arn| Application::new(arn).is_err()) {
        r.refuse("sma.voice_connector_arn", "arn:aws:chime:REGION:ACCOUNT:vc/ID");
    }
    if let Some(number) = sma.from_number.as_deref().filter(|number| !is_e164(number)) {
        let shown = mask_number(number);
        r.complain(
            "sma.from_number",
            &format!("= \"{shown}\" is not allowed here; allowed: a number in E.164, as in +15550100042"),
        );
    }
    let is_sendable = |secret: &str| secret.bytes().all(|b| (0x21..0x7F).contains(&b));
    if sma.webhook_secret.as_ref().is_some_and(|secret| !is_sendable(secret.expose())) {
        r.complain(
            "sma.webhook_secret",
            "holds a character that cannot be sent in a header; allowed: printable ASCII without blanks",
        );
    }
    sma
}

fn globs(r: &mut Reader<'_>, key: &str) -> Vec<Glob> {
    let parsed: Result<Vec<Glob>, _> = r.list(key).iter().map(|text| Glob::parse(text)).collect();
    parsed.unwrap_or_else(|error| {
        r.refuse(key, &format!("patterns: {error}"));
        Vec::new()
    })
}

fn region(r: &mut Reader<'_>, key: &str) -> Option<String> {
    let region = r.optional(key)?;
    let is_region = region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_region {
        r.refuse(key, "a region of AWS, as in us-east-1");
    }
    Some(region)
}

fn endpoint(r: &mut Reader<'_>, key: &str) -> Option<String> {
    let url = r.optional(key)?;
    if !is_http(&url, |_| true) {
        r.refuse(key, "an http:// or https:// address, as in http://127.0.0.1:4566");
    }
    Some(url)
}

pub(super) fn is_http(url: &str, is_path: impl Fn(&str) -> bool) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        matches!(uri.scheme_str(), Some("http" | "https")) && has_host && uri.query().is_none() && is_path(uri.path())
    })
}

/// What stands in an address as it is.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// ITU-T E.164 as AWS takes it: `+`, then 2 to 15 digits of which the first is not 0.
fn is_e164(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or_default();
    (2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
}
